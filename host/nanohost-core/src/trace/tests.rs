//! Verification: honest runs of every shape pass, whatever part of them is disclosed; and a
//! process that holds the trusted key and signs nonsense is found out by the check that is named.

mod going_on;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::export::{self, Export};
use crate::receipt::Receipt;
use crate::run::tests::world::{Forgery, Handed, Order, World, failing, moment, refused, run_id, trust};
use crate::run::{Event, Slot, WebhookSource};

/// A program with everything in it.
fn everything() -> Value {
    json!({ "max_steps": 40, "max_stalled_steps": 3, "steps": [
        { "id": "look", "type": "tool", "args": { "q": "$q" }, "output_key": "seen" },
        { "id": "pay", "type": "tool", "args": { "amount": "$look.amount", "note": "for $who" }, "on_error": "retry" },
        { "id": "both", "type": "parallel", "max_concurrency": 2, "on_error": "skip", "parallel_steps": [
            { "id": "one", "type": "tool", "tool": "pay", "args": { "amount": 1 }, "output_key": "paid" },
            { "id": "two", "type": "tool", "tool": "look_too", "on_error": "skip" },
            { "id": "three", "type": "llm", "prompt": "say $seen.amount", "model": "fast", "on_error": "retry" }
        ]},
        { "id": "act", "type": "llm", "prompt": "$both.three", "system": "be $who",
          "allowed_tools": ["pay_too", "tell"], "on_error": "retry", "output_key": "acted" },
        { "id": "if", "type": "condition", "condition": "$acted == 'done' and $act.proposal.tool == 'tell'",
          "then": "wait", "otherwise": "end" },
        { "id": "wait", "type": "tool", "tool": "hold", "next_step": "judge" },
        { "id": "judge", "type": "llm", "prompt": "$wait", "allowed_outputs": ["yes", "no"], "on_error": "skip" },
        { "id": "end", "type": "tool", "tool": "tell", "args": { "all": ["$judge", "$__webhook__.by"] }, "outcome": "paid" }
    ]})
}

fn answers() -> Value {
    json!({
        "look": { "return": { "amount": 400, "rate": 0.1 } },
        "pay": [{ "fail": "unavailable" }, { "blocked": ["kv"], "return": "paid" }, { "return": 7 }],
        "look_too": { "fail": "rejected", "blocked": ["env"] },
        "three": [{ "fail": "unavailable", "tokens": 3 }, { "text": "words", "tokens": 2, "estimated": 1 }],
        "act": [{ "text": "{\"tool\":\"tell\",\"args\":{},\"x\":1}" }, { "text": "{\"tool\":\"tell\",\"args\":{\"x\":1}}" }],
        "tell": [{ "return": "done" }, { "echo": true }],
        "hold": { "suspend": "wait for a person" },
        "judge": { "text": "maybe" }
    })
}

fn inputs() -> Value {
    json!({ "q": [1, { "deep": null }], "who": "Ann" })
}

fn whole(order: Order) -> World {
    let mut world = World::new(&everything(), inputs(), answers());
    world.order = order;
    world.drive();
    assert!(world.run.suspension().is_some(), "{}", world.told());
    world.proved();
    world.happens(Event::Resumed {
        payload: Slot::known(json!({ "by": "Bob" })),
        source: WebhookSource::Operator,
        check: None,
    });
    world.drive();
    assert_eq!(
        world.told(),
        "look success, pay success +1, one success, two skipped(step_failed/rejected), three success +1, \
         both success, act success +1, if success, wait success, judge success substituted, end success, success"
    );
    world
}

/// Small honest runs of many shapes, with what they are good for.
fn shapes() -> Vec<(&'static str, World)> {
    let one = |script: Value| {
        let program = json!({ "steps": [
            { "id": "a", "type": "tool", "tool": "pay", "args": { "amount": "$n" }, "idempotency": "$key" },
            { "id": "b", "type": "tool", "tool": "tell", "args": { "x": "$a.id" }, "on_error": "skip" }]});
        World::driven(&program, json!({ "n": 5, "key": "k" }), script)
    };
    let guard = |condition: &str| {
        let program = json!({ "steps": [
            { "id": "a", "type": "tool", "tool": "tell" },
            { "id": "if", "type": "condition", "condition": condition, "then": "yes", "otherwise": "no" },
            { "id": "yes", "type": "tool", "tool": "tell" },
            { "id": "no", "type": "tool", "tool": "pay", "args": { "amount": "$a.n" } }]});
        World::driven(&program, json!({}), json!({ "tell": { "return": { "n": 3 } } }))
    };
    let stalled = |first: Value| {
        let program = json!({ "max_steps": 6, "max_stalled_steps": 2, "steps": [
            { "id": "a", "type": "tool", "tool": "tell", "output_key": "k", "next_step": "b" },
            { "id": "b", "type": "tool", "tool": "look", "next_step": "a" }]});
        World::driven(&program, json!({ "k": 1 }), json!({ "tell": first, "look": { "return": null } }))
    };
    let model = |rest: Value, script: Value| {
        let mut step = json!({ "id": "m", "type": "llm", "prompt": "$q and $q" });
        for (key, value) in rest.as_object().expect("keys") {
            step[key] = value.clone();
        }
        World::driven(&json!({ "steps": [step] }), json!({ "q": "x" }), json!({ "m": script }))
    };
    let mut open = World::new(&everything(), inputs(), answers());
    (0..9).all(|_| open.step());
    let mut cancelled = World::new(&everything(), inputs(), answers());
    (0..12).all(|_| cancelled.step());
    cancelled.happens(Event::Cancelled { reason: Slot::known(Value::Null) });
    cancelled.drive();
    let authority = |inner: Value| {
        let program = json!({ "steps": [{ "id": "p", "type": "parallel", "parallel_steps": [
            inner, { "id": "b", "type": "tool", "tool": "tell" }, { "id": "c", "type": "tool", "tool": "pay", "args": { "amount": "$n" } }]}]});
        World::driven(
            &program,
            json!({ "n": 900 }),
            json!({ "m": { "text": "{\"tool\":\"pay\",\"args\":{\"amount\":501}}" } }),
        )
    };
    let proposing = json!({ "allowed_tools": ["pay", "nobody"] });
    vec![
        ("whole", whole(Order::First)),
        ("whole, last first", whole(Order::Last)),
        ("plain", one(json!({ "pay": { "return": { "id": 1 } } }))),
        ("reused", one(json!({ "pay": { "recorded": { "id": 1 } } }))),
        ("unresolved and skipped", one(json!({}))),
        ("in doubt", one(json!({ "pay": { "fault": "trap" } }))),
        ("stub", one(json!({ "pay": { "stub": true } }))),
        ("then", guard("$a.n == 3")),
        ("otherwise", guard("$a.n == 4")),
        ("undecided", guard("$a.n == 3 and $a.n < 'x'")),
        ("stalled", stalled(json!({ "return": 1 }))),
        ("not stalled", stalled(json!([{ "return": 1 }, { "return": 2 }, { "return": 3 }]))),
        ("open", open),
        ("cancelled", cancelled),
        ("require", authority(json!({ "id": "a", "type": "tool", "tool": "tell" }))),
        (
            "injection in a block",
            authority(json!({ "id": "m", "type": "llm", "prompt": "?", "allowed_tools": ["pay"] })),
        ),
        ("model fails", model(json!({}), json!({ "fail": "down" }))),
        (
            "model hangs",
            model(
                json!({ "timeout_seconds": 1, "on_error": "retry" }),
                json!([{ "hang": true }, { "text": "x" }]),
            ),
        ),
        (
            "not allowed",
            model(json!({ "allowed_outputs": ["a"], "on_error": "retry" }), json!({ "text": "b" })),
        ),
        ("proposal malformed", model(proposing.clone(), json!({ "text": "{\"tool\":1}" }))),
        ("proposal of nobody", model(proposing.clone(), json!({ "text": "{\"tool\":\"nobody\"}" }))),
        ("proposal unlisted", model(proposing.clone(), json!({ "text": "{\"tool\":\"tell\"}" }))),
        (
            "proposal refused",
            model(proposing, json!({ "text": "{\"tool\":\"pay\",\"args\":{\"amount\":501}}" })),
        ),
        ("unresolved prompt", {
            let program = json!({ "steps": [{ "id": "m", "type": "llm", "prompt": "$nothing" }] });
            World::driven(&program, json!({}), json!({}))
        }),
    ]
}

fn refusal() -> Handed {
    refused(&json!({ "steps": [
        { "id": "a", "type": "tool", "tool": "steal" },
        { "id": "m", "type": "llm", "prompt": "?", "model": "nobody" }] }))
}

#[test]
fn honest_runs_pass() {
    for (name, world) in shapes() {
        let trace = world.proved();
        let receipt = Receipt::from(&trace);
        let expect = match (world.run.end(), world.run.suspension()) {
            (Some(end), _) => end.status.as_str(),
            (None, Some(_)) => "suspended",
            (None, None) => "open",
        };
        assert_eq!(receipt.status, expect, "{name}");
    }
    let (report, trace) = refusal().verify(true);
    assert!(report.is_good(), "{report:?}");
    let trace = trace.expect("a trace");
    assert!(trace.machine().is_none());
    assert_eq!(Receipt::from(&trace).blocked.len(), 2);
}

/// An honest run never fails, whatever is withheld; what is missing is missed where all has to be
/// there.
#[test]
fn whatever_is_withheld_honest_runs_pass() {
    for (name, world) in shapes().into_iter().skip(1) {
        let handed = &world.handed;
        let roles: BTreeSet<&Role> = handed.contents.iter().map(|content| &content.role).collect();
        let roles: Vec<&Role> = roles.into_iter().collect();
        for hidden in 0..1_u32 << roles.len() {
            let hides = |role: &Role| {
                let at = roles.iter().position(|known| *known == role).expect("a role of this run");
                hidden & (1 << at) != 0
            };
            let part = handed.without(|content| hides(&content.role));
            let (report, trace) = part.verify(false);
            assert_eq!(report.fault, None, "{name} without {hidden:b} of {roles:?}");
            assert_eq!(trace.is_some(), !hides(&Role::ADMISSION), "{name}");
            if hidden.count_ones() == 1 {
                let (report, _) = part.verify(true);
                let fault = report.fault.expect("something is missing");
                assert_eq!((fault.kind, fault.check), (FaultKind::Truncated, CheckName::Commitments));
            }
        }
        // One value at a time, and all but one.
        for kept in 0..handed.contents.len() {
            let only = &handed.contents[kept];
            let others = |content: &Content| content != only && content.role != Role::ADMISSION;
            for part in [handed.without(|content| content == only), handed.without(others)] {
                let (report, _) = part.verify(false);
                assert_eq!(report.fault, None, "{name}, {only:?}");
            }
        }
    }
    let refusal = refusal();
    for hidden in 0..16_u32 {
        let roles = [Role::ADMISSION, Role::INPUT, Role::SEED, Role::DENIED];
        let hides = |content: &Content| {
            hidden & 1 << roles.iter().position(|role| *role == content.role).expect("known") != 0
        };
        assert_eq!(refusal.without(hides).verify(false).0.fault, None);
    }
}

#[track_caller]
fn caught(handed: &Handed, check: CheckName, what: &str) {
    let (report, trace) = handed.verify(false);
    assert!(trace.is_none(), "{what} passes");
    let fault = report.fault.clone().unwrap_or_else(|| panic!("{what}: no fault"));
    assert_eq!(fault.check, check, "{what}: {fault}");
    assert_eq!(failing(&report).len(), 1, "{what}");
}

fn forged(name: &str, forge: impl Fn(&mut Forgery), check: CheckName) {
    forged_of(&whole(Order::Last), name, forge, check);
}

#[track_caller]
fn forged_of(world: &World, name: &str, forge: impl Fn(&mut Forgery), check: CheckName) {
    let mut forgery = world.handed.forge();
    forge(&mut forgery);
    caught(&forgery.seal(), check, name);
}

#[test]
fn a_forger_changes_nothing_and_passes() {
    for (name, world) in shapes() {
        let again = world.handed.forge().seal();
        assert!(again.envelopes == world.handed.envelopes, "{name}");
    }
}

#[test]
fn structure_is_judged_also_where_nothing_is_disclosed() {
    let world = whole(Order::First);
    let last = world.handed.envelopes.len() - 1;
    let late = |name: &str, at: usize, change: &dyn Fn(&mut Value), check: CheckName| {
        let handed = world.handed.forge().seal_with(|seq, payload| {
            if seq == at {
                change(payload);
            }
        });
        caught(&handed, check, name);
        caught(&handed.without(|_| true), check, name);
    };
    let other = "0".repeat(64);
    late("prev", last, &|it| it["predicate"]["run"]["prev"] = other.clone().into(), CheckName::Chain);
    late("state", last, &|it| it["predicate"]["run"]["state"] = other.clone().into(), CheckName::Chain);
    late("plan", last, &|it| it["predicate"]["run"]["plan"] = other.clone().into(), CheckName::Chain);
    late(
        "no plan",
        last,
        &|it| drop(it["predicate"]["run"].as_object_mut().expect("run").remove("plan")),
        CheckName::Chain,
    );
    late("program", last, &|it| it["predicate"]["run"]["program"] = other.clone().into(), CheckName::Chain);
    late("anchor", last, &|it| it["subject"][0]["digest"]["sha256"] = other.clone().into(), CheckName::Chain);
    late("count", last, &|it| it["predicate"]["close"]["count"] = 7.into(), CheckName::Closed);
    late("time", last, &|it| it["predicate"]["time"] = moment(1).to_string().into(), CheckName::Chain);
    late("seq", last, &|it| it["predicate"]["run"]["seq"] = 99.into(), CheckName::Sequence);
    late(
        "another run",
        last,
        &|it| {
            let id = "0".repeat(32);
            it["predicate"]["run"]["id"] = id.clone().into();
            it["subject"][0]["name"] = format!("run/{id}").into();
        },
        CheckName::Sequence,
    );
    let mut twice = world.handed.clone();
    twice.envelopes.push(twice.envelopes[last].clone());
    caught(&twice, CheckName::Sequence, "the end twice");
    let mut swapped = world.handed.clone();
    swapped.envelopes.swap(3, 4);
    caught(&swapped, CheckName::Sequence, "two swapped");
    let mut cut = world.handed.clone();
    cut.envelopes.remove(4);
    caught(&cut, CheckName::Sequence, "one missing");
    let mut headless = world.handed.clone();
    headless.envelopes.remove(0);
    caught(&headless, CheckName::Sequence, "no beginning");
    caught(&Handed { envelopes: Vec::new(), contents: Vec::new() }, CheckName::Sequence, "nothing");

    forged(
        "after the end",
        |it| {
            let mut copy = it.payloads[3].clone();
            copy["predicate"]["time"] = it.payloads[it.payloads.len() - 1]["predicate"]["time"].clone();
            it.payloads.push(copy);
        },
        CheckName::Closed,
    );
    forged(
        "a second opening",
        |it| {
            let copy = it.payloads[0].clone();
            it.insert(2, copy);
        },
        CheckName::Canonical,
    );
    forged(
        "a second table",
        |it| {
            let copy = it.payloads[1].clone();
            it.insert(5, copy);
        },
        CheckName::Canonical,
    );
    forged("no table", |it| it.remove(1), CheckName::Chain);
    forged("no opening", |it| it.remove(0), CheckName::Canonical);
}

#[test]
fn members_of_other_kinds_are_refused() {
    let world = whole(Order::First);
    let count = world.handed.envelopes.len();
    let source = world.handed.forge();
    let mut tried = 0;
    for member in [
        "host",
        "signer",
        "policies",
        "step",
        "call",
        "model",
        "models",
        "authority",
        "used",
        "usage",
        "denials",
        "failure",
        "close",
    ] {
        let donor = source.payloads.iter().find_map(|payload| payload["predicate"].get(member)).cloned();
        let donor = match (member, donor) {
            ("used", _) => json!([{ "capability": "kv", "scope": "x", "operations": 1, "bytes": 1 }]),
            ("usage", _) => json!({ "fuel": 1, "peakMemory": 1, "wallMs": 1 }),
            (_, donor) => donor.unwrap_or_else(|| panic!("nothing has {member}")),
        };
        for at in 0..count {
            let mut forgery = world.handed.forge();
            let predicate = forgery.predicate(at);
            let kind = predicate["kind"].clone();
            let used = matches!(member, "used" | "usage")
                && (kind == "result" || kind == "denied" && predicate["step"]["event"] == "denied");
            // What a call used and cost is for the host to say.
            if predicate.get(member).is_some() || used {
                continue;
            }
            // Failures and commitments move with their subjects; without these they are no form.
            let mut donor = donor.clone();
            if let Some(fields) = donor.as_object_mut() {
                fields.remove("message");
            }
            predicate[member] = donor;
            caught(&forgery.seal(), CheckName::Canonical, &format!("{member} in {at} ({kind})"));
            tried += 1;
        }
    }
    assert!(tried > 200);
}

#[test]
fn admission_is_repeated() {
    forged(
        "another table digest",
        |it| {
            let other = "1".repeat(64);
            for payload in &mut it.payloads[1..] {
                payload["predicate"]["run"]["plan"] = other.clone().into();
            }
        },
        CheckName::Admission,
    );
    forged(
        "a row more",
        |it| {
            let mut row = it.predicate(1)["authority"][0].clone();
            row["tool"] = "zz".into();
            it.predicate(1)["authority"].as_array_mut().expect("rows").push(row);
        },
        CheckName::Admission,
    );
    forged(
        "a grant more",
        |it| {
            it.predicate(1)["authority"][0]["granted"].as_array_mut().expect("grants").push("kv gold".into());
        },
        CheckName::Admission,
    );
    forged(
        "a model less",
        |it| drop(it.predicate(1).as_object_mut().expect("a plan").remove("models")),
        CheckName::Admission,
    );
    for (member, value) in [
        ("alias", json!("faster")),
        ("host", json!("https://api.example.org:443")),
        ("name", json!("m-2")),
        ("params", json!({ "temperature": "0.5", "seed": 8 })),
        ("pii", json!("never")),
    ] {
        forged(member, |it| it.predicate(1)["models"][0][member] = value.clone(), CheckName::Admission);
    }
    forged(
        "a policy less",
        |it| it.predicate(0)["policies"] = json!([{ "digest": "2".repeat(64), "trusted": true }]),
        CheckName::Admission,
    );
    forged(
        "a policy trusted",
        |it| it.predicate(0)["policies"][0]["trusted"] = false.into(),
        CheckName::Admission,
    );
    let record = |it: &Forgery| {
        let content = it.contents.iter().find(|content| content.role == Role::ADMISSION).expect("a record");
        serde_json::from_slice::<Value>(&content.bytes).expect("JSON")
    };
    let admitted = |name: &str, change: &dyn Fn(&mut Value)| {
        forged(
            name,
            |it| {
                let mut said = record(it);
                change(&mut said);
                it.commit(0, &Role::ADMISSION, &said);
            },
            CheckName::Admission,
        );
    };
    admitted("another program", &|it| it["program"]["text"] = json!("{\"steps\":[]}"));
    admitted("another moment", &|it| it["today"] = moment(-1).to_string().into());
    admitted("another policy", &|it| it["policies"][0]["source"]["text"] = "".into());
    admitted("another manifest", &|it| {
        let text = it["tools"][0]["manifest"]["text"].as_str().expect("text").replace("pure", "external");
        it["tools"][0]["manifest"]["text"] = text.into();
    });
    admitted("another component", &|it| it["tools"][0]["facts"]["component"] = "3".repeat(64).into());
    admitted("a tool less", &|it| drop(it["tools"].as_array_mut().expect("tools").remove(0)));
    admitted("no record", &|it| *it = json!({}));
    admitted("more in the record", &|it| it["more"] = 1.into());
    // References in a schema could double until nobody is left to wait for the verdict.
    admitted("a schema that refers", &|it| {
        let mut defs = serde_json::Map::new();
        for at in 0..60 {
            let next = json!({ "$ref": format!("#/$defs/a{}", at + 1) });
            defs.insert(format!("a{at}"), json!({ "allOf": [next, next] }));
        }
        defs.insert("a60".into(), json!({ "type": "object" }));
        for tool in it["tools"].as_array_mut().expect("tools") {
            tool["facts"]["exports"][0]["input"] = json!({ "$defs": defs, "$ref": "#/$defs/a0" });
        }
    });

    let refusal = refusal();
    let refuse = |name: &str, change: &dyn Fn(&mut Forgery), check: CheckName| {
        let mut forgery = refusal.forge();
        change(&mut forgery);
        caught(&forgery.seal(), check, name);
    };
    for (member, value) in [
        ("code", "forbidden"),
        ("capability", "env"),
        ("rule", "mine"),
        ("culprit", "model"),
        ("tool", "tell"),
    ] {
        refuse(member, &|it| it.predicate(1)["denials"][0][member] = value.into(), CheckName::Admission);
    }
    refuse(
        "a model that a tool asks",
        &|it| it.predicate(1)["denials"][1]["tool"] = "tell".into(),
        CheckName::Canonical,
    );
    refuse(
        "another class",
        &|it| it.predicate(1)["denials"][0]["capability"] = "model".into(),
        CheckName::Canonical,
    );
    refuse(
        "a gap more",
        &|it| {
            let mut more = it.predicate(1)["denials"][0].clone();
            more.as_object_mut().expect("a denial").remove("value");
            it.predicate(1)["denials"].as_array_mut().expect("gaps").push(more);
        },
        CheckName::Admission,
    );
    refuse("another end", &|it| it.predicate(2)["close"]["status"] = "success".into(), CheckName::Admission);
    refuse(
        "another reason",
        &|it| it.predicate(2)["close"]["error"] = "stalled".into(),
        CheckName::Admission,
    );
    refuse("no refusal", &|it| it.remove(1), CheckName::Admission);
    refuse("another value", &|it| it.commit(1, &Role::DENIED, &json!(["silver"])), CheckName::Admission);
}

#[test]
fn a_model_is_the_one_of_the_table() {
    let scripted = |it: &Forgery, is: bool| {
        it.payloads
            .iter()
            .position(|it| {
                it["predicate"]["model"].is_object() && (it["predicate"]["model"]["host"] == "local") == is
            })
            .expect("an attempt")
    };
    for (member, value) in [
        ("host", json!("https://api.example.org:443")),
        ("host", json!("https://api.example.com")),
        ("host", json!("local")),
        ("name", json!("m-2")),
        ("name", json!("scripted")),
        ("params", json!({})),
        ("params", json!({ "temperature": "0.5" })),
        ("params", json!({ "temperature": "0.5", "seed": 7, "max_tokens": 1 })),
    ] {
        let what = format!("{member} is {value}");
        for of_scripted in [false, true] {
            let same = of_scripted && matches!(value.as_str(), Some("local" | "scripted"));
            // Empty parameters are left out: written, they are another form.
            if same || value == json!({}) && of_scripted {
                continue;
            }
            forged(
                &what,
                |it| {
                    let at = scripted(it, of_scripted);
                    it.predicate(at)["model"][member] = value.clone();
                },
                CheckName::Authority,
            );
        }
    }
    forged(
        "no parameters",
        |it| {
            let at = scripted(it, false);
            it.predicate(at)["model"].as_object_mut().expect("a model").remove("params");
        },
        CheckName::Authority,
    );
    for (member, value) in [
        ("params", json!({ "stop": "x" })),
        ("params", json!({ "seed": "7" })),
        ("cost", json!("-1")),
        ("cost", json!("0.10")),
        ("cost", json!("free")),
        ("cost", json!(1)),
        ("key", json!("sk-1")),
    ] {
        forged(
            member,
            |it| {
                let at = scripted(it, false);
                it.predicate(at)["model"][member] = value.clone();
            },
            CheckName::Canonical,
        );
    }
    // What it cost is the server's word, as tokens are.
    let mut honest = whole(Order::Last).handed.forge();
    let at = scripted(&honest, false);
    assert_eq!(honest.predicate(at)["model"]["cost"], "0.25");
    honest.predicate(at)["model"]["cost"] = "0.3".into();
    assert!(honest.seal().verify(true).0.is_good());
}

#[test]
fn transitions_are_taken_again() {
    let transitions = CheckName::Transitions;
    forged("an effect without intent", |it| it.remove(it.find("started")), transitions);
    forged(
        "a result without a call",
        |it| {
            let at = it.find("started");
            it.remove(at);
            let result =
                it.payloads.iter().position(|it| it["predicate"]["call"]["tool"] == "pay").expect("pays");
            it.remove(result);
        },
        transitions,
    );
    forged("a step passed over", |it| it.remove(2), transitions);
    forged(
        "a branch not taken",
        |it| {
            let at = it.find("then");
            it.predicate(at)["step"]["event"] = "otherwise".into();
            it.predicate(at)["step"]["to"] = "step:end".into();
        },
        transitions,
    );
    for event in
        ["finished", "started", "answered", "then", "joined", "blocked", "denied", "resumed:OPERATOR"]
    {
        for (member, value) in [
            ("to", json!("step:end")),
            ("from", json!("step:end")),
            ("visit", json!(3)),
            ("attempt", json!(3)),
            ("visit", json!(u32::MAX)),
            ("attempt", json!(u32::MAX)),
            ("id", json!("end")),
        ] {
            forged(
                &format!("{member} of {event}"),
                |it| {
                    let at = it.find(event);
                    it.predicate(at)["step"][member] = value.clone();
                },
                transitions,
            );
        }
    }
    forged("no step of that name", |it| it.predicate(2)["step"]["id"] = "nobody".into(), transitions);
    forged(
        "another status",
        |it| {
            let last = it.payloads.len() - 1;
            it.predicate(last)["close"]["status"] = "failed".into();
        },
        transitions,
    );
    forged(
        "a failed step",
        |it| {
            let last = it.payloads.len() - 1;
            it.predicate(last)["close"]["step"] = "end".into();
        },
        transitions,
    );
    forged(
        "another source",
        |it| {
            let at = it.find("resumed:OPERATOR");
            it.predicate(at)["step"]["event"] = "resumed:NOBODY".into();
        },
        transitions,
    );
    forged(
        "an end too early",
        |it| {
            let close = it.payloads.pop().expect("an end");
            it.payloads.truncate(6);
            it.contents.retain(|content| content.seq < 6);
            it.payloads.push(close);
        },
        transitions,
    );
    forged(
        "another model",
        |it| {
            let at = it.find("answered");
            it.predicate(at)["model"]["alias"] = "better".into();
        },
        transitions,
    );
    forged(
        "another verdict",
        |it| {
            let at = it.payloads.iter().position(|it| it["predicate"]["model"]["verdict"] == "not-allowed");
            it.predicate(at.expect("one"))["model"]["verdict"] = "accepted".into();
        },
        transitions,
    );
    forged(
        "a refusal of another kind",
        |it| {
            let at = it.find("denied");
            it.predicate(at)["denials"][0]["code"] = "authority".into();
        },
        transitions,
    );
    forged(
        "a refusal by another rule",
        |it| {
            let at = it.find("denied");
            it.predicate(at)["denials"][0]["rule"] = "mine".into();
        },
        transitions,
    );
    forged(
        "a block by the program",
        |it| {
            let at = it.find("blocked");
            it.predicate(at)["denials"][0]["culprit"] = "program".into();
        },
        transitions,
    );
    forged(
        "an external call that is tried again unseen",
        |it| {
            let at = it.payloads.iter().position(|it| it["predicate"]["failure"]["code"] == "unavailable");
            it.predicate(at.expect("one"))["failure"]["kind"] = "tool_timeout".into();
        },
        transitions,
    );
}

#[test]
fn values_are_judged_where_they_are_known() {
    let transitions = CheckName::Transitions;
    let changed = |name: &str, event: &'static str, role: Role, value: Value| {
        forged(name, |it| it.commit(it.find(event), &role, &value), transitions);
    };
    changed(
        "other arguments with an effect",
        "started",
        Role::INPUT,
        json!({ "amount": 4, "note": "for Ann" }),
    );
    changed("other arguments", "finished", Role::INPUT, json!({ "q": 1 }));
    changed("another prompt", "answered", Role::PROMPT, json!("say 401"));
    changed("a prompt that is no text", "answered", Role::PROMPT, json!(7));
    changed("inputs that are no table", "run-open", Role::INPUT, json!([]));
    changed(
        "an input of the host's own",
        "run-open",
        Role::INPUT,
        json!({ "q": 1, "who": "Ann", "__webhook__": 1 }),
    );
    changed("other inputs", "run-open", Role::INPUT, json!({ "q": [1, { "deep": null }], "who": "Eve" }));
    changed("another output", "finished", Role::OUTPUT, json!({ "amount": 300 }));
    changed("another answer", "resumed:OPERATOR", Role::EVENT, json!({ "by": "Eve" }));
    forged(
        "another answer of a model",
        |it| {
            let at = it.payloads.iter().position(|it| it["predicate"]["model"]["verdict"] == "not-allowed");
            it.commit(at.expect("one"), &Role::ANSWER, &json!("yes"));
        },
        transitions,
    );
    forged(
        "a value in another form",
        |it| {
            let content = it.contents.iter_mut().find(|content| content.role == Role::OUTPUT).expect("one");
            let (seq, before) = (content.seq as usize, content.commitment().to_string());
            content.bytes.push(b' ');
            let after = content.commitment().to_string();
            let text = it.payloads[seq].to_string().replace(&before, &after);
            it.payloads[seq] = serde_json::from_str(&text).expect("JSON");
        },
        CheckName::Commitments,
    );
    forged(
        "a value with a key twice",
        |it| {
            let content = it.contents.iter_mut().find(|content| content.role == Role::OUTPUT).expect("one");
            let (seq, before) = (content.seq as usize, content.commitment().to_string());
            content.bytes = b"{\"amount\":400,\"amount\":400}".to_vec();
            let after = content.commitment().to_string();
            let text = it.payloads[seq].to_string().replace(&before, &after);
            it.payloads[seq] = serde_json::from_str(&text).expect("JSON");
        },
        CheckName::Commitments,
    );
    let mut other = whole(Order::First).handed;
    other.contents[3].bytes = b"1".to_vec();
    caught(&other, CheckName::Commitments, "a value that nobody committed to");
    let mut more = whole(Order::First).handed;
    let mut content = more.contents[0].clone();
    content.seq = 4000;
    more.contents.push(content);
    caught(&more, CheckName::Commitments, "a value of no envelope");
}

/// Nobody evades the judgement of values by never committing to them.
#[test]
fn values_have_to_be_committed_to() {
    for (event, role, path) in [
        ("run-open", Role::INPUT, None),
        ("run-open", Role::ADMISSION, None),
        ("started", Role::INPUT, Some(("call", "input"))),
        ("finished", Role::OUTPUT, Some(("call", "output"))),
        ("resumed:OPERATOR", Role::EVENT, None),
    ] {
        forged(
            &format!("{event} without {role}"),
            |it| {
                let at = it.find(event);
                let name = format!("/{role}");
                let subjects = it.payloads[at]["subject"].as_array_mut().expect("subjects");
                subjects.retain(|subject| !subject["name"].as_str().expect("a name").ends_with(&name));
                if let Some((member, field)) = path {
                    it.predicate(at)[member].as_object_mut().expect("a member").remove(field);
                }
                it.contents.retain(|content| content.seq != at as u64 || content.role != role);
            },
            CheckName::Canonical,
        );
    }
    forged(
        "an answer of no answer",
        |it| {
            let at = it.find("answered");
            let at = (at..it.payloads.len())
                .find(|at| it.payloads[*at]["predicate"]["model"]["answer"].is_string());
            let at = at.expect("an answer");
            let subjects = it.payloads[at]["subject"].as_array_mut().expect("subjects");
            subjects.retain(|subject| !subject["name"].as_str().expect("a name").ends_with("/answer"));
            it.predicate(at)["model"].as_object_mut().expect("a model").remove("answer");
            it.contents.retain(|content| content.seq != at as u64 || content.role != Role::ANSWER);
        },
        CheckName::Transitions,
    );
}

/// What the world answered stands where a call ended that was really made, and nowhere else.
#[test]
fn answers_belong_to_calls_that_were_made() {
    let answers = json!({ "format": "nanohost/answers/v1", "cut": false, "answers": [] });
    let add = |it: &mut Forgery, at: usize| {
        let name = format!("run/{}/{at}/answers", run_id());
        let subject = json!({ "digest": { "nanohostCommitV1": "0".repeat(64) }, "name": name });
        it.payloads[at]["subject"].as_array_mut().expect("subjects").insert(1, subject);
        let content = Content {
            seq: at as u64,
            role: Role::ANSWERS,
            encoding: crate::Encoding::Json,
            salt: crate::Salt::from_bytes([3; 32]),
            bytes: answers.to_string().into_bytes(),
        };
        let commitment = content.commitment().to_string();
        it.payloads[at]["subject"][1]["digest"]["nanohostCommitV1"] = commitment.into();
        let subjects = it.payloads[at]["subject"].as_array_mut().expect("subjects");
        subjects[1..].sort_by_key(|subject| subject["name"].to_string());
        it.contents.push(content);
        it.contents.sort_by(|a, b| (a.seq, &a.role).cmp(&(b.seq, &b.role)));
    };
    let mut forgery = whole(Order::First).handed.forge();
    let at = forgery.find("finished");
    add(&mut forgery, at);
    let handed = forgery.seal();
    assert_eq!(handed.verify(false).0.fault, None, "at the end of a call");
    let mut changed = whole(Order::First).handed.forge();
    add(&mut changed, at);
    let mut changed = changed.seal();
    let content = changed.contents.iter_mut().find(|content| content.role == Role::ANSWERS).expect("one");
    content.bytes = content.bytes.iter().map(|byte| if *byte == b'f' { b'g' } else { *byte }).collect();
    caught(&changed, CheckName::Commitments, "answers that nobody gave");
    for event in ["started", "answered", "resumed:OPERATOR"] {
        forged(
            &format!("answers of {event}"),
            |it| {
                let at = it.find(event);
                add(it, at);
            },
            CheckName::Canonical,
        );
    }
}

#[test]
fn authority_is_that_of_the_row() {
    let authority = CheckName::Authority;
    for event in ["started", "finished"] {
        for (member, value) in [
            ("component", json!("4".repeat(64))),
            ("export", json!("g")),
            ("effect", json!("idempotent")),
            ("tool", json!("tell")),
        ] {
            forged(
                &format!("{member} of {event}"),
                |it| {
                    let at = it.find(event);
                    it.predicate(at)["call"][member] = value.clone();
                },
                authority,
            );
        }
        forged(
            "a row more",
            |it| {
                let at = it.find(event);
                let row = it.predicate(at)["authority"][0].clone();
                it.predicate(at)["authority"].as_array_mut().expect("rows").push(row);
            },
            authority,
        );
        forged(
            "no row",
            |it| {
                let at = it.find(event);
                it.predicate(at).as_object_mut().expect("a predicate").remove("authority");
            },
            authority,
        );
        forged(
            "a grant more",
            |it| {
                let at = it.find(event);
                it.predicate(at)["authority"][0]["granted"] = json!(["kv gold"]);
            },
            authority,
        );
    }
    // The row may be right and the tool another one.
    forged(
        "a result of another tool",
        |it| {
            let row = |it: &Forgery, tool: &str| {
                let rows = it.payloads[1]["predicate"]["authority"].as_array().expect("rows").clone();
                rows.into_iter().find(|row| row["tool"] == tool).expect("a row")
            };
            let row = row(it, "pay_too");
            let at = it.payloads.iter().position(|it| {
                it["predicate"]["kind"] == "result" && it["predicate"]["call"]["tool"] == "pay"
            });
            let predicate = it.predicate(at.expect("a result"));
            predicate["call"]["tool"] = "pay_too".into();
            predicate["call"]["component"] = row["component"].clone();
            predicate["authority"] = json!([row]);
        },
        CheckName::Transitions,
    );
}

/// What a run may skip with a recorded result it may skip only where its step says so.
#[test]
fn recorded_results_need_a_key() {
    let transitions = CheckName::Transitions;
    let recorded = |it: &mut Forgery, at: usize, input: Value| {
        let call = &mut it.predicate(at)["call"];
        call["result"] = "recorded".into();
        call["recorded"] = format!("run/{}/3", run_id()).into();
        call["input"] = input;
    };
    forged(
        "recorded, in place of an effect",
        |it| {
            let at = it.find("started");
            let intent = it.payloads[at].clone();
            let (mut subject, mut content) = (
                intent["subject"][1].clone(),
                it.contents.iter().find(|content| content.seq == at as u64).cloned().expect("arguments"),
            );
            it.remove(at);
            let at = it
                .payloads
                .iter()
                .position(|it| {
                    it["predicate"]["call"]["result"] == "success" && it["predicate"]["call"]["tool"] == "pay"
                })
                .expect("a result");
            subject["name"] = format!("run/{}/{at}/input", run_id()).into();
            content.seq = at as u64;
            it.contents.push(content);
            it.payloads[at]["subject"].as_array_mut().expect("subjects").insert(1, subject);
            recorded(it, at, intent["predicate"]["call"]["input"].clone());
        },
        transitions,
    );
    let (_, reused) = shapes().swap_remove(3);
    reused.proved();
    forged_of(
        &reused,
        "for other arguments",
        |it| it.commit(2, &Role::INPUT, &json!({ "amount": 6 })),
        transitions,
    );
    forged_of(
        &reused,
        "without its arguments",
        |it| {
            it.predicate(2)["call"].as_object_mut().expect("a call").remove("input");
            it.payloads[2]["subject"].as_array_mut().expect("subjects").remove(1);
            it.contents.retain(|content| content.seq != 2 || content.role != Role::INPUT);
        },
        CheckName::Canonical,
    );
}

/// What is known decides, however much beside it is withheld.
#[test]
fn withheld_values_hide_only_themselves() {
    let program = json!({ "steps": [
        { "id": "secret", "type": "tool", "tool": "look" },
        { "id": "open", "type": "tool", "tool": "tell" },
        { "id": "pay", "type": "tool", "args": { "amount": "$open", "note": ["$secret", "to $secret for $open!"] } },
        { "id": "m", "type": "llm", "prompt": "amount $open, secret $secret, amount $open." },
        { "id": "if", "type": "condition", "condition": "$open == 5 or $secret", "then": "a", "otherwise": "b" },
        { "id": "a", "type": "tool", "tool": "tell", "next_step": "maybe" },
        { "id": "b", "type": "tool", "tool": "tell", "next_step": "maybe" },
        { "id": "maybe", "type": "condition", "condition": "$secret == 's'", "then": "c", "otherwise": "d" },
        { "id": "c", "type": "tool", "tool": "tell" },
        { "id": "d", "type": "tool", "tool": "tell" }
    ]});
    let world =
        World::driven(&program, json!({}), json!({ "look": { "return": "s" }, "tell": { "return": 5 } }));
    world.proved();
    let secret = |content: &Content| content.seq == 2 && content.role == Role::OUTPUT;
    assert_eq!(world.handed.without(secret).verify(false).0.fault, None);
    let forge = |change: &dyn Fn(&mut Forgery)| {
        let mut forgery = world.handed.forge();
        change(&mut forgery);
        forgery.seal().without(secret)
    };
    let args = |it: &mut Forgery, value: Value| it.commit(it.find("started"), &Role::INPUT, &value);
    for (note, good) in [
        (json!({ "amount": 5, "note": ["x", "to x for 5!"] }), true),
        (json!({ "amount": 5, "note": [{}, "to anyone for 5!"] }), true),
        (json!({ "amount": 6, "note": ["s", "to s for 5!"] }), false),
        (json!({ "amount": 5, "note": ["s", "to s for 6!"] }), false),
        (json!({ "amount": 5, "note": ["s", "from s for 5!"] }), false),
        (json!({ "amount": 5, "note": ["s"] }), false),
        (json!({ "amount": 5 }), false),
    ] {
        let handed = forge(&|it| args(it, note.clone()));
        match good {
            true => assert_eq!(handed.verify(false).0.fault, None, "{note}"),
            false => caught(&handed, CheckName::Transitions, &note.to_string()),
        }
    }
    for (prompt, good) in [
        ("amount 5, secret anything, amount 5.", true),
        ("amount 5, secret , amount 5.", true),
        ("amount 5, secret s, amount 6.", false),
        ("amount 5, secrets, amount 5.", false),
        ("amount 5, secret s, amount 5. And more", false),
    ] {
        let handed = forge(&|it| it.commit(it.find("answered"), &Role::PROMPT, &json!(prompt)));
        match good {
            true => assert_eq!(handed.verify(false).0.fault, None, "{prompt}"),
            false => caught(&handed, CheckName::Transitions, prompt),
        }
    }
    let turned = |it: &mut Forgery, at: usize, to: &str| {
        it.predicate(at)["step"]["event"] = "otherwise".into();
        it.predicate(at)["step"]["to"] = format!("step:{to}").into();
    };
    // Decided by what is known.
    caught(&forge(&|it| turned(it, it.find("then"), "b")), CheckName::Transitions, "the other branch");
    // Decided by what is withheld: shape only, and the report says so.
    let handed = forge(&|it| {
        let at = it.payloads.iter().rposition(|it| it["predicate"]["step"]["event"] == "then").expect("one");
        turned(it, at, "d");
        for payload in &mut it.payloads[at + 1..] {
            let step = &mut payload["predicate"]["step"];
            if step["id"] == "c" {
                (step["id"], step["from"]) = ("d".into(), "step:d".into());
            }
        }
    });
    let (report, _) = handed.verify(false);
    assert_eq!(report.fault, None);
    let told = report.checks.iter().find(|check| check.name == CheckName::Transitions).expect("a check");
    assert!(told.detail.contains("shape only"), "{}", told.detail);
    assert!(report.withheld > 0 && report.is_good() && report.is_partial());
}

/// A stall that withheld values hide cannot be claimed where it cannot be.
#[test]
fn stalls_are_bounded_where_they_are_hidden() {
    let program = json!({ "max_steps": 9, "max_stalled_steps": 4, "steps": [
        { "id": "a", "type": "tool", "tool": "tell", "next_step": "b" },
        { "id": "b", "type": "tool", "tool": "look", "next_step": "a" }]});
    let world =
        World::driven(&program, json!({}), json!({ "tell": { "return": 1 }, "look": { "return": 2 } }));
    assert!(world.told().ends_with("stalled(stalled)"), "{}", world.told());
    let outputs = |content: &Content| content.role == Role::OUTPUT;
    assert_eq!(world.handed.without(outputs).verify(false).0.fault, None);
    let steps = world.handed.envelopes.len() - 3;
    for kept in 1..steps {
        let mut forgery = world.handed.forge();
        let close = forgery.payloads.pop().expect("an end");
        forgery.payloads.truncate(2 + kept);
        forgery.contents.retain(|content| content.seq < 2 + kept as u64);
        let last = forgery.payloads.len() - 1;
        forgery.predicate(last)["step"]["to"] = "closing".into();
        forgery.payloads.push(close);
        let handed = forgery.seal();
        caught(&handed, CheckName::Transitions, "a stall that is none");
        // The first step never counts; the fifth may be the fourth that changed nothing.
        let hidden = handed.without(outputs);
        match kept {
            5 => assert_eq!(hidden.verify(false).0.fault, None),
            _ => caught(&hidden, CheckName::Transitions, "a stall that cannot be"),
        }
    }
}

#[test]
fn no_changed_byte_of_an_export_passes() {
    let program =
        json!({ "steps": [{ "id": "a", "type": "tool", "tool": "pay", "args": { "amount": "$n" } }] });
    let world = World::driven(&program, json!({ "n": 5 }), json!({}));
    let mut file = Vec::new();
    export::write(&mut file, &run_id(), &world.handed.envelopes, &world.handed.contents).expect("an export");
    assert!(accepted(&file));
    for at in 0..file.len() {
        for flip in [1, 0x20] {
            file[at] ^= flip;
            assert!(!accepted(&file), "byte {at} ^ {flip:#x} passes");
            file[at] ^= flip;
        }
    }
    // No line is missed either, but one that holds a value.
    let lines: Vec<&[u8]> = file.split_inclusive(|byte| *byte == b'\n').collect();
    for at in 0..lines.len() {
        let without = [&lines[..at], &lines[at + 1..]].concat().concat();
        assert_eq!(accepted(&without), lines[at].starts_with(b"{\"bytes"), "line {at}");
    }
}

/// As an auditor does it: form, evidence, places.
fn accepted(file: &[u8]) -> bool {
    let Ok(export) = Export::parse(file) else { return false };
    let evidence = Evidence {
        run: &export.run,
        envelopes: &export.envelopes,
        contents: &export.contents,
        expected: None,
        complete: false,
        acts: &[],
    };
    let (report, _) = verify(evidence, &trust());
    report.is_good() && export.check_places(true).is_ok()
}

#[test]
fn a_foreign_key_is_told_from_a_changed_hint() {
    let world = whole(Order::First);
    let run = run_id();
    let evidence = Evidence {
        run: &run,
        envelopes: &world.handed.envelopes,
        contents: &[],
        expected: None,
        complete: false,
        acts: &[],
    };
    let stranger = TrustRoot::new([crate::Signer::from_seed([8; 32]).public().clone()]);
    let fault = verify(evidence, &stranger).0.fault.expect("a fault");
    assert_eq!((fault.kind, fault.check), (FaultKind::UntrustedKey, CheckName::Signatures));
    let fewer = Evidence { expected: Some(evidence.envelopes.len() as u64 + 1), ..evidence };
    let fault = verify(fewer, &trust()).0.fault.expect("a fault");
    assert_eq!((fault.kind, fault.check), (FaultKind::Truncated, CheckName::Sequence));
}

#[test]
fn a_cut_tail_is_open_and_never_fine() {
    let world = whole(Order::First);
    for kept in 1..world.handed.envelopes.len() {
        let mut cut = world.handed.clone();
        cut.envelopes.truncate(kept);
        cut.contents.retain(|content| content.seq < kept as u64);
        let (report, trace) = cut.verify(true);
        assert_eq!(report.fault, None, "{kept}");
        let suspended = trace.expect("a trace").state() == RunState::Suspended;
        assert_eq!(report.is_good(), suspended, "{kept}");
    }
}

#[test]
fn a_receipt_is_a_pure_function_of_the_evidence() {
    let world = whole(Order::First);
    let bytes = |handed: &Handed| {
        let trace = handed.verify(true).1.expect("a trace");
        let receipt = serde_json::to_value(Receipt::from(&trace)).expect("JSON");
        crate::jcs::canonical(&receipt).expect("no floats, no large integers")
    };
    let first = bytes(&world.handed);
    assert_eq!(first, bytes(&whole(Order::First).handed));
    let text = String::from_utf8(first).expect("UTF-8");
    let shown: Value = serde_json::from_str(&text).expect("JSON");
    let head = crate::Digest::of(world.handed.envelopes.last().expect("an end")).to_string();
    let mut expect: Value = serde_json::from_str(include_str!("tests/receipt.json")).expect("JSON");
    expect["head"] = head.into();
    expect["signer"]["key"] = shown["signer"]["key"].clone();
    for digest in ["plan", "programDigest"] {
        expect[digest] = shown[digest].clone();
    }
    assert_eq!(shown, expect, "{shown:#}");
}
