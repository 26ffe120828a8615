//! TOML or JSON text → one tree of values that know their places, and readers that turn its tables
//! into typed values with all problems in one pass. Knows no key of any file: programs, manifests
//! and policies bring their own.
//!
//! ```text
//! let mut report = Report::new(&source);
//! let root = document::parse(&source, Format::Toml)?;
//! let mut fields = Fields::of(&root, "a manifest", &mut report).ok_or(..)?;
//! let name = fields.need_text("name", &mut report);
//! let effect = fields.choice("effect", &[("pure", Effect::Pure), ("external", Effect::External)], &mut report);
//! fields.finish(&mut report);            // unknown keys, with the nearest known one
//! report.finish()?;
//! ```

use std::collections::HashSet;
use std::fmt;
use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Number, Value};

use crate::{Diagnostic, Diagnostics, Severity, Source};

mod json;
mod toml;

#[cfg(test)]
pub(crate) mod asked;
#[cfg(test)]
mod tests;

/// Values nested deeper than this are refused: whatever walks the tree recurses on the depth.
/// TOML's dotted keys would else nest thousands of levels in a short line.
const MAX_DEPTH: usize = 128;

/// No pass reports more errors than this, nor more warnings: each finding's place costs a walk
/// through the text, and a hostile file can hold a million mistakes.
const MAX_FINDINGS: usize = 200;

/// The byte order mark that some editors put before the text.
const BOM: &str = "\u{feff}";

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// TOML 1.0.
    Toml,
    /// JSON (RFC 8259).
    Json,
}

impl Format {
    /// The format of a file by its name: JSON where it ends in `.json`, else TOML.
    pub fn of_name(name: &str) -> Self {
        let json = name.len() >= 5 && name.is_char_boundary(name.len() - 5);
        if json && name[name.len() - 5..].eq_ignore_ascii_case(".json") { Self::Json } else { Self::Toml }
    }
}

/// The text of a file, which must be UTF-8 (`not_utf8` otherwise, with the line and byte).
pub fn source_from_bytes(name: &str, bytes: &[u8]) -> Result<Arc<Source>, Diagnostics> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Source::new(name, text)),
        Err(error) => {
            let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let source = Source::new(name, String::from_utf8_lossy(bytes));
            let at = good.len();
            let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
            Err(Diagnostic::error("not_utf8", format!("`{name}` is not UTF-8: line {line}, byte {at}"))
                .at(&source, at..at)
                .help("save the file as UTF-8")
                .into())
        }
    }
}

/// A value and its place in the text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) span: Range<usize>,
    pub(crate) value: NodeValue,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum NodeValue {
    Null,
    Bool(bool),
    /// An integer within i64 or u64, or a finite binary fraction.
    Number(Number),
    Text(String),
    /// A TOML date or time, as written.
    Date(String),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// One row of a table. Rows keep the order of the file; no key stands twice.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Range<usize>,
    pub(crate) node: Node,
}

/// Reads a whole document, whose top is a table. Codes: `not_toml`, `not_json`, `duplicate_key`,
/// and `invalid_field` for values no program can hold (a number out of range, `nan`, too deep).
pub(crate) fn parse(source: &Arc<Source>, format: Format) -> Result<Node, Diagnostics> {
    let base = if source.text.starts_with(BOM) { BOM.len() } else { 0 };
    let text = &source.text[base..];
    let mut report = Report { base, ..Report::new(source) };
    if text.starts_with(BOM) {
        // Some readers skip every mark, others one: nobody should depend on which.
        let code = if format == Format::Toml { "not_toml" } else { "not_json" };
        let span = base..base + BOM.len();
        return Err(report.error(code, &span, "the text begins with more than one byte order mark").into());
    }
    let root = match format {
        Format::Toml => toml::parse(text, &mut report),
        Format::Json => json::parse(text, &mut report),
    };
    report.finish()?;
    match root {
        Some(root) => Ok(root),
        None => Err(Diagnostic::error("invalid_field", "the document is empty").at(source, 0..0).into()),
    }
}

impl Node {
    /// What stands here, for messages: `a string`.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            NodeValue::Null => "null",
            NodeValue::Bool(_) => "true or false",
            NodeValue::Number(number) if number.is_f64() => "a number with a fraction",
            NodeValue::Number(_) => "an integer",
            NodeValue::Text(_) => "a string",
            NodeValue::Date(_) => "a date",
            NodeValue::List(_) => "a list",
            NodeValue::Table(_) => "a table",
        }
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.value {
            NodeValue::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_list(&self) -> Option<&[Node]> {
        match &self.value {
            NodeValue::List(items) => Some(items),
            _ => None,
        }
    }

    pub(crate) fn as_table(&self) -> Option<&[Entry]> {
        match &self.value {
            NodeValue::Table(entries) => Some(entries),
            _ => None,
        }
    }

    fn is_null(&self) -> bool {
        self.value == NodeValue::Null
    }

    /// The value without places. A date, which JSON does not have, is reported and becomes text.
    pub(crate) fn to_json(&self, report: &mut Report) -> Value {
        match &self.value {
            NodeValue::Null => Value::Null,
            NodeValue::Bool(truth) => Value::Bool(*truth),
            NodeValue::Number(number) => Value::Number(number.clone()),
            NodeValue::Text(text) => Value::String(text.clone()),
            NodeValue::Date(text) => {
                let finding = report.error("invalid_field", &self.span, "a date is no JSON value");
                report.push(finding.help(format!("put it in quotes: \"{text}\"")));
                Value::String(text.clone())
            }
            NodeValue::List(items) => Value::Array(items.iter().map(|item| item.to_json(report)).collect()),
            NodeValue::Table(entries) => Value::Object(
                entries
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.node.to_json(report)))
                    .collect::<Map<_, _>>(),
            ),
        }
    }

    /// The place of byte `offset` of this string in the file, or of the whole string where
    /// escapes make that unknowable.
    pub(crate) fn place_in_text(&self, source: &Source, offset: usize) -> Range<usize> {
        let place = || {
            let text = self.as_text()?;
            let start = self.span.start + source.text.get(self.span.clone())?.find(text)?;
            let length = text.get(offset..)?.chars().next().map_or(0, char::len_utf8);
            Some(start + offset..start + offset + length)
        };
        place().unwrap_or_else(|| self.span.clone())
    }
}

/// The findings of one pass over one file.
#[derive(Debug)]
pub(crate) struct Report {
    source: Arc<Source>,
    /// What is added to spans: the length of a byte order mark that parsing skipped.
    base: usize,
    found: Diagnostics,
    errors: usize,
    warnings: usize,
}

impl Report {
    pub(crate) fn new(source: &Arc<Source>) -> Self {
        Self { source: Arc::clone(source), base: 0, found: Diagnostics::new(), errors: 0, warnings: 0 }
    }

    pub(crate) fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// An error at a place of this file, to be refined and then pushed.
    pub(crate) fn error(
        &self,
        code: &'static str,
        span: &Range<usize>,
        message: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic::error(code, message).at(&self.source, span.clone())
    }

    /// A warning at a place of this file, to be refined and then pushed.
    pub(crate) fn warning(
        &self,
        code: &'static str,
        span: &Range<usize>,
        message: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic::warning(code, message).at(&self.source, span.clone())
    }

    /// Adds a finding. Beyond a bound they are counted, not kept.
    pub(crate) fn push(&mut self, finding: Diagnostic) {
        let count = match finding.severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        *count += 1;
        if *count <= MAX_FINDINGS {
            self.found.push(finding);
        }
    }

    /// Whether further findings would not be kept, so that making them pleasant is wasted.
    pub(crate) fn is_full(&self) -> bool {
        self.errors.max(self.warnings) >= MAX_FINDINGS
    }

    /// Adds `invalid_field`.
    pub(crate) fn invalid(&mut self, span: &Range<usize>, message: impl Into<String>) {
        self.push(self.error("invalid_field", span, message));
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.found.has_errors()
    }

    /// The warnings, or all findings where one of them is an error, in the order of the file.
    pub(crate) fn finish(mut self) -> Result<Diagnostics, Diagnostics> {
        self.found.sort();
        let dropped = self.errors.saturating_sub(MAX_FINDINGS) + self.warnings.saturating_sub(MAX_FINDINGS);
        if dropped > 0 {
            let message = format!("{dropped} more findings are not shown");
            self.found
                .push(Diagnostic::warning("too_many_findings", message).help("mend the ones above first"));
        }
        if self.found.has_errors() { Err(self.found) } else { Ok(self.found) }
    }
}

/// Reads the rows of one table by name. A getter answers `None` for a row that is absent or
/// `null`, and for one of the wrong kind after reporting it. [`Fields::finish`] reports every row
/// that no getter asked for.
#[derive(Debug)]
pub(crate) struct Fields<'n> {
    entries: &'n [Entry],
    span: Range<usize>,
    /// What the table is, for messages: `a program`, `step "a"`.
    what: String,
    known: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// The rows of `node`, which is reported if it is not a table.
    pub(crate) fn of(node: &'n Node, what: impl Into<String>, report: &mut Report) -> Option<Self> {
        let what = what.into();
        match node.as_table() {
            Some(entries) => Some(Self { entries, span: node.span.clone(), what, known: Vec::new() }),
            None => {
                report.invalid(&node.span, format!("{what} is a table, not {}", node.kind()));
                None
            }
        }
    }

    /// The place of the whole table.
    pub(crate) fn span(&self) -> &Range<usize> {
        &self.span
    }

    /// Renames the table in messages, once more is known about it.
    pub(crate) fn call(&mut self, what: impl Into<String>) {
        self.what = what.into();
    }

    /// The row called `key`, unless it is null. It is known from now on.
    pub(crate) fn node(&mut self, key: &'static str) -> Option<&'n Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// The row called `key` with the place of its key, unless it is null.
    pub(crate) fn entry(&mut self, key: &'static str) -> Option<&'n Entry> {
        self.learn(key);
        self.entries.iter().find(|entry| entry.key == key && !entry.node.is_null())
    }

    /// Whether there is a row called `key` that is not null; it does not become known.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key && !entry.node.is_null())
    }

    /// Reports the row called `key` as `invalid_field`, where there is one, saying why it has no
    /// business here.
    pub(crate) fn refuse(&mut self, key: &'static str, why: impl fmt::Display, report: &mut Report) {
        if let Some(entry) = self.entry(key) {
            report.invalid(&entry.key_span, format!("`{key}` does not belong in {}: {why}", self.what));
        }
    }

    /// Reports that `key` is missing.
    pub(crate) fn missing(&self, key: &str, report: &mut Report) {
        let finding = report.error("invalid_field", &self.span, format!("{} needs `{key}`", self.what));
        report.push(finding.label(format!("`{key}` is missing")));
    }

    /// A string.
    pub(crate) fn text(&mut self, key: &'static str, report: &mut Report) -> Option<&'n str> {
        self.read(key, "a string", report, Node::as_text)
    }

    /// A string that is not empty.
    pub(crate) fn filled_text(&mut self, key: &'static str, report: &mut Report) -> Option<&'n str> {
        self.read(key, "a string that is not empty", report, |node| {
            node.as_text().filter(|text| !text.is_empty())
        })
    }

    /// A string that is not empty and must be there.
    pub(crate) fn need_text(&mut self, key: &'static str, report: &mut Report) -> Option<&'n str> {
        if !self.has(key) {
            self.learn(key);
            self.missing(key, report);
            return None;
        }
        self.filled_text(key, report)
    }

    /// `true` or `false`.
    pub(crate) fn truth(&mut self, key: &'static str, report: &mut Report) -> Option<bool> {
        self.read(key, "true or false", report, |node| match node.value {
            NodeValue::Bool(truth) => Some(truth),
            _ => None,
        })
    }

    /// An integer of at least 1.
    pub(crate) fn count(&mut self, key: &'static str, report: &mut Report) -> Option<NonZeroU64> {
        self.read(key, "an integer of at least 1", report, |node| match &node.value {
            NodeValue::Number(number) => number.as_u64().and_then(NonZeroU64::new),
            _ => None,
        })
    }

    /// A number of seconds, more than 0 and at least a nanosecond, at most about a century.
    pub(crate) fn seconds(&mut self, key: &'static str, report: &mut Report) -> Option<Duration> {
        const MAX_SECONDS: f64 = 3.2e9;
        self.read(key, "a number of seconds, more than 0", report, |node| match &node.value {
            NodeValue::Number(number) => number
                .as_f64()
                .filter(|seconds| *seconds <= MAX_SECONDS)
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                .filter(|duration| !duration.is_zero()),
            _ => None,
        })
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&'static str, T)],
        report: &mut Report,
    ) -> Option<T> {
        let entry = self.entry(key)?;
        let given = entry.node.as_text();
        if let Some((_, value)) = choices.iter().find(|(word, _)| Some(*word) == given) {
            return Some(*value);
        }
        let words: Vec<_> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let finding = report.error(
            "invalid_field",
            &entry.node.span,
            format!("`{key}` of {} is one of {}", self.what, words.join(", ")),
        );
        let near = given.and_then(|given| nearest(given, choices.iter().map(|(word, _)| *word)));
        report.push(match near {
            Some(word) => finding.help(format!("did you mean \"{word}\"?")),
            None => finding,
        });
        None
    }

    /// A list.
    pub(crate) fn list(&mut self, key: &'static str, report: &mut Report) -> Option<&'n [Node]> {
        self.read(key, "a list", report, Node::as_list)
    }

    /// A list of strings, each with its place; items of other kinds are reported and left out.
    pub(crate) fn texts(
        &mut self,
        key: &'static str,
        report: &mut Report,
    ) -> Option<Vec<(&'n str, Range<usize>)>> {
        let items = self.list(key, report)?;
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match item.as_text() {
                Some(text) => texts.push((text, item.span.clone())),
                None => report.invalid(&item.span, format!("`{key}` holds strings, not {}", item.kind())),
            }
        }
        Some(texts)
    }

    /// A table, read row by row.
    pub(crate) fn table(&mut self, key: &'static str, report: &mut Report) -> Option<&'n [Entry]> {
        self.read(key, "a table", report, Node::as_table)
    }

    /// A table, read by name; `what` names it in messages.
    pub(crate) fn fields(
        &mut self,
        key: &'static str,
        what: impl Into<String>,
        report: &mut Report,
    ) -> Option<Self> {
        let node = self.node(key)?;
        Self::of(node, what, report)
    }

    /// A key that a reader asks for is known from then on.
    fn learn(&mut self, key: &'static str) {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        #[cfg(test)]
        asked::note(&self.what, key, self.has(key));
    }

    /// Reports every row that nobody asked for, with the nearest known key.
    pub(crate) fn finish(self, report: &mut Report) {
        for entry in self.entries.iter().filter(|entry| !self.known.contains(&&*entry.key)) {
            let shown: String = entry.key.chars().take(60).collect();
            let finding = report.error(
                "unknown_field",
                &entry.key_span,
                format!("unknown key `{}` in {}", shown.escape_debug(), self.what),
            );
            let near = if report.is_full() { None } else { nearest(&entry.key, self.known.iter().copied()) };
            report.push(match near {
                Some(near) => finding.help(format!("did you mean `{near}`?")),
                None => finding.help(format!("known keys: {}", self.known.join(", "))),
            });
        }
    }

    fn read<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        report: &mut Report,
        read: impl FnOnce(&'n Node) -> Option<T>,
    ) -> Option<T> {
        let node = self.node(key)?;
        let value = read(node);
        if value.is_none() {
            let finding =
                report.error("invalid_field", &node.span, format!("`{key}` of {} is {expected}", self.what));
            report.push(finding.label(format!("this is {}", node.kind())));
        }
        value
    }
}

/// The known word nearest to what was typed, if it is near enough to be meant. Only the first
/// thousand words are tried: a file can hold many names, and many mistakes.
pub(crate) fn nearest<'w>(typed: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    const MAX_WORDS: usize = 1000;
    /// Longer words are not compared: the distance is quadratic in them.
    const MAX_WORD: usize = 64;
    if typed.len() > MAX_WORD {
        return None;
    }
    let typed: Vec<char> = typed.chars().flat_map(char::to_lowercase).collect();
    known
        .take(MAX_WORDS)
        .filter(|word| word.len() <= MAX_WORD)
        .map(|word| (distance(&typed, word), word))
        .filter(|(distance, word)| *distance <= 1 + word.len().min(typed.len()) / 4)
        .min()
        .map(|(_, word)| word)
}

/// Levenshtein's distance.
fn distance(typed: &[char], word: &str) -> usize {
    let mut row: Vec<usize> = (0..=typed.len()).collect();
    for (line, letter) in word.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, other) in typed.iter().enumerate() {
            let above = row[column + 1];
            row[column + 1] =
                if letter == *other { diagonal } else { 1 + diagonal.min(above).min(row[column]) };
            diagonal = above;
        }
    }
    row[typed.len()]
}

/// The first key that stands twice.
fn duplicate<'k>(keys: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let mut seen = HashSet::new();
    let mut keys = keys;
    keys.find(|key| !seen.insert(*key))
}
