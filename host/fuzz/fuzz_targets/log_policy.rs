//! Policies that say whose word on a log's head counts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nanohost_core::log::{Checkpoint, LogPolicy, tree};

fuzz_target!(|text: &str| {
    let Ok(policy) = text.parse::<LogPolicy>() else { return };
    let origin = "example.com/log".parse().expect("a name");
    let head = Checkpoint { origin, size: 0, root: tree::empty_root() };
    let note = head.note().expect("a text");
    // Nobody signed it: that is enough only where nobody has to.
    let witnessed = policy.witnessed(&note).expect("no line lies");
    assert_eq!(witnessed.quorum, policy.quorum().is_none());
    assert!(policy.open(&note, None).is_err());
});
