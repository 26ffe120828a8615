//! `nanohost erase`: values of runs go, and with them what they could be guessed by; their evidence
//! stays as it is. An act says so, before anything goes.

use std::collections::{BTreeMap, BTreeSet};

use nanohost_core::act::{Erasure, ValueRef};
use nanohost_core::{Diagnostic, Diagnostics, Role, RunId};
use nanohost_store::{
    Fence, Holds as _, Journal as _, Purge, Records, RunRecord, SqliteStore, Subject, Taken, VaultError,
};
use serde_json::json;

use super::{evidence, log};
use crate::acts::{self, Acts};
use crate::cli::EraseArgs;
use crate::console::{self, Console, program_name};
use crate::erasing;
use crate::failure::{Exit, Failure};
use crate::project::Places;
use crate::store_failure;

/// What is to go of one run.
enum Part {
    /// All values but documents, and what the run had written beside them.
    Whole,
    /// These.
    Values(BTreeSet<(u64, Role)>),
}

/// What goes of one run, looked up.
struct Planned {
    run: RunId,
    values: Vec<ValueRef>,
    /// What was erased before.
    already: Vec<ValueRef>,
    /// Key-value entries; `None`: they stay.
    key_values: Option<u64>,
    /// Whether its evidence does not verify.
    damaged: bool,
}

/// What goes, and what does not since its evidence does not verify and nobody said to go on all the same.
struct Plan {
    runs: Vec<Planned>,
    left: Diagnostics,
    exit: Exit,
}

/// `nanohost erase`.
pub fn erase(args: &EraseArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let parts = parts(args, places)?;
    if args.dry_run {
        let reader = crate::read_store(places)?;
        let plan = planned(&parts, args.damaged, &reader, places)?;
        held(&plan.runs, &reader)?;
        return told(&plan, None, args, console);
    }
    let store = crate::open_store(places)?;
    // Nobody goes on with these runs meanwhile.
    let _fences = parts.keys().map(|run| owned(&store, run)).collect::<anyhow::Result<Vec<Fence>>>()?;
    let plan = planned(&parts, args.damaged, &store, places)?;
    held(&plan.runs, &store)?;
    if plan.runs.iter().all(|planned| planned.values.is_empty() && planned.key_values.unwrap_or(0) == 0) {
        return told(&plan, Some(Purge::Done), args, console);
    }
    let mut acts = Acts::take(&store, places)?;
    for planned in &plan.runs {
        seal(&mut acts, planned, args)?;
    }
    if let Some(run) = acts.append()? {
        // Somebody laid a hold on it since we looked.
        let message = format!("a legal hold was laid on run {} just now", run.short());
        return Err(Failure::denied(Diagnostic::error("erase_held", message).help(HOLDS)));
    }
    let purge = erasing::finish(&store, acts.fence(), places)?;
    log::witnessed::at_end(places).iter().for_each(|why| console.note(why));
    told(&plan, Some(purge), args, console)
}

const HOLDS: &str =
    "`nanohost hold list` shows the holds; whoever may end one does so with `nanohost hold remove`";

/// What was named, by run.
fn parts(args: &EraseArgs, places: &Places) -> anyhow::Result<BTreeMap<RunId, Part>> {
    let mut parts = BTreeMap::new();
    if let Some(subject) = &args.subject {
        let reader = crate::read_store(places)?;
        let runs = match Subject::new(subject) {
            Some(subject) => reader.runs_of(&subject).map_err(store_failure)?,
            None => Vec::new(),
        };
        if runs.is_empty() {
            let help = "a subject is said exactly as the program's `subject` came out; runs of programs without \
                        one are erased by their ids";
            let finding = Diagnostic::error("unknown_subject", "no run of this store is of that subject");
            return Err(Failure::usage(finding.help(help)));
        }
        parts.extend(runs.into_iter().map(|run| (run, Part::Whole)));
    }
    for what in &args.what {
        let Some(rest) = what.strip_prefix("run/") else {
            parts.insert(evidence::find(what, places)?, Part::Whole);
            continue;
        };
        let unknown = || unknown_ref(what, "it is not run/ID/ENVELOPE/ROLE");
        let (run, place) = rest.split_once('/').ok_or_else(unknown)?;
        let run = evidence::find(run, places)?;
        let value: ValueRef = format!("run/{run}/{place}").parse().map_err(|_| unknown())?;
        match parts.entry(run).or_insert_with(|| Part::Values(BTreeSet::new())) {
            Part::Whole => {}
            Part::Values(values) => drop(values.insert((value.seq, value.role))),
        }
    }
    Ok(parts)
}

fn unknown_ref(what: &str, why: &str) -> anyhow::Error {
    let message = format!("there is no value {}: {why}", what.escape_debug());
    let help = format!(
        "`{} trace RUN --json` shows the envelopes of a run and what each of them holds",
        program_name()
    );
    Failure::usage(Diagnostic::error("unknown_ref", message).help(help))
}

/// A run that nobody else is at.
fn owned(store: &SqliteStore, run: &RunId) -> anyhow::Result<Fence> {
    match store.take(run).map_err(store_failure)? {
        Taken::Owned(fence) => Ok(fence),
        Taken::Live | Taken::Unknown => {
            let message = format!("run {} is being run by another process", run.short());
            let help = format!(
                "wait for it, or end it first: {} cancel {} --reason TEXT",
                program_name(),
                run.short()
            );
            Err(Failure::usage(Diagnostic::error("erase_live", message).help(help)))
        }
    }
}

/// Looks up what goes. In evidence that verifies an act never names what no envelope commits to; of
/// other evidence, where somebody said to go on, it names what the store holds. A run that is left never
/// keeps others.
fn planned(
    parts: &BTreeMap<RunId, Part>,
    damaged: bool,
    store: &(impl Records + nanohost_store::Holds),
    places: &Places,
) -> anyhow::Result<Plan> {
    let trust = evidence::own_trust(places)?;
    let mut plan =
        Plan { runs: Vec::with_capacity(parts.len()), left: Diagnostics::new(), exit: Exit::Success };
    for (run, part) in parts {
        let record = match acts::load(store, run) {
            Ok(record) => record,
            Err(error) if parts.len() > 1 => {
                let message = format!("nothing of run {} is erased: {error}", run.short());
                plan.left.push(Diagnostic::error(error.code(), message).help(error.help()));
                plan.exit = Exit::Host;
                continue;
            }
            Err(error) => return Err(store_failure(error)),
        };
        let record =
            record.ok_or_else(|| unknown_ref(run.as_str(), "its run was there a moment ago and is gone"))?;
        let (report, _) = evidence::verify_record(&record, &trust);
        if report.fault.is_some() && !damaged {
            let message = format!("nothing of run {} is erased: {}", run.short(), evidence::why_bad(&report));
            let help = format!(
                "--damaged erases what the store holds of it, and the act says that its evidence did not verify; \
                 `{} verify {}` shows every check",
                program_name(),
                run.short()
            );
            plan.left.push(Diagnostic::error("evidence_bad", message).help(help));
            plan.exit = evidence::exit_of_bad(&report);
            continue;
        }
        let planned = of_run(run, part, &record, store)?;
        plan.runs.push(Planned { damaged: report.fault.is_some(), ..planned });
    }
    if plan.runs.is_empty() {
        return Err(Failure { exit: plan.exit, findings: plan.left }.into());
    }
    Ok(plan)
}

fn of_run(
    run: &RunId,
    part: &Part,
    record: &RunRecord,
    store: &impl nanohost_store::Holds,
) -> anyhow::Result<Planned> {
    let mut there: BTreeMap<(u64, Role), bool> = BTreeMap::new();
    for stored in &record.contents {
        let Ok(role) = Role::new(&stored.place.role) else { continue };
        there.insert((stored.place.seq, role), matches!(stored.content, Err(VaultError::Erased { .. })));
    }
    let wanted: Vec<(u64, Role)> = match part {
        Part::Whole => there.keys().filter(|(_, role)| !role.is_document()).cloned().collect(),
        Part::Values(values) => values.iter().cloned().collect(),
    };
    let (mut values, mut already) = (Vec::new(), Vec::new());
    for (seq, role) in wanted {
        let value = ValueRef { run: run.clone(), seq, role };
        if value.role.is_document() {
            let message = format!("{value} is the program, its manifests and the policy");
            let help = "it holds nothing that the run was given, and without it nothing of the run verifies; erase \
                        the values of the run, or remove what should not stand in the program from there";
            return Err(Failure::usage(Diagnostic::error("not_erasable", message).help(help)));
        }
        match there.get(&(value.seq, value.role.clone())) {
            Some(false) => values.push(value),
            Some(true) => already.push(value),
            None => return Err(unknown_ref(&value.to_string(), "no envelope of its run holds it")),
        }
    }
    let key_values = match part {
        Part::Whole => Some(store.kv_of(run).map_err(store_failure)?),
        Part::Values(_) => None,
    };
    Ok(Planned { run: run.clone(), values, already, key_values, damaged: false })
}

/// A legal hold refuses, with its reason.
fn held(planned: &[Planned], store: &impl nanohost_store::Holds) -> anyhow::Result<()> {
    let mut findings = Diagnostics::new();
    for Planned { run, .. } in planned {
        for hold in store.holds_on(run).map_err(store_failure)? {
            let message = format!(
                "hold {} lies on run {} since {}, by {}: {}",
                hold.id,
                run.short(),
                hold.since,
                hold.principal,
                hold.reason
            );
            findings.push(Diagnostic::error("erase_held", message).help(HOLDS));
        }
    }
    if findings.is_empty() { Ok(()) } else { Err(Failure::denied(findings)) }
}

fn seal(acts: &mut Acts<'_>, planned: &Planned, args: &EraseArgs) -> anyhow::Result<()> {
    let reason = args.reason.as_deref().unwrap_or_default();
    // An act names values: where all of them went before, and only the rest is left, one of those.
    let values = match (&planned.values[..], &planned.already[..], planned.key_values) {
        ([], [first, ..], Some(1..)) => std::slice::from_ref(first),
        (values, ..) => values,
    };
    for (at, refs) in values.chunks(Erasure::MAX_REFS).enumerate() {
        // The rest of a run goes with the first of its values.
        let key_values = planned.key_values.filter(|_| at == 0);
        let rest_of = key_values.map(|_| planned.run.clone());
        acts.erase(&args.principal, (Role::REASON, reason), rest_of, |reason| Erasure {
            refs: refs.to_vec(),
            key_values: key_values.unwrap_or(0),
            whole: key_values.is_some(),
            damaged: planned.damaged,
            basis: args.basis,
            approver: args.approver.clone(),
            reason,
        })?;
    }
    Ok(())
}

fn told(plan: &Plan, purge: Option<Purge>, args: &EraseArgs, console: &Console) -> anyhow::Result<Exit> {
    let planned = &plan.runs[..];
    let mut findings = plan.left.clone();
    let exit = if purge == Some(Purge::Pending) { Exit::Host } else { plan.exit };
    let values: Vec<&ValueRef> = planned.iter().flat_map(|planned| &planned.values).collect();
    let already: Vec<&ValueRef> = planned.iter().flat_map(|planned| &planned.already).collect();
    let key_values: u64 = planned.iter().filter_map(|planned| planned.key_values).sum();
    let pending = Diagnostic::error("purge_pending", "everything is erased, and copies of it remain in the files of the store")
        .help("a process reads an earlier moment of the store: the next command that writes to it tries again, once that has ended");
    if purge == Some(Purge::Pending) {
        findings.push(pending);
    }
    let damaged: Vec<&RunId> =
        planned.iter().filter(|planned| planned.damaged).map(|planned| &planned.run).collect();
    if args.json {
        let mut document = json!({
            "dryRun": args.dry_run,
            "runs": planned.iter().map(|planned| &planned.run).collect::<Vec<_>>(),
            "values": values,
            "already": already,
            "keyValues": key_values,
            "damaged": damaged,
            "purge": purge.map(|purge| if purge == Purge::Done { "done" } else { "pending" }),
            "exitCode": exit as u8,
        });
        if !findings.is_empty() {
            document["findings"] = console::findings_json(&findings);
        }
        console.json(&document)?;
        return Ok(exit);
    }
    console.note(&console::render(&findings, console.look_err()));
    if args.dry_run {
        let listed: String = values.iter().map(|value| format!("{value}\n")).collect();
        console.print(&listed)?;
        console.note(&format!(
            "nothing was erased: these are {} values of {} runs, and {key_values} key-value entries",
            values.len(),
            planned.len()
        ));
        return Ok(exit);
    }
    if values.is_empty() && key_values == 0 {
        console.print(&format!("all of it was erased before: {} values\n", already.len()))?;
        return Ok(exit);
    }
    console.print(&format!(
        "erased {} values of {} runs, and {key_values} key-value entries\n",
        values.len(),
        planned.len()
    ))?;
    if !already.is_empty() {
        console.note(&format!("{} values of them were erased before", already.len()));
    }
    if !damaged.is_empty() {
        console.note(&format!(
            "the evidence of {} of these runs does not verify: the acts say so",
            damaged.len()
        ));
    }
    console.note("not reached: what tools and models were sent, backups, and exports that were handed out");
    Ok(exit)
}
