//! A call made again: the same input, and a record that answers. Nothing real is touched: there is no
//! folder, no connection, no store and no clock behind what the guest sees. Knows nothing of what
//! the replay is for.

use std::collections::BTreeSet;
use std::sync::Arc;

use nanohost_core::{Grants, Timestamp};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::answering::Divergence;
use crate::answers::Answers;
use crate::call::{CallContext, Cancellation};
use crate::capability::filesystem::OpenFolder;
use crate::capability::kv::{KvUnavailable, KvView};
use crate::capability::secrets::SecretValues;
use crate::engine::Engine;
use crate::link::{LinkError, Tool};
use crate::load::Loaded;
use crate::report::CallReport;

/// One exported function that is answered from records alone.
#[derive(Debug, Clone)]
pub struct ReplayTool(Tool);

/// What the host said to the call that is made again.
#[derive(Debug, Clone)]
pub struct ReplayContext {
    /// As then.
    pub idempotency_key: String,
    /// As then.
    pub attempt: u32,
    /// The run's opening time.
    pub time: Timestamp,
    /// The run's secret seed.
    pub seed: [u8; 32],
    /// As then.
    pub identity: String,
    /// How to stop it.
    pub cancellation: Cancellation,
}

/// What a replay came to.
#[derive(Debug)]
pub struct Replayed {
    /// As of a call; the guest's own end is not reached where it went another way.
    pub report: CallReport,
    /// Where it first went another way before its end.
    pub divergence: Option<Divergence>,
    /// How many answers of the record it did not ask for.
    pub unasked: usize,
}

/// Stands for every secret: nothing is ever sent that could need one.
const NO_SECRET: &str = "a-replay-sends-nothing-and-needs-no-secret";

impl Engine {
    /// Links `export` of a component as [`Engine::link`] does, for replays: no granted folder is
    /// opened, or needs to be there.
    ///
    /// # Errors
    /// See [`LinkError`].
    pub fn link_replay(
        &self,
        loaded: &Loaded,
        grants: &Grants,
        export: &str,
    ) -> Result<ReplayTool, LinkError> {
        let folders = grants.filesystem().iter().map(OpenFolder::recorded).collect();
        let tool = self.linked(loaded, grants, export, Ok::<_, LinkError>(folders), true)?;
        let names: BTreeSet<&str> = grants.secrets().iter().map(|rule| rule.name.as_str()).collect();
        let secrets = names.into_iter().try_fold(SecretValues::default(), |secrets, name| {
            secrets.with(name, Zeroizing::new(NO_SECRET.to_owned()))
        });
        Ok(ReplayTool(tool.with_secrets(secrets.unwrap_or_default())))
    }
}

impl ReplayTool {
    /// Makes a call again. See [`Tool::call`] for what it needs and when it ends.
    pub async fn replay(&self, input: &Value, context: ReplayContext, answers: Answers) -> Replayed {
        let ReplayContext { idempotency_key, attempt, time, seed, identity, cancellation } = context;
        let kv = Arc::new(NoStore);
        let context = CallContext { idempotency_key, attempt, time, seed, identity, kv, cancellation };
        let (report, compared) = self.0.answered(input, context, Some(answers)).await;
        let (divergence, unasked) = compared;
        Replayed { report, divergence, unasked }
    }
}

/// The record has the committed values.
struct NoStore;

impl KvView for NoStore {
    fn get(&self, _: &str, _: &str) -> Result<Option<(Vec<u8>, u64)>, KvUnavailable> {
        Err(KvUnavailable("a replay has no store".to_owned()))
    }

    fn list(&self, _: &str, _: &str, _: Option<&str>, _: usize) -> Result<Vec<String>, KvUnavailable> {
        Err(KvUnavailable("a replay has no store".to_owned()))
    }

    fn held(&self) -> Result<u64, KvUnavailable> {
        Ok(0)
    }
}
