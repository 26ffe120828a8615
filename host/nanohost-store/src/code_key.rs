//! The key that a user's cache of compiled code is authenticated with, as a file. Knows no code and
//! no cache.

use std::path::Path;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::error::StoreError;
use crate::{private_file, seal};

#[cfg(test)]
mod tests;

/// Making a key takes milliseconds: another process at it is waited for no longer than this.
const WAIT: Duration = Duration::from_secs(5);

/// Loads the key of a folder, or makes it. Two processes at once get the same key.
///
/// # Errors
/// A key that others can read is [`StoreError::KeyMode`]; a file that holds no key
/// [`StoreError::KeyUnreadable`].
pub fn code_key(dir: &Path) -> Result<Zeroizing<[u8; 32]>, StoreError> {
    let path = dir.join("code.key");
    if let Some(key) = read(&path)? {
        return Ok(key);
    }
    private_file::create_dir(dir)?;
    let _making = private_file::lock_folder(dir, WAIT)?;
    if let Some(key) = read(&path)? {
        return Ok(key);
    }
    let key = seal::random_key()?;
    let mut line = seal::key_text(&key);
    line.push('\n');
    private_file::write_whole(&path, line.as_bytes())?;
    Ok(key)
}

fn read(path: &Path) -> Result<Option<seal::Key>, StoreError> {
    let Some(text) = private_file::read_secret(path)? else { return Ok(None) };
    seal::key_from_text(text.trim_ascii_end()).map(Some).ok_or_else(|| StoreError::KeyUnreadable {
        path: path.to_owned(),
        detail: "it is not 64 lower-case hexadecimal digits".into(),
    })
}
