//! What stands in a component's file beside what runs. The module alone, without the engine that is
//! beside it.
#![no_main]

use libfuzzer_sys::fuzz_target;

// Formatted where it lies: from here its tests would be looked for elsewhere.
#[rustfmt::skip]
#[path = "../../nanohost-sandbox/src/anatomy.rs"]
mod anatomy;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(found) = anatomy::Anatomy::of(bytes) {
        assert!(found.custom.len() <= 256 && found.producers.len() <= 256);
        assert!(found.code.max(found.data) <= bytes.len() as u64);
        if let anatomy::Dependencies::Listed(packages) = &found.dependencies {
            assert!(packages.is_sorted());
        }
    }
});
