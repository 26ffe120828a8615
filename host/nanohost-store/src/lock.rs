//! Who owns a run: a lock of the operating system that dies with its process, whatever ends it.
//! Knows no database; the epoch that fences stale owners is the journal's.

use std::fs::{File, TryLockError};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use nanohost_core::{Digest, RunId};

use crate::batch::KvScope;
use crate::error::StoreError;
use crate::private_file;

/// The folder of the locks.
#[derive(Debug)]
pub(crate) struct RunLocks {
    dir: PathBuf,
}

/// Ownership of a run among all processes of this machine, until dropped.
#[derive(Debug)]
pub(crate) struct RunLock {
    _file: File,
    #[cfg_attr(not(unix), expect(dead_code, reason = "only removing the file needs its name"))]
    path: PathBuf,
}

/// A tool's key-value space, and its idempotency keys, to oneself among all runs of this machine,
/// until dropped: from before a call reads to after its result is committed.
#[derive(Debug)]
pub struct SpaceLock {
    _file: File,
}

// Where `is_at` cannot tell files apart the file stays; unlocked, it means nothing.
#[cfg(unix)]
impl Drop for RunLock {
    fn drop(&mut self) {
        // While the lock is held: whoever has opened the file meanwhile sees that it is not the
        // file of that name any more. Where removing fails, an unlocked file stays.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Whoever asks whether a run is live holds its lock for an instant: an owner-to-be tries so often.
const TRIES: u32 = 10;
const BETWEEN_TRIES: Duration = Duration::from_millis(2);

impl RunLocks {
    pub(crate) fn in_dir(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Takes the lock of a run; `None` where a live process holds it.
    pub(crate) fn own(&self, run: &RunId) -> Result<Option<RunLock>, StoreError> {
        let path = self.path(run);
        for tried in 0..TRIES {
            if tried > 0 {
                std::thread::sleep(BETWEEN_TRIES);
            }
            let file =
                private_file::open_or_create(&path).map_err(|error| StoreError::from_io(&path, &error))?;
            match file.try_lock() {
                // Between opening and locking, a former owner may have removed the file.
                Ok(()) if is_at(&file, &path) => return Ok(Some(RunLock { _file: file, path })),
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(StoreError::from_io(&path, &error)),
            }
        }
        Ok(None)
    }

    /// Takes the lock of a tool's key-value space; `None` where a call of another run holds it.
    ///
    /// The file stays: the spaces of a store are as many as its tools.
    pub(crate) fn own_space(&self, scope: &KvScope) -> Result<Option<SpaceLock>, StoreError> {
        let name = Digest::of(format!("{}\0{}", scope.program, scope.tool).as_bytes());
        let path = self.dir.join(format!("space-{name}.lock"));
        let file = private_file::open_or_create(&path).map_err(|error| StoreError::from_io(&path, &error))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(SpaceLock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(StoreError::from_io(&path, &error)),
        }
    }

    /// Whether a live process holds the lock of a run.
    pub(crate) fn is_live(&self, run: &RunId) -> Result<bool, StoreError> {
        let path = self.path(run);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(StoreError::from_io(&path, &error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(StoreError::from_io(&path, &error)),
        }
    }

    fn path(&self, run: &RunId) -> PathBuf {
        self.dir.join(format!("{run}.lock"))
    }
}

/// Whether `path` still names this very file.
#[cfg(unix)]
fn is_at(file: &File, path: &std::path::Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(held), Ok(named)) => (held.dev(), held.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// No lock file is ever removed here, so its name cannot come to mean another.
#[cfg(not(unix))]
fn is_at(_file: &File, _path: &std::path::Path) -> bool {
    true
}
