use super::*;
use crate::{RunId, Signer};

fn judged(index: Option<u64>, validity: Validity) -> Option<FaultKind> {
    let mut report = Report::new(RunId::from_random([1; 16]), 1);
    let envelope = crate::dsse::seal(b"{}", &Signer::from_seed([1; 32]));
    check_signer(&mut report, &Reach::of(&[envelope], None), index, |_| validity);
    report.fault.map(|fault| fault.kind)
}

#[test]
fn a_key_counts_for_its_part_of_the_log() {
    let part = Validity { from: 3, until: Some(7) };
    for (index, refused) in
        [(None, true), (Some(2), true), (Some(3), false), (Some(6), false), (Some(7), true)]
    {
        assert_eq!(judged(index, part), refused.then_some(FaultKind::UntrustedKey), "{index:?}");
    }
    assert_eq!(judged(Some(2), Validity { from: 3, until: None }), Some(FaultKind::UntrustedKey));
    assert_eq!(judged(None, Validity::ALL), None);
}
