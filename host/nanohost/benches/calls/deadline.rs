//! How long after its deadline a guest ends that would never end.

use std::time::{Duration, Instant};

use nanohost_sandbox::{Engine, FaultCode, Outcome};
use serde_json::json;

use crate::{Failure, echo};

/// Calls, each to its deadline.
const CALLS: usize = 200;

const DEADLINE: Duration = Duration::from_millis(10);
const LIMITS: &str = "deadline = \"10ms\"\nfuel = 1_000_000_000_000";

/// How late they may be.
const GOAL: Duration = Duration::from_millis(20);

#[expect(clippy::print_stdout, reason = "the table is what is asked for")]
pub(crate) fn measure() -> Result<(), Failure> {
    let engine = Engine::new()?;
    let tool = echo::tool(&engine, "spin", LIMITS)?;
    println!(
        "\nThe end of an endless guest after its deadline, ms\n{:30} {:>8} {:>8} {:>8} {:>8}",
        "", "min", "median", "p99", "max"
    );
    for (name, runtime) in [
        ("a runtime of all cores", tokio::runtime::Builder::new_multi_thread().enable_all().build()?),
        ("a runtime of one thread", tokio::runtime::Builder::new_current_thread().enable_all().build()?),
    ] {
        let mut late = Vec::with_capacity(CALLS);
        for _ in 0..CALLS {
            let started = Instant::now();
            let report = runtime.block_on(tool.call(&json!({}), echo::context()));
            match report.outcome {
                Outcome::Fault(fault) if fault.code == FaultCode::Deadline => {}
                other => return Err(format!("{other:?}").into()),
            }
            late.push(started.elapsed().saturating_sub(DEADLINE));
        }
        late.sort();
        let ms = |at: usize| late[at].as_secs_f64() * 1e3;
        let within = late.iter().filter(|late| **late <= GOAL).count();
        println!(
            "{name:30} {:>8.2} {:>8.2} {:>8.2} {:>8.2}   {within} of {CALLS} within {} ms",
            ms(0),
            ms(CALLS / 2),
            ms(CALLS * 99 / 100),
            ms(CALLS - 1),
            GOAL.as_millis(),
        );
    }
    Ok(())
}
