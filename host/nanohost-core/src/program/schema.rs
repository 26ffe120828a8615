//! The JSON Schemas (draft 2020-12) that a program carries: for its inputs and for the payloads it
//! is resumed with. Nothing a schema says is ever fetched, and a keyword that would not be
//! enforced is refused.

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

use crate::document::{Node, NodeValue, Report, nearest};

/// Keywords that assert something or that people read, all of draft 2020-12 that are enforced.
/// `pii` marks what evidence keeps apart.
const KEYWORDS: [&str; 48] = [
    "$anchor",
    "$comment",
    "$defs",
    "$ref",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "contains",
    "default",
    "dependentRequired",
    "dependentSchemas",
    "deprecated",
    "description",
    "else",
    "enum",
    "examples",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "if",
    "items",
    "maxContains",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minContains",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "oneOf",
    "pattern",
    "patternProperties",
    "pii",
    "prefixItems",
    "properties",
    "propertyNames",
    "readOnly",
    "required",
    "then",
    "title",
    "type",
    "unevaluatedItems",
    "unevaluatedProperties",
];

/// Keywords whose value is a table of schemas by name.
const NAMED: [&str; 4] = ["$defs", "dependentSchemas", "patternProperties", "properties"];

/// Keywords whose value is a schema or a list of schemas.
const NESTED: [&str; 14] = [
    "additionalProperties",
    "allOf",
    "anyOf",
    "contains",
    "else",
    "if",
    "items",
    "not",
    "oneOf",
    "prefixItems",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];

/// The validator of a schema, or why it is none. Regular expressions run in linear time.
pub(crate) fn compile(schema: &Value) -> Result<Validator, String> {
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .should_validate_formats(true)
        .should_ignore_unknown_formats(false)
        .with_pattern_options(PatternOptions::regex())
        .offline()
        .build(schema)
        .map_err(|error| error.to_string())
}

/// Reads a schema, reporting what is wrong with it: `unknown_field` for keywords, else
/// `invalid_field`.
pub(crate) fn read(node: &Node, what: &str, report: &mut Report) -> Option<Value> {
    if node.as_table().is_none() {
        report.invalid(&node.span, format!("{what} is a table with a JSON Schema, not {}", node.kind()));
        return None;
    }
    keywords(node, what, report);
    let schema = node.to_json(report);
    match compile(&schema) {
        Ok(_) => Some(schema),
        Err(error) => {
            report.invalid(&node.span, format!("{what} is no JSON Schema: {error}"));
            None
        }
    }
}

fn keywords(node: &Node, what: &str, report: &mut Report) {
    match &node.value {
        NodeValue::Table(entries) => {
            for entry in entries {
                let key = &*entry.key;
                if !KEYWORDS.contains(&key) {
                    let shown: String = key.chars().take(60).collect();
                    let message = format!("unknown keyword `{}` in {what}", shown.escape_debug());
                    let finding = report.error("unknown_field", &entry.key_span, message);
                    report.push(match nearest(key, KEYWORDS.into_iter()) {
                        Some(near) => finding.help(format!("did you mean `{near}`?")),
                        None => finding.help("keywords are those of JSON Schema, draft 2020-12"),
                    });
                } else if NAMED.contains(&key) {
                    for named in entry.node.as_table().unwrap_or_default() {
                        keywords(&named.node, what, report);
                    }
                } else if NESTED.contains(&key) {
                    keywords(&entry.node, what, report);
                }
            }
        }
        NodeValue::List(items) => items.iter().for_each(|item| keywords(item, what, report)),
        _ => {}
    }
}
