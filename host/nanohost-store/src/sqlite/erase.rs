//! Erasures and legal holds as rows. An erasure is one commit, by which nobody sees the values any more,
//! and then three steps that it cannot be taken back from: keys, rows, copies in the files. SQLite does
//! not commit two files at once, so each step says what the next has to do, and can be made again.

use std::collections::BTreeSet;

use nanohost_core::act::HeldOn;
use nanohost_core::{Digest, RunId, Timestamp};
use rusqlite::Connection;

use super::read::{count, ident};
use super::{HasShelf, SqliteStore, log};
use crate::batch::{Batch, Effect, Erases};
use crate::error::StoreError;
use crate::hold::{Hold, Holds, LaidHold};
use crate::journal::{Fence, Subject};
use crate::keyring::{KeyedHash, Sealed};
use crate::record::StoredAct;
use crate::seal::associated;

/// A row whose key no act has given up.
pub(super) const NOT_GIVEN_UP: &str = "data_key NOT IN (SELECT data_key FROM erasing)";

/// Whether no copy of what was erased is left in the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purge {
    /// None is.
    Done,
    /// A reader of an earlier moment stands in the way: later.
    Pending,
}

/// The first run that something is to be erased from, and that a hold lies on.
pub(super) fn held(conn: &Connection, erases: &[Erases]) -> rusqlite::Result<Option<RunId>> {
    let mut select = conn.prepare_cached(
        "SELECT 1 FROM hold WHERE run = ?1 OR subject = (SELECT subject FROM run WHERE id = ?1)",
    )?;
    let runs: BTreeSet<&RunId> = erases
        .iter()
        .flat_map(|erases| erases.values.iter().map(|value| &value.run).chain(&erases.rest_of))
        .collect();
    for run in runs {
        if select.exists([run.as_str()])? {
            return Ok(Some(run.clone()));
        }
    }
    Ok(None)
}

/// Gives values up: from the commit of this on they are erased for every reader.
fn give_up(conn: &Connection, erases: &[Erases]) -> rusqlite::Result<()> {
    let mut tombstone =
        conn.prepare_cached("INSERT OR IGNORE INTO erased (run, seq, role, act) VALUES (?1, ?2, ?3, ?4)")?;
    let mut key = conn.prepare_cached(
        "INSERT OR IGNORE INTO erasing (data_key, run, seq, role) \
         SELECT data_key, run, seq, role FROM content WHERE run = ?1 AND seq = ?2 AND role = ?3",
    )?;
    for Erases { act, values, rest_of } in erases {
        let mut bears = conn.prepare_cached("INSERT OR IGNORE INTO act_on (run, act) VALUES (?1, ?2)")?;
        for run in values.iter().map(|value| &value.run).chain(rest_of).collect::<BTreeSet<_>>() {
            bears.execute((run.as_str(), *act as i64))?;
        }
        for value in values {
            let place = (value.run.as_str(), value.seq as i64, value.role.as_str());
            tombstone.execute((place.0, place.1, place.2, *act as i64))?;
            key.execute(place)?;
        }
        for table in ["kv", "stop_request"] {
            let insert = format!(
                "INSERT OR IGNORE INTO erasing (data_key) SELECT data_key FROM {table} WHERE run = ?1"
            );
            if let Some(run) = rest_of {
                conn.prepare_cached(&insert)?.execute([run.as_str()])?;
            }
        }
    }
    Ok(())
}

/// What the acts of a batch do.
pub(super) fn take_effect(conn: &Connection, batch: &Batch) -> rusqlite::Result<()> {
    give_up(conn, &batch.erases)?;
    for effect in &batch.effects {
        match effect {
            Effect::Bears { act, run } => {
                conn.prepare_cached("INSERT OR IGNORE INTO act_on (run, act) VALUES (?1, ?2)")?
                    .execute((run.as_str(), *act as i64))?;
            }
            Effect::Lay(LaidHold { id, on, since, principal, reason }) => {
                let (run, subject) = match on {
                    HeldOn::Run(run) => (Some(run.as_str()), None),
                    HeldOn::Subject(subject) => (None, Some(subject.as_bytes())),
                };
                conn.prepare_cached(
                    "INSERT INTO hold (id, run, subject, since, principal, data_key, sealed) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?
                .execute((
                    *id as i64,
                    run,
                    subject,
                    since.as_millis(),
                    principal,
                    reason.key,
                    &reason.bytes,
                ))?;
            }
            Effect::Number { hold } => {
                let id = *hold as i64;
                conn.prepare_cached("UPDATE sqlite_sequence SET seq = max(seq, ?1) WHERE name = 'hold'")?
                    .execute([id])?;
                conn.prepare_cached(
                    "INSERT INTO sqlite_sequence (name, seq) SELECT 'hold', ?1 \
                     WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'hold')",
                )?
                .execute([id])?;
            }
            Effect::End { hold } => {
                let id = *hold as i64;
                conn.prepare_cached(
                    "INSERT OR IGNORE INTO erasing (data_key) SELECT data_key FROM hold WHERE id = ?1",
                )?
                .execute([id])?;
                conn.prepare_cached("DELETE FROM hold WHERE id = ?1")?.execute([id])?;
            }
            Effect::Log { origin } => log::rename(conn, origin)?,
        }
    }
    Ok(())
}

/// The values of a run that acts have erased.
pub(super) fn tombstones(conn: &Connection, run: &RunId) -> rusqlite::Result<BTreeSet<(u64, String)>> {
    conn.prepare_cached("SELECT seq, role FROM erased WHERE run = ?1")?
        .query_map([run.as_str()], |row| Ok((count(row, 0)?, row.get(1)?)))?
        .collect()
}

/// The acts that bear on a run.
pub(super) fn acts_on(conn: &Connection, run: &RunId) -> rusqlite::Result<Vec<StoredAct>> {
    conn.prepare_cached(
        "SELECT e.seq, e.bytes FROM envelope e \
         WHERE e.run = (SELECT CAST(value AS TEXT) FROM meta WHERE name = 'acts') \
         AND e.seq IN (SELECT act FROM act_on WHERE run = ?1) ORDER BY e.seq",
    )?
    .query_map([run.as_str()], |row| Ok(StoredAct { seq: count(row, 0)?, envelope: row.get(1)? }))?
    .collect()
}

/// All of these ask for the fence of the chain of acts: one process at a time goes on with erasures.
impl SqliteStore {
    /// Whether an erasure was begun and not brought to its end.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn is_erasing(&self) -> Result<bool, StoreError> {
        self.shelf.files().database.read(|conn| {
            conn.prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM erasing) OR EXISTS (SELECT 1 FROM meta WHERE name = 'purge')",
            )?
            .query_row([], |row| row.get(0))
        })
    }

    /// Destroys the keys that acts have given up.
    ///
    /// # Errors
    /// Where the store or its keys cannot be read or written.
    pub fn destroy_keys(&self, _acts: &Fence) -> Result<(), StoreError> {
        let mut files = self.shelf.files();
        let files = &mut *files;
        let keys: Vec<i64> = files.database.read(|conn| {
            conn.prepare("SELECT data_key FROM erasing")?.query_map([], |row| row.get(0))?.collect()
        })?;
        let missing = || StoreError::VaultKeyMissing { path: files.keys_path.clone() };
        files.keyring.as_mut().ok_or_else(missing)?.destroy(&keys)
    }

    /// Removes what the destroyed keys had opened. [`SqliteStore::destroy_keys`] comes first.
    ///
    /// # Errors
    /// Where the store cannot be read or written.
    pub fn remove_erased(&self, _acts: &Fence) -> Result<(), StoreError> {
        self.shelf.files().database.write(|tx| {
            tx.execute(
                "DELETE FROM content WHERE rowid IN (SELECT c.rowid FROM erasing e JOIN content c \
                 ON c.run = e.run AND c.seq = e.seq AND c.role = e.role AND c.data_key = e.data_key)",
                [],
            )?;
            for table in ["kv", "stop_request"] {
                let delete = format!("DELETE FROM {table} WHERE data_key IN (SELECT data_key FROM erasing)");
                tx.execute(&delete, [])?;
            }
            tx.execute("DELETE FROM erasing", [])?;
            tx.execute("INSERT OR REPLACE INTO meta (name, value) VALUES ('purge', x'01')", [])?;
            Ok(())
        })
    }

    /// Leaves no copy of what was erased in the files of the store. [`SqliteStore::remove_erased`] comes first.
    ///
    /// # Errors
    /// Where the store or its keys cannot be read or written.
    pub fn purge(&self, _acts: &Fence) -> Result<Purge, StoreError> {
        let mut files = self.shelf.files();
        let keys = files.keyring()?.purge()?;
        let rows = files.database.truncate_log()?;
        if !(keys && rows) {
            return Ok(Purge::Pending);
        }
        files.database.write(|tx| tx.execute("DELETE FROM meta WHERE name = 'purge'", []).map(drop))?;
        Ok(Purge::Done)
    }

    /// The number of the next legal hold, for the owner of the chain of acts.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn next_hold(&self, _acts: &Fence) -> Result<u64, StoreError> {
        self.shelf.files().database.read(|conn| {
            conn.prepare_cached(
                "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'hold'), 0) + 1",
            )?
            .query_row([], |row| count(row, 0))
        })
    }

    /// A legal hold, ready for a batch.
    ///
    /// # Errors
    /// Where the keys cannot be written.
    pub fn sealed_hold(
        &self,
        id: u64,
        on: HeldOn,
        since: Timestamp,
        principal: &str,
        reason: &str,
    ) -> Result<LaidHold, StoreError> {
        let mut files = self.shelf.files();
        let files = &mut *files;
        let missing = || StoreError::VaultKeyMissing { path: files.keys_path.clone() };
        let keyring = files.keyring.as_mut().ok_or_else(missing)?;
        let reason = keyring.seal_apart(HOLDS, &hold_place(since), reason.as_bytes())?;
        Ok(LaidHold { id, on, since, principal: principal.to_owned(), reason })
    }
}

/// Whose key wraps the reasons of holds.
const HOLDS: &str = "holds";

fn hold_place(since: Timestamp) -> Vec<u8> {
    associated("nanohost/hold/v1", &[&since.as_millis().to_be_bytes()])
}

struct HoldRow {
    id: u64,
    on: HeldOn,
    runs: u64,
    since: Timestamp,
    principal: String,
    reason: Sealed,
}

fn hold_rows(conn: &Connection, which: &str, run: Option<&RunId>) -> rusqlite::Result<Vec<HoldRow>> {
    let select = format!(
        "SELECT id, run, since, principal, data_key, sealed, subject, \
             (SELECT count(*) FROM run r WHERE r.id = hold.run OR r.subject = hold.subject) \
             FROM hold WHERE {which} ORDER BY id"
    );
    conn.prepare_cached(&select)?
        .query_map([run.map(RunId::as_str)], |row| {
            let held: Option<String> = row.get(1)?;
            Ok(HoldRow {
                id: count(row, 0)?,
                on: match held {
                    Some(_) => HeldOn::Run(ident(row, 1)?),
                    None => HeldOn::Subject(Digest::from_bytes(row.get(6)?)),
                },
                runs: count(row, 7)?,
                since: Timestamp::from_millis(row.get(2)?),
                principal: row.get(3)?,
                reason: Sealed { key: row.get(4)?, bytes: row.get(5)? },
            })
        })?
        .collect()
}

fn read_holds(store: &impl HasShelf, which: &str, run: Option<&RunId>) -> Result<Vec<Hold>, StoreError> {
    let files = store.shelf().files();
    let rows = files.database.read(|conn| hold_rows(conn, which, run))?;
    let opened = rows.into_iter().map(|HoldRow { id, on, runs, since, principal, reason }| {
        let changed = || files.database.corrupt(format!("the reason of hold {id} was changed"));
        let plain = files.keyring()?.open_sealed(&hold_place(since), &reason)?.map_err(|_| changed())?;
        let reason = String::from_utf8(plain.to_vec()).map_err(|_| changed())?;
        Ok(Hold { id, on, runs, since, principal, reason })
    });
    opened.collect()
}

impl<T: HasShelf> Holds for T {
    fn holds(&self) -> Result<Vec<Hold>, StoreError> {
        read_holds(self, "?1 IS NULL", None)
    }

    fn holds_on(&self, run: &RunId) -> Result<Vec<Hold>, StoreError> {
        read_holds(self, "run = ?1 OR subject = (SELECT subject FROM run WHERE id = ?1)", Some(run))
    }

    fn subject_hash(&self, subject: &Subject) -> Result<Digest, StoreError> {
        self.shelf().files().keyring()?.subject(subject).map(Digest::from_bytes)
    }

    fn runs_of(&self, subject: &Subject) -> Result<Vec<RunId>, StoreError> {
        let files = self.shelf().files();
        let hash: KeyedHash = files.keyring()?.subject(subject)?;
        files.database.read(|conn| {
            conn.prepare_cached("SELECT id FROM run WHERE subject = ?1 ORDER BY opened DESC, id DESC")?
                .query_map([hash], |row| ident(row, 0))?
                .collect()
        })
    }

    fn kv_of(&self, run: &RunId) -> Result<u64, StoreError> {
        self.shelf().files().database.read(|conn| {
            conn.prepare_cached(&format!("SELECT count(*) FROM kv WHERE run = ?1 AND {NOT_GIVEN_UP}"))?
                .query_row([run.as_str()], |row| count(row, 0))
        })
    }
}
