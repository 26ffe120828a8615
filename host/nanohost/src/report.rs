//! What a person who audits is told of a run, as data: a conclusion first, then what happened, what
//! left this machine and who decided. A function of verified evidence alone, so that the same evidence
//! gives the same report. Knows nothing of pages: those are [`page`]'s.

pub mod page;

use std::collections::BTreeMap;

use nanohost_core::envelope::{AuthorityRef, Kind, Predicate};
use nanohost_core::receipt::Receipt;
use nanohost_core::trace::{Check, CheckResult, FaultKind, Held, Report, Trace};
use nanohost_core::{Digest, Role, RunId, Timestamp};
use serde::Serialize;
use serde_json::Value;

use crate::console::Sight;

#[cfg(test)]
mod tests;

/// No more envelopes are told one by one: a page of a million lines is read by nobody, and fills the
/// memory of whoever opens it. What is counted counts all of them.
const MAX_TOLD: usize = 5_000;

/// No value is shown longer, characters: a tool's answer of megabytes must not hide the rest.
const MAX_VALUE: usize = 1_200;

/// The report.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Audit {
    /// The run.
    pub run: Option<RunId>,
    /// What it comes to.
    pub conclusion: Conclusion,
    /// How sure that is, check by check.
    pub checks: Vec<Check>,
    /// The legal holds that lie on the run, as acts say.
    pub holds: Vec<Held>,
    /// What happened; absent where the evidence is not good, or does not hold the program.
    pub told: Option<Told>,
    /// The digest of the last envelope.
    pub head: Option<Digest>,
}

/// What it comes to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Conclusion {
    /// `verified`, `in-part`, `open`, `tampered`, `truncated`, `rolled-back`, `untrusted-key`, `not-witnessed`.
    pub verdict: &'static str,
    /// In a sentence.
    pub words: String,
    /// The exit code of `verify`.
    pub exit_code: u8,
    /// How many checks passed, failed, and were not made.
    pub passed: usize,
    /// Those that failed.
    pub failed: usize,
    /// Those that were not made.
    pub not_checked: usize,
    /// Values that are committed to and not here.
    pub withheld: usize,
}

/// What happened.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// What it came to, in numbers.
    pub receipt: Receipt,
    /// Who opened it.
    pub principal: String,
    /// The host that ran it, as it says of itself.
    pub host: Option<String>,
    /// What went to other machines.
    pub left: Vec<Destination>,
    /// What was reached on this one.
    pub stayed: Vec<Destination>,
    /// Who answered, settled, took over or ended it.
    pub acts: Vec<Act>,
    /// The models that were asked.
    pub models: Vec<Asked>,
    /// What each tool was allowed.
    pub authority: Vec<AuthorityRef>,
    /// Each envelope, in order.
    pub timeline: Vec<Moment>,
    /// How many more there are.
    pub untold: usize,
    /// Values of the program that no longer are what they were: erased.
    pub erased: Vec<String>,
}

/// Where something went, through one capability.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Destination {
    /// The capability class, or `model`.
    pub capability: String,
    /// The host, folder or namespace, as the operator granted it.
    pub scope: String,
    /// Who reached it: tools, or aliases of models.
    pub by: Vec<String>,
    /// Operations; of a model, attempts.
    pub operations: u64,
    /// Bytes, both ways; absent of a model, whose tokens are counted.
    pub bytes: Option<u64>,
    /// Tokens of a model.
    pub tokens: Option<u64>,
}

/// Somebody from outside had a say.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Act {
    /// The envelope.
    pub envelope: u64,
    /// When.
    pub time: Timestamp,
    /// The step.
    pub step: String,
    /// What they did: `resumed:OPERATOR`, `refused`, `settled:happened`, …
    pub what: String,
    /// The name that they gave.
    pub principal: String,
    /// How the host knew them.
    pub authenticated: Option<String>,
    /// By which entry of the step's `by` they may answer.
    pub entitled: Option<String>,
    /// What they were shown.
    pub shown: Option<String>,
    /// What they said.
    pub said: Option<String>,
}

/// A model was asked.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// The envelope.
    pub envelope: u64,
    /// The step.
    pub step: String,
    /// The alias in the program.
    pub alias: String,
    /// Where it ran, and the server's name of it.
    pub host: String,
    /// The server's name of it.
    pub name: String,
    /// What became of its answer.
    pub verdict: String,
    /// Tokens, reported and estimated.
    pub tokens: u64,
    /// What it was asked.
    pub prompt: Option<String>,
    /// What it answered.
    pub answer: Option<String>,
}

/// One envelope.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moment {
    /// Its number.
    pub envelope: u64,
    /// When.
    pub time: Timestamp,
    /// `ok`, `refused`, `failed`, `waits`.
    pub tone: &'static str,
    /// Its kind.
    pub kind: String,
    /// The step, and its attempt after a first.
    pub step: Option<String>,
    /// What happened, in a few words.
    pub what: String,
    /// Who decided it, by which rule, where something was refused.
    pub refusals: Vec<String>,
    /// What was asked for, said or answered: role and text.
    pub values: Vec<(String, String)>,
    /// Its digest.
    pub digest: Option<Digest>,
}

impl Audit {
    /// Of evidence that was judged.
    pub fn of(report: &Report, trace: Option<&Trace>, exit_code: u8, sight: Sight) -> Self {
        let count = |result| report.checks.iter().filter(|check| check.result == result).count();
        let (verdict, words) = verdict(report);
        Self {
            run: (report.envelopes > 0).then(|| report.run.clone()),
            conclusion: Conclusion {
                verdict,
                words,
                exit_code,
                passed: count(CheckResult::Pass),
                failed: count(CheckResult::Fail),
                not_checked: count(CheckResult::NotChecked),
                withheld: report.withheld,
            },
            checks: report.checks.clone(),
            holds: report.holds.clone(),
            told: trace.filter(|_| report.fault.is_none()).map(|trace| Told::of(trace, sight)),
            head: trace.map(Trace::head),
        }
    }
}

fn verdict(report: &Report) -> (&'static str, String) {
    match &report.fault {
        Some(fault) => {
            let verdict = match fault.kind {
                FaultKind::Tampered => "tampered",
                FaultKind::Truncated => "truncated",
                FaultKind::RolledBack => "rolled-back",
                FaultKind::UntrustedKey => "untrusted-key",
                FaultKind::Unwitnessed => "not-witnessed",
            };
            (verdict, fault.to_string())
        }
        None if report.open => {
            ("open", "The run has no end: it goes on, was interrupted, or its tail was cut.".to_owned())
        }
        None => match report.unchecked() {
            Some(what) => ("in-part", format!("What is here is good, and {what}.")),
            None => ("verified", "Every check that could be made passed.".to_owned()),
        },
    }
}

impl Told {
    fn of(trace: &Trace, sight: Sight) -> Self {
        let receipt = Receipt::from(trace);
        let first = trace.predicates().next();
        let mut used: BTreeMap<(String, String), Destination> = BTreeMap::new();
        let (mut acts, mut models, mut timeline, mut authority) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut erased = Vec::new();
        for (seq, predicate) in trace.predicates().enumerate() {
            add_uses(&mut used, predicate);
            if predicate.kind == Kind::Plan {
                authority.clone_from(&predicate.authority);
            }
            if timeline.len() >= MAX_TOLD {
                continue;
            }
            let value = |role: &Role| sight.value_of(trace, seq, role).map(|value| text_of(&value));
            acts.extend(act(predicate, value));
            models.extend(asked(predicate, value));
            timeline.push(moment(trace, seq, predicate, value, &mut erased));
        }
        let untold = trace.predicates().len() - timeline.len();
        let (left, stayed) = used.into_values().partition(Destination::is_elsewhere);
        Self {
            principal: first.map(|first| first.principal.clone()).unwrap_or_default(),
            host: first.and_then(|first| first.host.as_ref()).map(|host| {
                format!("nanohost {}, {}, executable {}", host.version, host.engine, host.binary)
            }),
            receipt,
            left,
            stayed,
            acts,
            models,
            authority,
            timeline,
            untold,
            erased,
        }
    }
}

impl Destination {
    /// Whether it lies on another machine, as far as the capability says.
    fn is_elsewhere(&self) -> bool {
        match self.capability.as_str() {
            "model" => self.scope != "local",
            capability => ["http", "sockets"].contains(&capability),
        }
    }

    fn add(&mut self, by: &str, operations: u64) {
        if !self.by.iter().any(|own| own == by) {
            self.by.push(by.to_owned());
        }
        self.operations = self.operations.saturating_add(operations);
    }
}

fn add_uses(used: &mut BTreeMap<(String, String), Destination>, predicate: &Predicate) {
    let of = |capability: &str, scope: &str| (capability.to_owned(), scope.to_owned());
    let new = |(capability, scope): &(String, String)| Destination {
        capability: capability.clone(),
        scope: scope.clone(),
        ..Destination::default()
    };
    let tool = predicate.call.as_ref().map(|call| call.tool.to_string());
    for reached in &predicate.used {
        let key = of(&reached.capability, &reached.scope);
        let place = used.entry(key.clone()).or_insert_with(|| new(&key));
        place.add(tool.as_deref().unwrap_or("a tool that was refused"), reached.operations);
        place.bytes = Some(place.bytes.unwrap_or(0).saturating_add(reached.bytes));
    }
    if let Some(model) = &predicate.model {
        let key = of("model", &model.host);
        let place = used.entry(key.clone()).or_insert_with(|| new(&key));
        place.add(&model.alias, 1);
        let tokens = model.tokens.saturating_add(model.estimated_tokens);
        place.tokens = Some(place.tokens.unwrap_or(0).saturating_add(tokens));
    }
}

/// Somebody from outside, where it is one.
fn act(predicate: &Predicate, value: impl Fn(&Role) -> Option<String>) -> Option<Act> {
    let step = predicate.step.as_ref()?;
    let is_act = predicate.kind == Kind::Resume || predicate.resolver.is_some() || step.event == "cancelled";
    let resolver = predicate.resolver.as_ref();
    is_act.then(|| Act {
        envelope: predicate.run.seq,
        time: predicate.time,
        step: step.id.to_string(),
        what: step.event.clone(),
        principal: predicate.principal.clone(),
        authenticated: resolver.map(|resolver| resolver.authenticated.clone()),
        entitled: resolver.and_then(|resolver| resolver.entitled.clone()),
        shown: value(&Role::SHOWN),
        said: value(&Role::EVENT).or_else(|| value(&Role::DENIED)).or_else(|| value(&Role::REASON)),
    })
}

fn asked(predicate: &Predicate, value: impl Fn(&Role) -> Option<String>) -> Option<Asked> {
    let model = predicate.model.as_ref()?;
    Some(Asked {
        envelope: predicate.run.seq,
        step: predicate.step.as_ref().map(|step| step.id.to_string()).unwrap_or_default(),
        alias: model.alias.clone(),
        host: model.host.clone(),
        name: model.name.clone(),
        verdict: model.verdict.clone(),
        tokens: model.tokens.saturating_add(model.estimated_tokens),
        prompt: value(&Role::PROMPT),
        answer: value(&Role::ANSWER),
    })
}

fn moment(
    trace: &Trace,
    seq: usize,
    predicate: &Predicate,
    value: impl Fn(&Role) -> Option<String>,
    erased: &mut Vec<String>,
) -> Moment {
    const ROLES: [Role; 8] = [
        Role::INPUT,
        Role::PROMPT,
        Role::OUTPUT,
        Role::ANSWER,
        Role::EVENT,
        Role::DENIED,
        Role::MESSAGE,
        Role::REASON,
    ];
    let mut values = Vec::new();
    for role in ROLES {
        match value(&role) {
            Some(text) => {
                if text == nanohost_core::TOMBSTONE {
                    erased.push(format!("{seq}/{role}"));
                }
                values.push((role.to_string(), text));
            }
            None if trace.commits(seq, &role) => {
                values.push((role.to_string(), "(not disclosed)".to_owned()))
            }
            None => {}
        }
    }
    let failed = predicate.failure.is_some()
        || predicate.close.as_ref().is_some_and(|close| close.status != "success");
    let waits = predicate.step.as_ref().is_some_and(|step| step.to == "suspended");
    let tone = match () {
        () if !predicate.denials.is_empty() => "refused",
        () if failed => "failed",
        () if waits => "waits",
        () => "ok",
    };
    let refusals = predicate.denials.iter().map(|denial| {
        let tool = denial.tool.as_ref().map_or(String::new(), |tool| format!(" for {tool}"));
        format!("{}: {}{tool}, by {} ({} asked)", denial.code, denial.capability, denial.rule, denial.culprit)
    });
    Moment {
        envelope: predicate.run.seq,
        time: predicate.time,
        tone,
        kind: predicate.kind.as_str().to_owned(),
        step: predicate.step.as_ref().map(|step| match step.attempt {
            0 | 1 => step.id.to_string(),
            attempt => format!("{} (attempt {attempt})", step.id),
        }),
        what: what(predicate),
        refusals: refusals.collect(),
        values,
        digest: trace.digest(seq),
    }
}

/// What happened, in words of the host's own and names that stand in the envelope.
fn what(predicate: &Predicate) -> String {
    let event = predicate.step.as_ref().map(|step| step.event.as_str()).unwrap_or_default();
    let to = predicate.step.as_ref().map_or(String::new(), |step| format!(" → {}", step.to));
    match (predicate.kind, &predicate.call, &predicate.model) {
        (Kind::RunOpen, ..) => format!("opened by {}", predicate.principal),
        (Kind::Plan, ..) => format!("admitted, with a table of {} tools", predicate.authority.len()),
        (Kind::RunClose, ..) => predicate.close.as_ref().map_or(String::new(), |close| {
            let error = close.error.as_deref().map_or(String::new(), |error| format!(", {error}"));
            format!("ended: {}{error}", close.status)
        }),
        (Kind::Intent, Some(call), _) => format!("{} is about to be called ({})", call.tool, call.effect),
        (Kind::Result, Some(call), _) => {
            let result = call.result.as_deref().unwrap_or_default();
            let used: Vec<String> = predicate
                .used
                .iter()
                .map(|used| {
                    format!(
                        "{} {} ({} operations, {} bytes)",
                        used.capability, used.scope, used.operations, used.bytes
                    )
                })
                .collect();
            let reached =
                if used.is_empty() { String::new() } else { format!(", reached {}", used.join(", ")) };
            format!("{}: {result}{reached}{to}", call.tool)
        }
        (_, _, Some(model)) => format!("{} at {} was asked: {}{to}", model.alias, model.host, model.verdict),
        (Kind::Denied, ..) if predicate.step.is_none() => "not admitted".to_owned(),
        (Kind::Resume, ..) => format!("{event} by {}{to}", predicate.principal),
        (_, _, None) if predicate.resolver.is_some() || event == "cancelled" => {
            format!("{event}: {}{to}", predicate.principal)
        }
        _ => format!("{event}{to}"),
    }
}

/// A value for a person: text as it is, anything else as compact JSON; hidden and moving characters
/// shown as what they are, and capped.
fn text_of(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    shown(&text)
}

/// Foreign text, made harmless to look at.
pub fn shown(text: &str) -> String {
    let mut end = text.char_indices().map(|(at, _)| at).skip(MAX_VALUE);
    match end.next() {
        None => crate::console::lines(text),
        Some(at) => {
            let more = 1 + end.count();
            format!("{}… ({more} more characters)", crate::console::lines(&text[..at]))
        }
    }
}
