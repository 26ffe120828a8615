use super::*;

fn signer() -> Signer {
    Signer::from_seed([7; 32])
}

#[test]
fn a_sealed_envelope_is_read_back_and_verifies() {
    for len in [0, 1, 2, 3, 1000, 1001] {
        let payload = vec![b'a'; len];
        let sealed = seal(&payload, &signer());
        let envelope = Unverified::parse(&sealed).expect("what was sealed is an envelope");
        assert_eq!(envelope.payload(), payload);
        assert_eq!(envelope.verify(signer().public()), Ok(()));
    }
}

#[test]
fn no_single_changed_byte_passes() {
    let sealed = seal(br#"{"predicateType":"x","seq":12}"#, &signer());
    for at in 0..sealed.len() {
        for bit in 0..8 {
            let mut changed = sealed.clone();
            changed[at] ^= 1 << bit;
            let verdict = Unverified::parse(&changed).and_then(|envelope| envelope.verify(signer().public()));
            assert!(verdict.is_err(), "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn another_key_and_another_payload_are_told_apart() {
    let other = Signer::from_seed([8; 32]);
    let envelope = Unverified::parse(&seal(b"{}", &signer())).expect("an envelope");
    assert_eq!(envelope.verify(other.public()), Err(DsseError::OtherKey));

    // The other key's name over this key's signature.
    let forged = String::from_utf8(seal(b"{}", &signer()))
        .expect("ASCII")
        .replace(&signer().public().key_id().to_string(), &other.public().key_id().to_string());
    let envelope = Unverified::parse(forged.as_bytes()).expect("an envelope");
    assert_eq!(envelope.verify(other.public()), Err(DsseError::Unverified));
}

fn name(error: DsseError) -> &'static str {
    match error {
        DsseError::TooLong => "too_long",
        DsseError::Form => "form",
        DsseError::Payload => "payload",
        DsseError::KeyId => "key_id",
        DsseError::Signature => "signature",
        DsseError::OtherKey => "other_key",
        DsseError::Unverified => "unverified",
    }
}

#[test]
fn vectors() {
    let file: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/vectors/evidence/dsse.json"))
            .expect("vectors are JSON");
    let key = PublicKey::from_spki_pem(file["publicKey"].as_str().expect("a key")).expect("a public key");
    let signer = Signer::from_seed(std::array::from_fn(|at| at as u8));
    assert_eq!(signer.public(), &key);
    for case in file["cases"].as_array().expect("cases are a list") {
        let bytes = case["envelope"].as_str().expect("an envelope").as_bytes();
        let verdict = Unverified::parse(bytes).and_then(|envelope| envelope.verify(&key).map(|()| envelope));
        assert_eq!(
            verdict.as_ref().map_or_else(|&error| name(error), |_| "ok"),
            case["expect"],
            "{}",
            case["name"]
        );
        if let Ok(envelope) = verdict {
            assert_eq!(hex::text(envelope.payload()), case["payloadHex"], "{}", case["name"]);
            // Ed25519 is deterministic: another signer of the same payload writes the same bytes.
            assert_eq!(seal(envelope.payload(), &signer), bytes, "{}", case["name"]);
        }
    }
}

#[test]
fn an_envelope_too_long_is_not_looked_at() {
    let bytes = vec![b'='; MAX_ENVELOPE + 1];
    assert_eq!(Unverified::parse(&bytes), Err(DsseError::TooLong));
    let mut padding = HEAD.to_vec();
    padding.resize(HEAD.len() + 4096, b'=');
    padding.extend_from_slice(&seal(b"", &signer())[HEAD.len()..]);
    assert_eq!(Unverified::parse(&padding), Err(DsseError::Payload));
}
