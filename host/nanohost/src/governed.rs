//! A run of an admitted program with its evidence, without a command line: what benches measure. It
//! goes the way of `nanohost run` from the table on. Knows no file but the store.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nanohost_core::envelope::{AuthorityRef, Chain, Kind, Parts};
use nanohost_core::run::{Run, Status};
use nanohost_core::{Plan, RunId, Signer, ToolName, TrustRoot};
use nanohost_sandbox::{Cancellation, Tool};
use nanohost_store::{Begun, Journal as _, OpenOptions, OpenRun, SqliteStore};
use serde_json::Map;

use crate::drive::{Drive, Tools};
use crate::ledger::{self, Ledger};
use crate::model::Models;
use crate::store_failure;

/// An admitted program whose tools are linked, and where its evidence goes.
pub struct Governed {
    plan: Arc<Plan>,
    linked: HashMap<ToolName, Arc<Tool>>,
    store: Arc<SqliteStore>,
    signer: Arc<Signer>,
}

/// How long a run took, its beginning and opening apart.
#[derive(Debug, Clone, Copy)]
pub struct Took {
    /// All steps.
    pub steps: Duration,
    /// Of that, what it waited for the store.
    pub commits: Duration,
}

impl Governed {
    /// With a store in that folder.
    ///
    /// # Errors
    /// Where the store cannot be opened.
    pub fn new(
        plan: Arc<Plan>,
        linked: HashMap<ToolName, Arc<Tool>>,
        store: &Path,
        signer: Signer,
    ) -> anyhow::Result<Self> {
        let store = SqliteStore::open(store, &OpenOptions::default())
            .and_then(|store| store.signing_log_with(Signer::from_seed([8; 32])))
            .map_err(store_failure)?;
        Ok(Self { plan, linked, store: Arc::new(store), signer: Arc::new(signer) })
    }

    /// Runs it once, without inputs.
    ///
    /// # Errors
    /// Where the host fails, or the run does not succeed.
    pub async fn run(&self) -> anyhow::Result<Took> {
        let opened = ledger::now();
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        let program = self.plan.program().name().to_owned();
        let open = OpenRun { program, opened, start: None, subject: None };
        let begun = self.store.begin(&RunId::from_random(bytes), &open).map_err(store_failure)?;
        let Begun::Owned(fence) = begun else { anyhow::bail!("the run has no start key") };
        let id = fence.run().clone();
        let chain = Chain::open(id, self.plan.program().digest(), "bench", Arc::clone(&self.signer));
        let mut ledger = Ledger::new(Arc::clone(&self.store), fence, chain, opened);
        ledger.bind(self.plan.digest());
        let authority = self.plan.rows().iter().map(AuthorityRef::of_row).collect();
        ledger.seal(Kind::Plan, opened, |_| Parts { authority, ..Parts::default() })?;
        ledger.commit()?;

        let tools = Tools {
            linked: self.linked.clone(),
            models: Models::none(),
            seed: [0; 32],
            domain: String::new(),
            trust: TrustRoot::new([]),
            signed_keys: HashMap::new(),
        };
        let run = Run::start(Arc::clone(&self.plan), Map::new(), opened);
        let started = Instant::now();
        let before = ledger.waited();
        let (run, ledger, _) =
            Drive::new(run, ledger, tools, Cancellation::default(), &|_| {}).drive().await?;
        let took = Took { steps: started.elapsed(), commits: ledger.waited() - before };
        let end = run.end().context("the run ended")?;
        anyhow::ensure!(end.status == Status::Success, "the run ended with {:?}", end.error);
        Ok(took)
    }
}
