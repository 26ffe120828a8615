//! `nanohost tool test`: calls a tool as the cases beside it say, in the sandbox, with what its manifest asks
//! for. Touches no store, and records nothing.

use std::path::{Path, PathBuf};
use std::time::Instant;

use nanohost_core::cases::{ToolCase, parse_tool_cases};
use nanohost_core::{Ask, Capability, Diagnostic, Manifest};
use nanohost_sandbox::Engine;
use serde_json::{Value, json};

use crate::cli::ToolTestArgs;
use crate::console::{self, Console, Progress};
use crate::failure::{Exit, Failure};
use crate::project::{self, CASES, Places};
use crate::tool::trial::{self, Tried};
use crate::tool::{Package, junit};

/// `nanohost tool test`.
pub fn test(args: &ToolTestArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let progress = Progress::new(!args.json);
    let engine = Engine::new()?;
    let package = Package::read(&args.which.tool, &args.which.packages, places, &engine, &progress)?;
    package.needs_no_fault()?;
    let manifest = package.needs_manifest()?;
    if !args.connect {
        connects(manifest)?;
    }
    let files = files(&args.cases, &package)?;
    let mut tried = Vec::new();
    let runtime = tokio::runtime::Runtime::new()?;
    for file in &files {
        for (case, one) in of_file(file, &package, manifest, &engine, &runtime)? {
            tried.push((file, case, one));
        }
    }
    let failed = tried.iter().filter(|(_, _, (one, _))| !one.passed()).count();
    let exit = if failed > 0 { Exit::RunFailed } else { Exit::Success };
    if let Some(path) = &args.junit {
        let results = tried.iter().map(|(file, case, (one, took))| junit::Result {
            suite: file.display().to_string(),
            name: case.name.clone(),
            problems: one.problems.clone(),
            took: *took,
        });
        junit::write(path, manifest.name().as_str(), &results.collect::<Vec<_>>())?;
    }
    if args.json {
        let cases = tried.iter().map(|(file, case, (one, took))| case_json(file, case, one, *took));
        console.json(&json!({
            "exitCode": exit as u8,
            "tool": manifest.name(),
            "component": package.loaded.facts().component,
            "passed": tried.len() - failed,
            "failed": failed,
            "cases": cases.collect::<Vec<_>>(),
        }))?;
    } else {
        console.note(&console::render(&package.warnings, console.look_err()));
        let mut out = String::new();
        for (_, case, (one, _)) in &tried {
            out.push_str(&console::tried(&case.name, &one.problems));
        }
        out.push_str(&format!("{} passed, {failed} failed\n", tried.len() - failed));
        console.print(&out)?;
    }
    Ok(exit)
}

/// Refuses a tool that opens connections: they would be real ones.
fn connects(manifest: &Manifest) -> anyhow::Result<()> {
    let asks = |ask: &&Ask| ask.span.is_some() && matches!(ask.capability, Capability::Sockets(_));
    match manifest.asks().iter().find(asks) {
        None => Ok(()),
        Some(ask) => Err(Failure::usage(
            Diagnostic::error(
                "case_connects",
                format!("the tool asks for {}, and its calls would open real connections", ask.capability),
            )
            .help("look through the tool, then say `--connect`"),
        )),
    }
}

type Timed = (Tried, std::time::Duration);

fn of_file(
    file: &Path,
    package: &Package,
    manifest: &Manifest,
    engine: &Engine,
    runtime: &tokio::runtime::Runtime,
) -> anyhow::Result<Vec<(ToolCase, Timed)>> {
    let source = project::read_source(file, "the cases")?;
    let cases = parse_tool_cases(&source).map_err(Failure::usage)?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut all = Vec::new();
    for case in cases {
        let started = Instant::now();
        let tried = runtime.block_on(trial::call(package, manifest, &case, folder, engine));
        let tried = tried.map_err(|error| placed(error, &source, &case))?;
        all.push((case, (tried, started.elapsed())));
    }
    Ok(all)
}

/// Where nothing says where it went wrong, it is in the case.
fn placed(
    error: anyhow::Error,
    source: &std::sync::Arc<nanohost_core::Source>,
    case: &ToolCase,
) -> anyhow::Error {
    match error.downcast::<Failure>() {
        Ok(Failure { exit, findings }) => {
            let placed = |finding: Diagnostic| match finding.source {
                Some(_) => finding,
                None => finding.at(source, case.span.clone()).label("in this case"),
            };
            Failure { exit, findings: findings.into_iter().map(placed).collect() }.into()
        }
        Err(error) => error,
    }
}

/// The files that are named, else all beside the manifest.
fn files(named: &[PathBuf], package: &Package) -> anyhow::Result<Vec<PathBuf>> {
    if !named.is_empty() {
        return Ok(named.to_vec());
    }
    let folder = package.manifest_path.as_deref().and_then(Path::parent).unwrap_or(Path::new("")).join(CASES);
    let mut files: Vec<PathBuf> = match folder.read_dir() {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(_) => Vec::new(),
    };
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    match files.is_empty() {
        true => Err(Failure::usage(
            Diagnostic::error("no_cases", format!("no cases are in {}", folder.display()))
                .help("write some, or name their files: nanohost tool test TOOL FILE…"),
        )),
        false => Ok(files),
    }
}

fn case_json(file: &Path, case: &ToolCase, one: &Tried, took: std::time::Duration) -> Value {
    let report = one.report.as_ref();
    let denied = report.map(|report| report.denied.iter().map(trial::shown).collect::<Vec<_>>());
    let used = report.map(|report| {
        let each = report
            .used
            .iter()
            .map(|own| json!({ "class": own.class, "scope": own.scope, "operations": own.operations }));
        each.collect::<Vec<_>>()
    });
    json!({
        "file": file,
        "name": case.name,
        "passed": one.passed(),
        "problems": one.problems,
        "outcome": report.map(trial::outcome),
        "denied": denied,
        "used": used,
        "usage": report.map(|report| json!({ "fuel": report.usage.fuel, "peakMemory": report.usage.peak_memory })),
        "millis": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    })
}
