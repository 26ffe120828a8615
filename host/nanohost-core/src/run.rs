//! The finite state machine of a run. [`Run::next`] says what to do, [`Run::record`] is the one
//! transition function: the live run, recovery, verification and replay all go through it.
//!
//! It deliberately knows no clock, sandbox, model, key or disk: what they did enters as
//! [`Event`]s, each with the moment it happened. It is iterative, and no step copies the state.

mod call;
mod due;
mod event;
mod model;
mod next;
mod order;
mod record;
mod scope;
mod suspension;

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::{Map, Value};

pub(crate) use call::repeatable;
pub(crate) use event::text_enum;
pub use event::{
    Answer, CallEnd, Check, CheckEnd, Code, Culprit, Denial, End, ErrorKind, Event, Failure, Place, Proposal,
    Reply, Retry, Settlement, Slot, Status, Verdict, WebhookSource,
};
pub use next::{Action, Ask, Call, Next};
pub use record::{StepRecord, StepStatus};
pub use suspension::{EventRefused, PendingCall, Suspension, SuspensionCause};

use crate::admit::Plan;
use crate::check::{CheckedProgram, StepIndex, StepKind};
use crate::projection::{Projection, Target, View};
use crate::{Timestamp, ToolName};
use scope::Values;
use suspension::Waiting;

/// A run of an admitted program, somewhere between its opening and its end.
#[derive(Debug)]
pub struct Run {
    plan: Arc<Plan>,
    values: Values,
    state: State,
    records: Vec<StepRecord>,
    /// How often each step was entered, by index.
    visits: Vec<u32>,
    tally: Tally,
    opened: Timestamp,
    now: Timestamp,
    final_output: Option<Slot>,
    outcome: Option<String>,
    /// The step whose wait ended last.
    waited: Option<StepIndex>,
}

/// What the budgets count.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Steps executed; a parallel block counts one.
    pub steps: u64,
    /// Tokens as the providers reported them, rejected attempts included.
    pub tokens: u64,
    /// Tokens estimated where a provider reported none.
    pub estimated_tokens: u64,
    /// Attempts after a first one.
    pub retries: u64,
    /// Calls the host refused.
    pub denied: u64,
    /// Events from outside that were refused.
    pub rejected: u64,
    /// Milliseconds the run spent suspended, or without a process.
    pub suspended_ms: u64,
    /// Steps in a row that are known to have changed no named value.
    stalled: u64,
    /// The same, counting those whose values are withheld.
    stalled_at_most: u64,
}

#[derive(Debug)]
enum State {
    Active(Active),
    Suspended(Box<Waiting>),
    /// The end is decided and waits for its record.
    Closing(End),
    Ended(End),
}

/// The step the program counter is at, and its lanes: one for a tool, model or condition step,
/// one per sub-step for a parallel block.
#[derive(Debug)]
struct Active {
    step: StepIndex,
    entry: Entry,
    started: Timestamp,
    /// Attempts of the block itself.
    round: u32,
    lanes: Vec<Lane>,
    ready: VecDeque<usize>,
    /// Lanes handed out and not ended.
    busy: u32,
    unfinished: usize,
    /// An authority error inside a block: nothing more is handed out, and the run ends with it.
    halted: Option<ErrorKind>,
}

/// How the program counter came to a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Branch,
    Other,
}

#[derive(Debug)]
struct Lane {
    step: StepIndex,
    visit: u32,
    attempt: u32,
    /// Attempts made before the present round of the block.
    before_round: u32,
    denied: u32,
    /// The rule that refused a call of it last.
    refused_by: Option<String>,
    phase: Phase,
    started: Timestamp,
    /// What the model proposed in this attempt, once it is admitted or refused.
    proposal: Option<Slot>,
    /// The row of the call that has begun.
    calling: Option<ToolName>,
    /// Somebody settled a call in doubt as failed.
    settled: bool,
}

#[derive(Debug, PartialEq)]
enum Phase {
    Ready,
    /// Handed out by `next`; nothing about it is recorded.
    Handed,
    /// Its intent is recorded.
    Calling,
    Done(Box<StepRecord>),
}

/// An event that the program does not allow at this point. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("illegal transition: {0}")]
pub struct IllegalTransition(pub(crate) &'static str);

impl Run {
    /// A run at the first step of the plan's program.
    ///
    /// `inputs` are the bound inputs; `Slot::Withheld` ones make verification of what depends on
    /// them a check of shape only.
    pub fn start(plan: Arc<Plan>, inputs: Map<String, Value>, opened: Timestamp) -> Self {
        let inputs = inputs.into_iter().map(|(name, value)| (name, Slot::known(value))).collect();
        Self::start_with(plan, Some(inputs), opened)
    }

    /// A run whose inputs the holder may not see.
    pub fn start_withheld(plan: Arc<Plan>, opened: Timestamp) -> Self {
        Self::start_with(plan, None, opened)
    }

    fn start_with(
        plan: Arc<Plan>,
        inputs: Option<std::collections::HashMap<String, Slot>>,
        opened: Timestamp,
    ) -> Self {
        let steps = plan.program().steps().len();
        let first = plan.program().first();
        let mut run = Self {
            values: Values::new(&plan, inputs),
            plan,
            state: State::Closing(End::success()),
            records: Vec::new(),
            visits: vec![0; steps],
            tally: Tally::default(),
            opened,
            now: opened,
            final_output: None,
            outcome: None,
            waited: None,
        };
        run.enter(first, Entry::Other);
        run
    }

    /// The plan it runs under.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    fn program(&self) -> &CheckedProgram {
        self.plan.program()
    }

    /// The steps so far, in trace order.
    pub fn records(&self) -> &[StepRecord] {
        &self.records
    }

    /// Gives up the records of the steps so far, which no transition depends on: a run of any length
    /// then takes the memory of its program.
    pub fn forget_records(&mut self) {
        self.records.clear();
    }

    /// What the budgets count.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// The end, once recorded.
    pub fn end(&self) -> Option<&End> {
        match &self.state {
            State::Ended(end) => Some(end),
            _ => None,
        }
    }

    /// Whether its end is decided and waits only for its record.
    pub fn is_closing(&self) -> bool {
        matches!(self.state, State::Closing(_))
    }

    /// The step whose wait ended last.
    pub(crate) fn waited(&self) -> Option<StepIndex> {
        self.waited
    }

    /// What the run waits for, where it is suspended.
    pub fn suspension(&self) -> Option<&Suspension> {
        match &self.state {
            State::Suspended(waiting) => Some(&waiting.suspension),
            _ => None,
        }
    }

    /// The output of the last tool, model or parallel step that succeeded, of a run that ended in
    /// success.
    pub fn final_output(&self) -> Option<&Slot> {
        match &self.state {
            State::Ended(End { status: Status::Success, .. }) => self.final_output.as_ref(),
            _ => None,
        }
    }

    /// The calls that have begun and not ended.
    pub fn going_on(&self) -> impl Iterator<Item = Place> + '_ {
        let lanes = match &self.state {
            State::Active(active) => active.lanes.as_slice(),
            _ => &[],
        };
        let calling = lanes.iter().filter(|lane| lane.phase == Phase::Calling);
        calling.map(|lane| Place { step: lane.step, visit: lane.visit, attempt: lane.attempt })
    }

    /// Where the program counter is, in words that stand in envelopes: `step:<id>`, `suspended`,
    /// `closing` or `ended`.
    pub fn location(&self) -> String {
        match &self.state {
            State::Active(active) => format!("step:{}", self.program().step(active.step).id),
            State::Suspended(_) => "suspended".to_owned(),
            State::Closing(_) => "closing".to_owned(),
            State::Ended(_) => "ended".to_owned(),
        }
    }

    /// The business outcome, where a step declared one.
    pub fn outcome(&self) -> Option<&str> {
        self.outcome.as_deref()
    }

    /// When the run was opened.
    pub fn opened(&self) -> Timestamp {
        self.opened
    }

    /// The moment of the last recorded event.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The one transition function. An event that the program does not allow here is refused and
    /// changes nothing.
    pub fn record(&mut self, event: Event, at: Timestamp) -> Result<(), IllegalTransition> {
        if at < self.now {
            return Err(IllegalTransition("time runs backwards"));
        }
        let before = std::mem::replace(&mut self.now, at);
        let done = self.apply(event, before);
        if done.is_err() {
            self.now = before;
        }
        done
    }

    fn apply(&mut self, event: Event, last: Timestamp) -> Result<(), IllegalTransition> {
        match event {
            Event::Closed(end) => self.close(end),
            Event::Cancelled { .. } => match &self.state {
                State::Ended(_) | State::Closing(_) => Err(IllegalTransition("the run is over")),
                State::Active(_) | State::Suspended(_) => {
                    self.state = State::Closing(End::of(Status::Cancelled, ErrorKind::Cancelled));
                    Ok(())
                }
            },
            Event::Resumed { payload, source, check } => self.resumed(payload, source, check.as_ref()),
            Event::Refused { denial, check } => self.refused(&denial, check.as_ref()),
            Event::Expired => self.expired(),
            Event::Settled(settlement) => self.settled(settlement),
            Event::Recovered => self.recovered(last),
            Event::Joined(step) => self.join(step),
            Event::Started { place, args, tool } => self.started(place, &tool, &args),
            Event::Blocked { place, denial } => self.blocked(place, &denial),
            Event::Denied { place, denial } => self.denied(place, denial),
            Event::Failed { place, failure } => self.failed(place, failure),
            Event::Decided { place, taken } => self.decided(place, taken),
            Event::Answered { place, answer } => self.answered(place, answer),
            Event::Finished { place, end } => self.finished(place, end),
        }
    }

    fn close(&mut self, end: End) -> Result<(), IllegalTransition> {
        // With values withheld the stall count is unknown: the recorded end stands, shape only.
        let stalled = end == End::of(Status::Stalled, ErrorKind::Stalled) && self.may_have_stalled();
        let due = match &self.state {
            State::Closing(due) if *due == end => true,
            // A run that stalled neither ends by itself there, nor meets the next step's budget.
            State::Closing(due) => stalled && matches!(due.status, Status::Success | Status::BudgetExceeded),
            State::Active(_) => stalled || end.is_for_want(),
            // A value that it needs to go on was erased: that ends it wherever it stands.
            State::Suspended(_) => end.is_for_want(),
            State::Ended(_) => false,
        };
        if !due {
            return Err(IllegalTransition("the run does not end here, or not so"));
        }
        self.state = State::Ended(end);
        Ok(())
    }

    /// Whether the run can have stalled with the last step, for all that is known of its values.
    fn may_have_stalled(&self) -> bool {
        let max = self.program().budgets().max_stalled_steps;
        let untouched = match &self.state {
            State::Active(active) => active.lanes.iter().all(|lane| {
                matches!(lane.phase, Phase::Ready | Phase::Handed)
                    && (lane.attempt, lane.denied) == (1, 0)
                    && lane.proposal.is_none()
            }),
            State::Closing(_) => true,
            State::Suspended(_) | State::Ended(_) => false,
        };
        untouched
            && self.tally.stalled_at_most != self.tally.stalled
            && max.is_some_and(|max| self.tally.stalled_at_most >= max.get())
    }

    /// Whether the program counter can be where an envelope says it is: at [`Self::location`], or
    /// where a stall that withheld values hide has ended the run.
    pub(crate) fn may_be_at(&self, location: &str) -> bool {
        self.location() == location || location == "closing" && self.may_have_stalled()
    }

    /// The lane an event is about: it must be in play, at that visit and attempt.
    fn lane(&mut self, place: Place) -> Result<&mut Lane, IllegalTransition> {
        let State::Active(active) = &mut self.state else {
            return Err(IllegalTransition("no step is being executed"));
        };
        // Sub-steps follow their block in the arena, so the lane is found without a search.
        let at = match place.step.0.checked_sub(active.lanes[0].step.0) {
            Some(offset) if (offset as usize) < active.lanes.len() => offset as usize,
            _ => return Err(IllegalTransition("the event is about a step that is not being executed")),
        };
        let lane = &mut active.lanes[at];
        if lane.step != place.step || lane.visit != place.visit || lane.attempt != place.attempt {
            return Err(IllegalTransition("the event is about another visit or attempt"));
        }
        if matches!(lane.phase, Phase::Done(_)) {
            return Err(IllegalTransition("the step has already ended"));
        }
        Ok(lane)
    }

    fn kind(&self, step: StepIndex) -> Result<&StepKind, IllegalTransition> {
        self.program()
            .steps()
            .get(step.0 as usize)
            .map(|step| &step.kind)
            .ok_or(IllegalTransition("no such step"))
    }

    /// The values of the run as `target` sees them: the one way to them from outside the machine
    /// that keeps personal data back.
    pub fn projection(&self, target: Target) -> Projection<'_> {
        self.values.projection(target)
    }

    /// What templates for `target` resolve against.
    fn view<'a>(&'a self, scope: &'a scope::RunScope<'a>, target: Target) -> View<'a> {
        View::new(scope, self.projection(target))
    }

    /// The values as they are, for conditions.
    fn scope(&self) -> scope::RunScope<'_> {
        scope::RunScope { program: self.plan.program(), values: &self.values }
    }
}

impl Lane {
    fn record(&self, now: Timestamp) -> StepRecord {
        let mut record = StepRecord::new(self.step, self.visit, self.started, now);
        record.retries = self.attempt - 1;
        record.denied = self.denied;
        record.refused_by = self.refused_by.clone();
        record
    }
}

/// The lane of a place that [`Run::lane`] found: sub-steps follow their block in the arena.
fn at(active: &Active, place: Place) -> usize {
    (place.step.0 - active.lanes[0].step.0) as usize
}

/// Whether something changed in either of two places; unknown stays unknown unless one is known
/// to have changed.
fn either(left: Option<bool>, right: Option<bool>) -> Option<bool> {
    match (left, right) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    }
}

#[cfg(test)]
pub(crate) mod tests;
