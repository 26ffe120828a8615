//! Exports: what is read is written the same, and is verified.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nanohost_core::export::{Export, is_begun_by};
use nanohost_core::trace::{Evidence, verify};
use nanohost_core::{Signer, TrustRoot};

fuzz_target!(|bytes: &[u8]| {
    let begun = is_begun_by(bytes).is_ok_and(|begun| begun);
    let Ok(export) = Export::parse(bytes) else { return };
    assert!(begun, "what is read is one");
    let _ = export.check_places(true).and(export.check_places(false));
    let trust = TrustRoot::new([Signer::from_seed([7; 32]).public().clone()]);
    let acts: Vec<Vec<u8>> = export.acts.iter().map(|act| act.envelope.clone()).collect();
    let evidence = Evidence {
        run: &export.run,
        envelopes: &export.envelopes,
        contents: &export.contents,
        expected: None,
        complete: false,
        acts: &acts,
    };
    let _ = verify(evidence, &trust);
});
