//! Idempotency keys: at most one call per program, tool and key, across all runs.
//!
//! A reservation outlives its run: when the run dies the effect is in doubt, and only a person
//! can say whether it happened. Knows no database; both stores decide through [`settle`].

use nanohost_core::{RunId, ToolName};

/// What an idempotency key is unique in. Stores keep an HMAC of it: keys are often personal data.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdempotencyScope {
    /// The name of the program.
    pub program: String,
    /// The name of the tool in that program.
    pub tool: ToolName,
    /// The key that the step gives.
    pub key: String,
}

/// The key itself may be personal data, so it is not shown.
impl std::fmt::Debug for IdempotencyScope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IdempotencyScope({}, {}, ..)", self.program, self.tool)
    }
}

/// What a batch does to an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// With the `intent`: nobody else may start this call. Repeating one's own reservation is fine.
    Reserve(IdempotencyScope),
    /// With the `result`: this envelope is the answer from now on. Effects that commit only with
    /// their result need no reservation before.
    Fulfil {
        /// The key.
        scope: IdempotencyScope,
        /// The sequence number of the `result` envelope.
        seq: u64,
    },
    /// With a `result` that had no effect: the key is free again.
    Release(IdempotencyScope),
}

impl Claim {
    pub(crate) fn scope(&self) -> &IdempotencyScope {
        match self {
            Self::Reserve(scope) | Self::Fulfil { scope, .. } | Self::Release(scope) => scope,
        }
    }
}

/// Who holds an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// The run that holds it.
    pub run: RunId,
    /// How far it has come.
    pub state: ReservationState,
}

/// How far the holder of a key has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReservationState {
    /// The call was about to start; its end is not known here.
    Reserved,
    /// The call has its result.
    Fulfilled {
        /// The sequence number of the `result` envelope in the holder's run.
        seq: u64,
    },
}

/// What `claim` by `run` makes of the key's `current` holder: the next one, or the holder that stands in the way.
pub(crate) fn settle(
    claim: &Claim,
    run: &RunId,
    current: Option<Reservation>,
) -> Result<Option<Reservation>, Reservation> {
    let held_by_another = |holder: &Reservation| {
        holder.run != *run || matches!(holder.state, ReservationState::Fulfilled { .. })
    };
    if let Some(holder) = current
        && held_by_another(&holder)
    {
        return Err(holder);
    }
    let state = match claim {
        Claim::Reserve(_) => ReservationState::Reserved,
        Claim::Fulfil { seq, .. } => ReservationState::Fulfilled { seq: *seq },
        Claim::Release(_) => return Ok(None),
    };
    Ok(Some(Reservation { run: run.clone(), state }))
}
