//! Proofs that an entry stands in a log, as files that stand alone
//! ([c2sp.org/tlog-proof](https://c2sp.org/tlog-proof)): index, hashes, checkpoint.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::checkpoint::{Checkpoint, CheckpointError, number};
use super::note::{MAX_NOTE, Note, NoteError, NoteVerifier};
use super::tree::{self, MAX_PROOF, ProofError};
use crate::Digest;

#[cfg(test)]
mod tests;

/// The first line.
const HEADER: &str = "c2sp.org/tlog-proof@v1\n";

/// That an entry stands in a log, as far as [`InclusionProof::check`] agrees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionProof {
    /// Where the entry stands.
    pub index: u64,
    /// The hashes beside its way to the root, the lowest first.
    pub hashes: Vec<Digest>,
    /// The head it is proven under.
    pub checkpoint: Note,
}

/// That a log only grew since it had `old` entries, in the form in which witnesses take it
/// ([c2sp.org/tlog-witness](https://c2sp.org/tlog-witness)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrowthProof {
    /// The number of entries it had.
    pub old: u64,
    /// The consistency proof.
    pub hashes: Vec<Digest>,
    /// The head it has now.
    pub checkpoint: Note,
}

impl fmt::Display for GrowthProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        write_hashes(f, &self.hashes)?;
        write!(f, "\n{}", self.checkpoint)
    }
}

/// The most hashes of a consistency proof: no tree there can be needs more, and witnesses take no more.
pub const MAX_GROWTH_HASHES: usize = 63;

/// The longest text of a [`GrowthProof`]: stops a peer from sending more.
pub const MAX_GROWTH: usize = 32 + MAX_GROWTH_HASHES * 45 + MAX_NOTE;

impl FromStr for GrowthProof {
    type Err = InclusionError;

    fn from_str(text: &str) -> Result<Self, InclusionError> {
        if text.len() > MAX_GROWTH {
            return Err(InclusionError::Form("too long"));
        }
        let (lines, checkpoint) = text.split_once("\n\n").ok_or(InclusionError::Form("no checkpoint"))?;
        let mut lines = lines.split('\n');
        let old = lines.next().and_then(|line| number(line.strip_prefix("old ")?));
        let old = old.ok_or(InclusionError::Form("no old size in its one form"))?;
        let hashes = read_hashes(lines, MAX_GROWTH_HASHES)?;
        let checkpoint: Note = checkpoint.parse().map_err(|error: NoteError| CheckpointError::from(error))?;
        Ok(Self { old, hashes, checkpoint })
    }
}

fn read_hashes<'t>(lines: impl Iterator<Item = &'t str>, most: usize) -> Result<Vec<Digest>, InclusionError> {
    let hash = |line: &str| STANDARD.decode(line).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let hashes: Option<Vec<Digest>> =
        lines.take(most + 1).map(|line| hash(line).map(Digest::from_bytes)).collect();
    let hashes = hashes.ok_or(InclusionError::Form("a line that is not a hash in base64"))?;
    if hashes.len() > most { Err(InclusionError::Form("too many hashes")) } else { Ok(hashes) }
}

fn write_hashes(f: &mut fmt::Formatter<'_>, hashes: &[Digest]) -> fmt::Result {
    hashes.iter().try_for_each(|hash| writeln!(f, "{}", STANDARD.encode(hash.as_bytes())))
}

/// Why a file proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InclusionError {
    /// Not in the one form of proofs.
    #[error("not a proof: {0}")]
    Form(&'static str),
    /// Its checkpoint is none, or not this log's.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Its hashes do not lead from the entry to the root.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

impl InclusionProof {
    /// Checks that `entry` stands where this says, in a tree whose head `log` signed; returns that head.
    ///
    /// # Errors
    /// Where it does not show that.
    pub fn check(&self, entry: &[u8], log: &NoteVerifier) -> Result<Checkpoint, InclusionError> {
        let head = Checkpoint::open(&self.checkpoint, log)?;
        self.holds(entry, &head)?;
        Ok(head)
    }

    /// Whether it is about `entry`: its hashes lead from there to the head that it names. Nobody has checked
    /// who signed that.
    pub fn leads_from(&self, entry: &[u8]) -> bool {
        let head = self.checkpoint.text().parse::<Checkpoint>();
        head.is_ok_and(|head| self.holds(entry, &head).is_ok())
    }

    /// Whether its hashes lead from `entry` to a head, which somebody checked.
    ///
    /// # Errors
    /// Where they do not.
    pub fn holds(&self, entry: &[u8], head: &Checkpoint) -> Result<(), ProofError> {
        tree::check_inclusion(&tree::leaf(entry), self.index, head.size, &head.root, &self.hashes)
    }
}

impl fmt::Display for InclusionProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}index {}", self.index)?;
        write_hashes(f, &self.hashes)?;
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for InclusionProof {
    type Err = InclusionError;

    fn from_str(text: &str) -> Result<Self, InclusionError> {
        const LONGEST: usize = 64 << 10;
        if text.len() > LONGEST + MAX_NOTE {
            return Err(InclusionError::Form("too long"));
        }
        let text = text.strip_prefix(HEADER).ok_or(InclusionError::Form("another first line"))?;
        let (lines, checkpoint) = text.split_once("\n\n").ok_or(InclusionError::Form("no checkpoint"))?;
        let mut lines = lines.split('\n').peekable();
        // What applications add for themselves is not authenticated, and means nothing here.
        lines.next_if(|line| line.starts_with("extra "));
        let index = lines.next().and_then(|line| number(line.strip_prefix("index ")?));
        let index = index.ok_or(InclusionError::Form("no index in its one form"))?;
        let hashes = read_hashes(lines, MAX_PROOF)?;
        let checkpoint: Note = checkpoint.parse().map_err(|error: NoteError| CheckpointError::from(error))?;
        Ok(Self { index, hashes, checkpoint })
    }
}
