//! What in a policy is idle, about to end or wider than anybody asks. All of it is sound: whoever
//! reads the policy has to decide. Knows no file but the policy's and the manifests.

use std::collections::BTreeMap;

use crate::capability::{Access, Capability, Folder};
use crate::policy::{Policy, Rule, Stance};
use crate::{Diagnostic, Diagnostics, Manifest, Timestamp, ToolName};

/// Milliseconds.
const DAY: u64 = 86_400_000;

/// A row that ends within this time is worth a word. Milliseconds.
const SOON: u64 = 30 * DAY;

/// What the policy is for.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Every tool of every program.
    pub uses: Vec<Use>,
    /// The models that programs ask, by alias.
    pub models: Vec<String>,
}

/// A tool of a program.
#[derive(Debug, Clone)]
pub struct Use {
    /// The program's name.
    pub program: String,
    /// What the tool's author asks for.
    pub manifest: Manifest,
    /// The function that is called, where program or manifest say which.
    pub function: Option<String>,
}

impl Use {
    fn concerns(&self, rule: &Rule) -> bool {
        rule.program.as_ref().is_none_or(|program| *program == self.program)
            && rule.tool.as_ref().is_none_or(|tool| tool == self.manifest.name())
            // Which function is meant only the component says: a row for one may be for this.
            && match (&rule.function, &self.function) {
                (Some(wanted), Some(own)) => wanted == own,
                _ => true,
            }
    }
}

/// Looks at every row of a policy. Without surroundings, at what shows in the policy alone.
pub fn lint(policy: &Policy, around: Option<&Surroundings>, today: Timestamp) -> Diagnostics {
    let mut found = Diagnostics::new();
    for rule in policy.rules() {
        ends(policy, rule, today, &mut found);
        let grants = !rule.capabilities.is_empty() || !rule.stubs.is_empty();
        if rule.stance == Stance::Permit && grants && rule.program.is_none() && rule.tool.is_none() {
            let message = format!("row `{}` permits it to every tool of every program", rule.id);
            found.push(
                Diagnostic::warning("unbound_rule", message)
                    .at(policy.source(), rule.span.clone())
                    .help("name the `program` and the `tool` it is for"),
            );
        }
        // What clients save is not there to be looked at.
        if let Some(around) = around.filter(|_| !rule.saved) {
            used(policy, rule, around, &mut found);
        }
    }
    entries(policy, &mut found);
    if let Some(around) = around {
        for row in policy.models().iter().filter(|row| !row.saved && !around.models.contains(&row.alias)) {
            let message = format!("no program asks the model `{}`", row.alias);
            found.push(
                Diagnostic::warning("unused_rule", message)
                    .at(policy.source(), row.span.clone())
                    .help("leave the row out: a program that names the alias could ask the server"),
            );
        }
    }
    found.sort();
    found
}

fn ends(policy: &Policy, rule: &Rule, today: Timestamp, found: &mut Diagnostics) {
    let Some(end) = rule.expires else { return };
    let left = end.millis_since(today);
    let finding = if rule.is_expired(today) {
        let message = format!("row `{}` has expired: it grants nothing, and its restrictions hold", rule.id);
        Diagnostic::warning("expired_rule", message)
    } else if left <= SOON {
        let message = format!("row `{}` expires within {} days", rule.id, left.div_ceil(DAY));
        Diagnostic::warning("rule_expires_soon", message)
    } else {
        return;
    };
    let help = format!("renew `expires`{}, or remove the row", ask(rule));
    found.push(finding.at(policy.source(), rule.span.clone()).help(help));
}

fn ask(rule: &Rule) -> String {
    rule.owner.as_ref().map(|owner| format!(" (ask {})", owner.escape_debug())).unwrap_or_default()
}

/// Whether anybody needs the row, and all of it.
fn used(policy: &Policy, rule: &Rule, around: &Surroundings, found: &mut Diagnostics) {
    let uses: Vec<&Use> = around.uses.iter().filter(|own| own.concerns(rule)).collect();
    if uses.is_empty() {
        // What forbids is there for what may come.
        if rule.stance == Stance::Permit {
            let message = format!("row `{}` speaks of no tool of the programs that were looked at", rule.id);
            found.push(
                Diagnostic::warning("unused_rule", message)
                    .at(policy.source(), rule.span.clone())
                    .help("check `program`, `tool` and `function`, or remove the row"),
            );
        }
        return;
    }
    if rule.stance == Stance::Forbid {
        return;
    }
    for own in &rule.capabilities {
        let asks = || uses.iter().flat_map(|one| one.manifest.asks()).map(|ask| &ask.capability);
        let finding = if !asks().any(|ask| own.value.meet(ask).is_some()) {
            let message =
                format!("row `{}` permits {}, which no tool it is for asks for", rule.id, own.value);
            Diagnostic::warning("unused_rule", message)
                .help("leave it out of the row: it would be granted the day a tool asks")
        } else if !asks().any(|ask| ask.covers(&without_private(&own.value))) {
            let widest: BTreeMap<String, ()> =
                asks().filter(|ask| own.value.meet(ask).is_some()).map(|ask| (ask.value(), ())).collect();
            let asked: Vec<String> = widest.into_keys().collect();
            let message = format!(
                "row `{}` permits {}, and the tools it is for ask for {} only",
                rule.id,
                own.value,
                asked.join("; ")
            );
            Diagnostic::warning("wide_rule", message)
                .help("permit what is asked for: the rest waits for a tool that asks")
        } else {
            continue;
        };
        found.push(finding.at(policy.source(), own.span.clone()));
    }
}

/// Where a name may lead no manifest can ask for: it is the operator's to say.
fn without_private(capability: &Capability) -> Capability {
    match capability {
        Capability::Http(rule) => Capability::Http(crate::HttpRule { private: false, ..rule.clone() }),
        other => other.clone(),
    }
}

/// Folders and variables that stand behind no row.
fn entries(policy: &Policy, found: &mut Diagnostics) {
    let permitted = |tool: &ToolName, wanted: &Capability| {
        policy.rules().iter().any(|rule| {
            rule.stance == Stance::Permit
                && rule.tool.as_ref().is_none_or(|own| own == tool)
                && rule.capabilities.iter().any(|own| own.value.covers(wanted))
        })
    };
    let mut idle = |what: &str, tool: &ToolName, name: &str, span: &std::ops::Range<usize>| {
        let message = format!("no row permits `{tool}` the {what} {}", name.escape_debug());
        found.push(
            Diagnostic::warning("unused_entry", message)
                .at(policy.source(), span.clone())
                .help("remove it, or permit it in a row for the tool"),
        );
    };
    for ((tool, guest), host) in policy.folders() {
        let read = Capability::Filesystem(Folder { guest: guest.clone(), access: Access::Read });
        if !permitted(tool, &read) {
            idle("folder", tool, guest, &host.span);
        }
    }
    for ((tool, name), value) in policy.variables() {
        if !permitted(tool, &Capability::Env(name.clone())) {
            idle("variable", tool, name, &value.span);
        }
    }
}
