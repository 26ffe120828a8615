//! What can be said of erasures and legal holds.

use clap::{Args, Subcommand};
use nanohost_core::Principal;
use nanohost_core::act::Basis;

/// `nanohost erase`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 erased · 2 nothing of that name, or a run that is under way · 3 a legal hold lies on it ·
5 erased, and copies remain in the files until no reader stands in the way (`purge_pending`)

What a tool or a model was sent, backups and exports that were handed out are not reached: see host/docs/erasure.md")]
pub struct EraseArgs {
    /// Runs, by id or the start of one: all their values but program and policy; or single values,
    /// run/ID/ENVELOPE/ROLE
    #[arg(value_name = "WHAT", required_unless_present = "subject")]
    pub what: Vec<String>,
    /// All runs of this subject, as the program's `subject` names it
    #[arg(long, value_name = "TEXT", conflicts_with = "what")]
    pub subject: Option<String>,
    /// Why, in your words: kept as content of the act, which nothing erases
    #[arg(long, value_name = "TEXT", value_parser = super::reason, required_unless_present = "dry_run")]
    pub reason: Option<String>,
    /// On what basis
    #[arg(long, value_name = "BASIS", default_value = "request", value_parser = basis)]
    pub basis: Basis,
    /// Who agreed
    #[arg(long, value_name = "NAME")]
    pub approver: Option<Principal>,
    /// Who erases
    #[arg(long = "as", value_name = "NAME", default_value = "local")]
    pub principal: Principal,
    /// Erase also from runs whose evidence does not verify: what the store holds of them. The act says so
    #[arg(long)]
    pub damaged: bool,
    /// Say what would be erased, and erase nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

fn basis(text: &str) -> Result<Basis, String> {
    Basis::parse(text).ok_or_else(|| {
        let all: Vec<&str> = Basis::ALL.into_iter().map(Basis::as_str).collect();
        format!("expected one of {}", all.join(", "))
    })
}

/// `nanohost hold`.
#[derive(Debug, Args)]
pub struct HoldArgs {
    #[command(subcommand)]
    pub command: HoldCommand,
}

/// What to do with legal holds.
#[derive(Debug, Subcommand)]
pub enum HoldCommand {
    /// Keep a run, or all runs of a subject, from being erased
    Add {
        /// The run's id, or the start of it
        #[arg(value_name = "RUN", required_unless_present = "subject")]
        run: Option<String>,
        /// All runs of this subject, those to come included
        #[arg(long, value_name = "TEXT", conflicts_with = "run")]
        subject: Option<String>,
        /// Lay it although no run of this store is of the subject yet
        #[arg(long, requires = "subject")]
        anyway: bool,
        /// Why: whoever tries to erase is told
        #[arg(long, value_name = "TEXT", value_parser = super::reason)]
        reason: String,
        /// Who says so
        #[arg(long = "as", value_name = "NAME", default_value = "local")]
        principal: Principal,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// End a hold
    Remove {
        /// Its number, as `nanohost hold list` shows it
        #[arg(value_name = "HOLD")]
        hold: u64,
        /// Why, for whoever reads the evidence
        #[arg(long, value_name = "TEXT", default_value = "it is over", value_parser = super::reason)]
        reason: String,
        /// Who says so
        #[arg(long = "as", value_name = "NAME", default_value = "local")]
        principal: Principal,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// List the holds
    List {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
}

impl HoldCommand {
    pub(super) fn json(&self) -> bool {
        match self {
            Self::Add { json, .. } | Self::Remove { json, .. } | Self::List { json } => *json,
        }
    }
}
