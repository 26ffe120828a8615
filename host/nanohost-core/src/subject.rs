//! Whose data a run holds: the program's `subject`, resolved against the inputs alone, before anything
//! runs. Knows nothing of what is done with it.

use serde_json::{Map, Value};

use crate::check::CheckedProgram;
use crate::projection::{Known, Personal, Projection, Target, View};
use crate::template::{Root, Scope, Unresolved};

#[cfg(test)]
mod tests;

/// No subject is longer, bytes: it is hashed, and kept by nobody.
const MAX_SUBJECT: usize = 512;

/// A program names a subject, and the inputs give none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSubject {
    /// Its template has no value.
    #[error("the program's `subject` has no value: {0}")]
    Unresolved(#[from] Unresolved),
    /// Its value is not one that could be named again.
    #[error("the program's `subject` is empty, longer than {MAX_SUBJECT} bytes, or no text or number")]
    Unnamed,
}

struct Inputs<'a>(&'a Map<String, Value>);

impl Scope for Inputs<'_> {
    fn root(&self, name: &str) -> Root<'_> {
        self.0.get(name).map_or(Root::Absent, Root::Plain)
    }
}

impl CheckedProgram {
    /// Whose data a run with these inputs holds; `None` where the program does not say.
    ///
    /// # Errors
    /// Where it says so and the inputs give no subject: what nobody could find again would never be
    /// erased with the rest.
    pub fn subject_of(&self, inputs: &Map<String, Value>) -> Result<Option<String>, NoSubject> {
        let Some(template) = self.subject() else { return Ok(None) };
        let (personal, known, scope) = (Personal::default(), Known::default(), Inputs(inputs));
        let projection = Projection::new(Target::Tool, &personal, &known);
        let text = match template.resolve(&View::new(&scope, projection))? {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            _ => return Err(NoSubject::Unnamed),
        };
        if (1..=MAX_SUBJECT).contains(&text.len()) { Ok(Some(text)) } else { Err(NoSubject::Unnamed) }
    }
}
