use super::*;

#[test]
fn vectors() {
    let file: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/vectors/evidence/commit.json"))
            .expect("vectors are JSON");
    for case in file["cases"].as_array().expect("cases are a list") {
        let text = |member: &str| case[member].as_str().expect("text").to_owned();
        let salt = Salt::from_bytes(hex_array(&text("salt")).expect("a salt"));
        let hex = text("hex");
        let bytes: Vec<u8> = (0..hex.len() / 2)
            .map(|at| hex_array::<1>(&hex[2 * at..2 * at + 2]).expect("vectors hold hexadecimal")[0])
            .collect();
        let encoding = text("encoding").parse().expect("an encoding");
        let claimed: Commitment = text("commitment").parse().expect("a commitment");
        assert_eq!(commit(&salt, encoding, &bytes) == claimed, case["expect"], "{}", case["name"]);
    }
}

#[test]
fn a_commitment_has_one_text() {
    let commitment = Commitment::from_bytes([0xab; 32]);
    assert_eq!(commitment.to_string().parse(), Ok(commitment));
    assert_eq!("AB".repeat(32).parse::<Commitment>(), Err(BadCommitment));
    assert_eq!("ab".repeat(31).parse::<Commitment>(), Err(BadCommitment));
    let json = serde_json::to_value(commitment).expect("JSON");
    assert_eq!(json, "ab".repeat(32));
    assert_eq!(serde_json::from_value::<Commitment>(json).expect("a commitment"), commitment);
}

#[test]
fn a_salt_is_not_printed() {
    assert_eq!(format!("{:?}", Salt::from_bytes([0x5a; 32])), "Salt(..)");
}
