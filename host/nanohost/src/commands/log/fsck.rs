//! `nanohost log fsck`: the whole tree again from the envelopes, and what disagrees with it. Believes no row.

use std::collections::HashMap;
use std::path::Path;

use nanohost_core::log::tree::{self, Node};
use nanohost_core::log::{Checkpoint, Frontier, Note, NoteVerifier};
use nanohost_core::trace::SeenHeads;
use nanohost_core::{Digest, RunId};
use nanohost_store::{LogHead, LogView, Logged as _, OpenOptions, SqliteReader, StoreError};
use nanohost_verify::Remembered;
use serde_json::json;

use super::{growth, own_key};
use crate::acts;
use crate::commands::evidence;
use crate::console::{self, Console, Progress};
use crate::failure::Exit;
use crate::project::Places;
use crate::store_failure;

/// Entries that are looked at between two looks at the nodes over them: bounds what is held.
const CHUNK: u64 = 4096;

/// What a look at the whole log found.
#[derive(Default)]
struct Found {
    tampered: Vec<String>,
    missing: Vec<String>,
    rolled_back: Vec<String>,
    /// The logs that are remembered, where this one is none of them.
    first_beside: Vec<String>,
}

impl Found {
    fn exit(&self) -> Exit {
        match (&self.tampered[..], &self.missing[..], &self.rolled_back[..]) {
            ([], [], []) => Exit::Success,
            ([], [], _) => Exit::RolledBack,
            ([], ..) => Exit::Truncated,
            _ => Exit::Tampered,
        }
    }
}

/// What a look at the whole log comes to, for whoever wants no more of it. `state`: what is remembered of it.
pub(in crate::commands) fn look(state: Option<&Path>, places: &Places) -> anyhow::Result<Exit> {
    examined(state, true, places).map(|looked| looked.found.exit())
}

/// What a look at the whole log found, and what it looked at.
struct Looked {
    found: Found,
    frontier: Frontier,
    signed: Option<Checkpoint>,
    key: Option<NoteVerifier>,
}

/// Computes the whole tree again from the envelopes.
pub(super) fn fsck(
    state: Option<&Path>,
    json: bool,
    places: &Places,
    console: &Console,
) -> anyhow::Result<Exit> {
    let Looked { found, frontier, signed, key } = examined(state, json, places)?;
    tell(&found, &frontier, signed.as_ref(), key.as_ref(), json, console)
}

fn examined(state: Option<&Path>, quiet: bool, places: &Places) -> anyhow::Result<Looked> {
    let reader = SqliteReader::open(&places.store, &OpenOptions::default()).map_err(store_failure)?;
    let key = own_key(&reader, places)?;
    let origin = reader.log_origin().map_err(store_failure)?;
    let mut remembered = state.map(Remembered::read).transpose()?;
    let progress = Progress::new(!quiet);
    let looked = reader.read_log(|log| {
        let seen = remembered.as_ref().and_then(|seen| seen.heads.log(origin.as_str()));
        let whole = log.size()?;
        let mut found = Found::default();
        let kept =
            (head_of(log, LogHead::Signed, &mut found)?, head_of(log, LogHead::Witnessed, &mut found)?);
        let wanted = [kept.0.as_ref(), kept.1.as_ref()].into_iter().flatten().map(|(_, head)| head.size);
        let wanted: Vec<u64> = wanted.chain(seen.map(|seen| seen.size)).collect();
        let (frontier, roots) = computed(log, whole, &wanted, &mut found, &progress)?;
        if let outside @ 1.. = log.outside()? {
            found.tampered.push(format!("{outside} envelopes of the store do not stand in its log"));
        }
        Ok((found, frontier, roots, kept))
    });
    drop(progress);
    let (mut found, frontier, roots, (signed, witnessed)) = looked.map_err(store_failure)?;
    for (name, kept) in [("signed", &signed), ("witnessed", &witnessed)] {
        if let Some((note, head)) = kept {
            judge_head(name, note, head, key.as_ref(), frontier.size(), &roots, &mut found);
        }
    }
    judge_acts(&reader, places, &mut found)?;
    if signed.is_none() && frontier.size() > 0 {
        found.missing.push("no head of the log is signed".to_owned());
    }
    if let Some(remembered) = &mut remembered
        && found.exit() == Exit::Success
    {
        let head = Checkpoint { origin, size: frontier.size(), root: frontier.root() };
        match super::compare_name(&mut remembered.heads, &reader, &head, places)? {
            Ok(others) => found.first_beside = others,
            Err(why) => found.rolled_back.push(why),
        }
        judge_seen(&mut remembered.heads, &head, &roots, &reader, &mut found)?;
        if found.exit() == Exit::Success {
            remembered.keep()?;
        }
    }
    Ok(Looked { found, frontier, signed: signed.map(|(_, head)| head), key })
}

/// The chain of acts, which no run's verification looks at as a whole.
fn judge_acts(reader: &SqliteReader, places: &Places, found: &mut Found) -> anyhow::Result<()> {
    let head = acts::head(reader).map_err(store_failure)?;
    if head.len == 0 {
        return Ok(());
    }
    let Ok(trust) = evidence::own_trust(places) else {
        found
            .tampered
            .push("the key that signs acts is not on this machine, so none can be believed".to_owned());
        return Ok(());
    };
    match acts::verified(reader, &trust).map_err(store_failure)? {
        Ok(_) => {}
        Err(fault) if fault.is_missing => found.missing.push(fault.to_string()),
        Err(fault) => found.tampered.push(fault.to_string()),
    }
    Ok(())
}

/// A head that is kept. A text that is none was never written there: by a hand, then.
fn head_of(
    log: &mut dyn LogView,
    which: LogHead,
    found: &mut Found,
) -> Result<Option<(Note, Checkpoint)>, StoreError> {
    let Some(text) = log.head_text(which)? else { return Ok(None) };
    let read = text.parse::<Note>().ok().and_then(|note| {
        let head = note.text().parse().ok()?;
        Some((note, head))
    });
    if read.is_none() {
        let name = if which == LogHead::Signed { "signed" } else { "witnessed" };
        found.tampered.push(format!("the {name} head is no checkpoint"));
    }
    Ok(read)
}

/// The tree that the envelopes make, its roots at some sizes, and what disagrees with it.
fn computed(
    log: &mut dyn LogView,
    whole: u64,
    wanted: &[u64],
    found: &mut Found,
    progress: &Progress,
) -> Result<(Frontier, HashMap<u64, Digest>), StoreError> {
    let mut frontier = Frontier::default();
    let mut roots = HashMap::from([(0, frontier.root())]);
    let mut next: HashMap<RunId, u64> = HashMap::new();
    let mut made: Vec<(Node, Digest)> = Vec::new();
    let mut torn = false;
    progress.stage(&format!("computing the tree over {whole} entries"));
    while frontier.size() < whole && !torn {
        let from = frontier.size();
        log.entries(from..(from + CHUNK).min(whole), &mut |entry| {
            let Some(envelope) = entry.envelope else {
                let place = format!("{}/{}", entry.run.short(), entry.seq);
                found.missing.push(format!("entry {}: envelope {place} is not in the store", entry.entry));
                torn = true;
                return Ok(());
            };
            if torn {
                return Ok(());
            }
            if entry.entry != frontier.size() {
                found.missing.push(format!("entry {} is not there", frontier.size()));
                torn = true;
                return Ok(());
            }
            let expected = next.entry(entry.run.clone()).or_default();
            if entry.seq != *expected {
                let run = entry.run.short();
                found.tampered.push(format!(
                    "entry {}: envelope {run}/{} stands where {run}/{expected} belongs",
                    entry.entry, entry.seq
                ));
            }
            *expected = entry.seq + 1;
            frontier.push(tree::leaf(&envelope), |node, hash| made.push((node, hash)));
            if wanted.contains(&frontier.size()) {
                roots.insert(frontier.size(), frontier.root());
            }
            Ok(())
        })?;
        for (node, hash) in made.drain(..) {
            // What is not there reads as an error of the store: nobody can tell it from a damaged row.
            if !matches!(log.node(node), Ok(kept) if kept == hash) {
                let Node { level, index } = node;
                found
                    .tampered
                    .push(format!("the kept hash of node {level}/{index} is not that of its entries"));
            }
        }
        if frontier.size() == from && !torn {
            found.missing.push(format!("entry {from} is not there"));
            torn = true;
        }
    }
    roots.insert(frontier.size(), frontier.root());
    Ok((frontier, roots))
}

fn judge_head(
    name: &str,
    note: &Note,
    head: &Checkpoint,
    key: Option<&NoteVerifier>,
    size: u64,
    roots: &HashMap<u64, Digest>,
    found: &mut Found,
) {
    let Some(key) = key else {
        found
            .tampered
            .push("the key of the log is not on this machine, so no head can be believed".to_owned());
        return;
    };
    if let Err(error) = Checkpoint::open(note, key) {
        found.tampered.push(format!("the {name} head: {error}"));
    } else if head.size > size {
        found.missing.push(format!("the {name} head is of {} entries, and {size} are here", head.size));
    } else if roots.get(&head.size) != Some(&head.root) {
        found.tampered.push(format!("the {name} head over {} entries has another root", head.size));
    } else if name == "signed" && head.size < size {
        found
            .tampered
            .push(format!("{} entries stand behind the last head that is signed", size - head.size));
    }
}

fn judge_seen(
    seen: &mut SeenHeads,
    head: &Checkpoint,
    roots: &HashMap<u64, Digest>,
    reader: &SqliteReader,
    found: &mut Found,
) -> anyhow::Result<()> {
    let proof = match seen.log(head.origin.as_str()) {
        // What was seen is compared with what was just computed; the proof says the same to others.
        Some(old) if old.size <= head.size => {
            if roots.get(&old.size) != Some(&old.root) {
                let message =
                    format!("the log is another one than was seen before, with {} entries", old.size);
                found.rolled_back.push(message);
                return Ok(());
            }
            growth(reader, old.size, head)?
        }
        _ => Vec::new(),
    };
    if let Err(message) = seen.compare_log(head, &proof) {
        found.rolled_back.push(message);
    }
    Ok(())
}

fn tell(
    found: &Found,
    frontier: &Frontier,
    signed: Option<&Checkpoint>,
    key: Option<&NoteVerifier>,
    json: bool,
    console: &Console,
) -> anyhow::Result<Exit> {
    let exit = found.exit();
    if json {
        console.json(&json!({
            "good": exit == Exit::Success,
            "size": frontier.size(),
            "root": frontier.root(),
            "signed": signed.map(|head| head.size),
            "key": key.map(ToString::to_string),
            "tampered": found.tampered,
            "missing": found.missing,
            "rolledBack": found.rolled_back,
            "firstSeenBeside": found.first_beside,
            "exitCode": exit as u8,
        }))?;
        return Ok(exit);
    }
    const SHOWN: usize = 20;
    for (kind, all) in
        [("tampered", &found.tampered), ("missing", &found.missing), ("rolled back", &found.rolled_back)]
    {
        for what in all.iter().take(SHOWN) {
            console.print(&format!("{kind}: {what}\n"))?;
        }
        if all.len() > SHOWN {
            console.print(&format!("{kind}: {} more\n", all.len() - SHOWN))?;
        }
    }
    if !found.first_beside.is_empty() {
        console.print(&format!("first seen: {}\n", super::first_seen(&found.first_beside)))?;
    }
    let verdict = if exit == Exit::Success { "whole" } else { "DAMAGED" };
    console.print(&format!("{verdict}: {} entries, root {}\n", frontier.size(), frontier.root().short()))?;
    if exit != Exit::Success {
        console
            .note(&format!("`{} verify RUN` says of each run whether it is whole", console::program_name()));
    }
    Ok(exit)
}
