//! The heads of the chains of acts that were seen last, as files beside the keys, apart from the stores:
//! one signed note for each store. Knows no signature, and not what a head means.
//!
//! ```text
//! <keys>/acts/<chain>.head
//! ```

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nanohost_core::RunId;

use crate::error::StoreError;
use crate::private_file;

#[cfg(test)]
mod tests;

/// Another process that changes the folder is waited for no longer than this.
const WAIT: Duration = Duration::from_secs(5);

/// A head is some hundred bytes: a larger file is something else, and is not read whole.
const MAX_HEAD: u64 = 4096;

/// The folder of such heads.
#[derive(Debug, Clone)]
pub struct ActsHeads(PathBuf);

impl ActsHeads {
    /// That below the folder of keys. Makes nothing.
    pub fn at(keys: &Path) -> Self {
        Self(keys.join("acts"))
    }

    /// Where the head of a chain lies.
    pub fn path(&self, chain: &RunId) -> PathBuf {
        self.0.join(format!("{chain}.head"))
    }

    /// The head that is kept of a chain, as it lies there; `None` where there is none. What is not text,
    /// or too long, is an empty one: no head.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn get(&self, chain: &RunId) -> Result<Option<String>, StoreError> {
        use std::io::Read as _;
        let path = self.path(chain);
        let io = |error: std::io::Error| StoreError::from_io(&path, &error);
        // A pipe in its place would keep whoever opens it waiting.
        match std::fs::metadata(&path) {
            Ok(found) if !found.is_file() => return Ok(Some(String::new())),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(error)),
        }
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(error)),
        };
        let mut bytes = Vec::new();
        file.take(MAX_HEAD + 1).read_to_end(&mut bytes).map_err(io)?;
        let text = String::from_utf8(bytes).ok().filter(|text| text.len() as u64 <= MAX_HEAD);
        Ok(Some(text.unwrap_or_default()))
    }

    /// Keeps what `next` makes of the head that is there, where it makes one: on disk when this returns.
    /// One process at a time does so.
    ///
    /// # Errors
    /// Those of `next`, and where the head cannot be read or written.
    pub fn keep(
        &self,
        chain: &RunId,
        next: impl FnOnce(Option<String>) -> Result<Option<String>, StoreError>,
    ) -> Result<(), StoreError> {
        private_file::create_dir(&self.0)?;
        let _held = private_file::lock_folder(&self.0, WAIT)?;
        match next(self.get(chain)?)? {
            Some(head) => private_file::write_whole(&self.path(chain), head.as_bytes()),
            None => Ok(()),
        }
    }
}
