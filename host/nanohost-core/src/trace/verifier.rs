//! Verification, envelope by envelope in the order of the run. What is remembered of those that went
//! by is the state of the run, not they themselves, unless a [`Trace`] is asked for: so a run of any
//! length is verified in the memory of its largest step. Knows no file and no store.

use super::Trace;
use super::chain::{Chain, Sequence};
use super::check::{CheckName, Fault, FaultKind, Report, RunState};
use super::ended::Ended;
use super::erased::Erased;
use super::path::{Admitted, Path};
use crate::dsse;
use crate::envelope::{Disclosed, Kind, OpenError, Opened};
use crate::export::{Content, Role};
use crate::{Digest, RunId, TrustRoot};

/// What is kept of the envelopes that went by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// All of them and their values, for a [`Trace`].
    Trace,
    /// Nothing but the verdict.
    Verdict,
}

/// How far the evidence of a run reaches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// The number of envelopes.
    pub envelopes: u64,
    /// The exact bytes of the last one; empty where there are none.
    pub last: Vec<u8>,
    /// The digest of the one that was [watched](Verifier::watch), where it is here.
    pub watched: Option<Digest>,
    /// Where another key ended the run: the number and bytes of the last envelope that its own key signed.
    pub own: Option<(u64, Vec<u8>)>,
}

impl Reach {
    /// Of envelopes that are all at hand; `watch` as [`Verifier::watch`].
    pub fn of(envelopes: &[Vec<u8>], watch: Option<u64>) -> Self {
        let watched = watch.and_then(|at| envelopes.get(usize::try_from(at).ok()?));
        Self {
            envelopes: envelopes.len() as u64,
            last: envelopes.last().cloned().unwrap_or_default(),
            watched: watched.map(|bytes| Digest::of(bytes)),
            own: last_own(envelopes),
        }
    }

    /// How far what the run's own key signed reaches, where another one ended the run.
    pub fn before_the_end(&self) -> Option<Self> {
        let (at, last) = self.own.as_ref()?;
        Some(Self { envelopes: at + 1, last: last.clone(), ..Self::default() })
    }
}

/// The last envelope that the key of the first one signed, where that is not the last.
fn last_own(envelopes: &[Vec<u8>]) -> Option<(u64, Vec<u8>)> {
    let key = |bytes: &Vec<u8>| dsse::Unverified::parse(bytes).ok().map(|envelope| envelope.key_id());
    let own = key(envelopes.first()?)?;
    let at = envelopes.iter().rposition(|bytes| key(bytes) == Some(own))?;
    (at + 1 < envelopes.len()).then(|| (at as u64, envelopes[at].clone()))
}

/// What a verification came to.
#[derive(Debug)]
pub struct Verified {
    /// The checks.
    pub report: Report,
    /// The run, where no check failed, its program is disclosed, and it was asked for.
    pub trace: Option<Trace>,
    /// How the run ended, or `suspended`, or `open`; where no check failed and its program is disclosed.
    pub status: Option<String>,
    /// Whether its last envelope ends it, by what the envelopes alone say.
    pub closed: bool,
    /// How far it reaches.
    pub reach: Reach,
}

/// What has to hold, in the order in which a fault is told: one of an earlier stage hides those of
/// later ones, wherever in the run they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Envelopes,
    Sequence,
    Chain,
    End,
    Erasures,
    Values,
    Path,
}

/// A verification under way.
#[derive(Debug)]
pub struct Verifier<'t> {
    run: RunId,
    trust: &'t TrustRoot,
    keep: Keep,
    complete: bool,
    watch: Option<u64>,
    fault: Option<(Stage, Fault)>,
    sequence: Sequence,
    chain: Option<Chain>,
    end: End,
    path: Path,
    reach: Reach,
    /// The exact bytes of the envelope before the last one.
    before: Vec<u8>,
    erased: Erased,
    ended: Ended,
    /// The envelope that went by last, and its values so far.
    current: Option<(Opened, Disclosed)>,
    /// How many values are here; how many are not, and how many of those serve only to go on.
    counts: Counts,
    envelopes: Vec<Opened>,
    values: Vec<Disclosed>,
}

#[derive(Debug, Default)]
struct Counts {
    here: usize,
    withheld: usize,
    secret: usize,
}

/// What the envelopes alone say of the run's end.
#[derive(Debug, Default)]
struct End {
    /// Where it was closed, after how many envelopes by its own count, and how.
    closed: Option<(usize, u64, String)>,
    /// Whether its last step waits for somebody outside.
    waits: bool,
}

impl<'t> Verifier<'t> {
    /// Nothing has been looked at.
    pub fn new(run: RunId, trust: &'t TrustRoot, keep: Keep) -> Self {
        Self {
            run,
            trust,
            keep,
            complete: false,
            watch: None,
            fault: None,
            sequence: Sequence::default(),
            chain: None,
            end: End::default(),
            path: Path::Unopened,
            reach: Reach::default(),
            before: Vec::new(),
            erased: Erased::default(),
            ended: Ended::default(),
            current: None,
            counts: Counts::default(),
            envelopes: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Every committed value has to be here, as in the store that wrote them.
    pub fn wants_every_value(&mut self) {
        self.complete = true;
    }

    /// Remembers the digest of the envelope at that position: of the last one that was seen before.
    pub fn watch(&mut self, at: u64) {
        self.watch = Some(at);
    }

    /// The next act that bears on the run, as exact bytes: all of them come before its envelopes. Whether
    /// it is one that counts, and is worth keeping: whoever writes a file can put any number of others there.
    pub fn act(&mut self, bytes: &[u8]) -> bool {
        if !self.matters(Stage::Erasures) {
            return false;
        }
        match self.erased.add(bytes, &self.run, self.trust, &mut self.ended) {
            Ok(()) => true,
            Err(fault) => {
                self.fail(Stage::Erasures, fault);
                false
            }
        }
    }

    /// The next envelope, as exact bytes.
    pub fn envelope(&mut self, bytes: &[u8]) {
        self.settle();
        let at = usize::try_from(self.reach.envelopes).unwrap_or(usize::MAX);
        if self.watch == Some(self.reach.envelopes) {
            self.reach.watched = Some(Digest::of(bytes));
        }
        self.reach.envelopes += 1;
        std::mem::swap(&mut self.before, &mut self.reach.last);
        self.reach.last.clear();
        self.reach.last.extend_from_slice(bytes);
        if !self.matters(Stage::Envelopes) {
            return;
        }
        let opened = match Opened::open(bytes, self.trust) {
            Ok(opened) => opened,
            Err(error) => return self.fail(Stage::Envelopes, unopened(at, bytes, error, self.trust)),
        };
        if self.matters(Stage::Sequence)
            && let Err(fault) = self.sequence.next(at, &opened, &self.run)
        {
            self.fail(Stage::Sequence, fault);
        }
        if self.matters(Stage::Chain)
            && let Err(fault) = Chain::next(&mut self.chain, at, &opened, &mut self.ended)
        {
            self.fail(Stage::Chain, fault);
        }
        if self.ended.begins_at() == Some(at as u64) {
            self.reach.own = Some((at as u64 - 1, self.before.clone()));
        }
        if self.matters(Stage::End)
            && let Err(fault) = self.end.next(at, &opened)
        {
            self.fail(Stage::End, fault);
        }
        if self.matters(Stage::Erasures)
            && let Err(fault) = self.erased.meet(at, &opened)
        {
            self.fail(Stage::Erasures, fault);
        }
        self.current = Some((opened, Disclosed::default()));
    }

    /// A value of the envelope that went by last.
    pub fn content(&mut self, content: &Content) {
        self.counts.here += 1;
        if !self.matters(Stage::Values) {
            return;
        }
        let at = usize::try_from(content.seq).unwrap_or(usize::MAX);
        if let Err(fault) = self.erased.admits(at, &content.role) {
            return self.fail(Stage::Erasures, fault);
        }
        let fault = match &mut self.current {
            Some((opened, values)) if opened.predicate.run.seq == content.seq => if opened.admits(content) {
                values.insert(content).err().map(|error| error.to_string())
            } else {
                Some(format!("its {} is not what was committed to", content.role.as_str()))
            }
            .map(|message| Fault::tampered(CheckName::Commitments, at, message)),
            _ => {
                let message = format!("a value of envelope {} is here and the envelope is not", content.seq);
                Some(Fault::truncated(CheckName::Commitments, at, message))
            }
        };
        if let Some(fault) = fault {
            self.fail(Stage::Values, fault);
        }
    }

    /// After the last one. `expected`: how many envelopes whoever kept them says there are, where
    /// that is known.
    pub fn finish(mut self, expected: Option<u64>) -> Verified {
        self.settle();
        let count = self.reach.envelopes;
        let at = usize::try_from(count).unwrap_or(usize::MAX);
        if let Err(fault) = self.sequence.finish() {
            self.fail(Stage::Sequence, fault);
        }
        if count == 0 {
            let fault = Fault::truncated(CheckName::Sequence, 0, "there are no envelopes".to_owned());
            self.fail(Stage::Envelopes, fault);
        } else if let Some(expected) = expected.filter(|expected| *expected > count) {
            let message = format!("the store recorded {expected} envelopes and {count} are here");
            self.fail(Stage::Sequence, Fault::truncated(CheckName::Sequence, at, message));
        }
        if let Err(fault) = self.end.finish(count) {
            self.fail(Stage::End, fault);
        }
        if self.matters(Stage::Erasures)
            && let Err(fault) = self.erased.finish()
        {
            self.fail(Stage::Erasures, fault);
        }
        if self.matters(Stage::Path)
            && let Err(fault) = self.path.finish()
        {
            self.fail(Stage::Path, fault);
        }
        self.verdict()
    }

    /// Whether a fault of that stage would still be told.
    fn matters(&self, stage: Stage) -> bool {
        // Once a number is out of place, what follows from one envelope to the next means nothing.
        self.fault.as_ref().is_none_or(|(first, _)| stage < *first)
            && (stage <= Stage::Sequence || self.sequence.is_whole())
    }

    fn fail(&mut self, stage: Stage, fault: Fault) {
        if self.fault.as_ref().is_none_or(|(first, _)| stage < *first) {
            self.fault = Some((stage, fault));
        }
    }

    /// The last envelope has all its values: what depends on them can be judged.
    fn settle(&mut self) {
        let Some((opened, mut values)) = self.current.take() else { return };
        let at = usize::try_from(opened.predicate.run.seq).unwrap_or(usize::MAX);
        if self.matters(Stage::Values) {
            let gone = |role: &&Role| values.get(role).is_none() && !self.erased.contains(at, role);
            let mut missing = opened.roles().filter(gone).peekable();
            if self.complete
                && let Some(role) = missing.peek()
            {
                let message = format!("its {role} is committed to and is not here");
                let fault = Fault::truncated(CheckName::Commitments, at, message);
                drop(missing);
                return self.fail(Stage::Values, fault);
            }
            for role in missing {
                *(if role.is_secret() { &mut self.counts.secret } else { &mut self.counts.withheld }) += 1;
            }
        }
        if self.matters(Stage::Path)
            && let Err(fault) = self.path.next(at, &opened, &mut values)
        {
            self.fail(Stage::Path, fault);
        }
        match self.keep {
            Keep::Trace => {
                self.envelopes.push(opened);
                self.values.push(values);
            }
            Keep::Verdict => {
                if let Path::Admitted(admitted) = &mut self.path {
                    admitted.run.forget_records();
                }
            }
        }
    }

    fn verdict(self) -> Verified {
        let Self { run, fault, counts, end, path, reach, erased, ended, envelopes, values, keep, .. } = self;
        let count = usize::try_from(reach.envelopes).unwrap_or(usize::MAX);
        let closed = end.closed.is_some();
        let mut report = Report::new(run.clone(), count);
        let passed = |stage: Stage| fault.as_ref().is_none_or(|(first, _)| stage < *first);
        if passed(Stage::Envelopes) {
            let by = ended.detail().unwrap_or_default();
            report.pass(CheckName::Signatures, format!("{count} envelopes{by}"));
            report.pass(CheckName::Canonical, "every payload is in its one form");
        }
        if passed(Stage::Sequence) {
            report.pass(CheckName::Sequence, format!("0 to {}", count.saturating_sub(1)));
        }
        if passed(Stage::Chain) {
            report.pass(CheckName::Chain, "every envelope names the one before it");
        }
        if passed(Stage::Values) {
            report.withheld = counts.withheld;
            let Counts { here, withheld, secret } = counts;
            let mut detail = format!("{here} of {} values are here", here + withheld);
            if secret > 0 {
                detail.push_str(&format!("; {secret} more serve only to go on with the run"));
            }
            report.pass(CheckName::Commitments, detail);
            report.erased = erased.len();
            report.holds = erased.holds();
            // An act that excuses a value, or lets another key end the run, decides with its place.
            report.excused = erased.excuses() || ended.detail().is_some();
            report.pass(CheckName::Erasures, erased.detail());
            tell_path(&path, fault.is_none(), &mut report);
        }
        if let Some((_, fault)) = fault {
            report.fail(fault);
            return Verified { report, trace: None, status: None, closed, reach };
        }
        let state = match &path {
            _ if end.closed.is_some() => RunState::Closed,
            Path::Admitted(admitted) if admitted.run.suspension().is_some() => RunState::Suspended,
            // No machine can say, so what was signed of the last step does.
            Path::Undisclosed if end.waits => RunState::Suspended,
            _ => RunState::Open,
        };
        report.closed(state);
        let (admission, machine) = match path {
            Path::Refused(record) => (record, None),
            Path::Admitted(admitted) => {
                let Admitted { record, run, .. } = *admitted;
                (record, Some(run))
            }
            Path::Unopened | Path::Undisclosed | Path::Opened(_) => {
                return Verified { report, trace: None, status: None, closed, reach };
            }
        };
        let status = match (end.closed, state) {
            (Some((_, _, status)), _) => status,
            (None, RunState::Suspended) => "suspended".to_owned(),
            (None, _) => "open".to_owned(),
        };
        let trace = (keep == Keep::Trace).then(|| Trace {
            run,
            envelopes,
            admission,
            machine,
            values,
            erased,
            state,
        });
        Verified { report, trace, status: Some(status), closed, reach }
    }
}

/// What the machine, as far as it came, says of admission, transitions and authority.
fn tell_path(path: &Path, whole: bool, report: &mut Report) {
    match path {
        Path::Undisclosed => {
            let why = "the program and the policy are not disclosed";
            report.skip(CheckName::Admission, why);
            report.skip(CheckName::Transitions, why);
            report.skip(CheckName::Authority, why);
        }
        Path::Admitted(_) => {
            report.pass(CheckName::Admission, "decided again from the recorded texts, with the same table");
            if whole {
                let detail = match (report.withheld, report.erased) {
                    (0, 0) => "every transition, with its values".to_owned(),
                    (0, n) => format!("every transition; shape only where one of {n} erased values decides"),
                    (n, 0) => {
                        format!("every transition; shape only where one of {n} withheld values decides")
                    }
                    (n, m) => {
                        format!(
                            "every transition; shape only where one of {n} withheld or {m} erased values decides"
                        )
                    }
                };
                report.pass(CheckName::Transitions, detail);
                report.pass(CheckName::Authority, "granted ⊆ requested ∩ policy ∩ program in every call");
            }
        }
        Path::Refused(_) if whole => {
            report.pass(CheckName::Admission, "decided again from the recorded texts, and refused again");
            report.pass(CheckName::Transitions, "no step was executed");
            report.pass(CheckName::Authority, "nothing was linked");
        }
        Path::Unopened | Path::Opened(_) | Path::Refused(_) => {}
    }
}

impl End {
    fn next(&mut self, at: usize, opened: &Opened) -> Result<(), Fault> {
        if let Some((closed, ..)) = self.closed {
            let message = "the run goes on after its end".to_owned();
            return Err(Fault::tampered(CheckName::Closed, closed, message));
        }
        let predicate = &opened.predicate;
        // Events that were refused after a suspension leave the run suspended.
        if let Some(step) = &predicate.step {
            self.waits = step.to == "suspended";
        }
        if predicate.kind == Kind::RunClose {
            let close = predicate.close.as_ref();
            let (count, status) =
                close.map_or((0, String::new()), |close| (close.count, close.status.clone()));
            self.closed = Some((at, count, status));
        }
        Ok(())
    }

    fn finish(&self, envelopes: u64) -> Result<(), Fault> {
        match &self.closed {
            Some((at, count, _)) if *count != envelopes => {
                let message = "it counts another number of envelopes".to_owned();
                Err(Fault::tampered(CheckName::Closed, *at, message))
            }
            _ => Ok(()),
        }
    }
}

fn unopened(at: usize, bytes: &[u8], error: OpenError, trust: &TrustRoot) -> Fault {
    let check = match error {
        OpenError::Untrusted(_) => return untrusted(at, bytes, &error, trust),
        OpenError::Canonical(_) | OpenError::Statement(_) => CheckName::Canonical,
        _ => CheckName::Signatures,
    };
    Fault::tampered(check, at, error.to_string())
}

/// A key id is only a hint and not signed: where a trusted key did sign the bytes, the hint was
/// changed, and that is tampering.
fn untrusted(at: usize, bytes: &[u8], error: &OpenError, trust: &TrustRoot) -> Fault {
    let (check, envelope) = (CheckName::Signatures, Some(at));
    if dsse::signed_by_any(bytes, trust) {
        let message = "its key id is not that of the key that signed it".to_owned();
        return Fault { kind: FaultKind::Tampered, check, envelope, message };
    }
    Fault { kind: FaultKind::UntrustedKey, check, envelope, message: error.to_string() }
}
