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

/// Values of every shape from a fixed seed: keys and texts of characters that need care.
struct Shapes(u64);

impl Shapes {
    fn next(&mut self, below: u64) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % below
    }

    fn text(&mut self) -> String {
        let odd = "\0\u{1}\u{8}\t\n\u{b}\u{c}\r\u{1f} \"\\/az\u{7f}\u{80}\u{2028}\u{e000}\u{ffff}\u{10000}\u{10ffff}";
        let odd: Vec<char> = odd.chars().collect();
        (0..self.next(5)).map(|_| odd[self.next(odd.len() as u64) as usize]).collect()
    }

    fn value(&mut self, depth: u64) -> Value {
        match self.next(if depth == 0 { 5 } else { 9 }) {
            0 => Value::Null,
            1 => json!(self.next(2) == 0),
            2 => json!(self.next(1000) as i64 - 500),
            3 => json!(MAX_INTEGER - (self.next(1 << 30) << 23) as i64),
            4 => json!(self.text()),
            5 | 6 => (0..self.next(4)).map(|_| self.value(depth - 1)).collect(),
            _ => (0..self.next(6)).map(|_| (self.text(), self.value(depth - 1))).collect(),
        }
    }
}

#[test]
fn agrees_with_a_general_canonicaliser() {
    let mut shapes = Shapes(0x9e37_79b9_7f4a_7c15);
    for _ in 0..2000 {
        let value = shapes.value(4);
        let ours = canonical(&value).expect("no floats, no large integers");
        let theirs = serde_json_canonicalizer::to_vec(&value).expect("canonical");
        assert_eq!(String::from_utf8(ours.clone()), String::from_utf8(theirs));
        assert_eq!(parse_canonical(&ours, LIMIT), Ok(value));
    }
}
