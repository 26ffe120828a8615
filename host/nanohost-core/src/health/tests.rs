//! What the vectors do not say: records of nanohost's own runs, and many of them together. The
//! arithmetic is in `tests/vectors/analyzer*.json`.

use serde_json::{Value, json};

use super::*;
use crate::Digest;
use crate::export::Role;
use crate::run::tests::world::{World, refused};
use crate::trace::Trace;

/// Looks, asks and decides; `n` is what the tool finds and `said` what the model answers.
fn run(n: Value, said: &str) -> World {
    let program = json!({ "steps": [
        { "id": "look", "type": "tool", "tool": "tell" },
        { "id": "ask", "type": "llm", "prompt": "say", "on_error": "retry" },
        { "id": "if", "type": "condition", "condition": "$ask == 'yes'", "then": "yes", "otherwise": "no" },
        { "id": "yes", "type": "tool", "tool": "pay", "args": { "amount": 1 }, "is_terminal": true },
        { "id": "no", "type": "tool", "tool": "tell", "is_terminal": true }]});
    let answers = [json!({ "fail": "unavailable", "tokens": 3 }), json!({ "text": said, "tokens": 2 })];
    World::driven(
        &program,
        json!({}),
        json!({ "tell": { "return": n }, "ask": answers, "pay": { "fail": "rejected" } }),
    )
}

fn compared(run: &Trace, baseline: &Trace) -> (Option<f64>, Option<f64>) {
    let health = TraceHealth::of(&Records::from(run), Some(&Records::from(baseline)));
    (health.path_variance, health.transition_sequence_variance)
}

#[test]
fn runs_that_did_the_same_do_not_differ() {
    let base = run(json!({ "a": 1, "b": 2 }), "no").proved();
    assert_eq!(Records::from(&base).steps.len(), 4);
    // The salts of two runs differ, and so does every commitment.
    assert_eq!(compared(&run(json!({ "b": 2, "a": 1 }), "no").proved(), &base), (Some(0.0), Some(0.0)));
    // Another finding is in `look` and in `no`, which tells it too.
    assert_eq!(compared(&run(json!({ "a": 2, "b": 2 }), "no").proved(), &base), (Some(0.5), Some(0.0)));
    let other = run(json!({ "a": 1, "b": 2 }), "yes").proved();
    // The answer, the side taken and the step it led to.
    assert_eq!(compared(&other, &base), (Some(0.75), Some(0.5)));
    assert_eq!(Records::from(&other).status, "failed");
    assert_eq!(Records::from(&other).rejected().collect::<Vec<_>>(), ["yes"]);
}

#[test]
fn what_is_withheld_is_not_compared() {
    let world = run(json!(1), "no");
    let whole = world.proved();
    let (report, part) = world.handed.without(|content| content.role == Role::OUTPUT).verify(false);
    let part = part.unwrap_or_else(|| panic!("{report:?}"));
    assert_eq!(compared(&part, &whole), (None, Some(0.0)));
    assert_eq!(compared(&whole, &part), (None, Some(0.0)));
}

#[test]
fn many_runs_together() {
    let mut statistics = Statistics::default();
    for said in ["no", "no", "yes"] {
        let trace = run(json!(1), said).proved();
        let health = statistics.add(&trace);
        assert_eq!(health, TraceHealth::of(&Records::from(&trace), None));
    }
    let refused = refused(&json!({ "steps": [{ "id": "a", "type": "tool", "tool": "steal" }] }));
    let (report, refused) = refused.verify(true);
    statistics.add(&refused.unwrap_or_else(|| panic!("{report:?}")));

    assert_eq!((statistics.programs.len(), statistics.models.len(), statistics.ungrouped), (2, 1, 0));
    let program = statistics.programs.values().max_by_key(|group| group.runs).expect("two groups");
    let model = &statistics.models["scripted"];
    for group in [program, model] {
        assert_eq!(group.runs, 3);
        assert_eq!(json!(group.statuses), json!({ "failed": 1, "success": 2 }));
        assert_eq!(json!(group.steps), json!({ "min": 4.0, "mean": 4.0, "max": 4.0 }));
        assert_eq!(json!(group.tokens), json!({ "min": 5.0, "mean": 5.0, "max": 5.0 }));
        assert_eq!(json!(group.retries), json!({ "min": 1.0, "mean": 1.0, "max": 1.0 }));
        assert_eq!(json!(group.alerts), json!({ "invariant_violation_rate": 1 }));
        let violations = &group.metrics[&Metric::InvariantViolationRate];
        assert_eq!((violations.min, violations.max), (0.0, 0.25));
        assert!((violations.mean - 0.25 / 3.0).abs() < 1e-12);
        let shown: Vec<String> = group
            .transitions()
            .map(|edge| format!("{}>{} {} {:.3}", edge.from, edge.to, edge.count, edge.probability))
            .collect();
        assert_eq!(shown, ["ask>if 3 1.000", "if>no 2 0.667", "if>yes 1 0.333", "look>ask 3 1.000"]);
    }
    assert!(program.transitions().all(|edge| edge.program.is_none()));
    assert!(model.transitions().all(|edge| edge.program.is_some()));
    assert_eq!(
        (model.asked.attempts, json!(model.asked.verdicts)),
        (6, json!({ "accepted": 3, "failed": 3 }))
    );
    let refused = statistics.programs.values().min_by_key(|group| group.runs).expect("two groups");
    assert_eq!(json!(refused.statuses), json!({ "not_admitted": 1 }));
    assert!(refused.denials.max > 0.0 && refused.name.is_none());
}

#[test]
fn statistics_do_not_grow_without_bound() {
    let trace = run(json!(1), "no").proved();
    let records = Records::from(&trace);
    let health = TraceHealth::of(&records, None);
    let one =
        statistics::OneRun { trace: &trace, records: &records, health: &health, program: Digest::of(b"") };
    let mut group = Group::default();
    let mut room = 2;
    group.add(&one, (0, 0), &mut room);
    group.add(&one, (0, 0), &mut room);
    assert_eq!((room, group.transitions().count(), group.uncounted_transitions), (0, 2, 2));
}

#[test]
fn length_alone_is_no_alert() {
    let steps = |ids: &[&str]| {
        let record =
            |id: &&str| Record { step_id: (*id).to_owned(), status: RecordStatus::Success, retries: 0 };
        Records {
            status: "success".to_owned(),
            steps: ids.iter().map(record).collect(),
            ..Records::default()
        }
    };
    let metrics = |alerts: &[Alert]| alerts.iter().map(|alert| alert.metric).collect::<Vec<_>>();
    let straight = TraceHealth::of(&steps(&["a", "b", "c", "d", "e", "f", "g"]), None);
    assert_eq!(
        (metrics(&straight.alerts), metrics(&straight.notes)),
        (vec![], vec![Metric::TransitionEntropy])
    );
    assert!(straight.notes[0].text.contains("length alone"), "{}", straight.notes[0].text);
    let winding = TraceHealth::of(&steps(&["a", "b", "c", "d", "e", "f", "g", "a", "c", "b"]), None);
    assert_eq!(
        (metrics(&winding.alerts), metrics(&winding.notes)),
        (vec![Metric::TransitionEntropy], vec![])
    );
    // Nothing is nothing, and not below it.
    for ids in [&[][..], &["a"], &["a", "b"]] {
        let health = TraceHealth::of(&steps(ids), None);
        assert!(
            health.conditional_entropy.is_sign_positive() && health.transition_entropy.is_sign_positive()
        );
    }
}
