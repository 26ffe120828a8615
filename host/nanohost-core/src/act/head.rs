//! How many acts a store has, and the last of them, as a signed note for whoever keeps that apart from the
//! store: a store with fewer is an older copy. Knows no file.

use std::fmt;
use std::str::FromStr;

use crate::keys::{PublicKey, Signer};
use crate::log::note::Kind;
use crate::log::{KeyName, Note, NoteError, NoteSigner, NoteVerifier};
use crate::{Digest, RunId};

/// What its first line says. No head of a log begins so: neither signature passes for the other.
const STATEMENT: &str = "nanohost.dev/acts-head/v1";

/// The head of a chain of acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActsHead {
    /// The chain.
    pub chain: RunId,
    /// How many acts it has.
    pub acts: u64,
    /// SHA-256 of the last of them; `None` where there is none.
    pub last: Option<Digest>,
}

/// Why a text is not the head of a chain of acts that one of the keys signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadActsHead {
    /// It is no note, or not one of this form.
    #[error("it is not the head of a chain of acts")]
    Form,
    /// None of the keys signed it.
    #[error("no key of a log signed it")]
    Signature,
    /// It is that of another store's acts.
    #[error("it is the head of another store's acts")]
    OtherChain,
}

impl ActsHead {
    /// The same, where it is that of this chain.
    ///
    /// # Errors
    /// [`BadActsHead::OtherChain`]: every store has a signed head, and that of a new one knows of no act.
    pub fn of(self, chain: &RunId) -> Result<Self, BadActsHead> {
        if self.chain == *chain { Ok(self) } else { Err(BadActsHead::OtherChain) }
    }
}

impl ActsHead {
    /// As a note that `key` signed.
    ///
    /// # Errors
    /// None that a chain can cause.
    pub fn signed(&self, key: Signer) -> Result<Note, NoteError> {
        let signer = NoteSigner::new(name(&self.chain)?, Kind::Ed25519, key);
        let mut note = Note::new(self.to_string())?;
        note.sign(&signer, 0);
        Ok(note)
    }

    /// What a note says, where one of `keys` signed it.
    ///
    /// # Errors
    /// [`BadActsHead`].
    pub fn open(note: &str, keys: &[PublicKey]) -> Result<Self, BadActsHead> {
        let note: Note = note.parse().map_err(|_| BadActsHead::Form)?;
        let head: Self = note.text().parse()?;
        let name = name(&head.chain).map_err(|_| BadActsHead::Form)?;
        let by = |key: &PublicKey| {
            let verifier = NoteVerifier::new(name.clone(), Kind::Ed25519, key.clone());
            matches!(note.by(&verifier), Ok(Some(_)))
        };
        if keys.iter().any(by) { Ok(head) } else { Err(BadActsHead::Signature) }
    }
}

/// Another name than any log's: what a key signs under it is said of acts.
fn name(chain: &RunId) -> Result<KeyName, NoteError> {
    format!("nanohost-acts/{chain}").parse()
}

impl fmt::Display for ActsHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{STATEMENT}\n{}\n{}\n", self.chain, self.acts)?;
        self.last.iter().try_for_each(|last| writeln!(f, "{last}"))
    }
}

impl FromStr for ActsHead {
    type Err = BadActsHead;

    fn from_str(text: &str) -> Result<Self, BadActsHead> {
        let mut lines = text.lines().skip(1);
        let mut next = || lines.next().ok_or(BadActsHead::Form);
        let head = Self {
            chain: next()?.parse().map_err(|_| BadActsHead::Form)?,
            acts: next()?.parse().map_err(|_| BadActsHead::Form)?,
            last: next().ok().map(str::parse).transpose().map_err(|_| BadActsHead::Form)?,
        };
        // One form, and a last act where there are acts.
        let is_one = head.to_string() == text && (head.acts == 0) == head.last.is_none();
        if is_one { Ok(head) } else { Err(BadActsHead::Form) }
    }
}
