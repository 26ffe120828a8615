//! Runs that another key ended than the one that began them: nothing but an end, at the place that an
//! act names, by the key that signed the act. Everything else of a run has one signer.

use crate::act::{Ending, OpenedAct};
use crate::envelope::{Kind, Opened};
use crate::{Digest, KeyId};

/// What an act lets its signer do.
#[derive(Debug, Clone)]
pub(super) struct MayEnd {
    after: u64,
    head: Digest,
    own: KeyId,
    by: KeyId,
    act: u64,
}

impl MayEnd {
    pub(super) fn of(act: &OpenedAct, ending: &Ending) -> Self {
        let Ending { after, head, key, .. } = *ending;
        Self { after, head, own: key, by: act.key, act: act.predicate.chain.seq }
    }
}

/// The acts that let others end a run, and who did.
#[derive(Debug, Default)]
pub(super) struct Ended {
    may: Vec<MayEnd>,
    /// The first envelope that is not the run's own key's, and by which act.
    by: Option<(u64, KeyId, u64)>,
}

impl Ended {
    pub(super) fn add(&mut self, may: MayEnd) {
        self.may.push(may);
    }

    /// Another key signs the envelope than the one before it, whose digest is `prev` and which `own` signed.
    pub(super) fn admits(&mut self, at: usize, opened: &Opened, own: KeyId, prev: Digest) -> bool {
        let at = at as u64;
        let found = self
            .may
            .iter()
            .find(|may| may.after == at && may.head == prev && may.own == own && may.by == opened.key);
        // One end: nobody takes a run over from whoever ends it.
        match (found, self.by) {
            (Some(may), None) => {
                self.by = Some((at, may.by, may.act));
                true
            }
            _ => false,
        }
    }

    /// Whether an envelope may stand where it stands: behind the place, nothing but an end.
    pub(super) fn allows(&self, opened: &Opened) -> bool {
        let predicate = &opened.predicate;
        let ends = match predicate.kind {
            Kind::RunClose => true,
            Kind::Transition => predicate.step.as_ref().is_some_and(|step| step.event == "cancelled"),
            _ => false,
        };
        self.by.is_none() || ends
    }

    /// The number of the first envelope that is not the run's own key's.
    pub(super) fn begins_at(&self) -> Option<u64> {
        self.by.map(|(at, ..)| at)
    }

    /// What is said of it, where it was so.
    pub(super) fn detail(&self) -> Option<String> {
        let (at, key, act) = self.by?;
        let id = key.digest().short();
        Some(format!("; from {at} on by the key {id}, which ended the run by act {act}"))
    }
}
