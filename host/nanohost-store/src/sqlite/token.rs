//! Resume tokens: handed out once, kept as keyed hashes, bound to run, suspension and holder.

use nanohost_core::RunId;
use rusqlite::{Connection, OptionalExtension as _};

use super::Files;
use crate::error::StoreError;
use crate::keyring::{KeyedHash, Keyring};
use crate::resume_token::ResumeToken;
use crate::seal;

const HOLDER: &str = "nanohost/resume-holder/v1";

/// Keyed, so that nobody who writes to the database alone can put a token of their own into it.
const TOKEN: &str = "nanohost/resume-token/v1";

impl Files {
    pub(super) fn hand_out_token(
        &mut self,
        run: &RunId,
        suspension: u64,
        holder: &str,
        renew: bool,
    ) -> Result<Option<ResumeToken>, StoreError> {
        let keyring = self.keyring()?;
        let row = row(keyring, run, suspension, holder)?;
        let (token, bytes) = ResumeToken::draw()?;
        let place = [run.as_str().as_bytes(), &suspension.to_be_bytes(), holder.as_bytes(), bytes.as_slice()];
        let hash = keyring.keyed_hash(TOKEN, &place)?;
        let on_conflict = if renew { "UPDATE SET token = excluded.token" } else { "NOTHING" };
        let insert = format!(
            "INSERT INTO resume_token (run, holder, token) SELECT ?1, ?2, ?3 \
             WHERE EXISTS (SELECT 1 FROM run WHERE id = ?1 AND phase = 'suspended') \
             ON CONFLICT (run, holder) DO {on_conflict}"
        );
        let handed_out =
            self.database.write(|tx| tx.prepare_cached(&insert)?.execute((run.as_str(), row, hash)))?;
        Ok((handed_out == 1).then_some(token))
    }

    pub(super) fn token_fits(
        &self,
        run: &RunId,
        suspension: u64,
        holder: &str,
        token: &str,
    ) -> Result<bool, StoreError> {
        let Some(bytes) = seal::key_from_text(token) else { return Ok(false) };
        let keyring = self.keyring()?;
        let row = row(keyring, run, suspension, holder)?;
        let kept: Option<KeyedHash> = self.database.read(|conn| {
            conn.prepare_cached("SELECT token FROM resume_token WHERE run = ?1 AND holder = ?2")?
                .query_row((run.as_str(), row), |row| row.get(0))
                .optional()
        })?;
        let Some(kept) = kept else { return Ok(false) };
        let place = [run.as_str().as_bytes(), &suspension.to_be_bytes(), holder.as_bytes(), bytes.as_slice()];
        keyring.is_keyed_hash(&kept, TOKEN, &place)
    }
}

/// Ends all tokens of a run.
pub(super) fn end_tokens(conn: &Connection, run: &RunId) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM resume_token WHERE run = ?1")?.execute([run.as_str()])?;
    Ok(())
}

/// Under which hash a run keeps the token of a holder.
fn row(keyring: &Keyring, run: &RunId, suspension: u64, holder: &str) -> Result<KeyedHash, StoreError> {
    let place = [run.as_str().as_bytes(), &suspension.to_be_bytes(), holder.as_bytes()];
    keyring.keyed_hash(HOLDER, &place)
}
