//! Runs that were erased from verify, with the acts that say so and not without; and nobody passes off
//! a loss as an erasure, or an erasure as none.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::act::{ActChain, Basis, Erasure, KeyAct, KeyChange, ValueRef};
use crate::export::{self, Export, ExportedAct};
use crate::run::tests::world::{Handed, World, run_id, trust};
use crate::trace::{CheckResult, Evidence, RunState, Trace, verify};
use crate::{Principal, Salt, Signer, TOMBSTONE, Target, Timestamp};

fn world() -> World {
    let program =
        json!({ "steps": [{ "id": "a", "type": "tool", "tool": "pay", "args": { "amount": "$n" } }] });
    World::driven(&program, json!({ "n": 5 }), json!({}))
}

/// The key that signs the runs of these tests.
fn signer() -> Arc<Signer> {
    Arc::new(Signer::from_seed([7; 32]))
}

fn chain() -> ActChain {
    ActChain::reopen(RunId::from_random([9; 16]), &[], signer())
}

fn act(chain: &mut ActChain, refs: &[(u64, Role)]) -> Vec<u8> {
    let refs = refs.iter().map(|(seq, role)| ValueRef { run: run_id(), seq: *seq, role: role.clone() });
    of(chain, refs.collect())
}

fn of(chain: &mut ActChain, refs: Vec<ValueRef>) -> Vec<u8> {
    let who = Principal::new("dana").expect("a principal");
    let salt = Salt::from_bytes([chain.next_seq() as u8; 32]);
    let sealed = chain.seal(Timestamp::from_millis(1), &who, salt, (Role::REASON, "why"), |reason| {
        Act::Erasure(Erasure {
            refs,
            key_values: 0,
            whole: false,
            damaged: false,
            basis: Basis::Request,
            approver: None,
            reason,
        })
    });
    sealed.expect("an act").bytes
}

fn judged(handed: &Handed, acts: &[Vec<u8>], complete: bool) -> (Report, Option<Trace>) {
    judged_by(handed, acts, complete, &trust())
}

fn judged_by(
    handed: &Handed,
    acts: &[Vec<u8>],
    complete: bool,
    trust: &TrustRoot,
) -> (Report, Option<Trace>) {
    let run = run_id();
    let evidence = Evidence {
        run: &run,
        envelopes: &handed.envelopes,
        contents: &handed.contents,
        expected: None,
        complete,
        acts,
    };
    verify(evidence, trust)
}

/// The values of a run that are no documents.
fn data(handed: &Handed) -> Vec<(u64, Role)> {
    let data = handed.contents.iter().filter(|content| !content.role.is_document());
    data.map(|content| (content.seq, content.role.clone())).collect()
}

fn row(report: &Report) -> (CheckResult, String) {
    let check = report.checks.iter().find(|check| check.name == CheckName::Erasures).expect("it is made");
    (check.result, check.detail.clone())
}

#[test]
fn erased_and_consistent_is_success() {
    let world = world();
    let all = data(&world.handed);
    assert!(all.len() > 3, "{all:?}");
    let (whole, _) = judged(&world.handed, &[], true);
    assert_eq!(row(&whole), (CheckResult::Pass, "none is told of".to_owned()));
    // Each alone, and all together.
    let each = all.iter().map(|one| vec![one.clone()]);
    for gone in each.chain([all.clone()]) {
        let erased = world.handed.without(|content| gone.contains(&(content.seq, content.role.clone())));
        let (report, _) = judged(&erased, &[], true);
        let fault = report.fault.expect("a loss is no erasure");
        assert_eq!((fault.kind, fault.check), (FaultKind::Truncated, CheckName::Commitments));

        let acts = [act(&mut chain(), &gone)];
        for complete in [true, false] {
            let (report, trace) = judged(&erased, &acts, complete);
            assert_eq!(report.fault, None, "{gone:?}");
            assert!(report.is_good() && !report.is_partial());
            assert_eq!((report.erased, report.withheld), (gone.len(), 0));
            let (result, detail) = row(&report);
            assert_eq!(result, CheckResult::Pass);
            assert!(detail.starts_with(&format!("consistent: {} values are gone", gone.len())), "{detail}");
            let trace = trace.expect("a trace");
            assert_eq!(trace.state(), RunState::Closed);
            for (seq, role) in &gone {
                let at = usize::try_from(*seq).expect("it is small");
                assert!(trace.is_erased(at, role) && trace.value(at, role).is_none());
                let shown = trace.shown(at, role, Target::Trace).expect("a tombstone");
                assert_eq!(*shown, TOMBSTONE);
            }
        }
    }
}

#[test]
fn the_receipt_stays_the_same() {
    let world = world();
    let receipt = |trace: Option<Trace>| crate::receipt::Receipt::from(&trace.expect("a trace"));
    let before = receipt(judged(&world.handed, &[], true).1);
    let gone = data(&world.handed);
    let erased = world.handed.without(|content| !content.role.is_document());
    assert_eq!(receipt(judged(&erased, &[act(&mut chain(), &gone)], true).1), before);
}

#[test]
fn what_acts_cannot_have_erased_is_found() {
    let world = world();
    let input = (0, Role::INPUT);
    let without = world.handed.without(|content| (content.seq, content.role.clone()) == input);
    let other = ValueRef { run: RunId::from_random([3; 16]), seq: 0, role: Role::INPUT };
    let good = act(&mut chain(), std::slice::from_ref(&input));
    assert!(judged(&without, std::slice::from_ref(&good), true).0.is_good());

    let mut ahead = chain();
    let first = act(&mut ahead, &[(0, Role::SEED)]);
    let second = act(&mut ahead, std::slice::from_ref(&input));
    let mut foreign = ActChain::reopen(RunId::from_random([8; 16]), &[], signer());
    let stranger = Arc::new(Signer::from_seed([1; 32]));
    let mut strange = ActChain::reopen(RunId::from_random([9; 16]), &[], stranger);
    let mut changed = good.clone();
    let at = changed.len() / 2;
    changed[at] ^= 1;
    let cases: [(&str, Vec<Vec<u8>>, &Handed, FaultKind); 8] = [
        ("it is here", vec![good.clone()], &world.handed, FaultKind::Tampered),
        ("another run", vec![of(&mut chain(), vec![other])], &without, FaultKind::Tampered),
        ("no such value", vec![act(&mut chain(), &[(0, Role::OUTPUT)])], &without, FaultKind::Tampered),
        ("no such envelope", vec![act(&mut chain(), &[(99, Role::INPUT)])], &without, FaultKind::Tampered),
        ("out of order", vec![second, first.clone()], &without, FaultKind::Tampered),
        ("of two chains", vec![first, act(&mut foreign, &[(0, Role::SEED)])], &without, FaultKind::Tampered),
        ("changed", vec![changed], &without, FaultKind::Tampered),
        (
            "a stranger's",
            vec![act(&mut strange, std::slice::from_ref(&input))],
            &without,
            FaultKind::UntrustedKey,
        ),
    ];
    for (name, acts, handed, kind) in cases {
        let fault = judged(handed, &acts, true).0.fault.unwrap_or_else(|| panic!("{name} passes"));
        assert_eq!((fault.kind, fault.check), (kind, CheckName::Erasures), "{name}: {fault}");
    }
}

/// A key that counts for a part of the log excuses nothing beyond it, and nothing whose place nobody shows.
#[test]
fn an_act_of_a_key_counts_where_the_key_does() {
    let world = world();
    let input = (0, Role::INPUT);
    let without = world.handed.without(|content| (content.seq, content.role.clone()) == input);
    let good = act(&mut chain(), std::slice::from_ref(&input));
    for (validity, kind) in [
        (Validity::ALL, None),
        (Validity { from: 0, until: Some(11) }, Some(FaultKind::UntrustedKey)),
        (Validity { from: 1, until: None }, Some(FaultKind::UntrustedKey)),
    ] {
        let (mut report, _) = judged(&without, std::slice::from_ref(&good), true);
        let signed = signer().public().key_id();
        check_acts(
            &mut report,
            &[(&good, None)],
            |_| None,
            |key| {
                assert_eq!(*key, signed);
                validity
            },
        );
        assert_eq!(report.fault.map(|fault| fault.kind), kind);
    }
}

fn public(seed: u8) -> crate::PublicKey {
    Signer::from_seed([seed; 32]).public().clone()
}

/// A chain of acts, each signed by the key of that seed: the change of a key and whose, or the erasure of
/// the run's input.
fn signed(acts: &[(u8, Option<(KeyChange, u8)>)]) -> Vec<Vec<u8>> {
    let mut chain = chain();
    let who = Principal::new("dana").expect("a principal");
    acts.iter()
        .map(|(seed, change)| {
            chain.sign_with(Arc::new(Signer::from_seed([*seed; 32])));
            let Some((change, about)) = change else { return act(&mut chain, &[(0, Role::INPUT)]) };
            let about = public(*about);
            let salt = Salt::from_bytes([chain.next_seq() as u8; 32]);
            let sealed = chain.seal(Timestamp::from_millis(1), &who, salt, (Role::REASON, "why"), |reason| {
                let public = (*change == KeyChange::Introduced).then(|| Box::new(about.clone()));
                Act::Key(KeyAct { change: *change, key: about.key_id(), public, reason })
            });
            sealed.expect("an act").bytes
        })
        .collect()
}

/// A key that somebody trusts speaks for its own runs and for those of the keys that it took over from,
/// unless it was given the role to speak for all.
#[test]
fn an_act_counts_where_its_key_may_speak_for_the_run() {
    use KeyChange::{Accepted, Introduced, Retired};
    const ERASED: Option<(KeyChange, u8)> = None;
    let world = world();
    let without = world.handed.without(|content| (content.seq, &content.role) == (0, &Role::INPUT));
    let both = || trust().with([public(8)]);
    let (untrusted, tampered) = (Some(FaultKind::UntrustedKey), Some(FaultKind::Tampered));
    let over = |old: u8, new: u8| [(old, Some((Introduced, new))), (new, Some((Accepted, old)))];
    let [by_7, by_8] = [over(7, 8), over(8, 6)];
    let cases: [(&str, TrustRoot, Vec<_>, Option<FaultKind>); 17] = [
        ("its own key", both(), vec![(7, ERASED)], None),
        ("another key that is trusted", both(), vec![(8, ERASED)], untrusted),
        ("another key, with the role", both().with_acts([public(8)]), vec![(8, ERASED)], None),
        ("a key with that role alone", trust().with_acts([public(8)]), vec![(8, ERASED)], None),
        ("the role is another's", both().with_acts([public(5)]), vec![(8, ERASED)], untrusted),
        ("its successor", trust(), [&by_7[..], &[(8, ERASED)]].concat(), None),
        ("its successor's", trust(), [&by_7[..], &by_8, &[(6, ERASED)]].concat(), None),
        ("a successor of another", both(), [&by_8[..], &[(6, ERASED)]].concat(), untrusted),
        ("before it took over", both(), [&[(8, ERASED)], &by_7[..]].concat(), untrusted),
        ("introduced alone", both(), vec![by_7[0], (8, ERASED)], tampered),
        ("introduced at the end", trust(), vec![(7, ERASED), by_7[0]], tampered),
        ("accepted alone", both(), vec![by_7[1], (8, ERASED)], tampered),
        (
            "its own, retired by its successor",
            trust(),
            [&by_7[..], &[(8, Some((Retired, 7))), (7, ERASED)]].concat(),
            untrusted,
        ),
        ("its own, retired by another", both(), vec![(8, Some((Retired, 7))), (7, ERASED)], tampered),
        (
            "its own, retired by one with the role",
            trust().with_acts([public(8)]),
            vec![(8, Some((Retired, 7))), (7, ERASED)],
            untrusted,
        ),
        (
            "a successor that nobody named, where all are named",
            trust().named_only(),
            [&by_7[..], &[(8, ERASED)]].concat(),
            untrusted,
        ),
        ("a successor that is named", both().named_only(), [&by_7[..], &[(8, ERASED)]].concat(), None),
    ];
    for (name, trust, acts, kind) in cases {
        let (report, _) = judged_by(&without, &signed(&acts), true, &trust);
        assert_eq!(report.fault.as_ref().map(|fault| fault.kind), kind, "{name}: {:?}", report.fault);
        assert!(report.fault.is_none_or(|fault| fault.check == CheckName::Erasures), "{name}");
    }
}

/// What excuses a value has to stand in the log: where nobody looked, not all was checked.
#[test]
fn an_act_whose_place_nobody_looked_at_leaves_something_unchecked() {
    let world = world();
    for (role, is_partial) in [(Role::INPUT, true), (Role::SEED, false)] {
        let without = world.handed.without(|content| (content.seq, &content.role) == (0, &role));
        let good = act(&mut chain(), &[(0, role)]);
        let (mut report, _) = judged(&without, std::slice::from_ref(&good), true);
        assert!(report.is_good() && !report.is_partial());
        check_acts(&mut report, &[(&good, None)], |_| None, |_| Validity::ALL);
        assert_eq!((report.is_good(), report.is_partial(), report.unplaced), (true, is_partial, is_partial));
    }
}

#[test]
fn an_export_carries_the_acts() {
    let world = world();
    let gone = data(&world.handed);
    let erased = world.handed.without(|content| !content.role.is_document());
    let acts = [ExportedAct { envelope: act(&mut chain(), &gone), proof: None }];
    let (mut file, mut without) = (Vec::new(), Vec::new());
    export::write_with_acts(&mut file, &run_id(), &acts, &erased.envelopes, &erased.contents)
        .expect("an export");
    export::write(&mut without, &run_id(), &erased.envelopes, &erased.contents).expect("an export");
    let accepted = |file: &[u8]| {
        let Ok(export) = Export::parse(file) else { return false };
        let acts: Vec<Vec<u8>> = export.acts.iter().map(|act| act.envelope.clone()).collect();
        let handed = Handed { envelopes: export.envelopes.clone(), contents: export.contents.clone() };
        judged(&handed, &acts, true).0.is_good()
    };
    assert!(accepted(&file));
    assert!(!accepted(&without), "without the act it is a loss");
    let begin = file.iter().position(|byte| *byte == b'\n').expect("a header") + 1;
    let end = begin + file[begin..].iter().position(|byte| *byte == b'\n').expect("an act") + 1;
    for at in begin..end {
        let mut changed = file.clone();
        changed[at] ^= 1;
        assert!(!accepted(&changed), "byte {at}");
    }
    let moved = [&file[..begin], &file[end..], &file[begin..end]].concat();
    assert!(Export::parse(&moved).is_err(), "an act stands before all envelopes");
}

#[test]
fn what_ended_for_want_lost_something() {
    let mut forgery = world().handed.forge();
    let close = forgery.find("run-close");
    forgery.payloads[close]["predicate"]["close"] =
        json!({ "count": close + 1, "error": "erased", "status": "failed" });
    let handed = forgery.seal();
    let fault = judged(&handed, &[], true).0.fault.expect("it lost nothing");
    assert_eq!(fault.check, CheckName::Erasures);
}
