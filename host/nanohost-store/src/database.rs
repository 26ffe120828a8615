//! One SQLite file: opened the same careful way for every use, with its schema checked.
//! Knows no table.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use crate::error::StoreError;
use crate::private_file;

/// What a database of one kind looks like.
pub(crate) struct Schema {
    /// Says in the file's header whose database it is.
    pub(crate) application_id: i32,
    /// Says in the file's header which tables to expect; the newest that this code knows.
    pub(crate) version: i64,
    /// The exact text of every table and index.
    pub(crate) statements: &'static [&'static str],
    /// The versions that can be brought to this one.
    pub(crate) earlier: &'static [Earlier],
}

/// What a database of one kind looked like before.
pub(crate) struct Earlier {
    /// Which version.
    pub(crate) version: i64,
    /// The exact text of every table and index of that version.
    pub(crate) statements: &'static [&'static str],
    /// What makes the present tables of those.
    pub(crate) upgrade: &'static [&'static str],
    /// What puts into them what they are to have then.
    pub(crate) fill: fn(&Transaction<'_>) -> rusqlite::Result<()>,
}

/// What was found in a file.
enum Tables {
    /// None yet.
    None,
    /// The present ones.
    Present,
    /// Those of a version that can be brought to the present one.
    Earlier(&'static Earlier),
}

/// An open database.
#[derive(Debug)]
pub(crate) struct Database {
    conn: Connection,
    path: PathBuf,
    timeout: Duration,
}

/// A database opened for writing: there already, or still without tables.
pub(crate) enum Opened {
    /// Its schema is the known one.
    Ready(Database),
    /// An empty file; [`Database::create`] makes it ready.
    Empty(Database),
}

/// SQLite counts a time-out in milliseconds of 31 bits, and the binding panics beyond them.
const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

impl Database {
    /// Opens a file for writing, and makes an empty one where there is none. The caller holds the
    /// folder's lock, since SQLite does not wait while a file changes to write-ahead logging.
    ///
    /// Tables of an earlier version are brought to the present one, all or nothing.
    pub(crate) fn open(path: &Path, schema: &Schema, timeout: Duration) -> Result<Opened, StoreError> {
        private_file::open_or_create(path).map_err(|error| StoreError::from_io(path, &error))?;
        let mut this = Self::connect(path, timeout, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        if this.read(|conn| conn.is_readonly("main"))? {
            let cause = "the file is read-only".into();
            return Err(StoreError::NotWritable { path: path.to_owned(), cause });
        }
        let tables = this.check_schema(schema)?;
        let mode: String =
            this.read(|conn| conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)))?;
        if mode != "wal" {
            let cause = "this file system does not allow write-ahead logging".into();
            return Err(StoreError::Io { path: path.to_owned(), cause });
        }
        // FULL: a commit that was acknowledged survives the loss of power.
        // secure_delete: what is erased is overwritten.
        this.read(|conn| {
            conn.execute_batch(
                "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON;",
            )
        })?;
        Ok(match tables {
            Tables::None => Opened::Empty(this),
            Tables::Present => Opened::Ready(this),
            Tables::Earlier(earlier) => {
                this.upgrade(earlier, schema)?;
                Opened::Ready(this)
            }
        })
    }

    /// Opens a file for reading only. One that is not there or still empty is
    /// [`StoreError::NoStore`], one of an earlier version [`StoreError::Older`].
    pub(crate) fn open_read_only(
        path: &Path,
        schema: &Schema,
        timeout: Duration,
    ) -> Result<Self, StoreError> {
        let missing = || StoreError::NoStore { dir: path.parent().unwrap_or(path).to_owned() };
        match path.try_exists() {
            Ok(true) => {}
            Ok(false) => return Err(missing()),
            Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => return Err(missing()),
            Err(error) => return Err(StoreError::from_io(path, &error)),
        }
        let this = Self::connect(path, timeout, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        match this.check_schema(schema)? {
            Tables::Present => Ok(this),
            Tables::None => Err(missing()),
            Tables::Earlier(earlier) => {
                let path = path.to_owned();
                Err(StoreError::Older { path, found: earlier.version, known: schema.version })
            }
        }
    }

    /// Makes the tables, in one transaction with what `fill` puts into them.
    pub(crate) fn create(
        &mut self,
        schema: &Schema,
        fill: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        self.write(|tx| {
            for statement in schema.statements {
                tx.execute_batch(statement)?;
            }
            tx.pragma_update(None, "application_id", schema.application_id)?;
            tx.pragma_update(None, "user_version", schema.version)?;
            fill(tx)
        })
    }

    /// Brings the tables of an earlier version to the present one, in one transaction.
    fn upgrade(&mut self, earlier: &Earlier, schema: &Schema) -> Result<(), StoreError> {
        let upgraded = self.try_write(|tx| {
            for statement in earlier.upgrade {
                tx.execute_batch(statement)?;
            }
            (earlier.fill)(tx)?;
            tx.pragma_update(None, "user_version", schema.version)?;
            Ok(if same_tables(&tables(tx)?, schema.statements) { Ok(()) } else { Err(()) })
        })?;
        upgraded.map_err(|()| StoreError::Misuse { what: "an upgrade that makes other tables" })
    }

    /// Reads.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        read(&self.conn).map_err(|error| self.fail(&error))
    }

    /// Reads everything from one moment, whatever is written meanwhile.
    pub(crate) fn snapshot<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.read(|conn| {
            let tx = conn.unchecked_transaction()?;
            let value = read(&tx)?;
            tx.finish()?;
            Ok(value)
        })
    }

    /// Writes in one transaction.
    pub(crate) fn write<T>(
        &mut self,
        write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.try_write(|tx| write(tx).map(Ok)).map(|Ok::<T, std::convert::Infallible>(value)| value)
    }

    /// The same for what may be gone once the machine loses its power, and only then: it is not waited for.
    /// The next commit that is waited for brings it to disk, and before that nothing may depend on it.
    pub(crate) fn write_ahead<T>(
        &mut self,
        write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.conn.execute_batch("PRAGMA synchronous = NORMAL").map_err(|error| self.fail(&error))?;
        let written = self.write(write);
        // Nothing is written before it is waited for again.
        self.conn.execute_batch("PRAGMA synchronous = FULL").map_err(|error| self.fail(&error))?;
        written
    }

    /// Writes in one transaction, which an inner `Err` rolls back.
    pub(crate) fn try_write<T, E>(
        &mut self,
        write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<Result<T, E>>,
    ) -> Result<Result<T, E>, StoreError> {
        let run = |conn: &mut Connection| {
            if !conn.is_autocommit() {
                // An earlier rollback failed, as it can on a failing disk.
                conn.execute_batch("ROLLBACK")?;
            }
            // Immediate: whoever waits does so before anything is read, so nothing is decided on old rows.
            let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let outcome = write(&tx)?;
            match outcome {
                Ok(_) => tx.commit()?,
                Err(_) => tx.rollback()?,
            }
            Ok(outcome)
        };
        run(&mut self.conn).map_err(|error| self.fail(&error))
    }

    /// Copies everything that was committed into the file and leaves its write-ahead log empty. `false`
    /// where a reader of an earlier moment stands in the way.
    pub(crate) fn truncate_log(&self) -> Result<bool, StoreError> {
        let busy = self
            .read(|conn| conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0)));
        match busy {
            Ok(busy) => Ok(busy == 0),
            Err(StoreError::Busy { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes every page anew. `false` where somebody else is at the file.
    pub(crate) fn vacuum(&self) -> Result<bool, StoreError> {
        match self.read(|conn| conn.execute_batch("VACUUM")) {
            Ok(()) => Ok(true),
            Err(StoreError::Busy { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What an error of this database means.
    pub(crate) fn fail(&self, error: &rusqlite::Error) -> StoreError {
        StoreError::from_sqlite(&self.path, self.timeout, error)
    }

    /// Says that the database holds what nobody here writes.
    pub(crate) fn corrupt(&self, detail: impl Into<String>) -> StoreError {
        StoreError::Corrupt { path: self.path.clone(), detail: detail.into() }
    }

    fn connect(path: &Path, timeout: Duration, access: OpenFlags) -> Result<Self, StoreError> {
        let timeout = timeout.min(MAX_TIMEOUT);
        let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
        let open = || {
            let conn = Connection::open_with_flags(path, flags)?;
            conn.busy_timeout(timeout)?;
            // The file may come from anywhere: nothing in its schema gets to run or to be believed.
            conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
            conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
            conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
            conn.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;")?;
            conn.set_prepared_statement_cache_capacity(64);
            Ok(conn)
        };
        let conn = open().map_err(|error| StoreError::from_sqlite(path, timeout, &error))?;
        Ok(Self { conn, path: path.to_owned(), timeout })
    }

    /// Whether the database has exactly the tables of a known version, or none yet.
    fn check_schema(&self, schema: &Schema) -> Result<Tables, StoreError> {
        let (application_id, version, found) = self.snapshot(|conn| {
            let application_id: i32 = conn.pragma_query_one(None, "application_id")?;
            let version: i64 = conn.pragma_query_one(None, "user_version")?;
            Ok((application_id, version, tables(conn)?))
        })?;
        if application_id == 0 && version == 0 && found.is_empty() {
            return Ok(Tables::None);
        }
        if application_id != schema.application_id {
            return Err(StoreError::Foreign { path: self.path.clone() });
        }
        if version > schema.version {
            let path = self.path.clone();
            return Err(StoreError::Newer { path, found: version, known: schema.version });
        }
        // A trigger or another table is somebody else's hand in the evidence.
        if version == schema.version && same_tables(&found, schema.statements) {
            return Ok(Tables::Present);
        }
        let earlier = schema.earlier.iter().find(|earlier| earlier.version == version);
        match earlier {
            Some(earlier) if same_tables(&found, earlier.statements) => Ok(Tables::Earlier(earlier)),
            _ => Err(self.corrupt("its tables are not the ones that nanohost makes")),
        }
    }
}

/// The text of every table, index, view and trigger, in no order.
fn tables(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    // Names in `sqlite_` are the engine's own, and nobody else can make them.
    let select = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT GLOB 'sqlite_*'";
    conn.prepare(select)?.query_map([], |row| row.get(0))?.collect()
}

fn same_tables(found: &[String], expected: &[&str]) -> bool {
    let mut found: Vec<&str> = found.iter().map(String::as_str).collect();
    let mut expected = expected.to_vec();
    found.sort_unstable();
    expected.sort_unstable();
    found == expected
}
