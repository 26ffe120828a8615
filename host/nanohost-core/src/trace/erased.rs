//! Erasures as a check of one run: each value that is gone was given up by an act that a trusted key
//! signed, and none that was given up is here. Knows no store: whoever has the acts hands them over.

use std::collections::{BTreeMap, BTreeSet};

use super::check::{CheckName, Fault, FaultKind, Report};
use crate::act::{Act, OpenedAct};
use crate::dsse::Unverified;
use crate::envelope::{OpenError, Opened};
use crate::export::Role;
use crate::keys::Validity;
use crate::log::NoteVerifier;
use crate::log::proof::InclusionProof;
use crate::run::ErrorKind;
use crate::{KeyId, RunId, TrustRoot};

#[cfg(test)]
mod tests;

/// The values of a run that acts erased, each with the act.
#[derive(Debug, Default)]
pub(super) struct Erased {
    refs: BTreeMap<(usize, Role), u64>,
    /// Those of them that no envelope has committed to so far.
    unmet: BTreeSet<(usize, Role)>,
    last: Option<OpenedAct>,
}

impl Erased {
    /// The next act that bears on the run: all of them come before its envelopes.
    pub(super) fn add(&mut self, bytes: &[u8], run: &RunId, trust: &TrustRoot) -> Result<(), Fault> {
        let act = open(bytes, trust)?;
        let seq = act.predicate.chain.seq;
        let wrong = |why: &str| Err(tampered(format!("act {seq} {why}")));
        if let Some(before) = &self.last {
            let (chain, then) = (&act.predicate.chain, &before.predicate.chain);
            if chain.id != then.id || chain.seq <= then.seq || act.predicate.time < before.predicate.time {
                return wrong("does not follow the one before it");
            }
            if chain.seq == then.seq + 1 && chain.prev != Some(before.digest)
                || then.seq > 0 && act.anchor != before.anchor
            {
                return wrong("is of another chain than the one before it");
            }
        }
        let Act::Erasure(erasure) = &act.predicate.act else { return wrong("erases nothing") };
        for value in &erasure.refs {
            if value.run != *run {
                return wrong("is about another run");
            }
            let place = (usize::try_from(value.seq).unwrap_or(usize::MAX), value.role.clone());
            self.unmet.insert(place.clone());
            self.refs.entry(place).or_insert(seq);
        }
        self.last = Some(act);
        Ok(())
    }

    /// An envelope goes by: what it commits to can have been erased, and what ends for want of a value
    /// has lost one.
    pub(super) fn meet(&mut self, at: usize, opened: &Opened) -> Result<(), Fault> {
        if !self.unmet.is_empty() {
            for role in opened.roles() {
                self.unmet.remove(&(at, role.clone()));
            }
        }
        let close = opened.predicate.close.as_ref();
        let for_want = close.and_then(|close| close.error.as_deref()) == Some(ErrorKind::Erased.as_str());
        if for_want && self.refs.is_empty() {
            let message = "it ended for want of an erased value, and no act erased one".to_owned();
            return Err(Fault::tampered(CheckName::Erasures, at, message));
        }
        Ok(())
    }

    /// A value that is here was not erased.
    pub(super) fn admits(&self, at: usize, role: &Role) -> Result<(), Fault> {
        if self.refs.is_empty() {
            return Ok(());
        }
        match self.refs.get(&(at, role.clone())) {
            None => Ok(()),
            Some(act) => {
                let message = format!("its {role} was erased by act {act}, and is here");
                Err(Fault::tampered(CheckName::Erasures, at, message))
            }
        }
    }

    /// After the last envelope: all that was erased had been committed to.
    pub(super) fn finish(&self) -> Result<(), Fault> {
        match self.unmet.first() {
            None => Ok(()),
            Some(place) => {
                let act = self.refs.get(place).copied().unwrap_or_default();
                Err(tampered(format!("act {act} erases what no envelope commits to")))
            }
        }
    }

    /// Whether a value was erased.
    pub(super) fn contains(&self, at: usize, role: &Role) -> bool {
        !self.refs.is_empty() && self.refs.contains_key(&(at, role.clone()))
    }

    /// How many were.
    pub(super) fn len(&self) -> usize {
        self.refs.len()
    }

    /// Whether the run goes on from one of them: whoever has to go on needs it.
    pub(super) fn needed(&self) -> bool {
        self.refs.keys().any(|(at, role)| {
            let state = [Role::OUTPUT, Role::ANSWER, Role::EVENT, Role::SEED, Role::LAUNCH];
            state.contains(role) || *at == 0 && *role == Role::INPUT
        })
    }

    /// What is said of it where nothing is wrong.
    pub(super) fn detail(&self) -> String {
        let acts: BTreeSet<u64> = self.refs.values().copied().collect();
        match (self.refs.len(), acts.len()) {
            (0, _) => "none is told of".to_owned(),
            (values, 1) => format!("consistent: {values} values are gone, by 1 act"),
            (values, acts) => format!("consistent: {values} values are gone, by {acts} acts"),
        }
    }
}

fn open(bytes: &[u8], trust: &TrustRoot) -> Result<OpenedAct, Fault> {
    OpenedAct::open(bytes, trust).map_err(|error| match error {
        OpenError::Untrusted(_) if !crate::dsse::signed_by_any(bytes, trust) => Fault {
            kind: FaultKind::UntrustedKey,
            check: CheckName::Erasures,
            envelope: None,
            message: format!("the act of an erasure: {error}"),
        },
        error => tampered(format!("the act of an erasure: {error}")),
    })
}

fn tampered(message: String) -> Fault {
    Fault { kind: FaultKind::Tampered, check: CheckName::Erasures, envelope: None, message }
}

/// Checks that acts stand in a log, where nothing was wrong so far: each beside its proof, under a head
/// that the log's key signed. Without a key, or for an act without a proof, the report says what was not
/// checked. `validity`: for which part of the log a key counts; an act of one that does not count for all
/// of it has to be shown to stand in its part.
pub fn check_acts(
    report: &mut Report,
    acts: &[(&[u8], Option<&InclusionProof>)],
    log: Option<&NoteVerifier>,
    validity: impl Fn(&KeyId) -> Validity,
) {
    if acts.is_empty() || report.fault.is_some() {
        return;
    }
    for (act, proof) in acts {
        let Ok(key) = Unverified::parse(act).map(|act| act.key_id()) else { continue };
        let validity = validity(&key);
        let place = log.and(*proof).map(|proof| proof.index);
        if validity != Validity::ALL && !place.is_some_and(|place| validity.holds(place)) {
            let message = match place {
                Some(place) => format!(
                    "the act of an erasure is signed by {key}, which does not count for entry {place} of the log"
                ),
                None => format!(
                    "the act of an erasure is signed by {key}, which counts for a part of the log only, and nothing \
                     shows where the act stands"
                ),
            };
            let check = CheckName::Erasures;
            return report.fail(Fault { kind: FaultKind::UntrustedKey, check, envelope: None, message });
        }
    }
    let Some(log) = log else {
        return report.add(CheckName::Erasures, "; their place in the log: NOT CHECKED (--log-key)");
    };
    for (act, proof) in acts {
        let Some(proof) = proof else {
            return report
                .add(CheckName::Erasures, "; their place in the log: NOT CHECKED, for want of a proof");
        };
        if let Err(error) = proof.check(act, log) {
            return report
                .fail(tampered(format!("the act of an erasure is not shown to stand in the log: {error}")));
        }
    }
    report.add(CheckName::Erasures, "; each stands in the log");
}
