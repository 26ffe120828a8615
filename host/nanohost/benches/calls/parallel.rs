//! Calls on one thread and on all.

use std::thread;
use std::time::{Duration, Instant};

use nanohost_sandbox::Engine;
use serde_json::json;

use crate::{Failure, echo};

/// How long each number of threads is kept busy, and how often.
const WHILE: Duration = Duration::from_millis(300);
const ROUNDS: usize = 7;

#[expect(clippy::print_stdout, reason = "the table is what is asked for")]
pub(crate) fn measure() -> Result<(), Failure> {
    let engine = Engine::new()?;
    let tool = echo::tool(&engine, "echo", "")?;
    let input = json!({ "text": echo::text(1 << 10) });
    let cores = thread::available_parallelism()?.get();
    let mut most = vec![0.0f64; cores + 1];
    for _ in 0..ROUNDS {
        for (threads, most) in most.iter_mut().enumerate().skip(1) {
            let started = Instant::now();
            let calls: u32 = thread::scope(|scope| {
                let busy = || -> Result<u32, std::io::Error> {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                    Ok(runtime.block_on(async {
                        let mut calls = 0;
                        while started.elapsed() < WHILE {
                            tool.call(&input, echo::context()).await;
                            calls += 1;
                        }
                        calls
                    }))
                };
                let threads: Vec<_> = (0..threads).map(|_| scope.spawn(busy)).collect();
                threads.into_iter().map(|thread| thread.join().ok()?.ok()).sum::<Option<u32>>()
            })
            .ok_or("a thread failed")?;
            *most = most.max(f64::from(calls) / started.elapsed().as_secs_f64());
        }
    }
    println!("\nCalls of the echo a second, 1024 bytes, the best of {ROUNDS} rounds");
    for (threads, calls) in most.iter().enumerate().skip(1) {
        println!("{threads:>3} threads {calls:>10.0}   {:.2} × one", calls / most[1]);
    }
    Ok(())
}
