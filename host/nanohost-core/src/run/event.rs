//! What can happen to a run, as data. Every event stands in exactly one envelope, but the
//! [`Event::Started`] of a call without an effect, which shares the envelope of its result.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value};

use crate::check::{StepIndex, read_json};
use crate::{Source, Timestamp, ToolName};

/// A value of a run, or the knowledge that there is one which the holder may not see.
#[derive(Debug, Clone, PartialEq)]
pub enum Slot {
    /// The value.
    Known(Arc<Value>),
    /// Committed, but neither disclosed nor stored here.
    Withheld,
}

impl Slot {
    /// A value that is there.
    pub fn known(value: Value) -> Self {
        Self::Known(Arc::new(value))
    }

    /// Nothing, as null: shared, since every step begins with it.
    pub(crate) fn null() -> Self {
        static NULL: LazyLock<Arc<Value>> = LazyLock::new(Arc::default);
        Self::Known(Arc::clone(&NULL))
    }

    /// The value, where it is there.
    pub fn value(&self) -> Option<&Value> {
        match self {
            Self::Known(value) => Some(value),
            Self::Withheld => None,
        }
    }
}

/// Which attempt of which visit of which step an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// The step.
    pub step: StepIndex,
    /// How often the step was entered, from 1.
    pub visit: u32,
    /// The attempt within the visit, from 1.
    pub attempt: u32,
}

/// One event of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A call begins: durable before the call, where it can have an effect.
    Started {
        /// Where.
        place: Place,
        /// The row of the table.
        tool: ToolName,
        /// The arguments.
        args: Slot,
    },
    /// A call ended.
    Finished {
        /// Where.
        place: Place,
        /// How.
        end: CallEnd,
    },
    /// A model attempt ended.
    Answered {
        /// Where.
        place: Place,
        /// How.
        answer: Answer,
    },
    /// A guard was evaluated.
    Decided {
        /// Where.
        place: Place,
        /// The side taken; `None` where the guard could not be decided.
        taken: Option<bool>,
    },
    /// A step failed before anything was called.
    Failed {
        /// Where.
        place: Place,
        /// Why.
        failure: Failure,
    },
    /// The capability table or the policy refused a call; nothing was called.
    Denied {
        /// Where.
        place: Place,
        /// What was refused, and by what.
        denial: Denial,
    },
    /// The host refused something that a running guest tried; the guest saw an error.
    Blocked {
        /// Where.
        place: Place,
        /// What was refused, and by what.
        denial: Denial,
    },
    /// All sub-steps of a parallel block are over.
    Joined(StepIndex),
    /// An event from outside answered a suspension.
    Resumed {
        /// What it brought.
        payload: Slot,
        /// Who sent it.
        source: WebhookSource,
        /// The check that the step asks for, which passed.
        check: Option<Check>,
    },
    /// An event from outside was refused before the transition: the run waits on.
    Refused {
        /// What was refused, and by what.
        denial: Denial,
        /// The check that did not pass, where it was that.
        check: Option<Check>,
    },
    /// The deadline of a suspension passed.
    Expired,
    /// Somebody said what became of a call in doubt.
    Settled(Settlement),
    /// The process that drove the run is gone, and another one goes on.
    Recovered,
    /// Somebody ended the run.
    Cancelled {
        /// Why, in their words.
        reason: Slot,
    },
    /// The run is over.
    Closed(End),
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq)]
pub enum CallEnd {
    /// The tool returned a value.
    Success {
        /// The value.
        output: Slot,
        /// Whether it is the recorded result of an earlier run with the same idempotency value.
        recorded: bool,
    },
    /// The tool failed, or the host stopped it.
    Failure(Failure),
    /// The tool asked to wait for an event.
    Suspended {
        /// Why, in the tool's words.
        reason: Slot,
        /// When waiting ends by itself.
        deadline: Option<Timestamp>,
    },
}

/// A call of the tool that a step's `resume.verify` names: with the event's text and its
/// signature, before the transition.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// The row of the table.
    pub tool: ToolName,
    /// The arguments: [`Check::BODY`] and [`Check::SIGNATURE`], and what else the tool asks for.
    pub args: Slot,
    /// What came of it.
    pub end: CheckEnd,
}

impl Check {
    /// The argument that holds the event's text, exactly as it came.
    pub const BODY: &'static str = "body";
    /// The argument that holds what came beside it.
    pub const SIGNATURE: &'static str = "signature";
    /// The argument, for tools that take it, that holds when the event came, in seconds since 1970.
    pub const RECEIVED_AT: &'static str = "received_at";
    /// The argument, for tools that take it, that holds the arguments of the call that waits, as
    /// compact JSON: what an event for another run cannot be about.
    pub const CALL_ARGS: &'static str = "call_args";
}

/// What came of a check.
#[derive(Debug, Clone, PartialEq)]
pub enum CheckEnd {
    /// The tool returned something other than `false`.
    Passed {
        /// What it returned.
        output: Slot,
    },
    /// It failed, or returned `false`.
    Refused {
        /// How.
        failure: Failure,
    },
}

/// What somebody says became of a call whose end the host did not see.
#[derive(Debug, Clone, PartialEq)]
pub enum Settlement {
    /// It happened, with this result.
    Happened {
        /// The result.
        output: Slot,
    },
    /// It did not happen: it is made again.
    DidNotHappen,
    /// Nobody can tell: the run fails.
    Failed,
}

/// Whether an error may pass if the step is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It may.
    Maybe,
    /// It never does.
    Never,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// The error kind the run has if it ends here.
    pub kind: ErrorKind,
    /// What exactly went wrong.
    pub code: Code,
    /// Whether trying again makes sense.
    pub retry: Retry,
    /// What the tool, model or provider said: content, never part of an envelope.
    pub message: Slot,
}

impl Failure {
    /// A failure without a message.
    pub fn new(kind: ErrorKind, code: Code, retry: Retry) -> Self {
        Self { kind, code, retry, message: Slot::null() }
    }

    /// With the words of whoever failed.
    pub fn with_message(self, message: Slot) -> Self {
        Self { message, ..self }
    }

    /// Authority errors, calls in doubt and calls that somebody stopped are never tried again,
    /// whatever a record says.
    pub(crate) fn may_be_retried(&self) -> bool {
        self.retry == Retry::Maybe && self.may_be_skipped()
    }

    /// Nor are they passed over.
    pub(crate) fn may_be_skipped(&self) -> bool {
        !self.kind.is_authority() && !matches!(self.kind, ErrorKind::InDoubt | ErrorKind::Cancelled)
    }

    pub(crate) fn is_too_large(&self) -> bool {
        self.kind == ErrorKind::StepFailed && self.code == Code::TEXT_TOO_LARGE
    }

    pub(crate) fn is_unresolved(&self) -> bool {
        self.kind == ErrorKind::UnresolvedReference && self.code == Code::UNRESOLVED
    }
}

/// A stable code of a failure: lower-case words joined by `_`, at most 64 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(Cow<'static, str>);

impl Code {
    pub(crate) const UNRESOLVED: Self = Self(Cow::Borrowed("unresolved_reference"));
    pub(crate) const TEXT_TOO_LARGE: Self = Self(Cow::Borrowed("text_too_large"));
    pub(crate) const PERSONAL_DATA: Self = Self(Cow::Borrowed("personal_data"));
    pub(crate) const INVALID_ARGS: Self = Self(Cow::Borrowed("invalid_args"));
    pub(crate) const NO_BRANCH: Self = Self(Cow::Borrowed("no_branch_target"));
    pub(crate) const CONDITION: Self = Self(Cow::Borrowed("condition_error"));
    pub(crate) const LLM_TIMEOUT: Self = Self(Cow::Borrowed("llm_timeout"));
    pub(crate) const OUTPUT_NOT_ALLOWED: Self = Self(Cow::Borrowed("output_not_allowed"));
    pub(crate) const SUSPENDED_IN_BLOCK: Self = Self(Cow::Borrowed("suspended_in_parallel"));
    pub(crate) const AUTHORITY: Self = Self(Cow::Borrowed("authority"));
    pub(crate) const PARALLEL_FAILED: Self = Self(Cow::Borrowed("parallel_failed"));
    pub(crate) const DEADLINE_EXPIRED: Self = Self(Cow::Borrowed("deadline_expired"));
    pub(crate) const SETTLED_AS_FAILED: Self = Self(Cow::Borrowed("settled_as_failed"));
    pub(crate) const INTERRUPTED: Self = Self(Cow::Borrowed("interrupted"));
    pub(crate) const STEP_FAILED: Self = Self(Cow::Borrowed("step_failed"));

    /// Another run holds the step's idempotency value, and its result is not there.
    pub const IDEMPOTENCY_HELD: Self = Self(Cow::Borrowed("idempotency_held"));

    /// A code the host itself defines.
    pub const fn known(code: &'static str) -> Self {
        Self(Cow::Borrowed(code))
    }

    /// A code read from a record.
    pub fn parse(text: &str) -> Option<Self> {
        let form = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let valid = (1..=64).contains(&text.len()) && text.bytes().all(form);
        valid.then(|| Self(Cow::Owned(text.to_owned())))
    }

    /// The code as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

macro_rules! text_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant),* }

        impl $name {
            /// The one text form.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// The value of a text form.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use text_enum;

text_enum!(
    /// Why a run did not end in success.
    ErrorKind {
        /// A tool or a provider failed.
        StepFailed = "step_failed",
        /// A template names a value that is not there.
        UnresolvedReference = "unresolved_reference",
        /// A guard could not be decided.
        ConditionError = "condition_error",
        /// The side a guard took has no target.
        NoBranchTarget = "no_branch_target",
        /// The model answered outside the allowed outputs.
        OutputNotAllowed = "output_not_allowed",
        /// A proposal's arguments do not fit the tool's schema, or it is malformed.
        InvalidProposal = "invalid_proposal",
        /// A model proposed a call it has no right to.
        ToolInjection = "tool_injection",
        /// The table or the policy refused a call.
        Authority = "authority",
        /// The model did not answer in time.
        LlmTimeout = "llm_timeout",
        /// The tool did not end in time.
        ToolTimeout = "tool_timeout",
        /// The guest trapped, ran into a limit or returned garbage.
        GuestFault = "guest_fault",
        /// A sub-step of a parallel block failed.
        ParallelFailed = "parallel_failed",
        /// The deadline of a suspension passed.
        DeadlineExpired = "deadline_expired",
        /// An external call whose end the host did not see.
        InDoubt = "in_doubt",
        /// A value that is needed was erased.
        Erased = "erased",
        /// As many steps as the budget allows were executed.
        BudgetMaxSteps = "budget_max_steps",
        /// As many tokens as the budget allows were used.
        BudgetMaxTokens = "budget_max_tokens",
        /// As much time as the budget allows has passed.
        BudgetMaxWall = "budget_max_wall",
        /// Too many steps in a row changed nothing.
        Stalled = "stalled",
        /// Somebody ended the run.
        Cancelled = "cancelled",
        /// A run was to be resumed with another program.
        ProgramMismatch = "program_mismatch",
        /// Admitted again, a run's capability table is another one.
        AuthorityChanged = "authority_changed",
        /// A run was to be resumed that waits for nothing.
        NotSuspended = "not_suspended",
        /// An event from outside, or who sent it, was refused.
        ResumeRefused = "resume_refused",
    }
);

impl ErrorKind {
    /// Whether authority was refused: such errors are never retried or skipped.
    pub fn is_authority(self) -> bool {
        matches!(self, Self::ToolInjection | Self::Authority)
    }
}

text_enum!(
    /// How a run ended.
    Status {
        /// The program came to its end.
        Success = "success",
        /// A step failed.
        Failed = "failed",
        /// A budget was spent.
        BudgetExceeded = "budget_exceeded",
        /// Too many steps in a row changed nothing.
        Stalled = "stalled",
        /// Somebody ended it.
        Cancelled = "cancelled",
        /// Admission refused it: no step was executed.
        NotAdmitted = "not_admitted",
    }
);

text_enum!(
    /// Who answered a suspension.
    WebhookSource {
        /// A service.
        Webhook = "WEBHOOK",
        /// A person at the command line.
        Operator = "OPERATOR",
        /// A deadline.
        Timer = "TIMER",
    }
);

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// How it ended.
    pub status: Status,
    /// Why, where it was no success.
    pub error: Option<ErrorKind>,
    /// The step that failed, where one did.
    pub step: Option<StepIndex>,
}

impl End {
    pub(crate) fn success() -> Self {
        Self { status: Status::Success, error: None, step: None }
    }

    pub(crate) fn of(status: Status, kind: ErrorKind) -> Self {
        Self { status, error: Some(kind), step: None }
    }

    /// The end of a run that cannot go on, since a value it needs was erased.
    pub fn for_want() -> Self {
        Self::of(Status::Failed, ErrorKind::Erased)
    }

    pub(crate) fn is_for_want(&self) -> bool {
        *self == Self::for_want()
    }
}

/// What a model or its provider came back with.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// An answer.
    Text {
        /// What the model said.
        text: String,
        /// Tokens as reported.
        tokens: u64,
        /// Tokens as estimated where none were reported.
        estimated_tokens: u64,
    },
    /// No answer in the step's time.
    TimedOut,
    /// The provider failed.
    Failed {
        /// How.
        failure: Failure,
        /// Tokens as reported all the same.
        tokens: u64,
    },
}

/// A model attempt and what the step made of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The prompt that was asked, a JSON string.
    pub prompt: Slot,
    /// The system text, a JSON string.
    pub system: Option<Slot>,
    /// The answer's text, a JSON string.
    pub text: Option<Slot>,
    /// What the step accepts of it.
    pub verdict: Verdict,
    /// Tokens as reported.
    pub tokens: u64,
    /// Tokens as estimated.
    pub estimated_tokens: u64,
}

/// What a step makes of a model's answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It is the step's output.
    Accepted,
    /// It is none of the allowed outputs.
    NotAllowed,
    /// It proposes a call; whether that is admitted is another event.
    Proposed,
    /// No answer in the step's time.
    TimedOut,
    /// The provider failed.
    Failed(Failure),
}

/// A refusal by the table or the policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Denial {
    /// The error kind it leads to.
    pub kind: ErrorKind,
    /// The capability class or `tool`.
    pub capability: String,
    /// What refused: a policy rule's id or a rule of the runtime.
    pub rule: String,
    /// Who asked: `model`, `program`, `guest` or `component`.
    pub culprit: Culprit,
    /// What was asked for: content, never part of an envelope.
    pub value: Slot,
}

text_enum!(
    /// Who asked for what was refused.
    Culprit {
        /// A model's proposal.
        Model = "model",
        /// A step of the program.
        Program = "program",
        /// The running guest.
        Guest = "guest",
        /// The component's imports, before it ran.
        Component = "component",
        /// Whoever answers a suspension.
        Resolver = "resolver",
    }
);

impl Denial {
    /// The table has no row for the tool.
    pub const NO_ROW: &'static str = "table:no-row";
    /// The step's `allowed_tools` does not name the tool.
    pub const NOT_LISTED: &'static str = "step:allowed-tools";
    /// The proposal's form or arguments do not fit.
    pub const SCHEMA: &'static str = "tool:input-schema";
    /// What is refused is an event from outside.
    pub const RESUME: &'static str = "resume";
    /// The program is another one than the run's.
    pub const OTHER_PROGRAM: &'static str = "resume:program";
    /// Admitted again, the table is another one.
    pub const OTHER_TABLE: &'static str = "resume:table";
    /// The step's `by` does not let this principal answer.
    pub const NOT_ENTITLED: &'static str = "resume:by";
    /// The token is missing, spent, or not this one.
    pub const WRONG_TOKEN: &'static str = "resume:token";
    /// The payload does not fit the step's schema.
    pub const EVENT_SCHEMA: &'static str = "resume:schema";
    /// The check that the step names did not pass.
    pub const EVENT_CHECK: &'static str = "resume:verify";
    /// The event came after the suspension's deadline.
    pub const TOO_LATE: &'static str = "resume:deadline";

    pub(crate) fn no_row(value: Slot) -> Self {
        Self {
            kind: ErrorKind::Authority,
            capability: "tool".into(),
            rule: Self::NO_ROW.into(),
            culprit: Culprit::Program,
            value,
        }
    }

    pub(crate) fn injection(rule: &str, value: Slot) -> Self {
        Self {
            kind: ErrorKind::ToolInjection,
            capability: "tool".into(),
            rule: rule.into(),
            culprit: Culprit::Model,
            value,
        }
    }

    pub(crate) fn invalid_proposal(value: Slot) -> Self {
        Self { kind: ErrorKind::InvalidProposal, ..Self::injection(Self::SCHEMA, value) }
    }

    pub(crate) fn require(kind: ErrorKind, rule: String, value: Slot) -> Self {
        let culprit = if kind == ErrorKind::ToolInjection { Culprit::Model } else { Culprit::Program };
        Self { kind, capability: "require".into(), rule, culprit, value }
    }

    /// A refusal at run time of something a guest tried.
    pub fn blocked(capability: &str, rule: &str, value: Slot) -> Self {
        Self {
            kind: ErrorKind::Authority,
            capability: capability.into(),
            rule: rule.into(),
            culprit: Culprit::Guest,
            value,
        }
    }

    /// A refusal of an event from outside; `rule` is one of the `resume:` ones.
    pub fn of_event(rule: &'static str, value: Slot) -> Self {
        let kind = match rule {
            Self::OTHER_PROGRAM => ErrorKind::ProgramMismatch,
            Self::OTHER_TABLE => ErrorKind::AuthorityChanged,
            _ => ErrorKind::ResumeRefused,
        };
        Self { kind, capability: Self::RESUME.into(), rule: rule.into(), culprit: Culprit::Resolver, value }
    }

    /// Whether `other` is the same refusal, as far as what was asked for is there.
    pub(crate) fn says(&self, other: &Self) -> bool {
        let value = match (&self.value, &other.value) {
            (Slot::Known(value), Slot::Known(other)) => value == other,
            _ => true,
        };
        value
            && (self.kind, self.culprit) == (other.kind, other.culprit)
            && (&self.capability, &self.rule) == (&other.capability, &other.rule)
    }

    pub(crate) fn rule_code(&self) -> Code {
        Code::known(self.kind.as_str())
    }
}

/// A call that a model proposes: `{"tool": …, "args": {…}}`. Untrusted intent.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// The name it gives.
    pub tool: String,
    /// The arguments it gives.
    pub args: Value,
}

/// The text is a proposal by its look but not by its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MalformedProposal;

impl Proposal {
    /// Whether an answer is meant as a proposal: a JSON object with a `tool` key. Everything that
    /// looks like one is treated as one, so that a malformed proposal is never taken for text.
    pub fn looks_like(text: &str) -> bool {
        matches!(serde_json::from_str(text.trim()), Ok(Value::Object(map)) if map.contains_key("tool"))
    }

    /// The JSON value of a text that looks like a proposal; null, which is none, where a key stands
    /// twice or a number would lose digits: two readers could take it for two proposals.
    pub(crate) fn value_of(text: &str) -> Value {
        read_json(&Source::new("proposal", text.trim())).unwrap_or(Value::Null)
    }

    /// The proposal in a value: exactly `tool`, a string, and `args`, an object.
    pub fn of_value(value: &Value) -> Result<Self, MalformedProposal> {
        let map = value.as_object().ok_or(MalformedProposal)?;
        let tool = map.get("tool").and_then(Value::as_str).ok_or(MalformedProposal)?;
        let args = match map.get("args") {
            Some(args @ Value::Object(_)) => args.clone(),
            None => Value::Object(Map::new()),
            Some(_) => return Err(MalformedProposal),
        };
        if map.keys().any(|key| key != "tool" && key != "args") {
            return Err(MalformedProposal);
        }
        Ok(Self { tool: tool.to_owned(), args })
    }
}
