//! Records of what the world answered, which a replay is answered from. The module alone, without the
//! engine that is beside it.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "its other half belongs to the sandbox")]
// Formatted where it lies: from here its tests would be looked for elsewhere.
#[rustfmt::skip]
#[path = "../../nanohost-sandbox/src/answers.rs"]
mod answers;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(value) = serde_json::from_slice(bytes)
        && let Ok(answers) = answers::Answers::parse(&value)
    {
        let again = answers.to_json().expect("what was read has a JSON form");
        assert_eq!(again, value.to_string(), "one form");
        let _ = (answers.incomplete(), answers.http().count());
        answers.entries.iter().for_each(|entry| drop(entry.cost()));
    }
});
