//! `nanohost store doctor`: everything that can be seen of a store without its runs' programs, each
//! finding with what to do about it. Changes nothing.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use nanohost_core::dsse::Unverified;
use nanohost_core::{Diagnostic, Diagnostics};
use nanohost_store::{Logged as _, OpenOptions, Records as _, RunState, SqliteReader};
use serde_json::json;

use crate::commands::log;
use crate::console::{self, Console, program_name};
use crate::failure::{Exit, Failure};
use crate::project::Places;
use crate::{outside, signing, store_failure};

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
    left(places, &mut found);
    rows(&reader, &mut found)?;
    let agrees = acts(&reader, places, &mut found)?;
    runs(&reader, &mut found)?;
    match log::look(None, places)? {
        Exit::Success => {}
        exit => found.add(
            exit,
            Diagnostic::error("log_damaged", "the log over all runs, or the chain of acts, is damaged").help(
                format!("`{} log fsck` says where; restore the newest copy that is whole", program_name()),
            ),
        ),
    }
    if agrees {
        keys(&reader, places, &mut found)?;
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

/// What a `store restore` left whose process ended: a copy of the store together with its keys.
fn left(places: &Places, found: &mut Examined) {
    for folder in super::left_behind(&places.store) {
        let message = format!("{} holds a copy of the store with its keys", folder.display());
        let help =
            format!("its `store restore` did not come to its end: rm -r {}", crate::project::quoted(&folder));
        found.add(Exit::Host, Diagnostic::error("restore_left", message).help(help));
    }
}

/// The acts and the log against the list outside of the store; whether the acts are those that are listed.
fn acts(reader: &SqliteReader, places: &Places, found: &mut Examined) -> anyhow::Result<bool> {
    if let Err(error) = outside::agrees(reader, places) {
        let Failure { exit, findings } = error.downcast::<Failure>()?;
        findings.iter().for_each(|finding| found.add(exit, finding.clone()));
        return Ok(false);
    }
    if let Some(finding) = outside::unlisted(reader, places)? {
        found.add(Exit::Host, finding);
    }
    let size = reader.read_log(|log| log.size()).map_err(store_failure)?;
    let known = outside::known_size(&reader.acts().map_err(store_failure)?, places)?;
    if known > size {
        let message = format!("the log has {size} entries, and is known to have had {known}");
        let help = "the store is an older copy: restore the newest one; witnesses refuse this log";
        found.add(Exit::RolledBack, Diagnostic::error("log_rolled_back", message).help(help));
    }
    Ok(true)
}

/// Which keys count, and runs that can never go on since theirs does not any more.
fn keys(reader: &SqliteReader, places: &Places, found: &mut Examined) -> anyhow::Result<()> {
    let Ok(trust) = signing::own_trust(places) else { return Ok(()) };
    // What does not verify was found with the log.
    let Ok(keys) = crate::acts::keys(reader, &trust).map_err(store_failure)? else { return Ok(()) };
    let (mut lost, mut first) = (Vec::new(), None);
    for run in reader.runs().map_err(store_failure)? {
        let Some(record) = reader.load(&run.run).map_err(store_failure)? else { continue };
        let Some(envelope) = record.envelopes.first().and_then(|bytes| Unverified::parse(bytes).ok()) else {
            continue;
        };
        // The newest come first.
        first = Some(envelope.key_id());
        let is_over = matches!(run.state, RunState::Closed { .. });
        if !is_over && keys.retired.contains_key(&envelope.key_id()) {
            lost.push(run.run.short().to_owned());
        }
    }
    if !lost.is_empty() {
        let message = format!("{} runs wait whose key was retired: {}", lost.len(), lost.join(", "));
        let help = format!("they cannot go on: `{} cancel RUN --reason TEXT` ends one", program_name());
        found.findings.push(Diagnostic::warning("runs_lost", message).help(help));
    }
    let current = signing::current_public(places).map_err(store_failure)?.map(|key| key.key_id());
    if let (Some(current), Some(first)) = (current, first)
        && current != first
        && !keys.introduced.contains_key(&current)
    {
        let message = format!("the key {current} signs, and no act of this store introduced it");
        let help = format!(
            "whoever trusts the first key of this store is not led to it: hand them what `{} key export -o FILE` writes",
            program_name()
        );
        found.findings.push(Diagnostic::warning("key_unintroduced", message).help(help));
    }
    Ok(())
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
