use super::*;
use crate::keys::Signer;
use crate::log::note::{Kind, NoteSigner};
use crate::log::tree::{inner, leaf};

fn log() -> NoteSigner {
    NoteSigner::new("example.com/log".parse().expect("a name"), Kind::Ed25519, Signer::from_seed([1; 32]))
}

fn proof() -> InclusionProof {
    let (first, second) = (leaf(b"first"), leaf(b"second"));
    let head = Checkpoint { origin: log().verifier().name().clone(), size: 2, root: inner(&first, &second) };
    let mut checkpoint = head.note().expect("a text");
    checkpoint.sign(&log(), 0);
    InclusionProof { index: 1, hashes: vec![first], checkpoint }
}

#[test]
fn a_proof_shows_one_entry_at_one_place() {
    let text = proof().to_string();
    assert!(text.starts_with("c2sp.org/tlog-proof@v1\nindex 1\n"));
    assert_eq!(text.parse(), Ok(proof()));
    let log = log();
    assert_eq!(proof().check(b"second", log.verifier()).map(|head| head.size), Ok(2));
    assert_eq!(proof().check(b"first", log.verifier()), Err(ProofError::Root.into()));
    let moved = InclusionProof { index: 0, ..proof() };
    assert_eq!(moved.check(b"second", log.verifier()), Err(ProofError::Root.into()));
    let beyond = InclusionProof { index: 2, ..proof() };
    assert_eq!(beyond.check(b"second", log.verifier()), Err(ProofError::Beyond.into()));
    let other = NoteSigner::new(
        "example.com/log".parse().expect("a name"),
        Kind::Ed25519,
        Signer::from_seed([2; 32]),
    );
    assert_eq!(proof().check(b"second", other.verifier()), Err(CheckpointError::Unsigned.into()));
}

#[test]
fn one_form() {
    let text = proof().to_string();
    assert_eq!(text.replace("index", "extra AAAA\nindex").parse(), Ok(proof()));
    for bad in [
        String::new(),
        text.replace("@v1", "@v2"),
        text.replace("index 1", "index 01"),
        text.replace("index 1", "index -1"),
        text.replace("index 1\n", ""),
        text.replace("index 1\n", "index 1\nAAAA\n"),
        text.replace(
            "index 1\n",
            &format!("index 1\n{}", "mFMRkmt9wXLpNI9TcXG1TyV6PuR2ZLsXpIRlD5y1fZA=\n".repeat(129)),
        ),
        text.replace("\n2\n", "\n02\n").replace('\u{2014}', "-"),
        text.trim_end().to_owned(),
        "c2sp.org/tlog-proof@v1\n".into(),
    ] {
        assert!(bad.parse::<InclusionProof>().is_err(), "{bad}");
    }
}

#[test]
fn growth_is_written_as_witnesses_take_it() {
    let InclusionProof { hashes, checkpoint, .. } = proof();
    let growth = GrowthProof { old: 1, hashes, checkpoint };
    let first = STANDARD.encode(leaf(b"first").as_bytes());
    assert_eq!(growth.to_string(), format!("old 1\n{first}\n\n{}", growth.checkpoint));
    let whole = GrowthProof { old: 0, hashes: Vec::new(), ..growth.clone() };
    assert_eq!(whole.to_string(), format!("old 0\n\n{}", whole.checkpoint));
    for proof in [&growth, &whole] {
        assert_eq!(proof.to_string().parse::<GrowthProof>().as_ref(), Ok(proof));
    }
    let text = growth.to_string();
    for bad in [
        String::new(),
        text.replace("old 1", "old 01"),
        text.replace("old 1", "old -1"),
        text.replace("old 1", "old 1 "),
        text.replace("old 1", "new 1"),
        text.replace("old 1\n", ""),
        text.replace("old 1\n", "old 1\nAAAA\n"),
        text.replace("old 1\n", "old 1\r\n"),
        text.replace("\n\n", "\n"),
        text.replace("old 1\n", &format!("old 1\n{}", format!("{first}\n").repeat(63))),
        text.trim_end().to_owned(),
        format!("{text}{}", "x".repeat(MAX_GROWTH)),
    ] {
        assert!(bad.parse::<GrowthProof>().is_err(), "{bad}");
    }
}
