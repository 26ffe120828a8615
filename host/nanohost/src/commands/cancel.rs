//! `nanohost cancel`: a run ends, whoever has it.

use std::time::{Duration, Instant};

use nanohost_core::envelope::Observed;
use nanohost_core::run::{Event, Slot};
use nanohost_core::trace::RunState;
use nanohost_core::{Diagnostic, RunId};
use nanohost_store::{Journal as _, Phase, Records as _, SqliteStore};
use serde_json::json;

use super::reopen::{self, Took};
use crate::cli::CancelArgs;
use crate::console::{Console, program_name};
use crate::failure::{Exit, Failure};
use crate::project::Places;
use crate::store_failure;

/// How long the process that has a run is given to end it before we stop waiting.
const PATIENCE: Duration = Duration::from_secs(30);
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// `nanohost cancel`.
pub fn cancel(args: &CancelArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let (store, id) = reopen::find(&args.run, places)?;
    let reopened = match reopen::take(&store, &id, places)? {
        Took::Owned(reopened) => reopened,
        Took::Live => {
            store.ask_to_stop(&id, &args.reason).map_err(store_failure)?;
            return await_end(&store, &id, args, console);
        }
        Took::NotBegun(fence) => {
            store.forget(fence).map_err(store_failure)?;
            return told(&id, "never began", args, console);
        }
    };
    if reopened.state() == RunState::Closed {
        let help = format!("`{} trace {}` shows what it did", program_name(), id.short());
        return Err(reopen::not_suspended(&id, "is over", help));
    }
    let (run, mut ledger) = reopened.close(&args.principal, &store, places)?;
    let Some(mut run) = run else {
        return Err(reopen::not_suspended(&id, "was refused before anything ran", String::new()));
    };
    if !run.is_closing() {
        let reason = Slot::known(args.reason.as_str().into());
        ledger.record(&mut run, Event::Cancelled { reason }, Observed::default())?;
    }
    if let nanohost_core::run::Next::Record(Event::Closed(end)) = run.next() {
        let status = end.status;
        ledger.record(&mut run, Event::Closed(end), Observed::default())?;
        ledger.phase(Phase::Closed(status.to_string()));
    }
    ledger.commit()?;
    told(&id, "cancelled", args, console)
}

/// The process that has the run was asked to end it.
fn await_end(store: &SqliteStore, id: &RunId, args: &CancelArgs, console: &Console) -> anyhow::Result<Exit> {
    let asked = Instant::now();
    while asked.elapsed() < PATIENCE {
        if !store.is_live(id).map_err(store_failure)? {
            let runs = store.runs().map_err(store_failure)?;
            let state = runs.iter().find(|run| run.run == *id).map(|run| run.state.as_str().to_owned());
            return told(id, &state.unwrap_or_else(|| "gone".to_owned()), args, console);
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
    let message = format!("run {} was asked to stop, and its process has not stopped it yet", id.short());
    Err(Failure::host(
        Diagnostic::error("still_running", message)
            .help(format!("the request stands; `{} list` shows when it has ended", program_name())),
    ))
}

fn told(id: &RunId, state: &str, args: &CancelArgs, console: &Console) -> anyhow::Result<Exit> {
    if args.json {
        console.json(&json!({ "run": id, "status": state, "exitCode": Exit::Success as u8 }))?;
    } else {
        console.print(&format!("run {} {state}\n", id.short()))?;
    }
    Ok(Exit::Success)
}
