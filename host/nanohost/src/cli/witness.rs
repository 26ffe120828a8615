//! What can be said of `nanohost witness`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use nanohost_core::log::{KeyName, NoteVerifier};

/// `nanohost witness`.
#[derive(Debug, Args)]
#[command(after_help = "\
A witness signs a head of a log where that log only grew since the head it signed last (c2sp.org/tlog-witness).
It says so to nobody before the head is on its disk. Let others run it, on another machine than the log's.")]
pub struct WitnessArgs {
    #[command(subcommand)]
    pub command: WitnessCommand,
}

/// What a witness does.
#[derive(Debug, Subcommand)]
pub enum WitnessCommand {
    /// Answer requests over HTTP until a signal ends it; on an open network behind a server that speaks TLS
    Run {
        /// The address to listen at; port 0 is any that is free, and is printed
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        /// The folder of its key and of the heads it signed; made where it is not there
        #[arg(long, value_name = "DIR")]
        state: PathBuf,
        /// A log to look after, as `nanohost log key` prints its key; once for each
        #[arg(long, value_name = "VKEY", required = true)]
        log: Vec<NoteVerifier>,
        /// Its name, said once, when the folder is made [default: one of its own]
        #[arg(long, value_name = "NAME", value_parser = name)]
        name: Option<KeyName>,
        /// Print the address and the key as one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Print the key that others check its signatures with (a C2SP vkey); made where it is not there
    Key {
        /// The folder of its key and of the heads it signed
        #[arg(long, value_name = "DIR")]
        state: PathBuf,
        /// Its name, said once, when the folder is made [default: one of its own]
        #[arg(long, value_name = "NAME", value_parser = name)]
        name: Option<KeyName>,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
}

impl WitnessCommand {
    pub(super) fn json(&self) -> bool {
        match self {
            Self::Run { json, .. } | Self::Key { json, .. } => *json,
        }
    }
}

fn name(text: &str) -> Result<KeyName, String> {
    text.parse().map_err(|error: nanohost_core::log::NoteError| error.to_string())
}
