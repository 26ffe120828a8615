//! `nanohost log`: the log over all runs of this store. Its head for others to remember, proofs for
//! them to check, its files for them to mirror, and a look at all of it. Believes no row.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;

use nanohost_core::log::note::{Kind, MAX_NOTE};
use nanohost_core::log::proof::{GrowthProof, InclusionProof};
use nanohost_core::log::tree::{self, Node};
use nanohost_core::log::{Checkpoint, Frontier, Note, NoteVerifier, tile};
use nanohost_core::trace::{SeenHeads, Standing};
use nanohost_core::{Diagnostic, Digest, RunId, dsse};
use nanohost_store::{LogHead, LogView, Logged, OpenOptions, SqliteReader, StoreError, log_public_key};
use nanohost_verify::Remembered;
use serde_json::json;

use crate::acts;
use crate::cli::{LogArgs, LogCommand};
use crate::commands::evidence;
use crate::console::{self, Console, Progress};
use crate::failure::{Exit, Failure};
use crate::project::{Places, read_bounded};
use crate::{open_store, store_failure};

/// Entries that are looked at between two looks at the nodes over them: bounds what is held.
const CHUNK: u64 = 4096;

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
        LogCommand::Fsck { state, json } => fsck(state.as_deref(), *json, places, console),
    }
}

/// The key that signs the heads of this store's log; `None` where it is not on this machine.
pub(super) fn own_key(store: &impl Logged, places: &Places) -> anyhow::Result<Option<NoteVerifier>> {
    let key = log_public_key(&places.keys()).map_err(store_failure)?;
    let origin = store.log_origin().map_err(store_failure)?;
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
        let standing = inclusion(log, index)?;
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

/// The proof of one entry under the newest signed head.
fn inclusion(mut log: &mut dyn LogView, index: u64) -> Result<Standing, StoreError> {
    let Some((checkpoint, head)) = head(log, LogHead::Signed)? else { return Ok(Standing::Unsigned) };
    Ok(match tree::inclusion(index, head.size, &mut log)? {
        Some(hashes) => Standing::Proven(Box::new(InclusionProof { index, hashes, checkpoint })),
        None => Standing::Unsigned,
    })
}

/// A head as it is kept, where it is one of a tree that is here.
fn head(log: &mut dyn LogView, which: LogHead) -> Result<Option<(Note, Checkpoint)>, StoreError> {
    let size = log.size()?;
    let Some(note) = log.head(which)? else { return Ok(None) };
    let parsed = note.text().parse::<Checkpoint>().ok().filter(|head| head.size <= size);
    Ok(parsed.map(|head| (note, head)))
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
    head.map(|head| (reader, head)).ok_or_else(|| {
        Failure::host(Diagnostic::error("log_unsigned", "there is no key to sign the log's head with"))
    })
}

fn checkpoint(output: Option<&Path>, json: bool, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let (reader, note) = signed_head(places)?;
    if !json {
        write_or_print(output, note.to_string().as_bytes(), console)?;
        return Ok(Exit::Success);
    }
    let head: Checkpoint = note.text().parse()?;
    console.json(&json!({
        "origin": head.origin.as_str(),
        "size": head.size,
        "root": head.root,
        "checkpoint": note.to_string(),
        "key": own_key(&reader, places)?.map(|key| key.to_string()),
    }))?;
    Ok(Exit::Success)
}

fn key(json: bool, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let (reader, _) = signed_head(places)?;
    let key = own_key(&reader, places)?.map(|key| key.to_string()).unwrap_or_default();
    if json {
        console.json(&json!({ "key": key }))?;
    } else {
        console.print(&format!("{key}\n"))?;
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
        at.map(|at| inclusion(log, at)).transpose()
    });
    match found.map_err(store_failure)? {
        Some(Standing::Proven(proof)) => {
            holds(&reader, &run, &proof, places)?;
            write_or_print(output, proof.to_string().as_bytes(), console)?;
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
    write_or_print(output, proof.to_string().as_bytes(), console)?;
    Ok(Exit::Success)
}

fn write_or_print(output: Option<&Path>, text: &[u8], console: &Console) -> anyhow::Result<()> {
    match output {
        None => console.print(&String::from_utf8_lossy(text)),
        Some(path) => write_file(path, text),
    }
}

fn write_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let io = |error: std::io::Error| Failure::io("export_unwritable", "write", path, &error);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(io)?;
    file.write_all(bytes).map_err(io)?;
    file.as_file().sync_all().map_err(io)?;
    file.persist(path).map_err(|error| io(error.error))?;
    Ok(())
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

/// What a look at the whole log found.
#[derive(Default)]
struct Found {
    tampered: Vec<String>,
    missing: Vec<String>,
    rolled_back: Vec<String>,
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

/// Computes the whole tree again from the envelopes.
fn fsck(state: Option<&Path>, json: bool, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let reader = SqliteReader::open(&places.store, &OpenOptions::default()).map_err(store_failure)?;
    let key = own_key(&reader, places)?;
    let origin = reader.log_origin().map_err(store_failure)?;
    let mut remembered = state.map(Remembered::read).transpose()?;
    let progress = Progress::new(!json);
    let looked = reader.read_log(|log| {
        let seen = remembered.as_ref().and_then(|seen| seen.heads.log(origin.as_str()));
        let whole = log.size()?;
        let kept = (head_of(log, LogHead::Signed)?, head_of(log, LogHead::Witnessed)?);
        let wanted = [kept.0.as_ref(), kept.1.as_ref()].into_iter().flatten().map(|(_, head)| head.size);
        let wanted: Vec<u64> = wanted.chain(seen.map(|seen| seen.size)).collect();
        let mut found = Found::default();
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
        judge_seen(&mut remembered.heads, &head, &roots, &reader, &mut found)?;
        if found.exit() == Exit::Success {
            remembered.keep()?;
        }
    }
    tell(&found, &frontier, signed.as_ref().map(|(_, head)| head), key.as_ref(), json, console)
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

fn head_of(log: &mut dyn LogView, which: LogHead) -> Result<Option<(Note, Checkpoint)>, StoreError> {
    let Some(note) = log.head(which)? else { return Ok(None) };
    Ok(note.text().parse().ok().map(|head| (note, head)))
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
    let verdict = if exit == Exit::Success { "whole" } else { "DAMAGED" };
    console.print(&format!("{verdict}: {} entries, root {}\n", frontier.size(), frontier.root().short()))?;
    if exit != Exit::Success {
        console
            .note(&format!("`{} verify RUN` says of each run whether it is whole", console::program_name()));
    }
    Ok(exit)
}
