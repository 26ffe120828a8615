//! `nanohost store`: copies of a store, a store from a copy, and a look at all of it.

mod doctor;

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use nanohost_core::log::NoteVerifier;
use nanohost_core::{Diagnostic, Principal};
use nanohost_store::{Logged as _, OpenOptions, Records as _, SqliteReader, SqliteStore};
use nanohost_verify::Remembered;
use serde_json::json;

use super::log;
use crate::cli::{StoreArgs, StoreCommand};
use crate::console::{self, Console};
use crate::failure::{Exit, Failure};
use crate::outside::{self, CaughtUp};
use crate::project::Places;
use crate::store_failure;

/// `nanohost store`.
pub fn store(args: &StoreArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    match &args.command {
        StoreCommand::Backup { output, keys, json } => {
            backup(output, keys.as_deref(), *json, places, console)
        }
        StoreCommand::Restore { from, keys, older, state, acts_lost, new_log, principal, json } => {
            let taken = Taken {
                older: *older,
                state: state.as_deref(),
                lost: acts_lost.as_deref().map(|reason| (principal, reason)),
                new_log: new_log.then_some(principal),
            };
            let Restored { runs, entries, again, log } = restore(from, keys, &taken, places)?;
            super::log::witnessed::at_end(places).iter().for_each(|why| console.note(why));
            if *json {
                console.json(&json!({
                    "store": places.store,
                    "runs": runs,
                    "entries": entries,
                    "acts": again.acts,
                    "erasedAgain": again.erased,
                    "logKey": log.as_ref().map(ToString::to_string),
                }))?;
            } else {
                let path = console::path(&places.store);
                console.print(&format!("{path}: {runs} runs, {entries} entries in the log\n"))?;
                console.note(&caught_up(&again));
                console.note("runs that came after the copy are not in it");
                console.note(&match log {
                    Some(key) => format!(
                        "the log goes on as {key}: have each witness and each policy name it beside the old one"
                    ),
                    None => format!(
                        "witnesses that saw more of the log refuse it: `{} key rotate --log` lets it go on under another \
                         name",
                        console::program_name()
                    ),
                });
            }
            Ok(Exit::Success)
        }
        StoreCommand::CatchUp { acts_lost: _, reason, principal, json } => {
            // Looking makes no store.
            SqliteReader::open(&places.store, &OpenOptions::default()).map_err(store_failure)?;
            let lost = reason.as_deref().map(|reason| (principal, reason));
            let (_, again) = crate::opened(lost, places)?;
            super::log::witnessed::at_end(places).iter().for_each(|why| console.note(why));
            if *json {
                console.json(&json!({ "acts": again.acts, "erasedAgain": again.erased }))?;
            } else {
                console.print(&format!("{}\n", caught_up(&again)))?;
            }
            Ok(Exit::Success)
        }
        StoreCommand::Doctor { json } => doctor::doctor(*json, places, console),
    }
}

/// What was done again.
fn caught_up(again: &CaughtUp) -> String {
    let CaughtUp { acts, erased } = again;
    match acts {
        0 => "the store has all acts that are listed outside of it".to_owned(),
        _ => format!(
            "{acts} acts that came after the copy are done again: {erased} values are erased, keys are as they were, \
             and so are legal holds"
        ),
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
    let mut fresh = Fresh::default();
    fresh.folder(output, &["store.db"])?;
    if let Some(keys) = keys {
        fresh.folder(keys, &["keys.db", "vault.key"])?;
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
    fresh.keep();
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

/// What a copy is written to. Where it fails, nothing of it stays: neither files nor folders that were not
/// there before.
#[derive(Default)]
struct Fresh {
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

impl Fresh {
    /// A folder that holds none of these files so far.
    fn folder(&mut self, path: &Path, names: &[&str]) -> anyhow::Result<()> {
        for file in names.iter().map(|name| path.join(name)) {
            if fs::symlink_metadata(&file).is_ok() {
                let message = format!("there is a copy in {} already", path.display());
                let help = "name another folder: nothing is written over a copy";
                return Err(Failure::usage(Diagnostic::error("backup_there", message).help(help)));
            }
            self.files.push(file);
        }
        if fs::symlink_metadata(path).is_err() {
            self.folders.push(path.to_owned());
        }
        make_folder(path)
    }

    fn keep(mut self) {
        self.files.clear();
        self.folders.clear();
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        // Whatever cannot be removed was not made, or is somebody else's by now.
        self.files.iter().for_each(|file| drop(fs::remove_file(file)));
        self.folders.iter().rev().for_each(|folder| drop(fs::remove_dir(folder)));
    }
}

/// What begins the name of a folder in which a store is made anew.
const RESTORING: &str = ".restored-";

/// The file in it that its process has locked.
const AT_IT: &str = "restoring";

/// The folders beside a store in which one was to be made anew, and whose process ended before it was.
fn left_behind(store: &Path) -> Vec<PathBuf> {
    let parent = store.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(RESTORING));
    let left = named.map(|entry| entry.path()).filter(|path| {
        let lock = fs::File::open(path.join(AT_IT));
        lock.is_ok_and(|lock| lock.try_lock().is_ok())
    });
    left.collect()
}

fn make_folder(path: &Path) -> anyhow::Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| Failure::io("backup_unwritable", "make", path, &error))
}

fn whole(path: &Path) -> anyhow::Result<PathBuf> {
    path.canonicalize().map_err(|error| Failure::io("backup_unwritable", "find", path, &error))
}

/// What somebody takes a copy in spite of, and what it becomes.
struct Taken<'a> {
    /// The log is known to have had more.
    older: bool,
    /// Where it is remembered what was seen of the log.
    state: Option<&'a Path>,
    /// Acts may be gone.
    lost: Option<outside::GoesOn<'a>>,
    /// The log goes on under another name; who says so.
    new_log: Option<&'a Principal>,
}

/// What a restored store has.
struct Restored {
    runs: usize,
    entries: u64,
    /// What was done since the copy, and is done again.
    again: CaughtUp,
    /// The key under which the log goes on, where it is a new one.
    log: Option<NoteVerifier>,
}

/// Everything is done beside the place of the store, and moved there when it is good: nobody is served
/// from a copy that was not looked at.
fn restore(from: &Path, keys: &Path, taken: &Taken<'_>, places: &Places) -> anyhow::Result<Restored> {
    if fs::read_dir(&places.store).is_ok_and(|mut there| there.next().is_some()) {
        let message = format!("there is something in {} already", places.store.display());
        let help = "move it away first: nothing is written over a store";
        return Err(Failure::usage(Diagnostic::error("restore_over", message).help(help)));
    }
    let parent =
        places.store.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_folder(parent)?;
    let io = |error: std::io::Error| Failure::io("restore_unwritable", "restore into", &places.store, &error);
    let beside = tempfile::Builder::new().prefix(RESTORING).tempdir_in(parent).map_err(io)?;
    let at_it = fs::File::create(beside.path().join(AT_IT)).map_err(io)?;
    at_it.lock().map_err(io)?;
    for left in left_behind(&places.store) {
        fs::remove_dir_all(left).map_err(io)?;
    }
    let at = Places { store: beside.path().join("store"), ..places.clone() };
    make_folder(&at.store)?;
    for (folder, name) in [(from, "store.db"), (keys, "keys.db"), (keys, "vault.key")] {
        let source = folder.join(name);
        let copied = fs::copy(&source, at.store.join(name));
        copied.map_err(|error| Failure::io("backup_unreadable", "read", &source, &error))?;
    }
    let restored = looked_at(&at, taken)?;
    // Only an empty folder gives way.
    match fs::remove_dir(&places.store) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(error)),
        _ => {}
    }
    fs::rename(&at.store, &places.store).map_err(io)?;
    Ok(restored)
}

fn looked_at(at: &Places, taken: &Taken<'_>) -> anyhow::Result<Restored> {
    let options = OpenOptions::default();
    // Brings an earlier schema up to date, and says whether the keys are those of this store.
    let opened = SqliteStore::open(&at.store, &options).map_err(store_failure)?;
    let entries = opened.read_log(|log| log.size()).map_err(store_failure)?;
    let known = outside::known_size(&opened.acts().map_err(store_failure)?, at)?;
    let origin = opened.log_origin().map_err(store_failure)?;
    drop(opened);
    if known > entries && !taken.older {
        let message =
            format!("this copy has {entries} entries in its log, and the log is known to have had {known}");
        let help = "restore a newer copy; --older takes this one, and what came after it is gone";
        let finding = Diagnostic::error("backup_older", message).help(help);
        return Err(Failure { exit: Exit::RolledBack, findings: finding.into() }.into());
    }
    let exit = log::look(taken.state, at)?;
    if exit == Exit::RolledBack && !taken.older {
        let message = "this copy has less of its log than was seen of it, or something else";
        let help = "restore a newer copy; --older takes this one, and what came after it is gone";
        let findings = Diagnostic::error("backup_older", message).help(help).into();
        return Err(Failure { exit, findings }.into());
    }
    if let (Exit::RolledBack, Some(path)) = (exit, taken.state) {
        // What is shorter than what was seen can be taken knowingly; what is something else is not this log.
        let seen = Remembered::read(path)?.heads.log(origin.as_str());
        if seen.is_none_or(|seen| seen.size <= entries) {
            let message = "the log of this copy is another one than was seen, and not only an older one";
            let help =
                "restore a copy of the log that was seen; --older takes one that lacks its end, and no other";
            let findings = Diagnostic::error("backup_other", message).help(help).into();
            return Err(Failure { exit, findings }.into());
        }
    }
    if !matches!(exit, Exit::Success | Exit::RolledBack) {
        let finding =
            Diagnostic::error("log_damaged", "the log of this copy is not what its signed head says");
        let findings =
            finding.help("restore another copy; `nanohost log fsck --store DIR` says where").into();
        return Err(Failure { exit, findings }.into());
    }
    let (store, again) = crate::opened(taken.lost, at)?;
    let log =
        taken.new_log.map(|who| log::renamed::renamed(&store, who, "the store was restored from a copy", at));
    let log = log.transpose()?;
    let runs = store.runs().map_err(store_failure)?.len();
    Ok(Restored { log, runs, entries: store.read_log(|log| log.size()).map_err(store_failure)?, again })
}
