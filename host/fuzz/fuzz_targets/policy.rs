//! Policies, trusted ones and found ones.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nanohost_core::{Policy, Trust, source_from_bytes};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(source) = source_from_bytes("policy.toml", bytes) {
        let _ = Policy::parse(source.clone(), "/base", Trust::Trusted);
        let _ = Policy::parse(source, "/base", Trust::Found { project: "/base".into() });
    }
});
