//! Salted commitments: what an envelope says instead of a value. Knows nothing of where values and
//! salts are kept, nor where salts come from.
//!
//! `HMAC-SHA256(salt, "nanohost/commit/v1\0" ‖ encoding ‖ 0x00 ‖ u64 big-endian length ‖ bytes)`.
//! Without its salt a value cannot be guessed against its commitment; once the salt is erased,
//! nobody can.

use std::fmt;
use std::str::FromStr;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::digest::hex_array;
use crate::hex;

#[cfg(test)]
mod tests;

/// Separates these MACs from every other use of HMAC-SHA256.
const DOMAIN: &[u8] = b"nanohost/commit/v1\0";

/// 32 random bytes of the operating system, fresh for every commitment. Never derived, never used
/// twice, never printed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Salt([u8; 32]);

impl Salt {
    /// A salt from its bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(..)")
    }
}

/// How the committed bytes are to be read. Part of the commitment, so that the same bytes cannot be
/// passed off as something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Encoding {
    /// One JSON document in UTF-8.
    Json,
    /// Text in UTF-8.
    Text,
    /// Bytes that mean nothing to the host.
    Bytes,
}

impl Encoding {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Json, Self::Text, Self::Bytes];

    /// The name that is committed to and written into exports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Text => "text",
            Self::Bytes => "bytes",
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an encoding: expected json, text or bytes")]
pub struct BadEncoding;

impl FromStr for Encoding {
    type Err = BadEncoding;

    fn from_str(text: &str) -> Result<Self, BadEncoding> {
        Self::ALL.into_iter().find(|encoding| encoding.as_str() == text).ok_or(BadEncoding)
    }
}

/// A commitment to one value. Its text form is 64 lower-case hexadecimal digits; it is not a
/// SHA-256 digest of the value and must never be labelled as one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Commitment([u8; 32]);

impl Commitment {
    /// A commitment from its bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Commits to `bytes`, to be read as `encoding`.
pub fn commit(salt: &Salt, encoding: Encoding, bytes: &[u8]) -> Commitment {
    let mut mac = Hmac::<Sha256>::new_from_slice(salt.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(DOMAIN);
    mac.update(encoding.as_str().as_bytes());
    mac.update(&[0]);
    mac.update(&(bytes.len() as u64).to_be_bytes());
    mac.update(bytes);
    Commitment(mac.finalize().into_bytes().into())
}

impl fmt::Display for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::text(&self.0))
    }
}

impl fmt::Debug for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Commitment({self})")
    }
}

/// The text is not 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a commitment: expected 64 lower-case hexadecimal digits")]
pub struct BadCommitment;

impl FromStr for Commitment {
    type Err = BadCommitment;

    fn from_str(text: &str) -> Result<Self, BadCommitment> {
        hex_array(text).map(Self).ok_or(BadCommitment)
    }
}

impl serde::Serialize for Commitment {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::text(&self.0))
    }
}

impl<'de> serde::Deserialize<'de> for Commitment {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
