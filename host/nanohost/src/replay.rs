//! The calls that a run's evidence tells of, each with what it takes to make it again. Reads verified
//! evidence and nothing else; who makes the calls is [`commands`](crate::commands)'s.

mod compare;

use std::collections::HashMap;

use nanohost_core::envelope::{Kind, Predicate};
use nanohost_core::export::Role;
use nanohost_core::run::Place;
use nanohost_core::trace::Trace;
use nanohost_core::{Digest, RunId, StepKind, Timestamp, ToolName};
use serde_json::Value;

pub use compare::{Diff, Verdict, by_chance, compare, first_difference};

/// A call that was made, and came to an end.
#[derive(Debug)]
pub struct Made {
    /// The envelope of its end.
    pub seq: usize,
    /// Which attempt of which step; a check has the visit and attempt 0.
    pub place: Place,
    /// The step's id.
    pub step: String,
    /// The tool's local name.
    pub tool: ToolName,
    /// The component, as the run's table has it.
    pub component: Digest,
    /// Whether it checked an event, beside the step that waited.
    pub checks: bool,
    /// The arguments; `None`: they are withheld.
    pub input: Option<Value>,
    /// What the guest could deduplicate by.
    pub key: String,
    /// How it ended.
    pub end: End,
    /// What its guest was refused meanwhile, by class; `None`: withheld.
    pub blocked: Vec<(String, Option<Value>)>,
    /// What the world answered.
    pub answers: Told,
    /// Whether something was erased that it takes to make it again, or to compare it.
    pub erased: bool,
    /// Fuel that it took.
    pub fuel: Option<u64>,
}

/// What the evidence has of what the world answered to a call.
#[derive(Debug)]
pub enum Told {
    /// It was asked nothing, or the host kept no record then.
    Nothing,
    /// It is committed to and not here.
    Withheld,
    /// The record.
    Here(Value),
}

/// How a call ended, by all that a run goes on by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// `success`, `failure`, `suspended` or `denied`.
    pub how: String,
    /// The kind and code of a failure, the class of a refusal.
    pub code: String,
    /// The result, or the words of whoever failed; `None`: they are withheld.
    pub value: Option<Value>,
    /// What the value is to its envelope.
    pub role: Role,
    /// When a suspension ends by itself.
    pub deadline: Option<Timestamp>,
}

/// The calls of a run.
#[derive(Debug, Default)]
pub struct Calls {
    /// Those that came to an end, in the order in which they did.
    pub made: Vec<Made>,
    /// Those that began, and of which no end was recorded: step and tool.
    pub unended: Vec<(String, ToolName)>,
    /// How many were not made, since an earlier result stood.
    pub reused: usize,
}

type At = (String, u32, u32);

impl Calls {
    /// The calls of a run that was admitted.
    pub fn of(trace: &Trace) -> Self {
        let mut calls = Self::default();
        let mut begun: HashMap<At, usize> = HashMap::new();
        let mut blocked: HashMap<At, Vec<(String, Option<Value>)>> = HashMap::new();
        for (seq, predicate) in trace.predicates().enumerate() {
            let Some(step) = &predicate.step else { continue };
            let at = (step.id.to_string(), step.visit, step.attempt);
            match (predicate.kind, step.event.as_str()) {
                (Kind::Intent, _) => {
                    begun.insert(at, seq);
                }
                (Kind::Denied, "blocked") => {
                    let class = predicate.denials.first().map(|denial| denial.capability.clone());
                    let value = trace.value(seq, &Role::DENIED).cloned();
                    blocked.entry(at).or_default().push((class.unwrap_or_default(), value));
                }
                (Kind::Result, _) => {
                    let reused = |call: &nanohost_core::envelope::CallRef| call.recorded.is_some();
                    if predicate.call.as_ref().is_some_and(reused) {
                        calls.reused += 1;
                        continue;
                    }
                    let from = begun.remove(&at).unwrap_or(seq);
                    let refused = blocked.remove(&at).unwrap_or_default();
                    calls.made.extend(made(trace, (from, seq), predicate, refused));
                }
                (Kind::Denied, "denied") => {
                    let refused = blocked.remove(&at).unwrap_or_default();
                    // Without an intent or a cost nothing was called.
                    let from = begun.remove(&at).or(predicate.usage.map(|_| seq));
                    let from = from.filter(|_| predicate.usage.is_some());
                    calls.made.extend(from.and_then(|from| made(trace, (from, seq), predicate, refused)));
                }
                // What somebody says that a call came to was not called by it.
                (Kind::Resume, "settled:happened") => {}
                (Kind::Denied, "refused") | (Kind::Resume, _) if predicate.call.is_some() => {
                    calls.made.extend(made(trace, (seq, seq), predicate, Vec::new()));
                }
                _ => {}
            }
        }
        let mut unended: Vec<(usize, String)> =
            begun.into_iter().map(|((step, ..), seq)| (seq, step)).collect();
        unended.sort();
        let tool = |seq: usize| Some(trace.predicates().nth(seq)?.call.as_ref()?.tool.clone());
        let unended = unended.into_iter().filter_map(|(seq, step)| Some((step, tool(seq)?)));
        calls.unended = unended.collect();
        calls
    }
}

/// The call that began in one envelope and ended in another; they may be one.
fn made(
    trace: &Trace,
    (from, seq): (usize, usize),
    predicate: &Predicate,
    blocked: Vec<(String, Option<Value>)>,
) -> Option<Made> {
    let plan = trace.machine()?.plan();
    let step = predicate.step.as_ref()?;
    let index = plan.program().index_of(step.id.as_str())?;
    let began = trace.predicates().nth(from)?;
    let tool = match (&predicate.call, &began.call, &plan.program().step(index).kind) {
        (Some(call), ..) | (None, Some(call), _) => call.tool.clone(),
        (None, None, StepKind::Tool(step)) => step.tool.clone(),
        (None, None, _) => return None,
    };
    let checks = predicate.kind == Kind::Resume || step.event == "refused";
    let signed = |predicate: &Predicate| predicate.call.as_ref()?.idempotency_key.clone();
    let key = match checks {
        true => String::new(),
        false => signed(began)
            .or_else(|| signed(predicate))
            .unwrap_or_else(|| outward_key(trace.run(), step.id.as_str(), step.visit)),
    };
    let answers = match trace.value(seq, &Role::ANSWERS) {
        Some(answers) => Told::Here(answers.clone()),
        None if trace.commits(seq, &Role::ANSWERS) => Told::Withheld,
        None => Told::Nothing,
    };
    let end = end(trace, seq, predicate)?;
    let erased = [(from, &Role::INPUT), (seq, &Role::ANSWERS), (seq, &end.role)]
        .into_iter()
        .any(|(seq, role)| trace.is_erased(seq, role));
    Some(Made {
        seq,
        place: Place { step: index, visit: step.visit, attempt: step.attempt },
        step: step.id.to_string(),
        component: plan.row(&tool)?.component,
        tool,
        checks,
        input: trace.value(from, &Role::INPUT).cloned(),
        key,
        end,
        blocked,
        answers,
        erased,
        fuel: predicate.usage.map(|usage| usage.fuel),
    })
}

/// The key that the guest of a call without one of its step's reads.
pub fn outward_key(run: &RunId, step: &str, visit: u32) -> String {
    Digest::of(format!("nanohost/key/v1\0{run}\0{step}\0{visit}").as_bytes()).to_string()
}

fn end(trace: &Trace, seq: usize, predicate: &Predicate) -> Option<End> {
    let value = |role: &Role| match trace.value(seq, role) {
        Some(value) => Some(value.clone()),
        // Silence needs no commitment.
        None if trace.commits(seq, role) => None,
        None => Some(Value::Null),
    };
    let of = |how: &str, code: String, role: Role| End {
        how: how.to_owned(),
        code,
        value: value(&role),
        role,
        deadline: None,
    };
    if let Some(failure) = &predicate.failure {
        let retry = if failure.retry { ", may be tried again" } else { "" };
        return Some(of("failure", format!("{} {}{retry}", failure.kind, failure.code), Role::MESSAGE));
    }
    let Some(call) = &predicate.call else {
        let denial = predicate.denials.first()?;
        return Some(of("denied", format!("{} {}", denial.capability, denial.rule), Role::DENIED));
    };
    match call.result.as_deref()? {
        "suspended" => Some(End { deadline: call.deadline, ..of("suspended", String::new(), Role::REASON) }),
        how => Some(of(how, String::new(), Role::OUTPUT)),
    }
}

#[cfg(test)]
mod tests;
