//! Starting cargo, rustc and rustup with an environment that does not change what is built, and
//! reading what they say. Knows nothing of tools.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nanohost_core::Diagnostic;

use super::BuildEvent;
use crate::failure::Failure;
use crate::project::tools::TARGET;

/// How many of a command's last lines an error shows.
const TAIL: usize = 24;

/// What is kept of a line, bytes: a build script can print one of gigabytes.
const MAX_LINE: u64 = 4096;

/// The programs that build.
#[derive(Debug, Clone)]
pub(super) struct Toolchain {
    pub(super) cargo: OsString,
    pub(super) rustc: OsString,
    pub(super) rustup: OsString,
}

/// How a command ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) success: bool,
    /// The last lines of its stderr, safe to show.
    pub(super) tail: Vec<String>,
}

impl Toolchain {
    pub(super) fn on_path() -> Self {
        Self { cargo: "cargo".into(), rustc: "rustc".into(), rustup: "rustup".into() }
    }

    pub(super) fn cargo(&self, folder: &Path) -> Command {
        command(&self.cargo, folder)
    }

    /// Where Cargo keeps the sources of other crates.
    pub(super) fn cargo_home(&self) -> Option<PathBuf> {
        std::env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| directories::BaseDirs::new().map(|dirs| dirs.home_dir().join(".cargo")))
    }

    /// Makes sure that the toolchain in force in `folder` compiles for WebAssembly.
    pub(super) fn ensure_target(
        &self,
        folder: &Path,
        progress: &dyn Fn(BuildEvent<'_>),
    ) -> anyhow::Result<()> {
        if self.has_target(folder)? {
            return Ok(());
        }
        progress(BuildEvent::AddingTarget);
        let mut rustup = command(&self.rustup, folder);
        rustup.args(["target", "add", TARGET]);
        let missing = |why: String| {
            let message = format!("this Rust toolchain does not compile for {TARGET}, and {why}");
            Failure::usage(Diagnostic::error("missing_wasm_target", message).help(format!(
                "type: rustup target add {TARGET}\n\
                 (rustup comes from https://rustup.rs; a toolchain from elsewhere has its own package for the target)"
            )))
        };
        match run(rustup, &|line| progress(BuildEvent::Line(line.trim()))) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(missing("rustup, which would add that, is not here".to_owned()))
            }
            Err(error) => Err(missing(format!("rustup does not start: {error}"))),
            Ok(ended) if !ended.success => {
                Err(missing(format!("rustup could not add that:\n{}", ended.tail.join("\n"))))
            }
            // The rustc that comes first need not be rustup's.
            Ok(_) if self.has_target(folder)? => Ok(()),
            Ok(_) => {
                Err(missing("after rustup added it, it still does not: `rustc` is not rustup's".to_owned()))
            }
        }
    }

    /// Whether the target's standard library is installed. Without it, compiling fails with an
    /// error that does not say what to do.
    pub(super) fn has_target(&self, folder: &Path) -> anyhow::Result<bool> {
        let mut rustc = command(&self.rustc, folder);
        rustc.args(["--print", "target-libdir", "--target", TARGET]);
        let output = rustc.stderr(Stdio::null()).output().map_err(|error| no_cargo("rustc", &error))?;
        // A rustc that does not know the target at all says so by failing.
        let libraries = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok(output.status.success()
            && Path::new(&libraries).read_dir().is_ok_and(|mut entries| entries.next().is_some()))
    }
}

/// `no_cargo`: a part of the toolchain is not there.
pub(super) fn no_cargo(program: &str, error: &io::Error) -> anyhow::Error {
    let why = match error.kind() {
        io::ErrorKind::NotFound => "is not on the PATH".to_owned(),
        _ => format!("does not start: {error}"),
    };
    Failure::usage(
        Diagnostic::error("no_cargo", format!("a tool has to be built, and `{program}` {why}"))
            .help("install Rust from https://rustup.rs, and open a new shell"),
    )
}

/// Runs `command` to its end, handing on each line of its stderr, safe to show. Its stdout goes
/// nowhere: ours holds results.
pub(super) fn run(mut command: Command, each: &dyn Fn(&str)) -> io::Result<Ended> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let mut tail = VecDeque::new();
    if let Some(stderr) = child.stderr.take() {
        let mut lines = BufReader::new(stderr);
        while let Some(line) = next_line(&mut lines)? {
            each(&line);
            if tail.len() == TAIL {
                tail.pop_front();
            }
            tail.push_back(line);
        }
    }
    let success = child.wait()?.success();
    Ok(Ended { success, tail: tail.into() })
}

/// The next line, cut at [`MAX_LINE`], without characters that do something to a terminal.
fn next_line(lines: &mut BufReader<impl Read>) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    if lines.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') {
        lines.skip_until(b'\n')?;
    }
    Ok(Some(plain(String::from_utf8_lossy(&line).trim_end())))
}

/// `text` with control characters, and those that turn or hide text, written out.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        let hides = matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}');
        match c {
            '\t' => plain.push(' '),
            c if c.is_control() || hides => plain.extend(c.escape_unicode()),
            c => plain.push(c),
        }
    }
    plain
}

/// Whether a line of Cargo's says what it is doing, rather than what it thinks of the code.
pub(super) fn is_progress(line: &str) -> bool {
    const WORDS: [&str; 7] =
        ["Compiling", "Downloading", "Downloaded", "Updating", "Locking", "Blocking", "Building"];
    line.split_whitespace().next().is_some_and(|word| WORDS.contains(&word))
}

fn command(program: &OsStr, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder);
    for (name, _) in std::env::vars_os() {
        if changes_builds(&name.to_string_lossy()) {
            command.env_remove(name);
        }
    }
    command
}

/// Whether a variable of the environment, set for the build of something else or by the Cargo that
/// started nanohost, would change what is built or where. What says how to reach a registry, how
/// many jobs to run and which toolchain to use stays.
fn changes_builds(name: &str) -> bool {
    const KEPT: [&str; 6] =
        ["CARGO_HOME", "CARGO_BUILD_JOBS", "CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR", "CARGO_SOURCE_"];
    const DROPPED: [&str; 8] =
        ["CARGO", "RUSTFLAGS", "RUSTDOCFLAGS", "RUSTC", "MAKEFLAGS", "MFLAGS", "OUT_DIR", "__CARGO"];
    DROPPED.iter().any(|prefix| name.starts_with(prefix)) && !KEPT.iter().any(|kept| name.starts_with(kept))
}

#[cfg(test)]
mod tests;
