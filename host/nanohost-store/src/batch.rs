//! What one commit writes: envelopes with the content, key-value changes and idempotency claim
//! that stand or fall with them. Knows no database.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use nanohost_core::act::ValueRef;
use nanohost_core::log::KeyName;
use nanohost_core::{Content, RunId, Timestamp, ToolName};

use crate::error::StoreError;
use crate::hold::LaidHold;
use crate::idempotency::Claim;

/// One commit. At least one envelope: nothing changes without evidence of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// The exact bytes of the envelopes, in order.
    pub envelopes: Vec<Vec<u8>>,
    /// The content that these envelopes commit to. It goes into the vault.
    pub contents: Vec<Content>,
    /// The key-value changes of the call whose result is among the envelopes.
    pub kv: Option<KvCommit>,
    /// What becomes of an idempotency key.
    pub idempotency: Option<Claim>,
    /// How the run is listed from here on, where that changes.
    pub phase: Option<Phase>,
    /// What the acts among the envelopes erase. From this commit on no reader sees it.
    pub erases: Vec<Erases>,
    /// What else they do, in order.
    pub effects: Vec<Effect>,
    /// Whether the acts were done before, in a later copy of this store: which holds stood in the way of
    /// what they erase was asked then, between them, and is not asked again.
    pub again: bool,
}

impl Batch {
    /// A batch of one envelope and nothing else.
    pub fn of(envelope: Vec<u8>) -> Self {
        Self { envelopes: vec![envelope], ..Self::default() }
    }

    /// Refuses what no correct host asks for, before anything is written.
    pub(crate) fn check(&self, len: u64) -> Result<(), StoreError> {
        if self.envelopes.is_empty() {
            return Err(StoreError::Misuse { what: "a batch without an envelope" });
        }
        let own: Range<u64> = len..len.saturating_add(self.envelopes.len() as u64);
        let mut places = BTreeSet::new();
        for content in &self.contents {
            if !own.contains(&content.seq) {
                return Err(StoreError::Misuse { what: "content of an envelope outside its batch" });
            }
            if !places.insert((content.seq, &content.role)) {
                return Err(StoreError::Misuse { what: "two contents for one place" });
            }
        }
        if self.erases.iter().any(|erases| !own.contains(&erases.act)) {
            return Err(StoreError::Misuse { what: "an erasure by an act outside its batch" });
        }
        let mut keys = BTreeSet::new();
        for write in self.kv.iter().flat_map(|kv| &kv.writes) {
            if !keys.insert(&write.at) {
                return Err(StoreError::Misuse { what: "two writes to one key" });
            }
        }
        Ok(())
    }
}

/// What one act erases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erases {
    /// The position of the act in its chain.
    pub act: u64,
    /// The values.
    pub values: Vec<ValueRef>,
    /// The run whose key-value entries, as far as they are still what it wrote, and whose request to
    /// stop go with them.
    pub rest_of: Option<RunId>,
}

/// What an act does to the store beside what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// It bears on a run, whose record shows it.
    Bears {
        /// The position of the act in its chain.
        act: u64,
        /// The run.
        run: RunId,
    },
    /// A legal hold lies from here on.
    Lay(LaidHold),
    /// The number of a legal hold is taken, which lies on nothing that is here.
    Number {
        /// The number.
        hold: u64,
    },
    /// A legal hold lies no more; what opened its reason is given up.
    End {
        /// Its number.
        hold: u64,
    },
    /// The log goes on under another name: the key that signs its heads is that name's by then, and
    /// what witnesses signed was of the old name.
    Log {
        /// The name.
        origin: KeyName,
    },
}

/// How a run is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// It goes on (again). What could resume it so far cannot any more.
    Open,
    /// It waits for an event.
    Suspended {
        /// The moment from which it waits no longer.
        deadline: Option<Timestamp>,
    },
    /// It has ended, with this status. Nothing can resume or stop it any more.
    Closed(String),
}

/// Whose key-value space: one tool of one program, and nobody else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KvScope {
    /// The name of the program.
    pub program: String,
    /// The name of the tool in that program.
    pub tool: ToolName,
}

/// A place in a key-value space.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KvKey {
    /// The namespace that the capability names.
    pub namespace: String,
    /// The key.
    pub key: String,
}

/// The key-value changes of one call.
///
/// They are serialisable over the keys in `reads`. A listing protects the keys that it
/// returned and that the caller puts into `reads`, not against new ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvCommit {
    /// Whose space.
    pub scope: KvScope,
    /// What the call saw and relied on.
    pub reads: Vec<KvRead>,
    /// What it changed; each key at most once.
    pub writes: Vec<KvWrite>,
}

/// What a call saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvRead {
    /// Where.
    pub at: KvKey,
    /// The version it saw; `None` where there was nothing.
    pub version: Option<u64>,
}

/// What a call changed.
#[derive(Clone, PartialEq, Eq)]
pub struct KvWrite {
    /// Where.
    pub at: KvKey,
    /// The new value; `None` deletes.
    pub value: Option<Vec<u8>>,
}

/// The value itself does not belong in logs: only its size is shown.
impl fmt::Debug for KvWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KvWrite")
            .field("at", &self.at)
            .field("bytes", &self.value.as_ref().map(Vec::len))
            .finish()
    }
}

/// A value with its version. Versions are never used twice, not even after a delete.
#[derive(Clone, PartialEq, Eq)]
pub struct KvEntry {
    /// The value.
    pub value: Vec<u8>,
    /// Its version.
    pub version: u64,
}

/// The value itself does not belong in logs: only its size is shown.
impl fmt::Debug for KvEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KvEntry").field("bytes", &self.value.len()).field("version", &self.version).finish()
    }
}
