//! What a call came to. Everything that a guest chose stands here as data, apart from the host's
//! own words.

use std::time::Duration;

use serde_json::Value;

use crate::answers::Answers;
use crate::capability::kv::KvDelta;
use crate::record::{Refusal, Use};
use crate::shape::{Int, Shape};

/// The whole result of one call.
#[derive(Debug)]
pub struct CallReport {
    /// How it ended.
    pub outcome: Outcome,
    /// The authority it used.
    pub used: Vec<Use>,
    /// What it tried and was refused, at most 64.
    pub denied: Vec<Refusal>,
    /// Refusals beyond those.
    pub more_denied: u64,
    /// What it cost.
    pub usage: Usage,
    /// Stdout, stderr and log lines in the order they came, at most `limits.logs` bytes and a line
    /// that says it was cut. Chosen by the guest.
    pub logs: Vec<u8>,
    /// What it read and wants to write in its namespaces. Empty unless the call succeeded.
    pub kv: KvDelta,
    /// What the world answered, for a replay; the record's own where this was one. Chosen by other
    /// hosts, and by whoever wrote the files.
    pub answers: Answers,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// With a result.
    Success(Value),
    /// With the typed failure of `nanohost:tool/types`.
    Failure(TypedFailure),
    /// With an error of the tool's own type.
    ToolError(Value),
    /// By force, or with something that is not a result.
    Fault(Fault),
}

/// A failure in the tool's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypedFailure {
    /// Which one.
    pub kind: FailureKind,
    /// The tool's text. Chosen by the guest.
    pub message: String,
    /// For [`FailureKind::Suspended`]: when waiting is pointless, Unix seconds.
    pub deadline: Option<u64>,
}

/// The cases of `nanohost:tool/types.failure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The arguments are wrong.
    InvalidInput,
    /// The tool declines.
    Rejected,
    /// May be retried.
    Unavailable,
    /// Waits for somebody.
    Suspended,
}

/// A call that did not end by returning a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which kind.
    pub code: FaultCode,
    /// The host's own words; names that a component chose stand in it escaped.
    pub message: String,
}

/// The kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultCode {
    /// The arguments do not fit the export's types. The guest did not run.
    InvalidArguments,
    /// `limits.fuel`.
    FuelExhausted,
    /// `limits.memory`.
    MemoryLimit,
    /// `limits.deadline`.
    Deadline,
    /// Recursion beyond the guest's stack.
    StackOverflow,
    /// `limits.output`.
    OutputLimit,
    /// Too many open handles.
    HandleLimit,
    /// `limits.http_calls` or `limits.http_bytes`.
    HttpLimit,
    /// `limits.file_bytes`.
    FileLimit,
    /// `limits.kv_bytes` or `limits.kv_held`.
    KvLimit,
    /// A text that stands for a secret was sent where no secret may be: a fault of authority.
    SecretMisplaced,
    /// An answer repeated a secret.
    SecretEcho,
    /// The caller asked for it.
    Cancelled,
    /// An instruction trapped, as a panic does.
    Trap,
    /// The guest ended itself through `wasi:cli/exit`.
    Exit,
    /// A declared stub was called: a fault of authority.
    StubCalled,
    /// The result has no JSON form.
    MalformedResult,
    /// The host's side could not go on; not the guest's doing.
    Host,
    /// In a replay: the guest asked what the record has no answer to.
    NotRecorded,
}

impl FaultCode {
    /// The stable code.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidArguments => "invalid_arguments",
            Self::FuelExhausted => "fuel_exhausted",
            Self::MemoryLimit => "memory_limit",
            Self::Deadline => "deadline",
            Self::StackOverflow => "stack_overflow",
            Self::OutputLimit => "output_limit",
            Self::HandleLimit => "handle_limit",
            Self::HttpLimit => "http_limit",
            Self::FileLimit => "file_limit",
            Self::KvLimit => "kv_limit",
            Self::SecretMisplaced => "secret_misplaced",
            Self::SecretEcho => "secret_echo",
            Self::Cancelled => "cancelled",
            Self::Trap => "trap",
            Self::Exit => "exit",
            Self::StubCalled => "stub_called",
            Self::MalformedResult => "malformed_result",
            Self::Host => "host",
            Self::NotRecorded => "not_recorded",
        }
    }
}

/// How a host function ends the call that it was called by, whatever the guest would make of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the call is ended: {0}")]
pub(crate) struct Ended(pub(crate) FaultCode);

impl std::fmt::Display for FaultCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a call cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// wasmtime fuel. It differs between engine versions.
    pub fuel: u64,
    /// The most linear memory it had, bytes.
    pub peak_memory: u64,
    /// From the permit to the end.
    pub wall: Duration,
}

/// Whether an error type is the typed failure, whoever defined it: a variant of exactly its cases,
/// in any order.
pub(crate) fn is_typed_failure(shape: &Shape) -> bool {
    let Shape::Variant(cases) = shape else { return false };
    cases.len() == 4
        && cases.iter().all(|(name, payload)| match name.wit.as_str() {
            "invalid-input" | "rejected" | "unavailable" => *payload == Some(Shape::String),
            "suspended" => payload.as_ref().is_some_and(is_suspension),
            _ => false,
        })
}

fn is_suspension(shape: &Shape) -> bool {
    let Shape::Record(fields) = shape else { return false };
    fields.len() == 2
        && fields.iter().all(|(name, shape)| match name.wit.as_str() {
            "reason" => *shape == Shape::String,
            "deadline" => *shape == Shape::Option(Box::new(Shape::Int(Int::U64))),
            _ => false,
        })
}

/// A typed failure from its JSON form.
pub(crate) fn typed_failure(value: &Value) -> Option<TypedFailure> {
    let (case, payload) = value.as_object()?.iter().next()?;
    let kind = match case.as_str() {
        "invalid_input" => FailureKind::InvalidInput,
        "rejected" => FailureKind::Rejected,
        "unavailable" => FailureKind::Unavailable,
        "suspended" => FailureKind::Suspended,
        _ => return None,
    };
    let (message, deadline) = match kind {
        FailureKind::Suspended => (payload.get("reason")?, payload.get("deadline")?.as_u64()),
        _ => (payload, None),
    };
    Some(TypedFailure { kind, message: message.as_str()?.to_owned(), deadline })
}
