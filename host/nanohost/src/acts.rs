//! The chain of acts of this store as the host writes it: taken, verified, gone on with. What an act
//! means for content is said by who does it. Knows no command line.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nanohost_core::act::{self, Act, ActChain, OpenedAct};
use nanohost_core::{Commitment, Diagnostic, Principal, Role, RunId, Salt, TrustRoot};
use nanohost_store::{
    Appended, Batch, Fence, Head, Journal as _, Records, RunRecord, SqliteStore, StoreError, Taken,
    development_key,
};

use crate::commands::own_trust;
use crate::failure::{Exit, Failure};
use crate::fault;
use crate::ledger;
use crate::project::Places;
use crate::store_failure;

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
    pending: Batch,
}

#[cfg_attr(not(test), expect(dead_code, reason = "the commands that act follow"))]
impl<'s> Acts<'s> {
    /// Takes the chain and verifies all of it: nothing is added to a chain that is not good.
    pub fn take(store: &'s SqliteStore, places: &Places) -> anyhow::Result<Self> {
        let id = store.acts().map_err(store_failure)?;
        let fence = take(store, &id)?;
        // Read after it was taken: nobody else writes to it any more.
        let (done, head) =
            verified(store, &own_trust(places)?).map_err(store_failure)?.map_err(|bad| bad.failure())?;
        let key = development_key(&places.keys()).map_err(store_failure)?;
        let chain = ActChain::reopen(id, &done, Arc::new(key.signer));
        Ok(Self { store, fence, chain, head, pending: Batch::default() })
    }

    /// The position of the next act.
    pub fn next_seq(&self) -> u64 {
        self.chain.next_seq()
    }

    /// Seals an act. `words` are kept as content, under `role`.
    pub fn seal(
        &mut self,
        principal: &Principal,
        (role, words): (Role, &str),
        act: impl FnOnce(Commitment) -> Act,
    ) -> anyhow::Result<()> {
        let mut salt = [0; 32];
        getrandom::fill(&mut salt)
            .map_err(|error| anyhow::Error::new(error).context("the operating system gives no randomness"))?;
        let salt = Salt::from_bytes(salt);
        let sealed = self.chain.seal(ledger::now(), principal, salt, (role, words), act)?;
        self.pending.envelopes.push(sealed.bytes);
        self.pending.contents.extend(sealed.contents);
        Ok(())
    }

    /// Puts everything sealed so far on disk, in one transaction.
    pub fn commit(&mut self) -> anyhow::Result<()> {
        if self.pending.envelopes.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.pending);
        fault::point();
        match self.store.append(&self.fence, self.head, &batch).map_err(store_failure)? {
            Appended::Committed(head) => self.head = head,
            Appended::Fenced | Appended::Conflict(_) => return Err(taken()),
        }
        fault::point();
        Ok(())
    }
}

fn take(store: &SqliteStore, id: &RunId) -> anyhow::Result<Fence> {
    let begin = Instant::now();
    loop {
        match store.take(id).map_err(store_failure)? {
            Taken::Owned(fence) => return Ok(fence),
            Taken::Live if begin.elapsed() < PATIENCE => std::thread::sleep(BETWEEN_LOOKS),
            Taken::Live | Taken::Unknown => return Err(taken()),
        }
    }
}

fn taken() -> anyhow::Error {
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

/// How many acts the store recorded, and the last of them.
pub fn head(store: &impl Records) -> Result<Head, StoreError> {
    Ok(record(store)?.recorded)
}

fn record(store: &impl Records) -> Result<RunRecord, StoreError> {
    let id = store.acts()?;
    store.load(&id)?.ok_or(StoreError::Misuse { what: "a store without a chain of acts" })
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
    fn failure(&self) -> anyhow::Error {
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
