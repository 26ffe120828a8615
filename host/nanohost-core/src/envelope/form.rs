//! Which members belong to which kind of envelope. What does not belong is refused, since readers
//! and receipts would believe it and no transition vouches for it. Knows no program.

use super::predicate::{CallRef, DenialRef, Kind, Predicate};
use super::write::MODEL;
use crate::export::Role;
use crate::policy::is_decimal;

/// Checks the members and commitments of a predicate against its kind; the fault in a few words.
pub(super) fn check(predicate: &Predicate, commits: impl Fn(&Role) -> bool) -> Result<(), &'static str> {
    let allowed = allowed(predicate)?;
    let run = &predicate.run;
    for (member, present) in members(predicate) {
        if present && !allowed.contains(&member) {
            return Err("it has members that do not belong to its kind");
        }
    }
    if commits(&Role::ANSWERS) && !ends_call(predicate) {
        return Err("it commits to answers and ends no call");
    }
    let opens = predicate.kind == Kind::RunOpen;
    if opens != (run.seq == 0) || opens != run.prev.is_none() || opens && run.plan.is_some() {
        return Err("only its first envelope opens a run");
    }
    match predicate.kind {
        Kind::RunOpen => {
            let whole = predicate.host.is_some() && predicate.signer.is_some();
            let bound = commits(&Role::ADMISSION) && commits(&Role::INPUT);
            if whole && bound { Ok(()) } else { Err("it binds no host, signer, admission or inputs") }
        }
        Kind::Plan if run.seq != 1 || run.plan.is_none() => Err("the table is bound once, at first"),
        Kind::Plan => Ok(()),
        Kind::Intent => match &predicate.call {
            Some(CallRef {
                input: Some(_),
                output: None,
                result: None,
                recorded: None,
                deadline: None,
                ..
            }) => Ok(()),
            _ => Err("it is no call that begins"),
        },
        Kind::Result => result(predicate),
        Kind::Denied => denied(predicate),
        Kind::Transition => transition(predicate),
        Kind::Resume => resume(predicate, commits),
        Kind::RunClose => predicate.close.as_ref().map(|_| ()).ok_or("it has no end"),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Member {
    Resolver,
    Host,
    Signer,
    Policies,
    Step,
    Call,
    Model,
    Models,
    Authority,
    Used,
    Usage,
    Denials,
    Failure,
    Close,
}

fn members(predicate: &Predicate) -> [(Member, bool); 14] {
    [
        (Member::Resolver, predicate.resolver.is_some()),
        (Member::Host, predicate.host.is_some()),
        (Member::Signer, predicate.signer.is_some()),
        (Member::Policies, !predicate.policies.is_empty()),
        (Member::Step, predicate.step.is_some()),
        (Member::Call, predicate.call.is_some()),
        (Member::Model, predicate.model.is_some()),
        (Member::Models, !predicate.models.is_empty()),
        (Member::Authority, !predicate.authority.is_empty()),
        (Member::Used, !predicate.used.is_empty()),
        (Member::Usage, predicate.usage.is_some()),
        (Member::Denials, !predicate.denials.is_empty()),
        (Member::Failure, predicate.failure.is_some()),
        (Member::Close, predicate.close.is_some()),
    ]
}

fn allowed(predicate: &Predicate) -> Result<&'static [Member], &'static str> {
    let event = predicate.step.as_ref().map(|step| step.event.as_str());
    Ok(match (predicate.kind, event) {
        (Kind::RunOpen, None) => &[Member::Host, Member::Signer, Member::Policies],
        (Kind::Plan, None) => &[Member::Models, Member::Authority],
        (Kind::Intent, Some("started")) => &[Member::Step, Member::Call, Member::Authority],
        (Kind::Result, Some("finished")) => {
            &[Member::Step, Member::Call, Member::Authority, Member::Used, Member::Usage, Member::Failure]
        }
        (Kind::Denied, None) => &[Member::Denials],
        (Kind::Denied, Some("denied")) => &[Member::Step, Member::Denials, Member::Used, Member::Usage],
        (Kind::Denied, Some("blocked")) => &[Member::Step, Member::Denials],
        (Kind::Transition, Some("answered")) => &[Member::Step, Member::Model, Member::Failure],
        (Kind::Transition, Some("failed")) => &[Member::Step, Member::Failure],
        (Kind::Transition, Some("then" | "otherwise" | "undecided" | "joined" | "cancelled")) => {
            &[Member::Step]
        }
        (Kind::Denied, Some("refused")) => &[
            Member::Step,
            Member::Denials,
            Member::Resolver,
            Member::Call,
            Member::Authority,
            Member::Used,
            Member::Usage,
            Member::Failure,
        ],
        (Kind::Resume, Some("expired" | "recovered")) => &[Member::Step, Member::Host, Member::Policies],
        (Kind::Resume, Some(_)) => &[
            Member::Step,
            Member::Host,
            Member::Policies,
            Member::Resolver,
            Member::Call,
            Member::Authority,
            Member::Used,
            Member::Usage,
        ],
        (Kind::RunClose, None) => &[Member::Close],
        _ => return Err("its kind and its event do not fit"),
    })
}

fn result(predicate: &Predicate) -> Result<(), &'static str> {
    let Some(call) = &predicate.call else { return Err("it has no call") };
    let result = call.result.as_deref();
    let succeeded = matches!(result, Some("success" | "recorded"));
    let fits = matches!(result, Some("success" | "recorded" | "suspended" | "failure"))
        && call.output.is_some() == succeeded
        && predicate.failure.is_some() == (result == Some("failure"))
        && call.recorded.is_some() == (result == Some("recorded"))
        && (call.input.is_some() || result != Some("recorded"))
        && (call.deadline.is_none() || result == Some("suspended"));
    if fits { Ok(()) } else { Err("its result and its members do not fit") }
}

fn denied(predicate: &Predicate) -> Result<(), &'static str> {
    let of_admission = predicate.step.is_none();
    let count = predicate.denials.len();
    let fits = if of_admission { count > 0 } else { count == 1 };
    // The step says which tool it is, and one commitment covers what all of them asked for. For a
    // model the program itself asks.
    let names = |denial: &DenialRef| of_admission && denial.capability != MODEL;
    let named = predicate.denials.iter().all(|denial| denial.tool.is_some() == names(denial));
    let once = predicate.denials.iter().skip(1).all(|denial| denial.value.is_none());
    let event = predicate.step.as_ref().map(|step| step.event.as_str());
    let resolved = (event == Some("refused")) == predicate.resolver.is_some();
    let checked = match &predicate.call {
        None => predicate.failure.is_none() && (event != Some("refused") || !costs(predicate)),
        Some(call) => {
            call.input.is_some()
                && call.output.is_none()
                && call.result.as_deref() == Some("failure")
                && predicate.failure.is_some()
                && is_bare(call)
        }
    };
    if fits && named && once && resolved && checked {
        Ok(())
    } else {
        Err("its refusals do not fit its kind")
    }
}

/// A run goes on: under an admission that was decided again, by somebody's word where it is that.
fn resume(predicate: &Predicate, commits: impl Fn(&Role) -> bool) -> Result<(), &'static str> {
    let event = predicate.step.as_ref().map_or("", |step| step.event.as_str());
    let answers = event.starts_with("resumed:");
    let settles = event.starts_with("settled:");
    let entitled = predicate.resolver.as_ref().map(|resolver| resolver.entitled.is_some());
    let called = match &predicate.call {
        None => event != "settled:happened" && !costs(predicate),
        Some(call) => {
            let input = call.input.is_some();
            (if answers { input } else { event == "settled:happened" && !input })
                && call.output.is_some()
                && call.result.as_deref() == Some("success")
                && is_bare(call)
        }
    };
    let fits = predicate.host.is_some()
        && commits(&Role::ADMISSION)
        && commits(&Role::EVENT) == answers
        && entitled == (answers || settles).then_some(true)
        && called;
    if fits { Ok(()) } else { Err("its event and its members do not fit") }
}

/// Whether a call that was really made ended with it: what the world answered to its tool is known.
fn ends_call(predicate: &Predicate) -> bool {
    let event = predicate.step.as_ref().map_or("", |step| step.event.as_str());
    let checks = event == "refused" || event.starts_with("resumed:");
    match &predicate.call {
        Some(call) => match predicate.kind {
            Kind::Result => call.result.as_deref() != Some("recorded"),
            Kind::Resume | Kind::Denied => checks,
            _ => false,
        },
        None => predicate.kind == Kind::Denied && event == "denied",
    }
}

/// Whether it speaks of the authority or the cost of a call.
fn costs(predicate: &Predicate) -> bool {
    !predicate.authority.is_empty() || !predicate.used.is_empty() || predicate.usage.is_some()
}

/// Neither a recorded result nor one that waits.
fn is_bare(call: &CallRef) -> bool {
    call.recorded.is_none() && call.deadline.is_none()
}

fn transition(predicate: &Predicate) -> Result<(), &'static str> {
    let event = predicate.step.as_ref().map_or("", |step| step.event.as_str());
    let failed = predicate.failure.is_some();
    let fits = match (&predicate.model, event) {
        (Some(model), _) => {
            failed == (model.verdict == "failed") && model.cost.as_deref().is_none_or(is_decimal)
        }
        (None, "answered") => false,
        (None, "failed") => failed,
        (None, _) => true,
    };
    if fits { Ok(()) } else { Err("its event and its members do not fit") }
}
