//! Waiting for somebody outside, and what ends the wait.

use super::event::{Failure, Place, Slot, WebhookSource};
use super::record::StepStatus;
use super::{Entry, IllegalTransition, Run, State};
use crate::Timestamp;
use crate::check::StepIndex;

/// Why a run waits, and what it needs to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// The step that waits.
    pub step: StepIndex,
    /// Why.
    pub cause: SuspensionCause,
    pub(super) since: Timestamp,
    pub(super) entry: Entry,
}

/// Why a run waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SuspensionCause {
    /// A tool asked to wait for an event, until the deadline where it named one.
    Tool {
        /// When waiting ends by itself.
        deadline: Option<Timestamp>,
    },
    /// An external call whose end the host did not see: a person or a webhook has to settle it.
    InDoubt,
}

impl Run {
    pub(super) fn resume(&mut self, payload: Slot, source: WebhookSource) -> Result<(), IllegalTransition> {
        let State::Suspended(suspension) = &self.state else {
            return Err(IllegalTransition("the run is not suspended"));
        };
        if suspension.cause == SuspensionCause::InDoubt {
            return Err(IllegalTransition("a call in doubt is settled, not resumed"));
        }
        let Suspension { step, since, entry, .. } = suspension.clone();
        let Some(mut record) = self.records.pop_if(|record| record.step == step) else {
            return Err(IllegalTransition("the suspended step has no record"));
        };
        self.tally.suspended_ms += self.now.millis_since(since);
        self.values.set_webhook(payload.clone(), source);
        record.status = StepStatus::Success;
        record.output = payload;
        record.ended = self.now;
        self.complete(record, entry);
        Ok(())
    }

    pub(super) fn suspend(
        &mut self,
        place: Place,
        cause: SuspensionCause,
        error: Option<Failure>,
    ) -> Result<(), IllegalTransition> {
        let now = self.now;
        let lane = self.lane(place)?;
        let mut record = lane.record(now);
        record.proposal = lane.proposal.take();
        record.status = StepStatus::Pending;
        record.error = error;
        let State::Active(active) = &self.state else { return Err(IllegalTransition("not active")) };
        let entry = active.entry;
        self.records.push(record);
        self.state = State::Suspended(Suspension { step: place.step, cause, since: now, entry });
        Ok(())
    }
}
