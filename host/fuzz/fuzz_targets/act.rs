//! Acts that a trusted key signed, one a line: whatever they say, they are opened, followed and weighed
//! against a run without harm, and what a chain accepts is what each act accepts.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use nanohost_core::act::{KeyChanges, OpenedAct, is_about_keys, verify};
use nanohost_core::{RunId, Signer, TrustRoot, dsse, trace};

static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::from_seed([7; 32]));
static TRUST: LazyLock<TrustRoot> = LazyLock::new(|| TrustRoot::new([SIGNER.public().clone()]));

fuzz_target!(|payloads: &[u8]| {
    let acts: Vec<Vec<u8>> =
        payloads.split(|byte| *byte == b'\n').take(8).map(|payload| dsse::seal(payload, &SIGNER)).collect();
    let opened: Vec<OpenedAct> = acts.iter().map_while(|act| OpenedAct::open(act, &TRUST).ok()).collect();
    for (act, bytes) in opened.iter().zip(&acts) {
        assert_eq!(is_about_keys(bytes), act.predicate.act.kind() == "key");
    }
    let Some(first) = opened.first() else { return };
    if let Ok(whole) = verify(&first.predicate.chain.id, &acts, &TRUST) {
        assert_eq!(whole.len(), acts.len());
        let _ = KeyChanges::of(&whole);
    }
    let nobody = RunId::from_random([0; 16]);
    let run = first.predicate.act.run().unwrap_or(&nobody);
    let evidence =
        trace::Evidence { run, envelopes: &[], contents: &[], expected: None, complete: false, acts: &acts };
    assert!(!trace::verify(evidence, &TRUST).0.is_good(), "acts alone are no run");
});
