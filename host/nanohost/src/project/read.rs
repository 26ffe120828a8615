//! Reading a text that a person named, once and within a bound. Knows nothing of what it means.

use std::io;
use std::path::Path;
use std::sync::Arc;

use nanohost_core::{Diagnostic, Source, source_from_bytes};
pub(crate) use nanohost_verify::read::read_bounded;

use crate::failure::Failure;

/// No program, policy or manifest is longer, bytes: `/dev/zero` and a file of gigabytes must not
/// fill the memory.
const MAX_TEXT: u64 = 64 << 20;

/// The text of `path`, named as the person named it; `what` it should be: `the program`.
///
/// # Errors
/// `unreadable_file`, `not_utf8`; exit code 2.
pub(crate) fn read_source(path: &Path, what: &str) -> anyhow::Result<Arc<Source>> {
    let bytes = read_bounded(path, MAX_TEXT).map_err(|error| unreadable(path, what, &error))?;
    source_from_bytes(&path.display().to_string(), &bytes).map_err(Failure::usage)
}

/// `unreadable_file`, with what to do about it.
pub(super) fn unreadable(path: &Path, what: &str, error: &io::Error) -> anyhow::Error {
    let help = match error.kind() {
        io::ErrorKind::NotFound => "check the path: nothing is there",
        io::ErrorKind::PermissionDenied => "check the permissions of the file and of the folders above it",
        io::ErrorKind::IsADirectory => "name a file in it",
        _ => "it has to be a plain file that can be read",
    };
    Failure::usage(
        Diagnostic::error("unreadable_file", format!("cannot read {what} {}: {error}", path.display()))
            .help(help),
    )
}

#[cfg(test)]
mod tests;
