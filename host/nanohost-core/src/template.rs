//! References (`$name.path`) and templates: how values reach arguments and prompts.
//! Conditions and templates share one resolver, [`Reference::resolve`].

use serde_json::Value;

/// What a root name stands for at one moment of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Root<'a> {
    /// An input, an `output_key` or a webhook value.
    Plain(&'a Value),
    /// A step's output, and what its model proposed where it did. `$step.output` is the output
    /// itself; `$step.proposal` the proposal, where there is one.
    Step { output: &'a Value, proposal: Option<&'a Value> },
    /// No such name, or a step that has not run.
    Absent,
    /// The name has a value that the holder of this scope may not see (verification of a
    /// partly disclosed export, erased content).
    Withheld,
}

/// Where names get their values.
pub trait Scope {
    /// What `name` stands for.
    fn root(&self, name: &str) -> Root<'_>;
}
