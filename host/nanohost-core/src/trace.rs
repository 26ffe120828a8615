//! Verification: envelopes nobody trusts yet → [`Trace`], through named checks. A run's bytes are
//! judged by the same machine that ran it. Knows no disk, no clock and no WebAssembly engine.

mod check;
mod logged;
mod remembered;
mod shown;
mod signer;
mod witnessed;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

pub use check::{Check, CheckName, CheckResult, Fault, FaultKind, Report, RunState};
pub use logged::{Standing, check_log};
pub use remembered::{SeenHead, SeenHeads, SeenLog};
pub use signer::check_signer;
pub use witnessed::check_witnesses;

use crate::admission_record::{AdmissionRecord, RepeatError};
use crate::admit::{Plan, Refusal};
use crate::capability::Effect;
use crate::check::StepKind;
use crate::envelope::{
    AuthorityRef, DenialRef, Disclosed, Kind, ModelGrantRef, OpenError, Opened, Predicate, StepRef,
    authority_of, events_of, model_behind, state_after, step_of,
};
use crate::export::{Content, Role};
use crate::resume::entitled;
use crate::run::{CallEnd, ErrorKind, Event, Run, Slot, Status};
use crate::{Digest, RunId, Timestamp, TrustRoot};

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

    /// The machine in the state that the evidence leads to; `None` where admission refused.
    pub fn machine(&self) -> Option<&Run> {
        self.machine.as_ref()
    }

    /// The key that signed it.
    pub fn key(&self) -> crate::KeyId {
        self.envelopes[0].key
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
    let mut report = Report::new(evidence.run.clone(), evidence.envelopes.len());
    let trace = match judge(evidence, trust, &mut report) {
        Ok(trace) => trace,
        Err(fault) => {
            report.fail(fault);
            None
        }
    };
    (report, trace)
}

fn judge(evidence: Evidence<'_>, trust: &TrustRoot, report: &mut Report) -> Result<Option<Trace>, Fault> {
    let envelopes = open_all(evidence.envelopes, trust)?;
    report.pass(CheckName::Signatures, format!("{} envelopes", envelopes.len()));
    report.pass(CheckName::Canonical, "every payload is in its one form");
    sequence(evidence, &envelopes)?;
    report.pass(CheckName::Sequence, format!("0 to {}", envelopes.len() - 1));
    chain(&envelopes)?;
    report.pass(CheckName::Chain, "every envelope names the one before it");
    let mut values = contents(evidence.contents, &envelopes)?;
    if evidence.complete {
        nothing_lost(&envelopes, &values)?;
    }
    report.withheld = missing(&envelopes, &values, |role| !role.is_secret());
    let kept = missing(&envelopes, &values, Role::is_secret);
    let here = evidence.contents.len();
    let mut detail = format!("{here} of {} values are here", here + report.withheld);
    if kept > 0 {
        detail.push_str(&format!("; {kept} more serve only to go on with the run"));
    }
    report.pass(CheckName::Commitments, detail);

    let state = end_of(&envelopes)?;
    let Some(record) = values[0].take(&Role::ADMISSION) else {
        let why = "the program and the policy are not disclosed";
        report.skip(CheckName::Admission, why);
        report.skip(CheckName::Transitions, why);
        report.skip(CheckName::Authority, why);
        closed(report, state.unwrap_or_else(|| stands(&envelopes)));
        return Ok(None);
    };
    let record: AdmissionRecord = serde_json::from_value(record).map_err(|error| {
        Fault::tampered(CheckName::Admission, 0, format!("the admission does not parse: {error}"))
    })?;
    let machine = match repeat(record.clone(), &envelopes, &values)? {
        Some(plan) => {
            report.pass(CheckName::Admission, "decided again from the recorded texts, with the same table");
            Some(replay(plan, &envelopes, &mut values, report)?)
        }
        None => {
            report.pass(CheckName::Admission, "decided again from the recorded texts, and refused again");
            report.pass(CheckName::Transitions, "no step was executed");
            report.pass(CheckName::Authority, "nothing was linked");
            None
        }
    };
    let state = match (&machine, state) {
        (Some(machine), None) if machine.suspension().is_some() => RunState::Suspended,
        (_, state) => state.unwrap_or(RunState::Open),
    };
    closed(report, state);
    let admission = record;
    Ok(Some(Trace { run: evidence.run.clone(), envelopes, admission, machine, values, state }))
}

fn closed(report: &mut Report, state: RunState) {
    report.state = Some(state);
    match state {
        RunState::Closed => report.pass(CheckName::Closed, "the run is over"),
        RunState::Suspended => report.pass(CheckName::Closed, "the run is suspended"),
        RunState::Open => {
            report.open("the run has no end: it goes on, or was interrupted, or its tail was cut")
        }
    }
}

fn open_all(envelopes: &[Vec<u8>], trust: &TrustRoot) -> Result<Vec<Opened>, Fault> {
    if envelopes.is_empty() {
        return Err(Fault::truncated(CheckName::Sequence, 0, "there are no envelopes".to_owned()));
    }
    let mut opened = Vec::with_capacity(envelopes.len());
    for (at, bytes) in envelopes.iter().enumerate() {
        let fault = |error: OpenError| match error {
            OpenError::Untrusted(_) => untrusted(at, bytes, error, trust),
            OpenError::Canonical(_) | OpenError::Statement(_) => {
                Fault::tampered(CheckName::Canonical, at, error.to_string())
            }
            _ => Fault::tampered(CheckName::Signatures, at, error.to_string()),
        };
        opened.push(Opened::open(bytes, trust).map_err(fault)?);
    }
    Ok(opened)
}

/// A key id is only a hint and not signed: where a trusted key did sign the bytes, the hint was
/// changed, and that is tampering.
fn untrusted(at: usize, bytes: &[u8], error: OpenError, trust: &TrustRoot) -> Fault {
    if crate::dsse::signed_by_any(bytes, trust) {
        return Fault::tampered(
            CheckName::Signatures,
            at,
            "its key id is not that of the key that signed it".to_owned(),
        );
    }
    Fault {
        kind: FaultKind::UntrustedKey,
        check: CheckName::Signatures,
        envelope: Some(at),
        message: error.to_string(),
    }
}

/// Every number once, from 0, in order, and all of this run.
fn sequence(evidence: Evidence<'_>, envelopes: &[Opened]) -> Result<(), Fault> {
    let mut seen = BTreeMap::new();
    for (at, opened) in envelopes.iter().enumerate() {
        let run = &opened.predicate.run;
        if run.id != *evidence.run {
            return Err(Fault::tampered(CheckName::Sequence, at, format!("it belongs to run {}", run.id)));
        }
        if let Some(first) = seen.insert(run.seq, at) {
            let message = format!("envelope {} stands here again, first at position {first}", run.seq);
            return Err(Fault::tampered(CheckName::Sequence, at, message));
        }
    }
    for (expected, seq) in (0..).zip(seen.keys()) {
        if *seq != expected {
            let message = match seq - expected {
                1 => format!("envelope {expected} is missing"),
                _ => format!("envelopes {expected} to {} are missing", seq - 1),
            };
            return Err(Fault::truncated(CheckName::Sequence, seen[seq], message));
        }
    }
    for (at, opened) in envelopes.iter().enumerate() {
        if opened.predicate.run.seq != at as u64 {
            let message = format!("envelope {} stands at position {at}", opened.predicate.run.seq);
            return Err(Fault::tampered(CheckName::Sequence, at, message));
        }
    }
    match evidence.expected {
        Some(expected) if expected > envelopes.len() as u64 => Err(Fault::truncated(
            CheckName::Sequence,
            envelopes.len(),
            format!("the store recorded {expected} envelopes and {} are here", envelopes.len()),
        )),
        _ => Ok(()),
    }
}

/// Each names the one before, and all agree on run, program, signer and state.
fn chain(envelopes: &[Opened]) -> Result<(), Fault> {
    let first = &envelopes[0];
    let fault = |at, message: &str| Err(Fault::tampered(CheckName::Chain, at, message.to_owned()));
    match &first.predicate.signer {
        Some(signer) if first.predicate.kind == Kind::RunOpen && signer.key == *first.key.digest() => {}
        _ => return fault(0, "it does not open a run with the key that signs it"),
    }
    let mut state = crate::envelope::initial_state();
    let mut plan = None;
    let mut time = first.predicate.time;
    for (at, opened) in envelopes.iter().enumerate() {
        let run = &opened.predicate.run;
        if opened.predicate.time < std::mem::replace(&mut time, opened.predicate.time) {
            return fault(at, "it is older than the one before it");
        }
        let prev = at.checked_sub(1).map(|before| envelopes[before].digest);
        if run.prev != prev {
            return fault(at, "it names another envelope as the one before it");
        }
        let anchor = if at == 0 { run.program } else { first.digest };
        if run.program != first.predicate.run.program || opened.anchor != anchor || opened.key != first.key {
            return fault(at, "it belongs to another program, beginning or key");
        }
        if opened.predicate.kind == Kind::Plan {
            plan = run.plan;
        }
        if run.plan != plan {
            return fault(at, "it is bound to another capability table");
        }
        state = state_after(state, opened);
        if run.state != state {
            return fault(at, "its state digest is not that of the commitments so far");
        }
    }
    Ok(())
}

fn contents(contents: &[Content], envelopes: &[Opened]) -> Result<Vec<Disclosed>, Fault> {
    let mut values: Vec<Disclosed> = envelopes.iter().map(|_| Disclosed::default()).collect();
    for content in contents {
        let at = usize::try_from(content.seq).unwrap_or(usize::MAX);
        let (Some(opened), Some(values)) = (envelopes.get(at), values.get_mut(at)) else {
            let message = format!("a value of envelope {} is here and the envelope is not", content.seq);
            return Err(Fault::truncated(CheckName::Commitments, at, message));
        };
        if !opened.admits(content) {
            let message = format!("its {} is not what was committed to", content.role.as_str());
            return Err(Fault::tampered(CheckName::Commitments, at, message));
        }
        values
            .insert(content)
            .map_err(|error| Fault::tampered(CheckName::Commitments, at, error.to_string()))?;
    }
    Ok(values)
}

/// How many values of some roles are committed to and not here. Secret ones say how to go on with
/// the run, and nothing of what happened: no check asks for them, so they are not withheld.
fn missing(envelopes: &[Opened], values: &[Disclosed], counts: impl Fn(&Role) -> bool) -> usize {
    let of_one = |(opened, values): (&Opened, &Disclosed)| {
        opened.roles().filter(|role| counts(role) && values.get(role).is_none()).count()
    };
    envelopes.iter().zip(values).map(of_one).sum()
}

fn nothing_lost(envelopes: &[Opened], values: &[Disclosed]) -> Result<(), Fault> {
    for (at, (opened, values)) in envelopes.iter().zip(values).enumerate() {
        if let Some(role) = opened.roles().find(|role| values.get(role).is_none()) {
            let message = format!("its {role} is committed to and is not here");
            return Err(Fault::truncated(CheckName::Commitments, at, message));
        }
    }
    Ok(())
}

/// Where a run without an end stands by what was signed of its last step, where no machine can say:
/// events that were refused after its suspension leave it suspended.
fn stands(envelopes: &[Opened]) -> RunState {
    match envelopes.iter().rev().find_map(|opened| opened.predicate.step.as_ref()) {
        Some(step) if step.to == "suspended" => RunState::Suspended,
        _ => RunState::Open,
    }
}

/// The end of the run by its envelopes alone.
fn end_of(envelopes: &[Opened]) -> Result<Option<RunState>, Fault> {
    let last = envelopes.len() - 1;
    for (at, opened) in envelopes.iter().enumerate() {
        if opened.predicate.kind != Kind::RunClose {
            continue;
        }
        if at != last {
            let message = "the run goes on after its end".to_owned();
            return Err(Fault::tampered(CheckName::Closed, at, message));
        }
        let count = opened.predicate.close.as_ref().map(|close| close.count);
        if count != Some(envelopes.len() as u64) {
            let message = "it counts another number of envelopes".to_owned();
            return Err(Fault::tampered(CheckName::Closed, at, message));
        }
        return Ok(Some(RunState::Closed));
    }
    Ok(None)
}

/// Admission, decided again: the same table, or for a refused run the same refusals (`None`).
fn repeat(
    record: AdmissionRecord,
    envelopes: &[Opened],
    values: &[Disclosed],
) -> Result<Option<Arc<Plan>>, Fault> {
    let fault = |message: String| Fault::tampered(CheckName::Admission, 0, message);
    let open = &envelopes[0].predicate;
    if record.program() != open.run.program {
        return Err(fault("the recorded program is not the one the run names".to_owned()));
    }
    let policies: Vec<(Digest, bool)> =
        open.policies.iter().map(|policy| (policy.digest, policy.trusted)).collect();
    if record.policies() != policies {
        return Err(fault("the recorded policies are not those the run names".to_owned()));
    }
    if record.today() != open.time {
        return Err(fault("the recorded admission was decided at another moment".to_owned()));
    }
    let planned = envelopes.get(1).map(|opened| &opened.predicate);
    let decided = match record.repeat() {
        Ok(plan) => Ok(plan),
        Err(RepeatError::Refused(refusal)) => match *refusal {
            Refusal::Denied(denied) => Err(denied),
            Refusal::Invalid(found) => {
                return Err(fault(format!("the recorded admission is invalid: {found}")));
            }
        },
        Err(error @ RepeatError::Malformed(_)) => return Err(fault(error.to_string())),
    };
    match (decided, planned) {
        // Interrupted before the decision was recorded.
        (Ok(plan), None) => Ok(Some(Arc::new(plan))),
        (Err(_), None) => Ok(None),
        (Ok(plan), Some(planned)) if planned.kind == Kind::Plan => {
            let rows: Vec<AuthorityRef> = plan.rows().iter().map(authority_of).collect();
            let models: Vec<ModelGrantRef> = plan.models().iter().map(ModelGrantRef::of_row).collect();
            if planned.run.plan != Some(plan.digest())
                || planned.authority != rows
                || planned.models != models
            {
                let message = "decided again, the capability table is another one".to_owned();
                return Err(Fault::tampered(CheckName::Admission, 1, message));
            }
            Ok(Some(Arc::new(plan)))
        }
        (Err(denied), Some(planned)) if planned.kind == Kind::Denied && planned.step.is_none() => {
            let said = planned.denials.iter().map(|denial| DenialRef { value: None, ..denial.clone() });
            let same = denied.gaps().iter().map(DenialRef::of_gap).eq(said);
            let closed = envelopes[2..].iter().all(|opened| {
                opened.predicate.close.as_ref().is_some_and(|close| {
                    close.status == Status::NotAdmitted.as_str()
                        && close.error.as_deref() == Some(ErrorKind::Authority.as_str())
                        && close.step.is_none()
                })
            });
            let asked = denied.gaps().iter().map(|gap| gap.value.as_str());
            let said = values.get(1).and_then(|values| values.get(&Role::DENIED));
            let told = said.is_none_or(|said| {
                said.as_array()
                    .is_some_and(|said| said.iter().map(serde_json::Value::as_str).eq(asked.map(Some)))
            });
            if !same || !told || !closed {
                return Err(fault("decided again, admission refuses otherwise".to_owned()));
            }
            Ok(None)
        }
        (Ok(_), Some(_)) => Err(fault("decided again, admission does not refuse".to_owned())),
        (Err(_), Some(_)) => Err(fault("decided again, admission refuses".to_owned())),
    }
}

/// Every transition through the machine that ran it.
fn replay(
    plan: Arc<Plan>,
    envelopes: &[Opened],
    values: &mut [Disclosed],
    report: &mut Report,
) -> Result<Run, Fault> {
    let opened = envelopes[0].predicate.time;
    let mut run = match values[0].get(&Role::INPUT) {
        Some(inputs) => {
            let inputs = bound(&plan, inputs).ok_or_else(|| {
                let message = "the inputs are not as the program takes them".to_owned();
                Fault::tampered(CheckName::Transitions, 0, message)
            })?;
            Run::start(Arc::clone(&plan), inputs, opened)
        }
        None => Run::start_withheld(Arc::clone(&plan), opened),
    };
    for (at, opened) in envelopes.iter().enumerate() {
        let predicate = &opened.predicate;
        let illegal = |message: String| Fault::tampered(CheckName::Transitions, at, message);
        rows(&plan, predicate).map_err(|message| Fault::tampered(CheckName::Authority, at, message))?;
        let from = run.location();
        let mut own = values[at].of_events();
        let events =
            events_of(opened, plan.program(), &mut own).map_err(|error| illegal(error.to_string()))?;
        if at == 0 || at == 1 && predicate.kind == Kind::Plan {
            continue;
        }
        if at == 1 || events.is_empty() {
            return Err(illegal("a run begins with its opening and its table, once".to_owned()));
        }
        if events.len() > 1 && effect_of(&plan, &events) > Some(Effect::Pure) {
            return Err(illegal("a call with an effect has no intent before it".to_owned()));
        }
        if predicate.kind == Kind::Resume {
            taken_over(&plan, &run, predicate, envelopes, values[at].get(&Role::ADMISSION))
                .map_err(|message| Fault::tampered(CheckName::Admission, at, message))?;
        }
        if let (Some(call), "settled:happened") = (&predicate.call, event_of(predicate))
            && run.pending_call().map(|pending| pending.tool).as_ref() != Some(&call.tool)
        {
            return Err(illegal(format!("it settles a call of {}, which is not in doubt", call.tool)));
        }
        let last = events[events.len() - 1].clone();
        for event in events {
            if let (Event::Finished { place, .. }, Some(call)) = (&event, &predicate.call)
                && run.tool_at(*place).as_ref() != Some(&call.tool)
            {
                return Err(illegal(format!("it is the result of {}, which was not called", call.tool)));
            }
            if let (Event::Finished { place, end: CallEnd::Success { recorded: true, .. } }, Some(call)) =
                (&event, &predicate.call)
            {
                let args = values[at].get(&Role::INPUT).cloned().map_or(Slot::Withheld, Slot::known);
                run.may_call(*place, &call.tool, &args).map_err(|error| illegal(error.to_string()))?;
            }
            run.record(event, predicate.time).map_err(|error| illegal(error.to_string()))?;
        }
        let to = match &predicate.step {
            Some(step) if run.may_be_at(&step.to) => step.to.clone(),
            _ => run.location(),
        };
        let said = step_of(&last, &run, from, to);
        if said != predicate.step {
            return Err(illegal(match said {
                Some(StepRef { id, event, from, to, .. }) => {
                    format!("it is `{event}` of {id} and leads from {from} to {to}, not as it says")
                }
                None => "it names a step and is about none".to_owned(),
            }));
        }
        if !asks_alias(&plan, predicate) {
            return Err(illegal("the step asks another model".to_owned()));
        }
        model_row(&plan, predicate).map_err(|message| Fault::tampered(CheckName::Authority, at, message))?;
    }
    let detail = match report.withheld {
        0 => "every transition, with its values".to_owned(),
        n => format!("every transition; shape only where one of {n} withheld values decides"),
    };
    report.pass(CheckName::Transitions, detail);
    report.pass(CheckName::Authority, "granted ⊆ requested ∩ policy ∩ program in every call");
    Ok(run)
}

fn event_of(predicate: &Predicate) -> &str {
    predicate.step.as_ref().map_or("", |step| step.event.as_str())
}

/// Another process goes on: it admitted again, came to the same table, and whoever answered was
/// entitled to by the policies then in force.
fn taken_over(
    plan: &Plan,
    run: &Run,
    predicate: &Predicate,
    envelopes: &[Opened],
    record: Option<&serde_json::Value>,
) -> Result<(), String> {
    let Some(record) = record else { return Ok(()) };
    let record: AdmissionRecord = serde_json::from_value(record.clone())
        .map_err(|error| format!("the admission it goes on under does not parse: {error}"))?;
    let policies: Vec<(Digest, bool)> =
        predicate.policies.iter().map(|policy| (policy.digest, policy.trusted)).collect();
    if record.program() != predicate.run.program || record.policies() != policies {
        return Err("the admission it goes on under is of another program or policy".to_owned());
    }
    if record.today() < run.now() || record.today() > predicate.time {
        return Err("the admission it goes on under was decided at another moment".to_owned());
    }
    let again = record.repeat().map_err(|error| error.to_string())?;
    if again.digest() != plan.digest() {
        return Err("decided again, the capability table is another one".to_owned());
    }
    if let Some(resolver) = &predicate.resolver {
        let starter = &envelopes[0].predicate.principal;
        let entitled =
            entitled(run.resume_rules(), starter, &predicate.principal, [plan.policies(), again.policies()]);
        if entitled.ok().as_ref() != resolver.entitled.as_ref() {
            return Err(format!("{} was not entitled to answer, or not so", predicate.principal));
        }
    }
    Ok(())
}

fn effect_of(plan: &Plan, events: &[Event]) -> Option<Effect> {
    events.iter().find_map(|event| match event {
        Event::Started { tool, .. } => plan.row(tool).map(|row| row.effect),
        _ => None,
    })
}

/// The inputs, where they are what binding them to the program's declaration gives.
fn bound(plan: &Plan, inputs: &serde_json::Value) -> Option<serde_json::Map<String, serde_json::Value>> {
    let given = inputs.as_object()?;
    let bound = plan.program().bind_inputs(given.clone()).ok()?;
    (bound == *given).then_some(bound)
}

/// Whether a model attempt names the model that its step asks.
fn asks_alias(plan: &Plan, predicate: &Predicate) -> bool {
    let (Some(model), Some(step)) = (&predicate.model, &predicate.step) else { return true };
    let step = plan.program().index_of(step.id.as_str()).map(|index| &plan.program().step(index).kind);
    matches!(step, Some(StepKind::Llm(llm)) if llm.model == model.alias)
}

/// What an envelope says of the model that was asked is what its row says.
fn model_row(plan: &Plan, predicate: &Predicate) -> Result<(), String> {
    let Some(model) = &predicate.model else { return Ok(()) };
    let said = (model.host.clone(), model.name.clone(), model.params.clone());
    if model_behind(plan, &model.alias) == Some(said) {
        Ok(())
    } else {
        Err(format!("the table has another model behind `{}`", model.alias.escape_debug()))
    }
}

/// What an envelope says of a call's authority is what its row says.
fn rows(plan: &Plan, predicate: &Predicate) -> Result<(), String> {
    let Some(call) = &predicate.call else { return Ok(()) };
    let row = plan.row(&call.tool).ok_or_else(|| format!("the table has no row for {}", call.tool))?;
    let same = call.component == row.component
        && call.export == row.export.path()
        && call.effect == crate::envelope::effect_text(row.effect)
        && predicate.authority == [authority_of(row)];
    if same { Ok(()) } else { Err(format!("its authority is not that of {}'s row", call.tool)) }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run {} ({} envelopes)", self.run, self.envelopes.len())
    }
}

#[cfg(test)]
mod tests;
