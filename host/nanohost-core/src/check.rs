//! [`Program`] → [`CheckedProgram`]: targets exist and are indices, everything is reachable,
//! loops are bounded. Iterative throughout: a program of 100,000 steps uses no deep stack.

mod graph;
mod inputs;
mod names;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::condition::Condition;
use crate::document::Report;
use crate::program::{Budgets, Draft, InputDecl, Program, SCRIPTED, ToolUse};
use crate::projection::{Detector, MarkedPlace};
use crate::template::{Template, TextTemplate};
use crate::{Diagnostic, Diagnostics, Digest, ProgramClass, Source, StepId, ToolName};
use graph::Graph;

pub(crate) use graph::Entered;
pub(crate) use inputs::fits_schema;
pub use inputs::read_json;

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
    pub(crate) pii: Vec<MarkedPlace>,
    pub(crate) pii_detectors: Vec<Detector>,
    pub(crate) budgets: Budgets,
    /// All steps; parallel sub-steps follow their block.
    pub(crate) steps: Vec<Step>,
    pub(crate) first: StepIndex,
    pub(crate) by_id: HashMap<Arc<str>, StepIndex>,
    pub(crate) class: ProgramClass,
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
    /// The place of its id in the program's file.
    pub(crate) span: Range<usize>,
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

impl Program {
    /// Looks at the graph. All findings come at once: the errors, or with the sound program the
    /// warnings.
    pub fn check(self) -> Result<(CheckedProgram, Diagnostics), Diagnostics> {
        let mut report = Report::new(&self.draft.source);
        let graph = examine(&self.draft, &mut report);
        let warnings = report.finish()?;
        Ok((CheckedProgram::new(self.draft, graph)?, warnings))
    }
}

/// Every rule about steps together, on a draft that may have errors of form.
pub(crate) fn examine(draft: &Draft, report: &mut Report) -> Graph {
    names::check(draft, report);
    let graph = Graph::of(draft, report);
    graph.check(draft, report);
    graph
}

impl CheckedProgram {
    fn new(draft: Draft, graph: Graph) -> Result<Self, Diagnostics> {
        let mut steps = Vec::with_capacity(draft.steps.len());
        for (step, edges) in draft.steps.into_iter().zip(graph.edges) {
            // A `Program` has only well-formed steps; a broken one would stand for a broken promise
            // of `Program::parse`, and is refused rather than left out.
            let (Ok(id), Some(mut kind)) = (StepId::of_shared(step.id), step.body) else {
                return Err(Diagnostic::error("invalid_id", "a step is not well formed")
                    .at(&draft.source, step.span)
                    .into());
            };
            match &mut kind {
                StepKind::Condition(condition) => {
                    condition.then = edges.then;
                    condition.otherwise = edges.otherwise;
                }
                StepKind::Parallel(parallel) => parallel.steps = edges.subs,
                StepKind::Tool(_) | StepKind::Llm(_) => {}
            }
            steps.push(Step {
                id,
                kind,
                output_key: step.output_key.map(|(key, _)| key),
                on_error: step.on_error,
                timeout: step.timeout,
                follow: edges.follow,
                outcome: step.outcome,
                block: step.block.map(StepIndex::of),
                span: step.id_span,
            });
        }
        Ok(Self {
            source: draft.source,
            digest: draft.digest,
            name: draft.name,
            version: draft.version,
            description: draft.description,
            inputs: draft.inputs,
            tools: draft.tools,
            model: draft.model,
            scripted: draft.scripted,
            subject: draft.subject,
            pii: draft.pii.into_iter().map(|(place, _)| place).collect(),
            pii_detectors: draft.pii_detectors,
            budgets: draft.budgets,
            steps,
            first: StepIndex(0),
            by_id: draft.by_id,
            class: ProgramClass::Vetted,
        })
    }

    /// The same program as the word of somebody else than the operator.
    #[must_use]
    pub fn of_class(self, class: ProgramClass) -> Self {
        Self { class, ..self }
    }

    /// Whose word it is.
    pub fn class(&self) -> ProgramClass {
        self.class
    }

    /// The step at `index`.
    pub fn step(&self, index: StepIndex) -> &Step {
        &self.steps[index.as_usize()]
    }

    /// All steps; parallel sub-steps follow their block.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The places of all steps, in their order.
    pub fn indices(&self) -> impl Iterator<Item = StepIndex> + use<> {
        (0..self.steps.len()).map(StepIndex::of)
    }

    /// Where a run begins.
    pub fn first(&self) -> StepIndex {
        self.first
    }

    /// The place of the step called `id`.
    pub fn index_of(&self, id: &str) -> Option<StepIndex> {
        self.by_id.get(id).copied()
    }

    /// The file the program was read from.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// SHA-256 of the file's exact bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The program's name, by default its file's.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version its author gave it.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// What its author says it is for.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// The declared inputs; `None`: it declares none and accepts any.
    pub fn inputs(&self) -> Option<&[InputDecl]> {
        self.inputs.as_deref()
    }

    /// The rows of its `tools` table; `None`: it has none, tools are looked up by name.
    pub fn tools(&self) -> Option<&[ToolUse]> {
        self.tools.as_deref()
    }

    /// The alias of the model that steps use unless they name another.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The aliases of the models that its steps ask, sorted, each with the first step that does.
    /// The scripted one, which needs no grant, is not among them.
    pub fn models(&self) -> BTreeMap<&str, &StepId> {
        let mut asked = BTreeMap::new();
        for step in &self.steps {
            if let StepKind::Llm(llm) = &step.kind
                && llm.model != SCRIPTED
            {
                asked.entry(llm.model.as_str()).or_insert(&step.id);
            }
        }
        asked
    }

    /// The file of answers for the scripted model, as the program names it.
    pub fn scripted(&self) -> Option<&str> {
        self.scripted.as_deref()
    }

    /// Whose data a run holds.
    pub fn subject(&self) -> Option<&Template> {
        self.subject.as_ref()
    }

    /// The bounds of a run.
    pub fn budgets(&self) -> Budgets {
        self.budgets
    }
}

impl StepIndex {
    pub(crate) fn of(at: usize) -> Self {
        // Programs have far fewer steps; `Program::parse` bounds them.
        Self(u32::try_from(at).unwrap_or(u32::MAX))
    }

    /// The place as an index of [`CheckedProgram::steps`].
    pub fn as_usize(self) -> usize {
        self.0 as usize
    }
}
