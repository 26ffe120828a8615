//! Runs made again from their evidence: every example, whatever became of the world since, and each
//! thing that can have been changed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use nanohost_core::export::{self, Export, Role};
use serde_json::Value;

use crate::harness::{Done, Home, built_component, copy, repository};
use crate::http::Desk;
use crate::suspension::PAID;

/// The programs of the examples, by their paths below `examples/`.
fn programs() -> BTreeSet<String> {
    fn collect(folder: &Path, programs: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).expect("the folder can be read") {
            let path = entry.expect("it can be read").path();
            if path.is_dir() {
                collect(&path, programs);
            } else if path.extension().is_some_and(|kind| kind == "toml" || kind == "json")
                && fs::read_to_string(&path).expect("UTF-8").contains("[[steps]]")
            {
                let below = path.strip_prefix(repository().join("examples")).expect("it lies there");
                programs.insert(below.display().to_string());
            }
        }
    }
    let mut programs = BTreeSet::new();
    collect(&repository().join("examples"), &mut programs);
    programs
}

/// How the run of each example ends, and how many of its calls are the same again.
const EXAMPLES: [(&str, i32, u64); 9] = [
    ("approval/program.toml", 4, 1),
    ("import-smuggling/granted/program.toml", 1, 1),
    ("import-smuggling/program.toml", 3, 0),
    ("path-escape/program.toml", 3, 1),
    ("payment-webhook/program.toml", 4, 3),
    ("refund/program.toml", 0, 3),
    ("statement/program.toml", 0, 4),
    ("tool-injection/granted.toml", 0, 1),
    ("tool-injection/program.toml", 3, 0),
];

/// Has a test of its own, with the service that it asks.
const WITH_SERVICE: &str = "http-refund/program.toml";

fn id(document: &Value) -> String {
    document["run"].as_str().expect("an id").to_owned()
}

/// Everything replays as it was, as a document.
#[track_caller]
fn same(done: Done, calls: u64) {
    let document = done.exits(0).json();
    assert_eq!(document["good"], true, "{document:#}");
    assert_eq!(document["same"], calls, "{document:#}");
    assert_eq!((&document["different"], &document["notReplayable"]), (&0.into(), &0.into()), "{document:#}");
}

#[test]
fn every_example_is_replayed() {
    let mut replayed: BTreeSet<String> = EXAMPLES.iter().map(|(program, ..)| (*program).to_owned()).collect();
    replayed.insert(WITH_SERVICE.to_owned());
    assert_eq!(programs(), replayed, "a program of the examples that nobody replays");
    let home = Home::new();
    let examples = home.examples();
    for (program, exit, calls) in EXAMPLES {
        let run = id(&examples.run_json(program, exit, &[]));
        same(home.nanohost(["replay", &run, "--json", "--strict"]), calls);
        // What it read and wrote is not there any more, for a while.
        let folder = examples.path(program);
        let beside =
            ["data", "letters", "log", "statements", "secret.txt"].map(|name| folder.with_file_name(name));
        let beside: Vec<_> = beside.into_iter().filter(|path| path.exists()).collect();
        let gone = |path: &Path| path.with_extension("gone");
        beside.iter().for_each(|path| fs::rename(path, gone(path)).expect("it can be renamed"));
        same(home.nanohost(["replay", &run, "--json", "--strict"]), calls);
        assert!(beside.iter().all(|path| !path.exists()), "a replay writes nothing");
        beside.iter().for_each(|path| fs::rename(gone(path), path).expect("it can be renamed"));
        // And without the store: from the export alone, and the tools that are here.
        let file = home.path(format!("{run}.jsonl"));
        let file = file.to_str().expect("UTF-8");
        home.nanohost(["export", &run, "--disclose", "all", "--output", file]).exits(0);
        same(home.nanohost(["replay", file, "--json", "--strict", "--store", "nowhere"]), calls);
    }
}

#[test]
fn the_check_of_an_event_is_replayed() {
    let home = Home::new();
    let examples = home.examples();
    let run = id(&examples.run_json("payment-webhook/program.toml", 4, &[]));
    let file = |name: &str| examples.path("payment-webhook").join(name).display().to_string();
    let forged = ["resume", &run, "--event", &file("paid.json"), "--signature", "sha256=00"];
    home.nanohost(forged).exits(3);
    home.nanohost(["resume", &run, "--event", &file("paid.json"), "--signature", PAID]).exits(0);
    let document = home.nanohost(["replay", &run, "--json"]).exits(0).json();
    let checks = document["calls"].as_array().expect("calls").iter().filter(|call| call["check"] == true);
    assert_eq!(checks.map(|call| call["verdict"].clone()).collect::<Vec<_>>(), ["same", "same"]);
}

/// The service is asked by the run, and by nobody after it.
#[test]
fn an_answer_over_http_is_replayed() {
    let desk = Desk::new([crate::http::booked()]);
    let run = id(&desk.run().exits(0).json());
    assert_eq!(desk.server.requests().len(), 1);
    same(desk.home.nanohost(["replay", &run, "--json", "--strict"]), 1);
    desk.home.nanohost(["secret", "rm", "refund-key"]).exits(0);
    same(desk.home.nanohost(["replay", &run, "--json", "--strict"]), 1);
    assert_eq!(desk.server.requests().len(), 1);
    desk.home.nanohost(["replay", &run]).exits(0).says("same, from 1 recorded answer");
}

/// A component with the same code and other bytes: one more section, which means nothing.
fn stamped(component: &[u8]) -> Vec<u8> {
    [component, &[0, 5, 4, b'n', b'o', b't', b'e']].concat()
}

/// The same component with another text in it.
fn reworded(component: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = component.windows(from.len()).position(|window| window == from.as_bytes());
    let at = at.unwrap_or_else(|| panic!("{from:?} is not in the component"));
    [&component[..at], to.as_bytes(), &component[at + from.len()..]].concat()
}

#[test]
fn another_component_is_named_and_not_called() {
    let desk = Desk::new([crate::http::booked()]);
    let run = id(&desk.run().exits(0).json());
    let path = desk.home.path("own/tools/refund-api/component.wasm");
    let component = fs::read(&path).expect("it is there");
    fs::write(&path, stamped(&component)).expect("it is ours");
    let done = desk.home.nanohost(["replay", &run, "--json"]).finds(3, "replay_other_component");
    assert!(done.stdout.contains("refund_api"), "{done}");
    // As the finding says.
    let suggested = done.suggests();
    assert_eq!(&suggested[..2], ["replay", &run]);
    desk.home.nanohost(&suggested).exits(0).says("SAME");
    fs::write(&path, component).expect("it is ours");
    same(desk.home.nanohost(["replay", &run, "--json"]), 1);
}

#[test]
fn another_version_is_compared_call_by_call() {
    let home = Home::new();
    let examples = home.examples();
    let run = id(&examples.refund(0, &[]));
    let component = fs::read(built_component("eligibility")).expect("it was built");
    let same_code = home.write("same.wasm", stamped(&component));
    let changed =
        home.write("new.wasm", reworded(&component, "within the last 30 days", "within the last 31 days"));
    let against = |component: &Path, more: &[&str]| {
        let component = component.to_str().expect("UTF-8");
        home.nanohost([&["replay", &run, "--against", component], more].concat())
    };
    against(&same_code, &["--tool", "eligibility"]).exits(0).says("SAME");
    against(&changed, &["--tool", "eligibility"])
        .exits(1)
        .says("DIFFERENT")
        .says("at /reason")
        .says("within the last 31 days");
    let document = against(&changed, &["--tool", "eligibility", "--json"]).exits(1).json();
    let call = &document["calls"][0];
    assert_eq!((&call["verdict"], &call["what"]), (&"different".into(), &"ended".into()));
    assert_ne!(call["recorded"], call["replayed"]);
    assert_eq!(call["diff"]["at"], "/reason");
    // Of several tools one is meant, and it was called.
    against(&changed, &["--json"]).finds(2, "which_tool");
    against(&changed, &["--tool", "write_letter", "--json"]).finds(2, "which_tool");
    // One that asks for more than the manifest does is refused as always.
    let greedy = built_component("read_orders");
    assert_ne!(against(&greedy, &["--tool", "eligibility", "--json"]).code, Some(0));
    let text = home.write("text.wasm", "no component");
    assert_eq!(against(&text, &["--tool", "eligibility", "--json"]).code, Some(2));
}

/// The export of a run with one value changed.
fn tampered(home: &Home, run: &str, role: &str) -> PathBuf {
    let whole = home.path("whole.jsonl");
    let _ = fs::remove_file(&whole);
    home.nanohost(["export", run, "--disclose", "all", "--output", whole.to_str().expect("UTF-8")]).exits(0);
    let mut export = Export::parse(&fs::read(&whole).expect("it was written")).expect("an export");
    let role = Role::new(role).expect("a role");
    let content = export.contents.iter_mut().rfind(|content| content.role == role).expect("such a value");
    let at = content.bytes.iter().rposition(u8::is_ascii_lowercase).expect("a letter");
    content.bytes[at] = if content.bytes[at] == b'x' { b'y' } else { b'x' };
    let mut bytes = Vec::new();
    export::write(&mut bytes, &export.run, &export.envelopes, &export.contents).expect("an export");
    home.write(format!("tampered-{role}.jsonl"), bytes)
}

#[test]
fn changed_evidence_is_named_and_not_replayed() {
    let home = Home::new();
    let run = id(&home.examples().refund(0, &[]));
    for role in ["input", "answers", "output"] {
        let file = tampered(&home, &run, role);
        let done =
            home.nanohost(["replay", file.to_str().expect("UTF-8"), "--json"]).finds(10, "evidence_bad");
        assert!(done.stdout.contains(&format!("its {role} is not what was committed to")), "{done}");
    }
    let key = home.write("other.pem", {
        let other = Home::new();
        fs::read(other.public_key()).expect("a key")
    });
    home.nanohost(["replay", &run, "--trust", key.to_str().expect("UTF-8"), "--json"])
        .finds(13, "evidence_bad");
}

#[test]
fn what_is_withheld_is_never_passed() {
    let home = Home::new();
    let examples = home.examples();
    let run = id(&examples.refund(0, &[]));
    let program = examples.path("refund/program.toml").display().to_string();
    let policy = examples.policy().display().to_string();
    let replay = |disclose: &str, more: &[&str]| {
        let file = home.path(format!("{disclose}.jsonl"));
        let file = file.to_str().expect("UTF-8").to_owned();
        if !Path::new(&file).exists() {
            home.nanohost(["export", &run, "--disclose", disclose, "--output", &file]).exits(0);
        }
        let args = [&["replay", &file, "--program", &program, "--policy", &policy], more].concat();
        home.nanohost(args)
    };
    let document = replay("public", &["--json"]).json();
    let calls = document["calls"].as_array().expect("calls");
    assert_eq!(calls.len(), 3);
    for call in calls.iter().filter(|call| call["verdict"] != "same") {
        assert_eq!(call["verdict"], "not-replayable", "{call:#}");
        assert!(call["why"].as_str().is_some_and(|why| why.contains("withheld")), "{call:#}");
    }
    // The order that is read names a customer.
    assert!(document["notReplayable"].as_u64() >= Some(1), "{document:#}");
    replay("public", &["--strict"]).exits(11).says("NOT REPLAYABLE");
    replay("none", &["--json"]).finds(11, "values_withheld");
    same(replay("all", &["--json", "--strict"]), 3);
}

#[test]
fn one_step_and_others() {
    let home = Home::new();
    let examples = home.examples();
    let run = id(&examples.refund(0, &[]));
    same(home.nanohost(["replay", &run, "--step", "eligibility", "--json"]), 1);
    home.nanohost(["replay", &run, "--step", "nowhere", "--json"]).finds(2, "unknown_step");
    home.nanohost(["replay", "feedc0de", "--json"]).finds(2, "unknown_run");
    // What the local policy refuses is not replayed, though nothing real would be reached.
    let none = home.write("none.toml", "");
    home.nanohost(["replay", &run, "--policy", none.to_str().expect("UTF-8"), "--json"]).exits(3);
    // The evidence is asked what the program says, not what stands at its path by now.
    fs::write(examples.path("refund/program.toml"), "steps = 7").expect("it is ours");
    same(home.nanohost(["replay", &run, "--json"]), 3);
    // Wherever the tools lie.
    let elsewhere = home.path("elsewhere");
    copy(&repository().join("examples/refund"), &elsewhere.join("examples/refund"));
    let program = elsewhere.join("examples/refund/program.toml").display().to_string();
    let policy = examples.policy().display().to_string();
    let args = ["replay", &run, "--program", &program, "--policy", &policy, "--json"];
    assert_eq!(home.nanohost(args).code, Some(2), "no tools lie there");
}
