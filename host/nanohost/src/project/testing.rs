//! What the tests of this module share: folders that are thrown away, and errors by code.

use std::fs;
use std::path::{Path, PathBuf};

use super::Places;
use crate::failure::Failure;

/// A folder of its own for one test, with places in it.
pub(super) struct Sandbox {
    folder: tempfile::TempDir,
    pub(super) places: Places,
}

impl Sandbox {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().expect("the temporary folder is writable");
        let root = folder.path().canonicalize().expect("it was just made");
        let places = Places {
            store: root.join("store"),
            config: root.join("config"),
            cache: Some(root.join("cache")),
            policy: None,
            machine_policy: None,
            log_policy: None,
            offline: false,
        };
        Self { folder, places }
    }

    /// A canonical path in it.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        let root = self.folder.path().canonicalize().expect("it is there as long as the test");
        if path.is_empty() { root } else { root.join(path) }
    }

    /// Writes a file, and the folders above it.
    pub(super) fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("it lies in the sandbox")).expect("the sandbox is writable");
        fs::write(&path, text).expect("the sandbox is writable");
        path
    }

    /// Makes a folder.
    pub(super) fn folder(&self, path: &str) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(&path).expect("the sandbox is writable");
        path
    }
}

/// The codes of what was found.
pub(super) fn codes<T: std::fmt::Debug>(result: anyhow::Result<T>) -> Vec<&'static str> {
    let error = result.expect_err("it is refused");
    let failure = error.downcast::<Failure>().expect("every error has a code");
    failure.findings.iter().map(|finding| finding.code).collect()
}

/// Sets when a file was last changed, seconds after some moment.
pub(super) fn age(path: &Path, seconds: u64) {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000 + seconds);
    fs::File::options()
        .write(true)
        .open(path)
        .and_then(|file| file.set_modified(time))
        .expect("the file is there");
}
