//! An exported file, judged line by line in the memory of its longest one. Believes nothing in it.

use std::io::{self, BufRead, BufReader, Read as _, Seek};
use std::path::Path;

use nanohost_core::dsse::Unverified;
use nanohost_core::export::{self, ExportReader, Misplaced, Part, ReadError};
use nanohost_core::log::{Checkpoint, NoteVerifier};
use nanohost_core::receipt::RECEIPT_TYPE;
use nanohost_core::trace::{
    CheckName, Fault, FaultKind, Keep, Reach, Report, SeenHeads, Trace, Verified, Verifier, check_acts,
};
use nanohost_core::{Diagnostic, ExportError, KeyId, KeyTrust, RunId, Validity};

use crate::called::program_name;
use crate::failure::Failure;
use crate::read::{open_bounded, quoted};

/// No receipt is longer; so much of a file is looked at to say that it is one.
const MAX_RECEIPT: u64 = 4 << 20;

/// Evidence as it was judged.
#[derive(Debug)]
pub struct Judged {
    /// What was found.
    pub report: Report,
    /// The run, where nothing is wrong, its program is disclosed, and it was asked for.
    pub trace: Option<Trace>,
    /// How it ended, or `suspended`, or `open`; where nothing is wrong and its program is disclosed.
    pub status: Option<String>,
    /// How far it reaches.
    pub reach: Reach,
}

impl Judged {
    fn of_form(run: &RunId, error: &ExportError) -> Self {
        let kind = match error {
            ExportError::OrphanContent { .. } | ExportError::CutLine { .. } => FaultKind::Truncated,
            _ => FaultKind::Tampered,
        };
        let fault = Fault { kind, check: CheckName::Sequence, envelope: None, message: error.to_string() };
        let report = Report::of_fault(run.clone(), fault);
        Self { report, trace: None, status: None, reach: Reach::default() }
    }
}

impl From<Verified> for Judged {
    fn from(verified: Verified) -> Self {
        let Verified { report, trace, status, reach, .. } = verified;
        Self { report, trace, status, reach }
    }
}

/// Stands where a file does not say which run it is of.
pub(crate) fn nobody() -> RunId {
    RunId::from_random([0; 16])
}

/// Whether a file is a signed receipt by its form, whoever signed it: one envelope, whose line has no end.
fn is_receipt(file: &mut (impl BufRead + Seek)) -> io::Result<bool> {
    let mut bytes = Vec::new();
    file.take(MAX_RECEIPT + 1).read_until(b'\n', &mut bytes)?;
    file.rewind()?;
    if bytes.len() as u64 > MAX_RECEIPT || bytes.ends_with(b"\n") {
        return Ok(false);
    }
    let Ok(envelope) = Unverified::parse(&bytes) else { return Ok(false) };
    let statement = serde_json::from_slice::<serde_json::Value>(envelope.payload());
    Ok(statement.is_ok_and(|statement| statement["predicateType"] == RECEIPT_TYPE))
}

/// Judges an exported file. `seen`: what was seen before and is to be compared with it; `log`: the key of
/// the log whose head that is, which its acts are to stand in.
///
/// # Errors
/// `export_unreadable` where it cannot be read, `not_an_export` where it is none; whatever is wrong
/// with the evidence stands in the report.
pub fn judge(
    path: &Path,
    trusted: &KeyTrust,
    keep: Keep,
    seen: Option<&SeenHeads>,
    log: impl Fn(&Checkpoint) -> Option<NoteVerifier>,
) -> anyhow::Result<Judged> {
    let io = |error: std::io::Error| Failure::io("export_unreadable", "read", path, &error);
    let mut file = BufReader::new(open_bounded(path, export::MAX_EXPORT as u64).map_err(io)?);
    let receipt = is_receipt(&mut file).map_err(io)?;
    if receipt || !export::is_begun_by(&mut file).map_err(io)? {
        let message = format!("{} is not an export of a run", path.display());
        let help = match receipt {
            true => format!(
                "it is a signed receipt, which is checked against the evidence: {} receipt RUN --check {}",
                program_name(),
                quoted(path)
            ),
            false => format!("`{} export RUN -o FILE` writes one", program_name()),
        };
        return Err(Failure::usage(Diagnostic::error("not_an_export", message).help(help)));
    }
    file.rewind().map_err(io)?;
    match read(file, trusted, keep, seen, log) {
        Ok(judged) => Ok(judged),
        Err(ReadError::Form(error)) => Ok(Judged::of_form(&nobody(), &error)),
        Err(ReadError::Io(error)) => Err(io(error)),
    }
}

fn read(
    file: impl std::io::BufRead,
    trusted: &KeyTrust,
    keep: Keep,
    seen: Option<&SeenHeads>,
    log: impl Fn(&Checkpoint) -> Option<NoteVerifier>,
) -> Result<Judged, ReadError> {
    let mut reader = ExportReader::new(file)?;
    let run = reader.run().clone();
    let trust = trusted.root();
    let mut verifier = Verifier::new(run.clone(), &trust, keep);
    if let Some(at) = seen.and_then(|seen| seen.last_of(&run)) {
        verifier.watch(at);
    }
    let mut envelopes = 0u64;
    let mut misplaced = None;
    let mut acts = Vec::new();
    while let Some(part) = reader.next()? {
        match part {
            Part::Act(act) => {
                if verifier.act(&act.envelope) {
                    acts.push(act);
                }
            }
            Part::Envelope(envelope) => {
                verifier.envelope(envelope);
                envelopes += 1;
            }
            Part::Content(content) if envelopes.checked_sub(1) == Some(content.seq) => {
                verifier.content(&content);
            }
            Part::Content(content) => {
                misplaced.get_or_insert(Misplaced::at(&content, reader.line(), &run));
            }
        }
    }
    let mut verified = verifier.finish(None);
    let acts: Vec<_> = acts.iter().map(|act| (act.envelope.as_slice(), act.proof.as_ref())).collect();
    let validity = |key: &KeyId| trusted.act_validity(key).unwrap_or(Validity::ALL);
    check_acts(&mut verified.report, &acts, log, validity);
    // Whether a value's envelope is missing or its ref was changed shows only where the envelopes are
    // whole. A suspended run may go on to an envelope that was cut off.
    let whole = verified.report.fault.as_ref().is_none_or(|fault| {
        !matches!(
            fault.check,
            CheckName::Signatures
                | CheckName::Canonical
                | CheckName::Sequence
                | CheckName::Chain
                | CheckName::Closed
        )
    });
    Ok(match misplaced.filter(|_| whole) {
        Some(misplaced) => Judged::of_form(&run, &misplaced.error(envelopes, verified.closed)),
        None => verified.into(),
    })
}
