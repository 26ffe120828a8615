//! Verification: envelopes nobody trusts yet → [`Trace`], through named checks. A run's bytes are
//! judged by the same machine that ran it. Knows no disk, no clock and no WebAssembly engine.

mod chain;
mod check;
mod ended;
mod erased;
mod logged;
mod path;
mod remembered;
mod shown;
mod signer;
mod verifier;
mod witnessed;

use std::fmt;

pub use check::{Check, CheckName, CheckResult, Fault, FaultKind, Held, Report, RunState};
pub use erased::check_acts;
pub use logged::{Standing, check_log};
pub use remembered::{SeenHead, SeenHeads, SeenLog};
pub use signer::check_signer;
pub use verifier::{Keep, Reach, Verified, Verifier};
pub use witnessed::{MaxAge, SignedBy, check_witnesses};

use crate::admission_record::AdmissionRecord;
use crate::envelope::{Disclosed, Opened, Predicate};
use crate::export::{Content, Role};
use crate::run::Run;
use crate::{Digest, RunId, Timestamp, TrustRoot};
use erased::Erased;

/// What is to be verified. Nothing of it is believed.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The run it claims to be about.
    pub run: &'a RunId,
    /// The envelopes in order, as exact bytes.
    pub envelopes: &'a [Vec<u8>],
    /// The values that are there.
    pub contents: &'a [Content],
    /// How many envelopes whoever kept them says there are, where that is known.
    pub expected: Option<u64>,
    /// Whether every committed value has to be here, as in the store that wrote them.
    pub complete: bool,
    /// The acts that bear on the run, in order, as exact bytes: what they erased is not missing.
    pub acts: &'a [Vec<u8>],
}

/// A run whose evidence verified: the chain is whole, the signatures are good, every transition
/// is legal. Made only by [`verify`].
#[derive(Debug)]
pub struct Trace {
    run: RunId,
    envelopes: Vec<Opened>,
    admission: AdmissionRecord,
    /// `None` where admission refused the program.
    machine: Option<Run>,
    values: Vec<Disclosed>,
    erased: Erased,
    state: RunState,
}

impl Trace {
    /// The run.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// What was signed, in order.
    pub fn predicates(&self) -> impl ExactSizeIterator<Item = &Predicate> {
        self.envelopes.iter().map(|opened| &opened.predicate)
    }

    /// The digest of an envelope's exact bytes.
    pub fn digest(&self, seq: usize) -> Option<Digest> {
        self.envelopes.get(seq).map(|opened| opened.digest)
    }

    /// The first and the last envelope.
    pub(crate) fn ends(&self) -> (&Opened, &Opened) {
        (&self.envelopes[0], &self.envelopes[self.envelopes.len() - 1])
    }

    /// The envelope since which the run waits, where it is suspended.
    pub fn suspended_at(&self) -> Option<u64> {
        self.machine.as_ref()?.suspension()?;
        let began = |opened: &&Opened| {
            opened
                .predicate
                .step
                .as_ref()
                .is_some_and(|step| step.to == "suspended" && step.from != "suspended")
        };
        self.envelopes.iter().rev().find(began).map(|opened| opened.predicate.run.seq)
    }

    /// What the run's admission was decided from.
    pub fn admission(&self) -> &AdmissionRecord {
        &self.admission
    }

    /// Whether an envelope commits to a value of a role, disclosed or not.
    pub fn commits(&self, seq: usize, role: &Role) -> bool {
        self.envelopes.get(seq).is_some_and(|opened| opened.commitments.contains_key(role))
    }

    /// The machine, to go on with; `None` where admission refused.
    pub fn into_machine(self) -> Option<Run> {
        self.machine
    }

    /// A disclosed value.
    pub fn value(&self, seq: usize, role: &Role) -> Option<&serde_json::Value> {
        self.values.get(seq)?.get(role)
    }

    /// Whether a committed value was erased.
    pub fn is_erased(&self, seq: usize, role: &Role) -> bool {
        self.erased.contains(seq, role)
    }

    /// How many values were erased.
    pub fn erased(&self) -> usize {
        self.erased.len()
    }

    /// Whether a value was erased that the run needs to go on.
    pub fn lacks_erased(&self) -> bool {
        self.erased.needed()
    }

    /// The machine in the state that the evidence leads to; `None` where admission refused.
    pub fn machine(&self) -> Option<&Run> {
        self.machine.as_ref()
    }

    /// The key that signed it.
    pub fn key(&self) -> crate::KeyId {
        self.envelopes[0].key
    }

    /// The key that signed its last envelope: another one where the run was ended by an act.
    pub fn last_key(&self) -> crate::KeyId {
        self.envelopes[self.envelopes.len() - 1].key
    }

    /// Whether the run is over.
    pub fn state(&self) -> RunState {
        self.state
    }

    /// When it was opened.
    pub fn opened(&self) -> Timestamp {
        self.envelopes[0].predicate.time
    }

    /// The moment of the last envelope.
    pub fn last(&self) -> Timestamp {
        self.envelopes[self.envelopes.len() - 1].predicate.time
    }

    /// The digest of the last envelope.
    pub fn head(&self) -> Digest {
        self.envelopes[self.envelopes.len() - 1].digest
    }
}

/// Judges evidence. The trace is there only where no check failed and the program is disclosed.
pub fn verify(evidence: Evidence<'_>, trust: &TrustRoot) -> (Report, Option<Trace>) {
    let mut verifier = Verifier::new(evidence.run.clone(), trust, Keep::Trace);
    if evidence.complete {
        verifier.wants_every_value();
    }
    for act in evidence.acts {
        verifier.act(act);
    }
    let mut contents: Vec<&Content> = evidence.contents.iter().collect();
    contents.sort_by_key(|content| content.seq);
    let mut contents = contents.into_iter().peekable();
    for (seq, envelope) in (0..).zip(evidence.envelopes) {
        verifier.envelope(envelope);
        while let Some(content) = contents.next_if(|content| content.seq == seq) {
            verifier.content(content);
        }
    }
    contents.for_each(|content| verifier.content(content));
    let verified = verifier.finish(evidence.expected);
    (verified.report, verified.trace)
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run {} ({} envelopes)", self.run, self.envelopes.len())
    }
}

#[cfg(test)]
mod tests;
