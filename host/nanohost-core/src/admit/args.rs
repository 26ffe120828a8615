//! What no run can mend: arguments of a step that its tool never takes, and checks of events by
//! tools that are not pure. Knows nothing of values that only a run has.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::{Map, Value};

use super::plan::Row;
use crate::capability::Effect;
use crate::check::{CheckedProgram, StepKind};
use crate::document::{Report, nearest};
use crate::facts::ToolExport;
use crate::run::Check;
use crate::template::Node;
use crate::{Diagnostic, Diagnostics, ToolName};

/// Looks at every step. Bounded like every pass over one file.
pub(super) fn check(
    program: &CheckedProgram,
    exports: &BTreeMap<ToolName, &ToolExport>,
    rows: &[Row],
) -> Diagnostics {
    let mut report = Report::new(program.source());
    let row =
        |tool: &ToolName| rows.binary_search_by(|row| row.local.cmp(tool)).ok().and_then(|at| rows.get(at));
    for step in program.steps() {
        let StepKind::Tool(call) = &step.kind else { continue };
        let mut place =
            Place { report: &mut report, span: &step.span, step: step.id.as_str(), tool: &call.tool };
        if let Some(export) = exports.get(&call.tool)
            && let Node::Object(fields) = call.args.node()
            && place.names(&export.input, "", fields)
            // A value that is the same in every run fits now or never.
            && let Some(row) = row(&call.tool)
            && let Some(args) = call.args.literal()
        {
            for misfit in row.validator.misfits(&args) {
                let message = format!("no run of `{}` fits `{}`: {misfit}", step.id, call.tool);
                place.error("invalid_args", message, "mend the arguments");
            }
        }
        let Some(verify) = call.resume.as_ref().and_then(|resume| resume.verify.as_ref()) else { continue };
        place.tool = verify;
        if let Some(row) = row(verify).filter(|row| row.effect != Effect::Pure) {
            let message =
                format!("`{verify}` checks events of `{}` and is {}, not pure", step.id, row.effect);
            let help = "an event is checked before anything happens: let a tool without effects check it";
            place.error("verify_not_pure", message, help);
        }
        if let Some(export) = exports.get(verify) {
            let asked_for =
                Check::ASKED_FOR.into_iter().filter(|name| export.input["properties"].get(name).is_some());
            let given = Check::ALWAYS.into_iter().chain(asked_for);
            let given: Vec<_> =
                given.map(|name| (name.to_owned(), Node::Literal(Value::String(String::new())))).collect();
            place.names(&export.input, "", &given);
        }
    }
    match report.finish() {
        Ok(findings) | Err(findings) => findings,
    }
}

/// One step and the tool that it calls.
struct Place<'a> {
    report: &'a mut Report,
    span: &'a Range<usize>,
    step: &'a str,
    tool: &'a ToolName,
}

impl Place<'_> {
    /// Whether the names are those that an object of this schema has. `at`: where in the arguments.
    fn names(&mut self, schema: &Value, at: &str, fields: &[(String, Node)]) -> bool {
        let nothing = Map::new();
        let known = schema["properties"].as_object().unwrap_or(&nothing);
        let closed = schema["additionalProperties"] == Value::Bool(false)
            && schema.get("patternProperties").is_none()
            && schema.get("$ref").is_none();
        let mut good = true;
        for (name, node) in fields {
            match known.get(name) {
                None if closed => {
                    good = false;
                    let shown: String = name.chars().take(60).collect();
                    let message = format!("`{}` takes no `{at}{}`", self.tool, shown.escape_debug());
                    let near = match self.report.is_full() {
                        true => None,
                        false => nearest(name, known.keys().map(String::as_str)),
                    };
                    let help = match near {
                        Some(near) => format!("did you mean `{near}`?"),
                        None if known.is_empty() => "it takes no arguments".to_owned(),
                        None => format!("it takes {}", listed(known.keys())),
                    };
                    self.error("unknown_argument", message, help);
                }
                Some(inner) => {
                    if let Node::Object(fields) = node {
                        good &= self.names(inner, &format!("{at}{name}."), fields);
                    }
                }
                None => {}
            }
        }
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !fields.iter().any(|(given, _)| given == name) {
                good = false;
                let message = format!("`{}` needs `{at}{name}`, and `{}` gives none", self.tool, self.step);
                self.error("absent_argument", message, "add it to the step's `args`");
            }
        }
        good
    }

    fn error(&mut self, code: &'static str, message: String, help: impl Into<String>) {
        let finding: Diagnostic = self.report.error(code, self.span, message);
        self.report.push(finding.step(self.step).help(help));
    }
}

/// The names an author is told of, at most a handful.
fn listed<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.map(String::as_str).take(12).collect();
    names.join(", ")
}
