//! Files and folders that only their owner may read, made whole or not at all.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::StoreError;

/// How often a lock held by another process is tried again.
const LOCK_RETRY: Duration = Duration::from_millis(5);

/// Makes a folder, and those above it, for the owner alone. One that is there is left as it is.
pub(crate) fn create_dir(dir: &Path) -> Result<(), StoreError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(|error| StoreError::from_io(dir, &error))
}

/// Opens a file for reading and writing, and makes it for the owner alone where it is not there.
pub(crate) fn open_or_create(path: &Path) -> io::Result<File> {
    private().create(true).truncate(false).open(path)
}

/// Makes a file with this content, durable when this returns. Whoever looks sees all of it or
/// nothing. The caller holds the folder's lock, so that two processes never write the same file.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    let unfinished = PathBuf::from(unfinished);
    let write = || -> io::Result<()> {
        // A leftover of a process that died may have any mode: it is not written into.
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = private().create_new(true).open(&unfinished)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        sync_folder_of(path)
    };
    write().map_err(|error| StoreError::from_io(path, &error))
}

/// Takes the exclusive lock of a folder and holds it until the file is dropped.
pub(crate) fn lock_folder(dir: &Path, wait: Duration) -> Result<File, StoreError> {
    let path = dir.join(".lock");
    let file = open_or_create(&path).map_err(|error| StoreError::from_io(&path, &error))?;
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if start.elapsed() < wait => std::thread::sleep(LOCK_RETRY),
            Err(TryLockError::WouldBlock) => return Err(StoreError::Busy { path, waited: wait }),
            Err(TryLockError::Error(error)) => return Err(StoreError::from_io(&path, &error)),
        }
    }
}

/// Reads a small secret file that others must not be able to read; `None` where it is not there.
pub(crate) fn read_secret(path: &Path) -> Result<Option<zeroize::Zeroizing<String>>, StoreError> {
    use std::io::Read as _;
    let io = |error: io::Error| StoreError::from_io(path, &error);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let mode = file.metadata().map_err(io)?.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(StoreError::KeyMode { path: path.to_owned(), mode });
        }
    }
    // All at once, so that no copy of the secret is left behind by a growing buffer.
    let mut text = zeroize::Zeroizing::new(String::with_capacity(MAX_SECRET_FILE));
    match file.take(MAX_SECRET_FILE as u64).read_to_string(&mut text) {
        Ok(length) if length < MAX_SECRET_FILE => Ok(Some(text)),
        Ok(_) => {
            let detail = format!("it is longer than {MAX_SECRET_FILE} bytes");
            Err(StoreError::KeyUnreadable { path: path.to_owned(), detail })
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(StoreError::KeyUnreadable { path: path.to_owned(), detail: "it is not text".into() })
        }
        Err(error) => Err(io(error)),
    }
}

/// A key file is a few hundred bytes: a larger one is something else, and is not read whole.
const MAX_SECRET_FILE: usize = 16 * 1024;

fn private() -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes a new name in a folder durable. Where folders cannot be opened the system does it itself.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        #[cfg(unix)]
        Some(dir) => File::open(dir)?.sync_all(),
        _ => Ok(()),
    }
}
