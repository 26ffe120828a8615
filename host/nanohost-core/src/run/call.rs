//! The transitions of calls: begun, refused, failed before they began, finished.

use super::due::Due;
use super::event::{CallEnd, Code, Culprit, Denial, ErrorKind, Failure, Place, Retry, Slot};
use super::suspension::SuspensionCause;
use super::{IllegalTransition, Phase, Run, State};
use crate::ToolName;
use crate::admit::Row;
use crate::capability::Effect;
use crate::check::{StepIndex, StepKind, ToolStep};
use crate::projection::Target;

impl Run {
    pub(super) fn started(
        &mut self,
        place: Place,
        tool: &ToolName,
        args: &Slot,
    ) -> Result<(), IllegalTransition> {
        self.may_call(place, tool, args)?;
        let handed = self.lane(place)?.phase == Phase::Handed;
        if !handed && !self.has_room() {
            return Err(IllegalTransition("the block has no room for one more call"));
        }
        let lane = self.lane(place)?;
        lane.phase = Phase::Calling;
        lane.calling = Some(tool.clone());
        if !handed && let State::Active(active) = &mut self.state {
            active.busy += 1;
        }
        Ok(())
    }

    /// Whether one more lane may be handed out.
    pub(super) fn has_room(&self) -> bool {
        let State::Active(active) = &self.state else { return false };
        match &self.program().step(active.step).kind {
            StepKind::Parallel(block) => block.max_concurrency.is_none_or(|max| active.busy < max.get()),
            _ => true,
        }
    }

    /// A guest was refused something: only where a call goes on, or one whose beginning shares the
    /// envelope of its result.
    pub(super) fn goes_on(&mut self, place: Place) -> Result<(), IllegalTransition> {
        if self.lane(place)?.phase == Phase::Calling {
            return Ok(());
        }
        let tool = match self.due_at(place)? {
            Due::Call { tool, .. } => Some(tool),
            Due::Partly { tool, .. } => tool,
            Due::Denied(_) | Due::Failed(_) | Due::Nothing => {
                return Err(IllegalTransition("no call goes on there"));
            }
        };
        match tool.and_then(|tool| self.plan.row(&tool)) {
            Some(row) if row.effect != Effect::Pure => Err(IllegalTransition("the call has not begun")),
            _ => Ok(()),
        }
    }

    pub(super) fn blocked(&mut self, place: Place, denial: &Denial) -> Result<(), IllegalTransition> {
        if denial.culprit != Culprit::Guest || denial.kind != ErrorKind::Authority {
            return Err(IllegalTransition("only a running guest is refused something in passing"));
        }
        self.goes_on(place)?;
        self.lane(place)?.denied += 1;
        self.tally.denied += 1;
        Ok(())
    }

    pub(super) fn denied(&mut self, place: Place, denial: Denial) -> Result<(), IllegalTransition> {
        if denial.culprit == Culprit::Guest && denial.kind == ErrorKind::Authority {
            self.goes_on(place)?;
        } else {
            if self.lane(place)?.phase == Phase::Calling {
                return Err(IllegalTransition("the call has already begun"));
            }
            let legal = match self.due_at(place)? {
                Due::Denied(due) => due.says(&denial),
                Due::Partly { tool, args: None } => self.may_refuse(place.step, tool.as_ref(), &denial),
                _ => false,
            };
            if !legal {
                return Err(IllegalTransition("the call is not refused so"));
            }
        }
        let lane = self.lane(place)?;
        let code = denial.rule_code();
        lane.denied += 1;
        lane.refused_by = Some(denial.rule);
        self.tally.denied += 1;
        let failure = Failure {
            kind: denial.kind,
            code,
            // Only arguments that do not fit may be proposed again; authority never.
            retry: if denial.kind == ErrorKind::InvalidProposal { Retry::Maybe } else { Retry::Never },
            message: denial.value,
        };
        self.attempt_failed(place, failure)
    }

    /// Whether a call of which values are withheld can have been refused so.
    pub(super) fn may_refuse(&self, step: StepIndex, tool: Option<&ToolName>, denial: &Denial) -> bool {
        let requires = |tool: &ToolName, kind| {
            self.plan.row(tool).is_some_and(|row| {
                row.require
                    .iter()
                    .any(|require| Denial::require(kind, require.rule.clone(), Slot::Withheld).says(denial))
            })
        };
        match (&self.program().step(step).kind, tool) {
            (StepKind::Tool(_), Some(tool)) => requires(tool, ErrorKind::Authority),
            (StepKind::Llm(llm), _) => {
                Denial::invalid_proposal(Slot::Withheld).says(denial)
                    || Denial::injection(Denial::NOT_LISTED, Slot::Withheld).says(denial)
                    || Denial::injection(Denial::NO_ROW, Slot::Withheld).says(denial)
                        && llm.allowed_tools.iter().any(|tool| self.plan.row(tool).is_none())
                    || llm.allowed_tools.iter().any(|tool| requires(tool, ErrorKind::ToolInjection))
            }
            _ => false,
        }
    }

    pub(super) fn failed(&mut self, place: Place, failure: Failure) -> Result<(), IllegalTransition> {
        let lane = self.lane(place)?;
        if lane.phase == Phase::Calling {
            return Err(IllegalTransition("the call has already begun"));
        }
        let unasked = lane.proposal.is_none();
        let due = self.due_at(place)?;
        let legal = match self.kind(place.step)? {
            StepKind::Tool(call) => match due {
                Due::Failed(due) => (due.kind, &due.code) == (failure.kind, &failure.code),
                Due::Partly { args, .. } => {
                    let invalid = failure.kind == ErrorKind::StepFailed
                        && failure.code == Code::INVALID_ARGS
                        && args.is_none();
                    failure.is_unresolved()
                        || failure.is_too_large()
                        || invalid
                        || is_held(call, &failure)
                        || self.is_doubtful(call, &failure)
                }
                // Another run holds the step's idempotency value: nothing is called.
                Due::Call { .. } => is_held(call, &failure) || self.is_doubtful(call, &failure),
                Due::Denied(_) | Due::Nothing => false,
            },
            StepKind::Llm(llm) => {
                let scope = self.scope();
                unasked && self.asks_nothing(llm, &self.view(&scope, Target::Model), &failure)
            }
            StepKind::Condition(_) | StepKind::Parallel(_) => false,
        };
        if !legal {
            return Err(IllegalTransition("the step does not fail so"));
        }
        if failure.kind == ErrorKind::InDoubt
            && let StepKind::Tool(call) = self.kind(place.step)?
        {
            let tool = call.tool.clone();
            self.lane(place)?.calling = Some(tool);
            return self.in_doubt(place, failure);
        }
        let retry = if failure.code == Code::IDEMPOTENCY_HELD { failure.retry } else { Retry::Never };
        self.attempt_failed(place, Failure { retry, ..failure })
    }

    pub(super) fn finished(&mut self, place: Place, end: CallEnd) -> Result<(), IllegalTransition> {
        let calling = self.lane(place)?.phase == Phase::Calling;
        if let CallEnd::Success { recorded: true, .. } = end {
            let unique = matches!(self.kind(place.step)?, StepKind::Tool(call) if call.idempotency.is_some());
            let due = matches!(self.due_at(place)?, Due::Call { .. } | Due::Partly { .. });
            if calling || !unique || !due {
                return Err(IllegalTransition("no recorded result can stand in for the call"));
            }
        } else if !calling {
            return Err(IllegalTransition("the call has not begun"));
        }
        if let CallEnd::Failure(failure) = &end {
            let row = self.lane(place)?.calling.clone().and_then(|tool| self.plan.row(&tool));
            let external = row.is_some_and(|row| row.effect == Effect::External);
            let legal = match failure.kind {
                ErrorKind::StepFailed | ErrorKind::Cancelled => true,
                // Nobody saw the end of such a call: with an effect, that is in doubt.
                ErrorKind::ToolTimeout | ErrorKind::GuestFault => !external,
                ErrorKind::InDoubt => external,
                _ => false,
            };
            if !legal {
                return Err(IllegalTransition("a call with this effect does not fail so"));
            }
        }
        let in_block = self.program().step(place.step).block.is_some();
        match end {
            CallEnd::Success { output, recorded } => self.succeed(place, output, false, recorded),
            CallEnd::Failure(failure) if failure.kind == ErrorKind::InDoubt => self.in_doubt(place, failure),
            CallEnd::Failure(failure) => self.attempt_failed(place, failure),
            CallEnd::Suspended { reason, .. } if in_block => self.attempt_failed(
                place,
                Failure::new(ErrorKind::StepFailed, Code::SUSPENDED_IN_BLOCK, Retry::Never)
                    .with_message(reason),
            ),
            CallEnd::Suspended { deadline, .. } => {
                self.suspend(place, SuspensionCause::Tool { deadline }, None)
            }
        }
    }
}

impl Run {
    /// Nobody saw how a call ended: the run waits for somebody to say, a block once its others are over.
    pub(super) fn in_doubt(&mut self, place: Place, failure: Failure) -> Result<(), IllegalTransition> {
        match self.program().step(place.step).block {
            Some(_) => self.attempt_failed(place, failure),
            None => self.suspend(place, SuspensionCause::InDoubt, Some(failure)),
        }
    }

    /// Whether a step did not call since a call with its idempotency value was made before, in a run
    /// that can say no more how it ended.
    fn is_doubtful(&self, call: &ToolStep, failure: &Failure) -> bool {
        failure.kind == ErrorKind::InDoubt
            && failure.code == Code::IDEMPOTENCY_HELD
            // Whatever the call's effect is by this table, it was another one's by which the value was
            // taken.
            && call.idempotency.is_some()
            && self.plan.row(&call.tool).is_some()
    }
}

/// Whether a call of which nobody saw the end may be made again: it has no effect, deduplicates by
/// its key, or reaches nothing but what commits with its result.
pub(crate) fn repeatable(row: &Row) -> bool {
    // Of a request nobody knows either whether it arrived.
    row.effect != Effect::External || !row.grants.reaches_out() && row.grants.http().is_empty()
}

/// Whether a step did not call since another run holds its idempotency value.
fn is_held(call: &ToolStep, failure: &Failure) -> bool {
    failure.kind == ErrorKind::StepFailed
        && failure.code == Code::IDEMPOTENCY_HELD
        && call.idempotency.is_some()
}
