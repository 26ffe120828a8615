//! `manifest.toml`: what a tool's author asks for. Knows nothing of what is granted.

mod capabilities;
mod limits;
mod parse;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::admit::Place;
use crate::capability::{Capability, Effect, Limits};
use crate::facts::ImportPattern;
use crate::{Digest, Source, ToolName};

pub(crate) use capabilities::{
    Side, is_namespace, is_variable, read_capabilities, read_digest, read_stubs, refuse_unenforceable,
    spanned,
};
pub(crate) use limits::{
    GivenLimits, read_bytes, read_limits, read_time, read_together, said as said_limits,
};

/// A tool's manifest. Holding one proves: every key is known and enforced, every limit is finite.
#[derive(Debug, Clone)]
pub struct Manifest {
    source: Arc<Source>,
    digest: Digest,
    name: ToolName,
    version: String,
    description: Option<String>,
    license: Option<String>,
    component: Option<Spanned<Digest>>,
    stubs: Vec<Spanned<ImportPattern>>,
    functions: BTreeMap<String, Function>,
    asks: Vec<Ask>,
    /// The place of `[capabilities]`.
    capabilities: Option<Range<usize>>,
    limits: Limits,
    said_limits: GivenLimits,
}

/// A value and its place in the file it came from, a range of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub span: Range<usize>,
}

/// What an author says about one exported function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// What it does, for models and people.
    pub description: Option<String>,
    /// What it claims to do to the world. `None` counts as the strongest claim.
    pub effect: Option<Effect>,
    /// Paths of personal data, such as `input.customer.email`.
    pub pii: Vec<String>,
    /// Its place in the manifest.
    pub span: Range<usize>,
}

/// One capability a manifest asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// What is asked for.
    pub capability: Capability,
    /// Where it stands in the manifest; `None`: it is the default nobody wrote down.
    pub span: Option<Range<usize>>,
}

impl Manifest {
    /// The text it was read from.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// SHA-256 of the exact bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The tool's own name, which policies speak of.
    pub fn name(&self) -> &ToolName {
        &self.name
    }

    /// The version, as the author writes it.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What the tool does.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Its licence.
    pub fn license(&self) -> Option<&str> {
        self.license.as_deref()
    }

    /// The only component this manifest belongs to, where it pins one.
    pub fn component(&self) -> Option<&Spanned<Digest>> {
        self.component.as_ref()
    }

    /// Imports the tool drags in and never calls.
    pub fn stubs(&self) -> &[Spanned<ImportPattern>] {
        &self.stubs
    }

    /// What is said about its functions.
    pub fn functions(&self) -> &BTreeMap<String, Function> {
        &self.functions
    }

    /// What is said about `name`.
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.get(name)
    }

    /// What it asks for, with exactly one clock and one randomness among it.
    pub fn asks(&self) -> &[Ask] {
        &self.asks
    }

    /// The bounds it asks for.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The keys of `[limits]` that stand at their defaults, since nobody wrote them down.
    pub fn unsaid_limits(&self) -> Vec<&'static str> {
        self.said_limits.unsaid()
    }

    /// The place of `[capabilities]`.
    pub(crate) fn capabilities_place(&self) -> Option<Place> {
        self.capabilities.as_ref().map(|span| Place::new(&self.source, span))
    }
}

#[cfg(test)]
mod tests;
