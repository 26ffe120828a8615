//! Signatures of packages: what is read keeps its exact text, and no key signed it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nanohost_core::Signer;
use nanohost_core::signature::Signed;

fuzz_target!(|bytes: &[u8]| {
    let Ok(signed) = Signed::parse(bytes) else { return };
    let text = signed.text().as_bytes().to_vec();
    assert!(bytes.starts_with(&text) && bytes.len() - text.len() <= 1);
    let again = Signed::parse(&text).expect("what was read is read again");
    assert_eq!(again.statement(), signed.statement());
    assert!(signed.by(Signer::from_seed([9; 32]).public()).is_err());
});
