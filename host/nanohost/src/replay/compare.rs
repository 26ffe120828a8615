//! What came of a call that was made again, beside what came of it then. Pure.

use nanohost_core::run::{CallEnd, CheckEnd, Denial, Event, Failure, Retry};
use nanohost_core::{Digest, Effect, Role};
use nanohost_sandbox::{CallReport, Diverged, Replayed};
use serde_json::Value;

use super::{End, Made};
use crate::drive::{self, How};

/// What a replay of one call says.
#[derive(Debug)]
pub enum Verdict {
    /// The same came of it.
    Same,
    /// Something else did.
    Differs {
        /// In what.
        what: What,
        /// What it is about, chosen by guests and hosts: to be shown escaped.
        detail: String,
        /// The digest of what it was then.
        recorded: Option<Digest>,
        /// And of what it is now.
        replayed: Option<Digest>,
        /// What it is now, where it is how the call ended.
        end: Option<Box<End>>,
    },
    /// It cannot be made again, or not be compared: that is no pass.
    NotReplayable(String),
}

/// In what a replay differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Its guest asked the world for something else.
    Asked,
    /// It sent something else with a request.
    Sent,
    /// It wrote something else: to a file, or under its keys.
    Written,
    /// It was refused something else.
    Refused,
    /// Another result, or another end.
    Ended,
    /// The record has answers that no host gives.
    Answers,
}

impl What {
    /// The stable code.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Sent => "sent",
            Self::Written => "written",
            Self::Refused => "refused",
            Self::Ended => "ended",
            Self::Answers => "answers",
        }
    }
}

/// Ends that come from the clock, the host or what others keep in the store, and come again only by
/// chance.
const BY_CHANCE: [&str; 5] = ["deadline", "step_timeout", "cancelled", "host", "kv_limit"];

/// What there was to compare with, and what came of it. `recorded`: there was a record of answers.
/// `another`: another component was called than then, so that it may look at less.
pub fn compare(made: &Made, effect: Effect, replayed: &Replayed, recorded: bool, another: bool) -> Verdict {
    if let Some(divergence) = &replayed.divergence
        && !(another && divergence.what == Diverged::Unasked)
    {
        if divergence.what == Diverged::Question && !recorded && !another {
            return Verdict::NotReplayable("what the world answered to it is not in the evidence".to_owned());
        }
        let what = match divergence.what {
            Diverged::Question | Diverged::Unasked | Diverged::Undone => What::Asked,
            Diverged::Request => What::Sent,
            Diverged::File | Diverged::Kv => What::Written,
            Diverged::Record => What::Answers,
        };
        return Verdict::Differs {
            what,
            detail: format!("{}: {}", divergence.what.as_str(), divergence.detail),
            recorded: divergence.recorded,
            replayed: divergence.replayed,
            end: None,
        };
    }
    let end = ended(made, effect, &replayed.report);
    let Some(then) = &made.end.value else {
        return Verdict::NotReplayable(format!("its {} is withheld", made.end.role));
    };
    let same = (&end.how, &end.code, end.deadline) == (&made.end.how, &made.end.code, made.end.deadline);
    if !same || !same_bytes(Some(then), end.value.as_ref()) {
        let digest = |value: &Value| Digest::of(value.to_string().as_bytes());
        let said = |end: &End| format!("{} {}", end.how, end.code).trim_end().to_owned();
        let detail = match said(&made.end) == said(&end) {
            true => format!("another {}", end.role),
            false => format!("{}, and now {}", said(&made.end), said(&end)),
        };
        return Verdict::Differs {
            what: What::Ended,
            detail,
            recorded: Some(digest(then)),
            replayed: end.value.as_ref().map(digest),
            end: Some(Box::new(end)),
        };
    }
    refusals(made, &replayed.report)
}

/// A reason for which a call cannot be made again at all.
pub fn by_chance(end: &End) -> Option<&'static str> {
    let code = end.code.split([' ', ',']).nth(1).unwrap_or_default();
    (end.how == "failure" && BY_CHANCE.contains(&code))
        .then_some("it was ended from outside, by the clock, the host or what was kept in the store")
}

/// The guest of a check has no record of what it was refused.
fn refusals(made: &Made, report: &CallReport) -> Verdict {
    if made.checks {
        return Verdict::Same;
    }
    let now: Vec<(String, Value)> = drive::refusals(report)
        .map(|denial| (denial.capability, denial.value.value().cloned().unwrap_or_default()))
        .collect();
    let differs = |at: usize| match (made.blocked.get(at), now.get(at)) {
        (Some((class, value)), Some((again, asked))) => {
            class != again || value.as_ref().is_some_and(|value| !same_bytes(Some(value), Some(asked)))
        }
        (then, now) => then.is_some() != now.is_some(),
    };
    let Some(at) = (0..made.blocked.len().max(now.len())).find(|at| differs(*at)) else {
        return match made.blocked.iter().any(|(_, value)| value.is_none()) {
            true => Verdict::NotReplayable("what it was refused is withheld".to_owned()),
            false => Verdict::Same,
        };
    };
    let digest = |value: &Value| Digest::of(value.to_string().as_bytes());
    let class = made.blocked.get(at).map(|(class, _)| class).or(now.get(at).map(|(class, _)| class));
    Verdict::Differs {
        what: What::Refused,
        detail: format!("{} {}", at + 1, class.map_or("", String::as_str)),
        recorded: made.blocked.get(at).and_then(|(_, value)| value.as_ref()).map(digest),
        replayed: now.get(at).map(|(_, value)| digest(value)),
        end: None,
    }
}

/// How a call ended, as a run would have recorded it.
fn ended(made: &Made, effect: Effect, report: &CallReport) -> End {
    if made.checks {
        return match crate::commands::check_end(drive::ended(report)) {
            CheckEnd::Passed { output } => of("success", String::new(), Role::OUTPUT, output.value()),
            CheckEnd::Refused { failure } => of_failure(&failure),
        };
    }
    let how = How { began: report.usage.fuel > 0, ..How::default() };
    match drive::event(made.place, report.outcome.clone(), effect, how) {
        Event::Finished { end, .. } => of_end(end),
        Event::Denied { denial, .. } => of_denial(denial),
        // No other event is the end of a call.
        _ => of("unknown", String::new(), Role::OUTPUT, None),
    }
}

fn of_end(end: CallEnd) -> End {
    match end {
        CallEnd::Success { output, .. } => of("success", String::new(), Role::OUTPUT, output.value()),
        CallEnd::Suspended { reason, deadline } => {
            End { deadline, ..of("suspended", String::new(), Role::REASON, reason.value()) }
        }
        CallEnd::Failure(failure) => of_failure(&failure),
    }
}

fn of_failure(failure: &Failure) -> End {
    let retry = if failure.retry == Retry::Maybe { ", may be tried again" } else { "" };
    let code = format!("{} {}{retry}", failure.kind.as_str(), failure.code.as_str());
    of("failure", code, Role::MESSAGE, failure.message.value())
}

fn of_denial(denial: Denial) -> End {
    let code = format!("{} {}", denial.capability, denial.rule);
    of("denied", code, Role::DENIED, denial.value.value())
}

fn of(how: &str, code: String, role: Role, value: Option<&Value>) -> End {
    let value = Some(value.cloned().unwrap_or_default());
    End { how: how.to_owned(), code, value, role, deadline: None }
}

/// Whether two values have the same bytes, down to the order of their fields.
fn same_bytes(a: Option<&Value>, b: Option<&Value>) -> bool {
    a.map(Value::to_string) == b.map(Value::to_string)
}

/// Two values where they first differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    /// Where, as a JSON pointer.
    pub at: String,
    /// What stood there.
    pub recorded: Option<Value>,
    /// What stands there now.
    pub replayed: Option<Value>,
}

/// Where two values first differ; `None` where they do not.
pub fn first_difference(recorded: &Value, replayed: &Value) -> Option<Diff> {
    let mut at = String::new();
    let (mut then, mut now) = (recorded, replayed);
    loop {
        let step = match (then, now) {
            (Value::Object(a), Value::Object(b)) => {
                let names = a.keys().chain(b.keys().filter(|name| !a.contains_key(*name)));
                let differing =
                    |name: &&String| a.get(*name).map(Value::to_string) != b.get(*name).map(Value::to_string);
                names.into_iter().find(differing).map(|name| (name.clone(), a.get(name), b.get(name)))
            }
            (Value::Array(a), Value::Array(b)) => (0..a.len().max(b.len()))
                .find(|at| !same_bytes(a.get(*at), b.get(*at)))
                .map(|at| (at.to_string(), a.get(at), b.get(at))),
            _ => None,
        };
        let diff = |at, then: Option<&Value>, now: Option<&Value>| Diff {
            at,
            recorded: then.cloned(),
            replayed: now.cloned(),
        };
        match step {
            None if same_bytes(Some(then), Some(now)) => return None,
            None => return Some(diff(at, Some(then), Some(now))),
            Some((name, before, after)) => {
                at.push('/');
                at.push_str(&name.replace('~', "~0").replace('/', "~1"));
                match (before, after) {
                    (Some(before), Some(after)) => (then, now) = (before, after),
                    (before, after) => return Some(diff(at, before, after)),
                }
            }
        }
    }
}
