//! Vast programs: 100,000 steps are read, checked and drawn in both formats, whatever is wrong with
//! them, in time that grows with their length and on no deep stack.

use std::fmt::Write as _;

use crate::{Format, Program, Source};

const COUNT: usize = 100_000;

/// Enough mistakes for what is quadratic in them to be felt.
const MISTAKES: usize = 20_000;

/// Few enough for the stack of a test: what recursed on the steps would end here.
const STACK: usize = 512 * 1024;

/// A program in both formats, `step` giving the keys of one in TOML's inline form.
fn both(
    head: &str,
    count: usize,
    step: impl Fn(usize) -> Vec<(&'static str, String)>,
) -> [(Format, String); 2] {
    let mut toml = head.to_owned();
    let mut json = String::from("{");
    for line in head.lines() {
        let (key, value) = line.split_once(" = ").expect("a key and a value");
        write!(json, "\"{key}\": {value}, ").expect("a string");
    }
    json.push_str("\"steps\": [");
    for at in 0..count {
        toml.push_str("\n[[steps]]\n");
        json.push_str(if at == 0 { "{" } else { ", {" });
        for (nth, (key, value)) in step(at).into_iter().enumerate() {
            writeln!(toml, "{key} = {value}").expect("a string");
            write!(json, "{}\"{key}\": {value}", if nth == 0 { "" } else { ", " }).expect("a string");
        }
        json.push('}');
    }
    json.push_str("]}");
    [(Format::Toml, toml), (Format::Json, json)]
}

fn quoted(text: impl std::fmt::Display) -> String {
    format!("\"{text}\"")
}

/// The codes of what is found, each once.
fn check(programs: [(Format, String); 2]) -> Vec<&'static str> {
    let check = |(format, text): (Format, String)| {
        let judge = move || {
            let found = match Program::parse(Source::new("p", text), format) {
                Ok(program) => {
                    let (drawing, found) = program.draw();
                    assert!(drawing.to_dot().lines().count() > 2 * drawing.nodes.len());
                    match program.check() {
                        Ok((_, warnings)) => assert_eq!(warnings, found),
                        Err(findings) => assert_eq!(findings, found),
                    }
                    found
                }
                Err(findings) => findings,
            };
            let mut codes: Vec<&'static str> = found.iter().map(|finding| finding.code).collect();
            codes.sort_unstable();
            codes.dedup();
            codes
        };
        let thread = std::thread::Builder::new().stack_size(STACK).spawn(judge).expect("a thread");
        thread.join().expect("no panic and no overflow")
    };
    let [toml, json] = programs.map(check);
    assert_eq!(toml, json);
    toml
}

#[test]
fn linear_steps() {
    let program = both("inputs = {}", COUNT, |at| {
        vec![("id", quoted(format_args!("s{at}"))), ("type", quoted("tool")), ("tool", quoted("t"))]
    });
    assert_eq!(check(program), [""; 0]);
}

#[test]
fn a_graph_of_conditions() {
    // Every one leads on and far ahead, so that paths double at each step.
    let program = both("max_steps = 9", COUNT, |at| {
        let target = |step: usize| quoted(format_args!("s{}", step.min(COUNT - 1)));
        let (then, otherwise) = (target(at + 1), target(2 * at + 1));
        let id = quoted(format_args!("s{at}"));
        if at + 1 == COUNT {
            return vec![
                ("id", id),
                ("type", quoted("tool")),
                ("outcome", quoted("rejected")),
                ("is_terminal", "true".into()),
            ];
        }
        vec![
            ("id", id),
            ("type", quoted("condition")),
            ("condition", quoted("$x == 1")),
            ("then", then),
            ("otherwise", otherwise),
        ]
    });
    assert_eq!(check(program), ["too_many_findings", "undefined_variable"]);
}

#[test]
fn as_many_mistakes() {
    let one = |key: &'static str, value: fn(usize) -> String| {
        check(both("max_steps = 9", MISTAKES, move |at| {
            let mut keys = vec![("id", quoted(format_args!("s{at}"))), ("type", quoted("tool"))];
            keys.retain(|(known, _)| *known != key);
            keys.push((key, value(at)));
            keys
        }))
    };
    let open = |code: &'static str| ["open_inputs", "too_many_findings", code];
    assert_eq!(one("id", |_| quoted("same")), ["duplicate_step_id", "open_inputs", "too_many_findings"]);
    assert_eq!(one("colour", |_| "1".into()), open("unknown_field"));
    assert_eq!(
        one("next_step", |at| quoted(format_args!("gone{at}"))),
        ["missing_target", "open_inputs", "too_many_findings"]
    );
    assert_eq!(
        one("idempotency", |at| quoted(format_args!("$gone{at}"))),
        ["too_many_findings", "undefined_variable"]
    );
    assert_eq!(
        one("next_step", |at| quoted(format_args!("s{}", at.saturating_sub(1)))),
        ["no_exit", "open_inputs", "too_many_findings", "unreachable_step"]
    );
    assert_eq!(
        one("is_terminal", |_| "true".into()),
        ["open_inputs", "too_many_findings", "unreachable_step"]
    );
}
