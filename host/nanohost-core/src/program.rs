//! `program.toml` (or the same in JSON) → [`Program`]: known keys, well-formed values, kinds as
//! enums, spans kept. Knows nothing of whether targets exist; that is [`crate::check`]'s.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::ops::Range;
use std::time::Duration;

use serde_json::Value;

use crate::ToolName;
use crate::capability::{Clock, Folder, Random, Socket};

/// The bounds of a run. `None`: the program sets no bound of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budgets {
    /// Executed steps.
    pub max_steps: Option<NonZeroU64>,
    /// Model tokens, estimated ones included.
    pub max_tokens: Option<NonZeroU64>,
    /// Steps in a row that change no named value.
    pub max_stalled_steps: Option<NonZeroU64>,
    /// Wall time; time spent suspended does not count.
    pub max_wall: Option<Duration>,
}

/// One declared input.
#[derive(Debug, Clone, PartialEq)]
pub struct InputDecl {
    /// Its name.
    pub name: String,
    /// The JSON Schema its value must fit, without `default`.
    pub schema: Value,
    /// What it is when nobody gives it; `None`: it is required.
    pub default: Option<Value>,
    /// Its place in the program's file.
    pub span: Range<usize>,
}

/// One row of the `tools` table.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolUse {
    /// The name steps call it by.
    pub local: ToolName,
    /// Where it comes from.
    pub origin: ToolOrigin,
    /// The exported function; `None`: the one named like the row in kebab case, or the only one.
    pub function: Option<String>,
    /// What the program narrows the tool to; `None`: what policy and manifest agree on.
    pub grant: Option<GrantTable>,
    /// Its place in the program's file.
    pub span: Range<usize>,
}

/// Where a tool comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolOrigin {
    /// A folder with a manifest, relative to the program's file.
    Path(String),
}

/// A program's own grant: each class that is named narrows to what is listed, a class that is
/// not named stays as manifest and policy agree on it.
#[derive(Debug, Clone, PartialEq)]
pub struct GrantTable {
    /// Folders by guest path.
    pub filesystem: Option<Vec<Folder>>,
    /// Environment variables.
    pub env: Option<BTreeSet<String>>,
    /// Namespaces of the key-value store.
    pub kv: Option<BTreeSet<String>>,
    /// The clock.
    pub clock: Option<Clock>,
    /// The randomness.
    pub random: Option<Random>,
    /// Addresses for TCP connections.
    pub sockets: Option<BTreeSet<Socket>>,
    /// Its place in the program's file.
    pub span: Range<usize>,
}
