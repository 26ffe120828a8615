//! The lock beside a program, as a file: where it lies, how it is read and how it is replaced.
//! Knows nothing of what it pins; that is [`nanohost_core::lock`]'s.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use nanohost_core::lock::Lock;
use nanohost_core::{Diagnostic, source_from_bytes};
use nanohost_verify::whole;

use super::read::{read_bounded, unreadable};
use crate::failure::Failure;
use crate::project::quoted;

/// The lock is read whole whenever a program is: a hostile clone's must not fill the memory. A tool
/// takes less than a kilobyte.
const MAX_LOCK: u64 = 4 << 20;

/// Where the lock of a program lies: beside it, `program.lock` for `program.toml`.
pub(crate) fn lock_path(program: &Path) -> PathBuf {
    match program.extension() {
        // It would be the program itself.
        Some(extension) if extension == "lock" => program.with_extension("lock.lock"),
        _ => program.with_extension("lock"),
    }
}

/// The lock beside a program; `None` where nothing is called so.
///
/// # Errors
/// `invalid_lock` for what is no plain file of its own, or too long; `not_utf8` and what
/// [`Lock::parse`] finds; exit code 2.
pub(crate) fn read_lock(program: &Path) -> anyhow::Result<Option<Lock>> {
    // A folder is no program, which is said where the program is read.
    if program.is_dir() {
        return Ok(None);
    }
    let path = lock_path(program);
    let kind = match path.symlink_metadata() {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(&path, "the lock", &error)),
    };
    // Who can change what a link leads to could change what is pinned, and no review of this folder
    // would show it. A link that leads nowhere must not count as no lock at all.
    if !kind.is_file() {
        let what = if kind.is_symlink() { "a link" } else { "no plain file" };
        return Err(invalid(&path, &format!("it is {what}")));
    }
    let bytes = read_bounded(&path, MAX_LOCK).map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => invalid(&path, &error.to_string()),
        _ => unreadable(&path, "the lock", &error),
    })?;
    let source = source_from_bytes(&path.display().to_string(), &bytes).map_err(Failure::usage)?;
    Ok(Some(Lock::parse(source).map_err(Failure::usage)?))
}

fn invalid(path: &Path, why: &str) -> anyhow::Error {
    Failure::usage(
        Diagnostic::error("invalid_lock", format!("{} is no lock: {why}", path.display()))
            .help("find out who put it there; remove it, and `nanohost update` writes another one"),
    )
}

/// Puts `text` in the place of a program's lock in one step: a reader, or a machine that loses power,
/// sees the old lock or the new one.
///
/// # Errors
/// `lock_unwritable`.
pub(crate) fn write_lock(program: &Path, text: &str) -> anyhow::Result<PathBuf> {
    let path = lock_path(program);
    whole::replace_shared(&path, |draft| draft.write_all(text.as_bytes())).map_err(|error| {
        let remedy = match error.kind() {
            io::ErrorKind::StorageFull => "free some space for",
            _ => "make it a folder that can be written in",
        };
        let message = format!("cannot write {}: {error}", path.display());
        Failure::host(
            Diagnostic::error("lock_unwritable", message)
                .help(format!("{remedy}: {}", quoted(path.parent().unwrap_or(Path::new("."))))),
        )
    })?;
    Ok(path)
}

#[cfg(test)]
mod tests;
