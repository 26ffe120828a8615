//! What many runs have in common, per program and per model alias. Takes one verified run after
//! the other and keeps sums only, so that it holds no more for a million runs than for one.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Metric, Records, TraceHealth};
use crate::Digest;
use crate::trace::Trace;

/// Programs, and model aliases, that are told apart. Stops a store of ever new programs from
/// filling the memory of whoever looks at it.
const MAX_GROUPS: usize = 10_000;

/// Pairs of steps that are told apart, over all groups. Stops runs of vast programs from doing so.
const MAX_TRANSITIONS: usize = 250_000;

/// Model names kept for one alias. Stops one whose name changes with every run.
const MAX_NAMES: usize = 16;

/// What is known of many runs.
#[derive(Debug, Default)]
pub struct Statistics {
    /// By the digest of the program: another version is another program.
    pub programs: BTreeMap<Digest, Group>,
    /// By the alias that the runs' steps asked; a run counts for each.
    pub models: BTreeMap<String, Group>,
    /// Runs that found no room in a group of their own.
    pub ungrouped: u64,
    distinct: usize,
}

/// Runs of one program, or runs that asked one model alias.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// The program's name, where any run of it was admitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How many.
    pub runs: u64,
    /// How they stand.
    pub statuses: BTreeMap<String, u64>,
    /// Executed steps of a run.
    pub steps: Range,
    /// Tokens of a run as reported; for a model those of its alias alone.
    pub tokens: Range,
    /// Tokens of a run as estimated.
    pub estimated_tokens: Range,
    /// Attempts after a first one, of a run.
    pub retries: Range,
    /// What was refused in a run.
    pub denials: Range,
    /// Milliseconds from the opening to the last envelope of a run.
    pub wall_ms: Range,
    /// The metrics that need no baseline.
    pub metrics: BTreeMap<Metric, Range>,
    /// See [`TraceHealth::conditional_entropy`].
    pub conditional_entropy: Range,
    /// Runs with an alert, by metric.
    pub alerts: BTreeMap<Metric, u64>,
    /// What the model was asked; empty for a program.
    #[serde(skip_serializing_if = "Asked::is_empty")]
    pub asked: Asked,
    /// Transitions that found no room in the table.
    #[serde(skip_serializing_if = "is_zero")]
    pub uncounted_transitions: u64,
    #[serde(skip)]
    edges: BTreeMap<(Digest, String), Targets>,
}

type Targets = BTreeMap<String, u64>;

/// Attempts at a model.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// The models that answered to the alias, as recorded.
    pub names: BTreeSet<String>,
    /// How often it was asked.
    pub attempts: u64,
    /// What the steps made of the answers.
    pub verdicts: BTreeMap<String, u64>,
}

impl Asked {
    fn is_empty(&self) -> bool {
        self.attempts == 0
    }
}

/// The least, the mean and the greatest of many values.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize)]
pub struct Range {
    /// The least.
    pub min: f64,
    /// The mean.
    pub mean: f64,
    /// The greatest.
    pub max: f64,
    #[serde(skip)]
    count: u64,
}

impl Range {
    /// Takes one more value into account.
    pub fn add(&mut self, value: f64) {
        (self.min, self.max) = match self.count {
            0 => (value, value),
            _ => (self.min.min(value), self.max.max(value)),
        };
        self.count += 1;
        self.mean += (value - self.mean) / self.count as f64;
    }
}

/// One step after another, over many runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Transition {
    /// The program, where a group has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<Digest>,
    /// The step.
    pub from: String,
    /// The step recorded after it.
    pub to: String,
    /// How often.
    pub count: u64,
    /// Of all transitions that leave `from`.
    pub probability: f64,
}

impl Statistics {
    /// Takes one more run into account, and says how it is.
    pub fn add(&mut self, trace: &Trace) -> TraceHealth {
        let records = Records::from(trace);
        let health = TraceHealth::of(&records, None);
        let program = trace.predicates().next().map_or(Digest::of(b""), |first| first.run.program);
        let run = OneRun { trace, records: &records, health: &health, program };
        let mut room = MAX_TRANSITIONS.saturating_sub(self.distinct);
        let before = room;

        let mut grouped = false;
        if let Some(group) = group(&mut self.programs, program) {
            grouped = true;
            group.name = group.name.take().or_else(|| run.name());
            group.add(&run, run.tokens(), &mut room);
        }
        for (alias, (asked, tokens)) in run.asked() {
            match group(&mut self.models, alias.to_owned()) {
                Some(group) => {
                    group.add(&run, tokens, &mut room);
                    group.asked.merge(asked);
                }
                None => grouped = false,
            }
        }
        self.distinct += before - room;
        self.ungrouped += u64::from(!grouped);
        health
    }
}

fn group<K: Ord>(groups: &mut BTreeMap<K, Group>, key: K) -> Option<&mut Group> {
    if groups.len() >= MAX_GROUPS && !groups.contains_key(&key) {
        return None;
    }
    Some(groups.entry(key).or_default())
}

pub(super) struct OneRun<'a> {
    pub(super) trace: &'a Trace,
    pub(super) records: &'a Records,
    pub(super) health: &'a TraceHealth,
    pub(super) program: Digest,
}

impl<'a> OneRun<'a> {
    fn name(&self) -> Option<String> {
        self.trace.machine().map(|run| run.plan().program().name().to_owned())
    }

    /// As reported and as estimated.
    fn tokens(&self) -> (u64, u64) {
        self.trace.machine().map_or((0, 0), |run| (run.tally().tokens, run.tally().estimated_tokens))
    }

    /// What each alias was asked, with its tokens.
    fn asked(&self) -> BTreeMap<&'a str, (Asked, (u64, u64))> {
        let mut all: BTreeMap<&str, (Asked, (u64, u64))> = BTreeMap::new();
        for model in self.trace.predicates().filter_map(|predicate| predicate.model.as_ref()) {
            let (asked, tokens) = all.entry(&model.alias).or_default();
            asked.attempts += 1;
            *asked.verdicts.entry(model.verdict.clone()).or_default() += 1;
            if asked.names.len() < MAX_NAMES {
                asked.names.insert(model.name.clone());
            }
            tokens.0 = tokens.0.saturating_add(model.tokens);
            tokens.1 = tokens.1.saturating_add(model.estimated_tokens);
        }
        all
    }
}

impl Asked {
    fn merge(&mut self, other: Self) {
        self.attempts += other.attempts;
        for (verdict, count) in other.verdicts {
            *self.verdicts.entry(verdict).or_default() += count;
        }
        for name in other.names {
            if self.names.len() < MAX_NAMES {
                self.names.insert(name);
            }
        }
    }
}

impl Group {
    /// `room`: for how many more distinct transitions there is.
    pub(super) fn add(&mut self, run: &OneRun<'_>, (tokens, estimated): (u64, u64), room: &mut usize) {
        let trace = run.trace;
        self.runs += 1;
        *self.statuses.entry(run.records.status.clone()).or_default() += 1;
        self.steps.add(run.health.steps as f64);
        self.tokens.add(tokens as f64);
        self.estimated_tokens.add(estimated as f64);
        self.retries.add(trace.machine().map_or(0, |machine| machine.tally().retries) as f64);
        self.denials.add(trace.predicates().map(|predicate| predicate.denials.len()).sum::<usize>() as f64);
        self.wall_ms.add(trace.last().millis_since(trace.opened()) as f64);
        for metric in Metric::ALL {
            if let Some(value) = run.health.metric(metric) {
                self.metrics.entry(metric).or_default().add(value);
            }
        }
        self.conditional_entropy.add(run.health.conditional_entropy);
        for alert in &run.health.alerts {
            *self.alerts.entry(alert.metric).or_default() += 1;
        }
        for (from, to) in run.records.pairs() {
            self.count(run.program, from, to, room);
        }
    }

    fn count(&mut self, program: Digest, from: &str, to: &str, room: &mut usize) {
        // Looked up by an owned key; ids of steps are short.
        let key = (program, from.to_owned());
        if let Some(count) = self.edges.get_mut(&key).and_then(|targets| targets.get_mut(to)) {
            *count += 1;
        } else if *room > 0 {
            *room -= 1;
            self.edges.entry(key).or_default().insert(to.to_owned(), 1);
        } else {
            self.uncounted_transitions += 1;
        }
    }

    /// Which step followed which, how often and how probably; by program and step.
    pub fn transitions(&self) -> impl Iterator<Item = Transition> {
        // Runs that asked one model can be of several programs.
        let several = !self.asked.is_empty();
        self.edges.iter().flat_map(move |((program, from), targets)| {
            let leaving: u64 = targets.values().sum();
            targets.iter().map(move |(to, count)| Transition {
                program: several.then_some(*program),
                from: from.clone(),
                to: to.clone(),
                count: *count,
                probability: *count as f64 / leaving as f64,
            })
        })
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}
