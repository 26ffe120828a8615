//! Sealing: an event and what the host observed → canonical bytes, chained and signed.
//! Knows no randomness: salts are passed in.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::Digest as _;

use super::predicate::{
    AuthorityRef, CallRef, CloseRef, DenialRef, FailureRef, HostRef, Kind, ModelGrantRef, ModelRef,
    PolicyRef, Predicate, PublisherRef, ResolverRef, RunRef, SignerRef, StepRef, UsageRef, UseRef,
};
use super::read::MAX_PAYLOAD;
use super::{COMMIT_DIGEST, PREDICATE_TYPE, STATEMENT_TYPE};
use crate::admit::{Gap, GapCode, ModelRow, Plan, Row, Vouched};
use crate::capability::Effect;
use crate::export::{Content, Role};
use crate::policy::ModelParams;
use crate::program::SCRIPTED;
use crate::run::{
    Answer, CallEnd, Check, CheckEnd, Culprit, Denial, End, Event, Failure, Place, Retry, Run, Settlement,
    Slot, Verdict,
};
use crate::{Commitment, Digest, Encoding, JcsError, RunId, Salt, Signer, Timestamp, commit, dsse, jcs};

/// `capability` of a refusal that is about a model.
pub(super) const MODEL: &str = "model";

/// A sealed envelope and the content it commits to.
#[derive(Debug)]
pub struct Sealed {
    /// The exact bytes.
    pub bytes: Vec<u8>,
    /// What it commits to, ascending by role.
    pub contents: Vec<Content>,
}

/// A payload that cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// A number would have to be rounded.
    #[error("the envelope holds what cannot be signed exactly")]
    Jcs(#[from] JcsError),
    /// The predicate has no JSON form.
    #[error("the envelope has no JSON form")]
    Json(#[from] serde_json::Error),
    /// No verifier would read it.
    #[error("the envelope would be longer than any verifier reads")]
    TooLong,
}

/// Commits to values while a predicate is being built.
pub struct Committer<'a> {
    seq: u64,
    salt: &'a mut dyn FnMut() -> Salt,
    contents: Vec<Content>,
}

impl Committer<'_> {
    /// Commits to a value in its compact JSON form.
    pub fn json(&mut self, role: Role, value: &Value) -> Commitment {
        self.commit(role, Encoding::Json, value.to_string().into_bytes())
    }

    fn slot(&mut self, role: Role, slot: &Slot) -> Option<Commitment> {
        slot.value().map(|value| self.json(role, value))
    }

    /// Commits to the words of somebody; silence needs no commitment.
    fn words(&mut self, role: Role, slot: &Slot) -> Option<Commitment> {
        slot.value().filter(|value| !value.is_null()).map(|value| self.json(role, value))
    }

    fn commit(&mut self, role: Role, encoding: Encoding, bytes: Vec<u8>) -> Commitment {
        let salt = (self.salt)();
        let commitment = commit(&salt, encoding, &bytes);
        self.contents.push(Content { seq: self.seq, role, encoding, salt, bytes });
        commitment
    }
}

/// What a predicate says beyond its place in the chain.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "the members are those of Predicate and documented there")]
pub struct Parts {
    pub resolver: Option<ResolverRef>,
    pub host: Option<HostRef>,
    pub signer: Option<SignerRef>,
    pub policies: Vec<PolicyRef>,
    pub step: Option<StepRef>,
    pub call: Option<CallRef>,
    pub model: Option<ModelRef>,
    pub models: Vec<ModelGrantRef>,
    pub authority: Vec<AuthorityRef>,
    pub used: Vec<UseRef>,
    pub usage: Option<UsageRef>,
    pub denials: Vec<DenialRef>,
    pub failure: Option<FailureRef>,
    pub close: Option<CloseRef>,
}

/// What the host observed of an event, beyond what the machine needs to know.
#[derive(Debug, Default)]
pub struct Observed {
    /// What the call reached through its grants.
    pub used: Vec<UseRef>,
    /// What it cost.
    pub usage: Option<UsageRef>,
    /// The opaque key the outside may deduplicate by.
    pub idempotency_key: Option<String>,
    /// The run and envelope whose result is reused, `run/<id>/<seq>`.
    pub recorded: Option<String>,
    /// What the model's server says the attempt cost, a decimal.
    pub cost: Option<String>,
    /// The arguments of a call without an intent: they stand in its result.
    pub input: Option<Slot>,
    /// The row of the call, where the step's own kind does not tell (a proposal).
    pub tool: Option<crate::ToolName>,
    /// Who answered a suspension, and what they were shown.
    pub resolver: Option<(ResolverRef, Option<Value>)>,
    /// What a run goes on under, where another process took it over.
    pub take_over: Option<TakeOver>,
    /// What the world answered to the tool that was called, where it answered anything: compact JSON.
    pub answers: Option<String>,
}

/// What a run goes on under.
#[derive(Debug, Clone)]
pub struct TakeOver {
    /// The host that goes on.
    pub host: HostRef,
    /// The policies in force now.
    pub policies: Vec<PolicyRef>,
    /// The [`AdmissionRecord`](crate::AdmissionRecord) of the admission that was decided again.
    pub admission: Value,
}

/// One end of a run's chain: the only place where envelopes are made.
#[derive(Debug)]
pub struct Chain {
    signer: Arc<Signer>,
    run: RunId,
    principal: String,
    program: Digest,
    plan: Option<Digest>,
    next: u64,
    first: Option<Digest>,
    prev: Option<Digest>,
    state: Digest,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Statement<P = Predicate> {
    #[serde(rename = "_type")]
    pub(crate) statement_type: String,
    pub(crate) predicate: P,
    #[serde(rename = "predicateType")]
    pub(crate) predicate_type: String,
    pub(crate) subject: Vec<Subject>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Subject {
    pub(crate) digest: SubjectDigest,
    pub(crate) name: String,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum SubjectDigest {
    #[serde(rename = "sha256")]
    Sha256(Digest),
    #[serde(rename = "nanohostCommitV1")]
    Commit(Commitment),
}

const _: () = assert!(matches!(COMMIT_DIGEST.as_bytes(), b"nanohostCommitV1"));

/// The state digest before anything was committed to: SHA-256 of nothing.
pub(crate) fn initial_state() -> Digest {
    Digest::of(b"")
}

/// The state digest once more values are committed to. Over commitments only, so that it tells
/// nobody anything about the values.
pub(super) fn advance_state<'a>(
    state: Digest,
    commitments: impl Iterator<Item = (&'a str, Commitment)>,
) -> Digest {
    let mut commitments = commitments.peekable();
    if commitments.peek().is_none() {
        return state;
    }
    let mut hash = sha2::Sha256::new();
    hash.update(state.as_bytes());
    for (role, commitment) in commitments {
        hash.update(role.as_bytes());
        hash.update([0]);
        hash.update(commitment.as_bytes());
    }
    Digest::from_bytes(hash.finalize().into())
}

/// The state digest after an opened envelope.
pub(crate) fn state_after(state: Digest, opened: &super::Opened) -> Digest {
    advance_state(state, opened.commitments.iter().map(|(role, commitment)| (role.as_str(), *commitment)))
}

impl Chain {
    /// The chain of a new run of the program with that digest.
    pub fn open(run: RunId, program: Digest, principal: &str, signer: Arc<Signer>) -> Self {
        Self {
            signer,
            run,
            principal: principal.to_owned(),
            program,
            plan: None,
            next: 0,
            first: None,
            prev: None,
            state: initial_state(),
        }
    }

    /// The chain of a run whose evidence verified, from its last envelope on.
    ///
    /// `None` where the key is not the one that signed the run so far.
    pub fn reopen(trace: &crate::trace::Trace, principal: &str, signer: Arc<Signer>) -> Option<Self> {
        (signer.public().key_id() == trace.key()).then(|| Self::to_end(trace, principal, signer))
    }

    /// The same for a key that only ends the run, by an act that says so.
    pub fn to_end(trace: &crate::trace::Trace, principal: &str, signer: Arc<Signer>) -> Self {
        let (first, last) = trace.ends();
        Self {
            signer,
            run: first.predicate.run.id.clone(),
            principal: principal.to_owned(),
            program: first.predicate.run.program,
            plan: last.predicate.run.plan,
            next: last.predicate.run.seq + 1,
            first: Some(first.digest),
            prev: Some(last.digest),
            state: last.predicate.run.state,
        }
    }

    /// Binds all later envelopes to the capability table.
    pub fn bind(&mut self, plan: Digest) {
        self.plan = Some(plan);
    }

    /// The run.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// The key that signs.
    pub fn key(&self) -> crate::KeyId {
        self.signer.public().key_id()
    }

    /// The sequence number of the next envelope.
    pub fn next_seq(&self) -> u64 {
        self.next
    }

    /// Seals the next envelope: `parts` builds its predicate and commits to its content.
    pub fn seal(
        &mut self,
        kind: Kind,
        time: Timestamp,
        salt: &mut dyn FnMut() -> Salt,
        parts: impl FnOnce(&mut Committer<'_>) -> Parts,
    ) -> Result<Sealed, SealError> {
        let mut committer = Committer { seq: self.next, salt, contents: Vec::new() };
        let parts = parts(&mut committer);
        let mut contents = committer.contents;
        contents.sort_by(|a, b| a.role.cmp(&b.role));

        let committed: Vec<(&str, Commitment)> =
            contents.iter().map(|content| (content.role.as_str(), content.commitment())).collect();
        let state = advance_state(self.state, committed.iter().copied());
        let subject = std::iter::once(Subject {
            digest: SubjectDigest::Sha256(self.first.unwrap_or(self.program)),
            name: format!("run/{}", self.run),
        })
        .chain(committed.iter().map(|(role, commitment)| Subject {
            digest: SubjectDigest::Commit(*commitment),
            name: format!("run/{}/{}/{role}", self.run, self.next),
        }))
        .collect();
        let statement = Statement {
            statement_type: STATEMENT_TYPE.to_owned(),
            predicate_type: PREDICATE_TYPE.to_owned(),
            subject,
            predicate: Predicate {
                kind,
                run: RunRef {
                    id: self.run.clone(),
                    seq: self.next,
                    prev: self.prev,
                    program: self.program,
                    plan: self.plan,
                    state,
                },
                time,
                principal: self.principal.clone(),
                resolver: parts.resolver,
                host: parts.host,
                signer: parts.signer,
                policies: parts.policies,
                step: parts.step,
                call: parts.call,
                model: parts.model,
                models: parts.models,
                authority: parts.authority,
                used: parts.used,
                usage: parts.usage,
                denials: parts.denials,
                failure: parts.failure,
                close: parts.close,
            },
        };
        let payload = jcs::canonical(&serde_json::to_value(&statement)?)?;
        if payload.len() > MAX_PAYLOAD {
            return Err(SealError::TooLong);
        }
        let bytes = dsse::seal(&payload, &self.signer);
        let digest = Digest::of(&bytes);
        self.first.get_or_insert(digest);
        self.prev = Some(digest);
        self.state = state;
        self.next += 1;
        Ok(Sealed { bytes, contents })
    }

    /// Records an event: the run takes the transition, and the envelope of it is sealed.
    ///
    /// Nothing is sealed where the run refuses the event.
    pub fn record(
        &mut self,
        run: &mut Run,
        event: Event,
        observed: Observed,
        time: Timestamp,
        salt: &mut dyn FnMut() -> Salt,
    ) -> Result<Sealed, RecordError> {
        let from = run.location();
        run.record(event.clone(), time)?;
        let to = run.location();
        let kind = kind_of(&event);
        let count = self.next + 1;
        Ok(self.seal(kind, time, salt, |committer| {
            parts_of(&event, run, observed, (from, to), count, committer)
        })?)
    }
}

/// Why an event could not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The program does not allow it.
    #[error(transparent)]
    Illegal(#[from] crate::run::IllegalTransition),
    /// It could not be signed.
    #[error(transparent)]
    Seal(#[from] SealError),
}

fn kind_of(event: &Event) -> Kind {
    match event {
        Event::Started { .. } => Kind::Intent,
        Event::Finished { .. } => Kind::Result,
        Event::Denied { .. } | Event::Blocked { .. } | Event::Refused { .. } => Kind::Denied,
        Event::Answered { .. }
        | Event::Decided { .. }
        | Event::Failed { .. }
        | Event::Joined(_)
        | Event::Cancelled { .. } => Kind::Transition,
        Event::Resumed { .. } | Event::Expired | Event::Settled(_) | Event::Recovered => Kind::Resume,
        Event::Closed(_) => Kind::RunClose,
    }
}

fn parts_of(
    event: &Event,
    run: &Run,
    observed: Observed,
    (from, to): (String, String),
    count: u64,
    committer: &mut Committer<'_>,
) -> Parts {
    let program = run.plan().program();
    let step = step(event, run, from, to);
    let mut parts = Parts { used: observed.used, usage: observed.usage, step, ..Parts::default() };
    if let Some((resolver, shown)) = observed.resolver {
        let shown = shown.map(|shown| committer.json(Role::SHOWN, &shown));
        parts.resolver = Some(ResolverRef { shown, ..resolver });
    }
    if let Some(take_over) = observed.take_over {
        committer.json(Role::ADMISSION, &take_over.admission);
        parts.host = Some(take_over.host);
        parts.policies = take_over.policies;
    }
    if let Some(answers) = observed.answers {
        committer.commit(Role::ANSWERS, Encoding::Json, answers.into_bytes());
    }
    match event {
        Event::Started { tool, args, .. } => {
            let input = committer.slot(Role::INPUT, args);
            if let Some(row) = run.plan().row(tool) {
                parts.call = Some(call(row, observed.idempotency_key, input));
                parts.authority = vec![authority(row)];
            }
        }
        Event::Finished { end, .. } => {
            let row = observed.tool.as_ref().and_then(|tool| run.plan().row(tool));
            if let Some(row) = row {
                let input = observed.input.as_ref().and_then(|args| committer.slot(Role::INPUT, args));
                let mut call = call(row, observed.idempotency_key, input);
                parts.authority = vec![authority(row)];
                match end {
                    CallEnd::Success { output, recorded } => {
                        call.output = committer.slot(Role::OUTPUT, output);
                        call.result = Some(if *recorded { "recorded" } else { "success" }.to_owned());
                        call.recorded = observed.recorded;
                    }
                    CallEnd::Failure(failed) => {
                        call.result = Some("failure".to_owned());
                        parts.failure = Some(failure(failed, committer));
                    }
                    CallEnd::Suspended { reason, deadline } => {
                        call.result = Some("suspended".to_owned());
                        call.deadline = *deadline;
                        committer.words(Role::REASON, reason);
                    }
                }
                parts.call = Some(call);
            }
        }
        Event::Answered { place, answer } => {
            let alias = match &program.step(place.step).kind {
                crate::check::StepKind::Llm(llm) => llm.model.clone(),
                _ => String::new(),
            };
            if let Verdict::Failed(failed) = &answer.verdict {
                parts.failure = Some(failure(failed, committer));
            }
            parts.model = Some(model(answer, alias, run.plan(), observed.cost, committer));
        }
        Event::Failed { failure: failed, .. } => {
            parts.failure = Some(failure(failed, committer));
        }
        Event::Denied { denial, .. } | Event::Blocked { denial, .. } => {
            parts.denials = vec![refusal(denial, committer)];
        }
        Event::Decided { .. } | Event::Joined(_) | Event::Expired | Event::Recovered => {}
        Event::Cancelled { reason } => {
            committer.words(Role::REASON, reason);
        }
        Event::Resumed { payload, check, .. } => {
            committer.slot(Role::EVENT, payload);
            checked(check.as_ref(), run, &mut parts, committer);
        }
        Event::Refused { denial, check } => {
            parts.denials = vec![refusal(denial, committer)];
            checked(check.as_ref(), run, &mut parts, committer);
        }
        Event::Settled(settlement) => {
            if let (Settlement::Happened { output }, Some(row)) =
                (settlement, observed.tool.as_ref().and_then(|tool| run.plan().row(tool)))
            {
                let mut call = call(row, observed.idempotency_key, None);
                call.output = committer.slot(Role::OUTPUT, output);
                call.result = Some("success".to_owned());
                parts.call = Some(call);
                parts.authority = vec![authority(row)];
            }
        }
        Event::Closed(end) => parts.close = Some(close(end, run, count)),
    }
    parts
}

/// The call of a check, which shares the envelope of the event that was checked.
fn checked(check: Option<&Check>, run: &Run, parts: &mut Parts, committer: &mut Committer<'_>) {
    let Some((check, row)) = check.and_then(|check| Some((check, run.plan().row(&check.tool)?))) else {
        return;
    };
    let input = committer.slot(Role::INPUT, &check.args);
    let mut call = call(row, None, input);
    match &check.end {
        CheckEnd::Passed { output } => {
            call.output = committer.slot(Role::OUTPUT, output);
            call.result = Some("success".to_owned());
        }
        CheckEnd::Refused { failure: failed } => {
            call.result = Some("failure".to_owned());
            parts.failure = Some(failure(failed, committer));
        }
    }
    parts.call = Some(call);
    parts.authority = vec![authority(row)];
}

/// What an envelope says of the step and the transition: the verifier, having taken the
/// transition, says the same of it.
pub(crate) fn step(event: &Event, run: &Run, from: String, to: String) -> Option<StepRef> {
    let program = run.plan().program();
    // A transition that is about no attempt says so with zeros.
    let no_attempt = |step| Place { step, visit: 0, attempt: 0 };
    let waited = || no_attempt(run.waited().unwrap_or(program.first()));
    let (place, event): (Place, Cow<'static, str>) = match event {
        Event::Started { place, .. } => (*place, "started".into()),
        Event::Finished { place, .. } => (*place, "finished".into()),
        Event::Answered { place, .. } => (*place, "answered".into()),
        Event::Decided { place, taken: Some(true) } => (*place, "then".into()),
        Event::Decided { place, taken: Some(false) } => (*place, "otherwise".into()),
        Event::Decided { place, taken: None } => (*place, "undecided".into()),
        Event::Failed { place, .. } => (*place, "failed".into()),
        Event::Denied { place, .. } => (*place, "denied".into()),
        Event::Blocked { place, .. } => (*place, "blocked".into()),
        Event::Joined(block) => (no_attempt(*block), "joined".into()),
        Event::Cancelled { .. } => (no_attempt(program.first()), "cancelled".into()),
        Event::Recovered => (no_attempt(program.first()), "recovered".into()),
        Event::Refused { .. } => {
            let waits = run.suspension().map_or(program.first(), |suspension| suspension.step);
            (no_attempt(waits), "refused".into())
        }
        Event::Resumed { source, .. } => (waited(), format!("resumed:{source}").into()),
        Event::Expired => (waited(), "expired".into()),
        Event::Settled(Settlement::Happened { .. }) => (waited(), "settled:happened".into()),
        Event::Settled(Settlement::DidNotHappen) => (waited(), "settled:did-not-happen".into()),
        Event::Settled(Settlement::Failed) => (waited(), "settled:failed".into()),
        Event::Closed(_) => return None,
    };
    let (visit, attempt) = (place.visit, place.attempt);
    let id = program.step(place.step).id.clone();
    Some(StepRef { id, visit, attempt, event: event.into_owned(), from, to })
}

fn call(row: &Row, idempotency_key: Option<String>, input: Option<Commitment>) -> CallRef {
    CallRef {
        tool: row.local.clone(),
        component: row.component,
        export: row.export.path(),
        effect: effect(row.effect).to_owned(),
        idempotency_key,
        input,
        output: None,
        result: None,
        recorded: None,
        deadline: None,
    }
}

/// The text form of an effect in envelopes.
pub(crate) fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Pure => "pure",
        Effect::Idempotent => "idempotent",
        Effect::External => "external",
    }
}

/// The ids of the rules that granted something, each once, in order.
fn rule_ids(row: &Row) -> Vec<String> {
    let ids: std::collections::BTreeSet<&String> = row.rules.iter().map(|grant| &grant.rule).collect();
    ids.into_iter().cloned().collect()
}

impl DenialRef {
    /// A gap that admission found, as envelopes show it; what was asked for is content.
    pub fn of_gap(gap: &Gap) -> Self {
        Self {
            code: gap.code.as_str().to_owned(),
            capability: match (gap.class, &gap.tool) {
                (Some(class), _) => class.as_str(),
                (None, Some(_)) if gap.code == GapCode::TaintedArgument => "argument",
                (None, Some(_)) if gap.code.is_of_publisher() => "publisher",
                (None, Some(_)) => "import",
                (None, None) => MODEL,
            }
            .to_owned(),
            rule: gap.rule().unwrap_or("table:no-grant").to_owned(),
            culprit: match gap.tool {
                Some(_) if gap.code == GapCode::TaintedArgument => Culprit::Program,
                Some(_) => Culprit::Component,
                None => Culprit::Program,
            }
            .as_str()
            .to_owned(),
            tool: gap.tool.clone(),
            value: None,
        }
    }
}

impl AuthorityRef {
    /// A row of the table as envelopes show it.
    pub fn of_row(row: &Row) -> Self {
        authority(row)
    }
}

pub(crate) fn authority(row: &Row) -> AuthorityRef {
    AuthorityRef {
        tool: row.local.clone(),
        component: row.component,
        manifest: row.manifest,
        requested: row.requested.clone(),
        granted: row.granted.clone(),
        linked: row.linked.clone(),
        stubbed: row.stubbed.clone(),
        rules: rule_ids(row),
        publisher: match &row.vouched {
            Vouched::Publisher { name, key, signature } => {
                Some(PublisherRef { name: name.clone(), key: *key.digest(), signature: *signature })
            }
            Vouched::Unsigned(_) | Vouched::Nobody => None,
        },
        unsigned: match &row.vouched {
            Vouched::Unsigned(rule) => Some(rule.as_str().to_owned()),
            Vouched::Publisher { .. } | Vouched::Nobody => None,
        },
    }
}

impl ModelGrantRef {
    /// A model of the table as envelopes show it.
    pub fn of_row(row: &ModelRow) -> Self {
        Self {
            alias: row.alias.clone(),
            host: row.base_url.origin(),
            name: row.model.clone(),
            params: row.params.clone(),
            pii: row.pii.as_str().to_owned(),
        }
    }
}

/// Host, name and parameters of the model that an alias stands for; `None`: it stands for none.
pub(crate) fn model_behind(plan: &Plan, alias: &str) -> Option<(String, String, ModelParams)> {
    if alias == SCRIPTED {
        return Some(("local".to_owned(), SCRIPTED.to_owned(), ModelParams::default()));
    }
    let row = plan.model(alias)?;
    Some((row.base_url.origin(), row.model.clone(), row.params.clone()))
}

fn model(
    answer: &Answer,
    alias: String,
    plan: &Plan,
    cost: Option<String>,
    committer: &mut Committer<'_>,
) -> ModelRef {
    let verdict = match &answer.verdict {
        Verdict::Accepted => "accepted",
        Verdict::NotAllowed => "not-allowed",
        Verdict::Proposed => "proposed",
        Verdict::TimedOut => "timed-out",
        Verdict::Failed(_) => "failed",
    };
    let prompt = answer.prompt.value().cloned().unwrap_or_default();
    let (host, name, params) = model_behind(plan, &alias).unwrap_or_default();
    ModelRef {
        alias,
        host,
        name,
        params,
        prompt: committer.json(Role::PROMPT, &prompt),
        system: answer.system.as_ref().and_then(|system| committer.slot(Role::SYSTEM, system)),
        answer: answer.text.as_ref().and_then(|text| committer.slot(Role::ANSWER, text)),
        tokens: answer.tokens,
        estimated_tokens: answer.estimated_tokens,
        cost,
        verdict: verdict.to_owned(),
    }
}

fn failure(failure: &Failure, committer: &mut Committer<'_>) -> FailureRef {
    FailureRef {
        kind: failure.kind.as_str().to_owned(),
        code: failure.code.as_str().to_owned(),
        retry: failure.retry == Retry::Maybe,
        message: committer.words(Role::MESSAGE, &failure.message),
    }
}

fn refusal(denial: &Denial, committer: &mut Committer<'_>) -> DenialRef {
    DenialRef {
        code: denial.kind.as_str().to_owned(),
        capability: denial.capability.clone(),
        rule: denial.rule.clone(),
        culprit: denial.culprit.as_str().to_owned(),
        tool: None,
        value: committer.words(Role::DENIED, &denial.value),
    }
}

fn close(end: &End, run: &Run, count: u64) -> CloseRef {
    CloseRef {
        status: end.status.as_str().to_owned(),
        error: end.error.map(|kind| kind.as_str().to_owned()),
        step: end.step.map(|index| run.plan().program().step(index).id.clone()),
        count,
    }
}
