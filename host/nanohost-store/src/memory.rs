//! A journal in memory, with the same promises but durability: for tests, and for the proof
//! that the traits are not SQLite in disguise. Knows no encryption: nothing outlives the process.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nanohost_core::{Content, Digest, Role, RunId, Timestamp};

use crate::batch::{Batch, Effect, Erases, KvCommit, KvEntry, KvKey, KvScope, Phase};
use crate::error::StoreError;
use crate::idempotency::{IdempotencyScope, Reservation, settle};
use crate::journal::{Appended, Begun, Conflict, Fence, Head, Journal, OpenRun, Records, StartKey, Taken};
use crate::record::{
    Found, MAX_CANDIDATES, Place, RunRecord, RunState, RunSummary, StoredAct, StoredContent, VaultError,
};
use crate::resume_token::ResumeToken;

/// A journal in memory.
#[derive(Debug)]
pub struct MemoryStore {
    acts: RunId,
    shelf: Mutex<Shelf>,
    owned: Arc<Mutex<HashSet<RunId>>>,
}

#[derive(Debug, Default)]
struct Shelf {
    runs: BTreeMap<RunId, Kept>,
    /// Each with the run that wrote it.
    kv: BTreeMap<(KvScope, KvKey), (RunId, KvEntry)>,
    /// The last version given to a value.
    version: u64,
    reservations: BTreeMap<IdempotencyScope, Reservation>,
}

#[derive(Debug)]
struct Kept {
    open: OpenRun,
    epoch: u64,
    head: Head,
    phase: Phase,
    envelopes: Vec<Vec<u8>>,
    contents: BTreeMap<(u64, Role), Content>,
    /// The acts that bear on it.
    acts: BTreeSet<u64>,
    /// The act that erased a value.
    erased: BTreeMap<(u64, Role), u64>,
    /// Digests of tokens, by suspension and holder: comparing them tells nothing of a token.
    tokens: BTreeMap<(u64, String), Digest>,
    stop: Option<String>,
}

/// Ownership of a run in this process.
struct Hold {
    run: RunId,
    owned: Arc<Mutex<HashSet<RunId>>>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        lock(&self.owned).remove(&self.run);
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Kept {
    /// A run of which there is nothing yet.
    fn begun(open: OpenRun) -> Self {
        Self {
            open,
            epoch: 1,
            head: Head::EMPTY,
            phase: Phase::Open,
            envelopes: Vec::new(),
            contents: BTreeMap::new(),
            acts: BTreeSet::new(),
            erased: BTreeMap::new(),
            tokens: BTreeMap::new(),
            stop: None,
        }
    }
}

impl MemoryStore {
    /// An empty journal.
    pub fn new() -> Self {
        // It is the only one that anybody here sees: its chain needs no random name.
        let acts = RunId::from_random([0; 16]);
        let open =
            OpenRun { program: String::new(), opened: Timestamp::from_millis(0), start: None, subject: None };
        let mut shelf = Shelf::default();
        shelf.runs.insert(acts.clone(), Kept::begun(open));
        Self { acts, shelf: Mutex::new(shelf), owned: Arc::default() }
    }

    fn hold(&self, run: &RunId) -> Option<Hold> {
        let fresh = lock(&self.owned).insert(run.clone());
        fresh.then(|| Hold { run: run.clone(), owned: Arc::clone(&self.owned) })
    }

    fn summary(&self, run: &RunId, kept: &Kept) -> Result<RunSummary, StoreError> {
        Ok(RunSummary {
            run: run.clone(),
            program: kept.open.program.clone(),
            opened: kept.open.opened,
            len: kept.head.len,
            state: RunState::of(kept.phase.clone(), || self.is_live(run))?,
        })
    }
}

impl Records for MemoryStore {
    fn load(&self, run: &RunId) -> Result<Option<RunRecord>, StoreError> {
        let shelf = lock(&self.shelf);
        let Some(kept) = shelf.runs.get(run) else { return Ok(None) };
        let place = |seq: &u64, role: &Role| Place { run: run.clone(), seq: *seq, role: role.to_string() };
        let there = kept.contents.iter().map(|((seq, role), content)| StoredContent {
            place: place(seq, role),
            content: Ok(content.clone()),
        });
        let gone = kept.erased.keys().map(|(seq, role)| StoredContent {
            place: place(seq, role),
            content: Err(VaultError::Erased { place: place(seq, role) }),
        });
        let mut contents: Vec<StoredContent> = there.chain(gone).collect();
        contents.sort_by(|a, b| a.place.cmp(&b.place));
        let acts = kept.acts.iter().copied();
        let chain = shelf.runs.get(&self.acts).map_or(&[][..], |acts| &acts.envelopes);
        let acts = acts.filter_map(|seq| {
            let envelope = chain.get(usize::try_from(seq).ok()?)?.clone();
            Some(StoredAct { seq, envelope })
        });
        Ok(Some(RunRecord {
            summary: self.summary(run, kept)?,
            recorded: kept.head,
            envelopes: kept.envelopes.clone(),
            contents,
            acts: acts.collect(),
        }))
    }

    fn head(&self, run: &RunId) -> Result<Option<Head>, StoreError> {
        Ok(lock(&self.shelf).runs.get(run).map(|kept| kept.head))
    }

    fn opening(&self, run: &RunId) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(lock(&self.shelf).runs.get(run).and_then(|kept| kept.envelopes.first().cloned()))
    }

    fn runs(&self) -> Result<Vec<RunSummary>, StoreError> {
        let shelf = lock(&self.shelf);
        let listed = shelf.runs.iter().filter(|(run, _)| **run != self.acts);
        let mut runs: Vec<RunSummary> =
            listed.map(|(run, kept)| self.summary(run, kept)).collect::<Result<_, _>>()?;
        runs.sort_by(|a, b| (b.opened, &b.run).cmp(&(a.opened, &a.run)));
        Ok(runs)
    }

    fn find(&self, prefix: &str) -> Result<Found, StoreError> {
        let shelf = lock(&self.shelf);
        let listed = shelf.runs.keys().filter(|run| **run != self.acts);
        let matches = listed.filter(|run| run.as_str().starts_with(prefix));
        Ok(Found::from_matches(matches.take(MAX_CANDIDATES).cloned().collect()))
    }

    fn acts(&self) -> Result<RunId, StoreError> {
        Ok(self.acts.clone())
    }

    fn is_live(&self, run: &RunId) -> Result<bool, StoreError> {
        Ok(lock(&self.owned).contains(run))
    }

    fn kv_get(&self, scope: &KvScope, at: &KvKey) -> Result<Option<KvEntry>, StoreError> {
        Ok(lock(&self.shelf).kv.get(&(scope.clone(), at.clone())).map(|(_, entry)| entry.clone()))
    }

    fn kv_list(&self, scope: &KvScope, namespace: &str) -> Result<Vec<(String, u64)>, StoreError> {
        let shelf = lock(&self.shelf);
        let entries = shelf.kv.iter().filter(|((s, at), _)| s == scope && at.namespace == namespace);
        Ok(entries.map(|((_, at), (_, entry))| (at.key.clone(), entry.version)).collect())
    }

    fn kv_held(&self, scope: &KvScope) -> Result<u64, StoreError> {
        let shelf = lock(&self.shelf);
        let entries = shelf.kv.iter().filter(|((own, _), _)| own == scope);
        Ok(entries.map(|((_, at), (_, entry))| (at.key.len() + entry.value.len()) as u64).sum())
    }

    fn recorded(&self, scope: &IdempotencyScope) -> Result<Option<Reservation>, StoreError> {
        Ok(lock(&self.shelf).reservations.get(scope).cloned())
    }

    fn token_fits(
        &self,
        run: &RunId,
        suspension: u64,
        holder: &str,
        token: &str,
    ) -> Result<bool, StoreError> {
        let shelf = lock(&self.shelf);
        let kept = shelf.runs.get(run).and_then(|kept| kept.tokens.get(&(suspension, holder.to_owned())));
        Ok(kept == Some(&Digest::of(token.as_bytes())))
    }

    fn asked_to_stop(&self, run: &RunId) -> Result<Option<String>, StoreError> {
        Ok(lock(&self.shelf).runs.get(run).and_then(|kept| kept.stop.clone()))
    }
}

impl Journal for MemoryStore {
    fn begin(&self, run: &RunId, open: &OpenRun) -> Result<Begun, StoreError> {
        let mut shelf = lock(&self.shelf);
        if let Some(start) = &open.start
            && let Some((run, first)) = shelf.started(start)
        {
            return Ok(Begun::Held { run: run.clone(), same: first.of == start.of });
        }
        let taken = || StoreError::RunExists { run: run.clone() };
        if shelf.runs.contains_key(run) {
            return Err(taken());
        }
        let hold = self.hold(run).ok_or_else(taken)?;
        shelf.runs.insert(run.clone(), Kept::begun(open.clone()));
        Ok(Begun::Owned(Fence::new(run.clone(), 1, hold)))
    }

    fn take(&self, run: &RunId) -> Result<Taken, StoreError> {
        let mut shelf = lock(&self.shelf);
        let Some(kept) = shelf.runs.get_mut(run) else { return Ok(Taken::Unknown) };
        let Some(hold) = self.hold(run) else { return Ok(Taken::Live) };
        kept.epoch += 1;
        Ok(Taken::Owned(Fence::new(run.clone(), kept.epoch, hold)))
    }

    fn forget(&self, fence: Fence) -> Result<bool, StoreError> {
        let mut shelf = lock(&self.shelf);
        let run = fence.run();
        let empty =
            shelf.runs.get(run).is_some_and(|kept| kept.epoch == fence.epoch() && kept.envelopes.is_empty());
        if empty {
            shelf.runs.remove(run);
        }
        Ok(empty)
    }

    fn append(&self, fence: &Fence, expected: Head, batch: &Batch) -> Result<Appended, StoreError> {
        batch.check(expected.len)?;
        let mut shelf = lock(&self.shelf);
        let shelf = &mut *shelf;
        let run = fence.run();
        let Some(kept) = shelf.runs.get_mut(run) else { return Ok(Appended::Fenced) };
        if kept.epoch != fence.epoch() {
            return Ok(Appended::Fenced);
        }
        if kept.head != expected {
            return Ok(Appended::Conflict(Conflict::Head { actual: kept.head }));
        }
        if let Some(at) = batch.kv.as_ref().and_then(|kv| changed_read(&shelf.kv, kv)) {
            return Ok(Appended::Conflict(Conflict::Kv { at: at.clone() }));
        }
        let settled = match &batch.idempotency {
            None => None,
            Some(claim) => match settle(claim, run, shelf.reservations.get(&claim.scope).cloned()) {
                Ok(next) => Some((claim.scope.clone(), next)),
                Err(holder) => return Ok(Appended::Conflict(Conflict::Idempotency { holder })),
            },
        };

        // Everything fits: from here on nothing can fail.
        match settled {
            Some((scope, Some(next))) => drop(shelf.reservations.insert(scope, next)),
            Some((scope, None)) => drop(shelf.reservations.remove(&scope)),
            None => {}
        }
        if let Some(kv) = &batch.kv {
            for write in &kv.writes {
                let place = (kv.scope.clone(), write.at.clone());
                match &write.value {
                    Some(value) => {
                        shelf.version += 1;
                        let entry = KvEntry { value: value.clone(), version: shelf.version };
                        shelf.kv.insert(place, (run.clone(), entry));
                    }
                    None => drop(shelf.kv.remove(&place)),
                }
            }
        }
        for envelope in &batch.envelopes {
            kept.head = kept.head.after(envelope);
            kept.envelopes.push(envelope.clone());
        }
        for content in &batch.contents {
            kept.contents.insert((content.seq, content.role.clone()), content.clone());
        }
        let (erases, effects) = (&batch.erases, &batch.effects);
        if let Some(phase) = &batch.phase {
            kept.phase = phase.clone();
            if matches!(phase, Phase::Open | Phase::Closed(_)) {
                kept.tokens.clear();
            }
            if matches!(phase, Phase::Closed(_)) {
                kept.stop = None;
            }
        }
        let head = kept.head;
        for Erases { act, values, rest_of } in erases {
            for value in values {
                if let Some(kept) = shelf.runs.get_mut(&value.run) {
                    let place = (value.seq, value.role.clone());
                    kept.contents.remove(&place);
                    kept.erased.entry(place).or_insert(*act);
                }
            }
            for run in values.iter().map(|value| &value.run).chain(rest_of) {
                if let Some(kept) = shelf.runs.get_mut(run) {
                    kept.acts.insert(*act);
                }
            }
            if let Some(run) = rest_of {
                shelf.kv.retain(|_, (writer, _)| writer != run);
                shelf.runs.entry(run.clone()).and_modify(|kept| kept.stop = None);
            }
        }
        for effect in effects {
            // Holds and the log's name are no part of a journal.
            if let Effect::Bears { act, run } = effect
                && let Some(kept) = shelf.runs.get_mut(run)
            {
                kept.acts.insert(*act);
            }
        }
        Ok(Appended::Committed(head))
    }

    fn hand_out_token(
        &self,
        run: &RunId,
        suspension: u64,
        holder: &str,
        renew: bool,
    ) -> Result<Option<ResumeToken>, StoreError> {
        let mut shelf = lock(&self.shelf);
        let Some(kept) = shelf.runs.get_mut(run) else { return Ok(None) };
        let place = (suspension, holder.to_owned());
        if !matches!(kept.phase, Phase::Suspended { .. }) || (kept.tokens.contains_key(&place) && !renew) {
            return Ok(None);
        }
        let (token, _) = ResumeToken::draw()?;
        kept.tokens.insert(place, Digest::of(token.as_str().as_bytes()));
        Ok(Some(token))
    }

    fn ask_to_stop(&self, run: &RunId, reason: &str) -> Result<(), StoreError> {
        match lock(&self.shelf).runs.get_mut(run) {
            Some(kept) if !matches!(kept.phase, Phase::Closed(_)) => {
                kept.stop.get_or_insert_with(|| reason.to_owned());
            }
            _ => {}
        }
        Ok(())
    }
}

impl Shelf {
    /// The run that was started with a key, and what that start was.
    fn started(&self, start: &StartKey) -> Option<(&RunId, &StartKey)> {
        let starts = self.runs.iter().filter_map(|(run, kept)| Some((run, kept.open.start.as_ref()?)));
        starts.into_iter().find(|(_, first)| (&first.principal, &first.key) == (&start.principal, &start.key))
    }
}

/// The first value that is no longer what the call saw.
fn changed_read<'kv>(
    kept: &BTreeMap<(KvScope, KvKey), (RunId, KvEntry)>,
    kv: &'kv KvCommit,
) -> Option<&'kv KvKey> {
    kv.reads
        .iter()
        .find(|read| {
            kept.get(&(kv.scope.clone(), read.at.clone())).map(|(_, entry)| entry.version) != read.version
        })
        .map(|read| &read.at)
}

/// A panic elsewhere leaves the maps whole: every change above is made after the last check.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
