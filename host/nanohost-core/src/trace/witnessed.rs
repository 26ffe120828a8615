//! Witnesses as a check of one run: as many as somebody wants signed a head of the log that the run
//! stands under. A log's own key cannot show that everybody is shown the same log. Knows no network.

use super::Reach;
use super::check::{CheckName, Fault, FaultKind, Report};
use crate::log::checkpoint::CheckpointError;
use crate::log::policy::Uncounted;
use crate::log::proof::InclusionProof;
use crate::log::{Checkpoint, LogPolicy, NoteVerifier};

#[cfg(test)]
mod tests;

/// Makes the check, where nothing was wrong so far; `proof` leads from the run's last envelope to the
/// newest head that witnesses signed, where there is one that reaches as far. Returns that head.
pub fn check_witnesses(
    report: &mut Report,
    reach: &Reach,
    proof: Option<&InclusionProof>,
    policy: &LogPolicy,
    log: Option<&NoteVerifier>,
) -> Option<Checkpoint> {
    let at = reach.envelopes.checked_sub(1).filter(|_| report.fault.is_none())?;
    let at = usize::try_from(at).ok();
    let mut fail = |kind, message| {
        report.fail(Fault { kind, check: CheckName::Witnesses, envelope: at, message });
        None
    };
    let Some(proof) = proof else {
        return match policy.quorum() {
            None => {
                report.pass(CheckName::Witnesses, "the policy wants none");
                None
            }
            Some(quorum) => fail(
                FaultKind::Unwitnessed,
                format!(
                    "no head of the log that witnesses signed reaches as far as it: `{quorum}` is missing"
                ),
            ),
        };
    };
    let head = match policy.open(&proof.checkpoint, log) {
        Ok(head) => head,
        Err(error @ (Uncounted::UnknownLog | Uncounted::Checkpoint(CheckpointError::Unsigned))) => {
            return fail(FaultKind::UntrustedKey, error.to_string());
        }
        Err(error) => return fail(FaultKind::Tampered, error.to_string()),
    };
    if let Err(error) = proof.holds(&reach.last, &head) {
        return fail(
            FaultKind::Tampered,
            format!("it is not shown to stand under the witnessed head: {error}"),
        );
    }
    let witnessed = match policy.witnessed(&proof.checkpoint) {
        Ok(witnessed) => witnessed,
        Err(error) => return fail(FaultKind::Tampered, error.to_string()),
    };
    let names: Vec<&str> = witnessed.by.iter().map(|(name, _)| name.as_str()).collect();
    let said = match &names[..] {
        [] => "no witness".to_owned(),
        names => names.join(", "),
    };
    match policy.quorum() {
        Some(quorum) if !witnessed.quorum => fail(
            FaultKind::Unwitnessed,
            format!("{said} signed the head over {} entries: `{quorum}` is missing", head.size),
        ),
        quorum => {
            let quorum = quorum.unwrap_or("none");
            report.pass(
                CheckName::Witnesses,
                format!("{said} signed the head over {} entries: `{quorum}` holds", head.size),
            );
            Some(head)
        }
    }
}
