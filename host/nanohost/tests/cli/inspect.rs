//! `check` and `plan`: what would happen, without anything happening.

use serde_json::{Value, json};

use crate::harness::{Done, Home, repository};
use crate::tool::Project;

fn plan(home: &Home, more: &[&str]) -> Done {
    let examples = home.examples();
    let mut command = home.command(["plan"]);
    command.arg(examples.path("refund/program.toml")).arg("--policy").arg(examples.policy()).args(more);
    Done::of(command)
}

#[test]
fn a_plan_is_the_same_each_time_and_binds_the_run() {
    let home = Home::new();
    let first = plan(&home, &["--json"]).exits(0).json();
    let second = plan(&home, &["--json"]).exits(0).json();
    assert_eq!(first, second);
    assert!(!home.store().exists(), "planning leaves nothing behind");
    let document = home.examples().refund(0, &[]);
    assert_eq!(document["evidence"]["table"], first["table"]);
    let run = document["run"].as_str().expect("an id");
    let receipt = home.nanohost(["receipt", run, "--json"]).exits(0).json();
    assert_eq!(receipt["plan"], first["table"], "{receipt:#}");
}

#[test]
fn a_plan_tells_everything() {
    let home = Home::new();
    let document = plan(&home, &["--json"]).exits(0).json();
    let keys: Vec<&String> = document.as_object().expect("an object").keys().collect();
    assert_eq!(
        keys,
        ["program", "table", "policy", "policies", "rules", "tools", "arguments", "shared", "warnings"]
    );
    assert_eq!(document["program"]["name"], "customer_refund");
    assert_eq!(document["policy"]["trusted"], true);
    assert_eq!(document["warnings"], json!([]), "the examples are without blemish");
    let tools = document["tools"]["rows"].as_array().expect("a list of tools");
    assert_eq!(tools.len(), 4);
    for tool in tools {
        for key in ["component", "manifest", "effect", "requested", "granted", "linked", "limits", "rules"] {
            assert!(!tool[key].is_null(), "{key} is missing in {tool:#}");
        }
    }
    assert!(document["table"].as_str().is_some_and(|digest| digest.len() == 64), "{document:#}");
    let eligibility = tools.iter().find(|tool| tool.to_string().contains("decide")).expect("the pure tool");
    assert_eq!(eligibility["linked"], json!([]), "eligibility imports nothing at all");

    let text = plan(&home, &[]).exits(0);
    for said in [
        "customer_refund",
        "find_order",
        "eligibility",
        "issue_refund",
        "write_letter",
        "effect",
        "requested",
        "granted",
        "linked",
        "limits",
        "refund-ledger",
        "refund-letters",
        "idempotent",
        "component",
        "manifest",
        "$args.amount_cents <= 50000",
    ] {
        assert!(text.stdout.contains(said), "{said:?} is not said by {text}");
    }
}

#[test]
fn a_plan_of_what_is_refused_says_why() {
    let home = Home::new();
    let examples = home.examples();
    let mut command = home.command(["plan"]);
    command.arg(examples.path("import-smuggling/program.toml")).arg("--policy").arg(examples.policy());
    Done::of(command).exits(3).says("import_not_declared").says("wasi:sockets");
    assert!(!home.store().exists());
}

#[test]
fn a_check_needs_no_tools() {
    let home = Home::new();
    let program = repository().join("examples/refund/program.toml");
    let program = program.to_str().expect("UTF-8");
    home.nanohost(["check", program]).exits(0).says("customer_refund is sound: 10 steps");
    let document = home.nanohost(["check", program, "--json"]).exits(0).json();
    assert_eq!(document["valid"], true);
    assert_eq!((&document["program"], &document["steps"]), (&json!("customer_refund"), &json!(10)));
    assert_eq!(document["findings"], json!([]));
    assert!(document["digest"].as_str().is_some_and(|digest| digest.len() == 64));
}

#[test]
fn a_check_finds_everything_at_once() {
    let home = Home::new();
    let program = home.write(
        "bad.toml",
        "name = \"bad\"\nmax_steps = 3\nfrobnicate = 1\n\n[[steps]]\nid = \"a\"\ntype = \"condition\"\n\
         condition = \"$nothing ==\"\nthen = \"b\"\notherwise = \"a\"\n",
    );
    let program = program.to_str().expect("UTF-8");
    let done = home.nanohost(["check", program, "--json"]).exits(2);
    let document = done.json();
    assert_eq!(document["exitCode"], 2);
    let findings = document["findings"].as_array().expect("a list");
    let codes: Vec<&str> = findings.iter().filter_map(|finding| finding["code"].as_str()).collect();
    assert!(codes.contains(&"unknown_field"), "{codes:?}");
    assert!(codes.contains(&"bad_condition"), "{codes:?}");
    for finding in findings {
        assert!(finding["place"]["line"].as_u64().is_some_and(|line| line > 0), "{finding:#}");
        assert!(finding["message"].is_string(), "{finding:#}");
    }
    let text = home.nanohost(["check", program]).exits(2);
    assert!(text.stderr.contains("bad.toml:3:1"), "the place, for a person: {text}");
}

#[test]
fn a_trace_and_a_receipt_tell_the_run() {
    let home = Home::new();
    let project = Project::new(&home);
    let document = project.run("book.toml").exits(0).json();
    let run = document["run"].as_str().expect("an id");
    let trace = home.nanohost(["trace", run, "--json"]).exits(0).json();
    let kinds: Vec<&Value> = trace["envelopes"]
        .as_array()
        .map(|envelopes| envelopes.iter().map(|envelope| &envelope["predicate"]["kind"]).collect())
        .expect("a list");
    assert_eq!(kinds, ["run-open", "plan", "intent", "result", "run-close"]);
    assert_eq!(trace["head"], document["evidence"]["head"]);

    let receipt = home.nanohost(["receipt", run, "--json"]).exits(0).json();
    let again = home.nanohost(["receipt", run, "--json"]).exits(0).json();
    assert_eq!(receipt, again, "a receipt is a pure function of the evidence");
    assert_eq!((&receipt["status"], &receipt["head"]), (&json!("success"), &trace["head"]));

    // The start of an id is enough, where it is one run's alone.
    home.nanohost(["trace", &run[..8]]).exits(0).says("run-close");
    home.nanohost(["receipt", &run[..8]]).exits(0).says("success");
    home.nanohost(["receipt", &"0".repeat(32)]).exits(2).says("unknown_run");
}

#[test]
fn a_plan_of_what_is_refused_shows_what_lacks_nothing() {
    let home = Home::new();
    let examples = home.examples();
    let policy = std::fs::read_to_string(examples.policy()).expect("it is there");
    let policy = policy.replace("vouch_idempotent = [\"issue-refund\"]", "");
    let policy = policy.replace("guest = \"/letters\"", "guest = \"/post\"");
    std::fs::write(examples.policy(), policy).expect("it is writable");
    let done = plan(&home, &[]).exits(3).says("not_granted");
    assert!(done.stdout.contains("find_order") && done.stdout.contains("refund-order-book"), "{done}");
    assert!(!done.stdout.contains("write_letter"), "it lacks its folder: {done}");
    assert_eq!(plan(&home, &["--json"]).exits(3).json()["findings"][0]["code"], "not_granted");
}

#[test]
fn a_refused_call_names_the_rule() {
    let home = Home::new();
    let examples = home.examples();
    let policy = std::fs::read_to_string(examples.policy()).expect("it is there");
    let policy = policy.replace("$args.amount_cents <= 50000", "$args.amount_cents <= 500");
    std::fs::write(examples.policy(), policy).expect("it is writable");
    examples.run("refund/program.toml", &[]).exits(3).says("issue_refund authority by refund-ledger");
    let document = examples.refund(3, &[]);
    let step = document["steps"].as_array().and_then(|steps| steps.last()).expect("a step");
    assert_eq!(step["error"]["rule"], "refund-ledger", "{document:#}");
}

#[test]
fn a_list_says_that_it_is_not_signed() {
    let home = Home::new();
    Project::new(&home).run("add.toml").exits(0);
    home.nanohost(["list"]).exits(0).says("not signed").says("verify");
}

#[test]
fn quiet_is_how_it_ended_alone() {
    let home = Home::new();
    // Even the first run of a user, who has no key yet.
    let done = home.examples().run("refund/program.toml", &["--quiet"]).exits(0);
    assert_eq!(done.stderr, "", "{done}");
    let run = home.runs()[0]["run"].as_str().expect("an id").to_owned();
    assert_eq!(done.stdout, format!("customer_refund success · outcome refunded · run {run}\n"), "{done}");
}

/// What is suggested finds the store that the user named.
#[test]
fn suggestions_name_the_store_that_was_named() {
    let home = Home::new();
    let project = Project::new(&home);
    let args = project.args("add.toml");
    let shown = args.iter().filter(|arg| *arg != "--json").map(String::as_str);
    let done = home.nanohost(["--store", "my store"].into_iter().chain(shown)).exits(0);
    let runs = home.nanohost(["list", "--json", "--store", "my store"]).exits(0).json();
    let run = runs["runs"][0]["run"].as_str().expect("an id");
    done.says(&format!("nanohost --store 'my store' verify {}\n", &run[..12]));
    home.nanohost(["--store", "my store", "verify", run]).exits(0);
    let over = home.nanohost(["--store", "my store", "resume", run, "--json"]).finds(2, "not_suspended");
    assert_eq!(over.suggests()[..3], ["--store", "'my", "store'"], "{over}");
}

#[test]
fn drawings_and_trust_have_a_json_form() {
    let home = Home::new();
    let examples = home.examples();
    let program = examples.path("refund/program.toml");
    let program = program.to_str().expect("UTF-8");
    for (language, begins) in [("mermaid", "flowchart"), ("dot", "digraph")] {
        let text = home.nanohost(["graph", program, "--format", language]).exits(0).stdout;
        assert!(text.starts_with(begins), "{text}");
        let document = home.nanohost(["graph", program, "--format", language, "--json"]).exits(0).json();
        assert_eq!(document[language], text);
        assert_eq!(document["findings"], serde_json::json!([]));
    }
    let project = examples.path("..");
    let project = project.to_str().expect("UTF-8");
    let listed = || home.nanohost(["trust", "--list", "--json"]).exits(0).json();
    assert_eq!(listed()["trusted"], serde_json::json!([]));
    let added = home.nanohost(["trust", project, "--json"]).exits(0).json();
    assert_eq!((&added["trusted"], &listed()["trusted"][0]), (&true.into(), &added));
    let removed = home.nanohost(["trust", "--remove", project, "--json"]).exits(0).json();
    assert_eq!((&removed["trusted"], &removed["policy"]), (&false.into(), &added["policy"]));
}
