//! What a call came to, held against what its case says. Knows nothing of how it was made.

use nanohost_core::ArgsRefused;
use nanohost_core::cases::{Expected, ToolCase};
use nanohost_sandbox::{CallReport, FailureKind, Outcome, Refusal};
use serde_json::Value;

use super::Tried;
use super::world::World;

/// The code of arguments that do not fit.
const INVALID: &str = "invalid_arguments";

/// A refusal as cases write it: `filesystem open /data/../secret`.
pub fn shown(refusal: &Refusal) -> String {
    format!("{} {} {}", refusal.class, refusal.operation, refusal.value).trim_end().to_owned()
}

/// A call that was not made, since its arguments do not fit.
pub fn refused(why: &ArgsRefused, case: &ToolCase) -> Tried {
    let mut problems = Vec::new();
    failed(INVALID, &why.to_string(), &case.expected, &mut problems);
    Tried { problems, report: None }
}

/// What is not as the case says.
pub fn problems(report: &CallReport, case: &ToolCase, world: &World) -> Vec<String> {
    let mut all = Vec::new();
    match (&report.outcome, &case.expected) {
        (Outcome::Success(_), Expected::Success) => {}
        (Outcome::Success(value), Expected::Output(wanted)) => {
            if value != wanted {
                all.push(format!("the output is {value}, not {wanted}"));
            }
        }
        (Outcome::Success(value), expected) => {
            all.push(format!("it gave {value}, and was to {}", said(expected)))
        }
        (Outcome::ToolError(value), Expected::Error(wanted)) => {
            if value != wanted {
                all.push(format!("the error is {value}, not {wanted}"));
            }
        }
        (Outcome::ToolError(value), expected) => {
            all.push(format!("it failed with its own error {value}, and was to {}", said(expected)));
        }
        (Outcome::Failure(failure), expected) => {
            failed(kind(failure.kind), &failure.message, expected, &mut all);
        }
        (Outcome::Fault(fault), expected) => failed(fault.code.as_str(), &fault.message, expected, &mut all),
    }
    denials(report, case, &mut all);
    if let Some(wanted) = &case.logs
        && !String::from_utf8_lossy(&report.logs).contains(wanted)
    {
        all.push(format!("the log does not say {wanted:?}"));
    }
    files(case, world, &mut all);
    entries(report, case, world, &mut all);
    all
}

/// The code of a typed failure.
fn kind(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::InvalidInput => "invalid_input",
        FailureKind::Rejected => "rejected",
        FailureKind::Unavailable => "unavailable",
        FailureKind::Suspended => "suspended",
    }
}

/// What a case wanted, after `was to`.
fn said(expected: &Expected) -> String {
    match expected {
        Expected::Output(value) => format!("give {value}"),
        Expected::Success => "succeed".to_owned(),
        Expected::Fails { code, .. } => format!("fail with {code}"),
        Expected::Error(value) => format!("fail with its own error {value}"),
    }
}

fn failed(code: &str, message: &str, expected: &Expected, problems: &mut Vec<String>) {
    match expected {
        Expected::Fails { code: wanted, message: part } if wanted == code => {
            if let Some(part) = part.as_ref().filter(|part| !message.contains(part.as_str())) {
                problems.push(format!(
                    "it failed with {code}, as it was to, but says {message:?} and not {part:?}"
                ));
            }
        }
        expected => {
            problems.push(format!("it failed with {code} ({message:?}), and was to {}", said(expected)))
        }
    }
}

/// Exactly what the case says is refused, each however often.
fn denials(report: &CallReport, case: &ToolCase, problems: &mut Vec<String>) {
    let found: Vec<String> = report.denied.iter().map(shown).collect();
    for refusal in found.iter().filter(|refusal| !case.denied.contains(refusal)) {
        problems.push(format!("it was refused {refusal:?}, which the case does not expect"));
    }
    for wanted in case.denied.iter().filter(|wanted| !found.contains(wanted)) {
        problems.push(format!("it was not refused {wanted:?}"));
    }
    if report.more_denied > 0 {
        problems.push(format!("it was refused {} more things", report.more_denied));
    }
}

fn files(case: &ToolCase, world: &World, problems: &mut Vec<String>) {
    for (guest, wanted) in &case.files {
        let Some(read) = world.read(guest) else {
            problems.push(format!("{guest} lies in no folder of the tool"));
            continue;
        };
        match read {
            Ok(bytes) if bytes == wanted.as_bytes() => {}
            Ok(bytes) => {
                problems.push(format!("{guest} holds {:?}, not {wanted:?}", String::from_utf8_lossy(&bytes)))
            }
            Err(error) => problems.push(format!("{guest} cannot be read: {error}")),
        }
    }
}

/// Entries after the call, where its result would have been committed.
fn entries(report: &CallReport, case: &ToolCase, world: &World, problems: &mut Vec<String>) {
    let mut after = world.entries().clone();
    after.apply(&report.kv.writes);
    for (namespace, values) in &case.kv_after {
        for (key, wanted) in values {
            match after.text(namespace, key) {
                Some(value) if value == *wanted => {}
                Some(value) => {
                    problems.push(format!("{namespace} holds {value:?} under {key:?}, not {wanted:?}"))
                }
                None => problems.push(format!("{namespace} holds nothing under {key:?}, not {wanted:?}")),
            }
        }
    }
}

/// A result for people: what a case that fails may be mended with.
pub fn outcome(report: &CallReport) -> Value {
    match &report.outcome {
        Outcome::Success(value) => serde_json::json!({ "output": value }),
        Outcome::ToolError(value) => serde_json::json!({ "error": value }),
        Outcome::Failure(failure) => {
            serde_json::json!({ "fails": kind(failure.kind), "message": failure.message })
        }
        Outcome::Fault(fault) => {
            serde_json::json!({ "fails": fault.code.as_str(), "message": fault.message })
        }
    }
}
