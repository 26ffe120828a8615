//! Rollback: what was seen once has to be there again. A chain alone cannot show that its tail was
//! cut off; whoever remembers its head can. Knows no file: the caller keeps what is remembered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Reach;
use super::check::{CheckName, Fault, FaultKind, Report};
use crate::act::{Act, OpenedAct};
use crate::log::proof::GrowthProof;
use crate::log::{Checkpoint, KeyName, tree};
use crate::{Digest, RunId};

/// How far the evidence of a run reached when it last verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeenHead {
    /// The number of envelopes.
    pub envelopes: u64,
    /// The digest of the last one.
    pub head: Digest,
}

/// The newest head of a log that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeenLog {
    /// The number of entries.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
}

/// The heads seen so far, by run, and those of whole logs, by origin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeenHeads {
    runs: BTreeMap<RunId, SeenHead>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    logs: BTreeMap<String, SeenLog>,
    /// The name of the log of each store, by its chain of acts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    stores: BTreeMap<RunId, String>,
}

impl SeenHeads {
    /// The envelope of a run that was the last one when it was seen: the one to
    /// [watch](super::Verifier::watch).
    pub fn last_of(&self, run: &RunId) -> Option<u64> {
        self.runs.get(run)?.envelopes.checked_sub(1)
    }

    /// Compares evidence that verified with what was seen of its run before, and remembers it.
    /// [`SeenHeads::last_of`] its run has to have been watched.
    ///
    /// Evidence that is shorter, or another one at the place that was seen, is rolled back or
    /// forked: the report then says so, and what is remembered stays.
    pub fn compare(&mut self, report: &mut Report, reach: &Reach) {
        if report.fault.is_some() {
            return;
        }
        let now = (reach.envelopes > 0)
            .then(|| SeenHead { envelopes: reach.envelopes, head: Digest::of(&reach.last) });
        let Some(seen) = self.runs.get(&report.run) else {
            if let Some(now) = now {
                report.pass(CheckName::Rollback, "seen for the first time, and remembered");
                self.runs.insert(report.run.clone(), now);
            }
            return;
        };
        let at = seen.envelopes.saturating_sub(1);
        let message = match reach.watched {
            Some(digest) if digest == seen.head => {
                report.pass(
                    CheckName::Rollback,
                    format!("the same as when seen before, with {} envelopes", seen.envelopes),
                );
                self.runs.extend(now.map(|now| (report.run.clone(), now)));
                return;
            }
            Some(_) => format!("envelope {at} is another one than was seen before"),
            None => {
                format!("{} envelopes were seen before, and {} are here", seen.envelopes, reach.envelopes)
            }
        };
        report.fail(Fault {
            kind: FaultKind::RolledBack,
            check: CheckName::Rollback,
            envelope: usize::try_from(at).ok(),
            message,
        });
    }

    /// A run that was seen, whose id begins so.
    pub fn run(&self, prefix: &str) -> Option<(&RunId, SeenHead)> {
        let found = self.runs.iter().find(|(run, _)| run.as_str().starts_with(prefix))?;
        Some((found.0, *found.1))
    }

    /// The head of a log that was seen last.
    pub fn log(&self, origin: &str) -> Option<SeenLog> {
        self.logs.get(origin).copied()
    }

    /// Compares the name of the log of a store, which has this chain of acts, with the one under which it was
    /// seen last, and remembers it. `acts` are those of the store, verified; `begins_with` says whether the log
    /// of now begins with the one that has this size and root. To be asked before
    /// [`SeenHeads::compare_log`], which remembers the name too.
    ///
    /// An act cannot make what was seen and is gone good again, although it says so itself: whoever can write the
    /// act can cut the log too. Gives the names of the logs that are remembered where this one is none of
    /// them, and goes on from none: then it is seen for the first time.
    ///
    /// # Errors
    /// What is wrong, where it is another name and no act says that the log goes on under it, or where
    /// what was seen of the old log is not in this one.
    pub fn compare_name(
        &mut self,
        store: &RunId,
        origin: &KeyName,
        acts: &[OpenedAct],
        begins_with: impl Fn(u64, &Digest) -> bool,
    ) -> Result<Vec<String>, String> {
        let is_known = self.logs.contains_key(origin.as_str());
        // Another chain of acts is no other log where it goes on from one that was seen.
        let announced = || {
            let mut before = acts.iter().filter_map(|act| match &act.predicate.act {
                Act::Log(act) => Some(act.from.origin.as_str()),
                _ => None,
            });
            before.find(|name| !is_known && self.logs.contains_key(*name)).map(str::to_owned)
        };
        let Some(mut name) = self.stores.get(store).cloned().or_else(announced) else {
            let others = if is_known { Vec::new() } else { self.logs.keys().cloned().collect() };
            self.stores.insert(store.clone(), origin.to_string());
            return Ok(others);
        };
        for act in acts {
            let Act::Log(act) = &act.predicate.act else { continue };
            if act.from.origin.as_str() != name || name == origin.as_str() {
                continue;
            }
            let (size, to) = (act.from.size, act.to.name());
            if let Some(seen) = self.log(&name) {
                if seen.size > size {
                    let why = match act.known {
                        Some(known) if known.size >= seen.size => {
                            "what came after is lost, as the act that names the new log says"
                        }
                        _ => "no act says what became of the others",
                    };
                    return Err(format!(
                        "{name} had {} entries when it was seen before, and goes on as {to} after {size}: {why}",
                        seen.size
                    ));
                }
                if !begins_with(seen.size, &seen.root) {
                    return Err(format!(
                        "the log is another one than {name} was when it was seen with {} entries",
                        seen.size
                    ));
                }
            }
            if !begins_with(size, &act.from.root) {
                return Err(format!(
                    "the log does not begin with the {size} entries of {name} from which {to} goes on"
                ));
            }
            to.as_str().clone_into(&mut name);
        }
        if name != origin.as_str() {
            return Err(format!(
                "the log was {name} when it was seen before, and no act says that it goes on as {origin}"
            ));
        }
        self.stores.insert(store.clone(), name);
        Ok(Vec::new())
    }

    /// Compares a head of a log, whose signature somebody checked, with the one that was seen last,
    /// and remembers the larger one. `proof` is to show that the log only grew in between.
    ///
    /// # Errors
    /// What is wrong, where less is here than was seen before, or something else; what is
    /// remembered stays then.
    pub fn compare_log(&mut self, head: &Checkpoint, proof: &[Digest]) -> Result<(), String> {
        let Checkpoint { origin, size, root } = head;
        if let Some(seen) = self.log(origin.as_str()) {
            if *size < seen.size {
                return Err(format!(
                    "the log had {} entries when it was seen before, and has {size}",
                    seen.size
                ));
            }
            tree::check_consistency((seen.size, &seen.root), (*size, root), proof).map_err(|error| {
                format!("the log is another one than was seen before, with {} entries: {error}", seen.size)
            })?;
        }
        self.logs.insert(origin.to_string(), SeenLog { size: *size, root: *root });
        Ok(())
    }

    /// Compares a head of a log, whose signature somebody checked, with the one that was seen last, where
    /// nobody has the log itself: as part of the check of a run. `growth` shows that the log only grew from
    /// the one head to the other; without it only heads over as many entries can be compared, and what is
    /// remembered stays.
    pub fn compare_alone(&mut self, report: &mut Report, head: &Checkpoint, growth: Option<&GrowthProof>) {
        if report.fault.is_some() {
            return;
        }
        let now = SeenLog { size: head.size, root: head.root };
        let Some(seen) = self.log(head.origin.as_str()) else {
            let words = match self.logs.keys().cloned().collect::<Vec<_>>() {
                others if others.is_empty() => {
                    "; the log is seen for the first time, and remembered".to_owned()
                }
                others => {
                    format!("; this log is seen for the first time; remembered are: {}", others.join(", "))
                }
            };
            report.add(CheckName::Rollback, &words);
            self.logs.insert(head.origin.to_string(), now);
            return;
        };
        let (old, new) = if now.size < seen.size { (now, seen) } else { (seen, now) };
        let shows = |growth: &&GrowthProof| {
            let to = growth.checkpoint.text().parse::<Checkpoint>();
            growth.old == old.size
                && to.is_ok_and(|to| to.origin == head.origin && (to.size, to.root) == (new.size, new.root))
        };
        let hashes = match growth.filter(shows) {
            Some(growth) => &growth.hashes[..],
            None if old.size == new.size => &[],
            // Whoever names a proof wants it to show this.
            None if let Some(growth) = growth => {
                let to = growth.checkpoint.text().parse::<Checkpoint>();
                let to = to.map_or_else(|_| "nothing".to_owned(), |to| format!("{} entries", to.size));
                return report.fail(Fault {
                    kind: FaultKind::RolledBack,
                    check: CheckName::Rollback,
                    envelope: None,
                    message: format!(
                        "the proof that the log only grew is from {} entries to {to} of some log, and not from {} to {} of \
                         this one",
                        growth.old, old.size, new.size
                    ),
                });
            }
            None => {
                let words = format!(
                    "; the log was seen with {} entries, and whether this one, of {}, only grew from it or into it is NOT \
                     CHECKED (--log-growth)",
                    seen.size, now.size
                );
                return report.add(CheckName::Rollback, &words);
            }
        };
        match tree::check_consistency((old.size, &old.root), (new.size, &new.root), hashes) {
            Ok(()) => {
                report.add(
                    CheckName::Rollback,
                    &format!("; the log is the one that was seen, with {} entries", seen.size),
                );
                self.logs.insert(head.origin.to_string(), new);
            }
            Err(error) => report.fail(Fault {
                kind: FaultKind::RolledBack,
                check: CheckName::Rollback,
                envelope: None,
                message: format!(
                    "the log is another one than was seen before, with {} entries: {error}",
                    seen.size
                ),
            }),
        }
    }

    /// As [`SeenHeads::compare_log`], as the check of a run in that log.
    pub fn compare_log_of(&mut self, report: &mut Report, head: &Checkpoint, proof: &[Digest]) {
        if report.fault.is_some() {
            return;
        }
        if let Err(message) = self.compare_log(head, proof) {
            report.fail(Fault {
                kind: FaultKind::RolledBack,
                check: CheckName::Rollback,
                envelope: None,
                message,
            });
        }
    }
}
