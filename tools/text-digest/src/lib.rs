//! Hashes texts with SHA-2 (FIPS 180-4). What is hashed is the text's UTF-8, and nothing else.

#![cfg_attr(target_family = "wasm", no_std)]

nanohost_guest::pure!();

#[nanohost_guest::tool]
pub mod text {
    use core::fmt::Write as _;

    use nanohost_guest::Failure;
    use nanohost_guest::prelude::*;
    use sha2::{Digest, Sha256, Sha384, Sha512};

    /// Which of them.
    #[derive(Debug, Clone, Copy, PartialEq)]
    pub enum Algorithm {
        Sha256,
        Sha384,
        Sha512,
    }

    /// The digest of `text`, in lower-case hexadecimal digits.
    pub fn digest(text: String, algorithm: Algorithm) -> String {
        match algorithm {
            Algorithm::Sha256 => hex(&Sha256::digest(&text)),
            Algorithm::Sha384 => hex(&Sha384::digest(&text)),
            Algorithm::Sha512 => hex(&Sha512::digest(&text)),
        }
    }

    /// `text` itself, where its digest is `expected`.
    pub fn require(text: String, algorithm: Algorithm, expected: String) -> Result<String, Failure> {
        let length = match algorithm {
            Algorithm::Sha256 => 64,
            Algorithm::Sha384 => 96,
            Algorithm::Sha512 => 128,
        };
        if expected.len() != length || !expected.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Failure::invalid_input(format!("a digest is {length} hexadecimal digits")));
        }
        let found = digest(text.clone(), algorithm);
        if found.eq_ignore_ascii_case(&expected) {
            Ok(text)
        } else {
            Err(Failure::rejected(format!("the digest of the text is {found}")))
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |mut digits, byte| {
            // Writing to a text never fails.
            let _ = write!(digits, "{byte:02x}");
            digits
        })
    }
}

#[cfg(test)]
mod tests;
