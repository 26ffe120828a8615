//! `nanohost trust` and `nanohost key`: what the user of this machine decides and holds.

use std::path::Path;

use nanohost_core::Diagnostic;
use nanohost_store::development_key;

use crate::cli::{KeyArgs, KeyCommand, TrustArgs};
use crate::console::{self, Console};
use crate::failure::{Exit, Failure};
use crate::project::{Places, Verdict, trusting};
use crate::store_failure;

/// `nanohost trust`.
pub fn trust(args: &TrustArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    if args.list {
        let mut out = String::new();
        for trusted in trusting::list(places)? {
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
    // Said in a project, it means that project.
    let project = args.project.as_deref().unwrap_or(Path::new("."));
    if args.remove {
        return match trusting::remove(places, project)? {
            Some(trusted) => {
                console.note(&format!("{} is trusted no longer", console::path(&trusted.policy)));
                Ok(Exit::Success)
            }
            None => {
                let message = format!("{} was not trusted", project.display());
                Err(Failure::usage(
                    Diagnostic::error("not_trusted", message).help("`nanohost trust --list` shows what is"),
                ))
            }
        };
    }
    let trusted = trusting::add(places, project)?;
    console.note(&format!(
        "trusted: {} as it is now ({})\nits rows count in full, and tools below {} may be built; a change of the policy ends that",
        console::path(&trusted.policy),
        trusted.digest.short(),
        console::path(trusted.project()),
    ));
    Ok(Exit::Success)
}

/// `nanohost key`.
pub fn key(args: &KeyArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let KeyCommand::Show { public, json } = &args.command;
    let key = development_key(&places.keys()).map_err(store_failure)?;
    let pem = key.signer.public().to_spki_pem()?;
    let id = key.signer.public().key_id();
    if *json {
        console.json(&serde_json::json!({
            "keyId": id.to_string(),
            "development": true,
            "private": key.private,
            "public": key.public,
            "pem": pem,
        }))?;
    } else if *public {
        console.print(&pem)?;
    } else {
        console.print(&format!(
            "key id   {id}\nprivate  {} (a development key: not encrypted, for this user alone)\npublic   {}\n\n{pem}",
            console::path(&key.private),
            console::path(&key.public),
        ))?;
    }
    Ok(Exit::Success)
}
