//! An exported file, judged. Believes nothing in it.

use std::path::Path;

use nanohost_core::export::{self, Export};
use nanohost_core::trace::{CheckName, Evidence, Fault, FaultKind, Report, RunState, Trace, verify};
use nanohost_core::{Diagnostic, ExportError, RunId, TrustRoot};

use crate::called::program_name;
use crate::failure::Failure;
use crate::read::read_bounded;

/// Evidence as it was judged.
#[derive(Debug)]
pub struct Judged {
    /// What was found.
    pub report: Report,
    /// The run, where nothing is wrong and its program is disclosed.
    pub trace: Option<Trace>,
    /// Its envelopes, as they lie there.
    pub envelopes: Vec<Vec<u8>>,
}

/// Stands where a file does not say which run it is of.
pub(crate) fn nobody() -> RunId {
    RunId::from_random([0; 16])
}

/// Judges an exported file.
///
/// # Errors
/// `export_unreadable` where it cannot be read, `not_an_export` where it is none; whatever is wrong
/// with the evidence stands in the report.
pub fn judge(path: &Path, trust: &TrustRoot) -> anyhow::Result<Judged> {
    let io = |error: std::io::Error| Failure::io("export_unreadable", "read", path, &error);
    let bytes = read_bounded(path, export::MAX_EXPORT as u64).map_err(io)?;
    if !Export::is_begun_by(&bytes) {
        let message = format!("{} is not an export of a run", path.display());
        let help = format!("`{} export RUN -o FILE` writes one", program_name());
        return Err(Failure::usage(Diagnostic::error("not_an_export", message).help(help)));
    }
    let of_form = |run: &RunId, error: &ExportError| {
        let kind = match error {
            ExportError::OrphanContent { .. } | ExportError::CutLine { .. } => FaultKind::Truncated,
            _ => FaultKind::Tampered,
        };
        let fault = Fault { kind, check: CheckName::Sequence, envelope: None, message: error.to_string() };
        Judged { report: Report::of_fault(run.clone(), fault), trace: None, envelopes: Vec::new() }
    };
    let export = match Export::parse(&bytes) {
        Ok(export) => export,
        Err(error) => return Ok(of_form(&nobody(), &error)),
    };
    let evidence = Evidence {
        run: &export.run,
        envelopes: &export.envelopes,
        contents: &[],
        expected: None,
        complete: false,
    };
    // Envelopes first: whether a value's envelope is missing or its ref was changed shows only then.
    let (report, _) = verify(evidence, trust);
    if report.fault.is_some() {
        return Ok(Judged { report, trace: None, envelopes: Vec::new() });
    }
    // A suspended run may go on to an envelope that was cut off.
    if let Err(error) = export.check_places(report.state == Some(RunState::Closed)) {
        return Ok(of_form(&export.run, &error));
    }
    let (report, trace) = verify(Evidence { contents: &export.contents, ..evidence }, trust);
    Ok(Judged { report, trace, envelopes: export.envelopes })
}
