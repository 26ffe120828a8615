//! The named values of a run, how names find them, and what of them is personal. Knows nothing of
//! order or budgets.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::event::{Slot, WebhookSource};
use super::record::StepRecord;
use crate::admit::Plan;
use crate::check::{CheckedProgram, StepIndex};
use crate::projection::{Held, Known, Personal, Projection, Target};
use crate::template::{Root, Scope};

const WEBHOOK: &str = "__webhook__";
const WEBHOOK_SOURCE: &str = "__webhook_source__";

/// All named values, each held once.
#[derive(Debug)]
pub(super) struct Values {
    /// `None`: the holder may not see the inputs.
    inputs: Option<HashMap<String, Slot>>,
    outputs: Vec<Option<Slot>>,
    proposals: HashMap<StepIndex, Slot>,
    keys: HashMap<String, Slot>,
    personal: Personal,
    /// Texts at marked places, of all values there were. It changes only while no model is being
    /// asked, so that what was asked can be told again from the record.
    known: Known,
}

impl Values {
    pub(super) fn new(plan: &Arc<Plan>, inputs: Option<HashMap<String, Slot>>) -> Self {
        let personal = Personal::of(plan);
        let mut known = Known::default();
        match &inputs {
            Some(inputs) => {
                inputs.iter().for_each(|(name, slot)| known.learn(&personal, Held::Name(name), slot));
            }
            None => known.learn_withheld_inputs(&personal, plan.program()),
        }
        let outputs = vec![None; plan.program().steps().len()];
        Self { inputs, outputs, proposals: HashMap::new(), keys: HashMap::new(), personal, known }
    }

    /// The values as `target` sees them.
    pub(super) fn projection(&self, target: Target) -> Projection<'_> {
        Projection::new(target, &self.personal, &self.known)
    }

    /// Names a step's output. Tells whether a named value changed by deep equality, undefined
    /// counting as null; `None` where that cannot be known.
    pub(super) fn store(
        &mut self,
        program: &CheckedProgram,
        record: &StepRecord,
        output_key: Option<&str>,
    ) -> Option<bool> {
        let id = program.step(record.step).id.as_str();
        self.known.learn(&self.personal, Held::Name(id), &record.output);
        if let Some(proposal) = &record.proposal {
            self.known.learn(&self.personal, Held::Proposal(id), proposal);
        }
        let old = self.outputs[record.step.0 as usize].replace(record.output.clone());
        let mut changed = differs(old.as_ref(), &record.output);
        if let Some(key) = output_key {
            let old = match self.keys.insert(key.to_owned(), record.output.clone()) {
                Some(old) => Some(old),
                None => match &self.inputs {
                    Some(inputs) => inputs.get(key).cloned(),
                    None => Some(Slot::Withheld),
                },
            };
            changed = super::either(changed, differs(old.as_ref(), &record.output));
        }
        // What an earlier visit proposed is not what this output came from.
        match &record.proposal {
            Some(proposal) => self.proposals.insert(record.step, proposal.clone()),
            None if self.proposals.is_empty() => None,
            None => self.proposals.remove(&record.step),
        };
        changed
    }

    pub(super) fn set_webhook(&mut self, payload: Slot, source: WebhookSource) {
        self.keys.insert(WEBHOOK.to_owned(), payload);
        self.keys.insert(WEBHOOK_SOURCE.to_owned(), Slot::known(source.as_str().into()));
    }
}

fn differs(old: Option<&Slot>, new: &Slot) -> Option<bool> {
    match (old, new) {
        (Some(Slot::Known(old)), Slot::Known(new)) => Some(old != new),
        (None, Slot::Known(new)) => Some(!new.is_null()),
        _ => None,
    }
}

/// The values as templates and conditions see them.
pub(super) struct RunScope<'a> {
    pub(super) program: &'a CheckedProgram,
    pub(super) values: &'a Values,
}

impl Scope for RunScope<'_> {
    fn root(&self, name: &str) -> Root<'_> {
        if let Some(index) = self.program.index_of(name) {
            let Some(output) = &self.values.outputs[index.0 as usize] else { return Root::Absent };
            return match (output, self.values.proposals.get(&index)) {
                (Slot::Withheld, None) => Root::Withheld,
                (Slot::Known(output), None) => Root::Step { output, proposal: None },
                (Slot::Known(output), Some(Slot::Known(proposal))) => {
                    Root::Step { output, proposal: Some(proposal) }
                }
                (output, Some(proposal)) => {
                    Root::Partly { output: output.value(), proposal: proposal.value() }
                }
            };
        }
        if let Some(slot) = self.values.keys.get(name) {
            return plain(slot);
        }
        match &self.values.inputs {
            Some(inputs) => inputs.get(name).map_or(Root::Absent, plain),
            None => Root::Withheld,
        }
    }
}

fn plain(slot: &Slot) -> Root<'_> {
    let value: Option<&Value> = slot.value();
    value.map_or(Root::Withheld, Root::Plain)
}
