//! Which process compiles components, and what that may take: this executable once more, within bounds that
//! the environment can set. Knows no component.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use nanohost_core::Diagnostic;
use nanohost_sandbox::{CompileLimits, Compiler};

use crate::failure::Failure;

#[cfg(test)]
mod tests;

/// How long one component may be compiled, seconds.
const VARIABLE: &str = "NANOHOST_COMPILE_SECONDS";

/// No longer than a day.
const MAX_SECONDS: u64 = 86_400;

/// The process that compiles; `None` where this executable is a test and has no such command.
///
/// # Errors
/// `invalid_variable` where the variable is no number of seconds.
pub fn compiler() -> anyhow::Result<Option<Compiler>> {
    let time = limit(std::env::var_os(VARIABLE))?;
    if cfg!(test) {
        return Ok(None);
    }
    // On Linux the very file that runs, also where another one lies at its path by now.
    let running = PathBuf::from("/proc/self/exe");
    let program =
        if cfg!(target_os = "linux") && running.exists() { running } else { std::env::current_exe()? };
    let limits = CompileLimits { time, ..CompileLimits::default() };
    Ok(Some(Compiler::new(program, ["compile-component"], limits)))
}

fn limit(variable: Option<OsString>) -> anyhow::Result<Duration> {
    let Some(text) = variable else { return Ok(CompileLimits::default().time) };
    let seconds = text.to_str().and_then(|text| text.parse::<u64>().ok());
    match seconds {
        Some(seconds @ 1..=MAX_SECONDS) => Ok(Duration::from_secs(seconds)),
        _ => Err(Failure::usage(
            Diagnostic::error("invalid_variable", format!("{VARIABLE} is no number of seconds"))
                .help(format!("give a whole number from 1 to {MAX_SECONDS}, or leave it out")),
        )),
    }
}
