//! From what a call reported to what the run records of it. Pure.

use nanohost_core::Effect;
use nanohost_core::envelope::{UsageRef, UseRef};
use nanohost_core::run::{CallEnd, Code, Denial, ErrorKind, Event, Failure, Place, Retry, Slot};
use nanohost_core::{Class, Timestamp};
use nanohost_sandbox::{Answers, CallReport, FailureKind, FaultCode, Outcome, TypedFailure};
use serde_json::Value;

/// The refusals of a call, one event for each different one, and one for how many more there were:
/// nothing that was refused goes without a record.
pub fn refusals(report: &CallReport) -> impl Iterator<Item = Denial> + '_ {
    let kept = report.denied.iter().map(|refusal| {
        let value = serde_json::json!({
            "operation": refusal.operation,
            "value": refusal.value,
            "count": refusal.count,
        });
        Denial::blocked(class(refusal.class), &format!("grant:{}", class(refusal.class)), Slot::known(value))
    });
    let more = (report.more_denied > 0).then(|| {
        let value = serde_json::json!({ "more": report.more_denied });
        Denial::blocked("any", "grant:more", Slot::known(value))
    });
    kept.chain(more)
}

/// What a call used and cost, as envelopes show it.
pub fn used(report: &CallReport) -> (Vec<UseRef>, UsageRef) {
    let used = report.used.iter().map(|used| UseRef {
        capability: class(used.class).to_owned(),
        scope: used.scope.clone(),
        operations: used.operations,
        bytes: used.read.saturating_add(used.written),
    });
    let usage = UsageRef {
        fuel: report.usage.fuel.min(MAX_EXACT),
        peak_memory: report.usage.peak_memory.min(MAX_EXACT),
        wall_ms: u64::try_from(report.usage.wall.as_millis()).unwrap_or(u64::MAX).min(MAX_EXACT),
    };
    (used.collect(), usage)
}

/// What the world answered, as it is committed to; nothing where it was asked nothing.
pub fn answers(answers: &Answers) -> serde_json::Result<Option<String>> {
    if answers.is_empty() { Ok(None) } else { answers.to_json().map(Some) }
}

/// The largest integer that signed documents hold exactly.
const MAX_EXACT: u64 = (1 << 53) - 1;

/// The name of a class in envelopes.
pub fn class(class: Class) -> &'static str {
    class.as_str()
}

/// How a call came to its end, beside what it says itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct How {
    /// The guest ran an instruction.
    pub began: bool,
    /// The step's time was over.
    pub timed_out: bool,
    /// The run was being stopped.
    pub stopped: bool,
}

/// How a call without an effect ended, for one that is no step of its own.
pub fn ended(report: &CallReport) -> CallEnd {
    end(report.outcome.clone(), Effect::Pure, How::default()).unwrap_or_else(|denial| {
        let failure = Failure::new(denial.kind, Code::known("stub_called"), Retry::Never);
        CallEnd::Failure(failure.with_message(denial.value))
    })
}

/// The event of a call's end.
///
/// An external call whose end nobody saw, since the guest was stopped before it could say, is in
/// doubt: it is never retried or passed over. One that never `began` did nothing.
pub fn event(place: Place, outcome: Outcome, effect: Effect, how: How) -> Event {
    match end(outcome, effect, how) {
        Ok(end) => Event::Finished { place, end },
        Err(denial) => Event::Denied { place, denial },
    }
}

/// How a call ended, or what refused it while it ran.
fn end(outcome: Outcome, effect: Effect, how: How) -> Result<CallEnd, Denial> {
    let How { began, timed_out, stopped } = how;
    // Timeouts and faults of a call with an effect would leave in doubt what it did.
    let external = effect == Effect::External;
    let without_effect = |kind| if external { ErrorKind::StepFailed } else { kind };
    let failed = |kind, code: &'static str, retry, message: Value| {
        let failure = Failure::new(kind, Code::known(code), retry).with_message(Slot::known(message));
        CallEnd::Failure(failure)
    };
    Ok(match outcome {
        Outcome::Success(value) => CallEnd::Success { output: Slot::known(value), recorded: false },
        Outcome::Failure(TypedFailure { kind, message, deadline }) => match kind {
            FailureKind::InvalidInput => {
                failed(ErrorKind::StepFailed, "invalid_input", Retry::Never, message.into())
            }
            FailureKind::Rejected => failed(ErrorKind::StepFailed, "rejected", Retry::Never, message.into()),
            FailureKind::Unavailable => {
                failed(ErrorKind::StepFailed, "unavailable", Retry::Maybe, message.into())
            }
            FailureKind::Suspended => CallEnd::Suspended {
                reason: Slot::known(message.into()),
                deadline: deadline.map(|seconds| {
                    Timestamp::from_millis(i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX))
                }),
            },
        },
        Outcome::ToolError(value) => failed(ErrorKind::StepFailed, "tool_error", Retry::Never, value),
        Outcome::Fault(fault) => match fault.code {
            FaultCode::StubCalled => {
                return Err(Denial::blocked("stub", "grant:stub", Slot::known(fault.message.into())));
            }
            FaultCode::SecretMisplaced => {
                return Err(Denial::blocked("secrets", "grant:secrets", Slot::known(fault.message.into())));
            }
            FaultCode::InvalidArguments => {
                failed(ErrorKind::StepFailed, "invalid_arguments", Retry::Never, fault.message.into())
            }
            code if external && began => {
                let code = if timed_out { "step_timeout" } else { code.as_str() };
                failed(ErrorKind::InDoubt, code, Retry::Never, fault.message.into())
            }
            FaultCode::Cancelled if stopped => {
                failed(ErrorKind::Cancelled, "cancelled", Retry::Never, fault.message.into())
            }
            FaultCode::Cancelled | FaultCode::Deadline => {
                let code = if timed_out { "step_timeout" } else { "deadline" };
                failed(without_effect(ErrorKind::ToolTimeout), code, Retry::Maybe, fault.message.into())
            }
            FaultCode::Host => {
                failed(without_effect(ErrorKind::GuestFault), "host", Retry::Maybe, fault.message.into())
            }
            code => failed(
                without_effect(ErrorKind::GuestFault),
                code.as_str(),
                Retry::Never,
                fault.message.into(),
            ),
        },
    })
}
