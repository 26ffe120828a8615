//! What the user types to call this program, for the commands that it suggests: they have to do what
//! they say as they are printed. Knows no command.

use std::path::Path;
use std::sync::OnceLock;

use crate::read::quoted;

/// With the store that was named.
static CALLED: OnceLock<String> = OnceLock::new();

/// Remembers how the user called this program: what is suggested has to find the same store.
pub fn remember(store: Option<&Path>) {
    if let Some(store) = store {
        // Said once, at the beginning.
        let _ = CALLED.set(format!("{} --store {}", bare(), quoted(store)));
    }
}

/// What the user types to call this program.
pub fn program_name() -> &'static str {
    CALLED.get().map_or_else(bare, String::as_str)
}

/// Through cargo where cargo started it.
fn bare() -> &'static str {
    if std::env::var_os("CARGO").is_some() && std::env::var_os("CARGO_MANIFEST_DIR").is_some() {
        "cargo run --release --"
    } else {
        "nanohost"
    }
}
