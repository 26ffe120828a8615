//! `nanohost init`, `nanohost doctor` and `nanohost man`: for whoever begins.

use std::path::Path;
use std::process::{Command, Stdio};

use clap::CommandFactory as _;
use nanohost_core::Trust;
use nanohost_sandbox::Engine;
use nanohost_store::{OpenOptions, SqliteReader, StoreError};
use serde_json::{Value, json};

use crate::cli::{Cli, DoctorArgs, InitArgs, ManArgs};
use crate::console::{self, Console};
use crate::failure::{Exit, Failure};
use crate::project::{self, Places, quoted};
use crate::tool::template;

/// `nanohost init`.
pub fn init(args: &InitArgs, console: &Console) -> anyhow::Result<Exit> {
    let files = template::project(&args.folder)?;
    if args.json {
        console.json(&json!({ "project": args.folder, "files": files }))?;
        return Ok(Exit::Success);
    }
    let (program, path) = (console::program_name(), quoted(&args.folder));
    let file = quoted(&args.folder.join("program.toml"));
    console.print(&format!(
        "{} holds a program, a policy, a tool and their tests. Look through it, then:\n  {program} trust {path}\n  \
         {program} test {path}\n  {program} run {file} --input 'text=one three two'\n",
        console::path(&args.folder)
    ))?;
    Ok(Exit::Success)
}

/// `nanohost man`.
pub fn man(args: &ManArgs, console: &Console) -> anyhow::Result<Exit> {
    let io =
        |error: std::io::Error| Failure::io("man_not_written", "write man pages into", &args.output, &error);
    std::fs::create_dir_all(&args.output).map_err(io)?;
    clap_mangen::generate_to(Cli::command(), &args.output).map_err(io)?;
    if args.json {
        console.json(&json!({ "folder": args.output }))?;
    } else {
        console.print(&format!("man pages are in {}\n", console::path(&args.output)))?;
    }
    Ok(Exit::Success)
}

/// How one thing stands.
struct Found {
    what: &'static str,
    state: State,
    says: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Good,
    /// Something that only some need is not there.
    Missing,
    /// Nothing goes on like this.
    Broken,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Missing => "missing",
            Self::Broken => "broken",
        }
    }
}

/// `nanohost doctor`.
pub fn doctor(args: &DoctorArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let found = [
        Found { what: "nanohost", state: State::Good, says: env!("CARGO_PKG_VERSION").to_owned() },
        sandbox(),
        store(places),
        keys(places),
        policy(places),
        cache(places),
        rust(),
        other("componentize-py", "--version", "makes tools of Python; a tool's own .venv will do"),
        other("node", "--version", "makes tools of JavaScript"),
    ];
    let broken = found.iter().any(|own| own.state == State::Broken);
    let exit = if broken { Exit::Host } else { Exit::Success };
    if args.json {
        let each = found
            .iter()
            .map(|own| json!({ "what": own.what, "state": own.state.as_str(), "says": own.says }));
        console.json(&json!({ "exitCode": exit as u8, "found": each.collect::<Value>() }))?;
    } else {
        let rows: String = found
            .iter()
            .map(|own| {
                format!("{:<8} {:<16} {}\n", own.state.as_str(), own.what, console::escaped(&own.says))
            })
            .collect();
        console.print(&rows)?;
    }
    Ok(exit)
}

fn sandbox() -> Found {
    let (state, says) = match Engine::new() {
        Ok(_) => (State::Good, "WebAssembly can be run".to_owned()),
        Err(error) => (State::Broken, format!("WebAssembly cannot be run: {error}")),
    };
    Found { what: "sandbox", state, says }
}

fn store(places: &Places) -> Found {
    let place = places.store.display();
    let (state, says) = match SqliteReader::open(&places.store, &OpenOptions::default()) {
        Ok(_) => (State::Good, format!("{place}")),
        Err(StoreError::NoStore { .. }) => (State::Good, format!("{place}, made by the first run")),
        Err(error) => (State::Broken, format!("{place}: {error}; {}", error.help())),
    };
    Found { what: "store", state, says }
}

fn keys(places: &Places) -> Found {
    let folder = places.keys();
    let says = match folder.is_dir() {
        true => folder.display().to_string(),
        false => format!("{}, made by the first run", folder.display()),
    };
    Found { what: "keys", state: State::Good, says }
}

/// What is in force for a program in this folder.
fn policy(places: &Places) -> Found {
    let (state, says) = match project::find(None, Path::new("./program.toml"), places) {
        Ok(found) => {
            let each = found.each().map(|(own, layer)| match layer {
                Some(layer) => {
                    let trusted = if *own.trust() == Trust::Trusted { "" } else { ", not trusted" };
                    format!("{} ({}{trusted})", layer.path.display(), layer.origin.as_str())
                }
                None => "none here: nothing is granted".to_owned(),
            });
            (State::Good, each.collect::<Vec<_>>().join("; "))
        }
        Err(error) => (State::Broken, error.to_string()),
    };
    Found { what: "policy", state, says }
}

fn cache(places: &Places) -> Found {
    match places.code_cache() {
        Some(folder) => {
            Found { what: "compiled code", state: State::Good, says: folder.display().to_string() }
        }
        None => Found {
            what: "compiled code",
            state: State::Missing,
            says: "is not kept: every start compiles".to_owned(),
        },
    }
}

fn rust() -> Found {
    let cargo = version("cargo", "--version");
    let (state, says) = match (cargo, project::has_wasm_target()) {
        (Some(cargo), true) => (State::Good, format!("{cargo}, with the target wasm32-wasip2")),
        (Some(cargo), false) => {
            (State::Missing, format!("{cargo}, without its target: rustup target add wasm32-wasip2"))
        }
        (None, _) => (State::Missing, "is not here; it builds tools of Rust: https://rustup.rs".to_owned()),
    };
    Found { what: "rust", state, says }
}

fn other(program: &'static str, argument: &str, what: &str) -> Found {
    match version(program, argument) {
        Some(version) => Found { what: program, state: State::Good, says: version },
        None => {
            Found { what: program, state: State::Missing, says: format!("is not on the PATH; it {what}") }
        }
    }
}

/// The first line that a program says of itself.
fn version(program: &str, argument: &str) -> Option<String> {
    let done =
        Command::new(program).arg(argument).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&done.stdout);
    done.status.success().then(|| text.lines().next().unwrap_or_default().to_owned())
}
