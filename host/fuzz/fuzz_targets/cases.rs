//! Cases of tools and of programs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nanohost_core::Source;
use nanohost_core::cases::{parse_program_cases, parse_tool_cases};

fuzz_target!(|text: &str| {
    let source = Source::new("cases.toml", text);
    if let Ok(cases) = parse_tool_cases(&source) {
        assert!(!cases.is_empty(), "a file without cases tests nothing");
    }
    if let Ok(cases) = parse_program_cases(&source) {
        assert!(!cases.is_empty(), "a file without cases tests nothing");
    }
});
