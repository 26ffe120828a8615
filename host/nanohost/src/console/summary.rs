//! What a run did, at its end.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use nanohost_core::receipt::UnknownCall;
use nanohost_core::run::{Failure, Run, Status, StepRecord, StepStatus, SuspensionCause};
use nanohost_core::{Diagnostics, Held, ModelRow, RunId, StepKind};
use nanohost_store::Head;
use serde_json::{Value, json};

use super::escape::{brief, escaped, value_text};
use super::plan::bytes;
use super::sight::Sight;
use super::table::{bad, bold, columns, dim, good, odd};
use super::{findings_json, program_name, unknown_calls};
use crate::drive::CallObserved;
use crate::failure::Exit;
use crate::project::FoundPolicy;

/// Everything the summary tells of.
pub struct Summary<'a> {
    /// The machine at its end.
    pub run: &'a Run,
    /// The run's id.
    pub id: &'a RunId,
    /// How far its chain has come.
    pub head: Head,
    /// What its calls did.
    pub observed: &'a [CallObserved],
    /// The policy that was asked.
    pub policy: &'a FoundPolicy,
    /// The file of the scripted model's answers, where a model was asked.
    pub model: Option<&'a Path>,
    /// Where the evidence lies.
    pub store: &'a Path,
    /// Calls of a run that somebody ended, of which nobody knows whether they happened.
    pub unknown: &'a [UnknownCall],
    /// Runs of the store whose process ended before they did.
    pub interrupted: usize,
    /// How the command ends.
    pub exit: Exit,
    /// What of the run's values is shown.
    pub sight: Sight,
}

/// A duration for a person.
pub fn duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    match millis {
        0 => format!("{} µs", duration.as_micros()),
        1..10_000 => format!("{millis} ms"),
        _ => format!("{:.1} s", duration.as_secs_f64()),
    }
}

fn status(run: &Run) -> (&'static str, Option<&'static str>) {
    match run.end() {
        Some(end) => (end.status.as_str(), end.error.map(|kind| kind.as_str())),
        None => ("suspended", None),
    }
}

/// What came of the program.
fn verdict(summary: &Summary<'_>) -> String {
    let run = summary.run;
    let program = run.plan().program();
    let (status, error) = status(run);
    let verdict = match (run.end().map(|end| end.status), summary.exit) {
        (Some(Status::Success), _) => good(&bold(status)),
        (_, Exit::Denied) => bad(&bold("denied")),
        (None, _) => odd(&bold(status)),
        _ => bad(&bold(status)),
    };
    let mut out = format!("{} {verdict}", bold(&escaped(program.name())));
    if let Some(outcome) = run.outcome() {
        out.push_str(&format!(" · outcome {}", bold(&escaped(outcome))));
    }
    // Of a run that was cancelled the status says all there is.
    if let Some(error) = error.filter(|error| *error != status) {
        out.push_str(&format!(" · {error}"));
    }
    if run.tally().denied > 0 {
        out.push_str(&bad(&format!(" · {} denied", run.tally().denied)));
    }
    out
}

/// How a run ended, in one line.
pub fn outcome(summary: &Summary<'_>) -> String {
    format!("{} · {}\n", verdict(summary), dim(&format!("run {}", summary.id)))
}

/// The summary for a person.
pub fn summary(summary: &Summary<'_>) -> String {
    let run = summary.run;
    let program = run.plan().program();
    let mut out = verdict(summary);
    out.push_str(&format!("\n{}\n\n", dim(&format!("run {}", summary.id))));

    out.push_str(&columns(
        &["step", "kind", "tool or model", "status", "time"],
        run.records().iter().map(|record| step_row(summary, record)),
    ));
    for record in run.records() {
        if let Some(failure) = &record.error {
            let words = message(summary, record, failure)
                .filter(|value| !value.is_null())
                .map(|value| format!(": {}", value_text(&value)));
            let by = record.refused_by.as_ref().map(|rule| format!(" by {}", escaped(rule)));
            out.push_str(&format!(
                "  {} {} {}{}{}\n",
                bad("✗"),
                program.step(record.step).id,
                failure.code,
                by.unwrap_or_default(),
                words.unwrap_or_default()
            ));
        }
    }
    if let Some(suspension) = run.suspension() {
        let step = &program.step(suspension.step).id;
        out.push_str(&match suspension.cause {
            SuspensionCause::Tool { deadline: None } => format!("  {} {step} waits for an event\n", odd("…")),
            SuspensionCause::Tool { deadline: Some(deadline) } => {
                format!("  {} {step} waits for an event until {deadline}\n", odd("…"))
            }
            SuspensionCause::InDoubt => format!(
                "  {} {step} is in doubt: the call ended without an answer and may have had its effect; look outside before it is made again\n",
                odd("…")
            ),
        });
    }
    out.push_str(&unknown_calls(summary.unknown));
    out.push_str(&grants(summary));
    out.push('\n');
    if let Some(output) = final_output(summary) {
        out.push_str(&format!("output    {}\n", value_text(&output)));
    }
    if let Some(path) = summary.model {
        out.push_str(&format!(
            "model     scripted: answers from {}; no model was asked\n",
            super::path(path)
        ));
    }
    for row in run.plan().models() {
        let (alias, model) = (escaped(&row.alias), escaped(&row.model));
        out.push_str(&format!("model     {alias}: {model} at {}\n", row.base_url.origin()));
    }
    let policy = match &summary.policy.path {
        Some(path) if summary.policy.trusted => super::path(path),
        Some(path) => format!("{} (not trusted)", super::path(path)),
        None if summary.policy.layers.is_empty() => "built in, grants nothing".to_owned(),
        None => "none of the project".to_owned(),
    };
    out.push_str(&format!("policy    {policy}\n"));
    for layer in
        summary.policy.layers.iter().filter(|layer| Some(&layer.path) != summary.policy.path.as_ref())
    {
        out.push_str(&format!("policy    {} ({})\n", super::path(&layer.path), layer.origin.as_str()));
    }
    out.push_str(&evidence(summary.id, summary.head.len, summary.store));
    out.push_str(&super::how_to_answer(run, summary.id, crate::ledger::now().max(run.now())));
    if summary.interrupted > 0 {
        out.push_str(&format!(
            "{} interrupted {} in this store: {} recover\n",
            summary.interrupted,
            if summary.interrupted == 1 { "run waits" } else { "runs wait" },
            program_name()
        ));
    }
    out
}

fn evidence(id: &RunId, len: u64, store: &Path) -> String {
    format!(
        "evidence  {len} signed envelopes in {}\nverify    {} verify {}\n",
        super::path(store),
        program_name(),
        id.short()
    )
}

/// What is said of a program that was not admitted.
pub fn refusal(program: &str, id: &RunId, gaps: usize, store: &Path) -> String {
    format!(
        "{} {} · {gaps} {} · nothing was linked and nothing ran\n{}\n\n{}",
        bold(&escaped(program)),
        bad(&bold("denied")),
        if gaps == 1 { "refusal" } else { "refusals" },
        dim(&format!("run {id}")),
        evidence(id, 3, store),
    )
}

/// What a step returned.
fn output<'v>(summary: &Summary<'v>, record: &'v StepRecord) -> Option<Cow<'v, Value>> {
    let step = &summary.run.plan().program().step(record.step).id;
    Some(summary.sight.value(summary.run, Held::Name(step.as_str()), record.output.value()?))
}

/// What the run returned: the output of the last step of its own that has one.
fn final_output<'v>(summary: &Summary<'v>) -> Option<Cow<'v, Value>> {
    let program = summary.run.plan().program();
    let gives = |record: &&StepRecord| {
        let step = program.step(record.step);
        record.status == StepStatus::Success
            && step.block.is_none()
            && !matches!(step.kind, StepKind::Condition(_))
    };
    let value = summary.run.final_output()?.value()?;
    let step = summary.run.records().iter().rev().find(gives).map(|record| &program.step(record.step).id);
    let held = step.map_or(Held::Words, |step| Held::Name(step.as_str()));
    Some(summary.sight.value(summary.run, held, value))
}

/// What whoever failed said: words, or what was refused.
fn message<'v>(summary: &Summary<'v>, record: &StepRecord, failure: &'v Failure) -> Option<Cow<'v, Value>> {
    let step = summary.run.plan().program().step(record.step);
    let tool = match &step.kind {
        StepKind::Tool(call) => Some(&call.tool),
        _ => None,
    };
    let held = Held::Refused(step.id.as_str(), tool);
    Some(summary.sight.words(summary.run, step.id.as_str(), held, failure.message.value()?))
}

fn step_row(summary: &Summary<'_>, record: &StepRecord) -> Vec<String> {
    let run = summary.run;
    let step = run.plan().program().step(record.step);
    let (kind, what) = match &step.kind {
        StepKind::Tool(call) => ("tool", call.tool.to_string()),
        StepKind::Llm(llm) => ("llm", escaped(&llm.model)),
        StepKind::Condition(guard) => ("condition", brief(guard.condition.text())),
        StepKind::Parallel(_) => ("parallel", String::new()),
    };
    let mut status = record.status.as_str().to_owned();
    if record.recorded {
        status.push_str(" (recorded)");
    }
    if record.substituted {
        status.push_str(" (substituted)");
    }
    if record.retries > 0 {
        let plural = if record.retries == 1 { "retry" } else { "retries" };
        status.push_str(&format!(" after {} {plural}", record.retries));
    }
    if record.denied > 0 {
        status.push_str(&format!(", {} denied", record.denied));
    }
    if let (StepKind::Condition(_) | StepKind::Llm(_), Some(output)) = (&step.kind, output(summary, record))
        && !output.is_null()
    {
        status.push_str(&format!(" → {}", brief(&value_text(&output))));
    }
    let indent = if step.block.is_some() { "· " } else { "" };
    let time = Duration::from_millis(record.ended.millis_since(record.started));
    vec![format!("{indent}{}", step.id), kind.to_owned(), what, status, format!("{} ms", time.as_millis())]
}

/// What each tool was granted, and what of it its calls used.
fn grants(summary: &Summary<'_>) -> String {
    let plan = summary.run.plan();
    let called: Vec<_> =
        plan.rows().iter().filter(|row| summary.observed.iter().any(|call| call.tool == row.local)).collect();
    if called.is_empty() {
        return String::new();
    }
    let rows = called.iter().map(|row| {
        let granted =
            if row.granted.is_empty() { "nothing".to_owned() } else { escaped(&row.granted.join(", ")) };
        let calls = summary.observed.iter().filter(|call| call.tool == row.local);
        let mut used: Vec<String> = Vec::new();
        let mut moved: BTreeMap<(String, &str), (u64, u64)> = BTreeMap::new();
        for call in calls {
            if call.usage.is_none() {
                used.push("nothing: the recorded result".to_owned());
            }
            for one in &call.used {
                let (operations, size) = moved.entry((one.class.to_string(), &one.scope)).or_default();
                *operations = operations.saturating_add(one.operations);
                *size = size.saturating_add(one.read).saturating_add(one.written);
            }
            used.extend(call.denied.iter().map(|refusal| {
                let value = summary.sight.text(summary.run, &refusal.value);
                format!("DENIED {} {} {}", refusal.class, refusal.operation, escaped(&value))
            }));
        }
        // All calls of a tool together: each attempt is one.
        let moved = moved.into_iter().map(|((class, scope), (operations, size))| {
            let size = if size > 0 { format!(", {}", bytes(size)) } else { String::new() };
            let plural = if operations == 1 { "operation" } else { "operations" };
            format!("{class} {scope}: {operations} {plural}{size}")
        });
        let used: Vec<String> = moved.chain(used).collect();
        let used = if used.is_empty() { "nothing".to_owned() } else { used.join("; ") };
        vec![row.local.to_string(), granted, used]
    });
    format!("\n{}", columns(&["tool", "granted", "used"], rows))
}

/// The summary for a program.
pub fn summary_json(summary: &Summary<'_>, warnings: &Diagnostics) -> Value {
    let run = summary.run;
    let program = run.plan().program();
    let (status, error) = status(run);
    let steps: Vec<Value> = run
        .records()
        .iter()
        .map(|record| {
            let step = program.step(record.step);
            let (kind, tool) = match &step.kind {
                StepKind::Tool(call) => ("tool", Some(call.tool.as_str())),
                StepKind::Llm(_) => ("llm", None),
                StepKind::Condition(_) => ("condition", None),
                StepKind::Parallel(_) => ("parallel", None),
            };
            json!({
                "id": step.id,
                "kind": kind,
                "tool": tool,
                "status": record.status.as_str(),
                "output": output(summary, record),
                "error": record.error.as_ref().map(|failure| json!({
                    "kind": failure.kind.as_str(),
                    "code": failure.code.as_str(),
                    "message": message(summary, record, failure),
                    "rule": record.refused_by,
                })),
                "retries": record.retries,
                "recorded": record.recorded,
                "substituted": record.substituted,
                "denied": record.denied,
                "durationMs": record.ended.millis_since(record.started),
            })
        })
        .collect();
    let calls: Vec<Value> = summary
        .observed
        .iter()
        .map(|call| {
            json!({
                "step": program.step(call.place.step).id,
                "attempt": call.place.attempt,
                "tool": call.tool,
                "used": call.used.iter().map(|used| json!({
                    "capability": used.class,
                    "scope": used.scope,
                    "operations": used.operations,
                    "bytesRead": used.read,
                    "bytesWritten": used.written,
                })).collect::<Vec<_>>(),
                "denied": call.denied.iter().map(|refusal| json!({
                    "capability": refusal.class,
                    "operation": refusal.operation,
                    "value": summary.sight.text(run, &refusal.value),
                    "count": refusal.count,
                })).collect::<Vec<_>>(),
                "usage": call.usage.map(|usage| json!({
                    "fuel": usage.fuel,
                    "peakMemory": usage.peak_memory,
                    "wallUs": u64::try_from(usage.wall.as_micros()).unwrap_or(u64::MAX),
                })),
                "logs": summary.sight.text(run, &String::from_utf8_lossy(&call.logs)),
            })
        })
        .collect();
    let granted: Vec<Value> = run
        .plan()
        .rows()
        .iter()
        .map(|row| json!({ "tool": row.local, "granted": row.granted, "rules": row.rules.iter().map(|rule| &rule.rule).collect::<Vec<_>>() }))
        .collect();
    let tally = run.tally();
    json!({
        "run": summary.id,
        "program": program.name(),
        "status": status,
        "outcome": run.outcome(),
        "error": error,
        "suspended": run.suspension().map(|suspension| json!({
            "step": &program.step(suspension.step).id,
            "inDoubt": suspension.cause == SuspensionCause::InDoubt,
            "since": suspension.since,
            "deadline": match suspension.cause {
                SuspensionCause::Tool { deadline } => deadline,
                SuspensionCause::InDoubt => None,
            },
            "by": run.resume_rules().map(|rules| &rules.by),
            "verify": run.resume_rules().and_then(|rules| rules.verify.as_ref()),
        })),
        "unknownCalls": summary.unknown,
        "failedStep": run.end().and_then(|end| end.step).map(|step| &program.step(step).id),
        "denied": run.tally().denied,
        "exitCode": summary.exit as u8,
        "output": final_output(summary),
        "steps": steps,
        "calls": calls,
        "granted": granted,
        "budget": { "steps": tally.steps, "tokens": tally.tokens, "estimatedTokens": tally.estimated_tokens },
        "model": summary.model.map(|path| json!({ "alias": "scripted", "answers": path })),
        "models": run.plan().models().iter().map(ModelRow::to_json).collect::<Vec<_>>(),
        "policy": { "path": summary.policy.path, "trusted": summary.policy.trusted },
        "policies": super::plan::policies_json(summary.policy),
        "warnings": findings_json(warnings),
        "evidence": {
            "store": summary.store,
            "envelopes": summary.head.len,
            "head": summary.head.last,
            "table": run.plan().digest(),
            "verify": format!("{} verify {}", program_name(), summary.id),
        },
        "interrupted": summary.interrupted,
    })
}
