//! What a verification comes to: an exit code, and a document or a table. Knows nothing of how the
//! evidence was judged.

use anyhow::Context as _;
use nanohost_core::trace::{FaultKind, Report};
use serde_json::Value;

use crate::console::{self, Console};
use crate::failure::Exit;
use crate::file::nobody;
use crate::{Asked, Judged};

/// The exit code that a report stands for.
pub fn exit_of(report: &Report) -> Exit {
    match &report.fault {
        Some(fault) => match fault.kind {
            FaultKind::Tampered => Exit::Tampered,
            FaultKind::Truncated => Exit::Truncated,
            FaultKind::RolledBack => Exit::RolledBack,
            FaultKind::UntrustedKey => Exit::Untrusted,
            FaultKind::Unwitnessed => Exit::Unwitnessed,
        },
        None if report.open => Exit::Open,
        None => Exit::Success,
    }
}

impl Asked {
    /// What it comes to. With `--strict`, what is asked for is more than what is not wrong.
    pub fn exit(&self, report: &Report) -> Exit {
        if self.falls_short(report) { Exit::Truncated } else { exit_of(report) }
    }

    fn falls_short(&self, report: &Report) -> bool {
        self.strict && report.is_good() && report.is_partial()
    }

    /// Prints the checks, as a table or as one document.
    ///
    /// # Errors
    /// Those of standard output.
    pub fn say(&self, judged: &Judged, console: Console) -> anyhow::Result<Exit> {
        let report = &judged.report;
        let status = judged.status.as_deref();
        let exit = self.exit(report);
        if self.json {
            console.json(&self.document(report, status, exit)?)?;
        } else {
            console.print(&console::report(report, status, self.strict))?;
        }
        Ok(exit)
    }

    fn document(&self, report: &Report, status: Option<&str>, exit: Exit) -> anyhow::Result<Value> {
        let mut document = serde_json::to_value(report).context("a report has a JSON form")?;
        document["good"] = (report.is_good() && !self.falls_short(report)).into();
        document["strict"] = self.strict.into();
        if report.run == nobody() {
            document["run"] = Value::Null;
        }
        document["status"] = status.into();
        document["partial"] = report.is_partial().into();
        document["exitCode"] = (exit as u8).into();
        Ok(document)
    }
}
