//! `nanohost list`: the listing of the store, or, where something is asked of the runs, those whose
//! verified evidence says so. One run after the other: none is held while the next is read.

use std::collections::{HashMap, HashSet};

use nanohost_core::envelope::{Kind, Predicate};
use nanohost_core::receipt::Receipt;
use nanohost_core::run::{Status, SuspensionCause};
use nanohost_core::trace::Trace;
use nanohost_core::{Role, RunId, StepId, StepKind, ToolName};
use nanohost_store::{OpenOptions, Records as _, RunState, RunSummary, SqliteReader, StoreError};
use serde_json::Value;

use super::evidence::{exit_of_bad, own_trust, trusted, verify_record, why_bad};
use crate::cli::{ListArgs, ListedState, Recall};
use crate::console::{self, Console, Recalled, RecalledRun};
use crate::failure::Exit;
use crate::project::Places;
use crate::{acts, store_failure};

/// No more envelopes of one run are named: what says so a thousand times says it no better.
const MAX_NAMED: usize = 1000;

/// `nanohost list`.
pub fn list(args: &ListArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let store = match SqliteReader::open(&places.store, &OpenOptions::default()) {
        Ok(store) => {
            crate::outside::agrees(&store, places)?;
            Some(store)
        }
        // Nothing has run yet: that is an empty list, not an error.
        Err(StoreError::NoStore { dir }) => {
            console.note(&format!("there is no store in {}", console::path(&dir)));
            None
        }
        Err(error) => return Err(store_failure(error)),
    };
    let runs = store.as_ref().map(|store| store.runs().map_err(store_failure)).transpose()?;
    let mut runs = runs.unwrap_or_default();
    runs.retain(|run| args.state.is_none_or(|state| is_in(&run.state, state)));
    if !args.which.is_all() {
        let recalled = match &store {
            Some(store) => recall(args, &runs, store, places)?,
            None => Recalled::default(),
        };
        if args.json {
            console.json(&console::recalled_json(&recalled))?;
        } else {
            console.print(&console::recalled(&recalled))?;
        }
        return Ok(recalled.exit());
    }
    let in_doubt =
        store.as_ref().map(|store| in_doubt(store, &runs, places)).transpose()?.unwrap_or_default();
    if args.json {
        let runs: Vec<_> = runs
            .iter()
            .map(|run| {
                serde_json::json!({
                    "run": run.run,
                    "program": run.program,
                    "opened": run.opened,
                    "envelopes": run.len,
                    "state": run.state.as_str(),
                    "deadline": run.state.deadline(),
                    "inDoubt": in_doubt.contains(&run.run),
                })
            })
            .collect();
        console.json(&serde_json::json!({ "runs": runs }))?;
    } else {
        console.print(&console::list(&runs, &in_doubt))?;
    }
    Ok(Exit::Success)
}

/// Whether a run is in a state that was asked for.
fn is_in(run: &RunState, asked: ListedState) -> bool {
    let closed_as =
        |status: Status| matches!(run, RunState::Closed { status: word } if word == status.as_str());
    match asked {
        ListedState::Open => matches!(run, RunState::Running | RunState::Interrupted),
        ListedState::Running => matches!(run, RunState::Running),
        ListedState::Interrupted => matches!(run, RunState::Interrupted),
        ListedState::Suspended => matches!(run, RunState::Suspended { .. }),
        ListedState::Closed => matches!(run, RunState::Closed { .. }),
        ListedState::Success => closed_as(Status::Success),
        ListedState::Failed => closed_as(Status::Failed),
        ListedState::BudgetExceeded => closed_as(Status::BudgetExceeded),
        ListedState::Stalled => closed_as(Status::Stalled),
        ListedState::Cancelled => closed_as(Status::Cancelled),
        ListedState::NotAdmitted => closed_as(Status::NotAdmitted),
    }
}

/// Those of the runs that wait for no event, but for somebody to settle a call: the listing does not
/// say, so the evidence is asked, of those alone that are suspended without a deadline.
fn in_doubt(store: &SqliteReader, runs: &[RunSummary], places: &Places) -> anyhow::Result<HashSet<RunId>> {
    let waits = |run: &&RunSummary| matches!(run.state, RunState::Suspended { deadline: None });
    let mut waiting = runs.iter().filter(waits).peekable();
    if waiting.peek().is_none() {
        return Ok(HashSet::new());
    }
    // Where nobody is trusted nothing is said beyond what the listing holds.
    let Ok(trust) = own_trust(places) else { return Ok(HashSet::new()) };
    let mut found = HashSet::new();
    for run in waiting {
        // What cannot be read is listed as the listing has it.
        let Ok(Some(record)) = acts::load(store, &run.run) else { continue };
        let (_, trace) = verify_record(&record, &trust);
        let suspension = trace.as_ref().and_then(|trace| trace.machine()?.suspension());
        if suspension.is_some_and(|at| at.cause == SuspensionCause::InDoubt) {
            found.insert(run.run.clone());
        }
    }
    Ok(found)
}

/// Those of the runs whose verified evidence says what is asked for. What the listing says of them is
/// signed by nobody, so each is verified; those that are not good are named.
fn recall(
    args: &ListArgs,
    runs: &[RunSummary],
    store: &SqliteReader,
    places: &Places,
) -> anyhow::Result<Recalled> {
    let mut recalled = Recalled { looked: runs.len(), ..Recalled::default() };
    if runs.is_empty() {
        return Ok(recalled);
    }
    let trust = trusted(args.trust.as_deref(), places)?.root();
    let about_keys = acts::about_keys(store).map_err(store_failure)?;
    let mut unknown = Name::all(&args.which);
    for run in runs {
        let Some(mut record) = store.load(&run.run).map_err(store_failure)? else {
            recalled.bad(&run.run, Exit::Truncated, "it was there a moment ago and is gone".to_owned());
            continue;
        };
        acts::join(&mut record, &about_keys);
        let (report, trace) = verify_record(&record, &trust);
        match trace {
            Some(trace) if report.fault.is_none() => {
                unknown.retain(|name| !name.is_known_to(&trace));
                if let Some(found) = answers(&trace, &args.which) {
                    recalled.runs.push(found);
                }
            }
            None if report.fault.is_none() && report.open => recalled.empty.push(run.run.clone()),
            _ => recalled.bad(&run.run, exit_of_bad(&report), why_bad(&report)),
        }
    }
    recalled.unknown = unknown.iter().map(Name::words).collect();
    Ok(recalled)
}

/// A name that is asked for. One that nothing here knows is more likely mistyped than the name of what
/// never happened.
enum Name<'a> {
    Tool(&'a ToolName),
    Rule(&'a str),
    Model(&'a str),
    Principal(&'a str),
}

impl<'a> Name<'a> {
    fn all(which: &'a Recall) -> Vec<Self> {
        let Recall { tool, rule, model, principal, denied: _, since: _ } = which;
        let names = [
            tool.as_ref().map(Self::Tool),
            rule.as_deref().map(Self::Rule),
            model.as_deref().map(Self::Model),
            principal.as_deref().map(Self::Principal),
        ];
        names.into_iter().flatten().collect()
    }

    fn is_known_to(&self, trace: &Trace) -> bool {
        let mut predicates = trace.predicates();
        match self {
            Self::Tool(name) => {
                let which = Recall { tool: Some((*name).clone()), ..Recall::default() };
                trace.admission().tools().any(|tool| tool == *name)
                    || predicates.any(|predicate| {
                        predicate.denials.iter().any(|denial| denial.tool.as_ref() == Some(*name))
                            || proposed(trace, predicate, &which)
                    })
            }
            Self::Rule(id) => {
                trace.admission().rules().iter().any(|rule| rule == id)
                    || predicates.any(|predicate| {
                        let granted = predicate.authority.iter().flat_map(|row| &row.rules);
                        let refused = predicate.denials.iter().map(|denial| &denial.rule);
                        granted.chain(refused).any(|rule| rule == id)
                    })
            }
            Self::Model(name) => predicates.any(|predicate| {
                let asked = predicate.model.iter().any(|model| model.alias == *name || model.name == *name);
                asked || predicate.models.iter().any(|model| model.alias == *name || model.name == *name)
            }),
            Self::Principal(name) => predicates.any(|predicate| predicate.principal == *name),
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Tool(name) => format!("a tool `{name}`"),
            Self::Rule(id) => format!("a rule `{id}`"),
            Self::Model(name) => format!("a model `{name}`"),
            Self::Principal(name) => format!("a principal `{name}`"),
        }
    }
}

/// The run, where it is meant, and the envelopes that say so.
fn answers(trace: &Trace, which: &Recall) -> Option<RecalledRun> {
    if which.since.is_some_and(|since| trace.opened() < since.0) {
        return None;
    }
    let of_calls = which.tool.is_some() || which.rule.is_some() || which.denied;
    let mut tools = Tools::of(trace);
    let (mut matching, mut more) = (Vec::new(), 0u64);
    let (mut called, mut asked, mut acted) = (!of_calls, which.model.is_none(), which.principal.is_none());
    for predicate in trace.predicates() {
        let call = of_calls && (tools.speaks_of(predicate, which) || proposed(trace, predicate, which));
        let model = which.model.as_ref().is_some_and(|name| {
            predicate.model.as_ref().is_some_and(|model| model.alias == *name || model.name == *name)
        });
        let principal = which.principal.as_ref().is_some_and(|name| did(predicate, name));
        called |= call;
        asked |= model;
        acted |= principal;
        if call || model || principal {
            if matching.len() < MAX_NAMED { matching.push(predicate.run.seq) } else { more += 1 }
        }
    }
    (called && asked && acted).then(|| {
        let Receipt { run, program, status, opened, .. } = Receipt::from(trace);
        let envelopes = trace.predicates().len();
        RecalledRun { run, program, status, opened, envelopes, matching, more }
    })
}

/// Whether somebody of that name did it. What the machine records on the way stands under the name of
/// who opened the run, and is nobody's act.
fn did(predicate: &Predicate, name: &str) -> bool {
    let comes_from_outside = matches!(predicate.kind, Kind::RunOpen | Kind::Resume)
        || predicate.resolver.is_some()
        || predicate.step.as_ref().is_some_and(|step| step.event == "cancelled");
    comes_from_outside && predicate.principal == name
}

/// Whether a model proposed the tool, and it was refused: what is proposed is its text, and stands in no
/// field of an envelope.
fn proposed(trace: &Trace, predicate: &Predicate, which: &Recall) -> bool {
    let Some(tool) = &which.tool else { return false };
    let is_rule = |rule: &String| which.rule.as_ref().is_none_or(|id| id == rule);
    let is_refused = predicate.denials.iter().any(|denial| denial.tool.is_none() && is_rule(&denial.rule));
    let seq = usize::try_from(predicate.run.seq).unwrap_or(usize::MAX);
    let named = |value: &Value| value.as_str() == Some(tool.as_str());
    is_refused
        && trace
            .value(seq, &Role::DENIED)
            .is_some_and(|denied| named(denied) || denied.as_array().is_some_and(|all| all.iter().any(named)))
}

/// Which tool each step calls: a refusal names only the step.
struct Tools(HashMap<StepId, ToolName>);

impl Tools {
    /// As the program says; what a model proposes shows when it is called.
    fn of(trace: &Trace) -> Self {
        let program = trace.machine().map(|run| run.plan().program());
        let steps = program.into_iter().flat_map(|program| program.steps());
        Self(
            steps
                .filter_map(|step| match &step.kind {
                    StepKind::Tool(call) => Some((step.id.clone(), call.tool.clone())),
                    _ => None,
                })
                .collect(),
        )
    }

    /// Whether an envelope is about a call, or the refusal of one, that is meant.
    fn speaks_of(&mut self, predicate: &Predicate, which: &Recall) -> bool {
        if let (Some(step), Some(call)) = (&predicate.step, &predicate.call) {
            self.0.insert(step.id.clone(), call.tool.clone());
        }
        let is_tool = |tool: Option<&ToolName>| which.tool.as_ref().is_none_or(|name| tool == Some(name));
        let is_rule = |rule: &String| which.rule.as_ref().is_none_or(|id| id == rule);
        let of_step = predicate.step.as_ref().and_then(|step| self.0.get(&step.id));
        let refused = predicate
            .denials
            .iter()
            .any(|denial| is_tool(denial.tool.as_ref().or(of_step)) && is_rule(&denial.rule));
        let mut rules = predicate.authority.iter().flat_map(|row| &row.rules);
        let called = !which.denied
            && predicate.call.as_ref().is_some_and(|call| is_tool(Some(&call.tool)))
            && (which.rule.is_none() || rules.any(is_rule));
        refused || called
    }
}
