//! `nanohost`: models propose, the runtime governs.
//!
//! This crate knows the command line, the console and the clock, and wires the others together.
//! What a program means is `nanohost-core`'s, what a tool can reach `nanohost-sandbox`'s, and what
//! is kept `nanohost-store`'s.
//!
//! It is a library for its own executable and benches; others build on those three.

#![expect(unreachable_pub, reason = "`pub` says: used beyond its module")]

mod acts;
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
pub mod governed;
mod ledger;
mod model;
mod prepare;
mod project;
mod reference;
mod rehearsal;
mod replay;
mod report;
mod signals;
mod signing;
mod tool;
mod unseen;
mod wait;
mod witness;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use nanohost_core::Diagnostic;
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

/// The store, opened for writing; this user's key signs the heads of its log.
fn open_store(places: &Places) -> anyhow::Result<SqliteStore> {
    if log_public_key(&places.keys()).map_err(store_failure)?.is_none() && is_signed(places)? {
        let message =
            format!("the key of the log is not in {}, and its heads were signed", places.keys().display());
        let help = "restore log.key.pem and log.pub.pem from their backup: under another key the log would be \
                    another one; or begin another store with --store";
        return Err(Failure::host(Diagnostic::error("log_key_missing", message).help(help)));
    }
    let key = log_key(&places.keys()).map_err(store_failure)?;
    let open = || {
        let store = SqliteStore::open(&places.store, &OpenOptions::default())?.signing_log_with(key)?;
        // What a version without a log left is under a head from here on.
        store.sign_log_head()?;
        Ok(store)
    };
    let store = open().map_err(store_failure)?;
    erasing::roll_forward(&store, places)?;
    Ok(store)
}

/// Whether the store is there and its log has a head that somebody signed.
fn is_signed(places: &Places) -> anyhow::Result<bool> {
    match SqliteReader::open(&places.store, &OpenOptions::default()) {
        Ok(store) => {
            let head = store.read_log(|log| log.head_text(LogHead::Signed)).map_err(store_failure)?;
            Ok(head.is_some())
        }
        Err(StoreError::NoStore { .. } | StoreError::Older { .. }) => Ok(false),
        Err(error) => Err(store_failure(error)),
    }
}

/// What the store says, for the user.
fn store_failure(error: StoreError) -> anyhow::Error {
    Failure::host(Diagnostic::error(error.code(), error.to_string()).help(error.help()))
}
