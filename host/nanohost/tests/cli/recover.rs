//! Runs whose process is gone, and runs that are ended from outside.

use std::io::Read as _;
use std::net::{TcpListener, TcpStream};

use rustix::process::Signal;
use serde_json::json;

use crate::crash::spinning;
use crate::database;
use crate::harness::{Home, Running, eventually};
use crate::parallel::{fetch, project};
use crate::tool::Project;

/// The arguments of a run that asks a server.
pub(crate) const ASKS: [&str; 5] = ["run", "program.json", "--policy", "policy.toml", "--json"];

/// Starts a run that asks a server which never answers; its id, once the server was asked, and the
/// connection, which ends with what is returned. What the server was asked may have an effect.
pub(crate) fn asking(home: &Home, more: &[&str]) -> (Running, String, TcpStream) {
    let server = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    server.set_nonblocking(true).expect("it is a socket");
    let port = server.local_addr().expect("it is bound").port();
    project(home, port);
    // However slow the machine is, it is not the call's own deadline that ends it.
    let manifest =
        std::fs::read_to_string(home.path("tools/fetch-rates/manifest.toml")).expect("it was written");
    home.write(
        "tools/fetch-rates/manifest.toml",
        manifest.replace("deadline = \"5s\"", "deadline = \"10min\""),
    );
    home.write("program.json", json!({ "inputs": {}, "steps": [fetch("a", port)] }).to_string());
    let running = home.start(ASKS.iter().chain(more));
    let (mut stream, _) = eventually("the connection", || server.accept().ok());
    stream.set_nonblocking(false).expect("it is a socket");
    stream.read_exact(&mut [0; 28]).expect("the guest asks");
    let run = home.runs()[0]["run"].as_str().expect("an id").to_owned();
    (running, run, stream)
}

#[test]
fn nothing_was_interrupted() {
    let home = Home::new();
    let project = Project::new(&home);
    let run = project.run("book.toml").exits(0).json();
    let run = run["run"].as_str().expect("an id");
    let before = home.envelopes(run);
    home.nanohost(["recover"]).exits(0).says("no interrupted runs");
    home.nanohost(["recover", run]).exits(0).says("success").omits("no interrupted runs");
    let document = home.nanohost(["recover", run, "--json"]).exits(0).json();
    assert_eq!(document["runs"][0]["state"], "success", "{document:#}");
    assert_eq!(home.envelopes(run), before);
    home.nanohost(["recover", &"0".repeat(32)]).exits(2).says("unknown_run");
}

#[test]
fn an_external_call_that_died_is_in_doubt() {
    let home = Home::new();
    let (running, run, _stream) = asking(&home, &[]);
    // Recovering beside a live run touches nothing of it.
    home.nanohost(["recover", &run]).exits(0).says("running");
    home.nanohost(["recover"]).exits(0).says("no interrupted runs");
    let live = home.nanohost(["resume", &run, "--json"]).finds(2, "not_suspended");
    assert_eq!(live.suggests(), ["cancel", &run[..12], "--reason", "TEXT"], "{live}");
    assert_eq!(home.state(&run), "running");
    running.signal(Signal::KILL);
    running.end();
    home.nanohost(["resume", &run, "--json"]).finds(2, "not_suspended");

    let document = home.nanohost(["recover", "--json"]).exits(4).json();
    assert_eq!(document["runs"][0]["run"], run.as_str(), "{document:#}");
    assert_eq!(home.state(&run), "suspended");
    home.nanohost(["verify", &run]).exits(0).says("suspended");
    home.nanohost(["recover"]).exits(0).says("no interrupted runs");
    home.nanohost(["settle", &run, "--fail"]).exits(1);
    home.nanohost(["verify", &run]).exits(0).says("failed");
}

#[test]
fn a_call_that_may_be_repeated_goes_on() {
    let home = Home::new();
    let project = Project::new(&home);
    let (running, run) = spinning(&project, &[]);
    running.signal(Signal::KILL);
    running.end();
    // Taken over from elsewhere, it spins again: ended from outside, it says why.
    let again = home.start(["recover", &run, "--json"]);
    eventually("the call's second beginning", || (home.state(&run) == "running").then_some(()));
    let cancelled = home.nanohost(["cancel", &run, "--reason", "spins for ever", "--as", "sam", "--json"]);
    assert_eq!(cancelled.exits(0).json()["status"], "cancelled");
    let document = again.end().exits(1).json();
    assert_eq!(document["runs"][0]["state"], "cancelled", "{document:#}");
    let envelopes = home.envelopes(&run);
    assert!(envelopes.iter().any(|envelope| envelope["predicate"]["step"]["event"] == "recovered"));
    assert!(envelopes.iter().any(|envelope| envelope["values"].to_string().contains("spins for ever")));
    home.nanohost(["verify", &run]).exits(0).says("cancelled");
    assert_eq!(database::kv(&home), []);
}

#[test]
fn a_live_run_is_cancelled_by_another_process() {
    let home = Home::new();
    let project = Project::new(&home);
    let (running, run) = spinning(&project, &[]);
    let cancelled = home.nanohost(["cancel", &run[..12], "--reason", "not needed", "--json"]).exits(0).json();
    assert_eq!(cancelled["status"], "cancelled");
    let document = running.end().exits(1).json();
    assert_eq!((&document["status"], &document["error"]), (&json!("cancelled"), &json!("cancelled")));
    assert_eq!(home.state(&run), "cancelled");
    let envelopes = home.envelopes(&run);
    assert!(envelopes.iter().any(|envelope| envelope["values"].to_string().contains("not needed")));
    home.nanohost(["verify", &run]).exits(0).says("cancelled");
    home.nanohost(["cancel", &run, "--reason", "again", "--json"]).finds(2, "not_suspended");
    assert_eq!(home.envelopes(&run), envelopes);
}

#[test]
fn a_run_that_dies_while_it_is_asked_to_stop_is_ended_by_who_asked() {
    let home = Home::new();
    let project = Project::new(&home);
    let (running, run) = spinning(&project, &[]);
    running.signal(Signal::STOP);
    let asking = home.start(["cancel", &run, "--reason", "not needed", "--json"]);
    eventually("the request", || (database::requests(&home) == 1).then_some(()));
    running.signal(Signal::KILL);
    running.end();
    assert_eq!(asking.end().exits(0).json()["status"], "cancelled");
    assert_eq!(home.state(&run), "cancelled");
    assert_eq!(database::requests(&home), 0);
    home.nanohost(["verify", &run]).exits(0).says("cancelled");
}

#[test]
fn a_request_that_stands_ends_a_run_before_it_does_anything() {
    let home = Home::new();
    let project = Project::new(&home);
    let (running, run) = spinning(&project, &[]);
    running.signal(Signal::STOP);
    let asking = home.start(["cancel", &run, "--reason", "not needed", "--json"]);
    eventually("the request", || (database::requests(&home) == 1).then_some(()));
    // Nobody is left to end it.
    asking.signal(Signal::KILL);
    asking.end();
    running.signal(Signal::KILL);
    running.end();
    let before = home.envelopes(&run).len();
    let document = home.nanohost(["recover", &run, "--json"]).exits(1).json();
    assert_eq!(document["runs"][0]["state"], "cancelled", "{document:#}");
    let events: Vec<_> = home.envelopes(&run)[before..]
        .iter()
        .map(|envelope| envelope["predicate"]["step"]["event"].clone())
        .collect();
    assert_eq!(events, [json!("recovered"), json!("cancelled"), json!(null)], "no call began again");
    home.nanohost(["verify", &run]).exits(0).says("cancelled");
}

#[test]
fn an_interrupted_run_is_cancelled_where_it_lies() {
    let home = Home::new();
    let project = Project::new(&home);
    let (running, run) = spinning(&project, &[]);
    running.signal(Signal::KILL);
    running.end();
    // The program may be gone: ending a run needs none.
    std::fs::remove_dir_all(project.path("")).expect("it is there");
    home.nanohost(["cancel", &run, "--reason", "its project is gone"]).exits(0).says("cancelled");
    assert_eq!(home.state(&run), "cancelled");
    home.nanohost(["verify", &run]).exits(0).says("cancelled");
    home.nanohost(["cancel", &run]).exits(2).says("--reason");
}
