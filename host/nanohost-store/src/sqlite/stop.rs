//! Requests to stop a run, by those who do not own it.

use nanohost_core::RunId;
use rusqlite::{Connection, OptionalExtension as _};
use zeroize::Zeroizing;

use super::Files;
use super::append::Owners;
use super::erase::NOT_GIVEN_UP;
use crate::error::StoreError;
use crate::keyring::Sealed;
use crate::seal::associated;

impl Files {
    pub(super) fn ask_to_stop(&mut self, run: &RunId, reason: &str) -> Result<(), StoreError> {
        const OPEN: &str = "SELECT 1 FROM run WHERE id = ?1 AND phase <> 'closed'";
        // No key is made for a run that nobody can stop.
        if !self.database.read(|conn| conn.prepare_cached(OPEN)?.exists([run.as_str()]))? {
            return Ok(());
        }
        let missing = || StoreError::VaultKeyMissing { path: self.keys_path.clone() };
        let owners = self.database.read(|conn| Owners::of(conn, run))?;
        let keyring = self.keyring.as_mut().ok_or_else(missing)?;
        let sealed = keyring.seal_apart(&owners.data, &place(run), reason.as_bytes())?;
        // It may have closed since.
        let insert = format!(
            "INSERT INTO stop_request (run, data_key, sealed) SELECT ?1, ?2, ?3 \
             WHERE EXISTS ({OPEN}) ON CONFLICT (run) DO NOTHING"
        );
        self.database.write(|tx| {
            tx.prepare_cached(&insert)?.execute((run.as_str(), sealed.key, &sealed.bytes)).map(drop)
        })
    }

    pub(super) fn asked_to_stop(&self, run: &RunId) -> Result<Option<String>, StoreError> {
        let row = self.database.read(|conn| {
            let select =
                format!("SELECT data_key, sealed FROM stop_request WHERE run = ?1 AND {NOT_GIVEN_UP}");
            conn.prepare_cached(&select)?
                .query_row([run.as_str()], |row| Ok(Sealed { key: row.get(0)?, bytes: row.get(1)? }))
                .optional()
        })?;
        let Some(sealed) = row else { return Ok(None) };
        let reason = self.keyring()?.open_sealed(&place(run), &sealed)?.ok();
        let reason = reason.and_then(|plain: Zeroizing<Vec<u8>>| String::from_utf8(plain.to_vec()).ok());
        let changed = || self.database.corrupt(format!("the reason to stop run {run} was changed"));
        reason.map(Some).ok_or_else(changed)
    }
}

/// Forgets that a run was to stop.
pub(super) fn end_request(conn: &Connection, run: &RunId) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM stop_request WHERE run = ?1")?.execute([run.as_str()])?;
    Ok(())
}

/// What a reason is sealed to.
fn place(run: &RunId) -> Vec<u8> {
    associated("nanohost/stop/v1", &[run.as_str().as_bytes()])
}
