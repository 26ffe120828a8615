//! `tests/*.toml` of a tool: calls of its functions, the world around each, and what they come to.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::{list, rows, texts};
use crate::document::{Fields, Node, NodeValue, Report};
use crate::{Diagnostics, Source};

/// Values by key, of each namespace.
pub type KvValues = BTreeMap<String, BTreeMap<String, String>>;

/// The codes of faults that a case can expect. The host's own failures are none of a tool's.
const FAULTS: [&str; 15] = [
    "invalid_arguments",
    "fuel_exhausted",
    "memory_limit",
    "deadline",
    "stack_overflow",
    "output_limit",
    "handle_limit",
    "http_limit",
    "file_limit",
    "kv_limit",
    "secret_misplaced",
    "secret_echo",
    "trap",
    "exit",
    "stub_called",
];

/// The typed failures of `nanohost:tool/types`.
const FAILURES: [&str; 4] = ["invalid_input", "rejected", "unavailable", "suspended"];

/// One case.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCase {
    /// What it is about, in the author's words.
    pub name: String,
    /// The function that is called; `None`: the only one.
    pub function: Option<String>,
    /// The arguments.
    pub input: Value,
    /// What the call has to come to.
    pub expected: Expected,
    /// What it has to be refused, such as `filesystem open ../secret`: exactly these.
    pub denied: Vec<String>,
    /// Text that the log has to hold.
    pub logs: Option<String>,
    /// Values of variables.
    pub env: BTreeMap<String, String>,
    /// Guest folder → folder beside the cases whose copy the tool gets.
    pub folders: BTreeMap<String, String>,
    /// Guest file → the text that it has to hold afterwards.
    pub files: BTreeMap<String, String>,
    /// What the namespaces hold before.
    pub kv: KvValues,
    /// What the named keys hold afterwards.
    pub kv_after: KvValues,
    /// What other hosts answer.
    pub http: Vec<Answer>,
    /// Its name's place.
    pub span: Range<usize>,
}

/// What a call has to come to.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    /// This result.
    Output(Value),
    /// Some result.
    Success,
    /// A typed failure or a fault of this code, with this in its message.
    Fails {
        /// Such as `rejected` or `fuel_exhausted`.
        code: String,
        /// A part of the message.
        message: Option<String>,
    },
    /// An error of the tool's own type.
    Error(Value),
}

/// What another host answers to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// To which request.
    pub request: Request,
    /// The status, 200 where nothing is said.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

/// `POST https://api.example.com/v1/refunds`, with or without a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request(String);

impl Request {
    /// Whether it is meant by the method and URL of a request. Where the case names no query, any will do.
    pub fn matches(&self, line: &str) -> bool {
        line == self.0 || !self.0.contains('?') && line.split('?').next() == Some(&self.0)
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Reads the cases of a file.
///
/// # Errors
/// All findings: what is not TOML, unknown keys, values that are not valid, no case at all.
pub fn parse_tool_cases(source: &Arc<Source>) -> Result<Vec<ToolCase>, Diagnostics> {
    rows(source, case)
}

fn case(row: &Node, report: &mut Report) -> Option<ToolCase> {
    let mut fields = Fields::of(row, "a [[case]]", report)?;
    let name = fields.need_text("name", report).map(str::to_owned);
    let span = fields.node("name").map_or_else(|| row.span.clone(), |node| node.span.clone());
    let function = fields.filled_text("function", report).map(str::to_owned);
    let input = match fields.node("input") {
        Some(node) => node.to_json(report),
        None => Value::Object(Map::new()),
    };
    let expected = expected(&mut fields, &span, report);
    let denied = list(&mut fields, "denied", report).unwrap_or_default();
    let logs = fields.filled_text("logs", report).map(str::to_owned);
    let env = texts(&mut fields, "env", report).into_iter().collect();
    let folders: BTreeMap<String, String> = texts(&mut fields, "folders", report).into_iter().collect();
    let files = texts(&mut fields, "files", report).into_iter().collect();
    let (kv, kv_after) = (values(&mut fields, "kv", report), values(&mut fields, "kv_after", report));
    let http = fields.list("http", report).unwrap_or_default();
    let http = http.iter().filter_map(|node| answer(node, report)).collect();
    fields.finish(report);
    Some(ToolCase {
        name: name?,
        function,
        input,
        expected: expected?,
        denied,
        logs,
        env,
        folders,
        files,
        kv,
        kv_after,
        http,
        span,
    })
}

/// Exactly one of `output`, `fails`, `error` and `succeeds`.
fn expected(fields: &mut Fields<'_>, span: &Range<usize>, report: &mut Report) -> Option<Expected> {
    let said = ["output", "fails", "error", "succeeds"].into_iter().filter(|key| fields.has(key)).count();
    if said != 1 {
        let finding = report.error(
            "invalid_field",
            span,
            "a [[case]] says what it comes to: one of `output`, `fails`, `error` and `succeeds`",
        );
        report.push(
            finding.help("write `output = …`, `fails = \"rejected\"`, `error = …` or `succeeds = true`"),
        );
    }
    let message = fields.filled_text("message", report).map(str::to_owned);
    if let (Some(node), false) = (fields.node("message"), fields.has("fails")) {
        report.invalid(&node.span, "`message` goes with `fails`");
    }
    let succeeds = fields.truth("succeeds", report);
    if let (Some(node), Some(false)) = (fields.node("succeeds"), succeeds) {
        report.invalid(&node.span, "`succeeds` is true; one that does not says `fails` or `error`");
    }
    let output = fields.node("output").map(|node| Expected::Output(node.to_json(report)));
    let error = fields.node("error").map(|node| Expected::Error(node.to_json(report)));
    let fails = fails(fields, report).map(|code| Expected::Fails { code, message });
    output.or(error).or(fails).or(succeeds.map(|_| Expected::Success))
}

fn fails(fields: &mut Fields<'_>, report: &mut Report) -> Option<String> {
    let code = fields.filled_text("fails", report)?.replace('-', "_");
    if FAILURES.contains(&code.as_str()) || FAULTS.contains(&code.as_str()) {
        return Some(code);
    }
    if let Some(node) = fields.node("fails") {
        let known = [&FAILURES[..], &FAULTS[..]].concat().join(", ");
        let finding = report.error("invalid_field", &node.span, "`fails` is no way in which a call can fail");
        report.push(finding.help(format!("write one of: {known}")));
    }
    None
}

fn values(fields: &mut Fields<'_>, key: &'static str, report: &mut Report) -> KvValues {
    let mut all = KvValues::new();
    for entry in fields.table(key, report).unwrap_or_default() {
        let Some(rows) = entry.node.as_table() else {
            report.invalid(&entry.node.span, format!("`{key}` holds a table for each namespace"));
            continue;
        };
        let namespace = all.entry(entry.key.clone()).or_default();
        for row in rows {
            match row.node.as_text() {
                Some(text) => drop(namespace.insert(row.key.clone(), text.to_owned())),
                None => report.invalid(&row.node.span, "a namespace holds texts"),
            }
        }
    }
    all
}

fn answer(node: &Node, report: &mut Report) -> Option<Answer> {
    let mut fields = Fields::of(node, "an answer", report)?;
    let request = fields.need_text("request", report).map(str::to_owned);
    let well_formed = |text: &String| {
        let (method, url) = text.split_once(' ').unwrap_or_default();
        method.bytes().all(|byte| byte.is_ascii_uppercase())
            && (url.starts_with("https://") || url.starts_with("http://"))
            && url.splitn(4, '/').count() == 4
    };
    if let (Some(text), Some(at)) = (&request, fields.node("request"))
        && !well_formed(text)
    {
        report.invalid(
            &at.span,
            "`request` is a method and a URL with its path: `GET https://api.example.com/v1`",
        );
        return None;
    }
    let status = match fields.node("status") {
        None => 200,
        Some(at) => match &at.value {
            NodeValue::Number(number) => number
                .as_u64()
                .and_then(|status| u16::try_from(status).ok())
                .filter(|status| (200..600).contains(status))
                .unwrap_or_else(|| {
                    report.invalid(&at.span, "`status` is a number from 200 to 599");
                    200
                }),
            _ => {
                report.invalid(&at.span, "`status` is a number from 200 to 599");
                200
            }
        },
    };
    let headers = texts(&mut fields, "headers", report);
    let body = fields.text("body", report).unwrap_or_default().to_owned();
    fields.finish(report);
    Some(Answer { request: Request(request?), status, headers, body })
}
