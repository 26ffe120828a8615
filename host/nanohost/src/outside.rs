//! The list of acts outside of the stores: every act of this user's stores, as exact bytes, beside the
//! keys, where no backup of a store puts an older one in its place. Whoever opens a store that knows
//! fewer acts than the list does them again first, in their order: keys stay retired, holds stay laid and
//! what was erased stays gone. Who finds neither there what is known of the acts goes no further. Knows no
//! command line.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use nanohost_core::act::{self, Act, Erasure, HeldOn, HoldAct, HoldChange, KnownActs, Loss, OpenedAct};
use nanohost_core::log::NoteSigner;
use nanohost_core::log::note::Kind;
use nanohost_core::{Diagnostic, Digest, Principal, Role, RunId};
use nanohost_store::{
    Appended, Batch, Conflict, Effect, Erases, Head, Holds as _, Journal as _, Logged, Records, RunRecord,
    SqliteStore, VaultError, log_key,
};

use crate::acts::{self, Acts};
use crate::commands::own_trust;
use crate::console::program_name;
use crate::failure::{Exit, Failure};
use crate::project::{Places, read_bounded};
use crate::store_failure;
use crate::{erasing, fault, ledger, signing};

mod head;
mod lines;

#[cfg(test)]
mod tests;

use head::Known;
use lines::{Listed, parsed, whole_lines};

/// No list is larger: it is read whole.
const MAX_LIST: u64 = 256 << 20;

/// Where the list lies.
pub fn path(places: &Places) -> PathBuf {
    places.config.join("acts.log")
}

/// All acts of one store that are listed, in order. `own` says how many it has itself, and is asked after
/// the list was read: an act is in its store before it is listed.
fn listed(
    chain: &RunId,
    own: impl FnOnce() -> anyhow::Result<u64>,
    places: &Places,
) -> anyhow::Result<Vec<Listed>> {
    let path = path(places);
    match read_bounded(&path, MAX_LIST) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(unreadable(places, &error)),
        Ok(text) => parsed(&text, chain, own()?).map_err(|error| unreadable(places, &error)),
    }
}

/// How many acts a store has.
fn own(store: &impl Records) -> anyhow::Result<u64> {
    Ok(acts::head(store).map_err(store_failure)?.len)
}

fn unreadable(places: &Places, error: &std::io::Error) -> anyhow::Error {
    let path = path(places);
    let message = format!("{}: {error}", path.display());
    let help = "restore the file from its newest copy: without it nobody can tell whether the store is an older \
                one, in which keys count that were retired, and what was erased is there again";
    Failure::host(Diagnostic::error("acts_list_unreadable", message).help(help))
}

/// How many entries the log of a store is known to have had at the last of its acts.
pub fn known_size(chain: &RunId, places: &Places) -> anyhow::Result<u64> {
    // A line that is cut off is judged by whoever opens the store.
    Ok(listed(chain, || Ok(u64::MAX), places)?.last().map_or(0, |last| last.size))
}

/// What bringing a store up to its list came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct CaughtUp {
    /// Acts that the store did not know.
    pub acts: usize,
    /// Values that went again.
    pub erased: usize,
}

/// How a store stands to the list of its acts.
enum Standing {
    Agrees,
    /// The list lacks its last acts: their process ended before it wrote them there.
    Ahead,
    /// The store lacks acts.
    Behind,
}

fn standing(store: &impl Records, listed: &[Listed]) -> anyhow::Result<Standing> {
    let chain = store.acts().map_err(store_failure)?;
    let Head { len, last } = store.head(&chain).map_err(store_failure)?.unwrap_or(Head::EMPTY);
    let known = listed.len() as u64;
    let own = match known.cmp(&len) {
        // What came after is in the store, if it goes on from the list.
        std::cmp::Ordering::Less => {
            let last = listed.last().map(Listed::digest);
            return if act_at(store, known)? == last { Ok(Standing::Ahead) } else { Err(forked()) };
        }
        std::cmp::Ordering::Equal => Standing::Agrees,
        std::cmp::Ordering::Greater => Standing::Behind,
    };
    let there = usize::try_from(len).ok().and_then(|len| len.checked_sub(1)).and_then(|at| listed.get(at));
    if there.map(Listed::digest) != last { Err(forked()) } else { Ok(own) }
}

/// The last of a store's first `count` acts.
fn act_at(store: &impl Records, count: u64) -> anyhow::Result<Option<Digest>> {
    let Some(at) = usize::try_from(count).ok().and_then(|count| count.checked_sub(1)) else {
        return Ok(None);
    };
    let chain = store.acts().map_err(store_failure)?;
    let record = store.load(&chain).map_err(store_failure)?;
    Ok(record.and_then(|record| record.envelopes.get(at).map(|act| Digest::of(act))))
}

fn forked() -> anyhow::Error {
    let message = "the acts of this store are others than those that were listed outside of it";
    let help = "two copies of one store were gone on with, or somebody changed it: restore the newest copy";
    let findings = Diagnostic::error("acts_forked", message).help(help).into();
    Failure { exit: Exit::RolledBack, findings }.into()
}

/// Refuses to serve from a store that lacks acts: for those who only read.
pub fn agrees<S: Records + Logged>(store: &S, places: &Places) -> anyhow::Result<()> {
    let known = head::known(store, places)?;
    let chain = store.acts().map_err(store_failure)?;
    let listed = listed(&chain, || own(store), places)?;
    if !listed.is_empty() && matches!(standing(store, &listed)?, Standing::Behind) {
        let message = "this store is an older copy: erasures, holds or changes of keys that came after it are \
                       not in it";
        let help = format!("`{} store catch-up` does them again", program_name());
        let findings = Diagnostic::error("store_behind", message).help(help).into();
        return Err(Failure { exit: Exit::RolledBack, findings }.into());
    }
    match whole(store, &known)? {
        Whole::Yes => Ok(()),
        Whole::Nobody => {
            Err(head::refused(&known, acts::head(store).map_err(store_failure)?, places, &chain))
        }
    }
}

/// Whether a store has all acts that are known.
enum Whole {
    Yes,
    /// Nobody can tell, or it has not.
    Nobody,
}

fn whole(store: &impl Records, known: &Known) -> anyhow::Result<Whole> {
    let Head { len, last } = acts::head(store).map_err(store_failure)?;
    Ok(match known {
        Known::Head(head) if head.len == len && head.last != last => return Err(forked()),
        // A copy that was gone on with elsewhere can have more acts, and lack one all the same.
        Known::Head(head) if head.len < len && act_at(store, head.len)? != head.last => return Err(forked()),
        Known::Head(head) if head.len <= len => Whole::Yes,
        Known::New | Known::Foreign => Whole::Yes,
        Known::Head(_) | Known::Missing | Known::Bad(_) => Whole::Nobody,
    })
}

/// What is wrong where a store has acts that the list lacks.
pub fn unlisted(store: &impl Records, places: &Places) -> anyhow::Result<Option<Diagnostic>> {
    let chain = store.acts().map_err(store_failure)?;
    let listed = listed(&chain, || own(store), places)?.len() as u64;
    let own = own(store)?;
    if listed >= own {
        return Ok(None);
    }
    let message = format!("the store has {own} acts, and {} lists {listed}", path(places).display());
    let help =
        format!("the store lacks none that is known: `{} store catch-up` lists them again", program_name());
    Ok(Some(Diagnostic::error("acts_unlisted", message).help(help)))
}

/// Who goes on though acts may be gone, and why.
pub type GoesOn<'a> = (&'a Principal, &'a str);

/// Brings a store and the list to the same acts, whichever of them lacks some. Refused where acts are
/// known that neither has, or nobody knows, but to who goes on all the same.
pub fn settle(store: &SqliteStore, lost: Option<GoesOn<'_>>, places: &Places) -> anyhow::Result<CaughtUp> {
    let known = match head::known(store, places)? {
        // Whoever writes to it signs its log from then on: it is no other's.
        Known::Foreign => Known::Missing,
        known => known,
    };
    let chain = store.acts().map_err(store_failure)?;
    let list_of = listed(&chain, || own(store), places)?;
    let caught_up = match standing(store, &list_of)? {
        Standing::Agrees | Standing::Ahead => CaughtUp::default(),
        Standing::Behind => catch_up(store, &chain, &list_of, places)?,
    };
    let own = acts::head(store).map_err(store_failure)?;
    match (whole(store, &known)?, lost) {
        (Whole::Yes, None) => {}
        (Whole::Yes, Some(_)) => {
            let finding = Diagnostic::error("acts_not_lost", "the store has all acts that are known");
            return Err(Failure::usage(finding.help("leave --acts-lost out")));
        }
        (Whole::Nobody, None) => return Err(head::refused(&known, own, places, &chain)),
        (Whole::Nobody, Some((principal, reason))) => {
            go_on(store, &known, principal, reason, places)?;
            return Ok(caught_up);
        }
    }
    if own.len > 0 && (list_of.len() as u64) < own.len && caught_up.acts == 0 {
        list(store, places)?;
    }
    if known != Known::Head(own) {
        head::keep(store, own, false, places)?;
    }
    Ok(caught_up)
}

/// Says in an act that acts are gone, or may be, and takes what is here for all of them from then on.
fn go_on(
    store: &SqliteStore,
    known: &Known,
    principal: &Principal,
    reason: &str,
    places: &Places,
) -> anyhow::Result<()> {
    let known = match known {
        Known::Head(Head { len, last: Some(last) }) => Some(KnownActs { acts: *len, last: *last }),
        _ => None,
    };
    let mut acts = Acts::take(store, places)?;
    acts.seal(principal, (Role::REASON, reason), |reason| Act::Loss(Loss { known, reason }))?;
    acts.append()?;
    list(store, places)?;
    head::keep(store, acts::head(store).map_err(store_failure)?, true, places)
}

/// Lists the acts of a store that are not listed yet, and keeps their head; durable when this returns.
pub fn list(store: &SqliteStore, places: &Places) -> anyhow::Result<()> {
    // What cannot be believed is not listed.
    let Ok((opened, _)) = acts::verified(store, &own_trust(places)?).map_err(store_failure)? else {
        return Ok(());
    };
    if opened.is_empty() {
        return Ok(());
    }
    let chain = store.acts().map_err(store_failure)?;
    let Some(record) = store.load(&chain).map_err(store_failure)? else { return Ok(()) };
    let log = store.log_origin().map_err(store_failure)?.to_string();
    let size = store.read_log(|log| log.size()).map_err(store_failure)?;
    let path = path(places);
    let io = |error: std::io::Error| {
        let message = format!("{} cannot be written: {error}", path.display());
        let help = "make room there, or the folder writable; the next command that writes to the store lists the act";
        Failure::host(Diagnostic::error("acts_list_unwritable", message).help(help))
    };
    let mut folder = fs::DirBuilder::new();
    folder.recursive(true).mode(0o700).create(&places.config).map_err(io)?;
    let mut file =
        OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path).map_err(io)?;
    // One process at a time writes to it; the lock ends with the file.
    file.lock().map_err(io)?;
    let text = text_of(&mut file).map_err(io)?;
    let end = whole_lines(&text);
    let known =
        parsed(&text, &chain, record.envelopes.len() as u64).map_err(|error| unreadable(places, &error))?;
    if known.iter().zip(&record.envelopes).any(|(known, act)| known.act != *act) {
        return Err(forked());
    }
    // A line that was cut off is taken out, and one without an end gets it, so that the next begins where
    // a line does.
    if end < text.len() {
        file.set_len(end as u64).map_err(io)?;
    }
    let is_open = text[..end].last().is_some_and(|last| *last != b'\n');
    let mut lines = String::from(if is_open { "\n" } else { "" });
    for (seq, act) in (0..).zip(&record.envelopes).skip(known.len()) {
        let line = Listed { chain: chain.clone(), seq, log: log.clone(), size, act: act.clone() };
        lines.push_str(&serde_json::to_string(&line)?);
        lines.push('\n');
    }
    if !lines.is_empty() {
        file.write_all(lines.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
        File::open(&places.config).and_then(|folder| folder.sync_all()).map_err(io)?;
    }
    fault::point();
    head::keep(store, record.recorded, false, places)
}

/// All of the list.
fn text_of(file: &mut File) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    (&*file).take(MAX_LIST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_LIST {
        return Err(std::io::ErrorKind::FileTooLarge.into());
    }
    Ok(text)
}

/// Does the acts again that a store does not know, as they were signed.
fn catch_up(
    store: &SqliteStore,
    chain: &RunId,
    known: &[Listed],
    places: &Places,
) -> anyhow::Result<CaughtUp> {
    let fence = acts::take(store, chain)?;
    let trust = own_trust(places)?;
    let (done, head) = acts::verified(store, &trust).map_err(store_failure)?.map_err(|bad| bad.failure())?;
    let all: Vec<Vec<u8>> = known.iter().map(|listed| listed.act.clone()).collect();
    let opened = act::verify(chain, &all, &trust).map_err(|fault| {
        let why = std::io::Error::new(std::io::ErrorKind::InvalidData, fault.to_string());
        unreadable(places, &why)
    })?;
    if done.iter().zip(&opened).any(|(done, listed)| done.digest != listed.digest) {
        return Err(forked());
    }
    let mut caught = CaughtUp { acts: opened.len().saturating_sub(done.len()), erased: 0 };
    // All of it is one commit, with the acts of now that it needs: of a part, nobody would know afterwards
    // that something is still to be erased.
    let mut batch = Batch { again: true, ..Batch::default() };
    let mut again: Vec<Erasure> = Vec::new();
    let mut signed_until_now = None;
    for (act, bytes) in opened.iter().zip(all).skip(done.len()) {
        batch.envelopes.push(bytes);
        takes_effect(store, act, &mut batch, (&mut again, &mut signed_until_now), &mut caught, places)?;
    }
    if batch.envelopes.is_empty() {
        // Another process did them since the list was read.
        return Ok(caught);
    }
    caught.erased += erase_again(store, &opened, &again, &mut batch, places)?;
    fault::point();
    let appended = store.append(&fence, head, &batch).map_err(store_failure);
    let failed = match appended {
        Ok(Appended::Committed(_)) => None,
        Ok(Appended::Conflict(Conflict::Held { run })) => Some(held(&run)),
        Ok(Appended::Fenced | Appended::Conflict(_)) => Some(acts::taken()),
        Err(error) => Some(error),
    };
    if let Some(error) = failed {
        // The log has its old name still, and nobody signs under the new one.
        signed_until_now.map(|signer| store.sign_log_as(signer));
        return Err(error);
    }
    fault::point();
    if store.is_erasing().map_err(store_failure)? {
        // Where a reader stands in the way of the purge, the next command that writes to the store tries again.
        erasing::finish(store, &fence, places)?;
    } else {
        list(store, places)?;
    }
    Ok(caught)
}

fn held(run: &RunId) -> anyhow::Error {
    let message = format!(
        "what was erased of run {} has to go again, and a legal hold of the copy lies on it",
        run.short()
    );
    let help = "restore a newer copy, in which it was erased already";
    Failure::denied(Diagnostic::error("erase_held", message).help(help))
}

fn takes_effect(
    store: &SqliteStore,
    act: &OpenedAct,
    batch: &mut Batch,
    (again, signed_until_now): (&mut Vec<Erasure>, &mut Option<NoteSigner>),
    caught: &mut CaughtUp,
    places: &Places,
) -> anyhow::Result<()> {
    let seq = act.predicate.chain.seq;
    // What came after the copy is not here, and nothing can be done to it.
    let run = match act.predicate.act.run() {
        Some(run) => Some(store.load(run).map_err(store_failure)?),
        None => None,
    };
    match (&act.predicate.act, run) {
        (Act::Erasure(erasure), Some(Some(record))) => {
            let known = record.envelopes.len() as u64;
            if erasure.damaged || erasure.refs.iter().all(|value| value.seq < known) {
                caught.erased +=
                    erasure.refs.iter().filter(|value| is_here(&record, value.seq, &value.role)).count();
                let rest_of = (erasure.whole || erasure.key_values > 0).then(|| record.summary.run.clone());
                batch.erases.push(Erases { act: seq, values: erasure.refs.clone(), rest_of });
            } else {
                // The run had not come so far: what an envelope to come commits to was not erased.
                again.push(erasure.clone());
            }
        }
        (Act::Hold(hold), run) => {
            let HoldAct { change, hold, on, .. } = hold;
            if let (HeldOn::Run(run), Some(Some(_))) = (on, &run) {
                batch.effects.push(Effect::Bears { act: seq, run: run.clone() });
            }
            match change {
                HoldChange::Laid if !matches!(run, Some(None)) => {
                    let words = format!("said in act {seq}; the words were lost with the store");
                    let (since, by) = (act.predicate.time, act.predicate.principal.as_str());
                    let laid =
                        store.sealed_hold(*hold, on.clone(), since, by, &words).map_err(store_failure)?;
                    batch.effects.push(Effect::Lay(laid));
                }
                // What it lies on is not here; no other hold gets its number.
                HoldChange::Laid => batch.effects.push(Effect::Number { hold: *hold }),
                HoldChange::Ended => batch.effects.push(Effect::End { hold: *hold }),
            }
        }
        (Act::Ending(ending), Some(Some(_))) => {
            batch.effects.push(Effect::Bears { act: seq, run: ending.run.clone() });
        }
        (Act::Log(log), _) => {
            let origin = log.to.name().clone();
            let folder = crate::log_keys(&origin, true, places);
            let key = log_key(&folder).map_err(store_failure)?;
            if key.public() != log.to.key() {
                return Err(crate::log_key_missing(&folder));
            }
            let before = store.sign_log_as(NoteSigner::new(origin.clone(), Kind::Ed25519, key));
            if signed_until_now.is_none() {
                *signed_until_now = before;
            }
            batch.effects.push(Effect::Log { origin });
        }
        (Act::Erasure(_) | Act::Key(_) | Act::Ending(_) | Act::Loss(_), _) => {}
    }
    Ok(())
}

fn is_here(record: &RunRecord, seq: u64, role: &Role) -> bool {
    let stored =
        record.contents.iter().find(|stored| stored.place.seq == seq && stored.place.role == role.as_str());
    stored.is_some_and(|stored| !matches!(stored.content, Err(VaultError::Erased { .. })))
}

/// Has a batch erase what is here of runs that had not come as far in this copy, by acts of now that say
/// so: they follow those of the list.
fn erase_again(
    store: &SqliteStore,
    listed: &[OpenedAct],
    erasures: &[Erasure],
    batch: &mut Batch,
    places: &Places,
) -> anyhow::Result<usize> {
    let mut wanted: BTreeMap<RunId, Vec<&Erasure>> = BTreeMap::new();
    for erasure in erasures {
        if let Some(run) = erasure.run() {
            wanted.entry(run.clone()).or_default().push(erasure);
        }
    }
    let mut chain = None;
    let mut again = 0;
    let who = Principal::new("local")?;
    for (run, erasures) in wanted {
        let Some(record) = store.load(&run).map_err(store_failure)? else { continue };
        let known = record.envelopes.len() as u64;
        let mut refs: Vec<_> = erasures.iter().flat_map(|erasure| &erasure.refs).cloned().collect();
        refs.retain(|value| value.seq < known);
        refs.sort();
        refs.dedup();
        let first = refs.first().cloned();
        // What an act of the list erases is gone by that.
        let gone: BTreeSet<_> = batch.erases.iter().flat_map(|erases| &erases.values).collect();
        refs.retain(|value| is_here(&record, value.seq, &value.role) && !gone.contains(value));
        let whole = erasures.iter().any(|erasure| erasure.whole || erasure.key_values > 0)
            && !batch.erases.iter().any(|erases| erases.rest_of.as_ref() == Some(&run));
        let key_values = if whole { store.kv_of(&run).map_err(store_failure)? } else { 0 };
        again += refs.len();
        if refs.is_empty() && whole {
            // The rest has to go though no value is left: an act names one at least.
            refs.extend(first);
        }
        let basis = erasures[0].basis;
        for (at, refs) in refs.chunks(Erasure::MAX_REFS).enumerate() {
            if chain.is_none() {
                let signer = signing::current(places)?.signer;
                chain = Some(acts::reopened(store.acts().map_err(store_failure)?, listed, signer)?);
            }
            let Some(chain) = &mut chain else { continue };
            let whole = whole && at == 0;
            let (salt, words) = (acts::fresh_salt()?, "erased before the store was restored");
            let act = chain.next_seq();
            let sealed = chain.seal(ledger::now(), &who, salt, (Role::REASON, words), |reason| {
                Act::Erasure(Erasure {
                    refs: refs.to_vec(),
                    key_values: if whole { key_values } else { 0 },
                    whole,
                    damaged: false,
                    basis,
                    approver: None,
                    reason,
                })
            })?;
            batch.envelopes.push(sealed.bytes);
            batch.contents.extend(sealed.contents);
            let rest_of = whole.then(|| run.clone());
            batch.erases.push(Erases { act, values: refs.to_vec(), rest_of });
        }
    }
    Ok(again)
}
