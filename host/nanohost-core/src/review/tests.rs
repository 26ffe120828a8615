use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::{
    Admission, Diagnostics, Format, Import, Manifest, Offer, Policy, Program, Source, Timestamp, ToolExport,
    ToolFacts, ToolName, Trust,
};

const MANIFEST: &str = "name = \"desk\"\nversion = \"1.0.0\"\n\n[capabilities]\nkv = [\"ledger\", \"notes\"]\n\
    filesystem = [{ guest = \"/data\", access = \"read\" }]\n\
    http = [{ host = \"api.example.com\", methods = [\"GET\", \"POST\"], path = \"/v1/**\" }]\n";

const IMPORTS: [&str; 3] =
    ["wasi:filesystem/types@0.2.6", "nanohost:tool/kv@0.1.0", "wasi:http/outgoing-handler@0.2.6"];

/// A row for the program and tool of these tests.
fn row(id: &str, rest: &str) -> String {
    format!("[[permit]]\nid = \"{id}\"\nprogram = \"p\"\ntool = \"desk\"\n{rest}\n\n")
}

const FOLDER: &str = "[folders.desk]\n\"/data\" = \"/srv/data\"\n\n";

fn all() -> String {
    row(
        "all",
        "kv = [\"ledger\", \"notes\"]\nfilesystem = [{ guest = \"/data\", access = \"read\" }]\n\
         http = [{ host = \"api.example.com\", methods = [\"GET\", \"POST\"], path = \"/v1/**\" }]",
    ) + FOLDER
}

fn policy(text: &str) -> Policy {
    Policy::parse(Source::new("policy.toml", text), "/srv", Trust::Trusted).expect("a policy")
}

fn today() -> Timestamp {
    "2026-11-23T00:00:00.000Z".parse().expect("a moment")
}

fn manifest() -> Manifest {
    Manifest::parse(Source::new("manifest.toml", MANIFEST)).expect("a manifest")
}

fn admission_with(grant: &str, imports: &[&str], texts: &[&str]) -> Admission {
    let text = format!(
        "name = \"p\"\n[[steps]]\nid = \"a\"\ntype = \"tool\"\ntool = \"t\"\nargs = {{ amount = 1 }}\n\n\
         [tools.t]\npath = \"tools/desk\"\n{grant}"
    );
    let program = Program::parse(Source::new("program.toml", text), Format::Toml).and_then(Program::check);
    let export = ToolExport {
        function: "t".into(),
        interface: None,
        input: json!({ "type": "object", "properties": { "amount": { "type": "integer" } }, "additionalProperties": false }),
        output: json!({ "type": "string" }),
    };
    let import = |name: &&str| Import { name: (*name).into(), functions: vec!["x".into()] };
    let facts = ToolFacts {
        component: crate::Digest::of(b"component"),
        size: 1,
        imports: imports.iter().map(import).collect(),
        exports: vec![export],
    };
    Admission {
        program: Arc::new(program.expect("a program").0),
        offers: vec![Offer {
            local: ToolName::new("t").expect("a name"),
            manifest: manifest(),
            facts,
            signature: None,
        }],
        policies: texts.iter().map(|text| policy(text)).collect(),
        today: today(),
    }
}

fn admission(texts: &[&str]) -> Admission {
    admission_with("", &IMPORTS, texts)
}

fn asked(admission: &Admission, class: &str, value: &str) -> Explanation {
    let question = Question::parse(class, value).expect("a question");
    explain(admission, "t", &question).expect("the tool is there")
}

/// `granted`, or who is in the way, in the order of the lines.
fn verdict(answer: &Explanation) -> String {
    let against: Vec<&str> =
        answer.lines.iter().filter(|line| !line.allows).map(|line| line.witness.as_str()).collect();
    if answer.granted { "granted".into() } else { against.join(", ") }
}

#[test]
fn questions_are_read_in_one_way() {
    for (class, value, expect) in [
        ("filesystem", "/data", "filesystem /data (read)"),
        ("filesystem", "/data write", "filesystem /data (write)"),
        ("filesystem", "/a b read", "filesystem /a b (read)"),
        ("env", "REGION", "env REGION"),
        ("kv", "ledger", "kv ledger"),
        ("clock", "real", "clock real"),
        ("random", "seeded", "random seeded"),
        ("sockets", "127.0.0.1:8377", "sockets 127.0.0.1:8377"),
        ("sockets", "[::1]:80", "sockets [::1]:80"),
        ("http", "https://api.example.com/v1/x", "http GET https://api.example.com/v1/x"),
        ("http", "POST http://127.0.0.1:8/x", "http POST http://127.0.0.1:8/x"),
        ("http", "https://[::1]", "http GET https://[::1]/"),
        (
            "secrets",
            "key POST https://a.example.com/x",
            "secrets key in authorization of POST a.example.com/x",
        ),
    ] {
        let question = Question::parse(class, value).unwrap_or_else(|why| panic!("{class} {value}: {why}"));
        assert_eq!(question.among(&[]).to_string(), expect);
    }
    for (class, value) in [
        ("filesystem", "data"),
        ("filesystem", "/data/.. read"),
        ("env", "A=B"),
        ("kv", "Ledger"),
        ("clock", "denied"),
        ("random", ""),
        ("sockets", "localhost:80"),
        ("sockets", "127.0.0.1:0"),
        ("http", "api.example.com/v1"),
        ("http", "FETCH https://api.example.com/"),
        ("http", "https://me@api.example.com/"),
        ("http", "https://api.example.com:0/"),
        ("http", "https://api.example.com:99999/"),
        ("http", "https://api.example.com/a?b"),
        ("http", "https://api.example.com/a/../b"),
        ("http", "https://API.example.com/"),
        ("secrets", "key"),
        ("secrets", "Key https://a.example.com/"),
        ("disk", "/"),
    ] {
        assert!(Question::parse(class, value).is_err(), "{class} {value}");
    }
}

#[test]
fn what_is_granted_names_the_line_of_each() {
    let text = all();
    let answer = asked(&admission(&[&text]), "kv", "ledger");
    assert_eq!(verdict(&answer), "granted");
    let shown: Vec<String> = answer
        .lines
        .iter()
        .map(|line| {
            let place = line.place.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("{} {} {place}", line.witness.as_str(), line.says)
        })
        .collect();
    assert_eq!(
        shown,
        [
            "manifest asks for kv ledger manifest.toml:5",
            "program narrows nothing program.toml:8",
            "component imports nanohost:tool/kv@0.1.0 ",
            "policy row `all` permits it policy.toml:5",
        ]
    );
    assert_eq!(answer.rules().collect::<Vec<_>>(), ["all"]);
    assert!(answer.remedies.is_empty() && answer.nearest.is_empty() && answer.elsewhere.is_empty());
}

#[test]
fn everyone_can_be_in_the_way() {
    let text = all();
    let forbid = "[[forbid]]\nid = \"no\"\nkv = [\"ledger\"]\n";
    let never = "[[forbid]]\nid = \"never\"\ntool = \"desk\"\n";
    let expired = all().replace("tool = \"desk\"\nkv", "tool = \"desk\"\nexpires = 2026-01-01\nkv");
    for (asking, class, value, expect) in [
        (admission(&[&text]), "kv", "notes", "granted"),
        (admission(&[&text]), "http", "https://api.example.com/v1/x", "granted"),
        (admission(&[&text]), "http", "POST https://api.example.com/v1/x", "granted"),
        (admission(&[&text]), "http", "DELETE https://api.example.com/v1/x", "manifest, policy"),
        (admission(&[&text]), "http", "https://api.example.com/v2", "manifest, policy"),
        (admission(&[&text]), "filesystem", "/data", "granted"),
        (admission(&[&text]), "filesystem", "/data/x", "granted"),
        (admission(&[&text]), "filesystem", "/data write", "manifest, policy"),
        (admission(&[&text]), "sockets", "127.0.0.1:1", "manifest, component, policy"),
        (admission(&[&text, FOLDER]), "kv", "ledger", "policy"),
        (admission(&[&text, &text]), "kv", "ledger", "granted"),
        (admission(&[&text, &(text.clone() + forbid)]), "kv", "ledger", "policy"),
        (admission(&[&(text.clone() + never)]), "kv", "ledger", "policy"),
        (admission(&[&expired]), "kv", "ledger", "policy"),
        (admission(&[]), "kv", "ledger", "policy"),
        (admission_with("grant = { kv = [\"notes\"] }", &IMPORTS, &[&text]), "kv", "ledger", "program"),
        (admission_with("grant = { kv = [\"notes\"] }", &IMPORTS, &[&text]), "kv", "notes", "granted"),
        (admission_with("", &IMPORTS[..1], &[&text]), "kv", "ledger", "component"),
        // Without authority there is nothing to permit, and without an import nothing to have.
        (admission_with("", &["wasi:clocks/wall-clock@0.2.6"], &[&text]), "clock", "virtual", "granted"),
        (admission(&[&text]), "clock", "virtual", "component"),
    ] {
        let answer = asked(&asking, class, value);
        assert_eq!(verdict(&answer), expect, "{class} {value}: {answer:#?}");
        // No line of text gives a component an import.
        if expect != "component" {
            assert_eq!(answer.granted, answer.remedies.is_empty(), "{class} {value}");
        }
    }
}

#[test]
fn the_answer_is_that_of_the_judge() {
    // The row permits the one request that is asked about and not all that the manifest asks for:
    // no tool runs with less than it was written for, so it gets none of it.
    let text = all().replace("path = \"/v1/**\"", "path = \"/v1/x\"");
    let answer = asked(&admission(&[&text]), "http", "https://api.example.com/v1/x");
    assert_eq!(verdict(&answer), "policy");
    assert_eq!(answer.weighed.to_string(), "http GET,POST https://api.example.com/v1/**");
    assert_eq!(answer.nearest[0].why, "it permits http GET,POST https://api.example.com/v1/x only");
    // Permitted, and nobody says which folder it is.
    let answer = asked(&admission(&[&all().replace(FOLDER, "")]), "filesystem", "/data");
    assert!(!answer.granted && answer.remedies[0].contains("[folders.desk]"), "{answer:#?}");
}

#[test]
fn the_nearest_row_and_the_lines_to_add_are_named() {
    let other = row("other", "kv = [\"ledger\"]").replace("program = \"p\"", "program = \"q\"");
    let far = row("far", "kv = [\"ledger\"]\nexpires = 2026-01-01").replace("\"p\"", "\"q\"");
    let answer = asked(&admission(&[&(far + &other)]), "kv", "ledger");
    let near = &answer.nearest[0];
    assert_eq!((&*near.rule, &*near.why), ("other", "it permits it, but it is for program `q`"));
    // With what else the tool asks for of its class.
    assert!(answer.remedies[0].ends_with("kv = [\"notes\", \"ledger\"]"), "{:?}", answer.remedies);

    let answer = asked(&admission(&[&row("some", "kv = [\"notes\"]")]), "kv", "ledger");
    assert_eq!(answer.nearest[0].why, "it permits kv notes only");
    let widened = "widen the line in row `some` of policy.toml:\n\nkv = [\"notes\", \"ledger\"]";
    assert_eq!(answer.remedies[0], widened);
    // The rest of the program is refused as well.
    assert!(answer.elsewhere.iter().any(|finding| finding.message.contains("filesystem")));

    // What nobody asks for needs lines in both files.
    let answer = asked(&admission(&[&all()]), "kv", "other");
    let asks =
        "widen the line under [capabilities] of manifest.toml:\n\nkv = [\"ledger\", \"notes\", \"other\"]";
    assert_eq!(answer.remedies[0], asks);
    assert!(answer.remedies[1].contains("policy.toml"), "{:?}", answer.remedies);
}

#[test]
fn restrictions_of_every_call_are_told() {
    let text = all().replace(
        "tool = \"desk\"\nkv",
        "tool = \"desk\"\nrequire = \"$args.amount <= 5\"\nforbid_origin = { amount = [\"model\"] }\nkv",
    );
    let answer = asked(&admission(&[&text]), "kv", "ledger");
    let says: Vec<&str> = answer.restrictions.iter().map(|own| own.says.as_str()).collect();
    assert_eq!(says, ["$args.amount <= 5", "`amount` may not come from model"]);
}

#[test]
fn a_tool_that_is_not_there_is_an_error() {
    let question = Question::parse("kv", "ledger").expect("a question");
    let asking = admission(&[&all()]);
    let found = explain(&asking, "desks", &question).expect_err("there is none");
    assert_eq!(codes(&found), "unknown_tool");
    assert!(explain(&asking, "desk", &question).expect("by its own name").granted);
}

fn codes(found: &Diagnostics) -> String {
    found.iter().map(|finding| finding.code).collect::<Vec<_>>().join(" ")
}

fn linted(text: &str) -> String {
    let uses = vec![Use { program: "p".into(), manifest: manifest(), function: Some("t".into()) }];
    let around = Surroundings { uses, models: vec!["fast".into()] };
    codes(&lint(&policy(text), Some(&around), today()))
}

#[test]
fn what_is_idle_ends_or_is_wide_is_found() {
    let model = "[models.fast]\nprovider = \"openai\"\nbase_url = \"https://a.example.com\"\nmodel = \"m\"\n";
    for (text, expect) in [
        (all(), ""),
        (model.into(), ""),
        (model.replace("fast", "slow"), "unused_rule"),
        (row("a", "kv = [\"ledger\"]\nexpires = 2026-01-01"), "expired_rule"),
        (row("a", "kv = [\"ledger\"]\nexpires = 2026-12-01"), "rule_expires_soon"),
        (row("a", "kv = [\"ledger\"]\nexpires = 2027-12-01"), ""),
        ("[[permit]]\nid = \"a\"\nkv = [\"ledger\"]\n".into(), "unbound_rule"),
        ("[[permit]]\nid = \"a\"\ntool = \"desk\"\nkv = [\"ledger\"]\n".into(), ""),
        ("[[permit]]\nid = \"a\"\nrequire = \"$args.amount < 1\"\n".into(), ""),
        (row("a", "kv = [\"ledger\"]").replace("\"p\"", "\"q\""), "unused_rule"),
        (row("a", "kv = [\"ledger\"]").replace("\"desk\"", "\"desks\""), "unused_rule"),
        (row("a", "kv = [\"ledger\"]\nfunction = \"t\""), ""),
        (row("a", "kv = [\"ledger\"]\nfunction = \"u\""), "unused_rule"),
        (row("a", "kv = [\"other\"]"), "unused_rule"),
        (row("a", "filesystem = [{ guest = \"/data\", access = \"write\" }]") + FOLDER, "wide_rule"),
        (row("a", "filesystem = [{ guest = \"/\", access = \"read\" }]") + FOLDER, "wide_rule"),
        (
            row(
                "a",
                "http = [{ host = \"*.example.com\", methods = [\"GET\"], path = \"/v1/**\", private = true }]",
            ),
            "wide_rule",
        ),
        (
            row(
                "a",
                "http = [{ host = \"api.example.com\", methods = [\"GET\", \"POST\"], path = \"/v1/**\", private = true }]",
            ),
            "",
        ),
        (FOLDER.into(), "unused_entry"),
        ("[env.desk]\nREGION = \"eu\"\n".into(), "unused_entry"),
        ("[[forbid]]\nid = \"a\"\ntool = \"nobody\"\n".into(), ""),
    ] {
        assert_eq!(linted(&text), expect, "{text}");
    }
    // Without programs only what the policy shows of itself.
    assert_eq!(codes(&lint(&policy(&row("a", "kv = [\"other\"]")), None, today())), "");
}

/// Every line that is not `unchanged`: `[!]change what after|before`, grants then rows.
fn compared(old: &str, new: &str) -> Vec<String> {
    let look = |text: &str| vec![survey(&admission(&[text]))];
    let found = compare(&look(old), &look(new), &policy(old), &policy(new));
    let shown = |item: &Item| {
        let text = item.after.as_ref().or(item.before.as_ref()).cloned().unwrap_or_default();
        let mark = if item.widens { "!" } else { "" };
        format!("{mark}{} {} {text}", item.change.as_str(), item.what)
    };
    let changed = |items: &[Item]| -> Vec<String> {
        items.iter().filter(|item| item.change != Change::Unchanged).map(shown).collect()
    };
    let all = [changed(&found.grants), changed(&found.rows)].concat();
    assert_eq!(found.widens(), all.iter().any(|line| line.starts_with('!')));
    all
}

#[test]
fn a_change_is_seen_from_both_sides() {
    let base = all();
    let with = |rest: &str| all().replace("tool = \"desk\"\nkv", &format!("tool = \"desk\"\n{rest}\nkv"));
    let less = base.replace("kv = [\"ledger\", \"notes\"]", "kv = [\"ledger\"]");
    let spare = base.clone() + &row("spare", "env = [\"REGION\"]");
    let forbid = base.clone() + "[[forbid]]\nid = \"no\"\nkv = [\"elsewhere\"]\n";
    let capped = base.clone() + "[limits]\nfuel = 5\n";
    let role = base.clone() + "[roles]\napprover = [\"dana\"]\n";
    let elsewhere = base.replace("/srv/data", "/srv/other");
    let private = base.replace("path = \"/v1/**\" }", "path = \"/v1/**\", private = true }");
    let limit = |text: &str| text.to_owned();
    for (old, new, there, back) in [
        (&base, &base, vec![], vec![]),
        (
            &less,
            &base,
            vec!["!widened program admitted", "!added capability kv notes", "!added permit all: kv notes"],
            vec!["narrowed program refused", "removed capability kv notes", "removed permit all: kv notes"],
        ),
        // Nobody asks for it today.
        (&base, &spare, vec!["!added permit spare: env REGION"], vec!["removed permit spare: env REGION"]),
        (&base, &forbid, vec!["added forbid no: kv elsewhere"], vec!["!removed forbid no: kv elsewhere"]),
        (
            &capped,
            &base,
            vec!["!widened limit fuel 1000000000", "!widened ceiling fuel 5"],
            vec!["narrowed limit fuel 5", "narrowed ceiling fuel 5"],
        ),
        (&base, &role, vec!["!added role approver: dana"], vec!["removed role approver: dana"]),
        (
            &base,
            &elsewhere,
            vec![
                "!changed: review folder /data is /srv/other",
                "!changed: review folder /data is /srv/other",
            ],
            vec!["!changed: review folder /data is /srv/data", "!changed: review folder /data is /srv/data"],
        ),
        (
            &with("require = \"$args.amount < 5\""),
            &base,
            vec!["!removed require $args.amount < 5", "!removed require all: $args.amount < 5"],
            vec!["added require $args.amount < 5", "added require all: $args.amount < 5"],
        ),
        (
            &with("require = \"$args.amount < 5\""),
            &with("require = \"$args.amount < 6\""),
            vec![
                "!changed: review require $args.amount < 6",
                "!changed: review require all: $args.amount < 6",
            ],
            vec![
                "!changed: review require $args.amount < 5",
                "!changed: review require all: $args.amount < 5",
            ],
        ),
        (
            &with("forbid_origin = { amount = [\"model\"] }"),
            &base,
            vec!["!removed forbid_origin amount: model", "!removed forbid_origin all: amount: model"],
            vec!["added forbid_origin amount: model", "added forbid_origin all: amount: model"],
        ),
        (
            &base,
            &private,
            vec![
                "!widened capability http GET,POST https://api.example.com/v1/** (private addresses too)",
                "!widened permit all: http GET,POST https://api.example.com/v1/** (private addresses too)",
            ],
            vec![
                "narrowed capability http GET,POST https://api.example.com/v1/**",
                "narrowed permit all: http GET,POST https://api.example.com/v1/**",
            ],
        ),
        (
            &base,
            &with("vouch_idempotent = [\"t\"]"),
            vec!["!added vouch_idempotent all: t"],
            vec!["removed vouch_idempotent all: t"],
        ),
    ] {
        let (there, back): (Vec<String>, Vec<String>) =
            (there.into_iter().map(limit).collect(), back.into_iter().map(limit).collect());
        assert_eq!(compared(old, new), there, "from\n{old}\nto\n{new}");
        assert_eq!(compared(new, old), back, "from\n{new}\nback to\n{old}");
    }
}

#[test]
fn a_row_for_more_or_for_longer_widens() {
    let until = |day: &str| row("a", &format!("kv = [\"ledger\"]\nexpires = {day}"));
    let rows = |old: &str, new: &str| -> Vec<String> {
        let found = compare(&[], &[], &policy(old), &policy(new));
        found.rows.iter().map(|item| format!("{} {}", item.change.as_str(), item.widens)).collect()
    };
    assert_eq!(rows(&until("2027-01-01"), &until("2027-02-01")), ["widened true"]);
    assert_eq!(rows(&until("2027-02-01"), &until("2027-01-01")), ["narrowed false"]);
    assert_eq!(rows(&until("2027-02-01"), &row("a", "kv = [\"ledger\"]")), ["widened true"]);
    let bound = row("a", "kv = [\"ledger\"]");
    let unbound = bound.replace("program = \"p\"\n", "");
    assert_eq!(rows(&bound, &unbound), ["widened true"]);
    assert_eq!(rows(&unbound, &bound), ["narrowed false"]);
    // Another row that says the same is no change.
    assert!(rows(&bound, &bound.replace("\"a\"", "\"b\"")).is_empty());
    // A restriction that speaks of fewer is one less.
    let ban = "[[forbid]]\nid = \"no\"\nkv = [\"x\"]\n";
    assert_eq!(rows(ban, &format!("{ban}tool = \"desk\"\n")), ["changed: review true"]);
    // Values of variables stay where they are.
    let env = |value: &str| format!("[env.desk]\nREGION = \"{value}\"\n");
    let found = compare(&[], &[], &policy(&env("eu")), &policy(&env("us")));
    assert!(found.widens() && !format!("{found:?}").contains("\"us"), "{found:?}");
}

#[test]
fn cases_are_read_with_all_that_is_wrong() {
    let read = |text: &str| match parse_cases(&Source::new("a.tests.toml", text)) {
        Ok(cases) => format!("{} cases", cases.len()),
        Err(found) => codes(&found),
    };
    let case = "[[case]]\nname = \"n\"\nprogram = \"p.toml\"\ntool = \"t\"\ncapability = \"kv\"\nvalue = \"a\"\nexpect = \"granted\"\n";
    for (text, expect) in [
        (case.to_owned(), "1 cases"),
        (format!("{case}by = \"row\"\n\n{case}"), "2 cases"),
        (String::new(), "invalid_field"),
        (case.replace("\"granted\"", "\"maybe\""), "invalid_field"),
        (case.replace("expect", "expects"), "unknown_field"),
        (case.replace("\"kv\"", "\"disk\""), "bad_question"),
        (case.replace("value = \"a\"", "value = \"A\""), "bad_question"),
        (format!("policy = \"p\"\n{case}"), "unknown_field"),
    ] {
        assert!(read(&text).contains(expect), "{text}: {}", read(&text));
    }
}
