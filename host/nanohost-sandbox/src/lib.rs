//! The sandbox: runs one exported function of a WebAssembly component with exactly the authority
//! it was granted.
//!
//! ```text
//! bytes ─load→ Loaded (+ ToolFacts) ─link(Grants)→ Tool ─call(input)→ CallReport
//! ```
//!
//! The linker is the capability table: an import that was not granted does not exist. This crate
//! deliberately knows no program, no policy, no store, no evidence and no command line.

mod anatomy;
mod answering;
mod answers;
mod bindings;
mod call;
mod capability;
mod code_cache;
mod compiler;
mod engine;
mod halt;
mod json;
mod link;
mod load;
mod record;
mod replay;
mod report;
mod room;
mod schema;
mod shape;
mod state;
mod waiting;

pub use anatomy::{Anatomy, Dependencies, Dependency, NotWebAssembly};
pub use answering::{Diverged, Divergence};
pub use answers::{Answers, BadAnswers, HostAnswer};
pub use call::{CallContext, Cancellation};
pub use capability::filesystem::{FolderError, RealFolder};
pub use capability::http::{CertificateError, Network, Resolver, StandIn, StoodIn};
pub use capability::kv::{KvDelta, KvListing, KvRead, KvUnavailable, KvView, KvWrite};
pub use capability::secrets::{BadSecret, SecretValues};
pub use code_cache::{CodeCache, CodeSource, RejectedCode};
pub use compiler::{CompileLimits, Compiler, compile_for_parent};
pub use engine::{Engine, EngineError};
pub use json::JsonError;
pub use link::{LinkError, Missing, Tool};
pub use load::{LoadError, Loaded, UnsupportedExport};
pub use record::{Refusal, Use};
pub use replay::{ReplayContext, ReplayTool, Replayed};
pub use report::{CallReport, FailureKind, Fault, FaultCode, Outcome, TypedFailure, Usage};
