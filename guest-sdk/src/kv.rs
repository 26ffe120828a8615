//! The key-value store that outlives the run. A namespace is used only where the manifest asks
//! for it and the policy grants it; what a call wrote is committed together with its result.
//!
//! ```
//! use nanohost_guest::kv::{self, Namespace};
//!
//! const LEDGER: Namespace = kv::open("ledger");
//!
//! LEDGER.set_new("refund/A-1", b"2500")?;
//! assert_eq!(LEDGER.get("refund/A-1")?, Some(b"2500".to_vec()));
//! assert_eq!(LEDGER.set_new("refund/A-1", b"1"), Err(kv::Error::AlreadyExists));
//! # Ok::<(), kv::Error>(())
//! ```

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::Failure;

/// A namespace by name. Opening one asks the host nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Namespace {
    name: &'static str,
}

/// The namespace called `name`.
pub const fn open(name: &'static str) -> Namespace {
    Namespace { name }
}

/// Why the store did not do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// The namespace is not granted to this tool.
    NotGranted,
    /// The key is empty, longer than 512 bytes, or holds a control character.
    InvalidKey,
    /// The value is longer than 1 MiB, or the call wrote more than the host takes in one call.
    TooLarge,
    /// [`Namespace::set_new`] found the key.
    AlreadyExists,
}

impl Namespace {
    /// The value under `key`; `None` where there is none.
    pub fn get(self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        backend::get(self.name, key)
    }

    /// Puts a value under `key`, whether or not there was one.
    pub fn set(self, key: &str, value: &[u8]) -> Result<(), Error> {
        backend::set(self.name, key, value)
    }

    /// Puts a value under `key`, which must not be there yet. The host checks again when it
    /// commits: of two calls at the same time, one succeeds.
    pub fn set_new(self, key: &str, value: &[u8]) -> Result<(), Error> {
        backend::set_new(self.name, key, value)
    }

    /// Removes `key`; true where there was one.
    pub fn delete(self, key: &str) -> Result<bool, Error> {
        backend::delete(self.name, key)
    }

    /// The keys that start with `prefix`, in byte order, from the first one greater than `after`,
    /// at most `limit` and never more than 1,000. Fewer than asked for: there are no more.
    pub fn list_keys(self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, Error> {
        backend::list_keys(self.name, prefix, after, limit)
    }
}

impl Error {
    const fn text(self) -> &'static str {
        match self {
            Self::NotGranted => "the kv namespace is not granted",
            Self::InvalidKey => "the kv key is empty, too long or holds a control character",
            Self::TooLarge => "the kv value is too large",
            Self::AlreadyExists => "the kv key exists already",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for Error {}

/// For `?` in a tool: a key made of a bad argument is invalid input, everything else the store
/// refuses is a rejection. None of them passes by waiting.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidKey => Self::invalid_input(error.text()),
            Error::NotGranted | Error::TooLarge | Error::AlreadyExists => Self::rejected(error.text()),
        }
    }
}

#[cfg(not(target_family = "wasm"))]
use crate::testing::kv as backend;

#[cfg(target_family = "wasm")]
mod backend {
    use alloc::string::String;
    use alloc::vec::Vec;

    use super::Error;
    use crate::bindings::nanohost::tool::kv;

    impl From<kv::Error> for Error {
        fn from(error: kv::Error) -> Self {
            match error {
                kv::Error::NotGranted => Self::NotGranted,
                kv::Error::InvalidKey => Self::InvalidKey,
                kv::Error::TooLarge => Self::TooLarge,
                kv::Error::AlreadyExists => Self::AlreadyExists,
            }
        }
    }

    pub(super) fn get(namespace: &str, key: &str) -> Result<Option<Vec<u8>>, Error> {
        kv::get(namespace, key).map_err(Into::into)
    }

    pub(super) fn set(namespace: &str, key: &str, value: &[u8]) -> Result<(), Error> {
        kv::set(namespace, key, value).map_err(Into::into)
    }

    pub(super) fn set_new(namespace: &str, key: &str, value: &[u8]) -> Result<(), Error> {
        kv::set_new(namespace, key, value).map_err(Into::into)
    }

    pub(super) fn delete(namespace: &str, key: &str) -> Result<bool, Error> {
        kv::delete(namespace, key).map_err(Into::into)
    }

    pub(super) fn list_keys(
        namespace: &str,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<String>, Error> {
        kv::list_keys(namespace, prefix, after, limit).map_err(Into::into)
    }
}

#[cfg(test)]
mod tests;
