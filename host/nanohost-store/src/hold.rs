//! Legal holds, and whose runs are whose: what says that something has to stay, and what belongs
//! together when it goes. Knows no rows.

use nanohost_core::act::HeldOn;
use nanohost_core::{Digest, RunId, Timestamp};

use crate::error::StoreError;
use crate::journal::Subject;
use crate::keyring::Sealed;

/// A legal hold as it goes to disk, its reason sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaidHold {
    pub(crate) id: u64,
    pub(crate) on: HeldOn,
    pub(crate) since: Timestamp,
    pub(crate) principal: String,
    pub(crate) reason: Sealed,
}

/// A legal hold, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Its number in this store.
    pub id: u64,
    /// What it lies on; of a subject the store keeps no name.
    pub on: HeldOn,
    /// On how many runs of this store it lies.
    pub runs: u64,
    /// Since when.
    pub since: Timestamp,
    /// Who said so.
    pub principal: String,
    /// Why.
    pub reason: String,
}

/// A store with legal holds.
pub trait Holds {
    /// All holds, the oldest first.
    ///
    /// # Errors
    /// Where the store or its keys cannot be read; so for all of these.
    fn holds(&self) -> Result<Vec<Hold>, StoreError>;

    /// The holds that forbid to erase from a run: on it, or on its subject.
    ///
    /// # Errors
    /// See [`Holds::holds`].
    fn holds_on(&self, run: &RunId) -> Result<Vec<Hold>, StoreError>;

    /// The keyed hash by which this store knows a subject.
    ///
    /// # Errors
    /// See [`Holds::holds`].
    fn subject_hash(&self, subject: &Subject) -> Result<Digest, StoreError>;

    /// The runs of a subject, the newest first.
    ///
    /// # Errors
    /// See [`Holds::holds`].
    fn runs_of(&self, subject: &Subject) -> Result<Vec<RunId>, StoreError>;

    /// How many key-value entries are still what a run wrote.
    ///
    /// # Errors
    /// See [`Holds::holds`].
    fn kv_of(&self, run: &RunId) -> Result<u64, StoreError>;
}
