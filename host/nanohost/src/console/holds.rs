//! Legal holds, as a table.

use std::collections::BTreeMap;

use nanohost_core::act::HeldOn;
use nanohost_store::Hold;

use super::escape::escaped;
use super::table::columns;

/// All holds of a store, each with the act by which it was laid.
pub fn holds(holds: &[Hold], acts: &BTreeMap<u64, u64>) -> String {
    if holds.is_empty() {
        return "no holds\n".to_owned();
    }
    let rows = holds.iter().map(|hold| {
        vec![
            hold.id.to_string(),
            match (&hold.on, hold.runs) {
                (HeldOn::Run(run), _) => format!("run {}", run.short()),
                (HeldOn::Subject(_), 0) => "a subject of no run so far".to_owned(),
                (HeldOn::Subject(_), 1) => "a subject of 1 run".to_owned(),
                (HeldOn::Subject(_), runs) => format!("a subject of {runs} runs"),
            },
            acts.get(&hold.id).map_or_else(|| "none".to_owned(), u64::to_string),
            hold.since.to_string(),
            escaped(&hold.principal),
            escaped(&hold.reason),
        ]
    });
    columns(&["hold", "on", "act", "since", "by", "reason"], rows)
}
