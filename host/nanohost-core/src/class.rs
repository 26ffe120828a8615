//! Whose word a program is: the operator's, who read it, or that of whoever handed it to a gateway.
//! Knows nothing of how a program came here; the host says so, and signs it.

use serde::{Deserialize, Serialize};

/// Whose word a program is. Policies grant what they permit to vetted programs alone, unless a row says
/// `class = "saved"`: whatever name a program gives itself, it gets no row that was not written for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProgramClass {
    /// A file of the operator's, which they named.
    #[default]
    Vetted,
    /// Saved by a client of a gateway, under a name.
    Saved,
    /// Handed over by a client of a gateway to be run once. It is of the class `saved` to policies, and
    /// one can refuse such programs as a whole: `unsaved = "refuse"`.
    Unsaved,
}

impl ProgramClass {
    /// Whether no operator vouches for it.
    pub const fn is_saved(self) -> bool {
        !matches!(self, Self::Vetted)
    }

    /// Whether it is [`ProgramClass::Vetted`], which documents leave away.
    pub fn is_vetted(&self) -> bool {
        *self == Self::Vetted
    }
}
