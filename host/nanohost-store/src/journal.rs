//! What every journal offers: reading without owning, and writing only by the owner of a run.
//!
//! The traits are small and fenced so that a server database can implement them too. They take
//! envelopes as opaque bytes: they know no JSON, no signature and no meaning of an event.

use std::any::Any;
use std::fmt;

use nanohost_core::{Digest, RunId, Timestamp};

use crate::batch::{Batch, KvEntry, KvKey, KvScope};
use crate::error::StoreError;
use crate::idempotency::{IdempotencyScope, Reservation};
use crate::record::{Found, RunRecord, RunSummary};
use crate::resume_token::ResumeToken;

/// Reading: everything here works beside a running writer and changes nothing.
pub trait Records: Send + Sync {
    /// Everything kept of one run, or `None` where there is no such run.
    fn load(&self, run: &RunId) -> Result<Option<RunRecord>, StoreError>;

    /// How far the chain of a run, or of acts, has come; `None` where there is no such run.
    fn head(&self, run: &RunId) -> Result<Option<Head>, StoreError>;

    /// The exact bytes of a run's first envelope, which says who opened it; `None` where it has none.
    fn opening(&self, run: &RunId) -> Result<Option<Vec<u8>>, StoreError>;

    /// All runs, the newest first.
    ///
    /// The list is a convenience and is not signed: what a run did is said by its envelopes alone.
    fn runs(&self) -> Result<Vec<RunSummary>, StoreError>;

    /// The run whose id starts with `prefix`.
    fn find(&self, prefix: &str) -> Result<Found, StoreError>;

    /// The id of this store's chain of acts. It is loaded, taken and appended to like a run, and is in
    /// no listing of runs.
    fn acts(&self) -> Result<RunId, StoreError>;

    /// Whether some process, this one included, owns the run at this moment.
    fn is_live(&self, run: &RunId) -> Result<bool, StoreError>;

    /// One value of a tool's key-value space, with the version to name in [`KvCommit::reads`].
    ///
    /// [`KvCommit::reads`]: crate::KvCommit::reads
    fn kv_get(&self, scope: &KvScope, at: &KvKey) -> Result<Option<KvEntry>, StoreError>;

    /// The keys of one namespace with their versions, sorted by key.
    fn kv_list(&self, scope: &KvScope, namespace: &str) -> Result<Vec<(String, u64)>, StoreError>;

    /// Bytes of the keys and values of all namespaces of a tool.
    fn kv_held(&self, scope: &KvScope) -> Result<u64, StoreError>;

    /// Who holds an idempotency key, and whether its result is there.
    fn recorded(&self, scope: &IdempotencyScope) -> Result<Option<Reservation>, StoreError>;

    /// Whether `token` is the one that `holder` was handed out last for this suspension of the run.
    ///
    /// Compared in constant time; text that is no token does not fit.
    fn token_fits(&self, run: &RunId, suspension: u64, holder: &str, token: &str)
    -> Result<bool, StoreError>;

    /// Why the run is to stop, where somebody asked for it. Cheap: owners ask several times a second.
    fn asked_to_stop(&self, run: &RunId) -> Result<Option<String>, StoreError>;
}

/// Writing: a run has one owner, and only its [`Fence`] lets a batch in.
pub trait Journal: Records {
    /// Starts a run and takes ownership of it, unless its start key was used before.
    ///
    /// An id that is already there is [`StoreError::RunExists`].
    fn begin(&self, run: &RunId, open: &OpenRun) -> Result<Begun, StoreError>;

    /// Takes ownership of a run that nobody owns any more, to resume or recover it.
    fn take(&self, run: &RunId) -> Result<Taken, StoreError>;

    /// Lets go of a run that has no envelope, as if it had never begun; its start key is free again.
    /// `false` where it has one, or somebody else has taken it since: nothing was changed.
    fn forget(&self, fence: Fence) -> Result<bool, StoreError>;

    /// Adds a batch in one transaction: all of it is durable when this returns
    /// [`Appended::Committed`], and none of it is there in any other case.
    ///
    /// After an error the store stays usable; the same batch may be tried again with the same
    /// `expected` head.
    fn append(&self, fence: &Fence, expected: Head, batch: &Batch) -> Result<Appended, StoreError>;

    /// A token with which `holder` can resume a run that is listed as suspended. `suspension` is the
    /// sequence number of the envelope that suspended it.
    ///
    /// A token is handed out once: `None` where it was before, and where the run does not wait (any
    /// more). `renew` replaces one that was handed out, which then fits no more. A batch with the
    /// phase `Open` or `Closed` ends all tokens of the run.
    fn hand_out_token(
        &self,
        run: &RunId,
        suspension: u64,
        holder: &str,
        renew: bool,
    ) -> Result<Option<ResumeToken>, StoreError>;

    /// Asks whoever owns the run to stop it: for those who do not own it, so without a fence.
    ///
    /// The first reason stays until the run closes. A run that is over or not there is not asked.
    fn ask_to_stop(&self, run: &RunId, reason: &str) -> Result<(), StoreError>;
}

/// What is said of a run when it starts. Not signed: it serves the listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRun {
    /// The name of the program.
    pub program: String,
    /// When the run started.
    pub opened: Timestamp,
    /// What makes a second start of the same a question for the first one's result.
    pub start: Option<StartKey>,
    /// Whose data it holds. Stores keep an HMAC of it.
    pub subject: Option<Subject>,
}

/// Whose data a run holds, as its program says.
#[derive(Clone, PartialEq, Eq)]
pub struct Subject(String);

impl Subject {
    /// A subject by the program's word for it; `None` for no word.
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// It is personal data, so it is not shown.
impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subject(..)")
    }
}

/// The idempotency key of a start. Stores keep an HMAC of it: keys are often personal data.
#[derive(Clone, PartialEq, Eq)]
pub struct StartKey {
    /// Who starts. Two principals never share a key.
    pub principal: String,
    /// The key.
    pub key: String,
    /// What is started: a digest of the program and the inputs.
    pub of: Digest,
}

/// The key itself may be personal data, so it is not shown.
impl fmt::Debug for StartKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StartKey({:?}, ..)", self.principal)
    }
}

/// The answer to [`Journal::begin`].
#[derive(Debug)]
pub enum Begun {
    /// The run is there and owned by the caller.
    Owned(Fence),
    /// The start key was used before, and no run was started now.
    Held {
        /// The run that was started with it. It may be without envelopes, where its process died
        /// before the first commit; [`Journal::take`] tells.
        run: RunId,
        /// Whether the same was started.
        same: bool,
    },
}

/// How far a run's chain has come: the next envelope has sequence number `len` and names `last` as its predecessor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The number of envelopes.
    pub len: u64,
    /// The SHA-256 of the last envelope's exact bytes; `None` where there is none yet.
    pub last: Option<Digest>,
}

impl Head {
    /// The head of a run without envelopes.
    pub const EMPTY: Self = Self { len: 0, last: None };

    /// The head once `envelope` follows.
    pub fn after(self, envelope: &[u8]) -> Self {
        Self { len: self.len + 1, last: Some(Digest::of(envelope)) }
    }
}

/// Ownership of a run: proof that its holder was the last to take it.
///
/// It cannot be copied. Dropping it gives the run up, and so does the end of the process in
/// whatever way it ends.
pub struct Fence {
    run: RunId,
    epoch: u64,
    /// Whatever keeps the ownership alive in this kind of store; it is only ever dropped.
    _hold: Box<dyn Any + Send + Sync>,
}

impl Fence {
    pub(crate) fn new(run: RunId, epoch: u64, hold: impl Any + Send + Sync) -> Self {
        Self { run, epoch, _hold: Box::new(hold) }
    }

    /// The run that is owned.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// The number of times the run has been taken, this one included.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What is left in the hands of an owner that lost its run without noticing.
    #[cfg(test)]
    pub(crate) fn stale_twin(&self) -> Self {
        Self::new(self.run.clone(), self.epoch, ())
    }
}

impl fmt::Debug for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fence({}, {})", self.run, self.epoch)
    }
}

/// The answer to [`Journal::take`].
#[derive(Debug)]
pub enum Taken {
    /// The run is now owned by the caller.
    Owned(Fence),
    /// A live owner has it: what it is doing is in flight, not left behind.
    Live,
    /// There is no such run.
    Unknown,
}

/// The answer to [`Journal::append`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// The batch is durable; this is the new head.
    Committed(Head),
    /// Somebody else has taken the run since: the caller must stop.
    Fenced,
    /// The batch does not fit what is there.
    Conflict(Conflict),
}

/// Why a batch does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conflict {
    /// The chain has another head than the caller expected.
    Head {
        /// The head that is there.
        actual: Head,
    },
    /// A value that the call read was changed, made or deleted by another run meanwhile.
    Kv {
        /// Its namespace and key.
        at: KvKey,
    },
    /// A legal hold lies on a run that something is to be erased from.
    Held {
        /// The run.
        run: RunId,
    },
    /// The idempotency key is held already.
    Idempotency {
        /// By whom, and whether the result is there.
        holder: Reservation,
    },
}
