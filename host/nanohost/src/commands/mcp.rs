//! `nanohost mcp`: serves a gateway, or prints what starts it.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;

use crate::cli::{McpArgs, McpCommand, McpConfigArgs, ServeArgs};
use crate::console::{Console, Progress};
use crate::failure::Exit;
use crate::gateway::{Caller, Detail, Gateway, Scope, Scopes, Serving};
use crate::mcp::{Limits, Server, configuration, serve_stdio};
use crate::project::Places;

/// `nanohost mcp`.
pub fn mcp(args: &McpArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    match &args.command {
        Some(McpCommand::Config(args)) => config(args, places, console),
        None => serve(&args.serve, places),
    }
}

fn serve(args: &ServeArgs, places: &Places) -> anyhow::Result<Exit> {
    let gateway = Arc::new(Gateway::open(&serving(args), places, &Progress::new(false))?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(usize::try_from(args.at_once).unwrap_or(256) + 64)
        .build()?;
    let alone = Caller {
        principal: args.principal.clone(),
        scopes: Scopes::of([Scope::Programs, Scope::Tools]),
        detail: Detail::Whole,
    };
    let limits = Limits { at_once: usize::try_from(args.at_once).unwrap_or(256) };
    let served = runtime.block_on(async {
        let server = Server::new(gateway, Some(alone), limits)?;
        serve_stdio(server).await
    });
    // A read of standard input that nobody answers any more is not waited for.
    runtime.shutdown_background();
    served.map(|()| Exit::Success)
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
        arguments.extend(["--tool".to_owned(), single.clone()]);
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
