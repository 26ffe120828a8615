//! What holds from one envelope to the next: numbers without a gap, and each naming the one before
//! it. Looks at each envelope once, in the order of the file. Knows no program.

use std::collections::BTreeMap;

use super::check::{CheckName, Fault};
use super::ended::Ended;
use crate::envelope::{Kind, Opened, initial_state, state_after};
use crate::{Digest, KeyId, RunId, Timestamp};

/// Every number once, from 0, in order, and all of one run.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    /// How many stand in their places, from 0 on.
    whole: usize,
    /// Where the others stand, by their numbers: none where nothing is wrong.
    strays: BTreeMap<u64, usize>,
}

impl Sequence {
    /// The next envelope; an error that no other envelope can make up for.
    pub(super) fn next(&mut self, at: usize, opened: &Opened, run: &RunId) -> Result<(), Fault> {
        let own = &opened.predicate.run;
        if own.id != *run {
            return Err(Fault::tampered(CheckName::Sequence, at, format!("it belongs to run {}", own.id)));
        }
        if self.strays.is_empty() && own.seq == at as u64 {
            self.whole += 1;
            return Ok(());
        }
        let first = match usize::try_from(own.seq) {
            Ok(seq) if seq < self.whole => Some(seq),
            _ => self.strays.insert(own.seq, at),
        };
        match first {
            None => Ok(()),
            Some(first) => {
                let message = format!("envelope {} stands here again, first at position {first}", own.seq);
                Err(Fault::tampered(CheckName::Sequence, at, message))
            }
        }
    }

    /// Whether each one so far stands in its place.
    pub(super) fn is_whole(&self) -> bool {
        self.strays.is_empty()
    }

    /// After the last one.
    pub(super) fn finish(&self) -> Result<(), Fault> {
        for (expected, (seq, at)) in (self.whole as u64..).zip(&self.strays) {
            if *seq != expected {
                let message = match seq - expected {
                    1 => format!("envelope {expected} is missing"),
                    _ => format!("envelopes {expected} to {} are missing", seq - 1),
                };
                return Err(Fault::truncated(CheckName::Sequence, *at, message));
            }
        }
        match self.strays.iter().min_by_key(|(_, at)| **at) {
            Some((seq, at)) => {
                let message = format!("envelope {seq} stands at position {at}");
                Err(Fault::tampered(CheckName::Sequence, *at, message))
            }
            None => Ok(()),
        }
    }
}

/// Each names the one before, and all agree on run, program, signer and state.
#[derive(Debug)]
pub(super) struct Chain {
    program: Digest,
    first: Digest,
    key: KeyId,
    prev: Digest,
    plan: Option<Digest>,
    state: Digest,
    time: Timestamp,
}

impl Chain {
    /// The first envelope, or the next one. `ended`: who may end the run in place of its own key.
    pub(super) fn next(
        chain: &mut Option<Self>,
        at: usize,
        opened: &Opened,
        ended: &mut Ended,
    ) -> Result<(), Fault> {
        let fault = |message: &str| Err(Fault::tampered(CheckName::Chain, at, message.to_owned()));
        let predicate = &opened.predicate;
        let run = &predicate.run;
        if chain.is_none() {
            match &predicate.signer {
                Some(signer) if predicate.kind == Kind::RunOpen && signer.key == *opened.key.digest() => {}
                _ => return fault("it does not open a run with the key that signs it"),
            }
        }
        let prev = chain.as_ref().map(|chain| chain.prev);
        let anchor = chain.as_ref().map_or(run.program, |chain| chain.first);
        let chain = chain.get_or_insert_with(|| Self {
            program: run.program,
            first: opened.digest,
            key: opened.key,
            prev: opened.digest,
            plan: None,
            state: initial_state(),
            time: predicate.time,
        });
        if predicate.time < std::mem::replace(&mut chain.time, predicate.time) {
            return fault("it is older than the one before it");
        }
        if run.prev != prev {
            return fault("it names another envelope as the one before it");
        }
        if run.program != chain.program || opened.anchor != anchor {
            return fault("it belongs to another program, beginning or key");
        }
        if opened.key != chain.key {
            if !ended.admits(at, opened, chain.key, chain.prev) {
                return fault("it belongs to another program, beginning or key");
            }
            chain.key = opened.key;
        }
        if !ended.allows(opened) {
            return fault("it does more than to end the run, whose own key did not sign it");
        }
        if predicate.kind == Kind::Plan {
            chain.plan = run.plan;
        }
        if run.plan != chain.plan {
            return fault("it is bound to another capability table");
        }
        chain.state = state_after(chain.state, opened);
        if run.state != chain.state {
            return fault("its state digest is not that of the commitments so far");
        }
        chain.prev = opened.digest;
        Ok(())
    }
}
