use serde_json::{Value, json};

use super::NoSubject;
use crate::{Format, Program, Source};

fn check(subject: Value, inputs: Value, expect: Result<Option<&str>, ()>) {
    let mut program = json!({ "name": "p", "inputs": { "id": {}, "n": {} }, "tools": { "pay": { "path": "pay" } },
        "steps": [{ "id": "a", "type": "tool", "tool": "pay" }] });
    if !subject.is_null() {
        program["subject"] = subject.clone();
    }
    let source = Source::new("program.json", program.to_string());
    let program = Program::parse(source, Format::Json).expect("it parses").check().expect("it checks").0;
    let found = program.subject_of(inputs.as_object().expect("an object"));
    assert_eq!(found.as_ref().map(|found| found.as_deref()).map_err(|_: &NoSubject| ()), expect, "{subject}");
}

#[test]
fn a_subject_is_what_the_inputs_say() {
    check(Value::Null, json!({}), Ok(None));
    check("$id".into(), json!({ "id": "c-1" }), Ok(Some("c-1")));
    check("customer/${id}".into(), json!({ "id": "c-1" }), Ok(Some("customer/c-1")));
    check("$n".into(), json!({ "n": 12 }), Ok(Some("12")));
    check("$id.key".into(), json!({ "id": { "key": "k" } }), Ok(Some("k")));
}

#[test]
fn a_subject_without_a_value_is_none_that_could_be_erased() {
    check("$id".into(), json!({}), Err(()));
    check("$a".into(), json!({ "id": "c" }), Err(()));
    for id in [json!(""), json!(null), json!(true), json!(["x"]), json!({}), json!("x".repeat(513))] {
        check("$id".into(), json!({ "id": id }), Err(()));
    }
}
