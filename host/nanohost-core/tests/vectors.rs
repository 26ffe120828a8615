//! The conformance vectors of the language, run from one binary of its own harness so that the
//! tallies show. `NANOHOST_VECTORS` names another directory with files of the same names.
//!
//! A file is listed in [`SUITES`] with the function that judges one of its cases. Only files that
//! have one are counted.
#![expect(clippy::print_stdout, reason = "the tallies are what this binary is for")]

#[path = "vectors/analyzer.rs"]
mod analyzer;
#[path = "vectors/runs.rs"]
mod runs;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use std::collections::BTreeSet;

use nanohost_core::{Condition, Diagnostics, Format, Program, Root, Scope, Severity, Source};
use serde_json::{Value, json};

/// Judges one case: what was expected and what came of it, as JSON that is compared.
type Judge = fn(&Value) -> Outcome;

/// File name → judge.
const SUITES: &[(&str, Judge)] = &[
    ("conditions.json", condition),
    ("validator.json", validator),
    ("runs.json", runs::run),
    ("analyzer.json", analyzer::analyse),
];

/// The same for files beside the published ones: run only from this repository, since another
/// directory has files of the published names alone.
const OWN_SUITES: &[(&str, Judge)] = &[("analyzer-more.json", analyzer::analyse)];

struct Outcome {
    passed: bool,
    actual: Value,
}

fn main() -> ExitCode {
    // The flags of the standard harness (`--quiet`, filters) are accepted and mean nothing here;
    // who lists tests must get a list.
    if std::env::args().any(|argument| argument == "--list") {
        for (file, _) in SUITES.iter().chain(OWN_SUITES) {
            println!("{file}: test");
        }
        return ExitCode::SUCCESS;
    }
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let given = std::env::var_os("NANOHOST_VECTORS").map(PathBuf::from);
    let more = if given.is_none() { OWN_SUITES } else { &[] };
    let folder = given.unwrap_or(own);
    let mut total = (0, 0);
    for (file, judge) in SUITES.iter().chain(more) {
        let path = folder.join(file);
        println!("{file}");
        match run(&path, *judge) {
            Ok((passed, failed)) => {
                println!("{passed} passed, {failed} failed");
                total = (total.0 + passed, total.1 + failed);
            }
            Err(error) => {
                println!("  cannot run {}: {error}", path.display());
                total.1 += 1;
            }
        }
    }
    println!("all files");
    println!("{} passed, {} failed", total.0, total.1);
    if total.1 == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(path: &Path, judge: Judge) -> Result<(usize, usize), Box<dyn std::error::Error>> {
    let document: Value = serde_json::from_slice(&std::fs::read(path)?)?;
    let cases = document["cases"].as_array().ok_or("no list called `cases`")?;
    let mut failed = 0;
    for case in cases {
        let outcome = judge(case);
        if !outcome.passed {
            failed += 1;
            println!("  {}: expected {}, actual {}", case["id"], case["expect"], outcome.actual);
        }
    }
    Ok((cases.len() - failed, failed))
}

fn condition(case: &Value) -> Outcome {
    let actual = match Condition::parse(case["expr"].as_str().unwrap_or_default()) {
        Err(_) => json!("parse_error"),
        Ok(condition) => {
            match condition.evaluate(&Names { inputs: &case["inputs"], steps: &case["steps"] }) {
                Ok(truth) => json!(truth),
                Err(_) => json!("eval_error"),
            }
        }
    };
    Outcome { passed: actual == case["expect"], actual }
}

struct Names<'a> {
    inputs: &'a Value,
    steps: &'a Value,
}

impl Scope for Names<'_> {
    fn root(&self, name: &str) -> Root<'_> {
        match (self.steps.get(name), self.inputs.get(name)) {
            (Some(output), _) => Root::Step { output, proposal: None },
            (None, Some(input)) => Root::Plain(input),
            (None, None) => Root::Absent,
        }
    }
}

fn validator(case: &Value) -> Outcome {
    let program = match case.get("program_generator") {
        Some(generator) => generated(generator),
        None => case["program"].clone(),
    };
    let source = Source::new("program.json", program.to_string());
    let findings = match Program::parse(source, Format::Json).and_then(Program::check) {
        Ok((_, warnings)) => warnings,
        Err(findings) => findings,
    };
    let codes = errors(&findings, |finding| Some(finding.code.to_owned()));
    let actual = json!({"valid": codes.is_empty(), "error_codes": codes});
    let expected_codes = &case["expect"]["error_codes"];
    let any = expected_codes == &json!(["any"]);
    let mut passed = actual["valid"] == case["expect"]["valid"] && (any || as_set(expected_codes) == codes);
    let mut actual = actual;
    if let Some(steps) = case.get("error_steps") {
        let named = errors(&findings, |finding| match finding.code {
            "missing_target" | "unreachable_step" => finding.step.clone(),
            _ => None,
        });
        passed &= as_set(steps) == named;
        actual["error_steps"] = json!(named);
    }
    Outcome { passed, actual }
}

fn errors(
    findings: &Diagnostics,
    pick: impl Fn(&nanohost_core::Diagnostic) -> Option<String>,
) -> BTreeSet<String> {
    findings.iter().filter(|finding| finding.severity == Severity::Error).filter_map(pick).collect()
}

fn as_set(list: &Value) -> BTreeSet<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// `{linear_tool_steps: n, tool, id_format}`: n tool steps in a row.
fn generated(generator: &Value) -> Value {
    let format = generator["id_format"].as_str().unwrap_or_default();
    let steps: Vec<_> = (0..generator["linear_tool_steps"].as_u64().unwrap_or(0))
        .map(|at| json!({"id": format.replace("{i}", &at.to_string()), "type": "tool", "tool": generator["tool"]}))
        .collect();
    json!({"name": "generated", "steps": steps})
}
