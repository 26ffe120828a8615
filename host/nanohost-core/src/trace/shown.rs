//! The values of a verified run as a target sees them: which place of the run each committed value
//! stands at. Knows nothing of what is redacted; that is [`crate::projection`]'s.

use std::borrow::Cow;

use serde_json::Value;

use super::Trace;
use crate::check::StepKind;
use crate::envelope::Predicate;
use crate::export::Role;
use crate::projection::{Held, REDACTED, TOMBSTONE, Target};

/// The name of an event in what is recorded of its refusal.
const EVENT: &str = "event";

impl Trace {
    /// A disclosed value as `target` sees it. Of a run that was refused before it began, whose
    /// marks nobody decided about, only what was refused is seen.
    pub fn shown(&self, seq: usize, role: &Role, target: Target) -> Option<Cow<'_, Value>> {
        if self.is_erased(seq, role) {
            return Some(Cow::Owned(TOMBSTONE.into()));
        }
        let value = self.value(seq, role)?;
        let predicate = &self.envelopes.get(seq)?.predicate;
        let Some(run) = &self.machine else {
            return Some(match *role == Role::DENIED {
                true => Cow::Borrowed(value),
                false => Cow::Owned(REDACTED.into()),
            });
        };
        let projection = run.projection(target);
        // Words of files and other hosts, in pieces and encodings of their own: no mark names a place
        // in them, and what stands at a marked place may stand there in another form.
        if *role == Role::ANSWERS && target != Target::Tool && projection.marks_anything() {
            return Some(Cow::Owned(REDACTED.into()));
        }
        if let ("answer", Value::String(text), Some(step)) = (role.as_str(), value, &predicate.step) {
            return Some(match projection.answer(step.id.as_str(), text) {
                Cow::Borrowed(_) => Cow::Borrowed(value),
                Cow::Owned(text) => Cow::Owned(text.into()),
            });
        }
        let held = self.held(predicate, role);
        if let (Held::Payload(_), "denied", Value::Object(fields)) = (held, role.as_str(), value) {
            // An event that was refused stands below its own name.
            let payload = fields.get(EVENT).map(|payload| projection.value(held, payload));
            if let Some(Cow::Owned(payload)) = payload {
                let mut fields = fields.clone();
                fields.insert(EVENT.to_owned(), payload);
                return Some(Cow::Owned(projection.value(Held::Words, &Value::Object(fields)).into_owned()));
            }
        }
        Some(projection.value(held, value))
    }

    /// Whether a disclosed value holds something that `target` does not see.
    pub fn withholds(&self, seq: usize, role: &Role, target: Target) -> bool {
        matches!(self.shown(seq, role, target), Some(Cow::Owned(_)))
    }

    /// Where in the run a committed value stands.
    fn held<'t>(&'t self, predicate: &'t Predicate, role: &Role) -> Held<'t> {
        let call = predicate.call.as_ref().map(|call| &call.tool);
        let step = predicate.step.as_ref().map(|step| (step.id.as_str(), step.event.as_str()));
        match (role.as_str(), step, call) {
            ("input", None, None) => Held::Inputs,
            ("input", _, Some(tool)) => Held::Args(tool),
            ("output", Some((step, _)), Some(tool)) => Held::Result(step, tool),
            ("output", Some((step, _)), None) => Held::Name(step),
            ("event", Some((step, _)), _) | ("denied", Some((step, "refused")), _) => Held::Payload(step),
            ("denied", Some((step, _)), _) => {
                let program = self.machine.as_ref().map(|run| run.plan().program());
                let kind = program.and_then(|program| Some(&program.step(program.index_of(step)?).kind));
                let tool = match kind {
                    Some(StepKind::Tool(call)) => Some(&call.tool),
                    _ => None,
                };
                Held::Refused(step, tool)
            }
            _ => Held::Words,
        }
    }
}
