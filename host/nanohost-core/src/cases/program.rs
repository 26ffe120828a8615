//! `*.cases.toml` beside a program: runs of it, who stands in for models and tools, and what they come to.

use std::ops::Range;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::{list, rows, texts};
use crate::document::{Fields, Node, Report};
use crate::run::{ErrorKind, Status};
use crate::{Diagnostics, Source, ToolName};

/// One case.
#[derive(Debug, Clone, PartialEq)]
pub struct ProgramCase {
    /// What it is about, in the author's words.
    pub name: String,
    /// The program's file, from the folder of the cases; `None`: the one that the file of cases is called after.
    pub program: Option<String>,
    /// The policy's file, from there; `None`: the nearest one.
    pub policy: Option<String>,
    /// The inputs.
    pub inputs: Map<String, Value>,
    /// A file of answers, from there, for all models; `None`: the program's own for the scripted one.
    pub answers: Option<String>,
    /// What models say, by step; before the file.
    pub model: Vec<(String, String)>,
    /// Tools that are not called, and what they would have given.
    pub tools: Vec<StandIn>,
    /// How the run ends: a [`Status`], or `suspended`.
    pub status: String,
    /// Why it failed.
    pub error: Option<ErrorKind>,
    /// Its business outcome.
    pub outcome: Option<String>,
    /// Its output.
    pub output: Option<Value>,
    /// The steps, in the order in which they ended.
    pub path: Option<Vec<String>>,
    /// What is refused: exactly these, by the step or tool and the rule that refuses.
    pub denied: Vec<String>,
    /// Its name's place.
    pub span: Range<usize>,
}

/// A tool that is not called.
#[derive(Debug, Clone, PartialEq)]
pub struct StandIn {
    /// The program's name of it.
    pub tool: ToolName,
    /// Arguments that it stands in for; those that are not named may be anything.
    pub args: Map<String, Value>,
    /// What it gives.
    pub gives: Gives,
}

/// What a stand-in gives.
#[derive(Debug, Clone, PartialEq)]
pub enum Gives {
    /// A result.
    Output(Value),
    /// A typed failure.
    Fails {
        /// `invalid_input`, `rejected` or `unavailable`.
        code: String,
        /// In the tool's words.
        message: String,
    },
    /// It waits for somebody.
    Waits(String),
}

/// Reads the cases of a file.
///
/// # Errors
/// All findings: what is not TOML, unknown keys, values that are not valid, no case at all.
pub fn parse_program_cases(source: &Arc<Source>) -> Result<Vec<ProgramCase>, Diagnostics> {
    rows(source, case)
}

fn case(row: &Node, report: &mut Report) -> Option<ProgramCase> {
    let mut fields = Fields::of(row, "a [[case]]", report)?;
    let name = fields.need_text("name", report).map(str::to_owned);
    let span = fields.node("name").map_or_else(|| row.span.clone(), |node| node.span.clone());
    let program = fields.filled_text("program", report).map(str::to_owned);
    let policy = fields.filled_text("policy", report).map(str::to_owned);
    let inputs = object(&mut fields, "inputs", report);
    let answers = fields.filled_text("answers", report).map(str::to_owned);
    let model = texts(&mut fields, "model", report);
    let tools = fields.list("tool", report).unwrap_or_default();
    let tools = tools.iter().filter_map(|node| stand_in(node, report)).collect();
    let status = fields.filled_text("status", report).unwrap_or(Status::Success.as_str()).to_owned();
    if let Some(node) = fields.node("status")
        && status != SUSPENDED
        && Status::parse(&status).is_none()
    {
        report.invalid(&node.span, "`status` is how runs end: success, failed, suspended, not_admitted, …");
    }
    let error = fields.filled_text("error", report).map(ErrorKind::parse);
    if let (Some(None), Some(node)) = (&error, fields.node("error")) {
        report.invalid(&node.span, "`error` is the kind of an error that runs end with");
    }
    let outcome = fields.filled_text("outcome", report).map(str::to_owned);
    let output = fields.node("output").map(|node| node.to_json(report));
    let path = list(&mut fields, "path", report);
    let denied = list(&mut fields, "denied", report).unwrap_or_default();
    fields.finish(report);
    Some(ProgramCase {
        name: name?,
        program,
        policy,
        inputs,
        answers,
        model,
        tools,
        status,
        error: error.flatten(),
        outcome,
        output,
        path,
        denied,
        span,
    })
}

/// The word for a run that waits for somebody.
const SUSPENDED: &str = "suspended";

fn object(fields: &mut Fields<'_>, key: &'static str, report: &mut Report) -> Map<String, Value> {
    let Some(node) = fields.node(key) else { return Map::new() };
    match node.to_json(report) {
        Value::Object(object) => object,
        _ => {
            report.invalid(&node.span, format!("`{key}` is a table"));
            Map::new()
        }
    }
}

fn stand_in(node: &Node, report: &mut Report) -> Option<StandIn> {
    let mut fields = Fields::of(node, "a tool that is not called", report)?;
    let tool = fields.need_text("name", report).map(ToolName::new);
    if let (Some(Err(error)), Some(at)) = (&tool, fields.node("name")) {
        report.invalid(&at.span, error.to_string());
    }
    let args = object(&mut fields, "args", report);
    let message = fields.text("message", report).unwrap_or_default().to_owned();
    let failures =
        [("invalid-input", "invalid_input"), ("rejected", "rejected"), ("unavailable", "unavailable")];
    let fails = fields.choice("fails", &failures, report);
    let waits = fields.filled_text("waits", report).map(str::to_owned);
    let output = fields.node("output").map(|node| node.to_json(report));
    let gives = match (output, fails, waits) {
        (Some(output), None, None) => Some(Gives::Output(output)),
        (None, Some(code), None) => Some(Gives::Fails { code: code.to_owned(), message }),
        (None, None, Some(reason)) => Some(Gives::Waits(reason)),
        _ => {
            report.invalid(&node.span, "a tool that is not called has one of `output`, `fails` and `waits`");
            None
        }
    };
    fields.finish(report);
    Some(StandIn { tool: tool?.ok()?, args, gives: gives? })
}
