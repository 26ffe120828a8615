//! Idempotency keys: at most one call per program, tool function and key, across all runs.
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
    /// The path of the exported function: `book` and `cancel` of one tool are two calls.
    pub export: String,
    /// The key that the step gives.
    pub key: String,
}

/// The key itself may be personal data, so it is not shown.
impl std::fmt::Debug for IdempotencyScope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IdempotencyScope({}, {}, {}, ..)", self.program, self.tool, self.export)
    }
}

/// Which call of a run it is: all its attempts are one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallPlace {
    /// The id of the step.
    pub step: String,
    /// Which visit of it.
    pub visit: u32,
}

/// What a batch does to an idempotency key, for a call of its run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The key.
    pub scope: IdempotencyScope,
    /// The call.
    pub place: CallPlace,
    /// What becomes of it.
    pub to: Fate,
    /// A reservation of another call that this replaces, by the word of somebody who looked what
    /// came of it: exactly this one, or nothing is changed.
    pub over: Option<Reservation>,
}

/// What becomes of an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// With the `intent`: nobody else may start this call. Repeating one's own reservation is fine.
    Reserve,
    /// With the `result`: this envelope is the answer from now on. Effects that commit only with
    /// their result need no reservation before.
    Fulfil {
        /// The sequence number of the `result` envelope.
        seq: u64,
    },
    /// With a `result` that had no effect: the key is free again.
    Release,
}

/// Who holds an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// The run that holds it.
    pub run: RunId,
    /// The call of that run; `None` in a reservation that an earlier version made.
    pub place: Option<CallPlace>,
    /// How far it has come.
    pub state: ReservationState,
}

impl Reservation {
    /// Whether it was made for this call of this run, and waits for its result. Of an earlier version's
    /// it is known only which run made it.
    pub fn is_of(&self, run: &RunId, place: &CallPlace) -> bool {
        self.run == *run
            && self.place.as_ref().is_none_or(|own| own == place)
            && self.state == ReservationState::Reserved
    }
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

/// What `claim` by `run` makes of the key's holder, where nobody stands in its way.
pub(crate) fn claimed(claim: &Claim, run: &RunId) -> Option<Reservation> {
    let state = match claim.to {
        Fate::Reserve => ReservationState::Reserved,
        Fate::Fulfil { seq } => ReservationState::Fulfilled { seq },
        Fate::Release => return None,
    };
    Some(Reservation { run: run.clone(), place: Some(claim.place.clone()), state })
}

/// What `claim` by `run` makes of the key's `current` holder: the next one, or the holder that stands in the way.
pub(crate) fn settle(
    claim: &Claim,
    run: &RunId,
    current: Option<Reservation>,
) -> Result<Option<Reservation>, Reservation> {
    match current {
        Some(holder) if !holder.is_of(run, &claim.place) && !claim.replaces(&holder) => Err(holder),
        _ => Ok(claimed(claim, run)),
    }
}

impl Claim {
    /// Only what has no result is ever replaced, and nothing that an earlier version reserved, which
    /// stands for all functions of a tool.
    fn replaces(&self, holder: &Reservation) -> bool {
        holder.state == ReservationState::Reserved
            && holder.place.is_some()
            && self.over.as_ref() == Some(holder)
    }
}
