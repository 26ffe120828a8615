//! The log over all runs of a store: a Merkle tree of envelopes ([`tree`], RFC 9162), its heads as
//! signed notes ([`note`], [`checkpoint`], C2SP), proofs as files ([`proof`], C2SP), the files by
//! which others mirror it ([`tile`], C2SP), what a witness of it does ([`witness`], C2SP), and whose word
//! on it counts ([`policy`], C2SP). Knows no disk and no clock: nodes come from whoever keeps them.
//!
//! A chain shows that nothing in a run was changed. Only a log whose heads others remember shows
//! that nothing was cut off its end, and that everybody is shown the same.

pub mod checkpoint;
pub mod note;
pub mod policy;
pub mod proof;
pub mod tile;
pub mod tree;
pub mod witness;

pub use checkpoint::Checkpoint;
pub use note::{KeyName, Note, NoteError, NoteSigner, NoteVerifier};
pub use policy::LogPolicy;
pub use tree::{Frontier, Nodes, ProofError};
