//! What a client is told that did not get what it asked for. Paths of this machine stay here where the
//! client is elsewhere.

use nanohost_core::{Denied, Diagnostic, Diagnostics};
use nanohost_verify::findings_of;
use serde_json::{Value, json};

use super::caller::{Caller, Detail};
use crate::console::findings_json;

/// Why something was not done.
#[derive(Debug, Clone)]
pub struct Told {
    findings: Diagnostics,
}

impl Told {
    /// One finding of the gateway's own.
    pub fn one(code: &'static str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { findings: Diagnostic::error(code, message.into()).help(help.into()).into() }
    }

    /// That there is no such run, for this caller.
    pub fn unknown_run(run: &str) -> Self {
        let shown: String = run.chars().take(64).collect();
        Self::one(
            "unknown_run",
            format!("there is no run {:?} of yours", shown),
            "`list_runs` shows those there are",
        )
    }

    /// That the caller may not ask for it.
    pub fn out_of_scope(scope: super::Scope) -> Self {
        Told::one(
            "out_of_scope",
            format!("this needs the scope `{}`, which your token does not have", scope.as_str()),
            "ask the operator for a token with that scope",
        )
    }

    /// A failure of the host's, or of what was asked.
    pub fn of(error: &anyhow::Error) -> Self {
        Self { findings: findings_of(error).1 }
    }

    /// A refused admission.
    pub fn denied(denied: &Denied) -> Self {
        Self { findings: denied.diagnostics() }
    }

    /// The code of the first finding.
    pub fn code(&self) -> &str {
        self.findings.iter().next().map_or("host_failed", |finding| finding.code)
    }

    /// The findings as data.
    pub fn to_json(&self, caller: &Caller) -> Value {
        match caller.detail {
            Detail::Whole => findings_json(&self.findings),
            Detail::Codes => self.findings.iter().map(without_places).collect(),
        }
    }

    /// The findings as text for a model or a person.
    pub fn text(&self, caller: &Caller) -> String {
        let one = |finding: &Diagnostic| match (caller.detail, &finding.help) {
            (Detail::Whole, Some(help)) => format!("{}: {}\n{help}", finding.code, finding.message),
            (Detail::Codes, Some(help)) if is_own(finding) => {
                format!("{}: {}\n{help}", finding.code, finding.message)
            }
            (Detail::Codes, _) if !is_own(finding) => finding.code.to_string(),
            _ => format!("{}: {}", finding.code, finding.message),
        };
        crate::console::lines(&self.findings.iter().map(one).collect::<Vec<_>>().join("\n"))
    }
}

/// Codes whose words are about what the client itself said: a program of its own, its inputs, its token.
/// The words of others name files of the operator's.
fn is_own(finding: &Diagnostic) -> bool {
    const OWN: &[&str] = &[
        "ambiguous_program",
        "bad_condition",
        "busy",
        "duplicate_step_id",
        "erased",
        "implicit_end",
        "implicit_fallback",
        "invalid_argument",
        "invalid_cursor",
        "invalid_field",
        "invalid_id",
        "invalid_input",
        "invalid_syntax",
        "missing_input",
        "missing_otherwise",
        "missing_target",
        "no_failure_terminal",
        "not_suspended",
        "open_inputs",
        "out_of_scope",
        "resume_refused",
        "saved_origin",
        "saved_programs_off",
        "start_key_reused",
        "substring_guard",
        "too_many_programs",
        "unbounded_cycle",
        "unbuilt_tool",
        "undefined_variable",
        "unknown_field",
        "unknown_input",
        "unknown_program",
        "unknown_run",
        "unknown_tool",
        "unreachable_step",
        "unsaved_program",
        "unnamed_program",
    ];
    OWN.contains(&finding.code) && !names_a_path(&finding.message)
}

/// Whether a text names a place of this machine, whoever wrote it there.
fn names_a_path(text: &str) -> bool {
    let words = text.split_whitespace().map(|word| word.trim_start_matches(['"', '`', '\'', '(', '[']));
    words.into_iter().any(|word| word.len() > 1 && word.starts_with('/'))
}

fn without_places(finding: &Diagnostic) -> Value {
    match is_own(finding) {
        true => json!({ "code": finding.code, "message": finding.message, "help": finding.help }),
        false => json!({ "code": finding.code }),
    }
}
