//! The receipt of a run: what a person or a program needs to know of it, a pure function of the
//! trace. Two who hold the same evidence compute the same bytes.

use serde::Serialize;

use crate::envelope::{AuthorityRef, Kind, PREDICATE_TYPE};
use crate::run::{StepStatus, SuspensionCause};
use crate::trace::{RunState, Trace};
use crate::{Digest, RunId, StepId, Timestamp, ToolName};

/// The receipt. Its JSON is canonical when serialised with sorted keys; it holds no floats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// The form of this document.
    pub receipt: u32,
    /// The form of the evidence it is computed from.
    pub evidence: &'static str,
    /// The run.
    pub run: RunId,
    /// Name of the program.
    pub program: Option<String>,
    /// SHA-256 of the program's source.
    pub program_digest: Digest,
    /// The digest of the capability table; absent where admission refused.
    pub plan: Option<Digest>,
    /// `success`, `failed`, …, `suspended` or `open`.
    pub status: String,
    /// The business outcome.
    pub outcome: Option<String>,
    /// Why it was no success.
    pub error: Option<String>,
    /// The step that failed.
    pub failed_step: Option<StepId>,
    /// When it was opened.
    pub opened: Timestamp,
    /// The moment of its last envelope.
    pub last: Timestamp,
    /// Executed steps.
    pub steps: StepCounts,
    /// Calls and imports that were refused.
    pub blocked: Vec<Blocked>,
    /// How often it waited for somebody outside.
    pub escalations: u64,
    /// What it spent.
    pub budget: Budget,
    /// What each tool was allowed.
    pub authority: Vec<Authority>,
    /// Whether an event from outside can continue it.
    pub resumable: bool,
    /// The number of envelopes.
    pub envelopes: u64,
    /// The digest of the last envelope.
    pub head: Digest,
}

/// How the executed steps ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StepCounts {
    /// All, parallel sub-steps included.
    pub executed: u64,
    /// With an output.
    pub succeeded: u64,
    /// Ending the run or a block.
    pub failed: u64,
    /// Passed over.
    pub skipped: u64,
    /// Attempts after a first one.
    pub retries: u64,
    /// With a fallback standing in for a model's answer.
    pub substituted: u64,
    /// With the recorded result of an earlier run.
    pub recorded: u64,
}

/// Something that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Blocked {
    /// The envelope that says so.
    pub envelope: u64,
    /// The step; absent at admission.
    pub step: Option<StepId>,
    /// The tool, at admission.
    pub tool: Option<ToolName>,
    /// The code.
    pub code: String,
    /// The capability class, `tool` or `require`.
    pub capability: String,
    /// What refused.
    pub rule: String,
    /// Who asked.
    pub culprit: String,
}

/// What a run spent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// Steps as the budget counts them: a parallel block is one.
    pub steps: u64,
    /// Tokens as reported.
    pub tokens: u64,
    /// Tokens as estimated.
    pub estimated_tokens: u64,
    /// Milliseconds from the opening to the last envelope.
    pub wall_ms: u64,
}

/// What one tool was allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Authority {
    /// The tool's local name.
    pub tool: ToolName,
    /// SHA-256 of the component.
    pub component: Digest,
    /// What was granted.
    pub granted: Vec<String>,
    /// The rules that granted it.
    pub rules: Vec<String>,
}

impl From<&Trace> for Receipt {
    fn from(trace: &Trace) -> Self {
        let machine = trace.machine();
        let mut receipt = Self {
            receipt: 1,
            evidence: PREDICATE_TYPE,
            run: trace.run().clone(),
            program: machine.map(|run| run.plan().program().name().to_owned()),
            program_digest: trace.predicates().next().map_or(Digest::of(b""), |first| first.run.program),
            plan: machine.map(|run| run.plan().digest()),
            status: "open".to_owned(),
            outcome: machine.and_then(|run| run.outcome()).map(str::to_owned),
            error: None,
            failed_step: None,
            opened: trace.opened(),
            last: trace.last(),
            steps: StepCounts::default(),
            blocked: Vec::new(),
            escalations: 0,
            budget: Budget { wall_ms: trace.last().millis_since(trace.opened()), ..Budget::default() },
            authority: Vec::new(),
            resumable: false,
            envelopes: trace.predicates().len() as u64,
            head: trace.head(),
        };
        receipt.read_predicates(trace);
        if let Some(run) = machine {
            let tally = run.tally();
            receipt.budget.steps = tally.steps;
            receipt.budget.tokens = tally.tokens;
            receipt.budget.estimated_tokens = tally.estimated_tokens;
            receipt.steps.retries = tally.retries;
            for record in run.records() {
                let steps = &mut receipt.steps;
                steps.executed += 1;
                match record.status {
                    StepStatus::Success => steps.succeeded += 1,
                    StepStatus::Failed => steps.failed += 1,
                    StepStatus::Skipped => steps.skipped += 1,
                    StepStatus::Pending => {}
                }
                steps.substituted += u64::from(record.substituted);
                steps.recorded += u64::from(record.recorded);
            }
            if let Some(suspension) = run.suspension() {
                receipt.resumable = matches!(suspension.cause, SuspensionCause::Tool { .. });
            }
        }
        if trace.state() == RunState::Suspended {
            receipt.status = "suspended".to_owned();
        }
        receipt
    }
}

impl Receipt {
    fn read_predicates(&mut self, trace: &Trace) {
        for predicate in trace.predicates() {
            for denial in &predicate.denials {
                self.blocked.push(Blocked {
                    envelope: predicate.run.seq,
                    step: predicate.step.as_ref().map(|step| step.id.clone()),
                    tool: denial.tool.clone(),
                    code: denial.code.clone(),
                    capability: denial.capability.clone(),
                    rule: denial.rule.clone(),
                    culprit: denial.culprit.clone(),
                });
            }
            // Within a block a tool that wants to wait fails instead, so only the transition tells.
            let waits = predicate.step.as_ref().is_some_and(|step| step.to == "suspended");
            self.escalations += u64::from(waits);
            match predicate.kind {
                Kind::Plan => self.authority = predicate.authority.iter().map(Authority::of).collect(),
                Kind::RunClose => {
                    if let Some(close) = &predicate.close {
                        self.status.clone_from(&close.status);
                        self.error.clone_from(&close.error);
                        self.failed_step.clone_from(&close.step);
                    }
                }
                _ => {}
            }
        }
    }
}

impl Authority {
    fn of(row: &AuthorityRef) -> Self {
        Self {
            tool: row.tool.clone(),
            component: row.component,
            granted: row.granted.clone(),
            rules: row.rules.clone(),
        }
    }
}
