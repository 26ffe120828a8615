//! Generated values, some of their places marked, the texts of those places strewn over the rest:
//! nothing of them may reach a prompt, a log line or a trace.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::projection::{Held, Target};
use crate::run::tests::world::World;

/// What stands at marked places.
const SECRETS: [&str; 6] =
    ["Jane Doe", "j@x.example", "Jörg \"J\"", "+49 170 1234567", "DE02\\1203", "🙂🙂🙂🙂"];

/// A value that may hold the texts anywhere. Under `p…` they stand alone: these places are marked.
fn value(depth: u32) -> BoxedStrategy<Value> {
    let text = prop::collection::vec(
        prop_oneof![
            prop::sample::select(&SECRETS[..]),
            prop::sample::select(&["a", " ", "x\n", "\\", "\"", "ö"][..])
        ],
        0..4,
    );
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<i32>().prop_map(|n| json!(n)),
        text.prop_map(|parts| json!(parts.concat())),
    ];
    leaf.prop_recursive(depth, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((prop::sample::select(&["a", "b", "p", "Jane Doe"][..]), inner), 0..4)
                .prop_map(|fields| Value::Object(
                    fields.into_iter().map(|(name, field)| (name.to_owned(), field)).collect::<Map<_, _>>()
                )),
        ]
    })
    .boxed()
}

/// The texts of a value, keys too.
fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(fields) => fields.iter().for_each(|(name, field)| {
            found.push(name.clone());
            texts(field, found);
        }),
        _ => {}
    }
}

fn clean(text: &str) -> bool {
    SECRETS.iter().all(|secret| !text.contains(secret) && !text.contains(&secret.escape_debug().to_string()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_marked_is_seen(given in value(4), result in value(4), note in value(2)) {
        let program = json!({
            "inputs": {
                "people": { "type": "array", "items": { "pii": true } },
                "given": {}, "note": {},
            },
            "pii": ["$given.p", "$given.*.p", "$a.p", "$k.*.*.p"],
            "steps": [
                { "id": "m0", "type": "llm", "prompt": "$given $people $note ${people.0}" },
                { "id": "a", "type": "tool", "tool": "look", "args": { "x": "$given" }, "output_key": "k" },
                { "id": "p", "type": "parallel", "parallel_steps": [
                    { "id": "m1", "type": "llm", "prompt": "$a, $k, $m0", "system": "$note" },
                    { "id": "m2", "type": "llm", "prompt": "${a}$given" },
                ]},
                { "id": "m3", "type": "llm", "prompt": "$p" },
            ],
        });
        let echo: Vec<String> = SECRETS.iter().map(|secret| format!("as {secret} said")).collect();
        let world = World::driven(
            &program,
            json!({ "people": SECRETS, "given": given, "note": note }),
            json!({ "look": { "return": result }, "m0": { "text": echo[0] }, "m1": { "text": echo.concat() } }),
        );
        prop_assert!(world.told().ends_with("success"), "{}", world.told());
        for line in world.log.iter().filter(|line| line.starts_with("ask")) {
            prop_assert!(clean(line), "{line}");
        }
        // Tools were told the truth.
        let x = world.log.iter().find_map(|line| line.strip_prefix("look ")).expect("a call");
        prop_assert_eq!(x, json!({ "x": given }).to_string());
        for target in [Target::Log, Target::Trace] {
            let projection = world.run.projection(target);
            let inputs = json!({ "people": SECRETS, "given": given, "note": note });
            for (held, value) in [(Held::Inputs, &inputs), (Held::Name("a"), &result), (Held::Words, &note), (Held::Words, &given)] {
                let mut seen = Vec::new();
                texts(&projection.value(held, value), &mut seen);
                for text in seen {
                    prop_assert!(clean(&text), "{text}");
                }
            }
            for text in &echo {
                prop_assert!(clean(&projection.text(text)));
            }
        }
        world.proved();
        let half = world.handed.without(|content| !content.role.is_document() && content.seq % 2 == 0);
        prop_assert_eq!(half.verify(false).0.fault, None);
    }
}
