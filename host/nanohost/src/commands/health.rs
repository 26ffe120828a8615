//! `nanohost health`: how a run went, beside another one, or how all of them did. Alerts inform:
//! only evidence that is bad is a failure.

use nanohost_core::health::{Records, TraceHealth};
use nanohost_core::{Diagnostic, RunId, TrustRoot};
use nanohost_store::{OpenOptions, Records as _, SqliteReader, StoreError, StoredAct};

use super::evidence::{exit_of_bad, trusted, verified, verify_record, why_bad};
use crate::cli::HealthArgs;
use crate::console::{self, Console, Overview};
use crate::failure::{Exit, Failure};
use crate::project::Places;
use crate::{acts, store_failure};

/// `nanohost health`.
pub fn health(args: &HealthArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let evidence = match &args.evidence {
        Some(evidence) => evidence,
        None if args.all => return all(args, places, console),
        None => {
            let finding = Diagnostic::error("missing_argument", "say which run, or --all");
            let help = format!(
                "`{name} list` shows the runs; `{name} health --all` takes them together",
                name = console::program_name()
            );
            return Err(Failure::usage(finding.help(help)));
        }
    };
    let judged = |run: &String| verified(run, args.trust.as_deref(), places, console);
    let trace = judged(evidence)?;
    let baseline = args.baseline.as_ref().map(judged).transpose()?;
    let records = Records::from(&trace);
    let health = TraceHealth::of(&records, baseline.as_ref().map(Records::from).as_ref());
    if args.json {
        console.json(&console::health_json(&trace, &records, &health, baseline.as_ref()))?;
    } else {
        console.print(&console::health(&trace, &records, &health, baseline.as_ref()))?;
    }
    Ok(Exit::Success)
}

/// One run of the store after the other: none is held while the next is read.
fn all(args: &HealthArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let mut overview = Overview::default();
    let mut worst = Exit::Success;
    match SqliteReader::open(&places.store, &OpenOptions::default()) {
        Ok(store) => {
            crate::outside::agrees(&store, places)?;
            let runs: Vec<RunId> =
                store.runs().map_err(store_failure)?.into_iter().map(|run| run.run).collect();
            // Without a run there is nothing that needs a key.
            let trust = match runs.is_empty() {
                true => TrustRoot::default(),
                false => trusted(args.trust.as_deref(), places)?.root(),
            };
            let about_keys = acts::about_keys(&store).map_err(store_failure)?;
            for run in runs {
                let exit = one(&run, &store, (&trust, &about_keys), &mut overview)?;
                worst = if worst == Exit::Success { exit } else { worst };
            }
        }
        // Nothing has run yet: that is an overview of nothing, not an error.
        Err(StoreError::NoStore { dir }) => {
            console.note(&format!("there is no store in {}", console::path(&dir)));
        }
        Err(error) => return Err(store_failure(error)),
    }
    if args.json {
        console.json(&console::overview_json(&overview))?;
    } else {
        console.print(&console::overview(&overview))?;
    }
    Ok(worst)
}

/// Takes one run into account: analysed, empty, or named for its evidence.
fn one(
    run: &RunId,
    store: &SqliteReader,
    (trust, about_keys): (&TrustRoot, &[StoredAct]),
    overview: &mut Overview,
) -> anyhow::Result<Exit> {
    overview.runs += 1;
    let Some(mut record) = store.load(run).map_err(store_failure)? else {
        overview.bad.push((
            run.clone(),
            Exit::Truncated as u8,
            "it was there a moment ago and is gone".to_owned(),
        ));
        return Ok(Exit::Truncated);
    };
    acts::join(&mut record, about_keys);
    let (report, trace) = verify_record(&record, trust);
    match trace {
        Some(trace) if report.fault.is_none() => {
            overview.statistics.add(&trace);
        }
        None if report.fault.is_none() && report.open => overview.empty.push(run.clone()),
        _ => {
            let exit = exit_of_bad(&report);
            overview.bad.push((run.clone(), exit as u8, why_bad(&report)));
            return Ok(exit);
        }
    }
    Ok(Exit::Success)
}
