//! Checks the signature of a webhook's body: HMAC-SHA256 under the key in the variable
//! `WEBHOOK_KEY`, which is all that it reaches.

#![cfg_attr(target_family = "wasm", no_std)]

nanohost_guest::pure!();

#[nanohost_guest::tool]
pub mod webhook {
    use nanohost_guest::Failure;
    use nanohost_guest::prelude::*;

    use super::{environment, signature};

    const KEY: &str = "WEBHOOK_KEY";

    /// True where `signature` (`sha256=` and lower-case hexadecimal digits) is that of the exact
    /// text `body`. A signature that is not, is rejected: nobody can overlook it.
    pub fn check(body: String, signature: String) -> Result<bool, Failure> {
        // An empty key is one that everybody has.
        match environment::variable(KEY) {
            Some(key) if !key.is_empty() => signature::check(key.as_bytes(), &body, &signature),
            _ => Err(Failure::rejected("WEBHOOK_KEY is not set: no signature can be checked")),
        }
    }
}

mod environment;
mod signature;
#[cfg(test)]
mod tests;
