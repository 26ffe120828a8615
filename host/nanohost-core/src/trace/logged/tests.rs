use super::*;
use crate::RunId;
use crate::keys::Signer;
use crate::log::note::{Kind, NoteSigner};
use crate::log::tree::leaf;
use crate::trace::check::CheckResult;

fn log() -> NoteSigner {
    NoteSigner::new("example.com/log".parse().expect("a name"), Kind::Ed25519, Signer::from_seed([1; 32]))
}

fn proven(entry: &[u8]) -> Standing {
    let head = Checkpoint { origin: log().verifier().name().clone(), size: 1, root: leaf(entry) };
    let mut checkpoint = head.note().expect("a text");
    checkpoint.sign(&log(), 0);
    Standing::Proven(Box::new(InclusionProof { index: 0, hashes: Vec::new(), checkpoint }))
}

fn judged(standing: &Standing) -> (Option<Checkpoint>, Report) {
    let mut report = Report::new(RunId::from_random([1; 16]), 1);
    let head =
        check_log(&mut report, &Reach::of(&[b"envelope".to_vec()], None), standing, Some(log().verifier()));
    (head, report)
}

#[test]
fn the_last_envelope_stands_under_a_signed_head() {
    let (head, report) = judged(&proven(b"envelope"));
    assert_eq!((head.map(|head| head.size), report.fault), (Some(1), None));
    let check = report.checks.iter().find(|check| check.name == CheckName::Log).expect("it is listed");
    assert_eq!(check.result, CheckResult::Pass);
}

#[test]
fn without_the_key_of_the_log_nothing_is_said() {
    let mut report = Report::new(RunId::from_random([1; 16]), 1);
    assert_eq!(
        check_log(&mut report, &Reach::of(&[b"envelope".to_vec()], None), &proven(b"another"), None),
        None
    );
    let check = report.checks.iter().find(|check| check.name == CheckName::Log).expect("it is listed");
    assert_eq!((check.result, report.fault), (CheckResult::NotChecked, None));
}

#[test]
fn what_does_not_is_a_fault_of_its_kind() {
    for (standing, kind) in [
        (proven(b"another"), FaultKind::Tampered),
        (Standing::Outside, FaultKind::Tampered),
        (Standing::Longer, FaultKind::Truncated),
        (Standing::Unsigned, FaultKind::Tampered),
        (Standing::Torn, FaultKind::Truncated),
    ] {
        let (head, report) = judged(&standing);
        assert_eq!(head, None);
        assert_eq!(report.fault.map(|fault| (fault.kind, fault.check)), Some((kind, CheckName::Log)));
    }
}
