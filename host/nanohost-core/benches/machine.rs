//! The machine, the checker and conditions, by divan: `cargo bench -p nanohost-core`.
//!
//! `machine measure SCENARIO` is for `host/bench/compare`: it prints one line of JSON with the
//! minimum and the median of one operation, in microseconds, and the mean of its processor time.

mod scenarios;

use divan::Bencher;
use scenarios::{SCENARIOS, Scenario, thousand, unchecked};
use serde_json::json;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["measure", name] => measure(scenario_of(name)),
        _ => divan::main(),
    }
}

fn scenario_of(name: &str) -> &'static Scenario {
    SCENARIOS.iter().find(|scenario| scenario.name == name).unwrap_or_else(|| panic!("no scenario {name}"))
}

#[expect(clippy::print_stdout, reason = "the line is what is asked for")]
fn measure(scenario: &Scenario) {
    let mut op = (scenario.make)(scenario.batch);
    for _ in 0..scenario.batches / 20 {
        op();
    }
    let before = on_processor();
    let mut took: Vec<f64> =
        (0..scenario.batches).map(|_| op().as_secs_f64() * 1e6 / f64::from(scenario.batch)).collect();
    let spent = on_processor().zip(before).map(|(after, before)| (after - before) as f64 / 1e3);
    took.sort_by(f64::total_cmp);
    println!(
        "{}",
        json!({
            "scenario": scenario.name,
            "min_us": took[0],
            "p50_us": took[took.len() / 2],
            "cpu_us_per_op": spent.map(|us| us / f64::from(scenario.batches * scenario.batch)),
        })
    );
}

/// Nanoseconds this thread was on a processor, where Linux says so.
fn on_processor() -> Option<u64> {
    std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split(' ').next()?.parse().ok()
}

/// All but checking alone, of which divan would time the reading too.
fn names() -> impl Iterator<Item = &'static str> {
    SCENARIOS.iter().map(|scenario| scenario.name).filter(|name| *name != "validate_1k")
}

#[divan::bench(args = names())]
fn scenario(bencher: Bencher<'_, '_>, name: &str) {
    bencher.bench_local((scenario_of(name).make)(1));
}

#[divan::bench]
fn validate_1k(bencher: Bencher<'_, '_>) {
    let source = thousand();
    bencher.with_inputs(|| unchecked(&source)).bench_local_values(|program| program.check().is_ok());
}
