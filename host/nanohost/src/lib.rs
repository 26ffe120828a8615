//! `nanohost`: models propose, the runtime governs.
//!
//! This crate knows the command line, the console and the clock, and wires the others together.
//! What a program means is `nanohost-core`'s, what a tool can reach `nanohost-sandbox`'s, and what
//! is kept `nanohost-store`'s.
//!
//! It is a library for its own executable and benches; others build on those three.

#![expect(unreachable_pub, reason = "`pub` says: used beyond its module")]

mod acts;
mod audit;
mod cli;
mod commands;
mod compiling;
mod console;
#[cfg(all(test, unix))]
mod crash;
mod drive;
mod erasing;
mod executable;
mod fault;
mod gateway;
pub mod governed;
mod ledger;
mod mcp;
mod model;
mod opening;
mod outside;
mod prepare;
mod project;
mod reference;
mod registry;
mod rehearsal;
mod replay;
mod report;
mod signals;
mod signing;
mod tool;
mod unseen;
mod wait;
mod witness;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use nanohost_core::Diagnostic;
use nanohost_core::log::KeyName;
use nanohost_store::{
    LogHead, Logged as _, OpenOptions, SqliteReader, SqliteStore, StoreError, log_key, log_public_key,
};
use nanohost_verify::{called, failure};

use cli::{Cli, Command};
use console::Console;
use failure::{Exit, Failure};
use project::Places;

/// The command line of this process, from what was said to the exit code.
pub fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => ExitCode::from(nanohost(&cli) as u8),
        Err(error) if error.use_stderr() && std::env::args_os().any(|argument| argument == "--json") => {
            ExitCode::from(console::misused(&error) as u8)
        }
        Err(error) => error.exit(),
    }
}

/// One command, from what was said to how it ends.
fn nanohost(cli: &Cli) -> Exit {
    let console = Console::new(cli.common.color);
    called::remember(cli.common.store.as_deref());
    dispatch(cli, &console).unwrap_or_else(|error| console.tell(&error, cli.command.json()))
}

fn dispatch(cli: &Cli, console: &Console) -> anyhow::Result<Exit> {
    if let Command::Completions { shell } = &cli.command {
        let mut script = Vec::new();
        clap_complete::generate(*shell, &mut Cli::command(), "nanohost", &mut script);
        console.print(&String::from_utf8_lossy(&script))?;
        return Ok(Exit::Success);
    }
    if let Command::CompileComponent = &cli.command {
        // Says nothing else on standard output, and reads nothing of this user.
        nanohost_sandbox::compile_for_parent(std::io::stdin().lock(), std::io::stdout().lock())?;
        return Ok(Exit::Success);
    }
    let places = Places::find(cli.common.store.as_deref())?;
    match &cli.command {
        Command::Run(args) => commands::run(args, &places, console),
        Command::Resume(args) => commands::resume(args, &places, console),
        Command::Settle(args) => commands::settle(args, &places, console),
        Command::Token(args) => commands::token(args, &places, console),
        Command::Recover(args) => commands::recover(args, &places, console),
        Command::Cancel(args) => commands::cancel(args, &places, console),
        Command::Plan(args) => commands::plan(args, &places, console),
        Command::Check(args) => commands::check(args, console),
        Command::Graph(args) => commands::graph(args, console),
        Command::Update(args) => commands::update(args, &places, console),
        Command::Erase(args) => commands::erase(args, &places, console),
        Command::Hold(args) => commands::hold(args, &places, console),
        Command::Store(args) => commands::store(args, &places, console),
        Command::List(args) => commands::list(args, &places, console),
        Command::Trace(args) => commands::trace(args, &places, console),
        Command::Receipt(args) => commands::receipt(args, &places, console),
        Command::Report(args) => commands::report(args, &places, console),
        Command::Health(args) => commands::health(args, &places, console),
        Command::Verify(args) => commands::verify_evidence(args, &places, console),
        Command::Replay(args) => commands::replay(args, &places, console),
        Command::Export(args) => commands::export(args, &places, console),
        Command::Trust(args) => commands::trust(args, &places, console),
        Command::Policy(args) => commands::policy(args, &places, console),
        Command::Log(args) => commands::log(args, &places, console),
        Command::Witness(args) => commands::witness(args, console),
        Command::Key(args) => commands::key(args, &places, console),
        Command::Secret(args) => commands::secret(args, &places, console),
        Command::Mcp(args) => commands::mcp(args, &places, console),
        Command::Audit(args) => commands::audit(args, &places, console),
        Command::Tool(args) => commands::tool(args, &places, console),
        Command::Init(args) => commands::init(args, console),
        Command::Explain(args) => commands::explain(args, console),
        Command::Doctor(args) => commands::doctor(args, &places, console),
        Command::Man(args) => commands::man(args, console),
        Command::Test(args) => commands::test(args, &places, console),
        Command::Cache(args) => commands::cache(args, &places, console),
        Command::CompileComponent | Command::Completions { .. } => Ok(Exit::Success),
    }
}

/// The store, opened for writing; this user's key signs the heads of its log. Acts that this store lacks
/// are done again before anybody else sees it.
fn open_store(places: &Places) -> anyhow::Result<SqliteStore> {
    opened(None, places).map(|(store, _)| store)
}

/// As [`open_store`], with what was done again. `lost`: who goes on though acts may be gone.
fn opened(
    lost: Option<outside::GoesOn<'_>>,
    places: &Places,
) -> anyhow::Result<(SqliteStore, outside::CaughtUp)> {
    let store = SqliteStore::open(&places.store, &OpenOptions::default()).map_err(store_failure)?;
    let renamed = store.is_log_renamed().map_err(store_failure)?;
    let folder = log_keys(&store.log_origin().map_err(store_failure)?, renamed, places);
    if log_public_key(&folder).map_err(store_failure)?.is_none() {
        let head = store.read_log(|log| log.head_text(LogHead::Signed)).map_err(store_failure)?;
        if renamed || head.is_some() {
            return Err(log_key_missing(&folder));
        }
    }
    let key = log_key(&folder).map_err(store_failure)?;
    let store = store.signing_log_with(key).map_err(store_failure)?;
    // What a version without a log left is under a head from here on.
    store.sign_log_head().map_err(store_failure)?;
    let caught_up = outside::settle(&store, lost, places)?;
    erasing::roll_forward(&store, places)?;
    Ok((store, caught_up))
}

/// The store, opened to be read; refused where it lacks acts.
fn read_store(places: &Places) -> anyhow::Result<SqliteReader> {
    let reader = SqliteReader::open(&places.store, &OpenOptions::default()).map_err(store_failure)?;
    outside::agrees(&reader, places)?;
    Ok(reader)
}

/// The folder with the key of a log: one for the first logs of all stores, and one for each that goes on
/// under another name.
fn log_keys(origin: &KeyName, renamed: bool, places: &Places) -> PathBuf {
    let name = origin.as_str().rsplit('/').next().unwrap_or_default();
    if renamed { places.keys().join("logs").join(name) } else { places.keys() }
}

fn log_key_missing(folder: &Path) -> anyhow::Error {
    let message = format!("the key of the log is not in {}, and its heads were signed", folder.display());
    let help = "restore log.key.pem and log.pub.pem from their backup: under another key the log would be \
                another one; or begin another store with --store";
    Failure::host(Diagnostic::error("log_key_missing", message).help(help))
}

/// What the store says, for the user.
fn store_failure(error: StoreError) -> anyhow::Error {
    Failure::host(Diagnostic::error(error.code(), error.to_string()).help(error.help()))
}
