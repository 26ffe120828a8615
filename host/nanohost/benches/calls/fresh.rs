//! A call in a fresh instance: in wasmtime alone, through the sandbox, governed with evidence; and
//! beside them what no host could do without.

use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;
use nanohost_sandbox::{Engine, Outcome, Tool};
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::governed::Program;
use crate::raw::{self, Raw};
use crate::sample::{Layer, table};
use crate::{Failure, echo};

/// Calls of one sample.
const BATCH: u32 = 200;

/// Samples of each layer.
const ROUNDS: usize = 60;

/// A sandbox may take so much of what wasmtime alone takes.
const SANDBOX: f64 = 1.25;

/// Governing a pure call may take so much of call, digests and signature.
const GOVERNED: f64 = 2.0;

pub(crate) fn measure() -> Result<(), Failure> {
    let (engine, raw, runtime) = (Engine::new()?, Raw::new()?, runtime()?);
    let signer = SigningKey::from_bytes(&[7; 32]);
    let tool = echo::tool(&engine, "echo", "")?;
    // What is written there waits for no disk.
    let memory = tempfile::tempdir_in("/dev/shm")?;
    let disk = tempfile::tempdir()?;
    let in_memory = ledger(&memory.path().join("floor.sqlite"))?;
    let on_disk = ledger(&disk.path().join("floor.sqlite"))?;
    for length in echo::LENGTHS {
        let (text, input) = (echo::text(length), json!({ "text": echo::text(length) }));
        let pure = Program::new(&engine, "pure", length, &memory.path().join(format!("pure-{length}")))?;
        let quick =
            Program::new(&engine, "external", length, &memory.path().join(format!("external-{length}")))?;
        let external =
            Program::new(&engine, "external", length, &disk.path().join(format!("external-{length}")))?;
        let seal = || Ok::<_, Failure>(raw::sealed(&signer, &text, &raw.call(&text)?));
        let layers = vec![
            Layer::new("wasmtime alone", || timed(BATCH, || raw.call(&text))),
            Layer::new("the sandbox", || sandboxed(&runtime, &tool, &input)).over(0, SANDBOX),
            Layer::new("call, digests, signature", || timed(BATCH, seal)),
            Layer::new("the same and a row, not waiting for the disk", || {
                timed(BATCH, || append(&in_memory, &seal()?))
            }),
            Layer::new("governed, pure, sealed", || pure.run_uncommitted(&runtime)).over(2, GOVERNED),
            Layer::new("governed, pure, with its share of commits in memory", || pure.run(&runtime))
                .over(3, None),
            Layer::new("governed, external, with its commits in memory", || quick.run(&runtime))
                .over(3, None),
        ];
        table(&format!("A call of the echo, {length} bytes"), ROUNDS, layers)?;
        let layers = vec![
            Layer::new("call, digests, signature, a row on disk", || {
                timed(20, || append(&on_disk, &seal()?))
            }),
            Layer::new("governed, external, on disk", || external.run(&runtime)).over(0, None),
        ];
        table(&format!("The same with durable evidence, {length} bytes"), 12, layers)?;
    }
    Ok(())
}

/// One layer for so many calls and nothing else, for a profiler.
pub(crate) fn profile(layer: &str, calls: u32) -> Result<(), Failure> {
    let text = echo::text(1 << 10);
    match layer {
        "raw" => {
            let raw = Raw::new()?;
            (0..calls).try_for_each(|_| raw.call(&text).map(drop))
        }
        "sandbox" => {
            let (engine, input) = (Engine::new()?, json!({ "text": text }));
            let tool = echo::tool(&engine, "echo", "")?;
            runtime()?.block_on(async {
                for _ in 0..calls {
                    one(&tool, &input).await?;
                }
                Ok(())
            })
        }
        "pure" | "external" => {
            let (engine, store) = (Engine::new()?, tempfile::tempdir_in("/dev/shm")?);
            let program = Program::new(&engine, layer, text.len(), store.path())?;
            let runtime = runtime()?;
            (0..calls).step_by(echo::STEPS).try_for_each(|_| program.run(&runtime).map(drop))
        }
        _ => Err("the layers are raw, sandbox, pure and external".into()),
    }
}

/// As the host has it.
fn runtime() -> Result<Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

fn timed<T>(batch: u32, mut once: impl FnMut() -> Result<T, Failure>) -> Result<Duration, Failure> {
    let started = Instant::now();
    for _ in 0..batch {
        once()?;
    }
    Ok(started.elapsed() / batch)
}

fn sandboxed(runtime: &Runtime, tool: &Tool, input: &Value) -> Result<Duration, Failure> {
    runtime.block_on(async {
        let started = Instant::now();
        for _ in 0..BATCH {
            one(tool, input).await?;
        }
        Ok(started.elapsed() / BATCH)
    })
}

async fn one(tool: &Tool, input: &Value) -> Result<(), Failure> {
    match tool.call(input, echo::context()).await.outcome {
        Outcome::Success(_) => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}

/// A journal of one table, as durable as the store's.
fn ledger(path: &std::path::Path) -> Result<Connection, Failure> {
    let ledger = Connection::open(path)?;
    ledger.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE envelope (bytes BLOB NOT NULL);",
    )?;
    Ok(ledger)
}

fn append(ledger: &Connection, bytes: &[u8]) -> Result<(), Failure> {
    ledger.prepare_cached("INSERT INTO envelope VALUES (?1)")?.execute([bytes])?;
    Ok(())
}
