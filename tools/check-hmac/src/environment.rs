//! The environment without the standard library, which would bring other imports along.

use nanohost_guest::prelude::*;

/// The value of a variable; `None` where there is none.
#[cfg(target_family = "wasm")]
pub(crate) fn variable(name: &str) -> Option<String> {
    let all = wasip2::cli::environment::get_environment();
    all.into_iter().find_map(|(found, value)| (found == name).then_some(value))
}

#[cfg(not(target_family = "wasm"))]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
