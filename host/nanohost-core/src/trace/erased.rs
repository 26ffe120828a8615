//! What acts say of one run. Erasures are a check of it: each value that is gone was given up by an act
//! that a trusted key signed, and none that was given up is here. Holds that lie on it are told, and who
//! may end it is handed on. Knows no store: whoever has the acts hands them over.

use std::collections::{BTreeMap, BTreeSet};

use super::check::{CheckName, Fault, FaultKind, Held, Report};
use super::ended::{Ended, MayEnd};
use crate::act::{Act, HoldAct, HoldChange, OpenedAct, Succession, beginning};
use crate::dsse::Unverified;
use crate::envelope::{OpenError, Opened};
use crate::export::Role;
use crate::keys::Validity;
use crate::log::proof::InclusionProof;
use crate::log::{Checkpoint, NoteVerifier};
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
    /// Who may sign, as the acts so far say.
    succession: Option<Succession>,
    /// The acts by which nothing was kept of a run that did not verify then.
    damaged: BTreeSet<u64>,
    /// The holds that lie on it.
    holds: BTreeMap<u64, Held>,
    /// The acts about the run, each with its key and with those whose runs the key could speak
    /// for then; `None`: anybody's.
    by: Vec<(u64, KeyId, Option<BTreeSet<KeyId>>)>,
}

impl Erased {
    /// The next act that bears on the run, or on the keys by which others do: all of them come before its
    /// envelopes.
    pub(super) fn add(
        &mut self,
        bytes: &[u8],
        run: &RunId,
        trust: &TrustRoot,
        ended: &mut Ended,
    ) -> Result<(), Fault> {
        let succession = self.succession.get_or_insert_with(|| Succession::new(trust));
        let act = open(bytes, succession.trust())?;
        if trust.is_named_only() && trust.of_acts(&act.key).is_none() {
            return Err(untrusted(format!(
                "an act about the run: signed by key {}, which is not trusted",
                act.key
            )));
        }
        let seq = act.predicate.chain.seq;
        let wrong = |why: &str| Err(tampered(format!("act {seq} {why}")));
        let first = match &self.last {
            None => (seq == 0).then(|| beginning(&act.predicate.chain.id)),
            Some(before) => {
                let (chain, then) = (&act.predicate.chain, &before.predicate.chain);
                if chain.id != then.id || chain.seq <= then.seq || act.predicate.time < before.predicate.time
                {
                    return wrong("does not follow the one before it");
                }
                if chain.seq == then.seq + 1 && chain.prev != Some(before.digest) {
                    return wrong("is of another chain than the one before it");
                }
                Some(if then.seq == 0 { before.digest } else { before.anchor })
            }
        };
        if first.is_some_and(|first| act.anchor != first) {
            return wrong("is of another chain than the one before it");
        }
        if let Err(why) = succession.follow(&act) {
            return Err(tampered(format!("act {seq}: {why}")));
        }
        match &act.predicate.act {
            Act::Key(_) => {}
            about if about.run() != Some(run) => return wrong("is about another run, or about none"),
            Act::Erasure(erasure) => {
                for value in &erasure.refs {
                    let place = (usize::try_from(value.seq).unwrap_or(usize::MAX), value.role.clone());
                    // What a store held of damaged evidence need not be what that commits to.
                    if !erasure.damaged {
                        self.unmet.insert(place.clone());
                    }
                    self.refs.entry(place).or_insert(seq);
                }
                if erasure.damaged {
                    self.damaged.insert(seq);
                }
            }
            Act::Hold(HoldAct { change: HoldChange::Laid, hold, .. }) => {
                let (since, principal) = (act.predicate.time, act.predicate.principal.clone());
                self.holds.insert(*hold, Held { hold: *hold, act: seq, since, principal });
            }
            Act::Hold(HoldAct { change: HoldChange::Ended, hold, .. }) => {
                self.holds.remove(hold);
            }
            Act::Ending(ending) => {
                if succession.speaks_for(&act.key, &ending.key) {
                    ended.add(MayEnd::of(&act, ending));
                }
            }
            Act::Log(_) | Act::Loss(_) => return wrong("is about no run"),
        }
        if !matches!(act.predicate.act, Act::Key(_)) {
            self.by.push((seq, act.key, succession.spoken_for(&act.key)));
        }
        self.last = Some(act);
        Ok(())
    }

    /// The key that signs the run is known: those that erased from it may speak for it.
    fn heard(&self, signer: &KeyId) -> Result<(), Fault> {
        let may = |of: &Option<BTreeSet<KeyId>>| of.as_ref().is_none_or(|of| of.contains(signer));
        match self.by.iter().find(|(_, _, of)| !may(of)) {
            None => Ok(()),
            Some((seq, key, _)) => Err(untrusted(format!(
                "act {seq} is about a run of {signer} and is signed by {key}, which neither took over from that key \
                 nor has the role to sign acts about any run"
            ))),
        }
    }

    /// An envelope goes by: what it commits to can have been erased, and what ends for want of a value
    /// has lost one.
    pub(super) fn meet(&mut self, at: usize, opened: &Opened) -> Result<(), Fault> {
        if at == 0 {
            self.heard(&opened.key)?;
        }
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
        if let Some(Err(why)) = self.succession.as_ref().map(Succession::end) {
            return Err(tampered(format!("the acts end with one that is not whole: {why}")));
        }
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

    /// The holds that lie on the run.
    pub(super) fn holds(&self) -> Vec<Held> {
        self.holds.values().cloned().collect()
    }

    /// How many were.
    pub(super) fn len(&self) -> usize {
        self.refs.len()
    }

    /// Whether a value that would be asked for is excused.
    pub(super) fn excuses(&self) -> bool {
        self.refs.keys().any(|(_, role)| !role.is_secret())
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
        let mut detail = match (self.refs.len(), acts.len()) {
            (0, _) => "none is told of".to_owned(),
            (values, 1) => format!("consistent: {values} values are gone, by 1 act"),
            (values, acts) => format!("consistent: {values} values are gone, by {acts} acts"),
        };
        if !self.damaged.is_empty() {
            detail.push_str("; the run's evidence did not verify when they went");
        }
        match self.holds.len() {
            0 => {}
            1 => detail.push_str("; a legal hold lies on the run"),
            holds => detail.push_str(&format!("; {holds} legal holds lie on the run")),
        }
        detail
    }
}

fn open(bytes: &[u8], trust: &TrustRoot) -> Result<OpenedAct, Fault> {
    OpenedAct::open(bytes, trust).map_err(|error| match error {
        OpenError::Untrusted(_) if !crate::dsse::signed_by_any(bytes, trust) => {
            untrusted(format!("an act about the run: {error}"))
        }
        error => tampered(format!("an act about the run: {error}")),
    })
}

fn tampered(message: String) -> Fault {
    Fault { kind: FaultKind::Tampered, check: CheckName::Erasures, envelope: None, message }
}

fn untrusted(message: String) -> Fault {
    Fault { kind: FaultKind::UntrustedKey, check: CheckName::Erasures, envelope: None, message }
}

/// Checks that acts stand in a log, where nothing was wrong so far: each beside its proof, under a head
/// that the log's key signed; `log` gives the key of the log whose head that is. For want of one, or of a proof,
/// the report says what was not checked. `validity`: for which part of the log a key counts; an act of one
/// that does not count for all of it has to be shown to stand in its part.
pub fn check_acts(
    report: &mut Report,
    acts: &[(&[u8], Option<&InclusionProof>)],
    log: impl Fn(&Checkpoint) -> Option<NoteVerifier>,
    validity: impl Fn(&KeyId) -> Validity,
) {
    if acts.is_empty() || report.fault.is_some() {
        return;
    }
    let mut unplaced = None;
    for (act, proof) in acts {
        let Ok(key) = Unverified::parse(act).map(|act| act.key_id()) else { continue };
        let head = match proof.map(|proof| proof.checkpoint.text().parse::<Checkpoint>()) {
            Some(Err(error)) => {
                let message = format!("an act about the run is not shown to stand in the log: {error}");
                return report.fail(tampered(message));
            }
            head => head.and_then(Result::ok),
        };
        let place = match (proof, head.and_then(|head| log(&head))) {
            (Some(proof), Some(log)) => {
                if let Err(error) = proof.check(act, &log) {
                    let message = format!("an act about the run is not shown to stand in the log: {error}");
                    return report.fail(tampered(message));
                }
                Some(proof.index)
            }
            (Some(_), None) => {
                unplaced.get_or_insert("; their place in the log: NOT CHECKED (--log-key)");
                None
            }
            (None, _) => {
                unplaced.get_or_insert("; their place in the log: NOT CHECKED, for want of a proof");
                None
            }
        };
        let validity = validity(&key);
        if validity != Validity::ALL && !place.is_some_and(|place| validity.holds(place)) {
            return report.fail(untrusted(match place {
                Some(place) => format!(
                    "an act about the run is signed by {key}, which does not count for entry {place} of the log"
                ),
                None => format!(
                    "an act about the run is signed by {key}, which counts for a part of the log only, and nothing \
                     shows where the act stands"
                ),
            }));
        }
    }
    report.unplaced = report.excused && unplaced.is_some();
    report.add(CheckName::Erasures, unplaced.unwrap_or("; each stands in the log"));
}
