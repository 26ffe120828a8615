//! The keys that a user made to sign calls with, as files: one of them signs, the others are kept, since
//! they finish the runs that they began. Knows no passphrase: a private key is handed out as text.
//!
//! ```text
//! <keys>/signing/<id>.key.pem   a private key, PKCS#8 v1, as a rule under a passphrase
//! <keys>/signing/<id>.pub.pem   its public key
//! <keys>/signing/current        the id of the one that signs; without it the development key does
//! ```

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nanohost_core::{KeyId, PublicKey};
use zeroize::Zeroizing;

use crate::error::StoreError;
use crate::private_file;
use crate::signing_key::public_key;

#[cfg(test)]
mod tests;

/// Another process that changes the folder is waited for no longer than this.
const WAIT: Duration = Duration::from_secs(5);

/// A key that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeKey {
    /// Its public key.
    pub public: PublicKey,
    /// The file of the private key.
    pub private_file: PathBuf,
    /// The file of the public key.
    pub public_file: PathBuf,
}

/// The folder of such keys.
#[derive(Debug, Clone)]
pub struct MadeKeys(PathBuf);

impl MadeKeys {
    /// Those below the folder of keys. Makes nothing.
    pub fn at(keys: &Path) -> Self {
        Self(keys.join("signing"))
    }

    /// The key that signs; `None` where none was made.
    ///
    /// # Errors
    /// Where it cannot be read, and where its files are gone: no other key takes its place unasked.
    pub fn current(&self) -> Result<Option<MadeKey>, StoreError> {
        let path = self.0.join(CURRENT);
        let unreadable =
            |detail: &str| StoreError::KeyUnreadable { path: path.clone(), detail: detail.to_owned() };
        let id = match std::fs::read_to_string(&path) {
            Ok(text) => {
                text.trim_end_matches('\n').parse().map_err(|_| unreadable("it is no id of a key"))?
            }
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::from_io(&path, &error)),
        };
        self.get(&id)?.map(Some).ok_or_else(|| unreadable("the key that it names is gone"))
    }

    /// The key of that name.
    ///
    /// # Errors
    /// Where it cannot be read, or is another's.
    pub fn get(&self, id: &KeyId) -> Result<Option<MadeKey>, StoreError> {
        let (private_file, public_file) = self.files(id);
        let Some(public) = public_key(&public_file)? else { return Ok(None) };
        if public.key_id() != *id {
            let detail = "it is not the key that its name says".to_owned();
            return Err(StoreError::KeyUnreadable { path: public_file, detail });
        }
        Ok(Some(MadeKey { public, private_file, public_file }))
    }

    /// All of them, by name.
    ///
    /// # Errors
    /// Where one cannot be read.
    pub fn all(&self) -> Result<Vec<MadeKey>, StoreError> {
        let listed = match std::fs::read_dir(&self.0) {
            Ok(listed) => listed,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::from_io(&self.0, &error)),
        };
        let mut ids = Vec::new();
        for entry in listed {
            let name = entry.map_err(|error| StoreError::from_io(&self.0, &error))?.file_name();
            ids.extend(name.to_str().and_then(|name| name.strip_suffix(PUBLIC)?.parse::<KeyId>().ok()));
        }
        ids.sort_unstable();
        ids.iter().filter_map(|id| self.get(id).transpose()).collect()
    }

    /// Keeps a key: its private half as `pem` has it, the public one last. It does not sign yet.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn add(&self, public: &PublicKey, pem: &str) -> Result<MadeKey, StoreError> {
        let (private_file, public_file) = self.files(&public.key_id());
        private_file::create_dir(&self.0)?;
        let _held = private_file::lock_folder(&self.0, WAIT)?;
        let spki = public.to_spki_pem().map_err(|error| StoreError::KeyUnreadable {
            path: public_file.clone(),
            detail: error.to_string(),
        })?;
        private_file::write_whole(&private_file, pem.as_bytes())?;
        private_file::write_whole(&public_file, spki.as_bytes())?;
        Ok(MadeKey { public: public.clone(), private_file, public_file })
    }

    /// Keeps the private half of a key that is there as another text: the one or the other is on disk, whole.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn keep_as(&self, key: &MadeKey, pem: &str) -> Result<(), StoreError> {
        let _held = private_file::lock_folder(&self.0, WAIT)?;
        private_file::write_whole(&key.private_file, pem.as_bytes())
    }

    /// Lets a key that was added sign from now on.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn sign_with(&self, id: &KeyId) -> Result<(), StoreError> {
        let _held = private_file::lock_folder(&self.0, WAIT)?;
        private_file::write_whole(&self.0.join(CURRENT), format!("{id}\n").as_bytes())
    }

    fn files(&self, id: &KeyId) -> (PathBuf, PathBuf) {
        (self.0.join(format!("{id}.key.pem")), self.0.join(format!("{id}{PUBLIC}")))
    }
}

impl MadeKey {
    /// The private key as it lies there, which others must not be able to read.
    ///
    /// # Errors
    /// [`StoreError::KeyMode`] where they can, [`StoreError::KeyUnreadable`] where it is gone.
    pub fn pem(&self) -> Result<Zeroizing<String>, StoreError> {
        private_file::read_secret(&self.private_file)?.ok_or_else(|| StoreError::KeyUnreadable {
            path: self.private_file.clone(),
            detail: "it is gone".into(),
        })
    }
}

/// Reads a passphrase from a file that others must not be able to read: all of it but the end of its
/// last line.
///
/// # Errors
/// [`StoreError::KeyMode`] where they can, and where it cannot be read.
pub fn read_passphrase(path: &Path) -> Result<Zeroizing<String>, StoreError> {
    let mut text = private_file::read_secret(path)?
        .ok_or_else(|| StoreError::from_io(path, &std::io::Error::from(ErrorKind::NotFound)))?;
    let length = text.trim_end_matches(['\n', '\r']).len();
    text.truncate(length);
    Ok(text)
}

const CURRENT: &str = "current";
const PUBLIC: &str = ".pub.pem";
