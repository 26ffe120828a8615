//! `nanohost test`: runs programs as the cases beside them say, in memory. Touches no store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nanohost_core::cases::{ProgramCase, parse_program_cases};
use nanohost_core::{Diagnostic, Diagnostics};
use nanohost_sandbox::Engine;
use serde_json::json;

use crate::cli::TestArgs;
use crate::console::{self, Console, Progress};
use crate::failure::{Exit, Failure};
use crate::ledger;
use crate::project::{self, Places};
use crate::registry::Reach;
use crate::rehearsal::{self, Came, Stage};
use crate::tool::junit;

/// What a file of cases is called: that of `program.toml` is `program.cases.toml`.
const CASES: &str = ".cases.toml";

/// One case that was run.
struct Tried {
    file: PathBuf,
    case: ProgramCase,
    came: Came,
    problems: Vec<String>,
    took: Duration,
}

/// `nanohost test`.
pub fn test(args: &TestArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let files = project::files_in(&args.paths, CASES)?;
    if files.is_empty() {
        return Err(Failure::usage(
            Diagnostic::error("no_cases", "no file of cases is there")
                .help("write them beside a program: those of program.toml in program.cases.toml"),
        ));
    }
    let progress = Progress::new(!args.json);
    let engine = Engine::new()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let mut stages = BTreeMap::new();
    let reach = Reach::new(places, &args.packages, &progress);
    let (mut tried, mut broken) = (Vec::new(), Diagnostics::new());
    for file in &files {
        let source = project::read_source(file, "the cases")?;
        for case in parse_program_cases(&source).map_err(Failure::usage)? {
            let one = one(file, &case, &mut stages, &reach, &engine, &runtime);
            match one {
                Ok(one) => tried.push(one),
                Err(error) => {
                    let placed = |finding: Diagnostic| match finding.source {
                        Some(_) => finding,
                        None => finding.at(&source, case.span.clone()).label("in this case"),
                    };
                    broken.extend(error.downcast::<Failure>()?.findings.into_iter().map(placed).collect());
                }
            }
        }
    }
    progress.clear();
    if !broken.is_empty() {
        return Err(Failure::usage(broken));
    }
    let failed = tried.iter().filter(|one| !one.problems.is_empty()).count();
    let exit = if failed > 0 { Exit::RunFailed } else { Exit::Success };
    if let Some(path) = &args.junit {
        let results = tried.iter().map(|one| junit::Result {
            suite: one.file.display().to_string(),
            name: one.case.name.clone(),
            problems: one.problems.clone(),
            took: one.took,
        });
        junit::write(path, "nanohost", &results.collect::<Vec<_>>())?;
    }
    if args.json {
        let cases = tried.iter().map(|one| {
            json!({
                "file": one.file,
                "name": one.case.name,
                "passed": one.problems.is_empty(),
                "problems": one.problems,
                "status": one.came.status,
                "error": one.came.error,
                "outcome": one.came.outcome,
                "output": one.came.output,
                "path": one.came.path,
                "denied": one.came.denied,
                "millis": u64::try_from(one.took.as_millis()).unwrap_or(u64::MAX),
            })
        });
        console.json(&json!({
            "exitCode": exit as u8,
            "passed": tried.len() - failed,
            "failed": failed,
            "cases": cases.collect::<Vec<_>>(),
        }))?;
    } else {
        let mut out: String = tried.iter().map(|one| console::tried(&one.case.name, &one.problems)).collect();
        out.push_str(&format!("{} passed, {failed} failed\n", tried.len() - failed));
        console.print(&out)?;
    }
    Ok(exit)
}

type Stages = BTreeMap<(PathBuf, Option<PathBuf>), Stage>;

/// One case; programs and their tools are read once for all cases.
fn one(
    file: &Path,
    case: &ProgramCase,
    stages: &mut Stages,
    reach: &Reach<'_>,
    engine: &Engine,
    runtime: &tokio::runtime::Runtime,
) -> anyhow::Result<Tried> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let program = match &case.program {
        Some(named) => folder.join(named),
        None => beside(file),
    };
    let policy = case.policy.as_ref().map(|policy| folder.join(policy));
    let key = (program, policy);
    if !stages.contains_key(&key) {
        let stage = Stage::read(&key.0, key.1.as_deref(), reach, engine)?;
        stages.insert(key.clone(), stage);
    }
    let Some(stage) = stages.get(&key) else { anyhow::bail!("it was just read") };
    let started = Instant::now();
    let came = runtime.block_on(stage.run(case, folder, engine, ledger::now()))?;
    let problems = rehearsal::problems(&came, case);
    Ok(Tried { file: file.to_owned(), case: case.clone(), came, problems, took: started.elapsed() })
}

/// The program that a file of cases is called after.
fn beside(file: &Path) -> PathBuf {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stem = name.strip_suffix(CASES).unwrap_or(name);
    let json = file.with_file_name(format!("{stem}.json"));
    if json.is_file() { json } else { file.with_file_name(format!("{stem}.toml")) }
}
