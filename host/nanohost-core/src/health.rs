//! [`TraceHealth`]: six numbers about the path a run took, and which of them are out of the
//! ordinary. Alerts inform; nothing stops a run for them.
//!
//! Works on [`Records`], a plain shape that also foreign traces have. Knows nothing of envelopes
//! but how records come from a verified [`Trace`](crate::trace::Trace).

mod records;
mod statistics;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Serialize, Serializer};

pub use records::{Record, RecordStatus, Records};
pub use statistics::{Asked, Group, Range, Statistics, Transition};

/// What is measured. The names are those of the published vectors and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// Steps that were tried again ÷ steps.
    RollbackDensity,
    /// Executions of a step after its first ÷ steps.
    ToolChurnRate,
    /// Places at which the state is another than the baseline's ÷ the longer of the two.
    PathVariance,
    /// Jaccard distance of the sets of consecutive steps from the baseline's.
    TransitionSequenceVariance,
    /// Failed steps ÷ steps.
    InvariantViolationRate,
    /// Entropy of the pairs of consecutive steps, bits.
    TransitionEntropy,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::RollbackDensity,
        Self::ToolChurnRate,
        Self::PathVariance,
        Self::TransitionSequenceVariance,
        Self::InvariantViolationRate,
        Self::TransitionEntropy,
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RollbackDensity => "rollback_density",
            Self::ToolChurnRate => "tool_churn_rate",
            Self::PathVariance => "path_variance",
            Self::TransitionSequenceVariance => "transition_sequence_variance",
            Self::InvariantViolationRate => "invariant_violation_rate",
            Self::TransitionEntropy => "transition_entropy",
        }
    }

    /// Beyond this it is an alert; at it, it is not.
    pub const fn threshold(self) -> f64 {
        match self {
            Self::RollbackDensity => 0.3,
            Self::ToolChurnRate | Self::TransitionSequenceVariance => 0.4,
            Self::PathVariance => 0.5,
            Self::InvariantViolationRate => 0.2,
            Self::TransitionEntropy => 2.5,
        }
    }

    /// What an alert means, in a few words.
    const fn meaning(self) -> &'static str {
        match self {
            Self::RollbackDensity => "many steps had to be tried again",
            Self::ToolChurnRate => "the same steps were executed over and over",
            Self::PathVariance => "the values differ from the baseline's",
            Self::TransitionSequenceVariance => "the path differs from the baseline's",
            Self::InvariantViolationRate => "many steps failed",
            Self::TransitionEntropy => "the path is hard to foretell",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A metric beyond its threshold.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Alert {
    /// Which.
    pub metric: Metric,
    /// How much.
    pub value: f64,
    /// How much is ordinary.
    pub threshold: f64,
    /// What it means, for a person.
    pub text: String,
}

/// The health of one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TraceHealth {
    /// Executed steps, parallel sub-steps included.
    pub steps: usize,
    /// See [`Metric::RollbackDensity`].
    pub rollback_density: f64,
    /// See [`Metric::ToolChurnRate`].
    pub tool_churn_rate: f64,
    /// See [`Metric::PathVariance`]; `None` without a baseline, and where values of either run
    /// are withheld.
    pub path_variance: Option<f64>,
    /// See [`Metric::TransitionSequenceVariance`]; `None` without a baseline.
    pub transition_sequence_variance: Option<f64>,
    /// See [`Metric::InvariantViolationRate`].
    pub invariant_violation_rate: f64,
    /// See [`Metric::TransitionEntropy`]. It grows with mere length: a straight line of seven
    /// steps has log2 6.
    pub transition_entropy: f64,
    /// The entropy of the next step once the present one is known, weighed over the steps, bits:
    /// 0 where every step led to one other, however many there were.
    pub conditional_entropy: f64,
    /// What is out of the ordinary.
    pub alerts: Vec<Alert>,
    /// What is beyond its threshold by length alone: nothing to look into.
    pub notes: Vec<Alert>,
}

impl TraceHealth {
    /// Measures a run, and compares it with another one where that is given.
    pub fn of(records: &Records, baseline: Option<&Records>) -> Self {
        let pairs = Pairs::of(records);
        let mut health = Self {
            steps: records.steps.len(),
            rollback_density: records.share(records.retried()),
            tool_churn_rate: records.share(records.repeated()),
            path_variance: baseline.and_then(|baseline| path_variance(records, baseline)),
            transition_sequence_variance: baseline.map(|baseline| pairs.distance(&Pairs::of(baseline))),
            invariant_violation_rate: records.share(records.failed()),
            transition_entropy: pairs.entropy(),
            conditional_entropy: pairs.conditional_entropy(),
            alerts: Vec::new(),
            notes: Vec::new(),
        };
        let beyond = Metric::ALL.into_iter().filter_map(|metric| health.alert(metric));
        (health.notes, health.alerts) = beyond.partition(|alert| health.is_length_alone(alert.metric));
        health
    }

    /// A metric's value, where it was measured.
    pub fn metric(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::RollbackDensity => Some(self.rollback_density),
            Metric::ToolChurnRate => Some(self.tool_churn_rate),
            Metric::PathVariance => self.path_variance,
            Metric::TransitionSequenceVariance => self.transition_sequence_variance,
            Metric::InvariantViolationRate => Some(self.invariant_violation_rate),
            Metric::TransitionEntropy => Some(self.transition_entropy),
        }
    }

    /// Whether a metric says only that the run was long: where every step led to one other, nothing
    /// was hard to foretell.
    fn is_length_alone(&self, metric: Metric) -> bool {
        metric == Metric::TransitionEntropy && self.conditional_entropy == 0.0
    }

    fn alert(&self, metric: Metric) -> Option<Alert> {
        let value = self.metric(metric)?;
        let threshold = metric.threshold();
        if value <= threshold {
            return None;
        }
        let why = match metric {
            _ if self.is_length_alone(metric) => {
                "length alone explains it: no step led to two different ones".to_owned()
            }
            Metric::TransitionEntropy => format!(
                "{}; {:.3} bits of it are choice, the rest is length",
                metric.meaning(),
                self.conditional_entropy
            ),
            _ => metric.meaning().to_owned(),
        };
        Some(Alert { metric, value, threshold, text: format!("{metric} {value:.3} > {threshold}: {why}") })
    }
}

/// (snapshots that differ from the baseline's of the same index + indices of the baseline that are
/// missing here) ÷ the longer of the two.
fn path_variance(records: &Records, baseline: &Records) -> Option<f64> {
    if records.withheld || baseline.withheld {
        return None;
    }
    let (here, there) = (&records.state_snapshots, &baseline.state_snapshots);
    let longer = here.len().max(there.len());
    if longer == 0 {
        return Some(0.0);
    }
    let known: BTreeMap<u64, &str> = there.iter().map(|(index, digest)| (*index, &**digest)).collect();
    let differ = here.iter().filter(|(index, digest)| known.get(index) != Some(&&**digest)).count();
    let reached: BTreeSet<u64> = here.iter().map(|(index, _)| *index).collect();
    let missing = there.iter().filter(|(index, _)| !reached.contains(index)).count();
    Some((differ + missing) as f64 / longer as f64)
}

/// Consecutive steps and how often they followed one another, by source.
struct Pairs<'a> {
    by_source: BTreeMap<&'a str, BTreeMap<&'a str, u64>>,
    total: u64,
}

impl<'a> Pairs<'a> {
    fn of(records: &'a Records) -> Self {
        let mut pairs = Self { by_source: BTreeMap::new(), total: 0 };
        for (from, to) in records.pairs() {
            *pairs.by_source.entry(from).or_default().entry(to).or_default() += 1;
            pairs.total += 1;
        }
        pairs
    }

    fn counts(&self) -> impl Iterator<Item = u64> {
        self.by_source.values().flat_map(|targets| targets.values().copied())
    }

    fn set(&self) -> BTreeSet<(&str, &str)> {
        self.by_source.iter().flat_map(|(from, targets)| targets.keys().map(move |to| (*from, *to))).collect()
    }

    /// Jaccard distance of the sets; 0 where both are empty.
    fn distance(&self, other: &Self) -> f64 {
        let (here, there) = (self.set(), other.set());
        let all = here.union(&there).count();
        if all == 0 { 0.0 } else { here.symmetric_difference(&there).count() as f64 / all as f64 }
    }

    fn entropy(&self) -> f64 {
        entropy(self.counts(), self.total)
    }

    fn conditional_entropy(&self) -> f64 {
        let weighed = self.by_source.values().map(|targets| {
            let leaving: u64 = targets.values().sum();
            leaving as f64 / self.total as f64 * entropy(targets.values().copied(), leaving)
        });
        // The empty sum of floats is −0, which would be printed so.
        weighed.sum::<f64>() + 0.0
    }
}

/// −Σ p·log2 p, bits.
fn entropy(counts: impl Iterator<Item = u64>, total: u64) -> f64 {
    let bits: f64 = counts
        .filter(|count| *count < total)
        .map(|count| count as f64 / total as f64)
        .map(|p| -p * p.log2())
        .sum();
    // The empty sum of floats is −0, which would be printed so.
    bits + 0.0
}
