//! Waiting for somebody outside, what ends the wait, and taking over a run whose process ended.
//! Who may answer is not known here: see [`crate::resume`].

use serde_json::Value;

use super::call::repeatable;
use super::due::Due;
use super::event::{
    Check, CheckEnd, Code, Culprit, Denial, End, ErrorKind, Failure, Place, Retry, Settlement, Slot,
    WebhookSource,
};
use super::record::StepStatus;
use super::{Active, IllegalTransition, Phase, Run, State};
use crate::admit::Row;
use crate::check::{Resume, StepIndex, StepKind, fits_schema, read_json};
use crate::{Source, Timestamp, ToolName};

/// Why a run waits, and what it needs to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// The step that waits: a sub-step, where it lies in a block.
    pub step: StepIndex,
    /// Why.
    pub cause: SuspensionCause,
    /// Since when.
    pub since: Timestamp,
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

/// A suspension, and the step it interrupted.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) suspension: Suspension,
    pub(super) active: Active,
}

/// The call that a run waits for the end of.
#[derive(Debug, Clone, PartialEq)]
pub struct PendingCall {
    /// Which attempt of which step.
    pub place: Place,
    /// The row of the table.
    pub tool: ToolName,
    /// The arguments, where they are there.
    pub args: Option<Value>,
    /// The step's own idempotency value, where it has one and it is there.
    pub idempotency: Option<String>,
}

/// What speaks against an event from outside, before the transition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventRefused {
    /// The payload does not fit the step's schema.
    #[error("the event does not fit `resume.schema` of step `{step}`: {}", misfits.join("; "))]
    Schema {
        /// The step.
        step: String,
        /// Where and how, at least one.
        misfits: Vec<String>,
    },
}

impl Run {
    /// The rules of the step that waits for an event, where it has any.
    pub fn resume_rules(&self) -> Option<&Resume> {
        let step = self.suspension()?.step;
        match &self.program().step(step).kind {
            StepKind::Tool(call) => call.resume.as_ref(),
            _ => None,
        }
    }

    /// The call whose end is awaited.
    pub fn pending_call(&self) -> Option<PendingCall> {
        let State::Suspended(waiting) = &self.state else { return None };
        let lane = waiting.active.lanes.iter().find(|lane| lane.step == waiting.suspension.step)?;
        let place = Place { step: lane.step, visit: lane.visit, attempt: lane.attempt };
        let tool = lane.calling.clone()?;
        let (args, idempotency) = match self.due(lane) {
            Due::Call { args, idempotency, .. } => (Some(args), idempotency),
            Due::Partly { args, .. } => (args, None),
            Due::Denied(_) | Due::Failed(_) | Due::Nothing => (None, None),
        };
        Some(PendingCall { place, tool, args, idempotency })
    }

    /// Whether an event's payload fits what the waiting step asks of it.
    ///
    /// # Errors
    /// How it does not fit.
    pub fn fits_event(&self, payload: &Value) -> Result<(), EventRefused> {
        let Some(schema) = self.resume_rules().and_then(|rules| rules.schema.as_ref()) else { return Ok(()) };
        let step =
            || self.suspension().map_or_else(String::new, |at| self.program().step(at.step).id.to_string());
        fits_schema(schema, payload).map_err(|misfits| EventRefused::Schema { step: step(), misfits })
    }

    /// Whether an output that somebody says a call had is one the tool can have.
    ///
    /// # Errors
    /// How it does not fit the tool's schema.
    pub fn fits_output(&self, output: &Value) -> Result<(), Vec<String>> {
        self.output_schema().map_or(Ok(()), |schema| fits_schema(schema, output))
    }

    /// The schema of what the call whose end is awaited returns.
    pub fn output_schema(&self) -> Option<&Value> {
        Some(&self.plan.row(&self.pending_call()?.tool)?.export.output)
    }

    /// Whether an event that comes at `moment` comes after the deadline: the suspension can only
    /// expire then.
    pub fn is_too_late(&self, moment: Timestamp) -> bool {
        match self.suspension().map(|suspension| suspension.cause) {
            Some(SuspensionCause::Tool { deadline: Some(deadline) }) => moment >= deadline,
            _ => false,
        }
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
        record.proposal = lane.proposal.clone();
        record.status = StepStatus::Pending;
        record.error = error;
        self.records.push(record);
        self.wait(Suspension { step: place.step, cause, since: now });
        Ok(())
    }

    /// The step that is being executed waits from now on.
    pub(super) fn wait(&mut self, suspension: Suspension) {
        self.state = match std::mem::replace(&mut self.state, State::Closing(End::success())) {
            State::Active(active) => State::Suspended(Box::new(Waiting { suspension, active })),
            other => other,
        };
    }

    /// The step that waited is being executed again, its call as if it had just ended.
    fn go_on(&mut self) -> Result<Place, IllegalTransition> {
        let (suspension, mut active) =
            match std::mem::replace(&mut self.state, State::Closing(End::success())) {
                State::Suspended(waiting) => (waiting.suspension, waiting.active),
                other => {
                    self.state = other;
                    return Err(IllegalTransition("the run is not suspended"));
                }
            };
        let Suspension { step, since, .. } = suspension;
        let Some(lane) = active.lanes.iter_mut().find(|lane| lane.step == step) else {
            return Err(IllegalTransition("the suspended step is not being executed"));
        };
        let place = Place { step, visit: lane.visit, attempt: lane.attempt };
        // A sub-step had ended in doubt before its block began to wait.
        if matches!(lane.phase, Phase::Done(_)) {
            lane.phase = Phase::Calling;
            active.unfinished += 1;
            active.busy += 1;
        }
        self.records.pop_if(|record| record.step == step && record.status == StepStatus::Pending);
        self.tally.suspended_ms += self.now.millis_since(since);
        self.waited = Some(step);
        self.state = State::Active(active);
        Ok(place)
    }

    pub(super) fn resumed(
        &mut self,
        payload: Slot,
        source: WebhookSource,
        check: Option<&Check>,
    ) -> Result<(), IllegalTransition> {
        match self.suspension().map(|suspension| suspension.cause) {
            None => return Err(IllegalTransition("the run is not suspended")),
            Some(SuspensionCause::InDoubt) => {
                return Err(IllegalTransition("a call in doubt is settled, not resumed"));
            }
            Some(SuspensionCause::Tool { .. }) => {}
        }
        if self.is_too_late(self.now) {
            return Err(IllegalTransition("the deadline has passed"));
        }
        if let Slot::Known(payload) = &payload
            && self.fits_event(payload).is_err()
        {
            return Err(IllegalTransition("the event does not fit the step's schema"));
        }
        let verify = self.resume_rules().and_then(|rules| rules.verify.clone());
        match (&verify, check) {
            (None, None) => {}
            (Some(_), Some(check)) if matches!(check.end, CheckEnd::Passed { .. }) => {
                self.check_is_of(check)?;
                if !check.is_about(&payload) {
                    return Err(IllegalTransition("the event that was checked is another one"));
                }
            }
            _ => return Err(IllegalTransition("the event was not checked as the step says")),
        }
        let place = self.go_on()?;
        self.values.set_webhook(payload.clone(), source);
        self.succeed(place, payload, false, false)
    }

    /// A check is a call of the step's own pure tool, with arguments that it takes.
    fn check_is_of(&self, check: &Check) -> Result<(), IllegalTransition> {
        let named = self.resume_rules().and_then(|rules| rules.verify.as_ref());
        let row = self.plan.row(&check.tool).filter(|row| named == Some(&row.local));
        let row = row.ok_or(IllegalTransition("the event was checked by another tool"))?;
        let passed = match &check.end {
            // `false` is an answer too.
            CheckEnd::Passed { output } => output.value() != Some(&Value::Bool(false)),
            CheckEnd::Refused { .. } => true,
        };
        let args = check
            .args
            .value()
            .is_none_or(|args| self.plan.check_args(row, args).is_ok() && self.are_of_this_run(row, args));
        if passed && args {
            Ok(())
        } else {
            Err(IllegalTransition("the check is none that can have been made"))
        }
    }

    /// Whether a check was told when the event came and which call waits, where its tool asks.
    fn are_of_this_run(&self, row: &Row, args: &Value) -> bool {
        let Some(suspension) = self.suspension() else { return false };
        let told = |name: &str| takes(row, name).then(|| args.get(name).unwrap_or(&Value::Null));
        let then = suspension.since.as_millis() / 1000..=self.now.as_millis() / 1000;
        let in_time = told(Check::RECEIVED_AT)
            .is_none_or(|at| at.as_i64().is_some_and(|seconds| then.contains(&seconds)));
        let about = told(Check::CALL_ARGS).is_none_or(|text| match self.pending_call() {
            Some(PendingCall { args: Some(args), .. }) => text.as_str() == Some(args.to_string().as_str()),
            // The values are withheld.
            _ => true,
        });
        in_time && about
    }

    /// The arguments that a check of this text is called with, by what its tool asks for.
    pub fn check_args_of(&self, row: &Row, body: &str, signature: &str, received: Timestamp) -> Value {
        let mut args = serde_json::Map::new();
        let asked_for = Check::ASKED_FOR.into_iter().filter(|name| takes(row, name));
        for name in Check::ALWAYS.into_iter().chain(asked_for) {
            let value = match name {
                Check::BODY => body.into(),
                Check::SIGNATURE => signature.into(),
                Check::RECEIVED_AT => (received.as_millis() / 1000).into(),
                _ => {
                    let args = self.pending_call().and_then(|call| call.args);
                    args.unwrap_or_default().to_string().into()
                }
            };
            args.insert(name.to_owned(), value);
        }
        Value::Object(args)
    }

    /// An event from outside was refused: the run waits on, the attempt is counted.
    pub(super) fn refused(
        &mut self,
        denial: &Denial,
        check: Option<&Check>,
    ) -> Result<(), IllegalTransition> {
        let Some(suspension) = self.suspension() else {
            return Err(IllegalTransition("the run is not suspended"));
        };
        let waits = matches!(suspension.cause, SuspensionCause::Tool { .. });
        let rules = self.resume_rules();
        let legal = denial.culprit == Culprit::Resolver
            && denial.capability == Denial::RESUME
            && match (denial.kind, denial.rule.as_str()) {
                (ErrorKind::ProgramMismatch, Denial::OTHER_PROGRAM)
                | (ErrorKind::AuthorityChanged, Denial::OTHER_TABLE)
                | (ErrorKind::ResumeRefused, Denial::NOT_ENTITLED | Denial::WRONG_TOKEN) => check.is_none(),
                (ErrorKind::ResumeRefused, Denial::TOO_LATE) => check.is_none() && self.is_too_late(self.now),
                (ErrorKind::ResumeRefused, Denial::EVENT_SCHEMA) => {
                    waits && check.is_none() && rules.is_some_and(|rules| rules.schema.is_some())
                }
                (ErrorKind::ResumeRefused, Denial::EVENT_CHECK) => {
                    waits
                        && rules.is_some_and(|rules| rules.verify.is_some())
                        && check.is_none_or(|check| matches!(check.end, CheckEnd::Refused { .. }))
                }
                _ => false,
            };
        if !legal {
            return Err(IllegalTransition("an event is not refused so"));
        }
        if let Some(check) = check {
            self.check_is_of(check)?;
        }
        self.tally.rejected += 1;
        Ok(())
    }

    /// The deadline of the suspension has passed: the step fails with it, then `on_error`.
    pub(super) fn expired(&mut self) -> Result<(), IllegalTransition> {
        if !self.is_too_late(self.now) {
            return Err(IllegalTransition("the run waits for no deadline, or it has not passed"));
        }
        let place = self.go_on()?;
        self.values.set_webhook(Slot::known(Value::Null), WebhookSource::Timer);
        let failure = Failure::new(ErrorKind::DeadlineExpired, Code::DEADLINE_EXPIRED, Retry::Maybe);
        self.attempt_failed(place, failure)
    }

    /// Somebody says what became of a call whose end the host did not see.
    pub(super) fn settled(&mut self, settlement: Settlement) -> Result<(), IllegalTransition> {
        if self.suspension().map(|suspension| suspension.cause) != Some(SuspensionCause::InDoubt) {
            return Err(IllegalTransition("no call is in doubt"));
        }
        if let Settlement::Happened { output: Slot::Known(output) } = &settlement
            && self.fits_output(output).is_err()
        {
            return Err(IllegalTransition("the tool cannot have returned that"));
        }
        let place = self.go_on()?;
        match settlement {
            Settlement::Happened { output } => self.succeed(place, output, false, false),
            Settlement::DidNotHappen => {
                self.hand_back(place);
                let lane = self.lane(place)?;
                lane.attempt += 1;
                // A new beginning: the attempts and pauses of `retry` count from here.
                lane.before_round = lane.attempt - 1;
                lane.calling = None;
                self.tally.retries += 1;
                Ok(())
            }
            Settlement::Failed => {
                self.lane(place)?.settled = true;
                let failure = Failure::new(ErrorKind::InDoubt, Code::SETTLED_AS_FAILED, Retry::Never);
                self.attempt_failed(place, failure)
            }
        }
    }

    /// The process that drove the run is gone and another one goes on. Calls whose end nobody saw
    /// are made again where that can do no harm; others are in doubt.
    pub(super) fn recovered(&mut self, last: Timestamp) -> Result<(), IllegalTransition> {
        let lost = match &self.state {
            State::Active(active) => {
                let lost = active.lanes.iter().filter(|lane| lane.phase == Phase::Calling);
                lost.map(|lane| Place { step: lane.step, visit: lane.visit, attempt: lane.attempt }).collect()
            }
            State::Closing(_) => Vec::new(),
            State::Suspended(_) | State::Ended(_) => {
                return Err(IllegalTransition("nothing of the run is going on"));
            }
        };
        // Nobody was at it: that time is not the program's.
        self.tally.suspended_ms += self.now.millis_since(last);
        for place in lost {
            let tool = self.lane(place)?.calling.clone();
            if tool.and_then(|tool| self.plan.row(&tool)).is_some_and(repeatable) {
                self.hand_back(place);
                self.lane(place)?.calling = None;
                continue;
            }
            let failure = Failure::new(ErrorKind::InDoubt, Code::INTERRUPTED, Retry::Never);
            self.in_doubt(place, failure)?;
        }
        Ok(())
    }
}

impl Check {
    /// Whether the payload is what the checked text says, as far as both are there.
    fn is_about(&self, payload: &Slot) -> bool {
        let (Some(args), Some(payload)) = (self.args.value(), payload.value()) else { return true };
        let Some(body) = args.get(Self::BODY).and_then(Value::as_str) else { return false };
        read_json(&Source::new("event", body)).is_ok_and(|value| value == *payload)
    }

    /// What every check is given.
    pub(crate) const ALWAYS: [&'static str; 2] = [Self::BODY, Self::SIGNATURE];
    /// What a check is given where its tool takes it.
    pub(crate) const ASKED_FOR: [&'static str; 2] = [Self::RECEIVED_AT, Self::CALL_ARGS];
}

/// Whether a tool has a parameter of that name.
fn takes(row: &Row, name: &str) -> bool {
    row.export.input["properties"].get(name).is_some()
}
