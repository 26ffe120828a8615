//! What whoever reads the output may see of a run's values: without personal data, or, where the
//! local user asks for it, all of it.

use std::borrow::Cow;

use nanohost_core::export::Role;
use nanohost_core::run::Run;
use nanohost_core::trace::Trace;
use nanohost_core::{Held, Target};
use serde_json::Value;

/// Whether values are shown as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// Personal data and handles of secrets are kept back.
    Projected,
    /// The local user asked for everything.
    Revealed,
}

/// What is said before everything is shown.
pub const REVEALS: &str = "what follows may hold personal data: keep it where nobody else reads it";

impl Sight {
    /// As `--reveal` says.
    pub fn of(reveal: bool) -> Self {
        if reveal { Self::Revealed } else { Self::Projected }
    }

    /// A committed value of a run.
    pub fn value_of<'t>(self, trace: &'t Trace, seq: usize, role: &Role) -> Option<Cow<'t, Value>> {
        match self {
            Self::Projected => trace.shown(seq, role, Target::Trace),
            // What was erased is not there for anybody.
            Self::Revealed if trace.is_erased(seq, role) => trace.shown(seq, role, Target::Trace),
            Self::Revealed => trace.value(seq, role).map(Cow::Borrowed),
        }
    }

    /// A value of a run that was just driven.
    pub fn value<'v>(self, run: &Run, held: Held<'_>, value: &'v Value) -> Cow<'v, Value> {
        match self {
            Self::Projected => run.projection(Target::Trace).value(held, value),
            Self::Revealed => Cow::Borrowed(value),
        }
    }

    /// The words of whoever failed or was refused at a step.
    pub fn words<'v>(self, run: &Run, step: &str, held: Held<'_>, words: &'v Value) -> Cow<'v, Value> {
        match (self, words) {
            (Self::Revealed, _) => Cow::Borrowed(words),
            (Self::Projected, Value::String(text)) => {
                Cow::Owned(run.projection(Target::Log).answer(step, text).into())
            }
            (Self::Projected, _) => run.projection(Target::Log).value(held, words),
        }
    }

    /// What a guest wrote or asked for.
    pub fn text<'t>(self, run: &Run, text: &'t str) -> Cow<'t, str> {
        match self {
            Self::Projected => run.projection(Target::Log).text(text),
            Self::Revealed => Cow::Borrowed(text),
        }
    }
}
