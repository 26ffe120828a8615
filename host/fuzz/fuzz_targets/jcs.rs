//! Canonical JSON: what is read as canonical is written the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nanohost_core::jcs::{canonical, parse_canonical};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(value) = parse_canonical(bytes, 1 << 20) {
        assert_eq!(canonical(&value).as_deref(), Ok(bytes));
    }
    if let Ok(value) = serde_json::from_slice(bytes)
        && let Ok(text) = canonical(&value)
    {
        assert_eq!(parse_canonical(&text, text.len()), Ok(value));
    }
});
