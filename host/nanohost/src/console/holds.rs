//! Legal holds, as a table.

use nanohost_store::Hold;

use super::escape::escaped;
use super::table::columns;

/// All holds of a store.
pub fn holds(holds: &[Hold]) -> String {
    if holds.is_empty() {
        return "no holds\n".to_owned();
    }
    let rows = holds.iter().map(|hold| {
        vec![
            hold.id.to_string(),
            hold.run.as_ref().map_or_else(|| "a subject".to_owned(), |run| format!("run {}", run.short())),
            hold.since.to_string(),
            escaped(&hold.principal),
            escaped(&hold.reason),
        ]
    });
    columns(&["hold", "on", "since", "by", "reason"], rows)
}
