//! `nanohost log`: the log over all runs of this store. Its head for others to remember, proofs for
//! them to check, its files for them to mirror, and a look at all of it. Believes no row.

mod fsck;
pub mod renamed;
pub mod witnessed;

pub(super) use fsck::look;
pub(super) use renamed::names;

use std::io::Write as _;
use std::path::Path;

use nanohost_core::log::note::{Kind, MAX_NOTE};
use nanohost_core::log::proof::{GrowthProof, InclusionProof};
use nanohost_core::log::tree::{self, Node};
use nanohost_core::log::{Checkpoint, Frontier, Note, NoteVerifier, tile};
use nanohost_core::trace::{SeenHeads, Standing};
use nanohost_core::{Diagnostic, Digest, RunId, TrustRoot, dsse};
use nanohost_store::{
    LogHead, LogView, Logged, OpenOptions, Records as _, SqliteReader, StoreError, log_public_key,
};
use nanohost_verify::whole;
use serde_json::json;

use crate::cli::{LogArgs, LogCommand};
use crate::commands::evidence;
use crate::console::{self, Console};
use crate::failure::{Exit, Failure};
use crate::project::{Places, read_bounded};
use crate::{acts, open_store, signing, store_failure};

/// `nanohost log`.
pub fn log(args: &LogArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    match &args.command {
        LogCommand::Checkpoint { output, json } => checkpoint(output.as_deref(), *json, places, console),
        LogCommand::Key { json } => key(*json, places, console),
        LogCommand::Prove { run: Some(run), envelope, output, .. } => {
            prove(run, *envelope, output.as_deref(), places, console)
        }
        LogCommand::Prove { since, output, .. } => {
            prove_growth(since.unwrap_or(0), output.as_deref(), places, console)
        }
        LogCommand::Export { output, json } => export(output, *json, places, console),
        LogCommand::Fsck { state, json } => fsck::fsck(state.as_deref(), *json, places, console),
        LogCommand::Witness { log_policy, json } => {
            witnessed::witness(log_policy.as_deref(), *json, places, console)
        }
        LogCommand::Heartbeat { log_policy, json } => {
            witnessed::heartbeat(log_policy.as_deref(), *json, places, console)
        }
    }
}

/// The key that signs the heads of this store's log; `None` where it is not on this machine.
pub(super) fn own_key(store: &impl Logged, places: &Places) -> anyhow::Result<Option<NoteVerifier>> {
    let origin = store.log_origin().map_err(store_failure)?;
    let renamed = store.is_log_renamed().map_err(store_failure)?;
    let key = log_public_key(&crate::log_keys(&origin, renamed, places)).map_err(store_failure)?;
    Ok(key.map(|key| NoteVerifier::new(origin, Kind::Ed25519, key)))
}

/// Where a run of so many envelopes stands in its store's log.
pub(super) fn standing(store: &impl Logged, run: &RunId, envelopes: u64) -> anyhow::Result<Standing> {
    let Some(last) = envelopes.checked_sub(1) else { return Ok(Standing::Outside) };
    let found = store.read_log(|log| {
        if log.find(run, envelopes)?.is_some() {
            return Ok(Standing::Longer);
        }
        let Some(index) = log.find(run, last)? else { return Ok(Standing::Outside) };
        let standing = inclusion(log, index, LogHead::Signed)?;
        Ok(match &standing {
            Standing::Proven(proof) => tail(log, run, proof)?.unwrap_or(standing),
            _ => standing,
        })
    });
    found.map_err(store_failure)
}

/// What is wrong with the entries after a run's last one. Which envelope stands where is said by rows
/// that nothing signs: so all of them up to the head are hashed again, and asked whose they are.
fn tail(
    mut log: &mut dyn LogView,
    run: &RunId,
    proof: &InclusionProof,
) -> Result<Option<Standing>, StoreError> {
    let Ok(head) = proof.checkpoint.text().parse::<Checkpoint>() else { return Ok(Some(Standing::Unsigned)) };
    let mut frontier = Frontier::read(proof.index + 1, &mut log)?;
    let own = format!("\"name\":\"run/{run}\"");
    let (mut torn, mut longer) = (false, false);
    log.entries(frontier.size()..head.size, &mut |entry| {
        let Some(envelope) = entry.envelope.filter(|_| entry.entry == frontier.size()) else {
            torn = true;
            return Ok(());
        };
        let names = |payload: &[u8]| payload.windows(own.len()).any(|part| part == own.as_bytes());
        longer |= match dsse::Unverified::parse(&envelope) {
            Ok(envelope) => names(envelope.payload()),
            Err(_) => true,
        };
        frontier.push(tree::leaf(&envelope), |_, _| ());
        Ok(())
    })?;
    Ok(match (longer, torn || frontier.size() != head.size || frontier.root() != head.root) {
        (true, _) => Some(Standing::Longer),
        (_, true) => Some(Standing::Torn),
        _ => None,
    })
}

/// That an envelope stands in the log, where its signed head reaches so far.
pub(super) fn proof_of(store: &impl Logged, run: &RunId, seq: u64) -> anyhow::Result<Option<InclusionProof>> {
    let found = store.read_log(|log| {
        let Some(index) = log.find(run, seq)? else { return Ok(None) };
        Ok(match inclusion(log, index, LogHead::Signed)? {
            Standing::Proven(proof) => Some(*proof),
            _ => None,
        })
    });
    found.map_err(store_failure)
}

/// The proof of one entry under the newest head of its kind.
fn inclusion(mut log: &mut dyn LogView, index: u64, which: LogHead) -> Result<Standing, StoreError> {
    let Some((checkpoint, head)) = head(log, which)? else { return Ok(Standing::Unsigned) };
    Ok(match tree::inclusion(index, head.size, &mut log)? {
        Some(hashes) => Standing::Proven(Box::new(InclusionProof { index, hashes, checkpoint })),
        None => Standing::Unsigned,
    })
}

/// Where a run of so many envelopes stands under the newest head that witnesses signed; `None` where
/// that head does not reach as far.
pub(super) fn under_witnesses(
    store: &impl Logged,
    run: &RunId,
    envelopes: u64,
) -> anyhow::Result<Option<InclusionProof>> {
    let Some(last) = envelopes.checked_sub(1) else { return Ok(None) };
    let found = store.read_log(|log| match log.find(run, last)? {
        Some(index) => inclusion(log, index, LogHead::Witnessed),
        None => Ok(Standing::Outside),
    });
    Ok(match found.map_err(store_failure)? {
        Standing::Proven(proof) => Some(*proof),
        _ => None,
    })
}

/// A head as it is kept, where it is one of a tree that is here.
fn head(log: &mut dyn LogView, which: LogHead) -> Result<Option<(Note, Checkpoint)>, StoreError> {
    let size = log.size()?;
    let Some(note) = log.head(which)? else { return Ok(None) };
    let parsed = note.text().parse::<Checkpoint>().ok().filter(|head| head.size <= size);
    Ok(parsed.map(|head| (note, head)))
}

/// Compares the name of a store's log, which has this head, with the one under which it was seen last: where it
/// is another one, acts have to lead there. Gives what [`SeenHeads::compare_name`] does.
pub(super) fn compare_name(
    seen: &mut SeenHeads,
    store: &SqliteReader,
    head: &Checkpoint,
    places: &Places,
) -> anyhow::Result<Result<Vec<String>, String>> {
    let chain = store.acts().map_err(store_failure)?;
    let acts = match acts::head(store).map_err(store_failure)?.len {
        0 => Vec::new(),
        _ => {
            let own = signing::public_keys(places).map_err(store_failure)?;
            match acts::verified(store, &TrustRoot::new(own)).map_err(store_failure)? {
                Ok((acts, _)) => acts,
                Err(bad) => return Ok(Err(bad.to_string())),
            }
        }
    };
    // By a proof, not by the rows: another hand can have a row say what was seen, but no proof of it.
    let begins_with = |size: u64, root: &Digest| {
        growth(store, size, head)
            .is_ok_and(|proof| tree::check_consistency((size, root), (head.size, &head.root), &proof).is_ok())
    };
    Ok(seen.compare_name(&chain, &head.origin, &acts, begins_with))
}

/// That a log is none of those that are remembered.
pub(super) fn first_seen(others: &[String]) -> String {
    format!("this log is seen for the first time; remembered are: {}", others.join(", "))
}

/// The proof that the log only grew since it had `old` entries, up to `head`.
pub(super) fn growth(store: &SqliteReader, old: u64, head: &Checkpoint) -> anyhow::Result<Vec<Digest>> {
    let proof = store.read_log(|mut log| tree::consistency(old, head.size, &mut log));
    Ok(proof.map_err(store_failure)?.unwrap_or_default())
}

/// The newest head of this store's log, signed now where it was not yet.
fn signed_head(places: &Places) -> anyhow::Result<(SqliteReader, Note)> {
    // Looking makes no store.
    let reader = SqliteReader::open(&places.store, &OpenOptions::default()).map_err(store_failure)?;
    let head = open_store(places)?.sign_log_head().map_err(store_failure)?;
    head.map(|head| (reader, head)).ok_or_else(no_key)
}

fn no_key() -> anyhow::Error {
    Failure::host(Diagnostic::error("log_unsigned", "there is no key to sign the log's head with"))
}

fn checkpoint(output: Option<&Path>, json: bool, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let (reader, note) = signed_head(places)?;
    if !json {
        let head: Checkpoint = note.text().parse()?;
        let what = format!("the head of {} over {} entries", head.origin, head.size);
        write_or_print(output, note.to_string().as_bytes(), &what, console)?;
        return Ok(Exit::Success);
    }
    let head: Checkpoint = note.text().parse()?;
    let key = own_key(&reader, places)?;
    let time = key.as_ref().and_then(|key| note.by(&key.with_time()).ok()?).and_then(|signed| signed.time);
    console.json(&json!({
        "origin": head.origin.as_str(),
        "size": head.size,
        "root": head.root,
        "checkpoint": note.to_string(),
        "key": key.map(|key| key.to_string()),
        "time": time,
    }))?;
    Ok(Exit::Success)
}

fn key(json: bool, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let (reader, _) = signed_head(places)?;
    let key = own_key(&reader, places)?;
    let text = key.as_ref().map(ToString::to_string).unwrap_or_default();
    if json {
        let time = key.map(|key| key.with_time().to_string());
        console.json(&json!({ "key": text, "timeKey": time }))?;
    } else {
        console.print(&format!("{text}\n"))?;
    }
    Ok(Exit::Success)
}

fn prove(
    run: &str,
    envelope: Option<u64>,
    output: Option<&Path>,
    places: &Places,
    console: &Console,
) -> anyhow::Result<Exit> {
    let run = evidence::find(run, places)?;
    let (reader, _) = signed_head(places)?;
    let found = reader.read_log(|log| {
        // The last one, where none is named: the log has no hole within a run that was not torn.
        let at = match envelope {
            Some(at) => log.find(&run, at)?,
            None => last_entry(log, &run)?,
        };
        // Under a head that witnesses signed too, where that reaches as far: then it says more.
        at.map(|at| match inclusion(log, at, LogHead::Witnessed)? {
            Standing::Proven(proof) => Ok(Standing::Proven(proof)),
            _ => inclusion(log, at, LogHead::Signed),
        })
        .transpose()
    });
    match found.map_err(store_failure)? {
        Some(Standing::Proven(proof)) => {
            holds(&reader, &run, &proof, places)?;
            let head: Checkpoint = proof.checkpoint.text().parse()?;
            let what = format!(
                "{} of run {} stands at index {} of {}, under its head over {} entries",
                envelope.map_or_else(|| "the last envelope".to_owned(), |at| format!("envelope {at}")),
                run.short(),
                proof.index,
                head.origin,
                head.size
            );
            write_or_print(output, proof.to_string().as_bytes(), &what, console)?;
            Ok(Exit::Success)
        }
        _ => {
            let message = format!("run {} has no such envelope in the log", run.short());
            let help = format!("`{} log fsck` looks at all of it", console::program_name());
            Err(Failure::usage(Diagnostic::error("not_logged", message).help(help)))
        }
    }
}

/// A proof that nobody can check is not handed out.
fn holds(reader: &SqliteReader, run: &RunId, proof: &InclusionProof, places: &Places) -> anyhow::Result<()> {
    let mut entry = None;
    let read = reader.read_log(|log| {
        log.entries(proof.index..proof.index + 1, &mut |found| {
            entry = found.envelope;
            Ok(())
        })
    });
    read.map_err(store_failure)?;
    let Some(entry) = entry else { return Err(damaged(format!("run {} is not in the store", run.short()))) };
    match own_key(reader, places)? {
        Some(key) => proof.check(&entry, &key).map(drop).map_err(|error| damaged(error.to_string())),
        None => Ok(()),
    }
}

fn damaged(why: String) -> anyhow::Error {
    let message = format!("the log of this store is damaged: {why}");
    let help = format!("`{} log fsck` says where", console::program_name());
    let finding = Diagnostic::error("log_damaged", message).help(help);
    Failure { exit: Exit::Tampered, findings: finding.into() }.into()
}

fn last_entry(log: &mut dyn LogView, run: &RunId) -> Result<Option<u64>, StoreError> {
    let (mut known, mut beyond) = (None, 1u64);
    // Doubling and halving: there is one query for each bit of the length.
    while let Some(entry) = log.find(run, beyond - 1)? {
        known = Some((beyond - 1, entry));
        beyond *= 2;
    }
    let Some((mut low, mut entry)) = known else { return Ok(None) };
    let mut high = beyond - 1;
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        match log.find(run, middle)? {
            Some(found) => (low, entry) = (middle, found),
            None => high = middle,
        }
    }
    Ok(Some(entry))
}

fn prove_growth(
    since: u64,
    output: Option<&Path>,
    places: &Places,
    console: &Console,
) -> anyhow::Result<Exit> {
    let (reader, note) = signed_head(places)?;
    let head: Checkpoint = note.text().parse()?;
    if since > head.size {
        let message = format!("the log has {} entries, and never had {since}", head.size);
        let help = "if others saw as many, it was rolled back: restore the newest copy of the store";
        let finding = Diagnostic::error("log_shorter", message).help(help);
        return Err(Failure { exit: Exit::RolledBack, findings: finding.into() }.into());
    }
    let hashes = growth(&reader, since, &head)?;
    let before = reader.read_log(|mut log| tree::root(since, &mut log)).map_err(store_failure)?;
    tree::check_consistency((since, &before), (head.size, &head.root), &hashes)
        .map_err(|error| damaged(error.to_string()))?;
    let proof = GrowthProof { old: since, hashes, checkpoint: note };
    let what = format!("{} only grew since it had {since} entries, to {}", head.origin, head.size);
    write_or_print(output, proof.to_string().as_bytes(), &what, console)?;
    Ok(Exit::Success)
}

/// `what`: what the text shows, which is said beside a file.
fn write_or_print(output: Option<&Path>, text: &[u8], what: &str, console: &Console) -> anyhow::Result<()> {
    match output {
        None => console.print(&String::from_utf8_lossy(text)),
        Some(path) => {
            write_file(path, text)?;
            console.note(&format!("{}: {what}", console::path(path)));
            Ok(())
        }
    }
}

fn write_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let io = |error: std::io::Error| Failure::io("export_unwritable", "write", path, &error);
    whole::replace(path, |draft| draft.write_all(bytes)).map_err(io)
}

/// A mirror only grows: what was written before has to be the beginning of what is written now.
fn grows(folder: &Path, head: &Checkpoint, reader: &SqliteReader) -> anyhow::Result<()> {
    let path = folder.join("checkpoint");
    let io = |error: std::io::Error| Failure::io("export_unwritable", "look at", &path, &error);
    let text = match read_bounded(&path, MAX_NOTE as u64) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        text => text.map_err(io)?,
    };
    let refused = |why: String| {
        let help = "name an empty folder, or restore the newest copy of the store";
        let finding = Diagnostic::error("mirror_ahead", format!("{}: {why}", path.display())).help(help);
        anyhow::Error::from(Failure { exit: Exit::RolledBack, findings: finding.into() })
    };
    let note: Result<Note, _> = String::from_utf8_lossy(&text).parse();
    let Some(before) = note.ok().and_then(|note| note.text().parse::<Checkpoint>().ok()) else {
        return Err(refused("it is not the checkpoint of a mirror".to_owned()));
    };
    if before.origin != head.origin {
        return Err(refused(format!("it mirrors another log, {}", before.origin)));
    }
    if before.size > head.size {
        return Err(refused(format!("it has {} entries, and the log has {}", before.size, head.size)));
    }
    let proof = growth(reader, before.size, head)?;
    tree::check_consistency((before.size, &before.root), (head.size, &head.root), &proof)
        .map_err(|error| refused(format!("its entries are others than the log's: {error}")))
}

/// Writes the log as tiles, the checkpoint last: a mirror never says more than it has.
fn export(folder: &Path, json: bool, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let (reader, note) = signed_head(places)?;
    let head: Checkpoint = note.text().parse()?;
    // All hashes that go along, computed again from the lowest.
    let computed = reader.read_log(|log| {
        let (mut frontier, mut whole) = (Frontier::default(), true);
        let mut made = Vec::new();
        for index in 0..head.size {
            let leaf = log.node(Node { level: 0, index })?;
            frontier.push(leaf, |node, hash| made.push((node, hash)));
            for (node, hash) in made.drain(..).skip(1) {
                whole &= log.node(node)? == hash;
            }
        }
        Ok(whole && frontier.root() == head.root)
    });
    if !computed.map_err(store_failure)? {
        return Err(damaged("its kept hashes do not lead to the head that is signed".to_owned()));
    }
    grows(folder, &head, &reader)?;
    let mut files = 0u64;
    let mut put = |tile: &tile::Tile, content: &[u8]| -> anyhow::Result<()> {
        let path = folder.join(tile.path());
        let parent = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent)
            .map_err(|error| Failure::io("export_unwritable", "write", parent, &error))?;
        files += 1;
        write_file(&path, content)
    };
    let mut failed: anyhow::Result<()> = Ok(());
    let (mut too_long, mut gone) = (Vec::new(), None);
    let read = reader.read_log(|mut log| {
        for tile in tile::hashes(head.size) {
            let content = tile.content(&mut log)?;
            failed = put(&tile, &content);
            if failed.is_err() {
                return Ok(());
            }
        }
        for tile in tile::entries(head.size) {
            let (mut content, mut whole) = (Vec::new(), true);
            log.entries(tile.range(), &mut |entry| {
                let Some(envelope) = entry.envelope else {
                    gone = Some(entry.entry);
                    return Ok(());
                };
                if !tile::bundle(&mut content, &envelope) {
                    too_long.push(entry.entry);
                    whole = false;
                }
                Ok(())
            })?;
            if whole {
                failed = put(&tile, &content);
            }
            if failed.is_err() {
                return Ok(());
            }
        }
        Ok(())
    });
    read.map_err(store_failure)?;
    failed?;
    if let Some(entry) = gone {
        return Err(damaged(format!("the envelope of entry {entry} is not in the store")));
    }
    write_file(&folder.join("checkpoint"), note.to_string().as_bytes())?;
    if json {
        console.json(&json!({
            "folder": folder,
            "origin": head.origin.as_str(),
            "size": head.size,
            "root": head.root,
            "files": files + 1,
            "tooLong": too_long,
        }))?;
        return Ok(Exit::Success);
    }
    console.note(&format!("{}: {} entries in {} files", console::path(folder), head.size, files + 1));
    if !too_long.is_empty() {
        console.note(&format!(
            "{} of the envelopes are longer than the {} bytes that a bundle of entries can hold, so their bundles \
             are left out; `{} export RUN -o FILE` gives them",
            too_long.len(),
            tile::MAX_ENTRY,
            console::program_name(),
        ));
    }
    Ok(Exit::Success)
}
