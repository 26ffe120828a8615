//! The tables of `store.db`. A change here is a new version and a migration.

use rusqlite::Transaction;

use crate::database::Schema;
use crate::keyring::StoreName;

/// Version 1. The texts are compared with the database's own at every opening.
pub(super) const SCHEMA: Schema = Schema {
    application_id: 0x6e68_7374,
    version: 1,
    statements: &[
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID",
        "CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID",
        "CREATE TABLE run (\
         id TEXT PRIMARY KEY CHECK (length(id) = 32 AND id NOT GLOB '*[^0-9a-f]*'), \
         program TEXT NOT NULL, \
         opened INTEGER NOT NULL, \
         epoch INTEGER NOT NULL CHECK (epoch > 0), \
         len INTEGER NOT NULL CHECK (len >= 0), \
         last BLOB CHECK (last IS NULL OR length(last) = 32), \
         phase TEXT NOT NULL CHECK (phase IN ('open', 'suspended', 'closed')), \
         status TEXT, \
         CHECK ((len = 0) = (last IS NULL)), \
         CHECK ((phase = 'closed') = (status IS NOT NULL))) STRICT, WITHOUT ROWID",
        "CREATE INDEX run_opened ON run (opened)",
        // Rows of several kilobytes: a table with row ids keeps the tree of keys small.
        "CREATE TABLE envelope (\
         run TEXT NOT NULL REFERENCES run (id), \
         seq INTEGER NOT NULL CHECK (seq >= 0), \
         bytes BLOB NOT NULL, \
         PRIMARY KEY (run, seq)) STRICT",
        // The salt lies inside the ciphertext: with it, erased content could be guessed.
        "CREATE TABLE content (\
         run TEXT NOT NULL REFERENCES run (id), \
         seq INTEGER NOT NULL CHECK (seq >= 0), \
         role TEXT NOT NULL, \
         encoding TEXT NOT NULL, \
         data_key INTEGER NOT NULL, \
         sealed BLOB NOT NULL, \
         PRIMARY KEY (run, seq, role)) STRICT",
        "CREATE TABLE kv (\
         program TEXT NOT NULL, \
         tool TEXT NOT NULL, \
         namespace TEXT NOT NULL, \
         key TEXT NOT NULL, \
         version INTEGER NOT NULL UNIQUE CHECK (version > 0), \
         run TEXT NOT NULL REFERENCES run (id), \
         data_key INTEGER NOT NULL, \
         sealed BLOB NOT NULL, \
         PRIMARY KEY (program, tool, namespace, key)) STRICT",
        "CREATE TABLE idempotency (\
         mac BLOB PRIMARY KEY CHECK (length(mac) = 32), \
         run TEXT NOT NULL REFERENCES run (id), \
         result_seq INTEGER CHECK (result_seq >= 0)) STRICT, WITHOUT ROWID",
    ],
};

/// What a new store starts with.
pub(super) fn fill(tx: &Transaction<'_>, store: &StoreName) -> rusqlite::Result<()> {
    tx.execute("INSERT INTO meta (name, value) VALUES ('store', ?1)", [store])?;
    tx.execute("INSERT INTO counter (name, value) VALUES ('kv_version', 0)", [])?;
    Ok(())
}
