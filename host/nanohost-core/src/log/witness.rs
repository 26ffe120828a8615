//! What a witness does ([c2sp.org/tlog-witness](https://c2sp.org/tlog-witness)): it signs a head of a log
//! where that log only grew since the head it signed last. Knows no network, no disk and no clock:
//! whoever calls this remembers what it returns before anybody else hears of it.

use super::checkpoint::CheckpointError;
use super::proof::GrowthProof;
use super::tree::{check_consistency, empty_root};
use super::{Checkpoint, NoteVerifier};

#[cfg(test)]
mod tests;

/// Why a witness does not sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not in the form of such requests.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// A log that this witness does not look after.
    #[error("this log is not known here")]
    UnknownLog,
    /// None of the log's keys signed it.
    #[error("no key of this log signed the checkpoint")]
    Unsigned,
    /// It proves growth from another size than the one that was signed last.
    #[error("the last checkpoint signed here has {0} entries")]
    Conflict(u64),
    /// As many entries as were signed last, with another root: two histories.
    #[error("another checkpoint of {0} entries was signed here")]
    Forked(u64),
    /// What it proves is not that the log only grew.
    #[error("the proof does not show that the log only grew")]
    Inconsistent,
}

impl Refusal {
    /// Whether it shows two histories of one log, both signed by its key.
    pub const fn is_of_two_histories(self) -> bool {
        matches!(self, Self::Forked(_) | Self::Inconsistent)
    }
}

/// Judges a request: `logs` are the keys that the witness looks after, `seen` gives the head of a
/// log that it signed last. Returns the head to remember, and then to sign.
///
/// # Errors
/// Why it is not to be signed. Nothing is to be remembered then.
pub fn judge(
    request: &GrowthProof,
    logs: &[NoteVerifier],
    seen: impl FnOnce(&Checkpoint) -> Option<Checkpoint>,
) -> Result<Checkpoint, Refusal> {
    let note = &request.checkpoint;
    let head: Checkpoint =
        note.text().parse().map_err(|_| Refusal::Malformed("its note is no checkpoint"))?;
    let mut keys = logs.iter().filter(|log| *log.name() == head.origin).peekable();
    if keys.peek().is_none() {
        return Err(Refusal::UnknownLog);
    }
    // A line that names a known key and is not by it spoils the note, whatever stands beside it.
    let signed = keys.try_fold(false, |signed, key| match Checkpoint::open(note, key) {
        Ok(_) => Ok(true),
        Err(CheckpointError::Unsigned) => Ok(signed),
        Err(_) => Err(Refusal::Unsigned),
    })?;
    if !signed {
        return Err(Refusal::Unsigned);
    }
    if request.old > head.size {
        return Err(Refusal::Malformed("it proves growth from more entries than there are"));
    }
    let (size, root) = seen(&head).map_or((0, empty_root()), |seen| (seen.size, seen.root));
    if request.old != size {
        return Err(Refusal::Conflict(size));
    }
    if head.size == size && head.root != root {
        return Err(Refusal::Forked(size));
    }
    check_consistency((size, &root), (head.size, &head.root), &request.hashes)
        .map_err(|_| Refusal::Inconsistent)?;
    Ok(head)
}
