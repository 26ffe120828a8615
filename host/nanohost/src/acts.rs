//! The chain of acts of this store as the host writes it: taken, verified, gone on with. What an act
//! means for content is said by who does it. Knows no command line.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nanohost_core::act::{self, Act, ActChain, Erasure, KeyChanges, OpenedAct};
use nanohost_core::trace::FaultKind;
use nanohost_core::{
    Commitment, Diagnostic, KeyId, KeyTrust, Principal, PublicKey, Role, RunId, Salt, Signer, TrustRoot,
    Validity,
};
use nanohost_store::{
    Appended, Batch, Conflict, Effect, Erases, Fence, Head, Journal as _, Logged, Records, RunRecord,
    SqliteStore, StoreError, StoredAct, Taken,
};

use crate::commands::own_trust;
use crate::failure::{Exit, Failure};
use crate::fault;
use crate::ledger;
use crate::project::Places;
use crate::{outside, signing, store_failure};

#[cfg(test)]
mod tests;

/// How long to wait for another process that is at an act: each takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two looks whether the other process is done.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// The end of the chain of acts, owned by this process.
pub struct Acts<'s> {
    store: &'s SqliteStore,
    fence: Fence,
    chain: ActChain,
    head: Head,
    changes: KeyChanges,
    pending: Batch,
}

impl<'s> Acts<'s> {
    /// Takes the chain and verifies all of it: nothing is added to a chain that is not good.
    pub fn take(store: &'s SqliteStore, places: &Places) -> anyhow::Result<Self> {
        Self::take_as(store, signing::current(places)?.signer, places)
    }

    /// The same, with a key that was opened before.
    pub fn take_as(store: &'s SqliteStore, signer: Signer, places: &Places) -> anyhow::Result<Self> {
        let id = store.acts().map_err(store_failure)?;
        let fence = take(store, &id)?;
        // Read after it was taken: nobody else writes to it any more.
        let (done, head) =
            verified(store, &own_trust(places)?).map_err(store_failure)?.map_err(|bad| bad.failure())?;
        let changes = KeyChanges::of(&done);
        let chain = reopened(id, &done, signer)?;
        Ok(Self { store, fence, chain, head, changes, pending: Batch::default() })
    }

    /// Whether a key was retired.
    pub fn retired(&self, id: &KeyId) -> bool {
        self.changes.retired.contains_key(id)
    }

    /// Signs what follows with another key.
    pub fn sign_with(&mut self, key: Signer) {
        self.chain.sign_with(Arc::new(key));
    }

    /// That this process owns the chain.
    pub fn fence(&self) -> &Fence {
        &self.fence
    }

    /// Seals an act by which values go with the commit of it.
    pub fn erase(
        &mut self,
        principal: &Principal,
        words: (Role, &str),
        rest_of: Option<RunId>,
        erasure: impl FnOnce(Commitment) -> Erasure,
    ) -> anyhow::Result<()> {
        let act = self.chain.next_seq();
        let mut values = Vec::new();
        self.seal(principal, words, |reason| {
            let erasure = erasure(reason);
            values.clone_from(&erasure.refs);
            Act::Erasure(erasure)
        })?;
        self.pending.erases.push(Erases { act, values, rest_of });
        Ok(())
    }

    /// Seals an act. `words` are kept as content, under `role`.
    pub fn seal(
        &mut self,
        principal: &Principal,
        (role, words): (Role, &str),
        act: impl FnOnce(Commitment) -> Act,
    ) -> anyhow::Result<()> {
        let sealed = self.chain.seal(ledger::now(), principal, fresh_salt()?, (role, words), act)?;
        self.pending.envelopes.push(sealed.bytes);
        self.pending.contents.extend(sealed.contents);
        Ok(())
    }

    /// The position of the act that is sealed next.
    pub fn next_seq(&self) -> u64 {
        self.chain.next_seq()
    }

    /// Has the acts that are sealed do something to the store, with the commit of them.
    pub fn effect(&mut self, effect: Effect) {
        self.pending.effects.push(effect);
    }

    /// Puts everything sealed so far on disk, in the store and in the list outside of it, as
    /// [`Acts::append`] does.
    pub fn commit(&mut self, places: &Places) -> anyhow::Result<Option<RunId>> {
        let held = self.append()?;
        if held.is_none() {
            outside::list(self.store, places)?;
        }
        Ok(held)
    }

    /// Puts everything sealed so far on disk, in one transaction; nothing of it where a legal hold lies
    /// on a run that values were to go of, which is then told. Not listed outside of the store yet: for
    /// who does that next.
    pub fn append(&mut self) -> anyhow::Result<Option<RunId>> {
        if self.pending.envelopes.is_empty() {
            return Ok(None);
        }
        let batch = std::mem::take(&mut self.pending);
        fault::point();
        match self.store.append(&self.fence, self.head, &batch).map_err(store_failure)? {
            Appended::Committed(head) => self.head = head,
            Appended::Conflict(Conflict::Held { run }) => return Ok(Some(run)),
            Appended::Fenced | Appended::Conflict(_) => return Err(taken()),
        }
        fault::point();
        Ok(None)
    }
}

/// The chain after these acts, which verified; refused to a key that they retired.
pub fn reopened(id: RunId, done: &[OpenedAct], signer: Signer) -> anyhow::Result<ActChain> {
    let key = signer.public().key_id();
    if KeyChanges::of(done).retired.contains_key(&key) {
        return Err(retired(&key));
    }
    Ok(ActChain::reopen(id, done, Arc::new(signer)))
}

/// What the words of one act are committed to with.
pub fn fresh_salt() -> anyhow::Result<Salt> {
    let mut salt = [0; 32];
    getrandom::fill(&mut salt)
        .map_err(|error| anyhow::Error::new(error).context("the operating system gives no randomness"))?;
    Ok(Salt::from_bytes(salt))
}

/// The chain of acts, for this process alone.
pub fn take(store: &SqliteStore, id: &RunId) -> anyhow::Result<Fence> {
    let begin = Instant::now();
    loop {
        match store.take(id).map_err(store_failure)? {
            Taken::Owned(fence) => return Ok(fence),
            Taken::Live if begin.elapsed() < PATIENCE => std::thread::sleep(BETWEEN_LOOKS),
            Taken::Live | Taken::Unknown => return Err(taken()),
        }
    }
}

/// The failure where another process has it.
pub fn taken() -> anyhow::Error {
    Failure::host(
        Diagnostic::error("store_busy", "another process is changing what this store did")
            .help("try again when the other process is done with the store"),
    )
}

/// Why the acts of a store are not believed.
#[derive(Debug)]
pub struct BadActs {
    why: String,
    /// Whether something is gone, rather than changed.
    pub is_missing: bool,
    is_untrusted: bool,
}

/// What the acts of a store say of keys, by where they stand in its log.
#[derive(Debug, Default)]
pub struct KeyPlaces {
    /// The keys that were introduced.
    pub introduced: BTreeMap<KeyId, (PublicKey, u64)>,
    /// Those that were retired.
    pub retired: BTreeMap<KeyId, u64>,
}

impl KeyPlaces {
    /// The part of the log for which a key counts, of what somebody who trusts it says.
    pub fn bounded(&self, id: &KeyId, trusted: Option<Validity>) -> Validity {
        let Validity { from, until } = trusted.unwrap_or(Validity::ALL);
        let retired = self.retired.get(id).copied();
        Validity { from, until: until.into_iter().chain(retired).min() }
    }
}

/// What the acts of a store say of keys, where they verify.
pub fn keys<S: Records + Logged>(
    store: &S,
    trust: &TrustRoot,
) -> Result<Result<KeyPlaces, BadActs>, StoreError> {
    // Most stores have none.
    if head(store)?.len == 0 {
        return Ok(Ok(KeyPlaces::default()));
    }
    let acts = match verified(store, trust)? {
        Ok((acts, _)) => acts,
        Err(bad) => return Ok(Err(bad)),
    };
    let (changes, chain) = (KeyChanges::of(&acts), store.acts()?);
    let mut places = KeyPlaces::default();
    // What does not stand in the log has no place: `log fsck` says so; the key counts for nothing then.
    store.read_log(|log| {
        for (id, (key, seq)) in changes.introduced {
            let at = log.find(&chain, seq)?.unwrap_or(u64::MAX);
            places.introduced.insert(id, (key, at));
        }
        for (id, seq) in changes.retired {
            places.retired.insert(id, log.find(&chain, seq)?.unwrap_or(0));
        }
        Ok(())
    })?;
    Ok(Ok(places))
}

/// Refuses to sign with a key that the acts of this store retired.
pub fn refuse_retired<S: Records + Logged>(store: &S, id: &KeyId, places: &Places) -> anyhow::Result<()> {
    if is_retired(store, id, places)? { Err(retired(id)) } else { Ok(()) }
}

/// Whether the acts of this store retired a key. What does not verify may have, and is refused.
pub fn is_retired<S: Records + Logged>(store: &S, id: &KeyId, places: &Places) -> anyhow::Result<bool> {
    let keys = keys(store, &own_trust(places)?).map_err(store_failure)?.map_err(|bad| bad.failure())?;
    Ok(keys.retired.contains_key(id))
}

fn retired(id: &KeyId) -> anyhow::Error {
    let message = format!("the key {id} was retired: nothing that it signs in this store counts any more");
    let help = format!(
        "let the key sign that followed it (`{0} key show`); a run that the retired one began cannot go on: \
         `{0} cancel RUN --reason TEXT` ends it",
        crate::console::program_name()
    );
    Failure::host(Diagnostic::error("key_retired", message).help(help))
}

/// The keys that somebody trusts, and those that such keys introduced, where they follow.
pub fn followed<S: Records + Logged>(store: &S, trusted: &KeyTrust) -> Result<TrustRoot, StoreError> {
    let root = trusted.root();
    if !trusted.follows() {
        return Ok(root);
    }
    // Acts that do not verify introduce nobody; the check of the run's key says that they do not.
    let introduced = keys(store, &root)?.map_or_else(|_| BTreeMap::new(), |keys| keys.introduced);
    Ok(root.with(introduced.into_values().map(|(key, _)| key)))
}

/// How many acts the store recorded, and the last of them.
pub fn head(store: &impl Records) -> Result<Head, StoreError> {
    let id = store.acts()?;
    store.head(&id)?.ok_or(StoreError::Misuse { what: "a store without a chain of acts" })
}

fn record(store: &impl Records) -> Result<RunRecord, StoreError> {
    let id = store.acts()?;
    store.load(&id)?.ok_or(StoreError::Misuse { what: "a store without a chain of acts" })
}

/// A run as it lies in the store, with the acts about keys before the last that erased from it: these say
/// for whom the keys of those may speak.
pub fn load(store: &impl Records, run: &RunId) -> Result<Option<RunRecord>, StoreError> {
    let Some(mut found) = store.load(run)? else { return Ok(None) };
    if !found.acts.is_empty() {
        join(&mut found, &about_keys(store)?);
    }
    Ok(Some(found))
}

/// The acts of a store that say of themselves that they are about keys. Verified by nobody here.
pub fn about_keys(store: &impl Records) -> Result<Vec<StoredAct>, StoreError> {
    let acts = (0..).zip(record(store)?.envelopes);
    let about_keys = acts.filter(|(_, envelope)| act::is_about_keys(envelope));
    Ok(about_keys.map(|(seq, envelope)| StoredAct { seq, envelope }).collect())
}

/// Adds to the acts of a run those about keys that the last of them may need.
pub fn join(record: &mut RunRecord, about_keys: &[StoredAct]) {
    let Some(last) = record.acts.last().map(|last| last.seq) else { return };
    record.acts.extend(about_keys.iter().take_while(|act| act.seq < last).cloned());
    record.acts.sort_by_key(|act| act.seq);
}

/// The acts of a store, judged, and the head of their chain.
pub fn verified(
    store: &impl Records,
    trust: &TrustRoot,
) -> Result<Result<(Vec<OpenedAct>, Head), BadActs>, StoreError> {
    let record = record(store)?;
    let opened = match act::verify(&record.summary.run, &record.envelopes, trust) {
        Ok(opened) => opened,
        Err(fault) => {
            let why = fault.to_string();
            return Ok(Err(BadActs { why, is_missing: false, is_untrusted: fault.untrusted }));
        }
    };
    let Head { len, last } = record.recorded;
    if (len, last) != (opened.len() as u64, opened.last().map(|last| last.digest)) {
        let why = format!("the store recorded {len} of them, and {} are here", opened.len());
        return Ok(Err(BadActs { why, is_missing: true, is_untrusted: false }));
    }
    Ok(Ok((opened, record.recorded)))
}

impl std::fmt::Display for BadActs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the acts of this store do not verify: {}", self.why)
    }
}

impl BadActs {
    /// What kind of damage that is.
    pub fn kind(&self) -> FaultKind {
        match self {
            Self { is_missing: true, .. } => FaultKind::Truncated,
            Self { is_untrusted: true, .. } => FaultKind::UntrustedKey,
            _ => FaultKind::Tampered,
        }
    }

    /// What a command says of it.
    pub fn failure(&self) -> anyhow::Error {
        let exit = match self {
            Self { is_missing: true, .. } => Exit::Truncated,
            Self { is_untrusted: true, .. } => Exit::Untrusted,
            _ => Exit::Tampered,
        };
        let finding = Diagnostic::error("acts_bad", self.to_string())
            .help("restore the newest copy of the store that is whole");
        Failure { exit, findings: finding.into() }.into()
    }
}
