//! Calls made again from what the world answered: the same comes of them whatever became of the
//! world, nothing of it is touched, and what differs is named.

use std::fs;
use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nanohost_core::Class;
use nanohost_sandbox::{
    Answers, CallReport, Diverged, FaultCode, KvView, Loaded, Network, Outcome, Replayed, SecretValues,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bench::{
    Asks, Shelf, call, context, engine, fault, guest, replay_context, replay_tool, success, tool, tool_error,
    tool_in,
};
use crate::http_server::{Identity, Names, Server, ok};

/// One function, called live and then again.
struct Twice {
    loaded: Loaded,
    function: &'static str,
    asks: Asks,
}

impl Twice {
    fn new(name: &'static str, function: &'static str, asks: Asks) -> Self {
        Self { loaded: guest(name), function, asks }
    }

    async fn live(&self, input: &Value) -> CallReport {
        call(&tool(&self.loaded, self.function, &self.asks), input.clone()).await
    }

    async fn again(&self, input: &Value, answers: Answers) -> Replayed {
        let tool = replay_tool(&self.loaded, self.function, &self.asks);
        tool.replay(input, replay_context(), answers).await
    }

    /// What a replay of a changed record comes to; `change` gets its JSON.
    async fn changed(&self, input: &Value, live: &CallReport, change: impl Fn(&mut Value)) -> Replayed {
        let mut record = json_of(&live.answers);
        change(&mut record);
        self.again(input, Answers::parse(&record).expect("still a record")).await
    }
}

/// Through its JSON, as from a store.
fn json_of(answers: &Answers) -> Value {
    serde_json::from_str(&answers.to_json().expect("a record has a JSON form")).expect("JSON")
}

fn kept(report: &CallReport) -> Answers {
    Answers::parse(&json_of(&report.answers)).expect("its own form")
}

#[track_caller]
fn same(live: &CallReport, again: &Replayed) {
    assert_eq!(again.divergence, None);
    assert_eq!(again.unasked, 0);
    assert_eq!(again.report.outcome, live.outcome);
    assert_eq!(again.report.denied, live.denied);
    assert_eq!(again.report.kv, live.kv);
}

#[track_caller]
fn diverged(again: &Replayed, what: Diverged) {
    let divergence = again.divergence.as_ref().unwrap_or_else(|| panic!("no divergence: {again:?}"));
    assert_eq!(divergence.what, what, "{divergence:?}");
}

fn folder() -> TempDir {
    let disk = TempDir::new().expect("a temporary folder");
    fs::create_dir_all(disk.path().join("inner")).expect("a folder");
    fs::write(disk.path().join("order.txt"), "order").expect("a file");
    fs::write(disk.path().join("inner/note.txt"), "note").expect("a file");
    disk
}

fn files(disk: &TempDir, access: &str) -> Asks {
    Asks {
        capabilities: format!("filesystem = [{{ guest = \"/data\", access = \"{access}\" }}]"),
        host: format!("[folders.guest]\n\"/data\" = {:?}\n", disk.path().to_str().expect("a UTF-8 path")),
        ..Asks::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_read_from_the_record() {
    for (function, path) in [
        ("read", "/data/order.txt"),
        ("read", "/data/inner/../order.txt"),
        ("read", "/data/none.txt"),
        ("read", "/data/../secret.txt"),
        ("names", "/data"),
        ("names", "/data/order.txt"),
        ("has-times", "/data/order.txt"),
    ] {
        let disk = folder();
        let twice = Twice::new("files", function, files(&disk, "read"));
        let input = json!({ "path": path });
        let live = twice.live(&input).await;
        same(&live, &twice.again(&input, kept(&live)).await);
        // The world goes on, and then is not there any more.
        fs::write(disk.path().join("order.txt"), "another order").expect("a file");
        fs::write(disk.path().join("none.txt"), "by now it is there").expect("a file");
        same(&live, &twice.again(&input, kept(&live)).await);
        drop(disk);
        same(&live, &twice.again(&input, kept(&live)).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_in_the_record_is_seen() {
    let disk = folder();
    let twice = Twice::new("files", "read", files(&disk, "read"));
    let input = json!({ "path": "/data/order.txt" });
    let live = twice.live(&input).await;
    let text = json_of(&live.answers).to_string();
    let record: Value = serde_json::from_str(&text.replace("\"order\"", "\"0rder\"")).expect("JSON");
    let again = twice.again(&input, Answers::parse(&record).expect("a record")).await;
    assert_eq!(success(&again.report), "0rder");
    // Another file than the one that was asked for.
    let again = twice.again(&json!({ "path": "/data/inner/note.txt" }), kept(&live)).await;
    diverged(&again, Diverged::Question);
    assert_eq!(fault(&again.report), FaultCode::NotRecorded);
    assert!(again.divergence.expect("it is there").detail.contains("inner/note.txt"));
    let again = twice.again(&input, Answers::default()).await;
    diverged(&again, Diverged::Question);
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_go_nowhere_and_are_compared() {
    for (function, path) in
        [("write", "/data/new.txt"), ("write", "/data/order.txt"), ("append", "/data/order.txt")]
    {
        let disk = folder();
        let twice = Twice::new("files", function, files(&disk, "write"));
        let input = json!({ "path": path, "text": "forged" });
        let live = twice.live(&input).await;
        success(&live);
        let file = disk.path().join(path.trim_start_matches("/data/"));
        assert!(fs::read_to_string(&file).expect("it was written").ends_with("forged"));
        fs::remove_file(&file).expect("it is there");
        same(&live, &twice.again(&input, kept(&live)).await);
        assert!(!file.exists(), "a replay writes nothing");
        let again = twice.again(&json!({ "path": path, "text": "f0rged" }), kept(&live)).await;
        diverged(&again, Diverged::File);
        let divergence = again.divergence.expect("it is there");
        assert!(divergence.recorded.is_some() && divergence.recorded != divergence.replayed);
        assert!(!file.exists());
    }
    let disk = folder();
    let twice = Twice::new("files", "remove", files(&disk, "write"));
    let input = json!({ "path": "/data/order.txt" });
    let live = twice.live(&input).await;
    fs::write(disk.path().join("order.txt"), "again").expect("a file");
    same(&live, &twice.again(&input, kept(&live)).await);
    assert!(disk.path().join("order.txt").exists());
    // What was refused is refused again, and says so.
    let twice = Twice::new("files", "write", files(&disk, "read"));
    let input = json!({ "path": "/data/order.txt", "text": "forged" });
    let live = twice.live(&input).await;
    assert!(!live.denied.is_empty());
    same(&live, &twice.again(&input, kept(&live)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_files_are_too_many_again() {
    let disk = folder();
    let twice = Twice::new("files", "hoard", files(&disk, "read"));
    for (count, outcome) in [(20, None), (2000, Some(FaultCode::HandleLimit))] {
        let input = json!({ "path": "/data/order.txt", "count": count });
        let live = twice.live(&input).await;
        assert_eq!(outcome, outcome.map(|_| fault(&live)));
        same(&live, &twice.again(&input, kept(&live)).await);
    }
}

fn kv(function: &'static str) -> Twice {
    Twice::new("world", function, Asks { capabilities: "kv = [\"ledger\"]".into(), ..Asks::default() })
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_read_from_the_record() {
    let shelf: Arc<dyn KvView> = Shelf::with("ledger", &[("a", "1"), ("b", "2")]);
    for (function, input) in [
        ("get", json!({ "namespace": "ledger", "key": "a" })),
        ("get", json!({ "namespace": "ledger", "key": "none" })),
        ("get", json!({ "namespace": "wages", "key": "a" })),
        ("set", json!({ "namespace": "ledger", "key": "a", "value": "3" })),
        ("book", json!({ "namespace": "ledger", "key": "a", "value": "3" })),
        ("book", json!({ "namespace": "ledger", "key": "c", "value": "3" })),
        ("remove", json!({ "namespace": "ledger", "key": "a" })),
        ("keys", json!({ "namespace": "ledger", "extra": ["c"], "gone": ["a"], "limit": 5 })),
        ("set-and-panic", json!({ "namespace": "ledger", "key": "a" })),
    ] {
        let twice = kv(function);
        let context = nanohost_sandbox::CallContext { kv: Arc::clone(&shelf), ..context() };
        let live = tool(&twice.loaded, function, &twice.asks).call(&input, context).await;
        // Nothing but the record knows the values now.
        same(&live, &twice.again(&input, kept(&live)).await);
    }
    let twice = kv("set");
    let input = |value: &str| json!({ "namespace": "ledger", "key": "a", "value": value });
    let live = twice.live(&input("3")).await;
    let again = twice.again(&input("4"), kept(&live)).await;
    diverged(&again, Diverged::Kv);
    let twice = kv("get");
    let live = twice.live(&json!({ "namespace": "ledger", "key": "a" })).await;
    let again = twice.again(&json!({ "namespace": "ledger", "key": "b" }), kept(&live)).await;
    diverged(&again, Diverged::Question);
    assert_eq!(fault(&again.report), FaultCode::NotRecorded);
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_and_dice_come_from_the_record() {
    let asks = Asks {
        capabilities: "kv = [\"ledger\"]\nclock = \"real\"\nrandom = \"real\"\n".into(),
        ..Asks::default()
    };
    for (function, input) in [("now", json!({})), ("nap", json!({ "millis": 30 })), ("dice", json!({}))] {
        let twice = Twice::new("world", function, asks.clone());
        let live = twice.live(&input).await;
        let began = std::time::Instant::now();
        let again = twice.again(&input, kept(&live)).await;
        same(&live, &again);
        // Two looks at a clock may see the same.
        if function == "dice" {
            assert_ne!(success(&twice.live(&input).await), success(&again.report), "the world's is another");
        }
        // The same is asked, and something else was answered.
        let changed = twice
            .changed(&input, &live, |record| {
                for answer in record["answers"].as_array_mut().expect("answers") {
                    if let Some(bytes) = answer.pointer_mut("/random/bytes") {
                        *bytes = json!({ "text": "12345678" });
                    }
                    if let Some(seconds) = answer.pointer_mut("/wall/seconds") {
                        *seconds = json!(7);
                    }
                }
            })
            .await;
        assert_eq!(changed.divergence, None);
        // Two looks at a clock may see the same.
        if function == "dice" {
            assert_ne!(changed.report.outcome, live.outcome, "{function}");
        }
        assert!(began.elapsed() < std::time::Duration::from_secs(20));
        let none = twice.again(&input, Answers::default()).await;
        diverged(&none, Diverged::Question);
    }
    // A virtual clock and seeded dice need no record.
    for function in ["now", "dice"] {
        let twice = kv(function);
        let live = twice.live(&json!({})).await;
        assert!(live.answers.is_empty(), "{:?}", live.answers);
        same(&live, &twice.again(&json!({}), Answers::default()).await);
    }
}

fn rule(server: &Server, more: &str) -> String {
    format!(
        "http = [{{ scheme = \"http\", host = \"127.0.0.1\", port = {}, methods = [\"GET\", \"POST\"], path = \"/**\"{more} }}]",
        server.port()
    )
}

fn request(server: &Server, path: &str, body: &str) -> Value {
    json!({ "method": "POST", "scheme": "http", "authority": format!("127.0.0.1:{}", server.port()),
        "path": path, "headers": [["x-trace", "7"]], "body": body })
}

fn echo() -> Server {
    Server::new(|seen, out| ok(out, &format!("{} {}", seen.line, String::from_utf8_lossy(&seen.body))))
}

#[tokio::test(flavor = "multi_thread")]
async fn other_hosts_are_asked_once() {
    let server = echo();
    let twice = Twice::new("http", "each", Asks { capabilities: rule(&server, ""), ..Asks::default() });
    let requests: Vec<Value> =
        (0..4).map(|at| request(&server, &format!("/{}", at % 3), &format!("body {at}"))).collect();
    let input = json!({ "requests": requests });
    let live = twice.live(&input).await;
    success(&live);
    assert_eq!(server.seen().len(), 4);
    same(&live, &twice.again(&input, kept(&live)).await);
    assert_eq!(server.seen().len(), 4, "a replay asks nobody");

    let text = json_of(&live.answers).to_string();
    let record: Value = serde_json::from_str(&text.replace("POST /1 HTTP", "P0ST /1 HTTP")).expect("JSON");
    let again = twice.again(&input, Answers::parse(&record).expect("a record")).await;
    assert_eq!(again.divergence, None);
    assert_ne!(again.report.outcome, live.outcome, "an answer was changed");

    let mut other = input.clone();
    other["requests"][2]["body"] = json!("b0dy 2");
    diverged(&twice.again(&other, kept(&live)).await, Diverged::Request);
    for (key, value) in [("path", json!("/3")), ("headers", json!([["x-trace", "8"]]))] {
        let mut other = input.clone();
        other["requests"][3][key] = value;
        let again = twice.again(&other, kept(&live)).await;
        diverged(&again, Diverged::Question);
        assert_eq!(fault(&again.report), FaultCode::NotRecorded);
    }
    let fewer = json!({ "requests": requests[..3] });
    let again = twice.again(&fewer, kept(&live)).await;
    diverged(&again, Diverged::Undone);
    assert_eq!(again.unasked, 1);
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_of_other_hosts_are_told_again() {
    let cut = Server::new(|_, out| write!(out, "HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\nonly this"));
    let gone = Server::new(|_, _| Ok(()));
    let long = Server::new(|_, out| ok(out, &"x".repeat(300_000)));
    for server in [&cut, &gone, &long] {
        for limits in ["", "http_bytes = \"64KiB\""] {
            let asks = Asks { capabilities: rule(server, ""), limits: limits.into(), ..Asks::default() };
            let twice = Twice::new("http", "send", asks);
            let input = json!({ "request": request(server, "/", "") });
            let live = twice.live(&input).await;
            same(&live, &twice.again(&input, kept(&live)).await);
        }
    }
    // A port where nobody is, and a request that no rule allows.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
    let capabilities = rule(&cut, "").replace(&cut.port().to_string(), &port.port().to_string());
    let twice = Twice::new("http", "send", Asks { capabilities, ..Asks::default() });
    for authority in [port.to_string(), format!("127.0.0.1:{}", cut.port())] {
        let mut input = json!({ "request": request(&cut, "/", "") });
        input["request"]["authority"] = json!(authority);
        let live = twice.live(&input).await;
        assert!(matches!(live.outcome, Outcome::ToolError(_)), "{live:?}");
        same(&live, &twice.again(&input, kept(&live)).await);
    }
    // A name that leads to where no rule allows.
    let names = Names::new([("api.test", &[&["127.0.0.1"]])]);
    let engine = engine().with_network(Network::system().with_resolver(names.clone()));
    let capabilities = rule(&cut, "").replace("127.0.0.1", "api.test");
    let twice = Twice::new("http", "send", Asks { capabilities, ..Asks::default() });
    let mut input = json!({ "request": request(&cut, "/", "") });
    input["request"]["authority"] = json!(format!("api.test:{}", cut.port()));
    let live = call(&tool_in(&engine, &twice.loaded, "send", &twice.asks), input.clone()).await;
    assert_eq!((live.denied[0].class, live.denied[0].operation), (Class::Http, "address"));
    assert_eq!(names.asked().len(), 1);
    same(&live, &twice.again(&input, kept(&live)).await);
    assert_eq!(names.asked().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_neither_recorded_nor_needed() {
    const SECRET: &str = "s3cr3t-value-0123456789";
    let identity = Identity::of("api.test");
    let answer = |echoes: bool| {
        move |_: &crate::http_server::Seen, out: &mut dyn std::io::Write| {
            ok(out, if echoes { SECRET } else { "booked" })
        }
    };
    for echoes in [false, true] {
        let server = Server::secure(&identity, answer(echoes));
        let names = Names::new([("api.test", &[&["127.0.0.1"]])]);
        let network = Network::system().with_resolver(names);
        let network = network.with_certificates(&[identity.certificate()]).expect("a certificate");
        let http = |more: &str| {
            format!(
                "http = [{{ scheme = \"https\", host = \"api.test\", port = {}, methods = [\"POST\"], path = \"/**\"{more} }}]\n\
                 secrets = [{{ name = \"refund-key\", header = \"Authorization\", host = \"api.test\", methods = [\"POST\"], path = \"/v1/**\" }}]",
                server.port()
            )
        };
        let asks =
            Asks { capabilities: http(""), permits: Some(http(", private = true")), ..Asks::default() };
        let twice = Twice::new("secrets", "send", asks);
        let input = json!({ "name": "refund-key", "request": {
            "method": "POST", "scheme": "https", "authority": format!("api.test:{}", server.port()),
            "path": "/v1/refunds", "headers": [["authorization", "Bearer {}"]], "body": "",
        }});
        let values = SecretValues::default().with("refund-key", SECRET.to_owned().into()).expect("a secret");
        let tool = tool_in(&engine().with_network(network), &twice.loaded, "send", &twice.asks);
        let live = tool.with_secrets(values).call(&input, context()).await;
        assert_eq!(server.seen().len(), 1, "{live:?}");
        assert!(!json_of(&live.answers).to_string().contains(SECRET));
        if echoes {
            assert_eq!(fault(&live), FaultCode::SecretEcho);
        }
        same(&live, &twice.again(&input, kept(&live)).await);
        assert_eq!(server.seen().len(), 1);
    }
}

/// A server that says back what it is told, when it was told everything, and how many asked it.
fn echo_of_connections() -> (u16, Arc<AtomicUsize>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let asked = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&asked);
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            counts.fetch_add(1, Ordering::SeqCst);
            let mut told = Vec::new();
            // A client that went away is no failure of the server.
            let _ = stream.read_to_end(&mut told).and_then(|_| stream.write_all(&told));
        }
    });
    (port, asked)
}

fn over_sockets(function: &'static str, port: u16) -> Twice {
    let capabilities = format!("sockets = [{{ address = \"127.0.0.1\", port = {port} }}]");
    Twice::new("net", function, Asks { capabilities, ..Asks::default() })
}

/// What comes over a connection comes again, and nobody is connected to.
#[tokio::test(flavor = "multi_thread")]
async fn connections() {
    let (port, asked) = echo_of_connections();
    let twice = over_sockets("talk", port);
    for text in ["hello", "", &"long ".repeat(100_000)] {
        asked.store(0, Ordering::SeqCst);
        let input = json!({ "address": "127.0.0.1", "port": port, "text": text });
        let live = twice.live(&input).await;
        assert_eq!(success(&live), &json!(format!("{text} from 127.0.0.1:{port}")));
        let used = live.used.iter().find(|used| used.class == Class::Sockets).expect("a connection");
        assert_eq!((used.read, used.written), (text.len() as u64, text.len() as u64));
        same(&live, &twice.again(&input, kept(&live)).await);

        let other = json!({ "address": "127.0.0.1", "port": port, "text": format!("{text}!") });
        let again = twice.again(&other, kept(&live)).await;
        let divergence = again.divergence.expect("something else was sent");
        // Where nothing was sent then, there is no answer to sending.
        let (what, detail) = match text {
            "" => (Diverged::Question, format!("more to 127.0.0.1:{port}")),
            _ => (Diverged::Request, "tcp send #0".to_owned()),
        };
        assert_eq!((divergence.what, divergence.detail), (what, detail));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }
}

/// What was not to be had, and what was refused.
#[tokio::test(flavor = "multi_thread")]
async fn no_connection() {
    let (port, asked) = echo_of_connections();
    let closed =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port").port();
    for (granted, wanted, error) in
        [(closed, closed, "ConnectionRefused"), (port, closed, "PermissionDenied")]
    {
        let twice = over_sockets("talk", granted);
        let input = json!({ "address": "127.0.0.1", "port": wanted, "text": "hello" });
        let live = twice.live(&input).await;
        assert_eq!(tool_error(&live), error);
        same(&live, &twice.again(&input, kept(&live)).await);
        let input = json!({ "address": "127.0.0.1", "port": granted, "text": "hello" });
        if granted != wanted {
            let again = twice.again(&input, kept(&live)).await;
            assert_eq!(
                again.divergence.expect("it was not asked").detail,
                format!("tcp connect 127.0.0.1:{port} #0")
            );
        }
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

/// Every value of a record in turn, made into something else.
fn damaged(record: &Value) -> Vec<Value> {
    fn pointers(value: &Value, at: String, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                fields.iter().for_each(|(name, value)| pointers(value, format!("{at}/{name}"), found));
            }
            Value::Array(items) => {
                items
                    .iter()
                    .enumerate()
                    .for_each(|(index, item)| pointers(item, format!("{at}/{index}"), found));
                found.push(at);
            }
            _ => found.push(at),
        }
    }
    let mut found = Vec::new();
    pointers(&record["answers"], "/answers".to_owned(), &mut found);
    let others =
        [json!(0), json!(u64::MAX), json!("\u{0}\u{ff}"), json!(""), json!(null), json!([]), json!(true)];
    let damage = found.iter().flat_map(|at| others.iter().map(move |other| (at, other)));
    let damage = damage.filter_map(|(at, other)| {
        let mut record = record.clone();
        *record.pointer_mut(at)? = other.clone();
        Some(record)
    });
    damage.collect()
}

/// A record that somebody else made ends the call at worst.
#[tokio::test(flavor = "multi_thread")]
async fn no_record_does_harm() {
    let disk = folder();
    let server = echo();
    let http = Asks { capabilities: rule(&server, ""), ..Asks::default() };
    let (port, asked) = echo_of_connections();
    let limits = "deadline = \"300ms\"\n".to_owned();
    let mut replayed = 0;
    for (twice, input) in [
        (Twice::new("files", "names", files(&disk, "read")), json!({ "path": "/data" })),
        (Twice::new("files", "read", files(&disk, "read")), json!({ "path": "/data/order.txt" })),
        (
            Twice::new("files", "append", files(&disk, "write")),
            json!({ "path": "/data/order.txt", "text": "more" }),
        ),
        (Twice::new("http", "send", http), json!({ "request": request(&server, "/", "body") })),
        (kv("keys"), json!({ "namespace": "ledger", "extra": [], "gone": [], "limit": 5 })),
        (over_sockets("talk", port), json!({ "address": "127.0.0.1", "port": port, "text": "hello" })),
    ] {
        let live = twice.live(&input).await;
        let twice = Twice { asks: Asks { limits: limits.clone(), ..twice.asks.clone() }, ..twice };
        for record in damaged(&json_of(&live.answers)) {
            if let Ok(answers) = Answers::parse(&record) {
                twice.again(&input, answers).await;
                replayed += 1;
            }
        }
    }
    assert!(replayed > 100, "{replayed}");
    assert_eq!(server.seen().len(), 1);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}
