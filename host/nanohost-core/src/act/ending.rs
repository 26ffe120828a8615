//! What an act says by which a run is ended that its own key cannot end any more: the key was retired.
//! Whoever signs the act may sign the run's end after the envelopes that it names, and nothing else.

use serde::{Deserialize, Serialize};

use crate::{Commitment, Digest, KeyId, RunId};

/// A run whose key was retired is ended by the key that signs this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Ending {
    /// The run.
    pub run: RunId,
    /// How many envelopes it has that its own key signed.
    pub after: u64,
    /// SHA-256 of the last of them.
    pub head: Digest,
    /// The run's own key.
    pub key: KeyId,
    /// Why, in the words of who ends it.
    pub reason: Commitment,
}

impl Ending {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        match self.after {
            0 => Err("it ends a run that has not begun"),
            _ => Ok(()),
        }
    }
}
