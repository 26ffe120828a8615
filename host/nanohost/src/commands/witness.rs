//! `nanohost witness`: a small process that looks after others' logs.

use nanohost_core::Diagnostic;
use nanohost_core::log::note::Kind;
use nanohost_store::{MAX_WITNESSED_LOGS, WitnessState};
use serde_json::json;

use crate::cli::{WitnessArgs, WitnessCommand};
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::store_failure;
use crate::witness::Witness;
use crate::witness::serve::Server;

/// `nanohost witness`.
pub fn witness(args: &WitnessArgs, console: &Console) -> anyhow::Result<Exit> {
    let (state, name, json) = match &args.command {
        WitnessCommand::Run { state, name, json, .. } | WitnessCommand::Key { state, name, json } => {
            (state, name.as_ref(), *json)
        }
    };
    let WitnessCommand::Run { listen, log, .. } = &args.command else {
        // One that runs holds its folder, and its key can be asked for all the same.
        let key = match WitnessState::public(state).map_err(store_failure)? {
            Some(key) if name.is_none_or(|name| name == key.name()) => key,
            _ => WitnessState::open(state, name).map_err(store_failure)?.signer().verifier().clone(),
        };
        if json {
            console.json(&json!({ "name": key.name().as_str(), "key": key.to_string() }))?;
        } else {
            console.print(&format!("{key}\n"))?;
        }
        return Ok(Exit::Success);
    };
    let wrong = |message: String| {
        let help = "name each log once, by the key that `nanohost log key` prints";
        Failure::usage(Diagnostic::error("witness_log", message).help(help))
    };
    for (at, this) in log.iter().enumerate() {
        if log[..at].contains(this) {
            return Err(wrong(format!("the key of {} is named twice", this.name())));
        }
        if this.kind() != Kind::Ed25519 {
            return Err(wrong(format!("the key of {} is a witness' and not a log's", this.name())));
        }
    }
    if log.len() > MAX_WITNESSED_LOGS {
        return Err(wrong(format!("one witness looks after {MAX_WITNESSED_LOGS} logs at most")));
    }
    let state = WitnessState::open(state, name).map_err(store_failure)?;
    let witness = Witness::new(state, log.clone());
    let key = witness.key();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let unbound = |error: std::io::Error| {
            let help = "name another address with --listen";
            let message = format!("cannot listen at {listen}: {error}");
            Failure::host(Diagnostic::error("witness_address", message).help(help))
        };
        let server = Server::bind(*listen, witness).await.map_err(unbound)?;
        let url = format!("http://{}/", server.address().map_err(unbound)?);
        if json {
            console.json(&json!({
                "url": url,
                "key": key.to_string(),
                "logs": log.iter().map(|log| log.name().as_str()).collect::<Vec<_>>(),
            }))?;
        } else {
            console.print(&format!("{key}\nlistens at {url}\n"))?;
        }
        server.run().await;
        anyhow::Ok(Exit::Success)
    })
}
