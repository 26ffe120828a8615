//! The first day: a project, a look at the machine, what a code means.

use std::fs;
use std::path::Path;

use crate::harness::{Home, symlink};

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn a_new_project_is_ready_to_run() {
    let home = Home::new();
    let folder = home.path("mine");
    home.nanohost(["init", text(&folder)]).exits(0).says("nanohost trust");
    home.nanohost(["init", text(&folder), "--json"]).finds(2, "already_there");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("new-tool");
    fs::create_dir_all(&target).expect("the target directory is writable");
    symlink(&target, &folder.join("tools/word-count/target"));

    let program = folder.join("program.toml");
    home.nanohost(["run", text(&program), "--json"]).finds(2, "unbuilt_tool");
    home.nanohost(["trust", text(&folder)]).exits(0);
    home.nanohost(["test", text(&folder)]).exits(0).says("4 passed, 0 failed");
    let run = home.nanohost(["run", text(&program), "--input", "text=a bb ccc", "--json"]).exits(0).json();
    assert_eq!(run["outcome"], "long", "{run:#}");
    home.nanohost(["verify", run["run"].as_str().expect("an id")]).exits(0);
    home.nanohost(["policy", "check", text(&folder.join("policies/local.toml"))]).exits(0);
    home.nanohost(["tool", "lint", text(&folder.join("tools/word-count")), "--strict"]).exits(0);
}

#[test]
fn every_code_is_explained() {
    let home = Home::new();
    home.nanohost(["explain", "unbuilt_tool"]).exits(0).says("Remedy:").says("error; Tools on disk");
    let all = home.nanohost(["explain", "--json"]).exits(0).json();
    assert!(all.as_array().expect("a list").len() > 200);
    let one = home.nanohost(["explain", "root_folder", "--json"]).exits(0).json();
    assert_eq!(one["severity"], "warning");
    home.nanohost(["explain", "unbuild_tool", "--json"]).finds(2, "unknown_code");
    home.nanohost(["explain"]).exits(0).says("not_granted");
}

#[test]
fn a_look_at_the_machine() {
    let home = Home::new();
    let told = home.nanohost(["doctor", "--json"]).exits(0).json();
    let state = |what: &str| {
        let found = told["found"].as_array().expect("a list").iter().find(|own| own["what"] == what);
        found.unwrap_or_else(|| panic!("{what} in {told:#}"))["state"].clone()
    };
    assert_eq!([state("sandbox"), state("store"), state("rust")], ["good", "good", "good"]);
    home.nanohost(["doctor"]).exits(0).says("made by the first run").says("nothing is granted");
    // What cannot go on like this is said, and is the exit code.
    home.write("store/nanohost.db", "no database");
    home.write("policies/local.toml", "no policy");
    let done = home.nanohost(["doctor"]).exits(5);
    assert!(done.stdout.lines().any(|line| line.starts_with("broken") && line.contains("policy")), "{done}");
}

#[test]
fn every_command_has_a_man_page() {
    let home = Home::new();
    let folder = home.path("man");
    home.nanohost(["man", text(&folder)]).exits(0);
    for page in ["nanohost.1", "nanohost-tool-inspect.1", "nanohost-run.1"] {
        let page = fs::read_to_string(folder.join(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
        assert!(page.contains(".SH NAME"), "{page}");
    }
}
