//! What a run keeps of an executed step. Knows nothing of envelopes.

use super::event::{Failure, Slot, text_enum};
use crate::Timestamp;
use crate::check::StepIndex;
use std::fmt;

text_enum!(
    /// How an executed step ended.
    StepStatus {
        /// It has an output.
        Success = "success",
        /// It ended the run, or its block.
        Failed = "failed",
        /// It failed and was passed over; its output is null.
        Skipped = "skipped",
        /// It waits for somebody outside.
        Pending = "pending",
    }
);

/// One executed step, in trace order.
#[derive(Debug, Clone, PartialEq)]
pub struct StepRecord {
    /// Which step.
    pub step: StepIndex,
    /// How often it was entered, from 1.
    pub visit: u32,
    /// How it ended.
    pub status: StepStatus,
    /// Its output, null where it has none.
    pub output: Slot,
    /// What its model proposed, where the step's call came from a proposal.
    pub proposal: Option<Slot>,
    /// Why it failed or was skipped.
    pub error: Option<Failure>,
    /// Attempts after the first.
    pub retries: u32,
    /// A fallback stands in for the model's answer.
    pub substituted: bool,
    /// The output is the recorded result of an earlier run.
    pub recorded: bool,
    /// What the host refused during the step.
    pub denied: u32,
    /// The rule that refused its call, where one did: a policy row's id or a rule of the runtime.
    pub refused_by: Option<String>,
    /// When it was entered.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
}

impl StepRecord {
    pub(crate) fn new(step: StepIndex, visit: u32, started: Timestamp, ended: Timestamp) -> Self {
        Self {
            step,
            visit,
            status: StepStatus::Failed,
            output: Slot::null(),
            proposal: None,
            error: None,
            retries: 0,
            substituted: false,
            recorded: false,
            denied: 0,
            refused_by: None,
            started,
            ended,
        }
    }
}
