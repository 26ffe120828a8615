//! What can be said of `nanohost log`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `nanohost log`.
#[derive(Debug, Args)]
#[command(after_help = "\
Every envelope of every run stands in one Merkle tree (RFC 9162). Whoever remembers its head can tell later that
nothing was removed or replaced: give the checkpoint to others, or keep it with --state on another machine.")]
pub struct LogArgs {
    #[command(subcommand)]
    pub command: LogCommand,
}

/// What to do with the log.
#[derive(Debug, Subcommand)]
pub enum LogCommand {
    /// Print the signed head of the log (c2sp.org/tlog-checkpoint)
    Checkpoint {
        /// The file to write instead
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Print one JSON document
        #[arg(long, conflicts_with = "output")]
        json: bool,
    },
    /// Send the head to the witnesses of a policy, and keep what they sign; exit code 15 where they are
    /// too few, 12 where one of them saw more, or something else
    Witness {
        /// Whose word counts (c2sp.org/tlog-policy) [default: NANOHOST_LOG_POLICY, else log.policy in
        /// the configuration folder]. Where there is one, each run ends with asking too
        #[arg(long, value_name = "FILE")]
        log_policy: Option<PathBuf>,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Sign the head with the time, although nothing happened: for a timer. Asks the witnesses too, where
    /// there is a policy
    Heartbeat {
        /// Whose word counts [default: NANOHOST_LOG_POLICY, else log.policy in the configuration folder]
        #[arg(long, value_name = "FILE")]
        log_policy: Option<PathBuf>,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Print the key that signs the heads, as others verify with it (a C2SP vkey)
    Key {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Print a proof that an envelope stands in the log (c2sp.org/tlog-proof), or that the log only grew
    #[command(group(clap::ArgGroup::new("what").required(true).args(["run", "since"])))]
    Prove {
        /// The run's id, or the start of it
        #[arg(value_name = "RUN")]
        run: Option<String>,
        /// Which envelope [default: the last one]
        #[arg(long, value_name = "N", requires = "run")]
        envelope: Option<u64>,
        /// That it only grew since it had so many entries
        #[arg(long, value_name = "SIZE")]
        since: Option<u64>,
        /// The file to write instead
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Write the log as files that mirror it (c2sp.org/tlog-tiles)
    Export {
        /// The folder to write to
        #[arg(long, short, value_name = "DIR")]
        output: PathBuf,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Compute the whole tree again from the envelopes, and compare
    Fsck {
        /// A file that remembers how far the log reached: what was seen once and is gone now is
        /// rolled back. Made where it is not there
        #[arg(long, value_name = "FILE")]
        state: Option<PathBuf>,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
}

impl LogCommand {
    pub(super) fn json(&self) -> bool {
        match self {
            Self::Checkpoint { json, .. }
            | Self::Witness { json, .. }
            | Self::Heartbeat { json, .. }
            | Self::Key { json }
            | Self::Export { json, .. }
            | Self::Fsck { json, .. } => *json,
            Self::Prove { .. } => false,
        }
    }
}
