//! Runs that other processes went on with: what a forger who holds the key changes of that is
//! found.

use serde_json::json;

use super::{caught, forged_of};
use crate::export::Role;
use crate::run::tests::world::{World, tool};
use crate::run::{
    Check, CheckEnd, Code, Denial, ErrorKind, Event, Failure, Retry, Settlement, Slot, WebhookSource,
};
use crate::trace::CheckName;

/// A run that waits, is refused an event, is resumed, loses its process, waits for a deadline, and
/// has a call settled.
fn gone_on() -> World {
    let program = json!({
        "tools": { "look": { "path": "look" }, "wire": { "path": "wire" }, "check_it": { "path": "check_it" }, "tell": { "path": "tell" } },
        "steps": [
            { "id": "wait", "type": "tool", "tool": "look", "resume": { "verify": "check_it", "schema": { "type": "integer" } } },
            { "id": "late", "type": "tool", "tool": "look", "on_error": "skip" },
            { "id": "pay", "type": "tool", "tool": "wire", "args": { "amount": 1 } },
            { "id": "end", "type": "tool", "tool": "tell" },
        ],
    });
    let mut world = World::driven(
        &program,
        json!({}),
        json!({ "look": { "suspend": "x" }, "wire": { "fault": "trap" } }),
    );
    let args = || Slot::known(serde_json::json!({ "body": "7", "signature": "sig" }));
    let failure = Failure::new(ErrorKind::StepFailed, Code::known("rejected"), Retry::Never);
    let check = Check { tool: tool("check_it"), args: args(), end: CheckEnd::Refused { failure } };
    world.happens(Event::Refused {
        denial: Denial::of_event(Denial::EVENT_CHECK, Slot::known(json!(7))),
        check: Some(check),
    });
    let output = Slot::known(json!(null));
    world.happens(Event::Resumed {
        payload: Slot::known(json!(7)),
        source: WebhookSource::Webhook,
        check: Some(Check { tool: tool("check_it"), args: args(), end: CheckEnd::Passed { output } }),
    });
    let mut world = world.restarted();
    world.happens(Event::Recovered);
    world.drive();
    world.clock = 1_000_000;
    world.happens(Event::Expired);
    world.drive();
    let mut world = world.restarted();
    world.happens(Event::Settled(Settlement::Happened { output: Slot::known(json!(1)) }));
    world.drive();
    assert_eq!(
        world.told(),
        "wait success, late skipped(deadline_expired/deadline_expired), pay success, end success, success"
    );
    world
}

#[test]
fn an_honest_run_passes() {
    let world = gone_on();
    let trace = world.proved();
    assert_eq!(trace.machine().map(|run| run.tally().rejected), Some(1));
    assert!(world.handed.forge().seal().envelopes == world.handed.envelopes);
    // Hidden values hide only themselves.
    for hidden in ["event", "input", "output", "admission", "shown"] {
        let some = world.handed.without(|content| content.role.as_str() == hidden && content.seq > 0);
        assert_eq!(some.verify(false).0.fault, None, "{hidden}");
    }
}

#[test]
fn what_is_changed_is_found() {
    let world = gone_on();
    let (admission, transitions) = (CheckName::Admission, CheckName::Transitions);
    for event in ["resumed:WEBHOOK", "recovered", "expired", "settled:happened"] {
        forged_of(
            &world,
            "another policy",
            |it| {
                let at = it.find(event);
                it.predicate(at)["policies"][0]["digest"] = "1".repeat(64).into();
            },
            admission,
        );
        forged_of(
            &world,
            "another trust",
            |it| {
                let at = it.find(event);
                it.predicate(at)["policies"][0]["trusted"] = false.into();
            },
            admission,
        );
        forged_of(
            &world,
            "another admission",
            |it| {
                let at = it.find(event);
                let role = Role::ADMISSION;
                let mut record = it.value(at, &role);
                record["today"] = json!("2030-01-01T00:00:00.000Z");
                it.commit(at, &role, &record);
            },
            admission,
        );
        forged_of(
            &world,
            "no host",
            |it| {
                let at = it.find(event);
                it.predicate(at).as_object_mut().expect("a table").remove("host");
            },
            CheckName::Canonical,
        );
    }
    for event in ["resumed:WEBHOOK", "settled:happened"] {
        forged_of(
            &world,
            "another right",
            |it| {
                let at = it.find(event);
                it.predicate(at)["resolver"]["entitled"] = "role:approver".into();
            },
            admission,
        );
        forged_of(
            &world,
            "no right",
            |it| {
                let at = it.find(event);
                it.predicate(at)["resolver"].as_object_mut().expect("a table").remove("entitled");
            },
            CheckName::Canonical,
        );
    }
    forged_of(
        &world,
        "without its check",
        |it| {
            let at = it.find("resumed:WEBHOOK");
            let predicate = it.predicate(at).as_object_mut().expect("a table");
            predicate.remove("call");
            predicate.remove("authority");
        },
        CheckName::Canonical,
    );
    forged_of(
        &world,
        "an event that was not checked",
        |it| {
            let at = it.find("resumed:WEBHOOK");
            it.commit(at, &Role::EVENT, &json!(8));
        },
        transitions,
    );
    forged_of(
        &world,
        "a check that said no",
        |it| {
            let at = it.find("resumed:WEBHOOK");
            it.commit(at, &Role::OUTPUT, &json!(false));
        },
        transitions,
    );
    forged_of(
        &world,
        "another source",
        |it| {
            let at = it.find("resumed:WEBHOOK");
            it.predicate(at)["step"]["event"] = "resumed:NOBODY".into();
        },
        transitions,
    );
    for event in ["resumed:WEBHOOK", "recovered", "expired", "settled:happened"] {
        let at = world.handed.forge().find(event);
        // A run may lose its process again and again.
        if event != "recovered" {
            let mut forgery = world.handed.forge();
            let twice = forgery.payloads[at].clone();
            forgery.insert(at + 1, twice);
            caught(&forgery.seal(), transitions, &format!("{event} twice"));
        }
        let mut forgery = world.handed.forge();
        forgery.remove(at);
        // Nobody has to say that a run went on, but where a wait ended somebody has to have said so.
        match event {
            "recovered" => assert_eq!(forgery.seal().verify(false).0.fault, None),
            _ => caught(&forgery.seal(), transitions, &format!("{event} left out")),
        }
    }
    forged_of(
        &world,
        "a deadline that had not passed",
        |it| {
            let at = it.find("expired");
            let waits = it.payloads[..at]
                .iter()
                .rposition(|payload| payload["predicate"]["call"]["result"] == "suspended");
            it.predicate(waits.expect("it waits"))["call"]["deadline"] = json!("2100-01-01T00:00:00.000Z");
        },
        transitions,
    );
    forged_of(
        &world,
        "a settlement of another call",
        |it| {
            let at = it.find("settled:happened");
            let other = it.payloads.iter().position(|payload| payload["predicate"]["call"]["tool"] == "tell");
            let other = it.payloads[other.expect("it is called")]["predicate"].clone();
            for member in ["tool", "component", "export", "effect"] {
                it.predicate(at)["call"][member] = other["call"][member].clone();
            }
            it.predicate(at)["authority"] = other["authority"].clone();
        },
        transitions,
    );
    forged_of(
        &world,
        "a refusal of nothing",
        |it| {
            let at = it.find("refused");
            it.predicate(at)["denials"][0]["rule"] = "resume:whim".into();
        },
        transitions,
    );
}
