//! `nanohost secret`: the values that tools may have the host send for them. A value comes from
//! standard input and is shown nowhere.

use std::io::{IsTerminal as _, Read as _};

use nanohost_core::{Diagnostic, is_secret_name};
use nanohost_sandbox::SecretValues;
use zeroize::Zeroizing;

use crate::cli::{SecretArgs, SecretCommand};
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::project::Places;
use crate::{store_failure, unseen};

/// No secret is longer, and a file that somebody sends along by mistake is not read whole; bytes.
const MAX_INPUT: usize = 8 << 10;

/// `nanohost secret`.
pub fn secret(args: &SecretArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let secrets = places.secrets();
    match &args.command {
        SecretCommand::Set { name } => {
            named(name)?;
            let value = read(name)?;
            // What could stand in no header is refused now rather than in the middle of a run.
            SecretValues::default().with(name, value.clone()).map_err(|error| {
                Failure::usage(
                    Diagnostic::error("secret_invalid", error.to_string())
                        .help("send it alone, such as `nanohost secret set NAME < FILE`"),
                )
            })?;
            let replaced = secrets.set(name, &value).map_err(store_failure)?;
            console.note(&format!("{} `{name}`", if replaced { "replaced" } else { "kept" }));
        }
        SecretCommand::List { json } => {
            let names = secrets.names().map_err(store_failure)?;
            if *json {
                console.json(&serde_json::json!({ "secrets": names }))?;
            } else if names.is_empty() {
                console.print("there are no secrets\n")?;
            } else {
                console.print(&names.iter().map(|name| format!("{name}\n")).collect::<String>())?;
            }
        }
        SecretCommand::Rm { name } => {
            named(name)?;
            if !secrets.remove(name).map_err(store_failure)? {
                return Err(Failure::usage(
                    Diagnostic::error("secret_missing", format!("there is no secret `{name}`"))
                        .help("`nanohost secret list` shows what there is"),
                ));
            }
            console.note(&format!("forgotten: `{name}`"));
        }
    }
    Ok(Exit::Success)
}

fn named(name: &str) -> anyhow::Result<()> {
    if is_secret_name(name) {
        return Ok(());
    }
    Err(Failure::usage(
        Diagnostic::error("secret_invalid", "this is no name of a secret")
            .help("lower-case letters, digits, `.`, `_` and `-`, at most 64, such as `refund-key`"),
    ))
}

/// The value: what stands on standard input, or what is typed there, unseen. The end of its line
/// is not part of it.
fn read(name: &str) -> anyhow::Result<Zeroizing<String>> {
    let stdin = std::io::stdin();
    let failed = |error: std::io::Error| {
        Failure::usage(Diagnostic::error("secret_invalid", format!("cannot read the value: {error}")))
    };
    if stdin.is_terminal() {
        return unseen::typed(&format!("value of `{name}`: "), MAX_INPUT).map_err(failed);
    }
    // Room for all of it, so that no copy is left behind by a growing buffer.
    let mut text = Zeroizing::new(String::with_capacity(MAX_INPUT));
    stdin.lock().take(MAX_INPUT as u64).read_to_string(&mut text).map_err(failed)?;
    while text.ends_with(['\n', '\r']) {
        text.pop();
    }
    Ok(text)
}
