//! What a call comes to, for the client that made it: the same document for every program. Values are shown
//! without personal data; words that guests and models chose are escaped and cut.

use std::borrow::Cow;

use nanohost_core::receipt::Receipt;
use nanohost_core::run::{Run, StepStatus, SuspensionCause};
use nanohost_core::{Digest, Held, RunId, StepKind, jcs};
use nanohost_store::Head;
use serde_json::{Value, json};

use super::told::Told;
use crate::console::{self, Sight};

/// No message of a guest is longer, characters.
const MAX_MESSAGE: usize = 2000;

/// What a call came to.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The run.
    pub run: RunId,
    /// The program's name.
    pub program: String,
    /// How it stands: a status of a run, `suspended` or `running`.
    pub status: String,
    pub(super) outcome: Option<String>,
    pub(super) output: Value,
    pub(super) withheld: bool,
    pub(super) error: Value,
    pub(super) waits: Value,
    /// Whether an earlier call with the same idempotency key made it.
    pub repeated: bool,
    /// How far its chain has come.
    pub head: Head,
    /// SHA-256 of its receipt in RFC 8785 form, where it is over or waits.
    pub receipt: Option<Digest>,
    /// What was refused at admission.
    pub told: Option<Told>,
}

impl Answer {
    /// Of a run that is over or waits.
    pub fn of(run: &Run, id: &RunId, head: Head, receipt: Option<&Receipt>) -> Self {
        let program = run.plan().program();
        let (status, error) = match run.end() {
            Some(end) => (end.status.as_str(), error(run)),
            None => ("suspended", Value::Null),
        };
        let (output, withheld) = output(run);
        Self {
            run: id.clone(),
            program: program.name().to_owned(),
            status: status.to_owned(),
            outcome: run.outcome().map(str::to_owned),
            output,
            withheld,
            error,
            waits: waits(run),
            repeated: false,
            head,
            receipt: receipt.and_then(digest),
            told: None,
        }
    }

    /// Of a run that was not admitted.
    pub fn refused(program: &str, id: &RunId, head: Head, told: Told) -> Self {
        let error = json!({ "kind": "authority", "step": null, "code": told.code(), "message": null });
        Self { error, told: Some(told), ..Self::standing(program, id, "not_admitted", head) }
    }

    /// Of a run that is told by nothing but how it stands.
    pub fn standing(program: &str, id: &RunId, status: &str, head: Head) -> Self {
        Self {
            run: id.clone(),
            program: program.to_owned(),
            status: status.to_owned(),
            outcome: None,
            output: Value::Null,
            withheld: false,
            error: Value::Null,
            waits: Value::Null,
            repeated: false,
            head,
            receipt: None,
            told: None,
        }
    }

    /// Whether what was asked for did not come about: neither success nor waiting.
    pub fn is_error(&self) -> bool {
        !matches!(self.status.as_str(), "success" | "suspended" | "running")
    }

    /// Whether somebody has to answer before it goes on.
    pub fn is_suspended(&self) -> bool {
        self.status == "suspended"
    }

    /// What it returned, where that is text.
    pub fn text(&self) -> Option<&str> {
        self.output.as_str()
    }

    /// The document, as [`super::answer_schema`] says.
    pub fn to_json(&self) -> Value {
        json!({
            "run": self.run,
            "program": self.program,
            "status": self.status,
            "outcome": self.outcome,
            "output": self.output,
            "withheld": self.withheld,
            "error": self.error,
            "waits": self.waits,
            "repeated": self.repeated,
        })
    }
}

/// SHA-256 of a receipt in its canonical form.
pub fn digest(receipt: &Receipt) -> Option<Digest> {
    let value = serde_json::to_value(receipt).ok()?;
    jcs::canonical(&value).ok().map(|bytes| Digest::of(&bytes))
}

/// What the run returned, and whether something was kept back of it.
fn output(run: &Run) -> (Value, bool) {
    let program = run.plan().program();
    let Some(value) = run.final_output().and_then(|slot| slot.value()) else { return (Value::Null, false) };
    let gave = run.records().iter().rev().find(|record| {
        let step = program.step(record.step);
        record.status == StepStatus::Success
            && step.block.is_none()
            && !matches!(step.kind, StepKind::Condition(_))
    });
    let step = gave.map(|record| program.step(record.step));
    let held = step.map_or(Held::Words, |step| Held::Name(step.id.as_str()));
    match Sight::Projected.value(run, held, value) {
        Cow::Borrowed(value) => (value.clone(), false),
        Cow::Owned(seen) => {
            // What stands where personal data stood may be of another type than was promised.
            let fits = match step.map(|step| &step.kind) {
                Some(StepKind::Tool(call)) => run.plan().row(&call.tool).is_some_and(|row| {
                    call.resume.is_none() && jsonschema::is_valid(&row.export.output, &seen)
                }),
                Some(StepKind::Llm(llm)) => llm.allowed_outputs.is_empty() && seen.is_string(),
                _ => false,
            };
            (if fits { seen } else { Value::Null }, true)
        }
    }
}

/// Why a run is no success.
fn error(run: &Run) -> Value {
    let Some(end) = run.end() else { return Value::Null };
    let Some(kind) = end.error else { return Value::Null };
    let program = run.plan().program();
    let step = end.step.map(|step| program.step(step));
    let record =
        run.records().iter().rev().find(|record| record.error.is_some() && Some(record.step) == end.step);
    let failure = record.and_then(|record| record.error.as_ref());
    let message = failure.and_then(|failure| failure.message.value()).filter(|words| !words.is_null());
    let message = message.zip(step).map(|(words, step)| {
        let tool = match &step.kind {
            StepKind::Tool(call) => Some(&call.tool),
            _ => None,
        };
        let held = Held::Refused(step.id.as_str(), tool);
        let words = Sight::Projected.words(run, step.id.as_str(), held, words);
        console::value_text(&words).chars().take(MAX_MESSAGE).collect::<String>()
    });
    json!({
        "kind": kind.as_str(),
        "step": step.map(|step| step.id.as_str()),
        "code": failure.map(|failure| failure.code.as_str()),
        "message": message,
    })
}

/// What a run waits for.
fn waits(run: &Run) -> Value {
    let Some(suspension) = run.suspension() else { return Value::Null };
    let deadline = match suspension.cause {
        SuspensionCause::Tool { deadline } => deadline,
        SuspensionCause::InDoubt => None,
    };
    json!({
        "step": run.plan().program().step(suspension.step).id,
        "by": run.resume_rules().map_or(&[][..], |rules| &rules.by),
        "deadline": deadline,
        "inDoubt": suspension.cause == SuspensionCause::InDoubt,
    })
}
