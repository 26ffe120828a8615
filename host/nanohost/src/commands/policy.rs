//! `nanohost policy`: what a reviewer asks about policies before anything runs. Builds tools where a
//! question needs their components and that is allowed; runs none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nanohost_core::review::{self, Case, Expect, Explanation, Question, Surroundings, Use};
use nanohost_core::{Admission, Diagnostic, Diagnostics, Manifest, Policy};
use nanohost_sandbox::Engine;
use serde_json::{Value, json};

use crate::cli::{
    PackageArgs, PolicyArgs, PolicyCheckArgs, PolicyCommand, PolicyDiffArgs, PolicyExplainArgs,
    PolicyTestArgs, ProgramArgs,
};
use crate::console::{self, Console, Progress};
use crate::failure::{Exit, Failure};
use crate::ledger;
use crate::prepare::{self, Prepared};
use crate::project::{self, Places};
use crate::registry::Reach;

/// `nanohost policy`.
pub fn policy(args: &PolicyArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    match &args.command {
        PolicyCommand::Check(args) => check(args, places, console),
        PolicyCommand::Explain(args) => explain(args, places, console),
        PolicyCommand::Diff(args) => diff(args, places, console),
        PolicyCommand::Test(args) => test(args, places, console),
    }
}

/// `nanohost policy check`.
fn check(args: &PolicyCheckArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let (policy, path, mut found) = match &args.policy {
        Some(path) => (project::read_policy(path, path)?, path.clone(), Diagnostics::new()),
        None => {
            let in_force = project::find(None, Path::new("./program.toml"), places)?;
            // The project's, else the user's, else the machine's.
            let nearest = in_force.policies.into_iter().zip(in_force.layers).next_back();
            match nearest {
                Some((policy, layer)) => (policy, layer.path, in_force.findings),
                None => {
                    return Err(Failure::usage(
                        Diagnostic::error("no_policy", "no policy is in force in this folder")
                            .help("name one: nanohost policy check FILE"),
                    ));
                }
            }
        }
    };
    let programs = match &args.programs {
        Some(folder) => project::programs_in(std::slice::from_ref(folder))?,
        None => project::programs_beside(&path)?,
    };
    let around = surroundings(&programs, places, &mut found);
    // Where nothing was looked at, every row would seem idle.
    let around = (!around.uses.is_empty() || !around.models.is_empty()).then_some(around);
    found.extend(review::lint(&policy, around.as_ref(), ledger::now()));
    let exit = if args.strict && !found.is_empty() { Exit::RunFailed } else { Exit::Success };
    if args.json {
        console.json(&json!({
            "exitCode": exit as u8,
            "valid": true,
            "policy": path,
            "digest": policy.digest(),
            "programs": programs,
            "held": !programs.is_empty(),
            "findings": console::findings_json(&found),
        }))?;
    } else if programs.is_empty() {
        console.note(&console::render(&found, console.look_err()));
        console.print(&format!(
            "{} ({}) is well formed, {}. NO PROGRAM was looked at, so nobody can say which rows are used: --programs DIR \
             names where they are\n",
            console::path(&path),
            policy.digest().short(),
            count(found.iter().count(), "warning"),
        ))?;
    } else {
        console.note(&console::render(&found, console.look_err()));
        console.print(&format!(
            "{} ({}) is sound: held against {}, {}\n",
            console::path(&path),
            policy.digest().short(),
            count(programs.len(), "program"),
            count(found.iter().count(), "warning"),
        ))?;
    }
    Ok(exit)
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// What the programs use, from their own texts and the manifests of their tools. One that cannot be
/// read is told of and passed by.
pub fn surroundings(programs: &[PathBuf], places: &Places, found: &mut Diagnostics) -> Surroundings {
    let mut around = Surroundings::default();
    let quiet = Progress::new(false);
    for path in programs {
        // What is looked at is what is here: to check a policy fetches nothing.
        let here = PackageArgs { offline: true, ..PackageArgs::default() };
        let reach = Reach::new(places, &here, &quiet);
        let args = ProgramArgs::of(path);
        let read = prepare::program(path).and_then(|(program, _)| {
            let mut uses = Vec::new();
            for (local, folder) in prepare::locate(&program, &args, &reach)? {
                let manifest = Manifest::parse(folder.manifest).map_err(Failure::usage)?;
                let named = program.tools().into_iter().flatten().find(|tool| tool.local == local);
                let kebab = local.as_str().replace('_', "-");
                let function = named
                    .and_then(|tool| tool.function.clone())
                    .or_else(|| manifest.function(&kebab).map(|_| kebab));
                uses.push(Use { program: program.name().to_owned(), manifest, function });
            }
            Ok((program.models().into_keys().map(str::to_owned).collect::<Vec<_>>(), uses))
        });
        match read {
            Ok((models, uses)) => {
                around.models.extend(models);
                around.uses.extend(uses);
            }
            Err(error) => found.push(
                Diagnostic::warning(
                    "program_passed_by",
                    format!("{} is not held against the policy: {error:#}", path.display()),
                )
                .help("mend it, or name the folder of the programs with --programs"),
            ),
        }
    }
    around
}

/// `nanohost policy explain`.
fn explain(args: &PolicyExplainArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let question = Question::parse(&args.capability, &args.value.join(" "))
        .map_err(|why| Failure::usage(Diagnostic::error("bad_question", why)))?;
    let progress = Progress::new(!args.json);
    let engine = Engine::new()?;
    let prepared = Prepared::read_pinned(&args.program, places, &engine, &progress)?;
    let answer =
        review::explain(&prepared.admission(ledger::now()), &args.tool, &question).map_err(Failure::usage)?;
    if args.json {
        console.json(&console::explanation_json(&answer))?;
    } else {
        console.note(&console::render(&prepared.policy.findings, console.look_err()));
        console.print(&console::explanation(&answer))?;
    }
    Ok(Exit::Success)
}

/// A program with its tools as `policies` judge it.
fn admission(
    program: &Path,
    policy_path: &Path,
    places: &Places,
    engine: &Engine,
    progress: &Progress,
) -> anyhow::Result<Admission> {
    let args = ProgramArgs { policy: Some(policy_path.to_owned()), ..ProgramArgs::of(program) };
    Ok(Prepared::read_pinned(&args, places, engine, progress)?.admission(ledger::now()))
}

/// `nanohost policy diff`.
fn diff(args: &PolicyDiffArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let old = project::read_policy(&args.old, &args.new)?;
    let new = project::read_policy(&args.new, &args.new)?;
    let programs = project::programs_in(&args.programs)?;
    if programs.is_empty() {
        return Err(Failure::usage(
            Diagnostic::error("no_programs", "no program is there to compare the policies by")
                .help("name programs, or a folder that holds some, with --programs"),
        ));
    }
    let progress = Progress::new(!args.json && !args.markdown);
    let engine = Engine::new()?;
    let (mut before, mut after) = (Vec::new(), Vec::new());
    let mut broken = Diagnostics::new();
    for path in &programs {
        let mut asked = match admission(path, &args.new, places, &engine, &progress) {
            Ok(asked) => asked,
            // What a difference means for it cannot be said, so that none is said at all; but of all of
            // them at once.
            Err(error) => {
                let failure = error.downcast::<Failure>()?;
                broken.push(
                    Diagnostic::error(
                        "program_not_compared",
                        format!("{} cannot be held against the policies", path.display()),
                    )
                    .help("mend what follows, or leave it out of --programs"),
                );
                broken.extend(failure.findings);
                continue;
            }
        };
        let survey = |asked: &mut Admission, policy: &Policy| {
            asked.policies = vec![policy.clone()];
            review::survey(asked)
        };
        before.push(survey(&mut asked, &old));
        after.push(survey(&mut asked, &new));
    }
    if !broken.is_empty() {
        return Err(Failure::usage(broken));
    }
    let difference = review::compare(&before, &after, &old, &new);
    let exit = if difference.widens() { Exit::RunFailed } else { Exit::Success };
    if args.json {
        let mut document = console::difference_json(&difference);
        document["exitCode"] = Value::from(exit as u8);
        document["old"] = json!({ "path": args.old, "digest": old.digest() });
        document["new"] = json!({ "path": args.new, "digest": new.digest() });
        console.json(&document)?;
    } else if args.markdown {
        console.print(&console::difference_markdown(&difference))?;
    } else {
        console.print(&console::difference(&difference))?;
    }
    Ok(exit)
}

/// `nanohost policy test`.
fn test(args: &PolicyTestArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let source = project::read_source(&args.cases, "the cases")?;
    let cases = review::parse_cases(&source).map_err(Failure::usage)?;
    let in_force = project::find(args.policy.as_deref(), &args.cases, places)?;
    let Some(path) = in_force.path else {
        return Err(Failure::usage(
            Diagnostic::error("no_policy", "no policy is in force where the cases lie")
                .help("name the one to test with --policy"),
        ));
    };
    // What its author means is tested, whether or not anybody trusts it yet.
    let policy = project::read_policy(&path, &path)?;
    let mut policies: Vec<Policy> = Vec::new();
    if args.in_force {
        policies.extend(project::standing(places)?.into_iter().map(|(_, policy)| policy));
    }
    policies.push(policy.clone());
    let progress = Progress::new(!args.json);
    let engine = Engine::new()?;
    let folder = args.cases.parent().unwrap_or(Path::new(""));
    let mut admissions: BTreeMap<&str, Admission> = BTreeMap::new();
    let mut findings = Diagnostics::new();
    let mut results = Vec::new();
    for case in &cases {
        if !admissions.contains_key(case.program.as_str()) {
            let mut asked = admission(&folder.join(&case.program), &path, places, &engine, &progress)?;
            asked.policies.clone_from(&policies);
            admissions.insert(&case.program, asked);
        }
        let Some(asked) = admissions.get(case.program.as_str()) else { continue };
        match review::explain(asked, &case.tool, &case.question) {
            Ok(answer) => results.push((case, wrong(case, &answer))),
            Err(found) => findings.extend(
                found
                    .into_iter()
                    .map(|finding| finding.at(&source, case.span.clone()).label("in this case"))
                    .collect(),
            ),
        }
    }
    if !findings.is_empty() {
        return Err(Failure::usage(findings));
    }
    let failed = results.iter().filter(|(_, wrong)| wrong.is_some()).count();
    let exit = if failed > 0 { Exit::RunFailed } else { Exit::Success };
    if args.json {
        let shown = results.iter().map(|(case, wrong)| {
            json!({
                "name": case.name,
                "program": case.program,
                "tool": case.tool,
                "asked": case.asked,
                "expect": case.expect.as_str(),
                "by": case.by,
                "passed": wrong.is_none(),
                "why": wrong,
            })
        });
        console.json(&json!({
            "exitCode": exit as u8,
            "policy": { "path": path, "digest": policy.digest() },
            "passed": results.len() - failed,
            "failed": failed,
            "cases": shown.collect::<Vec<_>>(),
        }))?;
    } else {
        let mut out = String::new();
        for (case, wrong) in &results {
            match wrong {
                None => out.push_str(&format!("pass  {}\n", console::escaped(&case.name))),
                Some(why) => out.push_str(&format!(
                    "FAIL  {}: {}\n",
                    console::escaped(&case.name),
                    console::escaped(why)
                )),
            }
        }
        out.push_str(&format!("{} passed, {failed} failed\n", results.len() - failed));
        console.print(&out)?;
    }
    Ok(exit)
}

/// Why the answer is not what the case expects.
fn wrong(case: &Case, answer: &Explanation) -> Option<String> {
    let given = if answer.granted { Expect::Granted } else { Expect::Denied };
    let decided: Vec<&str> = answer.rules().collect();
    let by = |rules: &[&str]| {
        if rules.is_empty() { "by no row".to_owned() } else { format!("by {}", rules.join(", ")) }
    };
    if given != case.expect {
        let why = answer
            .lines
            .iter()
            .find(|line| !line.allows)
            .map(|line| format!(" ({}: {})", line.witness.as_str(), line.says));
        return Some(format!(
            "{} is {} {}, not {}{}",
            case.asked,
            given.as_str(),
            by(&decided),
            case.expect.as_str(),
            why.unwrap_or_default()
        ));
    }
    match &case.by {
        Some(wanted) if !decided.contains(&wanted.as_str()) => {
            Some(format!("{} is {} {}, not by {wanted}", case.asked, given.as_str(), by(&decided)))
        }
        _ => None,
    }
}
