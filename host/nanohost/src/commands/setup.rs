//! `nanohost trust`: what the user of this machine decides.

use std::path::Path;

use nanohost_core::Diagnostic;
use serde_json::{Value, json};

use crate::cli::TrustArgs;
use crate::console::{self, Console};
use crate::failure::{Exit, Failure};
use crate::project::trusting::Trusted;
use crate::project::{Places, Verdict, quoted, standing, trusting};

/// `nanohost trust`.
pub fn trust(args: &TrustArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    if args.list {
        let listed = trusting::list(places)?;
        if args.json {
            let rows = listed.iter().map(|trusted| as_json(trusted, trusted.now));
            console.json(&json!({ "trusted": rows.collect::<Vec<_>>() }))?;
            return Ok(Exit::Success);
        }
        let mut out = String::new();
        for trusted in listed {
            let now = match trusted.now {
                Verdict::Trusted => "trusted",
                Verdict::Changed => "changed since it was trusted: not trusted",
                Verdict::Unknown => "gone: not trusted",
            };
            out.push_str(&format!("{}  {}  {now}\n", trusted.digest.short(), console::path(&trusted.policy)));
        }
        console.print(if out.is_empty() { "nothing is trusted\n" } else { &out })?;
        return Ok(Exit::Success);
    }
    // Said in a project, it means that project; to trust it, it has to be named.
    if args.project.is_none() && !args.remove {
        return show(args, places, console);
    }
    let project = args.project.as_deref().unwrap_or(Path::new("."));
    if args.remove {
        return match trusting::remove(places, project)? {
            Some(trusted) if args.json => {
                console.json(&as_json(&trusted, Verdict::Unknown))?;
                Ok(Exit::Success)
            }
            Some(trusted) => {
                console.note(&format!("{} is trusted no longer", console::path(&trusted.policy)));
                Ok(Exit::Success)
            }
            None => {
                let message = format!("{} was not trusted", project.display());
                Err(Failure::usage(
                    Diagnostic::error("not_trusted", message)
                        .help(format!("`{} trust --list` shows what is", console::program_name())),
                ))
            }
        };
    }
    let trusted = trusting::add(places, project)?;
    if args.json {
        console.json(&as_json(&trusted, Verdict::Trusted))?;
        return Ok(Exit::Success);
    }
    console.note(&format!(
        "trusted: {} as it is now ({})\nits rows count in full, and tools below {} may be built; a change of the policy ends that",
        console::path(&trusted.policy),
        trusted.digest.short(),
        console::path(trusted.project()),
    ));
    Ok(Exit::Success)
}

/// A policy, and whether it is trusted as it is now.
fn as_json(project: &Trusted, now: Verdict) -> Value {
    json!({
        "policy": project.policy,
        "project": project.project(),
        "digest": project.digest,
        "trusted": now == Verdict::Trusted,
        "changed": now == Verdict::Changed,
    })
}

/// What trusting the project of this folder means, or has meant.
fn show(args: &TrustArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let (project, policy) = trusting::look(places, Path::new("."))?;
    if args.json {
        console.json(&as_json(&project, project.now))?;
        return Ok(Exit::Success);
    }
    let name = console::program_name();
    let folder = quoted(project.project());
    let (how, then) = match project.now {
        Verdict::Trusted => (
            "trusted as it is now: its rows count in full, and tools below its project may be built",
            format!("end it with: {name} trust --remove {folder}"),
        ),
        Verdict::Changed | Verdict::Unknown => (
            "not trusted as it is now: of its rows count reading below its project, kv, virtual time and seeded \
             randomness, and nothing is built",
            format!("if you agree with all of it: {name} trust {folder}"),
        ),
    };
    let others: String = standing(places)?
        .iter()
        .map(|(layer, policy)| {
            let (path, digest) = (console::path(&layer.path), policy.digest().short());
            format!(
                "in force beside it, and not its project's: {path} ({digest}, {})\n",
                layer.origin.as_str()
            )
        })
        .collect();
    let others = if others.is_empty() { others } else { format!("\n{others}") };
    console.print(&format!(
        "{} ({}) is {how}\n\n{}\n\n{then}\n{others}",
        console::path(&project.policy),
        project.digest.short(),
        console::lines(policy.text.trim_end()),
    ))?;
    Ok(Exit::Success)
}
