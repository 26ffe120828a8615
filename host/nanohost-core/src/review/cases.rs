//! `*.tests.toml`: what a policy is to grant and to deny, as cases. Reads them; judging is
//! [`crate::review::explain`]'s.

use std::ops::Range;
use std::sync::Arc;

use super::Question;
use crate::cases::rows;
use crate::document::{Fields, Node, Report};
use crate::{Diagnostic, Diagnostics, Source};

/// One case.
#[derive(Debug, Clone)]
pub struct Case {
    /// What it is about, in the author's words.
    pub name: String,
    /// The program's file, from the folder of the cases.
    pub program: String,
    /// The tool, by the program's name of it or its own.
    pub tool: String,
    /// What is asked.
    pub question: Question,
    /// The same in the author's words, such as `kv ledger`.
    pub asked: String,
    /// What is expected.
    pub expect: Expect,
    /// The id of the row that is to decide.
    pub by: Option<String>,
    /// Its name's place.
    pub span: Range<usize>,
}

/// What a case expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// The tool gets it.
    Granted,
    /// It does not.
    Denied,
}

impl Expect {
    /// The word that cases use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Denied => "denied",
        }
    }
}

/// Reads `[[case]]` rows.
///
/// # Errors
/// All findings: what is not TOML, unknown keys, values that are not valid, no case at all.
pub fn parse_cases(source: &Arc<Source>) -> Result<Vec<Case>, Diagnostics> {
    rows(source, case)
}

fn case(row: &Node, report: &mut Report) -> Option<Case> {
    let mut fields = Fields::of(row, "a [[case]]", report)?;
    let name = fields.need_text("name", report).map(str::to_owned);
    let span = fields.node("name").map_or_else(|| row.span.clone(), |node| node.span.clone());
    let program = fields.need_text("program", report).map(str::to_owned);
    let tool = fields.need_text("tool", report).map(str::to_owned);
    let class = fields.need_text("capability", report).map(str::to_owned);
    let value = fields.need_text("value", report).map(str::to_owned);
    let words = [("granted", Expect::Granted), ("denied", Expect::Denied)];
    if !fields.has("expect") {
        fields.missing("expect", report);
    }
    let expect = fields.choice("expect", &words, report);
    let by = fields.filled_text("by", report).map(str::to_owned);
    let value_span = fields.node("value").map(|node| node.span.clone());
    fields.finish(report);
    let (class, value) = (class?, value?);
    let question = match Question::parse(&class, &value) {
        Ok(question) => Some(question),
        Err(why) => {
            let at = value_span.unwrap_or_else(|| span.clone());
            report.push(Diagnostic::error("bad_question", why).at(&Arc::clone(report.source()), at));
            None
        }
    };
    Some(Case {
        name: name?,
        program: program?,
        tool: tool?,
        question: question?,
        asked: format!("{class} {value}"),
        expect: expect?,
        by,
        span,
    })
}
