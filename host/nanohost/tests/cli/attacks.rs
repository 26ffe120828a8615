//! The attacks of the examples, where they fail, and the same code where it was granted.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use serde_json::{Value, json};

use crate::database;
use crate::harness::{Done, Home, built_component, repository};
use crate::tool::Project;

/// The kinds of a run's envelopes, after the run verified.
fn kinds(home: &Home, run: &Value) -> Vec<String> {
    let run = run.as_str().expect("an id");
    home.nanohost(["verify", run]).exits(0).says("VERIFIED");
    let trace = home.nanohost(["trace", run, "--json"]).exits(0).json();
    let envelopes = trace["envelopes"].as_array().expect("a list");
    envelopes.iter().filter_map(|e| Some(e["predicate"]["kind"].as_str()?.to_owned())).collect()
}

fn denials(home: &Home, run: &Value) -> Vec<Value> {
    let trace = home.nanohost(["trace", run.as_str().expect("an id"), "--json"]).exits(0).json();
    let envelopes = trace["envelopes"].as_array().expect("a list").clone();
    envelopes.into_iter().filter(|envelope| envelope["predicate"]["kind"] == "denied").collect()
}

#[test]
fn tool_injection_is_denied() {
    let home = Home::new();
    let document = home.examples().run_json("tool-injection/program.toml", 3, &[]);
    assert_eq!(document["steps"][0]["error"]["code"], "tool_injection", "{document:#}");
    assert_eq!(document["calls"], json!([]), "nothing was instantiated");
    assert_eq!(database::kv(&home), []);
    let kinds = kinds(&home, &document["run"]);
    assert!(kinds.contains(&"denied".to_owned()) && kinds.last().is_some_and(|last| last == "run-close"));
    assert!(!kinds.contains(&"intent".to_owned()), "{kinds:?}");

    let denials = denials(&home, &document["run"]);
    let [denial] = denials.as_slice() else { panic!("{denials:#?}") };
    let predicate = &denial["predicate"];
    assert_eq!(predicate["step"]["id"], "answer", "by which step");
    let text = denial.to_string();
    assert!(text.contains("tool_injection") && text.contains("step:allowed-tools"), "the rule: {text}");
    // What was asked for is content: the signed bytes hold no text of the model's.
    assert!(denial["values"]["denied"].to_string().contains("wire_transfer"), "{text}");
    assert!(!predicate.to_string().contains("wire_transfer"), "{predicate:#}");
}

#[test]
fn a_model_may_propose_what_the_table_holds() {
    let home = Home::new();
    let examples = home.examples();
    let document =
        examples.run_json("tool-injection/program.toml", 0, &["--input", "request=Where is A-1005?"]);
    assert_eq!(document["calls"][0]["tool"], "find_order", "{document:#}");
    kinds(&home, &document["run"]);

    let document = examples.run_json("tool-injection/granted.toml", 0, &[]);
    assert_eq!(document["calls"][0]["tool"], "wire_transfer", "{document:#}");
    kinds(&home, &document["run"]);
    let booked = database::kv(&home);
    assert_eq!(booked.len(), 1);
    assert_eq!(booked[0].0, "wires");
}

#[test]
fn import_smuggling_is_refused_at_admission() {
    let home = Home::new();
    let examples = home.examples();
    let done = examples.run("import-smuggling/program.toml", &[]).exits(3);
    let done = done.says("import_not_declared").says("wasi:sockets").says("manifest");
    done.says("nothing was linked and nothing ran");
    let document = examples.run_json("import-smuggling/program.toml", 3, &[]);
    assert_eq!(document["status"], "not_admitted");
    // The six imports are one refusal of six, of a program that has a name.
    let run = document["run"].as_str().expect("an id");
    home.nanohost(["trace", run]).exits(0).says("price_list · not_admitted").says("6 × import_not_declared");
    assert!(document["denied"].as_array().is_some_and(|denied| !denied.is_empty()), "{document:#}");
    assert_eq!(kinds(&home, &document["run"]), ["run-open", "denied", "run-close"]);
    assert_eq!(home.runs()[0]["envelopes"], 3);
    assert_eq!(home.runs()[0]["state"], "not_admitted");
}

/// A project of its own whose program, manifest and policy name `port`.
fn rates(home: &Home, port: u16) -> [String; 3] {
    let manifest = std::fs::read_to_string(repository().join("tools/fetch-rates/manifest.toml"));
    let manifest = manifest.expect("a file of the repository").replace("8377", &port.to_string());
    let component = std::fs::read(built_component("fetch_rates")).expect("it was built");
    home.write("rates/tools/fetch-rates/manifest.toml", manifest);
    home.write("rates/tools/fetch-rates/component.wasm", component);
    let policy = format!(
        "[[permit]]\nid = \"rates\"\nreason = \"tests\"\nowner = \"tests\"\ntool = \"fetch-rates\"\n\
         sockets = [{{ address = \"127.0.0.1\", port = {port} }}]\n"
    );
    let policy = home.write("rates/policy.toml", policy);
    let program =
        std::fs::read_to_string(repository().join("examples/import-smuggling/granted/program.toml"));
    let program = program
        .expect("a file of the repository")
        .replace("8377", &port.to_string())
        .replace("../../../tools/fetch-rates", "tools/fetch-rates");
    let program = home.write("rates/program.toml", program);
    let text = |path: std::path::PathBuf| path.into_os_string().into_string().expect("UTF-8");
    [text(program), "--policy".to_owned(), text(policy)]
}

fn fetch(home: &Home, args: &[String; 3], more: &[&str]) -> Done {
    let args = ["run", "--json"].into_iter().chain(args.iter().map(String::as_str));
    home.nanohost(args.chain(more.iter().copied()))
}

#[test]
fn a_granted_connection_is_made() {
    let server = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let port = server.local_addr().expect("it is bound").port();
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = server.accept()?;
        let mut request = [0; 28];
        stream.read_exact(&mut request)?;
        stream.write_all(b"HTTP/1.0 200 OK\r\nserver: test\r\n\r\n{\"eur\": 1}")
    });
    let home = Home::new();
    let args = rates(&home, port);
    let done = fetch(&home, &args, &[]).exits(0);
    serving.join().expect("the server did not panic").expect("it was asked");
    let document = done.json();
    assert_eq!(document["output"], "{\"eur\": 1}");
    assert_eq!(document["calls"][0]["used"][0]["capability"], "sockets", "{document:#}");
    kinds(&home, &document["run"]);
}

#[test]
fn a_connection_elsewhere_is_refused() {
    // Somebody listens there: the refusal is the host's.
    let server = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let port = server.local_addr().expect("it is bound").port();
    let home = Home::new();
    let granted = if port == 8377 { 8378 } else { 8377 };
    let args = rates(&home, granted);
    for input in [format!("port={port}"), "address=127.0.0.2".to_owned(), "address=::1".to_owned()] {
        let document = fetch(&home, &args, &["--input", &input]).exits(3).json();
        assert_eq!(document["calls"][0]["denied"][0]["capability"], "sockets", "{document:#}");
        assert!(!denials(&home, &document["run"]).is_empty());
        kinds(&home, &document["run"]);
    }
    server.set_nonblocking(true).expect("a setting");
    assert!(server.accept().is_err(), "nobody connected");
}

#[test]
fn a_path_out_of_the_granted_folder_is_denied() {
    let home = Home::new();
    let examples = home.examples();
    let secret = std::fs::read_to_string(examples.path("path-escape/secret.txt")).expect("the secret");
    let secret = secret.trim();
    for path in [
        "/data/../secret.txt",
        "/data/archive/../../secret.txt",
        "/data/outside.txt",
        "/data/archive/../outside.txt",
        "/data/./../../../../../etc/passwd",
    ] {
        let input = format!("path={path}");
        let document = examples.run_json("path-escape/program.toml", 3, &["--input", &input]);
        assert!(!document.to_string().contains(secret), "{document:#}");
        assert_eq!(document["calls"][0]["denied"][0]["capability"], "filesystem", "{document:#}");
        let kinds = kinds(&home, &document["run"]);
        assert!(kinds.contains(&"denied".to_owned()), "{path}: {kinds:?}");
        let denial = denials(&home, &document["run"]);
        assert!(!denial[0]["values"]["denied"].is_null(), "the path is content: {denial:#?}");
        assert!(!denial[0]["predicate"].to_string().contains("secret.txt"), "{denial:#?}");
    }
}

#[test]
fn a_path_outside_of_every_folder_does_not_reach_the_host() {
    let home = Home::new();
    let examples = home.examples();
    for path in ["/etc/passwd", "/", "secret.txt", "../secret.txt", ""] {
        let input = format!("path={path}");
        let document = examples.run_json("path-escape/program.toml", 1, &["--input", &input]);
        assert_eq!(document["calls"][0]["denied"], json!([]), "{document:#}");
        assert!(!kinds(&home, &document["run"]).contains(&"denied".to_owned()));
    }
}

#[test]
fn a_path_within_the_granted_folder_is_read() {
    let home = Home::new();
    let examples = home.examples();
    for (path, text) in [
        ("/data/notice.txt", "notice.txt"),
        ("/data/archive/older.txt", "archive/older.txt"),
        ("/data/archive/../notice.txt", "notice.txt"),
        ("/data/./notice.txt", "notice.txt"),
    ] {
        let input = format!("path={path}");
        let document = examples.run_json("path-escape/program.toml", 0, &["--input", &input]);
        let text = std::fs::read_to_string(examples.path("path-escape/data").join(text)).expect("a file");
        assert_eq!(document["output"], text.as_str());
        kinds(&home, &document["run"]);
    }
}

/// A link that was put there after the grant leads out as little as one that was there before.
#[test]
fn links_out_of_the_granted_folder_are_denied() {
    let home = Home::new();
    let examples = home.examples();
    let data = examples.path("path-escape/data");
    crate::harness::symlink(std::path::Path::new("/etc"), &data.join("etc"));
    crate::harness::symlink(std::path::Path::new(".."), &data.join("up"));
    crate::harness::symlink(std::path::Path::new("notice.txt"), &data.join("within.txt"));
    for path in ["/data/etc/passwd", "/data/up/secret.txt"] {
        let input = format!("path={path}");
        let document = examples.run_json("path-escape/program.toml", 3, &["--input", &input]);
        assert!(!kinds(&home, &document["run"]).is_empty());
    }
    examples.run_json("path-escape/program.toml", 0, &["--input", "path=/data/within.txt"]);
}

/// A function of a few kilobytes in which every variable depends on every other around nested loops: time
/// that grows with the square of its length, and more.
fn compile_bomb(variables: usize) -> Vec<u8> {
    let mut body = format!("(local {})", "i64 ".repeat(variables));
    for at in 0..variables {
        let (other, to) = ((at * 7919 + 1) % variables, (at * 31 + 5) % variables);
        body.push_str(&format!("local.get {at} local.get {other} i64.add local.set {to} "));
        if at % 4 == 0 {
            body.push_str("loop ");
        }
    }
    for at in (0..variables).step_by(4) {
        body.push_str(&format!("local.get {at} i64.eqz br_if 0 end "));
    }
    wat::parse_str(format!("(component (core module (func {body})))")).expect("the text is a component")
}

#[test]
fn a_component_that_keeps_the_compiler_busy_is_ended() {
    let home = Home::new();
    let project = Project::new(&home);
    let run = |seconds: Option<&str>| {
        let mut command = home.command(project.args("add.toml"));
        if let Some(seconds) = seconds {
            command.env("NANOHOST_COMPILE_SECONDS", seconds);
        }
        Done::of(command)
    };
    // As it is, it compiles in the other process and runs.
    run(None).exits(0);
    run(Some("soon")).finds(2, "invalid_variable");
    home.write("own/tools/ledger/component.wasm", compile_bomb(8_000));
    run(Some("1")).finds(2, "compile_limit");
    // The control: a short one of the same kind compiles, and then has no such function.
    home.write("own/tools/ledger/component.wasm", compile_bomb(20));
    run(None).finds(2, "unknown_function");
}
