use super::*;
use crate::RunId;
use crate::keys::Signer;
use crate::log::note::{Kind, NoteSigner};
use crate::log::tree::leaf;
use crate::trace::check::CheckResult;

fn signer(name: &str, kind: Kind, seed: u8) -> NoteSigner {
    NoteSigner::new(name.parse().expect("a name"), kind, Signer::from_seed([seed; 32]))
}

fn log() -> NoteSigner {
    signer("example.com/log", Kind::Ed25519, 1)
}

fn witness(seed: u8) -> NoteSigner {
    signer("example.com/witness", Kind::Cosignature, seed)
}

fn policy() -> LogPolicy {
    let [log, a, b] = [log(), witness(2), witness(3)].map(|signer| signer.verifier().to_string());
    let text = format!("log {log}\nwitness a {a}\nwitness b {b}\ngroup both all a b\nquorum both\n");
    text.parse().expect("a policy")
}

fn proof(entry: &[u8], by: &NoteSigner, witnesses: &[u8]) -> InclusionProof {
    let head = Checkpoint { origin: log().verifier().name().clone(), size: 1, root: leaf(entry) };
    let mut checkpoint = head.note().expect("a text");
    checkpoint.sign(by, 0);
    witnesses.iter().for_each(|seed| checkpoint.sign(&witness(*seed), 7));
    InclusionProof { index: 0, hashes: Vec::new(), checkpoint }
}

fn judged(proof: Option<&InclusionProof>, policy: &LogPolicy) -> Report {
    judged_by(proof, policy, None)
}

fn judged_by(proof: Option<&InclusionProof>, policy: &LogPolicy, max_age: Option<MaxAge>) -> Report {
    let mut report = Report::new(RunId::from_random([1; 16]), 1);
    check_witnesses(&mut report, &Reach::of(&[b"envelope".to_vec()], None), proof, policy, None, max_age);
    report
}

#[test]
fn a_quorum_passes() {
    let report = judged(Some(&proof(b"envelope", &log(), &[2, 3])), &policy());
    assert_eq!(report.fault, None);
    let check = report.checks.iter().find(|check| check.name == CheckName::Witnesses).expect("it is listed");
    assert_eq!(check.result, CheckResult::Pass);
    let none: LogPolicy = format!("log {}\nquorum none\n", log().verifier()).parse().expect("a policy");
    assert_eq!(judged(None, &none).fault, None);
}

#[test]
fn what_is_less_does_not() {
    let stranger = signer("example.com/log", Kind::Ed25519, 9);
    let mut forged = proof(b"envelope", &log(), &[2]);
    let of_another = proof(b"another", &log(), &[3]).checkpoint.only(&[witness(3).verifier().clone()]);
    forged.checkpoint.add_signatures(&of_another.signatures()).expect("a line");
    for (proof, kind) in [
        (None, FaultKind::Unwitnessed),
        (Some(proof(b"envelope", &log(), &[])), FaultKind::Unwitnessed),
        (Some(proof(b"envelope", &log(), &[2])), FaultKind::Unwitnessed),
        (Some(proof(b"another", &log(), &[2, 3])), FaultKind::Tampered),
        (Some(proof(b"envelope", &stranger, &[2, 3])), FaultKind::UntrustedKey),
        (Some(forged), FaultKind::Tampered),
    ] {
        let fault = judged(proof.as_ref(), &policy()).fault.expect("it is refused");
        assert_eq!((fault.kind, fault.check), (kind, CheckName::Witnesses), "{fault}");
    }
}

/// The witnesses of these tests signed seven seconds after the beginning of 1970.
#[test]
fn as_many_as_are_wanted_signed_lately() {
    let proof = proof(b"envelope", &log(), &[2, 3]);
    for (seconds, now, holds) in [
        (1, 7, true),
        (1, 8, true),
        (1, 9, false),
        (10, 17, true),
        (10, 18, false),
        (10, 0, true),
        // Ahead of the clock of whoever verifies, by what clocks may differ.
        (u64::MAX, u64::MAX, true),
        (u64::MAX, 0, true),
    ] {
        let report = judged_by(Some(&proof), &policy(), Some(MaxAge { seconds, now }));
        let age = report.checks.iter().find(|check| check.name == CheckName::Age).expect("it is listed");
        let found = report.fault.as_ref().map(|fault| (fault.kind, fault.check));
        let expected = (!holds).then_some((FaultKind::Unwitnessed, CheckName::Age));
        assert_eq!(found, expected, "{seconds} {now}: {}", age.detail);
        assert_eq!(age.result, if holds { CheckResult::Pass } else { CheckResult::Fail });
        assert_eq!(report.witnessed.len(), 2, "they are named all the same");
    }
    let mut late = proof.clone();
    late.checkpoint = late.checkpoint.only(&[witness(2).verifier().clone()]);
    late.checkpoint.sign(&log(), 0);
    late.checkpoint.sign(&witness(3), 7 + MAX_AHEAD + 1);
    assert_eq!(judged(Some(&late), &policy()).fault, None);
    let fault =
        judged_by(Some(&late), &policy(), Some(MaxAge { seconds: 9, now: 7 })).fault.expect("not yet");
    assert!(fault.check == CheckName::Age && fault.message.contains("later than now"), "{fault}");
    let none: LogPolicy = format!("log {}\nquorum none\n", log().verifier()).parse().expect("a policy");
    for proof in [None, Some(&proof)] {
        let fault = judged_by(proof, &none, Some(MaxAge { seconds: 9, now: 7 })).fault.expect("nobody says");
        assert_eq!((fault.kind, fault.check), (FaultKind::Unwitnessed, CheckName::Age));
    }
}
