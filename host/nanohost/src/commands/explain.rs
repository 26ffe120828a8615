//! `nanohost explain`: what a code means, from the reference that is built in.

use nanohost_core::Diagnostic;
use serde_json::{Value, json};

use crate::cli::ExplainArgs;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::reference::{self, Entry};

/// `nanohost explain`.
pub fn explain(args: &ExplainArgs, console: &Console) -> anyhow::Result<Exit> {
    let all = reference::entries();
    let Some(code) = &args.code else {
        if args.json {
            console.json(&Value::Array(all.iter().map(entry_json).collect()))?;
        } else {
            let mut out = String::new();
            let mut group = "";
            for entry in &all {
                if entry.group != group {
                    group = entry.group;
                    out.push_str(&format!("\n{group}\n"));
                }
                out.push_str(&format!("  {}\n", entry.code));
            }
            console.print(out.trim_start())?;
        }
        return Ok(Exit::Success);
    };
    let Some(entry) = all.iter().find(|entry| entry.code == code) else {
        let like = reference::like(code);
        let help = match like.is_empty() {
            true => "nanohost explain, without a code, lists all of them".to_owned(),
            false => format!("one of these? {}", like.join(", ")),
        };
        let message = format!("there is no code `{}`", code.escape_debug());
        return Err(Failure::usage(Diagnostic::error("unknown_code", message).help(help)));
    };
    if args.json {
        console.json(&entry_json(entry))?;
    } else {
        let kind = if entry.warning { "warning" } else { "error" };
        console.print(&format!(
            "{} ({kind}; {})\n\n{}\n\nCause: {}\n\nRemedy: {}\n",
            entry.code, entry.group, entry.meaning, entry.cause, entry.remedy
        ))?;
    }
    Ok(Exit::Success)
}

fn entry_json(entry: &Entry) -> Value {
    json!({
        "code": entry.code,
        "severity": if entry.warning { "warning" } else { "error" },
        "group": entry.group,
        "meaning": entry.meaning,
        "cause": entry.cause,
        "remedy": entry.remedy,
    })
}
