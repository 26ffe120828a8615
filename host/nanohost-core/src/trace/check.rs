//! Named checks and what they found: pass, fail, or not checked and why.

use std::fmt;

use serde::Serialize;

use super::witnessed::SignedBy;
use crate::{Principal, RunId, Timestamp};

/// The checks of a verification, in the order they are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckName {
    /// Every envelope is signed by a trusted key.
    Signatures,
    /// Every payload is in its one form.
    Canonical,
    /// Every number once, from 0, in order.
    Sequence,
    /// Every envelope names the one before it.
    Chain,
    /// The values that are here are what was committed to.
    Commitments,
    /// What is gone was erased by acts, and what they erased is gone.
    Erasures,
    /// The admission, decided again, gives the same table.
    Admission,
    /// Every transition is legal under the program.
    Transitions,
    /// Every call had the authority of its row.
    Authority,
    /// The run has an end.
    Closed,
    /// The log over all runs holds it, and no more of it.
    Log,
    /// As many witnesses as are wanted signed the log's head over it.
    Witnesses,
    /// As many of them as are wanted signed it lately.
    Age,
    /// No envelope was cut off or replaced since an earlier look.
    Rollback,
}

impl CheckName {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Signatures,
        Self::Canonical,
        Self::Sequence,
        Self::Chain,
        Self::Commitments,
        Self::Erasures,
        Self::Admission,
        Self::Transitions,
        Self::Authority,
        Self::Closed,
        Self::Log,
        Self::Witnesses,
        Self::Age,
        Self::Rollback,
    ];

    /// The text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signatures => "signatures",
            Self::Canonical => "canonical",
            Self::Sequence => "sequence",
            Self::Chain => "chain",
            Self::Commitments => "commitments",
            Self::Erasures => "erasures",
            Self::Admission => "admission",
            Self::Transitions => "transitions",
            Self::Authority => "authority",
            Self::Closed => "closed",
            Self::Log => "log",
            Self::Witnesses => "witnesses",
            Self::Age => "age",
            Self::Rollback => "rollback",
        }
    }
}

impl fmt::Display for CheckName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckResult {
    /// It holds.
    Pass,
    /// It does not hold.
    Fail,
    /// It could not be made, or was not asked for.
    NotChecked,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Which.
    pub name: CheckName,
    /// What it found.
    pub result: CheckResult,
    /// In a few words.
    pub detail: String,
}

/// What kind of damage a fault is; each has an exit code of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// Bytes were changed, added, repeated or moved.
    Tampered,
    /// Envelopes are missing.
    Truncated,
    /// Less is here than was seen before, or something else.
    RolledBack,
    /// The signing key is not trusted.
    UntrustedKey,
    /// Fewer witnesses signed the log's head than are wanted.
    Unwitnessed,
}

/// The first thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// What kind of damage.
    pub kind: FaultKind,
    /// The check that found it.
    pub check: CheckName,
    /// The position of the envelope it was found at.
    pub envelope: Option<usize>,
    /// What is wrong.
    pub message: String,
}

impl Fault {
    pub(super) fn tampered(check: CheckName, at: usize, message: String) -> Self {
        Self { kind: FaultKind::Tampered, check, envelope: Some(at), message }
    }

    pub(super) fn truncated(check: CheckName, at: usize, message: String) -> Self {
        Self { kind: FaultKind::Truncated, check, envelope: Some(at), message }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = self.envelope {
            write!(f, "envelope {at}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// Whether a run is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// It has its end.
    Closed,
    /// It waits for somebody outside.
    Suspended,
    /// It has neither.
    Open,
}

/// Everything a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The run.
    pub run: RunId,
    /// How many envelopes were looked at.
    pub envelopes: usize,
    /// The checks.
    pub checks: Vec<Check>,
    /// The first thing that is wrong, if anything is.
    pub fault: Option<Fault>,
    /// Whether the run has no end.
    pub open: bool,
    /// Where the run stands by its envelopes; absent where a check before that failed.
    pub state: Option<RunState>,
    /// How many values are committed to and not here, but for those that serve only to go on with
    /// the run.
    pub withheld: usize,
    /// How many values are gone by an act of erasure.
    pub erased: usize,
    /// The legal holds that lie on it, as acts say.
    pub holds: Vec<Held>,
    /// The witnesses that signed the head under which the run stands, and when.
    pub witnessed: Vec<SignedBy>,
    /// Whether an act excuses a value that is not here, and nothing shows that it stands in the log.
    pub unplaced: bool,
    /// Whether an act excuses a value that would be asked for.
    #[serde(skip)]
    pub(super) excused: bool,
}

/// A legal hold that lies on a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    /// Its number in the store.
    pub hold: u64,
    /// The act by which it was laid.
    pub act: u64,
    /// When.
    pub since: Timestamp,
    /// By whom, as they say.
    pub principal: Principal,
}

impl Report {
    pub(super) fn new(run: RunId, envelopes: usize) -> Self {
        let unmade = |name| Check { name, result: CheckResult::NotChecked, detail: "not reached".to_owned() };
        let mut checks: Vec<Check> = CheckName::ALL.into_iter().map(unmade).collect();
        for check in &mut checks {
            match check.name {
                CheckName::Log => check.detail = "only where the log is: in its store".to_owned(),
                CheckName::Witnesses => {
                    check.detail = "NOT CHECKED: nobody says which count (--log-policy)".to_owned();
                }
                CheckName::Age => {
                    check.detail =
                        "NOT CHECKED: nobody says how old their signatures may be (--max-age)".to_owned();
                }
                CheckName::Rollback => {
                    check.detail = "NOT CHECKED: nothing is remembered (--state)".to_owned();
                }
                _ => {}
            }
        }
        Self {
            run,
            envelopes,
            checks,
            fault: None,
            open: false,
            state: None,
            withheld: 0,
            erased: 0,
            holds: Vec::new(),
            witnessed: Vec::new(),
            unplaced: false,
            excused: false,
        }
    }

    /// Says beside a check by what it was made, or why not.
    pub fn remark(&mut self, check: CheckName, words: &str) {
        self.add(check, words);
    }

    /// Says why a check was not made, where it was not.
    pub fn left_out(&mut self, name: CheckName, why: &str) {
        if self.checks.iter().any(|check| check.name == name && check.result == CheckResult::NotChecked) {
            self.skip(name, why);
        }
    }

    /// Says what is wrong, where somebody else found it and nothing was wrong so far.
    pub fn blame(&mut self, check: CheckName, kind: FaultKind, message: String) {
        if self.fault.is_none() {
            self.fail(Fault { kind, check, envelope: None, message });
        }
    }

    /// A report of evidence whose form alone is wrong.
    pub fn of_fault(run: RunId, fault: Fault) -> Self {
        let mut report = Self::new(run, 0);
        report.fail(fault);
        report
    }

    /// A report of a run that was begun and of which nothing was recorded.
    pub fn of_begun(run: RunId) -> Self {
        let mut report = Self::new(run, 0);
        report.open("the run was begun, and nothing of it was recorded");
        report
    }

    fn set(&mut self, name: CheckName, result: CheckResult, detail: String) {
        if let Some(check) = self.checks.iter_mut().find(|check| check.name == name) {
            check.result = result;
            check.detail = detail;
        }
    }

    pub(super) fn pass(&mut self, name: CheckName, detail: impl Into<String>) {
        self.set(name, CheckResult::Pass, detail.into());
    }

    /// Says more of a check that was made.
    pub(super) fn add(&mut self, name: CheckName, detail: &str) {
        if let Some(check) = self.checks.iter_mut().find(|check| check.name == name) {
            check.detail.push_str(detail);
        }
    }

    pub(super) fn skip(&mut self, name: CheckName, why: &str) {
        self.set(name, CheckResult::NotChecked, why.to_owned());
    }

    /// Says where the run stands.
    pub(super) fn closed(&mut self, state: RunState) {
        self.state = Some(state);
        match state {
            RunState::Closed => self.pass(CheckName::Closed, "the run is over"),
            RunState::Suspended => self.pass(CheckName::Closed, "the run is suspended"),
            RunState::Open => {
                self.open("the run has no end: it goes on, or was interrupted, or its tail was cut");
            }
        }
    }

    pub(super) fn open(&mut self, detail: &str) {
        self.open = true;
        self.set(CheckName::Closed, CheckResult::Fail, detail.to_owned());
    }

    pub(super) fn fail(&mut self, fault: Fault) {
        self.set(fault.check, CheckResult::Fail, fault.to_string());
        self.fault = Some(fault);
    }

    /// Whether something is not disclosed, so that a check could not be made: of the program or the
    /// policy, or of a value, whose transition was then checked in its shape only; or the place in the log
    /// of an act that excuses one.
    pub fn is_partial(&self) -> bool {
        self.unchecked().is_some()
    }

    /// What could not be checked, where something [could not be](Self::is_partial).
    pub fn unchecked(&self) -> Option<&'static str> {
        let elsewhere = [CheckName::Log, CheckName::Witnesses, CheckName::Age, CheckName::Rollback];
        let unmade =
            |check: &Check| check.result == CheckResult::NotChecked && !elsewhere.contains(&check.name);
        if self.withheld > 0 || self.checks.iter().any(unmade) {
            return Some("what is not disclosed could not be checked");
        }
        self.unplaced.then_some("where the acts about the run stand in the log was not checked")
    }

    /// Whether nothing is wrong and the run is not open.
    pub fn is_good(&self) -> bool {
        self.fault.is_none() && !self.open
    }
}
