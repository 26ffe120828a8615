//! What is asked of a verification beside the evidence: whom to trust, where the run stands in a
//! log, what was seen before. Knows nothing of where the evidence comes from.

use std::path::{Path, PathBuf};

use clap::Args;
use nanohost_core::log::NoteVerifier;
use nanohost_core::log::proof::InclusionProof;
use nanohost_core::trace::{Report, SeenHeads, Standing, check_log};
use nanohost_core::{Diagnostic, MAX_PEM, TrustRoot};

use crate::Judged;
use crate::failure::Failure;
use crate::read::read_bounded;
use crate::remembered::Remembered;

/// No proof is longer: it is read whole.
const MAX_PROOF_FILE: u64 = 256 << 10;

/// What `verify` is asked, wherever the evidence lies.
#[derive(Debug, Args)]
pub struct Asked {
    /// A file that remembers how far the evidence of each run reached: what was seen once and is
    /// gone now is rolled back. Made where it is not there
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// A proof that the run stands in the log of its store, as `nanohost log prove` writes it: for an
    /// exported file
    #[arg(long, value_name = "FILE", requires = "log_key")]
    pub log_proof: Option<PathBuf>,
    /// The key that signs the heads of the log, as `nanohost log key` prints it [default for a run of
    /// the store: this machine's own]
    #[arg(long, value_name = "KEY")]
    pub log_key: Option<NoteVerifier>,
    /// Count what could not be checked, such as values that are not disclosed, as missing
    #[arg(long)]
    pub strict: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

impl Asked {
    /// Checks the proof that was named, of an exported file.
    ///
    /// # Errors
    /// `proof_unreadable`, `proof_invalid`.
    pub fn check_log(&self, judged: &mut Judged) -> anyhow::Result<()> {
        if let (Some(path), Some(key)) = (&self.log_proof, &self.log_key) {
            check_log(&mut judged.report, &judged.envelopes, &log_proof(path)?, Some(key));
        }
        Ok(())
    }

    /// Compares with what was seen before, and remembers it. `also`: what else is compared with it.
    ///
    /// # Errors
    /// Those of [`Remembered`].
    pub fn compare(
        &self,
        judged: &mut Judged,
        also: impl FnOnce(&mut SeenHeads, &mut Report) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let Some(path) = &self.state else { return Ok(()) };
        let mut remembered = Remembered::read(path)?;
        remembered.heads.compare(&mut judged.report, &judged.envelopes);
        also(&mut remembered.heads, &mut judged.report)?;
        remembered.keep()
    }
}

/// Where a file says that a run stands in a log.
///
/// # Errors
/// `proof_unreadable`, `proof_invalid`.
pub fn log_proof(path: &Path) -> anyhow::Result<Standing> {
    let io = |error: std::io::Error| Failure::io("proof_unreadable", "read", path, &error);
    let bytes = read_bounded(path, MAX_PROOF_FILE).map_err(io)?;
    let proof: InclusionProof = String::from_utf8_lossy(&bytes).parse().map_err(|error| {
        let help = "`nanohost log prove RUN -o FILE` writes one";
        let message = format!("{}: {error}", path.display());
        Failure::usage(Diagnostic::error("proof_invalid", message).help(help))
    })?;
    Ok(Standing::Proven(Box::new(proof)))
}

/// The keys that a file names.
///
/// # Errors
/// `trust_unreadable`, `trust_invalid`.
pub fn trust_file(path: &Path) -> anyhow::Result<TrustRoot> {
    let bytes = read_bounded(path, MAX_PEM as u64)
        .map_err(|error| Failure::io("trust_unreadable", "read the trusted keys", path, &error))?;
    TrustRoot::from_pem(&String::from_utf8_lossy(&bytes)).map_err(|error| {
        let help = "hand over the public key as `nanohost key show --public` prints it";
        Failure::usage(Diagnostic::error("trust_invalid", format!("{}: {error}", path.display())).help(help))
    })
}
