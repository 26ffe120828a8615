//! What a person or a program reads: text, tables and JSON. Knows nothing of how it came about.
//!
//! Text that a guest, a model, an author or a peer chose is shown escaped and capped wherever it
//! appears: it must not be able to move the cursor, hide itself or look like the host speaking.

mod diagnostics;
pub mod escape;
pub mod table;
mod verification;

use std::io::{IsTerminal as _, Write as _};

use anyhow::Context as _;
use clap::ValueEnum;
use nanohost_core::Diagnostic;
use serde_json::Value;

pub use diagnostics::{Look, findings_json, render};
pub use verification::report;

use crate::failure::Exit;

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Where output goes.
#[derive(Debug, Clone, Copy)]
pub struct Console {
    colour: bool,
    colour_err: bool,
}

impl Console {
    /// A console as the user wants it.
    pub fn new(colour: Colour) -> Self {
        let on = |terminal: bool| match colour {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        Self { colour: on(std::io::stdout().is_terminal()), colour_err: on(std::io::stderr().is_terminal()) }
    }

    /// How findings are shown.
    pub fn look_err(self) -> Look {
        let columns = rustix::termios::tcgetwinsize(std::io::stderr()).map(|size| usize::from(size.ws_col));
        Look { colour: self.colour_err, width: columns.ok().filter(|columns| *columns > 0) }
    }

    /// Prints the result of a command.
    ///
    /// # Errors
    /// Those of standard output, but not of a reader that has seen enough.
    pub fn print(self, text: &str) -> anyhow::Result<()> {
        let text = if self.colour { text.to_owned() } else { table::plain(text) };
        quiet_pipe(std::io::stdout().lock().write_all(text.as_bytes()))
    }

    /// Prints one JSON document, the result of a command.
    ///
    /// # Errors
    /// As [`Console::print`].
    pub fn json(self, value: &Value) -> anyhow::Result<()> {
        let mut text = serde_json::to_string_pretty(value).context("a JSON value has a text form")?;
        text.push('\n');
        quiet_pipe(std::io::stdout().lock().write_all(text.as_bytes()))
    }

    /// Says something beside the result.
    pub fn note(self, text: &str) {
        if text.is_empty() {
            return;
        }
        let text = if self.colour_err { text.to_owned() } else { table::plain(text) };
        // Where even standard error is gone there is nobody left to tell.
        let _ = writeln!(std::io::stderr().lock(), "{}", text.trim_end_matches('\n'));
    }

    /// Says what went wrong, as text or as the one JSON document that was asked for.
    pub fn tell(self, error: &anyhow::Error, json: bool) -> Exit {
        let (exit, findings) = crate::findings_of(error);
        if json {
            let document =
                serde_json::json!({ "exitCode": exit as u8, "findings": findings_json(&findings) });
            // Where standard output is gone, the exit code says it still.
            let _ = self.json(&document);
        } else {
            self.note(&render(&findings, self.look_err()));
        }
        exit
    }
}

/// A command line that is none, as the one JSON document that was asked for.
pub fn misused(error: &clap::Error) -> Exit {
    let finding = Diagnostic::error("wrong_usage", error.to_string().trim_end());
    let document = serde_json::json!({
        "exitCode": Exit::Usage as u8,
        "findings": findings_json(&finding.into()),
    });
    // Where standard output is gone, the exit code says it still.
    let _ = Console::new(Colour::Never).json(&document);
    Exit::Usage
}

/// A reader that has seen enough, such as `head`, is no error.
fn quiet_pipe(written: std::io::Result<()>) -> anyhow::Result<()> {
    match written {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}
