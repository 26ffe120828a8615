//! The opening of a run: from an admitted program, or a refused one, to envelopes on disk. What `nanohost
//! run` and the gateway share. Knows no command line, no protocol, and nothing of driving.

use anyhow::Context as _;
use nanohost_core::envelope::{
    AuthorityRef, CloseRef, DenialRef, HostRef, Kind, ModelGrantRef, Parts, SignerRef,
};
use nanohost_core::export::Role;
use nanohost_core::run::{ErrorKind, Status};
use nanohost_core::{Denied, Diagnostic, Digest, Plan, Principal, RunId, Timestamp};
use nanohost_store::{Begun, Journal as _, OpenRun, Phase, SqliteStore, StartKey, Subject};
use serde_json::{Map, Value};

use crate::commands::{Launch, policies};
use crate::failure::Failure;
use crate::ledger::Ledger;
use crate::prepare::Prepared;
use crate::store_failure;

/// Who starts a run, and the key by which they start it once.
#[derive(Debug, Clone, Copy)]
pub struct Starter<'a> {
    /// Who.
    pub principal: &'a Principal,
    /// Their idempotency key.
    pub key: Option<&'a str>,
}

/// Takes an id for the run, or finds the run that its idempotency key started before.
pub fn begin(
    store: &SqliteStore,
    starter: Starter<'_>,
    prepared: &Prepared,
    inputs: &Map<String, Value>,
    opened: Timestamp,
) -> anyhow::Result<Begun> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).context("the operating system gives no randomness")?;
    let start = starter.key.map(|key| {
        let mut inputs = Value::Object(inputs.clone());
        inputs.sort_all_objects();
        let of = Digest::of(format!("nanohost/start/v1\0{}\0{inputs}", prepared.program.digest()).as_bytes());
        StartKey { principal: starter.principal.to_string(), key: key.to_owned(), of }
    });
    let subject = subject(prepared, inputs)?;
    let open = OpenRun { program: prepared.program.name().to_owned(), opened, start, subject };
    store.begin(&RunId::from_random(bytes), &open).map_err(store_failure)
}

/// Whose data the run is going to hold.
pub fn subject(prepared: &Prepared, inputs: &Map<String, Value>) -> anyhow::Result<Option<Subject>> {
    let subject = prepared.program.subject_of(inputs).map_err(|error| {
        let help =
            "give the input that it names: what is kept under nobody's name is not erased with the rest";
        Failure::usage(Diagnostic::error("no_subject", error.to_string()).help(help))
    })?;
    Ok(subject.as_deref().and_then(Subject::new))
}

/// What the same key started was something else.
pub fn reused(run: &RunId) -> anyhow::Error {
    let message =
        format!("this idempotency key started run {} with another program or other inputs", run.short());
    let finding = Diagnostic::error("start_key_reused", message);
    Failure::usage(finding.help("give another key, or the same program and inputs to get that run's result"))
}

/// Seals the envelope that binds everything the run begins with.
#[expect(clippy::too_many_arguments, reason = "what an opening binds, each from another place")]
pub fn seal_open(
    ledger: &mut Ledger,
    prepared: &Prepared,
    host: HostRef,
    opened: Timestamp,
    record: &Value,
    inputs: &Map<String, Value>,
    seed: &[u8; 32],
    launch: &Launch,
    development: bool,
) -> anyhow::Result<()> {
    let signer = SignerRef { key: *ledger.key().digest(), development };
    let policies = policies(&prepared.policy);
    let launch = serde_json::to_value(launch)?;
    let seed: String = seed.iter().map(|byte| format!("{byte:02x}")).collect();
    ledger.seal(Kind::RunOpen, opened, |committer| {
        committer.json(Role::ADMISSION, record);
        committer.json(Role::INPUT, &Value::Object(inputs.clone()));
        committer.json(Role::LAUNCH, &launch);
        committer.json(Role::SEED, &Value::String(seed));
        Parts { host: Some(host), signer: Some(signer), policies, ..Parts::default() }
    })
}

/// Seals the table. It is on disk with the first commit after it, which comes before the first call that
/// can have an effect.
pub fn seal_plan(ledger: &mut Ledger, plan: &Plan) -> anyhow::Result<()> {
    ledger.bind(plan.digest());
    let authority: Vec<AuthorityRef> = plan.rows().iter().map(AuthorityRef::of_row).collect();
    let models = plan.models().iter().map(ModelGrantRef::of_row).collect();
    let now = ledger.now();
    ledger.seal(Kind::Plan, now, |_| Parts { authority, models, ..Parts::default() })
}

/// A refused admission is a complete run of three envelopes.
pub fn seal_refusal(ledger: &mut Ledger, denied: &Denied) -> anyhow::Result<()> {
    let now = ledger.now();
    let gaps = denied.gaps();
    ledger.seal(Kind::Denied, now, |committer| {
        let values: Vec<Value> = gaps.iter().map(|gap| gap.value.as_str().into()).collect();
        let value = committer.json(Role::DENIED, &Value::Array(values));
        let mut denials: Vec<DenialRef> = gaps.iter().map(DenialRef::of_gap).collect();
        if let Some(first) = denials.first_mut() {
            first.value = Some(value);
        }
        Parts { denials, ..Parts::default() }
    })?;
    let close = CloseRef {
        status: Status::NotAdmitted.as_str().to_owned(),
        error: Some(ErrorKind::Authority.as_str().to_owned()),
        step: None,
        count: 3,
    };
    ledger.seal(Kind::RunClose, now, |_| Parts { close: Some(close), ..Parts::default() })?;
    ledger.phase(Phase::Closed(Status::NotAdmitted.as_str().to_owned()));
    ledger.commit()
}
