//! The capability table: what a reviewer reads before anything runs.

use nanohost_core::{
    Access, Denied, Diagnostics, ModelParams, ModelRow, Origin, Plan, Row, RuleGrant, Shared, SharedThing,
    Together, Trust, Vouched,
};
use serde_json::{Value, json};

use super::escape::escaped;
use super::table::{bold, columns, dim, odd};
use crate::project::FoundPolicy;

/// The table for a person.
pub fn plan(plan: &Plan, policy: &FoundPolicy) -> String {
    let program = plan.program();
    let mut out = format!(
        "{}{}\ntable {} · program {}\npolicy {}\n",
        bold(&escaped(program.name())),
        program.version().map(|version| format!(" {}", escaped(version))).unwrap_or_default(),
        plan.digest().short(),
        program.digest().short(),
        policy_lines(policy),
    );
    for row in plan.rows() {
        out.push('\n');
        out.push_str(&tool(row, &arguments(plan, row), policy.layers.len() > 1));
    }
    if plan.rows().is_empty() {
        out.push_str("\nno tools: nothing can be called\n");
    }
    for row in plan.models() {
        out.push('\n');
        out.push_str(&model(row));
    }
    let shared = plan.shared();
    if !shared.is_empty() {
        out.push_str(&format!("\n{}\n", bold("shared")));
        shared.iter().for_each(|own| out.push_str(&format!("  {}\n", pair(own))));
    }
    out
}

/// `append and load share the folder /srv/data: append writes there`
fn pair(own: &Shared) -> String {
    let (kind, value) = (own.what.kind(), escaped(own.what.value()));
    let writes = match &own.what {
        SharedThing::Folder { one_writes, other_writes, .. } => match (one_writes, other_writes) {
            (true, true) => ": both write there".to_owned(),
            (true, false) => format!(": {} writes there", own.one),
            (false, true) => format!(": {} writes there", own.other),
            (false, false) => ": both only read it".to_owned(),
        },
        SharedThing::Kv(_) | SharedThing::Host(_) => String::new(),
    };
    format!("{} and {} share the {kind} {value}{writes}", own.one, own.other)
}

/// The same for a program.
fn shared_json(plan: &Plan) -> Value {
    let shared = plan.shared();
    let each = shared.iter().map(|own| {
        let writers: Vec<&str> = match &own.what {
            SharedThing::Folder { one_writes, other_writes, .. } => {
                let named = [(one_writes, &own.one), (other_writes, &own.other)].into_iter();
                named.filter(|(writes, _)| **writes).map(|(_, name)| name.as_str()).collect()
            }
            SharedThing::Kv(_) | SharedThing::Host(_) => Vec::new(),
        };
        json!({
            "tools": [own.one, own.other],
            "kind": own.what.kind(),
            "value": own.what.value(),
            "writers": writers,
        })
    });
    each.collect()
}

fn model(row: &ModelRow) -> String {
    let mut out =
        format!("{} {}\n", bold(&escaped(&row.alias)), dim(&format!("model · {}", escaped(&row.model))));
    let mut line = |name: &str, text: String| out.push_str(&format!("  {name:<10} {text}\n"));
    line("server", row.base_url.to_string());
    line("key", row.key_env.as_ref().map_or("none".to_owned(), |name| format!("from the variable {name}")));
    line("personal", row.pii.to_string());
    line("told", params(&row.params));
    line("limits", format!("time {} · answer {}", super::duration(row.timeout), bytes(row.answer)));
    out
}

fn params(params: &ModelParams) -> String {
    let fraction = |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("{name} {value}"));
    let integer = |name: &str, value: Option<u64>| value.map(|value| format!("{name} {value}"));
    let told: Vec<String> = [
        fraction("temperature", &params.temperature),
        fraction("top_p", &params.top_p),
        integer("max_tokens", params.max_tokens),
        integer("max_completion_tokens", params.max_completion_tokens),
        integer("seed", params.seed),
    ]
    .into_iter()
    .flatten()
    .collect();
    if told.is_empty() { "the prompt alone".to_owned() } else { told.join(", ") }
}

/// The policies in force, one a line.
fn policy_lines(policy: &FoundPolicy) -> String {
    let lines = policy.each().map(|(own, layer)| match layer {
        Some(layer) => {
            let trusted = *own.trust() == Trust::Trusted;
            let trust = if trusted { "" } else { ", NOT TRUSTED: grants next to nothing" };
            let from = layer.origin.as_str();
            format!("{} {} ({from}{trust})", super::path(&layer.path), own.digest().short())
        }
        None => policy.origin.as_str().to_owned(),
    });
    lines.collect::<Vec<_>>().join("\npolicy ")
}

/// Every policy in force, for a program.
pub(super) fn policies_json(policy: &FoundPolicy) -> Value {
    let each = policy.each().map(|(own, layer)| {
        json!({
            "path": layer.map(|layer| &layer.path),
            "origin": layer.map_or(policy.origin, |layer| layer.origin).as_str(),
            "digest": own.digest(),
            "trusted": *own.trust() == Trust::Trusted,
            "abstains": own.abstains(),
        })
    });
    each.collect()
}

/// The arguments of a tool, and where each can come from.
fn arguments(plan: &Plan, row: &Row) -> String {
    let told = plan.arguments(&row.local).map(|(name, origins)| {
        let words: Vec<&str> = origins.iter().map(Origin::as_str).collect();
        format!("{} from {}", escaped(name), words.join(", "))
    });
    told.collect::<Vec<_>>().join("; ")
}

fn tool(row: &Row, arguments: &str, several: bool) -> String {
    let mut out = format!(
        "{} {}\n",
        bold(row.local.as_str()),
        dim(&format!("{} {} · {}", row.tool, escaped(&row.version), escaped(&row.export.path())))
    );
    let mut line = |name: &str, text: String| out.push_str(&format!("  {name:<10} {text}\n"));
    line("effect", row.effect.to_string());
    line("digests", format!("component {} · manifest {}", row.component.short(), row.manifest.short()));
    match &row.vouched {
        Vouched::Publisher { name, key, .. } => {
            line("publisher", format!("{} {}", escaped(name), dim(&key.digest().short())));
        }
        Vouched::Unsigned(rule) => {
            line(
                "publisher",
                odd(&format!("nobody known here: let run by unsigned = \"{}\"", rule.as_str())),
            );
        }
        Vouched::Nobody => {}
    }
    line("requested", list(&row.requested));
    line("granted", list(&row.granted));
    for grant in row.grants.filesystem() {
        line("", format!("{} is {}", grant.folder.guest, escaped(&grant.host)));
    }
    line("rules", if row.rules.is_empty() { "none needed".to_owned() } else { rules(row, several) });
    for require in &row.require {
        line("requires", format!("{} ({})", escaped(require.condition.text()), escaped(&require.rule)));
    }
    if !arguments.is_empty() {
        line("arguments", arguments.to_owned());
    }
    line("linked", list(&row.linked));
    if !row.stubbed.is_empty() {
        line("stubbed", odd(&list(&row.stubbed)));
    }
    if !row.pii.is_empty() {
        line("personal", list(&row.pii));
    }
    line("limits", limits(row));
    let Together { calls, memory } = row.grants.together();
    let together: Vec<String> =
        [calls.map(|calls| format!("{calls} calls")), memory.map(bytes)].into_iter().flatten().collect();
    if !together.is_empty() {
        line("together", format!("{} of all calls under way", together.join(" and ")));
    }
    out
}

/// The rows that grant; where several policies are in force, with their places.
fn rules(row: &Row, several: bool) -> String {
    let place = |rule: &RuleGrant| match several {
        true => format!(" ({})", escaped(&rule.place.to_string())),
        false => String::new(),
    };
    let rules: Vec<String> = row
        .rules
        .iter()
        .map(|rule| format!("{} by {}{}", escaped(&rule.granted), escaped(&rule.rule), place(rule)))
        .collect();
    rules.join(", ")
}

/// Where the rows stand that grant, by local name.
fn rules_json(plan: &Plan) -> Value {
    let tools = plan.rows().iter().map(|row| {
        let rules = row.rules.iter().map(|rule| {
            let (line, _) = rule.place.source.line_column(rule.place.span.start);
            json!({ "rule": rule.rule, "granted": rule.granted, "file": rule.place.source.name, "line": line })
        });
        (row.local.to_string(), rules.collect())
    });
    Value::Object(tools.collect())
}

fn list(items: &[String]) -> String {
    if items.is_empty() {
        return "nothing".to_owned();
    }
    // Thirteen interfaces that carry no authority say less than their number.
    let (wasi, own): (Vec<&String>, Vec<&String>) =
        items.iter().partition(|item| item.starts_with("wasi:io/") || item.starts_with("wasi:cli/"));
    let mut shown: Vec<String> = own.into_iter().map(|item| escaped(item)).collect();
    match wasi.as_slice() {
        [] => {}
        [one] => shown.push(escaped(one)),
        many => shown.push(format!("{} inert wasi:io and wasi:cli interfaces", many.len())),
    }
    shown.join(", ")
}

/// The bounds; those of requests, folders and namespaces where the tool has any.
fn limits(row: &Row) -> String {
    let (limits, grants) = (row.limits, &row.grants);
    let mut shown = format!(
        "memory {} · fuel {} · deadline {} · output {} · logs {}",
        bytes(limits.memory),
        limits.fuel,
        super::duration(limits.deadline),
        bytes(limits.output),
        bytes(limits.logs)
    );
    if !grants.http().is_empty() {
        shown.push_str(&format!(" · http {} calls, {}", limits.http_calls, bytes(limits.http_bytes)));
    }
    if grants.filesystem().iter().any(|grant| grant.folder.access == Access::Write) {
        shown.push_str(&format!(" · files {}", bytes(limits.file_bytes)));
    }
    if !grants.kv().is_empty() {
        shown.push_str(&format!(" · kv {}, {} in all", bytes(limits.kv_bytes), bytes(limits.kv_held)));
    }
    shown
}

/// A number of bytes for a person.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let mut unit = 0;
    let mut whole = count;
    while whole >= 1024 && whole.is_multiple_of(1024) && unit < 3 {
        whole /= 1024;
        unit += 1;
    }
    if unit == 0 && count >= 10_000 {
        return format!("{:.1} KiB", count as f64 / 1024.0);
    }
    format!("{whole} {}", UNITS[unit])
}

/// The tools of a refused program that lack nothing: what is missing is found elsewhere.
pub fn whole(denied: &Denied) -> String {
    if denied.whole().is_empty() {
        return String::new();
    }
    let rows = denied.whole().iter().map(|tool| {
        let granted = if tool.granted.is_empty() { "nothing".to_owned() } else { tool.granted.join(", ") };
        vec![tool.tool.to_string(), escaped(&granted), escaped(&tool.rules.join(", "))]
    });
    columns(&["lacks nothing", "granted", "by"], rows)
}

/// Where the arguments of each tool can come from: argument → origins, by local name.
fn arguments_json(plan: &Plan) -> Value {
    let tools = plan.rows().iter().map(|row| {
        let arguments = plan
            .arguments(&row.local)
            .map(|(name, origins)| (name.to_owned(), origins.iter().map(Origin::as_str).collect::<Value>()));
        (row.local.to_string(), Value::Object(arguments.collect()))
    });
    Value::Object(tools.collect())
}

/// The table for a program, with whole digests.
pub fn plan_json(plan: &Plan, policy: &FoundPolicy, warnings: &Diagnostics) -> Value {
    json!({
        "program": { "name": plan.program().name(), "digest": plan.program().digest() },
        "table": plan.digest(),
        "policy": {
            "path": policy.path,
            "digests": policy.policies.iter().map(|policy| policy.digest()).collect::<Vec<_>>(),
            "trusted": policy.trusted,
        },
        "policies": policies_json(policy),
        "rules": rules_json(plan),
        "tools": plan.to_json(),
        "arguments": arguments_json(plan),
        "shared": shared_json(plan),
        "warnings": super::findings_json(warnings),
    })
}
