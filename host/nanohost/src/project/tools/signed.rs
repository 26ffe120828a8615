//! The signature that lies beside a tool's manifest, with the list of parts that it names. Asks nobody's
//! key: whose word counts is the policy's.

use std::io;
use std::path::Path;

use nanohost_core::Diagnostic;
use nanohost_core::signature::{MAX_SIGNATURE, PackageFault, SBOM_FILE, SIGNATURE_FILE, Signed};

use crate::failure::Failure;
use crate::project::read_bounded;

/// A longer list of parts is none: ten thousand parts take two MiB.
const MAX_SBOM: u64 = 16 << 20;

/// The signature in a tool's folder, where there is one, and what is wrong with it by itself.
///
/// # Errors
/// `unreadable_file`.
pub(crate) fn signature(dir: &Path) -> anyhow::Result<Option<Result<Signed, PackageFault>>> {
    let Some(bytes) = read(&dir.join(SIGNATURE_FILE), MAX_SIGNATURE as u64)? else { return Ok(None) };
    let signed = match Signed::parse(&bytes) {
        Ok(signed) => signed,
        Err(fault) => return Ok(Some(Err(fault))),
    };
    let sbom = sbom(dir)?;
    Ok(Some(signed.fits_sbom(sbom.as_deref()).map(|()| signed)))
}

/// The bytes of the list of parts in a tool's folder, where there is one.
///
/// # Errors
/// `unreadable_file`.
pub(crate) fn sbom(dir: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    read(&dir.join(SBOM_FILE), MAX_SBOM)
}

/// The same for a tool that is about to be used.
///
/// # Errors
/// As [`signature`], and `signature_failed`; exit code 2.
pub(crate) fn signature_of(dir: &Path) -> anyhow::Result<Option<Signed>> {
    signature(dir)?.transpose().map_err(|fault| {
        let message = format!("the signature {} is not good: {fault}", dir.join(SIGNATURE_FILE).display());
        Failure::usage(Diagnostic::error("signature_failed", message).help(
            "get the package again from its publisher; of a tool of your own, sign it again or remove its signature",
        ))
    })
}

fn read(path: &Path, bound: u64) -> anyhow::Result<Option<Vec<u8>>> {
    match read_bounded(path, bound) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::io("unreadable_file", "read", path, &error)),
    }
}
