//! Statements signed with a trusted key: what a signer may say is decoded without harm.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use nanohost_core::envelope::Opened;
use nanohost_core::trace::{Evidence, verify};
use nanohost_core::{Signer, TrustRoot, dsse};

static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::from_seed([7; 32]));
static TRUST: LazyLock<TrustRoot> = LazyLock::new(|| TrustRoot::new([SIGNER.public().clone()]));

fuzz_target!(|payloads: &[u8]| {
    let envelopes: Vec<Vec<u8>> =
        payloads.split(|byte| *byte == b'\n').take(8).map(|payload| dsse::seal(payload, &SIGNER)).collect();
    let Ok(first) = Opened::open(&envelopes[0], &TRUST) else { return };
    let run = first.predicate.run.id;
    let evidence = Evidence {
        run: &run,
        envelopes: &envelopes,
        contents: &[],
        expected: None,
        complete: false,
        acts: &[],
    };
    let _ = verify(evidence, &TRUST);
});
