//! `nanohost mcp`: serves a gateway, prints what starts it, or keeps the tokens of its callers.

use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use nanohost_core::{Diagnostic, Timestamp};
use serde_json::{Value, json};

use super::log::witnessed::at_end as witnessed_at_end;
use crate::cli::{
    McpArgs, McpCommand, McpConfigArgs, McpTokenCommand, NetworkArgs, ServeArgs, TokenFileArgs, TokenScope,
};
use crate::console::{self, Console, Progress};
use crate::failure::{Exit, Failure};
use crate::gateway::{Caller, Detail, Gateway, Scope, Scopes, Serving};
use crate::ledger;
use crate::mcp::{Door, Limits, Listening, Server, Token, Tokens, configuration, serve_http, serve_stdio};
use crate::project::Places;

/// `nanohost mcp`.
pub fn mcp(args: &McpArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    match &args.command {
        Some(McpCommand::Config(args)) => config(args, places, console),
        Some(McpCommand::Token { command }) => token(command, places, console),
        None => serve(args, places, console),
    }
}

fn serve(args: &McpArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let network = args.network.listen.map(|_| door(&args.network, places)).transpose()?;
    let args_of = &args.serve;
    let gateway = Arc::new(Gateway::open(&serving(args_of), places, &Progress::new(false))?);
    if args.network.listen.is_none() && std::io::stdin().is_terminal() {
        let names: Vec<String> = gateway.offered().map(|one| console::escaped(one.name())).collect();
        let what = if names.is_empty() { "no program".to_owned() } else { names.join(", ") };
        console.note(&format!(
            "serving {what}. A client of the Model Context Protocol starts this and speaks here: `{} mcp config --help` \
             prints what its configuration says; Ctrl-D ends it",
            console::program_name()
        ));
    }
    let at_once = usize::try_from(args_of.at_once).unwrap_or(256);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // Beside runs there are those who look at what was.
        .max_blocking_threads(at_once + 64)
        .build()?;
    let scopes = Scopes::of([Scope::Programs, Scope::Tools]);
    let detail = if network.is_some() { Detail::Codes } else { Detail::Whole };
    let local = Caller { principal: args_of.principal.clone(), scopes, detail };
    let limits = Limits { at_once };
    let served = runtime.block_on(async {
        let shown = tokio::spawn(show(places.clone(), Arc::clone(&gateway), *console));
        let served = match (network, args.network.listen) {
            (Some(door), Some(address)) => {
                let server = Server::new(Arc::clone(&gateway), None, limits, *console)?;
                let said = |address, metrics: Option<_>| {
                    console.note(&format!("listening at http://{address}/mcp"));
                    if let Some(metrics) = metrics {
                        console.note(&format!("metrics at http://{metrics}/metrics"));
                    }
                };
                let of = &args.network;
                let listening = Listening {
                    address,
                    metrics: of.metrics,
                    hosts: of.allow_host.clone(),
                    origins: of.allow_origin.clone(),
                    connections: usize::try_from(of.connections).unwrap_or(512),
                    rate: f64::from(of.rate),
                    grace: of.grace,
                };
                serve_http(server, door, local, listening, said).await
            }
            _ => serve_stdio(Server::new(Arc::clone(&gateway), Some(local), limits, *console)?).await,
        };
        shown.abort();
        served
    });
    // What came since is shown before the process ends.
    witnessed_at_end(places).iter().for_each(|why| console.note(why));
    // A read of standard input that nobody answers any more is not waited for.
    runtime.shutdown_background();
    served.map(|()| Exit::Success)
}

/// Between two times that the witnesses of the log are asked: a gateway has more runs than they would be
/// asked after.
const BETWEEN_ASKING: Duration = Duration::from_secs(1);

/// Shows the log to its witnesses, where there are some and something came to it; what is wrong is said once
/// until it is something else.
async fn show(places: Places, gateway: Arc<Gateway>, console: Console) {
    if places.log_policy().is_none() {
        return;
    }
    let (mut shown, mut said) = (gateway.ended(), None);
    loop {
        tokio::time::sleep(BETWEEN_ASKING).await;
        let ended = gateway.ended();
        if ended == shown {
            continue;
        }
        let at = places.clone();
        let Ok(why) = tokio::task::spawn_blocking(move || witnessed_at_end(&at)).await else { continue };
        shown = ended;
        if why != said {
            why.iter().for_each(|why| console.note(why));
            said = why;
        }
    }
}

/// Who is let in; `None`: this machine's own user needs no token.
fn door(args: &NetworkArgs, places: &Places) -> anyhow::Result<Option<Door>> {
    let tokens = match &args.tokens {
        Some(path) => Some(Tokens::at(path.clone())),
        None => Some(own_tokens(places)).filter(|tokens| tokens.path().exists()),
    };
    // What is wrong with the file is said before anybody is served.
    tokens.as_ref().map(Tokens::all).transpose()?;
    let beyond =
        [args.listen, args.metrics].into_iter().flatten().find(|address| !address.ip().is_loopback());
    if let (Some(address), None) = (beyond, &tokens) {
        let message = format!("{address} is reached from other machines, and no token is needed");
        let help = "make one first: nanohost mcp token new NAME --scope programs; and have a reverse proxy before the \
                    gateway that speaks TLS, since a token that is sent in the open is everybody's";
        return Err(Failure::usage(Diagnostic::error("token_needed", message).help(help)));
    }
    Ok(tokens.map(Door::new))
}

fn own_tokens(places: &Places) -> Tokens {
    Tokens::at(places.config.join("mcp-tokens.json"))
}

fn serving(args: &ServeArgs) -> Serving {
    Serving {
        programs: args.programs.clone(),
        single: args.single.clone(),
        policy: args.policy.clone(),
        tools: args.tools.clone(),
        packages: args.packages.clone(),
    }
}

fn config(args: &McpConfigArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned()).display().to_string();
    let serve = &args.serve;
    let mut arguments = vec!["mcp".to_owned()];
    arguments.extend(serve.programs.iter().map(|path| whole(path)));
    for single in &serve.single {
        let single = match single.rsplit_once(':') {
            Some((folder, function)) if !Path::new(single).exists() => {
                format!("{}:{function}", whole(Path::new(folder)))
            }
            _ => whole(Path::new(single)),
        };
        arguments.extend(["--tool".to_owned(), single]);
    }
    for (flag, path) in [("--policy", &serve.policy), ("--tools", &serve.tools)] {
        if let Some(path) = path {
            arguments.extend([flag.to_owned(), whole(path)]);
        }
    }
    if serve.principal.as_str() != "agent" {
        arguments.extend(["--as".to_owned(), serve.principal.to_string()]);
    }
    arguments.extend(["--store".to_owned(), whole(&places.store)]);
    let executable = std::env::current_exe().context("this executable has no path")?;
    console.note(&format!("for {}", args.client.file()));
    console.json(&configuration(args.client, &executable, &arguments))?;
    Ok(Exit::Success)
}

fn token(command: &McpTokenCommand, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let file = command.file();
    let tokens = file.tokens.clone().map_or_else(|| own_tokens(places), Tokens::at);
    match command {
        McpTokenCommand::New { name, scopes, expires, .. } => {
            let read_only = scopes.contains(&TokenScope::ReadOnly);
            if read_only && scopes.len() > 1 {
                let message = "a token that is only for reading has no other scope";
                let help = "leave out the other scopes, or read-only";
                return Err(Failure::usage(Diagnostic::error("invalid_argument", message).help(help)));
            }
            let scopes: Vec<Scope> = scopes.iter().filter_map(|scope| scope_of(*scope)).collect();
            let (token, text) = tokens.make(name, &scopes, expires.map(later))?;
            show_new(&token, &text, &tokens, file, console)
        }
        McpTokenCommand::Rotate { name, overlap, expires, .. } => {
            let before = tokens.all()?;
            let last =
                before.iter().rev().find(|token| token.name == *name).ok_or_else(|| nobody(name.as_str()))?;
            let own = |word: &String| Scope::ALL.into_iter().find(|scope| scope.as_str() == word);
            let scopes: Vec<Scope> = last.scopes.iter().filter_map(own).collect();
            tokens.end(name.as_str(), Some(later(*overlap)))?;
            let (token, text) = tokens.make(name, &scopes, expires.map(later))?;
            show_new(&token, &text, &tokens, file, console)
        }
        McpTokenCommand::Revoke { which, .. } => {
            let count = tokens.end(which, None)?;
            if count == 0 {
                return Err(nobody(which));
            }
            match file.json {
                true => console.json(&json!({ "revoked": count }))?,
                false => console.print(&format!("revoked {count}\n"))?,
            }
            Ok(Exit::Success)
        }
        McpTokenCommand::List { .. } => {
            let now = ledger::now();
            let all = tokens.all()?;
            if file.json {
                let each: Vec<Value> = all.iter().map(|token| told(token, now)).collect();
                console.json(&json!({ "tokens": each }))?;
            } else {
                let rows = all.iter().map(|token| {
                    vec![
                        token.id.clone(),
                        token.name.to_string(),
                        if token.scopes.is_empty() {
                            "read-only".to_owned()
                        } else {
                            token.scopes.join(", ")
                        },
                        token.created.to_string(),
                        match token.expires {
                            None => "never".to_owned(),
                            Some(end) if now >= end => format!("ended {end}"),
                            Some(end) => end.to_string(),
                        },
                    ]
                });
                console.print(&console::columns(&["id", "name", "scopes", "made", "ends"], rows))?;
            }
            Ok(Exit::Success)
        }
    }
}

fn nobody(which: &str) -> anyhow::Error {
    let message = format!("there is no token of {which:?}");
    let help = "`nanohost mcp token list` shows those there are";
    Failure::usage(Diagnostic::error("unknown_token", message).help(help))
}

fn scope_of(scope: TokenScope) -> Option<Scope> {
    match scope {
        TokenScope::Programs => Some(Scope::Programs),
        TokenScope::Tools => Some(Scope::Tools),
        TokenScope::Audit => Some(Scope::Audit),
        TokenScope::ReadOnly => None,
    }
}

fn later(time: Duration) -> Timestamp {
    let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(ledger::now().as_millis().saturating_add(millis))
}

fn told(token: &Token, now: Timestamp) -> Value {
    json!({
        "id": token.id,
        "name": token.name,
        "scopes": token.scopes,
        "created": token.created,
        "expires": token.expires,
        "good": token.is_good(now),
    })
}

fn show_new(
    token: &Token,
    text: &str,
    tokens: &Tokens,
    file: &TokenFileArgs,
    console: &Console,
) -> anyhow::Result<Exit> {
    if file.json {
        let mut document = told(token, token.created);
        document["token"] = text.into();
        console.json(&document)?;
    } else {
        console.note(&format!(
            "for {} alone, shown this once; its digest is kept in {}",
            token.name,
            console::path(tokens.path())
        ));
        console.print(&format!("{text}\n"))?;
    }
    Ok(Exit::Success)
}
