//! The health of a run, and of many: metrics, alerts, transitions.

use nanohost_core::RunId;
use nanohost_core::health::{Group, Metric, Range, Records, Statistics, TraceHealth, Transition};
use nanohost_core::trace::Trace;
use serde_json::{Value, json};

use super::escape::escaped;
use super::table::{bad, bold, columns, dim, odd};

/// Transitions of one group that a person is shown; the JSON has all.
const SHOWN_TRANSITIONS: usize = 20;

/// All runs of a store.
#[derive(Debug, Default)]
pub struct Overview {
    /// How many there are.
    pub runs: u64,
    /// What those have in common whose evidence is good.
    pub statistics: Statistics,
    /// Those that were begun and of which nothing was recorded.
    pub empty: Vec<RunId>,
    /// Those whose evidence is bad, with the exit code of `verify` and the reason.
    pub bad: Vec<(RunId, u8, String)>,
}

impl Overview {
    fn analysed(&self) -> u64 {
        self.runs - (self.empty.len() + self.bad.len()) as u64
    }
}

fn name_of(trace: &Trace) -> String {
    trace.machine().map_or_else(String::new, |run| escaped(run.plan().program().name()))
}

/// The health of a run for a person.
pub fn health(trace: &Trace, records: &Records, health: &TraceHealth, baseline: Option<&Trace>) -> String {
    let mut out = format!(
        "{} · {} · {} · {} steps\n",
        bold(&format!("health of run {}", trace.run())),
        name_of(trace),
        escaped(&records.status),
        health.steps
    );
    if let Some(baseline) = baseline {
        out.push_str(&format!("compared with run {} · {}\n", baseline.run(), name_of(baseline)));
        let program = |trace: &Trace| trace.predicates().next().map(|first| first.run.program);
        if program(trace) != program(baseline) {
            out.push_str(&format!("{}\n", odd("they are runs of different programs")));
        }
    }
    out.push('\n');
    let rows = Metric::ALL.into_iter().map(|metric| {
        let value = health.metric(metric).map(|value| format!("{value:.3}"));
        let note = match (metric, &value, baseline) {
            (Metric::TransitionEntropy, ..) => {
                format!("bits, of which {:.3} are choice and not length", health.conditional_entropy)
            }
            (_, None, None) => "needs a --baseline".to_owned(),
            (_, None, Some(_)) => "not comparable: values are withheld".to_owned(),
            _ => String::new(),
        };
        let threshold = format!("alert above {}", metric.threshold());
        vec![metric.to_string(), value.unwrap_or_else(|| "-".to_owned()), threshold, note]
    });
    out.push_str(&columns(&[], rows));
    match health.alerts.as_slice() {
        [] => out.push_str("\nno alerts\n"),
        alerts => {
            out.push_str(&format!("\n{}\n", odd("alerts")));
            alerts.iter().for_each(|alert| out.push_str(&format!("  {}\n", alert.text)));
        }
    }
    for note in &health.notes {
        out.push_str(&format!("{}\n", dim(&format!("note: {}", note.text))));
    }
    out
}

/// The health of a run for a program.
pub fn health_json(
    trace: &Trace,
    records: &Records,
    health: &TraceHealth,
    baseline: Option<&Trace>,
) -> Value {
    json!({
        "run": trace.run(),
        "program": trace.machine().map(|run| run.plan().program().name()),
        "status": records.status,
        "baseline": baseline.map(Trace::run),
        "health": health,
    })
}

/// All runs for a person.
pub fn overview(overview: &Overview) -> String {
    if overview.runs == 0 {
        return "no runs yet\n".to_owned();
    }
    let mut out = format!("{} · {} analysed", bold(&count(overview.runs, "run")), overview.analysed());
    if !overview.empty.is_empty() {
        out.push_str(&format!(" · {} of which nothing was recorded", overview.empty.len()));
    }
    if !overview.bad.is_empty() {
        let count = format!("{} whose evidence is bad, not counted below", overview.bad.len());
        out.push_str(&format!(" · {}", bad(&count)));
    }
    out.push('\n');
    for (digest, program) in &overview.statistics.programs {
        let name = program.name.as_deref().map_or_else(|| "never admitted".to_owned(), escaped);
        out.push_str(&format!("\n{} {}\n", bold(&format!("program {name}")), dim(&digest.short())));
        out.push_str(&group(program));
    }
    for (alias, model) in &overview.statistics.models {
        // The scripted model is called by its alias.
        let names = model.asked.names.iter().filter(|name| *name != alias);
        let names: Vec<String> = names.map(|name| escaped(name)).collect();
        out.push_str(&format!(
            "\n{} {}\n",
            bold(&format!("model {}", escaped(alias))),
            dim(&names.join(", "))
        ));
        let verdicts: Vec<String> = model
            .asked
            .verdicts
            .iter()
            .map(|(verdict, count)| format!("{count} {}", escaped(verdict)))
            .collect();
        let times = count(model.asked.attempts, "time");
        out.push_str(&format!("  asked {times}: {}\n", verdicts.join(", ")));
        out.push_str(&group(model));
    }
    if overview.statistics.ungrouped > 0 {
        out.push_str(&format!(
            "\n{} runs are of more programs or models than are told apart\n",
            overview.statistics.ungrouped
        ));
    }
    if !overview.bad.is_empty() {
        out.push_str(&format!("\n{}\n", bad("bad evidence")));
        let rows = overview.bad.iter().map(|(run, _, why)| vec![run.to_string(), escaped(why)]);
        out.push_str(&columns(&[], rows));
    }
    if !overview.empty.is_empty() {
        out.push_str("\nnothing recorded\n");
        out.push_str(&columns(&[], overview.empty.iter().map(|run| vec![run.to_string()])));
    }
    out
}

/// A number of things.
fn count(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

fn group(group: &Group) -> String {
    let statuses: Vec<String> =
        group.statuses.iter().map(|(status, count)| format!("{count} {}", escaped(status))).collect();
    let mut out = format!("  {}: {}\n\n", count(group.runs, "run"), statuses.join(", "));
    let row = |name: &str, range: &Range, decimals: usize, alerts: u64| {
        let shown = |value: f64| format!("{value:.decimals$}");
        let alerts = if alerts == 0 { String::new() } else { count(alerts, "alert") };
        vec![name.to_owned(), shown(range.min), format!("{:.3}", range.mean), shown(range.max), alerts]
    };
    let mut rows = vec![
        row("steps", &group.steps, 0, 0),
        row("retries", &group.retries, 0, 0),
        row("denials", &group.denials, 0, 0),
        row("tokens", &group.tokens, 0, 0),
        row("estimated tokens", &group.estimated_tokens, 0, 0),
        row("milliseconds", &group.wall_ms, 0, 0),
    ];
    for (metric, range) in &group.metrics {
        rows.push(row(metric.as_str(), range, 3, group.alerts.get(metric).copied().unwrap_or(0)));
    }
    rows.push(row("conditional entropy", &group.conditional_entropy, 3, 0));
    out.push_str(&columns(&["of a run", "least", "mean", "most", ""], rows));

    let mut transitions: Vec<Transition> = group.transitions().collect();
    if transitions.is_empty() {
        return out;
    }
    let total = transitions.len();
    transitions.sort_by_key(|transition| std::cmp::Reverse(transition.count));
    transitions.truncate(SHOWN_TRANSITIONS);
    out.push('\n');
    let several = transitions.iter().any(|transition| transition.program.is_some());
    let rows = transitions.iter().map(|transition| {
        let mut row = vec![
            format!("{} → {}", transition.from, transition.to),
            transition.count.to_string(),
            format!("{:.3}", transition.probability),
        ];
        row.extend(transition.program.map(|program| program.short()));
        row
    });
    let header = ["transition", "times", "probability", "program"];
    out.push_str(&columns(&header[..if several { 4 } else { 3 }], rows));
    if total > SHOWN_TRANSITIONS {
        out.push_str(&format!("  and {} more, with --json\n", total - SHOWN_TRANSITIONS));
    }
    if group.uncounted_transitions > 0 {
        out.push_str(&format!("  {} transitions are not told apart\n", group.uncounted_transitions));
    }
    out
}

/// All runs for a program.
pub fn overview_json(overview: &Overview) -> Value {
    let of = |group: &Group, key: &str, name: Value| {
        let mut document = json!(group);
        document[key] = name;
        document["transitions"] = group.transitions().map(|transition| json!(transition)).collect();
        document
    };
    let statistics = &overview.statistics;
    let programs = statistics.programs.iter().map(|(digest, group)| of(group, "program", json!(digest)));
    let models = statistics.models.iter().map(|(alias, group)| of(group, "alias", json!(alias)));
    let bad = overview.bad.iter().map(|(run, exit, why)| json!({ "run": run, "exitCode": exit, "why": why }));
    json!({
        "runs": overview.runs,
        "analysed": overview.analysed(),
        "programs": programs.collect::<Vec<_>>(),
        "models": models.collect::<Vec<_>>(),
        "ungrouped": statistics.ungrouped,
        "bad": bad.collect::<Vec<_>>(),
        "empty": overview.empty,
    })
}
