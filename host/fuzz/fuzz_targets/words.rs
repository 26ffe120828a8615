//! The small grammars: what is read is shown the same.
#![no_main]

use std::fmt::Display;
use std::str::FromStr;

use libfuzzer_sys::fuzz_target;
use nanohost_core::trace::SeenHeads;
use nanohost_core::{
    Commitment, Digest, Encoding, KeyId, Role, RunId, StepId, Timestamp, ToolFacts, ToolName,
};

fn read<T: FromStr + Display>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string(), text);
    }
}

fuzz_target!(|text: &str| {
    read::<RunId>(text);
    read::<StepId>(text);
    read::<ToolName>(text);
    read::<Digest>(text);
    read::<KeyId>(text);
    read::<Encoding>(text);
    read::<Commitment>(text);
    if let Ok(role) = Role::new(text) {
        assert_eq!(role.as_str(), text);
    }
    let _ = serde_json::from_str::<Timestamp>(text);
    let _ = serde_json::from_str::<SeenHeads>(text);
    let _ = serde_json::from_str::<ToolFacts>(text);
});
