//! The development key and the key of the log: what the first local run makes to sign with, as files.
//!
//! The private key is PKCS#8 v1 PEM, not encrypted, for its owner alone; the public one lies
//! beside it as SPKI PEM. Knows no signature and no trust.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nanohost_core::{PublicKey, Signer};
use zeroize::Zeroizing;

use crate::error::StoreError;
use crate::{private_file, seal};

#[cfg(test)]
mod tests;

/// A key to sign with, and where it lies.
#[derive(Debug)]
pub struct DevelopmentKey {
    /// The key.
    pub signer: Signer,
    /// The file of the private key.
    pub private: PathBuf,
    /// The file of the public key, which others need to verify.
    pub public: PathBuf,
    /// Whether this call made it: then the user is told where it lies.
    pub created: bool,
}

/// Making a key takes milliseconds: another process at it is waited for no longer than this.
const WAIT: Duration = Duration::from_secs(5);

/// Loads the development key of a folder, or makes it. Two processes at once get the same key.
///
/// # Errors
/// A key that others can read is [`StoreError::KeyMode`]; a file that holds no key, or a public
/// key that is not that of the private one, [`StoreError::KeyUnreadable`]: it is never replaced.
pub fn development_key(dir: &Path) -> Result<DevelopmentKey, StoreError> {
    kept_key(dir, DEVELOPMENT)
}

/// The public development key of a folder, `None` where there is none. Makes nothing.
pub fn development_public_key(dir: &Path) -> Result<Option<PublicKey>, StoreError> {
    kept_public_key(dir, DEVELOPMENT)
}

/// As [`development_key`], the key that signs the heads of the log: another one, so that whoever may
/// make evidence cannot say by that what all of it is.
///
/// # Errors
/// Those of [`development_key`].
pub fn log_key(dir: &Path) -> Result<Signer, StoreError> {
    kept_key(dir, LOG).map(|key| key.signer)
}

/// The public key of the log, `None` where there is none. Where its file is gone and that of the private key
/// is not, it is the public half of that: whose the log is does not hang on one file. Makes nothing.
///
/// # Errors
/// Those of [`development_public_key`], and where the private key cannot be read.
pub fn log_public_key(dir: &Path) -> Result<Option<PublicKey>, StoreError> {
    if let Some(key) = kept_public_key(dir, LOG)? {
        return Ok(Some(key));
    }
    let private = dir.join(LOG.private);
    let Some(pem) = private_file::read_secret(&private)? else { return Ok(None) };
    let signer = Signer::from_pkcs8_pem(&pem).map_err(|error| unreadable(&private, &error))?;
    Ok(Some(signer.public().clone()))
}

/// What the files of a key are called.
#[derive(Clone, Copy)]
struct Names {
    private: &'static str,
    public: &'static str,
}

/// The file of the public key in its folder, as SPKI PEM: what others need to verify.
pub const PUBLIC_KEY_FILE: &str = "development.pub.pem";

/// The file of the private half of that.
pub const DEVELOPMENT_KEY_FILE: &str = "development.key.pem";

/// The file of the private key of a log in its folder.
pub const LOG_KEY_FILE: &str = "log.key.pem";

const DEVELOPMENT: Names = Names { private: DEVELOPMENT_KEY_FILE, public: PUBLIC_KEY_FILE };
const LOG: Names = Names { private: LOG_KEY_FILE, public: "log.pub.pem" };

/// A private key as it lies in its file, which others must not be able to read; `None` where it is not there.
///
/// # Errors
/// [`StoreError::KeyMode`] where they can, and where it cannot be read.
pub fn key_file(path: &Path) -> Result<Option<Zeroizing<String>>, StoreError> {
    private_file::read_secret(path)
}

fn kept_key(dir: &Path, names: Names) -> Result<DevelopmentKey, StoreError> {
    private_file::create_dir(dir)?;
    let _making = private_file::lock_folder(dir, WAIT)?;
    let private = dir.join(names.private);
    let public = dir.join(names.public);
    let known = kept_public_key(dir, names)?;
    let (signer, created) = match private_file::read_secret(&private)? {
        Some(pem) => (Signer::from_pkcs8_pem(&pem).map_err(|error| unreadable(&private, &error))?, false),
        // What was signed with the lost key is verified with its public key: a new one must not replace it.
        None if known.is_some() => {
            let detail = format!("its private key {} is gone", private.display());
            return Err(StoreError::KeyUnreadable { path: public, detail });
        }
        None => {
            let signer = new_signer()?;
            let pem = signer.to_pkcs8_pem().map_err(|error| unreadable(&private, &error))?;
            private_file::write_whole(&private, pem.as_bytes())?;
            (signer, true)
        }
    };
    match known {
        Some(known) if known != *signer.public() => {
            let detail = format!("it is not the public key of {}", private.display());
            return Err(StoreError::KeyUnreadable { path: public, detail });
        }
        Some(_) => {}
        None => {
            let pem = signer.public().to_spki_pem().map_err(|error| unreadable(&public, &error))?;
            private_file::write_whole(&public, pem.as_bytes())?;
        }
    }
    Ok(DevelopmentKey { signer, private, public, created })
}

fn kept_public_key(dir: &Path, names: Names) -> Result<Option<PublicKey>, StoreError> {
    public_key(&dir.join(names.public))
}

/// The public key in a file, `None` where there is none.
pub(crate) fn public_key(path: &Path) -> Result<Option<PublicKey>, StoreError> {
    let path = path.to_owned();
    // A pipe in its place would keep whoever opens it waiting.
    if std::fs::metadata(&path).is_ok_and(|found| !found.is_file()) {
        return Err(StoreError::KeyUnreadable { path, detail: "it is no file".into() });
    }
    match std::fs::read_to_string(&path) {
        Ok(pem) => PublicKey::from_spki_pem(&pem).map(Some).map_err(|error| unreadable(&path, &error)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            Err(StoreError::KeyUnreadable { path, detail: "it is not text".into() })
        }
        Err(error) => Err(StoreError::from_io(&path, &error)),
    }
}

fn new_signer() -> Result<Signer, StoreError> {
    let mut seed = Zeroizing::new([0; 32]);
    seal::fill_random(seed.as_mut_slice())?;
    Ok(Signer::from_seed(*seed))
}

fn unreadable(path: &Path, error: &nanohost_core::KeyError) -> StoreError {
    StoreError::KeyUnreadable { path: path.to_owned(), detail: error.to_string() }
}
