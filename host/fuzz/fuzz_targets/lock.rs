//! Locks of programs: what is read is written the same, whatever it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nanohost_core::lock::Lock;
use nanohost_core::{Source, source_from_bytes};

fuzz_target!(|bytes: &[u8]| {
    let Ok(source) = source_from_bytes("program.lock", bytes) else { return };
    let Ok(lock) = Lock::parse(source) else { return };
    let text = lock.pins().to_text();
    let again = Lock::parse(Source::new("program.lock", text.as_str())).expect("what is written is a lock");
    assert_eq!(again.pins(), lock.pins());
    assert_eq!(again.pins().to_text(), text);
    assert!(lock.check(again.pins(), "").is_empty());
});
