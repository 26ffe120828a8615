//! Runs that wait for somebody: what is asked, how to answer, and what became of several.

use std::path::Path;

use nanohost_core::receipt::UnknownCall;
use nanohost_core::run::{Run, SuspensionCause};
use nanohost_core::{Principal, RunId, Timestamp};
use serde_json::Value;

use super::escape::{escaped, value_text};
use super::program_name;
use super::table::{bold, columns, dim, odd};
use crate::project::quoted;

/// What somebody is asked, before they answer.
pub fn question(question: &Value, id: &RunId) -> String {
    let text = |key: &str| question[key].as_str().map(escaped);
    let mut out = format!(
        "{} {} · step {} waits for somebody\n{}\n",
        bold(&text("program").unwrap_or_default()),
        odd(&bold(if question["inDoubt"] == true { "in doubt" } else { "suspended" })),
        text("step").unwrap_or_default(),
        dim(&format!("run {id}")),
    );
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            out.push_str(&format!("  {name:<9} {value}\n"));
        }
    };
    line("tool", text("tool"));
    line("with", Some(&question["args"]).filter(|args| !args.is_null()).map(value_text));
    line("it says", Some(&question["reason"]).filter(|reason| !reason.is_null()).map(value_text));
    line("until", text("deadline"));
    if question["inDoubt"] == true {
        line(
            "in doubt",
            Some(
                "the call ended without an answer, and may have had its effect: look outside first"
                    .to_owned(),
            ),
        );
    }
    out
}

/// The commands that answer a run that waits, at the moment `now`.
pub fn how_to_answer(run: &Run, id: &RunId, now: Timestamp) -> String {
    let Some(suspension) = run.suspension() else { return String::new() };
    if run.is_too_late(now) {
        return format!(
            "expired   the deadline has passed, and no answer is taken any more: {} resume --due\n",
            program_name()
        );
    }
    let by = run.resume_rules().map_or(&[][..], |rules| &rules.by);
    let mut out = String::new();
    if !by.is_empty() {
        let by: Vec<String> = by.iter().map(|entry| escaped(entry)).collect();
        out.push_str(&format!(
            "answer    only {} may, with a token: {} token {} --as NAME\n",
            by.join(", "),
            program_name(),
            id.short()
        ));
    }
    match suspension.cause {
        SuspensionCause::InDoubt => out.push_str(&settlements(run, id)),
        SuspensionCause::Tool { deadline } => {
            out.push_str(&format!("resume    {}\n", answer(run, id, None)));
            if deadline.is_some() {
                out.push_str(&format!("expired   {} resume --due\n", program_name()));
            }
        }
    }
    out
}

/// What to do about a call in doubt: the command says what it was, and how to settle it.
pub fn look_outside(id: &RunId) -> String {
    format!("look outside, then: {} settle {}", program_name(), id.short())
}

/// What is said of calls of a run that is over, of which nobody knows whether they happened.
pub fn unknown_calls(calls: &[UnknownCall]) -> String {
    let one = |call: &UnknownCall| {
        format!(
            "  {} {} of step {}: this call ended without an answer; look outside whether it happened\n",
            odd("?"),
            call.tool,
            call.step
        )
    };
    calls.iter().map(one).collect()
}

/// The commands that settle a call in doubt.
fn settlements(run: &Run, id: &RunId) -> String {
    let settle = format!("{} settle {}{}", program_name(), id.short(), who(run, None));
    format!(
        "settle    it happened        {settle} --happened RESULT.json\n          \
         it did not happen  {settle} --did-not-happen\n          \
         nobody can tell    {settle} --fail\n"
    )
}

/// The command that answers a run that waits, as `principal` where it is known who that is.
pub fn answer(run: &Run, id: &RunId, principal: Option<&Principal>) -> String {
    let (name, id, who) = (program_name(), id.short(), who(run, principal));
    match run.suspension().map(|suspension| suspension.cause) {
        Some(SuspensionCause::InDoubt) => format!("{name} settle {id}{who} --happened RESULT.json"),
        _ => {
            let verify = run.resume_rules().is_some_and(|rules| rules.verify.is_some());
            let signature = if verify { " --signature TEXT" } else { "" };
            format!("{name} resume {id}{who} --event EVENT.json{signature}")
        }
    }
}

/// What says who answers, where the run asks.
fn who(run: &Run, principal: Option<&Principal>) -> String {
    if run.resume_rules().is_none_or(|rules| rules.by.is_empty()) {
        return String::new();
    }
    let principal = principal.map_or("NAME", Principal::as_str);
    format!(" --as {} --token TOKEN", quoted(Path::new(principal)))
}

/// What became of several runs that went on: a line for each, and nothing else.
pub fn how_they_stand(lines: &[Value]) -> String {
    let text = |line: &Value, key: &str| line[key].as_str().map(escaped).unwrap_or_default();
    let one = |line: &Value| {
        let state = if line["inDoubt"] == true { "in doubt".to_owned() } else { text(line, "state") };
        format!("{} {state} · run {}\n", text(line, "program"), text(line, "run"))
    };
    lines.iter().map(one).collect()
}

/// What became of several runs that went on.
pub fn gone_on(lines: &[Value], what: &str) -> String {
    if lines.is_empty() {
        return format!("no {what} runs\n");
    }
    let rows = lines.iter().map(|line| {
        let text = |key: &str| line[key].as_str().map(escaped).unwrap_or_default();
        let run: String = text("run").chars().take(12).collect();
        let state = if line["inDoubt"] == true { "in doubt".to_owned() } else { text("state") };
        vec![run, text("program"), state]
    });
    let mut out = columns(&["run", "program", "state"], rows);
    for line in lines {
        let id = line["run"].as_str().and_then(|run| RunId::new(run).ok());
        if let Some(id) = id.filter(|_| line["inDoubt"] == true) {
            out.push_str(&format!("  {} {}\n", id.short(), look_outside(&id)));
        }
        for finding in line["findings"].as_array().into_iter().flatten() {
            let run: String = line["run"].as_str().unwrap_or_default().chars().take(12).collect();
            let text = |key: &str| finding[key].as_str().map(escaped).unwrap_or_default();
            out.push_str(&format!("  {run} {}: {}\n", text("code"), text("message")));
        }
    }
    out
}
