//! Programs in TOML, through the checker.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nanohost_core::{Format, Program, source_from_bytes};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(source) = source_from_bytes("program.toml", bytes) {
        let _ = Program::parse(source, Format::Toml).and_then(Program::check);
    }
});
