//! The commands of the documents, run as they stand there. In a fence called `console`, each line
//! that begins with `$ ` is a command of nanohost; `# exit 3` at its end is the exit code it has to
//! end with, 0 unless it says so. The lines below it have to come in its output, in that order;
//! times, digests and paths may differ, and lines may be left out.
//!
//! A short id of a run stands for the run that was the newest when the id first came up. A line
//! `$ NAME=$(…)` keeps what a command says on standard output, one of nanohost or any other, and
//! the word `$NAME` later stands for it: tokens and signatures differ from run to run.

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
    /// What was kept under names.
    kept: HashMap<String, String>,
}

/// One command of a document.
struct Told {
    line: usize,
    /// The name that its standard output is kept under.
    keep: Option<String>,
    what: What,
    exit: i32,
    output: Vec<String>,
}

enum What {
    Nanohost(Vec<String>),
    /// Another program, as the shell finds it.
    Other(String),
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
        Self { folder, runs: HashMap::new(), kept: HashMap::new() }
    }

    fn run(&self, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nanohost"));
        command.args(arguments.into_iter().map(Into::into)).current_dir(self.folder.path());
        command.env("NANOHOST_STORE", self.folder.path().join("store"));
        command.env("NANOHOST_CONFIG", self.folder.path().join("config"));
        command.env("NANOHOST_CACHE", self.folder.path().join("cache"));
        command
            .env("NO_COLOR", "1")
            .env_remove("NANOHOST_POLICY")
            .env_remove("NANOHOST_MACHINE_POLICY")
            .env_remove("COLUMNS");
        command.output().expect("nanohost starts")
    }

    /// The newest run of the store.
    fn newest(&self) -> String {
        let listed = self.run(["list", "--json"]);
        let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).expect("list gives JSON");
        listed["runs"][0]["run"].as_str().expect("something has run").to_owned()
    }

    /// The arguments, with the ids of the document as those of this store and what was kept.
    fn arguments(&mut self, told: &[String]) -> Vec<String> {
        let is_id = |word: &str| word.len() == 12 && word.bytes().all(|b| b.is_ascii_hexdigit());
        told.iter()
            .map(|word| match (is_id(word), self.runs.get(word)) {
                (false, _) => self.expanded(word),
                (true, Some(run)) => run.clone(),
                (true, None) => {
                    let run = self.newest();
                    self.runs.insert(word.clone(), run.clone());
                    run
                }
            })
            .collect()
    }

    fn expanded(&self, word: &str) -> String {
        word.strip_prefix('$')
            .and_then(|name| self.kept.get(name))
            .cloned()
            .unwrap_or_else(|| word.to_owned())
    }

    /// Does what a line of the document says; how it was called, and what came of it.
    fn follow(&mut self, told: &Told) -> (String, Output) {
        let (shown, output) = match &told.what {
            What::Nanohost(arguments) => {
                let arguments = self.arguments(arguments);
                (format!("nanohost {}", arguments.join(" ")), self.run(&arguments))
            }
            What::Other(line) => {
                let mut words = words(line).into_iter();
                let mut command = Command::new(words.next().expect("a command has a name"));
                command.args(words.map(|word| self.expanded(&word))).current_dir(self.folder.path());
                (line.clone(), command.output().expect("the command starts"))
            }
        };
        if let Some(name) = &told.keep {
            let kept = String::from_utf8(output.stdout.clone()).expect("output is UTF-8");
            self.kept.insert(name.clone(), kept.trim_end().to_owned());
        }
        (shown, output)
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
            let (command, exit) = match command.split_once("# exit ") {
                Some((command, exit)) => (command.trim_end(), exit.trim()),
                None => (command, "0"),
            };
            let kept = command.strip_suffix(')').and_then(|command| command.split_once("=$("));
            let (keep, command) = match kept {
                Some((name, command)) => (Some(name.to_owned()), command),
                None => (None, command),
            };
            let what = match command.strip_prefix(PREFIX) {
                Some(arguments) => What::Nanohost(words(arguments)),
                None if keep.is_some() => What::Other(command.to_owned()),
                None => panic!("line {line}: a command begins with `{PREFIX}`"),
            };
            let exit = exit.parse().expect("an exit code is a number");
            all.push(Told { line, keep, what, exit, output: Vec::new() });
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
            word if word.starts_with("nanohost-log/") => "nanohost-log/…".to_owned(),
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
        let (command, output) = reader.follow(told);
        // A person at a terminal reads findings first and the summary last.
        let shown = [&output.stderr, &output.stdout].map(|stream| String::from_utf8_lossy(stream)).concat();
        let place = format!("{document}:{}: {command}", told.line);
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
fn erasure() {
    check("host/docs/erasure.md");
}

#[test]
fn log() {
    check("host/docs/log.md");
}

#[test]
fn refund() {
    check("examples/refund/README.md");
}

#[test]
fn approval() {
    check("examples/approval/README.md");
}

#[test]
fn payment_webhook() {
    check("examples/payment-webhook/README.md");
}

#[test]
fn statement() {
    check("examples/statement/README.md");
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
fn packaging() {
    check("host/docs/packaging.md");
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
    for command in
        ["cargo run --release -- run examples/refund/program.toml", "cargo test --release --workspace"]
    {
        assert!(readme.lines().any(|line| line == command), "the README does not begin with `{command}`");
        assert!(ci.lines().any(|line| line == command), ".ci/run does not run `{command}`");
    }
}
