//! What a person or a program reads: text, tables and JSON. Knows nothing of how it came about.
//!
//! Text that a guest, a model, an author or a peer chose is shown escaped and capped wherever it
//! appears: it must not be able to move the cursor, hide itself or look like the host speaking.

mod diagnostics;
mod escape;
mod health;
mod lock;
mod plan;
mod policy;
mod progress;
mod replay;
mod runs;
mod sight;
mod summary;
mod table;
mod verification;
mod waiting;

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

pub use diagnostics::{Look, findings_json, render};
pub use escape::{escaped, lines, value_text};
pub use health::{Overview, health, health_json, overview, overview_json};
pub use lock::moved;
pub use plan::{plan, plan_json, whole};
pub use policy::{difference, difference_json, difference_markdown, explanation, explanation_json};
pub use progress::Progress;
pub use replay::{Replayed, replay, replay_json};
pub use runs::{list, receipt, trace, trace_json};
pub use sight::{REVEALS, Sight};
pub use summary::{Summary, duration, outcome, refusal, summary, summary_json};
pub use verification::report;
pub use waiting::{answer, gone_on, how_they_stand, how_to_answer, look_outside, question, unknown_calls};

pub use crate::called::program_name;
use crate::cli::Colour;

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
    pub fn print(self, text: &str) -> anyhow::Result<()> {
        let text = if self.colour { text.to_owned() } else { table::plain(text) };
        quiet_pipe(std::io::stdout().lock().write_all(text.as_bytes()))
    }

    /// Prints one JSON document, the result of a command.
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
}

/// A path for a person. Whoever made a folder chose its name.
pub fn path(path: &Path) -> String {
    escaped(&path.display().to_string())
}

/// A reader that has seen enough, such as `head`, is no error.
fn quiet_pipe(written: std::io::Result<()>) -> anyhow::Result<()> {
    match written {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}
