//! What an act says by which whoever keeps a store goes on with it although nobody can tell whether acts
//! are gone: what was erased may be there again, and what was retired may count.

use serde::{Deserialize, Serialize};

use crate::{Commitment, Digest};

/// Acts were lost, or may have been, and somebody goes on all the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Loss {
    /// The last that is known of them; absent where that is not known either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<KnownActs>,
    /// Why, in the words of who goes on.
    pub reason: Commitment,
}

/// The head that a chain of acts is known to have had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct KnownActs {
    /// How many acts.
    pub acts: u64,
    /// SHA-256 of the last of them.
    pub last: Digest,
}

impl Loss {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        match self.known {
            Some(KnownActs { acts: 0, .. }) => Err("it knows of a chain without acts"),
            _ => Ok(()),
        }
    }
}
