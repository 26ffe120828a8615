//! The graph and the namespace, warnings included, and the values a run is given.

mod hostile;
mod places;
mod scale;

use serde_json::{Map, Value, json};

use super::CheckedProgram;
use crate::{Diagnostics, Format, Program, Source};

fn parse(program: &Value) -> Result<(CheckedProgram, Diagnostics), Diagnostics> {
    Program::parse(Source::new("p.json", program.to_string()), Format::Json).and_then(Program::check)
}

/// Checks codes with the steps they name, in the order of the file.
fn check(steps: Value, more: Value, expect: &[&str]) {
    let mut program = json!({"inputs": {"x": {}}, "steps": steps});
    for (key, value) in more.as_object().into_iter().flatten() {
        program[key] = value.clone();
    }
    let findings = match parse(&program) {
        Ok((_, warnings)) => warnings,
        Err(findings) => findings,
    };
    let found: Vec<_> = findings
        .iter()
        .map(|finding| format!("{} {}", finding.code, finding.step.as_deref().unwrap_or("-")))
        .collect();
    assert_eq!(found, expect, "{program}\n{findings}");
}

fn tool(id: &str) -> Value {
    json!({"id": id, "type": "tool", "tool": "t"})
}

fn guard(then: &str, otherwise: &str) -> Value {
    json!({"id": "k", "type": "condition", "condition": "$x == 1", "then": then, "otherwise": otherwise})
}

#[test]
fn branches_end_and_sequences_run_on() {
    check(json!([tool("a"), tool("b")]), json!({}), &[]);
    check(
        json!([guard("a", "b"), tool("a"), tool("b_failed")]),
        json!({}),
        &["no_failure_terminal -", "missing_target k", "implicit_end a", "unreachable_step b_failed"],
    );
    check(
        json!([guard("a", "b_failed"), tool("a"), tool("b_failed")]),
        json!({}),
        &["implicit_end a", "implicit_end b_failed"],
    );
    // Reached by a jump, `tail` runs on into `end`.
    let jump = json!({"id": "a", "type": "tool", "next_step": "tail"});
    check(
        json!([guard("a", "reject"), jump, tool("tail"), tool("end"), {"id": "reject", "type": "tool", "is_terminal": true}]),
        json!({}),
        &[],
    );
}

#[test]
fn cycles_are_bounded() {
    let back = json!({"id": "b", "type": "tool", "next_step": "a"});
    check(json!([tool("a"), back]), json!({}), &["unbounded_cycle b"]);
    check(json!([tool("a"), back]), json!({"max_tokens": 5, "max_stalled_steps": 5}), &["unbounded_cycle b"]);
    check(json!([tool("a"), back]), json!({"max_steps": 5}), &["no_exit a"]);
    check(json!([tool("a"), back]), json!({"max_wall_seconds": 0.5}), &["no_exit a"]);
    // Two that lead only to each other; where one of them leads on, they end.
    let other = |otherwise: &str| json!({"id": "l", "type": "condition", "condition": "$x == 2", "then": "k", "otherwise": otherwise});
    let bound = json!({"max_steps": 5});
    check(json!([guard("l", "l"), other("k")]), bound.clone(), &["no_failure_terminal -", "no_exit k"]);
    let end = json!({"id": "failed", "type": "tool", "is_terminal": true});
    check(json!([guard("l", "l"), other("failed"), end]), bound.clone(), &[]);
    let alone =
        json!({"id": "l", "type": "condition", "condition": "$x == 2", "then": "l", "otherwise": "l"});
    check(json!([guard("l", "failed"), alone, end]), bound, &["no_exit l"]);
    // A branch back enters the step, which then ends the run: no cycle.
    check(json!([tool("a"), guard("a", "a")]), json!({}), &["no_failure_terminal -", "implicit_end a"]);
}

#[test]
fn targets() {
    let block = json!({"id": "p", "type": "parallel", "parallel_steps": [tool("sub")]});
    check(
        json!([{"id": "a", "type": "tool", "next_step": "sub"}, block]),
        json!({}),
        &["missing_target a", "unreachable_step p"],
    );
}

#[test]
fn names() {
    check(json!([{"id": "a", "type": "tool", "output_key": "x"}]), json!({}), &["invalid_field a"]);
    check(
        json!([{"id": "a", "type": "tool", "args": {"v": "$y $y.z $a $x $__webhook__"}}]),
        json!({}),
        &["undefined_variable a"],
    );
    check(json!([tool("a")]), json!({"subject": "$nobody"}), &["undefined_variable -"]);
    let open = json!({"inputs": null});
    check(
        json!([{"id": "a", "type": "tool", "args": {"v": "$y"}}]),
        open,
        &["open_inputs -", "undefined_variable a"],
    );
    let program = json!({"steps": [{"id": "a", "type": "tool", "args": {"v": "$y"}}]});
    assert!(parse(&program).is_ok(), "without `inputs` it is a warning");
    let two = json!([{"id": "a", "type": "tool", "output_key": "k"}, {"id": "b", "type": "tool", "output_key": "k"}]);
    check(two, json!({}), &[]);
}

#[test]
fn tools() {
    let rows = json!({"tools": {"t": {"path": "t"}}});
    check(json!([tool("a")]), rows.clone(), &[]);
    check(json!([{"id": "a", "type": "tool"}]), rows.clone(), &["unknown_tool a"]);
    let ask = json!({"id": "q", "type": "llm", "prompt": "p", "allowed_tools": ["t", "wire"]});
    check(json!([ask]), rows, &["unknown_tool q"]);
}

#[test]
fn what_is_easily_misread() {
    let ask = json!({"id": "q", "type": "llm", "prompt": "p", "output_key": "said"});
    let ending = json!({"id": "z", "type": "tool", "is_terminal": true, "outcome": "rejected"});
    for (condition, expect) in [
        ("'safe' in $q", true),
        ("$said contains 'safe'", true),
        ("'safe' not in $q.output", true),
        ("$q == 'safe'", false),
        ("$q in $x", false),
    ] {
        let guard =
            json!({"id": "k", "type": "condition", "condition": condition, "then": "z", "otherwise": "z"});
        let expect: &[&str] = if expect { &["substring_guard k"] } else { &[] };
        check(json!([ask, guard, ending]), json!({}), expect);
    }
    let block = json!({"id": "p", "type": "parallel", "parallel_steps": [ask]});
    let guard = json!({"id": "k", "type": "condition", "condition": "'safe' in $p.q", "then": "z"});
    check(json!([block, guard, ending]), json!({}), &["missing_otherwise k", "substring_guard k"]);
    let skip =
        json!({"id": "q", "type": "llm", "prompt": "p", "on_error": "skip", "allowed_outputs": ["a", "b"]});
    check(json!([skip]), json!({}), &["implicit_fallback q"]);
}

fn inputs() -> CheckedProgram {
    let inputs = json!({
        "id": {"type": "string", "minLength": 1},
        "count": {"type": "integer", "default": 3},
        "mode": {"enum": ["on", 1, true], "default": "on"},
        "maybe": {"type": ["null", "number"], "default": null},
        "flag": {"type": "boolean", "default": false},
    });
    let program = json!({"inputs": inputs, "steps": [{"id": "a", "type": "tool"}]});
    parse(&program).unwrap_or_else(|findings| panic!("{findings}")).0
}

fn bind(program: &CheckedProgram, given: Value) -> Result<Value, Vec<&'static str>> {
    let given: Map<String, Value> = given.as_object().cloned().unwrap_or_default();
    program
        .bind_inputs(given)
        .map(Value::Object)
        .map_err(|findings| findings.iter().map(|finding| finding.code).collect())
}

#[test]
fn inputs_are_bound_before_a_run() {
    let program = inputs();
    let bound = bind(&program, json!({"id": "x"})).expect("defaults fill in");
    assert_eq!(bound.to_string(), r#"{"id":"x","count":3,"mode":"on","maybe":null,"flag":false}"#);
    assert_eq!(bind(&program, json!({})), Err(vec!["missing_input"]));
    assert_eq!(
        bind(&program, json!({"id": "", "count": "3", "idd": 1})),
        Err(vec!["unknown_input", "invalid_input", "invalid_input"])
    );
    let open = parse(&json!({"steps": [{"id": "a", "type": "tool"}]})).expect("sound").0;
    assert_eq!(bind(&open, json!({"any": [1]})), Ok(json!({"any": [1]})));
    assert_eq!(bind(&open, json!({"__webhook__": 1})), Err(vec!["unknown_input"]));
}

#[test]
fn text_is_read_by_the_declared_type() {
    let program = inputs();
    for (name, text, expect) in [
        ("id", "12", json!("12")),
        ("id", "null", json!("null")),
        ("count", "12", json!(12)),
        ("count", "twelve", json!("twelve")),
        ("count", "99999999999999999999", json!("99999999999999999999")),
        ("mode", "on", json!("on")),
        ("mode", "1", json!(1)),
        ("mode", "off", json!("off")),
        ("maybe", "1.5", json!(1.5)),
        ("maybe", "null", json!(null)),
        ("flag", "true", json!(true)),
        ("flag", "yes", json!("yes")),
        ("undeclared", "1", json!("1")),
    ] {
        assert_eq!(program.read_input(name, text), expect, "{name}={text}");
    }
}
