//! `nanohost receipt`: computed from verified evidence, signed, or held against a signed one.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use nanohost_core::receipt::{self, Receipt, ReceiptFault};
use nanohost_core::trace::Trace;
use nanohost_core::{Diagnostic, KeyId, TrustRoot, dsse};
use nanohost_verify::whole;
use serde_json::json;

use super::evidence::{own_trust, trusted, verified};
use crate::cli::ReceiptArgs;
use crate::console::{self, Console, program_name};
use crate::failure::{Exit, Failure};
use crate::project::{Places, quoted, read_bounded};
use crate::signing;

/// `nanohost receipt`.
pub fn receipt(args: &ReceiptArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let evidence = &args.evidence;
    let trace = verified(&evidence.evidence, evidence.trust.as_deref(), places, console)?;
    if let Some(path) = &args.check {
        return check(path, &trace, &trusted(evidence.trust.as_deref(), places)?.root(), args, console);
    }
    let receipt = Receipt::from(&trace);
    if let Some(path) = &args.output {
        sign(path, &receipt, places)?;
        console.note(&format!("{}: the receipt of run {}, signed", console::path(path), receipt.run));
    }
    if evidence.json {
        console.json(&serde_json::to_value(&receipt).context("a receipt has a JSON form")?)?;
    } else {
        console.print(&console::receipt(&receipt))?;
    }
    Ok(Exit::Success)
}

/// Signs with this machine's key, which has to be the run's; none is made for it.
fn sign(path: &Path, receipt: &Receipt, places: &Places) -> anyhow::Result<()> {
    own_trust(places)?;
    let unsigned = |why: String| {
        let help = "a receipt is signed where the run was made, with the key that signed the run";
        Failure::usage(Diagnostic::error("receipt_unsigned", why).help(help))
    };
    let id = receipt.signer.as_ref().map(|signer| KeyId::from(signer.key));
    let key = match id {
        Some(id) => signing::named(&id, places)?,
        None => None,
    };
    let key = key.ok_or_else(|| unsigned("the key that signed the run is not this user's".to_owned()))?;
    let bytes = receipt.sign(&key.signer).map_err(|error| unsigned(error.to_string()))?;
    let io = |error: std::io::Error| Failure::io("receipt_unwritable", "write", path, &error);
    whole::create(path, |draft| draft.write_all(&bytes)).map_err(io)
}

/// Computes the receipt again and compares bytes.
fn check(
    path: &Path,
    trace: &Trace,
    trust: &TrustRoot,
    args: &ReceiptArgs,
    console: &Console,
) -> anyhow::Result<Exit> {
    let bytes = read_bounded(path, dsse::MAX_ENVELOPE as u64)
        .map_err(|error| Failure::io("receipt_unreadable", "read the receipt", path, &error))?;
    receipt::check(&bytes, trace, trust).map_err(|fault| {
        let (exit, help) = match &fault {
            ReceiptFault::Untrusted(_) | ReceiptFault::OtherKey(_) => (
                Exit::Untrusted,
                "only the key that signed the run, and that you trust, signs its receipt".to_owned(),
            ),
            ReceiptFault::Earlier { .. } => (
                Exit::Tampered,
                format!(
                    "ask whoever holds the run for a new one: {} receipt {} --sign -o FILE",
                    program_name(),
                    trace.run().short()
                ),
            ),
            _ => (
                Exit::Tampered,
                format!(
                    "believe the evidence: `{} receipt {}` computes what it says",
                    program_name(),
                    quoted(Path::new(&args.evidence.evidence))
                ),
            ),
        };
        let message = format!("{}: {fault}", console::path(path));
        Failure { exit, findings: Diagnostic::error("receipt_bad", message).help(help).into() }
    })?;
    if args.evidence.json {
        let key = Receipt::from(trace).signer.map(|signer| signer.key);
        console.json(&json!({ "run": trace.run(), "good": true, "key": key, "exitCode": 0 }))?;
    } else {
        console.print(&format!(
            "{} is the receipt of run {}: its signature is good, and computed again from the evidence it is the same to the byte\n",
            console::path(path),
            trace.run()
        ))?;
    }
    Ok(Exit::Success)
}
