//! What the host has to do next: [`Run::next`] hands each action out once, or names the event that
//! the machine knows by itself. Takes no transition.

use std::time::Duration;

use serde_json::Value;

use super::due::Due;
use super::event::{Code, ErrorKind, Event, Failure, Place, Retry};
use super::{Phase, Run, State};
use crate::ToolName;
use crate::check::StepKind;
use crate::projection::Target;

/// The longest pause between two attempts, before jitter.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

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
    /// The system text, as models see it.
    pub system: Option<String>,
    /// The prompt, as models see it: personal data is not in it.
    pub prompt: String,
    /// The step's own bound on one attempt.
    pub timeout: Option<Duration>,
    /// The pause before this attempt, before jitter.
    pub backoff: Option<Duration>,
}

impl Run {
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
    pub(super) fn hand_out(&self, lane: usize) -> Next {
        let State::Active(active) = &self.state else { return Next::Await };
        let lane = &active.lanes[lane];
        let place = Place { step: lane.step, visit: lane.visit, attempt: lane.attempt };
        let step = self.program().step(lane.step);
        let backoff = backoff(lane.attempt - lane.before_round);
        match &step.kind {
            StepKind::Condition(_) => Next::Record(Event::Decided { place, taken: self.decide(lane.step) }),
            StepKind::Llm(llm) if lane.proposal.is_none() => {
                let scope = self.scope();
                let view = self.view(&scope, Target::Model);
                match self.prompts(llm, &view) {
                    Ok((prompt, system)) => Next::Perform(Action::Ask(Ask {
                        place,
                        model: llm.model.clone(),
                        system,
                        prompt,
                        timeout: step.timeout,
                        backoff,
                    })),
                    Err(unasked) => Next::Record(Event::Failed { place, failure: unasked.failure() }),
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
                    let failure =
                        Failure::new(ErrorKind::UnresolvedReference, Code::UNRESOLVED, Retry::Never);
                    Next::Record(Event::Failed { place, failure })
                }
            },
            // A block inside a block is no program: the checker refuses it.
            StepKind::Parallel(_) => Next::Await,
        }
    }
}

/// 1, 2, 4 … seconds before the second, third, fourth … attempt, at most 30.
fn backoff(attempt: u32) -> Option<Duration> {
    let doublings = attempt.checked_sub(2)?;
    Some(Duration::from_secs(1 << doublings.min(5)).min(MAX_BACKOFF))
}
