//! Findings as text through miette, and as JSON from the same data.

use std::fmt;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};
use nanohost_core::{Diagnostic, Diagnostics, Severity};
use serde_json::{Value, json};

/// A finding as miette wants it.
struct Shown<'a> {
    diagnostic: &'a Diagnostic,
    source: Option<NamedSource<String>>,
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.diagnostic, f)
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.diagnostic.span.clone()?;
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
        let source = diagnostic.source.as_ref().filter(|_| diagnostic.span.is_some()).map(|source| {
            NamedSource::new(super::escape::lines(&source.name), super::escape::same_width(&source.text))
        });
        let shown = Shown { diagnostic, source };
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
