use serde_json::{Value, json};

use super::*;
use crate::{Format, Program, Source};

fn checked(program: &Value) -> CheckedProgram {
    let source = Source::new("program.json", program.to_string());
    let checked = Program::parse(source, Format::Json).and_then(Program::check);
    checked.unwrap_or_else(|found| panic!("{program}: {found}")).0
}

/// Every argument as `step.name: origins`, one a line.
fn told(program: &Value, vouched: &[&str]) -> String {
    let program = checked(program);
    let flow = Flow::of(&program, |tool| vouched.contains(&tool.as_str()));
    let mut lines: Vec<(StepIndex, String)> = Vec::new();
    for argument in flow.arguments().into_values().flatten() {
        let words: Vec<&str> = argument.origins.iter().map(Origin::as_str).collect();
        let name = argument.name.as_deref().unwrap_or("*");
        let step = &program.step(argument.step).id;
        lines.push((argument.step, format!("{step}.{name}: {}", words.join(" "))));
    }
    lines.sort();
    lines.into_iter().map(|(_, line)| line).collect::<Vec<_>>().join("\n")
}

fn call(id: &str, args: Value) -> Value {
    json!({ "id": id, "type": "tool", "tool": id, "args": args })
}

fn ask(id: &str, prompt: &str, more: Value) -> Value {
    let mut step = json!({ "id": id, "type": "llm", "prompt": prompt });
    for (key, value) in more.as_object().into_iter().flatten() {
        step[key] = value.clone();
    }
    step
}

#[test]
fn values_keep_their_origins() {
    let mut waits = call("wait", json!({ "for": "$load.id" }));
    waits["resume"] = json!({ "by": ["role:clerk"] });
    let program = json!({
        "inputs": { "order": { "type": "string" } },
        "steps": [
            ask("choose", "Refund ${order}?", json!({ "allowed_outputs": ["yes", "no"] })),
            ask("write", "About ${order}", json!({ "output_key": "letter" })),
            call("load", json!({ "id": "$order", "fixed": "A-1", "none": {} })),
            waits,
            call("pay", json!({
                "literal": 5,
                "input": "$order",
                "choice": "$choose",
                "model": "$write.output.text",
                "key": "$letter",
                "mixed": "for ${choose} by ${order}",
                "tool": "$load.amount",
                "event": "$wait.approved",
                "webhook": "$__webhook__.x",
                "source": "$__webhook_source__",
                "list": ["$letter", 1],
                "nested": { "deep": { "to": "$choose" }, "of": "x" },
            })),
        ],
    });
    let expect = "load.id: input\nload.fixed: literal\nload.none: literal\nwait.for: input tool\npay.literal: literal\n\
                  pay.input: input\npay.choice: choice\npay.model: input model\npay.key: input model\n\
                  pay.mixed: input choice\npay.tool: input tool\npay.event: input tool webhook\n\
                  pay.webhook: webhook\npay.source: literal\npay.list: input model\n\
                  pay.nested.deep.to: choice\npay.nested.of: literal";
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&told(&program, &[])), sorted(expect));
    // Whose results are its own, repeats nothing.
    let own = told(&program, &["load"]);
    assert!(own.contains("pay.tool: tool\n") && own.contains("wait.for: tool\n"), "{own}");
    assert!(own.contains("load.id: input\n"), "{own}");
}

#[test]
fn order_and_loops_hide_nothing() {
    // What the model says comes round only the second time, through two names of one value.
    let program = json!({
        "max_steps": 9,
        "inputs": {},
        "steps": [
            { "id": "pay", "type": "tool", "tool": "pay", "args": { "amount": "$next" }, "output_key": "last" },
            ask("write", "${last}", json!({ "output_key": "next" })),
            { "id": "again", "type": "condition", "condition": "True", "then": "pay", "otherwise": "end" },
            call("end", json!({ "of": "$pay" })),
        ],
    });
    assert_eq!(told(&program, &[]), "pay.amount: tool model\nend.of: tool model");
    let blocks = json!({
        "inputs": {},
        "steps": [
            { "id": "both", "type": "parallel", "parallel_steps": [
                ask("words", "Say", json!({})),
                { "id": "look", "type": "tool", "tool": "look", "args": {} },
            ] },
            call("pay", json!({ "a": "$both.look.x", "b": "$both.output.words", "c": "$both", "d": "$words" })),
        ],
    });
    assert_eq!(told(&blocks, &[]), "pay.a: tool\npay.b: model\npay.c: tool model\npay.d: model");
}

#[test]
fn what_a_model_proposes_is_the_models() {
    let program = json!({
        "inputs": { "mail": { "type": "string" } },
        "tools": { "pay": { "path": "pay" }, "look": { "path": "look" } },
        "steps": [
            ask("agent", "Do ${mail}", json!({ "allowed_tools": ["pay"] })),
            call("look", json!({ "proposed": "$agent.proposal.args.amount", "result": "$agent.output" })),
        ],
    });
    let expect = "agent.*: input model\nlook.proposed: input model\nlook.result: input tool model";
    assert_eq!(told(&program, &[]), expect);
}

#[test]
fn the_way_is_told() {
    let program = checked(&json!({
        "inputs": {},
        "steps": [
            ask("write", "Say", json!({ "output_key": "letter" })),
            call("load", json!({ "id": "$letter" })),
            call("pay", json!({ "amount": "$load.amount", "to": { "who": "$write" }, "all": "$__webhook__" })),
        ],
    }));
    let flow = Flow::of(&program, |_| false);
    let arguments = flow.arguments();
    let pay = &arguments[&ToolName::new("pay").expect("a name")];
    let way = |name: &str, origin| {
        let argument =
            pay.iter().find(|argument| argument.name.as_deref() == Some(name)).expect("it is there");
        flow.way(argument, origin)
    };
    assert_eq!(way("amount", Origin::Model), ["write", "load"]);
    assert_eq!(way("amount", Origin::Tool), ["load"]);
    assert_eq!(way("to.who", Origin::Model), ["write"]);
    assert!(way("all", Origin::Webhook).is_empty());
}

#[test]
fn long_programs_are_linear() {
    const STEPS: usize = 50_000;
    // Everything writes one key and reads it: origins go through the key, not from each to each.
    let mut steps: Vec<Value> = (0..STEPS)
        .map(|at| {
            let mut step = call(&format!("s{at}"), json!({ "x": "$k" }));
            step["tool"] = "same".into();
            step["output_key"] = "k".into();
            step
        })
        .collect();
    steps.push(ask("write", "Say", json!({ "output_key": "k" })));
    let program = checked(&json!({ "inputs": {}, "max_steps": 9, "steps": steps }));
    let flow = Flow::of(&program, |_| false);
    let all = flow.arguments();
    let same = &all[&ToolName::new("same").expect("a name")];
    assert_eq!(same.len(), STEPS);
    assert!(same.iter().all(|argument| argument.origins.has(Origin::Model)));
}
