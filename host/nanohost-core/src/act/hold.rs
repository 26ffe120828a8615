//! What the act of a legal hold says: that one was laid on a run or on a subject, or that it ended. The
//! words of whoever laid it are content.

use serde::{Deserialize, Serialize};

use crate::{Commitment, Digest, RunId};

/// A legal hold was laid or ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct HoldAct {
    /// Which.
    pub change: HoldChange,
    /// Its number in the store.
    pub hold: u64,
    /// What it lies, or lay, on.
    pub on: HeldOn,
    /// Why, in the words of who did it.
    pub reason: Commitment,
}

/// What became of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldChange {
    /// It lies from here on.
    Laid,
    /// It lies no more.
    Ended,
}

/// What a hold lies on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeldOn {
    /// One run.
    Run(RunId),
    /// All runs of a subject: a keyed hash of its name, which nobody can compute or try without the
    /// keys of the store.
    Subject(Digest),
}
