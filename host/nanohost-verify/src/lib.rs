//! Verification without the runtime that it audits: exported files, proofs of a log and what was
//! seen before, judged by `nanohost-core` alone. `nanohost verify FILE` and the small executable
//! `nanohost-verify` are both this.
//!
//! Here lies too what every command line of the project ends with: findings, tables, exit codes.
//! This crate deliberately knows no WebAssembly, no store, no key that signs and no network.

pub mod called;
pub mod console;
pub mod failure;
mod file;
mod given;
pub mod read;
mod remembered;
mod verdict;
pub mod whole;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use nanohost_core::log::Checkpoint;
use nanohost_core::trace::Keep;
use nanohost_core::{Diagnostic, Diagnostics};

use console::{Colour, Console};
use failure::{Exit, Failure};

pub use file::{Judged, judge};
pub use given::{Asked, log_policy, log_proof, trust_file};
pub use remembered::Remembered;
pub use verdict::exit_of;

/// Verify an exported run of nanohost, without nanohost.
///
/// Believes nothing but the public key that you name: every signature, the chain, every value that
/// is disclosed, the decision what the tools may do, and every step the run took are checked again.
#[derive(Debug, Parser)]
#[command(name = "nanohost-verify", version, max_term_width = 100)]
#[command(after_help = "\
Exit codes: 0 verified · 2 wrong usage or no export · 10 tampered · 11 truncated ·
12 rolled back or forked · 13 untrusted key · 14 open run · 15 witness quorum missing")]
struct Cli {
    /// The exported file
    #[arg(value_name = "FILE")]
    evidence: PathBuf,
    /// The public key, or keys, that may sign: PEM, or a trust file. It never comes from the evidence
    #[arg(long, value_name = "FILE")]
    trust: PathBuf,
    #[command(flatten)]
    asked: Asked,
    /// When to use colours
    #[arg(long, value_enum, default_value_t = Colour::Auto)]
    color: Colour,
}

/// The command line of `nanohost-verify`, from what was said to the exit code.
pub fn main() -> ExitCode {
    let wants_json = || std::env::args_os().any(|argument| argument == "--json");
    match Cli::try_parse() {
        Ok(cli) => {
            let console = Console::new(cli.color);
            let exit = verify(&cli, console).unwrap_or_else(|error| console.tell(&error, cli.asked.json));
            ExitCode::from(exit as u8)
        }
        Err(error) if error.use_stderr() && wants_json() => ExitCode::from(console::misused(&error) as u8),
        Err(error) => error.exit(),
    }
}

fn verify(cli: &Cli, console: Console) -> anyhow::Result<Exit> {
    let trust = trust_file(&cli.trust)?;
    let mut seen = cli.asked.remembered()?;
    let heads = seen.as_ref().map(|seen| &seen.heads);
    let policy = cli.asked.policy(None)?;
    let log = |head: &Checkpoint| cli.asked.log_of(head, policy.as_ref(), &trust);
    let mut judged = judge(&cli.evidence, &trust, Keep::Verdict, heads, log)?;
    let head = cli.asked.check_log(&mut judged, &trust, policy.as_ref())?;
    if let Some(seen) = &mut seen {
        seen.compare(&mut judged);
        if let Some(head) = &head {
            seen.compare_log(&mut judged, head, cli.asked.growth()?.as_ref());
        }
        seen.keep()?;
    }
    cli.asked.say(&judged, console)
}

/// What went wrong, and the exit code it stands for.
pub fn findings_of(error: &anyhow::Error) -> (Exit, Diagnostics) {
    match error.downcast_ref::<Failure>() {
        Some(failure) => (failure.exit, failure.findings.clone()),
        None => (Exit::Host, Diagnostics::from(Diagnostic::error("host_failed", format!("{error:#}")))),
    }
}
