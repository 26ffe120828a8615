//! What a change of policies changes: the grant matrix of programs, tools and capabilities before
//! and after, and the rows that no tool asks for yet. Compares what admission found; decides
//! nothing itself.

use std::collections::BTreeMap;

use super::{Survey, Surveyed, rows};
use crate::capability::{Capability, Limits, Unit};
use crate::{ModelRow, Policy};

/// What became of one piece of authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// There was nothing like it.
    Added,
    /// More than before.
    Widened,
    /// Another one than before: which is more, only a person can say.
    Changed,
    /// Less than before.
    Narrowed,
    /// It is gone.
    Removed,
    /// The same.
    Unchanged,
}

impl Change {
    /// The word for people and for JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Widened => "widened",
            Self::Changed => "changed: review",
            Self::Narrowed => "narrowed",
            Self::Removed => "removed",
            Self::Unchanged => "unchanged",
        }
    }
}

/// One line of the comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The program; `None`: whatever program.
    pub program: Option<String>,
    /// The tool, by the program's name of it, or the row's.
    pub tool: Option<String>,
    /// The kind of thing: `capability`, `limit`, `require`, …
    pub what: &'static str,
    /// What was there.
    pub before: Option<String>,
    /// What is there.
    pub after: Option<String>,
    /// What became of it.
    pub change: Change,
    /// Whether somebody may do more than before, or may.
    pub widens: bool,
}

/// All lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// What the programs are granted, the unchanged included.
    pub grants: Vec<Item>,
    /// What the rows say differently, whether or not one of the programs is concerned.
    pub rows: Vec<Item>,
}

impl Difference {
    /// Whether anything widens.
    pub fn widens(&self) -> bool {
        self.grants.iter().chain(&self.rows).any(|item| item.widens)
    }
}

/// Compares what two policies grant to the same programs, in the same order, and what they say.
pub fn compare(before: &[Survey], after: &[Survey], old: &Policy, new: &Policy) -> Difference {
    let mut grants = Vec::new();
    for (was, own) in before.iter().zip(after) {
        program(was, own, &mut grants);
    }
    Difference { grants, rows: rows::compare(old, new) }
}

/// Where lines of one tool go.
pub(super) struct Lines<'a> {
    pub(super) program: Option<&'a str>,
    pub(super) tool: Option<&'a str>,
    pub(super) items: &'a mut Vec<Item>,
}

impl Lines<'_> {
    pub(super) fn push(
        &mut self,
        what: &'static str,
        before: Option<String>,
        after: Option<String>,
        change: Change,
    ) {
        let widens = matches!(change, Change::Added | Change::Widened | Change::Changed);
        self.put(what, before, after, change, widens);
    }

    /// A restriction that is gone widens, and one that is new does not.
    pub(super) fn restriction(&mut self, what: &'static str, before: Option<String>, after: Option<String>) {
        let change = match (&before, &after) {
            (Some(before), Some(after)) if before == after => Change::Unchanged,
            (Some(_), Some(_)) => Change::Changed,
            (Some(_), None) => Change::Removed,
            (None, _) => Change::Added,
        };
        let widens = matches!(change, Change::Changed | Change::Removed);
        self.put(what, before, after, change, widens);
    }

    pub(super) fn put(
        &mut self,
        what: &'static str,
        before: Option<String>,
        after: Option<String>,
        change: Change,
        widens: bool,
    ) {
        let text = |name: Option<&str>| name.map(str::to_owned);
        let (program, tool) = (text(self.program), text(self.tool));
        self.items.push(Item { program, tool, what, before, after, change, widens });
    }

    /// Restrictions of one kind: those that both have, then what is gone beside what is new.
    pub(super) fn restrictions(&mut self, what: &'static str, before: &[String], after: &[String]) {
        let (kept, mut gone): (Vec<&String>, Vec<&String>) =
            before.iter().partition(|own| after.contains(own));
        for own in kept {
            self.restriction(what, Some(own.clone()), Some(own.clone()));
        }
        for own in after.iter().filter(|own| !before.contains(own)) {
            let was = if gone.is_empty() { None } else { Some(gone.remove(0).clone()) };
            self.restriction(what, was, Some(own.clone()));
        }
        for own in gone {
            self.restriction(what, Some(own.clone()), None);
        }
    }

    /// What stands behind a name: a folder of the host, a server.
    fn behind(&mut self, what: &'static str, before: Option<&String>, after: Option<&String>) {
        let change = match (before, after) {
            (Some(before), Some(after)) if before == after => Change::Unchanged,
            (Some(_), Some(_)) => Change::Changed,
            (None, Some(_)) => Change::Added,
            (_, None) => Change::Removed,
        };
        self.push(what, before.cloned(), after.cloned(), change);
    }
}

fn program(was: &Survey, own: &Survey, items: &mut Vec<Item>) {
    let mut lines = Lines { program: Some(&own.program), tool: None, items };
    let word = |survey: &Survey| Some(if survey.admitted { "admitted" } else { "refused" }.to_owned());
    let change = match (was.admitted, own.admitted) {
        (false, true) => Change::Widened,
        (true, false) => Change::Narrowed,
        _ => Change::Unchanged,
    };
    lines.push("program", word(was), word(own), change);
    for tool in &own.tools {
        let mut lines =
            Lines { program: Some(&own.program), tool: Some(tool.local.as_str()), items: &mut *lines.items };
        let before = was.tools.iter().find(|other| other.local == tool.local);
        one_tool(before, tool, &mut lines);
    }
    let aliases = |survey: &Survey| -> BTreeMap<String, String> {
        survey.models.iter().map(|row| (row.alias.clone(), model(row))).collect()
    };
    let (before, after) = (aliases(was), aliases(own));
    let all: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for alias in all {
        lines.behind("model", before.get(alias), after.get(alias));
    }
}

fn model(row: &ModelRow) -> String {
    let params = serde_json::to_string(&row.params).unwrap_or_default();
    format!(
        "{}: {} at {}, key {}, pii {}, timeout {} ms, answer {}, {params}",
        row.alias,
        row.model,
        row.base_url,
        row.key_env.as_deref().unwrap_or("none"),
        row.pii,
        row.timeout.as_millis(),
        row.answer,
    )
}

fn one_tool(was: Option<&Surveyed>, own: &Surveyed, lines: &mut Lines<'_>) {
    let before = was.map(|was| was.granted.as_slice()).unwrap_or_default();
    capabilities(before, &own.granted, lines);
    let stubs = was.map(|was| was.stubbed.as_slice()).unwrap_or_default();
    for stub in &own.stubbed {
        let old = stubs.iter().find(|old| *old == stub);
        lines.behind("stub", old, Some(stub));
    }
    for stub in stubs.iter().filter(|stub| !own.stubbed.contains(stub)) {
        lines.behind("stub", Some(stub), None);
    }
    let behind = |tool: &Surveyed| -> BTreeMap<String, String> {
        tool.folders.iter().map(|(guest, host)| (guest.clone(), format!("{guest} is {host}"))).collect()
    };
    let (old, new) = (was.map(behind).unwrap_or_default(), behind(own));
    // A folder that came or went stands among the capabilities.
    for (guest, host) in &new {
        if let Some(before) = old.get(guest) {
            lines.behind("folder", Some(before), Some(host));
        }
    }
    let Some(was) = was else { return };
    limits(was.limits, own.limits, lines);
    lines.restrictions("require", &was.require, &own.require);
    lines.restrictions("forbid_origin", &was.forbid_origin, &own.forbid_origin);
}

/// Each capability beside the one that it comes from.
pub(super) fn capabilities(before: &[Capability], after: &[Capability], lines: &mut Lines<'_>) {
    let mut seen: Vec<&Capability> = Vec::new();
    for new in after {
        let (old, change) = if before.contains(new) {
            (Some(new), Change::Unchanged)
        } else if let Some(old) = before.iter().find(|old| old.covers(new)) {
            (Some(old), Change::Narrowed)
        } else if let Some(old) = before.iter().find(|old| old.meet(new).is_some()) {
            (Some(old), Change::Widened)
        } else {
            (None, Change::Added)
        };
        seen.extend(old);
        lines.push("capability", old.map(ToString::to_string), Some(new.to_string()), change);
    }
    for old in before.iter().filter(|old| !seen.contains(old)) {
        lines.push("capability", Some(old.to_string()), None, Change::Removed);
    }
}

/// The bounds of a call, each by its name.
pub(super) fn limits(before: Limits, after: Limits, lines: &mut Lines<'_>) {
    for ((name, old, unit), (_, new, _)) in before.each().into_iter().zip(after.each()) {
        let unit = match unit {
            Unit::Bytes => " bytes",
            Unit::Millis => " ms",
            Unit::Times => "",
        };
        let change = match new.cmp(&old) {
            std::cmp::Ordering::Greater => Change::Widened,
            std::cmp::Ordering::Less => Change::Narrowed,
            std::cmp::Ordering::Equal => Change::Unchanged,
        };
        let shown = |value: u64| Some(format!("{name} {value}{unit}"));
        lines.push("limit", shown(old), shown(new), change);
    }
}
