//! `nanohost tool infer`, `diff` and `lint`: what a tool's manifest should say, what a new version changes, and
//! what is for a person to look at.

use std::path::{Path, PathBuf};

use nanohost_core::cases::{ToolCase, parse_tool_cases};
use nanohost_core::review::{Change, Item, Reviewed, compare_tools, lint_tool};
use nanohost_core::{Diagnostic, Digest, ToolName};
use nanohost_sandbox::Engine;
use nanohost_verify::whole;
use serde_json::{Value, json};

use crate::cli::{PackageArgs, ToolDiffArgs, ToolInferArgs, ToolLintArgs};
use crate::console::{self, Console, Progress};
use crate::failure::{Exit, Failure};
use crate::project::{self, MANIFEST, Places};
use crate::tool::{Package, Standing, draft, observe};

/// `nanohost tool infer`.
pub fn infer(args: &ToolInferArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let progress = Progress::new(!args.json);
    let engine = Engine::new()?;
    let package = Package::read(&args.which.tool, &args.which.packages, places, &engine, &progress)?;
    let (facts, old) = (package.loaded.facts(), package.manifest.as_ref());
    let name = name(&package);
    let mut observed = None;
    let draft = if args.observe.is_empty() {
        draft::from_imports(&name, facts, old)?
    } else {
        package.needs_no_fault()?;
        progress.stage("calling the tool as its cases say");
        let cases = cases(&args.observe)?;
        let runtime = tokio::runtime::Runtime::new()?;
        let seen = runtime.block_on(observe::observe(&package, &cases, &engine))?;
        progress.clear();
        let draft = draft::from_observation(&name, facts, old, &seen)?;
        observed = Some(seen);
        draft
    };
    let path = package.component.with_file_name(MANIFEST);
    let path = package.manifest_path.clone().unwrap_or(path);
    if args.write {
        let io = |error: std::io::Error| Failure::io("manifest_not_written", "write", &path, &error);
        whole::replace_shared(&path, |file| std::io::Write::write_all(file, draft.text.as_bytes()))
            .map_err(io)?;
    }
    if args.json {
        let asks =
            observed.as_ref().map(|seen| seen.asks.iter().map(ToString::to_string).collect::<Vec<_>>());
        console.json(&json!({
            "exitCode": Exit::Success as u8,
            "component": facts.component,
            "manifest": draft.text,
            "digest": Digest::of(draft.text.as_bytes()),
            "open": draft.open,
            "observed": asks,
            "cases": observed.as_ref().map(|seen| seen.cases),
            "written": args.write.then_some(&path),
        }))?;
        return Ok(Exit::Success);
    }
    console.note(&console::render(&package.warnings, console.look_err()));
    let open: String = draft.open.iter().map(|text| format!("open: {}\n", console::escaped(text))).collect();
    console.note(&open);
    match args.write {
        true => console.print(&format!("{} is written; read it\n", console::path(&path)))?,
        false => console.print(&console::lines(&draft.text))?,
    }
    Ok(Exit::Success)
}

/// What a manifest that is not there yet would call the tool.
fn name(package: &Package) -> String {
    let file = package.component.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let folder = package.component.canonicalize().ok();
    let folder =
        folder.as_deref().and_then(Path::parent).and_then(Path::file_name).and_then(|name| name.to_str());
    let name = if file == "component" { folder.unwrap_or(file) } else { file };
    let name = name.replace('_', "-");
    ToolName::new(&name).map_or_else(|_| "tool".to_owned(), |name| name.to_string())
}

fn cases(files: &[PathBuf]) -> anyhow::Result<Vec<(ToolCase, PathBuf)>> {
    let mut all = Vec::new();
    for file in files {
        let source = project::read_source(file, "the cases")?;
        let folder = file.parent().unwrap_or(Path::new("")).to_owned();
        let cases = parse_tool_cases(&source).map_err(Failure::usage)?;
        all.extend(cases.into_iter().map(|case| (case, folder.clone())));
    }
    Ok(all)
}

/// A package, for its reviewer.
fn reviewed(package: &Package) -> Reviewed<'_> {
    Reviewed { manifest: package.manifest.as_ref(), facts: package.loaded.facts() }
}

/// Whose word there is: that somebody else's or nobody's is now is for a person to look at.
fn publisher(old: &Standing, new: &Standing) -> Item {
    let says = |standing: &Standing| match standing {
        Standing::Verified { publisher, .. } => publisher.clone(),
        Standing::Failed(why) => format!("failed: {why}"),
        Standing::NotSigned => standing.as_str().to_owned(),
    };
    let (before, after) = (says(old), says(new));
    let is_same = before == after;
    // Without the key at hand nobody knows whose word is gone: that it is gone is seen.
    let lost = !matches!(old, Standing::NotSigned) && !is_same && !matches!(new, Standing::Verified { .. });
    let other = matches!((old, new), (Standing::Verified { .. }, Standing::Verified { .. })) && !is_same;
    let failed = matches!(new, Standing::Failed(_)) && !is_same;
    let lost = lost || other;
    Item {
        change: match (is_same, lost || failed) {
            (true, _) => Change::Unchanged,
            (false, true) => Change::Widened,
            (false, false) => Change::Narrowed,
        },
        widens: lost || failed,
        program: None,
        tool: None,
        what: "publisher",
        before: Some(before),
        after: Some(after),
    }
}

/// `nanohost tool diff`.
pub fn diff(args: &ToolDiffArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let progress = Progress::new(!args.json && !args.markdown);
    let engine = Engine::new()?;
    let old = Package::read(&args.old, &PackageArgs::default(), places, &engine, &progress)?;
    let new = Package::read(&args.new, &PackageArgs::default(), places, &engine, &progress)?;
    let mut items = compare_tools(reviewed(&old), reviewed(&new));
    items.insert(0, publisher(&old.standing, &new.standing));
    let exit = if items.iter().any(|item| item.widens) { Exit::RunFailed } else { Exit::Success };
    let side = |package: &Package| {
        json!({
            "title": package.title(),
            "standing": package.standing.as_str(),
            "component": package.loaded.facts().component,
            "manifest": package.manifest.as_ref().map(|own| own.digest()),
        })
    };
    if args.json {
        console.json(&json!({
            "exitCode": exit as u8,
            "widens": exit != Exit::Success,
            "old": side(&old),
            "new": side(&new),
            "lines": items.iter().map(console::change_json).collect::<Value>(),
        }))?;
    } else if args.markdown {
        console.print(&console::tool_difference_markdown(&old, &new, &items))?;
    } else {
        console.print(&console::tool_difference(&old, &new, &items))?;
    }
    Ok(exit)
}

/// `nanohost tool lint`.
pub fn lint(args: &ToolLintArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let progress = Progress::new(!args.json);
    let engine = Engine::new()?;
    let mut found = nanohost_core::Diagnostics::new();
    let mut names = Vec::new();
    let (mut unread, mut worst) = (false, Exit::Success);
    for tool in &args.tools {
        let read = Package::read(tool, &PackageArgs::default(), places, &engine, &progress)
            .and_then(|package| Ok((package.needs_manifest()?.name().to_string(), package)));
        let (name, package) = match read {
            Ok(read) => read,
            // The others are looked at all the same.
            Err(error) => {
                let failure = error.downcast::<Failure>()?;
                unread = true;
                worst = if failure.exit as u8 > worst as u8 { failure.exit } else { worst };
                found.extend(failure.findings);
                continue;
            }
        };
        names.push(name);
        found.extend(lint_tool(reviewed(&package)));
        for why in crate::tool::Inspection::of(&package).refusals() {
            let message = format!("manifest and component are not in step: {}", why.escape_debug());
            found.push(Diagnostic::error("manifest_out_of_step", message).help("mend the one that is wrong"));
        }
    }
    let own = match (found.has_errors(), args.strict && !found.is_empty()) {
        (true, _) => Exit::Usage,
        (false, true) => Exit::RunFailed,
        (false, false) => Exit::Success,
    };
    let exit = if unread && worst as u8 > own as u8 { worst } else { own };
    if args.json {
        console.json(&json!({
            "exitCode": exit as u8,
            "tools": names,
            "findings": console::findings_json(&found),
        }))?;
    } else {
        console.note(&console::render(&found, console.look_err()));
        let count = found.iter().count();
        console.print(&format!(
            "{}: {count} {}\n",
            names.join(", "),
            if count == 1 { "finding" } else { "findings" }
        ))?;
    }
    Ok(exit)
}
