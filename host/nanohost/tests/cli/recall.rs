//! Questions about runs that were, answered from verified evidence.

use std::fs;

use serde_json::Value;

use crate::database::execute;
use crate::harness::Home;

fn found(home: &Home, asked: &[&str]) -> Vec<String> {
    let listed = home.nanohost([&["list", "--json"], asked].concat()).exits(0).json();
    let runs = listed["runs"].as_array().expect("runs").iter();
    runs.map(|run| run["run"].as_str().expect("an id").to_owned()).collect()
}

fn id(document: &Value) -> String {
    document["run"].as_str().expect("an id").to_owned()
}

/// What a model proposed and nobody called is no field of an envelope, and is found all the same.
#[test]
fn a_tool_that_was_only_proposed_is_found() {
    let home = Home::new();
    let refused = id(&home.examples().run_json("tool-injection/program.toml", 3, &[]));
    for asked in [&["--tool", "wire_transfer"][..], &["--tool", "wire_transfer", "--denied"]] {
        assert_eq!(found(&home, asked), [refused.as_str()], "{asked:?}");
    }
    for asked in [&["--tool", "wire"][..], &["--tool", "wire_transfer", "--rule", "another"]] {
        home.nanohost([&["list", "--json"], asked].concat()).exits(2);
    }
}

#[test]
fn runs_are_found_by_what_their_evidence_says() {
    let home = Home::new();
    let examples = home.examples();
    let refund = id(&examples.refund(0, &[]));
    let refused = id(&examples.run_json("path-escape/program.toml", 3, &["--as", "mallory"]));
    let all: [(&[&str], Vec<&String>); 13] = [
        (&["--tool", "issue_refund"], vec![&refund]),
        (&["--tool", "issue_refund", "--rule", "refund-ledger"], vec![&refund]),
        (&["--tool", "find_order", "--rule", "refund-ledger"], vec![]),
        (&["--rule", "refund-ledger"], vec![&refund]),
        (&["--model", "scripted"], vec![&refund]),
        (&["--denied"], vec![&refused]),
        (&["--denied", "--tool", "issue_refund"], vec![]),
        (&["--principal", "mallory"], vec![&refused]),
        (&["--principal", "local", "--denied"], vec![]),
        (&["--since", "2020-01-01"], vec![&refused, &refund]),
        (&["--since", "2999-01-01"], vec![]),
        (&["--since", "2020-01-01T00:00:00.000Z", "--model", "scripted"], vec![&refund]),
        (&["--tool", "read_file", "--denied"], vec![&refused]),
    ];
    for (asked, expected) in all {
        assert_eq!(found(&home, asked).iter().collect::<Vec<_>>(), expected, "{asked:?}");
    }
    home.nanohost(["list", "--tool", "issue_refund"]).exits(0).says(&refund[..12]).says("of 2 runs");
    // A name that nothing knows is not answered as if nothing of that name had happened.
    for (asked, known) in [("--tool", "find_order"), ("--rule", "refund-ledger"), ("--principal", "mallory")]
    {
        let listed = home.nanohost(["list", asked, "nobody", "--json"]).exits(2).json();
        assert_eq!((&listed["runs"], &listed["exitCode"]), (&serde_json::json!([]), &2.into()), "{listed}");
        assert!(listed["unknown"][0].as_str().is_some_and(|name| name.contains("`nobody`")), "{listed}");
        let since = ["list", asked, known, "--since", "2999-01-01"];
        home.nanohost(since).exits(0).says("no run's verified evidence says so").omits("mistyped");
    }
    home.nanohost(["list", "--model", "another"]).exits(2).says("no program, policy or envelope");
    home.nanohost(["list", "--since", "yesterday"]).exits(2);
    let listed = home.nanohost(["list", "--json", "--tool", "issue_refund"]).exits(0).json();
    let matching = listed["runs"][0]["matching"].as_array().expect("numbers");
    assert!(!matching.is_empty(), "{listed}");
    // The same word means the same in the listing of all.
    let all = home.nanohost(["list", "--json"]).exits(0).json();
    let same = all["runs"].as_array().expect("runs").iter().find(|run| run["run"] == refund.as_str());
    assert_eq!(listed["runs"][0]["envelopes"], same.expect("it is listed")["envelopes"]);
}

#[test]
fn what_cannot_be_verified_is_said_and_not_searched() {
    let home = Home::new();
    let examples = home.examples();
    let (good, bad) = (id(&examples.refund(0, &[])), id(&examples.refund(0, &[])));
    execute(&home, &format!("UPDATE envelope SET bytes = zeroblob(10) WHERE run = '{bad}' AND seq = 3"));
    let done = home.nanohost(["list", "--json", "--tool", "issue_refund"]).exits(10);
    let listed = done.json();
    assert_eq!(listed["runs"].as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(listed["runs"][0]["run"], good.as_str());
    assert_eq!(listed["unverified"][0]["run"], bad.as_str());
    assert_eq!(listed["unverified"][0]["exitCode"], 10);
    home.nanohost(["list", "--tool", "issue_refund"]).exits(10).says("1 of 2 could not be verified");
    // Nobody is asked to trust the evidence for a plain list.
    home.nanohost(["list"]).exits(0);
}

#[test]
fn without_runs_there_is_nothing_to_verify() {
    let home = Home::new();
    let listed = home.nanohost(["list", "--json", "--denied"]).exits(0).json();
    assert_eq!(listed["runs"], serde_json::json!([]));
    assert!(fs::metadata(home.store()).is_err(), "looking makes no store");
}
