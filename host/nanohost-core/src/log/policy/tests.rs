use super::*;
use crate::keys::Signer;
use crate::log::NoteSigner;
use crate::log::tree::empty_root;

fn signer(name: &str, kind: Kind, seed: u8) -> NoteSigner {
    NoteSigner::new(name.parse().expect("a name"), kind, Signer::from_seed([seed; 32]))
}

fn log() -> NoteSigner {
    signer("example.com/log", Kind::Ed25519, 1)
}

fn witness(seed: u8) -> NoteSigner {
    signer(&format!("w{seed}.example"), Kind::Cosignature, seed)
}

/// A policy, with `LOG` and `W2` to `W9` as keys.
fn policy(text: &str) -> Result<LogPolicy, LogPolicyError> {
    let mut text = text.replace("LOG", &log().verifier().to_string());
    for seed in 2..=9 {
        text = text.replace(&format!("W{seed}"), &witness(seed).verifier().to_string());
    }
    text.parse()
}

const TWO_OF_THREE: &str = "# whose word counts\n\
    log LOG https://example.com/log\n\n\
    \twitness a  W2 http://127.0.0.1:1/ \n\
    witness b W3\nwitness c W4\n\
    group most 2 a b c\nquorum most\n";

fn head(signers: &[&NoteSigner]) -> Note {
    let head = Checkpoint { origin: log().verifier().name().clone(), size: 0, root: empty_root() };
    let mut note = head.note().expect("a text");
    signers.iter().for_each(|signer| note.sign(signer, 7));
    note
}

#[test]
fn a_quorum_is_counted() {
    let policy = policy(TWO_OF_THREE).expect("a policy");
    assert_eq!((policy.logs().len(), policy.witnesses().len(), policy.quorum()), (1, 3, Some("most")));
    assert_eq!(policy.witnesses()[0].url.as_deref(), Some("http://127.0.0.1:1/"));
    let quorum = |seeds: &[u8]| {
        let witnesses: Vec<NoteSigner> = seeds.iter().map(|seed| witness(*seed)).collect();
        let signers: Vec<&NoteSigner> = witnesses.iter().collect();
        policy.witnessed(&head(&signers)).expect("nobody lies")
    };
    assert!(!quorum(&[]).quorum);
    assert!(!quorum(&[2]).quorum);
    // The same one twice is one, and a stranger is none.
    assert!(!quorum(&[2, 2, 5]).quorum);
    assert_eq!(quorum(&[4, 2]).by, [("a".to_owned(), 7), ("c".to_owned(), 7)]);
    assert!(quorum(&[4, 2]).quorum && quorum(&[2, 3, 4]).quorum);
}

/// The key of a log signs times too, under no other name.
#[test]
fn a_log_is_no_witness_of_itself() {
    let own = signer("w1.example", Kind::Cosignature, 1).verifier().to_string();
    for text in [format!("log LOG\nwitness a {own}\n"), format!("witness a {own}\nlog LOG\n")] {
        assert!(
            policy(&text).is_err_and(|error| error.to_string().contains("cannot witness itself")),
            "{text}"
        );
    }
    assert!(policy("log LOG\nwitness a W2\nquorum a\n").is_ok());
}

#[test]
fn groups_hold_groups() {
    let text = "witness a W2\nwitness b W3\nwitness c W4\nwitness d W5\n\
        group x any a b\ngroup y all c d\ngroup both all x y\nquorum both\n";
    let policy = policy(text).expect("a policy");
    let quorum = |seeds: &[u8]| {
        let witnesses: Vec<NoteSigner> = seeds.iter().map(|seed| witness(*seed)).collect();
        policy.witnessed(&head(&witnesses.iter().collect::<Vec<_>>())).expect("nobody lies").quorum
    };
    assert!(quorum(&[2, 4, 5]) && quorum(&[3, 4, 5]));
    assert!(!quorum(&[2, 3, 4]) && !quorum(&[4, 5]));
}

#[test]
fn no_witness_and_one_witness() {
    assert_eq!(policy("quorum none\n").map(|policy| policy.quorum().is_none()), Ok(true));
    let one = policy("witness a W2\nquorum a\n").expect("a policy");
    assert!(one.witnessed(&head(&[&witness(2)])).expect("nobody lies").quorum);
    assert!(!one.witnessed(&head(&[&witness(3)])).expect("nobody lies").quorum);
}

#[test]
fn a_signature_that_is_none_is_not_passed_over() {
    let policy = policy(TWO_OF_THREE).expect("a policy");
    let good = head(&[&witness(2), &witness(3)]);
    let mut lines = head(&[]);
    // The lines of another head.
    let other = Checkpoint { origin: log().verifier().name().clone(), size: 1, root: empty_root() };
    let mut other = other.note().expect("a text");
    other.sign(&witness(4), 7);
    lines.add_signatures(&(good.signatures() + &other.signatures())).expect("lines");
    assert_eq!(policy.witnessed(&lines), Err(NoteError::Signature));
}

#[test]
fn a_log_is_known_by_name_and_key() {
    let policy = policy(TWO_OF_THREE).expect("a policy");
    let open = |signer: &NoteSigner| policy.open(&head(&[signer]), None).map(|head| head.size);
    assert_eq!(open(&log()), Ok(0));
    assert_eq!(
        open(&signer("example.com/log", Kind::Ed25519, 9)),
        Err(Uncounted::Checkpoint(CheckpointError::Unsigned))
    );
    assert_eq!(policy.log(&"example.com/other".parse().expect("a name")), Err(Uncounted::UnknownLog));
    // A policy without logs leaves it to others.
    let none: LogPolicy = "quorum none\n".parse().expect("a policy");
    assert_eq!(none.open(&head(&[&log()]), None), Err(Uncounted::NoLog));
    assert_eq!(none.open(&head(&[&log()]), Some(log().verifier())).map(|head| head.size), Ok(0));
}

#[test]
fn everything_else_is_refused() {
    for (text, line) in [
        ("", None),
        ("log LOG\n", None),
        ("quorum none", Some(1)),
        ("quorum none\nquorum none\n", Some(2)),
        ("quorum\n", Some(1)),
        ("quorum none none\n", Some(1)),
        ("quorum a\nwitness a W2\n", Some(1)),
        ("witness a W2\r\nquorum none\n", Some(1)),
        ("witnesses a W2\nquorum none\n", Some(1)),
        ("Quorum none\n", Some(1)),
        ("log W2\nquorum none\n", Some(1)),
        ("witness a LOG\nquorum none\n", Some(1)),
        ("witness a nonsense\nquorum none\n", Some(1)),
        ("log LOG\nlog LOG\nquorum none\n", Some(2)),
        ("witness a W2\nwitness b W2\nquorum none\n", Some(2)),
        ("witness a W2\nwitness a W3\nquorum none\n", Some(2)),
        ("witness none W2\nquorum none\n", Some(1)),
        ("witness a W2 url more\nquorum none\n", Some(1)),
        ("witness a W2\ngroup g any\nquorum g\n", Some(2)),
        ("witness a W2\ngroup g 0 a\nquorum g\n", Some(2)),
        ("witness a W2\ngroup g 2 a\nquorum g\n", Some(2)),
        ("witness a W2\ngroup g 01 a\nquorum g\n", Some(2)),
        ("witness a W2\ngroup g +1 a\nquorum g\n", Some(2)),
        ("witness a W2\ngroup g any none\nquorum g\n", Some(2)),
        ("witness a W2\ngroup g any a a\nquorum g\n", Some(2)),
        ("witness a W2\ngroup g any a\ngroup h any a\nquorum g\n", Some(3)),
        ("witness a W2\ngroup g any h\ngroup h any a\nquorum g\n", Some(2)),
        ("witness a W2\ngroup a any a\nquorum a\n", Some(2)),
    ] {
        match (policy(text), line) {
            (Err(LogPolicyError::NoQuorum), None) => {}
            (Err(LogPolicyError::Line { line, .. }), Some(expected)) => assert_eq!(line, expected, "{text}"),
            (read, _) => panic!("{text:?} gives {read:?}"),
        }
    }
    assert_eq!(policy(&"#\n".repeat(MAX_POLICY)), Err(LogPolicyError::TooLong));
    let many: String = (0..=MAX_EACH).map(|at| format!("group g{at} any a\n")).collect();
    assert!(policy(&format!("witness a W2\n{many}quorum a\n")).is_err());
}
