//! A chain of acts verifies, and nothing else does.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::envelope::{OpenError, Opened};
use crate::{Digest, Role, Salt, Signer, TrustRoot, dsse};

fn id() -> RunId {
    RunId::from_random([7; 16])
}

fn run(number: u8) -> RunId {
    RunId::from_random([number; 16])
}

fn signer() -> Arc<Signer> {
    Arc::new(Signer::from_seed([9; 32]))
}

fn trust() -> TrustRoot {
    TrustRoot::new([signer().public().clone()])
}

fn value(number: u8, seq: u64, role: &str) -> ValueRef {
    ValueRef { run: run(number), seq, role: Role::new(role).expect("a role") }
}

fn seal(chain: &mut ActChain, millis: i64, refs: Vec<ValueRef>) -> Result<Vec<u8>, ActError> {
    let who = Principal::new("dana").expect("a principal");
    let sealed = chain.seal(
        Timestamp::from_millis(millis),
        &who,
        Salt::from_bytes([millis as u8; 32]),
        (Role::REASON, "she asked"),
        |reason| {
            let approver = Some(who.clone());
            Act::Erasure(Erasure {
                refs,
                key_values: 0,
                whole: false,
                damaged: false,
                basis: Basis::Request,
                approver,
                reason,
            })
        },
    )?;
    Ok(sealed.bytes)
}

fn three() -> Vec<Vec<u8>> {
    let mut chain = ActChain::reopen(id(), &[], signer());
    [(10, 1), (20, 2), (20, 1)]
        .map(|(millis, number)| {
            seal(&mut chain, millis, vec![value(number, 0, "input"), value(number, 3, "output")])
                .expect("an act")
        })
        .to_vec()
}

#[test]
fn a_chain_verifies_and_goes_on_where_it_ended() {
    let mut acts = three();
    let opened = verify(&id(), &acts, &trust()).expect("a good chain");
    assert_eq!(opened[1].predicate.act.run(), Some(&run(2)));
    assert_eq!(opened[0].predicate.act.kind(), "erasure");
    let mut chain = ActChain::reopen(id(), &opened, signer());
    assert_eq!(chain.next_seq(), 3);
    // A clock that goes backwards makes no act older than the one before it.
    acts.push(seal(&mut chain, 5, vec![value(3, 0, "input")]).expect("an act"));
    let opened = verify(&id(), &acts, &trust()).expect("a good chain");
    assert_eq!(opened[3].predicate.time, Timestamp::from_millis(20));
}

#[test]
fn the_words_are_content_and_not_in_the_envelope() {
    let mut chain = ActChain::reopen(id(), &[], signer());
    let who = Principal::new("dana").expect("a principal");
    let salt = Salt::from_bytes([1; 32]);
    let sealed = chain
        .seal(Timestamp::from_millis(1), &who, salt, (Role::REASON, "Mira asked"), |reason| {
            let refs = vec![value(1, 0, "input")];
            Act::Erasure(Erasure {
                refs,
                key_values: 2,
                whole: false,
                damaged: false,
                basis: Basis::Objection,
                approver: None,
                reason,
            })
        })
        .expect("an act");
    let [content] = sealed.contents.as_slice() else { panic!("one value") };
    assert_eq!(content.bytes, b"\"Mira asked\"");
    let envelope = dsse::Unverified::parse(&sealed.bytes).expect("an envelope");
    assert!(!String::from_utf8_lossy(envelope.payload()).contains("Mira"));
    let opened = OpenedAct::open(&sealed.bytes, &trust()).expect("a good act");
    assert!(opened.admits(content));
    let mut other = content.clone();
    other.bytes = b"\"nobody asked\"".to_vec();
    assert!(!opened.admits(&other));
}

#[test]
fn what_was_cut_moved_or_repeated_is_found() {
    let acts = three();
    let mut bad =
        [vec![1, 2], vec![0, 2], vec![0, 0, 1], vec![1, 0, 2], vec![0, 1, 1]].into_iter().map(|order| {
            let acts: Vec<Vec<u8>> = order.iter().map(|at: &usize| acts[*at].clone()).collect();
            verify(&id(), &acts, &trust()).is_err()
        });
    assert!(bad.all(|refused| refused));
    assert!(verify(&run(8), &acts, &trust()).is_err(), "another store's chain");
    assert!(verify(&id(), &acts[..2], &trust()).is_ok(), "that an end was cut off, the log shows");
    let stranger = TrustRoot::new([Signer::from_seed([1; 32]).public().clone()]);
    let fault = verify(&id(), &acts, &stranger).expect_err("nobody here signed it");
    assert!(fault.untrusted && fault.at == 0);
}

#[test]
fn no_changed_byte_of_an_act_passes() {
    let act = three().swap_remove(1);
    for at in 0..act.len() {
        let mut changed = act.clone();
        changed[at] ^= 1;
        assert!(OpenedAct::open(&changed, &trust()).is_err(), "byte {at}");
    }
    assert!(OpenedAct::open(&act, &trust()).is_ok());
}

#[test]
fn an_act_is_no_event_of_a_run() {
    let act = three().swap_remove(0);
    assert!(matches!(Opened::open(&act, &trust()), Err(OpenError::Statement(_))));
}

/// Signed by the trusted key, and wrong all the same.
fn forged(change: impl FnOnce(&mut Value)) -> Result<OpenedAct, OpenError> {
    let act = three().swap_remove(0);
    let envelope = dsse::Unverified::parse(&act).expect("an envelope");
    let mut payload: Value = serde_json::from_slice(envelope.payload()).expect("a payload");
    change(&mut payload);
    let payload = crate::jcs::canonical(&payload).expect("it has a canonical form");
    OpenedAct::open(&dsse::seal(&payload, &signer()), &trust())
}

#[test]
fn what_no_host_signs_is_refused() {
    forged(|_| {}).expect("what is not changed is good");
    let other = value(2, 9, "input").to_string();
    let own = |role: &str| value(1, 0, role).to_string();
    let changes: [(&str, Value); 14] = [
        ("/predicateType", "https://nanohost.dev/evidence/v1".into()),
        ("/_type", "https://in-toto.io/Statement/v2".into()),
        ("/predicate/act/kind", "forgetting".into()),
        ("/predicate/act/basis", "whim".into()),
        ("/predicate/act/refs", json!([])),
        ("/predicate/act/refs", json!([own("input"), other])),
        ("/predicate/act/refs", json!([own("output"), own("input")])),
        ("/predicate/act/refs", json!([own("input"), own("input")])),
        ("/predicate/act/refs", json!(["run/1/0/input"])),
        ("/predicate/act/reason", "00".repeat(32).into()),
        ("/predicate/chain/seq", 1.into()),
        ("/predicate/principal", "".into()),
        ("/subject", json!([])),
        ("/predicate", json!({})),
    ];
    for (at, changed) in changes {
        let refused = forged(|payload| *payload.pointer_mut(at).expect("it is there") = changed.clone());
        assert!(refused.is_err(), "{at} = {changed}");
    }
    assert!(forged(|payload| payload["predicate"]["act"]["more"] = 1.into()).is_err(), "an unknown member");
    assert!(forged(|payload| payload["predicate"]["more"] = 1.into()).is_err(), "an unknown member");
}

#[test]
fn the_name_of_a_value_has_one_form() {
    let text = value(1, 12, "output").to_string();
    assert_eq!(text.parse(), Ok(value(1, 12, "output")));
    let id = run(1);
    for bad in [
        "",
        "run/",
        "run/1/0/input",
        &format!("run/{id}"),
        &format!("run/{id}/0"),
        &format!("run/{id}/00/input"),
        &format!("run/{id}/+1/input"),
        &format!("run/{id}/1/INPUT"),
        &format!("acts/{id}/1/input"),
        &format!("run/{id}/1/"),
        &format!(" run/{id}/1/input"),
    ] {
        assert_eq!(bad.parse::<ValueRef>(), Err(BadReference), "{bad:?}");
    }
}

#[test]
fn more_values_than_one_act_holds_are_refused() {
    let mut chain = ActChain::reopen(id(), &[], signer());
    let refs = |count: u64| (0..count).map(|seq| value(1, seq, "input")).collect();
    assert!(seal(&mut chain, 1, refs(Erasure::MAX_REFS as u64 + 1)).is_err());
    let most = seal(&mut chain, 1, refs(Erasure::MAX_REFS as u64)).expect("an act");
    OpenedAct::open(&most, &trust()).expect("a good act");
}

fn told(signer: u8, change: KeyChange, key: u8, holds: bool) -> (u8, KeyChange, u8, bool) {
    (signer, change, key, holds)
}

/// A chain of acts about keys, signed one after the other.
fn succession(acts: &[(u8, KeyChange, u8, bool)]) -> Result<Vec<OpenedAct>, String> {
    let key = |seed: u8| Arc::new(Signer::from_seed([seed; 32]));
    let mut chain = ActChain::reopen(id(), &[], key(9));
    let mut bytes = Vec::new();
    for (at, (signer, change, about, holds)) in acts.iter().enumerate() {
        chain.sign_with(key(*signer));
        let who = Principal::new("dana").expect("a principal");
        let about = key(*about).public().clone();
        let sealed = chain.seal(
            Timestamp::from_millis(at as i64),
            &who,
            Salt::from_bytes([at as u8; 32]),
            (Role::REASON, "a year is over"),
            |reason| {
                let public = holds.then(|| Box::new(about.clone()));
                Act::Key(KeyAct { change: *change, key: about.key_id(), public, reason })
            },
        );
        bytes.push(sealed.map_err(|error| error.to_string())?.bytes);
    }
    verify(&id(), &bytes, &trust()).map_err(|fault| fault.to_string())
}

#[test]
fn who_trusts_the_first_key_follows_its_successors() {
    use KeyChange::{Accepted, Introduced, Retired};
    let acts = succession(&[
        told(9, Introduced, 1, true),
        told(1, Accepted, 9, false),
        told(1, Introduced, 2, true),
        told(2, Accepted, 1, false),
        told(2, Retired, 9, false),
        told(2, Retired, 1, false),
    ]);
    let changes = KeyChanges::of(&acts.expect("a good chain"));
    let id = |seed: u8| Signer::from_seed([seed; 32]).public().key_id();
    assert_eq!(changes.retired, [(id(9), 4), (id(1), 5)].into());
    assert_eq!(
        changes.introduced.values().map(|(_, act)| *act).collect::<std::collections::BTreeSet<_>>(),
        [0, 2].into()
    );
}

#[test]
fn nobody_else_takes_the_place_of_a_key() {
    use KeyChange::{Accepted, Introduced, Retired};
    let (introduced, accepted) = (told(9, Introduced, 1, true), told(1, Accepted, 9, false));
    for bad in [
        // Its own word alone, and the old key's alone.
        &[told(1, Accepted, 9, false)][..],
        &[introduced],
        &[introduced, told(9, Retired, 1, false)],
        // Accepted by another, and from another.
        &[introduced, told(9, Accepted, 9, false)],
        &[introduced, told(1, Accepted, 2, false)],
        &[told(1, Introduced, 1, true)],
        &[told(9, Introduced, 9, true), told(9, Accepted, 9, false)],
        &[introduced, accepted, told(9, Accepted, 1, false)],
        // What was retired signs nothing, and does not come back.
        &[
            introduced,
            accepted,
            told(1, Retired, 9, false),
            told(9, Introduced, 2, true),
            told(2, Accepted, 9, false),
        ],
        &[
            introduced,
            accepted,
            told(1, Retired, 9, false),
            told(1, Introduced, 9, true),
            told(9, Accepted, 1, false),
        ],
        &[told(9, Retired, 9, false)],
        // Retired by a key that did not take over from it.
        &[introduced, accepted, told(9, Retired, 1, false)],
        // A stranger introduces itself.
        &[told(3, Introduced, 1, true), told(1, Accepted, 3, false)],
        // A key that is not there, and one that is too many.
        &[told(9, Introduced, 1, false), accepted],
        &[introduced, told(1, Accepted, 9, true)],
    ] {
        assert!(succession(bad).is_err(), "{bad:?}");
    }
    assert!(succession(&[introduced, accepted]).is_ok());
}

/// A log that goes on under another name: its old key's word, and what else it names.
#[test]
fn a_log_goes_on_under_another_name_as_its_old_key_says() {
    use crate::log::note::Kind;
    use crate::log::{KeyName, NoteSigner};

    let name = |text: &str| -> KeyName { text.parse().expect("a name") };
    let key = |text: &str, seed| NoteSigner::new(name(text), Kind::Ed25519, Signer::from_seed([seed; 32]));
    let (old, new, other) = (key("log/old", 1), key("log/new", 2), key("log/old", 3));
    let said = |by: Option<&NoteSigner>, change: &dyn Fn(&mut LogAct)| {
        let mut chain = ActChain::reopen(id(), &[], signer());
        let who = Principal::new("dana").expect("a principal");
        let words = (Role::REASON, "restored");
        let sealed =
            chain.seal(Timestamp::from_millis(1), &who, Salt::from_bytes([1; 32]), words, |reason| {
                let key = Some(old.verifier().clone());
                let from = LogBefore { origin: name("log/old"), key, size: 7, root: Digest::of(b"root") };
                let known = Some(LogKnown { size: 9, root: None });
                let mut act = LogAct { from, known, to: new.verifier().clone(), note: None, reason };
                if let Some(by) = by {
                    act.sign(by).expect("a note");
                }
                change(&mut act);
                Act::Log(Box::new(act))
            })?;
        OpenedAct::open(&sealed.bytes, &trust()).map_err(|_| ActError::Act("it does not open again"))
    };
    for by in [Some(&old), None] {
        let opened = said(by, &|_| {}).expect("a good act");
        assert_eq!(opened.predicate.act.kind(), "log");
    }
    type Case<'a> = (&'a str, Option<&'a NoteSigner>, &'a dyn Fn(&mut LogAct));
    let cases: [Case<'_>; 7] = [
        ("a note by another key", Some(&other), &|_| {}),
        ("a note about another size", Some(&old), &|act| act.from.size = 8),
        ("a note about another key", Some(&old), &|act| act.to = key("log/else", 2).verifier().clone()),
        ("a note of a key that it does not name", Some(&old), &|act| act.from.key = None),
        ("the same name", None, &|act| act.to = key("log/old", 2).verifier().clone()),
        ("another log's key", None, &|act| act.from.key = Some(key("log/x", 1).verifier().clone())),
        ("less known than it goes on from", None, &|act| act.known = Some(LogKnown { size: 7, root: None })),
    ];
    for (what, by, change) in cases {
        assert!(said(by, change).is_err(), "{what}");
    }
}

/// The head of a chain is one text, and counts where one of the keys signed it.
#[test]
fn a_head_is_what_its_key_signed() {
    let chain: RunId = "5e".repeat(16).parse().expect("an id");
    let key = || Signer::from_seed([3; 32]);
    let [own, other] = [key(), Signer::from_seed([4; 32])].map(|key| key.public().clone());
    let last = Some(Digest::of(b"the last"));
    for head in [ActsHead { chain: chain.clone(), acts: 0, last: None }, ActsHead { chain, acts: 7, last }] {
        let note = head.signed(key()).expect("it is signed").to_string();
        assert_eq!(ActsHead::open(&note, &[other.clone(), own.clone()]), Ok(head.clone()));
        assert_eq!(ActsHead::open(&note, std::slice::from_ref(&other)), Err(BadActsHead::Signature));
        assert_eq!(ActsHead::open(&note, &[]), Err(BadActsHead::Signature));
        for (from, to) in [("\n7\n", "\n8\n"), ("\n0\n", "\n1\n"), ("/v1", "/v2"), ("5e5e", "5e5f")] {
            assert!(
                !note.contains(from)
                    || ActsHead::open(&note.replace(from, to), std::slice::from_ref(&own)).is_err()
            );
        }
        let text = head.to_string();
        for bad in [
            String::new(),
            text.replace('\n', "\r\n"),
            format!("{text}\n"),
            text.replace("\n7\n", "\n07\n").replace("\n0\n", "\n+0\n"),
            text.lines().take(2).map(|line| format!("{line}\n")).collect(),
            format!("{text}{}\n", Digest::of(b"more")),
            text.replace("\n7\n", "\n0\n").replace(&format!("{}\n0\n", head.chain), "x"),
        ] {
            assert!(bad == text || bad.parse::<ActsHead>().is_err(), "{bad:?}");
        }
    }
}
