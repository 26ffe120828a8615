//! The list of acts outside of the stores, and the head of them: whatever is in the files, the lines of one
//! store are those of its chain in their order, a list that is cut reads as its beginning or not at all, and
//! a head has one text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nanohost_core::RunId;
use nanohost_core::act::ActsHead;

#[path = "../../nanohost/src/outside/lines.rs"]
#[rustfmt::skip]
mod lines;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(head) = std::str::from_utf8(bytes).unwrap_or_default().parse::<ActsHead>() {
        assert_eq!(head.to_string().as_bytes(), bytes);
    }
    assert!(lines::whole_lines(bytes) <= bytes.len());
    let chain = RunId::from_random([7; 16]);
    let Ok(listed) = lines::parsed(bytes, &chain, u64::MAX) else { return };
    for (at, line) in listed.iter().enumerate() {
        assert!(line.chain == chain && line.seq == at as u64);
        let text = serde_json::to_vec(line).expect("what was read is written");
        let again = lines::parsed(&text, &chain, 0);
        assert_eq!(
            at == 0,
            again.is_ok_and(|again| again == listed[..1] && again[0].digest() == line.digest())
        );
    }
    // Cut anywhere, with a store that has all of it: what both hold is the same.
    let cut = bytes.len() / 2;
    if let Ok(fewer) = lines::parsed(&bytes[..cut], &chain, u64::MAX) {
        let both = fewer.len().min(listed.len());
        assert_eq!(fewer[..both], listed[..both]);
    }
});
