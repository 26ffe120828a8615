//! What a lock would be moved to, tool by tool.

use nanohost_core::lock::Move;
use nanohost_core::review::Change;

use super::escape::escaped;
use super::table::{bold, good, odd};

/// The differences for a person, those that widen marked.
pub fn moved(all: &[Move]) -> String {
    let mut out = String::new();
    let mut last = None;
    for own in all {
        if last != Some(&own.tool) {
            out.push_str(&format!("{}\n", bold(own.tool.as_str())));
            last = Some(&own.tool);
        }
        let said = escaped(&own.sentence());
        let said = match own.change {
            Change::Widened => odd(&said),
            Change::Narrowed => good(&said),
            Change::Added | Change::Changed | Change::Removed | Change::Unchanged => said,
        };
        out.push_str(&format!("  {said}\n"));
    }
    out
}
