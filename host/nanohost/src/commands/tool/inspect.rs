//! `nanohost tool inspect` and `nanohost tool schema`. A tool that is not built yet is built, where that
//! is allowed; none is called.

use nanohost_core::ToolExport;
use nanohost_sandbox::Engine;
use serde_json::{Map, Value, json};

use crate::cli::{InspectArgs, SchemaArgs};
use crate::console::{self, Console, Progress};
use crate::failure::Exit;
use crate::project::Places;
use crate::tool::{Inspection, Package};

/// `nanohost tool inspect`.
pub fn inspect(args: &InspectArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let progress = Progress::new(!args.json);
    let package = Package::read(&args.which.tool, &args.which.packages, places, &Engine::new()?, &progress)?;
    let inspection = Inspection::of(&package);
    if args.json {
        console.json(&console::inspection_json(&inspection))?;
    } else {
        console.note(&console::render(&package.warnings, console.look_err()));
        console.print(&console::inspection(&inspection))?;
    }
    Ok(Exit::Success)
}

/// `nanohost tool schema`.
pub fn schema(args: &SchemaArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let progress = Progress::new(!args.json);
    let package = Package::read(&args.which.tool, &args.which.packages, places, &Engine::new()?, &progress)?;
    console.note(&console::render(&package.warnings, console.look_err()));
    let all: Vec<&ToolExport> = match &args.function {
        Some(named) => vec![package.function(named)?],
        None => package.loaded.facts().exports.iter().collect(),
    };
    let shown = |export: &ToolExport| match (args.input, args.output) {
        (true, _) => export.input.clone(),
        (_, true) => export.output.clone(),
        _ => json!({ "input": export.input, "output": export.output }),
    };
    let document = match all.as_slice() {
        [only] if args.function.is_some() || args.input || args.output => shown(only),
        several => {
            let each = several.iter().map(|export| (export.path(), shown(export)));
            Value::Object(each.collect::<Map<String, Value>>())
        }
    };
    console.json(&document)?;
    Ok(Exit::Success)
}
