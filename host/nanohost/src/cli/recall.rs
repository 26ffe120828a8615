//! What `list` and `report` are asked. Knows nothing of how it is answered.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use nanohost_core::{Timestamp, ToolName};

/// `nanohost list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    pub which: Recall,
    /// Runs that are in this state now, as the listing has it: `open` are those that run and those that were
    /// interrupted, `closed` those that are over, however they ended
    #[arg(long, value_name = "STATE")]
    pub state: Option<ListedState>,
    /// The public key, or keys, that may sign: PEM or a trust file [default: this machine's own]
    #[arg(long, value_name = "FILE")]
    pub trust: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// Which runs are meant. What is asked is looked for in verified evidence, and not in the listing.
#[derive(Debug, Default, Args)]
pub struct Recall {
    /// Runs that called this tool, or were refused it: its name in the program
    #[arg(long, value_name = "NAME")]
    pub tool: Option<ToolName>,
    /// Runs with a call under this rule, or one that it refused: of `--tool`, where that is said too
    #[arg(long, value_name = "ID")]
    pub rule: Option<String>,
    /// Runs that asked this model: its alias in the program, or the server's name of it
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// Runs that this principal opened, answered, settled or ended
    #[arg(long, value_name = "NAME")]
    pub principal: Option<String>,
    /// Runs in which something was refused: of `--tool` and by `--rule`, where these are said too
    #[arg(long)]
    pub denied: bool,
    /// Runs that were opened then or later: a day, 2026-11-23, or a moment, 2026-11-23T08:00:00.000Z,
    /// in UTC
    #[arg(long, value_name = "WHEN")]
    pub since: Option<Since>,
}

impl Recall {
    /// Whether all runs are meant.
    pub fn is_all(&self) -> bool {
        let Self { tool, rule, model, principal, denied, since } = self;
        tool.is_none()
            && rule.is_none()
            && model.is_none()
            && principal.is_none()
            && !denied
            && since.is_none()
    }
}

/// The state of a run in a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum ListedState {
    Open,
    Running,
    Interrupted,
    Suspended,
    Closed,
    Success,
    Failed,
    BudgetExceeded,
    Stalled,
    Cancelled,
    NotAdmitted,
}

/// The beginning of a day, or a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since(pub Timestamp);

impl FromStr for Since {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let day = || format!("{text}T00:00:00.000Z").parse();
        text.parse()
            .or_else(|_| day())
            .map(Self)
            .map_err(|_| "expected 2026-11-23 or 2026-11-23T08:00:00.000Z")
    }
}

/// `nanohost report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The run's id, the start of it, or an exported file
    #[arg(value_name = "RUN|FILE")]
    pub evidence: String,
    /// The page to write; it must not exist
    #[arg(long, short, value_name = "FILE", required_unless_present = "json")]
    pub output: Option<PathBuf>,
    /// The public key, or keys, that may sign: PEM or a trust file [default: this machine's own]
    #[arg(long, value_name = "FILE")]
    pub trust: Option<PathBuf>,
    /// Show personal data too, which is kept back otherwise
    #[arg(long)]
    pub reveal: bool,
    /// Print what the page says as one JSON document
    #[arg(long)]
    pub json: bool,
}
