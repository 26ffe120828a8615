//! `nanohost cancel`: a run ends, whoever has it.

use std::time::{Duration, Instant};

use nanohost_core::envelope::Observed;
use nanohost_core::receipt::{Receipt, UnknownCall};
use nanohost_core::run::{Event, Slot, Status};
use nanohost_core::trace::RunState;
use nanohost_core::{Diagnostic, RunId};
use nanohost_store::{Journal as _, Phase};
use serde_json::json;

use super::reopen::{self, Took};
use crate::cli::CancelArgs;
use crate::console::{self, Console, program_name};
use crate::failure::{Exit, Failure};
use crate::project::Places;
use crate::store_failure;

/// How long the process that has a run is given to end it before we stop waiting.
const PATIENCE: Duration = Duration::from_secs(30);
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// `nanohost cancel`.
pub fn cancel(args: &CancelArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let (store, id) = reopen::find(&args.run, places)?;
    let since = Instant::now();
    let mut asked = false;
    let reopened = loop {
        match reopen::take(&store, &id, places)? {
            Took::Owned(reopened) => break reopened,
            Took::Live if !asked => {
                store.ask_to_stop(&id, &args.reason).map_err(store_failure)?;
                asked = true;
            }
            Took::Live if since.elapsed() < PATIENCE => std::thread::sleep(BETWEEN_LOOKS),
            Took::Live => return Err(still_running(&id)),
            Took::NotBegun(fence) => {
                store.forget(fence).map_err(store_failure)?;
                return told(&id, "never began", &[], args, console);
            }
        }
    };
    let ended = reopened.trace.machine().and_then(|run| run.end().map(|end| end.status));
    // The end of a run settles none of its calls: those of which nobody knew are unknown after it.
    let unknown = Receipt::from(&reopened.trace).unknown_calls;
    if asked && ended == Some(Status::Cancelled) {
        return told(&id, "cancelled", &unknown, args, console);
    }
    if reopened.state() == RunState::Closed {
        let help = format!("`{} trace {}` shows what it did", program_name(), id.short());
        return Err(reopen::not_suspended(&id, "is over", help));
    }
    let (run, mut ledger) = reopened.close(&args.principal, &args.reason, &store, places)?;
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
    // Its end, and the act that may have let another key end it, are shown as the end of any run is.
    super::log::witnessed::at_end(places).iter().for_each(|why| console.note(why));
    told(&id, "cancelled", &unknown, args, console)
}

/// The process that has the run was asked to end it, and has not yet.
fn still_running(id: &RunId) -> anyhow::Error {
    let message = format!("run {} was asked to stop, and its process has not stopped it yet", id.short());
    Failure::host(
        Diagnostic::error("still_running", message)
            .help(format!("the request stands; `{} list` shows when it has ended", program_name())),
    )
}

fn told(
    id: &RunId,
    state: &str,
    unknown: &[UnknownCall],
    args: &CancelArgs,
    console: &Console,
) -> anyhow::Result<Exit> {
    if args.json {
        console.json(&json!({
            "run": id,
            "status": state,
            "unknownCalls": unknown,
            "exitCode": Exit::Success as u8,
        }))?;
    } else {
        console.print(&format!("run {} {state}\n", id.short()))?;
        console.note(&console::unknown_calls(unknown));
    }
    Ok(Exit::Success)
}
