use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

const SEED: [u8; 32] = [0x42; 32];

/// RFC 8410, section 10.3: a v1 key, and the v2 form of the same key with attributes.
const RFC_8410_V1: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";
const RFC_8410_V2: &str = "-----BEGIN PRIVATE KEY-----
MHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
oB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrB
Z9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PRIVATE KEY-----
";
const RFC_8410_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
";

fn der(pem: &str) -> Vec<u8> {
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    STANDARD.decode(body).expect("PEM holds base64")
}

fn public(seed: u8) -> String {
    Signer::from_seed([seed; 32]).public().to_spki_pem().expect("PEM")
}

#[test]
fn a_private_key_is_written_as_version_1() {
    let pem = Signer::from_seed(SEED).to_pkcs8_pem().expect("PEM");
    // SEQUENCE { INTEGER 0, SEQUENCE { OID 1.3.101.112 }, OCTET STRING { OCTET STRING seed } }
    let mut expected =
        vec![0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    expected.extend_from_slice(&SEED);
    assert_eq!(der(&pem), expected);
    let read = Signer::from_pkcs8_pem(&pem).expect("what was written is read");
    assert_eq!(read.public(), Signer::from_seed(SEED).public());
}

#[test]
fn keys_of_other_software_are_read() {
    let v1 = Signer::from_pkcs8_pem(RFC_8410_V1).expect("the RFC's v1 key");
    let v2 = Signer::from_pkcs8_pem(RFC_8410_V2).expect("the RFC's v2 key");
    assert_eq!(v1.public(), v2.public());
    assert_eq!(v1.public(), &PublicKey::from_spki_pem(RFC_8410_PUBLIC).expect("the RFC's public key"));
    assert_eq!(v1.public().to_spki_pem().as_deref(), Ok(RFC_8410_PUBLIC));
    assert_eq!(v1.to_pkcs8_pem().expect("PEM").as_str(), RFC_8410_V1);
}

#[test]
fn the_key_id_is_the_digest_of_the_spki() {
    let key = PublicKey::from_spki_pem(RFC_8410_PUBLIC).expect("a key");
    assert_eq!(key.key_id(), Digest::of(&der(RFC_8410_PUBLIC)).into());
    assert_eq!(key.key_id().to_string().parse(), Ok(key.key_id()));
}

#[test]
fn other_private_keys_are_refused() {
    fn check(pem: &str, expect: KeyError) {
        assert_eq!(Signer::from_pkcs8_pem(pem).err(), Some(expect), "{pem}");
    }
    check("", KeyError::NotPrivate);
    check(RFC_8410_PUBLIC, KeyError::NotPrivate);
    check(&RFC_8410_V1.replace("MC4C", "MC4D"), KeyError::NotPrivate);
    check(&RFC_8410_V1.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"), KeyError::Encrypted);
    // The public half of another key.
    check(&RFC_8410_V2.replace("Z9w7", "Z9w8"), KeyError::NotPrivate);
    check(&" ".repeat(MAX_PEM + 1), KeyError::TooLong);
}

#[test]
fn trust_is_one_or_more_public_keys_and_nothing_else() {
    fn check(text: &str, expect: Result<usize, KeyError>) {
        assert_eq!(TrustRoot::from_pem(text).map(|root| root.iter().count()), expect, "{text}");
    }
    let (one, two) = (public(1), public(2));
    check(&one, Ok(1));
    check(&format!("{one}{two}"), Ok(2));
    check(&format!("\n{one}\n\n{two}\n"), Ok(2));
    check(&format!("{one}{one}"), Ok(1));
    check(&one.replace('\n', "\r\n"), Ok(1));
    check(one.trim_end(), Ok(1));

    check("", Err(KeyError::NoKey));
    check(" \n", Err(KeyError::NoKey));
    check("# nobody yet\n", Err(KeyError::NotPublic));
    check(&format!("# mine\n{one}"), Err(KeyError::NotPublic));
    check(&format!("{one}and\n{two}"), Err(KeyError::NotPublic));
    check(&format!("{one}# end"), Err(KeyError::NotPublic));
    check(&one[..one.len() - 10], Err(KeyError::NotPublic));
    check(&one.replace("MCow", "MCox"), Err(KeyError::NotPublic));
    check(&format!("{one}{RFC_8410_V1}"), Err(KeyError::PrivateForPublic));
    check(&one.replace("PUBLIC KEY", "CERTIFICATE"), Err(KeyError::NotPublic));
    check(&one.repeat(MAX_PEM / one.len() + 1), Err(KeyError::TooLong));
}

#[test]
fn a_weak_public_key_is_refused() {
    // The neutral element and a point of order four: anyone can sign in their name.
    for point in [[1; 1].as_slice(), &[0; 1]] {
        let mut spki = SPKI_PREFIX.to_vec();
        spki.extend_from_slice(point);
        spki.resize(SPKI_PREFIX.len() + 32, 0);
        let pem =
            format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(spki));
        assert_eq!(PublicKey::from_spki_pem(&pem), Err(KeyError::Weak));
        assert_eq!(TrustRoot::from_pem(&pem), Err(KeyError::Weak));
    }
}

#[test]
fn a_trust_root_knows_only_its_keys() {
    let (one, two) = (Signer::from_seed([1; 32]), Signer::from_seed([2; 32]));
    let root = TrustRoot::new([one.public().clone()]);
    assert_eq!(root.get(&one.public().key_id()), Some(one.public()));
    assert_eq!(root.get(&two.public().key_id()), None);
}

#[test]
fn a_secret_is_not_printed() {
    let signer = Signer::from_seed(SEED);
    let shown = format!("{signer:?}");
    assert_eq!(shown, format!("Signer({})", signer.public().key_id()));
    assert!(!shown.contains("4242"));
}
