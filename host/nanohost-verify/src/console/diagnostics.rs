//! Findings as text through miette, and as JSON from the same data.

use std::fmt;
use std::ops::Range;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode,
    SourceSpan, SpanContents,
};
use nanohost_core::{Diagnostic, Diagnostics, Severity, Source};
use serde_json::{Value, json};

/// No more of a file is pictured, bytes: a line of a hundred thousand helps nobody, and drawing one
/// of more columns than a format's width can say would panic.
const MAX_PICTURED: usize = 4096;

/// A finding as miette wants it.
struct Shown<'a> {
    diagnostic: &'a Diagnostic,
    excerpt: Option<Excerpt>,
    width: Option<usize>,
}

/// The lines of a file that a finding is about, and the ones beside them.
#[derive(Debug)]
struct Excerpt {
    name: String,
    text: String,
    /// How many lines of the file come before.
    skipped: usize,
    /// What the finding is about, in `text`.
    span: Range<usize>,
}

impl Excerpt {
    /// `None` where those lines are too long to be pictured.
    fn of(source: &Source, span: &Range<usize>) -> Option<Self> {
        let text = &*source.text;
        let line_start = |at: usize| text[..at].rfind('\n').map_or(0, |end| end + 1);
        let line_end = |at: usize| text[at..].find('\n').map_or(text.len(), |end| at + end + 1);
        let on_boundary = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
        let (start, end) = (on_boundary(span.start)?, on_boundary(span.end.max(span.start))?);
        let first = line_start(start);
        let around = line_start(first.saturating_sub(1))..line_end(line_end(end));
        let alone = first..line_end(start);
        let lines = [around, alone].into_iter().find(|lines| lines.len() <= MAX_PICTURED)?;
        Some(Self {
            name: super::escape::lines(&source.name),
            text: super::escape::same_width(&text[lines.clone()]),
            skipped: text[..lines.start].matches('\n').count(),
            span: start - lines.start..end.min(lines.end) - lines.start,
        })
    }
}

impl SourceCode for Excerpt {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let read = self.text.read_span(span, before, after)?;
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            read.data(),
            *read.span(),
            read.line() + self.skipped,
            read.column(),
            read.line_count() + self.skipped,
        )))
    }
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.diagnostic, f)
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without a picture the place is in the words.
        let place = match (&self.excerpt, self.diagnostic.place()) {
            (None, Some(place)) => format!("{}: ", super::escape::lines(&place)),
            _ => String::new(),
        };
        let message = super::escape::lines(&self.diagnostic.message);
        f.write_str(&wrapped(&format!("{place}{message}"), self.width))
    }
}

impl std::error::Error for Shown<'_> {}

impl miette::Diagnostic for Shown<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.diagnostic.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.diagnostic.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let help = self.diagnostic.help.as_ref()?;
        Some(Box::new(wrapped(&super::escape::lines(help), self.width)))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.excerpt.as_ref().map(|excerpt| excerpt as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.excerpt.as_ref()?.span.clone();
        let label = self.diagnostic.label.as_deref().map(super::escape::lines);
        Some(Box::new(std::iter::once(LabeledSpan::new(label, span.start, span.len()))))
    }
}

/// How findings are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Whether in colours.
    pub colour: bool,
    /// The columns of the terminal; what goes elsewhere is not wrapped.
    pub width: Option<usize>,
}

/// What stands before the lines of a message and of a help, columns.
const INDENT: usize = 8;

/// No narrower column is made of text: there every word would stand alone.
const MIN_COLUMN: usize = 40;

/// No wider one: nobody reads lines across a wide screen.
const MAX_COLUMN: usize = 100;

/// `text` with its prose broken to the width. What is to be typed stays on one line: lines that are
/// indented, and what stands between backticks.
fn wrapped(text: &str, width: Option<usize>) -> String {
    let Some(width) = width else { return text.to_owned() };
    let column = width.saturating_sub(INDENT).clamp(MIN_COLUMN, MAX_COLUMN);
    let mut out = String::with_capacity(text.len() + 8);
    for (at, line) in text.split('\n').enumerate() {
        if at > 0 {
            out.push('\n');
        }
        if line.starts_with("  ") {
            out.push_str(line);
            continue;
        }
        let (mut used, mut quoted) = (0, false);
        for (at, word) in line.split(' ').enumerate() {
            let wide = word.chars().count();
            if at > 0 && !quoted && used + 1 + wide > column {
                out.push('\n');
                used = 0;
            } else if at > 0 {
                out.push(' ');
                used += 1;
            }
            out.push_str(word);
            used += wide;
            quoted ^= word.matches('`').count() % 2 == 1;
        }
    }
    out
}

/// Findings for a person.
pub fn render(findings: &Diagnostics, look: Look) -> String {
    let theme = if look.colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    // The handler would break commands too.
    let handler = GraphicalReportHandler::new_themed(theme).with_links(false).with_wrap_lines(false);
    let mut out = String::new();
    for diagnostic in findings.iter() {
        let place = diagnostic.source.as_ref().zip(diagnostic.span.as_ref());
        let excerpt = place.and_then(|(source, span)| Excerpt::of(source, span));
        let shown = Shown { diagnostic, excerpt, width: look.width };
        if handler.render_report(&mut out, &shown).is_err() {
            // The plain form says the same without the picture.
            out.push_str(&format!("{}\n", super::escape::lines(&diagnostic.to_string())));
        }
    }
    out
}

/// Findings for a program.
pub fn findings_json(findings: &Diagnostics) -> Value {
    let one = |diagnostic: &Diagnostic| {
        let place = diagnostic.source.as_ref().zip(diagnostic.span.as_ref()).map(|(source, span)| {
            let (line, column) = source.line_column(span.start);
            json!({ "file": source.name, "line": line, "column": column, "start": span.start, "end": span.end })
        });
        json!({
            "code": diagnostic.code,
            "severity": match diagnostic.severity { Severity::Error => "error", Severity::Warning => "warning" },
            "message": diagnostic.message,
            "place": place,
            "step": diagnostic.step,
            "help": diagnostic.help,
        })
    };
    Value::Array(findings.iter().map(one).collect())
}

#[cfg(test)]
mod tests;
