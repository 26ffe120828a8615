//! Projections: marks, texts found again, detectors, and that nothing else has a name.

mod places;
mod properties;

use serde_json::{Value, json};

use super::{Detector, Held, Known, Personal, Projection, REDACTED, SECRET_TOKEN, Target};

/// The words that are personal, by value alone.
fn known(words: &[&str]) -> Known {
    let mut known = Known::default();
    words.iter().for_each(|word| known.add(vec![(*word).to_owned()]));
    known
}

/// What a model sees of words.
fn check_words(words: &[&str], text: &str, expect: &str) {
    let (personal, known) = (Personal::default(), known(words));
    let seen = |target| Projection::new(target, &personal, &known).text(text).into_owned();
    for target in [Target::Model, Target::Log, Target::Trace] {
        assert_eq!(seen(target), expect, "{words:?} in {text:?}");
    }
    assert_eq!(seen(Target::Tool), text);
}

#[test]
fn texts_found_again() {
    check_words(&["Jane Doe"], "for Jane Doe, or jane doe.", "for [REDACTED_PII], or [REDACTED_PII].");
    check_words(&["Jane"], "Janet", "[REDACTED_PII]t");
    check_words(&["  Jane\n"], "Jane", REDACTED);
    // Overlapping ones go as one; neighbours go one by one.
    check_words(&["abcd", "cdef", "bc"], "xabcdefx", "x[REDACTED_PII]x");
    check_words(&["abcd"], "abcdabcd", "[REDACTED_PII][REDACTED_PII]");
    check_words(&["Käthe", "äther"], "Käther, KäTHE", "[REDACTED_PII], [REDACTED_PII]");
    // Too short to be told from any other word.
    check_words(&["Ann", "", "   "], "Annual plan of Ann", "Annual plan of Ann");
    check_words(&[], "anything", "anything");
}

#[test]
fn which_texts_came_together_makes_no_difference() {
    let words = ["abcd", "bcde", "cdefgh", "xxabcdyy", "yyzz", "zzzz", "Käthe"];
    let text = "xxabcdyyzzzzz abcdefgh käthe bcdea";
    let personal = Personal::default();
    let mut seen = Vec::new();
    for turn in 0..words.len() {
        let mut words = words.map(str::to_owned);
        words.rotate_left(turn);
        let (mut one, mut each) = (Known::default(), Known::default());
        one.add(words.to_vec());
        words.iter().for_each(|word| each.add(vec![word.clone()]));
        for known in [one, each] {
            seen.push(Projection::new(Target::Model, &personal, &known).text(text).into_owned());
        }
    }
    seen.dedup();
    assert_eq!(seen, ["[REDACTED_PII] [REDACTED_PII] [REDACTED_PII] [REDACTED_PII]a"]);
}

#[test]
fn long_texts_are_found_by_their_beginning() {
    let long: String = (0..2000).map(|n| format!("{n} ä")).collect();
    check_words(&[&long], &format!("<{long}>"), "<[REDACTED_PII]>");
    // What follows a beginning goes as far as the text was long.
    let head: String = long.chars().take(4200).collect();
    check_words(&[&long], &format!("<{head}> and"), "<[REDACTED_PII]");
    check_words(&[&long, &head], &format!("<{long}>"), "<[REDACTED_PII]>");
}

#[test]
fn too_many_texts_make_every_text_personal() {
    let mut known = Known::default();
    for nth in 0..40_000 {
        known.add(vec![format!("customer number {nth:08} of the shop")]);
    }
    let personal = Personal::default();
    let projection = Projection::new(Target::Model, &personal, &known);
    assert!(known.is_full());
    assert_eq!(projection.text("anything"), REDACTED);
    assert_eq!(
        *projection.value(Held::Words, &json!({ "a": ["b", 1, ""] })),
        json!({ REDACTED: [REDACTED, 1, ""] })
    );
}

#[test]
fn many_texts_take_no_quadratic_time() {
    // A text with each of ten thousand steps, each looked for at once.
    let personal = Personal::default();
    let mut known = Known::default();
    for nth in 0..10_000 {
        known.add(vec![format!("person {nth:06}")]);
        let text = format!("to person {nth:06}");
        assert_eq!(Projection::new(Target::Model, &personal, &known).text(&text), "to [REDACTED_PII]");
    }
    // Nested texts, all of which end at every place.
    let mut known = Known::default();
    known.add((4..1000).map(|length| "a".repeat(length)).collect());
    let text = "a".repeat(1 << 20);
    assert_eq!(Projection::new(Target::Model, &personal, &known).text(&text), REDACTED);
}

#[test]
fn handles_of_secrets() {
    let token = |rest: &str| format!("{SECRET_TOKEN}{rest}");
    check_words(&[], "vault://secret/refund-key", SECRET_TOKEN);
    check_words(
        &[],
        "use VAULT://Secret/k1 and \"vault://secret/k2\"!",
        &format!("use {} and \"{}", token(""), token("\"!")),
    );
    check_words(&[], "vault://secret/", SECRET_TOKEN);
    check_words(&[], "vault://other/x http://a", "vault://other/x http://a");
    check_words(&["refund-key"], "vault://secret/refund-key", SECRET_TOKEN);
}

#[test]
fn values() {
    let (personal, known) = (Personal::default(), known(&["Jane Doe", "491701234567", "jane@x.example"]));
    let projection = Projection::new(Target::Trace, &personal, &known);
    let check = |value: Value, expect: Value| {
        assert_eq!(*projection.value(Held::Words, &value), expect, "{value}");
        assert_eq!(projection.withholds(Held::Words, &value), value != expect);
    };
    check(json!({ "a": ["for Jane Doe", 1] }), json!({ "a": ["for [REDACTED_PII]", 1] }));
    check(json!(491_701_234_567_u64), json!(REDACTED));
    check(json!([4917, 0.5, null, true]), json!([4917, 0.5, null, true]));
    // No field is lost where several names become one.
    check(
        json!({ "jane@x.example": 1, "Jane Doe": 2, "JANE DOE": 3, "x": 4 }),
        json!({ REDACTED: 1, "[REDACTED_PII] 2": 2, "[REDACTED_PII] 3": 3, "x": 4 }),
    );
}

#[test]
fn detectors() {
    let vectors: toml::Table = include_str!("tests/detectors.toml").parse().expect("vectors");
    let mut count = 0;
    for (name, rows) in &vectors {
        let detector = Detector::parse(name).expect("a detector");
        for row in rows.as_array().expect("rows") {
            let text = row["text"].as_str().expect("a text");
            let expect: Vec<&str> =
                row["find"].as_array().expect("a list").iter().filter_map(toml::Value::as_str).collect();
            let mut found = Vec::new();
            detector.find(text, &mut found);
            found.sort_by_key(|range| range.start);
            let found: Vec<&str> = found.into_iter().map(|range| &text[range]).collect();
            assert_eq!(found, expect, "{name} in {text:?}");
            count += 1;
        }
    }
    assert!(count >= 29 && vectors.len() == Detector::ALL.len());
}

#[test]
fn detectors_are_linear() {
    for text in ["a@", "a.a@a.", "+1 (", "4111 ", "1-1 ", "@.", "+", "a@b.cc.1-"] {
        let text = text.repeat((1 << 20) / text.len());
        for detector in Detector::ALL {
            detector.find(&text, &mut Vec::new());
        }
    }
}
