//! Whole programs, tried as the cases beside them say.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Done, Home, built_component, built_tools};
use crate::tool::Project;

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn the_cases_of_the_refund_example_pass_and_leave_nothing() {
    let home = Home::new();
    let examples = home.examples();
    let folder = examples.path("refund");
    // Somebody may have run the example before.
    let letters = || {
        let entries = fs::read_dir(examples.path("refund/letters")).expect("it is there").flatten();
        entries.map(|entry| entry.file_name()).collect::<std::collections::BTreeSet<_>>()
    };
    let before = letters();
    let junit = home.path("junit.xml");
    let done = home.nanohost(["test", text(&folder), "--junit", text(&junit), "--json"]).exits(0);
    assert_eq!(done.json()["passed"], 4, "{done}");
    assert!(fs::read_to_string(junit).expect("it was written").contains("tests=\"4\""));
    assert_eq!(letters(), before, "no letter was written");
    assert!(!home.store().exists(), "nothing was recorded");
}

#[test]
fn what_comes_out_otherwise_is_told() {
    let home = Home::new();
    let project = Project::new(&home);
    let check = |lines: &str, exit: i32, wrong: &[&str]| -> Done {
        home.write("own/add.cases.toml", lines);
        let done = home.nanohost(["test", text(&project.path("")), "--json"]).exits(exit);
        assert_eq!(done.failed_cases(), wrong, "{done}");
        done
    };
    check("[[case]]\nname = \"a sum\"\noutput = 42\npath = [\"call\"]\noutcome = \"called\"\n", 0, &[]);
    check(
        r#"[[case]]
name = "another sum"
output = 41
[[case]]
name = "another end"
status = "failed"
[[case]]
name = "another outcome"
outcome = "none"
[[case]]
name = "another path"
path = ["call", "call"]
[[case]]
name = "a refusal"
denied = ["call kv ledger"]
"#,
        1,
        &["another sum", "another end", "another outcome", "another path", "a refusal"],
    );
    let told = home.nanohost(["test", text(&project.path("add.cases.toml"))]).exits(1);
    told.says("the output is 42, not 41").says("0 passed, 5 failed");

    // Stand-ins: by their arguments, with each way to end.
    let stand_in = |gives: &str| format!("[[case.tool]]\nname = \"ledger\"\nargs = {{ a = 40 }}\n{gives}\n");
    check(&format!("[[case]]\nname = \"n\"\noutput = 7\n{}", stand_in("output = 7")), 0, &[]);
    check(
        &format!("[[case]]\nname = \"n\"\nstatus = \"suspended\"\n{}", stand_in("waits = \"for you\"")),
        0,
        &[],
    );
    let fails = stand_in("fails = \"rejected\"\nmessage = \"no\"");
    check(&format!("[[case]]\nname = \"n\"\nstatus = \"failed\"\nerror = \"step_failed\"\n{fails}"), 0, &[]);
    let other = stand_in("output = 7").replace("40", "41");
    check(&format!("[[case]]\nname = \"n\"\noutput = 42\n{other}"), 0, &[]);
}

#[test]
fn entries_last_as_long_as_a_run_and_refusals_are_seen() {
    let home = Home::new();
    let project = Project::new(&home);
    let case = "[[case]]\nname = \"booked\"\noutput = 0\n[[case]]\nname = \"and again\"\noutput = 0\n";
    home.write("own/book.cases.toml", case);
    home.nanohost(["test", text(&project.path("book.cases.toml"))]).exits(0).says("2 passed, 0 failed");
    // Without its row the program is not admitted, which a case can expect.
    home.write("own/policies/local.toml", "");
    home.nanohost(["test", text(&project.path("book.cases.toml"))]).exits(1).says("not_admitted");
    let case = "[[case]]\nname = \"n\"\nstatus = \"not_admitted\"\ndenied = [\"ledger not_granted\"]\n";
    home.write("own/book.cases.toml", case);
    let done = home.nanohost(["test", text(&project.path("book.cases.toml")), "--json"]).exits(0).json();
    assert_eq!(done["cases"][0]["denied"], json!(["ledger not_granted"]));
}

#[test]
fn cases_that_cannot_be_run_are_told_at_their_place() {
    let home = Home::new();
    let project = Project::new(&home);
    home.nanohost(["test", text(&project.path("")), "--json"]).finds(2, "no_cases");
    let usage = |file: &str, lines: &str, code: &str| {
        home.write(format!("own/{file}"), lines);
        let done = home.nanohost(["test", text(&project.path(file)), "--json"]).finds(2, code);
        assert_ne!(done.json()["findings"][0]["place"], Value::Null, "{done}");
    };
    let case = "[[case]]\nname = \"n\"\n";
    usage("add.cases.toml", &format!("{case}[[case.tool]]\nname = \"none\"\noutput = 1\n"), "unknown_tool");
    usage("add.cases.toml", &format!("{case}inputs = {{ x = 1 }}\n"), "unknown_input");
    usage("none.cases.toml", case, "unreadable_file");
    // A letter would be written, and nobody stands in for who writes it.
    let examples = home.examples();
    let request = "[[case]]\nname = \"n\"\ninputs = { request = \"When do you open?\" }\n";
    let file = examples.path("refund/program.cases.toml");
    fs::write(&file, request).expect("it is a copy");
    home.nanohost(["test", text(&file), "--json"]).finds(2, "needs_stand_in");
}

/// What a stranger's cases can show: a tool that reads, under the policy beside it.
#[test]
fn a_policy_that_nobody_trusts_shows_a_test_nothing_outside_of_its_project() {
    let home = Home::new();
    let tool = built_tools().join("read-folder");
    home.nanohost(["tool", "inspect", text(&tool)]).exits(0);
    home.write(
        "clone/reader/component.wasm",
        fs::read(built_component("read_folder")).expect("it was built"),
    );
    home.write("clone/reader/manifest.toml", fs::read(tool.join("manifest.toml")).expect("it is there"));
    home.write("private/note.txt", "to nobody");
    home.write("clone/open/note.txt", "to everybody");
    home.write(
        "clone/program.toml",
        "name = \"p\"\n\n[tools.read]\npath = \"reader\"\n\n[[steps]]\nid = \"show\"\ntype = \"tool\"\ntool = \"read\"\n\
         args = { path = \"note.txt\" }\nis_terminal = true\n",
    );
    let policy = |folder: &str| {
        let lines = format!(
            "[[permit]]\nid = \"r\"\nreason = \"tests\"\nowner = \"tests\"\ntool = \"read-folder\"\n\
             filesystem = [{{ guest = \"/folder\", access = \"read\" }}]\n\n[folders.read-folder]\n\"/folder\" = \"{folder}\"\n"
        );
        home.write("clone/policies/local.toml", lines)
    };
    let case = |output: &str| {
        let case = format!("[[case]]\nname = \"n\"\noutput = \"{output}\"\n");
        home.write("clone/program.cases.toml", case);
    };
    let folder = home.path("clone");
    policy("../open");
    case("to everybody");
    home.nanohost(["test", text(&folder)]).exits(0).says("1 passed");
    let outside = policy("../../private");
    case("to nobody");
    let done = home.nanohost(["test", text(&folder), "--json"]).finds(2, "folder_outside_project");
    done.omits("to nobody");
    // Cases name policies too, and are a stranger's as well.
    home.write(
        "clone/program.cases.toml",
        "[[case]]\nname = \"n\"\npolicy = \"other.toml\"\noutput = \"to nobody\"\n",
    );
    let named = || home.nanohost(["test", text(&folder), "--json"]).exits(2);
    home.write(
        "clone/other.toml",
        fs::read_to_string(&outside).expect("it is there").replace("../../", "../"),
    );
    named().says("folder_outside_project");
    case("to nobody");
    // Whoever read the policy says so.
    home.nanohost(["trust", text(&folder)]).exits(0);
    home.nanohost(["test", text(&folder)]).exits(0).says("1 passed");
}
