//! What can be said of the store as a whole.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use nanohost_core::Principal;

/// `nanohost store`.
#[derive(Debug, Args)]
pub struct StoreArgs {
    #[command(subcommand)]
    pub command: StoreCommand,
}

/// What to do with the store.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Copy the store while it is in use
    Backup {
        /// The folder for the store: envelopes, log and ciphertexts. Made where it is not there
        #[arg(value_name = "DIR")]
        output: PathBuf,
        /// Another folder, for the keys: without them nobody can read a value of the copy. Keep it
        /// apart, and for as short as you can: what is erased later lies open in both together
        #[arg(long, value_name = "DIR")]
        keys: Option<PathBuf>,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Make the store anew from a copy, and do again what was done to it since: erasures, legal holds and
    /// changes of keys
    Restore {
        /// The folder of the copy
        #[arg(value_name = "DIR")]
        from: PathBuf,
        /// The folder with the copy of its keys
        #[arg(long, value_name = "DIR")]
        keys: PathBuf,
        /// Take it although the log is known to have had more entries: what they were is gone
        #[arg(long)]
        older: bool,
        /// A file that remembers how far the log reached, as `log fsck --state` keeps it: a copy with less, or
        /// with something else, is refused as an older one
        #[arg(long, value_name = "FILE")]
        state: Option<PathBuf>,
        /// Go on although acts are gone, or nobody can tell whether they are, for this reason; see `catch-up`
        #[arg(long, value_name = "REASON")]
        acts_lost: Option<String>,
        /// Let the log go on under a new name and key: for logs whose witnesses saw more than the copy has
        #[arg(long)]
        new_log: bool,
        /// Who says so
        #[arg(long = "as", value_name = "NAME", default_value = "local")]
        principal: Principal,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Do again what an older copy lacks, where it was put in the place of the store by hand
    CatchUp {
        /// Go on although acts are gone, or nobody can tell whether they are: what was erased may be there again,
        /// and keys may count that were retired. An act says so for ever
        #[arg(long, requires = "reason")]
        acts_lost: bool,
        /// Why, for the act
        #[arg(long, value_name = "TEXT", requires = "acts_lost")]
        reason: Option<String>,
        /// Who says so
        #[arg(long = "as", value_name = "NAME", default_value = "local")]
        principal: Principal,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Look at everything: files, rows, keys, runs, log
    Doctor {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
}

impl StoreCommand {
    pub(super) fn json(&self) -> bool {
        match self {
            Self::Backup { json, .. }
            | Self::Restore { json, .. }
            | Self::CatchUp { json, .. }
            | Self::Doctor { json } => *json,
        }
    }
}
