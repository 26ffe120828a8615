//! Which keys the readers of documents ask for, by the table that they read: so that a test knows all
//! keys of a file from its reader, and from no list that somebody has to keep. Only tests see it.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// By kind of table and key: whether any table of the kind had it.
pub(crate) type Asked = BTreeMap<(String, &'static str), bool>;

thread_local! {
    static ASKED: RefCell<Option<Asked>> = const { RefCell::new(None) };
}

/// Notes that a reader asked for a key.
pub(super) fn note(table: &str, key: &'static str, is_there: bool) {
    // Rows of models carry their names.
    let kind = if table.starts_with("[models.") { "[models]" } else { table };
    ASKED.with_borrow_mut(|asked| {
        if let Some(asked) = asked {
            *asked.entry((kind.to_owned(), key)).or_default() |= is_there;
        }
    });
}

/// The keys that are asked for while `read` reads.
pub(crate) fn during(read: impl FnOnce()) -> Asked {
    ASKED.set(Some(Asked::new()));
    read();
    ASKED.take().unwrap_or_default()
}
