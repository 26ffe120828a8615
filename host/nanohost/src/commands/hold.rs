//! `nanohost hold`: legal holds, which no erasure passes.

use nanohost_core::Diagnostic;
use nanohost_store::{Hold, HoldOn, Holds as _, OpenOptions, SqliteReader, Subject};
use serde_json::{Value, json};

use super::evidence;
use crate::cli::{HoldArgs, HoldCommand};
use crate::console::{self, Console};
use crate::failure::{Exit, Failure};
use crate::ledger;
use crate::project::Places;
use crate::store_failure;

/// `nanohost hold`.
pub fn hold(args: &HoldArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    match &args.command {
        HoldCommand::Add { run, subject, reason, principal, json } => {
            let on = match (run, subject.as_deref().and_then(Subject::new)) {
                (Some(run), _) => HoldOn::Run(evidence::find(run, places)?),
                (None, Some(subject)) => HoldOn::Subject(subject),
                (None, None) => {
                    let finding = Diagnostic::error("unknown_subject", "a subject is not empty");
                    return Err(Failure::usage(finding.help("say it as the program's `subject` comes out")));
                }
            };
            let store = crate::open_store(places)?;
            let id = store.add_hold(&on, principal.as_str(), ledger::now(), reason).map_err(store_failure)?;
            if *json {
                console.json(&json!({ "hold": id }))?;
            } else {
                console.print(&format!("hold {id}\n"))?;
            }
        }
        HoldCommand::Remove { hold, json } => {
            // Looking makes no store.
            SqliteReader::open(&places.store, &OpenOptions::default()).map_err(store_failure)?;
            if !crate::open_store(places)?.remove_hold(*hold).map_err(store_failure)? {
                let finding = Diagnostic::error("unknown_hold", format!("there is no hold {hold}"));
                return Err(Failure::usage(finding.help("`nanohost hold list` shows the holds")));
            }
            if *json {
                console.json(&json!({ "removed": hold }))?;
            } else {
                console.note(&format!("hold {hold} has ended"));
            }
        }
        HoldCommand::List { json } => {
            let reader = SqliteReader::open(&places.store, &OpenOptions::default()).map_err(store_failure)?;
            let holds = reader.holds().map_err(store_failure)?;
            if *json {
                let rows: Vec<Value> = holds.iter().map(as_json).collect();
                console.json(&json!({ "holds": rows }))?;
            } else {
                console.print(&console::holds(&holds))?;
            }
        }
    }
    Ok(Exit::Success)
}

fn as_json(hold: &Hold) -> Value {
    json!({
        "hold": hold.id,
        "on": if hold.run.is_some() { "run" } else { "subject" },
        "run": hold.run,
        "since": hold.since,
        "principal": hold.principal,
        "reason": hold.reason,
    })
}
