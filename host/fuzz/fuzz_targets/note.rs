//! Signed notes, checkpoints and the keys under which they are signed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nanohost_core::log::{Checkpoint, Note, NoteVerifier};

fuzz_target!(|text: &str| {
    if let Ok(note) = text.parse::<Note>() {
        assert_eq!(note.to_string(), text);
        if let Ok(checkpoint) = note.text().parse::<Checkpoint>() {
            assert!(note.text().starts_with(&checkpoint.to_string()));
        }
    }
    if let Ok(key) = text.parse::<NoteVerifier>() {
        assert_eq!(key.to_string(), text);
    }
});
