//! Keys, as a table.

use super::table::columns;

/// All keys of a user, each as its words.
pub fn keys(rows: impl ExactSizeIterator<Item = Vec<String>>) -> String {
    if rows.len() == 0 {
        return "no keys\n".to_owned();
    }
    columns(&["key", "what", "for", "state", "entries of the log", "kept", "public half"], rows)
}
