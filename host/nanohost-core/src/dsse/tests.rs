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
