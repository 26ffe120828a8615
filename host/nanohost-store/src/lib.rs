//! What nanohost keeps: the journal of runs, the vault with their content, the key-value spaces
//! of tools, idempotency records and keys.
//!
//! ```text
//! <store>/            0700
//!   store.db          SQLite, WAL: envelopes, ciphertexts, key-value spaces, idempotency records
//!   keys.db           SQLite, WAL: the keys of the ciphertexts, wrapped
//!   vault.key         the key that unwraps keys.db; back it up apart from both
//!   locks/            a lock file for each owned run and each tool's space; locks die with their process
//! ```
//!
//! Who takes one of the three files alone can read nothing that a program was given or said.
//! In the clear stand envelopes (commitments, never content), names of programs and tools, deadlines,
//! and the *names* of key-value entries. Files are 0600.
//!
//! [`Records`] is reading, [`Journal`] is writing by the owner of a run. [`SqliteStore`] and
//! [`MemoryStore`] keep the same promises, and one suite of tests holds both to them.
//!
//! Beside the store, with what the user decided, lie the secrets of tools ([`Secrets`]): sealed values in one
//! file, their key in another.
//!
//! This crate deliberately knows no WebAssembly, command line or terminal, no meaning of an
//! event, no compiled code but the file of its key, and no signature but the file of the development key.

mod acts_heads;
mod batch;
mod code_key;
mod database;
mod error;
mod hold;
mod idempotency;
mod journal;
mod keyring;
mod lock;
mod log;
mod made_keys;
mod memory;
mod private_file;
mod record;
mod resume_token;
mod seal;
mod secrets;
mod signing_key;
mod sqlite;
mod witness_state;

#[cfg(test)]
mod contract;

pub use acts_heads::ActsHeads;
pub use batch::{Batch, Effect, Erases, KvCommit, KvEntry, KvKey, KvRead, KvScope, KvWrite, Phase};
pub use code_key::code_key;
pub use error::StoreError;
pub use hold::{Hold, Holds, LaidHold};
pub use idempotency::{CallPlace, Claim, Fate, IdempotencyScope, Reservation, ReservationState};
pub use journal::{
    Appended, Begun, Conflict, Fence, Head, Journal, OpenRun, Records, StartKey, Subject, Taken,
};
pub use lock::SpaceLock;
pub use log::{LogEntry, LogHead, LogView, Logged};
pub use made_keys::{MadeKey, MadeKeys, read_passphrase};
pub use memory::MemoryStore;
pub use record::{Found, Place, RunRecord, RunState, RunSummary, StoredAct, StoredContent, VaultError};
pub use resume_token::ResumeToken;
pub use secrets::Secrets;
pub use signing_key::{
    DEVELOPMENT_KEY_FILE, DevelopmentKey, LOG_KEY_FILE, PUBLIC_KEY_FILE, development_key,
    development_public_key, key_file, log_key, log_public_key,
};
pub use sqlite::{OpenOptions, Purge, SqliteReader, SqliteStore, Survey};
pub use witness_state::{MAX_WITNESSED_LOGS, WitnessState};
