//! Runs that wait for somebody: what is asked, how to answer, and what became of several.

use nanohost_core::RunId;
use nanohost_core::run::{Run, SuspensionCause};
use serde_json::Value;

use super::escape::{escaped, value_text};
use super::program_name;
use super::table::{bold, columns, dim, odd};

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
        line("in doubt", Some("the host did not see how the call ended: look outside first".to_owned()));
    }
    out
}

/// The commands that answer a run that waits.
pub fn how_to_answer(run: &Run, id: &RunId) -> String {
    let (name, id) = (program_name(), id.short());
    let Some(suspension) = run.suspension() else { return String::new() };
    let rules = run.resume_rules();
    let by = rules.map_or(&[][..], |rules| &rules.by);
    let mut out = String::new();
    if !by.is_empty() {
        let by: Vec<String> = by.iter().map(|entry| escaped(entry)).collect();
        out.push_str(&format!(
            "answer    only {} may, with a token: {name} token {id} --as NAME\n",
            by.join(", ")
        ));
    }
    let who = if by.is_empty() { "" } else { " --as NAME --token TOKEN" };
    match suspension.cause {
        SuspensionCause::InDoubt => {
            out.push_str(&format!(
                "settle    {name} settle {id}{who} --happened RESULT.json | --did-not-happen | --fail\n"
            ));
        }
        SuspensionCause::Tool { deadline } => {
            let signature =
                if rules.is_some_and(|rules| rules.verify.is_some()) { " --signature TEXT" } else { "" };
            out.push_str(&format!("resume    {name} resume {id}{who} --event EVENT.json{signature}\n"));
            if deadline.is_some() {
                out.push_str(&format!("expired   {name} resume --due\n"));
            }
        }
    }
    out
}

/// What became of several runs that went on.
pub fn gone_on(lines: &[Value], what: &str) -> String {
    if lines.is_empty() {
        return format!("no {what} runs\n");
    }
    let rows = lines.iter().map(|line| {
        let text = |key: &str| line[key].as_str().map(escaped).unwrap_or_default();
        let run: String = text("run").chars().take(12).collect();
        vec![run, text("program"), text("state")]
    });
    let mut out = columns(&["run", "program", "state"], rows);
    for line in lines {
        for finding in line["findings"].as_array().into_iter().flatten() {
            let run: String = line["run"].as_str().unwrap_or_default().chars().take(12).collect();
            let text = |key: &str| finding[key].as_str().map(escaped).unwrap_or_default();
            out.push_str(&format!("  {run} {}: {}\n", text("code"), text("message")));
        }
    }
    out
}
