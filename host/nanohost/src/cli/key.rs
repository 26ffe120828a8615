//! What can be said of `nanohost key`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use nanohost_core::Principal;

/// `nanohost key`.
#[derive(Debug, Args)]
#[command(after_help = "\
A passphrase is typed, or stands in a file of mode 600 that NANOHOST_KEY_PASSPHRASE_FILE names; it is never an argument.
Private keys are PKCS#8 as OpenSSL reads it, in the configuration folder below keys/signing: back them up.")]
pub struct KeyArgs {
    #[command(subcommand)]
    pub command: KeyCommand,
}

/// How a new key is kept.
#[derive(Debug, Args)]
pub struct NewKeyArgs {
    /// Keep it without a passphrase
    #[arg(long, conflicts_with = "passphrase_file")]
    pub plain: bool,
    /// The file that holds its passphrase [default: NANOHOST_KEY_PASSPHRASE_FILE, else it is typed]
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// The file that holds the passphrase of the key that signs until now [default:
    /// NANOHOST_KEY_PASSPHRASE_FILE, else it is typed]
    #[arg(long, value_name = "FILE")]
    pub old_passphrase_file: Option<PathBuf>,
    /// Who does it: a name, which the evidence holds
    #[arg(long = "as", value_name = "NAME", default_value = "local")]
    pub principal: Principal,
    /// Why, for whoever reads the evidence [default: a new key]
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `nanohost key passphrase`.
#[derive(Debug, Args)]
pub struct PassphraseArgs {
    /// The id of the key, or the start of it [default: the one that signs]
    #[arg(value_name = "KEY")]
    pub key: Option<String>,
    /// The file that holds the passphrase that it is under [default: NANOHOST_KEY_PASSPHRASE_FILE, else it
    /// is typed]
    #[arg(long, value_name = "FILE")]
    pub old_passphrase_file: Option<PathBuf>,
    /// The file that holds the new one [default: it is typed]
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Keep it without a passphrase from now on
    #[arg(long, conflicts_with = "passphrase_file")]
    pub plain: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// What to do with the keys that sign calls.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key to sign with in place of the development key
    New(NewKeyArgs),
    /// Show all keys of this user: whose each is, what for, its state, and for which part of the log it counts
    List {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Show where the key lies that signs, its id, and the public key to hand to whoever verifies
    Show {
        /// Print the public key alone, as PEM
        #[arg(long)]
        public: bool,
        /// Print one JSON document
        #[arg(long, conflicts_with = "public")]
        json: bool,
    },
    /// Make a new key and sign with it from now on; the old one introduces it in the store's evidence, and
    /// goes on to sign only what it began, until it is retired
    Rotate {
        /// Change the key of the log instead: the log goes on under a new name, and an act says so
        #[arg(long, conflicts_with_all = ["plain", "passphrase_file"])]
        log: bool,
        #[command(flatten)]
        new: NewKeyArgs,
    },
    /// Keep a key under another passphrase, or under one for the first time; the key stays the same
    Passphrase(PassphraseArgs),
    /// Say in the store's evidence that a key signs nothing any more: what it signs later is refused
    Retire {
        /// The id of the key, or the start of it
        #[arg(value_name = "KEY")]
        key: String,
        /// Why, for whoever reads the evidence
        #[arg(long, value_name = "TEXT", default_value = "no longer used")]
        reason: String,
        /// Who does it: a name, which the evidence holds
        #[arg(long = "as", value_name = "NAME", default_value = "local")]
        principal: Principal,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Write the file that others trust this machine with: all keys that signed, for which part of the log
    /// each counts, and the key of the log
    Export {
        /// The file to write; it must not exist
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
}

impl KeyCommand {
    pub(super) fn json(&self) -> bool {
        match self {
            Self::New(args) | Self::Rotate { new: args, .. } => args.json,
            Self::Passphrase(args) => args.json,
            Self::List { json }
            | Self::Show { json, .. }
            | Self::Retire { json, .. }
            | Self::Export { json, .. } => *json,
        }
    }
}
