//! The pure heart of nanohost: the program language, the capability lattice, admission, the
//! finite state machine of a run, envelopes, traces and receipts.
//!
//! The straight line of types, each made only from the one before it:
//!
//! ```text
//! program.toml ─parse→ Program ─check→ CheckedProgram ─admit→ Plan ─run→ envelopes ─verify→ Trace → Receipt
//! ```
//!
//! This crate deliberately knows no WebAssembly, disk, clock, network, terminal or thread. Time,
//! randomness, model answers and tool results enter it only as recorded [`run::Event`]s.

pub mod act;
mod admission_record;
mod admit;
mod capability;
pub mod cases;
mod check;
mod class;
mod commit;
mod condition;
mod diagnostic;
mod digest;
mod document;
pub mod drawing;
pub mod dsse;
pub mod envelope;
pub mod export;
mod facts;
pub mod health;
mod hex;
mod ident;
pub mod jcs;
mod keys;
pub mod lock;
pub mod log;
mod manifest;
mod origin;
mod package;
mod policy;
mod program;
mod projection;
pub mod receipt;
pub mod resume;
pub mod review;
pub mod run;
pub mod signature;
mod subject;
mod template;
mod time;
pub mod trace;

pub use admission_record::{AdmissionRecord, RepeatError};
pub use admit::{
    Admission, ArgsRefused, Denied, Gap, GapCode, Misfit, ModelRow, Offer, Place, Plan, Refusal, Requirement,
    Row, RuleGrant, Shared, SharedThing, Vouched, Whole, Withheld, admit, capability_lines, schema_digest,
};
pub use capability::{
    Access, BadTarget, Capability, Class, Clock, Effect, EnvGrant, Folder, FolderGrant, Grants, Host,
    HttpRule, HttpTarget, Limits, Method, PathPattern, Random, Scheme, SecretRule, Socket, Together,
    is_guest_path, is_secret_name,
};
pub use check::{
    CheckedProgram, ConditionStep, Follow, LlmStep, OnError, OnTimeout, ParallelStep, Resume, Step,
    StepIndex, StepKind, ToolStep, read_json,
};
pub use class::ProgramClass;
pub use commit::{BadCommitment, BadEncoding, Commitment, Encoding, Salt, commit};
pub use condition::{Condition, ConditionError, EvalError};
pub use diagnostic::{Diagnostic, Diagnostics, Severity, Source};
pub use digest::Digest;
pub use document::{Format, source_from_bytes};
pub use dsse::DsseError;
pub use export::{BadRole, Content, ExportError, Role};
pub use facts::{Classified, Import, ImportPattern, ToolExport, ToolFacts, classify};
pub use ident::{BadIdent, Principal, RunId, StepId, ToolName};
pub use jcs::JcsError;
pub use keys::{KEY_RANDOM, KeyError, KeyId, KeyTrust, MAX_PEM, PublicKey, Signer, TrustRoot, Validity};
pub use manifest::{Ask, Function, Manifest, Spanned};
pub use origin::{Argument, Flow, Origin, Origins};
pub use package::{BadPackageRef, PackageRef, PinnedPackage, Repository, SCHEME as PACKAGE_SCHEME, is_tag};
pub use policy::{BaseUrl, ModelParams, ModelPii, Policy, Provider, Trust, Unsigned, decimal};
pub use program::{Budgets, GrantTable, InputDecl, Program, ToolOrigin, ToolUse};
pub use projection::{
    Detector, Held, Known, Personal, Projection, REDACTED, SECRET_TOKEN, TOMBSTONE, Target, View,
};
pub use subject::NoSubject;
pub use template::{
    Reference, Rendered, Resolved, Root, Scope, Template, TemplateError, TextTemplate, Unresolved,
};
pub use time::Timestamp;
