//! Runs that end before their time: the process dies, the user stops it, the tool faults.

use rustix::process::Signal;
use serde_json::json;

use crate::database;
use crate::harness::{Home, Running, eventually};
use crate::tool::Project;

/// Starts the tool that books and then never returns; the run's id, once its intent is on disk and
/// the process hears signals.
pub(crate) fn spinning(project: &Project<'_>, more: &[&str]) -> (Running, String) {
    let args = project.args("book-and-spin.toml");
    let running = project.home.start(args.iter().map(String::as_str).chain(more.iter().copied()));
    let run = eventually("the intent", || {
        let runs = project.home.runs();
        let run = runs.iter().find(|run| run["state"] == "running" && run["envelopes"] == 3)?;
        Some(run["run"].as_str()?.to_owned())
    });
    eventually("the handler of SIGINT", || {
        let pid = running.pid().as_raw_nonzero();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
        let caught = u64::from_str_radix(caught.trim(), 16).ok()?;
        (caught & 1 << (Signal::INT.as_raw() - 1) != 0).then_some(())
    });
    (running, run)
}

#[test]
fn a_killed_run_is_interrupted_and_disturbs_nobody() {
    let home = Home::new();
    let project = Project::new(&home);
    let (running, run) = spinning(&project, &[]);
    // While it goes on, it is open and no more.
    assert_eq!(home.state(&run), "running");
    home.nanohost(["verify", &run]).exits(14).says("OPEN");

    running.signal(Signal::KILL);
    assert_eq!(running.end().code, None, "it died by the signal");
    assert_eq!(home.state(&run), "interrupted");
    home.nanohost(["list"]).exits(0).says("1 interrupted");
    home.nanohost(["verify", &run]).exits(14).says("OPEN");
    assert_eq!(database::kv(&home), [], "no half booking");
    home.nanohost(["trace", &run]).exits(0).says("intent");

    // A new run takes the same space, and says what waits.
    let next = project.run("book.toml").exits(0).json();
    assert_eq!(next["interrupted"], 1);
    assert_eq!(database::kv(&home), [("ledger".to_owned(), "booked".to_owned())]);
    home.nanohost(["verify", next["run"].as_str().expect("an id")]).exits(0);
    home.nanohost(["verify", &run]).exits(14);

    // Exported, it is open as well.
    let out = home.path("open.jsonl");
    home.nanohost(["export", &run, "-o", out.to_str().expect("UTF-8")]).exits(0);
    home.nanohost(["verify", out.to_str().expect("UTF-8")]).exits(14).says("OPEN");
}

#[test]
fn a_stopped_run_ends_cancelled() {
    for signal in [Signal::INT, Signal::TERM] {
        let home = Home::new();
        let project = Project::new(&home);
        let (running, run) = spinning(&project, &[]);
        running.signal(signal);
        let document = running.end().exits(1).json();
        assert_eq!(document["status"], "cancelled", "{document:#}");
        assert_eq!(document["unknownCalls"], json!([]), "it books with its result: {document:#}");
        assert_eq!(document["run"], run.as_str());
        assert_eq!(home.state(&run), "cancelled");
        home.nanohost(["verify", &run]).exits(0).says("VERIFIED");
        assert_eq!(database::kv(&home), [], "no half booking");
        project.run("book.toml").exits(0);
    }
}

#[test]
fn a_tool_that_faults_books_nothing() {
    let home = Home::new();
    let project = Project::new(&home);
    let document = project.run("book-and-fault.toml").exits(1).json();
    assert_eq!(document["status"], "failed");
    assert_eq!(document["steps"][0]["error"]["kind"], "guest_fault", "{document:#}");
    assert_eq!(database::kv(&home), []);
    home.nanohost(["verify", document["run"].as_str().expect("an id")]).exits(0);

    // The same code, where it returns.
    let document = project.run("book.toml").exits(0).json();
    assert_eq!(document["output"], json!(0));
    assert_eq!(database::kv(&home).len(), 1);
}

#[test]
fn an_external_call_that_was_cut_off_is_in_doubt() {
    let home = Home::new();
    let project = Project::new(&home);
    project.make_external();
    let document = project.run("book-and-fault.toml").exits(4).json();
    assert_eq!(document["status"], "suspended", "{document:#}");
    let run = document["run"].as_str().expect("an id");
    home.nanohost(["verify", run]).exits(0).says("suspended");
    assert_eq!(home.state(run), "suspended");
    assert_eq!(database::kv(&home), []);
}
