//! What every command has: help, completions, quiet pipes, no colour where nobody wants it.

use std::io::Read as _;
use std::process::{Command, Stdio};

use nanohost_core::PublicKey;
use snapbox::assert_data_eq;
use snapbox::data::DataFormat;

use crate::harness::{Done, Home};
use crate::tool::Project;

/// The help of a command and of all that stand below it, compared with files: those that its help
/// lists. `SNAPSHOTS=overwrite` writes the files.
#[track_caller]
fn help(name: &str, command: &[&str]) -> usize {
    let done = Home::new().nanohost([command, &["--help"]].concat()).exits(0);
    let path = format!("{}/tests/cli/help/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let expected = snapbox::Data::read_from(std::path::Path::new(&path), Some(DataFormat::Text));
    let listed = done.stdout.split("\nCommands:\n").nth(1).into_iter().flat_map(|rest| {
        // Up to the empty line; a line that goes on is indented further.
        let names =
            rest.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.strip_prefix("  "));
        names.filter(|name| !name.starts_with(' ')).filter_map(|name| name.split(' ').next())
    });
    let below: Vec<String> = listed.filter(|name| *name != "help").map(str::to_owned).collect();
    assert_data_eq!(done.stdout, expected.raw());
    let mut count = 1;
    for name_below in &below {
        let file = if command.is_empty() { name_below.clone() } else { format!("{name}-{name_below}") };
        count += help(&file, &[command, &[name_below.as_str()]].concat());
    }
    count
}

#[test]
fn every_command_helps() {
    let count = help("nanohost", &[]);
    // A file for each, and none for what is gone.
    let files =
        std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/help")).expect("it is there");
    assert_eq!(files.count(), count);
    Home::new().nanohost(["--version"]).exits(0).says(env!("CARGO_PKG_VERSION"));
}

#[test]
fn wrong_usage_is_json_where_json_is_asked_for() {
    let home = Home::new();
    for wrong in [&["run", "--json"][..], &["verify", "x", "--no-such", "--json"], &["--json"]] {
        home.nanohost(wrong).finds(2, "wrong_usage");
    }
    let done = home.nanohost(["run"]).exits(2);
    assert!(done.stdout.is_empty() && done.stderr.contains("Usage"), "{done}");
    home.nanohost(["run", "--json", "--help"]).exits(0).says("Usage");
}

#[test]
fn every_shell_completes() {
    for shell in ["bash", "zsh", "fish"] {
        let done = Home::new().nanohost(["completions", shell]).exits(0);
        assert!(done.stdout.len() > 1000 && done.stdout.contains("verify"), "{done}");
    }
    Home::new().nanohost(["completions", "dos"]).exits(2);
}

#[test]
fn the_public_key_is_a_public_key() {
    let home = Home::new();
    let pem = home.nanohost(["key", "show", "--public"]).exits(0).stdout;
    let key = PublicKey::from_spki_pem(&pem).expect("other programs read it");
    let document = home.nanohost(["key", "show", "--json"]).exits(0).json();
    assert_eq!(document["keyId"].as_str(), Some(key.key_id().to_string().as_str()));
    assert_eq!(document["pem"].as_str(), Some(pem.as_str()));
    let file = std::fs::read_to_string(document["public"].as_str().expect("a path")).expect("it is there");
    assert_eq!(file, pem);
    home.nanohost(["key", "show"]).exits(0).omits("PRIVATE KEY");
}

#[test]
fn a_first_run_tells_of_its_key_once() {
    let home = Home::new();
    let project = Project::new(&home);
    project.run("add.toml").exits(0).says("made a development key");
    project.run("add.toml").exits(0).omits("made a development key");
}

#[test]
fn colour_is_where_it_is_wanted() {
    let home = Home::new();
    let project = Project::new(&home);
    let args: Vec<String> = project.args("add.toml").into_iter().filter(|arg| arg != "--json").collect();
    home.nanohost(&args).exits(0).omits("\u{1b}[");
    let mut command = home.command(&args);
    command.args(["--color", "always"]);
    Done::of(command).exits(0).says("\u{1b}[");
    let mut command = home.command(&args);
    command.args(["--color", "never"]).env_remove("NO_COLOR");
    Done::of(command).exits(0).omits("\u{1b}[");
}

/// Runs a command whose standard output is closed after `bytes` bytes.
fn closed_early(home: &Home, args: &[&str], bytes: usize) {
    let mut command: Command = home.command(args);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("nanohost starts");
    let mut stdout = child.stdout.take().expect("it is a pipe");
    let mut seen = vec![0; bytes];
    stdout.read_exact(&mut seen).expect("there is that much to read");
    drop(stdout);
    let output = child.wait_with_output().expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("panicked") && !stderr.contains("roken pipe"), "{args:?}: {stderr}");
    assert_eq!(output.status.code(), Some(0), "{args:?}: {stderr}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let home = Home::new();
    let document = Project::new(&home).run("book.toml").exits(0).json();
    let run = document["run"].as_str().expect("an id");
    let program = home.path("own/book.toml");
    let program = program.to_str().expect("UTF-8");
    for args in [
        &["list"][..],
        &["list", "--json"],
        &["trace", run],
        &["trace", run, "--json"],
        &["receipt", run],
        &["verify", run],
        &["verify", run, "--json"],
        &["run", program, "--policy", "own/policies/local.toml"],
        &["run", program, "--json", "--policy", "own/policies/local.toml"],
        &["plan", program],
        &["check", program],
        &["key", "show"],
        &["completions", "bash"],
        &["completions", "zsh"],
        &["--help"],
    ] {
        // Nothing at all is read, or a first byte.
        closed_early(&home, args, 0);
        closed_early(&home, args, 1);
    }
}

#[test]
fn what_a_tool_says_cannot_move_the_cursor() {
    let home = Home::new();
    home.examples()
        .run("refund/program.toml", &["--input", "order_id=\u{1b}[2Jx\u{202e}"])
        .exits(1)
        .omits("\u{1b}")
        .omits("\u{202e}");
}
