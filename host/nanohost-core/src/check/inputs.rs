//! What a run is given, against what the program declares. Knows no command line: text and values
//! come in, a map of values goes out.

use std::sync::Arc;

use jsonschema::ValidationError;
use serde_json::{Map, Value};

use super::CheckedProgram;
use crate::document::{self, Format, Report, nearest};
use crate::program::{InputDecl, is_reserved, schema};
use crate::{Diagnostics, Source};

/// No refusal of a value lists more places: a hostile one must not make the answer large.
const MAX_MISFITS: usize = 16;

/// Reads a JSON text strictly: no key twice, no number that would lose digits. For inputs, which
/// are values rather than documents, any JSON value will do.
pub fn read_json(source: &Arc<Source>) -> Result<Value, Diagnostics> {
    let node = document::parse(source, Format::Json)?;
    let mut report = Report::new(source);
    let value = node.to_json(&mut report);
    report.finish().map(|_| value)
}

impl CheckedProgram {
    /// The inputs of a run: `given` with the defaults filled in, in the order of the declaration.
    /// Codes: `missing_input`, `unknown_input`, and `invalid_input` for a value that does not fit.
    /// Where nothing is declared, anything is accepted but the names a resumption uses.
    pub fn bind_inputs(&self, mut given: Map<String, Value>) -> Result<Map<String, Value>, Diagnostics> {
        let mut report = Report::new(&self.source);
        let mut bound = Map::new();
        for input in self.inputs.iter().flatten() {
            match given.shift_remove(&input.name).or_else(|| input.default.clone()) {
                Some(value) => {
                    fit(input, &value, &mut report);
                    bound.insert(input.name.clone(), value);
                }
                None => {
                    let message = format!("input `{}` is missing and has no default", input.name);
                    let finding = report.error("missing_input", &input.span, message);
                    report.push(finding.help(format!("give it: `--input {}=…`", input.name)));
                }
            }
        }
        if self.inputs.is_none() && !given.keys().any(|name| is_reserved(name)) {
            return Ok(given);
        }
        for (name, value) in given {
            let shown: String = name.chars().take(60).collect();
            let shown = shown.escape_debug();
            if is_reserved(&name) {
                let message = format!("`{shown}` is set by a resumption alone");
                report.push(report.error("unknown_input", &(0..0), message));
            } else if let Some(declared) = &self.inputs {
                let finding = report.error(
                    "unknown_input",
                    &(0..0),
                    format!("the program declares no input `{shown}`"),
                );
                report.push(match nearest(&name, declared.iter().map(|input| &*input.name)) {
                    Some(near) => finding.help(format!("did you mean `{near}`?")),
                    None => {
                        let names: Vec<String> =
                            declared.iter().take(12).map(|input| format!("`{}`", input.name)).collect();
                        finding.help(format!("it declares {}", names.join(", ")))
                    }
                });
            } else {
                bound.insert(name, value);
            }
        }
        report.finish().map(|_| bound)
    }

    /// The value that `text` stands for as the input `name`, read by its declared type: text where
    /// that is a string or nothing is declared, else JSON. Text that cannot be read so stays text,
    /// which [`CheckedProgram::bind_inputs`] then refuses with the type it should have had.
    pub fn read_input(&self, name: &str, text: &str) -> Value {
        let declared = self.inputs.iter().flatten().find(|input| input.name == name);
        let plain = || Value::String(text.to_owned());
        let Some(schema) = declared.map(|input| &input.schema) else { return plain() };
        let json = || read_json(&Source::new(name, text)).ok();
        let is_string = |kind: &Value| kind == "string";
        match (schema.get("type"), schema.get("enum"), schema.get("const")) {
            (Some(Value::String(kind)), ..) if kind == "string" => plain(),
            (Some(Value::Array(kinds)), ..) if kinds.iter().any(is_string) => plain(),
            (Some(_), ..) => json().unwrap_or_else(plain),
            (None, Some(Value::Array(values)), _) => {
                let json = json().filter(|value| values.contains(value));
                if values.contains(&plain()) { plain() } else { json.unwrap_or_else(plain) }
            }
            (None, _, Some(value)) if !value.is_string() => json().unwrap_or_else(plain),
            _ => plain(),
        }
    }
}

/// Whether a value fits a schema; where it does not, how and where, at most a few, at least one.
pub(crate) fn fits_schema(schema: &Value, value: &Value) -> Result<(), Vec<String>> {
    let validator = schema::compile(schema).map_err(|error| vec![error])?;
    let misfits: Vec<String> = validator
        .iter_errors(value)
        .take(MAX_MISFITS)
        .map(|error| {
            let place = error.instance_path().to_string();
            let words = misfit(schema, &error);
            if place.is_empty() { words } else { format!("{place}: {words}") }
        })
        .collect();
    if misfits.is_empty() { Ok(()) } else { Err(misfits) }
}

/// What is wrong with a value; without the value where any part of the schema marks personal data.
fn misfit(schema: &Value, error: &ValidationError<'_>) -> String {
    let words = match marks_personal(schema) {
        true => error.masked_with("the value").to_string(),
        false => error.to_string(),
    };
    words.chars().take(300).collect()
}

/// Whether `pii` stands anywhere in a schema.
fn marks_personal(schema: &Value) -> bool {
    match schema {
        Value::Object(keywords) => {
            keywords.get("pii") == Some(&Value::Bool(true)) || keywords.values().any(marks_personal)
        }
        Value::Array(items) => items.iter().any(marks_personal),
        _ => false,
    }
}

fn fit(input: &InputDecl, value: &Value, report: &mut Report) {
    let validator = match schema::compile(&input.schema) {
        Ok(validator) => validator,
        Err(error) => return report.invalid(&input.span, error),
    };
    for error in validator.iter_errors(value) {
        let path = error.instance_path().to_string();
        let message = misfit(&input.schema, &error);
        let message = format!("input `{}{path}` does not fit: {message}", input.name);
        report.push(report.error("invalid_input", &input.span, message).label("declared here"));
    }
}
