//! `nanohost run`: the main job, from a file to a run whose evidence is on disk.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context as _;
use nanohost_core::envelope::{
    AuthorityRef, Chain, CloseRef, DenialRef, HostRef, Kind, ModelGrantRef, Parts, SignerRef,
};
use nanohost_core::export::Role;
use nanohost_core::run::{ErrorKind, Run, Status};
use nanohost_core::{
    AdmissionRecord, CheckedProgram, Denied, Diagnostic, Diagnostics, Digest, Plan, Refusal, RunId, Source,
    Timestamp, admit, read_json,
};
use nanohost_sandbox::Engine;
use nanohost_store::{Begun, Journal as _, OpenRun, Phase, SqliteStore, StartKey, Subject};
use serde_json::{Map, Value};

use super::driving::{self, Driven, Launch, Manner};
use super::first::{self, First};
use crate::cli::RunArgs;
use crate::console::{self, Console, Progress, Sight};
use crate::drive::Tools;
use crate::executable;
use crate::failure::{Exit, Failure};
use crate::fault;
use crate::ledger::{self, Ledger};
use crate::model::Models;
use crate::prepare::Prepared;
use crate::project::{self, Places};
use crate::{acts, signing, store_failure};

/// `nanohost run`.
pub fn run(args: &RunArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let manner = Manner { json: args.json, quiet: args.quiet, sight: Sight::of(args.reveal) };
    executable::begin(places);
    let progress = Progress::new(manner.is_shown());
    let engine = Engine::new()?;
    let prepared = Prepared::read_pinned(&args.program, places, &engine, &progress)?;
    let inputs = inputs(args, &prepared.program)?;
    // Before anything of it is kept.
    subject(&prepared, &inputs)?;
    let scripted = prepared.scripted(&args.program.program)?;
    let key = signing::current(places)?;
    if key.created && !manner.quiet {
        console.note(&format!(
            "made a development key to sign evidence with: {}\nit is not encrypted; hand {} to whoever verifies",
            console::path(&key.private),
            console::path(&key.public)
        ));
    }
    let store = Arc::new(crate::open_store(places)?);
    acts::refuse_retired(&*store, &key.signer.public().key_id(), places)?;
    let opened = ledger::now();
    let admission = prepared.admission(opened);
    let record = serde_json::to_value(AdmissionRecord::of(&admission))?;
    let decided = match admit(admission) {
        Err(Refusal::Invalid(findings)) => return Err(Failure::usage(findings)),
        Err(Refusal::Denied(denied)) => Err(denied),
        Ok(plan) => Ok(Arc::new(plan)),
    };

    let mut seed = [0; 32];
    getrandom::fill(&mut seed).context("the operating system gives no randomness")?;
    let model_file = scripted.as_ref().map(|model| model.path().to_owned());
    let (linked, models) = match &decided {
        Ok(plan) => (prepared.link(plan, &engine)?, Models::open(plan, scripted)?),
        Err(_) => (HashMap::new(), Models::none()),
    };
    let trust = super::evidence::own_trust(places)?;
    let launch = Launch::of(&args.program, &prepared);
    let tools =
        Tools { linked, models, seed, domain: launch.domain.clone(), trust, signed_keys: HashMap::new() };
    let fence = match begin(&store, args, &prepared, &inputs, opened)? {
        Begun::Owned(fence) => fence,
        Begun::Held { run, same: true } => match first::look(&store, &run, places)? {
            First::NotBegun(fence) => fence,
            First::Known(reopened) if !reopened.was_started(&prepared, &inputs, &args.principal) => {
                return Err(first::redirected(&run));
            }
            first => return first::answer(first, args, &prepared, &engine, &store, places, console),
        },
        Begun::Held { run, same: false } => {
            let finding = Diagnostic::error(
                "start_key_reused",
                format!(
                    "this idempotency key started run {} with another program or other inputs",
                    run.short()
                ),
            );
            return Err(Failure::usage(
                finding.help("give another key, or the same program and inputs to get that run's result"),
            ));
        }
    };
    fault::point();
    let id = fence.run().clone();
    let chain =
        Chain::open(id.clone(), prepared.program.digest(), args.principal.as_str(), Arc::new(key.signer));
    let mut ledger = Ledger::new(Arc::clone(&store), fence, chain, opened);
    let host = driving::host(&engine, places)?;
    seal_open(&mut ledger, &prepared, host, opened, &record, &inputs, &seed, &launch, key.development)?;
    match decided {
        Err(denied) => {
            seal_refusal(&mut ledger, &denied)?;
            refused(args, places, console, &prepared, &denied, &id)
        }
        Ok(plan) => {
            seal_plan(&mut ledger, &plan)?;
            let run = Run::start(Arc::clone(&plan), inputs, opened);
            let (run, ledger, observed) = driving::perform(run, ledger, tools, manner, &progress)?;
            let driven = Driven {
                run: &run,
                id: &id,
                head: ledger.head(),
                observed: &observed,
                policy: &prepared.policy,
                warnings: &prepared.warnings,
                model: model_file.as_deref(),
            };
            driving::report(&driven, manner, places, console, &store)
        }
    }
}

/// Takes an id for the run, or finds the run that its idempotency key started before.
fn begin(
    store: &SqliteStore,
    args: &RunArgs,
    prepared: &Prepared,
    inputs: &Map<String, Value>,
    opened: Timestamp,
) -> anyhow::Result<Begun> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).context("the operating system gives no randomness")?;
    let start = args.idempotency_key.as_ref().map(|key| {
        let mut inputs = Value::Object(inputs.clone());
        inputs.sort_all_objects();
        let of = Digest::of(format!("nanohost/start/v1\0{}\0{inputs}", prepared.program.digest()).as_bytes());
        StartKey { principal: args.principal.to_string(), key: key.clone(), of }
    });
    let subject = subject(prepared, inputs)?;
    let open = OpenRun { program: prepared.program.name().to_owned(), opened, start, subject };
    store.begin(&RunId::from_random(bytes), &open).map_err(store_failure)
}

/// Whose data the run is going to hold.
fn subject(prepared: &Prepared, inputs: &Map<String, Value>) -> anyhow::Result<Option<Subject>> {
    let subject = prepared.program.subject_of(inputs).map_err(|error| {
        let help =
            "give the input that it names: what is kept under nobody's name is not erased with the rest";
        Failure::usage(Diagnostic::error("no_subject", error.to_string()).help(help))
    })?;
    Ok(subject.as_deref().and_then(Subject::new))
}

/// Inputs from the file, then from the command line, as the program declares them.
fn inputs(args: &RunArgs, program: &CheckedProgram) -> anyhow::Result<Map<String, Value>> {
    let mut inputs = Map::new();
    if let Some(path) = &args.inputs_file {
        let source = project::read_source(path, "the inputs")?;
        inputs = match read_json(&source).map_err(Failure::usage)? {
            Value::Object(inputs) => inputs,
            _ => {
                let finding = Diagnostic::error("invalid_input", "a file of inputs holds one JSON object");
                return Err(Failure::usage(finding.at(&source, 0..source.text.len().min(1))));
            }
        };
    }
    let mut findings = Diagnostics::new();
    let mut seen = std::collections::BTreeSet::new();
    for given in &args.inputs {
        let (name, value) = match given.split_once('=') {
            Some((name, text)) => match name.strip_suffix(':') {
                Some(name) => (name, read_json(&Source::new(format!("--input {name}"), text))),
                None => (name, Ok(program.read_input(name, text))),
            },
            None => {
                let message = format!("`--input {}` is not name=value", console::escaped(given));
                findings.push(
                    Diagnostic::error("invalid_input", message).help("write name=value, or name:=JSON"),
                );
                continue;
            }
        };
        if !seen.insert(name) {
            let message = format!("the input `{}` is given twice", console::escaped(name));
            findings.push(Diagnostic::error("invalid_input", message));
            continue;
        }
        match value {
            Ok(value) => {
                inputs.insert(name.to_owned(), value);
            }
            Err(found) => findings.extend(found),
        }
    }
    if !findings.is_empty() {
        return Err(Failure::usage(findings));
    }
    program.bind_inputs(inputs).map_err(Failure::usage)
}

#[expect(clippy::too_many_arguments, reason = "what an opening binds, each from another place")]
fn seal_open(
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
    let policies = driving::policies(&prepared.policy);
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

fn seal_plan(ledger: &mut Ledger, plan: &Plan) -> anyhow::Result<()> {
    ledger.bind(plan.digest());
    let authority: Vec<AuthorityRef> = plan.rows().iter().map(AuthorityRef::of_row).collect();
    let models = plan.models().iter().map(ModelGrantRef::of_row).collect();
    let now = ledger.now();
    ledger.seal(Kind::Plan, now, |_| Parts { authority, models, ..Parts::default() })?;
    // The listing knows the run from its first step on.
    ledger.commit()
}

/// A refused admission is a complete run of three envelopes.
fn seal_refusal(ledger: &mut Ledger, denied: &Denied) -> anyhow::Result<()> {
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

fn refused(
    args: &RunArgs,
    places: &Places,
    console: &Console,
    prepared: &Prepared,
    denied: &Denied,
    id: &RunId,
) -> anyhow::Result<Exit> {
    let findings = prepared.policy.told(denied.diagnostics());
    // What was refused is evidence too.
    if let Some(why) = super::log::witnessed::at_end(places) {
        console.note(&why);
    }
    if args.json {
        console.json(&serde_json::json!({
            "run": id,
            "program": prepared.program.name(),
            "status": Status::NotAdmitted.as_str(),
            "error": ErrorKind::Authority.as_str(),
            "exitCode": Exit::Denied as u8,
            "denied": console::findings_json(&findings),
            "warnings": console::findings_json(&prepared.warnings),
            "evidence": { "store": places.store, "envelopes": 3 },
        }))?;
    } else {
        if !args.quiet {
            console.note(&console::render(&prepared.warnings, console.look_err()));
        }
        console.note(&console::render(&findings, console.look_err()));
        console.print(&console::refusal(prepared.program.name(), id, denied.gaps().len(), &places.store))?;
    }
    Ok(Exit::Denied)
}
