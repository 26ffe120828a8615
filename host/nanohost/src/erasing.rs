//! The steps of an erasure after its act: the list outside of the store, the keys, the rows, the copies
//! in the files. Each can be made again, and is, where a process ended between two of them.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use nanohost_core::Digest;
use nanohost_core::act::{Act, Basis, Erasure, ValueRef};
use nanohost_store::{Fence, Journal as _, Logged, Purge, Records, SqliteStore, Taken};
use serde::{Deserialize, Serialize};

use crate::acts;
use crate::commands::own_trust;
use crate::failure::Failure;
use crate::fault;
use crate::project::{Places, read_bounded};
use crate::store_failure;

#[cfg(test)]
mod tests;

/// No list is larger: it is read whole.
const MAX_LIST: u64 = 256 << 20;

/// One erasure as the list outside of the store has it: opaque names, and nothing that was said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Listed {
    /// The digest of the act.
    pub act: Digest,
    /// The store's log.
    pub log: String,
    /// How many entries that had when this was written: a copy of the store with fewer is an older one.
    pub size: u64,
    /// On what basis.
    pub basis: Basis,
    /// Whether key-value entries went along.
    pub key_values: bool,
    /// What was erased.
    pub refs: Vec<ValueRef>,
}

/// Where the list lies: beside the keys, which no backup of a store holds.
pub fn list_path(places: &Places) -> PathBuf {
    places.config.join("erasures.log")
}

/// Everything that this user's stores have erased. A last line without an end is one that was being
/// written when its process ended: its act is listed again.
pub fn list(places: &Places) -> anyhow::Result<Vec<Listed>> {
    let path = list_path(places);
    let io = |error: std::io::Error| Failure::io("erasures_unreadable", "read", &path, &error);
    let text = match read_bounded(&path, MAX_LIST) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.map_err(io)?,
    };
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(&[][..], |end| &text[..end]);
    let lines = whole.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let invalid = |error: serde_json::Error| io(std::io::Error::new(std::io::ErrorKind::InvalidData, error));
    lines.map(|line| serde_json::from_slice(line).map_err(invalid)).collect()
}

/// Brings an erasure whose act is on disk to its end. `Pending`: everything is erased, and copies
/// remain in the files for as long as a reader of an earlier moment stands in the way.
pub fn finish(store: &SqliteStore, fence: &Fence, places: &Places) -> anyhow::Result<Purge> {
    // A list that cannot be written keeps nothing from going that a signed act says is gone.
    let listed = remember(store, places);
    fault::point();
    store.destroy_keys(fence).map_err(store_failure)?;
    fault::point();
    store.remove_erased(fence).map_err(store_failure)?;
    fault::point();
    let purge = store.purge(fence).map_err(store_failure)?;
    fault::point();
    listed.map(|()| purge)
}

/// Goes on with what another process began and did not bring to its end; one that is at it is left alone.
pub fn roll_forward(store: &SqliteStore, places: &Places) -> anyhow::Result<()> {
    if !store.is_erasing().map_err(store_failure)? {
        return Ok(());
    }
    let id = store.acts().map_err(store_failure)?;
    if let Taken::Owned(fence) = store.take(&id).map_err(store_failure)? {
        finish(store, &fence, places)?;
    }
    Ok(())
}

/// Lists the acts of this store that are not listed yet.
fn remember(store: &SqliteStore, places: &Places) -> anyhow::Result<()> {
    // What cannot be believed is not listed, and what was given up goes all the same.
    let Ok((acts, _)) = acts::verified(store, &own_trust(places)?).map_err(store_failure)? else {
        return Ok(());
    };
    let listed: HashSet<Digest> = list(places)?.into_iter().map(|listed| listed.act).collect();
    let log = store.log_origin().map_err(store_failure)?.to_string();
    let size = store.read_log(|log| log.size()).map_err(store_failure)?;
    let mut lines = String::new();
    for act in acts.iter().filter(|act| !listed.contains(&act.digest)) {
        let Act::Erasure(Erasure { refs, basis, key_values, .. }) = &act.predicate.act else { continue };
        let (log, refs) = (log.clone(), refs.clone());
        let line = Listed { act: act.digest, log, size, basis: *basis, key_values: *key_values > 0, refs };
        lines.push_str(&serde_json::to_string(&line)?);
        lines.push('\n');
    }
    if lines.is_empty() {
        return Ok(());
    }
    let path = list_path(places);
    let io = |error: std::io::Error| Failure::io("erasures_unwritable", "write", &path, &error);
    let mut folder = fs::DirBuilder::new();
    folder.recursive(true).mode(0o700).create(&places.config).map_err(io)?;
    let mut file =
        OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path).map_err(io)?;
    // A line that was cut off is ended first, and stays out.
    let text = read_bounded(&path, MAX_LIST).map_err(io)?;
    if text.last().is_some_and(|last| *last != b'\n') {
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        file.set_len(whole as u64).map_err(io)?;
    }
    file.write_all(lines.as_bytes()).map_err(io)?;
    file.sync_all().map_err(io)
}
