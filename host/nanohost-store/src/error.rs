//! Why the store could not do what it was asked, by cause, each with a stable code and a remedy.
//!
//! All of these mean that the host could not go on; none of them says anything about a program,
//! a tool or the truth of evidence.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nanohost_core::RunId;
use rusqlite::ErrorCode;

/// A failure of the store. Whatever was acknowledged before is still there.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// There is no store to read.
    #[error("there is no store in {}", dir.display())]
    NoStore {
        /// Where it was looked for.
        dir: PathBuf,
    },
    /// A later version of nanohost wrote it.
    #[error("{} has schema {found}, and this version knows schemas up to {known}", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema known here.
        known: i64,
    },
    /// An earlier version of nanohost wrote it, and reading does not change it.
    #[error("{} has the earlier schema {found}, and this version reads schema {known}", path.display())]
    Older {
        /// The database.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The schema that can be read here.
        known: i64,
    },
    /// It is something else.
    #[error("{} is not a nanohost database", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// It may not be written.
    #[error("{} cannot be opened or written: {cause}", path.display())]
    NotWritable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// Somebody else kept it locked for the whole time-out.
    #[error("{} stayed locked by another process for {} ms", path.display(), waited.as_millis())]
    Busy {
        /// The file.
        path: PathBuf,
        /// How long this process waited.
        waited: Duration,
    },
    /// There is no room.
    #[error("there is no room left for {}", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// Reading or writing failed.
    #[error("{} could not be read or written: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// It holds what nanohost never writes.
    #[error("{} is damaged: {detail}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The id of a new run is taken.
    #[error("run {run} is already there")]
    RunExists {
        /// The id.
        run: RunId,
    },
    /// The host asked for something that the journal forbids.
    #[error("the host asked the store for {what}")]
    Misuse {
        /// What it asked for.
        what: &'static str,
    },
    /// A value of a tool's key-value space was changed behind the journal's back, or its key is gone.
    #[error("the value of {key:?} in the key-value space of {tool} cannot be decrypted")]
    KvDamaged {
        /// The tool.
        tool: String,
        /// The key.
        key: String,
    },
    /// A file that holds a private key, a passphrase or another secret can be read by others.
    #[error("{} holds a secret, and others can read it (mode {mode:04o})", path.display())]
    KeyMode {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A key file does not hold a key of its kind.
    #[error("{} does not hold a usable key: {detail}", path.display())]
    KeyUnreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        detail: String,
    },
    /// The vault has keys, but the file that unwraps them is gone.
    #[error("the key of the vault is not at {}", path.display())]
    VaultKeyMissing {
        /// Where it belongs.
        path: PathBuf,
    },
    /// The file holds another vault's key.
    #[error("{} is not the key of this vault", path.display())]
    VaultKeyWrong {
        /// The file.
        path: PathBuf,
    },
    /// What a witness keeps is not all there, or not its own.
    #[error("{} is not what this witness kept: {detail}", path.display())]
    WitnessState {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The system gives no random numbers.
    #[error("the operating system gives no random numbers: {cause}")]
    NoRandom {
        /// What it said.
        cause: String,
    },
}

impl StoreError {
    /// The stable code. Every code has a heading in `host/docs/diagnostics.md`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoStore { .. } => "no_store",
            Self::Newer { .. } => "store_newer",
            Self::Older { .. } => "store_older",
            Self::Foreign { .. } => "store_foreign",
            Self::NotWritable { .. } => "store_not_writable",
            Self::Busy { .. } => "store_busy",
            Self::Full { .. } => "store_full",
            Self::Io { .. } => "store_io",
            Self::Corrupt { .. } => "store_corrupt",
            Self::RunExists { .. } => "run_exists",
            Self::Misuse { .. } => "store_misuse",
            Self::KvDamaged { .. } => "kv_damaged",
            Self::KeyMode { .. } => "key_mode",
            Self::KeyUnreadable { .. } => "key_unreadable",
            Self::VaultKeyMissing { .. } => "vault_key_missing",
            Self::VaultKeyWrong { .. } => "vault_key_wrong",
            Self::WitnessState { .. } => "witness_state",
            Self::NoRandom { .. } => "no_random",
        }
    }

    /// What to do about it, in one line.
    pub fn help(&self) -> String {
        match self {
            Self::NoStore { .. } => {
                "run a program first, or name the store with --store or NANOHOST_STORE".into()
            }
            Self::Newer { .. } => {
                "use the version of nanohost that wrote it, or name another store with --store".into()
            }
            Self::Older { .. } => {
                "the next `nanohost run` with this store brings it up to date, with everything in it".into()
            }
            Self::Foreign { .. } => "name another folder with --store".into(),
            Self::NotWritable { .. } => {
                "make the folder writable for you, or name another with --store or NANOHOST_STORE".into()
            }
            Self::Busy { .. } => "try again when the other process is done with the store".into(),
            Self::Full { .. } => {
                "free some space and try again; everything acknowledged so far is kept".into()
            }
            Self::Io { .. } => "check the disk that holds the store, then try again".into(),
            Self::Corrupt { .. } => "keep a copy for examination and restore the store from a backup".into(),
            Self::RunExists { .. } => "start the run again: it gets another id".into(),
            Self::Misuse { .. } => "this is a defect of nanohost: please report it".into(),
            Self::KvDamaged { .. } => {
                "restore the store and its keys.db from backups of the same time".into()
            }
            Self::KeyMode { path, .. } => format!("chmod 600 '{}'", path.display()),
            Self::KeyUnreadable { path, .. } => {
                format!("restore {} from a backup, or move it away to have a new key made", path.display())
            }
            Self::VaultKeyMissing { .. } => {
                "restore the file from its backup: without it no content can be read".into()
            }
            Self::VaultKeyWrong { .. } => "restore the file that was made with this store".into(),
            Self::WitnessState { .. } => {
                "a witness whose last heads are lost must not sign under its key any more, nor from an older copy of \
                 them: begin with an empty folder, and have its new key trusted"
                    .into()
            }
            Self::NoRandom { .. } => "check that the system's random source works".into(),
        }
    }

    /// What the system said about a file.
    pub(crate) fn from_io(path: &Path, error: &io::Error) -> Self {
        use io::ErrorKind as Kind;
        let path = path.to_owned();
        match error.kind() {
            Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => Self::Full { path },
            Kind::PermissionDenied
            | Kind::ReadOnlyFilesystem
            | Kind::NotADirectory
            | Kind::IsADirectory
            | Kind::AlreadyExists => Self::NotWritable { path, cause: error.to_string() },
            _ => Self::Io { path, cause: error.to_string() },
        }
    }

    /// What SQLite said about a database; `waited` is the time-out in force.
    pub(crate) fn from_sqlite(path: &Path, waited: Duration, error: &rusqlite::Error) -> Self {
        let path = path.to_owned();
        let cause = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { path, waited },
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Self::NotWritable { path, cause }
            }
            Some(ErrorCode::DiskFull) => Self::Full { path },
            // The index of the write-ahead log cannot grow: the form a full disk has on opening.
            _ if error.sqlite_extended_error_code() == Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE) => {
                Self::Full { path }
            }
            Some(ErrorCode::NotADatabase) => Self::Foreign { path },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::ConstraintViolation) => {
                Self::Corrupt { path, detail: cause }
            }
            Some(_) => Self::Io { path, cause },
            // No code of SQLite's: a row that does not have the form its table requires.
            None => Self::Corrupt { path, detail: cause },
        }
    }

    /// What the random source said.
    pub(crate) fn from_random(error: &getrandom::Error) -> Self {
        Self::NoRandom { cause: error.to_string() }
    }
}
