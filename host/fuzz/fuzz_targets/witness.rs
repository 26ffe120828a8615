//! What logs send to witnesses.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nanohost_core::log::NoteVerifier;
use nanohost_core::log::proof::GrowthProof;
use nanohost_core::log::witness::{Refusal, judge};

/// The key of the log in the seeds.
const LOG: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

fuzz_target!(|text: &str| {
    let Ok(request) = text.parse::<GrowthProof>() else { return };
    assert_eq!(request.to_string(), text);
    let log: NoteVerifier = LOG.parse().expect("a key");
    // Nobody here has its private key: whatever is signed, is not.
    assert!(matches!(
        judge(&request, &[log], |_| None),
        Err(Refusal::Malformed(_) | Refusal::UnknownLog | Refusal::Unsigned)
    ));
});
