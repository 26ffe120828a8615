//! `nanohost plan`, `nanohost check` and `nanohost graph`: what would happen, without a tool running.
//! `plan` builds tools that are not built, where that is allowed.

use nanohost_core::{Refusal, admit};
use nanohost_sandbox::Engine;
use serde_json::json;

use crate::cli::{CheckArgs, GraphArgs, GraphFormat, PlanArgs};
use crate::console::{self, Console, Progress};
use crate::failure::{Exit, Failure};
use crate::ledger;
use crate::prepare::{self, Prepared};
use crate::project::Places;

/// `nanohost check`.
pub fn check(args: &CheckArgs, console: &Console) -> anyhow::Result<Exit> {
    let (program, warnings) = prepare::program(&args.program)?;
    let models: Vec<&str> = program.models().into_keys().collect();
    if args.json {
        console.json(&json!({
            "valid": true,
            "program": program.name(),
            "digest": program.digest(),
            "steps": program.steps().len(),
            "models": models,
            "findings": console::findings_json(&warnings),
        }))?;
    } else {
        console.note(&console::render(&warnings, console.look_err()));
        console.print(&format!(
            "{} is sound: {} steps, every target exists, every step can be reached, every loop is bounded\n",
            console::escaped(program.name()),
            program.steps().len()
        ))?;
        if !models.is_empty() {
            let names: Vec<String> = models.iter().map(|alias| console::escaped(alias)).collect();
            console.print(&format!(
                "it asks models that the policy has to grant, each with a row in [models]: {}\n",
                names.join(", ")
            ))?;
        }
    }
    Ok(Exit::Success)
}

/// `nanohost graph`. What the checker finds is said beside the drawing, which shows it.
pub fn graph(args: &GraphArgs, console: &Console) -> anyhow::Result<Exit> {
    let (drawing, findings) = prepare::parsed(&args.program)?.draw();
    let (language, text) = match args.format {
        GraphFormat::Mermaid => ("mermaid", drawing.to_mermaid()),
        GraphFormat::Dot => ("dot", drawing.to_dot()),
    };
    if let Some(path) = &args.output {
        let io = |error: std::io::Error| Failure::io("graph_unwritable", "write", path, &error);
        // Drawn again after every change of the program: the file of before is replaced.
        std::fs::write(path, &text).map_err(io)?;
    }
    if args.json {
        console.json(&json!({ language: text, "findings": console::findings_json(&findings) }))?;
        return Ok(Exit::Success);
    }
    console.note(&console::render(&findings, console.look_err()));
    if args.output.is_none() {
        console.print(&text)?;
    }
    Ok(Exit::Success)
}

/// `nanohost plan`.
pub fn plan(args: &PlanArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let progress = Progress::new(!args.json);
    let engine = Engine::new()?;
    let prepared = Prepared::read_pinned(&args.program, places, &engine, &progress)?;
    let plan = match admit(prepared.admission(ledger::now())) {
        Ok(plan) => plan,
        Err(Refusal::Invalid(findings)) => return Err(Failure::usage(findings)),
        Err(Refusal::Denied(denied)) => {
            if !args.json {
                console.print(&console::whole(&denied))?;
            }
            return Err(Failure::denied(prepared.policy.told(denied.diagnostics())));
        }
    };
    // Linked and let go: what a run would be refused for is found here too.
    prepared.link(&plan, &engine)?;
    let mut warnings = prepared.warnings.clone();
    warnings.extend(plan.warnings().clone());
    if args.json {
        console.json(&console::plan_json(&plan, &prepared.policy, &warnings))?;
    } else {
        console.note(&console::render(&warnings, console.look_err()));
        console.print(&console::plan(&plan, &prepared.policy))?;
    }
    Ok(Exit::Success)
}
