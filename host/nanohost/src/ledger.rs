//! The journal of one run as the host writes it: seals, batches, commits. What nothing depends on
//! yet waits for the next commit; what an effect or an answer depends on does not.
//! Knows no sandbox and no model.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nanohost_core::envelope::{Chain, Committer, Kind, Observed, Parts, Sealed};
use nanohost_core::run::{Event, Run};
use nanohost_core::{Diagnostic, Digest, KeyId, RunId, Salt, Timestamp};
use nanohost_store::{
    Appended, Batch, Claim, Conflict, Fate, Fence, Head, Journal as _, KvCommit, Phase, SqliteStore,
};

use crate::console::program_name;
use crate::failure::Failure;
use crate::fault;
use crate::store_failure;

/// Envelopes that wait for the next commit, at most: bounds what a crash can make a reader miss of
/// the steps that had no effect.
const MAX_PENDING: usize = 64;

/// The journal of one run: seals, batches and commits.
pub struct Ledger {
    store: Arc<SqliteStore>,
    fence: Fence,
    chain: Chain,
    head: Head,
    pending: Batch,
    last: Timestamp,
    waited: Duration,
}

impl Ledger {
    /// The journal of a run that was just begun.
    pub fn new(store: Arc<SqliteStore>, fence: Fence, chain: Chain, opened: Timestamp) -> Self {
        Self {
            store,
            fence,
            chain,
            head: Head::EMPTY,
            pending: Batch::default(),
            last: opened,
            waited: Duration::ZERO,
        }
    }

    /// The journal of a run that another process began, at its end.
    pub fn reopen(store: Arc<SqliteStore>, fence: Fence, chain: Chain, head: Head, last: Timestamp) -> Self {
        Self { store, fence, chain, head, pending: Batch::default(), last, waited: Duration::ZERO }
    }

    /// Now, and never before the last envelope.
    pub fn now(&mut self) -> Timestamp {
        self.last = self.last.max(now());
        self.last
    }

    /// The run.
    pub fn run(&self) -> &RunId {
        self.chain.run()
    }

    /// The store that it is written to.
    pub fn store(&self) -> &Arc<SqliteStore> {
        &self.store
    }

    /// The sequence number of the next envelope.
    pub fn next_seq(&self) -> u64 {
        self.chain.next_seq()
    }

    /// The key that signs.
    pub fn key(&self) -> KeyId {
        self.chain.key()
    }

    /// Binds all later envelopes to the capability table.
    pub fn bind(&mut self, plan: Digest) {
        self.chain.bind(plan);
    }

    /// Seals an envelope that is about no transition.
    pub fn seal(
        &mut self,
        kind: Kind,
        time: Timestamp,
        parts: impl FnOnce(&mut Committer<'_>) -> Parts,
    ) -> anyhow::Result<()> {
        let mut salts = Salts::default();
        let sealed = self.chain.seal(kind, time, &mut || salts.draw(), parts)?;
        salts.check()?;
        self.hold(sealed);
        Ok(())
    }

    /// Records an event of the run.
    pub fn record(&mut self, run: &mut Run, event: Event, observed: Observed) -> anyhow::Result<()> {
        self.record_at(run, event, observed, now())
    }

    /// Records an event that happens at `moment`: what was decided by the clock is recorded by the same.
    pub fn record_at(
        &mut self,
        run: &mut Run,
        event: Event,
        observed: Observed,
        moment: Timestamp,
    ) -> anyhow::Result<()> {
        let time = moment.max(self.last).max(run.now());
        self.last = time;
        let mut salts = Salts::default();
        let sealed = self.chain.record(run, event, observed, time, &mut || salts.draw())?;
        salts.check()?;
        self.hold(sealed);
        if self.pending.envelopes.len() >= MAX_PENDING {
            self.commit()?;
        }
        Ok(())
    }

    fn hold(&mut self, sealed: Sealed) {
        self.pending.envelopes.push(sealed.bytes);
        self.pending.contents.extend(sealed.contents);
    }

    /// Says how the run is listed once what is pending is committed.
    pub fn phase(&mut self, phase: Phase) {
        self.pending.phase = Some(phase);
    }

    /// Puts everything sealed so far on disk.
    pub fn commit(&mut self) -> anyhow::Result<()> {
        self.commit_with(None, None)
    }

    /// Puts everything sealed so far on disk, in one transaction with what a call changed in its
    /// key-value space and with what becomes of an idempotency key.
    ///
    /// A result is never lost for its key: where somebody else has that by now, it is recorded
    /// without it.
    pub fn commit_with(&mut self, kv: Option<KvCommit>, idempotency: Option<Claim>) -> anyhow::Result<()> {
        if self.pending.envelopes.is_empty() {
            return Ok(());
        }
        let mut batch = Batch { kv, idempotency, ..std::mem::take(&mut self.pending) };
        fault::point();
        let started = Instant::now();
        let mut appended = self.store.append(&self.fence, self.head, &batch).map_err(store_failure)?;
        let fulfils = matches!(&batch.idempotency, Some(Claim { to: Fate::Fulfil { .. }, .. }));
        if fulfils && matches!(appended, Appended::Conflict(Conflict::Idempotency { .. })) {
            batch.idempotency = None;
            appended = self.store.append(&self.fence, self.head, &batch).map_err(store_failure)?;
        }
        self.waited += started.elapsed();
        fault::point();
        match appended {
            Appended::Committed(head) => {
                self.head = head;
                Ok(())
            }
            Appended::Fenced => Err(Failure::host(
                Diagnostic::error("run_taken", "another process has taken this run")
                    .help(format!("`{} list` shows how it stands", program_name())),
            )),
            Appended::Conflict(conflict) => Err(Failure::host(
                Diagnostic::error(
                    "store_conflict",
                    format!("the store changed under this run: {conflict:?}"),
                )
                .help(format!(
                    "somebody wrote to the store without its locks; `{} verify RUN` says of each run whether it is whole",
                    program_name()
                )),
            )),
        }
    }

    /// How long the run has waited for its commits so far.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// The digest of the last committed envelope, and how many there are.
    pub fn head(&self) -> Head {
        self.head
    }
}

/// The host's clock.
pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    fault::clock(Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
}

/// Salts from the operating system. A failure is kept until the envelope is done: it must not
/// leave the host with a salt that is none.
#[derive(Default)]
struct Salts {
    failed: Option<getrandom::Error>,
}

impl Salts {
    fn draw(&mut self) -> Salt {
        let mut bytes = [0; 32];
        if let Err(error) = getrandom::fill(&mut bytes) {
            self.failed = Some(error);
        }
        Salt::from_bytes(bytes)
    }

    fn check(self) -> anyhow::Result<()> {
        match self.failed {
            None => Ok(()),
            Some(error) => Err(anyhow::Error::new(error).context("the operating system gives no randomness")),
        }
    }
}
