//! The rules of order, errors, budgets, proposals and suspension. Every run that is driven here is
//! also sealed and verified: what the machine does, it must accept when it is shown it again.

mod properties;
pub(crate) mod world;

use serde_json::{Value, json};

use super::*;
use crate::template::Scope as _;
use world::{Order, World, moment, plan, tool};

fn check(program: Value, script: Value, expect: &str) -> World {
    check_with(program, json!({}), script, expect)
}

fn check_with(program: Value, inputs: Value, script: Value, expect: &str) -> World {
    let world = World::driven(&program, inputs, script);
    assert_eq!(world.told(), expect);
    world.proved();
    world
}

fn call(id: &str, rest: Value) -> Value {
    step(id, "tool", json!({ "tool": "look" }), rest)
}

fn ask(id: &str, rest: Value) -> Value {
    step(id, "llm", json!({ "prompt": "?" }), rest)
}

fn branch(id: &str, condition: &str, rest: Value) -> Value {
    step(id, "condition", json!({ "condition": condition }), rest)
}

fn block(id: &str, steps: Value, rest: Value) -> Value {
    step(id, "parallel", json!({ "parallel_steps": steps }), rest)
}

fn step(id: &str, kind: &str, own: Value, rest: Value) -> Value {
    let mut step = json!({ "id": id, "type": kind });
    for part in [own, rest] {
        for (key, value) in part.as_object().expect("keys") {
            step[key] = value.clone();
        }
    }
    step
}

fn steps(steps: Value) -> Value {
    json!({ "steps": steps })
}

#[test]
fn order() {
    let ends = json!({ "is_terminal": true });
    check(
        steps(json!([call("a", json!({})), call("b", json!({}))])),
        json!({}),
        "a success, b success, success",
    );
    check(
        steps(json!([
            call("a", json!({ "next_step": "c" })),
            call("b", ends.clone()),
            call("c", json!({ "next_step": "b" }))
        ])),
        json!({}),
        "a success, c success, b success, success",
    );
    // Entered by a branch, a step does not run on into its neighbour.
    let fork = |condition: &str| {
        steps(json!([
            branch("if", condition, json!({ "then": "a", "otherwise": "b" })),
            call("a", json!({})),
            call("b", json!({ "outcome": "rejected" })),
        ]))
    };
    let world = check(fork("True"), json!({}), "if success, a success, success");
    assert_eq!((world.run.outcome(), world.run.final_output()), (None, Some(&Slot::known(json!("ok")))));
    let world = check(fork("None"), json!({}), "if success, b success, success");
    assert_eq!(world.run.outcome(), Some("rejected"));
    check(
        fork("1 < 'a'"),
        json!({}),
        "if failed(condition_error/condition_error), failed(condition_error) at if",
    );
    let half = steps(json!([branch("if", "$x", json!({ "then": "a" })), call("a", json!({})),]));
    check_with(
        half,
        json!({ "x": false }),
        json!({}),
        "if failed(no_branch_target/no_branch_target), failed(no_branch_target) at if",
    );
    // The output of a run is never the name of a branch.
    let last = steps(json!([
        call("a", json!({})),
        branch("if", "True", json!({ "then": "b", "otherwise": "b" })),
        call("b", json!({ "on_error": "skip" }))
    ]));
    let world = check(
        last,
        json!({ "look": [{ "return": 1 }, { "fail": "rejected" }] }),
        "a success, if success, b skipped(step_failed/rejected), success",
    );
    assert_eq!(world.run.final_output(), Some(&Slot::known(json!(1))));
}

#[test]
fn values() {
    let program = steps(json!([
        call("a", json!({ "args": { "x": "$n" }, "output_key": "k" })),
        call("b", json!({ "args": { "deep": ["$k.x", "n=$n", "$a.output.x"] } })),
        ask("c", json!({ "prompt": "$b.deep and $$5 \\$k", "system": "$n" })),
    ]));
    let world = check_with(
        program,
        json!({ "n": 0.1 }),
        json!({ "look": { "echo": true } }),
        "a success, b success, c success, success",
    );
    assert_eq!(
        world.log,
        [
            r#"look {"x":0.1}"#,
            r#"look {"deep":[0.1,"n=0.1",0.1]}"#,
            r#"ask "[0.1,\"n=0.1\",0.1] and $$5 $k""#
        ]
    );
    check(
        steps(json!([call("a", json!({ "args": { "x": "$a.nothing" }, "on_error": "retry" }))])),
        json!({}),
        "a failed(unresolved_reference/unresolved_reference), failed(unresolved_reference) at a",
    );
    // A float that only the shortest form tells exactly survives its journal.
    let program = steps(json!([call("a", json!({})), ask("b", json!({ "prompt": "$a" }))]));
    for text in ["0.30000000000000004", "1e300", "5e-324", "123456789012345.67", "-0.0"] {
        let value: Value = serde_json::from_str(text).expect("a number");
        check(program.clone(), json!({ "look": { "return": value } }), "a success, b success, success");
    }
}

#[test]
fn deep_arguments_are_refused_before_they_cannot_be_read_back() {
    let mut value = json!(1);
    for _ in 0..90 {
        value = json!([value]);
    }
    let program = steps(json!([call("a", json!({ "args": { "x": [[[[[["$v"]]]]]] } }))]));
    check_with(program, json!({ "v": value.clone() }), json!({}), "a success, success");
    let program = steps(json!([call("a", json!({ "args": { "x": [[[[[[[[[["$v"]]]]]]]]]] } }))]));
    check_with(
        program,
        json!({ "v": value }),
        json!({}),
        "a failed(step_failed/invalid_args), failed(step_failed) at a",
    );
}

#[test]
fn errors() {
    let one = |rest: Value| steps(json!([call("a", rest)]));
    let look = |answers: Value| json!({ "look": answers });
    let passing = json!({ "fail": "unavailable" });
    check(
        one(json!({})),
        look(passing.clone()),
        "a failed(step_failed/unavailable), failed(step_failed) at a",
    );
    let world = check(
        one(json!({ "on_error": "retry" })),
        look(json!([passing, passing, { "return": 1 }])),
        "a success +2, success",
    );
    assert_eq!(world.log, ["look {}", "look {} after 1s", "look {} after 2s"]);
    check(
        one(json!({ "on_error": "retry", "max_retries": 2 })),
        look(passing.clone()),
        "a failed(step_failed/unavailable) +1, failed(step_failed) at a",
    );
    check(
        one(json!({ "on_error": "retry" })),
        look(json!({ "fail": "rejected" })),
        "a failed(step_failed/rejected), failed(step_failed) at a",
    );
    check(
        one(json!({ "on_error": "skip" })),
        look(json!({ "fault": "trap" })),
        "a skipped(guest_fault/trap), success",
    );
    let world =
        World::driven(&one(json!({ "on_error": "retry", "max_retries": 8 })), json!({}), look(passing));
    let pauses: Vec<&str> = world.log.iter().filter_map(|line| line.split("after ").nth(1)).collect();
    assert_eq!(pauses, ["1s", "2s", "4s", "8s", "16s", "30s", "30s"]);
}

#[test]
fn authority_is_never_retried_or_skipped() {
    for on_error in ["fail", "skip", "retry"] {
        let pays = |args: Value| {
            steps(json!([call("a", json!({ "tool": "pay", "args": args, "on_error": on_error }))]))
        };
        let world = check(
            pays(json!({ "amount": 501 })),
            json!({}),
            "a failed(authority/authority), failed(authority) at a",
        );
        assert_eq!((world.log.len(), world.run.tally().denied), (0, 1));
        check(
            pays(json!({ "amount": 1 })),
            json!({ "pay": { "stub": true } }),
            "a failed(authority/authority), failed(authority) at a",
        );
        let stubbed = steps(json!([call("a", json!({ "on_error": on_error }))]));
        check(
            stubbed,
            json!({ "look": { "stub": true } }),
            "a failed(authority/authority), failed(authority) at a",
        );
        for block_error in ["fail", "skip", "retry"] {
            let program = steps(json!([
                block(
                    "p",
                    json!([
                        call("a", json!({ "tool": "pay", "args": { "amount": 900 }, "on_error": on_error })),
                        call("b", json!({})),
                    ]),
                    json!({ "on_error": block_error, "max_concurrency": 1 })
                ),
                call("after", json!({})),
            ]));
            check(
                program,
                json!({}),
                "a failed(authority/authority), p failed(authority/authority), failed(authority) at p",
            );
        }
        let program = steps(json!([block(
            "p",
            json!([
                call("b", json!({})),
                call("a", json!({ "tool": "pay", "args": { "amount": 900 }, "on_error": on_error }))
            ]),
            json!({})
        )]));
        // What already goes on ends, and is recorded.
        check(
            program,
            json!({}),
            "b success, a failed(authority/authority), p failed(authority/authority), failed(authority) at p",
        );
    }
    // What a guest is refused in passing is recorded and ends nothing.
    let world = check(
        steps(json!([call("a", json!({})), call("b", json!({ "tool": "pay", "args": { "amount": 1 } }))])),
        json!({ "look": { "blocked": ["kv", "env"], "return": 1 }, "pay": { "blocked": ["kv"], "return": 1 } }),
        "a success, b success, success",
    );
    assert_eq!(world.run.records().iter().map(|record| record.denied).collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn arguments_that_do_not_fit() {
    for on_error in ["fail", "retry"] {
        check_with(
            steps(json!([call(
                "a",
                json!({ "tool": "pay", "args": { "amount": "$v" }, "on_error": on_error })
            )])),
            json!({ "v": "1" }),
            json!({}),
            "a failed(step_failed/invalid_args), failed(step_failed) at a",
        );
    }
}

#[test]
fn models() {
    let one = |rest: Value| steps(json!([ask("m", rest)]));
    let says = |answers: Value| json!({ "m": answers });
    check(one(json!({})), says(json!({ "text": " as it is " })), "m success, success");
    let yes = json!(["yes", "no"]);
    let world = check(
        one(json!({ "allowed_outputs": yes })),
        says(json!({ "text": " yes\n" })),
        "m success, success",
    );
    assert_eq!(world.run.final_output(), Some(&Slot::known(json!("yes"))));
    check(
        one(json!({ "allowed_outputs": yes })),
        says(json!({ "text": "yes!" })),
        "m failed(output_not_allowed/output_not_allowed), failed(output_not_allowed) at m",
    );
    check(
        one(json!({ "allowed_outputs": yes, "on_error": "skip" })),
        says(json!({ "text": "Yes" })),
        "m success substituted, success",
    );
    let world = check(
        one(json!({ "allowed_outputs": yes, "on_error": "retry" })),
        says(
            json!([{ "text": "eh", "tokens": 5 }, { "text": "uh", "estimated": 2 }, { "text": "no", "tokens": 1 }]),
        ),
        "m success +2, success",
    );
    let tally = world.run.tally();
    assert_eq!((tally.tokens, tally.estimated_tokens, tally.retries), (6, 2, 2));
    let waits = json!({ "timeout_seconds": 1 });
    check(
        one(waits),
        says(json!({ "hang": true })),
        "m failed(llm_timeout/llm_timeout), failed(llm_timeout) at m",
    );
    check(
        one(json!({ "timeout_seconds": 1, "on_timeout": "fallback", "fallback": "late" })),
        says(json!({ "hang": true })),
        "m success substituted, success",
    );
    check(
        one(json!({ "on_error": "skip" })),
        says(json!({ "fail": "down" })),
        "m skipped(step_failed/down), success",
    );
    // A provider's numbers do not keep an attempt from being signed.
    let world = check(one(json!({})), says(json!({ "text": "x", "tokens": u64::MAX })), "m success, success");
    assert_eq!(world.run.tally().tokens, (1 << 53) - 1);
}

#[test]
fn proposals() {
    let one = |rest: Value| {
        let own = json!({ "allowed_tools": ["look", "pay", "nobody"] });
        json!({ "steps": [step("m", "llm", own, step("m", "llm", json!({ "prompt": "?" }), rest))],
                "tools": null })
    };
    let says = |text: &str| json!({ "m": { "text": text } });
    let world = check(one(json!({})), says(r#" {"tool":"pay","args":{"amount":5}} "#), "m success, success");
    assert_eq!(world.log, [r#"ask "?""#, r#"pay {"amount":5}"#]);
    assert_eq!(
        world.run.records()[0].proposal,
        Some(Slot::known(json!({"tool": "pay", "args": {"amount": 5}})))
    );
    check(one(json!({})), says(r#"{"tool":"look"}"#), "m success, success");
    check(one(json!({})), says("no proposal"), "m success, success");
    check(one(json!({})), says(r#"{"args":{}}"#), "m success, success");
    let injected = "m failed(tool_injection/tool_injection), failed(tool_injection) at m";
    let invalid = "m failed(invalid_proposal/invalid_proposal), failed(invalid_proposal) at m";
    for (text, expect, rule) in [
        (r#"{"tool":"steal","args":{}}"#, injected, Denial::NOT_LISTED),
        (r#"{"tool":"no such name!"}"#, injected, Denial::NOT_LISTED),
        (r#"{"tool":"nobody","args":{}}"#, injected, Denial::NO_ROW),
        (r#"{"tool":"pay","args":{"amount":501}}"#, injected, "small"),
        (r#"{"tool":"pay","args":{"amount":"5"}}"#, invalid, Denial::SCHEMA),
        (r#"{"tool":"pay","args":{"amount":5,"more":1}}"#, invalid, Denial::SCHEMA),
        (r#"{"tool":"pay","args":{"amount":5},"why":"x"}"#, invalid, Denial::SCHEMA),
        (r#"{"tool":"pay","args":[]}"#, invalid, Denial::SCHEMA),
        (r#"{"tool":7}"#, invalid, Denial::SCHEMA),
        (r#"{"tool":"look","tool":"pay","args":{"amount":5}}"#, invalid, Denial::SCHEMA),
        (r#"{"tool":"pay","args":{"amount":5,"amount":6}}"#, invalid, Denial::SCHEMA),
    ] {
        let world = check(one(json!({})), says(text), expect);
        assert_eq!(world.log.len(), 1, "{text} calls nothing");
        let trace = world.proved();
        let denials: Vec<_> = trace.predicates().flat_map(|said| &said.denials).collect();
        assert_eq!((denials.len(), denials[0].rule.as_str()), (1, rule), "{text}");
        if expect == injected {
            for on_error in ["skip", "retry"] {
                check(one(json!({ "on_error": on_error })), says(text), injected);
            }
        }
    }
    // Arguments that do not fit may be proposed again, and the model is asked again.
    let bad = json!({ "text": r#"{"tool":"pay","args":{}}"# });
    let good = json!({ "text": r#"{"tool":"pay","args":{"amount":1}}"# });
    let world =
        check(one(json!({ "on_error": "retry" })), json!({ "m": [bad, good] }), "m success +1, success");
    assert_eq!(world.log.len(), 3);
    let world = check(
        one(json!({ "on_error": "retry" })),
        json!({ "m": [good], "pay": [{ "fail": "unavailable" }, { "return": 1 }] }),
        "m success +1, success",
    );
    assert_eq!(world.log.len(), 4);
    // Without `allowed_tools` it is text.
    check(steps(json!([ask("m", json!({}))])), says(r#"{"tool":"pay"}"#), "m success, success");
}

#[test]
fn what_was_proposed_can_be_named() {
    let program = json!({ "max_steps": 9, "steps": [
        ask("m", json!({ "allowed_tools": ["pay"], "next_step": "if" })),
        branch("if", "$m.proposal.args.amount == 5", json!({ "then": "m", "otherwise": "end" })),
        call("end", json!({ "args": { "x": "$m.output" } })),
    ]});
    let answers = json!([{ "text": r#"{"tool":"pay","args":{"amount":5}}"# }, { "text": "enough" }]);
    // The second visit proposes nothing, so nothing is left of what the first one proposed.
    check(
        program,
        json!({ "m": answers }),
        "m success, if success, m success, if success, end success, success",
    );
    // A proposed call that waits keeps what was proposed.
    let program = steps(json!([
        ask("m", json!({ "allowed_tools": ["look"] })),
        call("b", json!({ "args": { "x": "$m.proposal.args.n", "y": "$m" } })),
    ]));
    let script = json!({ "m": { "text": r#"{"tool":"look","args":{"n":7}}"# }, "look": [{ "suspend": "wait" }, { "echo": true }] });
    let mut world = World::driven(&program, json!({}), script);
    world.happens(Event::Resumed {
        payload: Slot::known(json!("paid")),
        source: WebhookSource::Operator,
        check: None,
    });
    world.drive();
    assert_eq!(world.told(), "m success, b success, success");
    assert_eq!(world.run.final_output(), Some(&Slot::known(json!({ "x": 7, "y": "paid" }))));
    world.proved();
}

#[test]
fn budgets() {
    let cycle = |budget: Value| {
        let mut program =
            steps(json!([call("a", json!({ "next_step": "b" })), ask("b", json!({ "next_step": "a" }))]));
        for (key, value) in budget.as_object().expect("keys") {
            program[key] = value.clone();
        }
        program
    };
    let counts = json!({ "look": [{ "return": 1 }, { "return": 2 }, { "return": 3 }], "b": { "text": "x", "tokens": 4, "estimated": 1 } });
    let world = check(
        cycle(json!({ "max_steps": 3 })),
        counts.clone(),
        "a success, b success, a success, budget_exceeded(budget_max_steps)",
    );
    assert_eq!(world.run.tally().steps, 3);
    check(
        cycle(json!({ "max_steps": 100, "max_tokens": 10 })),
        counts.clone(),
        "a success, b success, a success, b success, budget_exceeded(budget_max_tokens)",
    );
    check(
        cycle(json!({ "max_wall_seconds": 0.1 })),
        counts,
        "a success, b success, a success, b success, a success, budget_exceeded(budget_max_wall)",
    );
    // A block counts one step, and time spent suspended is not spent.
    let program = json!({ "max_steps": 2, "max_wall_seconds": 1, "steps": [
        block("p", json!([call("x", json!({})), call("y", json!({}))]), json!({})),
        call("a", json!({ "tool": "slow" })),
        call("b", json!({})),
    ]});
    let mut world = World::driven(&program, json!({}), json!({ "slow": { "suspend": "wait" } }));
    world.clock += 5_000;
    world.happens(Event::Resumed {
        payload: Slot::known(json!(1)),
        source: WebhookSource::Timer,
        check: None,
    });
    world.drive();
    assert_eq!(world.told(), "x success, y success, p success, a success, budget_exceeded(budget_max_steps)");
    world.proved();
}

#[test]
fn stalls() {
    let cycle = |max: u64| {
        json!({ "max_steps": 50, "max_stalled_steps": max, "steps": [
            call("a", json!({ "next_step": "b" })), call("b", json!({ "tool": "other", "next_step": "a" })),
        ]})
    };
    let same = json!({ "look": { "return": 1 }, "other": { "return": null } });
    // The first step never counts; `other` changes nothing from its first visit on.
    check(cycle(1), same.clone(), "a success, b success, stalled(stalled)");
    check(cycle(2), same, "a success, b success, a success, stalled(stalled)");
    let moving =
        json!({ "look": [{ "return": 1 }, { "return": 2 }, { "return": 3 }], "other": { "return": null } });
    check(
        cycle(2),
        moving,
        "a success, b success, a success, b success, a success, b success, a success, stalled(stalled)",
    );
    let block = json!({ "max_steps": 50, "max_stalled_steps": 1, "steps": [
        block("p", json!([call("x", json!({}))]), json!({ "next_step": "p" }))]});
    check(
        block,
        json!({ "look": { "return": 1 } }),
        "x success, p success, x success, p success, stalled(stalled)",
    );
}

#[test]
fn parallel() {
    let three = |rest: Value| {
        steps(json!([
            block(
                "p",
                json!([
                    call("a", json!({ "tool": "la", "output_key": "ka" })),
                    ask("b", json!({ "prompt": "$ka" })),
                    call("c", json!({ "tool": "pay", "args": { "amount": 3 } })),
                ]),
                rest
            ),
            call("d", json!({ "args": { "all": "$p", "k": "$ka" }, })),
        ]))
    };
    let given = json!({ "ka": "before" });
    for order in [Order::First, Order::Last] {
        let mut world = World::new(
            &three(json!({})),
            given.clone(),
            json!({ "la": { "return": 1 }, "b": { "text": "two" }, "pay": { "return": 3 }, "look": { "echo": true } }),
        );
        world.order = order;
        world.drive();
        // Sub-steps in the order of the program, whatever ended first; they see the state before.
        assert_eq!(world.told(), "a success, b success, c success, p success, d success, success");
        assert_eq!(world.log[1], r#"ask "before""#);
        let all = json!({ "a": 1, "b": "two", "c": 3 });
        assert_eq!(world.run.final_output(), Some(&Slot::known(json!({ "all": all, "k": 1 }))));
        assert_eq!(world.most, 3);
        world.proved();
    }
    let fails = json!({ "la": { "fail": "unavailable" }, "b": { "fail": "unavailable" } });
    check_with(
        three(json!({})),
        given.clone(),
        fails.clone(),
        "a failed(step_failed/unavailable), b failed(step_failed/unavailable), c success, \
         p failed(parallel_failed/parallel_failed), failed(parallel_failed) at p",
    );
    let mut world = World::new(&three(json!({ "on_error": "skip" })), given.clone(), fails);
    world.drive();
    assert_eq!(
        world.told(),
        "a skipped(step_failed/unavailable), b skipped(step_failed/unavailable), c success, p skipped, d success, success"
    );
    assert_eq!(
        world.log.last().map(String::as_str),
        Some(r#"look {"all":{"a":null,"b":null,"c":"ok"},"k":null}"#)
    );
    world.proved();
    // Only what failed runs again.
    let world = check_with(
        three(json!({ "on_error": "retry", "max_retries": 2 })),
        given.clone(),
        json!({ "la": [{ "fail": "unavailable" }, { "return": 1 }] }),
        "a success +1, b success, c success, p success +1, d success, success",
    );
    assert_eq!(world.log.len(), 5);
    check_with(
        three(json!({ "on_error": "retry", "max_retries": 2 })),
        given.clone(),
        json!({ "la": { "fail": "unavailable" } }),
        "a failed(step_failed/unavailable) +1, b success, c success, \
         p failed(parallel_failed/parallel_failed) +1, failed(parallel_failed) at p",
    );
    // What cannot pass is not tried again.
    let world = check_with(
        three(json!({ "on_error": "retry" })),
        given.clone(),
        json!({ "la": { "fail": "rejected" }, "b": { "fail": "unavailable" } }),
        "a failed(step_failed/rejected), b failed(step_failed/unavailable), c success, \
         p failed(parallel_failed/parallel_failed), failed(parallel_failed) at p",
    );
    assert_eq!(world.log.len(), 3);
    // A sub-step cannot wait.
    check_with(
        three(json!({})),
        given,
        json!({ "la": { "suspend": "wait" } }),
        "a failed(step_failed/suspended_in_parallel), b success, c success, \
         p failed(parallel_failed/parallel_failed), failed(parallel_failed) at p",
    );
    // Sub-steps have their own rules; their attempts are counted anew in each round of the block.
    let own = steps(json!([block(
        "p",
        json!([
            call("a", json!({ "on_error": "retry", "max_retries": 2 })),
            call("b", json!({ "tool": "lb", "on_error": "skip" }))
        ]),
        json!({ "on_error": "retry", "max_retries": 2 })
    )]));
    let world = check(
        own,
        json!({ "look": { "fail": "unavailable" }, "lb": { "fail": "rejected" } }),
        "a failed(step_failed/unavailable) +3, b skipped(step_failed/rejected), \
         p failed(parallel_failed/parallel_failed) +1, failed(parallel_failed) at p",
    );
    assert_eq!(world.log.iter().filter(|line| line.starts_with("look {} after 1s")).count(), 2);
}

#[test]
fn no_more_than_max_concurrency_go_on() {
    for max in 1..=4_usize {
        let subs: Vec<Value> = (0..9)
            .map(|at| call(&format!("s{at}"), json!({ "tool": "pay", "args": { "amount": at } })))
            .collect();
        let program = steps(json!([block("p", json!(subs), json!({ "max_concurrency": max }))]));
        for order in [Order::First, Order::Last] {
            let mut world = World::new(&program, json!({}), json!({}));
            world.order = order;
            world.drive();
            assert_eq!((world.most, world.run.records().len()), (max, 10));
            world.proved();
        }
    }
    // A record of one more is none of this program.
    let program = steps(json!([block(
        "p",
        json!([
            call("a", json!({ "tool": "pay", "args": { "amount": 1 } })),
            call("b", json!({ "tool": "pay", "args": { "amount": 1 } }))
        ]),
        json!({ "max_concurrency": 1 })
    )]));
    let mut run = Run::start(plan(&program), Map::new(), moment(0));
    let started = |step: u32| Event::Started {
        place: Place { step: StepIndex(step), visit: 1, attempt: 1 },
        tool: tool("pay"),
        args: Slot::known(json!({ "amount": 1 })),
    };
    run.record(started(1), moment(0)).expect("one may begin");
    assert!(run.record(started(2), moment(0)).is_err());
}

#[test]
fn calls_in_doubt_wait_for_a_person() {
    for on_error in ["fail", "skip", "retry"] {
        let pays = call("a", json!({ "tool": "pay", "args": { "amount": 1 }, "on_error": on_error }));
        let in_doubt = json!({ "pay": { "fault": "trap" } });
        let mut world = check(steps(json!([pays])), in_doubt.clone(), "a pending(in_doubt/trap), suspended");
        assert_eq!(world.run.suspension().map(|waits| waits.cause), Some(SuspensionCause::InDoubt));
        let resumed =
            Event::Resumed { payload: Slot::known(json!(1)), source: WebhookSource::Operator, check: None };
        assert!(world.run.record(resumed, moment(99_000)).is_err());
        assert_eq!(world.told(), "a pending(in_doubt/trap), suspended");
        check(
            steps(json!([block("p", json!([pays, call("b", json!({}))]), json!({ "on_error": on_error }))])),
            in_doubt,
            "suspended",
        );
    }
    // A call with an effect cannot be recorded as one that may simply be tried again.
    let program =
        steps(json!([call("a", json!({ "tool": "pay", "args": { "amount": 1 }, "on_error": "retry" }))]));
    let mut world = World::new(&program, json!({}), json!({}));
    world.step();
    for kind in
        [ErrorKind::ToolTimeout, ErrorKind::GuestFault, ErrorKind::Authority, ErrorKind::BudgetMaxSteps]
    {
        let failure = Failure::new(kind, Code::known("x"), Retry::Maybe);
        let place = Place { step: StepIndex(0), visit: 1, attempt: 1 };
        let ended = Event::Finished { place, end: CallEnd::Failure(failure) };
        assert!(world.run.record(ended, moment(50)).is_err(), "{kind}");
    }
}

#[test]
fn settling() {
    let pays = call("a", json!({ "tool": "pay", "args": { "amount": 1 }, "on_error": "skip" }));
    let alone = steps(json!([pays, call("b", json!({}))]));
    let block = |on_error: &str| {
        let within = block("p", json!([pays, call("b", json!({}))]), json!({ "on_error": on_error }));
        steps(json!([within, call("c", json!({}))]))
    };
    let script = json!({ "pay": [{ "fault": "trap" }, { "return": 7 }], "look": { "return": 1 } });
    let happened = || Settlement::Happened { output: Slot::known(json!(5)) };
    let check = |program: &Value, settlement: Settlement, expect: &str| {
        let mut world = World::driven(program, json!({}), script.clone());
        let pending = world.run.pending_call().expect("a call in doubt");
        assert_eq!((pending.tool, pending.args), (tool("pay"), Some(json!({ "amount": 1 }))));
        world.proved();
        world.happens(Event::Settled(settlement.clone()));
        let again = world.run.record(Event::Settled(settlement), moment(world.clock));
        assert!(again.is_err(), "a call is settled once");
        world.drive();
        assert_eq!(world.told(), expect);
        world.proved();
        world
    };
    let world = check(&alone, happened(), "a success, b success, success");
    assert_eq!(world.log.iter().filter(|line| line.starts_with("pay")).count(), 1);
    let world = check(&alone, Settlement::DidNotHappen, "a success +1, b success, success");
    assert_eq!(world.log.iter().filter(|line| line.starts_with("pay")).count(), 2);
    check(&alone, Settlement::Failed, "a failed(in_doubt/settled_as_failed), failed(in_doubt) at a");
    for on_error in ["fail", "skip", "retry"] {
        let program = block(on_error);
        check(&program, happened(), "a success, b success, p success, c success, success");
        check(&program, Settlement::DidNotHappen, "a success +1, b success, p success, c success, success");
        check(
            &program,
            Settlement::Failed,
            "a failed(in_doubt/settled_as_failed), b success, p failed(in_doubt/settled_as_failed), failed(in_doubt) at p",
        );
    }
    // Nothing is settled that is not in doubt.
    let mut world = World::driven(
        &steps(json!([call("a", json!({}))])),
        json!({}),
        json!({ "look": { "suspend": "x" } }),
    );
    assert!(world.run.record(Event::Settled(happened()), moment(99_000)).is_err());
}

#[test]
fn deadlines() {
    let check = |on_error: &str, expect: &str| {
        let waits = call(
            "a",
            json!({ "tool": "slow", "on_error": on_error, "max_retries": if on_error == "retry" { 2 } else { 3 } }),
        );
        let tells = call("b", json!({ "tool": "tell", "args": { "s": "$__webhook_source__" } }));
        let script = json!({ "slow": { "suspend": "wait" }, "tell": { "echo": true } });
        let mut world = World::driven(&steps(json!([waits, tells])), json!({}), script);
        assert!(world.run.record(Event::Expired, moment(999_999)).is_err(), "it has not passed");
        world.clock = 1_000_000;
        world.happens(Event::Expired);
        world.drive();
        assert_eq!(world.told(), expect);
        world.proved();
    };
    check("fail", "a failed(deadline_expired/deadline_expired), failed(deadline_expired) at a");
    check("skip", "a skipped(deadline_expired/deadline_expired), b success, success");
    check("retry", "a pending +1, suspended");
}

#[test]
fn answers_come_before_the_deadline() {
    let program = steps(json!([call("a", json!({}))]));
    let script = json!({ "look": { "suspend": "wait" } });
    let resumed =
        || Event::Resumed { payload: Slot::known(json!(1)), source: WebhookSource::Operator, check: None };
    let late =
        || Event::Refused { denial: Denial::of_event(Denial::TOO_LATE, Slot::known(json!(1))), check: None };
    let mut world = World::driven(&program, json!({}), script.clone());
    assert!(world.run.record(late(), moment(999_999)).is_err(), "it is in time");
    world.clock = 999_999;
    world.happens(resumed());
    world.drive();
    assert_eq!(world.told(), "a success, success");

    let mut world = World::driven(&program, json!({}), script);
    assert!(world.run.record(resumed(), moment(1_000_000)).is_err(), "it is too late");
    world.clock = 1_000_000;
    world.happens(late());
    assert_eq!(world.told(), "a pending, suspended");
    world.proved();
    world.happens(Event::Expired);
    world.drive();
    assert_eq!(world.told(), "a failed(deadline_expired/deadline_expired), failed(deadline_expired) at a");
    world.proved();
}

#[test]
fn a_value_that_a_closed_run_holds_leaves_the_call_in_doubt() {
    let step = |name: &str| {
        call("a", json!({ "tool": name, "args": { "amount": 1 }, "idempotency": "o-1", "on_error": "skip" }))
    };
    let place = Place { step: StepIndex(0), visit: 1, attempt: 1 };
    let held = |place| Event::Failed {
        place,
        failure: Failure::new(ErrorKind::InDoubt, Code::IDEMPOTENCY_HELD, Retry::Never),
    };
    // Only a call with a value of its own, of a tool that there is.
    let mut run = Run::start(plan(&steps(json!([step("look")]))), Map::new(), moment(0));
    assert!(run.record(held(place), moment(0)).is_ok());
    let plain = steps(json!([call("a", json!({ "tool": "wire", "args": { "amount": 1 } }))]));
    let mut run = Run::start(plan(&plain), Map::new(), moment(0));
    assert!(run.record(held(place), moment(0)).is_err());

    let happened = || Settlement::Happened { output: Slot::known(json!("ok")) };
    for settlement in [happened(), Settlement::DidNotHappen, Settlement::Failed] {
        let mut world = World::new(&steps(json!([step("wire"), call("b", json!({}))])), json!({}), json!({}));
        world.happens(held(place));
        assert_eq!(world.told(), "a pending(in_doubt/idempotency_held), suspended");
        let pending = world.run.pending_call().expect("a call is in doubt");
        assert_eq!((pending.tool, pending.idempotency.as_deref()), (tool("wire"), Some("o-1")));
        world.proved();
        let expect = match &settlement {
            Settlement::Happened { .. } => "a success, b success, success",
            Settlement::DidNotHappen => "a success +1, b success, success",
            Settlement::Failed => "a failed(in_doubt/settled_as_failed), failed(in_doubt) at a",
        };
        world.happens(Event::Settled(settlement));
        world.drive();
        assert_eq!(world.told(), expect);
        world.proved();
    }
    // In a block it waits until the others are over.
    let blocked = steps(json!([block("p", json!([step("wire"), call("b", json!({}))]), json!({}))]));
    let mut world = World::new(&blocked, json!({}), json!({}));
    world.happens(held(Place { step: StepIndex(1), ..place }));
    world.drive();
    assert_eq!(world.told(), "suspended");
    world.happens(Event::Settled(happened()));
    world.drive();
    assert_eq!(world.told(), "a success, b success, p success, success");
    world.proved();
}

#[test]
fn a_check_is_told_when_and_about_which_call_where_it_asks() {
    let waits =
        call("a", json!({ "tool": "tell", "args": { "amount": 7 }, "resume": { "verify": "check_all" } }));
    let mut program = steps(json!([waits]));
    program["tools"] = json!({ "tell": { "path": "tell" }, "check_all": { "path": "check_all" } });
    let mut world = World::driven(&program, json!({}), json!({ "tell": { "suspend": "x" } }));
    let plan = std::sync::Arc::clone(world.run.plan());
    let row = plan.row(&tool("check_all")).expect("a row");
    let args = world.run.check_args_of(row, "7", "sig", moment(world.clock));
    let seconds = moment(world.clock).as_millis() / 1000;
    let expect =
        json!({ "body": "7", "signature": "sig", "received_at": seconds, "call_args": "{\"amount\":7}" });
    assert_eq!(args, expect);
    let resumed = |args: Value| Event::Resumed {
        payload: Slot::known(json!(7)),
        source: WebhookSource::Webhook,
        check: Some(Check {
            tool: tool("check_all"),
            args: Slot::known(args),
            end: CheckEnd::Passed { output: Slot::known(json!(null)) },
        }),
    };
    for (name, value) in [
        ("received_at", json!(seconds - 3600)),
        ("received_at", json!(seconds + 3600)),
        ("received_at", json!("now")),
        ("call_args", json!("{\"amount\":8}")),
        ("call_args", json!("")),
    ] {
        let mut other = args.clone();
        other[name] = value;
        assert!(world.run.record(resumed(other.clone()), moment(world.clock)).is_err(), "{other}");
    }
    world.happens(resumed(args));
    world.drive();
    assert_eq!(world.told(), "a success, success");
    world.proved();
}

#[test]
fn refused_events_change_nothing() {
    let waits = call("a", json!({ "resume": { "schema": { "type": "integer" }, "verify": "check_it" } }));
    let mut program = steps(json!([waits]));
    program["tools"] = json!({ "look": { "path": "look" }, "check_it": { "path": "check_it" } });
    let mut world = World::driven(&program, json!({}), json!({ "look": { "suspend": "x" } }));
    let passed = |body: &str, output: Value| Check {
        tool: tool("check_it"),
        args: Slot::known(serde_json::json!({ "body": body, "signature": "sig" })),
        end: CheckEnd::Passed { output: Slot::known(output) },
    };
    let failed = || Failure::new(ErrorKind::StepFailed, Code::known("rejected"), Retry::Never);
    let resumed = |payload: Value, check: Option<Check>| Event::Resumed {
        payload: Slot::known(payload),
        source: WebhookSource::Webhook,
        check,
    };
    let other = Check { tool: tool("look"), ..passed("7", json!(null)) };
    let not_passed = Check { end: CheckEnd::Refused { failure: failed() }, ..passed("7", json!(null)) };
    for event in [
        resumed(json!(7), None),
        resumed(json!(7), Some(passed("8", json!(null)))),
        resumed(json!(7), Some(passed("7", json!(false)))),
        resumed(json!("x"), Some(passed("\"x\"", json!(null)))),
        resumed(json!(7), Some(other)),
        resumed(json!(7), Some(not_passed.clone())),
        Event::Refused { denial: Denial::of_event("resume:whim", Slot::known(json!(7))), check: None },
        Event::Refused {
            denial: Denial::of_event(Denial::EVENT_SCHEMA, Slot::known(json!(7))),
            check: Some(not_passed.clone()),
        },
    ] {
        let before = shown(&world.run);
        assert!(world.run.record(event.clone(), moment(world.clock)).is_err(), "{event:?}");
        assert_eq!(shown(&world.run), before);
    }
    let rules = [
        (Denial::OTHER_PROGRAM, None),
        (Denial::OTHER_TABLE, None),
        (Denial::NOT_ENTITLED, None),
        (Denial::WRONG_TOKEN, None),
        (Denial::EVENT_SCHEMA, None),
        (Denial::EVENT_CHECK, Some(not_passed)),
    ];
    for (rule, check) in rules {
        world.happens(Event::Refused { denial: Denial::of_event(rule, Slot::known(json!("why"))), check });
        assert_eq!(world.told(), "a pending, suspended");
        world.proved();
    }
    assert_eq!(world.run.tally().rejected, 6);
    world.happens(resumed(json!(7), Some(passed(" 7 ", json!(null)))));
    world.drive();
    assert_eq!(world.told(), "a success, success");
    world.proved();
}

#[test]
fn recovering() {
    // What can be called again is; what reaches out is in doubt.
    let check = |name: &str, blocked: bool, expect: &str| {
        let step = call("a", json!({ "tool": name, "args": { "amount": 1 } }));
        let rest = call("c", json!({}));
        let program = match blocked {
            true => steps(json!([block("p", json!([step, call("b", json!({}))]), json!({})), rest])),
            false => steps(json!([step, rest])),
        };
        let mut world = World::new(&program, json!({}), json!({}));
        while !world.log.iter().any(|line| line.starts_with(name)) {
            world.step();
        }
        let mut world = world.restarted();
        assert!(world.run.suspension().is_none());
        world.happens(Event::Recovered);
        world.proved();
        world.drive();
        assert_eq!(world.told(), expect);
        let mut world = if world.run.suspension().is_some() { world.restarted() } else { world };
        if world.run.suspension().is_some() {
            assert!(world.run.record(Event::Recovered, moment(99_000)).is_err());
            world.happens(Event::Settled(Settlement::Happened { output: Slot::known(json!("ok")) }));
            world.drive();
        }
        world.proved();
        let whole = if blocked {
            "a success, b success, p success, c success, success"
        } else {
            "a success, c success, success"
        };
        assert_eq!(world.told(), whole);
    };
    for blocked in [false, true] {
        let whole = if blocked {
            "a success, b success, p success, c success, success"
        } else {
            "a success, c success, success"
        };
        check("pay", blocked, whole);
        let doubt = if blocked { "suspended" } else { "a pending(in_doubt/interrupted), suspended" };
        check("wire", blocked, doubt);
        check("post", blocked, doubt);
    }
    // The time that nobody was at it is not spent.
    let program = json!({ "max_wall_seconds": 1, "steps": [call("a", json!({})), call("b", json!({}))] });
    let mut world = World::new(&program, json!({}), json!({}));
    for _ in 0..3 {
        world.step();
    }
    let mut world = world.restarted();
    world.clock += 500_000;
    world.happens(Event::Recovered);
    world.drive();
    assert_eq!(world.told(), "a success, b success, success");
    world.proved();
}

#[test]
fn resuming() {
    let program = steps(json!([
        call("a", json!({ "output_key": "k", "outcome": "waited" })),
        call(
            "b",
            json!({ "tool": "tell", "args": { "a": "$a.x", "k": "$k", "w": "$__webhook__.x", "s": "$__webhook_source__" } })
        ),
    ]));
    let script = json!({ "look": { "suspend": "please" }, "tell": { "echo": true } });
    let mut world = check(program, script, "a pending, suspended");
    let deadline = Some(moment(1_000_000));
    assert_eq!(world.run.suspension().map(|waits| waits.cause), Some(SuspensionCause::Tool { deadline }));
    world.happens(Event::Resumed {
        payload: Slot::known(json!({ "x": 1 })),
        source: WebhookSource::Webhook,
        check: None,
    });
    let again =
        Event::Resumed { payload: Slot::known(json!(2)), source: WebhookSource::Webhook, check: None };
    assert!(world.run.record(again, moment(90_000)).is_err());
    world.drive();
    assert_eq!(world.told(), "a success, b success, success");
    let output = json!({ "a": 1, "k": { "x": 1 }, "w": 1, "s": "WEBHOOK" });
    assert_eq!(world.run.final_output(), Some(&Slot::known(output)));
    assert_eq!(world.run.outcome(), Some("waited"));
    world.proved();

    // Where the step was entered by a branch, the run ends with it.
    let program = steps(json!([
        branch("if", "True", json!({ "then": "a", "otherwise": "b" })),
        call("a", json!({})),
        call("b", json!({})),
    ]));
    let mut world = World::driven(&program, json!({}), json!({ "look": { "suspend": "x" } }));
    world.happens(Event::Resumed {
        payload: Slot::known(json!(1)),
        source: WebhookSource::Webhook,
        check: None,
    });
    world.drive();
    assert_eq!(world.told(), "if success, a success, success");
    world.proved();
}

#[test]
fn idempotency() {
    let one = |key: &str| {
        steps(json!([call("a", json!({ "tool": "pay", "args": { "amount": 1 }, "idempotency": key }))]))
    };
    let world = World::driven(&one("$key"), json!({ "key": "o-1" }), json!({}));
    world.proved();
    check_with(one("$key"), json!({ "key": 7 }), json!({}), "a success, success");
    for key in [json!(null), json!("")] {
        check_with(
            one("$key"),
            json!({ "key": key }),
            json!({}),
            "a failed(unresolved_reference/unresolved_reference), failed(unresolved_reference) at a",
        );
    }
    let reused = json!({ "pay": { "recorded": { "id": 4 } } });
    check_with(one("$key"), json!({ "key": "o-1" }), reused, "a success recorded, success");

    let place = Place { step: StepIndex(0), visit: 1, attempt: 1 };
    let recorded =
        Event::Finished { place, end: CallEnd::Success { output: Slot::known(json!(1)), recorded: true } };
    let started = Event::Started { place, tool: tool("pay"), args: Slot::known(json!({ "amount": 1 })) };
    let held = |retry| Event::Failed {
        place,
        failure: Failure::new(ErrorKind::StepFailed, Code::IDEMPOTENCY_HELD, retry),
    };
    let run = |program: &Value, key: Value| {
        let inputs = json!({ "key": key }).as_object().cloned().expect("inputs");
        Run::start(plan(program), inputs, moment(0))
    };
    // Without a key of its own a step has no recorded result, and nothing to be held.
    let plain = steps(json!([call("a", json!({ "tool": "pay", "args": { "amount": 1 } }))]));
    assert!(run(&plain, json!("k")).record(recorded.clone(), moment(0)).is_err());
    assert!(run(&plain, json!("k")).record(held(Retry::Never), moment(0)).is_err());
    // A call whose key is null is not made, also where a record says so.
    assert!(run(&one("$key"), json!(null)).record(started.clone(), moment(0)).is_err());
    assert!(run(&one("$key"), json!(null)).record(recorded, moment(0)).is_err());
    assert!(run(&one("$key"), json!("k")).record(started, moment(0)).is_ok());
    assert!(run(&one("$key"), json!("k")).record(held(Retry::Maybe), moment(0)).is_ok());
}

#[test]
fn cancelling() {
    let program = steps(json!([
        call("a", json!({})),
        block("p", json!([call("x", json!({})), call("y", json!({}))]), json!({})),
        call("z", json!({ "tool": "wait" })),
    ]));
    let script = json!({ "wait": { "suspend": "x" } });
    let whole = World::driven(&program, json!({}), script.clone());
    let turns = 40;
    let mut cancelled = 0;
    for turn in 0..turns {
        let mut world = World::new(&program, json!({}), script.clone());
        let mut left = turn;
        while left > 0 && world.step() {
            left -= 1;
        }
        world.happens(Event::Cancelled { reason: Slot::known(Value::Null) });
        assert!(world.run.is_closing());
        assert!(
            world.run.record(Event::Cancelled { reason: Slot::known(Value::Null) }, moment(99_000)).is_err()
        );
        world.drive();
        assert!(world.told().ends_with("cancelled(cancelled)"), "{}", world.told());
        world.proved();
        cancelled += 1;
    }
    assert_eq!(cancelled, turns);
    assert_eq!(whole.told(), "a success, x success, y success, p success, z pending, suspended");
    // A step that was stopped is not passed over.
    let program = steps(json!([call("a", json!({ "on_error": "skip" }))]));
    let mut world = World::new(&program, json!({}), json!({}));
    world.step();
    let place = Place { step: StepIndex(0), visit: 1, attempt: 1 };
    let failure = Failure::new(ErrorKind::Cancelled, Code::known("cancelled"), Retry::Never);
    world.run.record(Event::Finished { place, end: CallEnd::Failure(failure) }, moment(99)).expect("legal");
    assert!(world.told().ends_with("closing"));
    assert!(matches!(world.run.next(), Next::Record(Event::Closed(End { status: Status::Cancelled, .. }))));
}

/// One of every kind of event, at places that exist and places that do not.
fn every_event() -> Vec<Event> {
    let failure = || Failure::new(ErrorKind::StepFailed, Code::known("x"), Retry::Maybe);
    let unresolved = Failure::new(ErrorKind::UnresolvedReference, Code::UNRESOLVED, Retry::Never);
    let mut events = vec![Event::Cancelled { reason: Slot::known(Value::Null) }];
    for end in [
        End::success(),
        End::of(Status::Stalled, ErrorKind::Stalled),
        End::of(Status::NotAdmitted, ErrorKind::Authority),
    ] {
        events.push(Event::Closed(end));
    }
    for source in [WebhookSource::Webhook, WebhookSource::Operator] {
        events.push(Event::Resumed { payload: Slot::Withheld, source, check: None });
    }
    for step in [0, 1, 2, 3, 4, 5, u32::MAX - 1, u32::MAX] {
        let step = StepIndex(step);
        events.push(Event::Joined(step));
        for (visit, attempt) in [(0, 0), (1, 1), (1, 2), (u32::MAX, u32::MAX), (2, 1), (1, 0)] {
            let place = Place { step, visit, attempt };
            let verdicts = [
                Verdict::Accepted,
                Verdict::NotAllowed,
                Verdict::Proposed,
                Verdict::TimedOut,
                Verdict::Failed(failure()),
            ];
            for (verdict, text) in verdicts.into_iter().flat_map(|verdict| {
                [None, Some(Slot::Withheld), Some(Slot::known(json!(1))), Some(Slot::known(json!("?")))]
                    .map(|text| (verdict.clone(), text))
            }) {
                let answer = Answer {
                    prompt: Slot::Withheld,
                    system: None,
                    text,
                    verdict,
                    tokens: u64::MAX,
                    estimated_tokens: u64::MAX,
                };
                events.push(Event::Answered {
                    place,
                    answer: Answer { tokens: 1, estimated_tokens: 1, ..answer.clone() },
                });
                events.push(Event::Answered { place, answer });
            }
            for args in [Slot::Withheld, Slot::known(json!({}))] {
                events.push(Event::Started { place, tool: tool("look"), args });
            }
            for taken in [None, Some(true), Some(false)] {
                events.push(Event::Decided { place, taken });
            }
            for recorded in [false, true] {
                events.push(Event::Finished {
                    place,
                    end: CallEnd::Success { output: Slot::Withheld, recorded },
                });
            }
            events.push(Event::Finished { place, end: CallEnd::Failure(failure()) });
            events.push(Event::Finished {
                place,
                end: CallEnd::Suspended { reason: Slot::Withheld, deadline: None },
            });
            events.push(Event::Failed { place, failure: failure() });
            events.push(Event::Failed { place, failure: unresolved.clone() });
            for culprit in [Culprit::Guest, Culprit::Program, Culprit::Model, Culprit::Component] {
                let denial = Denial { culprit, ..Denial::blocked("kv", "x", Slot::Withheld) };
                events.push(Event::Denied { place, denial: denial.clone() });
                events.push(Event::Blocked { place, denial });
            }
        }
    }
    events
}

#[test]
fn ends_are_absorbing() {
    let end = |program: Value, script: Value| World::driven(&program, json!({}), script);
    let cycle = json!({ "max_steps": 2, "steps": [call("a", json!({ "next_step": "a" }))] });
    let stalls =
        json!({ "max_steps": 9, "max_stalled_steps": 1, "steps": [call("a", json!({ "next_step": "a" }))] });
    let mut cancelled = World::new(&steps(json!([call("a", json!({}))])), json!({}), json!({}));
    cancelled.happens(Event::Cancelled { reason: Slot::known(Value::Null) });
    cancelled.drive();
    for mut world in [
        end(steps(json!([call("a", json!({}))])), json!({})),
        end(steps(json!([call("a", json!({}))])), json!({ "look": { "fail": "x" } })),
        end(cycle, json!({ "look": [{ "return": 1 }, { "return": 2 }] })),
        end(stalls, json!({})),
        cancelled,
    ] {
        assert!(world.run.end().is_some());
        let before = shown(&world.run);
        for event in every_event() {
            assert!(world.run.record(event.clone(), moment(900_000)).is_err(), "{event:?}");
        }
        assert_eq!(shown(&world.run), before);
        assert!(matches!(world.run.next(), Next::Ended));
    }
}

#[test]
fn a_refused_event_changes_nothing() {
    let program = json!({ "max_steps": 9, "steps": [
        call("a", json!({ "tool": "pay", "args": { "amount": 1 } })),
        block("p", json!([call("x", json!({})), ask("y", json!({ "allowed_tools": ["look"] }))]), json!({})),
        branch("if", "$a == 'ok'", json!({ "then": "w", "otherwise": "a" })),
        call("w", json!({ "tool": "wait" })),
    ]});
    let script = json!({ "wait": { "suspend": "x" }, "y": { "text": r#"{"tool":"look"}"# } });
    for turn in 0..30 {
        let mut world = World::new(&program, json!({}), script.clone());
        let mut left = turn;
        while left > 0 && world.step() {
            left -= 1;
        }
        let mut refused = 0;
        for event in every_event() {
            let before = shown(&world.run);
            let mut legal = true;
            if world.run.record(event, moment(world.clock)).is_err() {
                assert_eq!(shown(&world.run), before);
                refused += 1;
                legal = false;
            }
            if legal {
                // Begin again: the next event is tried at the same turn.
                world = World::new(&program, json!({}), script.clone());
                (0..turn).all(|_| world.step());
            }
        }
        assert!(refused > 1000);
        // Time does not run backwards.
        let before = shown(&world.run);
        let past = Timestamp::from_millis(world.run.now().as_millis() - 1);
        assert!(world.run.record(Event::Cancelled { reason: Slot::known(Value::Null) }, past).is_err());
        assert_eq!(shown(&world.run), before);
    }
}

/// Everything of a run that events can change.
fn shown(run: &Run) -> String {
    let Run { plan: _, values, state, records, visits, tally, opened, now, final_output, outcome, waited } =
        run;
    format!(
        "{values:?}{state:?}{records:?}{visits:?}{tally:?}{opened}{now}{final_output:?}{outcome:?}{waited:?}"
    )
}

#[test]
fn a_withheld_proposal_hides_no_output() {
    let program = steps(json!([ask("m", json!({}))]));
    let run = Run::start(plan(&program), Map::new(), moment(0));
    let mut values = Values::new(run.plan(), None);
    let mut record = StepRecord::new(StepIndex(0), 1, moment(0), moment(0));
    record.output = Slot::known(json!({ "n": 1 }));
    record.proposal = Some(Slot::Withheld);
    values.store(run.program(), &record, None);
    let root = |values: &Values| {
        let scope = scope::RunScope { program: run.program(), values };
        ["$m.n", "$m.output.n", "$m.proposal"].map(|text| {
            let reference = crate::template::Reference::parse(text).expect("a reference");
            match reference.resolve(&scope) {
                crate::template::Resolved::Value(value) => value.to_string(),
                crate::template::Resolved::Absent => "absent".to_owned(),
                crate::template::Resolved::Withheld => "withheld".to_owned(),
            }
        })
    };
    assert_eq!(root(&values), ["1", "1", "withheld"]);
    (record.output, record.proposal) = (Slot::Withheld, Some(Slot::known(json!(2))));
    values.store(run.program(), &record, None);
    assert_eq!(root(&values), ["withheld", "withheld", "2"]);
    record.proposal = None;
    values.store(run.program(), &record, None);
    assert_eq!(root(&values), ["withheld"; 3]);
    assert!(matches!(
        scope::RunScope { program: run.program(), values: &values }.root("x"),
        crate::template::Root::Withheld
    ));
}

#[test]
fn large_programs_take_no_quadratic_time() {
    // Fifty thousand rounds of a block, and ten thousand sub-steps that each call: either of them
    // squared would not end while anybody waits.
    let rounds = json!({ "max_steps": 50_000, "steps": [
        block("p", json!([ask("x", json!({}))]), json!({ "next_step": "p" }))] });
    drain(Run::start(plan(&rounds), Map::new(), moment(0)), 50_000 * 2);
    let subs: Vec<Value> =
        (0..10_000).map(|at| ask(&format!("s{at}"), json!({ "allowed_tools": ["look"] }))).collect();
    let wide = steps(json!([block("p", json!(subs), json!({}))]));
    drain(Run::start(plan(&wide), Map::new(), moment(0)), 10_001);
    let long: Vec<Value> =
        (0..100_000).map(|at| ask(&format!("s{at}"), json!({ "prompt": "long" }))).collect();
    drain(Run::start(plan(&steps(json!(long))), Map::new(), moment(0)), 100_000);
}

fn drain(mut run: Run, records: usize) {
    let mut calls = VecDeque::new();
    loop {
        match run.next() {
            Next::Record(event) => run.record(event, run.now()).expect("its own events"),
            Next::Perform(action) => calls.push_back(action),
            Next::Await => match calls.pop_front().expect("something goes on") {
                Action::Ask(ask) => {
                    let text = if ask.prompt == "long" { "x" } else { r#"{"tool":"look"}"# };
                    let event =
                        run.judge(&ask, Reply::Text { text: text.into(), tokens: 0, estimated_tokens: 0 });
                    run.record(event, run.now()).expect("an answer");
                }
                Action::Call(call) => {
                    let place = call.place;
                    let args = Slot::known(call.args);
                    run.record(Event::Started { place, tool: call.tool, args }, run.now()).expect("a call");
                    let end = CallEnd::Success { output: Slot::known(json!(1)), recorded: false };
                    run.record(Event::Finished { place, end }, run.now()).expect("its end");
                }
            },
            Next::Suspended | Next::Ended => break,
        }
    }
    assert_eq!(run.records().len(), records);
}
