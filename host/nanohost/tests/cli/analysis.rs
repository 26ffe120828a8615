//! What is computed from runs and programs: signed receipts, health, drawings.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::Home;
use crate::tool::{Project, program};
use crate::{database, interop};

fn text(path: &std::path::Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A run of the small tool, and the user it was made by.
struct OneRun {
    home: Home,
    run: String,
}

fn one_run() -> OneRun {
    let home = Home::new();
    let run = run(&home);
    OneRun { home, run }
}

fn run(home: &Home) -> String {
    let document = Project::new(home).run("add.toml").exits(0).json();
    document["run"].as_str().expect("an id").to_owned()
}

fn signed(home: &Home, run: &str, name: &str) -> PathBuf {
    let path = home.path(name);
    home.nanohost(["receipt", run, "--sign", "-o", text(&path)]).exits(0).says("signed");
    path
}

#[test]
fn a_receipt_is_signed_and_checked() {
    let OneRun { home, run } = one_run();
    let path = signed(&home, &run, "receipt.json");
    home.nanohost(["receipt", &run, "--check", text(&path)]).exits(0).says("the same to the byte");
    home.nanohost(["verify", text(&path)]).exits(2).says("it is a signed receipt").says("--check");
    home.nanohost(["verify", text(&path)]).exits(2).says("not_an_export").says("--check");

    // Signing again gives the same bytes, and does not replace a file.
    home.nanohost(["receipt", &run, "--sign", "-o", text(&path)]).exits(2).says("receipt_unwritable");
    let again = signed(&home, &run, "again.json");
    assert_eq!(fs::read(&path).expect("a file"), fs::read(again).expect("a file"));

    // The receipt is that of the evidence wherever it lies, and whatever of it is disclosed.
    let key = home.public_key();
    let auditor = Home::new();
    for disclose in ["public", "all"] {
        let export = home.path(format!("{disclose}.jsonl"));
        home.nanohost(["export", &run, "-o", text(&export), "--disclose", disclose]).exits(0);
        let check = ["receipt", text(&export), "--check", text(&path), "--trust", text(&key), "--json"];
        let document = auditor.nanohost(check).exits(0).json();
        assert_eq!((&document["good"], &document["run"]), (&json!(true), &json!(run)));
        auditor.nanohost(["trace", text(&export), "--trust", text(&key)]).exits(0).says("run-close");
        auditor.nanohost(["health", text(&export), "--trust", text(&key)]).exits(0).says("no alerts");
        // Without a named key nobody is trusted.
        auditor.nanohost(["receipt", text(&export)]).exits(2).says("no_trust");
    }
    let bare = home.path("none.jsonl");
    home.nanohost(["export", &run, "-o", text(&bare), "--disclose", "none"]).exits(0);
    home.nanohost(["receipt", text(&bare), "--check", text(&path)]).exits(11).says("values_withheld");

    let output = interop::verify_export(&path, &key);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_receipt_of_something_else_is_refused() {
    let OneRun { home, run } = one_run();
    let good = fs::read(signed(&home, &run, "receipt.json")).expect("a file");
    let check = |bytes: &[u8], exit: i32| {
        let path = home.write("checked.json", bytes);
        let done = home.nanohost(["receipt", &run, "--check", text(&path), "--json"]).exits(exit);
        let document = done.json();
        assert_eq!(document["findings"][0]["code"], "receipt_bad", "{document}");
        document["findings"][0]["message"].as_str().expect("a text").to_owned()
    };
    for at in [0, 20, good.len() / 2, good.len() - 100, good.len() - 1] {
        let mut changed = good.clone();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        check(&changed, 10);
    }
    check(&[&good[..], b"\n"].concat(), 10);
    check(b"", 10);

    let other = self::run(&home);
    let other = fs::read(signed(&home, &other, "other.json")).expect("a file");
    assert!(check(&other, 10).contains("run"), "it is of another run");
    let stranger = one_run();
    let foreign = fs::read(signed(&stranger.home, &stranger.run, "receipt.json")).expect("a file");
    assert!(check(&foreign, 13).contains("not trusted"));

    home.nanohost(["receipt", &run, "--check", text(&home.path("nothing.json"))])
        .exits(2)
        .says("receipt_unreadable");
    home.nanohost(["receipt", &run, "--sign"]).exits(2);
    home.nanohost(["receipt", &run, "-o", "x.json"]).exits(2);

    // Who did not run it cannot sign for it.
    let export = stranger.home.path("run.jsonl");
    stranger.home.nanohost(["export", &stranger.run, "-o", text(&export)]).exits(0);
    let key = stranger.home.public_key();
    let sign = ["receipt", text(&export), "--trust", text(&key), "--sign", "-o", text(&home.path("no.json"))]
        .map(str::to_owned);
    home.nanohost(sign).exits(2).says("receipt_unsigned");
    assert!(!home.path("no.json").exists());
}

#[test]
fn the_health_of_a_run() {
    let OneRun { home, run } = one_run();
    home.nanohost(["health", &run])
        .exits(0)
        .says("transition_entropy")
        .says("no alerts")
        .says("needs a --baseline");
    let other = self::run(&home);
    let document = home.nanohost(["health", &other, "--baseline", &run, "--json"]).exits(0).json();
    assert_eq!((&document["baseline"], &document["status"]), (&json!(run), &json!("success")));
    let health = &document["health"];
    for metric in ["path_variance", "transition_sequence_variance", "rollback_density", "conditional_entropy"]
    {
        assert_eq!(health[metric], json!(0.0), "{metric}: {document}");
    }
    assert_eq!(health["alerts"], json!([]));
    home.nanohost(["health"]).exits(2).says("--all");
    home.nanohost(["health", "--json"]).finds(2, "missing_argument");
    home.nanohost(["health", "--baseline", &run]).exits(2).says("--all");
    // A straight line is as long as it is: that is said, and is no alert.
    home.examples().refund(0, &[]);
    let refund = home.runs()[0]["run"].as_str().expect("an id").to_owned();
    let done = home.nanohost(["health", &refund]).exits(0).says("no alerts").omits("-0.000");
    done.says("note: transition_entropy").says("length alone explains it");
    let document = home.nanohost(["health", &refund, "--json"]).exits(0).json();
    assert_eq!(document["health"]["notes"][0]["metric"], "transition_entropy", "{document:#}");
    // A run without a step is at nothing, and not below it.
    let empty = home.examples().run_json("import-smuggling/program.toml", 3, &[]);
    let empty = empty["run"].as_str().expect("an id");
    home.nanohost(["health", empty]).exits(0).says("0.000").omits("-0.000");
    home.nanohost(["health", &run, "--all"]).exits(2);
}

#[test]
fn the_health_of_all_runs() {
    let home = Home::new();
    home.nanohost(["health", "--all"]).exits(0).says("no runs yet");
    let examples = home.examples();
    let id = |document: &Value| document["run"].as_str().expect("an id").to_owned();
    let changed = id(&examples.refund(0, &[]));
    examples.refund(0, &["order_id=A-1007"]);
    examples.refund(0, &[]);
    run(&home);

    let document = home.nanohost(["health", "--all", "--json"]).exits(0).json();
    assert_eq!(
        (&document["runs"], &document["analysed"], &document["bad"]),
        (&json!(4), &json!(4), &json!([]))
    );
    let programs = document["programs"].as_array().expect("a list");
    let refund = programs.iter().find(|program| program["name"] == "customer_refund").expect("it ran");
    assert_eq!((programs.len(), &refund["runs"]), (2, &json!(3)));
    let transitions = refund["transitions"].as_array().expect("a list");
    let leaving = |from: &str| -> f64 {
        let of = transitions.iter().filter(|transition| transition["from"] == from);
        of.filter_map(|transition| transition["probability"].as_f64()).sum()
    };
    for transition in transitions {
        let from = transition["from"].as_str().expect("an id");
        assert!((leaving(from) - 1.0).abs() < 1e-9, "{from}: {document}");
    }
    let model = &document["models"][0];
    assert_eq!((&model["alias"], &model["runs"]), (&json!("scripted"), &json!(3)));
    assert!(model["asked"]["attempts"].as_u64() >= Some(3), "{model}");
    let shown = home.nanohost(["health", "--all"]).exits(0).says("\nmodel scripted").says("  1 run: ");
    assert!(!shown.stdout.contains("1 runs") && !shown.stdout.contains("scripted scripted"), "{shown}");

    // A changed run is told apart, and nothing of it counts.
    database::change_an_envelope(&home, &changed);
    let done = home.nanohost(["health", "--all"]).exits(10);
    done.says("4 runs").says("3 analysed").says("bad evidence").says(&changed);
    let document = home.nanohost(["health", "--all", "--json"]).exits(10).json();
    assert_eq!((&document["analysed"], &document["bad"][0]["run"]), (&json!(3), &json!(changed)));
    assert_eq!(document["bad"][0]["exitCode"], json!(10));
    home.nanohost(["health", &changed]).exits(10).says("evidence_bad");
}

#[test]
fn a_program_is_drawn() {
    let home = Home::new();
    let drawn = |text_of: &str, more: &[&str]| {
        let path = home.write("p.toml", text_of);
        home.nanohost([&["graph", text(&path)], more].concat())
    };
    let add = program("add");
    drawn(&add, &[]).exits(0).says("flowchart TD").says("calls ledger");
    drawn(&add, &["--format", "dot"]).exits(0).says("digraph");
    let out = home.path("p.dot");
    for _ in 0..2 {
        drawn(&add, &["--format", "dot", "-o", text(&out)]).exits(0).omits("digraph");
    }
    assert!(fs::read_to_string(&out).expect("it was drawn").starts_with("digraph"));
    drawn(&add, &["-o", "no/such/folder.dot"]).exits(2).says("graph_unwritable");

    // What `check` refuses is drawn, and said.
    let dead = format!("{add}\n[[steps]]\nid = \"lost\"\ntype = \"tool\"\nnext_step = \"gone\"\n");
    let done = drawn(&dead, &[]).exits(0).says(":::dead").says("unreachable_step").says("missing_target");
    assert!(done.stdout.starts_with("flowchart") && !done.stdout.contains("unreachable_step"), "{done}");
    // What cannot be read is not.
    drawn("steps = 1", &[]).exits(2).says("invalid_field").omits("flowchart");
}
