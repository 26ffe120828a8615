//! The secrets that tools may have the host send for them: a file of sealed values, and the key
//! that opens it in a file of its own. Names are in the clear. Knows no tool and no header.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::error::StoreError;
use crate::private_file;
use crate::seal::{self, Key, associated};

#[cfg(test)]
mod tests;

/// Writing takes milliseconds: another process at it is waited for no longer than this.
const WAIT: Duration = Duration::from_secs(5);

/// The secrets of a folder.
#[derive(Debug, Clone)]
pub struct Secrets {
    dir: PathBuf,
}

impl Secrets {
    /// Those in `dir`, which need not be there yet.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Keeps a value under a name, instead of the one that was there; true where one was.
    ///
    /// # Errors
    /// Where the files cannot be read or written, or are damaged: they are never replaced.
    pub fn set(&self, name: &str, value: &str) -> Result<bool, StoreError> {
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(StoreError::Misuse { what: "a secret whose name is no name" });
        }
        private_file::create_dir(&self.dir)?;
        let _writing = private_file::lock_folder(&self.dir, WAIT)?;
        let mut sealed = self.read()?;
        let key = match self.key()? {
            Some(key) => key,
            // What is sealed with a lost key must not get a new one, as if nothing had happened.
            None if !sealed.is_empty() => return Err(StoreError::VaultKeyMissing { path: self.key_path() }),
            None => {
                let key = seal::random_key()?;
                let mut line = seal::key_text(&key);
                line.push('\n');
                private_file::write_whole(&self.key_path(), line.as_bytes())?;
                key
            }
        };
        // A key that does not open what is there would leave some secrets lost without a word.
        for (name, bytes) in &sealed {
            self.open(&key, name, bytes)?;
        }
        let bytes = seal::seal(&key, &place(name), value.as_bytes())?;
        let replaced = sealed.insert(name.to_owned(), bytes).is_some();
        self.write(&sealed)?;
        Ok(replaced)
    }

    /// Forgets a name; true where it was there.
    ///
    /// # Errors
    /// As [`Secrets::set`].
    pub fn remove(&self, name: &str) -> Result<bool, StoreError> {
        if !self.names()?.iter().any(|own| own == name) {
            return Ok(false);
        }
        let _writing = private_file::lock_folder(&self.dir, WAIT)?;
        let mut sealed = self.read()?;
        let removed = sealed.remove(name).is_some();
        self.write(&sealed)?;
        Ok(removed)
    }

    /// All names, in order. Needs no key.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn names(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.read()?.into_keys().collect())
    }

    /// The value under a name; `None` where there is none.
    ///
    /// # Errors
    /// Where the files cannot be read, were changed, or the key is another one.
    pub fn value(&self, name: &str) -> Result<Option<Zeroizing<String>>, StoreError> {
        let Some(bytes) = self.read()?.remove(name) else { return Ok(None) };
        let key = self.key()?.ok_or_else(|| StoreError::VaultKeyMissing { path: self.key_path() })?;
        self.open(&key, name, &bytes).map(Some)
    }

    fn open(&self, key: &Key, name: &str, bytes: &[u8]) -> Result<Zeroizing<String>, StoreError> {
        let plain = seal::open(key, &place(name), bytes)
            .ok_or_else(|| StoreError::VaultKeyWrong { path: self.key_path() })?;
        let text = std::str::from_utf8(&plain).map_err(|_| self.unreadable("a value is no text"))?;
        Ok(Zeroizing::new(text.to_owned()))
    }

    fn key(&self) -> Result<Option<Key>, StoreError> {
        let path = self.key_path();
        let Some(text) = private_file::read_secret(&path)? else { return Ok(None) };
        seal::key_from_text(text.trim_ascii_end()).map(Some).ok_or_else(|| StoreError::KeyUnreadable {
            path,
            detail: "it is not 64 lower-case hexadecimal digits".into(),
        })
    }

    fn read(&self) -> Result<BTreeMap<String, Vec<u8>>, StoreError> {
        let path = self.path();
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(StoreError::from_io(&path, &error)),
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| self.unreadable("it is not text"))?;
        text.lines()
            .map(|line| {
                let (name, value) = line.split_once(' ')?;
                Some((name.to_owned(), bytes_of_hex(value)?))
            })
            .collect::<Option<_>>()
            .ok_or_else(|| self.unreadable("it is no list of names and sealed values"))
    }

    fn write(&self, sealed: &BTreeMap<String, Vec<u8>>) -> Result<(), StoreError> {
        let lines: String =
            sealed.iter().map(|(name, bytes)| format!("{name} {}\n", hex_of(bytes))).collect();
        private_file::write_whole(&self.path(), lines.as_bytes())
    }

    fn unreadable(&self, detail: &str) -> StoreError {
        StoreError::KeyUnreadable { path: self.path(), detail: detail.into() }
    }

    fn path(&self) -> PathBuf {
        self.dir.join("secrets.sealed")
    }

    fn key_path(&self) -> PathBuf {
        self.dir.join("secrets.key")
    }
}

/// A value opens only under its own name.
fn place(name: &str) -> Vec<u8> {
    associated("nanohost/secret/v1", &[name.as_bytes()])
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    pairs.iter().map(|[high, low]| u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()).collect()
}
