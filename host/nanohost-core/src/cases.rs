//! What tests say that authors write beside their tools and programs: what goes in, what has to come out,
//! what is refused. Reads them; trying them is the host's.

mod program;
mod tool;

pub use program::{Gives, ProgramCase, StandIn, parse_program_cases};
pub use tool::{Answer, Expected, KvValues, Request, ToolCase, parse_tool_cases};

use std::sync::Arc;

use crate::document::{self, Fields, Format, Node, Report};
use crate::{Diagnostics, Source};

/// Each case is a call or a run: without a bound a small file makes much work.
const MAX_CASES: usize = 10_000;

/// Reads the `[[case]]` rows of a file, each with `read`.
pub(crate) fn rows<T>(
    source: &Arc<Source>,
    read: impl Fn(&Node, &mut Report) -> Option<T>,
) -> Result<Vec<T>, Diagnostics> {
    let root = document::parse(source, Format::Toml)?;
    let mut report = Report::new(source);
    let mut cases = Vec::new();
    if let Some(mut fields) = Fields::of(&root, "a file of cases", &mut report) {
        let rows = fields.list("case", &mut report).unwrap_or_default();
        if let Some(beyond) = rows.get(MAX_CASES) {
            report.invalid(&beyond.span, format!("a file has at most {MAX_CASES} cases"));
        }
        cases.extend(rows.iter().take(MAX_CASES).filter_map(|row| read(row, &mut report)));
        fields.finish(&mut report);
        if rows.is_empty() {
            report.invalid(&(0..0), "there is no [[case]]: nothing would be tested");
        }
    }
    report.finish()?;
    Ok(cases)
}

/// A table of texts, such as variables and their values.
fn texts(fields: &mut Fields<'_>, key: &'static str, report: &mut Report) -> Vec<(String, String)> {
    let entries = fields.table(key, report).unwrap_or_default();
    let mut all = Vec::new();
    for entry in entries {
        match entry.node.as_text() {
            Some(text) => all.push((entry.key.clone(), text.to_owned())),
            None => report.invalid(&entry.node.span, format!("`{key}` holds texts")),
        }
    }
    all
}

/// A list of texts.
fn list(fields: &mut Fields<'_>, key: &'static str, report: &mut Report) -> Option<Vec<String>> {
    let all = fields.texts(key, report)?;
    Some(all.into_iter().map(|(text, _)| text.to_owned()).collect())
}

#[cfg(test)]
mod tests;
