//! [`Program`] → [`CheckedProgram`]: targets exist and are indices, everything is reachable,
//! loops are bounded. Iterative throughout: a program of 100,000 steps uses no deep stack.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::condition::Condition;
use crate::program::{Budgets, InputDecl, ToolUse};
use crate::template::{Template, TextTemplate};
use crate::{Digest, Source, StepId, ToolName};

/// The place of a step in [`CheckedProgram::steps`]; parallel sub-steps have places of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepIndex(pub(crate) u32);

/// A program whose graph is sound. Holding one proves: every target exists, every step is
/// reachable, every cycle is bounded by a budget, every template and condition parses.
#[derive(Debug)]
pub struct CheckedProgram {
    pub(crate) source: Arc<Source>,
    /// SHA-256 of the file's exact bytes.
    pub(crate) digest: Digest,
    pub(crate) name: String,
    pub(crate) version: Option<String>,
    pub(crate) description: Option<String>,
    /// `None`: the program declares no inputs and accepts any.
    pub(crate) inputs: Option<Vec<InputDecl>>,
    /// `None`: no `tools` table; tools are looked up by name.
    pub(crate) tools: Option<Vec<ToolUse>>,
    /// The default model alias, `scripted` unless the program says otherwise.
    pub(crate) model: String,
    /// The file of answers for the scripted model, as the program names it.
    pub(crate) scripted: Option<String>,
    pub(crate) subject: Option<Template>,
    pub(crate) budgets: Budgets,
    /// All steps; parallel sub-steps follow their block.
    pub(crate) steps: Vec<Step>,
    pub(crate) first: StepIndex,
}

/// A step with its targets resolved.
#[derive(Debug)]
pub struct Step {
    /// Unique over the program.
    pub id: StepId,
    /// What it does.
    pub kind: StepKind,
    /// The second name of its output.
    pub output_key: Option<String>,
    /// What happens when it fails.
    pub on_error: OnError,
    /// The longest one attempt may take.
    pub timeout: Option<Duration>,
    /// Where the program goes after success.
    pub follow: Follow,
    /// The business outcome a run that ends here has.
    pub outcome: Option<String>,
    /// The parallel block it belongs to.
    pub block: Option<StepIndex>,
}

/// What a step does.
#[derive(Debug)]
pub enum StepKind {
    /// Calls a sandboxed tool.
    Tool(ToolStep),
    /// One bounded model call.
    Llm(LlmStep),
    /// Picks the next step.
    Condition(ConditionStep),
    /// Runs its sub-steps concurrently.
    Parallel(ParallelStep),
}

/// A call of a tool.
#[derive(Debug)]
pub struct ToolStep {
    /// The tool's local name; a step without `tool` calls the tool of its own id.
    pub tool: ToolName,
    /// The arguments, an object of templates.
    pub args: Template,
    /// Makes the call unique per program and tool across runs.
    pub idempotency: Option<Template>,
    /// Who may resume a suspension of this step, and how.
    pub resume: Option<Resume>,
}

/// `resume = { by = […], schema = {…}, verify = "tool" }`.
#[derive(Debug, Clone)]
pub struct Resume {
    /// Who may, such as `role:approver` or `starter`.
    pub by: Vec<String>,
    /// The JSON Schema of the event's payload.
    pub schema: Option<Value>,
    /// The pure tool that checks the event before the transition.
    pub verify: Option<ToolName>,
}

/// A bounded model call.
#[derive(Debug)]
pub struct LlmStep {
    /// The text the model is asked.
    pub prompt: TextTemplate,
    /// The system text.
    pub system: Option<TextTemplate>,
    /// The model alias, the program's unless the step names another.
    pub model: String,
    /// The answers that are accepted; empty: any.
    pub allowed_outputs: Vec<String>,
    /// What stands in for a rejected answer under `on_error = "skip"`; the first allowed output
    /// unless the step says otherwise.
    pub fallback: Option<String>,
    /// The tools the model may propose to call.
    pub allowed_tools: Vec<ToolName>,
    /// What happens when the model does not answer in time.
    pub on_timeout: OnTimeout,
}

/// A guard.
#[derive(Debug)]
pub struct ConditionStep {
    /// What is decided.
    pub condition: Condition,
    /// Where to when true.
    pub then: Option<StepIndex>,
    /// Where to when false.
    pub otherwise: Option<StepIndex>,
}

/// A parallel block.
#[derive(Debug)]
pub struct ParallelStep {
    /// The sub-steps in declaration order.
    pub steps: Vec<StepIndex>,
    /// How many run at a time at most; `None`: as many as the host allows.
    pub max_concurrency: Option<NonZeroU32>,
}

/// `on_error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// The run fails.
    Fail,
    /// The step counts as skipped, its output is null.
    Skip,
    /// Tried again, `attempts` times in all.
    Retry {
        /// Total attempts, at least 1.
        attempts: NonZeroU32,
    },
}

/// `on_timeout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnTimeout {
    /// The step fails with `llm_timeout`.
    Fail,
    /// The fallback stands in, recorded as substituted.
    Fallback,
}

/// Where a program goes after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// The run ends with success (`is_terminal`).
    Terminal,
    /// To that step (`next_step`).
    Jump(StepIndex),
    /// To the next step of the array, where there is one and this step was not entered by a
    /// branch; otherwise the run ends with success.
    Sequence(Option<StepIndex>),
}

impl CheckedProgram {
    /// The step at `index`.
    pub fn step(&self, index: StepIndex) -> &Step {
        &self.steps[index.0 as usize]
    }
}
