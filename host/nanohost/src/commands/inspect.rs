//! `nanohost plan` and `nanohost check`: what would happen, without a tool running. `plan` builds tools
//! that are not built, where that is allowed.

use nanohost_core::{Refusal, admit};
use nanohost_sandbox::Engine;
use serde_json::json;

use crate::cli::{CheckArgs, PlanArgs};
use crate::console::{self, Console, Progress};
use crate::failure::{Exit, Failure};
use crate::ledger;
use crate::prepare::{self, Prepared};
use crate::project::Places;

/// `nanohost check`.
pub fn check(args: &CheckArgs, console: &Console) -> anyhow::Result<Exit> {
    let (program, warnings) = prepare::program(&args.program)?;
    if args.json {
        console.json(&json!({
            "valid": true,
            "program": program.name(),
            "digest": program.digest(),
            "steps": program.steps().len(),
            "findings": console::findings_json(&warnings),
        }))?;
    } else {
        console.note(&console::render(&warnings, console.colour_err()));
        console.print(&format!(
            "{} is sound: {} steps, every target exists, every step can be reached, every loop ends\n",
            console::escaped(program.name()),
            program.steps().len()
        ))?;
    }
    Ok(Exit::Success)
}

/// `nanohost plan`.
pub fn plan(args: &PlanArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let progress = Progress::new(!args.json);
    let engine = Engine::new()?;
    let prepared = Prepared::read(&args.program, places, &engine, &progress)?;
    let plan = match admit(prepared.admission(ledger::now())) {
        Ok(plan) => plan,
        Err(Refusal::Invalid(findings)) => return Err(Failure::usage(findings)),
        Err(Refusal::Denied(denied)) => return Err(Failure::denied(denied.diagnostics())),
    };
    // Linked and let go: what a run would be refused for is found here too.
    prepared.link(&plan, &engine)?;
    let mut warnings = prepared.warnings.clone();
    warnings.extend(plan.warnings().clone());
    if args.json {
        console.json(&console::plan_json(&plan, &prepared.policy, &warnings))?;
    } else {
        console.note(&console::render(&warnings, console.colour_err()));
        console.print(&console::plan(&plan, &prepared.policy))?;
    }
    Ok(Exit::Success)
}
