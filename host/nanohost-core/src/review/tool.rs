//! What a reviewer of a tool asks: what a new version of it changes, and what in its manifest is wide, careless
//! or meant for somebody else than its reader. Compares and looks; decides nothing, and knows no policy.

mod difference;
mod lint;

use crate::{Manifest, ToolFacts};

pub use difference::compare_tools;
pub use lint::lint_tool;

/// A tool, as far as it can be reviewed.
#[derive(Debug, Clone, Copy)]
pub struct Reviewed<'a> {
    /// What its author asks for; a component by itself asks for nothing.
    pub manifest: Option<&'a Manifest>,
    /// What it is.
    pub facts: &'a ToolFacts,
}

#[cfg(test)]
mod tests;
