//! The JSON Schemas (draft 2020-12) that a program carries: for its inputs and for the payloads it
//! is resumed with. Nothing a schema says is ever fetched, and a keyword that would not be
//! enforced is refused, and so is what would make judging a value take longer than the schema and
//! the value are long. Also says how schemas of tools are compiled.

use jsonschema::{Draft, PatternOptions, ValidationOptions, Validator};
use serde_json::Value;

use crate::Diagnostic;
use crate::document::{Entry, Node, NodeValue, Report, nearest};

/// Keywords that assert something or that people read, all of draft 2020-12 that are enforced.
/// `pii` marks personal data.
const KEYWORDS: [&str; 45] = [
    "$comment",
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
const NAMED: [&str; 3] = ["dependentSchemas", "patternProperties", "properties"];

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

/// Keywords by which a schema refers to another, or is there to be referred to. Forty lines that
/// each name the line before them twice would keep one value's judge busy for a million million
/// steps, so schemas are trees.
const REFERRING: [&str; 8] =
    ["$anchor", "$defs", "$dynamicAnchor", "$dynamicRef", "$id", "$recursiveAnchor", "$recursiveRef", "$ref"];

/// Keywords that judge what their siblings left over, for which the siblings are judged again.
const LEFTOVER: [&str; 2] = ["unevaluatedItems", "unevaluatedProperties"];

/// The deepest nesting of schemas with such keywords: each level doubles the work.
const MAX_LEFTOVER: usize = 4;

/// No schema has more regular expressions: each costs time and memory when it is compiled.
const MAX_PATTERNS: usize = 16;

/// A regular expression compiles to at most so many bytes: a few counted repetitions of one
/// another would else take ten million.
const MAX_PATTERN_SIZE: usize = 128 << 10;

/// A message quotes at most so many characters: a refused value may be as large as its file.
const MAX_MESSAGE: usize = 300;

/// The validator of a schema of a program, or why it is none.
pub(crate) fn compile(schema: &Value) -> Result<Validator, String> {
    build(options().should_validate_formats(true).should_ignore_unknown_formats(false), schema)
}

/// The validator of a tool's input schema, or why it is none.
pub(crate) fn compile_of_tool(schema: &Value) -> Result<Validator, String> {
    if is_unbounded(schema) {
        return Err("it refers to schemas or judges leftovers, as those of components never do".into());
    }
    build(options(), schema)
}

/// Draft 2020-12; regular expressions run in linear time.
fn options() -> ValidationOptions<'static> {
    let patterns = PatternOptions::regex().size_limit(MAX_PATTERN_SIZE).dfa_size_limit(MAX_PATTERN_SIZE);
    jsonschema::options().with_draft(Draft::Draft202012).with_pattern_options(patterns)
}

fn build(options: ValidationOptions<'static>, schema: &Value) -> Result<Validator, String> {
    options.offline().build(schema).map_err(|error| error.to_string().chars().take(MAX_MESSAGE).collect())
}

/// Whether judging a value by a schema can take longer than both are long. Component types unfold
/// to trees of plain keywords, and none of their names are written like these.
fn is_unbounded(schema: &Value) -> bool {
    let mut open = vec![schema];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(fields) => {
                if fields.keys().any(|key| REFERRING.contains(&&**key) || LEFTOVER.contains(&&**key)) {
                    return true;
                }
                open.extend(fields.values());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    false
}

/// Reads a schema, reporting what is wrong with it: `unknown_field` for keywords, `unenforceable`
/// for references, else `invalid_field`.
pub(crate) fn read(node: &Node, what: &str, report: &mut Report) -> Option<Value> {
    if node.as_table().is_none() {
        report.invalid(&node.span, format!("{what} is a table with a JSON Schema, not {}", node.kind()));
        return None;
    }
    let mut sound = Form { what, patterns: 0, unbounded: false };
    sound.keywords(node, 0, report);
    marks(node, true, what, report);
    let schema = node.to_json(report);
    if sound.unbounded {
        return None;
    }
    match compile(&schema) {
        Ok(_) => Some(schema),
        Err(error) => {
            report.invalid(&node.span, format!("{what} is no JSON Schema: {error}"));
            None
        }
    }
}

/// Where `pii` could be overlooked it is refused: it marks a value where its schema describes one.
///
/// `described`: this schema is one of a value that is there.
fn marks(node: &Node, described: bool, what: &str, report: &mut Report) {
    if let NodeValue::List(items) = &node.value {
        return items.iter().for_each(|item| marks(item, described, what, report));
    }
    for entry in node.as_table().unwrap_or_default() {
        let key = &*entry.key;
        match (key, &entry.node.value) {
            ("pii", NodeValue::Bool(false) | NodeValue::Null) => {}
            ("pii", NodeValue::Bool(true)) if described => {}
            ("pii", NodeValue::Bool(true)) => {
                let message = format!("`pii` cannot be followed here, in {what}");
                let finding = report.error("unenforceable", &entry.key_span, message);
                report.push(finding.help("mark the place in the program: `pii = [\"$name.field\"]`"));
            }
            ("pii", _) => report.invalid(&entry.key_span, format!("`pii` in {what} is true or false")),
            _ if NAMED.contains(&key) => {
                for named in entry.node.as_table().unwrap_or_default() {
                    marks(&named.node, described, what, report);
                }
            }
            _ if NESTED.contains(&key) => {
                marks(&entry.node, described && !matches!(key, "not" | "propertyNames"), what, report);
            }
            _ => {}
        }
    }
}

/// The form of one schema while it is walked.
struct Form<'w> {
    /// Whose schema it is, for messages.
    what: &'w str,
    patterns: usize,
    /// Something was refused that must not be compiled, nor a value be judged by it.
    unbounded: bool,
}

impl Form<'_> {
    /// `leftover`: how many of the schemas around this one judge leftovers.
    fn keywords(&mut self, node: &Node, leftover: usize, report: &mut Report) {
        let entries = match &node.value {
            NodeValue::Table(entries) => entries,
            NodeValue::List(items) => {
                return items.iter().for_each(|item| self.keywords(item, leftover, report));
            }
            _ => return,
        };
        let judges = entries.iter().find(|entry| LEFTOVER.contains(&&*entry.key));
        let leftover = leftover + usize::from(judges.is_some());
        if let Some(entry) = judges.filter(|_| leftover > MAX_LEFTOVER) {
            let message = format!("`{}` nested deeper than {MAX_LEFTOVER} levels", entry.key);
            self.refuse(report.error("invalid_field", &entry.key_span, message), report);
        }
        for entry in entries {
            let key = &*entry.key;
            if REFERRING.contains(&key) {
                let message = format!("`{key}` in {}: schemas of programs do not refer", self.what);
                let finding = report.error("unenforceable", &entry.key_span, message);
                self.refuse(finding.help("write the schema out where it is meant"), report);
                continue;
            }
            if !KEYWORDS.contains(&key) {
                let shown: String = key.chars().take(60).collect();
                let message = format!("unknown keyword `{}` in {}", shown.escape_debug(), self.what);
                let finding = report.error("unknown_field", &entry.key_span, message);
                report.push(match nearest(key, KEYWORDS.into_iter()) {
                    Some(near) => finding.help(format!("did you mean `{near}`?")),
                    None => finding.help("keywords are those of JSON Schema, draft 2020-12"),
                });
            } else if NAMED.contains(&key) {
                let named = entry.node.as_table().unwrap_or_default();
                if key == "patternProperties" {
                    self.count_patterns(named.len(), entry, report);
                }
                named.iter().for_each(|named| self.keywords(&named.node, leftover, report));
            } else if NESTED.contains(&key) {
                self.keywords(&entry.node, leftover, report);
            } else if key == "pattern" {
                self.count_patterns(1, entry, report);
            }
        }
    }

    fn count_patterns(&mut self, more: usize, entry: &Entry, report: &mut Report) {
        let before = self.patterns;
        self.patterns += more;
        if before <= MAX_PATTERNS && self.patterns > MAX_PATTERNS {
            let message = format!("{} has more than {MAX_PATTERNS} regular expressions", self.what);
            self.refuse(report.error("invalid_field", &entry.key_span, message), report);
        }
    }

    fn refuse(&mut self, finding: Diagnostic, report: &mut Report) {
        self.unbounded = true;
        report.push(finding);
    }
}
