//! Envelopes: one DSSE envelope per event, its payload an in-toto Statement v1, chained per run.
//!
//! Everything a reviewer relies on stands inside the signed bytes. No text that a guest, a model,
//! a user or a peer chose stands in an envelope: such text is content, and the envelope holds a
//! commitment to it. Knows nothing of where envelopes and content are kept.

mod form;
mod predicate;
mod read;
mod write;

pub use predicate::{
    AuthorityRef, CallRef, CloseRef, DenialRef, FailureRef, HostRef, Kind, ModelGrantRef, ModelRef,
    PolicyRef, Predicate, PublisherRef, ResolverRef, RunRef, SignerRef, StepRef, UsageRef, UseRef,
};
pub(crate) use read::MAX_PAYLOAD;
pub use read::{BadContent, Disclosed, NoEvent, OpenError, Opened, events_of};
pub use write::{Chain, Committer, Observed, Parts, RecordError, SealError, Sealed, TakeOver};
pub(crate) use write::{
    Statement, Subject, SubjectDigest, authority as authority_of, effect as effect_text, initial_state,
    model_behind, state_after, step as step_of,
};

/// `predicateType` of every statement.
pub const PREDICATE_TYPE: &str = "https://nanohost.dev/evidence/v1";
/// `_type` of every statement.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// The digest name of commitments: never `sha256`, since they are salted.
pub const COMMIT_DIGEST: &str = "nanohostCommitV1";
