//! `run --idempotency-key`: a run is started at most once, and told of as it stands.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::database;
use crate::harness::{Done, Home};
use crate::recover::{ASKS, asking};
use crate::tool::Project;

fn start(project: &Project<'_>, program: &str, key: &str, more: &[&str]) -> Done {
    let args = project.args(program);
    let args = args.iter().map(String::as_str);
    project.home.nanohost(args.chain(["--idempotency-key", key]).chain(more.iter().copied()))
}

#[test]
fn the_same_start_is_the_same_run() {
    let home = Home::new();
    let project = Project::new(&home);
    let first = start(&project, "book.toml", "monday", &[]).exits(0).json();
    let args = project.args("book.toml");
    let shown = args.iter().filter(|arg| *arg != "--json").map(String::as_str);
    let shown = home.nanohost(shown.chain(["--idempotency-key", "monday"])).exits(0);
    shown.says("before: this is its result");
    let again = start(&project, "book.toml", "monday", &[]).exits(0).json();
    for key in ["run", "status", "output", "outcome"] {
        assert_eq!(first[key], again[key], "{again:#}");
    }
    assert_eq!(first["evidence"]["head"], again["evidence"]["head"], "nothing was added");
    assert_eq!(home.runs().len(), 1);
    assert_eq!(database::kv(&home).len(), 1);

    // Another program under the key is refused, and so are other inputs.
    start(&project, "add.toml", "monday", &[]).finds(2, "start_key_reused");
    let order = |key: &str, order: &str| {
        let input = format!("order_id={order}");
        home.examples().run("refund/program.toml", &["--json", "--idempotency-key", key, "-i", &input])
    };
    let refund = order("tuesday", "A-1001").exits(0).json();
    order("tuesday", "A-1007").finds(2, "start_key_reused");
    assert_eq!(order("tuesday", "A-1001").exits(0).json()["run"], refund["run"]);
    assert_eq!(home.runs().len(), 2);

    // Another key is another run, and so is another's key of the same text.
    let other = start(&project, "book.toml", "wednesday", &[]).exits(0).json();
    let theirs = start(&project, "book.toml", "monday", &["--as", "sam"]).exits(0).json();
    assert_eq!(home.runs().len(), 4);
    for document in [&first, &refund, &other, &theirs] {
        home.nanohost(["verify", document["run"].as_str().expect("an id")]).exits(0);
    }
    // A key is shown to nobody.
    home.nanohost(["list", "--json"]).exits(0).omits("monday");
}

#[test]
fn a_key_has_a_size() {
    let home = Home::new();
    let project = Project::new(&home);
    start(&project, "add.toml", "", &[]).exits(2);
    start(&project, "add.toml", &"k".repeat(513), &[]).exits(2);
    assert_eq!(home.runs(), Vec::<Value>::new());
    start(&project, "add.toml", &"k".repeat(512), &[]).exits(0);
}

#[test]
fn a_failure_is_no_success() {
    let home = Home::new();
    let project = Project::new(&home);
    let first = start(&project, "book-and-fault.toml", "key", &[]).exits(1).json();
    let again = start(&project, "book-and-fault.toml", "key", &[]).exits(1).json();
    assert_eq!((&again["run"], &again["status"]), (&first["run"], &json!("failed")), "{again:#}");
    home.nanohost(["verify", first["run"].as_str().expect("an id")]).exits(0).says("failed");

    // What waits is told as waiting, and then as what became of it.
    let approve = |exit: i32| {
        let more = ["--as", "agent", "--idempotency-key", "key"];
        home.examples().run_json("approval/program.toml", exit, &more)
    };
    let waits = approve(4);
    assert_eq!(waits["status"], "suspended");
    assert_eq!(approve(4)["run"], waits["run"]);
    let more = ["--as", "agent", "--idempotency-key", "key"];
    let shown = home.examples().run("approval/program.toml", &more).exits(4);
    shown.says("it has no result yet").omits("this is its result");
    let run = waits["run"].as_str().expect("an id");
    home.nanohost(["verify", run]).exits(0).says("suspended");
    home.nanohost(["cancel", run, "--reason", "enough"]).exits(0);
    let over = approve(1);
    assert_eq!((&over["run"], &over["status"]), (&waits["run"], &json!("cancelled")));
    home.nanohost(["verify", run]).exits(0).says("cancelled");
    assert_eq!(home.runs().len(), 2);
}

#[test]
fn a_refusal_stays_one() {
    let home = Home::new();
    let project = Project::new(&home);
    home.write("own/policies/local.toml", "");
    let first = start(&project, "book.toml", "key", &[]).exits(3).json();
    let again = start(&project, "book.toml", "key", &[]).exits(3).json();
    assert_eq!((&again["run"], &again["status"]), (&first["run"], &json!("not_admitted")), "{again:#}");
    assert_eq!(home.runs().len(), 1);
}

#[test]
fn a_run_that_was_interrupted_goes_on() {
    let home = Home::new();
    let (running, run, _stream) = asking(&home, &["--idempotency-key", "key"]);
    let again = || home.nanohost(ASKS.iter().chain(&["--idempotency-key", "key"]));
    let shown = || {
        let asks = ASKS.iter().filter(|arg| **arg != "--json");
        home.nanohost(asks.chain(&["--idempotency-key", "key"])).omits("this is its result")
    };
    shown().exits(14).says("it is still running");
    // While it goes on, it is told so, and not started again.
    let told = again().exits(14).json();
    assert_eq!((&told["run"], &told["status"]), (&json!(run), &json!("running")), "{told:#}");
    running.signal(Signal::KILL);
    running.end();
    shown().exits(4).says("now it goes on").says("in doubt");
    let document = again().exits(4).json();
    assert_eq!((&document["run"], &document["status"]), (&json!(run), &json!("suspended")), "{document:#}");
    assert_eq!(home.runs().len(), 1);
    home.nanohost(["verify", &run]).exits(0).says("suspended");
}

#[test]
fn many_processes_at_once_make_one_run() {
    let home = Home::new();
    let project = Project::new(&home);
    let runs: Vec<Done> = std::thread::scope(|scope| {
        let starts: Vec<_> =
            (0..4).map(|_| scope.spawn(|| start(&project, "book.toml", "key", &[]))).collect();
        starts.into_iter().map(|start| start.join().expect("the start ends")).collect()
    });
    let listed = home.runs();
    assert_eq!(listed.len(), 1);
    for done in runs {
        let document = done.json();
        assert_eq!(document["run"], listed[0]["run"], "{done}");
        // A live one is told as running, which `verify` calls open.
        let code = if document["status"] == "success" { 0 } else { 14 };
        done.exits(code);
    }
    assert_eq!(database::kv(&home).len(), 1);
    home.nanohost(["verify", listed[0]["run"].as_str().expect("an id")]).exits(0).says("success");
}
