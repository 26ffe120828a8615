//! `nanohost recover`: runs whose process is gone go on from what is on disk.

use std::sync::Arc;

use nanohost_core::RunId;
use nanohost_core::envelope::Observed;
use nanohost_core::run::{Event, Run, Status, SuspensionCause};
use nanohost_core::trace::RunState;
use nanohost_sandbox::Engine;
use nanohost_store::{Journal as _, Phase, Records as _, SqliteStore};
use serde_json::{Value, json};

use super::driving::{self, Manner};
use super::reopen::{self, Ready, Reopened, Took};
use crate::cli::{GoOnArgs, RecoverArgs};
use crate::console::{self, Console, Progress, Sight};
use crate::drive;
use crate::failure::{Exit, Failure};
use crate::project::Places;
use crate::store_failure;

/// `nanohost recover`.
pub fn recover(args: &RecoverArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let manner = Manner { json: args.json, quiet: args.quiet, sight: Sight::Projected };
    let (store, runs) = match &args.run {
        Some(run) => {
            let (store, id) = reopen::find(run, places)?;
            (store, vec![(id, String::new())])
        }
        None => {
            let store = crate::open_store(places)?;
            let runs = store.runs().map_err(store_failure)?;
            let interrupted =
                runs.into_iter().filter(|run| matches!(run.state, nanohost_store::RunState::Interrupted));
            // The oldest first: they began first.
            let mut runs: Vec<(RunId, String)> = interrupted.map(|run| (run.run, run.program)).collect();
            runs.reverse();
            (Arc::new(store), runs)
        }
    };
    let engine = Engine::new()?;
    let progress = Progress::new(manner.is_shown());
    let mut worst = Exit::Success;
    let mut told = Vec::new();
    for (id, program) in runs {
        let outcome = one(&id, args, manner, &store, places, &engine, &progress);
        if let Some((exit, line)) = line(&id, &program, outcome) {
            worst = if exit == Exit::Success || is_lost(&line) { worst } else { exit };
            told.push(line);
        }
    }
    tell(&told, "interrupted", manner, console)?;
    Ok(worst)
}

fn one(
    id: &RunId,
    args: &RecoverArgs,
    manner: Manner,
    store: &Arc<SqliteStore>,
    places: &Places,
    engine: &Engine,
    progress: &Progress,
) -> anyhow::Result<Option<Finished>> {
    // Of a run that was named it is said how it stands; of all, only those that went on.
    let as_it_is = |finished: Finished| Ok(args.run.is_some().then_some(finished));
    let reopened = match reopen::take(store, id, places)? {
        Took::Owned(reopened) => reopened,
        // What a live process is doing is in flight, not left behind.
        Took::Live => return as_it_is(Finished::without_run(Exit::Success, "running")),
        Took::NotBegun(fence) => {
            store.forget(fence).map_err(store_failure)?;
            return Ok(Some(Finished::without_run(Exit::Success, "never began")));
        }
    };
    let Some(run) = reopened.trace.machine() else {
        return as_it_is(Finished::without_run(Exit::Denied, Status::NotAdmitted.as_str()));
    };
    if reopened.state() != RunState::Open {
        return as_it_is(Finished::of(run, reopened.trace.predicates().count() as u64));
    }
    let ready = taken_over(*reopened, &args.go_on, &args.principal, store, places, engine, progress)?;
    ready.finish(manner, progress).map(Some)
}

/// An interrupted run, with the record that it goes on.
pub fn taken_over(
    reopened: Reopened,
    go_on: &GoOnArgs,
    principal: &nanohost_core::Principal,
    store: &Arc<SqliteStore>,
    places: &Places,
    engine: &Engine,
    progress: &Progress,
) -> anyhow::Result<Ready> {
    let mut ready = reopened.ready(go_on, principal, store, places, engine, progress)?;
    let observed = Observed { take_over: Some(ready.take_over.clone()), ..Observed::default() };
    ready.ledger.record(&mut ready.run, Event::Recovered, observed)?;
    let waits = ready.run.suspension().is_some();
    ready.ledger.phase(if waits { drive::suspended(&ready.run) } else { Phase::Open });
    ready.ledger.commit()?;
    Ok(ready)
}

/// A run of several, as it stands now.
pub struct Finished {
    exit: Exit,
    state: String,
    in_doubt: bool,
    program: Option<String>,
    envelopes: Option<u64>,
}

impl Finished {
    fn of(run: &Run, envelopes: u64) -> Self {
        Self {
            exit: driving::exit_of(run),
            state: run.end().map_or_else(|| run.location(), |end| end.status.to_string()),
            in_doubt: run.suspension().is_some_and(|at| at.cause == SuspensionCause::InDoubt),
            program: Some(run.plan().program().name().to_owned()),
            envelopes: Some(envelopes),
        }
    }

    fn without_run(exit: Exit, state: &str) -> Self {
        Self { exit, state: state.to_owned(), in_doubt: false, program: None, envelopes: None }
    }
}

impl Ready {
    /// Drives the run on without a report of its own.
    pub fn finish(self, manner: Manner, progress: &Progress) -> anyhow::Result<Finished> {
        let Self { run, ledger, tools, .. } = self;
        let (run, ledger, _) = driving::perform(run, ledger, tools, manner, progress)?;
        Ok(Finished::of(&run, ledger.head().len))
    }
}

/// One line of the report of several runs; `None` where there was nothing to do.
pub fn line(id: &RunId, program: &str, outcome: anyhow::Result<Option<Finished>>) -> Option<(Exit, Value)> {
    match outcome {
        Ok(None) => None,
        Ok(Some(finished)) => {
            let line = json!({
                "run": id,
                "program": finished.program.as_deref().unwrap_or(program),
                "state": finished.state,
                "inDoubt": finished.in_doubt,
                "envelopes": finished.envelopes,
                "exitCode": finished.exit as u8,
            });
            Some((finished.exit, line))
        }
        Err(error) => {
            let (exit, findings) = match error.downcast::<Failure>() {
                Ok(failure) => (failure.exit, console::findings_json(&failure.findings)),
                Err(error) => {
                    (Exit::Host, json!([{ "code": "host_failed", "message": format!("{error:#}") }]))
                }
            };
            let line = json!({
                "run": id,
                "program": program,
                "state": "not gone on",
                "exitCode": exit as u8,
                "findings": findings,
            });
            Some((exit, line))
        }
    }
}

/// Whether a run cannot go on whoever tries, since its key was retired: it is told, and is no failure of
/// those that go on with the others.
pub fn is_lost(line: &Value) -> bool {
    line["findings"][0]["code"] == "key_retired"
}

/// Tells what became of several runs.
pub fn tell(lines: &[Value], what: &str, manner: Manner, console: &Console) -> anyhow::Result<()> {
    if manner.json {
        return console.json(&json!({ "runs": lines }));
    }
    console.print(&match manner.quiet {
        true => console::how_they_stand(lines),
        false => console::gone_on(lines, what),
    })
}
