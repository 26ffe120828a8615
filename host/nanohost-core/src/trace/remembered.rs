//! Rollback: what was seen once has to be there again. A chain alone cannot show that its tail was
//! cut off; whoever remembers its head can. Knows no file: the caller keeps what is remembered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::check::{CheckName, Fault, FaultKind, Report};
use crate::{Digest, RunId};

/// How far the evidence of a run reached when it last verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeenHead {
    /// The number of envelopes.
    pub envelopes: u64,
    /// The digest of the last one.
    pub head: Digest,
}

/// The heads seen so far, by run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeenHeads {
    runs: BTreeMap<RunId, SeenHead>,
}

impl SeenHeads {
    /// Compares evidence that verified with what was seen of its run before, and remembers it.
    ///
    /// Evidence that is shorter, or another one at the place that was seen, is rolled back or
    /// forked: the report then says so, and what is remembered stays.
    pub fn compare(&mut self, report: &mut Report, envelopes: &[Vec<u8>]) {
        if report.fault.is_some() {
            return;
        }
        let now = envelopes
            .last()
            .map(|last| SeenHead { envelopes: envelopes.len() as u64, head: Digest::of(last) });
        let Some(seen) = self.runs.get(&report.run) else {
            if let Some(now) = now {
                report.pass(CheckName::Rollback, "seen for the first time, and remembered");
                self.runs.insert(report.run.clone(), now);
            }
            return;
        };
        let at = usize::try_from(seen.envelopes).unwrap_or(usize::MAX);
        let message = match at.checked_sub(1).and_then(|last| envelopes.get(last)) {
            Some(envelope) if Digest::of(envelope) == seen.head => {
                report.pass(
                    CheckName::Rollback,
                    format!("the same as when seen before, with {} envelopes", seen.envelopes),
                );
                self.runs.extend(now.map(|now| (report.run.clone(), now)));
                return;
            }
            Some(_) => format!("envelope {} is another one than was seen before", at - 1),
            None => {
                format!("{} envelopes were seen before, and {} are here", seen.envelopes, envelopes.len())
            }
        };
        report.fail(Fault {
            kind: FaultKind::RolledBack,
            check: CheckName::Rollback,
            envelope: at.checked_sub(1),
            message,
        });
    }
}
