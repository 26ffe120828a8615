//! What reading gives back: runs as they lie in the store, before anybody has verified them.

use nanohost_core::{Content, RunId, Timestamp};

use crate::batch::Phase;
use crate::journal::Head;

/// Everything kept of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRecord {
    /// The run as the listing has it.
    pub summary: RunSummary,
    /// The head that the store recorded with the last commit. Where it differs from the
    /// envelopes, somebody changed the database behind the journal's back.
    pub recorded: Head,
    /// The exact bytes of the envelopes, in the order of their places.
    pub envelopes: Vec<Vec<u8>>,
    /// The content of the vault, in the order of its places.
    pub contents: Vec<StoredContent>,
    /// The acts that erased something of it, in their order.
    pub acts: Vec<StoredAct>,
}

/// An act, as it lies there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAct {
    /// Its position in the chain of acts.
    pub seq: u64,
    /// The exact bytes of its envelope.
    pub envelope: Vec<u8>,
}

impl RunRecord {
    /// The content of one place.
    pub fn content(&self, seq: u64, role: &str) -> Result<&Content, VaultError> {
        self.contents.iter().find(|stored| stored.place.seq == seq && stored.place.role == role).map_or_else(
            || {
                let run = self.summary.run.clone();
                Err(VaultError::Missing { place: Place { run, seq, role: role.to_owned() } })
            },
            |stored| stored.content.as_ref().map_err(Clone::clone),
        )
    }
}

/// Where content lies. Its text is the name that the envelope's subject has for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The run.
    pub run: RunId,
    /// The sequence number of the envelope that commits to it.
    pub seq: u64,
    /// Which of that envelope's values it is. Text, since a changed database may hold anything.
    pub role: String,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "run/{}/{}/{}", self.run, self.seq, self.role)
    }
}

/// One place of the vault and what was found there.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredContent {
    /// Where.
    pub place: Place,
    /// What. Damage is a finding about the evidence, not a failure of the store.
    pub content: Result<Content, VaultError>,
}

/// Why content cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// It is not there, or its key is gone.
    #[error("the vault has no content for {place}")]
    Missing {
        /// Where.
        place: Place,
    },
    /// An act erased it, as a row says that nothing signs: the act itself decides.
    #[error("{place} was erased")]
    Erased {
        /// Where.
        place: Place,
    },
    /// Ciphertext, nonce, encoding, place or key were changed: authentication fails.
    #[error("the content of {place} was changed in the vault")]
    Damaged {
        /// Where.
        place: Place,
    },
}

/// One line of the listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSummary {
    /// The run.
    pub run: RunId,
    /// The name of its program.
    pub program: String,
    /// When it started.
    pub opened: Timestamp,
    /// The number of its envelopes.
    pub len: u64,
    /// How it stands.
    pub state: RunState,
}

/// How a run stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunState {
    /// A live owner is at it.
    Running,
    /// Its owner is gone, and it has neither ended nor suspended.
    Interrupted,
    /// It waits for an event.
    Suspended {
        /// The moment from which it waits no longer.
        deadline: Option<Timestamp>,
    },
    /// It has ended.
    Closed {
        /// The status it ended with.
        status: String,
    },
}

impl RunState {
    /// The word for a listing: `running`, `interrupted`, `suspended` or the status of the end.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Running => "running",
            Self::Interrupted => "interrupted",
            Self::Suspended { .. } => "suspended",
            Self::Closed { status } => status,
        }
    }

    /// The moment from which a suspended run waits no longer.
    pub fn deadline(&self) -> Option<Timestamp> {
        match self {
            Self::Suspended { deadline } => *deadline,
            _ => None,
        }
    }

    /// The state of a run in `phase`; `live` is asked only where it matters.
    pub(crate) fn of<E>(phase: Phase, live: impl FnOnce() -> Result<bool, E>) -> Result<Self, E> {
        Ok(match phase {
            Phase::Closed(status) => Self::Closed { status },
            Phase::Suspended { deadline } => Self::Suspended { deadline },
            Phase::Open if live()? => Self::Running,
            Phase::Open => Self::Interrupted,
        })
    }
}

/// The answer to a search by the start of a run's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Exactly one run.
    One(RunId),
    /// None.
    None,
    /// Several: the first few, in order.
    Many(Vec<RunId>),
}

/// A search names no more candidates: a person wants to see what collides, not the store.
pub(crate) const MAX_CANDIDATES: usize = 10;

impl Found {
    /// The answer for the matches of a search that stopped after `MAX_CANDIDATES`.
    pub(crate) fn from_matches(mut matches: Vec<RunId>) -> Self {
        match matches.len() {
            0 => Self::None,
            1 => Self::One(matches.remove(0)),
            _ => Self::Many(matches),
        }
    }
}
