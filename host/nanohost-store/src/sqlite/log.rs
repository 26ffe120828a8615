//! The log over all runs as rows: the order of the envelopes, the nodes of their tree, its heads.
//! Every commit makes the log grow in its own transaction, so there is no envelope outside of it.

use std::ops::Range;

use nanohost_core::log::note::Kind;
use nanohost_core::log::tree::{self, Node};
use nanohost_core::log::{Checkpoint, Frontier, KeyName, Nodes, Note, NoteSigner};
use nanohost_core::{Digest, RunId, Signer};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Transaction};

use super::read::{count, ident};
use super::{HasShelf, SqliteStore};
use crate::error::StoreError;
use crate::keyring::StoreName;
use crate::log::{LogEntry, LogHead, LogView, Logged};

/// The origin of a store's log: unique without anybody handing out names.
pub(super) fn origin(store: &StoreName) -> Result<KeyName, StoreError> {
    let digits: String = store.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("nanohost-log/{digits}").parse().map_err(|_| StoreError::Misuse { what: "a log without a name" })
}

/// The name under which the log goes on, where it does not have its first name any more.
pub(super) fn renamed(conn: &Connection) -> rusqlite::Result<Option<String>> {
    conn.query_row("SELECT CAST(value AS TEXT) FROM meta WHERE name = 'log'", [], |row| row.get(0)).optional()
}

/// Lets the log go on under another name. What witnesses signed was of the old one.
pub(super) fn rename(conn: &Connection, origin: &KeyName) -> rusqlite::Result<()> {
    conn.execute(
        "INSERT OR REPLACE INTO meta (name, value) VALUES ('log', ?1)",
        [origin.as_str().as_bytes()],
    )?;
    conn.execute("DELETE FROM log_head WHERE name = ?1", [LogHead::Witnessed.as_str()]).map(drop)
}

impl SqliteStore {
    /// Signs heads under another name and key from now on: those of the commit that renames the log too.
    /// Gives the one that signed them until now, for whoever has to take it back.
    pub fn sign_log_as(&self, signer: NoteSigner) -> Option<NoteSigner> {
        self.shelf.files().log_key.replace(signer)
    }

    /// The same store, whose log's heads are signed by this key from now on, in the transaction of
    /// each commit. Without one the log grows all the same, and its last head is an older one.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn signing_log_with(self, key: Signer) -> Result<Self, StoreError> {
        let mut files = self.shelf.files();
        files.log_key = Some(NoteSigner::new(files.origin()?, Kind::Ed25519, key));
        drop(files);
        Ok(self)
    }

    /// Signs the log's present head, where its newest checkpoint is not that: of what was committed
    /// without a key, and of a store that had no log before. `None` without a key.
    ///
    /// # Errors
    /// Where the store cannot be read or written.
    pub fn sign_log_head(&self) -> Result<Option<Note>, StoreError> {
        let mut files = self.shelf.files();
        let files = &mut *files;
        let Some(signer) = &files.log_key else { return Ok(None) };
        let present = |conn: &Connection| {
            let frontier = edge(conn)?;
            let text = checkpoint(signer, &frontier).to_string();
            let kept = kept_head(conn, LogHead::Signed)?.filter(|note| note.text() == text);
            Ok((frontier, kept))
        };
        if let (_, Some(note)) = files.database.snapshot(present)? {
            return Ok(Some(note));
        }
        files.database.write(|tx| {
            let (frontier, kept) = present(tx)?;
            match kept {
                Some(note) => Ok(Some(note)),
                None => sign(tx, signer, &frontier).map(Some),
            }
        })
    }

    /// Signs the log's present head, and the time at which it is that, Unix seconds: a heartbeat, for
    /// logs in which nothing happens. `None` without a key.
    ///
    /// # Errors
    /// Where the store cannot be read or written.
    pub fn sign_log_time(&self, time: u64) -> Result<Option<Note>, StoreError> {
        let mut files = self.shelf.files();
        let files = &mut *files;
        let Some(signer) = &files.log_key else { return Ok(None) };
        files.database.write(|tx| {
            let mut note = sign(tx, signer, &edge(tx)?)?;
            note.sign_time(signer, time);
            keep_head(tx, LogHead::Signed, &note)?;
            Ok(Some(note))
        })
    }

    /// Keeps the signatures of witnesses under a checkpoint of this log, where none of a larger tree
    /// is kept. Whoever calls this has checked them.
    ///
    /// # Errors
    /// Where the store cannot be read or written.
    pub fn keep_witnessed(&self, note: &Note) -> Result<(), StoreError> {
        let size = |note: &Note| note.text().parse::<Checkpoint>().map_or(0, |head| head.size);
        self.shelf.files().database.write(|tx| {
            let newer = kept_head(tx, LogHead::Witnessed)?.is_some_and(|kept| size(&kept) > size(note));
            if !newer {
                keep_head(tx, LogHead::Witnessed, note)?;
            }
            Ok(())
        })
    }
}

impl<T: HasShelf> Logged for T {
    fn log_origin(&self) -> Result<KeyName, StoreError> {
        self.shelf().files().origin()
    }

    fn is_log_renamed(&self) -> Result<bool, StoreError> {
        self.shelf().files().database.read(|conn| Ok(renamed(conn)?.is_some()))
    }

    fn read_log<R>(
        &self,
        read: impl FnOnce(&mut dyn LogView) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        let files = self.shelf().files();
        let fail = |error: rusqlite::Error| files.database.fail(&error);
        let mut outcome = None;
        files.database.snapshot(|conn| {
            outcome = Some(read(&mut View { rows: Rows(conn), fail: &fail }));
            Ok(())
        })?;
        outcome.unwrap_or(Err(StoreError::Misuse { what: "a log that was not read" }))
    }
}

/// One moment of a log.
struct View<'a> {
    rows: Rows<'a>,
    fail: &'a dyn Fn(rusqlite::Error) -> StoreError,
}

impl View<'_> {
    fn or_fail<R>(&self, outcome: rusqlite::Result<R>) -> Result<R, StoreError> {
        outcome.map_err(self.fail)
    }
}

impl LogView for View<'_> {
    fn size(&mut self) -> Result<u64, StoreError> {
        self.or_fail(size(self.rows.0))
    }

    fn head_text(&mut self, which: LogHead) -> Result<Option<String>, StoreError> {
        self.or_fail(kept_text(self.rows.0, which))
    }

    fn node(&mut self, node: Node) -> Result<Digest, StoreError> {
        let hash = self.rows.get(node);
        self.or_fail(hash)
    }

    fn find(&mut self, run: &RunId, seq: u64) -> Result<Option<u64>, StoreError> {
        let found = || {
            self.rows
                .0
                .prepare_cached("SELECT entry FROM log_entry WHERE run = ?1 AND seq = ?2")?
                .query_row((run.as_str(), seq as i64), |row| count(row, 0))
                .optional()
        };
        self.or_fail(found())
    }

    fn entries(
        &mut self,
        range: Range<u64>,
        each: &mut dyn FnMut(LogEntry) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut select = self.or_fail(self.rows.0.prepare_cached(
            // An envelope of a run that is not there is one that no reader finds.
            "SELECT entry, l.run, l.seq, CASE WHEN r.id IS NULL THEN NULL ELSE bytes END FROM log_entry l \
             LEFT JOIN envelope e ON e.run = l.run AND e.seq = l.seq LEFT JOIN run r ON r.id = l.run \
             WHERE entry >= ?1 AND entry < ?2 ORDER BY entry",
        ))?;
        let mut rows = self.or_fail(select.query((range.start as i64, range.end as i64)))?;
        while let Some(row) = self.or_fail(rows.next())? {
            let entry = || {
                Ok(LogEntry {
                    entry: count(row, 0)?,
                    run: ident(row, 1)?,
                    seq: count(row, 2)?,
                    envelope: row.get(3)?,
                })
            };
            each(self.or_fail(entry())?)?;
        }
        Ok(())
    }

    fn outside(&mut self) -> Result<u64, StoreError> {
        let found = || {
            self.rows.0.query_row(
                "SELECT count(*) FROM envelope e WHERE NOT EXISTS \
                 (SELECT 1 FROM log_entry l WHERE l.run = e.run AND l.seq = e.seq)",
                [],
                |row| count(row, 0),
            )
        };
        self.or_fail(found())
    }
}

/// The nodes that are kept.
struct Rows<'a>(&'a Connection);

impl Nodes for Rows<'_> {
    type Error = rusqlite::Error;

    fn get(&mut self, node: Node) -> rusqlite::Result<Digest> {
        self.0
            .prepare_cached("SELECT hash FROM log_node WHERE level = ?1 AND place = ?2")?
            .query_row((node.level, node.index as i64), |row| Ok(Digest::from_bytes(row.get(0)?)))
    }
}

/// The number of entries: they stand without a gap.
fn size(conn: &Connection) -> rusqlite::Result<u64> {
    conn.prepare_cached("SELECT coalesce(max(entry) + 1, 0) FROM log_entry")?
        .query_row([], |row| count(row, 0))
}

/// The right edge of the log. Where the kept hashes do not lead to the head that is signed over as
/// many entries, or more are signed than are there, nothing is signed on top of them: others
/// remember that head, and a log that disagrees with it is another log.
fn edge(conn: &Connection) -> rusqlite::Result<Frontier> {
    let frontier = Frontier::read(size(conn)?, &mut Rows(conn))?;
    let head = kept_head(conn, LogHead::Signed)?.and_then(|note| note.text().parse::<Checkpoint>().ok());
    let contradicts = |head: Checkpoint| match head.size.cmp(&frontier.size()) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => head.root != frontier.root(),
        std::cmp::Ordering::Greater => true,
    };
    match head.is_some_and(contradicts) {
        true => Err(rusqlite::Error::FromSqlConversionFailure(0, Type::Blob, TORN.into())),
        false => Ok(frontier),
    }
}

/// What an error says of a log that contradicts its own head.
const TORN: &str = "the log of this store is not what its signed head says";

/// Enters envelopes of a run, the first of which has the number `seq`. `log` is the right edge of the
/// log before and after it; `None` where nothing was entered yet in this transaction.
pub(super) fn enter(
    conn: &Connection,
    log: &mut Option<Frontier>,
    run: &RunId,
    seq: u64,
    envelopes: &[Vec<u8>],
) -> rusqlite::Result<()> {
    let frontier = match log {
        Some(frontier) => frontier,
        None => log.insert(edge(conn)?),
    };
    let mut writer = Writer::new(conn)?;
    for (seq, envelope) in (seq..).zip(envelopes) {
        writer.enter(frontier, run.as_str(), seq as i64, envelope)?;
    }
    Ok(())
}

/// Enters everything that a store held before it had a log, run by run, the oldest first.
pub(super) fn enter_all(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    let mut frontier = Frontier::default();
    let mut writer = Writer::new(tx)?;
    let mut select = tx.prepare(
        "SELECT run, seq, bytes FROM envelope JOIN run ON run.id = envelope.run ORDER BY opened, run, seq",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (run, bytes): (String, Vec<u8>) = (row.get(0)?, row.get(2)?);
        writer.enter(&mut frontier, &run, row.get(1)?, &bytes)?;
    }
    Ok(())
}

struct Writer<'a> {
    entry: rusqlite::CachedStatement<'a>,
    node: rusqlite::CachedStatement<'a>,
}

impl<'a> Writer<'a> {
    fn new(conn: &'a Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            entry: conn.prepare_cached("INSERT INTO log_entry (entry, run, seq) VALUES (?1, ?2, ?3)")?,
            node: conn.prepare_cached("INSERT INTO log_node (level, place, hash) VALUES (?1, ?2, ?3)")?,
        })
    }

    fn enter(
        &mut self,
        frontier: &mut Frontier,
        run: &str,
        seq: i64,
        envelope: &[u8],
    ) -> rusqlite::Result<()> {
        self.entry.execute((frontier.size() as i64, run, seq))?;
        let mut outcome = Ok(());
        frontier.push(tree::leaf(envelope), |node, hash| {
            let written = self.node.execute((node.level, node.index as i64, hash.as_bytes()));
            if let (Ok(()), Err(error)) = (&outcome, written) {
                outcome = Err(error);
            }
        });
        outcome
    }
}

/// Signs and keeps the head of a tree.
pub(super) fn sign(conn: &Connection, signer: &NoteSigner, frontier: &Frontier) -> rusqlite::Result<Note> {
    let mut note = checkpoint(signer, frontier)
        .note()
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    note.sign(signer, 0);
    keep_head(conn, LogHead::Signed, &note)?;
    Ok(note)
}

fn checkpoint(signer: &NoteSigner, frontier: &Frontier) -> Checkpoint {
    Checkpoint { origin: signer.verifier().name().clone(), size: frontier.size(), root: frontier.root() }
}

fn keep_head(conn: &Connection, which: LogHead, note: &Note) -> rusqlite::Result<()> {
    conn.prepare_cached("INSERT OR REPLACE INTO log_head (name, note) VALUES (?1, ?2)")?
        .execute((which.as_str(), note.to_string()))?;
    Ok(())
}

fn kept_head(conn: &Connection, which: LogHead) -> rusqlite::Result<Option<Note>> {
    // A text that is no note is no head: whoever needs one says that there is none.
    Ok(kept_text(conn, which)?.and_then(|text| text.parse().ok()))
}

fn kept_text(conn: &Connection, which: LogHead) -> rusqlite::Result<Option<String>> {
    conn.prepare_cached("SELECT note FROM log_head WHERE name = ?1")?
        .query_row([which.as_str()], |row| row.get(0))
        .optional()
}
