//! The finite state machine of a run. [`Run::next`] says what to do, [`Run::record`] is the one
//! transition function: the live run, recovery, verification and replay all go through it.
//!
//! It deliberately knows no clock, sandbox, model, key or disk: what they did enters as
//! [`Event`]s, each with the moment it happened. It is iterative, and no step copies the state.

mod event;
mod record;
mod scope;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

pub use event::{
    Answer, CallEnd, Code, Culprit, Denial, End, ErrorKind, Event, Failure, Place, Proposal, Reply, Retry,
    Slot, Status, Verdict, WebhookSource,
};
pub use record::{StepRecord, StepStatus};

use crate::admit::{ArgsRefused, Misfit, Plan, Row};
use crate::capability::Effect;
use crate::check::{CheckedProgram, Follow, LlmStep, OnError, OnTimeout, StepIndex, StepKind, ToolStep};
use crate::template::{TextTemplate, Unresolved};
use crate::{Timestamp, ToolName};
use scope::Values;

/// The longest pause between two attempts, before jitter.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// Arguments nested deeper are refused. Templates and the values they insert could together nest
/// deeper than JSON readers go, and nobody could read back what such a call was made with.
const MAX_ARGS_DEPTH: usize = 100;

/// The most tokens one attempt can count: signed documents hold no greater integer.
const MAX_TOKENS: u64 = crate::jcs::MAX_INTEGER as u64;

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
    /// Milliseconds the run spent suspended.
    pub suspended_ms: u64,
    /// Steps in a row that are known to have changed no named value.
    stalled: u64,
    /// The same, counting those whose values are withheld.
    stalled_at_most: u64,
}

#[derive(Debug)]
enum State {
    Active(Active),
    Suspended(Suspension),
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
    phase: Phase,
    started: Timestamp,
    /// What the model proposed in this attempt, once it is admitted or refused.
    proposal: Option<Slot>,
    /// The row of the call that has begun.
    calling: Option<ToolName>,
}

/// What is due in a lane that calls something, as far as the values are there.
enum Due {
    /// This call; everything about it is admitted.
    Call { tool: ToolName, args: Value, idempotency: Option<String> },
    /// A refusal: nothing is called.
    Denied(Denial),
    /// A failure: nothing is called.
    Failed(Failure),
    /// It takes values that are withheld; `None` where they leave tool or arguments unknown.
    Partly { tool: Option<ToolName>, args: Option<Value> },
    /// No call: the step makes none, or its model has not proposed one.
    Nothing,
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

/// Why a run waits, and what it needs to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// The step that waits.
    pub step: StepIndex,
    /// Why.
    pub cause: SuspensionCause,
    since: Timestamp,
    entry: Entry,
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

/// What the host has to do next.
#[derive(Debug)]
pub enum Next {
    /// Perform this and record how it ended. Handed out once; call `next` again for more that
    /// may run at the same time.
    Perform(Action),
    /// The machine knows the event itself: record it.
    Record(Event),
    /// Wait for what was handed out.
    Await,
    /// The run waits for somebody outside.
    Suspended,
    /// The run is over.
    Ended,
}

/// Work for the host.
#[derive(Debug)]
pub enum Action {
    /// Call a tool. Record [`Event::Started`] first; it is on disk before the call where the row
    /// has an effect.
    Call(Call),
    /// Ask a model.
    Ask(Ask),
}

/// A call to make.
#[derive(Debug)]
pub struct Call {
    /// Which attempt of which step.
    pub place: Place,
    /// The row of the capability table.
    pub tool: ToolName,
    /// The arguments, checked against the row.
    pub args: Value,
    /// The step's own idempotency value, as text.
    pub idempotency: Option<String>,
    /// The step's own bound on one attempt.
    pub timeout: Option<Duration>,
    /// The pause before this attempt, before jitter.
    pub backoff: Option<Duration>,
}

/// A model call to make.
#[derive(Debug)]
pub struct Ask {
    /// Which attempt of which step.
    pub place: Place,
    /// The model alias.
    pub model: String,
    /// The system text.
    pub system: Option<String>,
    /// The prompt.
    pub prompt: String,
    /// The step's own bound on one attempt.
    pub timeout: Option<Duration>,
    /// The pause before this attempt, before jitter.
    pub backoff: Option<Duration>,
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
            values: Values::new(inputs, steps),
            plan,
            state: State::Closing(End::success()),
            records: Vec::new(),
            visits: vec![0; steps],
            tally: Tally::default(),
            opened,
            now: opened,
            final_output: None,
            outcome: None,
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

    /// What the run waits for, where it is suspended.
    pub fn suspension(&self) -> Option<&Suspension> {
        match &self.state {
            State::Suspended(suspension) => Some(suspension),
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

    /// What to do next.
    #[expect(
        clippy::should_implement_trait,
        reason = "a machine is no iterator: what is next depends on records"
    )]
    pub fn next(&mut self) -> Next {
        loop {
            let active = match &mut self.state {
                State::Ended(_) => return Next::Ended,
                State::Suspended(_) => return Next::Suspended,
                State::Closing(end) => return Next::Record(Event::Closed(end.clone())),
                State::Active(active) => active,
            };
            let block = match &self.plan.program().step(active.step).kind {
                StepKind::Parallel(block) => Some(block),
                _ => None,
            };
            if block.is_some() && (active.unfinished == 0 || active.halted.is_some() && active.busy == 0) {
                return Next::Record(Event::Joined(active.step));
            }
            let room =
                block.and_then(|block| block.max_concurrency).is_none_or(|max| active.busy < max.get());
            if active.halted.is_some() || !room {
                return Next::Await;
            }
            let Some(lane) = active.ready.pop_front() else { return Next::Await };
            if active.lanes[lane].phase != Phase::Ready {
                continue; // ended by a recorded event before it was handed out
            }
            active.lanes[lane].phase = Phase::Handed;
            active.busy += 1;
            return self.hand_out(lane);
        }
    }

    /// The action, or the event known beforehand, of a lane.
    fn hand_out(&self, lane: usize) -> Next {
        let State::Active(active) = &self.state else { return Next::Await };
        let lane = &active.lanes[lane];
        let place = Place { step: lane.step, visit: lane.visit, attempt: lane.attempt };
        let step = self.program().step(lane.step);
        let backoff = backoff(lane.attempt - lane.before_round);
        match &step.kind {
            StepKind::Condition(_) => Next::Record(Event::Decided { place, taken: self.decide(lane.step) }),
            StepKind::Llm(llm) if lane.proposal.is_none() => {
                let scope = self.scope();
                let prompt = llm.prompt.resolve(&scope);
                let system = llm.system.as_ref().map(|system| system.resolve(&scope)).transpose();
                match (prompt, system) {
                    (Ok(prompt), Ok(system)) => Next::Perform(Action::Ask(Ask {
                        place,
                        model: llm.model.clone(),
                        system,
                        prompt,
                        timeout: step.timeout,
                        backoff,
                    })),
                    _ => Next::Record(Event::Failed { place, failure: unresolved() }),
                }
            }
            StepKind::Tool(_) | StepKind::Llm(_) => match self.due(lane) {
                Due::Call { tool, args, idempotency } => Next::Perform(Action::Call(Call {
                    place,
                    tool,
                    args,
                    idempotency,
                    timeout: step.timeout,
                    // The model's answer was waited for, its call is not.
                    backoff: if lane.proposal.is_some() { None } else { backoff },
                })),
                Due::Denied(denial) => Next::Record(Event::Denied { place, denial }),
                Due::Failed(failure) => Next::Record(Event::Failed { place, failure }),
                // A live run holds all its values; one that does not cannot call.
                Due::Partly { .. } | Due::Nothing => {
                    Next::Record(Event::Failed { place, failure: unresolved() })
                }
            },
            // A block inside a block is no program: the checker refuses it.
            StepKind::Parallel(_) => Next::Await,
        }
    }

    /// What is due in a lane that calls something: schema first, then policy. `hand_out` acts on
    /// it, and every record of a call or of its refusal is judged by it.
    fn due(&self, lane: &Lane) -> Due {
        match &self.program().step(lane.step).kind {
            StepKind::Tool(call) => self.due_call(call),
            StepKind::Llm(llm) => match &lane.proposal {
                Some(Slot::Known(proposal)) => self.due_proposal(llm, proposal),
                Some(Slot::Withheld) => Due::Partly { tool: None, args: None },
                None => Due::Nothing,
            },
            StepKind::Condition(_) | StepKind::Parallel(_) => Due::Nothing,
        }
    }

    fn due_call(&self, call: &ToolStep) -> Due {
        let scope = self.scope();
        let args = match call.args.resolve(&scope) {
            Ok(args) => Some(args),
            Err(Unresolved::Withheld { .. }) => None,
            Err(Unresolved::Absent { .. }) => return Due::Failed(unresolved()),
        };
        let idempotency = match call.idempotency.as_ref().map(|key| key.resolve(&scope)) {
            None => Some(None),
            Some(Ok(Value::String(key))) if !key.is_empty() => Some(Some(key)),
            Some(Ok(Value::Null | Value::String(_)) | Err(Unresolved::Absent { .. })) => {
                return Due::Failed(unresolved());
            }
            Some(Ok(key)) => Some(Some(key.to_string())),
            Some(Err(Unresolved::Withheld { .. })) => None,
        };
        let Some(row) = self.plan.row(&call.tool) else {
            return Due::Denied(Denial::no_row(Slot::known(call.tool.as_str().into())));
        };
        let Some(args) = args else { return Due::Partly { tool: Some(call.tool.clone()), args: None } };
        match self.check_args(row, &args) {
            Ok(()) => match idempotency {
                Some(idempotency) => Due::Call { tool: call.tool.clone(), args, idempotency },
                None => Due::Partly { tool: Some(call.tool.clone()), args: Some(args) },
            },
            Err(ArgsRefused::Schema { misfits, .. }) => {
                let words: Vec<String> = misfits.iter().map(ToString::to_string).collect();
                let failure = Failure::new(ErrorKind::StepFailed, Code::INVALID_ARGS, Retry::Never);
                Due::Failed(failure.with_message(Slot::known(words.join("; ").into())))
            }
            Err(ArgsRefused::Require { rule, .. }) => {
                Due::Denied(Denial::require(ErrorKind::Authority, rule, Slot::known(args)))
            }
        }
    }

    /// A model's proposal is untrusted intent: the step's list, the table, the schema, the policy.
    fn due_proposal(&self, llm: &LlmStep, proposal: &Arc<Value>) -> Due {
        let whole = || Slot::Known(Arc::clone(proposal));
        let Ok(proposed) = Proposal::of_value(proposal) else {
            return Due::Denied(Denial::invalid_proposal(whole()));
        };
        let name = ToolName::new(&proposed.tool).ok();
        let listed = name.as_ref().filter(|name| llm.allowed_tools.contains(name));
        let Some((tool, row)) = listed.and_then(|name| Some((name, self.plan.row(name)?))) else {
            let rule = if listed.is_some() { Denial::NO_ROW } else { Denial::NOT_LISTED };
            return Due::Denied(Denial::injection(rule, Slot::known(proposed.tool.into())));
        };
        match self.check_args(row, &proposed.args) {
            Ok(()) => Due::Call { tool: tool.clone(), args: proposed.args, idempotency: None },
            Err(ArgsRefused::Schema { .. }) => Due::Denied(Denial::invalid_proposal(whole())),
            Err(ArgsRefused::Require { rule, .. }) => {
                Due::Denied(Denial::require(ErrorKind::ToolInjection, rule, whole()))
            }
        }
    }

    /// The plan's judgement of arguments, after a bound of our own.
    fn check_args(&self, row: &Row, args: &Value) -> Result<(), ArgsRefused> {
        if deeper_than(args, MAX_ARGS_DEPTH) {
            let problem = format!("nested deeper than {MAX_ARGS_DEPTH} levels");
            let misfits = vec![Misfit { path: String::new(), problem }];
            return Err(ArgsRefused::Schema { tool: row.local.clone(), misfits });
        }
        self.plan.check_args(row, args)
    }

    /// Which way a guard goes: `None` where it cannot be decided, which fails the run.
    fn decide(&self, step: StepIndex) -> Option<bool> {
        match &self.program().step(step).kind {
            StepKind::Condition(guard) => guard.condition.evaluate(&self.scope()).ok(),
            _ => None,
        }
    }

    /// The event of a model's reply: what of it the step accepts.
    pub fn judge(&self, ask: &Ask, reply: Reply) -> Event {
        let (text, verdict, tokens, estimated_tokens) = match reply {
            Reply::Text { text, tokens, estimated_tokens } => {
                let verdict = self.verdict(ask.place.step, &text);
                (Some(Slot::known(text.into())), verdict, tokens, estimated_tokens)
            }
            Reply::TimedOut => (None, Verdict::TimedOut, 0, 0),
            Reply::Failed { failure, tokens } => (None, Verdict::Failed(failure), tokens, 0),
        };
        // What a provider reports is its word; it must not keep the attempt from being signed.
        let (tokens, estimated_tokens) = (tokens.min(MAX_TOKENS), estimated_tokens.min(MAX_TOKENS));
        let answer = Answer {
            prompt: Slot::known(ask.prompt.as_str().into()),
            system: ask.system.as_deref().map(|system| Slot::known(system.into())),
            text,
            verdict,
            tokens,
            estimated_tokens,
        };
        Event::Answered { place: ask.place, answer }
    }

    fn verdict(&self, step: StepIndex, text: &str) -> Verdict {
        let StepKind::Llm(llm) = &self.program().step(step).kind else { return Verdict::NotAllowed };
        if !llm.allowed_tools.is_empty() && Proposal::looks_like(text) {
            return Verdict::Proposed;
        }
        if llm.allowed_outputs.is_empty() || llm.allowed_outputs.iter().any(|allowed| allowed == text.trim())
        {
            Verdict::Accepted
        } else {
            Verdict::NotAllowed
        }
    }

    /// The one transition function. An event that the program does not allow here is refused and
    /// changes nothing.
    pub fn record(&mut self, event: Event, at: Timestamp) -> Result<(), IllegalTransition> {
        if at < self.now {
            return Err(IllegalTransition("time runs backwards"));
        }
        let before = std::mem::replace(&mut self.now, at);
        let done = self.apply(event);
        if done.is_err() {
            self.now = before;
        }
        done
    }

    fn apply(&mut self, event: Event) -> Result<(), IllegalTransition> {
        match event {
            Event::Closed(end) => self.close(end),
            Event::Cancelled => match &self.state {
                State::Ended(_) | State::Closing(_) => Err(IllegalTransition("the run is over")),
                State::Active(_) | State::Suspended(_) => {
                    self.state = State::Closing(End::of(Status::Cancelled, ErrorKind::Cancelled));
                    Ok(())
                }
            },
            Event::Resumed { payload, source } => self.resume(payload, source),
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
            State::Active(_) => stalled,
            State::Suspended(_) | State::Ended(_) => false,
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

    fn resume(&mut self, payload: Slot, source: WebhookSource) -> Result<(), IllegalTransition> {
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

    /// What is due at a place, where something may happen there.
    fn due_at(&mut self, place: Place) -> Result<Due, IllegalTransition> {
        self.lane(place)?;
        let State::Active(active) = &self.state else { return Err(IllegalTransition("not active")) };
        Ok(self.due(&active.lanes[at(active, place)]))
    }

    /// The tool of the call that goes on at a place, or that a tool step makes there.
    pub(crate) fn tool_at(&mut self, place: Place) -> Option<ToolName> {
        let begun = self.lane(place).ok()?.calling.clone();
        begun.or_else(|| match &self.program().step(place.step).kind {
            StepKind::Tool(call) => Some(call.tool.clone()),
            _ => None,
        })
    }

    /// Whether the program makes this call at a place now, as far as the values are there.
    pub(crate) fn may_call(
        &mut self,
        place: Place,
        tool: &ToolName,
        args: &Slot,
    ) -> Result<(), IllegalTransition> {
        if self.lane(place)?.phase == Phase::Calling {
            return Err(IllegalTransition("the call has already begun"));
        }
        let (due_tool, due_args) = match self.due_at(place)? {
            Due::Call { tool, args, .. } => (Some(tool), Some(args)),
            Due::Partly { tool, args } => (tool, args),
            Due::Denied(_) | Due::Failed(_) => {
                return Err(IllegalTransition("the call is not admitted"));
            }
            Due::Nothing => return Err(IllegalTransition("the step calls nothing here")),
        };
        let listed = match self.kind(place.step)? {
            StepKind::Llm(llm) => llm.allowed_tools.contains(tool),
            _ => true,
        };
        let same_args = match (args, &due_args, self.kind(place.step)?) {
            (Slot::Known(args), Some(due), _) => **args == *due,
            (Slot::Known(args), None, StepKind::Tool(call)) => call.args.fits(&self.scope(), args),
            _ => true,
        };
        if due_tool.is_some_and(|due| due != *tool) || !listed || !same_args {
            return Err(IllegalTransition("the call is not the one the program makes"));
        }
        let row = self.plan.row(tool).ok_or(IllegalTransition("the table has no row for the tool"))?;
        if let (Slot::Known(args), None) = (args, due_args)
            && self.check_args(row, args).is_err()
        {
            return Err(IllegalTransition("the arguments are not admitted"));
        }
        Ok(())
    }

    fn started(&mut self, place: Place, tool: &ToolName, args: &Slot) -> Result<(), IllegalTransition> {
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
    fn has_room(&self) -> bool {
        let State::Active(active) = &self.state else { return false };
        match &self.program().step(active.step).kind {
            StepKind::Parallel(block) => block.max_concurrency.is_none_or(|max| active.busy < max.get()),
            _ => true,
        }
    }

    /// A guest was refused something: only where a call goes on, or one whose beginning shares the
    /// envelope of its result.
    fn goes_on(&mut self, place: Place) -> Result<(), IllegalTransition> {
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

    fn blocked(&mut self, place: Place, denial: &Denial) -> Result<(), IllegalTransition> {
        if denial.culprit != Culprit::Guest || denial.kind != ErrorKind::Authority {
            return Err(IllegalTransition("only a running guest is refused something in passing"));
        }
        self.goes_on(place)?;
        self.lane(place)?.denied += 1;
        self.tally.denied += 1;
        Ok(())
    }

    fn denied(&mut self, place: Place, denial: Denial) -> Result<(), IllegalTransition> {
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
        lane.denied += 1;
        self.tally.denied += 1;
        let failure = Failure {
            kind: denial.kind,
            code: denial.rule_code(),
            // Only arguments that do not fit may be proposed again; authority never.
            retry: if denial.kind == ErrorKind::InvalidProposal { Retry::Maybe } else { Retry::Never },
            message: denial.value,
        };
        self.attempt_failed(place, failure)
    }

    /// Whether a call of which values are withheld can have been refused so.
    fn may_refuse(&self, step: StepIndex, tool: Option<&ToolName>, denial: &Denial) -> bool {
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

    fn failed(&mut self, place: Place, failure: Failure) -> Result<(), IllegalTransition> {
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
                    failure.is_unresolved() || invalid || is_held(call, &failure)
                }
                // Another run holds the step's idempotency value: nothing is called.
                Due::Call { .. } => is_held(call, &failure),
                Due::Denied(_) | Due::Nothing => false,
            },
            StepKind::Llm(llm) => {
                let scope = self.scope();
                let open = |template: &TextTemplate| template.resolve(&scope).is_err();
                let open = open(&llm.prompt) || llm.system.as_ref().is_some_and(open);
                unasked && failure.is_unresolved() && open
            }
            StepKind::Condition(_) | StepKind::Parallel(_) => false,
        };
        if !legal {
            return Err(IllegalTransition("the step does not fail so"));
        }
        let retry = if failure.code == Code::IDEMPOTENCY_HELD { failure.retry } else { Retry::Never };
        self.attempt_failed(place, Failure { retry, ..failure })
    }

    fn decided(&mut self, place: Place, taken: Option<bool>) -> Result<(), IllegalTransition> {
        let guard = match self.kind(place.step)? {
            StepKind::Condition(guard) => guard,
            _ => return Err(IllegalTransition("the step decides nothing")),
        };
        match guard.condition.evaluate(&self.scope()) {
            Err(crate::condition::EvalError::Withheld) => {}
            result if result.as_ref().ok().copied() == taken => {}
            _ => return Err(IllegalTransition("the guard goes the other way")),
        }
        let target = match taken {
            Some(true) => guard.then,
            Some(false) => guard.otherwise,
            None => None,
        };
        let lane = self.lane(place)?;
        let (visit, started) = (lane.visit, lane.started);
        let mut record = StepRecord::new(place.step, visit, started, self.now);
        match (taken, target) {
            (Some(_), Some(target)) => {
                let id = self.program().step(target).id.as_str().to_owned();
                record.status = StepStatus::Success;
                record.output = Slot::known(id.into());
                self.commit_record(record);
                if !self.stalled() {
                    self.enter(target, Entry::Branch);
                }
            }
            (Some(_), None) => {
                self.fail_run(record, Failure::new(ErrorKind::NoBranchTarget, Code::NO_BRANCH, Retry::Never));
            }
            (None, _) => {
                self.fail_run(record, Failure::new(ErrorKind::ConditionError, Code::CONDITION, Retry::Never));
            }
        }
        Ok(())
    }

    fn answered(&mut self, place: Place, answer: Answer) -> Result<(), IllegalTransition> {
        let StepKind::Llm(llm) = self.kind(place.step)? else {
            return Err(IllegalTransition("the step asks no model"));
        };
        let fallback = llm.fallback.clone();
        let on_timeout = llm.on_timeout;
        let judged = match &answer.verdict {
            Verdict::Proposed => !llm.allowed_tools.is_empty(),
            Verdict::NotAllowed => !llm.allowed_outputs.is_empty(),
            Verdict::Failed(failure) => failure.kind == ErrorKind::StepFailed,
            Verdict::Accepted | Verdict::TimedOut => true,
        };
        if !judged || answer.tokens > MAX_TOKENS || answer.estimated_tokens > MAX_TOKENS {
            return Err(IllegalTransition("the step does not judge an answer so"));
        }
        if !self.asks(llm, &answer) {
            return Err(IllegalTransition("the model was asked something else than the program says"));
        }
        if let Some(Slot::Known(text)) = &answer.text {
            let text = text.as_str().ok_or(IllegalTransition("an answer is text"))?;
            if self.verdict(place.step, text) != answer.verdict {
                return Err(IllegalTransition("the answer was judged otherwise than the step says"));
            }
        }
        let lane = self.lane(place)?;
        if lane.proposal.is_some() {
            return Err(IllegalTransition("the model has already answered"));
        }
        let text = match (answer.text, &answer.verdict) {
            (Some(text), Verdict::Accepted | Verdict::NotAllowed | Verdict::Proposed) => text,
            (None, Verdict::TimedOut | Verdict::Failed(_)) => Slot::known(Value::Null),
            _ => return Err(IllegalTransition("the answer and its verdict do not fit")),
        };
        self.tally.tokens = self.tally.tokens.saturating_add(answer.tokens);
        self.tally.estimated_tokens = self.tally.estimated_tokens.saturating_add(answer.estimated_tokens);
        match answer.verdict {
            Verdict::Proposed => {
                let proposal = match &text {
                    Slot::Known(text) => Slot::known(Proposal::value_of(text.as_str().unwrap_or_default())),
                    Slot::Withheld => Slot::Withheld,
                };
                let lane = self.lane(place)?;
                lane.proposal = Some(proposal);
                self.hand_back(place);
                Ok(())
            }
            Verdict::Accepted => {
                let trimmed = match text {
                    // An answer matched against a list is the entry it matched.
                    Slot::Known(text) if self.has_allowed_outputs(place.step) => {
                        Slot::known(text.as_str().unwrap_or_default().trim().into())
                    }
                    text => text,
                };
                self.succeed(place, trimmed, false, false)
            }
            Verdict::TimedOut => match (on_timeout, fallback) {
                (OnTimeout::Fallback, Some(fallback)) => self.substitute(place, fallback),
                _ => self.attempt_failed(
                    place,
                    Failure::new(ErrorKind::LlmTimeout, Code::LLM_TIMEOUT, Retry::Maybe),
                ),
            },
            Verdict::Failed(failure) => self.attempt_failed(place, failure),
            Verdict::NotAllowed => match (self.program().step(place.step).on_error, fallback) {
                (OnError::Skip, Some(fallback)) => self.substitute(place, fallback),
                _ => self.attempt_failed(
                    place,
                    Failure::new(ErrorKind::OutputNotAllowed, Code::OUTPUT_NOT_ALLOWED, Retry::Maybe)
                        .with_message(text),
                ),
            },
        }
    }

    /// Whether the prompts of a record are those of the step, as far as the values are there.
    fn asks(&self, llm: &LlmStep, answer: &Answer) -> bool {
        let scope = self.scope();
        let same = |template: &TextTemplate, recorded: &Slot| match recorded {
            Slot::Known(recorded) => recorded.as_str().is_some_and(|text| template.fits(&scope, text)),
            Slot::Withheld => !matches!(template.resolve(&scope), Err(Unresolved::Absent { .. })),
        };
        let system = match (&llm.system, &answer.system) {
            (Some(template), Some(recorded)) => same(template, recorded),
            (None, None) => true,
            _ => false,
        };
        system && same(&llm.prompt, &answer.prompt)
    }

    fn has_allowed_outputs(&self, step: StepIndex) -> bool {
        matches!(&self.program().step(step).kind, StepKind::Llm(llm) if !llm.allowed_outputs.is_empty())
    }

    fn substitute(&mut self, place: Place, fallback: String) -> Result<(), IllegalTransition> {
        self.succeed(place, Slot::known(fallback.into()), true, false)
    }

    fn finished(&mut self, place: Place, end: CallEnd) -> Result<(), IllegalTransition> {
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
            CallEnd::Failure(failure) if failure.kind == ErrorKind::InDoubt && !in_block => {
                self.suspend(place, SuspensionCause::InDoubt, Some(failure))
            }
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

    fn suspend(
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

    fn succeed(
        &mut self,
        place: Place,
        output: Slot,
        substituted: bool,
        recorded: bool,
    ) -> Result<(), IllegalTransition> {
        let now = self.now;
        let lane = self.lane(place)?;
        let mut record = lane.record(now);
        record.proposal = lane.proposal.take();
        record.status = StepStatus::Success;
        record.output = output;
        record.substituted = substituted;
        record.recorded = recorded;
        self.lane_done(place, record);
        Ok(())
    }

    /// One attempt failed: again, skipped, or the end.
    fn attempt_failed(&mut self, place: Place, failure: Failure) -> Result<(), IllegalTransition> {
        let now = self.now;
        let on_error = self.program().step(place.step).on_error;
        let lane = self.lane(place)?;
        let made = lane.attempt - lane.before_round;
        if let OnError::Retry { attempts } = on_error
            && failure.may_be_retried()
            && made < attempts.get()
        {
            lane.attempt += 1;
            lane.proposal = None;
            lane.calling = None;
            self.tally.retries += 1;
            self.hand_back(place);
            return Ok(());
        }
        let mut record = lane.record(now);
        record.status = match on_error {
            OnError::Skip if failure.may_be_skipped() => StepStatus::Skipped,
            _ => StepStatus::Failed,
        };
        record.error = Some(failure);
        self.lane_done(place, record);
        Ok(())
    }

    /// Puts a lane back among those that may be handed out.
    fn hand_back(&mut self, place: Place) {
        let State::Active(active) = &mut self.state else { return };
        let at = at(active, place);
        let lane = &mut active.lanes[at];
        if matches!(lane.phase, Phase::Handed | Phase::Calling) {
            active.busy = active.busy.saturating_sub(1);
        }
        lane.phase = Phase::Ready;
        active.ready.push_back(at);
    }

    fn lane_done(&mut self, place: Place, record: StepRecord) {
        let State::Active(active) = &mut self.state else { return };
        if active.step == place.step {
            let entry = active.entry;
            self.complete(record, entry);
            return;
        }
        let at = at(active, place);
        let lane = &mut active.lanes[at];
        if matches!(lane.phase, Phase::Handed | Phase::Calling) {
            active.busy = active.busy.saturating_sub(1);
        }
        if let Some(failure) = &record.error
            && failure.kind.is_authority()
            && record.status == StepStatus::Failed
        {
            active.halted = Some(failure.kind);
        }
        lane.phase = Phase::Done(Box::new(record));
        active.unfinished -= 1;
    }

    /// The end of a parallel block: sub-steps in declaration order, then the block.
    fn join(&mut self, step: StepIndex) -> Result<(), IllegalTransition> {
        let on_error = match self.program().steps().get(step.0 as usize) {
            Some(step) => step.on_error,
            None => return Err(IllegalTransition("no such step")),
        };
        let now = self.now;
        let State::Active(active) = &mut self.state else {
            return Err(IllegalTransition("no block is being executed"));
        };
        let calling = active.lanes.iter().any(|lane| lane.phase == Phase::Calling);
        let is_block = active.step == step && active.lanes[0].step != step;
        if !is_block || calling || active.unfinished > 0 && active.halted.is_none() {
            return Err(IllegalTransition("the block has not ended"));
        }
        let failed =
            |lane: &Lane| matches!(&lane.phase, Phase::Done(record) if record.status == StepStatus::Failed);
        let any_failed = active.lanes.iter().any(failed);
        // One lane that cannot pass fails the block, whatever the others would do.
        let may_pass = active.lanes.iter().all(|lane| match &lane.phase {
            Phase::Done(record) if failed(lane) => record.error.as_ref().is_some_and(Failure::may_be_retried),
            _ => true,
        });
        let in_doubt = active.lanes.iter().find_map(|lane| match &lane.phase {
            Phase::Done(record) => {
                record.error.as_ref().filter(|error| error.kind == ErrorKind::InDoubt).map(|_| lane.step)
            }
            _ => None,
        });
        if let OnError::Retry { attempts } = on_error
            && any_failed
            && may_pass
            && active.halted.is_none()
            && active.round < attempts.get()
        {
            active.round += 1;
            for (at, lane) in active.lanes.iter_mut().enumerate() {
                if failed(lane) {
                    lane.before_round = lane.attempt;
                    lane.attempt += 1;
                    lane.proposal = None;
                    lane.calling = None;
                    lane.phase = Phase::Ready;
                    active.ready.push_back(at);
                    active.unfinished += 1;
                    self.tally.retries += 1;
                }
            }
            return Ok(());
        }

        let halted = active.halted;
        let entry = active.entry;
        let mut block = StepRecord::new(step, self.visits[step.0 as usize], active.started, now);
        block.retries = active.round - 1;
        let lanes = std::mem::take(&mut active.lanes);
        let mut output = Some(Map::with_capacity(lanes.len()));
        let mut changed = Some(false);
        let mut unsettled = false;
        for lane in lanes {
            let Phase::Done(mut record) = lane.phase else { continue };
            let sub = self.plan.program().step(record.step);
            let value = match (record.status, on_error) {
                (StepStatus::Failed, OnError::Skip) if halted.is_none() && in_doubt.is_none() => {
                    record.status = StepStatus::Skipped;
                    Slot::known(Value::Null)
                }
                (StepStatus::Failed, _) => {
                    unsettled = true;
                    record.output.clone()
                }
                _ => record.output.clone(),
            };
            output = match (output, value) {
                (Some(mut map), Slot::Known(value)) => {
                    map.insert(sub.id.as_str().to_owned(), (*value).clone());
                    Some(map)
                }
                _ => None,
            };
            changed = either(changed, self.values.store(&record, sub.output_key.as_deref()));
            self.records.push(*record);
        }
        block.output = output.map_or(Slot::Withheld, |map| Slot::known(Value::Object(map)));
        if let Some(step) = in_doubt {
            block.status = StepStatus::Pending;
            block.output = Slot::known(Value::Null);
            self.records.push(block);
            self.state =
                State::Suspended(Suspension { step, cause: SuspensionCause::InDoubt, since: now, entry });
        } else if let Some(kind) = halted {
            block.output = Slot::known(Value::Null);
            self.fail_run(block, Failure::new(kind, Code::AUTHORITY, Retry::Never));
        } else if unsettled {
            block.output = Slot::known(Value::Null);
            self.fail_run(
                block,
                Failure::new(ErrorKind::ParallelFailed, Code::PARALLEL_FAILED, Retry::Never),
            );
        } else {
            block.status = if any_failed { StepStatus::Skipped } else { StepStatus::Success };
            self.complete_with(block, entry, changed);
        }
        Ok(())
    }

    /// A step is over: keep its record, then go where the order rules say.
    fn complete(&mut self, record: StepRecord, entry: Entry) {
        self.complete_with(record, entry, Some(false));
    }

    fn complete_with(&mut self, mut record: StepRecord, entry: Entry, changed: Option<bool>) {
        if record.status == StepStatus::Failed {
            let failure = record.error.take();
            let failure = failure
                .unwrap_or_else(|| Failure::new(ErrorKind::StepFailed, Code::STEP_FAILED, Retry::Never));
            self.fail_run(record, failure);
            return;
        }
        let step = record.step;
        let succeeded = record.status == StepStatus::Success;
        if succeeded {
            self.final_output = Some(record.output.clone());
            let outcome = self.program().step(step).outcome.clone();
            self.outcome = outcome.or(self.outcome.take());
        }
        self.commit_record_with(record, changed);
        if self.stalled() {
            return;
        }
        match self.program().step(step).follow {
            Follow::Terminal => self.state = State::Closing(End::success()),
            Follow::Jump(target) => self.enter(target, Entry::Other),
            Follow::Sequence(Some(target)) if entry == Entry::Other => self.enter(target, Entry::Other),
            Follow::Sequence(_) => self.state = State::Closing(End::success()),
        }
    }

    fn commit_record(&mut self, record: StepRecord) {
        self.commit_record_with(record, Some(false));
    }

    /// Keeps a record, its named values, and the counts.
    fn commit_record_with(&mut self, record: StepRecord, changed: Option<bool>) {
        let output_key = self.plan.program().step(record.step).output_key.as_deref();
        let changed = either(changed, self.values.store(&record, output_key));
        self.tally.steps += 1;
        match changed {
            _ if self.tally.steps == 1 => {}
            Some(true) => {
                self.tally.stalled = 0;
                self.tally.stalled_at_most = 0;
            }
            Some(false) => {
                self.tally.stalled += 1;
                self.tally.stalled_at_most += 1;
            }
            None => {
                self.tally.stalled = 0;
                self.tally.stalled_at_most += 1;
            }
        }
        self.records.push(record);
    }

    /// Ends the run where too many steps in a row changed nothing.
    fn stalled(&mut self) -> bool {
        let stalled =
            self.program().budgets().max_stalled_steps.is_some_and(|max| self.tally.stalled >= max.get());
        if stalled {
            self.state = State::Closing(End::of(Status::Stalled, ErrorKind::Stalled));
        }
        stalled
    }

    fn fail_run(&mut self, mut record: StepRecord, failure: Failure) {
        let status = if failure.kind == ErrorKind::Cancelled { Status::Cancelled } else { Status::Failed };
        let end = End { status, error: Some(failure.kind), step: Some(record.step) };
        record.status = StepStatus::Failed;
        record.error = Some(failure);
        self.tally.steps += 1;
        self.records.push(record);
        self.state = State::Closing(end);
    }

    /// The budget check that every step passes, then its lanes.
    fn enter(&mut self, step: StepIndex, entry: Entry) {
        let budgets = self.program().budgets();
        let spent = |max: Option<std::num::NonZeroU64>, used: u64| max.is_some_and(|max| used >= max.get());
        let tokens = self.tally.tokens.saturating_add(self.tally.estimated_tokens);
        let wall = self.now.millis_since(self.opened).saturating_sub(self.tally.suspended_ms);
        let over = if spent(budgets.max_steps, self.tally.steps) {
            Some(ErrorKind::BudgetMaxSteps)
        } else if spent(budgets.max_tokens, tokens) {
            Some(ErrorKind::BudgetMaxTokens)
        } else if budgets.max_wall.is_some_and(|max| u128::from(wall) >= max.as_millis()) {
            Some(ErrorKind::BudgetMaxWall)
        } else {
            None
        };
        if let Some(kind) = over {
            self.state = State::Closing(End::of(Status::BudgetExceeded, kind));
            return;
        }
        let plan = Arc::clone(&self.plan);
        let (started, visits) = (self.now, &mut self.visits);
        let mut lane = |step: StepIndex| {
            let visit = &mut visits[step.0 as usize];
            *visit += 1;
            Lane {
                step,
                visit: *visit,
                attempt: 1,
                before_round: 0,
                denied: 0,
                phase: Phase::Ready,
                started,
                proposal: None,
                calling: None,
            }
        };
        let lanes: Vec<Lane> = match &plan.program().step(step).kind {
            StepKind::Parallel(block) => {
                let lanes = block.steps.iter().map(|sub| lane(*sub)).collect();
                visits[step.0 as usize] += 1;
                lanes
            }
            _ => vec![lane(step)],
        };
        self.state = State::Active(Active {
            step,
            entry,
            started,
            round: 1,
            ready: (0..lanes.len()).collect(),
            busy: 0,
            unfinished: lanes.len(),
            halted: None,
            lanes,
        });
    }

    fn scope(&self) -> scope::RunScope<'_> {
        scope::RunScope { program: self.plan.program(), values: &self.values }
    }
}

impl Lane {
    fn record(&self, now: Timestamp) -> StepRecord {
        let mut record = StepRecord::new(self.step, self.visit, self.started, now);
        record.retries = self.attempt - 1;
        record.denied = self.denied;
        record
    }
}

/// The lane of a place that [`Run::lane`] found: sub-steps follow their block in the arena.
fn at(active: &Active, place: Place) -> usize {
    (place.step.0 - active.lanes[0].step.0) as usize
}

fn unresolved() -> Failure {
    Failure::new(ErrorKind::UnresolvedReference, Code::UNRESOLVED, Retry::Never)
}

/// Whether a step did not call since another run holds its idempotency value.
fn is_held(call: &ToolStep, failure: &Failure) -> bool {
    failure.kind == ErrorKind::StepFailed
        && failure.code == Code::IDEMPOTENCY_HELD
        && call.idempotency.is_some()
}

/// Whether lists and objects lie deeper within one another than `levels`.
fn deeper_than(value: &Value, levels: usize) -> bool {
    let mut open = vec![(value, 0)];
    while let Some((value, depth)) = open.pop() {
        match value {
            Value::Array(_) | Value::Object(_) if depth >= levels => return true,
            Value::Array(items) => open.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(fields) => open.extend(fields.values().map(|field| (field, depth + 1))),
            _ => {}
        }
    }
    false
}

/// 1, 2, 4 … seconds before the second, third, fourth … attempt, at most 30.
fn backoff(attempt: u32) -> Option<Duration> {
    let doublings = attempt.checked_sub(2)?;
    Some(Duration::from_secs(1 << doublings.min(5)).min(MAX_BACKOFF))
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
