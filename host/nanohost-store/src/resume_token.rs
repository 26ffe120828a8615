//! The token that resumes a suspended run: drawn, written and read. Knows no run and no holder.

use std::fmt;

use zeroize::Zeroizing;

use crate::error::StoreError;
use crate::seal::{self, Key};

/// 32 bytes of the operating system's random numbers as 64 lower-case hexadecimal digits,
/// overwritten in memory when dropped. Stores keep only a hash of it.
pub struct ResumeToken {
    text: Zeroizing<String>,
}

impl ResumeToken {
    /// A fresh token, and the bytes that its text stands for.
    pub(crate) fn draw() -> Result<(Self, Key), StoreError> {
        let key = seal::random_key()?;
        Ok((Self { text: seal::key_text(&key) }, key))
    }

    /// The text to hand over, and to show nowhere else.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Whoever has the token can resume the run, so it is not shown.
impl fmt::Debug for ResumeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResumeToken(..)")
    }
}
