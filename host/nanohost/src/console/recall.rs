//! The runs that a question was answered with, and those that could not be asked.

use nanohost_core::{RunId, Timestamp};
use serde_json::{Value, json};

use super::escape::escaped;
use super::program_name;
use super::table::{bad, bold, columns, dim};
use crate::failure::Exit;

/// The answer.
#[derive(Debug, Default)]
pub struct Recalled {
    /// How many runs were looked at.
    pub looked: usize,
    /// Those that are meant, the newest first.
    pub runs: Vec<RecalledRun>,
    /// Those that were begun and of which nothing was recorded.
    pub empty: Vec<RunId>,
    /// Those whose evidence is not good, so that nobody can say: exit code of `verify`, and why.
    pub unverified: Vec<(RunId, Exit, String)>,
    /// What the first of them ends with.
    pub worst: Option<Exit>,
    /// The names that were asked for, and that none of the verified runs knows.
    pub unknown: Vec<String>,
}

/// A run that is meant.
#[derive(Debug)]
pub struct RecalledRun {
    /// The run.
    pub run: RunId,
    /// Its program.
    pub program: Option<String>,
    /// How it ended.
    pub status: String,
    /// When it was opened.
    pub opened: Timestamp,
    /// How many envelopes it has.
    pub envelopes: usize,
    /// The numbers of those that say what was asked for.
    pub matching: Vec<u64>,
    /// How many more there are.
    pub more: u64,
}

impl Recalled {
    /// What the command ends with: a name that nobody knows is answered by no list, not even an empty one.
    pub fn exit(&self) -> Exit {
        match self.worst {
            Some(worst) => worst,
            None if self.runs.is_empty() && !self.unknown.is_empty() => Exit::Usage,
            None => Exit::Success,
        }
    }

    /// Names a run that cannot be asked.
    pub fn bad(&mut self, run: &RunId, exit: Exit, why: String) {
        self.worst.get_or_insert(exit);
        self.unverified.push((run.clone(), exit, why));
    }
}

/// For a person.
pub fn recalled(recalled: &Recalled) -> String {
    const NAMED: usize = 6;
    let mut out = String::new();
    if recalled.runs.is_empty() {
        out.push_str("no run's verified evidence says so\n");
        for name in &recalled.unknown {
            out.push_str(&format!(
                "{} no program, policy or envelope of these runs knows {}: is it mistyped?\n",
                bad("unknown:"),
                escaped(name)
            ));
        }
    } else {
        let rows = recalled.runs.iter().map(|run| {
            let named: Vec<String> = run.matching.iter().take(NAMED).map(u64::to_string).collect();
            let more = (run.matching.len().saturating_sub(NAMED)) as u64 + run.more;
            vec![
                run.run.short().to_owned(),
                run.program.as_deref().map(escaped).unwrap_or_default(),
                escaped(&run.status),
                run.opened.to_string(),
                run.envelopes.to_string(),
                named.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() },
            ]
        });
        out.push_str(&columns(&["run", "program", "status", "opened", "envelopes", "matching"], rows));
    }
    if !recalled.empty.is_empty() {
        out.push_str(&format!("\n{} begun, and nothing of them was recorded\n", recalled.empty.len()));
    }
    if !recalled.unverified.is_empty() {
        let title = format!(
            "{} of {} could not be verified: nobody can say",
            recalled.unverified.len(),
            recalled.looked
        );
        out.push_str(&format!("\n{}\n", bad(&bold(&title))));
        let rows = recalled
            .unverified
            .iter()
            .map(|(run, exit, why)| vec![run.short().to_owned(), (*exit as u8).to_string(), escaped(why)]);
        out.push_str(&columns(&[], rows));
    }
    let trace = format!(
        "from the verified evidence of {} of {} runs; {} trace RUN shows their envelopes",
        recalled.looked - recalled.unverified.len(),
        recalled.looked,
        program_name()
    );
    out.push_str(&format!("\n{}\n", dim(&trace)));
    out
}

/// For a program.
pub fn recalled_json(recalled: &Recalled) -> Value {
    let runs: Vec<Value> = recalled
        .runs
        .iter()
        .map(|run| {
            json!({
                "run": run.run, "program": run.program, "status": run.status, "opened": run.opened,
                "envelopes": run.envelopes, "matching": run.matching, "more": run.more,
            })
        })
        .collect();
    let unverified: Vec<Value> = recalled
        .unverified
        .iter()
        .map(|(run, exit, why)| json!({ "run": run, "exitCode": *exit as u8, "why": why }))
        .collect();
    json!({
        "looked": recalled.looked,
        "runs": runs,
        "empty": recalled.empty,
        "unverified": unverified,
        "unknown": recalled.unknown,
        "exitCode": recalled.exit() as u8,
    })
}
