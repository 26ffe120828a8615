//! The receipt of a run: what a person or a program needs to know of it, a pure function of the
//! trace. Two who hold the same evidence compute the same bytes, whatever part of the run's values
//! is disclosed to them. Knows no file and no key but in `signed`.

mod signed;

#[cfg(test)]
mod tests;

use std::num::NonZeroU64;
use std::time::Duration;

use serde::Serialize;

pub use signed::{RECEIPT_TYPE, ReceiptFault, Unsignable, check};

use crate::check::StepKind;
use crate::envelope::{AuthorityRef, Kind, PREDICATE_TYPE, Predicate};
use crate::program::Budgets;
use crate::run::{ErrorKind, Run, StepStatus, SuspensionCause, repeatable};
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
    /// The steps that failed, in trace order: transitions that were not made.
    pub rejected: Vec<Rejected>,
    /// Calls and imports that were refused.
    pub blocked: Vec<Blocked>,
    /// How often it waited for somebody outside.
    pub escalations: u64,
    /// Who ended these waits, in trace order.
    pub answers: Vec<Answered>,
    /// Calls with an outside effect of which nobody knows whether they happened, in trace order.
    pub unknown_calls: Vec<UnknownCall>,
    /// What it spent.
    pub budget: Budget,
    /// What each tool was allowed.
    pub authority: Vec<Authority>,
    /// Whether an event from outside can continue it.
    pub resumable: bool,
    /// Whether its events, taken again through the state machine, are the whole of it: so they are
    /// unless it has no end.
    pub replayable: bool,
    /// The key that signs the run; it signs the receipt too.
    pub signer: Option<Signed>,
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
    /// Tried more than once.
    pub retried: u64,
    /// Attempts after a first one.
    pub retries: u64,
    /// With a fallback standing in for a model's answer.
    pub substituted: u64,
    /// With the recorded result of an earlier run.
    pub recorded: u64,
}

/// A step that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejected {
    /// The step.
    pub step: StepId,
    /// How often it had been entered.
    pub visit: u32,
    /// The error kind.
    pub kind: &'static str,
    /// What exactly went wrong.
    pub code: String,
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

/// Somebody ended a wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answered {
    /// The envelope that says so.
    pub envelope: u64,
    /// The step that waited.
    pub step: StepId,
    /// The name they gave; of a deadline that passed, whoever looked.
    pub by: String,
    /// The entry of the step's `by` that let them, or `operator`; none was needed for a deadline.
    pub entitled: Option<String>,
    /// `resumed`, `settled` or `expired`.
    pub how: String,
}

/// A call that was begun, has an outside effect, and has no end that anybody saw or told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnknownCall {
    /// The step.
    pub step: StepId,
    /// The tool.
    pub tool: ToolName,
}

/// The key that signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Signed {
    /// SHA-256 of the public key's SPKI DER.
    pub key: Digest,
    /// Whether it is a development key, made by the host and not encrypted.
    pub development: bool,
}

/// What a run spent, and of how much.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
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
    /// Milliseconds of them spent suspended, which do not count.
    pub suspended_ms: u64,
    /// The program's own bounds.
    pub limits: Limits,
    /// The bounds that the run went beyond with its last step, by key.
    pub overruns: Vec<&'static str>,
}

/// The bounds of a program, where it has them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// `max_steps`.
    pub steps: Option<NonZeroU64>,
    /// `max_tokens`, estimated ones included.
    pub tokens: Option<NonZeroU64>,
    /// `max_stalled_steps`.
    pub stalled_steps: Option<NonZeroU64>,
    /// `max_wall_seconds`, in milliseconds, rounded up.
    pub wall_ms: Option<u64>,
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
    /// The publisher who signed the tool, by the policy's name of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publisher: Option<String>,
    /// The rule that let it run although no publisher signed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsigned: Option<String>,
}

impl From<&Trace> for Receipt {
    fn from(trace: &Trace) -> Self {
        let machine = trace.machine();
        let mut receipt = Self {
            receipt: 1,
            evidence: PREDICATE_TYPE,
            run: trace.run().clone(),
            program: match machine {
                Some(run) => Some(run.plan().program().name().to_owned()),
                None => trace.admission().program_name(),
            },
            program_digest: trace.predicates().next().map_or(Digest::of(b""), |first| first.run.program),
            plan: machine.map(|run| run.plan().digest()),
            status: "open".to_owned(),
            outcome: machine.and_then(|run| run.outcome()).map(str::to_owned),
            error: None,
            failed_step: None,
            opened: trace.opened(),
            last: trace.last(),
            steps: StepCounts::default(),
            rejected: Vec::new(),
            blocked: Vec::new(),
            escalations: 0,
            answers: Vec::new(),
            unknown_calls: Vec::new(),
            budget: Budget { wall_ms: trace.last().millis_since(trace.opened()), ..Budget::default() },
            authority: Vec::new(),
            resumable: false,
            replayable: trace.state() != RunState::Open,
            signer: None,
            envelopes: trace.predicates().len() as u64,
            head: trace.head(),
        };
        receipt.read_predicates(trace);
        if let Some(run) = machine {
            receipt.read_machine(run);
        }
        if trace.state() == RunState::Suspended {
            receipt.status = "suspended".to_owned();
        }
        receipt
    }
}

impl Receipt {
    fn read_machine(&mut self, run: &Run) {
        let tally = run.tally();
        self.budget.steps = tally.steps;
        self.budget.tokens = tally.tokens;
        self.budget.estimated_tokens = tally.estimated_tokens;
        self.budget.suspended_ms = tally.suspended_ms;
        self.budget.hold_against(run.plan().program().budgets());
        self.steps.retries = tally.retries;
        for record in run.records() {
            let steps = &mut self.steps;
            steps.executed += 1;
            match record.status {
                StepStatus::Success => steps.succeeded += 1,
                StepStatus::Failed => steps.failed += 1,
                StepStatus::Skipped => steps.skipped += 1,
                StepStatus::Pending => {}
            }
            steps.retried += u64::from(record.retries > 0);
            steps.substituted += u64::from(record.substituted);
            steps.recorded += u64::from(record.recorded);
            if let (StepStatus::Failed, Some(failure)) = (record.status, &record.error) {
                self.rejected.push(Rejected {
                    step: run.plan().program().step(record.step).id.clone(),
                    visit: record.visit,
                    kind: failure.kind.as_str(),
                    code: failure.code.to_string(),
                });
            }
        }
        if let Some(suspension) = run.suspension() {
            self.resumable = matches!(suspension.cause, SuspensionCause::Tool { .. });
        }
    }

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
            // A refused event leaves the run waiting, which is no wait of its own.
            let waits = predicate
                .step
                .as_ref()
                .is_some_and(|step| step.to == "suspended" && step.from != "suspended");
            self.escalations += u64::from(waits);
            self.read_answer(predicate);
            if let Some(run) = trace.machine() {
                self.read_call(predicate, run);
            }
            if let Some(signer) = &predicate.signer {
                self.signer = Some(Signed { key: signer.key, development: signer.development });
            }
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

impl Receipt {
    fn read_answer(&mut self, predicate: &Predicate) {
        let (Kind::Resume, Some(step)) = (predicate.kind, &predicate.step) else { return };
        let how = step.event.split(':').next().unwrap_or_default();
        // Whoever takes over an interrupted run answers nothing.
        if how == "recovered" {
            return;
        }
        self.answers.push(Answered {
            envelope: predicate.run.seq,
            step: step.id.clone(),
            by: predicate.principal.clone(),
            entitled: predicate.resolver.as_ref().and_then(|resolver| resolver.entitled.clone()),
            how: how.to_owned(),
        });
    }

    /// A step has one call at a time: it is unknown from its intent on until somebody saw its end,
    /// or said what it was.
    fn read_call(&mut self, predicate: &Predicate, run: &Run) {
        let Some(step) = &predicate.step else { return };
        let in_doubt =
            predicate.failure.as_ref().is_some_and(|failure| failure.kind == ErrorKind::InDoubt.as_str());
        let tool = match step.event.as_str() {
            // What only commits with its result did not happen without one.
            "started" => predicate
                .call
                .as_ref()
                .map(|call| &call.tool)
                .filter(|tool| run.plan().row(tool).is_some_and(|row| !repeatable(row))),
            // A run before this one made the call, and left it so.
            "finished" | "failed" if in_doubt => {
                predicate.call.as_ref().map(|call| &call.tool).or_else(|| tool_of(run, &step.id))
            }
            "finished" | "failed" | "denied" | "settled:happened" | "settled:did-not-happen" => None,
            // Of what nobody can tell, nothing is known.
            _ => return,
        };
        self.unknown_calls.retain(|call| call.step != step.id);
        self.unknown_calls.extend(tool.map(|tool| UnknownCall { step: step.id.clone(), tool: tool.clone() }));
    }
}

/// The tool that a step names.
fn tool_of<'r>(run: &'r Run, step: &StepId) -> Option<&'r ToolName> {
    let program = run.plan().program();
    match &program.step(program.index_of(step.as_str())?).kind {
        StepKind::Tool(call) => Some(&call.tool),
        _ => None,
    }
}

impl Budget {
    /// Budgets are looked at before each step, so that only the last one can go beyond them.
    fn hold_against(&mut self, budgets: Budgets) {
        let millis = |wall: Duration| u64::try_from(wall.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        self.limits = Limits {
            steps: budgets.max_steps,
            tokens: budgets.max_tokens,
            stalled_steps: budgets.max_stalled_steps,
            wall_ms: budgets.max_wall.map(millis),
        };
        let beyond = |used: u64, max: Option<NonZeroU64>| max.is_some_and(|max| used > max.get());
        let wall = Duration::from_millis(self.wall_ms.saturating_sub(self.suspended_ms));
        let found = [
            ("max_steps", beyond(self.steps, budgets.max_steps)),
            ("max_tokens", beyond(self.tokens.saturating_add(self.estimated_tokens), budgets.max_tokens)),
            ("max_wall_seconds", budgets.max_wall.is_some_and(|max| wall > max)),
        ];
        self.overruns = found.into_iter().filter_map(|(key, over)| over.then_some(key)).collect();
    }
}

impl Authority {
    fn of(row: &AuthorityRef) -> Self {
        Self {
            tool: row.tool.clone(),
            component: row.component,
            granted: row.granted.clone(),
            rules: row.rules.clone(),
            publisher: row.publisher.as_ref().map(|own| own.name.clone()),
            unsigned: row.unsigned.clone(),
        }
    }
}
