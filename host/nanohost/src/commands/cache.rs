//! `nanohost cache`: where compiled code is kept, and forgetting it. Nothing of it is needed: it is
//! made again.

use nanohost_core::Diagnostic;
use nanohost_sandbox::CodeCache;

use crate::cli::{CacheArgs, CacheCommand};
use crate::console::{self, Console};
use crate::failure::{Exit, Failure};
use crate::project::Places;

/// `nanohost cache`.
pub fn cache(args: &CacheArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let folder = places.code_cache();
    match (args.command, folder) {
        (CacheCommand::Path { json: true }, folder) => {
            console
                .json(&serde_json::json!({ "folder": folder.map(|folder| folder.display().to_string()) }))?;
        }
        (_, None) => console.note("compiled code is not kept"),
        (CacheCommand::Path { json: false }, Some(folder)) => {
            console.print(&format!("{}\n", console::path(&folder)))?;
        }
        (CacheCommand::Clear, Some(folder)) => {
            let removed = CodeCache::clear(&folder).map_err(|error| {
                let message = format!("cannot clear {}: {error}", console::path(&folder));
                Failure::host(Diagnostic::error("cache_not_cleared", message))
            })?;
            console.note(&format!("removed: {removed} in {}", console::path(&folder)));
        }
    }
    Ok(Exit::Success)
}
