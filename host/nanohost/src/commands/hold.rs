//! `nanohost hold`: legal holds, which no erasure passes. Laying one and ending it are acts.

use std::collections::BTreeMap;

use nanohost_core::act::{Act, HeldOn, HoldAct, HoldChange};
use nanohost_core::{Diagnostic, Principal, Role, Timestamp};
use nanohost_store::{Effect, Hold, Holds as _, OpenOptions, SqliteReader, Subject};
use serde_json::{Value, json};

use super::{evidence, log};
use crate::acts::{self, Acts};
use crate::cli::{HoldArgs, HoldCommand};
use crate::console::{self, Console, program_name};
use crate::failure::{Exit, Failure};
use crate::ledger;
use crate::project::Places;
use crate::{erasing, store_failure};

/// `nanohost hold`.
pub fn hold(args: &HoldArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    match &args.command {
        HoldCommand::Add { run, subject, anyway, reason, principal, json } => {
            let on = match (run, subject) {
                (Some(run), _) => HeldOn::Run(evidence::find(run, places)?),
                (None, subject) => of_subject(subject.as_deref().unwrap_or_default(), *anyway, places)?,
            };
            let id = lay(&on, principal, reason, places)?;
            log::witnessed::at_end(places).iter().for_each(|why| console.note(why));
            if *json {
                console.json(&json!({ "hold": id }))?;
            } else {
                console.print(&format!("hold {id}\n"))?;
            }
        }
        HoldCommand::Remove { hold, reason, principal, json } => {
            end(*hold, principal, reason, places)?;
            log::witnessed::at_end(places).iter().for_each(|why| console.note(why));
            if *json {
                console.json(&json!({ "removed": hold }))?;
            } else {
                console.note(&format!("hold {hold} has ended"));
            }
        }
        HoldCommand::List { json } => {
            let reader = crate::read_store(places)?;
            let mut holds = reader.holds().map_err(store_failure)?;
            let acts = signed(&reader, places)?;
            // The act says when, whatever row was made of it and when.
            for hold in &mut holds {
                hold.since = acts.get(&hold.id).map_or(hold.since, |(_, time)| *time);
            }
            let signed: BTreeMap<u64, u64> = acts.into_iter().map(|(hold, (act, _))| (hold, act)).collect();
            if *json {
                let rows: Vec<Value> =
                    holds.iter().map(|hold| as_json(hold, signed.get(&hold.id).copied())).collect();
                console.json(&json!({ "holds": rows }))?;
            } else {
                console.print(&console::holds(&holds, &signed))?;
            }
        }
    }
    Ok(Exit::Success)
}

/// A subject of this store, or one that is yet to come where somebody says so.
fn of_subject(text: &str, anyway: bool, places: &Places) -> anyhow::Result<HeldOn> {
    let unknown = |message: &str, help: String| {
        Failure::usage(Diagnostic::error("unknown_subject", message).help(help))
    };
    let Some(subject) = Subject::new(text) else {
        let help = "say it as the program's `subject` comes out".to_owned();
        return Err(unknown("a subject is not empty", help));
    };
    // Looking makes no store.
    SqliteReader::open(&places.store, &OpenOptions::default()).map_err(store_failure)?;
    let store = crate::open_store(places)?;
    if !anyway && store.runs_of(&subject).map_err(store_failure)?.is_empty() {
        let help =
            "a subject is said exactly as the program's `subject` came out; --anyway lays the hold for runs \
                    that are yet to come"
                .to_owned();
        return Err(unknown("no run of this store is of that subject", help));
    }
    store.subject_hash(&subject).map(HeldOn::Subject).map_err(store_failure)
}

fn lay(on: &HeldOn, principal: &Principal, reason: &str, places: &Places) -> anyhow::Result<u64> {
    let store = crate::open_store(places)?;
    let mut acts = Acts::take(&store, places)?;
    let hold = store.next_hold(acts.fence()).map_err(store_failure)?;
    let since = ledger::now();
    let laid =
        store.sealed_hold(hold, on.clone(), since, principal.as_str(), reason).map_err(store_failure)?;
    said(&mut acts, HoldChange::Laid, hold, on, (principal, reason))?;
    acts.effect(Effect::Lay(laid));
    acts.commit(places)?;
    Ok(hold)
}

fn end(id: u64, principal: &Principal, reason: &str, places: &Places) -> anyhow::Result<()> {
    // Looking makes no store.
    SqliteReader::open(&places.store, &OpenOptions::default()).map_err(store_failure)?;
    let store = crate::open_store(places)?;
    let mut acts = Acts::take(&store, places)?;
    let Some(hold) = store.holds().map_err(store_failure)?.into_iter().find(|hold| hold.id == id) else {
        let finding = Diagnostic::error("unknown_hold", format!("there is no hold {id}"));
        return Err(Failure::usage(finding.help(format!("`{} hold list` shows the holds", program_name()))));
    };
    said(&mut acts, HoldChange::Ended, id, &hold.on, (principal, reason))?;
    acts.effect(Effect::End { hold: id });
    acts.append()?;
    // What opened its reason goes; the act is listed with that.
    erasing::finish(&store, acts.fence(), places)?;
    Ok(())
}

fn said(
    acts: &mut Acts<'_>,
    change: HoldChange,
    hold: u64,
    on: &HeldOn,
    (principal, reason): (&Principal, &str),
) -> anyhow::Result<()> {
    let act = acts.next_seq();
    acts.seal(principal, (Role::REASON, reason), |reason| {
        Act::Hold(HoldAct { change, hold, on: on.clone(), reason })
    })?;
    if let HeldOn::Run(run) = on {
        acts.effect(Effect::Bears { act, run: run.clone() });
    }
    Ok(())
}

/// The acts by which holds were laid, and when. One without was laid by an earlier version, which signed none.
fn signed(reader: &SqliteReader, places: &Places) -> anyhow::Result<BTreeMap<u64, (u64, Timestamp)>> {
    if acts::head(reader).map_err(store_failure)?.len == 0 {
        return Ok(BTreeMap::new());
    }
    let trust = evidence::own_trust(places)?;
    let (done, _) = acts::verified(reader, &trust).map_err(store_failure)?.map_err(|bad| bad.failure())?;
    let laid = done.iter().filter_map(|act| match &act.predicate.act {
        Act::Hold(HoldAct { change: HoldChange::Laid, hold, .. }) => {
            Some((*hold, (act.predicate.chain.seq, act.predicate.time)))
        }
        _ => None,
    });
    Ok(laid.collect())
}

fn as_json(hold: &Hold, act: Option<u64>) -> Value {
    let (on, run) = match &hold.on {
        HeldOn::Run(run) => ("run", Some(run)),
        HeldOn::Subject(_) => ("subject", None),
    };
    json!({
        "hold": hold.id,
        "on": on,
        "run": run,
        "runs": hold.runs,
        "act": act,
        "since": hold.since,
        "principal": hold.principal,
        "reason": hold.reason,
    })
}
