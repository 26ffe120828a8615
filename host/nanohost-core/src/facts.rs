//! What one exact component is: digest, imports, exports and their types. Made by whoever can
//! read components (the sandbox); admission judges it. Knows nothing of what is granted.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Digest;

/// What loading a component found. It serialises, so that an auditor without a WebAssembly
/// engine can repeat the admission.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolFacts {
    /// SHA-256 of the component's bytes.
    pub component: Digest,
    /// Size of the component, bytes.
    pub size: u64,
    /// Every imported instance or function, sorted by name.
    pub imports: Vec<Import>,
    /// Every exported function that can be called, sorted by name.
    pub exports: Vec<Export>,
}

/// One import, such as `wasi:filesystem/types@0.2.6`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// The full name as the component has it.
    pub name: String,
    /// The functions it takes from it, sorted; empty for an interface of types only.
    pub functions: Vec<String>,
}

/// One exported function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// The function's own name in kebab case, such as `issue-refund`.
    pub function: String,
    /// The exported interface it lies in, such as `refund:tool/api@1.0.0`; `None`: at the top.
    pub interface: Option<String>,
    /// JSON Schema (draft 2020-12) of the arguments: an object with one property per parameter.
    pub input: Value,
    /// JSON Schema of the result.
    pub output: Value,
}

impl Export {
    /// `interface#function`, or the bare function.
    pub fn path(&self) -> String {
        match &self.interface {
            Some(interface) => format!("{interface}#{}", self.function),
            None => self.function.clone(),
        }
    }
}
