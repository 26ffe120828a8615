//! How commands end: exit codes by culprit, and findings on the way out. Knows nothing of how
//! they are rendered.

use std::fmt;

use nanohost_core::{Diagnostic, Diagnostics};

/// The exit codes of every command. Scripts rely on them: they never change meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It worked.
    Success = 0,
    /// The run failed, spent its budget, stalled or was cancelled.
    RunFailed = 1,
    /// Wrong usage, or an invalid program, manifest, policy or input.
    Usage = 2,
    /// The capability table or the policy refused.
    Denied = 3,
    /// The run waits for somebody outside.
    Suspended = 4,
    /// The host could not go on: disk, store, lock.
    Host = 5,
    /// Evidence was changed, added, repeated or moved.
    Tampered = 10,
    /// Evidence is missing.
    Truncated = 11,
    /// Evidence that was seen before is gone or another one now.
    RolledBack = 12,
    /// Evidence is signed by a key that is not trusted.
    Untrusted = 13,
    /// The run has no end.
    Open = 14,
    /// Fewer witnesses signed the head of the log than are wanted.
    Unwitnessed = 15,
}

/// A command that could not do what it was asked, with everything that was found.
#[derive(Debug)]
pub struct Failure {
    /// Whose fault it is.
    pub exit: Exit,
    /// What was found.
    pub findings: Diagnostics,
}

impl Failure {
    /// The user's input or one of their files is wrong.
    pub fn usage(findings: impl Into<Diagnostics>) -> anyhow::Error {
        Self { exit: Exit::Usage, findings: findings.into() }.into()
    }

    /// Authority was refused.
    pub fn denied(findings: impl Into<Diagnostics>) -> anyhow::Error {
        Self { exit: Exit::Denied, findings: findings.into() }.into()
    }

    /// The host could not go on.
    pub fn host(findings: impl Into<Diagnostics>) -> anyhow::Error {
        Self { exit: Exit::Host, findings: findings.into() }.into()
    }

    /// The same failure with one more remedy to each finding.
    pub fn with_help(error: anyhow::Error, help: &str) -> anyhow::Error {
        match error.downcast::<Self>() {
            Ok(Self { exit, findings }) => {
                let told = |finding: Diagnostic| {
                    let all = match &finding.help {
                        Some(own) => format!("{own}; {help}"),
                        None => help.to_owned(),
                    };
                    finding.help(all)
                };
                Self { exit, findings: findings.into_iter().map(told).collect() }.into()
            }
            Err(error) => error,
        }
    }

    /// An input or output error on a file the user named or the host keeps.
    pub fn io(
        code: &'static str,
        what: &str,
        path: &std::path::Path,
        error: &std::io::Error,
    ) -> anyhow::Error {
        let exit = if error.kind() == std::io::ErrorKind::StorageFull { Exit::Host } else { Exit::Usage };
        let finding = Diagnostic::error(code, format!("cannot {what} {}: {error}", path.display()));
        let finding = match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                finding.help("nothing is written over a file: give another name, or move that one away")
            }
            _ => finding,
        };
        Self { exit, findings: finding.into() }.into()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.findings.fmt(f)
    }
}

impl std::error::Error for Failure {}
