//! `nanohost run`: the main job, from a file to a run whose evidence is on disk.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context as _;
use nanohost_core::envelope::Chain;
use nanohost_core::run::{ErrorKind, Run, Status};
use nanohost_core::{
    AdmissionRecord, CheckedProgram, Denied, Diagnostic, Diagnostics, Refusal, RunId, Source, admit,
    read_json,
};
use nanohost_sandbox::Engine;
use nanohost_store::Begun;
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
use crate::opening::{self, Starter};
use crate::prepare::Prepared;
use crate::project::{self, Places};
use crate::{acts, signing};

/// `nanohost run`.
pub fn run(args: &RunArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let manner = Manner { json: args.json, quiet: args.quiet, sight: Sight::of(args.reveal) };
    executable::begin(places);
    let progress = Progress::new(manner.is_shown());
    let engine = Engine::new()?;
    let prepared = Prepared::read_pinned(&args.program, places, &engine, &progress)?;
    let inputs = inputs(args, &prepared.program)?;
    // Before anything of it is kept.
    opening::subject(&prepared, &inputs)?;
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
    let starter = Starter { principal: &args.principal, key: args.idempotency_key.as_deref() };
    let fence = match opening::begin(&store, starter, &prepared, &inputs, opened)? {
        Begun::Owned(fence) => fence,
        Begun::Held { run, same: true } => match first::look(&store, &run, places)? {
            First::NotBegun(fence) => fence,
            First::Known(reopened) if !reopened.was_started(&prepared, &inputs, &args.principal) => {
                return Err(first::redirected(&run));
            }
            first => return first::answer(first, args, &prepared, &engine, &store, places, console),
        },
        Begun::Held { run, same: false } => return Err(opening::reused(&run)),
    };
    fault::point();
    let id = fence.run().clone();
    let chain =
        Chain::open(id.clone(), prepared.program.digest(), args.principal.as_str(), Arc::new(key.signer));
    let mut ledger = Ledger::new(Arc::clone(&store), fence, chain, opened);
    let host = driving::host(&engine, places)?;
    opening::seal_open(
        &mut ledger,
        &prepared,
        host,
        opened,
        &record,
        &inputs,
        &seed,
        &launch,
        key.development,
    )?;
    match decided {
        Err(denied) => {
            opening::seal_refusal(&mut ledger, &denied)?;
            refused(args, places, console, &prepared, &denied, &id)
        }
        Ok(plan) => {
            opening::seal_plan(&mut ledger, &plan)?;
            // The listing knows the run from its first step on.
            ledger.commit()?;
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
