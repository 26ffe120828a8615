//! `nanohost store doctor`: everything that can be seen of a store without its runs' programs, each
//! finding with what to do about it. Changes nothing.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use nanohost_core::{Diagnostic, Diagnostics};
use nanohost_store::{OpenOptions, Records as _, RunState, SqliteReader};
use serde_json::json;

use crate::commands::log;
use crate::console::{self, Console, program_name};
use crate::failure::Exit;
use crate::project::Places;
use crate::store_failure;

/// What was found, and how grave it is.
struct Examined {
    findings: Diagnostics,
    exit: Exit,
}

impl Examined {
    fn add(&mut self, exit: Exit, finding: Diagnostic) {
        self.findings.push(finding);
        if self.exit == Exit::Success {
            self.exit = exit;
        }
    }
}

pub(super) fn doctor(json: bool, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    // A store of another schema, without its keys, or that is none, says so by itself.
    let reader = SqliteReader::open(&places.store, &OpenOptions::default()).map_err(store_failure)?;
    let mut found = Examined { findings: Diagnostics::new(), exit: Exit::Success };
    permissions(&places.store, &mut found);
    rows(&reader, &mut found)?;
    runs(&reader, &mut found)?;
    match log::look(places)? {
        Exit::Success => {}
        exit => found.add(
            exit,
            Diagnostic::error("log_damaged", "the log over all runs, or the chain of acts, is damaged").help(
                format!("`{} log fsck` says where; restore the newest copy that is whole", program_name()),
            ),
        ),
    }
    if json {
        console.json(&json!({
            "good": found.exit == Exit::Success,
            "store": places.store,
            "findings": console::findings_json(&found.findings),
            "exitCode": found.exit as u8,
        }))?;
    } else {
        console.note(&console::render(&found.findings, console.look_err()));
        let verdict = if found.exit == Exit::Success { "nothing is wrong" } else { "something is wrong" };
        console.print(&format!("{}: {verdict}\n", console::path(&places.store)))?;
    }
    Ok(found.exit)
}

/// Files of the store are for their owner alone.
fn permissions(folder: &Path, found: &mut Examined) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    for path in std::iter::once(folder.to_owned()).chain(entries) {
        let Ok(metadata) = std::fs::symlink_metadata(&path) else { continue };
        let mode = metadata.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            let wanted = if metadata.is_dir() { 700 } else { 600 };
            let message = format!("{} can be read by others (mode {mode:04o})", path.display());
            let help = format!("chmod {wanted} {}", crate::project::quoted(&path));
            found.add(Exit::Host, Diagnostic::error("store_open_to_others", message).help(help));
        }
    }
}

fn rows(reader: &SqliteReader, found: &mut Examined) -> anyhow::Result<()> {
    let survey = reader.survey().map_err(store_failure)?;
    let restore = "keep a copy for examination and restore the store from a backup";
    for damage in survey.damage {
        found.add(Exit::Host, Diagnostic::error("store_corrupt", damage).help(restore));
    }
    if survey.orphans > 0 {
        let message = format!("{} values belong to no envelope", survey.orphans);
        let finding = Diagnostic::error("content_orphaned", message);
        found.add(
            Exit::Tampered,
            finding.help("somebody removed envelopes, or added values: `log fsck` says which are missing"),
        );
    }
    if survey.keyless > 0 {
        let message = format!("the keys of {} values are gone, and no act erased them", survey.keyless);
        let finding = Diagnostic::error("content_keyless", message);
        found.add(Exit::Truncated, finding.help("restore keys.db from a copy of the time of this store"));
    }
    if survey.erasing {
        let finding =
            Diagnostic::error("purge_pending", "copies of what was erased remain in the files of the store");
        found.add(Exit::Host, finding.help("end what reads an earlier moment of the store; the next command that writes to it tries again"));
    }
    Ok(())
}

/// Runs that nobody goes on with: no damage, but somebody has to look.
fn runs(reader: &SqliteReader, found: &mut Examined) -> anyhow::Result<()> {
    let runs = reader.runs().map_err(store_failure)?;
    let left = runs.iter().filter(|run| matches!(run.state, RunState::Interrupted)).count();
    if left > 0 {
        let message = format!("{left} runs were interrupted: their process ended before they did");
        let help = format!("`{} recover` lets them go on, and says which calls are in doubt", program_name());
        found.findings.push(Diagnostic::warning("runs_interrupted", message).help(help));
    }
    Ok(())
}
