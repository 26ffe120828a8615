//! Runs that were: the list, the trace, the receipt.

use std::collections::HashSet;

use nanohost_core::RunId;
use nanohost_core::envelope::{DenialRef, Kind, Predicate};
use nanohost_core::export::Role;
use nanohost_core::receipt::Receipt;
use nanohost_core::run::Denial;
use nanohost_core::trace::Trace;
use nanohost_store::RunSummary;
use serde_json::{Value, json};

use super::escape::{escaped, value_text};
use super::program_name;
use super::sight::Sight;
use super::table::{bold, columns, dim};
use super::waiting::look_outside;

/// All runs of a store, the newest first.
pub fn list(runs: &[RunSummary], in_doubt: &HashSet<RunId>) -> String {
    if runs.is_empty() {
        return "no runs yet\n".to_owned();
    }
    let rows = runs.iter().map(|run| {
        vec![
            run.run.short().to_owned(),
            escaped(&run.program),
            match run.state.deadline() {
                None if in_doubt.contains(&run.run) => "in doubt".to_owned(),
                Some(deadline) => format!("{} until {deadline}", run.state.as_str()),
                None => run.state.as_str().to_owned(),
            },
            run.opened.to_string(),
            run.len.to_string(),
        ]
    });
    let mut out = columns(&["run", "program", "state", "opened", "envelopes"], rows);
    let interrupted =
        runs.iter().filter(|run| matches!(run.state, nanohost_store::RunState::Interrupted)).count();
    if interrupted > 0 {
        out.push_str(&format!(
            "\n{interrupted} interrupted: their process ended before the run did; {} recover\n",
            program_name()
        ));
    }
    if !in_doubt.is_empty() {
        out.push_str("\nin doubt: nobody saw how a call ended\n");
        let doubtful = runs.iter().map(|run| &run.run).filter(|run| in_doubt.contains(*run));
        out.extend(doubtful.map(|run| format!("  {} {}\n", run.short(), look_outside(run))));
    }
    out.push_str(&format!(
        "\n{}\n",
        dim("a list to find runs by: it is not signed, and what `verify` says counts")
    ));
    out
}

/// What one envelope says, on one line.
fn line(predicate: &Predicate, trace: &Trace, seq: usize, sight: Sight) -> Vec<String> {
    let kind = predicate.kind.as_str();
    let step = predicate.step.as_ref().map_or(String::new(), |step| match step.attempt {
        0 | 1 => step.id.to_string(),
        attempt => format!("{} (attempt {attempt})", step.id),
    });
    let value = |role: Role| sight.value_of(trace, seq, &role).map(|value| value_text(&value));
    let mut what = Vec::new();
    if let Some(call) = &predicate.call {
        what.push(match &call.result {
            Some(result) => format!("{} {result}", call.tool),
            None => format!("{} is called", call.tool),
        });
    }
    if let Some(model) = &predicate.model {
        what.push(format!("{} {} ({} tokens)", escaped(&model.alias), model.verdict, model.tokens));
    }
    let mut again = 0;
    for (at, denial) in predicate.denials.iter().enumerate() {
        if denial.capability == Denial::RESUME {
            what.push(format!("{} ({})", denial.code, escaped(&denial.rule)));
            continue;
        }
        // The same of several imports is said once; what they are follows.
        let said = |denial: &DenialRef| {
            let tool = denial.tool.as_ref().map_or(String::new(), |tool| format!(" for {tool}"));
            let (rule, culprit) = (escaped(&denial.rule), &denial.culprit);
            format!("{} {}{tool} by {rule} ({culprit})", denial.code, denial.capability)
        };
        let own = said(denial);
        again += 1;
        if predicate.denials.get(at + 1).is_none_or(|next| said(next) != own) {
            what.push(if again > 1 { format!("{again} × {own}") } else { own });
            again = 0;
        }
    }
    if let Some(failure) = &predicate.failure {
        what.push(format!("{} {}", failure.kind, failure.code));
    }
    if let Some(close) = &predicate.close {
        what.push(match &close.error {
            Some(error) => format!("{} {error}", close.status),
            None => close.status.clone(),
        });
    }
    // Whoever comes from outside has a name: who answered, settled, took over or ended the run.
    if let Some(step) = &predicate.step
        && (predicate.resolver.is_some() || predicate.kind == Kind::Resume || step.event == "cancelled")
    {
        what.insert(0, format!("{} by {}", step.event, escaped(&predicate.principal)));
    }
    if what.is_empty() {
        match predicate.kind {
            Kind::RunOpen => what.push(format!(
                "program {} by {}",
                predicate.run.program.short(),
                escaped(&predicate.principal)
            )),
            Kind::Plan => what.push(format!(
                "{} tools, table {}",
                predicate.authority.len(),
                predicate.run.plan.map_or(String::new(), |plan| plan.short())
            )),
            _ => what.extend(predicate.step.as_ref().map(|step| step.event.clone())),
        }
    }
    for role in [Role::DENIED, Role::EVENT, Role::ANSWER, Role::OUTPUT, Role::MESSAGE, Role::REASON] {
        if let Some(value) = value(role) {
            what.push(format!("→ {value}"));
        }
    }
    vec![seq.to_string(), kind.to_owned(), step, what.join(" · ")]
}

/// The trace for a person.
pub fn trace(trace: &Trace, sight: Sight) -> String {
    let receipt = Receipt::from(trace);
    let mut out = format!(
        "{} · {} · {} · opened {}\n\n",
        bold(&format!("run {}", trace.run())),
        receipt.program.as_deref().map(escaped).unwrap_or_default(),
        escaped(&receipt.status),
        trace.opened()
    );
    let rows = trace.predicates().enumerate().map(|(seq, predicate)| line(predicate, trace, seq, sight));
    out.push_str(&columns(&["", "envelope", "step", ""], rows));
    out.push_str(&format!(
        "\n{}\n",
        dim("every line is a signed envelope; the evidence was verified before it was shown")
    ));
    out
}

/// The trace for a program: every predicate as signed, with the values that are here.
pub fn trace_json(trace: &Trace, sight: Sight) -> Value {
    let envelopes: Vec<Value> = trace
        .predicates()
        .enumerate()
        .map(|(seq, predicate)| {
            let roles = [
                Role::INPUT,
                Role::OUTPUT,
                Role::PROMPT,
                Role::SYSTEM,
                Role::ANSWER,
                Role::DENIED,
                Role::MESSAGE,
                Role::REASON,
                Role::EVENT,
            ];
            let values: serde_json::Map<String, Value> = roles
                .iter()
                .filter_map(|role| Some((role.to_string(), sight.value_of(trace, seq, role)?.into_owned())))
                .collect();
            json!({ "digest": trace.digest(seq), "predicate": predicate, "values": values })
        })
        .collect();
    json!({ "run": trace.run(), "state": trace.state(), "head": trace.head(), "envelopes": envelopes })
}

/// The receipt for a person.
pub fn receipt(receipt: &Receipt) -> String {
    let mut out = format!("{}\n\n", bold(&format!("receipt of run {}", receipt.run)));
    let mut rows = vec![
        vec!["status".to_owned(), receipt.status.clone()],
        vec![
            "program".to_owned(),
            format!(
                "{} {}",
                receipt.program.as_deref().map(escaped).unwrap_or_default(),
                receipt.program_digest
            ),
        ],
    ];
    let mut push = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    if let Some(outcome) = &receipt.outcome {
        push("outcome", escaped(outcome));
    }
    if let Some(error) = &receipt.error {
        push("error", error.clone());
    }
    if let Some(step) = &receipt.failed_step {
        push("failed step", step.to_string());
    }
    if let Some(plan) = &receipt.plan {
        push("table", plan.to_string());
    }
    push("opened", receipt.opened.to_string());
    push("last envelope", receipt.last.to_string());
    let steps = &receipt.steps;
    push(
        "steps",
        format!(
            "{} executed: {} succeeded, {} failed, {} skipped; {} retried ({} retries), {} substituted, {} reused",
            steps.executed,
            steps.succeeded,
            steps.failed,
            steps.skipped,
            steps.retried,
            steps.retries,
            steps.substituted,
            steps.recorded
        ),
    );
    let budget = &receipt.budget;
    push(
        "budget",
        format!(
            "{} steps, {} tokens ({} estimated), {} ms",
            budget.steps, budget.tokens, budget.estimated_tokens, budget.wall_ms
        ),
    );
    if !budget.overruns.is_empty() {
        push("overrun", budget.overruns.join(", "));
    }
    let rejected: Vec<String> =
        receipt.rejected.iter().map(|step| format!("{} ({} {})", step.step, step.kind, step.code)).collect();
    if !rejected.is_empty() {
        push("rejected", rejected.join(", "));
    }
    push("escalations", receipt.escalations.to_string());
    for answer in &receipt.answers {
        let entitled = answer.entitled.as_deref().map(|entry| format!(" ({})", escaped(entry)));
        push(
            "answer",
            format!(
                "{} {} by {}{}",
                answer.step,
                answer.how,
                escaped(&answer.by),
                entitled.unwrap_or_default()
            ),
        );
    }
    for call in &receipt.unknown_calls {
        push("unknown", format!("whether the call of {} in step {} happened", call.tool, call.step));
    }
    let yes_or_no = |truth: bool| if truth { "yes" } else { "no" }.to_owned();
    push("resumable", yes_or_no(receipt.resumable));
    push("replayable", yes_or_no(receipt.replayable));
    if let Some(signer) = &receipt.signer {
        let kind = if signer.development { " (development key)" } else { "" };
        push("signer", format!("{}{kind}", signer.key));
    }
    push("envelopes", receipt.envelopes.to_string());
    push("head", receipt.head.to_string());
    out.push_str(&columns(&[], rows));
    if !receipt.blocked.is_empty() {
        out.push_str("\nblocked\n");
        out.push_str(&columns(
            &[],
            receipt.blocked.iter().map(|blocked| {
                let subject = blocked
                    .step
                    .as_ref()
                    .map(ToString::to_string)
                    .or(blocked.tool.as_ref().map(ToString::to_string));
                vec![
                    format!("envelope {}", blocked.envelope),
                    subject.unwrap_or_default(),
                    blocked.code.clone(),
                    blocked.capability.clone(),
                    escaped(&blocked.rule),
                ]
            }),
        ));
    }
    if !receipt.authority.is_empty() {
        out.push_str("\nauthority\n");
        out.push_str(&columns(
            &[],
            receipt.authority.iter().map(|row| {
                let granted =
                    if row.granted.is_empty() { "nothing".to_owned() } else { row.granted.join(", ") };
                let by = match (&row.publisher, &row.unsigned) {
                    (Some(name), _) => format!("signed by {}", escaped(name)),
                    (None, Some(_)) => "signed by nobody known here".to_owned(),
                    (None, None) => String::new(),
                };
                vec![row.tool.to_string(), escaped(&granted), escaped(&row.rules.join(", ")), by]
            }),
        ));
    }
    out
}
