//! Conditions: what parses is decided or refused, and says again what it said.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use nanohost_core::{Condition, Root, Scope};
use serde_json::{Value, json};

static VALUES: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "a": 1, "b": "text", "c": null, "d": [1, "x", null, { "a": 0.1 }], "e": { "x": { "y": [true] } },
        "input": "refund please", "amount": 129.5, "x": 18446744073709551615u64, "s": ["a"], "n": -1e300,
    })
});

struct Values;

impl Scope for Values {
    fn root(&self, name: &str) -> Root<'_> {
        match VALUES.get(name) {
            Some(value) if name.len() == 1 => Root::Step { output: value, proposal: Some(value) },
            Some(value) => Root::Plain(value),
            None if name.starts_with('w') => Root::Withheld,
            None => Root::Absent,
        }
    }
}

fuzz_target!(|text: &str| match Condition::parse(text) {
    Err(error) => assert!(error.offset <= text.len() && text.is_char_boundary(error.offset)),
    Ok(condition) => {
        let decided = condition.evaluate(&Values);
        assert_eq!(Condition::parse(condition.text()).map(|again| again.evaluate(&Values)), Ok(decided));
        assert!(condition.references().all(|reference| text.contains(reference.root())));
    }
});
