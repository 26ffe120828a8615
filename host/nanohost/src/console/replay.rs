//! What a replay says, call by call. Knows nothing of how calls are made.

use std::borrow::Cow;
use std::path::PathBuf;

use nanohost_core::export::Role;
use nanohost_core::trace::Trace;
use nanohost_core::{Digest, Held, Target, ToolName};
use serde_json::{Value, json};

use super::escape::{escaped, value_text};
use super::sight::Sight;
use super::table::{bad, bold, columns, dim, good, odd};
use crate::commands::Replay;
use crate::failure::Exit;
use crate::replay::{Calls, Diff, End, Made, Told, Verdict, first_difference};

/// What is told of a replay.
pub struct Replayed<'r> {
    /// The run.
    pub trace: &'r Trace,
    /// Its calls.
    pub calls: &'r Calls,
    /// What became of them.
    pub replays: &'r [Replay<'r>],
    /// The other version of a tool that was called, where one was.
    pub against: Option<(PathBuf, ToolName)>,
    /// What of the run's values is shown.
    pub sight: Sight,
}

/// How many calls came to what.
struct Counts {
    same: usize,
    differing: usize,
    unknown: usize,
}

impl Replayed<'_> {
    fn counts(&self) -> Counts {
        let mut counts = Counts { same: 0, differing: 0, unknown: self.calls.unended.len() };
        for replay in self.replays {
            match replay.verdict {
                Verdict::Same => counts.same += 1,
                Verdict::Differs { .. } => counts.differing += 1,
                Verdict::NotReplayable(_) => counts.unknown += 1,
            }
        }
        counts
    }

    /// A value of a call's end, as it may be seen.
    fn seen<'v>(&self, made: &'v Made, end: &'v End) -> Cow<'v, Value> {
        let value = match &end.value {
            Some(value) => Cow::Borrowed(value),
            None => Cow::Owned(Value::Null),
        };
        let Some(run) = self.trace.machine().filter(|_| self.sight == Sight::Projected) else { return value };
        let held = match end.role == Role::OUTPUT {
            true => Held::Result(&made.step, &made.tool),
            false => Held::Words,
        };
        Cow::Owned(run.projection(Target::Trace).value(held, &value).into_owned())
    }

    /// Words of a guest, as they may be seen.
    fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.trace.machine().map_or(Cow::Borrowed(text), |run| self.sight.text(run, text))
    }

    /// Where the end of a replay first differs, as it may be seen.
    fn difference(&self, made: &Made, end: &End) -> Option<Diff> {
        first_difference(&self.seen(made, &made.end), &self.seen(made, end))
    }
}

/// The replay for a person: each call, then the verdict.
pub fn replay(told: &Replayed<'_>, strict: bool) -> String {
    let counts = told.counts();
    let mut out = format!("{}\n", bold(&format!("replay of run {}", told.trace.run())));
    if let Some((path, tool)) = &told.against {
        out.push_str(&format!("calls of {tool}, made by {}\n", super::path(path)));
    }
    out.push('\n');
    let unended = told.calls.unended.iter().map(|(step, tool)| {
        let why = "NOT REPLAYABLE nobody saw how it ended".to_owned();
        vec![escaped(step), String::new(), tool.to_string(), why]
    });
    let rows: Vec<_> = told.replays.iter().map(|replay| line(told, replay)).chain(unended).collect();
    if !rows.is_empty() {
        out.push_str(&columns(&["step", "visit", "tool", ""], rows));
    }
    if told.calls.reused > 0 {
        let reused = told.calls.reused;
        let what = if reused == 1 { "call was" } else { "calls were" };
        out.push_str(&dim(&format!("{reused} more {what} not made then: an earlier result stood\n")));
    }
    let total = match counts.same + counts.differing + counts.unknown {
        1 => "1 call".to_owned(),
        n => format!("{n} calls"),
    };
    let verdict = match (counts.same, counts.differing, counts.unknown) {
        (_, 1.., _) => {
            let first = told.replays.iter().find(|replay| matches!(replay.verdict, Verdict::Differs { .. }));
            let first =
                first.map(|replay| format!("; the first is {}", place(replay.made))).unwrap_or_default();
            format!("{} {} of {total}{first}", bad(&bold("DIFFERENT")), counts.differing)
        }
        (0, 0, 0) => format!("{} no call was made", good(&bold("NOTHING TO REPLAY"))),
        (0, 0, _) => format!("{} none of {total}", bad(&bold("NOT REPLAYED"))),
        (same, 0, 0) => format!("{} {same} of {total}, each with the same end", good(&bold("SAME"))),
        (same, 0, unknown) => {
            let verdict = if strict { bad(&bold("NOT REPLAYED")) } else { odd(&bold("SAME IN PART")) };
            format!("{verdict} {same} of {total}; {unknown} could not be replayed")
        }
    };
    out.push_str(&format!("\n{verdict}\n"));
    out
}

fn place(made: &Made) -> String {
    match made.checks {
        true => format!("the check of {} in envelope {}", made.step, made.seq),
        false => {
            format!("{}, visit {}, attempt {}", made.step, made.place.visit, made.place.attempt)
        }
    }
}

fn line(told: &Replayed<'_>, replay: &Replay<'_>) -> Vec<String> {
    let made = replay.made;
    let visit = match made.checks {
        true => "check".to_owned(),
        false => format!("{}.{}", made.place.visit, made.place.attempt),
    };
    let what = match &replay.verdict {
        Verdict::Same => {
            let answers = match &made.answers {
                Told::Here(record) => record["answers"].as_array().map_or(0, Vec::len),
                _ => 0,
            };
            match answers {
                0 => "same".to_owned(),
                1 => "same, from 1 recorded answer".to_owned(),
                n => format!("same, from {n} recorded answers"),
            }
        }
        Verdict::NotReplayable(why) => format!("NOT REPLAYABLE {}", escaped(why)),
        Verdict::Differs { what, detail, recorded, replayed, end } => {
            let mut text = format!("DIFFERENT {} · {}", what.as_str(), escaped(&told.text(detail)));
            let short =
                |digest: &Option<Digest>| digest.map_or("nothing".to_owned(), |digest| digest.short());
            if recorded.is_some() || replayed.is_some() {
                text.push_str(&format!(" · {} → {}", short(recorded), short(replayed)));
            }
            match end.as_ref().map(|end| told.difference(made, end)) {
                Some(Some(diff)) => {
                    let shown =
                        |value: &Option<Value>| value.as_ref().map_or("nothing".to_owned(), value_text);
                    let at =
                        if diff.at.is_empty() { String::new() } else { format!("at {} ", escaped(&diff.at)) };
                    text.push_str(&format!(" · {at}{} → {}", shown(&diff.recorded), shown(&diff.replayed)));
                }
                Some(None) if told.sight == Sight::Projected => {
                    text.push_str(" · in what is kept back: --reveal shows it");
                }
                _ => {}
            }
            text
        }
    };
    vec![escaped(&made.step), visit, made.tool.to_string(), what]
}

/// The replay for a program.
pub fn replay_json(told: &Replayed<'_>, exit: Exit, strict: bool) -> Value {
    let counts = told.counts();
    let calls: Vec<Value> = told.replays.iter().map(|replay| call(told, replay)).collect();
    let unended = told.calls.unended.iter().map(|(step, tool)| json!({ "step": step, "tool": tool }));
    json!({
        "run": told.trace.run(),
        "against": told.against.as_ref().map(|(path, tool)| json!({ "component": path, "tool": tool })),
        "good": exit == Exit::Success,
        "strict": strict,
        "exitCode": exit as u8,
        "same": counts.same,
        "different": counts.differing,
        "notReplayable": counts.unknown,
        "reused": told.calls.reused,
        "calls": calls,
        "unended": unended.collect::<Vec<_>>(),
    })
}

fn call(told: &Replayed<'_>, replay: &Replay<'_>) -> Value {
    let made = replay.made;
    let mut call = json!({
        "step": made.step,
        "visit": made.place.visit,
        "attempt": made.place.attempt,
        "check": made.checks,
        "envelope": made.seq,
        "tool": made.tool,
        "component": made.component,
        "fuel": { "recorded": made.fuel, "replayed": replay.fuel },
    });
    let verdict = match &replay.verdict {
        Verdict::Same => json!({ "verdict": "same" }),
        Verdict::NotReplayable(why) => json!({ "verdict": "not-replayable", "why": why }),
        Verdict::Differs { what, detail, recorded, replayed, end } => {
            let diff = end
                .as_ref()
                .and_then(|end| told.difference(made, end))
                .map(|diff| json!({ "at": diff.at, "recorded": diff.recorded, "replayed": diff.replayed }));
            json!({
                "verdict": "different",
                "what": what.as_str(),
                "detail": told.text(detail),
                "recorded": recorded,
                "replayed": replayed,
                "diff": diff,
            })
        }
    };
    if let (Value::Object(call), Value::Object(verdict)) = (&mut call, verdict) {
        call.extend(verdict);
    }
    call
}
