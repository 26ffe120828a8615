//! `nanohost update`: the one command that writes a lock. What a lock pins is what its user looked
//! at: no run moves it by itself, since then it would pin nothing.

use std::collections::BTreeSet;

use nanohost_core::lock::{Move, Pins, moves};
use nanohost_core::{Diagnostic, Diagnostics, ToolName};
use nanohost_sandbox::Engine;
use serde_json::{Value, json};

use crate::cli::{ProgramArgs, UpdateArgs};
use crate::console::{self, Console, Progress};
use crate::failure::{Exit, Failure};
use crate::prepare::{self, Behind};
use crate::project::{self, Places, quoted};

/// `nanohost update`.
pub fn update(args: &UpdateArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let pinned = project::read_lock(&args.program)?;
    let progress = Progress::new(!args.json);
    let engine = Engine::new()?;
    let asked = ProgramArgs {
        tools: args.tools.clone(),
        packages: args.packages.clone(),
        ..ProgramArgs::of(&args.program)
    };
    let behind = Behind::read(&asked, places, &engine, &progress)?;
    let now = prepare::pins(&behind.program, &behind.tools)?;
    let before = pinned.as_ref().map(|lock| lock.pins().clone());
    let after = match (&before, args.only.as_slice()) {
        (_, []) => now.clone(),
        (Some(before), only) => {
            known(only, before, &now)?;
            before.clone().with(&now, only)
        }
        (None, _) => return Err(nothing_pinned(args)),
    };
    let moved = moves(before.as_ref().unwrap_or(&Pins::default()), &after);
    // A lock of no tools is written too: it says that there are none.
    let due = before.as_ref() != Some(&after);
    let path = match due && !args.dry_run {
        true => project::write_lock(&args.program, &after.to_text())?,
        false => project::lock_path(&args.program),
    };
    let left: BTreeSet<ToolName> = moves(&after, &now).into_iter().map(|own| own.tool).collect();
    let mut warnings = behind.warnings;
    warnings.extend(left.iter().map(|tool| still_differs(tool, args)).collect());
    let exit = if due && args.dry_run { Exit::RunFailed } else { Exit::Success };
    if args.json {
        console.json(&json!({
            "exitCode": exit as u8,
            "program": behind.program.name(),
            "lock": path,
            "written": due && !args.dry_run,
            "changes": moved.iter().map(as_json).collect::<Vec<_>>(),
            "findings": console::findings_json(&warnings),
        }))?;
        return Ok(exit);
    }
    console.note(&console::render(&warnings, console.look_err()));
    console.print(&console::moved(&moved))?;
    let shown = console::path(&path);
    console.print(&match (due, args.dry_run) {
        (false, _) => format!("{shown} is up to date\n"),
        (true, true) => format!("{shown} is left as it is\n"),
        (true, false) => format!("wrote {shown}\n"),
    })?;
    Ok(exit)
}

fn known(only: &[ToolName], before: &Pins, now: &Pins) -> anyhow::Result<()> {
    let names: BTreeSet<&ToolName> = before.iter().chain(now.iter()).map(|(name, _)| name).collect();
    let unknown = only.iter().filter(|name| !names.contains(name));
    let findings: Diagnostics = unknown
        .map(|name| {
            let all: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
            Diagnostic::error("unknown_tool", format!("neither the program nor its lock has a tool `{name}`"))
                .help(format!("they have {}", all.join(", ")))
        })
        .collect();
    if findings.is_empty() { Ok(()) } else { Err(Failure::usage(findings)) }
}

/// A lock of some of the tools would refuse the program for the others.
fn nothing_pinned(args: &UpdateArgs) -> anyhow::Error {
    let path = project::lock_path(&args.program);
    Failure::usage(
        Diagnostic::error("lock_missing", format!("there is no {} to move a tool in", path.display())).help(
            format!(
                "pin all tools of the program first: {} update {}",
                console::program_name(),
                quoted(&args.program)
            ),
        ),
    )
}

fn still_differs(tool: &ToolName, args: &UpdateArgs) -> Diagnostic {
    let message =
        format!("`{tool}` is not what the lock pins either: the program is refused until it is moved");
    Diagnostic::warning("lock_mismatch", message).help(format!(
        "read what has changed, then: {} update {} {tool}",
        console::program_name(),
        quoted(&args.program)
    ))
}

fn as_json(own: &Move) -> Value {
    json!({
        "tool": own.tool,
        "what": own.what,
        "change": own.change.as_str(),
        "before": own.before,
        "after": own.after,
    })
}
