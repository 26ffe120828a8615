//! The receipt beyond the one that the tests of verification hold against a document: budgets,
//! rejected steps, and the signed form, of which no byte may change.

use serde_json::{Value, json};

use super::*;
use crate::dsse;
use crate::export::Role;
use crate::run::tests::world::{World, refused, signer, trust};
use crate::run::{Event, Settlement, Slot};
use crate::{PublicKey, Signer, TrustRoot, jcs};

fn one_tool(more: Value, script: Value) -> World {
    let mut program = json!({ "steps": [{ "id": "a", "type": "tool", "tool": "tell" }] });
    for (key, value) in more.as_object().into_iter().flatten() {
        program[key] = value.clone();
    }
    World::driven(&program, json!({}), script)
}

fn stranger() -> Signer {
    Signer::from_seed([8; 32])
}

fn both() -> TrustRoot {
    let keys: Vec<PublicKey> = trust().iter().cloned().chain([stranger().public().clone()]).collect();
    TrustRoot::new(keys)
}

#[test]
fn rejected_steps_and_retries_are_named() {
    let program = json!({ "steps": [
        { "id": "p", "type": "parallel", "parallel_steps": [
            { "id": "a", "type": "tool", "tool": "tell", "on_error": "retry" },
            { "id": "b", "type": "tool", "tool": "look" }] }] });
    let script = json!({
        "tell": [{ "fail": "unavailable" }, { "return": 1 }], "look": { "fail": "rejected" }
    });
    let receipt = Receipt::from(&World::driven(&program, json!({}), script).proved());
    let rejected: Vec<String> = receipt
        .rejected
        .iter()
        .map(|step| format!("{} {} {} {}", step.step, step.visit, step.kind, step.code))
        .collect();
    assert_eq!(rejected, ["b 1 step_failed rejected", "p 1 parallel_failed parallel_failed"]);
    assert_eq!((receipt.steps.retried, receipt.steps.retries, receipt.steps.failed), (1, 1, 2));
    assert!(receipt.replayable && !receipt.resumable);
}

#[test]
fn an_overrun_by_the_last_step_is_noted() {
    let ask = |limit: Value| {
        let mut program = json!({ "steps": [{ "id": "m", "type": "llm", "prompt": "say" }] });
        for (key, value) in limit.as_object().into_iter().flatten() {
            program[key] = value.clone();
        }
        let script = json!({ "m": { "text": "words", "tokens": 7, "estimated": 2 } });
        Receipt::from(&World::driven(&program, json!({}), script).proved()).budget
    };
    assert_eq!(ask(json!({ "max_tokens": 9 })).overruns, [""; 0]);
    assert_eq!(ask(json!({ "max_tokens": 8 })).overruns, ["max_tokens"]);
    assert_eq!(ask(json!({ "max_steps": 1 })).overruns, [""; 0]);
    let wall = ask(json!({ "max_wall_seconds": 0.0005 }));
    assert_eq!((wall.overruns, wall.limits.wall_ms), (vec!["max_wall_seconds"], Some(1)));
    assert_eq!(ask(json!({ "max_wall_seconds": 60 })).overruns, [""; 0]);
}

#[test]
fn disclosure_does_not_change_a_receipt() {
    for world in [
        one_tool(json!({ "max_steps": 3 }), json!({ "tell": { "return": [1] } })),
        one_tool(json!({}), json!({ "tell": { "fail": "rejected" } })),
    ] {
        let whole = Receipt::from(&world.proved());
        let (_, part) = world.handed.without(|content| !content.role.is_document()).verify(false);
        assert_eq!(Receipt::from(&part.expect("the program is disclosed")), whole);
        let (_, part) = world.handed.without(|content| content.role == Role::INPUT).verify(false);
        assert_eq!(Receipt::from(&part.expect("the program is disclosed")), whole);
    }
}

#[test]
fn a_signed_receipt_is_checked_byte_for_byte() {
    let trace = one_tool(json!({}), json!({ "tell": { "return": 1 } })).proved();
    let receipt = Receipt::from(&trace);
    let bytes = receipt.sign(&signer()).expect("the run's own key");
    assert_eq!(receipt.sign(&signer()).expect("the run's own key"), bytes, "signing again changes nothing");
    check(&bytes, &trace, &trust()).expect("the receipt of this evidence");

    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let fault = check(&changed, &trace, &trust()).expect_err("a changed byte");
        assert!(!matches!(fault, ReceiptFault::Untrusted(_)), "byte {at}: {fault}");
    }
    for cut in [0, 1, bytes.len() - 1] {
        assert!(matches!(check(&bytes[..cut], &trace, &trust()), Err(ReceiptFault::Form(_))));
    }
    let longer = [&bytes[..], b"\n"].concat();
    assert!(matches!(check(&longer, &trace, &trust()), Err(ReceiptFault::Form(_))));
}

#[test]
fn only_the_key_of_the_run_signs_its_receipt() {
    let trace = one_tool(json!({}), json!({ "tell": { "return": 1 } })).proved();
    let receipt = Receipt::from(&trace);
    assert!(matches!(receipt.sign(&stranger()), Err(Unsignable::OtherKey { .. })));
    let foreign = dsse::seal(&receipt.statement().expect("canonical"), &stranger());
    let key = stranger().public().key_id();
    assert_eq!(check(&foreign, &trace, &trust()), Err(ReceiptFault::Untrusted(key)));
    assert_eq!(check(&foreign, &trace, &both()), Err(ReceiptFault::OtherKey(key)));
}

#[test]
fn a_receipt_of_something_else_differs() {
    let trace = one_tool(json!({}), json!({ "tell": { "return": 1 } })).proved();
    let receipt = Receipt::from(&trace);
    let differs = |edit: &dyn Fn(&mut Value)| {
        let statement = receipt.statement().expect("canonical");
        let mut statement: Value = serde_json::from_slice(&statement).expect("JSON");
        edit(&mut statement);
        let bytes = dsse::seal(&jcs::canonical(&statement).expect("canonical"), &signer());
        match check(&bytes, &trace, &trust()) {
            Err(ReceiptFault::Differs { members }) => members.join(" "),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(differs(&|it| it["predicate"]["status"] = json!("failed")), "status");
    assert_eq!(differs(&|it| it["predicate"]["budget"]["tokens"] = json!(1)), "budget");
    assert_eq!(differs(&|it| it["predicate"]["more"] = json!(1)), "");
    assert_eq!(differs(&|it| it["subject"][0]["name"] = json!("run/other")), "");
    assert_eq!(differs(&|it| *it = json!({ "predicate": [] })), "");
    let plain = dsse::seal(b"no JSON", &signer());
    assert_eq!(check(&plain, &trace, &trust()), Err(ReceiptFault::Differs { members: Vec::new() }));
}

#[test]
fn a_receipt_from_before_the_run_went_on_says_so() {
    let program = json!({ "steps": [{ "id": "a", "type": "tool", "tool": "hold" }] });
    let mut world = World::driven(&program, json!({}), json!({ "hold": { "suspend": "wait" } }));
    let before = world.proved();
    let early = Receipt::from(&before);
    assert!(early.resumable && early.replayable && early.status == "suspended");
    let bytes = early.sign(&signer()).expect("the run's own key");
    check(&bytes, &before, &trust()).expect("the receipt of this evidence");
    world.happens(crate::run::Event::Resumed {
        payload: crate::run::Slot::known(json!(1)),
        source: crate::run::WebhookSource::Operator,
        check: None,
    });
    world.drive();
    let envelopes = early.envelopes;
    assert_eq!(check(&bytes, &world.proved(), &trust()), Err(ReceiptFault::Earlier { envelopes }));
}

#[test]
fn refused_runs_have_receipts_too() {
    let refused = refused(&json!({ "steps": [{ "id": "a", "type": "tool", "tool": "steal" }] }));
    let trace = refused.verify(true).1.expect("a trace");
    let receipt = Receipt::from(&trace);
    assert!(receipt.replayable && !receipt.blocked.is_empty() && receipt.signer.is_some());
    let bytes = receipt.sign(&signer()).expect("the run's own key");
    check(&bytes, &trace, &trust()).expect("the receipt of this evidence");
}

#[test]
fn calls_of_which_nobody_knows_the_end_are_named() {
    let unknown = |world: &World| {
        let receipt = Receipt::from(&world.proved());
        let calls = receipt.unknown_calls.iter().map(|call| format!("{} {}", call.step, call.tool));
        calls.collect::<Vec<_>>().join(", ")
    };
    let begun = |tool: &str| {
        let program =
            json!({ "steps": [{ "id": "a", "type": "tool", "tool": tool, "args": { "amount": 1 } }] });
        let mut world = World::new(&program, json!({}), json!({}));
        while !world.log.iter().any(|line| line.starts_with(tool)) {
            world.step();
        }
        world.restarted()
    };
    // An intent without a result; what only commits with its result did not happen.
    for (tool, told) in [("wire", "a wire"), ("post", "a post"), ("pay", ""), ("tell", "")] {
        let mut world = begun(tool);
        assert_eq!(unknown(&world), told);
        world.happens(Event::Cancelled { reason: Slot::known(Value::Null) });
        world.drive();
        assert_eq!(unknown(&world), told, "no end of a run settles a call");
    }
    // A result that says that nobody saw the end, and what somebody says of it then.
    for (settlement, told) in [
        (Settlement::Happened { output: Slot::known(json!(1)) }, ""),
        (Settlement::DidNotHappen, ""),
        (Settlement::Failed, "a pay"),
    ] {
        let program = json!({ "steps": [
            { "id": "p", "type": "parallel", "parallel_steps": [
                { "id": "a", "type": "tool", "tool": "pay", "args": { "amount": 1 } },
                { "id": "b", "type": "tool", "tool": "tell" }] }] });
        let script = json!({ "pay": [{ "fault": "trap" }, { "return": 1 }] });
        let mut world = World::driven(&program, json!({}), script);
        assert_eq!(unknown(&world), "a pay");
        world.happens(Event::Settled(settlement));
        world.drive();
        assert_eq!(unknown(&world), told, "{}", world.told());
        let receipt = Receipt::from(&world.proved());
        let answers: Vec<String> = receipt
            .answers
            .iter()
            .map(|it| format!("{} {} by {} as {:?}", it.step, it.how, it.by, it.entitled))
            .collect();
        assert_eq!(answers, ["a settled by local as Some(\"operator\")"]);
    }
}
