//! Marked places, through the machine: what its models are asked, and what its tools are given.

use serde_json::{Value, json};

use crate::export::Role;
use crate::projection::{Held, Target};
use crate::run::tests::world::{World, moment, plan};
use crate::run::{Answer, Event, Place, Run, Slot, Verdict, WebhookSource};
use crate::{Program, Source, StepIndex, ToolName};

/// Drives a program and compares what was asked and called, in words.
fn check(program: Value, inputs: Value, script: Value, expect: &[&str]) -> World {
    let world = World::driven(&program, inputs, script);
    assert_eq!(world.log, expect, "{}", world.told());
    world.proved();
    // Shape only, also where just the inputs or just the results are there.
    for shown in [Role::INPUT, Role::OUTPUT, Role::PROMPT, Role::ANSWER] {
        let part = world.handed.without(|content| !content.role.is_document() && content.role != shown);
        assert_eq!(part.verify(false).0.fault, None, "{shown}");
        let part = world.handed.without(|content| content.role == shown);
        assert_eq!(part.verify(false).0.fault, None, "without {shown}");
    }
    world
}

fn ask(id: &str, prompt: &str) -> Value {
    json!({ "id": id, "type": "llm", "prompt": prompt })
}

fn call(id: &str, tool: &str, args: Value) -> Value {
    json!({ "id": id, "type": "tool", "tool": tool, "args": args })
}

#[test]
fn a_program_marks_its_inputs() {
    let customer = json!({ "name": "Jane Doe", "plan": "gold", "mails": ["j@x.example", "jd@x.example"] });
    let program = json!({
        "inputs": {
            "customer": { "type": "object", "properties": {
                "name": { "type": "string", "pii": true },
                "mails": { "type": "array", "items": { "type": "string", "pii": true } },
            }},
            "iban": { "type": "string", "pii": true },
            "note": { "type": "string", "pii": false },
        },
        "steps": [
            ask("whole", "$customer $iban $note"),
            ask("parts", "${customer.name}, ${customer.plan}, ${customer.mails.1}; ${customer.mails}"),
            call("tells", "look", json!({ "c": "$customer", "line": "for $customer.name", "iban": "$iban" })),
        ],
    });
    check(
        program,
        json!({ "customer": customer, "iban": "DE02", "note": "for jane doe at DE02" }),
        json!({}),
        &[
            // `DE02` is long enough to be found again.
            r#"ask "{\"name\":\"[REDACTED_PII]\",\"plan\":\"gold\",\"mails\":[\"[REDACTED_PII]\",\"[REDACTED_PII]\"]} [REDACTED_PII] for [REDACTED_PII] at [REDACTED_PII]""#,
            r#"ask "[REDACTED_PII], gold, [REDACTED_PII]; [\"[REDACTED_PII]\",\"[REDACTED_PII]\"]""#,
            r#"look {"c":{"name":"Jane Doe","plan":"gold","mails":["j@x.example","jd@x.example"]},"line":"for Jane Doe","iban":"DE02"}"#,
        ],
    );
}

#[test]
fn a_program_marks_places() {
    let found = json!({ "owner": { "email": "j@x.example", "n": 7 }, "rows": [{ "tel": 491_701_234_567_u64 }, { "tel": null, "x": 1 }] });
    let program = |pii: Value| {
        json!({ "pii": pii, "steps": [
            { "id": "a", "type": "tool", "tool": "look", "output_key": "order" },
            ask("m", "$a.owner $order.rows $a.output.owner.email ${a.rows.0.tel}"),
        ]})
    };
    let marked = [
        r#"look {}"#,
        r#"ask "{\"email\":\"[REDACTED_PII]\",\"n\":7} [{\"tel\":\"[REDACTED_PII]\"},{\"tel\":\"[REDACTED_PII]\",\"x\":1}] [REDACTED_PII] [REDACTED_PII]""#,
    ];
    for pii in [
        json!(["$order.owner.email", "$order.rows.*.tel"]),
        json!(["$a.owner.email", "$a.output.rows.*.tel"]),
        // A name that stands where a list is means every item's; a star stands for a name too.
        json!(["$a.*.email", "$a.rows.tel"]),
    ] {
        check(program(pii), json!({}), json!({ "look": { "return": found } }), &marked);
    }
    check(
        program(json!(["$order"])),
        json!({}),
        json!({ "look": { "return": found } }),
        &["look {}", r#"ask "[REDACTED_PII] [REDACTED_PII] [REDACTED_PII] [REDACTED_PII]""#],
    );
}

#[test]
fn marks_follow_names_and_blocks() {
    let sub = |id: &str, key: &str| json!({ "id": id, "type": "tool", "tool": "look", "output_key": key });
    let program = |pii: Value| {
        json!({ "pii": pii, "steps": [
            { "id": "p", "type": "parallel", "output_key": "both", "parallel_steps": [sub("x", "kx"), sub("y", "ky")] },
            ask("m", "$p $both $x $ky"),
        ]})
    };
    let script = json!({ "look": [{ "return": { "e": 11, "n": 1 } }, { "return": { "e": 22, "n": 2 } }] });
    let marked = |x: &str, y: &str| {
        let (x, y) = (format!(r#"{{\"e\":{x},\"n\":1}}"#), format!(r#"{{\"e\":{y},\"n\":2}}"#));
        let both = format!(r#"{{\"x\":{x},\"y\":{y}}}"#);
        format!(r#"ask "{both} {both} {x} {y}""#)
    };
    let gone = r#"\"[REDACTED_PII]\""#;
    for (pii, prompt) in [
        (json!(["$x.e"]), marked(gone, "22")),
        (json!(["$kx.e"]), marked(gone, "22")),
        (json!(["$p.x.e"]), marked(gone, "22")),
        (json!(["$both.y.e"]), marked("11", gone)),
        (json!(["$both.*.e"]), marked(gone, gone)),
        (json!([]), marked("11", "22")),
    ] {
        check(program(pii), json!({}), script.clone(), &["look {}", "look {}", &prompt]);
    }
}

#[test]
fn manifests_mark_results_and_arguments() {
    let found = json!({ "email": "j@x.example", "items": [{ "phone": "+49 170 1", "sku": "A" }], "copy": "to j@x.example" });
    let program = json!({ "steps": [
        ask("early", "$name wrote $text"),
        { "id": "f", "type": "tool", "tool": "person_find", "output_key": "k" },
        ask("m", "$f ${k.items.0.phone} ${k.items.0.sku}"),
        call("send", "person_send", json!({ "to": ["$name", { "x": "Dear $f.copy" }], "about": "$text" })),
        ask("late", "$f.copy"),
    ]});
    check(
        program,
        json!({ "name": "Jane Doe", "text": "hello" }),
        json!({ "person_find": { "return": found } }),
        &[
            // What is handed to a marked argument later is personal before.
            r#"ask "[REDACTED_PII] wrote hello""#,
            "person_find {}",
            r#"ask "{\"email\":\"[REDACTED_PII]\",\"items\":[{\"phone\":\"[REDACTED_PII]\",\"sku\":\"A\"}],\"copy\":\"[REDACTED_PII]\"} [REDACTED_PII] A""#,
            r#"person_send {"to":["Jane Doe",{"x":"Dear to j@x.example"}],"about":"hello"}"#,
            r#"ask "[REDACTED_PII]""#,
        ],
    );
}

#[test]
fn proposals_hold_arguments() {
    let program = json!({ "steps": [
        { "id": "m", "type": "llm", "prompt": "?", "allowed_tools": ["person_send"] },
        ask("n", "$m ${m.proposal} ${m.proposal.args.to} ${m.proposal.args.about} $m.about"),
    ]});
    let world = check(
        program,
        json!({}),
        json!({
            "m": { "text": r#"{"tool":"person_send","args":{"to":"J\u00f6rg","about":"Jörg's order"}}"# },
            "person_send": { "echo": true },
        }),
        &[
            r#"ask "?""#,
            r#"person_send {"to":"Jörg","about":"Jörg's order"}"#,
            r#"ask "{\"to\":\"[REDACTED_PII]\",\"about\":\"[REDACTED_PII]'s order\"} {\"tool\":\"person_send\",\"args\":{\"to\":\"[REDACTED_PII]\",\"about\":\"[REDACTED_PII]'s order\"}} [REDACTED_PII] [REDACTED_PII]'s order [REDACTED_PII]'s order""#,
        ],
    );
    // The answer itself is no plain text, however the model escapes it.
    let projection = world.run.projection(Target::Trace);
    let answer = r#" {"tool":"person_send","args":{"to":"J\u00f6rgen","n":1}} "#;
    assert_eq!(
        projection.answer("m", answer),
        r#"{"tool":"person_send","args":{"to":"[REDACTED_PII]","n":1}}"#
    );
    assert_eq!(projection.answer("m", "no proposal for Jörg"), "no proposal for [REDACTED_PII]");
    let tool = ToolName::new("person_send").expect("a name");
    let args = json!({ "to": "x", "about": "y" });
    let shown = json!({ "to": "[REDACTED_PII]", "about": "y" });
    assert_eq!(*projection.value(Held::Args(&tool), &args), shown);
    assert_eq!(*projection.value(Held::Refused("n", Some(&tool)), &args), shown);
    assert_eq!(
        *projection.value(Held::Refused("m", None), &json!({ "args": args })),
        json!({ "args": shown })
    );
}

#[test]
fn payloads_of_resumptions() {
    let resume = json!({ "schema": { "type": "object", "properties": { "who": { "pii": true } } } });
    let wait = |pii: Value, resume: Value| {
        let mut wait = json!({ "id": "w", "type": "tool", "tool": "wait", "output_key": "k" });
        if !resume.is_null() {
            wait["resume"] = resume;
        }
        json!({ "pii": pii, "steps": [wait, ask("m", "$w $k $__webhook__ $__webhook_source__")] })
    };
    for program in [
        wait(json!(["$__webhook__.who"]), json!(null)),
        wait(json!(["$w.who"]), json!(null)),
        wait(json!(["$k.who"]), json!(null)),
        wait(json!([]), resume),
    ] {
        let mut world = World::driven(&program, json!({}), json!({ "wait": { "suspend": "x" } }));
        let payload = json!({ "who": "Jane Doe", "ok": true });
        world.happens(Event::Resumed {
            payload: Slot::known(payload.clone()),
            source: WebhookSource::Webhook,
            check: None,
        });
        world.drive();
        let one = r#"{\"who\":\"[REDACTED_PII]\",\"ok\":true}"#;
        assert_eq!(world.log[1], format!(r#"ask "{one} {one} {one} WEBHOOK""#));
        world.proved();
        let hidden = world.handed.without(|content| content.role == Role::EVENT);
        assert_eq!(hidden.verify(false).0.fault, None);
        let projection = world.run.projection(Target::Trace);
        let shown = json!({ "who": "[REDACTED_PII]", "ok": true });
        assert_eq!(*projection.value(Held::Payload("w"), &payload), shown);
    }
}

#[test]
fn conditions_and_tools_see_true_values() {
    let program = json!({
        "inputs": { "name": { "type": "string", "pii": true } },
        "steps": [
            { "id": "if", "type": "condition", "condition": "$name == 'Jane Doe'", "then": "yes", "otherwise": "no" },
            call("yes", "pay", json!({ "amount": 5, "note": "$name" })),
            call("no", "look", json!({})),
        ],
    });
    check(program, json!({ "name": "Jane Doe" }), json!({}), &[r#"pay {"amount":5,"note":"Jane Doe"}"#]);
}

#[test]
fn governance_has_no_name() {
    let program = |prompt: &str| {
        json!({ "steps": [{ "id": "a", "type": "tool", "tool": "pay", "args": { "amount": 5 },
        "output_key": "k", "on_error": "retry" }, ask("m", "?"), ask("n", prompt)] })
    };
    let script = json!({ "pay": { "return": { "n": 1 } } });
    let told = |name: &str| World::driven(&program(name), json!({}), script.clone()).told();
    assert!(told("$a.n ${k.n} $m").ends_with("n success, success"));
    for name in [
        "run",
        "run_id",
        "id",
        "plan",
        "table",
        "policy",
        "policies",
        "envelope",
        "envelopes",
        "head",
        "prev",
        "digest",
        "hash",
        "state",
        "history",
        "trace",
        "receipt",
        "attempt",
        "attempts",
        "retries",
        "visit",
        "visits",
        "tokens",
        "token",
        "budget",
        "key",
        "signer",
        "seed",
        "salt",
        "secrets",
        "vault",
        "steps",
        "inputs",
        "env",
        "principal",
        "model",
        "models",
        "pay",
        "m.prompt",
        "__run__",
        "__policy__",
        "__history__",
        "__token__",
        "__state__",
        "a.status",
        "a.error",
        "a.retries",
        "a.attempt",
        "a.visit",
        "a.started",
        "a.args",
        "a.input",
        "a.tool",
        "a.proposal",
        "a.tokens",
        "a.envelope",
        "a.output.status",
        "k.retries",
        "m.proposal",
        "m.tokens",
        "m.model",
    ] {
        assert!(told(&format!("${name}")).ends_with("failed(unresolved_reference) at n"), "{name}");
    }
}

#[test]
fn what_is_asked_is_what_is_recorded() {
    let program = json!({
        "inputs": { "name": { "type": "string", "pii": true }, "note": { "type": "string" } },
        "steps": [{ "id": "m", "type": "llm", "prompt": "for $name: $note", "system": "of $name" }],
    });
    let world = check(
        program,
        json!({ "name": "Jane Doe", "note": "Jane Doe is here" }),
        json!({}),
        &[r#"ask "for [REDACTED_PII]: [REDACTED_PII] is here""#],
    );
    // A record of what no model was to see is none, also from somebody who holds the key.
    for (role, text) in [
        (Role::PROMPT, "for Jane Doe: [REDACTED_PII] is here"),
        (Role::PROMPT, "for [REDACTED_PII]: Jane Doe is here"),
        (Role::SYSTEM, "of Jane Doe"),
        (Role::SYSTEM, "of "),
    ] {
        let mut forgery = world.handed.forge();
        let at = forgery.find("answered");
        forgery.commit(at, &role, &text.into());
        let forged = forgery.seal();
        let fault = forged.verify(true).0.fault.unwrap_or_else(|| panic!("{text}"));
        assert!(fault.to_string().contains("asked something else"), "{fault}");
        // With the name withheld, what stands at its place is still known, and what is read beside
        // it is not.
        let part = forged.without(|content| content.role == Role::INPUT);
        let known = part.verify(false).0.fault.is_some();
        assert_eq!(known, text != "for [REDACTED_PII]: Jane Doe is here", "{text}");
    }
}

#[test]
fn a_model_that_sees_nothing_personal_is_not_asked() {
    let program = |prompt: &str, system: &str| {
        json!({
            "inputs": { "name": { "type": "string", "pii": true }, "note": {}, "gone": {} },
            "steps": [{ "id": "m", "type": "llm", "model": "strict", "prompt": prompt, "system": system,
                "on_error": "skip" }, call("a", "look", json!({}))],
        })
    };
    let inputs = json!({ "name": "Jane Doe", "note": "of jane doe", "gone": null });
    let denied = "m failed(authority/personal_data), failed(authority) at m";
    for (prompt, system) in [("$name", "?"), ("?", "$name"), ("$note", "?"), ("${note}$gone", "?")] {
        let world = World::driven(&program(prompt, system), inputs.clone(), json!({}));
        assert_eq!((world.told().as_str(), world.log.len()), (denied, 0), "{prompt} {system}");
        world.proved();
        let hidden = world.handed.without(|content| !content.role.is_document());
        assert_eq!(hidden.verify(false).0.fault, None);
    }
    // The program's own words are nobody's, and a value without a name is none.
    let asked = check(
        program("Jane Doe: $gone", "?"),
        inputs.clone(),
        json!({}),
        &["ask \"Jane Doe: null\"", "look {}"],
    );
    assert_eq!(asked.told(), "m success, a success, success");
    // It was asked, says somebody who holds the key: not of this.
    for prompt in ["$name", "$note"] {
        let program = program(prompt, "?");
        let place = Place { step: StepIndex(0), visit: 1, attempt: 1 };
        let answer = Answer {
            prompt: Slot::known("[REDACTED_PII]".into()),
            system: Some(Slot::known("?".into())),
            text: Some(Slot::known("ok".into())),
            verdict: Verdict::Accepted,
            tokens: 0,
            estimated_tokens: 0,
        };
        let mut fresh = Run::start(plan(&program), inputs.as_object().cloned().expect("inputs"), moment(0));
        let asked = Event::Answered { place, answer };
        assert!(fresh.record(asked.clone(), moment(1)).is_err());
        let mut blind = Run::start_withheld(plan(&program), moment(0));
        assert_eq!(blind.record(asked, moment(1)).is_err(), prompt == "$name");
    }
}

#[test]
fn texts_have_a_bound() {
    let double = json!({ "max_steps": 60, "steps": [
        { "id": "a", "type": "tool", "tool": "look", "args": { "x": "$t.x$t.x" }, "output_key": "t", "next_step": "a" },
    ]});
    let typed = json!({ "max_steps": 60, "steps": [
        { "id": "a", "type": "tool", "tool": "look", "args": { "x": ["$t.x", "$t.x"] }, "output_key": "t", "next_step": "a" },
    ]});
    let told = "a failed(step_failed/text_too_large), failed(step_failed) at a";
    let start = json!({ "t": { "x": "0123456789abcdef".repeat(1 << 16) } });
    for program in [double, typed] {
        let world = World::driven(&program, start.clone(), json!({ "look": { "echo": true } }));
        assert!(world.told().ends_with(told), "{}", world.told());
        world.proved();
        let hidden = world.handed.without(|content| content.role == Role::OUTPUT);
        assert_eq!(hidden.verify(false).0.fault, None);
    }
    let prompt = json!({ "steps": [ask("m", &"$t".repeat(20))] });
    let world = World::driven(&prompt, json!({ "t": start["t"]["x"] }), json!({}));
    assert_eq!(world.told(), "m failed(step_failed/text_too_large), failed(step_failed) at m");
    world.proved();
}

#[test]
fn marks_that_mark_nothing_are_refused() {
    let parsed = |program: Value| {
        let source = Source::new("program.json", program.to_string());
        match Program::parse(source, crate::Format::Json).and_then(Program::check) {
            Ok(_) => "ok".to_owned(),
            Err(found) => found
                .iter()
                .filter(|found| found.code != "open_inputs")
                .map(|found| found.code.to_owned())
                .collect::<Vec<_>>()
                .join(" "),
        }
    };
    let with = |pii: Value| {
        parsed(
            json!({ "pii": pii, "inputs": { "x": { "type": "object" } }, "steps": [{ "id": "a", "type": "tool", "tool": "look", "output_key": "k" }] }),
        )
    };
    for (pii, expect) in [
        (json!(["$x", "$a.b.*.c", "$k.0", "$__webhook__", "$x.output"]), "ok"),
        (json!(["$y"]), "undefined_variable"),
        (json!(["x"]), "invalid_field"),
        (json!(["$x."]), "invalid_field"),
        (json!(["${x}"]), "invalid_field"),
        (json!(["$x.a-b"]), "invalid_field"),
        (json!(["$*"]), "invalid_field"),
        (json!("$x"), "invalid_field"),
        (json!(vec!["$x"; 257]), "invalid_field"),
    ] {
        assert_eq!(with(pii.clone()), expect, "{pii}");
    }
    // Without declared inputs a name that nothing gives a value is still none.
    let open = json!({ "pii": ["$y"], "steps": [ask("m", "$y")] });
    assert_eq!(parsed(open), "undefined_variable undefined_variable");
    let schema = |schema: Value| parsed(json!({ "inputs": { "x": schema }, "steps": [ask("m", "$x")] }));
    for (input, expect) in [
        (json!({ "pii": true }), "ok"),
        (json!({ "anyOf": [{ "pii": true }], "prefixItems": [{ "pii": true }] }), "ok"),
        (json!({ "pii": "yes" }), "invalid_field"),
        (json!({ "$defs": { "a": { "pii": true } } }), "unenforceable"),
        (json!({ "not": { "pii": true } }), "unenforceable"),
        (
            json!({ "properties": { "a": { "pii": true }, "b": { "$ref": "#/properties/a" } } }),
            "unenforceable",
        ),
        (json!({ "properties": { "pii": { "type": "string" } } }), "ok"),
    ] {
        assert_eq!(schema(input.clone()), expect, "{input}");
    }
    let detectors = |list: Value| parsed(json!({ "pii_detectors": list, "steps": [ask("m", "?")] }));
    assert_eq!(detectors(json!(["email", "phone", "card"])), "ok");
    assert_eq!(detectors(json!(["email", "email"])), "invalid_field");
    assert_eq!(detectors(json!(["name"])), "invalid_field");
}

#[test]
fn a_program_asks_for_detectors() {
    let program = json!({ "pii_detectors": ["email", "card"], "steps": [ask("m", "from a@b.example: $t")] });
    check(
        program,
        json!({ "t": { "x": "j@x.example, 4111 1111 1111 1111, +49 170 1234567", "n": 4_111_111_111_111_111_u64 } }),
        json!({}),
        // The program's own words stay.
        &[
            r#"ask "from a@b.example: {\"x\":\"[REDACTED_PII], [REDACTED_PII], +49 170 1234567\",\"n\":\"[REDACTED_PII]\"}""#,
        ],
    );
}

#[test]
fn marks_take_no_quadratic_time() {
    // Every step writes one name, is marked itself, and hands it over.
    let steps: Vec<Value> = (0..20_000)
        .map(|at| {
            json!({ "id": format!("s{at}"), "type": "tool", "tool": "person_send", "output_key": "k",
            "args": { "to": format!("$s{}.a.b", at / 2), "more": "$k.c" } })
        })
        .collect();
    let pii: Vec<String> = (0..256).map(|at| format!("$k.f{at}")).collect();
    let plan = plan(&json!({ "pii": pii, "steps": steps }));
    let personal = crate::Personal::of(&plan);
    drop(personal);
    // Paths as long as a file allows.
    let deep = format!("$x{}", ".a".repeat(30_000));
    let program = json!({ "inputs": { "x": {} }, "pii": [deep], "steps": [call("a", "person_send", json!({ "to": deep })), ask("m", "$x.a")] });
    let world = World::driven(&program, json!({ "x": { "a": { "b": 1 } } }), json!({}));
    assert!(world.told().contains("unresolved_reference"), "{}", world.told());
}
