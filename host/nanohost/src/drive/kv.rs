//! Key-value spaces between the sandbox and the store: what a call sees, what it commits, and the
//! lock that keeps one tool's calls of all processes in a row.

use std::sync::Arc;
use std::time::Duration;

use nanohost_sandbox::{Cancellation, KvDelta, KvUnavailable, KvView};
use nanohost_store::{KvCommit, KvKey, KvRead, KvScope, KvWrite, Records as _, SpaceLock, SqliteStore};

use crate::store_failure;

/// One tool's committed values.
pub struct CommittedKv {
    store: Arc<SqliteStore>,
    scope: KvScope,
}

impl CommittedKv {
    /// The space of a scope.
    pub fn new(store: Arc<SqliteStore>, scope: KvScope) -> Self {
        Self { store, scope }
    }
}

impl KvView for CommittedKv {
    fn get(&self, namespace: &str, key: &str) -> Result<Option<(Vec<u8>, u64)>, KvUnavailable> {
        let at = KvKey { namespace: namespace.to_owned(), key: key.to_owned() };
        let entry = self.store.kv_get(&self.scope, &at).map_err(|error| KvUnavailable(error.to_string()))?;
        Ok(entry.map(|entry| (entry.value, entry.version)))
    }

    fn list(
        &self,
        namespace: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, KvUnavailable> {
        let keys =
            self.store.kv_list(&self.scope, namespace).map_err(|error| KvUnavailable(error.to_string()))?;
        let fits = |key: &String| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after);
        Ok(keys.into_iter().map(|(key, _)| key).filter(fits).take(limit).collect())
    }

    fn held(&self) -> Result<u64, KvUnavailable> {
        self.store.kv_held(&self.scope).map_err(|error| KvUnavailable(error.to_string()))
    }
}

/// What a call read and wrote, for the commit of its result.
pub fn commit(scope: KvScope, delta: KvDelta) -> KvCommit {
    let reads = delta
        .reads
        .into_iter()
        .map(|read| KvRead { at: KvKey { namespace: read.namespace, key: read.key }, version: read.version });
    let writes = delta.writes.into_iter().map(|write| KvWrite {
        at: KvKey { namespace: write.namespace, key: write.key },
        value: write.value,
    });
    KvCommit { scope, reads: reads.collect(), writes: writes.collect() }
}

/// While it is held, no other call of the same tool of the same program is between reading its
/// space and committing what it wrote.
#[derive(Debug)]
pub struct KvLock {
    _lock: SpaceLock,
}

impl KvLock {
    /// Waits for the space's turn; `None` where the run is stopped meanwhile.
    pub async fn take(
        store: &SqliteStore,
        scope: &KvScope,
        cancellation: &Cancellation,
    ) -> anyhow::Result<Option<Self>> {
        while !cancellation.is_cancelled() {
            if let Some(lock) = store.lock_space(scope).map_err(store_failure)? {
                return Ok(Some(Self { _lock: lock }));
            }
            tokio::time::sleep(TURN).await;
        }
        Ok(None)
    }
}

/// How soon a space that became free is noticed.
const TURN: Duration = Duration::from_millis(3);
