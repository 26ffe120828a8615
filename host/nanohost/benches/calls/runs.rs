//! Runs that go on at once in one process, with one store on disk: the commits of all of them share
//! flushes of the disk.

use std::fs::File;
use std::io::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use nanohost_sandbox::Engine;

use crate::governed::Program;
use crate::{Failure, echo};

/// How many at once.
const RUNS: [usize; 5] = [1, 2, 4, 8, 16];

/// Bytes of each call's input and output.
const LENGTH: usize = 100;

/// How often each number is measured. All go round in turn, and the best counts.
const ROUNDS: usize = 5;

/// What a commit of one call is to the disk, about: pages of the write-ahead log.
const FLUSHED: [u8; 8 << 10] = [0; 8 << 10];

#[expect(clippy::print_stdout, reason = "the table is what is asked for")]
pub(crate) fn measure() -> Result<(), Failure> {
    let engine = Engine::new()?;
    let mut most = [0.0f64; RUNS.len()];
    let mut flushes = 0.0f64;
    for _ in 0..ROUNDS {
        for (runs, most) in RUNS.into_iter().zip(&mut most) {
            *most = most.max(calls(&engine, runs)?);
        }
        flushes = flushes.max(flushed()?);
    }
    println!("\nExternal calls a second, each on disk before and after it; the best of {ROUNDS} rounds");
    for (runs, calls) in RUNS.into_iter().zip(&most) {
        println!("{runs:>3} runs at once {calls:>8.0}   {:.2} × one", calls / most[0]);
    }
    println!("    the disk alone {flushes:>8.0}   appends of {} KiB, each flushed", FLUSHED.len() >> 10);
    Ok(())
}

/// Calls a second of so many runs at once.
fn calls(engine: &Engine, runs: usize) -> Result<f64, Failure> {
    let store = tempfile::tempdir()?;
    let program = Program::new(engine, "external", LENGTH, store.path())?;
    let started = Instant::now();
    let ran = thread::scope(|scope| {
        let run = || -> Result<Duration, String> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            program.run(&runtime.map_err(|error| error.to_string())?).map_err(|error| error.to_string())
        };
        let threads: Vec<_> = (0..runs).map(|_| scope.spawn(run)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| "a thread panicked")?.map_err(Failure::from))
            .try_for_each(|ran| ran.map(drop))
    });
    ran?;
    Ok((runs * echo::STEPS) as f64 / started.elapsed().as_secs_f64())
}

/// Flushes a second of a file that grows by what a commit writes.
fn flushed() -> Result<f64, Failure> {
    const TIMES: u32 = 500;
    let folder = tempfile::tempdir()?;
    let mut file = File::create(folder.path().join("flushed"))?;
    let started = Instant::now();
    for _ in 0..TIMES {
        file.write_all(&FLUSHED)?;
        file.sync_data()?;
    }
    Ok(f64::from(TIMES) / started.elapsed().as_secs_f64())
}
