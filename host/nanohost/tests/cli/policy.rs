//! `nanohost policy`: what a reviewer reads before a policy is merged.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::harness::{Done, Home, built_tools, repository};

/// `nanohost policy …` of a user who has nothing yet.
fn policy(home: &Home, args: &[&str]) -> Done {
    home.nanohost([&["policy"], args].concat())
}

/// A file of the repository.
fn file(path: &str) -> String {
    built_tools();
    repository().join(path).display().to_string()
}

/// The policy of the examples in another file, changed, where its folders are still the repository's.
fn changed(home: &Home, name: &str, change: impl Fn(String) -> String) -> String {
    let text =
        fs::read_to_string(repository().join("policies/local.toml")).expect("a file of the repository");
    let examples = repository().join("examples");
    let text = text.replace("\"../examples", &format!("\"{}", examples.display()));
    home.write(format!("{name}.toml"), change(text)).display().to_string()
}

const REFUND: &str = "examples/refund/program.toml";

#[test]
fn of_the_policy_of_the_examples_only_what_is_to_be_idle_is() {
    let home = Home::new();
    let local = file("policies/local.toml");
    let document = policy(&home, &["check", &local, "--json"]).finds(0, "unused_rule").json();
    let message = document["findings"][0]["message"].as_str().unwrap_or_default();
    // It is there to show that a grant does not make up for what a manifest does not declare.
    assert!(message.contains("rates-server-undeclared"), "{document:#}");
    assert_eq!(document["findings"].as_array().map(Vec::len), Some(1), "{document:#}");
    assert!(document["programs"].as_array().is_some_and(|programs| programs.len() > 5), "{document:#}");
    policy(&home, &["check", &local, "--strict"]).exits(1).says("is sound").says("1 warning\n");
}

#[test]
fn what_is_wrong_idle_or_wide_is_told() {
    let home = Home::new();
    let broken = home.write("broken.toml", "[[permit]]\nid = \"a\"\nkvs = [\"x\"]\n[[permit]]\nid = \"a\"\n");
    let broken = broken.display().to_string();
    let done = policy(&home, &["check", &broken, "--json"]).finds(2, "unknown_field");
    assert_eq!(done.json()["findings"].as_array().map(Vec::len), Some(2), "{done}");

    let wide = changed(&home, "wide", |text| text.replacen("access = \"read\"", "access = \"write\"", 1));
    let programs = file("examples");
    let with = |more| policy(&home, &["check", &wide, "--programs", &programs, more]);
    with("--json").finds(0, "wide_rule");
    with("--strict").exits(1).says("wide_rule").says("2 warnings");

    // A program that cannot be read is told of; it does not make rows look idle in silence.
    let folder = home.write("programs/broken.toml", "steps = []\n");
    let folder = folder.parent().expect("it lies in one").display().to_string();
    policy(&home, &["check", &wide, "--programs", &folder, "--json"]).finds(0, "program_passed_by");
    policy(&home, &["check", "none.toml", "--json"]).finds(2, "unreadable_file");
}

#[test]
fn an_explanation_names_the_lines_that_decide() {
    let home = Home::new();
    let ask = |tool: &str, words: &[&str]| {
        let (program, local) = (file(REFUND), file("policies/local.toml"));
        policy(&home, &[&["explain", &program, tool], words, &["--policy", &local]].concat()).exits(0)
    };
    ask("issue_refund", &["kv", "ledger"])
        .says("granted: ")
        .says("tools/issue-refund/manifest.toml:")
        .says("policies/local.toml:")
        .says("kv = [\"ledger\"]")
        .says("row `refund-ledger` permits it")
        .says("$args.amount_cents <= 50000");
    ask("issue_refund", &["filesystem", "/data", "write"])
        .says("denied: ")
        .says("does not ask for it")
        .says("imports nothing of filesystem")
        .says("add to ");
    let document = ask("issue-refund", &["kv", "other", "--json"]).json();
    assert_eq!(document["verdict"], "denied");
    assert_eq!(document["nearest"][0]["rule"], "refund-ledger");
    assert_eq!(document["nearest"][0]["why"], "it permits kv ledger only");
    assert_eq!(document["remedies"].as_array().map(Vec::len), Some(2));

    let program = file(REFUND);
    policy(&home, &["explain", &program, "issue_refund", "kv", "Bad Name", "--json"])
        .finds(2, "bad_question");
    policy(&home, &["explain", &program, "nobody", "kv", "ledger", "--json"]).finds(2, "unknown_tool");
}

#[test]
fn requests_are_explained() {
    let home = Home::new();
    let (program, own) =
        (file("examples/http-refund/program.toml"), file("examples/http-refund/policy.toml"));
    let ask = |words: &[&str]| {
        let tool = ["explain", &program, "refund-api"];
        policy(&home, &[&tool[..], words, &["--policy", &own, "--json"]].concat()).exits(0).json()
    };
    // Without a method, one that the tool asks for.
    for (class, words, expect) in [
        ("http", &["http://127.0.0.1:8379/v1/refunds"][..], "granted"),
        ("http", &["GET", "http://127.0.0.1:8379/v1/refunds"], "denied"),
        ("http", &["http://127.0.0.1:8379/v1/orders"], "denied"),
        ("secrets", &["refund-key", "http://127.0.0.1:8379/v1/refunds"], "granted"),
        ("secrets", &["refund-key", "https://evil.example.com/"], "denied"),
        ("env", &["REFUND_API"], "granted"),
    ] {
        let document = ask(&[&[class], words].concat());
        assert_eq!(document["verdict"], expect, "{class} {words:?}: {document:#}");
    }
}

#[test]
fn a_change_that_widens_exits_with_one() {
    let home = Home::new();
    let (local, program) = (changed(&home, "local", |text| text), file(REFUND));
    let diff = |old: &str, new: &str, more: &[&str]| {
        policy(&home, &[&["diff", old, new, "--programs", program.as_str()], more].concat())
    };
    diff(&local, &local, &[]).exits(0).says("nothing widens").says("unchanged");
    let higher = changed(&home, "higher", |text| text.replace("<= 50000\"", "<= 90000\""));
    diff(&local, &higher, &[]).exits(1).says("changed: review").says("$args.amount_cents <= 90000");
    let less = changed(&home, "less", |text| text.replacen("kv = [\"ledger\"]\n", "", 1));
    diff(&local, &less, &[]).exits(0).says("removed").says("kv ledger").says("nothing widens");
    let document = diff(&less, &local, &["--json"]).exits(1).json();
    let added = |items: &Value| {
        items.as_array().is_some_and(|items| items.iter().any(|item| item["after"] == "kv ledger"))
    };
    assert!(document["widens"] == true && added(&document["grants"]), "{document:#}");
    diff(&less, &local, &["--markdown"])
        .exits(1)
        .says("| **added** ⚠ | `customer_refund` | `issue_refund` |");

    let nothing = home.path("store-to-be");
    fs::create_dir_all(&nothing).expect("the folder is writable");
    // What cannot be read is named, all of it at once, and nothing is said of the rest.
    let broken = home.write("broken/one/program.toml", "steps = []\n");
    home.write("broken/two/program.toml", "name = \"two\"\nsteps = [1]\n");
    let folder = broken.ancestors().nth(2).expect("it lies in one").display().to_string();
    policy(&home, &["diff", &local, &local, "--programs", &folder])
        .exits(2)
        .says("program_not_compared")
        .says("one/program.toml cannot be held against")
        .says("two/program.toml cannot be held against")
        .omits("nothing widens");
    let nothing = nothing.display().to_string();
    policy(&home, &["diff", &local, &local, "--programs", &nothing, "--json"]).finds(2, "no_programs");
}

#[test]
fn the_policy_of_the_examples_passes_its_tests() {
    let home = Home::new();
    let cases = file("policies/local.tests.toml");
    let document = policy(&home, &["test", &cases, "--json"]).exits(0).json();
    assert_eq!(document["failed"], 0, "{document:#}");

    // Under another policy they fail, each by its name.
    let less = changed(&home, "less", |text| text.replacen("kv = [\"ledger\"]\n", "", 1));
    policy(&home, &["test", &cases, "--policy", &less])
        .exits(1)
        .says("FAIL  the refund desk books into its ledger: kv ledger is denied by no row, not granted")
        .says("pass  orders are read")
        .says("1 failed");
    let renamed = changed(&home, "renamed", |text| text.replace("\"refund-ledger\"", "\"renamed\""));
    policy(&home, &["test", &cases, "--policy", &renamed]).exits(1).says("not by refund-ledger");

    let wrong: PathBuf = home.write("wrong.tests.toml", "[[case]]\nname = \"n\"\n");
    let wrong = wrong.display().to_string();
    policy(&home, &["test", &wrong, "--policy", &less, "--json"]).finds(2, "invalid_field");
}
