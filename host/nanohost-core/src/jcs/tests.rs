use serde_json::json;

use super::*;
use crate::digest::hex_array;

const LIMIT: usize = 1 << 20;

fn name(error: JcsError) -> &'static str {
    match error {
        JcsError::TooLong { .. } => "too_long",
        JcsError::TooDeep => "too_deep",
        JcsError::NotJson { .. } => "not_json",
        JcsError::DuplicateKey => "duplicate_key",
        JcsError::Float => "float",
        JcsError::IntegerRange => "integer_range",
        JcsError::NotCanonical => "not_canonical",
    }
}

#[test]
fn vectors() {
    let file: Value = serde_json::from_str(include_str!("../../tests/vectors/evidence/jcs.json"))
        .expect("vectors are JSON");
    for case in file["cases"].as_array().expect("cases are a list") {
        let bytes = match (case["text"].as_str(), case["hex"].as_str()) {
            (Some(text), _) => text.as_bytes().to_vec(),
            (_, Some(hex)) => (0..hex.len() / 2)
                .map(|at| hex_array::<1>(&hex[2 * at..2 * at + 2]).expect("vectors hold hexadecimal")[0])
                .collect(),
            _ => panic!("{}: no document", case["name"]),
        };
        let verdict = parse_canonical(&bytes, LIMIT).map_or_else(name, |_| "ok");
        assert_eq!(verdict, case["expect"], "{}", case["name"]);
    }
}

#[test]
fn canonical_sorts_and_escapes() {
    let value = json!({"b": "\u{1f}/\"", "a": [1, -2, null, true], "\u{1f600}": 0, "\u{fb33}": {}});
    let bytes = canonical(&value).expect("canonical");
    assert_eq!(
        String::from_utf8(bytes.clone()).expect("UTF-8"),
        "{\"a\":[1,-2,null,true],\"b\":\"\\u001f/\\\"\",\"\u{1f600}\":0,\"\u{fb33}\":{}}"
    );
    assert_eq!(parse_canonical(&bytes, LIMIT), Ok(value));
}

#[test]
fn canonical_refuses_rather_than_rounds() {
    fn check(value: Value, expect: Result<&str, JcsError>) {
        let bytes = canonical(&value).map(|bytes| String::from_utf8(bytes).expect("UTF-8"));
        assert_eq!(bytes.as_deref().map_err(|&error| error), expect);
    }
    check(json!(MAX_INTEGER), Ok("9007199254740991"));
    check(json!(-MAX_INTEGER), Ok("-9007199254740991"));
    check(json!(MAX_INTEGER + 1), Err(JcsError::IntegerRange));
    check(json!(-MAX_INTEGER - 1), Err(JcsError::IntegerRange));
    check(json!({"n": [u64::MAX]}), Err(JcsError::IntegerRange));
    check(json!(i64::MIN), Err(JcsError::IntegerRange));
    check(json!(1.0), Err(JcsError::Float));
    check(json!(-0.0), Err(JcsError::Float));
    check((0..MAX_DEPTH).fold(json!(0), |inner, _| json!({"a": inner})), {
        let text = format!("{}0{}", "{\"a\":".repeat(MAX_DEPTH), "}".repeat(MAX_DEPTH));
        Ok(text.leak())
    });
    check((0..=MAX_DEPTH).fold(json!(0), |inner, _| json!([inner])), Err(JcsError::TooDeep));
}

#[test]
fn the_callers_bound_comes_first() {
    assert_eq!(parse_canonical(b"[]", 1), Err(JcsError::TooLong { limit: 1 }));
    assert_eq!(parse_canonical(b"[]", 2), Ok(json!([])));
}

#[test]
fn every_change_of_one_byte_gives_another_value_or_none() {
    let value = json!({"a": "x\n\u{e9}", "n": [10, -7, true, null], "o": {"k": ""}});
    let bytes = canonical(&value).expect("canonical");
    for at in 0..bytes.len() {
        for byte in 0..=u8::MAX {
            let mut changed = bytes.clone();
            changed[at] = byte;
            if changed != bytes {
                assert_ne!(parse_canonical(&changed, LIMIT).as_ref(), Ok(&value), "byte {at} as {byte:#04x}");
            }
        }
    }
}
