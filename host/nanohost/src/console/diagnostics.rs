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
        if let (None, Some(place)) = (&self.excerpt, self.diagnostic.place()) {
            write!(f, "{}: ", super::escape::lines(&place))?;
        }
        f.write_str(&super::escape::lines(&self.diagnostic.message))
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
        Some(Box::new(super::escape::lines(help)))
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

/// Findings for a person.
pub fn render(findings: &Diagnostics, colour: bool) -> String {
    let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_links(false).with_width(100);
    let mut out = String::new();
    for diagnostic in findings.iter() {
        let place = diagnostic.source.as_ref().zip(diagnostic.span.as_ref());
        let excerpt = place.and_then(|(source, span)| Excerpt::of(source, span));
        let shown = Shown { diagnostic, excerpt };
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
