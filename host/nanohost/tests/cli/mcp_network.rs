//! The gateway over HTTP: who gets in, what each may, what is bounded, and that a gateway that ends or is
//! killed leaves evidence of everything.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::database;
use crate::harness::{Home, eventually};
use crate::tool::Project;

/// A gateway that listens, and its address.
pub(crate) struct Served {
    child: Child,
    pub(crate) address: String,
    pub(crate) metrics: Option<String>,
}

impl Served {
    /// Starts `nanohost mcp --listen 0` with these arguments.
    pub(crate) fn start(home: &Home, args: &[&str]) -> Self {
        let mut command = home.command(["mcp", "--listen", "0"]);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("nanohost starts");
        let mut said = BufReader::new(child.stderr.take().expect("it is piped"));
        let mut after = |what: &str| {
            let mut seen = String::new();
            loop {
                let mut line = String::new();
                let read = said.read_line(&mut line).expect("lines of UTF-8");
                assert_ne!(read, 0, "no {what:?} in {seen}");
                if let Some((_, rest)) = line.split_once(what) {
                    return rest.trim().split('/').next().expect("an address").to_owned();
                }
                seen.push_str(&line);
            }
        };
        let address = after("listening at http://");
        let metrics = args.contains(&"--metrics").then(|| after("metrics at http://"));
        // What it says later is not to fill its pipe.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Self { child, address, metrics }
    }

    /// The programs and tools of a project.
    pub(crate) fn of(project: &Project<'_>, programs: &[&str], more: &[&str]) -> Self {
        let text = |path: std::path::PathBuf| path.into_os_string().into_string().expect("UTF-8");
        let (policy, tools) = (text(project.path("policies/local.toml")), text(project.path("tools")));
        let programs: Vec<String> = programs.iter().map(|name| text(project.path(name))).collect();
        let mut args: Vec<&str> = programs.iter().map(String::as_str).collect();
        args.extend(["--policy", &policy, "--tools", &tools]);
        args.extend(more);
        Self::start(project.home, &args)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// Sends bytes and reads all that comes back.
    fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(100))).expect("it can be set");
        // It may have closed its end before all was sent.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// A request with these headers; the status and the body.
    fn post(&self, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        let mut request = String::from("POST /mcp HTTP/1.1\r\nConnection: close\r\n");
        if headers.iter().all(|(name, _)| *name != "Host") {
            request.push_str(&format!("Host: {}\r\n", self.address));
        }
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n");
        request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        split(&self.raw(request.as_bytes()))
    }

    fn ask_as(&self, token: Option<&str>, method: &str, params: Value) -> Value {
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let bearer = token.map(|token| format!("Bearer {token}"));
        let mut headers = vec![("MCP-Protocol-Version", "2025-11-25")];
        headers.extend(bearer.as_deref().map(|bearer| ("Authorization", bearer)));
        let (status, body) = self.post(&headers, &message.to_string());
        assert_eq!(status, 200, "{method}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
    }

    /// Calls a tool; its result.
    #[track_caller]
    fn call_as(&self, token: Option<&str>, name: &str, arguments: Value) -> Value {
        let answer = self.ask_as(token, "tools/call", json!({ "name": name, "arguments": arguments }));
        assert!(answer.get("error").is_none(), "{name}: {answer:#}");
        answer["result"].clone()
    }

    /// Calls a tool that does what is asked.
    #[track_caller]
    fn gives(&self, token: &str, name: &str, arguments: Value) -> Value {
        let result = self.call_as(Some(token), name, arguments);
        assert_eq!(result["isError"], false, "{name}: {result:#}");
        result["structuredContent"].clone()
    }

    /// What the other listener says.
    fn told(&self, path: &str) -> (u16, String) {
        let address = self.metrics.as_ref().expect("it has one");
        let mut stream = TcpStream::connect(address).expect("it listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        split(&answer)
    }

    fn signal(&self, signal: Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal)
            .expect("it runs");
    }

    fn end(mut self) -> Option<i32> {
        self.child.wait().expect("it can be waited for").code()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The status and the body of an answer.
fn split(answer: &str) -> (u16, String) {
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    (status, body)
}

/// Makes a token.
pub(crate) fn token(home: &Home, name: &str, more: &[&str]) -> String {
    let done = home.nanohost([&["mcp", "token", "new", name, "--json"], more].concat()).exits(0);
    done.json()["token"].as_str().expect("a token").to_owned()
}

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}"#;

#[test]
fn only_who_has_a_token_is_let_in() {
    let home = Home::new();
    let project = Project::new(&home);
    let good = token(&home, "ada", &["--scope", "programs"]);
    let short = token(&home, "eve", &["--scope", "programs", "--expires", "1s"]);
    let served = Served::of(&project, &["book.toml"], &[]);
    let bearer = |token: &str| format!("Bearer {token}");
    let status = |value: &str| served.post(&[("Authorization", value)], PING).0;
    assert_eq!(status(&bearer(&good)), 200);
    assert_eq!(served.post(&[], PING).0, 401);
    let missing = served.raw(
        format!("POST /mcp HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", served.address).as_bytes(),
    );
    assert!(missing.to_ascii_lowercase().contains("www-authenticate: bearer"), "{missing}");
    for wrong in [
        bearer("nht_wrong"),
        bearer(""),
        good.clone(),
        format!("Basic {good}"),
        bearer(&good[..good.len() - 1]),
    ] {
        let found = status(&wrong);
        // Whoever tries often is slowed.
        assert!(matches!(found, 401 | 429), "{wrong}: {found}");
    }
    eventually("the end of a token", || matches!(status(&bearer(&short)), 401 | 429).then_some(()));
    // Made, rotated and revoked without a restart.
    let rotated =
        home.nanohost(["mcp", "token", "rotate", "ada", "--overlap", "1h", "--json"]).exits(0).json();
    let new = rotated["token"].as_str().expect("a token");
    assert_eq!((status(&bearer(new)), status(&bearer(&good))), (200, 200), "both count for a while");
    home.nanohost(["mcp", "token", "revoke", "ada"]).exits(0);
    for token in [new, good.as_str()] {
        assert!(matches!(status(&bearer(token)), 401 | 429));
    }
    let listed = home.nanohost(["mcp", "token", "list"]).exits(0);
    listed.says("eve").omits(&short).omits("ada");
    home.nanohost(["mcp", "token", "revoke", "ada"]).exits(2).says("unknown_token");
}

#[test]
fn a_file_of_tokens_that_cannot_be_believed_lets_nobody_in() {
    let home = Home::new();
    let project = Project::new(&home);
    let good = token(&home, "ada", &["--scope", "programs"]);
    let served = Served::of(&project, &["book.toml"], &[]);
    let bearer = format!("Bearer {good}");
    assert_eq!(served.post(&[("Authorization", &bearer)], PING).0, 200);
    home.write("config/mcp-tokens.json", "{\"tokens\": [], \"everybody\": true}");
    assert_eq!(served.post(&[("Authorization", &bearer)], PING).0, 503);
    drop(served);
    let text = |path: std::path::PathBuf| path.into_os_string().into_string().expect("UTF-8");
    home.nanohost(["mcp", &text(project.path("book.toml")), "--listen", "0"])
        .exits(2)
        .says("tokens_unreadable");
}

#[test]
fn beyond_this_machine_nothing_is_served_without_tokens() {
    let home = Home::new();
    let project = Project::new(&home);
    let program = project.path("book.toml").into_os_string().into_string().expect("UTF-8");
    for address in ["0.0.0.0:0", "[::]:0"] {
        home.nanohost(["mcp", &program, "--listen", address]).exits(2).says("token_needed");
        home.nanohost(["mcp", &program, "--listen", "0", "--metrics", address]).exits(2).says("token_needed");
    }
    home.nanohost(["mcp", &program, "--tokens", "x.json"]).exits(2);
}

#[test]
fn each_principal_sees_its_own_and_who_audits_sees_all() {
    let home = Home::new();
    let project = Project::new(&home);
    let ada = token(&home, "ada", &["--scope", "programs", "--scope", "tools"]);
    let bob = token(&home, "bob", &["--scope", "programs"]);
    let eye = token(&home, "eye", &["--scope", "audit"]);
    let reader = token(&home, "reader", &["--scope", "read-only"]);
    home.nanohost(["mcp", "token", "new", "x", "--scope", "read-only", "--scope", "audit"]).exits(2);
    let single = format!("{}:add", project.path("tools/ledger").display());
    let served = Served::of(&project, &["book.toml"], &["--tool", &single]);
    let run = served.gives(&ada, "bookkeeping", json!({}))["run"].as_str().expect("an id").to_owned();
    let names = |token: &str| -> Vec<String> {
        let listed = served.ask_as(Some(token), "tools/list", json!({}));
        let tools = listed["result"]["tools"].as_array().expect("a list").iter();
        tools.map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
    };
    assert!(
        names(&ada).contains(&"ledger_add".to_owned()) && !names(&bob).contains(&"ledger_add".to_owned())
    );
    for hidden in ["bookkeeping", "run_program", "save_program", "resume_run", "ledger_add"] {
        assert!(!names(&eye).contains(&hidden.to_owned()) && !names(&reader).contains(&hidden.to_owned()));
        let refused = served.ask_as(Some(&reader), "tools/call", json!({ "name": hidden, "arguments": {} }));
        assert_eq!(refused["error"]["code"], -32602, "{refused:#}");
    }
    for name in ["get_trace", "get_receipt", "verify_run"] {
        for stranger in [&bob, &reader] {
            let refused = served.call_as(Some(stranger), name, json!({ "run": run }));
            assert_eq!(refused["_meta"]["dev.nanohost/code"], "unknown_run", "{refused:#}");
        }
        served.gives(&ada, name, json!({ "run": run }));
        served.gives(&eye, name, json!({ "run": run }));
    }
    let count = |token: &str| served.gives(token, "list_runs", json!({}))["runs"].as_array().map(Vec::len);
    assert_eq!((count(&ada), count(&bob), count(&eye), count(&reader)), (Some(1), Some(0), Some(1), Some(0)));
    let uri = format!("nanohost://runs/{run}/trace");
    let read = |token: &str| served.ask_as(Some(token), "resources/read", json!({ "uri": uri }));
    assert!(
        read(&bob).get("error").is_some()
            && read(&ada).get("error").is_none()
            && read(&eye).get("error").is_none()
    );
    // The principal is in the evidence, by the token and by nothing that the client says.
    assert_eq!(home.envelopes(&run)[0]["predicate"]["principal"], "ada");
    home.nanohost(["verify", &run]).exits(0);
    // Refusals tell nothing of this machine.
    let refused = served.call_as(Some(&ada), "run_program", json!({ "source": "name = \"x\"\n[inputs]\n[tools.ledger]\npath = \"ledger\"\nfunction = \"book\"\n[[steps]]\nid = \"a\"\ntype = \"tool\"\ntool = \"ledger\"\nis_terminal = true\n" }));
    assert_eq!(refused["structuredContent"]["status"], "not_admitted", "{refused:#}");
    let root = project.home.path("").into_os_string().into_string().expect("UTF-8");
    assert!(!refused.to_string().contains(root.trim_end_matches('/')), "{refused:#}");
    let unknown = "name = \"x\"\n[inputs]\n[[steps]]\nid = \"a\"\ntype = \"tool\"\ntool = \"nobody_has_it\"\nis_terminal = true\n";
    for source in [
        unknown.to_owned(),
        unknown.replace("[[steps]]", "[tools.nobody_has_it]\npath = \"nobody\"\n[[steps]]"),
    ] {
        let refused = served.call_as(Some(&ada), "run_program", json!({ "source": source }));
        assert_eq!(refused["_meta"]["dev.nanohost/code"], "unknown_tool", "{refused:#}");
        assert!(!refused.to_string().contains(root.trim_end_matches('/')), "{refused:#}");
    }
    assert_eq!(database::kv(&home).len(), 1);
}

#[test]
fn a_page_of_somebody_elses_cannot_ask() {
    let home = Home::new();
    let project = Project::new(&home);
    let served = Served::of(&project, &["book.toml"], &["--allow-origin", "https://desk.example:443"]);
    let port = served.address.rsplit(':').next().expect("a port").to_owned();
    let status = |headers: &[(&str, &str)]| served.post(headers, PING).0;
    assert_eq!(status(&[]), 200);
    assert_eq!(status(&[("Host", &format!("localhost:{port}"))]), 200);
    assert_eq!(status(&[("Host", "rebound.example")]), 403);
    assert_eq!(status(&[("Host", &format!("rebound.example:{port}"))]), 403);
    assert_eq!(status(&[("Origin", "https://rebound.example")]), 403);
    assert_eq!(status(&[("Origin", "null")]), 403);
    assert_eq!(status(&[("Origin", "http://localhost:1")]), 403);
    assert_eq!(status(&[("Origin", &format!("http://localhost:{port}"))]), 200);
    assert_eq!(status(&[("Origin", "https://desk.example")]), 200);
}

#[test]
fn what_is_too_much_or_broken_is_refused_and_disturbs_nobody() {
    let home = Home::new();
    let project = Project::new(&home);
    let served = Served::of(&project, &["book.toml"], &["--connections", "8"]);
    let host = format!("Host: {}\r\n", served.address);
    let head = format!(
        "POST /mcp HTTP/1.1\r\n{host}Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\nConnection: close\r\n"
    );
    let status = |bytes: &[u8]| split(&served.raw(bytes)).0;
    let body =
        |body: &[u8]| [format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat();
    assert_eq!(status(&body(PING.as_bytes())), 200);
    for wrong in [
        &b"{"[..],
        b"\xff\xfe",
        b"[]",
        b"null",
        b"7",
        b"{\"jsonrpc\":\"2.0\",\"id\":1}",
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}",
    ] {
        let found = status(&body(wrong));
        assert!((400..500).contains(&found), "{:?}: {found}", String::from_utf8_lossy(wrong));
    }
    let deep = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":{}{}}}",
        "[".repeat(50_000),
        "]".repeat(50_000)
    );
    assert!((400..500).contains(&status(&body(deep.as_bytes()))));
    let large = vec![b' '; (4 << 20) + 1];
    let found = status(&body(&large));
    // It may close before the client has sent all and could read the answer.
    assert!(matches!(found, 413 | 0), "{found}");
    let many: String = (0..200).map(|at| format!("X-{at}: y\r\n")).collect();
    assert!(matches!(status(format!("{head}{many}\r\n").as_bytes()), 431 | 400));
    let long = format!("{head}X-Long: {}\r\n\r\n", "y".repeat(100 << 10));
    assert!(matches!(status(long.as_bytes()), 431 | 400 | 0));
    assert_eq!(status(format!("GET /mcp HTTP/1.1\r\n{host}Connection: close\r\n\r\n").as_bytes()), 405);
    assert_eq!(status(format!("POST /other HTTP/1.1\r\n{host}Connection: close\r\n\r\n").as_bytes()), 404);
    assert!(matches!(status(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), 400 | 0));
    // A client that closes its half before it has said all.
    let mut half = TcpStream::connect(&served.address).expect("it listens");
    half.write_all(format!("{head}Content-Length: 1000\r\n\r\n{{").as_bytes()).expect("it reads");
    half.shutdown(Shutdown::Write).expect("it is open");
    let mut rest = Vec::new();
    let _ = half.read_to_end(&mut rest);
    // Eight that hold a connection open are eight; a ninth is closed, and served once one is gone.
    let mut held: Vec<TcpStream> =
        (0..8).map(|_| TcpStream::connect(&served.address).expect("it listens")).collect();
    for one in &mut held {
        one.write_all(b"POST /mcp HTTP/1.1\r\n").expect("it reads");
    }
    eventually("a full house", || (status(&body(PING.as_bytes())) == 0).then_some(()));
    drop(held);
    eventually("room", || (status(&body(PING.as_bytes())) == 200).then_some(()));
}

#[test]
fn who_asks_too_fast_is_told_to_wait() {
    let home = Home::new();
    let project = Project::new(&home);
    let served = Served::of(&project, &["book.toml"], &["--rate", "1"]);
    let answers: Vec<u16> = (0..3).map(|_| served.post(&[], PING).0).collect();
    assert!(answers.contains(&200) && answers.contains(&429), "{answers:?}");
}

#[test]
fn its_state_is_told_on_another_listener() {
    let home = Home::new();
    let project = Project::new(&home);
    let served = Served::of(&project, &["book.toml"], &["--metrics", "0"]);
    assert_eq!(served.told("/healthz").0, 200);
    assert_eq!(served.told("/readyz").0, 200);
    served.call_as(None, "bookkeeping", json!({}));
    served.call_as(None, "run_program", json!({ "program": "a\"b\nc" }));
    let (status, text) = served.told("/metrics");
    assert_eq!(status, 200);
    assert!(text.contains("nanohost_runs_total{program=\"bookkeeping\",status=\"success\"} 1"), "{text}");
    assert!(text.contains("nanohost_refusals_total{code=\"unknown_program\"} 1"), "{text}");
    assert!(!text.contains("a\\\"b"), "{text}");
    assert_eq!(served.told("/mcp").0, 404);
    let there = split(&served.raw(
        format!("GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", served.address).as_bytes(),
    ));
    assert_eq!(there.0, 404, "clients do not see it");
}

#[test]
fn many_clients_at_once_leave_one_log_that_verifies() {
    let home = Home::new();
    let project = Project::new(&home);
    let served = Served::of(&project, &["book.toml", "add.toml"][1..], &[]);
    const CLIENTS: usize = 64;
    let runs: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CLIENTS)
            .map(|at| {
                let served = &served;
                scope.spawn(move || {
                    let key =
                        json!({ "program": "bookkeeping", "idempotencyKey": format!("client-{}", at / 2) });
                    let result = served.call_as(None, "run_program", key);
                    result["structuredContent"]["run"]
                        .as_str()
                        .unwrap_or_else(|| panic!("{result:#}"))
                        .to_owned()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("it answered")).collect()
    });
    // Two asked with each key, and one run came of it.
    let distinct: std::collections::BTreeSet<&String> = runs.iter().collect();
    assert_eq!(distinct.len(), CLIENTS / 2);
    assert_eq!(home.runs().len(), CLIENTS / 2);
    for run in distinct {
        eventually("the end", || (home.state(run) == "success").then_some(()));
    }
    drop(served);
    home.nanohost(["log", "fsck"]).exits(0);
    home.nanohost(["store", "doctor"]).exits(0);
}

/// Starts the call that never returns, and does not wait for it; the run, once its intent is on disk.
fn spinning(home: &Home, served: &Served, key: Option<&str>) -> (TcpStream, String) {
    let mut arguments = json!({ "program": "bookkeeping" });
    if let Some(key) = key {
        arguments["idempotencyKey"] = key.into();
    }
    let message = json!({
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": { "name": "run_program", "arguments": arguments },
    })
    .to_string();
    let mut stream = TcpStream::connect(&served.address).expect("it listens");
    let request = format!(
        "POST /mcp HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nAccept: application/json, \
         text/event-stream\r\nMCP-Protocol-Version: 2025-11-25\r\nContent-Length: {}\r\n\r\n{message}",
        served.address,
        message.len()
    );
    stream.write_all(request.as_bytes()).expect("it reads");
    let run = eventually("the intent", || {
        let runs = home.runs();
        let run = runs.iter().find(|run| run["state"] == "running" && run["envelopes"] == 3)?;
        Some(run["run"].as_str()?.to_owned())
    });
    (stream, run)
}

#[test]
fn a_run_with_a_key_outlives_its_connection_and_one_without_is_stopped() {
    let home = Home::new();
    let project = Project::new(&home);
    let served = Served::of(&project, &["book-and-spin.toml"], &[]);
    let (stream, run) = spinning(&home, &served, None);
    drop(stream);
    eventually("the end", || (home.state(&run) == "cancelled").then_some(()));
    home.nanohost(["verify", &run]).exits(0);
    let (stream, kept) = spinning(&home, &served, Some("kept"));
    drop(stream);
    // Whoever comes back finds it running, by the same key.
    let again =
        served.call_as(None, "run_program", json!({ "program": "bookkeeping", "idempotencyKey": "kept" }));
    assert_eq!(again["structuredContent"]["status"], "running", "{again:#}");
    assert_eq!(again["structuredContent"]["run"], kept.as_str(), "{again:#}");
    // A gateway that is asked to end stops it, and its end is evidence.
    served.signal(Signal::TERM);
    assert_eq!(served.end(), Some(0));
    assert_eq!(home.state(&kept), "cancelled");
    home.nanohost(["verify", &kept]).exits(0);
    assert_eq!(database::kv(&home), []);
}

#[test]
fn a_gateway_that_is_killed_in_the_middle_of_runs_loses_none_of_them() {
    let home = Home::new();
    let project = Project::new(&home);
    let served = Served::of(&project, &["book-and-spin.toml"], &[]);
    let (_stream, run) = spinning(&home, &served, Some("once"));
    served.signal(Signal::KILL);
    assert_eq!(served.end(), None);
    assert_eq!(home.state(&run), "interrupted");
    let served = Served::of(&project, &["book-and-spin.toml"], &[]);
    let trace = served.call_as(None, "get_trace", json!({ "run": run }));
    assert_eq!(trace["structuredContent"]["envelopes"].as_array().map(Vec::len), Some(3), "{trace:#}");
    assert_eq!(home.runs().len(), 1);
    // Recovered by the operator's own command, as any run is.
    let recovered = home.start(["recover", &run, "--json"]);
    eventually("the run goes on", || (home.state(&run) == "running").then_some(()));
    home.nanohost(["cancel", &run, "--reason", "enough"]).exits(0);
    drop(recovered);
    drop(served);
}

#[test]
fn one_principal_does_not_take_all_the_room() {
    let home = Home::new();
    let project = Project::new(&home);
    let (ada, bob) =
        (token(&home, "ada", &["--scope", "programs"]), token(&home, "bob", &["--scope", "programs"]));
    let add = std::fs::read_to_string(project.path("add.toml")).expect("it is there");
    std::fs::write(project.path("add.toml"), add.replace("bookkeeping", "adding")).expect("it is writable");
    let served = Served::of(&project, &["book-and-spin.toml", "add.toml"], &["--at-once", "2"]);
    let message = json!({
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": { "name": "bookkeeping", "arguments": {} },
    })
    .to_string();
    let mut held = TcpStream::connect(&served.address).expect("it listens");
    let request = format!(
        "POST /mcp HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {ada}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n\r\n{message}",
        served.address,
        message.len()
    );
    held.write_all(request.as_bytes()).expect("it reads");
    eventually("the intent", || home.runs().iter().any(|run| run["envelopes"] == 3).then_some(()));
    let refused = served.call_as(Some(&ada), "adding", json!({}));
    assert_eq!(refused["_meta"]["dev.nanohost/code"], "busy", "{refused:#}");
    assert_eq!(served.gives(&bob, "adding", json!({}))["output"], 42);
    drop(held);
    eventually("room", || {
        (served.call_as(Some(&ada), "adding", json!({}))["isError"] == false).then_some(())
    });
}
