//! Care for a store: copies of it while it is in use, and a look at what its rows say of each other.
//! A copy is made page by page anew, so that nothing goes along that rows left behind.

use std::path::Path;

use rusqlite::Connection;

use super::{SqliteReader, SqliteStore, store_path};
use crate::error::StoreError;
use crate::keyring::keys_path;
use crate::private_file;

/// What the rows of a store say of each other. None of it is signed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// What SQLite finds wrong with the files, at most a hundred of it.
    pub damage: Vec<String>,
    /// Content that belongs to no envelope.
    pub orphans: u64,
    /// Content and key-value entries whose key is not there, though nothing erased them.
    pub keyless: u64,
    /// Whether an erasure was begun and not brought to its end.
    pub erasing: bool,
}

impl SqliteStore {
    /// Copies the database of the store, as it is at one moment, into a folder that has none.
    ///
    /// # Errors
    /// Where the store cannot be read, or the folder not be written.
    pub fn copy_to(&self, dir: &Path) -> Result<(), StoreError> {
        let path = fresh(&store_path(dir))?;
        self.shelf.files().database.read(|conn| copy(conn, &path))?;
        durable(&path)
    }

    /// Copies the keys of the store and the file that unwraps them into a folder that has neither.
    /// After [`SqliteStore::copy_to`], so that no content of that lacks its key.
    ///
    /// # Errors
    /// Where the keys cannot be read, or the folder not be written.
    pub fn copy_keys_to(&self, dir: &Path) -> Result<(), StoreError> {
        let path = fresh(&keys_path(dir))?;
        self.shelf.files().keyring()?.copy_to(dir, |conn| copy(conn, &path))?;
        durable(&path)
    }
}

/// An empty file for its owner alone, where there is none.
fn fresh(path: &Path) -> Result<String, StoreError> {
    if path.try_exists().map_err(|error| StoreError::from_io(path, &error))? {
        let cause = "there is a file of that name already".into();
        return Err(StoreError::NotWritable { path: path.to_owned(), cause });
    }
    private_file::open_or_create(path).map_err(|error| StoreError::from_io(path, &error))?;
    let cause = || StoreError::NotWritable { path: path.to_owned(), cause: "its name is not UTF-8".into() };
    path.to_str().map(str::to_owned).ok_or_else(cause)
}

/// A copy that its maker was told of survives the loss of power.
fn durable(path: &str) -> Result<(), StoreError> {
    let path = Path::new(path);
    let sync = || std::fs::File::open(path)?.sync_all().and_then(|()| private_file::sync_folder_of(path));
    sync().map_err(|error| StoreError::from_io(path, &error))
}

fn copy(conn: &Connection, path: &str) -> rusqlite::Result<()> {
    conn.execute("VACUUM INTO ?1", [path]).map(drop)
}

impl SqliteReader {
    /// Looks at all rows.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn survey(&self) -> Result<Survey, StoreError> {
        let files = self.shelf.files();
        let (mut damage, orphans, keys, erasing) = files.database.snapshot(|conn| {
            let orphans: i64 = conn.query_row(
                "SELECT count(*) FROM content c WHERE NOT EXISTS \
                 (SELECT 1 FROM envelope e WHERE e.run = c.run AND e.seq = c.seq)",
                [],
                |row| row.get(0),
            )?;
            let keys: Vec<i64> = conn
                .prepare(
                    "SELECT data_key FROM content WHERE data_key NOT IN (SELECT data_key FROM erasing) \
                     UNION ALL SELECT data_key FROM kv WHERE data_key NOT IN (SELECT data_key FROM erasing)",
                )?
                .query_map([], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            let erasing: bool = conn.query_row(
                "SELECT EXISTS (SELECT 1 FROM erasing) OR EXISTS (SELECT 1 FROM meta WHERE name = 'purge')",
                [],
                |row| row.get(0),
            )?;
            Ok((integrity(conn)?, orphans, keys, erasing))
        })?;
        let mut keyless = 0;
        if let Some(keyring) = &files.keyring {
            let known = keyring.numbers()?;
            keyless = keys.iter().filter(|key| !known.contains(key)).count() as u64;
            damage.extend(keyring.integrity(integrity)?);
        }
        Ok(Survey { damage, orphans: u64::try_from(orphans).unwrap_or(0), keyless, erasing })
    }
}

/// What SQLite finds wrong with a file.
fn integrity(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let found: Vec<String> =
        conn.prepare("PRAGMA integrity_check")?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(found.into_iter().filter(|line| line != "ok").collect())
}
