//! `nanohost run`: the main job, from a file to a run whose evidence is on disk.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use nanohost_core::envelope::{
    AuthorityRef, Chain, CloseRef, DenialRef, HostRef, Kind, Parts, PolicyRef, SignerRef,
};
use nanohost_core::export::Role;
use nanohost_core::run::{ErrorKind, Run, Status, StepStatus};
use nanohost_core::{
    AdmissionRecord, CheckedProgram, Denied, Diagnostic, Diagnostics, Plan, Refusal, RunId, Source,
    Timestamp, admit, read_json,
};
use nanohost_sandbox::{Cancellation, Engine};
use nanohost_store::{
    Begun, DevelopmentKey, Journal as _, OpenOptions, OpenRun, Phase, Records as _, SqliteStore, StoreError,
    development_key,
};
use serde_json::{Map, Value};

use crate::cli::RunArgs;
use crate::console::{self, Console, Progress, Summary};
use crate::drive::{CallObserved, Drive, Tools};
use crate::failure::{Exit, Failure};
use crate::ledger::{self, Ledger};
use crate::model::Models;
use crate::prepare::{self, Prepared};
use crate::project::{self, Places};
use crate::{signals, store_failure};

/// `nanohost run`.
pub fn run(args: &RunArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let progress = Progress::new(!args.quiet && !args.json);
    let engine = Engine::new()?;
    let prepared = Prepared::read(&args.program, places, &engine, &progress)?;
    let inputs = inputs(args, &prepared.program)?;
    let scripted = prepared.scripted(&args.program.program)?;
    let key = development_key(&places.keys()).map_err(store_failure)?;
    if key.created {
        console.note(&format!(
            "made a development key to sign evidence with: {}\nit is not encrypted; hand {} to whoever verifies",
            console::path(&key.private),
            console::path(&key.public)
        ));
    }
    let store = Arc::new(SqliteStore::open(&places.store, &OpenOptions::default()).map_err(store_failure)?);
    let host = HostRef {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        binary: prepare::binary_digest()?,
        engine: engine.name().to_owned(),
        config: engine.config_digest(),
    };
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
    let linked = match &decided {
        Ok(plan) => prepared.link(plan, &engine)?,
        Err(_) => HashMap::new(),
    };
    let trust = super::evidence::own_trust(places)?;
    let domain = prepared.domain(&args.program.program);
    let models = Models::new(scripted);
    let tools = Tools { linked, models, seed, domain, trust };
    let mut ledger = open(&store, &prepared, key, opened)?;
    let id = ledger.run().clone();
    seal_open(&mut ledger, &prepared, host, opened, &record, &inputs, &seed)?;
    match decided {
        Err(denied) => {
            seal_refusal(&mut ledger, &denied)?;
            refused(args, places, console, &prepared, &denied, &id)
        }
        Ok(plan) => {
            seal_plan(&mut ledger, &plan)?;
            let run = Run::start(Arc::clone(&plan), inputs, opened);
            let (run, ledger, observed) = perform(run, ledger, tools, args, &progress)?;
            report(args, places, console, &prepared, &run, &ledger, &observed, model_file.as_deref(), &store)
        }
    }
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

fn open(
    store: &Arc<SqliteStore>,
    prepared: &Prepared,
    key: DevelopmentKey,
    opened: Timestamp,
) -> anyhow::Result<Ledger> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).context("the operating system gives no randomness")?;
    let id = RunId::from_random(bytes);
    let open = OpenRun { program: prepared.program.name().to_owned(), opened, start: None };
    let fence = match store.begin(&id, &open).map_err(store_failure)? {
        Begun::Owned(fence) => fence,
        Begun::Held { run, .. } => return Err(store_failure(StoreError::RunExists { run })),
    };
    let chain = Chain::open(id, prepared.program.digest(), "local", Arc::new(key.signer));
    Ok(Ledger::new(Arc::clone(store), fence, chain, opened))
}

fn seal_open(
    ledger: &mut Ledger,
    prepared: &Prepared,
    host: HostRef,
    opened: Timestamp,
    record: &Value,
    inputs: &Map<String, Value>,
    seed: &[u8; 32],
) -> anyhow::Result<()> {
    let signer = SignerRef { key: *ledger.key().digest(), development: true };
    let policies = prepared.policy.policies.iter().map(|policy| PolicyRef {
        digest: policy.digest(),
        trusted: matches!(policy.trust(), nanohost_core::Trust::Trusted),
    });
    let policies = policies.collect();
    let seed: String = seed.iter().map(|byte| format!("{byte:02x}")).collect();
    ledger.seal(Kind::RunOpen, opened, |committer| {
        committer.json(Role::ADMISSION, record);
        committer.json(Role::INPUT, &Value::Object(inputs.clone()));
        committer.json(Role::SEED, &Value::String(seed));
        Parts { host: Some(host), signer: Some(signer), policies, ..Parts::default() }
    })
}

fn seal_plan(ledger: &mut Ledger, plan: &Plan) -> anyhow::Result<()> {
    ledger.bind(plan.digest());
    let authority: Vec<AuthorityRef> = plan.rows().iter().map(AuthorityRef::of_row).collect();
    let now = ledger.now();
    ledger.seal(Kind::Plan, now, |_| Parts { authority, ..Parts::default() })?;
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

fn perform(
    run: Run,
    ledger: Ledger,
    tools: Tools,
    args: &RunArgs,
    progress: &Progress,
) -> anyhow::Result<(Run, Ledger, Vec<CallObserved>)> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let shown = !args.quiet && !args.json;
    let finished = runtime.block_on(async {
        let cancellation = Cancellation::default();
        signals::watch(cancellation.clone());
        let on_step = |step: &str| {
            if shown {
                progress.detail(&format!("running {step}"));
            }
        };
        Drive::new(run, ledger, tools, cancellation, &on_step).drive().await
    });
    progress.clear();
    // A guest that does not hear is not waited for: everything of the run is on disk.
    runtime.shutdown_background();
    finished
}

fn refused(
    args: &RunArgs,
    places: &Places,
    console: &Console,
    prepared: &Prepared,
    denied: &Denied,
    id: &RunId,
) -> anyhow::Result<Exit> {
    let findings = denied.diagnostics();
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
        console.note(&console::render(&prepared.warnings, console.colour_err()));
        console.note(&console::render(&findings, console.colour_err()));
        console.print(&console::refusal(prepared.program.name(), id, denied.gaps().len(), &places.store))?;
    }
    Ok(Exit::Denied)
}

#[expect(clippy::too_many_arguments, reason = "the parts of one report, each from another place")]
fn report(
    args: &RunArgs,
    places: &Places,
    console: &Console,
    prepared: &Prepared,
    run: &Run,
    ledger: &Ledger,
    observed: &[CallObserved],
    model: Option<&Path>,
    store: &SqliteStore,
) -> anyhow::Result<Exit> {
    let mut warnings = prepared.warnings.clone();
    warnings.extend(run.plan().warnings().clone());
    let interrupted = store
        .runs()
        .map_err(store_failure)?
        .iter()
        .filter(|run| matches!(run.state, nanohost_store::RunState::Interrupted))
        .count();
    let summary = Summary {
        run,
        id: ledger.run(),
        head: ledger.head(),
        observed,
        policy: &prepared.policy,
        model,
        store: &places.store,
        interrupted,
        exit: exit_of(run),
    };
    if args.json {
        console.json(&console::summary_json(&summary, &warnings))?;
    } else {
        if !args.quiet {
            console.note(&console::render(&warnings, console.colour_err()));
        }
        console.print(&console::summary(&summary))?;
    }
    Ok(summary.exit)
}

/// The exit code of a run that is over or waits.
fn exit_of(run: &Run) -> Exit {
    let Some(end) = run.end() else { return Exit::Suspended };
    match (end.status, end.error) {
        (Status::Success, _) => Exit::Success,
        (Status::NotAdmitted, _) => Exit::Denied,
        (_, Some(kind)) if kind.is_authority() => Exit::Denied,
        // A step that failed, the one that ended the run or one of its block, had tried what the
        // table does not hold.
        (Status::Failed, _)
            if run
                .records()
                .iter()
                .any(|record| record.status == StepStatus::Failed && record.denied > 0) =>
        {
            Exit::Denied
        }
        _ => Exit::RunFailed,
    }
}
