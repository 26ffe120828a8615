//! Guests that take more than they may. Each has its positive control in the same test: the same
//! code within the limit.

use std::time::{Duration, Instant};

use nanohost_sandbox::{Cancellation, FaultCode, Loaded, Outcome, Tool};
use serde_json::{Value, json};

use crate::bench::{Asks, call, context, engine, fault, success, tool, wat};

/// A component of a few functions, each of which takes too much of one thing when told to.
fn greedy() -> Loaded {
    wat(r#"(component
        (core module $m
            (memory (export "memory") 1)
            ;; Turns `rounds` times; for ever where that is 0.
            (func (export "turn") (param $rounds i32) (result i32)
                (local $done i32)
                loop $again
                    (local.set $done (i32.add (local.get $done) (i32.const 1)))
                    (br_if $again (i32.ne (local.get $done) (local.get $rounds)))
                end
                local.get $done)
            ;; Grows by `pages` and dies where it gets none, as an allocator does.
            (func (export "grow") (param $pages i32) (result i32)
                (if (i32.eq (memory.grow (local.get $pages)) (i32.const -1)) (then unreachable))
                memory.size)
            (func $dig (export "dig") (param $depth i32) (result i32)
                (if (result i32) (i32.eqz (local.get $depth))
                    (then (i32.const 0))
                    (else (i32.add (i32.const 1) (call $dig (i32.sub (local.get $depth) (i32.const 1)))))))
            ;; A string of `length` spaces from 65536 on.
            (func (export "spaces") (param $length i32) (result i32)
                (drop (memory.grow (i32.div_u (i32.add (local.get $length) (i32.const 65535)) (i32.const 65536))))
                (memory.fill (i32.const 65536) (i32.const 32) (local.get $length))
                (i32.store (i32.const 0) (i32.const 65536))
                (i32.store (i32.const 4) (local.get $length))
                i32.const 0)
            (func (export "nothing-at-all") (param $length i32) (result i32)
                (i32.store (i32.const 0) (i32.const 8))
                (i32.store (i32.const 4) (local.get $length))
                i32.const 0)
            (func (export "divide") (param f64 f64) (result f64) (f64.div (local.get 0) (local.get 1))))
        (core instance $i (instantiate $m))
        (alias core export $i "memory" (core memory $memory))
        (func (export "turn") (param "rounds" u32) (result u32) (canon lift (core func $i "turn")))
        (func (export "grow") (param "pages" u32) (result u32) (canon lift (core func $i "grow")))
        (func (export "dig") (param "depth" u32) (result u32) (canon lift (core func $i "dig")))
        (func (export "spaces") (param "length" u32) (result string)
            (canon lift (core func $i "spaces") (memory $memory)))
        (func (export "empty-tuples") (param "length" u32) (result (list bool))
            (canon lift (core func $i "nothing-at-all") (memory $memory)))
        (func (export "divide") (param "a" f64) (param "b" f64) (result f64) (canon lift (core func $i "divide")))
    )"#)
}

fn greedy_tool(function: &str, limits: &str) -> Tool {
    tool(&greedy(), function, &Asks { limits: limits.into(), ..Asks::default() })
}

pub(crate) async fn endless_loop() {
    let tool = greedy_tool("turn", "deadline = \"100ms\"\nfuel = 1_000_000_000_000");
    assert_eq!(success(&call(&tool, json!({ "rounds": 5 })).await), &json!(5));
    let started = Instant::now();
    let report = call(&tool, json!({ "rounds": 0 })).await;
    assert_eq!(fault(&report), FaultCode::Deadline);
    assert!(report.usage.wall >= Duration::from_millis(100));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

/// A runtime with one thread has nobody to fire the timer while the guest runs: the epoch does.
#[tokio::test]
async fn endless_loop_on_the_only_thread() {
    let tool = greedy_tool("turn", "deadline = \"100ms\"\nfuel = 1_000_000_000_000");
    assert_eq!(fault(&call(&tool, json!({ "rounds": 0 })).await), FaultCode::Deadline);
}

pub(crate) async fn fuel_bomb() {
    let tool = greedy_tool("turn", "fuel = 10_000");
    let report = call(&tool, json!({ "rounds": 100 })).await;
    assert_eq!(success(&report), &json!(100));
    assert!((100..10_000).contains(&report.usage.fuel), "{}", report.usage.fuel);
    let report = call(&tool, json!({ "rounds": 1_000_000 })).await;
    assert_eq!(fault(&report), FaultCode::FuelExhausted);
    assert_eq!(report.usage.fuel, 10_000);
}

pub(crate) async fn memory_bomb() {
    let tool = greedy_tool("grow", "memory = \"1MiB\"");
    let report = call(&tool, json!({ "pages": 15 })).await;
    assert_eq!(success(&report), &json!(16));
    assert_eq!(report.usage.peak_memory, 1 << 20);
    for pages in [16, 60_000] {
        let report = call(&tool, json!({ "pages": pages })).await;
        assert_eq!(fault(&report), FaultCode::MemoryLimit);
        assert_eq!(report.usage.peak_memory, 1 << 16);
    }
}

/// A component that is larger than its limit before it runs.
pub(crate) async fn memory_bomb_at_the_start() {
    let loaded = wat(r#"(component
            (core module $m (memory 100) (func (export "f")))
            (core instance $i (instantiate $m))
            (func (export "f") (canon lift (core func $i "f"))))"#);
    let with = |limits: &str| tool(&loaded, "f", &Asks { limits: limits.into(), ..Asks::default() });
    assert_eq!(fault(&call(&with("memory = \"1MiB\""), json!({})).await), FaultCode::MemoryLimit);
    assert_eq!(success(&call(&with("memory = \"8MiB\""), json!({})).await), &Value::Null);
}

pub(crate) async fn deep_recursion() {
    let tool = greedy_tool("dig", "");
    assert_eq!(success(&call(&tool, json!({ "depth": 1_000 })).await), &json!(1_000));
    assert_eq!(fault(&call(&tool, json!({ "depth": 50_000_000 })).await), FaultCode::StackOverflow);
}

pub(crate) async fn huge_return() {
    let tool = greedy_tool("spaces", "output = \"1KiB\"");
    let fits = success(&call(&tool, json!({ "length": 1022 })).await).clone();
    assert_eq!(fits.as_str().map(str::len), Some(1022), "with its quotes it is exactly the limit");
    assert_eq!(fault(&call(&tool, json!({ "length": 1023 })).await), FaultCode::OutputLimit);
    // So large that the engine stops copying it.
    assert_eq!(fault(&call(&tool, json!({ "length": 20_000_000 })).await), FaultCode::OutputLimit);
}

/// A length that the guest only claims.
pub(crate) async fn claimed_length() {
    let tool = greedy_tool("empty-tuples", "output = \"1KiB\"");
    assert_eq!(success(&call(&tool, json!({ "length": 2 })).await), &json!([false, false]));
    let code = fault(&call(&tool, json!({ "length": 4_000_000_000_u32 })).await);
    assert!(matches!(code, FaultCode::OutputLimit | FaultCode::Trap), "{code}");
}

pub(crate) async fn not_a_number() {
    let tool = greedy_tool("divide", "");
    assert_eq!(success(&call(&tool, json!({ "a": 1, "b": 3 })).await).to_string(), "0.3333333333333333");
    for (a, b) in [(0, 0), (1, 0)] {
        assert_eq!(fault(&call(&tool, json!({ "a": a, "b": b })).await), FaultCode::MalformedResult);
    }
}

pub(crate) async fn wrong_arguments() {
    let tool = greedy_tool("turn", "");
    for input in [
        json!({}),
        json!({ "rounds": -1 }),
        json!({ "rounds": "1" }),
        json!({ "rounds": 1, "x": 1 }),
        json!(1),
    ] {
        let report = call(&tool, input).await;
        assert_eq!(fault(&report), FaultCode::InvalidArguments);
        assert_eq!(report.usage.fuel, 0, "the guest did not run");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cancellation() {
    let tool = greedy_tool("turn", "deadline = \"60s\"\nfuel = 1_000_000_000_000_000");
    let cancellation = Cancellation::default();
    let running = {
        let (tool, mut context) = (tool.clone(), context());
        context.cancellation = cancellation.clone();
        tokio::spawn(async move { tool.call(&json!({ "rounds": 0 }), context).await })
    };
    tokio::task::yield_now().await;
    cancellation.cancel();
    let report = running.await.expect("the call does not panic");
    assert_eq!(fault(&report), FaultCode::Cancelled);
    assert!(report.usage.wall < Duration::from_secs(5));
    // Once cancelled, it starts nothing.
    let mut context = context();
    context.cancellation = cancellation;
    let report = tool.call(&json!({ "rounds": 5 }), context).await;
    assert_eq!((fault(&report), report.usage.fuel), (FaultCode::Cancelled, 0));
}

/// More calls than there are instances, each with memory of its own; a bad one harms no other.
#[tokio::test(flavor = "multi_thread")]
async fn many_calls_at_once() {
    let grow = greedy_tool("grow", "memory = \"32MiB\"\ndeadline = \"60s\"");
    let dig = greedy_tool("dig", "deadline = \"60s\"");
    for _ in 0..2 {
        let calls: Vec<_> = (0..96)
            .map(|n| {
                let (grow, dig) = (grow.clone(), dig.clone());
                tokio::spawn(async move {
                    match n % 8 {
                        7 => call(&dig, json!({ "depth": 50_000_000 })).await,
                        _ => call(&grow, json!({ "pages": 200 })).await,
                    }
                })
            })
            .collect();
        for (n, call) in calls.into_iter().enumerate() {
            let report = call.await.expect("no call panics");
            match n % 8 {
                7 => assert_eq!(fault(&report), FaultCode::StackOverflow),
                _ => assert_eq!(success(&report), &json!(201), "a fresh memory"),
            }
        }
    }
}

/// What calls used goes back to the system.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn memory_is_given_back() {
    fn resident() -> u64 {
        let pages = std::fs::read_to_string("/proc/self/statm").expect("statm");
        let resident = pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
        resident.expect("the second number of statm") * 4096
    }
    let tool = greedy_tool("spaces", "memory = \"64MiB\"\noutput = \"1KiB\"\ndeadline = \"60s\"");
    let round = async || {
        let calls: Vec<_> = (0..64)
            .map(|_| {
                let tool = tool.clone();
                tokio::spawn(async move { call(&tool, json!({ "length": 8_000_000 })).await })
            })
            .collect();
        for call in calls {
            assert_eq!(fault(&call.await.expect("no call panics")), FaultCode::OutputLimit);
        }
    };
    round().await;
    let before = resident();
    round().await;
    round().await;
    let after = resident();
    // 64 calls touch 512 MB; other tests run beside this one.
    assert!(after < before + (300 << 20), "{before} → {after}");
}

#[test]
fn the_engine_says_what_it_is() {
    let config = engine().config();
    for line in
        ["nan-canonicalization on", "relaxed-simd-deterministic on", "threads off", "memory64 off", "gc off"]
    {
        assert!(config.lines().any(|found| found == line), "{line} in\n{config}");
    }
    assert_eq!(engine().config_digest().to_string().len(), 64);
}

#[tokio::test(flavor = "multi_thread")]
async fn canonical_input_is_what_the_guest_gets() {
    let tool = greedy_tool("divide", "");
    let canonical = tool.canonical_input(&json!({ "b": 2, "a": 1.50 })).expect("it fits");
    assert_eq!(canonical.to_string(), r#"{"a":1.5,"b":2.0}"#);
    assert!(matches!(call(&tool, canonical).await.outcome, Outcome::Success(_)));
}
