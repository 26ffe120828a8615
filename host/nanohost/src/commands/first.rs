//! A start with an idempotency key that was used before: the answer is the first run's.

use std::sync::Arc;

use nanohost_core::trace::RunState;
use nanohost_core::{Diagnostic, RunId};
use nanohost_sandbox::Engine;
use nanohost_store::{Fence, SqliteStore};
use serde_json::json;

use super::driving::{self, Driven, Manner};
use super::reopen::{self, Reopened, Took};
use crate::cli::{GoOnArgs, RunArgs};
use crate::console::{self, Console, Progress, Sight};
use crate::failure::{Exit, Failure};
use crate::prepare::Prepared;
use crate::project::Places;

/// How the first run stands.
pub enum First {
    /// Its process died before its first commit: the id is ours now.
    NotBegun(Fence),
    /// A live process has it.
    Live(RunId),
    /// It is over, waits, or was interrupted.
    Known(Box<Reopened>),
}

/// Looks at the first run.
pub fn look(store: &SqliteStore, run: &RunId, places: &Places) -> anyhow::Result<First> {
    Ok(match reopen::take(store, run, places)? {
        Took::Owned(reopened) => First::Known(reopened),
        Took::NotBegun(fence) => First::NotBegun(fence),
        Took::Live => First::Live(run.clone()),
    })
}

/// The store says that a run was started with this key, and the run's own evidence says otherwise.
pub fn redirected(run: &RunId) -> anyhow::Error {
    let message =
        format!("run {} is to be the first with this idempotency key, and began otherwise", run.short());
    let help = "somebody wrote to the store without its keys; restore it from a backup, or give another key";
    Failure::host(Diagnostic::error("store_conflict", message).help(help))
}

/// Tells of the first run; one that was interrupted goes on.
pub fn answer(
    first: First,
    args: &RunArgs,
    prepared: &Prepared,
    engine: &Engine,
    store: &Arc<SqliteStore>,
    places: &Places,
    console: &Console,
) -> anyhow::Result<Exit> {
    let manner = Manner { json: args.json, quiet: args.quiet, sight: Sight::of(args.reveal) };
    let reopened = match first {
        First::Known(reopened) => *reopened,
        First::Live(id) => {
            before(&id, "it is still running", manner, console);
            return told(&id, prepared, "running", Exit::Open, manner, console);
        }
        First::NotBegun(fence) => {
            return told(fence.run(), prepared, "never began", Exit::Open, manner, console);
        }
    };
    let stands = match reopened.state() {
        RunState::Closed => "this is its result",
        RunState::Suspended => "it has no result yet, this is how it waits",
        RunState::Open => "its process ended before it did, and now it goes on",
    };
    before(&reopened.id, stands, manner, console);
    if reopened.state() == RunState::Open && reopened.trace.machine().is_some() {
        let progress = Progress::new(manner.is_shown());
        let go_on = GoOnArgs {
            program: Some(args.program.program.clone()),
            policy: args.program.policy.clone(),
            tools: args.program.tools.clone(),
            packages: args.program.packages.clone(),
        };
        let ready =
            super::recover::taken_over(reopened, &go_on, &args.principal, store, places, engine, &progress)?;
        return Ok(ready.go_on(manner, places, console, store, &progress)?.0);
    }
    let (id, head, run) = reopened.into_told();
    let Some(run) = run else {
        return told(&id, prepared, "not_admitted", Exit::Denied, manner, console);
    };
    let driven = Driven {
        run: &run,
        id: &id,
        head,
        observed: &[],
        policy: &prepared.policy,
        warnings: &prepared.warnings,
        model: None,
    };
    driving::report(&driven, manner, places, console, store)
}

/// Says that no run was started now, and how the first one stands.
fn before(id: &RunId, stands: &str, manner: Manner, console: &Console) {
    if manner.is_shown() {
        console.note(&format!("this idempotency key started run {} before: {stands}", id.short()));
    }
}

fn told(
    id: &RunId,
    prepared: &Prepared,
    state: &str,
    exit: Exit,
    manner: Manner,
    console: &Console,
) -> anyhow::Result<Exit> {
    let program = prepared.program.name();
    if manner.json {
        console.json(&json!({ "run": id, "program": program, "status": state, "exitCode": exit as u8 }))?;
    } else {
        console.print(&format!("{} {state}\nrun {id}\n", console::escaped(program)))?;
    }
    Ok(exit)
}
