//! Opening: bytes nobody trusts yet → a predicate whose signature is good, and from it the
//! event of the run. Knows nothing of chains: that is [`crate::trace`]'s.

use std::collections::BTreeMap;

use serde_json::Value;

use super::form;
use super::predicate::{FailureRef, Kind, Predicate};
use super::write::{Statement, SubjectDigest};
use super::{PREDICATE_TYPE, STATEMENT_TYPE};
use crate::check::{CheckedProgram, StepIndex};
use crate::dsse::Unverified;
use crate::export::{Content, Role};
use crate::run::{
    Answer, CallEnd, Check, CheckEnd, Code, Culprit, Denial, End, ErrorKind, Event, Failure, Place, Retry,
    Settlement, Slot, Status, Verdict, WebhookSource,
};
use crate::{Commitment, Digest, DsseError, Encoding, JcsError, KeyId, TrustRoot, jcs};

/// The longest payload that is parsed: bounds what a hostile export can make a verifier hold.
pub(crate) const MAX_PAYLOAD: usize = 4 << 20;

/// An envelope whose form and signature are good.
#[derive(Debug)]
pub struct Opened {
    /// What it says.
    pub predicate: Predicate,
    /// The key that signed it.
    pub key: KeyId,
    /// SHA-256 of its exact bytes.
    pub digest: Digest,
    /// The digest that names the run's beginning.
    pub(crate) anchor: Digest,
    /// What it commits to, by role.
    pub(crate) commitments: BTreeMap<Role, Commitment>,
}

/// Why an envelope is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It is not a DSSE envelope in its one form.
    #[error("{0}")]
    Form(DsseError),
    /// Its key is not among the trusted ones.
    #[error("signed by key {0}, which is not trusted")]
    Untrusted(KeyId),
    /// The signature is not good.
    #[error("the signature does not fit the bytes")]
    Signature,
    /// The payload is not in its canonical form.
    #[error("the payload is not canonical: {0}")]
    Canonical(#[from] JcsError),
    /// The payload is not a statement of this project.
    #[error("the payload is not evidence: {0}")]
    Statement(String),
}

impl Opened {
    /// Opens an envelope.
    pub fn open(bytes: &[u8], trust: &TrustRoot) -> Result<Self, OpenError> {
        let unverified = Unverified::parse(bytes).map_err(OpenError::Form)?;
        match trust.get(&unverified.key_id()) {
            Some(key) => unverified.verify(key).map_err(|_| OpenError::Signature)?,
            None => return Err(OpenError::Untrusted(unverified.key_id())),
        }
        let value = jcs::parse_canonical(unverified.payload(), MAX_PAYLOAD)?;
        let statement: Statement =
            serde_json::from_value(value).map_err(|error| OpenError::Statement(error.to_string()))?;
        if statement.statement_type != STATEMENT_TYPE || statement.predicate_type != PREDICATE_TYPE {
            return Err(OpenError::Statement("it is of another type or version".to_owned()));
        }
        let predicate = statement.predicate;
        let run = format!("run/{}", predicate.run.id);
        let mut subjects = statement.subject.into_iter();
        let anchor = match subjects.next() {
            Some(first) if first.name == run => match first.digest {
                SubjectDigest::Sha256(digest) => digest,
                SubjectDigest::Commit(_) => {
                    return Err(OpenError::Statement("its first subject is a commitment".to_owned()));
                }
            },
            _ => return Err(OpenError::Statement("its first subject is not its run".to_owned())),
        };
        let prefix = format!("{run}/{}/", predicate.run.seq);
        let mut commitments = BTreeMap::new();
        for subject in subjects {
            let role = subject.name.strip_prefix(&prefix).and_then(|role| Role::new(role).ok());
            match (role, subject.digest) {
                (Some(role), SubjectDigest::Commit(commitment))
                    if commitments.last_key_value().is_none_or(|(last, _)| *last < role) =>
                {
                    commitments.insert(role, commitment);
                }
                _ => {
                    return Err(OpenError::Statement(
                        "its subjects are not its commitments in order".to_owned(),
                    ));
                }
            }
        }
        let opened =
            Self { predicate, key: unverified.key_id(), digest: Digest::of(bytes), anchor, commitments };
        opened.check_commitments()?;
        form::check(&opened.predicate, |role| opened.commitments.contains_key(role))
            .map_err(|why| OpenError::Statement(why.to_owned()))?;
        Ok(opened)
    }

    /// Every commitment that the predicate names stands among the subjects too.
    fn check_commitments(&self) -> Result<(), OpenError> {
        let Predicate { call, model, denials, failure, resolver, .. } = &self.predicate;
        let named = [
            (Role::SHOWN, resolver.as_ref().and_then(|resolver| resolver.shown)),
            (Role::INPUT, call.as_ref().and_then(|call| call.input)),
            (Role::OUTPUT, call.as_ref().and_then(|call| call.output)),
            (Role::PROMPT, model.as_ref().map(|model| model.prompt)),
            (Role::SYSTEM, model.as_ref().and_then(|model| model.system)),
            (Role::ANSWER, model.as_ref().and_then(|model| model.answer)),
            (Role::MESSAGE, failure.as_ref().and_then(|failure| failure.message)),
            (Role::DENIED, denials.iter().find_map(|denial| denial.value)),
        ];
        for (role, commitment) in named {
            // `run-open` commits to the inputs without a call.
            let of_call = role != Role::INPUT || call.is_some();
            if of_call && self.commitments.get(&role).copied() != commitment {
                return Err(OpenError::Statement(format!("its {} is not among its subjects", role.as_str())));
            }
        }
        Ok(())
    }

    /// Whether a disclosed value is what was committed to.
    pub fn admits(&self, content: &Content) -> bool {
        content.seq == self.predicate.run.seq
            && self.commitments.get(&content.role) == Some(&content.commitment())
    }

    /// The roles it commits to.
    pub fn roles(&self) -> impl Iterator<Item = &Role> {
        self.commitments.keys()
    }
}

/// The values of one envelope that the holder may see, each already checked against its
/// commitment.
#[derive(Debug, Default, Clone)]
pub struct Disclosed(BTreeMap<Role, Value>);

/// A disclosed value that is not what its encoding says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a disclosed value is not valid {0}")]
pub struct BadContent(Encoding);

impl Disclosed {
    /// Reads a value. JSON is in the one form that the host commits to, compact and with every key
    /// once, so that no two readers take it for different values.
    pub fn insert(&mut self, content: &Content) -> Result<(), BadContent> {
        let bad = || BadContent(content.encoding);
        let value = match content.encoding {
            Encoding::Json => {
                let value: Value = serde_json::from_slice(&content.bytes).map_err(|_| bad())?;
                if value.to_string().as_bytes() != content.bytes {
                    return Err(bad());
                }
                value
            }
            Encoding::Text => Value::String(String::from_utf8(content.bytes.clone()).map_err(|_| bad())?),
            Encoding::Bytes => return Err(bad()),
        };
        self.0.insert(content.role.clone(), value);
        Ok(())
    }

    /// The value of a role.
    pub fn get(&self, role: &Role) -> Option<&Value> {
        self.0.get(role)
    }

    /// All but what the world answered to tools: no event holds it, and it can be large.
    pub(crate) fn of_events(&self) -> Self {
        let values = self.0.iter().filter(|(role, _)| **role != Role::ANSWERS);
        Self(values.map(|(role, value)| (role.clone(), value.clone())).collect())
    }

    /// Takes the value of a role out.
    pub fn take(&mut self, role: &Role) -> Option<Value> {
        self.0.remove(role)
    }

    fn slot(&mut self, role: Role) -> Slot {
        self.take(&role).map_or(Slot::Withheld, Slot::known)
    }

    /// The slot of a commitment that may be absent: then there was no value.
    fn words(&mut self, role: Role, committed: bool) -> Slot {
        if committed { self.slot(role) } else { Slot::known(Value::Null) }
    }
}

/// A predicate that is signed but says nothing a run can do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the envelope records no event of a run: {0}")]
pub struct NoEvent(pub(crate) &'static str);

/// The events of an envelope, in order: none for `run-open`, `plan` and refusals of admission,
/// two where a call without an intent shares its envelope with its result.
pub fn events_of(
    opened: &Opened,
    program: &CheckedProgram,
    disclosed: &mut Disclosed,
) -> Result<Vec<Event>, NoEvent> {
    let predicate = &opened.predicate;
    if let Kind::RunOpen | Kind::Plan = predicate.kind {
        return Ok(Vec::new());
    }
    if predicate.kind == Kind::RunClose {
        return close(predicate, program).map(|end| vec![Event::Closed(end)]);
    }
    let step = predicate.step.as_ref().ok_or(NoEvent("no step"))?;
    let index = program.index_of(step.id.as_str()).ok_or(NoEvent("an unknown step"))?;
    let place = Place { step: index, visit: step.visit, attempt: step.attempt };
    match (predicate.kind, step.event.as_str()) {
        (Kind::Intent, "started") => {
            let call = predicate.call.as_ref().ok_or(NoEvent("no call"))?;
            Ok(vec![Event::Started { place, tool: call.tool.clone(), args: disclosed.slot(Role::INPUT) }])
        }
        (Kind::Result, "finished") => result(opened, place, disclosed),
        (Kind::Denied, event @ ("denied" | "blocked")) => {
            let denial = denial(opened, disclosed)?;
            Ok(vec![match event {
                "denied" => Event::Denied { place, denial },
                _ => Event::Blocked { place, denial },
            }])
        }
        (Kind::Transition, "answered") => answered(opened, place, disclosed).map(|event| vec![event]),
        (Kind::Transition, "then") => Ok(vec![Event::Decided { place, taken: Some(true) }]),
        (Kind::Transition, "otherwise") => Ok(vec![Event::Decided { place, taken: Some(false) }]),
        (Kind::Transition, "undecided") => Ok(vec![Event::Decided { place, taken: None }]),
        (Kind::Transition, "failed") => {
            let failure = failure(predicate.failure.as_ref(), disclosed)?;
            Ok(vec![Event::Failed { place, failure }])
        }
        (Kind::Transition, "joined") => Ok(vec![Event::Joined(index)]),
        (Kind::Transition, "cancelled") => {
            let reason = disclosed.words(Role::REASON, opened.commitments.contains_key(&Role::REASON));
            Ok(vec![Event::Cancelled { reason }])
        }
        (Kind::Denied, "refused") => {
            let check = check(predicate, disclosed)?;
            Ok(vec![Event::Refused { denial: denial(opened, disclosed)?, check }])
        }
        (Kind::Resume, "expired") => Ok(vec![Event::Expired]),
        (Kind::Resume, "recovered") => Ok(vec![Event::Recovered]),
        (Kind::Resume, "settled:happened") => {
            Ok(vec![Event::Settled(Settlement::Happened { output: disclosed.slot(Role::OUTPUT) })])
        }
        (Kind::Resume, "settled:did-not-happen") => Ok(vec![Event::Settled(Settlement::DidNotHappen)]),
        (Kind::Resume, "settled:failed") => Ok(vec![Event::Settled(Settlement::Failed)]),
        (Kind::Resume, event) => {
            let source = event.strip_prefix("resumed:").and_then(WebhookSource::parse);
            let source = source.ok_or(NoEvent("an unknown source of a resume"))?;
            let check = check(predicate, disclosed)?;
            Ok(vec![Event::Resumed { payload: disclosed.slot(Role::EVENT), source, check }])
        }
        _ => Err(NoEvent("kind and event do not fit")),
    }
}

fn result(opened: &Opened, place: Place, disclosed: &mut Disclosed) -> Result<Vec<Event>, NoEvent> {
    let predicate = &opened.predicate;
    let call = predicate.call.as_ref().ok_or(NoEvent("no call"))?;
    let mut events = Vec::with_capacity(2);
    // A recorded result stands for a call that is not made: its arguments are judged, and nothing
    // begins.
    if call.input.is_some() && call.result.as_deref() != Some("recorded") {
        let args = disclosed.slot(Role::INPUT);
        events.push(Event::Started { place, tool: call.tool.clone(), args });
    }
    let end = match call.result.as_deref() {
        Some(result @ ("success" | "recorded")) => {
            CallEnd::Success { output: disclosed.slot(Role::OUTPUT), recorded: result == "recorded" }
        }
        Some("failure") => CallEnd::Failure(failure(predicate.failure.as_ref(), disclosed)?),
        Some("suspended") => {
            let reason = disclosed.words(Role::REASON, opened.commitments.contains_key(&Role::REASON));
            CallEnd::Suspended { reason, deadline: call.deadline }
        }
        _ => return Err(NoEvent("an unknown result")),
    };
    events.push(Event::Finished { place, end });
    Ok(events)
}

/// The check whose call shares the envelope of an event from outside.
fn check(predicate: &Predicate, disclosed: &mut Disclosed) -> Result<Option<Check>, NoEvent> {
    let Some(call) = &predicate.call else { return Ok(None) };
    let args = disclosed.slot(Role::INPUT);
    let end = match call.result.as_deref() {
        Some("success") => CheckEnd::Passed { output: disclosed.slot(Role::OUTPUT) },
        Some("failure") => CheckEnd::Refused { failure: failure(predicate.failure.as_ref(), disclosed)? },
        _ => return Err(NoEvent("a check that neither passed nor was refused")),
    };
    Ok(Some(Check { tool: call.tool.clone(), args, end }))
}

fn answered(opened: &Opened, place: Place, disclosed: &mut Disclosed) -> Result<Event, NoEvent> {
    let model = opened.predicate.model.as_ref().ok_or(NoEvent("no model"))?;
    let verdict = match model.verdict.as_str() {
        "accepted" => Verdict::Accepted,
        "not-allowed" => Verdict::NotAllowed,
        "proposed" => Verdict::Proposed,
        "timed-out" => Verdict::TimedOut,
        "failed" => Verdict::Failed(failure(opened.predicate.failure.as_ref(), disclosed)?),
        _ => return Err(NoEvent("an unknown verdict")),
    };
    let answer = Answer {
        prompt: disclosed.slot(Role::PROMPT),
        system: model.system.map(|_| disclosed.slot(Role::SYSTEM)),
        text: model.answer.map(|_| disclosed.slot(Role::ANSWER)),
        verdict,
        tokens: model.tokens,
        estimated_tokens: model.estimated_tokens,
    };
    Ok(Event::Answered { place, answer })
}

fn failure(failure: Option<&FailureRef>, disclosed: &mut Disclosed) -> Result<Failure, NoEvent> {
    let failure = failure.ok_or(NoEvent("no failure"))?;
    Ok(Failure {
        kind: ErrorKind::parse(&failure.kind).ok_or(NoEvent("an unknown error kind"))?,
        code: Code::parse(&failure.code).ok_or(NoEvent("a malformed code"))?,
        retry: if failure.retry { Retry::Maybe } else { Retry::Never },
        message: disclosed.words(Role::MESSAGE, failure.message.is_some()),
    })
}

fn denial(opened: &Opened, disclosed: &mut Disclosed) -> Result<Denial, NoEvent> {
    let [denial] = opened.predicate.denials.as_slice() else { return Err(NoEvent("not one denial")) };
    Ok(Denial {
        kind: ErrorKind::parse(&denial.code).ok_or(NoEvent("an unknown error kind"))?,
        capability: denial.capability.clone(),
        rule: denial.rule.clone(),
        culprit: Culprit::parse(&denial.culprit).ok_or(NoEvent("an unknown culprit"))?,
        value: disclosed.words(Role::DENIED, denial.value.is_some()),
    })
}

fn close(predicate: &Predicate, program: &CheckedProgram) -> Result<End, NoEvent> {
    let close = predicate.close.as_ref().ok_or(NoEvent("no end"))?;
    let step = match &close.step {
        Some(id) => Some(program.index_of(id.as_str()).ok_or(NoEvent("an unknown step"))?),
        None => None::<StepIndex>,
    };
    let error = match &close.error {
        Some(kind) => Some(ErrorKind::parse(kind).ok_or(NoEvent("an unknown error kind"))?),
        None => None,
    };
    let status = Status::parse(&close.status).ok_or(NoEvent("an unknown status"))?;
    Ok(End { status, error, step })
}
