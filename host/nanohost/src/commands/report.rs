//! `nanohost report`: what a run did and what of it is proven, as a page for a person who audits.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use nanohost_verify::whole;

use super::evidence::{exit_of, judge_whole};
use crate::cli::ReportArgs;
use crate::console::{self, Console, Sight};
use crate::failure::{Exit, Failure};
use crate::project::Places;
use crate::report::Audit;
use crate::report::page::page;

/// `nanohost report`. Evidence that is bad is reported too: that is what the page then says.
pub fn report(args: &ReportArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let (judged, _) = judge_whole(&args.evidence, args.trust.as_deref(), places)?;
    let exit = exit_of(&judged.report);
    if args.reveal {
        console.note(console::REVEALS);
    }
    let sight = Sight::of(args.reveal);
    let audit = Audit::of(&judged.report, judged.trace.as_ref(), exit as u8, sight);
    if let Some(path) = &args.output {
        write(path, &page(&audit))?;
        if !args.json {
            console.note(&format!("{}: {}", console::path(path), audit.conclusion.words));
        }
    }
    if args.json {
        console.json(&serde_json::to_value(&audit).context("a report has a JSON form")?)?;
    }
    Ok(exit)
}

fn write(path: &Path, page: &str) -> anyhow::Result<()> {
    let io = |error: std::io::Error| Failure::io("report_unwritable", "write", path, &error);
    whole::create(path, |draft| draft.write_all(page.as_bytes())).map_err(io)
}
