//! The keys of the vault: one for each piece of content, wrapped by the key of its owner, all in
//! a database of their own, wrapped by a key outside both. Knows no content.
//!
//! Destroying a key destroys every copy of its content, backups of the store included: that is
//! why keys and ciphertexts never share a file.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use rusqlite::{Connection, OptionalExtension as _, named_params};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::database::{Database, Opened, Schema};
use crate::error::StoreError;
use crate::idempotency::IdempotencyScope;
use crate::journal::Subject;
use crate::private_file;
use crate::seal::{self, Key, associated};

const SCHEMA: Schema = Schema {
    application_id: 0x6e68_6b79,
    version: 1,
    statements: &[
        "CREATE TABLE secret (name TEXT PRIMARY KEY, wrapped BLOB NOT NULL) STRICT, WITHOUT ROWID",
        "CREATE TABLE owner_key (owner TEXT PRIMARY KEY, wrapped BLOB NOT NULL) STRICT, WITHOUT ROWID",
        // AUTOINCREMENT: the number of an erased key is never given to another.
        "CREATE TABLE data_key (id INTEGER PRIMARY KEY AUTOINCREMENT, \
         owner TEXT NOT NULL REFERENCES owner_key (owner), wrapped BLOB NOT NULL) STRICT",
        "CREATE INDEX data_key_owner ON data_key (owner)",
    ],
    earlier: &[],
};

/// So many data keys are made at once, so that not every commit of content costs two disk flushes.
const KEYS_AT_ONCE: usize = 32;

/// A store, its keys and its idempotency records belong together by this name.
pub(crate) type StoreName = [u8; 16];

/// A hash that nobody can make or compare without the store's keys.
pub(crate) type KeyedHash = [u8; 32];

/// The keys of one store.
pub(crate) struct Keyring {
    database: Database,
    /// From the file outside.
    outer: Key,
    /// What keyed hashes are made with.
    hashing: Key,
    store: StoreName,
    /// Keys that are durable and have no content yet, by owner.
    fresh: HashMap<String, Vec<(i64, Key)>>,
}

/// Something encrypted under one data key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sealed {
    /// The key's number.
    pub(crate) key: i64,
    /// Nonce and ciphertext.
    pub(crate) bytes: Vec<u8>,
}

/// Why something sealed cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unopened {
    /// Its key is gone.
    NoKey,
    /// It, its place or its key was changed.
    Damaged,
}

/// Whether the keys of a store may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    /// The store is new.
    Nothing,
    /// The store has content, so its keys must be there.
    Keys,
}

/// How many data keys an owner needs for what is to be written now.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Need {
    /// So many.
    pub(crate) count: usize,
    /// Whether more will be wanted soon.
    pub(crate) more: bool,
}

impl Keyring {
    /// Opens the keys for writing. The caller holds the folder's lock.
    pub(crate) fn open(dir: &Path, expect: Expect, timeout: Duration) -> Result<Self, StoreError> {
        let path = keys_path(dir);
        if expect == Expect::Keys && !exists(&path)? {
            return Err(StoreError::VaultKeyMissing { path });
        }
        match Database::open(&path, &SCHEMA, timeout)? {
            Opened::Ready(database) => Self::unlock(dir, database),
            // Content whose keys are gone must not get new ones, as if nothing had happened.
            Opened::Empty(_) if expect == Expect::Keys => Err(StoreError::VaultKeyMissing { path }),
            Opened::Empty(database) => Self::create(dir, database),
        }
    }

    /// Opens the keys for reading; `None` where they or the key outside are not there.
    pub(crate) fn open_read_only(dir: &Path, timeout: Duration) -> Result<Option<Self>, StoreError> {
        let opened = Database::open_read_only(&keys_path(dir), &SCHEMA, timeout)
            .and_then(|database| Self::unlock(dir, database));
        match opened {
            Ok(keyring) => Ok(Some(keyring)),
            Err(StoreError::NoStore { .. } | StoreError::VaultKeyMissing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The store that these keys belong to.
    pub(crate) fn store(&self) -> &StoreName {
        &self.store
    }

    /// The keyed hash under which an idempotency key is kept.
    pub(crate) fn idempotency_mac(&self, scope: &IdempotencyScope) -> Result<KeyedHash, StoreError> {
        let IdempotencyScope { program, tool, export, key } = scope;
        let parts = [program, tool.as_str(), export, key].map(str::as_bytes);
        self.keyed_hash("nanohost/idempotency/v2", &parts)
    }

    /// The same as versions 1 and 2 of the store had it: for all functions of a tool together.
    pub(crate) fn earlier_idempotency_mac(&self, scope: &IdempotencyScope) -> Result<KeyedHash, StoreError> {
        let IdempotencyScope { program, tool, key, .. } = scope;
        self.keyed_hash("nanohost/idempotency/v1", &[program, tool.as_str(), key].map(str::as_bytes))
    }

    /// The keyed hash of a list of parts; a domain keeps each use apart from all others.
    pub(crate) fn keyed_hash(&self, domain: &str, parts: &[&[u8]]) -> Result<KeyedHash, StoreError> {
        Ok(self.mac(domain, parts)?.finalize().into_bytes().into())
    }

    /// Whether `hash` is the keyed hash of a list of parts, in constant time.
    pub(crate) fn is_keyed_hash(
        &self,
        hash: &KeyedHash,
        domain: &str,
        parts: &[&[u8]],
    ) -> Result<bool, StoreError> {
        Ok(self.mac(domain, parts)?.verify_slice(hash).is_ok())
    }

    fn mac(&self, domain: &str, parts: &[&[u8]]) -> Result<Hmac<Sha256>, StoreError> {
        // A key of 32 bytes always fits; were it not so, nothing could be claimed.
        let mut mac = Hmac::<Sha256>::new_from_slice(self.hashing.as_slice())
            .map_err(|_| StoreError::Misuse { what: "a keyed hash with an unusable key" })?;
        // A part may be a token: no copy of it is left in memory.
        mac.update(&Zeroizing::new(associated(domain, parts)));
        Ok(mac)
    }

    /// Makes sure that the next calls of [`Keyring::seal`] have durable keys: so many for each owner.
    ///
    /// Where keys are to be made, all of these owners that run short get theirs with the same flush of
    /// the disk.
    pub(crate) fn prepare<'a>(
        &mut self,
        needs: impl IntoIterator<Item = (&'a str, Need)>,
    ) -> Result<(), StoreError> {
        let mut wanted = BTreeMap::<&str, Need>::new();
        for (owner, need) in needs {
            let all = wanted.entry(owner).or_default();
            all.count += need.count;
            all.more |= need.more;
        }
        let ready = |owner: &str| self.fresh.get(owner).map_or(0, Vec::len);
        if wanted.iter().all(|(owner, need)| ready(owner) >= need.count) {
            return Ok(());
        }
        // Whoever will want more gets some in advance, since each making of keys is a flush of the disk.
        let least = |need: &Need| if need.more { need.count.max(KEYS_AT_ONCE / 2) } else { need.count };
        let short = wanted.into_iter().filter(|(owner, need)| need.count > 0 && ready(owner) < least(need));
        let short: Vec<_> = short
            .map(|(owner, need)| {
                let lacking = need.count.saturating_sub(ready(owner));
                (owner, if need.more { lacking.max(KEYS_AT_ONCE) } else { lacking })
            })
            .collect();
        for ((owner, _), keys) in short.iter().zip(self.make_keys(&short)?) {
            self.fresh.entry((*owner).to_owned()).or_default().extend(keys);
        }
        Ok(())
    }

    /// Encrypts under a data key of its own. [`Keyring::prepare`] comes first.
    pub(crate) fn seal(&mut self, owner: &str, place: &[u8], plain: &[u8]) -> Result<Sealed, StoreError> {
        let (number, key) = self
            .fresh
            .get_mut(owner)
            .and_then(Vec::pop)
            .ok_or(StoreError::Misuse { what: "content without a prepared key" })?;
        Ok(Sealed { key: number, bytes: seal::seal(&key, place, plain)? })
    }

    /// Encrypts for an owner that somebody else writes for: one key is made for it, and none in advance.
    pub(crate) fn seal_apart(
        &mut self,
        owner: &str,
        place: &[u8],
        plain: &[u8],
    ) -> Result<Sealed, StoreError> {
        let (number, key) = self
            .make_keys(&[(owner, 1)])?
            .pop()
            .and_then(|mut keys| keys.pop())
            .ok_or(StoreError::Misuse { what: "content without a prepared key" })?;
        Ok(Sealed { key: number, bytes: seal::seal(&key, place, plain)? })
    }

    /// Decrypts.
    pub(crate) fn open_sealed(
        &self,
        place: &[u8],
        sealed: &Sealed,
    ) -> Result<Result<Zeroizing<Vec<u8>>, Unopened>, StoreError> {
        let row = self.database.read(|conn| {
            conn.prepare_cached("SELECT owner, wrapped FROM data_key WHERE id = ?1")?
                .query_row([sealed.key], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)))
                .optional()
        })?;
        let Some((owner, wrapped)) = row else { return Ok(Err(Unopened::NoKey)) };
        let owner_key = match self.owner_key(&owner) {
            Ok(Some(key)) => key,
            Ok(None) => return Ok(Err(Unopened::NoKey)),
            Err(StoreError::Corrupt { .. }) => return Ok(Err(Unopened::Damaged)),
            Err(error) => return Err(error),
        };
        let plain = seal::open_key(&owner_key, &data_key_place(&owner), &wrapped)
            .and_then(|key| seal::open(&key, place, &sealed.bytes));
        Ok(plain.ok_or(Unopened::Damaged))
    }

    /// Destroys data keys: nothing that they opened opens again, wherever copies of it lie.
    pub(crate) fn destroy(&mut self, keys: &[i64]) -> Result<(), StoreError> {
        self.database.write(|tx| {
            let mut delete = tx.prepare_cached("DELETE FROM data_key WHERE id = ?1")?;
            keys.iter().try_for_each(|key| delete.execute([key]).map(drop))
        })
    }

    /// Leaves no copy of a destroyed key in the files. `false` where a reader of another moment stands
    /// in the way.
    pub(crate) fn purge(&self) -> Result<bool, StoreError> {
        // The pages are made anew: what rows left behind when they moved goes with the old ones.
        self.database.vacuum().and_then(|done| Ok(done && self.database.truncate_log()?))
    }

    /// Copies the keys, as `copy` does it, and the file that unwraps them.
    pub(crate) fn copy_to(
        &self,
        dir: &Path,
        copy: impl FnOnce(&Connection) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        self.database.read(copy)?;
        let mut line = seal::key_text(&self.outer);
        line.push('\n');
        private_file::write_whole(&outer_path(dir), line.as_bytes())
    }

    /// The numbers of all data keys.
    pub(crate) fn numbers(&self) -> Result<HashSet<i64>, StoreError> {
        self.database
            .read(|conn| conn.prepare("SELECT id FROM data_key")?.query_map([], |row| row.get(0))?.collect())
    }

    /// What `look` finds wrong with the file.
    pub(crate) fn integrity(
        &self,
        look: impl FnOnce(&Connection) -> rusqlite::Result<Vec<String>>,
    ) -> Result<Vec<String>, StoreError> {
        self.database.read(look)
    }

    /// The keyed hash of a subject.
    pub(crate) fn subject(&self, subject: &Subject) -> Result<KeyedHash, StoreError> {
        self.keyed_hash("nanohost/subject/v1", &[subject.as_str().as_bytes()])
    }

    /// Forgets the unused keys of an owner that writes no more for now.
    pub(crate) fn forget(&mut self, owner: &str) {
        self.fresh.remove(owner);
    }

    /// Makes data keys, so many for each owner, durable when this returns, and the keys of owners that
    /// have none.
    fn make_keys(&mut self, owners: &[(&str, usize)]) -> Result<Vec<Vec<(i64, Key)>>, StoreError> {
        loop {
            let made = owners
                .iter()
                .map(|(owner, count)| self.draw_keys(owner, *count))
                .collect::<Result<Vec<_>, StoreError>>()?;
            let numbers = self.database.try_write(|tx| {
                let mut all = Vec::with_capacity(made.len());
                for Drawn { owner, new_owner, keys } in &made {
                    if let Some(wrapped) = new_owner {
                        let insert = "INSERT INTO owner_key (owner, wrapped) VALUES (?1, ?2) \
                                      ON CONFLICT (owner) DO NOTHING";
                        if tx.prepare_cached(insert)?.execute((owner, wrapped))? == 0 {
                            return Ok(Err(OwnerIsThere));
                        }
                    }
                    let mut insert =
                        tx.prepare_cached("INSERT INTO data_key (owner, wrapped) VALUES (?1, ?2)")?;
                    let numbers = keys.iter().map(|(_, wrapped)| insert.insert((owner, wrapped)));
                    all.push(numbers.collect::<rusqlite::Result<Vec<i64>>>()?);
                }
                Ok(Ok(all))
            })?;
            if let Ok(numbers) = numbers {
                let with_numbers = |(numbers, drawn): (Vec<i64>, Drawn<'_>)| {
                    numbers.into_iter().zip(drawn.keys.into_iter().map(|(key, _)| key)).collect()
                };
                return Ok(numbers.into_iter().zip(made).map(with_numbers).collect());
            }
            // The owner of a run and whoever asks it to stop may both be the first to write: the
            // other's key is there now.
        }
    }

    fn draw_keys<'a>(&self, owner: &'a str, count: usize) -> Result<Drawn<'a>, StoreError> {
        let (owner_key, new_owner) = match self.owner_key(owner)? {
            Some(key) => (key, None),
            None => {
                let key = seal::random_key()?;
                let wrapped = seal::seal(&self.outer, &owner_place(owner), key.as_slice())?;
                (key, Some(wrapped))
            }
        };
        let place = data_key_place(owner);
        let draw = |_| {
            let key = seal::random_key()?;
            let wrapped = seal::seal(&owner_key, &place, key.as_slice())?;
            Ok((key, wrapped))
        };
        let keys = (0..count).map(draw).collect::<Result<_, StoreError>>()?;
        Ok(Drawn { owner, new_owner, keys })
    }

    fn owner_key(&self, owner: &str) -> Result<Option<Key>, StoreError> {
        let wrapped: Option<Vec<u8>> = self.database.read(|conn| {
            conn.prepare_cached("SELECT wrapped FROM owner_key WHERE owner = ?1")?
                .query_row([owner], |row| row.get(0))
                .optional()
        })?;
        wrapped
            .map(|wrapped| {
                seal::open_key(&self.outer, &owner_place(owner), &wrapped)
                    .ok_or_else(|| self.database.corrupt(format!("the key of {owner} was changed")))
            })
            .transpose()
    }

    fn create(dir: &Path, mut database: Database) -> Result<Self, StoreError> {
        let outer = match read_outer(dir)? {
            Some(outer) => outer,
            None => {
                let outer = seal::random_key()?;
                let mut line = seal::key_text(&outer);
                line.push('\n');
                private_file::write_whole(&outer_path(dir), line.as_bytes())?;
                outer
            }
        };
        let mut store = StoreName::default();
        seal::fill_random(&mut store)?;
        let hashing = seal::random_key()?;
        let wrapped_store = seal::seal(&outer, &secret_place(STORE), &store)?;
        let wrapped_hashing = seal::seal(&outer, &secret_place(HASHING), hashing.as_slice())?;
        database.create(&SCHEMA, |tx| {
            let mut insert = tx.prepare("INSERT INTO secret (name, wrapped) VALUES (:name, :wrapped)")?;
            insert.execute(named_params! { ":name": STORE, ":wrapped": wrapped_store })?;
            insert.execute(named_params! { ":name": HASHING, ":wrapped": wrapped_hashing })?;
            Ok(())
        })?;
        Ok(Self { database, outer, hashing, store, fresh: HashMap::new() })
    }

    fn unlock(dir: &Path, database: Database) -> Result<Self, StoreError> {
        let outer = read_outer(dir)?.ok_or_else(|| StoreError::VaultKeyMissing { path: outer_path(dir) })?;
        let secret = |name: &str| {
            let wrapped: Vec<u8> = database.read(|conn| {
                conn.query_row("SELECT wrapped FROM secret WHERE name = ?1", [name], |row| row.get(0))
            })?;
            seal::open(&outer, &secret_place(name), &wrapped)
                .ok_or_else(|| StoreError::VaultKeyWrong { path: outer_path(dir) })
        };
        let (store, hashing) = (secret(STORE)?, secret(HASHING)?);
        let store = StoreName::try_from(store.as_slice())
            .map_err(|_| database.corrupt("the name of its store has another length"))?;
        let hashing = <[u8; 32]>::try_from(hashing.as_slice())
            .map(Key::new)
            .map_err(|_| database.corrupt("its secret for keyed hashes has another length"))?;
        Ok(Self { database, outer, hashing, store, fresh: HashMap::new() })
    }
}

/// Keys of one owner that are not in the database yet, each with its wrapped form.
struct Drawn<'a> {
    owner: &'a str,
    /// Its own key in wrapped form, where it has none there.
    new_owner: Option<Vec<u8>>,
    keys: Vec<(Key, Vec<u8>)>,
}

/// Another process has made the key of an owner meanwhile.
struct OwnerIsThere;

const STORE: &str = "store";
/// Named for its first use.
const HASHING: &str = "idempotency";

/// Where the database of the keys lies.
pub(crate) fn keys_path(dir: &Path) -> PathBuf {
    dir.join("keys.db")
}

fn outer_path(dir: &Path) -> PathBuf {
    dir.join("vault.key")
}

fn secret_place(name: &str) -> Vec<u8> {
    associated("nanohost/secret/v1", &[name.as_bytes()])
}

fn owner_place(owner: &str) -> Vec<u8> {
    associated("nanohost/owner-key/v1", &[owner.as_bytes()])
}

fn data_key_place(owner: &str) -> Vec<u8> {
    associated("nanohost/data-key/v1", &[owner.as_bytes()])
}

fn exists(path: &Path) -> Result<bool, StoreError> {
    path.try_exists().map_err(|error| StoreError::from_io(path, &error))
}

fn read_outer(dir: &Path) -> Result<Option<Key>, StoreError> {
    let path = outer_path(dir);
    let Some(text) = private_file::read_secret(&path)? else { return Ok(None) };
    seal::key_from_text(text.trim_ascii_end()).map(Some).ok_or_else(|| {
        let detail = "it is not 64 lower-case hexadecimal digits".into();
        StoreError::KeyUnreadable { path, detail }
    })
}
