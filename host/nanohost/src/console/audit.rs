//! What is told of a folder of programs and their tools.

use std::path::{Path, PathBuf};

use nanohost_core::{Diagnostics, Severity};
use serde_json::{Value, json};

use super::escape::{brief, escaped};
use super::table::{bad, bold, columns, dim, good, odd};
use super::tool::{publisher_json, standing};
use crate::audit::{Audit, Pinned, Program, Tool};
use crate::tool::{Failed, Standing};

/// The whole matrix of grants, for a person, and what was found.
pub fn audit(all: &Audit) -> String {
    let mut out = String::new();
    for program in &all.programs {
        out.push_str(&format!("{} {}\n", bold(&super::path(&program.path)), verdict(program)));
        let rows = program.uses.iter().map(|own| {
            let tool = all.tools.get(&own.dir);
            let publisher = tool.map_or_else(|| "-".to_owned(), |tool| word(&tool.standing));
            let granted = if own.granted.is_empty() { "nothing".to_owned() } else { own.granted.join(", ") };
            vec![
                own.local.to_string(),
                tool.map_or_else(String::new, |tool| escaped(&format!("{} {}", tool.name, tool.version))),
                publisher,
                escaped(&granted),
            ]
        });
        out.push_str(&columns(&[], rows));
    }
    let idle = all.tools.iter().filter(|(dir, _)| !all.is_used(dir)).count();
    let count = |severity| all.findings.iter().filter(|own| own.finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let verdict = format!(
        "{}, {}{}: {}, {}",
        number(all.programs.len(), "program"),
        number(all.tools.len(), "tool"),
        if idle > 0 { format!(" ({idle} used by none of them)") } else { String::new() },
        number(errors, "error"),
        number(warnings, "warning"),
    );
    let verdict = match (errors, warnings) {
        (0, 0) => good(&verdict),
        (0, _) => odd(&verdict),
        _ => bad(&verdict),
    };
    out.push_str(&format!("\n{verdict}\n"));
    out
}

fn number(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn verdict(program: &Program) -> String {
    let admitted = match program.admitted {
        Some(true) => good("admitted"),
        Some(false) => bad("refused"),
        None => bad("not judged: the findings say why"),
    };
    let pinned = match program.pinned {
        Pinned::Yes => dim("pinned"),
        Pinned::No => odd("not pinned"),
        Pinned::Differs => bad("not what is pinned"),
    };
    if program.name.is_some() { format!("{admitted}, {pinned}") } else { admitted }
}

fn word(standing: &Standing) -> String {
    match standing {
        Standing::Verified { publisher, .. } => escaped(publisher),
        Standing::Failed(Failed::UnknownKey(_)) => "unknown key".to_owned(),
        other => other.as_str().to_owned(),
    }
}

/// The same as one document.
pub fn audit_json(all: &Audit) -> Value {
    let programs = all.programs.iter().map(|program| {
        let uses = program.uses.iter().map(|own| {
            json!({
                "local": own.local,
                "folder": own.dir,
                "tool": all.tools.get(&own.dir).map(|tool| &tool.name),
                "granted": own.granted,
                "stubbed": own.stubbed,
                "require": own.require,
            })
        });
        json!({
            "path": program.path,
            "name": program.name,
            "admitted": program.admitted,
            "pinned": program.pinned.as_str(),
            "policies": program.policies,
            "tools": uses.collect::<Vec<_>>(),
        })
    });
    let tools = all.tools.iter().map(|(dir, tool)| tool_json(dir, tool));
    let findings = all.findings.iter().map(|own| {
        let one: Diagnostics = std::iter::once(own.finding.clone()).collect();
        let mut document = super::findings_json(&one)[0].take();
        document["program"] = json!(own.program);
        document
    });
    json!({
        "programs": programs.collect::<Vec<_>>(),
        "tools": tools.collect::<Vec<_>>(),
        "findings": findings.collect::<Vec<_>>(),
    })
}

fn tool_json(dir: &Path, tool: &Tool) -> Value {
    json!({
        "folder": dir,
        "name": tool.name,
        "version": tool.version,
        "description": tool.description,
        "functions": tool.functions.keys().collect::<Vec<_>>(),
        "asks": tool.asks,
        "component": tool.component,
        "manifest": tool.manifest,
        "standing": tool.standing.as_str(),
        "publisher": publisher_json(&tool.standing),
    })
}

/// Tools, a line each.
pub fn catalogue(all: &Audit, tools: &[(&PathBuf, &Tool)]) -> String {
    if tools.is_empty() {
        return "no tool\n".to_owned();
    }
    let rows = tools.iter().map(|(dir, tool)| {
        let used =
            all.programs.iter().filter(|program| program.uses.iter().any(|own| own.dir == **dir)).count();
        vec![
            tool.name.to_string(),
            escaped(&tool.version),
            word(&tool.standing),
            number(used, "program"),
            tool.description.as_deref().map(brief).unwrap_or_default(),
        ]
    });
    columns(&["tool", "version", "publisher", "used by", "says"], rows)
}

/// One tool: what it is, and who uses it with which grants.
pub fn catalogued(all: &Audit, dir: &Path, tool: &Tool) -> String {
    let mut out = format!("{}\n", bold(&escaped(&format!("{} {}", tool.name, tool.version))));
    let mut line = |name: &str, text: String| out.push_str(&format!("  {name:<10} {text}\n"));
    line("publisher", standing(&tool.standing));
    line("folder", super::path(dir));
    if let Some(text) = &tool.description {
        line("says", escaped(text));
    }
    for (name, says) in &tool.functions {
        line(
            "function",
            format!("{} {}", escaped(name), dim(&says.as_deref().map(escaped).unwrap_or_default())),
        );
    }
    line(
        "asks for",
        if tool.asks.is_empty() { "nothing".to_owned() } else { escaped(&tool.asks.join(", ")) },
    );
    match tool.component {
        Some(component) => {
            line("digests", format!("component {} · manifest {}", component.short(), tool.manifest.short()))
        }
        None => line("digests", format!("manifest {}", tool.manifest.short())),
    }
    let mut rows = Vec::new();
    for program in &all.programs {
        for own in program.uses.iter().filter(|own| own.dir == dir) {
            let granted = if own.granted.is_empty() { "nothing".to_owned() } else { own.granted.join(", ") };
            rows.push(vec![
                super::path(&program.path),
                own.local.to_string(),
                verdict(program),
                escaped(&granted),
            ]);
        }
    }
    if rows.is_empty() {
        line("used by", "no program here".to_owned());
    } else {
        line("used by", String::new());
        out.push_str(&columns(&[], rows));
    }
    out
}

/// The same as one document.
pub fn catalogued_json(all: &Audit, dir: &Path, tool: &Tool) -> Value {
    let uses = all.programs.iter().flat_map(|program| {
        program.uses.iter().filter(|own| own.dir == dir).map(|own| {
            json!({
                "program": program.path,
                "local": own.local,
                "admitted": program.admitted,
                "pinned": program.pinned.as_str(),
                "policies": program.policies,
                "granted": own.granted,
                "require": own.require,
            })
        })
    });
    let mut document = tool_json(dir, tool);
    document["usedBy"] = uses.collect();
    document
}
