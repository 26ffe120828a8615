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

/// A start key as it is kept.
struct Kept {
    mac: KeyedHash,
    started: KeyedHash,
}

impl Files {
    pub(super) fn begin(&mut self, run: &RunId, open: &OpenRun) -> Result<Made, StoreError> {
        let start = match &open.start {
            Some(start) => Some(Kept::new(self.keyring()?, start)?),
            None => None,
        };
        // Whoever is second waits for the first to commit, and then finds its key.
        self.database.write(|tx| {
            if let Some(start) = &start {
                let held = tx
                    .prepare_cached("SELECT run, started FROM start_key WHERE mac = ?1")?
                    .query_row([start.mac], |row| Ok((ident(row, 0)?, row.get::<_, KeyedHash>(1)?)))
                    .optional()?;
                if let Some((run, started)) = held {
                    return Ok(Made::KeyHeld { run, same: started == start.started });
                }
            }
            let made = tx
                .prepare_cached(
                    "INSERT INTO run (id, program, opened, epoch, len, last, phase, status, deadline) \
                     VALUES (?1, ?2, ?3, 1, 0, NULL, 'open', NULL, NULL) ON CONFLICT (id) DO NOTHING",
                )?
                .execute((run.as_str(), &open.program, open.opened.as_millis()))?;
            if made == 0 {
                return Ok(Made::IdTaken);
            }
            if let Some(start) = &start {
                tx.prepare_cached("INSERT INTO start_key (mac, started, run) VALUES (?1, ?2, ?3)")?
                    .execute((start.mac, start.started, run.as_str()))?;
            }
            Ok(Made::New)
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
                for table in ["start_key", "resume_token", "stop_request"] {
                    tx.execute(&format!("DELETE FROM {table} WHERE run = ?1"), [run])?;
                }
                tx.execute("DELETE FROM run WHERE id = ?1", [run])?;
            }
            Ok(empty)
        })
    }
}

impl Kept {
    fn new(keyring: &Keyring, start: &StartKey) -> Result<Self, StoreError> {
        let StartKey { principal, key, of } = start;
        let (principal, key) = (principal.as_bytes(), key.as_bytes());
        Ok(Self {
            mac: keyring.keyed_hash("nanohost/start-key/v1", &[principal, key])?,
            started: keyring.keyed_hash("nanohost/started/v1", &[principal, key, of.as_bytes()])?,
        })
    }
}
