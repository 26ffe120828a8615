//! The way of a run, judged by the machine that ran it: its admission decided again, then each
//! event as the program allows it there. Keeps the state of the run and no envelope.

use std::sync::Arc;

use super::check::{CheckName, Fault};
use crate::Digest;
use crate::admission_record::{AdmissionRecord, RepeatError};
use crate::admit::{Plan, Refusal};
use crate::capability::Effect;
use crate::check::StepKind;
use crate::envelope::{
    AuthorityRef, DenialRef, Disclosed, Kind, ModelGrantRef, Opened, Predicate, StepRef, authority_of,
    events_of, model_behind, step_of,
};
use crate::export::Role;
use crate::resume::entitled;
use crate::run::{CallEnd, ErrorKind, Event, Run, Slot, Status};

/// A run on its way through the machine.
#[derive(Debug)]
pub(super) enum Path {
    /// No envelope has been looked at.
    Unopened,
    /// The admission is not disclosed: nothing can be said.
    Undisclosed,
    /// It is disclosed, and decided again once the next envelope says what it came to.
    Opened(Box<Opening>),
    /// It was decided again, and refused again.
    Refused(AdmissionRecord),
    /// It was decided again, and the run goes its way.
    Admitted(Box<Admitted>),
}

/// The first envelope, as far as it is needed later.
#[derive(Debug)]
pub(super) struct Opening {
    record: AdmissionRecord,
    predicate: Predicate,
    input: Option<serde_json::Value>,
}

/// A run that was admitted.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) record: AdmissionRecord,
    pub(super) run: Run,
    plan: Arc<Plan>,
    /// Who opened it.
    starter: String,
}

impl Path {
    /// The next envelope, with the values of it that are disclosed.
    pub(super) fn next(&mut self, at: usize, opened: &Opened, values: &mut Disclosed) -> Result<(), Fault> {
        match self {
            Self::Unopened => {
                *self = Self::open(opened, values)?;
                Ok(())
            }
            Self::Undisclosed => Ok(()),
            Self::Opened(_) => {
                self.decide(Some((&opened.predicate, values.get(&Role::DENIED))))?;
                match self {
                    Self::Admitted(admitted) => admitted.next(at, opened, values),
                    _ => Ok(()),
                }
            }
            Self::Refused(_) if ends_refused(&opened.predicate) => Ok(()),
            Self::Refused(_) => Err(refuses_otherwise()),
            Self::Admitted(admitted) => admitted.next(at, opened, values),
        }
    }

    /// After the last envelope.
    pub(super) fn finish(&mut self) -> Result<(), Fault> {
        // Interrupted before the decision was recorded.
        if let Self::Opened(_) = self { self.decide(None) } else { Ok(()) }
    }

    fn open(opened: &Opened, values: &mut Disclosed) -> Result<Self, Fault> {
        let Some(record) = values.take(&Role::ADMISSION) else { return Ok(Self::Undisclosed) };
        let record: AdmissionRecord = serde_json::from_value(record).map_err(|error| {
            Fault::tampered(CheckName::Admission, 0, format!("the admission does not parse: {error}"))
        })?;
        let input = values.get(&Role::INPUT).cloned();
        Ok(Self::Opened(Box::new(Opening { record, predicate: opened.predicate.clone(), input })))
    }

    fn decide(&mut self, planned: Option<(&Predicate, Option<&serde_json::Value>)>) -> Result<(), Fault> {
        let Self::Opened(opening) = std::mem::replace(self, Self::Unopened) else { return Ok(()) };
        let Opening { record, predicate: open, input } = *opening;
        *self = match repeat(record.clone(), &open, planned)? {
            None => Self::Refused(record),
            Some(plan) => {
                let run = match input {
                    Some(inputs) => {
                        let inputs = bound(&plan, &inputs).ok_or_else(|| {
                            let message = "the inputs are not as the program takes them".to_owned();
                            Fault::tampered(CheckName::Transitions, 0, message)
                        })?;
                        Run::start(Arc::clone(&plan), inputs, open.time)
                    }
                    None => Run::start_withheld(Arc::clone(&plan), open.time),
                };
                Self::Admitted(Box::new(Admitted { record, run, plan, starter: open.principal }))
            }
        };
        Ok(())
    }
}

/// Whether an envelope after the refusal of a run is its end, as refusals end.
fn ends_refused(predicate: &Predicate) -> bool {
    predicate.close.as_ref().is_some_and(|close| {
        close.status == Status::NotAdmitted.as_str()
            && close.error.as_deref() == Some(ErrorKind::Authority.as_str())
            && close.step.is_none()
    })
}

fn refuses_otherwise() -> Fault {
    Fault::tampered(CheckName::Admission, 0, "decided again, admission refuses otherwise".to_owned())
}

impl Admitted {
    /// Every transition through the machine that ran it.
    fn next(&mut self, at: usize, opened: &Opened, values: &Disclosed) -> Result<(), Fault> {
        let Self { run, plan, starter, .. } = self;
        let predicate = &opened.predicate;
        let illegal = |message: String| Fault::tampered(CheckName::Transitions, at, message);
        rows(plan, predicate).map_err(|message| Fault::tampered(CheckName::Authority, at, message))?;
        let from = run.location();
        let mut own = values.of_events();
        let events =
            events_of(opened, plan.program(), &mut own).map_err(|error| illegal(error.to_string()))?;
        if at == 1 && predicate.kind == Kind::Plan {
            return Ok(());
        }
        if at == 1 || events.is_empty() {
            return Err(illegal("a run begins with its opening and its table, once".to_owned()));
        }
        if events.len() > 1 && effect_of(plan, &events) > Some(Effect::Pure) {
            return Err(illegal("a call with an effect has no intent before it".to_owned()));
        }
        if predicate.kind == Kind::Resume {
            taken_over(plan, run, predicate, starter, values.get(&Role::ADMISSION))
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
                let args = values.get(&Role::INPUT).cloned().map_or(Slot::Withheld, Slot::known);
                run.may_call(*place, &call.tool, &args).map_err(|error| illegal(error.to_string()))?;
            }
            run.record(event, predicate.time).map_err(|error| illegal(error.to_string()))?;
        }
        let to = match &predicate.step {
            Some(step) if run.may_be_at(&step.to) => step.to.clone(),
            _ => run.location(),
        };
        let said = step_of(&last, run, from, to);
        if said != predicate.step {
            return Err(illegal(match said {
                Some(StepRef { id, event, from, to, .. }) => {
                    format!("it is `{event}` of {id} and leads from {from} to {to}, not as it says")
                }
                None => "it names a step and is about none".to_owned(),
            }));
        }
        if !asks_alias(plan, predicate) {
            return Err(illegal("the step asks another model".to_owned()));
        }
        model_row(plan, predicate).map_err(|message| Fault::tampered(CheckName::Authority, at, message))?;
        Ok(())
    }
}

/// Admission, decided again: the same table, or for a refused run the same refusals (`None`).
fn repeat(
    record: AdmissionRecord,
    open: &Predicate,
    planned: Option<(&Predicate, Option<&serde_json::Value>)>,
) -> Result<Option<Arc<Plan>>, Fault> {
    let fault = |message: String| Fault::tampered(CheckName::Admission, 0, message);
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
        (Ok(plan), Some((planned, _))) if planned.kind == Kind::Plan => {
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
        (Err(denied), Some((planned, told))) if planned.kind == Kind::Denied && planned.step.is_none() => {
            let said = planned.denials.iter().map(|denial| DenialRef { value: None, ..denial.clone() });
            let same = denied.gaps().iter().map(DenialRef::of_gap).eq(said);
            let asked = denied.gaps().iter().map(|gap| gap.value.as_str());
            let told = told.is_none_or(|told| {
                told.as_array()
                    .is_some_and(|told| told.iter().map(serde_json::Value::as_str).eq(asked.map(Some)))
            });
            if same && told { Ok(None) } else { Err(refuses_otherwise()) }
        }
        (Ok(_), Some(_)) => Err(fault("decided again, admission does not refuse".to_owned())),
        (Err(_), Some(_)) => Err(fault("decided again, admission refuses".to_owned())),
    }
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
    starter: &str,
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
