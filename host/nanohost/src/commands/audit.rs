//! `nanohost audit`, and the catalogue: `nanohost tool list`, `show` and `search`.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use nanohost_core::{Diagnostic, Diagnostics, Severity};
use nanohost_sandbox::Engine;
use nanohost_verify::whole;
use serde_json::json;

use crate::audit::{Audit, Tool};
use crate::cli::{AuditArgs, FailOn, ToolListArgs, ToolSearchArgs, ToolShowArgs};
use crate::console::{self, Console, Progress};
use crate::failure::{Exit, Failure};
use crate::project::Places;

/// `nanohost audit`.
pub fn audit(args: &AuditArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let audit =
        Audit::of(&args.paths, &args.packages.reach(), places, &Engine::new()?, &Progress::new(!args.json))?;
    if audit.programs.is_empty() && audit.tools.is_empty() {
        return Err(nothing(&args.paths));
    }
    let count = |severity| audit.findings.iter().filter(|own| own.finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let fails = match args.fail_on {
        FailOn::Never => false,
        FailOn::Error => errors > 0,
        FailOn::Warning => errors + warnings > 0,
    };
    let exit = if fails { Exit::RunFailed } else { Exit::Success };
    if let Some(path) = &args.sarif {
        let text = format!("{:#}\n", console::sarif(&audit, &std::env::current_dir()?));
        whole::replace_shared(path, |draft| draft.write_all(text.as_bytes()))
            .map_err(|error| Failure::io("sarif_unwritable", "write", path, &error))?;
    }
    if args.json {
        let mut document = console::audit_json(&audit);
        document["exitCode"] = json!(exit as u8);
        document["errors"] = json!(errors);
        document["warnings"] = json!(warnings);
        console.json(&document)?;
        return Ok(exit);
    }
    let findings: Diagnostics = audit.findings.iter().map(|own| own.finding.clone()).collect();
    console.note(&console::render(&findings, console.look_err()));
    console.print(&console::audit(&audit))?;
    Ok(exit)
}

/// `nanohost tool list`.
pub fn list(args: &ToolListArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let audit =
        Audit::of(&args.paths, &args.packages.reach(), places, &Engine::new()?, &Progress::new(!args.json))?;
    shown(&audit, &|_, _| true, args.json, console)
}

/// `nanohost tool search`.
pub fn search(args: &ToolSearchArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let audit =
        Audit::of(&args.paths, &args.packages.reach(), places, &Engine::new()?, &Progress::new(!args.json))?;
    let words: Vec<String> = args.text.split_whitespace().map(str::to_lowercase).collect();
    shown(&audit, &|_, tool| words.iter().all(|word| mentions(tool, word)), args.json, console)
}

/// `nanohost tool show`.
pub fn show(args: &ToolShowArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let audit =
        Audit::of(&args.paths, &args.packages.reach(), places, &Engine::new()?, &Progress::new(!args.json))?;
    let is_meant = |dir: &Path, tool: &Tool| {
        tool.name.as_str() == args.name
            || audit
                .programs
                .iter()
                .flat_map(|program| &program.uses)
                .any(|own| own.dir == dir && own.local.as_str() == args.name)
    };
    let meant: Vec<(&PathBuf, &Tool)> =
        audit.tools.iter().filter(|(dir, tool)| is_meant(dir, tool)).collect();
    if meant.is_empty() {
        let message = format!("no tool here is called `{}`", args.name.escape_debug());
        let names: BTreeSet<&str> = audit.tools.values().map(|tool| tool.name.as_str()).collect();
        let names: Vec<&str> = names.into_iter().take(20).collect();
        let help = match names.is_empty() {
            true => "name the folder of the programs and tools".to_owned(),
            false => format!("there are: {}", names.join(", ")),
        };
        return Err(Failure::usage(Diagnostic::error("unknown_tool", message).help(help)));
    }
    if args.json {
        let tools = meant.iter().map(|(dir, tool)| console::catalogued_json(&audit, dir, tool));
        console.json(&json!({ "exitCode": 0, "tools": tools.collect::<Vec<_>>() }))?;
    } else {
        let all = meant.iter().map(|(dir, tool)| console::catalogued(&audit, dir, tool));
        console.print(&all.collect::<Vec<_>>().join("\n"))?;
    }
    Ok(Exit::Success)
}

fn mentions(tool: &Tool, word: &str) -> bool {
    let has = |text: &str| text.to_lowercase().contains(word);
    has(tool.name.as_str())
        || tool.description.as_deref().is_some_and(has)
        || tool.asks.iter().any(|ask| has(ask))
        || tool.functions.iter().any(|(name, says)| has(name) || says.as_deref().is_some_and(has))
}

fn shown(
    audit: &Audit,
    wanted: &dyn Fn(&Path, &Tool) -> bool,
    json: bool,
    console: &Console,
) -> anyhow::Result<Exit> {
    let tools: Vec<(&PathBuf, &Tool)> = audit.tools.iter().filter(|(dir, tool)| wanted(dir, tool)).collect();
    let unread = audit.programs.iter().filter(|program| program.name.is_none()).count();
    if json {
        let each = tools.iter().map(|(dir, tool)| console::catalogued_json(audit, dir, tool));
        console.json(&json!({
            "exitCode": 0,
            "tools": each.collect::<Vec<_>>(),
            "programs": audit.programs.len(),
            "programsNotRead": unread,
        }))?;
        return Ok(Exit::Success);
    }
    if unread > 0 {
        console.note(&format!(
            "{unread} of {} programs cannot be read, so that what they use is not told: `{} audit` says why\n",
            audit.programs.len(),
            console::program_name()
        ));
    }
    console.print(&console::catalogue(audit, &tools))?;
    Ok(Exit::Success)
}

fn nothing(paths: &[PathBuf]) -> anyhow::Error {
    let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    let message = format!("no program and no tool is in {}", names.join(", "));
    Failure::usage(Diagnostic::error("no_programs", message).help("name the folder of the programs"))
}
