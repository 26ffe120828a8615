//! `analyzer.json`: the health of step records, and what a receipt counts in them.

use std::collections::BTreeSet;

use nanohost_core::health::{Metric, Records, TraceHealth};
use serde_json::{Value, json};

use super::{Outcome, as_set};

/// How far a metric may be from what is expected.
const TOLERANCE: f64 = 1e-9;

/// Judges one case.
pub(crate) fn analyse(case: &Value) -> Outcome {
    let read = |value: &Value| serde_json::from_value::<Records>(value.clone());
    let baseline = case.get("baseline").filter(|baseline| !baseline.is_null()).map(read).transpose();
    let (records, baseline) = match (read(&case["trace"]), baseline) {
        (Ok(records), Ok(baseline)) => (records, baseline),
        (Err(error), _) | (_, Err(error)) => {
            return Outcome { passed: false, actual: json!(error.to_string()) };
        }
    };
    let health = TraceHealth::of(&records, baseline.as_ref());
    // The vectors know no notes: they say what is beyond its threshold.
    let beyond = || health.alerts.iter().chain(&health.notes);
    let alerts: BTreeSet<String> = beyond().map(|alert| alert.metric.to_string()).collect();
    let mut actual = json!({
        "total_steps": health.steps,
        "conditional_entropy": health.conditional_entropy,
        "alerts": alerts,
        "alert_texts": beyond().map(|alert| &alert.text).collect::<Vec<_>>(),
        "receipt": {
            "final_status": records.status,
            "resumable": records.is_resumable(),
            "replayable": records.is_replayable(),
            "failed_steps": records.failed(),
            "retried_steps": records.retried(),
            "rejected": records.rejected().collect::<Vec<_>>(),
        },
    });
    for metric in Metric::ALL {
        actual[metric.as_str()] = json!(health.metric(metric));
    }
    let expect = case["expect"].as_object();
    let passed = expect.is_some_and(|expect| {
        expect.iter().all(|(key, expected)| match key.as_str() {
            "alerts" => as_set(expected) == alerts,
            _ => equal(expected, &actual[key]),
        })
    });
    Outcome { passed, actual }
}

fn equal(expected: &Value, actual: &Value) -> bool {
    match (expected.as_f64(), actual.as_f64()) {
        (Some(expected), Some(actual)) => (expected - actual).abs() <= TOLERANCE,
        _ => expected == actual,
    }
}
