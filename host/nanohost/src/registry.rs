//! Packages in OCI registries: how one lies there as an image with referrers, how it is sent and fetched,
//! and where it is kept on this machine. Knows no policy: what is fetched is what was named, which says
//! nothing about whether it may run.
//!
//! The ecosystem's client was read and not taken: it reads manifests, lists and tokens of any length, and
//! follows a registry's redirects and realms wherever they lead.

pub mod artifact;
pub mod cache;
pub mod credentials;
pub mod image;
pub mod layout;
pub mod remote;
pub mod resolve;

pub use artifact::{Fetched, Files, Packed};
pub use cache::PackageCache;
pub use remote::{Remote, Use};
pub use resolve::{Reach, Wanted};

use std::path::Path;

use nanohost_core::{Diagnostic, Digest};

use crate::failure::Failure;

/// What was fetched is not what was named, or not what belongs to it.
fn mismatch(message: String) -> anyhow::Error {
    Failure::usage(Diagnostic::error("package_mismatch", message).help(
        "somebody changed it on the way or where it is kept: use nothing of it, and find out who; another copy \
         that is whole can be fetched with `nanohost tool pull`",
    ))
}

/// What was fetched is no package.
fn invalid(message: String) -> anyhow::Error {
    Failure::usage(
        Diagnostic::error("invalid_package", message).help(
            "a package is a component with its manifest, as `nanohost tool push` and `tool pack` write it",
        ),
    )
}

/// That a component which was read is the one that its package names.
///
/// # Errors
/// `package_mismatch`; exit code 2.
pub fn check_component(bytes: &[u8], expected: Digest, path: &Path) -> anyhow::Result<()> {
    if Digest::of(bytes) == expected {
        return Ok(());
    }
    Err(mismatch(format!("{} is not the component that its package names", path.display())))
}
