//! Witnesses as a check of one run: as many as somebody wants signed a head of the log that the run
//! stands under. A log's own key cannot show that everybody is shown the same log. Knows no network.

use super::Reach;
use super::check::{CheckName, Fault, FaultKind, Report};
use crate::Timestamp;
use crate::log::checkpoint::CheckpointError;
use crate::log::policy::Uncounted;
use crate::log::proof::InclusionProof;
use crate::log::{Checkpoint, LogPolicy, Note, NoteVerifier};
use serde::Serialize;

#[cfg(test)]
mod tests;

/// How far the clock of a witness may be ahead of that of whoever verifies, seconds: a signature from a
/// later time would stay young for as long as somebody likes.
const MAX_AHEAD: u64 = 300;

/// How old the signatures of witnesses may be, by the clock of whoever verifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxAge {
    /// The oldest that counts, seconds.
    pub seconds: u64,
    /// The time by that clock, Unix seconds.
    pub now: u64,
}

impl MaxAge {
    fn admits(self, time: u64) -> bool {
        (self.now.saturating_sub(self.seconds)..=self.now.saturating_add(MAX_AHEAD)).contains(&time)
    }
}

/// A witness that signed the head under which a run stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SignedBy {
    /// Its name in the policy.
    pub name: String,
    /// When, by its own clock.
    pub time: Timestamp,
}

/// Makes the check, where nothing was wrong so far; `proof` leads from the run's last envelope to the
/// newest head that witnesses signed, where there is one that reaches as far. Returns that head.
pub fn check_witnesses(
    report: &mut Report,
    reach: &Reach,
    proof: Option<&InclusionProof>,
    policy: &LogPolicy,
    log: Option<&NoteVerifier>,
    max_age: Option<MaxAge>,
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
                if max_age.is_some() {
                    report
                        .fail(unaged(at, "the policy wants no witness, so nothing says how old the head is"));
                }
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
        Err(
            error @ (Uncounted::UnknownLog
            | Uncounted::NoLog
            | Uncounted::Checkpoint(CheckpointError::Unsigned)),
        ) => {
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
    report.witnessed = witnessed.by.iter().map(signed_by).collect();
    let said = match &report.witnessed[..] {
        [] => "no witness".to_owned(),
        by => by.iter().map(|by| format!("{} at {}", by.name, by.time)).collect::<Vec<_>>().join(", "),
    };
    let mut fail = |kind, message| {
        report.fail(Fault { kind, check: CheckName::Witnesses, envelope: at, message });
        None
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
            if let Some(max_age) = max_age {
                check_age(report, at, &proof.checkpoint, policy, max_age);
            }
            Some(head)
        }
    }
}

/// The quorum holds by those witnesses alone that signed lately.
fn check_age(report: &mut Report, at: Option<usize>, head: &Note, policy: &LogPolicy, max_age: MaxAge) {
    let bound = moment(max_age.now.saturating_sub(max_age.seconds));
    if policy.quorum().is_none() {
        return report.fail(unaged(at, "the policy wants no witness, so nothing says how old the head is"));
    }
    // Read before, with all signatures.
    let young = policy.witnessed_at(head, |time| max_age.admits(time));
    match young {
        Ok(young) if young.quorum => {
            let words = format!("as many as are wanted signed since {bound}, by the clock of this machine");
            report.pass(CheckName::Age, words);
        }
        _ => {
            let ahead =
                report.witnessed.iter().any(|by| by.time > moment(max_age.now.saturating_add(MAX_AHEAD)));
            let ahead = if ahead { ", and one says that it signed later than now" } else { "" };
            let why = format!("fewer witnesses than are wanted signed since {bound}{ahead}");
            report.fail(unaged(at, &why));
        }
    }
}

fn unaged(at: Option<usize>, why: &str) -> Fault {
    Fault { kind: FaultKind::Unwitnessed, check: CheckName::Age, envelope: at, message: why.to_owned() }
}

fn signed_by((name, time): &(String, u64)) -> SignedBy {
    SignedBy { name: name.clone(), time: moment(*time) }
}

/// A moment, from Unix seconds.
fn moment(seconds: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000))
}
