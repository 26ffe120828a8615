//! What two policies say, row against row: a row that nobody asks for today is granted the day a
//! tool asks, and no matrix of programs shows it. Knows no program.

use std::collections::{BTreeMap, BTreeSet};

use super::difference::{Change, Item, Lines};
use crate::ToolName;
use crate::capability::Capability;
use crate::policy::{ModelRule, Policy, Rule, Stance};

/// What one row says about one thing.
struct Clause<'p> {
    rule: &'p Rule,
    says: Says,
}

#[derive(PartialEq)]
enum Says {
    /// The capability is permitted.
    Permits(Capability),
    /// Something that has no more and less is permitted or vouched for, by its key.
    Allows(&'static str, String),
    /// The capability is forbidden.
    Forbids(Capability),
    /// Something that has no more and less is forbidden or required, by its key.
    Restricts(&'static str, String),
}

/// Every line in which they differ.
pub(super) fn compare(old: &Policy, new: &Policy) -> Vec<Item> {
    let (before, after) = (clauses(old), clauses(new));
    let fresh: Vec<&Clause<'_>> =
        after.iter().filter(|own| !before.iter().any(|other| other.holds(own))).collect();
    let mut gone: Vec<&Clause<'_>> =
        before.iter().filter(|own| !after.iter().any(|other| other.holds(own))).collect();
    let mut items = Vec::new();
    for own in fresh {
        // What the row said in its place.
        let was = gone.iter().position(|other| own.stands_for(other)).map(|at| gone.remove(at));
        let was = was.or_else(|| before.iter().find(|other| own.stands_for(other) && own.holds(other)));
        own.report(was, Some(own), &mut items);
    }
    for own in gone {
        // A row that permits less than it did is not gone.
        let left = after.iter().find(|other| own.stands_for(other) && own.holds(other));
        own.report(Some(own), left, &mut items);
    }
    let mut lines = Lines { program: None, tool: None, items: &mut items };
    otherwise(old, new, &mut lines);
    roles(old, new, &mut lines);
    ceilings(old, new, &mut lines);
    named("model", &models(old), &models(new), &mut lines);
    per_tool(old, new, &mut items);
    items
}

fn clauses(policy: &Policy) -> Vec<Clause<'_>> {
    let mut all = Vec::new();
    for rule in policy.rules() {
        let mut add = |says| all.push(Clause { rule, says });
        let stubs = rule.stubs.iter().map(|stub| stub.value.to_string());
        match rule.stance {
            Stance::Permit => {
                rule.capabilities.iter().for_each(|own| add(Says::Permits(own.value.clone())));
                stubs.for_each(|stub| add(Says::Allows("stub", stub)));
                for (key, functions) in
                    [("vouch_idempotent", &rule.vouched), ("vouch_origin", &rule.own_results)]
                {
                    functions.iter().for_each(|own| add(Says::Allows(key, own.clone())));
                }
                if let Some(own) = &rule.require {
                    add(Says::Restricts("require", own.value.text().to_owned()));
                }
                for (argument, origins) in &rule.forbidden_origins {
                    for origin in origins {
                        let text = format!("{}: {}", argument.value, origin.as_str());
                        add(Says::Restricts("forbid_origin", text));
                    }
                }
            }
            Stance::Forbid => {
                rule.capabilities.iter().for_each(|own| add(Says::Forbids(own.value.clone())));
                stubs.for_each(|stub| add(Says::Restricts("forbid", format!("stub {stub}"))));
                if rule.capabilities.is_empty() && rule.stubs.is_empty() {
                    add(Says::Restricts("forbid", "calls".to_owned()));
                }
            }
        }
    }
    all
}

impl Clause<'_> {
    /// Whether this says at least what `other` says, wherever and as long as `other` says it.
    fn holds(&self, other: &Self) -> bool {
        fn wider<T: PartialEq>(own: &Option<T>, other: &Option<T>) -> bool {
            own.is_none() || own == other
        }
        let class = self.rule.saved == other.rule.saved || (self.restricts() && !self.rule.saved);
        let scope = class
            && wider(&self.rule.program, &other.rule.program)
            && wider(&self.rule.tool, &other.rule.tool)
            && wider(&self.rule.function, &other.rule.function)
            && wider(&digest(self.rule), &digest(other.rule));
        let lasts = match (self.rule.expires, other.rule.expires) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(own), Some(other)) => own >= other,
        };
        scope
            && match (&self.says, &other.says) {
                (Says::Permits(own), Says::Permits(other)) => lasts && own.covers(other),
                (Says::Forbids(own), Says::Forbids(other)) => own.covers(other),
                (Says::Allows(..), Says::Allows(..)) => lasts && self.says == other.says,
                // Restrictions outlive their rows.
                (own, other) => own == other,
            }
    }

    /// Whether both are the same row's word about the same kind of thing.
    fn stands_for(&self, other: &Self) -> bool {
        self.rule.id == other.rule.id
            && match (&self.says, &other.says) {
                (Says::Permits(own), Says::Permits(other)) | (Says::Forbids(own), Says::Forbids(other)) => {
                    own.class() == other.class() && own.meet(other).is_some()
                }
                (Says::Restricts(own, _), Says::Restricts(other, _)) => own == other,
                (Says::Allows(..), Says::Allows(..)) => self.says == other.says,
                _ => false,
            }
    }

    fn restricts(&self) -> bool {
        matches!(self.says, Says::Forbids(_) | Says::Restricts(..))
    }

    /// ` (program refund, any tool)`
    fn bound(&self) -> String {
        let one = |what: &str, name: Option<&str>| match name {
            Some(name) => format!("{what} {}", name.escape_debug()),
            None => format!("any {what}"),
        };
        let tool = self.rule.tool.as_ref().map(ToolName::as_str);
        let component = digest(self.rule).map(|digest| format!(", component sha256:{digest}"));
        format!(
            " ({}, {}{})",
            match self.rule.saved {
                true => format!("saved {}", one("program", self.rule.program.as_deref())),
                false => one("program", self.rule.program.as_deref()),
            },
            one("tool", tool),
            component.unwrap_or_default()
        )
    }

    /// `refund-ledger: kv ledger, until …`
    fn shown(&self) -> String {
        let what = match &self.says {
            Says::Permits(own) | Says::Forbids(own) => own.to_string(),
            Says::Allows(_, text) | Says::Restricts(_, text) => text.clone(),
        };
        let function =
            self.rule.function.as_ref().map(|function| format!(", for {}", function.escape_debug()));
        let until = self.rule.expires.filter(|_| !self.restricts()).map(|end| format!(", until {end}"));
        format!("{}: {what}{}{}", self.rule.id, function.unwrap_or_default(), until.unwrap_or_default())
    }

    fn report(&self, before: Option<&Self>, after: Option<&Self>, items: &mut Vec<Item>) {
        let what = match &self.says {
            Says::Permits(_) => "permit",
            Says::Forbids(_) => "forbid",
            Says::Allows(key, _) | Says::Restricts(key, _) => key,
        };
        let mut lines = Lines {
            program: self.rule.program.as_deref(),
            tool: self.rule.tool.as_ref().map(ToolName::as_str),
            items,
        };
        let (mut was, mut is) = (before.map(Self::shown), after.map(Self::shown));
        if was == is {
            // The same words about others.
            was = before.map(|own| format!("{}{}", own.shown(), own.bound()));
            is = after.map(|own| format!("{}{}", own.shown(), own.bound()));
        }
        if self.restricts() {
            // One that holds wherever the other did is no less of a restriction.
            return match (before, after) {
                (Some(before), Some(after)) if after.holds(before) => {
                    lines.push(what, was, is, Change::Narrowed);
                }
                _ => lines.restriction(what, was, is),
            };
        }
        let change = match (before, after) {
            (None, _) => Change::Added,
            (Some(_), None) => Change::Removed,
            (Some(before), Some(after)) if before.holds(after) => Change::Narrowed,
            (Some(_), Some(_)) => Change::Widened,
        };
        lines.push(what, was, is, change);
    }
}

/// The only component that a row is about.
fn digest(rule: &Rule) -> Option<crate::Digest> {
    rule.digest.as_ref().map(|digest| digest.value)
}

/// A name that is there twice, with something else behind it, is for a person to look at.
fn named(
    what: &'static str,
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
    lines: &mut Lines<'_>,
) {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for name in names {
        let (was, is) = (before.get(name), after.get(name));
        let change = match (was, is) {
            (Some(was), Some(is)) if was == is => continue,
            (Some(_), Some(_)) => Change::Changed,
            (None, _) => Change::Added,
            (Some(_), None) => Change::Removed,
        };
        lines.push(what, was.cloned(), is.cloned(), change);
    }
}

/// Whether it leaves to others what no row speaks of: then whatever they permit is granted.
fn otherwise(old: &Policy, new: &Policy, lines: &mut Lines<'_>) {
    let change = match (old.abstains(), new.abstains()) {
        (false, true) => Change::Widened,
        (true, false) => Change::Narrowed,
        _ => return,
    };
    let shown = |policy: &Policy| Some(if policy.abstains() { "abstain" } else { "deny" }.to_owned());
    lines.push("otherwise", shown(old), shown(new), change);
}

/// Who may answer, one line a person. A role that a policy does not speak of is nobody's, so that
/// taking all of it out is no gain for anyone.
fn roles(old: &Policy, new: &Policy, lines: &mut Lines<'_>) {
    let members = |policy: &Policy| -> BTreeMap<String, String> {
        let all = policy
            .roles()
            .iter()
            .flat_map(|(role, members)| members.iter().map(move |member| format!("{role}: {member}")));
        all.map(|text| (text.clone(), text)).collect()
    };
    named("role", &members(old), &members(new), lines);
}

/// Bounds over every tool's limits. One that is gone is no bound at all.
fn ceilings(old: &Policy, new: &Policy, lines: &mut Lines<'_>) {
    let all = |policy: &Policy| {
        let own = policy.ceilings();
        let deadline = own.deadline.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        [
            ("memory", own.memory, " bytes"),
            ("fuel", own.fuel, ""),
            ("deadline", deadline, " ms"),
            ("output", own.output, " bytes"),
            ("logs", own.logs, " bytes"),
            ("http_calls", own.http_calls, ""),
            ("http_bytes", own.http_bytes, " bytes"),
            ("file_bytes", own.file_bytes, " bytes"),
            ("kv_bytes", own.kv_bytes, " bytes"),
            ("kv_held", own.kv_held, " bytes"),
            ("together.calls", policy.together().value.calls, ""),
            ("together.memory", policy.together().value.memory, " bytes"),
        ]
    };
    for ((name, was, unit), (_, is, _)) in all(old).into_iter().zip(all(new)) {
        let change = match (was, is) {
            _ if was == is => continue,
            (Some(was), Some(is)) if is < was => Change::Narrowed,
            (None, _) => Change::Narrowed,
            _ => Change::Widened,
        };
        let shown = |value: Option<u64>| value.map(|value| format!("{name} {value}{unit}"));
        lines.push("ceiling", shown(was), shown(is), change);
    }
}

fn models(policy: &Policy) -> BTreeMap<String, String> {
    let shown = |row: &ModelRule| {
        let ModelRule {
            alias,
            span: _,
            provider: _,
            base_url,
            model,
            key_env,
            pii,
            params,
            timeout,
            answer,
            saved,
        } = row;
        let params = serde_json::to_string(params).unwrap_or_default();
        let key = key_env.as_deref().unwrap_or("none");
        format!(
            "{alias}: {model} at {base_url}, key {key}, pii {pii}, timeout {} ms, answer {answer}, {params}{}",
            timeout.as_millis(),
            if *saved { ", also for saved programs" } else { "" }
        )
    };
    policy.models().iter().map(|row| (row.alias.clone(), shown(row))).collect()
}

/// Folders of the host, and variables; of these the values stay where they are.
fn per_tool(old: &Policy, new: &Policy, items: &mut Vec<Item>) {
    let tools: BTreeSet<&ToolName> = [old, new]
        .into_iter()
        .flat_map(|policy| policy.folders().keys().chain(policy.variables().keys()))
        .map(|(tool, _)| tool)
        .collect();
    for tool in tools {
        let folders = |policy: &Policy| -> BTreeMap<String, String> {
            let own = policy.folders().iter().filter(|((own, _), _)| own == tool);
            own.map(|((_, guest), host)| (guest.clone(), format!("{guest} is {}", host.value))).collect()
        };
        let mut lines = Lines { program: None, tool: Some(tool.as_str()), items };
        named("folder", &folders(old), &folders(new), &mut lines);
        let value =
            |policy: &Policy, name: &str| policy.variable(tool, name).map(|value| value.value.clone());
        let names: BTreeSet<&String> = [old, new]
            .into_iter()
            .flat_map(|policy| policy.variables().keys().filter(|(own, _)| own == tool))
            .map(|(_, name)| name)
            .collect();
        for name in names {
            let shown = |what: &str| Some(format!("{name} has {what}"));
            match (value(old, name), value(new, name)) {
                (Some(was), Some(is)) if was == is => {}
                (Some(_), Some(_)) => {
                    lines.push("env", shown("a value"), shown("another value"), Change::Changed)
                }
                (None, _) => lines.push("env", None, shown("a value"), Change::Added),
                (Some(_), None) => lines.push("env", shown("a value"), None, Change::Removed),
            }
        }
    }
}
