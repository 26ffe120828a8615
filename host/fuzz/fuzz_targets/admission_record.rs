//! Recorded admissions, decided again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nanohost_core::AdmissionRecord;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(record) = serde_json::from_slice::<AdmissionRecord>(bytes) {
        let _ = (record.program(), record.policies(), record.today());
        let _ = record.repeat();
    }
});
