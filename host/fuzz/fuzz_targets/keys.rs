//! Keys and trust roots.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nanohost_core::{KeyTrust, PublicKey, Signer, Source, TrustRoot};

fuzz_target!(|text: &str| {
    if let Ok(key) = PublicKey::from_spki_pem(text) {
        let again = key.to_spki_pem().expect("a key that was read can be written");
        assert_eq!(PublicKey::from_spki_pem(&again).map(|key| key.key_id()), Ok(key.key_id()));
    }
    if let Ok(signer) = Signer::from_pkcs8_pem(text) {
        let again = signer.to_pkcs8_pem().expect("a key that was read can be written");
        assert!(Signer::from_pkcs8_pem(&again).is_ok());
    }
    let _ = TrustRoot::from_pem(text);
    // A costly one is refused before it is tried.
    let _ = Signer::from_encrypted_pem(text, "passphrase");
    if let Ok(trust) = KeyTrust::parse(Source::new("trust.toml", text)) {
        let again = trust.to_text().expect("what was read can be written");
        assert_eq!(KeyTrust::parse(Source::new("trust.toml", again)).ok(), Some(trust));
    }
});
