//! The key of a run against the part of the log for which it counts: a key that was retired signs
//! nothing any more. Where the run stands is for somebody else to show.

use super::Reach;
use super::check::{CheckName, Fault, FaultKind, Report};
use crate::dsse::Unverified;
use crate::{KeyId, Validity};

#[cfg(test)]
mod tests;

/// Makes the check, where nothing was wrong so far. `index` is where the run's last envelope stands,
/// where that was shown; `validity` gives the part of the log for which a key counts.
pub fn check_signer(
    report: &mut Report,
    reach: &Reach,
    index: Option<u64>,
    validity: impl FnOnce(&KeyId) -> Validity,
) {
    let Some(at) = reach.envelopes.checked_sub(1).filter(|_| report.fault.is_none()) else { return };
    // Verified before: it has a key.
    let Ok(key) = Unverified::parse(&reach.last).map(|envelope| envelope.key_id()) else { return };
    let counts = validity(&key);
    let message = match (counts, index) {
        (Validity::ALL, _) => return,
        (counts, Some(index)) if counts.holds(index) => return,
        (Validity { from, until: None }, Some(index)) => {
            format!("it stands at {index} of the log, and the key {key} counts from {from} on")
        }
        (Validity { from, until: Some(until) }, Some(index)) => {
            format!("it stands at {index} of the log, and the key {key} counts from {from} to before {until}")
        }
        (_, None) => format!(
            "the key {key} counts for a part of the log, and where the run stands there is not shown (--log-proof)"
        ),
    };
    report.fail(Fault {
        kind: FaultKind::UntrustedKey,
        check: CheckName::Signatures,
        envelope: usize::try_from(at).ok(),
        message,
    });
}
