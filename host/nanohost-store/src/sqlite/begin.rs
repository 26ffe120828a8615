//! The start of a run: its row and its start key, in one transaction.

use nanohost_core::RunId;
use rusqlite::OptionalExtension as _;

use super::Files;
use super::read::ident;
use crate::error::StoreError;
use crate::journal::{Fence, OpenRun, StartKey};
use crate::keyring::{KeyedHash, Keyring};

/// What came of a start.
pub(super) enum Made {
    /// The run is there.
    New,
    /// Another run has its id.
    IdTaken,
    /// An earlier start has its key.
    KeyHeld {
        /// The run that was started then.
        run: RunId,
        /// Whether the same was started.
        same: bool,
    },
}

/// What came of writing one.
enum Written {
    New,
    IdTaken,
    /// The run of the earlier start, and what was started then as it is kept.
    KeyHeld(RunId, KeyedHash),
}

/// A start key as it is kept.
struct Kept {
    mac: KeyedHash,
    started: KeyedHash,
}

impl Files {
    pub(super) fn begin(&mut self, run: &RunId, open: &OpenRun) -> Result<Made, StoreError> {
        let start = match &open.start {
            Some(start) => Some(Kept::new(self.keyring()?, start, run)?),
            None => None,
        };
        let subject = match &open.subject {
            Some(subject) => Some(self.keyring()?.subject(subject)?),
            None => None,
        };
        // Whoever is second waits for the first to commit, and then finds its key. A run of which nothing
        // followed is one that never began, so nobody waits for the disk: the first commit brings it there.
        let written = self.database.write_ahead(|tx| {
            if let Some(start) = &start {
                let held = tx
                    .prepare_cached("SELECT run, started FROM start_key WHERE mac = ?1")?
                    .query_row([start.mac], |row| Ok((ident(row, 0)?, row.get::<_, KeyedHash>(1)?)))
                    .optional()?;
                if let Some((run, started)) = held {
                    return Ok(Written::KeyHeld(run, started));
                }
            }
            let made = tx
                .prepare_cached(
                    "INSERT INTO run (id, program, opened, epoch, len, last, phase, subject) \
                     VALUES (?1, ?2, ?3, 1, 0, NULL, 'open', ?4) ON CONFLICT (id) DO NOTHING",
                )?
                .execute((run.as_str(), &open.program, open.opened.as_millis(), subject))?;
            if made == 0 {
                return Ok(Written::IdTaken);
            }
            if let Some(start) = &start {
                tx.prepare_cached("INSERT INTO start_key (mac, started, run) VALUES (?1, ?2, ?3)")?
                    .execute((start.mac, start.started, run.as_str()))?;
            }
            Ok(Written::New)
        })?;
        Ok(match (written, &open.start) {
            (Written::KeyHeld(run, started), Some(start)) => {
                let same = is_started(self.keyring()?, start, &run, &started)?;
                Made::KeyHeld { run, same }
            }
            (Written::IdTaken, _) => Made::IdTaken,
            _ => Made::New,
        })
    }
}

impl Files {
    /// Takes back a start that nothing followed.
    pub(super) fn forget(&mut self, fence: &Fence) -> Result<bool, StoreError> {
        let (run, epoch) = (fence.run().as_str(), fence.epoch() as i64);
        self.database.write(|tx| {
            let empty = tx
                .prepare_cached("SELECT 1 FROM run WHERE id = ?1 AND epoch = ?2 AND len = 0")?
                .exists((run, epoch))?;
            if empty {
                for table in ["start_key", "resume_token", "stop_request", "hold"] {
                    tx.execute(&format!("DELETE FROM {table} WHERE run = ?1"), [run])?;
                }
                tx.execute("DELETE FROM run WHERE id = ?1", [run])?;
            }
            Ok(empty)
        })
    }
}

impl Kept {
    fn new(keyring: &Keyring, start: &StartKey, run: &RunId) -> Result<Self, StoreError> {
        let StartKey { principal, key, of } = start;
        let (principal, key) = (principal.as_bytes(), key.as_bytes());
        let parts = [principal, key, of.as_bytes(), run.as_str().as_bytes()];
        Ok(Self {
            mac: keyring.keyed_hash("nanohost/start-key/v1", &[principal, key])?,
            started: keyring.keyed_hash(STARTED, &parts)?,
        })
    }
}

/// The run stands in it: another hand cannot make the key lead to another run.
const STARTED: &str = "nanohost/started/v2";

/// As version 2 of the store had it, without the run.
const STARTED_EARLIER: &str = "nanohost/started/v1";

/// Whether what is kept says that this was started, as this run.
fn is_started(
    keyring: &Keyring,
    start: &StartKey,
    run: &RunId,
    started: &KeyedHash,
) -> Result<bool, StoreError> {
    let StartKey { principal, key, of } = start;
    let parts = [principal.as_bytes(), key.as_bytes(), of.as_bytes(), run.as_str().as_bytes()];
    Ok(keyring.is_keyed_hash(started, STARTED, &parts)?
        || keyring.is_keyed_hash(started, STARTED_EARLIER, &parts[..3])?)
}
