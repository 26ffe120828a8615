//! What a gateway counts, in the text form that Prometheus reads. No label holds anything that a client
//! chose: programs are told by the names under which the operator published them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The upper bounds of the histogram, milliseconds.
const BOUNDS: [u64; 10] = [1, 2, 5, 10, 25, 50, 100, 500, 2_000, 10_000];

/// The counters of one gateway.
#[derive(Debug, Default)]
pub struct Metrics {
    runs: Mutex<BTreeMap<(String, String), u64>>,
    refusals: Mutex<BTreeMap<String, u64>>,
    responses: Mutex<BTreeMap<u16, u64>>,
    unrecognised: AtomicU64,
    connections: AtomicU64,
    buckets: [AtomicU64; BOUNDS.len()],
    calls: AtomicU64,
    micros: AtomicU64,
}

impl Metrics {
    /// A call of a program that came to a run.
    pub fn ran(&self, program: &str, status: &str, took: Duration) {
        add(&self.runs, (program.to_owned(), status.to_owned()));
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        for (bucket, bound) in self.buckets.iter().zip(BOUNDS) {
            if millis < bound {
                bucket.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.calls.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// A refusal, by its code.
    pub fn refused(&self, code: &str) {
        add(&self.refusals, code.to_owned());
    }

    /// A response of the network transport.
    pub fn responded(&self, status: u16) {
        add(&self.responses, status);
    }

    /// A request whose sender was not recognised.
    pub fn unrecognised(&self) {
        self.unrecognised.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection that is there from now on.
    pub fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// One that is gone.
    pub fn disconnected(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// The text, version 0.0.4 of the exposition format.
    pub fn text(&self, live: usize) -> String {
        let mut out = String::new();
        let mut family = |name: &str, kind: &str, help: &str, rows: Vec<(String, u64)>| {
            let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
            for (labels, value) in rows {
                let _ = writeln!(out, "{name}{labels} {value}");
            }
        };
        let load = |value: &AtomicU64| vec![(String::new(), value.load(Ordering::Relaxed))];
        let runs = lock(&self.runs)
            .iter()
            .map(|((program, status), count)| {
                (format!("{{program=\"{}\",status=\"{status}\"}}", escaped(program)), *count)
            })
            .collect();
        family("nanohost_runs_total", "counter", "Runs that clients started, by how they ended.", runs);
        let refusals = lock(&self.refusals)
            .iter()
            .map(|(code, count)| (format!("{{code=\"{code}\"}}"), *count))
            .collect();
        family("nanohost_refusals_total", "counter", "Requests that were refused, by code.", refusals);
        let responses = lock(&self.responses)
            .iter()
            .map(|(status, count)| (format!("{{status=\"{status}\"}}"), *count))
            .collect();
        family("nanohost_http_responses_total", "counter", "Responses, by status.", responses);
        family(
            "nanohost_unrecognised_total",
            "counter",
            "Requests whose sender was not recognised.",
            load(&self.unrecognised),
        );
        family("nanohost_connections", "gauge", "Connections that are open.", load(&self.connections));
        family("nanohost_live_runs", "gauge", "Runs that go on.", vec![(String::new(), live as u64)]);
        let mut rows: Vec<(String, u64)> = self
            .buckets
            .iter()
            .zip(BOUNDS)
            .map(|(bucket, bound)| {
                let seconds = bound as f64 / 1e3;
                (format!("_bucket{{le=\"{seconds}\"}}"), bucket.load(Ordering::Relaxed))
            })
            .collect();
        let calls = self.calls.load(Ordering::Relaxed);
        rows.push(("_bucket{le=\"+Inf\"}".to_owned(), calls));
        rows.push(("_count".to_owned(), calls));
        family("nanohost_call_seconds", "histogram", "How long calls of programs took.", rows);
        let seconds = self.micros.load(Ordering::Relaxed) as f64 / 1e6;
        let _ = writeln!(out, "nanohost_call_seconds_sum {seconds}");
        out
    }
}

fn add<K: Ord>(counters: &Mutex<BTreeMap<K, u64>>, key: K) {
    let mut counters = lock(counters);
    let count = counters.entry(key).or_default();
    *count = count.saturating_add(1);
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A label's value.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_counts_what_was() {
        let metrics = Metrics::default();
        metrics.ran("a\"b", "success", Duration::from_millis(3));
        metrics.ran("a\"b", "success", Duration::from_secs(60));
        metrics.refused("out_of_scope");
        metrics.responded(200);
        let text = metrics.text(1);
        for line in [
            "nanohost_runs_total{program=\"a\\\"b\",status=\"success\"} 2",
            "nanohost_refusals_total{code=\"out_of_scope\"} 1",
            "nanohost_http_responses_total{status=\"200\"} 1",
            "nanohost_live_runs 1",
            "nanohost_call_seconds_bucket{le=\"0.002\"} 0",
            "nanohost_call_seconds_bucket{le=\"0.005\"} 1",
            "nanohost_call_seconds_bucket{le=\"10\"} 1",
            "nanohost_call_seconds_bucket{le=\"+Inf\"} 2",
            "nanohost_call_seconds_count 2",
        ] {
            assert!(text.lines().any(|own| own == line), "{line}\n{text}");
        }
    }
}
