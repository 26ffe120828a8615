//! The predicate of a statement: the shape of what is signed. It is the wire type; what it means
//! for a run is [`crate::run::Event`].

use serde::{Deserialize, Serialize};

use crate::commit::Commitment;
use crate::{Digest, ModelParams, RunId, StepId, Timestamp, ToolName};

/// What an envelope records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A run begins.
    RunOpen,
    /// The program was admitted; the capability table is bound.
    Plan,
    /// A call that can have an effect is about to be made.
    Intent,
    /// A call ended.
    Result,
    /// Authority was refused.
    Denied,
    /// A guard, a model attempt, a failure before a call, the end of a block, a cancellation.
    Transition,
    /// A run goes on: an event from outside answered a suspension, a deadline passed, a call in
    /// doubt was settled, or another process took over.
    Resume,
    /// The run is over.
    RunClose,
}

impl Kind {
    /// As it is signed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RunOpen => "run-open",
            Self::Plan => "plan",
            Self::Intent => "intent",
            Self::Result => "result",
            Self::Denied => "denied",
            Self::Transition => "transition",
            Self::Resume => "resume",
            Self::RunClose => "run-close",
        }
    }
}

/// The predicate. Members that do not belong to its kind are absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Predicate {
    /// What it records.
    pub kind: Kind,
    /// Which run, and where in it.
    pub run: RunRef,
    /// When it happened.
    pub time: Timestamp,
    /// Who acted: `local` for the user at the command line.
    pub principal: String,
    /// Who answered a suspension, and by what right; in `resume` and the refusal of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolver: Option<ResolverRef>,
    /// The host that ran it; in `run-open`, and in `resume` the one that goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostRef>,
    /// The key that signs the run; in `run-open`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<SignerRef>,
    /// The policies in force; in `run-open`, and in `resume` those that it goes on under.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<PolicyRef>,
    /// The step, and the transition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepRef>,
    /// The call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<CallRef>,
    /// The model attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelRef>,
    /// The models of the table; in `plan`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<ModelGrantRef>,
    /// The rows of the table; in `plan` all, in `intent` and `result` the one of the call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authority: Vec<AuthorityRef>,
    /// What the call reached through its grants.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub used: Vec<UseRef>,
    /// What it cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<UsageRef>,
    /// What was refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denials: Vec<DenialRef>,
    /// How the attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureRef>,
    /// How the run ended; in `run-close`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub close: Option<CloseRef>,
}

/// The place in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RunRef {
    /// The run.
    pub id: RunId,
    /// The position, from 0.
    pub seq: u64,
    /// SHA-256 of the exact bytes of the envelope before; absent in envelope 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev: Option<Digest>,
    /// SHA-256 of the program's source.
    pub program: Digest,
    /// The digest of the capability table, once admitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Digest>,
    /// SHA-256 chained over the commitments so far.
    pub state: Digest,
}

/// The host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct HostRef {
    /// nanohost's version.
    pub version: String,
    /// SHA-256 of the running executable.
    pub binary: Digest,
    /// The WebAssembly engine and its version.
    pub engine: String,
    /// SHA-256 of the engine's configuration.
    pub config: Digest,
}

/// The signing key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SignerRef {
    /// SHA-256 of the public key's SPKI DER.
    pub key: Digest,
    /// Whether it is a development key, made by the host and not encrypted.
    pub development: bool,
}

/// Who answered a suspension.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ResolverRef {
    /// How the host knew the principal: `operator` for who holds the store, `token` for who also
    /// held the suspension's token.
    pub authenticated: String,
    /// The entry of the step's `by` that lets them answer, or `operator` where it has none; absent
    /// where none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entitled: Option<String>,
    /// What they were shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<Commitment>,
}

/// A policy in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PolicyRef {
    /// SHA-256 of its source.
    pub digest: Digest,
    /// Whether the operator trusts it; an untrusted one grants almost nothing.
    pub trusted: bool,
}

/// The step and the transition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct StepRef {
    /// The step.
    pub id: StepId,
    /// How often it was entered, from 1.
    pub visit: u32,
    /// The attempt within the visit, from 1.
    pub attempt: u32,
    /// What happened: `started`, `finished`, `answered`, `then`, `otherwise`, `undecided`,
    /// `failed`, `denied`, `blocked`, `joined`, `cancelled`, `resumed:<SOURCE>`, `refused`, `expired`,
    /// `settled:<WHAT>`, `recovered`.
    pub event: String,
    /// Where the program counter was.
    pub from: String,
    /// Where it is now.
    pub to: String,
}

/// A call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CallRef {
    /// The tool's local name.
    pub tool: ToolName,
    /// SHA-256 of the component.
    pub component: Digest,
    /// The exported function.
    pub export: String,
    /// What the row says it does to the world.
    pub effect: String,
    /// The key the guest and the outside may deduplicate by: an opaque digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// The arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Commitment>,
    /// The result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Commitment>,
    /// `success`, `recorded`, `suspended` or `failure`; absent in an intent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// The run and envelope whose result is reused, where `result` is `recorded`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<String>,
    /// When waiting ends by itself, where `result` is `suspended`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
}

/// A model attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ModelRef {
    /// The alias the program uses.
    pub alias: String,
    /// Where the model ran, `scheme://host:port`: `local` for the scripted one.
    pub host: String,
    /// The server's name of the model.
    pub name: String,
    /// What it was told beside the prompt.
    #[serde(default, skip_serializing_if = "ModelParams::is_empty")]
    pub params: ModelParams,
    /// The prompt.
    pub prompt: Commitment,
    /// The system text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<Commitment>,
    /// The answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Commitment>,
    /// Tokens as reported.
    pub tokens: u64,
    /// Tokens as estimated where none were reported.
    pub estimated_tokens: u64,
    /// What the server says it cost, in its own unit, a decimal; absent where it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
    /// `accepted`, `not-allowed`, `proposed`, `timed-out` or `failed`.
    pub verdict: String,
}

/// A model of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ModelGrantRef {
    /// The alias the program uses.
    pub alias: String,
    /// Where the model runs, `scheme://host:port`.
    pub host: String,
    /// The server's name of the model.
    pub name: String,
    /// What it is told beside the prompt.
    #[serde(default, skip_serializing_if = "ModelParams::is_empty")]
    pub params: ModelParams,
    /// What becomes of personal data: `never` or `redacted`.
    pub pii: String,
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct AuthorityRef {
    /// The tool's local name.
    pub tool: ToolName,
    /// SHA-256 of the component.
    pub component: Digest,
    /// SHA-256 of the manifest's source.
    pub manifest: Digest,
    /// What the manifest asks for.
    pub requested: Vec<String>,
    /// What is granted.
    pub granted: Vec<String>,
    /// The imports that are linked.
    pub linked: Vec<String>,
    /// The imports that are traps.
    pub stubbed: Vec<String>,
    /// The rules that granted it.
    pub rules: Vec<String>,
    /// Which publisher signed the tool, where a policy names one; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publisher: Option<PublisherRef>,
    /// The rule that let it run although no publisher signed it, `local` or `any`; absent where a
    /// publisher did, and where no policy speaks of publishers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsigned: Option<String>,
}

/// Who signed a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PublisherRef {
    /// The publisher's name in the policy.
    pub name: String,
    /// The id of the key.
    pub key: Digest,
    /// SHA-256 of the signature's exact bytes.
    pub signature: Digest,
}

/// What a call reached through one grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct UseRef {
    /// The capability class.
    pub capability: String,
    /// The scope as the operator granted it: a guest root, a namespace, an address.
    pub scope: String,
    /// Operations.
    pub operations: u64,
    /// Bytes moved.
    pub bytes: u64,
}

/// What a call cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct UsageRef {
    /// Fuel, about one unit per instruction.
    pub fuel: u64,
    /// The most linear memory it held, bytes.
    pub peak_memory: u64,
    /// Wall time, milliseconds.
    pub wall_ms: u64,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct DenialRef {
    /// The error kind, or at admission the gap's code.
    pub code: String,
    /// The capability class, `tool` or `require`.
    pub capability: String,
    /// What refused.
    pub rule: String,
    /// Who asked.
    pub culprit: String,
    /// The tool, where the refusal is about one of the program's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<ToolName>,
    /// What was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Commitment>,
}

/// A failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FailureRef {
    /// The error kind.
    pub kind: String,
    /// What exactly went wrong.
    pub code: String,
    /// Whether trying again makes sense.
    pub retry: bool,
    /// The words of whoever failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Commitment>,
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CloseRef {
    /// How it ended.
    pub status: String,
    /// Why, where it was no success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The step that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepId>,
    /// Envelopes in the run, this one included.
    pub count: u64,
}
