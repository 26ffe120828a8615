//! Guests that fill what they may write into, and calls that wait for room. Each has its positive
//! control in the same test: the same code within the limit.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nanohost_sandbox::{
    CallContext, CallReport, Cancellation, Engine, FaultCode, KvDelta, KvUnavailable, KvView, Outcome, Tool,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bench::{Asks, Shelf, call, context, fault, guest, success, tool, tool_in};

/// A folder that a guest may write in, and a function of the guest with these limits.
fn writer(function: &str, limits: &str, ceilings: &str) -> (TempDir, Tool) {
    let disk = TempDir::new().expect("a temporary folder");
    let host = disk.path().to_str().expect("a UTF-8 path");
    let asks = Asks {
        capabilities: "filesystem = [{ guest = \"/data\", access = \"write\" }]".into(),
        limits: limits.into(),
        host: format!("[folders.guest]\n\"/data\" = {host:?}\n{ceilings}"),
        ..Asks::default()
    };
    let tool = tool(&guest("files"), function, &asks);
    (disk, tool)
}

#[tokio::test(flavor = "multi_thread")]
async fn disk_bomb() {
    let tight = "file_bytes = \"64KiB\"";
    let write = |length: usize| json!({ "path": "/data/a", "text": "x".repeat(length) });
    let (disk, tool) = writer("write", tight, "");
    // The entry of the file counts for a block.
    let most = (64 - 4) << 10;
    success(&call(&tool, write(most)).await);
    assert_eq!(fs::metadata(disk.path().join("a")).expect("a file").len(), most as u64);
    assert_eq!(fault(&call(&tool, write(most + 1)).await), FaultCode::FileLimit);
    assert!(fs::metadata(disk.path().join("a")).expect("a file").len() <= most as u64);
    // Each call has its own.
    success(&call(&tool, write(most)).await);
    let (_disk, tool) = writer("write", "", "[limits]\nfile_bytes = \"64KiB\"\n");
    assert_eq!(fault(&call(&tool, write(most + 1)).await), FaultCode::FileLimit);
    let (_disk, tool) = writer("write", "", "");
    success(&call(&tool, write(most + 1)).await);

    let (disk, tool) = writer("append", tight, "");
    fs::write(disk.path().join("a"), "x".repeat(1 << 20)).expect("a file");
    success(&call(&tool, write(4)).await);
    assert_eq!(fault(&call(&tool, write((64 << 10) + 1)).await), FaultCode::FileLimit);
}

#[tokio::test(flavor = "multi_thread")]
async fn file_stretched() {
    let (disk, tool) = writer("stretch", "file_bytes = \"64KiB\"", "");
    let file = disk.path().join("a");
    fs::write(&file, "order").expect("a file");
    let to = |size: u64| json!({ "path": "/data/a", "size": size });
    success(&call(&tool, to(64 << 10)).await);
    assert_eq!(fault(&call(&tool, to((128 << 10) + 1)).await), FaultCode::FileLimit);
    assert_eq!(fs::metadata(&file).expect("a file").len(), 64 << 10);
    // What is made shorter takes nothing.
    success(&call(&tool, to(1)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn folder_littered() {
    let (disk, tool) = writer("litter", "file_bytes = \"64KiB\"", "");
    let many = |count: u32| json!({ "path": "/data", "count": count });
    success(&call(&tool, many(16)).await);
    let (other, tool) = writer("litter", "file_bytes = \"64KiB\"", "");
    assert_eq!(fault(&call(&tool, many(17)).await), FaultCode::FileLimit);
    for folder in [disk, other] {
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 16);
    }
}

/// One call of `set` with these limits, in a space that holds these values.
async fn set(limits: &str, held: &[(&str, &str)], key: &str, value: &str) -> CallReport {
    let asks = Asks { capabilities: "kv = [\"ledger\"]".into(), limits: limits.into(), ..Asks::default() };
    let tool = tool(&guest("world"), "set", &asks);
    let input = json!({ "namespace": "ledger", "key": key, "value": value });
    tool.call(&input, CallContext { kv: Shelf::with("ledger", held), ..context() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn kv_bomb() {
    let tight = "kv_bytes = \"10B\"";
    success(&set(tight, &[], "a", "123456789").await);
    let report = set(tight, &[], "a", "1234567890").await;
    assert_eq!(fault(&report), FaultCode::KvLimit);
    let said = |report: &CallReport, bound: &str| {
        let Outcome::Fault(fault) = &report.outcome else { panic!("{report:?}") };
        assert!(fault.message.ends_with(bound), "{}", fault.message);
    };
    said(&report, "`limits.kv_bytes`, for one call, is 10 bytes");
    said(
        &set("kv_held = \"9B\"", &[], "a", "1234567890").await,
        "`limits.kv_held`, for all that is kept, is 9 bytes",
    );
    assert_eq!(report.kv, KvDelta::default(), "nothing of it is committed");
    success(&set("", &[], "a", "1234567890").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn kv_space_filled() {
    let tight = "kv_held = \"10B\"";
    success(&set(tight, &[], "a", "123456789").await);
    assert_eq!(fault(&set(tight, &[], "a", "1234567890").await), FaultCode::KvLimit);
    // What others left counts, and what is replaced makes room.
    success(&set(tight, &[("b", "1234")], "a", "1234").await);
    assert_eq!(fault(&set(tight, &[("b", "1234")], "a", "12345").await), FaultCode::KvLimit);
    success(&set(tight, &[("a", "12345678")], "a", "123456789").await);
    assert_eq!(fault(&set(tight, &[("a", "12345678")], "a", "1234567890").await), FaultCode::KvLimit);
    // A space that is too full already can be emptied.
    let full = [("a", "123456789012"), ("b", "12")];
    assert_eq!(fault(&set(tight, &full, "c", "1").await), FaultCode::KvLimit);
    let asks = Asks { capabilities: "kv = [\"ledger\"]".into(), limits: tight.into(), ..Asks::default() };
    let remove = tool(&guest("world"), "remove", &asks);
    let context = CallContext { kv: Shelf::with("ledger", &full), ..context() };
    let report = remove.call(&json!({ "namespace": "ledger", "key": "a" }), context).await;
    assert_eq!(success(&report), &json!(true));
}

/// A space that sees how many calls look into it at a time, each as long as it takes for others to
/// come, if any may.
#[derive(Default)]
struct Crowd {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl KvView for Crowd {
    fn get(&self, _: &str, _: &str) -> Result<Option<(Vec<u8>, u64)>, KvUnavailable> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        for _ in 0..200_000 {
            if self.most.load(Ordering::SeqCst) > 1 {
                break;
            }
            std::thread::yield_now();
        }
        self.now.fetch_sub(1, Ordering::SeqCst);
        Ok(None)
    }

    fn list(&self, _: &str, _: &str, _: Option<&str>, _: usize) -> Result<Vec<String>, KvUnavailable> {
        Ok(Vec::new())
    }

    fn held(&self) -> Result<u64, KvUnavailable> {
        Ok(0)
    }
}

/// How many of four calls were under way at a time, and the tool.
async fn crowd(engine: &Engine, limits: &str, bounds: &str) -> usize {
    let loaded = engine.load(&crate::guests::guest("world")).expect("the guest loads");
    let asks = Asks {
        capabilities: "kv = [\"ledger\"]".into(),
        limits: limits.into(),
        host: bounds.into(),
        ..Asks::default()
    };
    let tool = Arc::new(tool_in(engine, &loaded, "get", &asks));
    let crowd = Arc::new(Crowd::default());
    let calls: Vec<_> = (0..4)
        .map(|_| {
            let context = CallContext { kv: Arc::clone(&crowd) as Arc<dyn KvView>, ..context() };
            let tool = Arc::clone(&tool);
            tokio::spawn(
                async move { tool.call(&json!({ "namespace": "ledger", "key": "a" }), context).await },
            )
        })
        .collect();
    for call in calls {
        let report = call.await.expect("the call ends");
        assert!(matches!(report.outcome, Outcome::Success(Value::Null)), "{:?}", report.outcome);
    }
    crowd.most.load(Ordering::SeqCst)
}

/// In an engine of its own: calls of other tests would count.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_wait_for_room() {
    let engine = Engine::new().expect("the engine starts");
    let deadline = "deadline = \"10min\"\nmemory = \"4MiB\"";
    assert!(crowd(&engine, deadline, "").await > 1, "unbounded, they are under way together");
    assert_eq!(crowd(&engine, deadline, "[limits.together]\ncalls = 1\n").await, 1);
    assert_eq!(crowd(&engine, deadline, "[limits.together]\nmemory = \"7MiB\"\n").await, 1);
    assert!(crowd(&engine, deadline, "[limits.together]\nmemory = \"8MiB\"\ncalls = 9\n").await > 1);
}

/// A call that waits is cancelled like any other, and leaves nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_can_be_cancelled() {
    let engine = Engine::new().expect("the engine starts");
    let loaded = engine.load(&crate::guests::guest("world")).expect("the guest loads");
    let asks = Asks {
        capabilities: "kv = [\"ledger\"]".into(),
        host: "[limits.together]\ncalls = 1\n".into(),
        ..Asks::default()
    };
    let tool = tool_in(&engine, &loaded, "get", &asks);
    let cancellation = Cancellation::default();
    cancellation.cancel();
    let input = json!({ "namespace": "ledger", "key": "a" });
    let report = tool.call(&input, CallContext { cancellation, ..context() }).await;
    assert_eq!(fault(&report), FaultCode::Cancelled);
    let report = tool.call(&input, CallContext { kv: Shelf::with("ledger", &[]), ..context() }).await;
    success(&report);
}
