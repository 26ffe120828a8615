//! Findings as SARIF 2.1.0 (OASIS), which code hosts show in place. What guests and authors chose is shown
//! escaped, as everywhere.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use nanohost_core::{Digest, Severity};
use serde_json::{Value, json};

use super::escape::escaped;
use crate::audit::{Audit, Finding};
use crate::reference;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// Where the project says what it is.
const HOME: &str = "https://nanohost.dev";

/// The findings of an audit, with places from `root`.
pub fn sarif(audit: &Audit, root: &Path) -> Value {
    let entries = reference::entries();
    let mut rules: BTreeMap<&str, usize> = BTreeMap::new();
    for own in &audit.findings {
        let next = rules.len();
        rules.entry(own.finding.code).or_insert(next);
    }
    let mut described = vec![Value::Null; rules.len()];
    for (code, at) in &rules {
        let entry = entries.iter().find(|entry| entry.code == *code);
        let text = |of: fn(&reference::Entry) -> &'static str| entry.map(of).unwrap_or(code);
        let level = if entry.is_some_and(|entry| entry.warning) { "warning" } else { "error" };
        if let Some(rule) = described.get_mut(*at) {
            *rule = json!({
                "id": code,
                "name": camel(code),
                "shortDescription": { "text": text(|entry| entry.meaning) },
                "fullDescription": { "text": text(|entry| entry.cause) },
                "help": { "text": text(|entry| entry.remedy) },
                "defaultConfiguration": { "level": level },
            });
        }
    }
    let results: Vec<Value> = audit
        .findings
        .iter()
        .map(|own| result(own, rules.get(own.finding.code).copied().unwrap_or_default(), root))
        .collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {
                "driver": {
                    "name": "nanohost",
                    "version": env!("CARGO_PKG_VERSION"),
                    "semanticVersion": env!("CARGO_PKG_VERSION"),
                    "informationUri": HOME,
                    "rules": described,
                },
            },
            "automationDetails": { "id": "nanohost/audit/" },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn result(own: &Finding, rule: usize, root: &Path) -> Value {
    let finding = &own.finding;
    let level = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let help = finding.help.as_ref().map(|help| format!("\n\n{help}")).unwrap_or_default();
    let text = format!("{}.{help}", finding.message.trim_end_matches('.'));
    let named = finding.source.as_ref().map(|source| Path::new(&source.name)).filter(|path| path.is_file());
    let region = match (&finding.source, &finding.span, named) {
        (Some(source), Some(span), Some(_)) => {
            let (line, column) = source.line_column(span.start);
            let (end_line, end_column) = source.line_column(span.end);
            json!({ "startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column })
        }
        _ => json!({ "startLine": 1 }),
    };
    let place = named.or(own.program.as_deref());
    let uri = place.map(|path| uri(path, root));
    let text: String = text.lines().map(|line| plain(&escaped(line))).collect::<Vec<_>>().join("\n");
    let print = format!("{}\n{}\n{}", finding.code, uri.as_deref().unwrap_or_default(), finding.message);
    let mut result = json!({
        "ruleId": finding.code,
        "ruleIndex": rule,
        "level": level,
        "message": { "text": text },
        "partialFingerprints": { "nanohost/v1": Digest::of(print.as_bytes()) },
    });
    if let Some(uri) = uri {
        result["locations"] = json!([{
            "physicalLocation": { "artifactLocation": { "uri": uri }, "region": region },
        }]);
    }
    result
}

/// The place of a file from `root`, else as a whole, as RFC 3986 writes it.
fn uri(path: &Path, root: &Path) -> String {
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let (begin, rest) = match whole.strip_prefix(&root) {
        Ok(rest) => ("", rest),
        Err(_) => ("file:///", whole.as_path()),
    };
    let parts = rest.components().filter_map(|part| match part {
        Component::Normal(part) => Some(encoded(part.as_encoded_bytes())),
        _ => None,
    });
    format!("{begin}{}", parts.collect::<Vec<_>>().join("/"))
}

/// One part of a path.
fn encoded(part: &[u8]) -> String {
    let mut out = String::with_capacity(part.len());
    for &byte in part {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// A line as nothing but text: brackets would be a link (SARIF 2.1.0, 3.11.6), and braces a placeholder
/// (3.11.5), and authors choose names.
fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for letter in line.chars() {
        match letter {
            '\\' | '[' | ']' => out.extend(['\\', letter]),
            '{' | '}' => out.extend([letter, letter]),
            other => out.push(other),
        }
    }
    out
}

/// `unpinned_tools` as `UnpinnedTools`.
fn camel(code: &str) -> String {
    let words = code.split('_').filter_map(|word| {
        let mut letters = word.chars();
        Some(letters.next()?.to_uppercase().chain(letters).collect::<String>())
    });
    words.collect()
}

#[cfg(test)]
mod tests;
