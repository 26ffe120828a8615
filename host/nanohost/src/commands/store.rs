//! `nanohost store`: copies of a store, a store from a copy, and a look at all of it.

mod doctor;

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use nanohost_core::act::Erasure;
use nanohost_core::{Diagnostic, Principal, Role};
use nanohost_store::{
    Holds as _, Logged as _, OpenOptions, Purge, Records as _, SqliteReader, SqliteStore, VaultError,
};
use serde_json::json;

use super::log;
use crate::acts::Acts;
use crate::cli::{StoreArgs, StoreCommand};
use crate::console::{self, Console};
use crate::erasing::{self, Listed};
use crate::failure::{Exit, Failure};
use crate::project::Places;
use crate::store_failure;

/// `nanohost store`.
pub fn store(args: &StoreArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    match &args.command {
        StoreCommand::Backup { output, keys, json } => {
            backup(output, keys.as_deref(), *json, places, console)
        }
        StoreCommand::Restore { from, keys, older, principal, json } => {
            let Restored { runs, entries, again } = restore(from, keys, *older, principal, places)?;
            if *json {
                console.json(
                    &json!({ "store": places.store, "runs": runs, "entries": entries, "erasedAgain": again }),
                )?;
            } else {
                let path = console::path(&places.store);
                console.print(&format!("{path}: {runs} runs, {entries} entries in the log\n"))?;
                if again > 0 {
                    console.note(&format!("{again} values that were erased since the copy are erased again"));
                }
                console.note(
                    "what else came after the copy is not in it: runs, legal holds, and keys that were changed or \
                     retired. Lay the holds and retire the keys again before anything runs",
                );
            }
            Ok(Exit::Success)
        }
        StoreCommand::Doctor { json } => doctor::doctor(*json, places, console),
    }
}

fn backup(
    output: &Path,
    keys: Option<&Path>,
    json: bool,
    places: &Places,
    console: &Console,
) -> anyhow::Result<Exit> {
    // Looking makes no store.
    SqliteReader::open(&places.store, &OpenOptions::default()).map_err(store_failure)?;
    make_folder(output)?;
    if let Some(keys) = keys {
        make_folder(keys)?;
        if whole(keys)? == whole(output)? {
            let message = "a copy of the keys beside the copy of the store opens everything in it";
            let help = "name two folders, and keep them apart";
            return Err(Failure::usage(Diagnostic::error("backup_together", message).help(help)));
        }
    }
    let store = crate::open_store(places)?;
    store.copy_to(output).map_err(store_failure)?;
    // After the store: no value of its copy lacks its key.
    if let Some(keys) = keys {
        store.copy_keys_to(keys).map_err(store_failure)?;
    }
    if json {
        console.json(&json!({ "store": output, "keys": keys }))?;
        return Ok(Exit::Success);
    }
    console.note(&format!("{}: envelopes, log and ciphertexts", console::path(output)));
    console.note(&match keys {
        Some(keys) => format!(
            "{}: the keys. Keep it apart: with both, everything can be read, what is erased later too",
            console::path(keys)
        ),
        None => "without its keys (--keys DIR) no value of this copy can be read".to_owned(),
    });
    Ok(Exit::Success)
}

fn make_folder(path: &Path) -> anyhow::Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| Failure::io("backup_unwritable", "make", path, &error))
}

fn whole(path: &Path) -> anyhow::Result<PathBuf> {
    path.canonicalize().map_err(|error| Failure::io("backup_unwritable", "find", path, &error))
}

/// What a restored store has.
struct Restored {
    runs: usize,
    entries: u64,
    /// Values that were erased since the copy.
    again: usize,
}

/// Everything is done beside the place of the store, and moved there when it is good: nobody is served
/// from a copy that was not looked at.
fn restore(
    from: &Path,
    keys: &Path,
    older: bool,
    principal: &Principal,
    places: &Places,
) -> anyhow::Result<Restored> {
    if fs::read_dir(&places.store).is_ok_and(|mut there| there.next().is_some()) {
        let message = format!("there is something in {} already", places.store.display());
        let help = "move it away first: nothing is written over a store";
        return Err(Failure::usage(Diagnostic::error("restore_over", message).help(help)));
    }
    let parent =
        places.store.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_folder(parent)?;
    let io = |error: std::io::Error| Failure::io("restore_unwritable", "restore into", &places.store, &error);
    let beside = tempfile::Builder::new().prefix(".restored-").tempdir_in(parent).map_err(io)?;
    let at = Places { store: beside.path().join("store"), ..places.clone() };
    make_folder(&at.store)?;
    for (folder, name) in [(from, "store.db"), (keys, "keys.db"), (keys, "vault.key")] {
        let source = folder.join(name);
        let copied = fs::copy(&source, at.store.join(name));
        copied.map_err(|error| Failure::io("backup_unreadable", "read", &source, &error))?;
    }
    let restored = looked_at(&at, older, principal)?;
    // Only an empty folder gives way.
    match fs::remove_dir(&places.store) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(error)),
        _ => {}
    }
    fs::rename(&at.store, &places.store).map_err(io)?;
    Ok(restored)
}

fn looked_at(at: &Places, older: bool, principal: &Principal) -> anyhow::Result<Restored> {
    let options = OpenOptions::default();
    // Brings an earlier schema up to date, and says whether the keys are those of this store.
    let opened = SqliteStore::open(&at.store, &options).map_err(store_failure)?;
    let origin = opened.log_origin().map_err(store_failure)?.to_string();
    let entries = opened.read_log(|log| log.size()).map_err(store_failure)?;
    drop(opened);
    let listed: Vec<Listed> = erasing::list(at)?.into_iter().filter(|listed| listed.log == origin).collect();
    let known = listed.iter().map(|listed| listed.size).max().unwrap_or(0);
    if known > entries && !older {
        let message =
            format!("this copy has {entries} entries in its log, and the log is known to have had {known}");
        let help = "restore a newer copy; --older takes this one, and what came after it is gone";
        let finding = Diagnostic::error("backup_older", message).help(help);
        return Err(Failure { exit: Exit::RolledBack, findings: finding.into() }.into());
    }
    let exit = log::look(at)?;
    if exit != Exit::Success {
        let finding =
            Diagnostic::error("log_damaged", "the log of this copy is not what its signed head says");
        let findings =
            finding.help("restore another copy; `nanohost log fsck --store DIR` says where").into();
        return Err(Failure { exit, findings }.into());
    }
    let store = crate::open_store(at)?;
    let again = erase_again(&store, &listed, principal, at)?;
    let runs = store.runs().map_err(store_failure)?.len();
    Ok(Restored { runs, entries: store.read_log(|log| log.size()).map_err(store_failure)?, again })
}

/// Erases what was erased since the copy was made, by acts that say so.
fn erase_again(
    store: &SqliteStore,
    listed: &[Listed],
    principal: &Principal,
    places: &Places,
) -> anyhow::Result<usize> {
    let mut acts = Acts::take(store, places)?;
    let mut again = 0;
    for listed in listed {
        let Some(run) = listed.refs.first().map(|value| value.run.clone()) else { continue };
        let Some(record) = store.load(&run).map_err(store_failure)? else { continue };
        let here = |seq: u64, role: &Role| {
            let stored = record
                .contents
                .iter()
                .find(|stored| stored.place.seq == seq && stored.place.role == role.as_str());
            stored.is_some_and(|stored| !matches!(stored.content, Err(VaultError::Erased { .. })))
        };
        let refs: Vec<_> = listed.refs.iter().filter(|value| here(value.seq, &value.role)).cloned().collect();
        // Of a run that was erased before, and then whole, only the rest may have come back.
        let rest = match listed.key_values {
            true => store.kv_of(&run).map_err(store_failure)?,
            false => 0,
        };
        let refs = match (refs.is_empty(), rest) {
            (true, 0) => continue,
            (true, _) => listed.refs.iter().take(1).cloned().collect(),
            (false, _) => refs,
        };
        again += refs.len();
        let rest_of = listed.key_values.then_some(run);
        acts.erase(principal, (Role::REASON, "erased before the store was restored"), rest_of, |reason| {
            Erasure { refs, key_values: 0, basis: listed.basis, approver: None, reason }
        })?;
    }
    if let Some(run) = acts.commit()? {
        let message = format!(
            "what was erased of run {} has to go again, and a legal hold of the copy lies on it",
            run.short()
        );
        let help = "restore a newer copy, in which it was erased already";
        return Err(Failure::denied(Diagnostic::error("erase_held", message).help(help)));
    }
    if again > 0 && erasing::finish(store, acts.fence(), places)? == Purge::Pending {
        anyhow::bail!("a restored store that nobody knows yet has a reader");
    }
    Ok(again)
}
