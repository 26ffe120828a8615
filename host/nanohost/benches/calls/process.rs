//! From the start of a process to its exit: the refund example, and one call of the echo by
//! `nanohost run` beside a program that does nothing but run precompiled code in wasmtime.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::sample::{Layer, table};
use crate::{Failure, echo};

/// Samples of each.
const ROUNDS: usize = 30;

/// `nanohost run` with cached code may take so much of what running precompiled code takes.
const COLD: f64 = 5.0;

const LENGTH: usize = 1 << 10;

pub(crate) fn measure() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let code = path("echo.cwasm");
    std::fs::write(&code, Component::from_binary(&engine()?, &echo::component()?)?.serialize()?)?;

    let tool = path("tools/echo");
    std::fs::create_dir_all(&tool)?;
    std::fs::write(tool.join("component.wasm"), echo::component()?)?;
    std::fs::write(
        tool.join("manifest.toml"),
        "name = \"echo\"\nversion = \"1.0.0\"\n[functions.echo]\neffect = \"pure\"\n",
    )?;
    let program = path("program.toml");
    std::fs::write(
        &program,
        format!(
            "name = \"echo\"\n[tools.echo]\npath = \"tools/echo\"\nfunction = \"echo\"\n\
             [[steps]]\nid = \"s\"\ntype = \"tool\"\ntool = \"echo\"\nargs = {{ text = {:?} }}\n",
            echo::text(LENGTH)
        ),
    )?;
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).canonicalize()?;
    let refund = root.join("examples/refund/program.toml");

    let nanohost = |program: &PathBuf| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nanohost"));
        command.arg("run").arg(program).current_dir(folder.path());
        for place in ["store", "config", "cache"] {
            command.env(format!("NANOHOST_{}", place.to_uppercase()), path(place));
        }
        command.env_remove("NANOHOST_POLICY");
        command
    };
    let peer = || {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("peer").arg(&code).arg(LENGTH.to_string());
        timed(command)
    };
    let layers = vec![
        Layer::new("a process that does nothing", || timed(Command::new("/bin/true"))),
        Layer::new("precompiled code in wasmtime", peer),
        Layer::new("nanohost run, one pure call", || timed(nanohost(&program))).over(1, COLD),
        Layer::new("nanohost run examples/refund", || timed(nanohost(&refund))),
    ];
    table(
        "From the start of a process to its exit, with cached code (goal of the refund: 60,000 µs)",
        ROUNDS,
        layers,
    )?;
    Ok(())
}

fn timed(mut command: Command) -> Result<Duration, Failure> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let started = Instant::now();
    let status = command.status()?;
    let took = started.elapsed();
    if status.success() { Ok(took) } else { Err(format!("{command:?}: {status}").into()) }
}

/// As `wasmtime run` has it.
fn engine() -> Result<Engine, Failure> {
    Ok(Engine::new(&Config::new())?)
}

struct World {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for World {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// The other process: does what `wasmtime run` does with a precompiled component.
pub(crate) fn peer(code: &Path, length: usize) -> Result<(), Failure> {
    let engine = engine()?;
    #[expect(unsafe_code, reason = "the code was written by the process that started this one")]
    // SAFETY: the file is what `Component::serialize` gave, in a folder of that process alone.
    let component = unsafe { Component::deserialize_file(&engine, code)? };
    let mut linker = Linker::<World>::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    let world = World { wasi: WasiCtx::builder().build(), table: ResourceTable::new() };
    let mut store = Store::new(&engine, world);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let text = echo::text(length);
    let echoed = runtime.block_on(async {
        let instance = linker.instantiate_async(&mut store, &component).await?;
        let echo = instance.get_typed_func::<(&str,), (String,)>(&mut store, "echo")?;
        echo.call_async(&mut store, (&text,)).await
    })?;
    if echoed.0 == text { Ok(()) } else { Err("the echo is another text".into()) }
}
