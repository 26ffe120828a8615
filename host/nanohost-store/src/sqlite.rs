//! The journal on SQLite: what opening a store means, and who does what when it is used.
//! Reading lies in `read`, the start of a run in `begin`, the one transaction of a commit in `append`,
//! who shares it in `group`, the log over all runs in `log`, erasures and holds in `erase`, copies and a look at all rows in `care`, tokens in `token`, requests to stop in `stop`, the tables in `schema`.

mod append;
mod begin;
mod care;
mod erase;
mod group;
mod log;
mod read;
mod schema;
mod stop;
mod token;

#[cfg(test)]
mod tests;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nanohost_core::log::{KeyName, NoteSigner};
use nanohost_core::{Digest, RunId};
use rusqlite::{Connection, OptionalExtension as _};

use crate::batch::{Batch, KvScope};
use crate::database::{Database, Opened};
use crate::error::StoreError;
use crate::idempotency::IdempotencyScope;
use crate::journal::{Appended, Begun, Fence, Head, Journal, OpenRun, Taken};
use crate::keyring::{Expect, KeyedHash, Keyring, StoreName, keys_path};
use crate::lock::{RunLocks, SpaceLock};
use crate::private_file;
use crate::resume_token::ResumeToken;
use begin::Made;
pub use care::Survey;
pub use erase::Purge;
use group::{Group, Wanted};
use schema::SCHEMA;

/// How a store is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenOptions {
    /// How long to wait for another process before [`StoreError::Busy`]. Default 5 s.
    pub busy_timeout: Duration,
    /// The largest size of the database in pages of 4 KiB; beyond it a commit is
    /// [`StoreError::Full`]. Default: as far as the disk goes.
    pub max_pages: Option<u32>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { busy_timeout: Duration::from_secs(5), max_pages: None }
    }
}

/// A store opened for writing. Any number of processes may have it open.
#[derive(Debug)]
pub struct SqliteStore {
    shelf: Shelf,
}

/// A store opened for reading. It works beside a running writer, and it never makes a store.
#[derive(Debug)]
pub struct SqliteReader {
    shelf: Shelf,
}

/// The connections are used by one thread at a time.
#[derive(Debug)]
pub(crate) struct Shelf {
    files: Mutex<Files>,
    /// Those that wait to commit.
    group: Group,
    locks: RunLocks,
}

struct Files {
    database: Database,
    /// `None` for a reader that finds no keys: evidence without content is still evidence.
    keyring: Option<Keyring>,
    keys_path: PathBuf,
    /// What signs the heads of the log.
    log_key: Option<NoteSigner>,
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files").field("database", &self.database).finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the store in a folder, and makes it where there is none.
    pub fn open(dir: &Path, options: &OpenOptions) -> Result<Self, StoreError> {
        let timeout = options.busy_timeout;
        private_file::create_dir(dir)?;
        // Absolute, so that no name of a folder reads as an address to SQLite.
        let dir = dir.canonicalize().map_err(|error| StoreError::from_io(dir, &error))?;
        private_file::create_dir(&locks_dir(&dir))?;
        let _opening = private_file::lock_folder(&dir, timeout)?;

        let (database, keyring) = match Database::open(&store_path(&dir), &SCHEMA, timeout)? {
            Opened::Ready(database) => (database, Keyring::open(&dir, Expect::Keys, timeout)?),
            Opened::Empty(mut database) => {
                let keyring = Keyring::open(&dir, Expect::Nothing, timeout)?;
                // SQLite makes its own files durable, and the folder itself is ours.
                private_file::sync_folder_of(&dir).map_err(|error| StoreError::from_io(&dir, &error))?;
                database.create(&SCHEMA, |tx| schema::fill(tx, keyring.store()))?;
                (database, keyring)
            }
        };
        check_pair(&dir, &database, &keyring)?;
        if let Some(pages) = options.max_pages {
            database.read(|conn| conn.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())))?;
        }
        Ok(Self { shelf: Shelf::new(&dir, database, Some(keyring)) })
    }
}

impl SqliteStore {
    /// Takes a tool's key-value space for one call; `None` where a call of another run has it.
    ///
    /// Whoever holds it from before the call reads until its result is committed meets no
    /// [`Conflict::Kv`](crate::Conflict::Kv) and no
    /// [`Conflict::Idempotency`](crate::Conflict::Idempotency).
    pub fn lock_space(&self, scope: &KvScope) -> Result<Option<SpaceLock>, StoreError> {
        self.shelf.locks.own_space(scope)
    }

    /// The idempotency key that guests and the outside see: constant for a scope in this store, and
    /// without the store's secret nobody can tell or guess from it what the scope's key is.
    pub fn outward_key(&self, scope: &IdempotencyScope) -> Result<Digest, StoreError> {
        let files = self.shelf.files();
        // A store that is open for writing has its keys.
        let keyring =
            files.keyring.as_ref().ok_or(StoreError::Misuse { what: "a store without its keys" })?;
        Ok(outward(keyring.idempotency_mac(scope)?))
    }

    /// Whether `key` is the scope's outward key, or was before the scope named a function.
    pub fn is_outward_key(&self, scope: &IdempotencyScope, key: &str) -> Result<bool, StoreError> {
        let files = self.shelf.files();
        let keyring = files.keyring()?;
        let macs = [keyring.idempotency_mac(scope)?, keyring.earlier_idempotency_mac(scope)?];
        Ok(macs.into_iter().any(|mac| outward(mac).to_string() == key))
    }
}

fn outward(mac: KeyedHash) -> Digest {
    Digest::of(&[b"nanohost/outward-key/v1\0".as_slice(), &mac].concat())
}

impl SqliteReader {
    /// Opens the store in a folder for reading; where there is none, [`StoreError::NoStore`].
    ///
    /// Without its keys the store can still be read: all content is then missing.
    pub fn open(dir: &Path, options: &OpenOptions) -> Result<Self, StoreError> {
        let timeout = options.busy_timeout;
        let dir = match dir.canonicalize() {
            Ok(dir) => dir,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Err(StoreError::NoStore { dir: dir.to_owned() });
            }
            Err(error) => return Err(StoreError::from_io(dir, &error)),
        };
        let database = Database::open_read_only(&store_path(&dir), &SCHEMA, timeout)?;
        let keyring = Keyring::open_read_only(&dir, timeout)?;
        if let Some(keyring) = &keyring {
            check_pair(&dir, &database, keyring)?;
        }
        Ok(Self { shelf: Shelf::new(&dir, database, keyring) })
    }
}

impl Shelf {
    fn new(dir: &Path, database: Database, keyring: Option<Keyring>) -> Self {
        let files = Files { database, keyring, keys_path: keys_path(dir), log_key: None };
        let locks = RunLocks::in_dir(locks_dir(dir));
        Self { files: Mutex::new(files), group: Group::default(), locks }
    }

    /// A panic elsewhere leaves the files usable: an open transaction is rolled back.
    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files {
    fn keyring(&self) -> Result<&Keyring, StoreError> {
        self.keyring.as_ref().ok_or_else(|| StoreError::VaultKeyMissing { path: self.keys_path.clone() })
    }

    /// The name of the log.
    fn origin(&self) -> Result<KeyName, StoreError> {
        match self.database.read(log::renamed)? {
            Some(name) => name.parse().map_err(|_| self.database.corrupt("the name of the log is none")),
            None => log::origin(&self.database.read(store_name)?),
        }
    }
}

/// Whoever has a shelf can read: one implementation of [`Records`] for both.
pub(crate) trait HasShelf: Send + Sync {
    fn shelf(&self) -> &Shelf;
}

impl HasShelf for SqliteStore {
    fn shelf(&self) -> &Shelf {
        &self.shelf
    }
}

impl HasShelf for SqliteReader {
    fn shelf(&self) -> &Shelf {
        &self.shelf
    }
}

impl Journal for SqliteStore {
    fn begin(&self, run: &RunId, open: &OpenRun) -> Result<Begun, StoreError> {
        let exists = || StoreError::RunExists { run: run.clone() };
        let lock = self.shelf.locks.own(run)?.ok_or_else(exists)?;
        match self.shelf.files().begin(run, open)? {
            Made::New => Ok(Begun::Owned(Fence::new(run.clone(), 1, lock))),
            Made::IdTaken => Err(exists()),
            Made::KeyHeld { run, same } => Ok(Begun::Held { run, same }),
        }
    }

    fn take(&self, run: &RunId) -> Result<Taken, StoreError> {
        let Some(lock) = self.shelf.locks.own(run)? else { return Ok(Taken::Live) };
        let epoch: Option<u64> = self.shelf.files().database.write(|tx| {
            tx.prepare_cached("UPDATE run SET epoch = epoch + 1 WHERE id = ?1 RETURNING epoch")?
                .query_row([run.as_str()], |row| read::count(row, 0))
                .optional()
        })?;
        Ok(match epoch {
            Some(epoch) => Taken::Owned(Fence::new(run.clone(), epoch, lock)),
            None => Taken::Unknown,
        })
    }

    fn forget(&self, fence: Fence) -> Result<bool, StoreError> {
        self.shelf.files().forget(&fence)
    }

    fn append(&self, fence: &Fence, expected: Head, batch: &Batch) -> Result<Appended, StoreError> {
        batch.check(expected.len)?;
        let own = Wanted::of(fence, expected, batch);
        self.shelf.group.commit(own, |group| self.shelf.files().append(group))
    }

    fn hand_out_token(
        &self,
        run: &RunId,
        suspension: u64,
        holder: &str,
        renew: bool,
    ) -> Result<Option<ResumeToken>, StoreError> {
        self.shelf.files().hand_out_token(run, suspension, holder, renew)
    }

    fn ask_to_stop(&self, run: &RunId, reason: &str) -> Result<(), StoreError> {
        self.shelf.files().ask_to_stop(run, reason)
    }
}

/// The name of a store.
fn store_name(conn: &Connection) -> rusqlite::Result<StoreName> {
    conn.query_row("SELECT value FROM meta WHERE name = 'store'", [], |row| row.get(0))
}

/// A store with another store's keys would read as damaged, and its idempotency keys as free.
fn check_pair(dir: &Path, database: &Database, keyring: &Keyring) -> Result<(), StoreError> {
    if database.read(store_name)? == *keyring.store() {
        Ok(())
    } else {
        Err(StoreError::VaultKeyWrong { path: keys_path(dir) })
    }
}

fn store_path(dir: &Path) -> PathBuf {
    dir.join("store.db")
}

fn locks_dir(dir: &Path) -> PathBuf {
    dir.join("locks")
}
