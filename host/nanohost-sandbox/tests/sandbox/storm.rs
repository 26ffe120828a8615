//! Everything hostile let loose in one process, in a row and 64 at a time. The process is this test
//! executable once more, with nothing else in it, so that what it holds afterwards is theirs.

use std::process::Command;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::bench::engine;
use crate::hostile::ALL;
use crate::parallel::{AT_ONCE, all_inside_at_once};

const LET_LOOSE: &str = "NANOHOST_STORM";

/// What the process may hold more after thousands of calls than after the first of each, bytes.
/// Servers of the tests live on, each with a thread; 64 calls of 64 MiB would show.
const MORE: u64 = 96 << 20;

#[test]
fn the_host_survives_all_of_them() {
    let mut child = Command::new(std::env::current_exe().expect("a test executable has a path"));
    child.args(["--exact", "storm::child", "--nocapture"]).env(LET_LOOSE, "1");
    let output = child.output().expect("it starts");
    let said = [&output.stdout, &output.stderr].map(|stream| String::from_utf8_lossy(stream)).concat();
    assert!(output.status.success(), "{}\n{said}", output.status);
    assert!(said.contains("survived"), "{said}");
}

/// The other process, where the test above starts it.
#[test]
#[expect(clippy::print_stdout, reason = "the parent listens")]
fn child() {
    if std::env::var_os(LET_LOOSE).is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(AT_ONCE).enable_all().build();
    let (before, after) = runtime.expect("threads are there").block_on(async {
        // Code, pools and runtimes come to stay with the first of each.
        in_a_row().await;
        together(1).await;
        let before = resident();
        in_a_row().await;
        together(2).await;
        let after = resident();
        assert!(after < before + MORE, "{before} → {after} bytes");
        // Every slot of the pool is there again.
        all_inside_at_once(engine()).await;
        (before, after)
    });
    println!("survived, with {before} bytes before and {after} after");
}

async fn in_a_row() {
    for (_, run) in ALL {
        run().await;
    }
}

/// Each so often, never more than [`AT_ONCE`] at the same time.
async fn together(times: usize) {
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for (name, run) in ALL.iter().cycle().take(times * ALL.len().max(AT_ONCE)) {
        let turns = Arc::clone(&turns);
        running.spawn(async move {
            let _turn = turns.acquire_owned().await.expect("nobody closes it");
            run().await;
            *name
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.expect("no attack succeeds, and no control fails");
    }
}

/// Bytes of this process that lie in memory.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("statm");
    let resident = pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    resident.expect("the second number of statm") * 4096
}
