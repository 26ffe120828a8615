//! `program.lock`: what is pinned is what runs, and nothing but `nanohost update` moves it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::{Done, Home};
use crate::tool::{MANIFEST, Project, component};

/// `nanohost COMMAND own/PROGRAM … --json`, under the project's policy where the command takes one.
fn on(project: &Project<'_>, command: &str, program: &str, more: &[&str]) -> Done {
    let mut line = project.home.command([command]);
    line.arg(project.path(program)).arg("--json").args(more);
    if command != "update" {
        line.arg("--policy").arg(project.path("policies/local.toml"));
    }
    Done::of(line)
}

fn lock(project: &Project<'_>, name: &str) -> PathBuf {
    project.path(name).with_extension("lock")
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).expect("the lock was written")
}

/// The names in a folder.
fn names(project: &Project<'_>, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(project.path(folder)).expect("a folder");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_run_writes_no_lock_and_update_does() {
    let home = Home::new();
    let project = Project::new(&home);
    let before = names(&project, "");
    on(&project, "run", "book.toml", &[]).exits(0);
    assert_eq!(names(&project, ""), before);
    // Pinned is wanted, and nothing is.
    on(&project, "run", "book.toml", &["--locked"]).finds(2, "lock_missing");
    let suggested = on(&project, "plan", "book.toml", &["--locked"]).finds(2, "lock_missing").suggests();
    assert_eq!(names(&project, ""), before);

    home.nanohost(suggested).exits(0).says("is pinned: ledger 1.0.0").says("asks for kv ledger");
    let written = text(&lock(&project, "book.toml"));
    assert!(written.contains("[tools.ledger]\npath = \"tools/ledger\"\n"), "{written}");
    on(&project, "run", "book.toml", &["--locked"]).exits(0);
    on(&project, "run", "book.toml", &[]).exits(0);
    on(&project, "plan", "book.toml", &["--locked"]).exits(0);
    // Again, nothing moves and nothing is written.
    let document = on(&project, "update", "book.toml", &[]).exits(0).json();
    assert_eq!((&document["written"], &document["changes"]), (&false.into(), &serde_json::json!([])));
    assert_eq!(text(&lock(&project, "book.toml")), written);
}

#[test]
fn what_is_not_what_the_lock_pins_does_not_run() {
    let home = Home::new();
    let project = Project::new(&home);
    on(&project, "update", "book.toml", &[]).exits(0);
    let pinned = text(&lock(&project, "book.toml"));
    let runs = home.runs().len();
    let manifest = "own/tools/ledger/manifest.toml";
    let program = fs::read_to_string(project.path("book.toml")).expect("it was written");

    // The manifest, though it asks for nothing more; with and without --locked.
    home.write(manifest, format!("{MANIFEST}\n# changed\n"));
    for more in [&[][..], &["--locked"]] {
        let done = on(&project, "run", "book.toml", more).finds(2, "lock_mismatch");
        let document = done.json();
        let message = document["findings"][0]["message"].as_str().expect("a message");
        assert_eq!(message.matches("sha256:").count(), 2, "both digests are shown: {message}");
        let line = pinned.lines().position(|line| line.starts_with("manifest")).expect("a pin") + 1;
        assert_eq!(document["findings"][0]["place"]["line"], line, "{document:#}");
        assert_eq!(&done.suggests()[..1], ["update"]);
    }
    on(&project, "plan", "book.toml", &[]).finds(2, "lock_mismatch");
    let explain = ["policy".into(), "explain".into(), project.path("book.toml").display().to_string()];
    let more = ["ledger", "kv", "ledger", "--json"].map(str::to_owned);
    home.nanohost(explain.iter().chain(&more)).finds(2, "lock_mismatch");
    home.write(manifest, MANIFEST);
    on(&project, "run", "book.toml", &[]).exits(0);

    // Another folder, with the very same tool in it.
    home.write("own/tools/twin/component.wasm", component());
    home.write("own/tools/twin/manifest.toml", MANIFEST);
    home.write("own/book.toml", program.replace("tools/ledger", "tools/twin"));
    on(&project, "run", "book.toml", &[]).finds(2, "lock_mismatch");
    // Another function of the same tool.
    home.write("own/book.toml", program.replace("\"book\"", "\"fault-at-first\""));
    on(&project, "run", "book.toml", &[]).finds(2, "lock_mismatch");
    // One tool more, and another name for it.
    home.write(
        "own/book.toml",
        format!("{program}\n[tools.more]\npath = \"tools/ledger\"\nfunction = \"add\"\n"),
    );
    on(&project, "run", "book.toml", &[]).finds(2, "lock_mismatch");
    home.write(
        "own/book.toml",
        program.replace("tools.ledger", "tools.books").replace("\"ledger\"", "\"books\""),
    );
    let found = on(&project, "run", "book.toml", &[]).finds(2, "lock_mismatch").json();
    assert_eq!(found["findings"].as_array().map(Vec::len), Some(2), "{found:#}");
    home.write("own/book.toml", &program);
    on(&project, "run", "book.toml", &["--locked"]).exits(0);

    assert_eq!(text(&lock(&project, "book.toml")), pinned, "nothing but update writes it");
    assert_eq!(home.runs().len(), runs + 2, "what was refused left no run behind");
}

#[test]
fn another_build_of_the_same_interface_is_the_same_pin() {
    let home = Home::new();
    let project = Project::new(&home);
    on(&project, "update", "add.toml", &[]).exits(0);
    let wasm = project.path("tools/ledger/component.wasm");
    let mut bytes = fs::read(&wasm).expect("it was written");
    // A custom section: another component by its digest, the same by what it does.
    bytes.extend([0, 3, 1, b'x', b'y']);
    fs::write(&wasm, &bytes).expect("it can be written");
    on(&project, "run", "add.toml", &["--locked"]).exits(0);
    // Another schema is another interface.
    let text = wat::parse_str(
        r#"(component (core module $m (func (export "add") (param i64 i64) (result i64) (i64.add (local.get 0) (local.get 1))))
            (core instance $m (instantiate $m))
            (func (export "add") (param "a" u64) (param "b" u64) (result u64) (canon lift (core func $m "add"))))"#,
    );
    fs::write(&wasm, text.expect("a component")).expect("it can be written");
    let done = on(&project, "run", "add.toml", &[]).finds(2, "lock_mismatch");
    done.says("schema of the arguments").says("schema of the result");
}

#[test]
fn update_moves_what_it_is_told_to_and_says_what_widens() {
    let home = Home::new();
    let project = Project::new(&home);
    let program = fs::read_to_string(project.path("book.toml")).expect("it was written");
    home.write("own/tools/twin/component.wasm", component());
    home.write("own/tools/twin/manifest.toml", MANIFEST);
    home.write(
        "own/book.toml",
        format!("{program}\n[tools.twin]\npath = \"tools/twin\"\nfunction = \"book\"\n"),
    );
    let path = lock(&project, "book.toml");
    // One tool alone would leave the other unpinned.
    on(&project, "update", "book.toml", &["twin"]).finds(2, "lock_missing");
    on(&project, "update", "book.toml", &[]).exits(0);
    let pinned = text(&path);

    let more = MANIFEST.replace("kv = [\"ledger\"]", "kv = [\"ledger\", \"other\"]\nclock = \"real\"");
    for tool in ["ledger", "twin"] {
        home.write(format!("own/tools/{tool}/manifest.toml"), &more);
    }
    // Looking changes nothing.
    let document = on(&project, "update", "book.toml", &["--dry-run"]).exits(1).json();
    assert_eq!(document["written"], false);
    assert_eq!(document["changes"].as_array().map(Vec::len), Some(6), "{document:#}");
    assert_eq!(text(&path), pinned);

    on(&project, "update", "book.toml", &["nothing"]).finds(2, "unknown_tool");
    let document = on(&project, "update", "book.toml", &["twin"]).exits(0).json();
    let changes = document["changes"].as_array().expect("a list");
    assert!(changes.iter().all(|own| own["tool"] == "twin"), "{document:#}");
    let widened: Vec<&str> = changes
        .iter()
        .filter(|own| own["change"] == "widened")
        .filter_map(|own| own["after"].as_str())
        .collect();
    assert_eq!(widened, ["clock real", "kv other"]);
    assert_eq!(document["findings"][0]["code"], "lock_mismatch", "the other one still differs: {document:#}");
    assert_ne!(text(&path), pinned);
    on(&project, "plan", "book.toml", &[]).finds(2, "lock_mismatch");

    let program = project.path("book.toml").display().to_string();
    let done = home.nanohost(["update", &program]).exits(0);
    done.says("ledger\n").says("widened: its manifest asks for clock real").says("wrote ");
    // The other way round it narrows.
    home.write("own/tools/twin/manifest.toml", MANIFEST);
    home.nanohost(["update", &program]).exits(0).says("narrowed: its manifest asks no longer for kv other");
}

#[test]
fn a_lock_that_is_none_refuses_the_program() {
    let home = Home::new();
    let project = Project::new(&home);
    on(&project, "update", "book.toml", &[]).exits(0);
    let path = lock(&project, "book.toml");
    let pinned = text(&path);
    for (broken, code) in [
        (pinned.replace("format = 1", "format = 2"), "invalid_field"),
        (pinned.replace("function =", "functions ="), "invalid_field"),
        (format!("{pinned}publisher = \"x\"\n"), "invalid_field"),
        (pinned[..pinned.len() - 3].to_owned(), "not_toml"),
        (format!("{pinned}# {}\n", " ".repeat(5 << 20)), "invalid_lock"),
    ] {
        fs::write(&path, broken).expect("it can be written");
        on(&project, "run", "book.toml", &[]).finds(2, code);
        on(&project, "update", "book.toml", &[]).finds(2, code);
    }
    fs::remove_file(&path).expect("it is there");
    let outside = home.write("outside.lock", &pinned);
    crate::harness::symlink(&outside, &path);
    on(&project, "run", "book.toml", &[]).finds(2, "invalid_lock");
    fs::remove_file(&path).expect("it is there");
    crate::harness::symlink(&home.path("nowhere"), &path);
    on(&project, "run", "book.toml", &[]).finds(2, "invalid_lock");
    fs::remove_file(&path).expect("it is there");
    fs::write(&path, &pinned).expect("it can be written");
    on(&project, "run", "book.toml", &["--locked"]).exits(0);
    assert!(home.runs().iter().all(|run| run["state"] == "success"), "{:?}", home.runs());
}
