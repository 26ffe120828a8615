//! The result of a verification, check by check.

use nanohost_core::trace::{CheckResult, FaultKind, Report};

use super::escape::escaped;
use super::table::{bad, bold, columns, good, odd};

/// The report for a person: the verdict first, then every check. `strict`: whether everything has to
/// be here.
pub fn report(report: &Report, status: Option<&str>, strict: bool) -> String {
    let verdict = match (&report.fault, report.open) {
        (Some(fault), _) => {
            let kind = match fault.kind {
                FaultKind::Tampered => "TAMPERED",
                FaultKind::Truncated => "TRUNCATED",
                FaultKind::RolledBack => "ROLLED BACK",
                FaultKind::UntrustedKey => "UNTRUSTED KEY",
                FaultKind::Unwitnessed => "NOT WITNESSED",
            };
            format!("{} {}", bad(&bold(kind)), escaped(&fault.to_string()))
        }
        (None, true) => format!(
            "{} the run has no end: it goes on, was interrupted, or its tail was cut",
            odd(&bold("OPEN"))
        ),
        (None, false) => match report.unchecked() {
            Some(what) => format!("{} what is here is good, and {what}", odd(&bold("VERIFIED IN PART"))),
            None => format!("{} every check that could be made passed", good(&bold("VERIFIED"))),
        },
    };
    let mut out = format!("{verdict}\n");
    if strict && report.is_good() && report.is_partial() {
        let what = match report.withheld {
            0 => "not everything was checked".to_owned(),
            1 => "1 value is withheld".to_owned(),
            n => format!("{n} values are withheld"),
        };
        out.push_str(&format!("{} {what}, so this does not count as verified\n", bad("--strict:")));
    }
    if report.envelopes > 0 {
        out.push_str(&format!("run {} · {} envelopes", report.run, report.envelopes));
        if let Some(status) = status {
            out.push_str(&format!(" · {}", escaped(status)));
        }
        out.push('\n');
    }
    out.push('\n');
    let rows = report.checks.iter().map(|check| {
        let result = match check.result {
            CheckResult::Pass => "pass",
            CheckResult::Fail => "FAIL",
            CheckResult::NotChecked => "not checked",
        };
        vec![check.name.to_string(), result.to_owned(), escaped(&check.detail)]
    });
    out.push_str(&columns(&[], rows));
    out
}
