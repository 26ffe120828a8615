//! The commands of the documents, run as they stand there. In a fence called `console`, each line
//! that begins with `$ ` is a command of nanohost; `# exit 3` at its end is the exit code it has to
//! end with, 0 unless it says so. The lines below it have to come in its output, in that order;
//! times, digests and paths may differ, and lines may be left out.
//!
//! A short id of a run stands for the run that was the newest when the id first came up.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

const PREFIX: &str = "cargo run --release -- ";

fn root() -> PathBuf {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    Path::new(root).canonicalize().expect("the tests run where they were built")
}

/// A reader of one document, with a store and a configuration of their own, in a folder from which
/// the repository looks as it does from its root.
struct Reader {
    folder: TempDir,
    /// The runs that the ids of the document stand for.
    runs: HashMap<String, String>,
}

/// One command of a document.
struct Told {
    line: usize,
    arguments: Vec<String>,
    exit: i32,
    output: Vec<String>,
}

impl Reader {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("the temporary folder is writable");
        for name in ["examples", "policies", "tools", "guest-sdk"] {
            let link = folder.path().join(name);
            #[cfg(unix)]
            std::os::unix::fs::symlink(root().join(name), link).expect("the folder is writable");
            #[cfg(windows)]
            std::os::windows::fs::symlink_dir(root().join(name), link).expect("the folder is writable");
        }
        Self { folder, runs: HashMap::new() }
    }

    fn run(&self, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nanohost"));
        command.args(arguments.into_iter().map(Into::into)).current_dir(self.folder.path());
        command.env("NANOHOST_STORE", self.folder.path().join("store"));
        command.env("NANOHOST_CONFIG", self.folder.path().join("config"));
        command.env("NO_COLOR", "1").env_remove("NANOHOST_POLICY").env_remove("COLUMNS");
        command.output().expect("nanohost starts")
    }

    /// The newest run of the store.
    fn newest(&self) -> String {
        let listed = self.run(["list", "--json"]);
        let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).expect("list gives JSON");
        listed["runs"][0]["run"].as_str().expect("something has run").to_owned()
    }

    /// The arguments, with the ids of the document as those of this store.
    fn arguments(&mut self, told: &Told) -> Vec<String> {
        let is_id = |word: &str| word.len() == 12 && word.bytes().all(|b| b.is_ascii_hexdigit());
        told.arguments
            .iter()
            .map(|word| match (is_id(word), self.runs.get(word)) {
                (false, _) => word.clone(),
                (true, Some(run)) => run.clone(),
                (true, None) => {
                    let run = self.newest();
                    self.runs.insert(word.clone(), run.clone());
                    run
                }
            })
            .collect()
    }
}

/// The words of a command line with quotes, without its comment.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let (mut quote, mut open) = (None, false);
    for c in line.chars() {
        match (quote, c) {
            (None, '"' | '\'') => {
                quote = Some(c);
                if !open {
                    words.push(String::new());
                    open = true;
                }
            }
            (Some(own), c) if own == c => quote = None,
            (None, ' ') => open = false,
            (None, '#') if !open => break,
            (_, c) => {
                if !open {
                    words.push(String::new());
                    open = true;
                }
                words.last_mut().expect("a word is open").push(c);
            }
        }
    }
    words
}

fn told(page: &str) -> Vec<Told> {
    let mut all: Vec<Told> = Vec::new();
    let mut inside = false;
    for (line, text) in (1..).zip(page.lines()) {
        if let Some(fence) = text.trim_start().strip_prefix("```") {
            inside = !inside && fence == "console";
        } else if inside && let Some(command) = text.strip_prefix("$ ") {
            let command = command.strip_prefix(PREFIX);
            let command = command.unwrap_or_else(|| panic!("line {line}: a command begins with `{PREFIX}`"));
            let exit = command.split_once("# exit ").map_or("0", |(_, exit)| exit.trim());
            all.push(Told {
                line,
                arguments: words(command),
                exit: exit.parse().expect("an exit code is a number"),
                output: Vec::new(),
            });
        } else if inside && !text.trim().is_empty() {
            all.last_mut().expect("output follows a command").output.push(text.to_owned());
        }
    }
    all
}

/// A line without what differs from run to run.
fn stable(line: &str) -> String {
    let is_hex = |word: &str| word.len() >= 12 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let words: Vec<String> = line
        .split_whitespace()
        .map(|word| match word {
            word if word.starts_with('/') && word.matches('/').count() > 2 => "/…".to_owned(),
            word if is_hex(word) => "…".to_owned(),
            word => word.to_owned(),
        })
        .collect();
    let mut out: Vec<&str> = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let is_time = word.bytes().all(|b| b.is_ascii_digit() || b == b'.')
            && words.get(at + 1).is_some_and(|unit| unit == "ms" || unit == "s");
        out.push(if is_time { "…" } else { word });
    }
    out.join(" ")
}

fn check(document: &str) {
    let page = fs::read_to_string(root().join(document)).expect("the document is there");
    let told = told(&page);
    assert!(!told.is_empty(), "{document} shows no command");
    let mut reader = Reader::new();
    for told in &told {
        let arguments = reader.arguments(told);
        let output = reader.run(&arguments);
        // A person at a terminal reads findings first and the summary last.
        let shown = [&output.stderr, &output.stdout].map(|stream| String::from_utf8_lossy(stream)).concat();
        let place = format!("{document}:{}: nanohost {}", told.line, arguments.join(" "));
        assert_eq!(output.status.code(), Some(told.exit), "{place}\n{shown}");
        let mut rest: Vec<String> = shown.lines().map(stable).collect();
        for line in &told.output {
            let wanted = stable(line);
            let at = rest.iter().position(|line| *line == wanted);
            let at = at.unwrap_or_else(|| panic!("{place} does not say, in this order, `{line}`:\n{shown}"));
            rest.drain(..=at);
        }
    }
}

#[test]
fn readme() {
    check("README.md");
}

#[test]
fn refund() {
    check("examples/refund/README.md");
}

#[test]
fn tool_injection() {
    check("examples/tool-injection/README.md");
}

#[test]
fn import_smuggling() {
    check("examples/import-smuggling/README.md");
}

#[test]
fn path_escape() {
    check("examples/path-escape/README.md");
}

/// The two commands that the README begins with are the ones that are checked before a change lands.
#[test]
fn the_two_commands_are_those_of_ci() {
    let readme = fs::read_to_string(root().join("README.md")).expect("the README is there");
    let ci = fs::read_to_string(root().join(".ci/run")).expect("the checks are there");
    for command in ["cargo run --release -- run examples/refund/program.toml", "cargo test --release"] {
        assert!(readme.lines().any(|line| line == command), "the README does not begin with `{command}`");
        assert!(ci.lines().any(|line| line == command), ".ci/run does not run `{command}`");
    }
}
