//! The log over all runs as a check of one run: its last envelope stands under a head that the
//! log's key signed, and the log knows of none beyond it. A chain alone cannot show either.
//! Knows no store: whoever has one says where the run stands.

use super::Reach;
use super::check::{CheckName, Fault, FaultKind, Report};
use crate::log::proof::InclusionProof;
use crate::log::{Checkpoint, NoteVerifier};

#[cfg(test)]
mod tests;

/// Where a run stands in a log, as somebody says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Its last envelope stands in it.
    Proven(Box<InclusionProof>),
    /// Its last envelope does not stand in it.
    Outside,
    /// The log has more of its envelopes than are here.
    Longer,
    /// The log has no head that is signed, or none as far as that.
    Unsigned,
    /// What follows it in the log is not all there, so nobody can tell whether more of it does.
    Torn,
}

/// Makes the check, where nothing was wrong so far; returns the head that the run stands under.
pub fn check_log(
    report: &mut Report,
    reach: &Reach,
    standing: &Standing,
    log: Option<&NoteVerifier>,
) -> Option<Checkpoint> {
    let at = reach.envelopes.checked_sub(1).filter(|_| report.fault.is_none())?;
    let last = &reach.last;
    let Some(log) = log else {
        report.skip(CheckName::Log, "NOT CHECKED: the key of the log is not here (--log-key)");
        return None;
    };
    let (kind, message) = match standing {
        Standing::Proven(proof) => match proof.check(last, log) {
            Ok(head) => {
                report.pass(
                    CheckName::Log,
                    format!(
                        "envelope {at} stands at index {} of {}, which has {} entries",
                        proof.index, head.origin, head.size
                    ),
                );
                return Some(head);
            }
            Err(error) => (FaultKind::Tampered, format!("it is not shown to stand in the log: {error}")),
        },
        Standing::Outside => (FaultKind::Tampered, "it does not stand in the log".to_owned()),
        Standing::Longer => (
            FaultKind::Truncated,
            "the log has an envelope of this run after it, which is not here".to_owned(),
        ),
        Standing::Unsigned => {
            (FaultKind::Tampered, "no head of the log that is signed reaches as far as it".to_owned())
        }
        Standing::Torn => (
            FaultKind::Truncated,
            "what follows it in the log is not what was signed, so more of this run may be missing"
                .to_owned(),
        ),
    };
    report.fail(Fault { kind, check: CheckName::Log, envelope: usize::try_from(at).ok(), message });
    None
}
