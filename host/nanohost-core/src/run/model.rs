//! Model attempts: what a step makes of a reply, and the transition of a recorded answer.

use serde_json::Value;

use super::due::unresolved;
use super::event::{Answer, Code, ErrorKind, Event, Failure, Place, Proposal, Reply, Retry, Slot, Verdict};
use super::next::Ask;
use super::{IllegalTransition, Run};
use crate::check::{LlmStep, OnError, OnTimeout, StepIndex, StepKind};
use crate::policy::ModelPii;
use crate::projection::{Target, View};
use crate::template::{TextTemplate, Unresolved};

/// The most tokens one attempt can count: signed documents hold no greater integer.
const MAX_TOKENS: u64 = crate::jcs::MAX_INTEGER as u64;

/// Why a model is not asked.
pub(super) enum Unasked {
    /// Its prompt has no value now.
    Unresolved(Unresolved),
    /// Its prompt holds personal data, and the policy says it sees none.
    Personal,
}

impl From<Unresolved> for Unasked {
    fn from(error: Unresolved) -> Self {
        Self::Unresolved(error)
    }
}

impl Unasked {
    /// What becomes of the step.
    pub(super) fn failure(&self) -> Failure {
        match self {
            Self::Unresolved(error) => unresolved(error),
            Self::Personal => Failure::new(ErrorKind::Authority, Code::PERSONAL_DATA, Retry::Never),
        }
    }

    fn is(&self, failure: &Failure) -> bool {
        let due = self.failure();
        (due.kind, &due.code) == (failure.kind, &failure.code)
    }
}

impl Run {
    /// Which way a guard goes: `None` where it cannot be decided, which fails the run.
    pub(super) fn decide(&self, step: StepIndex) -> Option<bool> {
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

    pub(super) fn verdict(&self, step: StepIndex, text: &str) -> Verdict {
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

    pub(super) fn answered(&mut self, place: Place, answer: Answer) -> Result<(), IllegalTransition> {
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

    /// The prompt and system text of a step, as models see them; or why it asks nothing.
    pub(super) fn prompts(
        &self,
        llm: &LlmStep,
        view: &View<'_>,
    ) -> Result<(String, Option<String>), Unasked> {
        let prompt = llm.prompt.resolve(view)?;
        let system = llm.system.as_ref().map(|system| system.resolve(view)).transpose()?;
        let redacted = prompt.redacted || system.as_ref().is_some_and(|system| system.redacted);
        if redacted && self.tells_nothing_personal(llm) {
            return Err(Unasked::Personal);
        }
        Ok((prompt.text, system.map(|system| system.text)))
    }

    /// Whether the policy keeps the model from every prompt that would need a redaction.
    fn tells_nothing_personal(&self, llm: &LlmStep) -> bool {
        self.plan.model(&llm.model).is_some_and(|row| row.pii == ModelPii::Never)
    }

    /// Whether a model step that asks nothing can fail so, as far as the values are there.
    pub(super) fn asks_nothing(&self, llm: &LlmStep, view: &View<'_>, failure: &Failure) -> bool {
        match self.prompts(llm, view) {
            Ok(_) => false,
            // The value that is withheld may lead nowhere, be too large, or be personal.
            Err(Unasked::Unresolved(Unresolved::Withheld { .. })) => {
                failure.is_unresolved()
                    || failure.is_too_large()
                    || self.tells_nothing_personal(llm) && Unasked::Personal.is(failure)
            }
            Err(unasked) => unasked.is(failure),
        }
    }

    /// Whether the prompts of a record are those of the step, as far as the values are there.
    pub(super) fn asks(&self, llm: &LlmStep, answer: &Answer) -> bool {
        let scope = self.scope();
        let view = self.view(&scope, Target::Model);
        let personal = |template: &TextTemplate| template.references().any(|place| view.redacts(place));
        let personal = personal(&llm.prompt) || llm.system.as_ref().is_some_and(personal);
        if personal && self.tells_nothing_personal(llm) {
            return false;
        }
        let same = |template: &TextTemplate, recorded: &Slot| match recorded {
            Slot::Known(recorded) => recorded.as_str().is_some_and(|text| template.fits(&view, text)),
            Slot::Withheld => matches!(template.resolve(&view), Ok(_) | Err(Unresolved::Withheld { .. })),
        };
        let system = match (&llm.system, &answer.system) {
            (Some(template), Some(recorded)) => same(template, recorded),
            (None, None) => true,
            _ => false,
        };
        system && same(&llm.prompt, &answer.prompt)
    }

    pub(super) fn has_allowed_outputs(&self, step: StepIndex) -> bool {
        matches!(&self.program().step(step).kind, StepKind::Llm(llm) if !llm.allowed_outputs.is_empty())
    }

    pub(super) fn substitute(&mut self, place: Place, fallback: String) -> Result<(), IllegalTransition> {
        self.succeed(place, Slot::known(fallback.into()), true, false)
    }
}
