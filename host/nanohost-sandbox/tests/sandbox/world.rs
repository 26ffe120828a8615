//! Variables, clocks, randomness, the store, logs and failures.

use std::sync::Arc;
use std::time::Duration;

use nanohost_core::Class;
use nanohost_sandbox::{
    CallContext, CallReport, FailureKind, FaultCode, KvDelta, KvListing, KvRead, KvUnavailable, KvView,
    KvWrite, Outcome, Tool, TypedFailure,
};
use serde_json::{Value, json};

use crate::bench::{Asks, Shelf, call, context, fault, guest, success, tool, tool_error};

fn asks() -> Asks {
    Asks {
        capabilities: "kv = [\"ledger\"]\nenv = [\"REGION\"]\n".into(),
        host: "[env.guest]\nREGION = \"eu\"\nSECRET = \"hunter2\"\n".into(),
        ..Asks::default()
    }
}

fn world(function: &str) -> Tool {
    tool(&guest("world"), function, &asks())
}

fn with(mut asks: Asks, capabilities: &str, limits: &str) -> Asks {
    asks.capabilities.push_str(capabilities);
    asks.limits.push_str(limits);
    asks
}

pub(crate) async fn env_snooping() {
    let report = call(&world("variables"), json!({})).await;
    assert_eq!(
        success(&report),
        &json!([["REGION", "eu"]]),
        "neither the host's own nor what is not asked for"
    );
    assert!(report.used.iter().any(|used| used.class == Class::Env && used.scope == "REGION"));
    assert_eq!(success(&call(&world("arguments"), json!({})).await), &json!([]));
}

pub(crate) async fn virtual_clock() {
    let now = world("now");
    let first = call(&now, json!({})).await;
    assert_eq!(success(&first), &json!(1_795_400_760_000_u64), "the run's opening time");
    assert_eq!(success(&first), success(&call(&now, json!({})).await));
    // An hour passes for the guest, and none for the host.
    let report = call(&world("nap"), json!({ "millis": 3_600_000 })).await;
    assert_eq!(success(&report), &json!(3_600_000));
    assert!(report.usage.wall < Duration::from_secs(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn real_clock() {
    let asks = with(asks(), "clock = \"real\"\n", "");
    let report = call(&tool(&guest("world"), "now", &asks), json!({})).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let seen = success(&report).as_u64().expect("milliseconds");
    assert!(u128::from(seen).abs_diff(now.as_millis()) < 60_000, "{seen}");
    assert!(report.used.iter().any(|used| used.class == Class::Clock && used.operations >= 1));
    // A sleeping guest is stopped at its deadline, though it executes nothing.
    let asks = with(asks, "", "deadline = \"50ms\"\n");
    let report = call(&tool(&guest("world"), "nap", &asks), json!({ "millis": 600_000 })).await;
    assert_eq!(fault(&report), FaultCode::Deadline);
}

async fn dice(context: CallContext) -> Value {
    success(&world("dice").call(&json!({}), context).await).clone()
}

pub(crate) async fn seeded_random() {
    let first = dice(context()).await;
    assert_eq!(first, dice(context()).await, "the same seed and call");
    assert_ne!(first, dice(CallContext { seed: [8; 32], ..context() }).await, "another run");
    assert_ne!(first, dice(CallContext { identity: "s/1/2".into(), ..context() }).await, "another call");
    let real = tool(&guest("world"), "dice", &with(asks(), "random = \"real\"\n", ""));
    let report = call(&real, json!({})).await;
    assert_ne!(success(&report), success(&call(&real, json!({})).await));
    assert!(report.used.iter().any(|used| used.class == Class::Random));
}

#[tokio::test(flavor = "multi_thread")]
async fn call_context() {
    let report = world("call").call(&json!({}), CallContext { attempt: 3, ..context() }).await;
    assert_eq!(success(&report), &json!(["key-1", 3]));
}

pub(crate) async fn huge_log() {
    let asks = with(asks(), "", "logs = \"1KiB\"\nfuel = 5_000_000_000\n");
    let say = tool(&guest("world"), "say", &asks);
    let report = call(&say, json!({ "line": "hello", "times": 2 })).await;
    assert_eq!(String::from_utf8_lossy(&report.logs), "INFO hello\nhello\nhello\n");
    let report = call(&say, json!({ "line": "x".repeat(100), "times": 10_000 })).await;
    success(&report);
    assert!(report.logs.len() < 1100, "{}", report.logs.len());
    assert!(report.logs.ends_with(b"the log was cut at its limit]\n"));
}

pub(crate) async fn panic() {
    let report = call(&world("give-up"), json!({ "text": "\u{1b}[31mboo" })).await;
    let Outcome::Fault(fault) = &report.outcome else { panic!("expected a fault") };
    assert_eq!(fault.code, FaultCode::Trap);
    assert!(!fault.message.contains("boo"), "guest text stays out of the host's words: {}", fault.message);
    assert!(String::from_utf8_lossy(&report.logs).contains("\u{1b}[31mboo"), "and is kept as data");
}

/// Ending itself, even with success, is no result.
pub(crate) async fn exit() {
    for status in [0, 1] {
        assert_eq!(fault(&call(&world("leave"), json!({ "status": status })).await), FaultCode::Exit);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn typed_failures() {
    let fail = world("fail");
    assert_eq!(success(&call(&fail, json!({ "how": "not at all" })).await), &Value::Null);
    for (how, kind, deadline) in [
        ("invalid-input", FailureKind::InvalidInput, None),
        ("rejected", FailureKind::Rejected, None),
        ("unavailable", FailureKind::Unavailable, None),
        ("suspended", FailureKind::Suspended, Some(4_000_000_000)),
    ] {
        let report = call(&fail, json!({ "how": how })).await;
        assert_eq!(report.outcome, Outcome::Failure(TypedFailure { kind, message: how.into(), deadline }));
    }
}

async fn store(function: &str, input: Value, kv: Arc<dyn KvView>) -> CallReport {
    world(function).call(&input, CallContext { kv, ..context() }).await
}

fn read(key: &str, version: Option<u64>) -> KvRead {
    KvRead { namespace: "ledger".into(), key: key.into(), version }
}

fn write(key: &str, value: Option<&str>) -> KvWrite {
    KvWrite {
        namespace: "ledger".into(),
        key: key.into(),
        value: value.map(|value| value.as_bytes().to_vec()),
    }
}

pub(crate) async fn kv_undeclared_namespace() {
    for (function, input) in [
        ("get", json!({ "namespace": "wages", "key": "a" })),
        ("set", json!({ "namespace": "wages", "key": "a", "value": "b" })),
        ("book", json!({ "namespace": "wages", "key": "a", "value": "b" })),
        ("remove", json!({ "namespace": "wages", "key": "a" })),
        ("keys", json!({ "namespace": "wages", "extra": [], "gone": [], "limit": 1 })),
    ] {
        let report = store(function, input, Shelf::with("wages", &[("a", "1")])).await;
        let error = tool_error(&report).as_str().unwrap_or_default();
        assert!(error.contains("not-granted"), "{function}: {error}");
        assert_eq!(report.denied.len(), 1, "{function}");
        assert_eq!((report.denied[0].class, report.denied[0].value.as_str()), (Class::Kv, "wages"));
        assert_eq!(report.kv, KvDelta::default());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kv_reads_its_own_writes_and_commits_nothing_itself() {
    let shelf = Shelf::with("ledger", &[("a", "1")]);
    let report = store("get", json!({ "namespace": "ledger", "key": "a" }), shelf.clone()).await;
    assert_eq!(success(&report), "1");
    assert_eq!(report.kv.reads, [read("a", Some(3))]);
    let report =
        store("set", json!({ "namespace": "ledger", "key": "a", "value": "2" }), shelf.clone()).await;
    assert_eq!(success(&report), "2");
    assert_eq!(report.kv, KvDelta { writes: vec![write("a", Some("2"))], ..KvDelta::default() });
    let report =
        store("book", json!({ "namespace": "ledger", "key": "b", "value": "2" }), shelf.clone()).await;
    success(&report);
    assert_eq!(report.kv.reads, [read("b", None)], "the commit checks that it is still absent");
    assert_eq!(report.kv.writes, [write("b", Some("2"))]);
    let report =
        store("book", json!({ "namespace": "ledger", "key": "a", "value": "2" }), shelf.clone()).await;
    assert!(tool_error(&report).as_str().is_some_and(|error| error.contains("already-exists")));
    let report = store("remove", json!({ "namespace": "ledger", "key": "a" }), shelf.clone()).await;
    assert_eq!((success(&report), &report.kv.writes[..]), (&json!(true), &[write("a", None)][..]));
    let report = store("remove", json!({ "namespace": "ledger", "key": "c" }), shelf).await;
    assert_eq!((success(&report), &report.kv.writes[..]), (&json!(false), &[][..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn kv_lists_what_the_call_sees() {
    let shelf = Shelf::with("ledger", &[("a", ""), ("b", ""), ("c", ""), ("d", "")]);
    let input = json!({ "namespace": "ledger", "extra": ["bb"], "gone": ["a", "c"], "limit": 2 });
    let report = store("keys", input, shelf.clone()).await;
    assert_eq!(success(&report), &json!(["b", "bb"]));
    let keys = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
    let listing =
        KvListing { namespace: "ledger".into(), prefix: String::new(), after: None, limit: 4, keys };
    assert_eq!(report.kv.listings, [listing]);
    let input = json!({ "namespace": "ledger", "extra": ["bb"], "gone": ["a", "c"], "limit": 9 });
    assert_eq!(success(&store("keys", input, shelf).await), &json!(["b", "bb", "d"]));
}

pub(crate) async fn kv_half_written() {
    let report =
        store("set-and-panic", json!({ "namespace": "ledger", "key": "a" }), Shelf::with("ledger", &[]))
            .await;
    assert_eq!(fault(&report), FaultCode::Trap);
    assert_eq!(report.kv, KvDelta::default());
}

pub(crate) async fn kv_bounds() {
    let ok = "k".repeat(512);
    success(
        &store("set", json!({ "namespace": "ledger", "key": ok, "value": "" }), Shelf::with("ledger", &[]))
            .await,
    );
    for key in ["".to_owned(), "k".repeat(513), "a\nb".to_owned(), "a\u{1b}".to_owned()] {
        let report = store(
            "set",
            json!({ "namespace": "ledger", "key": key, "value": "" }),
            Shelf::with("ledger", &[]),
        )
        .await;
        assert!(tool_error(&report).as_str().is_some_and(|error| error.contains("invalid-key")));
    }
    let large = json!({ "namespace": "ledger", "key": "a", "value": "x".repeat((1 << 20) + 1) });
    let report = store("set", large, Shelf::with("ledger", &[])).await;
    assert!(tool_error(&report).as_str().is_some_and(|error| error.contains("too-large")));
}

/// A store that does not answer is the host's failure, not the guest's.
struct Gone;

impl KvView for Gone {
    fn get(&self, _: &str, _: &str) -> Result<Option<(Vec<u8>, u64)>, KvUnavailable> {
        Err(KvUnavailable("it is gone".into()))
    }

    fn list(&self, _: &str, _: &str, _: Option<&str>, _: usize) -> Result<Vec<String>, KvUnavailable> {
        Err(KvUnavailable("it is gone".into()))
    }

    fn held(&self) -> Result<u64, KvUnavailable> {
        Err(KvUnavailable("it is gone".into()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kv_unavailable() {
    let report = store("get", json!({ "namespace": "ledger", "key": "a" }), Arc::new(Gone)).await;
    assert_eq!(fault(&report), FaultCode::Host);
}
