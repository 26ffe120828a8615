//! Manifests of tools.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nanohost_core::{Manifest, source_from_bytes};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(source) = source_from_bytes("manifest.toml", bytes) {
        let _ = Manifest::parse(source);
    }
});
