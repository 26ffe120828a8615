//! Heads of a log as texts for signed notes
//! ([c2sp.org/tlog-checkpoint](https://c2sp.org/tlog-checkpoint)): origin, size, root.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::note::{KeyName, Note, NoteError, NoteVerifier};
use super::tree::{MAX_SIZE, empty_root};
use crate::Digest;

#[cfg(test)]
mod tests;

/// What a log says of itself: that its first `size` leaves have this root.
///
/// Lines after the third are extensions: they are signed, and mean nothing here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: KeyName,
    /// The number of its leaves.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
}

/// Why a text is no checkpoint, or not that of this log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not a note, or with a signature that is none.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// Not in the one form of checkpoints.
    #[error("not a checkpoint: {0}")]
    Form(&'static str),
    /// Another log's.
    #[error("the checkpoint is of another log")]
    Origin,
    /// Nobody who is trusted signed it.
    #[error("the checkpoint is not signed by the log's key")]
    Unsigned,
}

impl Checkpoint {
    /// Reads a note and checks that it is this log's, signed with its key, under its name.
    ///
    /// # Errors
    /// Anything else.
    pub fn open(note: &Note, log: &NoteVerifier) -> Result<Self, CheckpointError> {
        let checkpoint: Self = note.text().parse()?;
        if checkpoint.origin != *log.name() {
            return Err(CheckpointError::Origin);
        }
        note.by(log)?.ok_or(CheckpointError::Unsigned)?;
        Ok(checkpoint)
    }

    /// The note of it, which nobody has signed yet.
    ///
    /// # Errors
    /// None that a name of allowed length can cause.
    pub fn note(&self) -> Result<Note, NoteError> {
        Note::new(self.to_string())
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, size, root } = self;
        write!(f, "{origin}\n{size}\n{}\n", STANDARD.encode(root.as_bytes()))
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.split_terminator('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(CheckpointError::Form("it has three lines at least: origin, size, root"));
        };
        if !text.ends_with('\n') || lines.any(str::is_empty) {
            return Err(CheckpointError::Form("each of its lines has something in it, and ends"));
        }
        let size =
            number(size).ok_or(CheckpointError::Form("its second line is not a number in its one form"))?;
        let root = STANDARD.decode(root).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let root = root.map(Digest::from_bytes);
        let root = root.ok_or(CheckpointError::Form("its third line is not a hash in base64"))?;
        if size == 0 && root != empty_root() {
            return Err(CheckpointError::Form("an empty log with another root"));
        }
        Ok(Self { origin: origin.parse()?, size, root })
    }
}

/// A decimal number without sign and leading zeros, up to the largest tree.
pub fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten().filter(|number| *number <= MAX_SIZE)
}
