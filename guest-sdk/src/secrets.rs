//! Secrets that the host keeps. A tool is given a text that stands for one and puts it into a header of
//! a request; the host puts the secret there when the request leaves, where manifest and policy
//! agree on it. Anywhere else the text ends the call.
//!
//! ```
//! use nanohost_guest::{secrets, testing};
//!
//! testing::keep_secret("refund-key", "stands for the key");
//! let authorization = format!("Bearer {}", secrets::placeholder("refund-key")?);
//! # assert_eq!(authorization, "Bearer stands for the key");
//! # Ok::<(), secrets::NotGranted>(())
//! ```

use alloc::string::String;
use core::fmt;

use crate::Failure;

/// No secret of that name is granted to this tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotGranted;

/// The text that stands for a secret, for as long as this call lasts.
pub fn placeholder(name: &str) -> Result<String, NotGranted> {
    backend::placeholder(name)
}

impl fmt::Display for NotGranted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the secret is not granted")
    }
}

impl core::error::Error for NotGranted {}

/// For `?` in a tool: it does not pass by waiting.
impl From<NotGranted> for Failure {
    fn from(_: NotGranted) -> Self {
        Self::rejected("the secret is not granted")
    }
}

#[cfg(not(target_family = "wasm"))]
use crate::testing::secrets as backend;

#[cfg(target_family = "wasm")]
mod backend {
    use alloc::string::String;

    use super::NotGranted;
    use crate::bindings::nanohost::tool::secrets;

    pub(super) fn placeholder(name: &str) -> Result<String, NotGranted> {
        secrets::placeholder(name).map_err(|secrets::Error::NotGranted| NotGranted)
    }
}
