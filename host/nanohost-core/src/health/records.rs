//! What is analysed: step records in order and digests of the state after each. A run's own come
//! from its verified trace; those of others can be read from JSON.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use crate::Digest;
use crate::run::{Run, StepRecord, StepStatus};
use crate::trace::{RunState, Trace};

/// The records of a run. In their JSON form other members are passed over, since traces of other
/// runtimes carry many more, and nothing is decided by them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Records {
    /// How the run ended, or `suspended`, `open` or `running`.
    pub status: String,
    /// The executed steps, in trace order.
    pub steps: Vec<Record>,
    /// Index and digest of what is compared with a baseline.
    #[serde(default)]
    pub state_snapshots: Vec<(u64, String)>,
    /// Values are missing here, so the snapshots cannot be compared.
    #[serde(skip)]
    pub withheld: bool,
}

/// One executed step.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Record {
    /// Its id.
    pub step_id: String,
    /// How it ended.
    pub status: RecordStatus,
    /// Attempts after the first.
    #[serde(default)]
    pub retries: u32,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordStatus {
    /// It has an output.
    Success,
    /// It ended the run, or its block.
    Failed,
    /// It failed and was passed over.
    Skipped,
    /// It waits for somebody outside.
    Pending,
    /// It had begun and not ended.
    Running,
}

impl From<StepStatus> for RecordStatus {
    fn from(status: StepStatus) -> Self {
        match status {
            StepStatus::Success => Self::Success,
            StepStatus::Failed => Self::Failed,
            StepStatus::Skipped => Self::Skipped,
            StepStatus::Pending => Self::Pending,
        }
    }
}

impl Records {
    /// Steps that were tried again.
    pub fn retried(&self) -> usize {
        self.steps.iter().filter(|step| step.retries > 0).count()
    }

    /// Steps that failed.
    pub fn failed(&self) -> usize {
        self.rejected().count()
    }

    /// The ids of the failed steps, in trace order.
    pub fn rejected(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().filter(|step| step.status == RecordStatus::Failed).map(|step| &*step.step_id)
    }

    /// Whether an event from outside can continue the run.
    pub fn is_resumable(&self) -> bool {
        self.status == "suspended"
    }

    /// Whether the records are the whole of what can be replayed: not of a run that goes on.
    pub fn is_replayable(&self) -> bool {
        !matches!(&*self.status, "running" | "open")
    }

    /// Executions of a step after its first.
    pub(super) fn repeated(&self) -> usize {
        let distinct: BTreeSet<&str> = self.steps.iter().map(|step| &*step.step_id).collect();
        self.steps.len() - distinct.len()
    }

    /// Each step with the one after it.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.steps.windows(2).map(|pair| (&*pair[0].step_id, &*pair[1].step_id))
    }

    /// A count ÷ steps; 0 without steps.
    pub(super) fn share(&self, count: usize) -> f64 {
        if self.steps.is_empty() { 0.0 } else { count as f64 / self.steps.len() as f64 }
    }
}

impl From<&Trace> for Records {
    /// The records of a verified run. Commitments are salted and differ between two runs that did
    /// the same, so the snapshots are made here: a digest of each step's id, status and output. They
    /// are of no use outside the comparison of two runs and stand in no document.
    fn from(trace: &Trace) -> Self {
        let status = match (trace.state(), trace.machine().and_then(Run::end)) {
            (RunState::Suspended, _) => "suspended",
            (_, Some(end)) => end.status.as_str(),
            (RunState::Closed, None) => crate::run::Status::NotAdmitted.as_str(),
            (RunState::Open, None) => "open",
        };
        let mut records = Self { status: status.to_owned(), ..Self::default() };
        let Some(run) = trace.machine() else { return records };
        let program = run.plan().program();
        for (index, record) in (0..).zip(run.records()) {
            let id = program.step(record.step).id.as_str();
            match snapshot(id, record) {
                Some(digest) => records.state_snapshots.push((index, digest.to_string())),
                None => records.withheld = true,
            }
            records.steps.push(Record {
                step_id: id.to_owned(),
                status: record.status.into(),
                retries: record.retries,
            });
        }
        records
    }
}

/// `None` where the output is withheld.
fn snapshot(id: &str, record: &StepRecord) -> Option<Digest> {
    let mut output = record.output.value()?.clone();
    // Two objects are equal whatever the order of their keys.
    output.sort_all_objects();
    let whole = Value::from(vec![id.into(), record.status.as_str().into(), output]);
    Some(Digest::of(whole.to_string().as_bytes()))
}
