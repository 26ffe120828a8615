//! What clients are told of a program before they call it: the schema of its inputs, that of what it
//! answers, and hints derived from what its tools were granted. Nothing here is an author's word.

use std::collections::BTreeSet;

use nanohost_core::{
    Access, CheckedProgram, Effect, Follow, Method, OnError, Plan, StepIndex, StepKind, TOMBSTONE,
};
use serde_json::{Map, Value, json};

/// Of a larger program it is not worked out which steps can be its last.
const MAX_STEPS: usize = 2000;

/// What a call can do to the world, from the granted capabilities alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hints {
    /// It changes nothing outside of the run.
    pub read_only: bool,
    /// It can take something away, or put something else in its place.
    pub destructive: bool,
    /// Calling it twice does no more than calling it once.
    pub idempotent: bool,
    /// It reaches hosts or models that are not the operator's alone.
    pub open_world: bool,
}

impl Hints {
    /// Of an admitted program.
    pub fn of(plan: &Plan) -> Self {
        let asks = [Method::Get, Method::Head, Method::Options];
        let writes = plan.rows().iter().any(|row| {
            let grants = &row.grants;
            grants.filesystem().iter().any(|own| own.folder.access == Access::Write)
                || !grants.kv().is_empty()
                || !grants.sockets().is_empty()
                || grants.http().iter().any(|rule| !rule.methods.iter().all(|method| asks.contains(method)))
        });
        let open_world = !plan.models().is_empty()
            || plan
                .rows()
                .iter()
                .any(|row| !row.grants.http().is_empty() || !row.grants.sockets().is_empty());
        let repeatable = plan.rows().iter().all(|row| row.effect != Effect::External);
        Self { read_only: !writes, destructive: writes, idempotent: !writes || repeatable, open_world }
    }

    /// Of a program that is not admitted: nothing of it runs, and nothing is promised.
    pub const UNKNOWN: Self =
        Self { read_only: false, destructive: true, idempotent: false, open_world: true };
}

/// The schema of a program's inputs, draft 2020-12.
pub fn input_schema(program: &CheckedProgram) -> Map<String, Value> {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for input in program.inputs().unwrap_or_default() {
        let mut schema = without_marks(&input.schema);
        match (&input.default, &mut schema) {
            (Some(default), Value::Object(schema)) => {
                schema.insert("default".to_owned(), default.clone());
            }
            (None, _) => required.push(Value::from(input.name.as_str())),
            (Some(_), _) => {}
        }
        properties.insert(input.name.clone(), schema);
    }
    object(properties, required, program.inputs().is_none())
}

/// An object's schema.
pub fn object(properties: Map<String, Value>, required: Vec<Value>, open: bool) -> Map<String, Value> {
    let mut schema = Map::new();
    schema.insert("type".to_owned(), "object".into());
    schema.insert("properties".to_owned(), Value::Object(properties));
    schema.insert("required".to_owned(), Value::Array(required));
    schema.insert("additionalProperties".to_owned(), open.into());
    schema
}

/// Without what is this project's own: marks of personal data are no concern of a client.
fn without_marks(schema: &Value) -> Value {
    match schema {
        Value::Object(keywords) => {
            let kept = keywords.iter().filter(|(key, value)| *key != "pii" || !value.is_boolean());
            Value::Object(kept.map(|(key, value)| (key.clone(), without_marks(value))).collect())
        }
        Value::Array(items) => items.iter().map(without_marks).collect(),
        other => other.clone(),
    }
}

/// The schema of what a run can return, as clients see it: of every step that can be the last to return
/// something; null where it returns nothing.
pub fn output_schema(program: &CheckedProgram, plan: Option<&Plan>) -> Value {
    let steps = program.steps();
    if steps.len() > MAX_STEPS || plan.is_none() {
        return json!({});
    }
    let mut all = vec![json!({ "type": "null" }), json!({ "const": TOMBSTONE })];
    for (step, index) in steps.iter().zip(program.indices()) {
        if step.block.is_none() && is_producer(program, index) && can_be_last(program, index) {
            all.push(step_schema(program, index, plan));
        }
    }
    let mut seen = BTreeSet::new();
    all.retain(|schema| seen.insert(schema.to_string()));
    match all.iter().any(|schema| schema.as_object().is_some_and(Map::is_empty)) {
        true => json!({}),
        false => json!({ "anyOf": all }),
    }
}

fn step_schema(program: &CheckedProgram, index: StepIndex, plan: Option<&Plan>) -> Value {
    match &program.step(index).kind {
        StepKind::Tool(call) => match plan.and_then(|plan| plan.row(&call.tool)) {
            // What a resumption brings stands for the tool's own word.
            Some(row) => match call.resume.as_ref().map(|rules| rules.schema.as_ref()) {
                None => row.export.output.clone(),
                Some(Some(event)) => json!({ "anyOf": [row.export.output, without_marks(event)] }),
                Some(None) => json!({}),
            },
            None => json!({}),
        },
        StepKind::Llm(llm) if !llm.allowed_tools.is_empty() => json!({}),
        StepKind::Llm(llm) if !llm.allowed_outputs.is_empty() && llm.fallback.is_none() => {
            json!({ "enum": llm.allowed_outputs })
        }
        StepKind::Llm(_) => json!({ "type": "string" }),
        StepKind::Parallel(block) => {
            let each = block.steps.iter().map(|own| {
                let schema = json!({ "anyOf": [{ "type": "null" }, step_schema(program, *own, plan)] });
                (program.step(*own).id.to_string(), schema)
            });
            let each: Map<String, Value> = each.collect();
            let required = each.keys().map(|id| Value::from(id.as_str())).collect();
            Value::Object(object(each, required, false))
        }
        StepKind::Condition(_) => json!({}),
    }
}

fn is_producer(program: &CheckedProgram, index: StepIndex) -> bool {
    !matches!(program.step(index).kind, StepKind::Condition(_))
}

/// Whether a run can end after the step without another step that returns something.
fn can_be_last(program: &CheckedProgram, index: StepIndex) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![index];
    let mut first = true;
    while let Some(at) = open.pop() {
        let step = program.step(at);
        let passes =
            std::mem::take(&mut first) || !is_producer(program, at) || step.on_error == OnError::Skip;
        if !passes || !seen.insert(at) {
            continue;
        }
        match &step.kind {
            StepKind::Condition(guard) => open.extend(guard.then.into_iter().chain(guard.otherwise)),
            _ => match step.follow {
                Follow::Terminal | Follow::Sequence(None) => return true,
                // Entered by a branch it ends the run; whether it is, the run decides.
                Follow::Sequence(Some(next)) if !is_branched_to(program, at) => open.push(next),
                Follow::Sequence(Some(_)) => return true,
                Follow::Jump(next) => open.push(next),
            },
        }
    }
    false
}

fn is_branched_to(program: &CheckedProgram, index: StepIndex) -> bool {
    program.steps().iter().any(|step| match &step.kind {
        StepKind::Condition(guard) => guard.then == Some(index) || guard.otherwise == Some(index),
        _ => false,
    })
}

/// The schema of the answer of a call that runs a program whose output fits `output`.
pub fn answer_schema(output: &Value) -> Map<String, Value> {
    let text_or_null = || json!({ "type": ["string", "null"] });
    let properties = json!({
        "run": { "type": "string", "description": "The run's id: its evidence is asked for by it." },
        "program": { "type": "string" },
        "status": {
            "enum": [
                "success", "failed", "budget_exceeded", "stalled", "cancelled", "not_admitted", "suspended", "running",
            ],
        },
        "outcome": text_or_null(),
        "output": output,
        "withheld": { "type": "boolean", "description": "Whether personal data was kept back." },
        "error": {
            "anyOf": [{ "type": "null" }, object(
                [
                    ("kind", json!({ "type": "string" })),
                    ("step", text_or_null()),
                    ("code", text_or_null()),
                    ("message", text_or_null()),
                ].into_iter().map(|(key, schema)| (key.to_owned(), schema)).collect(),
                ["kind", "step", "code", "message"].map(Value::from).to_vec(),
                false,
            )],
        },
        "waits": {
            "anyOf": [{ "type": "null" }, object(
                [
                    ("step", json!({ "type": "string" })),
                    ("by", json!({ "type": "array", "items": { "type": "string" } })),
                    ("deadline", text_or_null()),
                    ("inDoubt", json!({ "type": "boolean" })),
                ].into_iter().map(|(key, schema)| (key.to_owned(), schema)).collect(),
                ["step", "by", "deadline", "inDoubt"].map(Value::from).to_vec(),
                false,
            )],
        },
        "repeated": { "type": "boolean", "description": "Whether an earlier call with the same idempotency key made the run." },
    });
    let Value::Object(properties) = properties else { return Map::new() };
    let required = properties.keys().map(|key| Value::from(key.as_str())).collect();
    object(properties, required, false)
}

#[cfg(test)]
mod tests;
