//! Programs and inputs made to harm the host: each is refused with a code and a place, or does no
//! harm. What would hang or exhaust memory shows as a test that does not end.

use serde_json::{Map, Value, json};

use super::super::read_json;
use crate::{CheckedProgram, Diagnostics, Format, Program, Severity, Source, source_from_bytes};

fn parse(name: &str, text: &[u8]) -> Result<CheckedProgram, Diagnostics> {
    let source = source_from_bytes(name, text)?;
    Program::parse(source, Format::of_name(name)).and_then(Program::check).map(|(program, _)| program)
}

/// The first error of a file, as `code line:column`, or `sound`.
fn verdict(name: &str, text: impl AsRef<[u8]>) -> String {
    let findings = match parse(name, text.as_ref()) {
        Ok(_) => return "sound".to_owned(),
        Err(findings) => findings,
    };
    assert!(findings.iter().count() < 500, "unbounded findings");
    for finding in findings.iter() {
        assert!(finding.message.len() < 2_000, "{}: an unbounded message", finding.code);
        assert!(
            finding.span.is_some() || finding.code == "too_many_findings",
            "{} has no place",
            finding.code
        );
    }
    let first = findings.iter().find(|finding| finding.severity == Severity::Error).expect("an error");
    let place = first.place().expect("a place");
    format!("{} {}", first.code, place.strip_prefix(&format!("{name}:")).expect("in this file"))
}

/// Checks JSON files: text, and the first error.
fn check_json(cases: &[(&str, &str)]) {
    for (text, expect) in cases {
        assert_eq!(verdict("p.json", text), *expect, "{text:.200}");
    }
}

fn check_toml(cases: &[(&str, &str)]) {
    for (text, expect) in cases {
        assert_eq!(verdict("p.toml", text), *expect, "{text:.200}");
    }
}

/// Checks programs of one step that has `key`: the code of the first error.
fn check_step(key: &str, cases: &[(Value, &str)]) {
    for (value, expect) in cases {
        let mut step = json!({ "id": "a", "type": "tool" });
        match key {
            "condition" => step = json!({ "id": "a", "type": "condition", "then": "b" }),
            "prompt" => step["type"] = "llm".into(),
            _ => {}
        }
        step[key] = value.clone();
        let program = json!({ "steps": [step, { "id": "b", "type": "tool" }] });
        let found = verdict("p.json", program.to_string());
        let code = found.split(' ').next().expect("a code");
        assert_eq!(code, *expect, "{:.200}", value.to_string());
    }
}

const STEPS: &str = r#""steps":[{"id":"a","type":"tool"}]"#;

#[test]
fn files_that_are_no_programs() {
    check_toml(&[
        ("", "invalid_field 1:1"),
        ("\n\n", "invalid_field 1:1"),
        ("\0", "not_toml 1:2"),
        ("{\"steps\": []}", "not_toml 1:1"),
        ("steps = 1", "invalid_field 1:9"),
        ("steps = []", "invalid_field 1:1"),
        ("steps = [1, 'x', {}]", "invalid_field 1:10"),
        ("[[steps]]\nid = 'a'\rtype = 'tool'", "not_toml 2:10"),
        ("[[steps]]\nid = 'a\0'\ntype = 'tool'", "not_toml 2:8"),
        ("[[steps]]\nid = 'a'\nid = 'b'\ntype = 'tool'", "duplicate_key 3:1"),
        ("[[steps]]\nid = 'a'\n\"i\\u0064\" = 'b'\ntype = 'tool'", "duplicate_key 3:1"),
        ("max_steps = 1\n[[steps]]\nid = 'a'\ntype = 'tool'\n[[steps.a]]", "unknown_field 5:9"),
    ]);
    check_json(&[
        ("", "not_json 1:1"),
        ("   ", "not_json 1:3"),
        ("\0", "not_json 1:1"),
        ("steps = []", "not_json 1:1"),
        ("[]", "invalid_field 1:1"),
        ("null", "invalid_field 1:1"),
        ("1e5", "invalid_field 1:1"),
        ("\"steps\"", "invalid_field 1:1"),
        ("{}", "invalid_field 1:1"),
        ("{\"steps\": {}}", "invalid_field 1:11"),
        ("{\"steps\": [[]]}", "invalid_field 1:12"),
        ("{\"steps\": [{\"id\": \"a\0\", \"type\": \"tool\"}]}", "not_json 1:21"),
    ]);
    for name in ["p.toml", "p.json"] {
        assert_eq!(verdict(name, b"\xff\xfe{\0}\0"), "not_utf8 1:1");
        assert_eq!(verdict(name, b"\n  \xc3"), "not_utf8 2:3");
        assert_eq!(verdict(name, b"\xed\xa0\x80"), "not_utf8 1:1", "a surrogate in UTF-8");
        assert_eq!(verdict(name, b"\xc0\xaf"), "not_utf8 1:1", "an overlong form");
    }
}

#[test]
fn marks_and_line_ends() {
    let toml = "[[steps]]\r\nid = 'a'\r\ntype = 'tool'\r\n";
    let json = format!("{{\r\n{STEPS}\r\n}}");
    let mark = '\u{feff}';
    for (name, text) in [("p.toml", toml), ("p.json", &*json)] {
        assert_eq!(verdict(name, text), "sound");
        assert_eq!(verdict(name, format!("{mark}{text}")), "sound");
        assert!(verdict(name, format!("{mark}{mark}{text}")).starts_with("not_"));
        assert!(verdict(name, format!("{text}{mark}")).starts_with("not_"));
    }
    // Places count the mark as a character, and CRLF as the end of one line.
    assert_eq!(verdict("p.toml", format!("{mark}{toml}x = 1\r\n")), "unknown_field 4:1");
    assert_eq!(verdict("p.json", format!("{{\r\n{STEPS},\r\n\"x\":1}}")), "unknown_field 3:1");
}

#[test]
fn duplicate_keys() {
    check_json(&[
        (r#"{"steps":[{"id":"a","id":"b","type":"tool"}]}"#, "duplicate_key 1:21"),
        (r#"{"steps":[{"id":"a","\u0069d":"b","type":"tool"}]}"#, "duplicate_key 1:21"),
        (r#"{"steps":[{"id":"a","type":"tool","args":{"x":{"y":1,"y":2}}}]}"#, "duplicate_key 1:54"),
        (r#"{"inputs":{"i":{"type":"string","type":"integer"}},"steps":[]}"#, "duplicate_key 1:33"),
    ]);
    let many = format!("{{{}{STEPS}}}", "\"k\":1,".repeat(100_000));
    assert_eq!(verdict("p.json", many), "duplicate_key 1:599996");
}

#[test]
fn numbers() {
    let with = |key: &str, number: &str| format!("{{\"{key}\":{number},{STEPS}}}");
    let long = "9".repeat(100_000);
    for (number, expect) in [
        ("NaN", "not_json"),
        ("Infinity", "not_json"),
        ("-Infinity", "not_json"),
        ("1e400", "not_json"),
        ("0x10", "not_json"),
        ("+1", "not_json"),
        ("01", "not_json"),
        (&*long, "not_json"),
        ("18446744073709551616", "invalid_field"),
        ("1e3", "invalid_field"),
        ("1.0", "invalid_field"),
        ("0", "invalid_field"),
        ("-0", "invalid_field"),
        ("-1", "invalid_field"),
        ("\"1\"", "invalid_field"),
        ("true", "invalid_field"),
        ("[1]", "invalid_field"),
        ("null", "sound"),
        ("18446744073709551615", "sound"),
    ] {
        let found = verdict("p.json", with("max_steps", number));
        assert_eq!(found.split(' ').next(), Some(expect), "{number:.40}");
    }
    for (number, expect) in [
        ("1e-400", "invalid_field"),
        ("0.0", "invalid_field"),
        ("-0.0", "invalid_field"),
        ("1e-9", "sound"),
        ("1e-10", "invalid_field"),
        ("1e300", "invalid_field"),
        ("1e9", "sound"),
    ] {
        let found = verdict("p.json", with("max_wall_seconds", number));
        assert_eq!(found.split(' ').next(), Some(expect), "{number:.40}");
    }
    for (number, expect) in [
        ("nan", "invalid_field 1:13"),
        ("inf", "invalid_field 1:13"),
        ("-inf", "invalid_field 1:13"),
        ("1e400", "invalid_field 1:13"),
        ("9223372036854775808", "sound"),
        ("0xffff_ffff_ffff_ffff", "sound"),
        ("0x1_0000_0000_0000_0000", "invalid_field 1:13"),
        ("1979-05-27", "invalid_field 1:13"),
    ] {
        let text = format!("max_steps = {number}\n[[steps]]\nid = 'a'\ntype = 'tool'\n");
        assert_eq!(verdict("p.toml", text), expect, "{number}");
    }
}

#[test]
fn surrogates() {
    let with = |text: &str| format!(r#"{{"steps":[{{"id":"a","type":"llm","prompt":"{text}"}}]}}"#);
    for (text, expect) in [
        (r"\ud800", "not_json"),
        (r"\udc00", "not_json"),
        (r"\ud800x", "not_json"),
        (r"\ud800\ud800", "not_json"),
        (r"\udc00\ud800", "not_json"),
        (r"\u12", "not_json"),
        (r"\x41", "not_json"),
        (r"\ud83d\ude00", "sound"),
        (r"\u0000", "sound"),
        (r"\uffff", "sound"),
    ] {
        assert_eq!(verdict("p.json", with(text)).split(' ').next(), Some(expect), "{text}");
    }
    let toml = |text: &str| format!("[[steps]]\nid = 'a'\ntype = 'llm'\nprompt = \"{text}\"\n");
    assert!(verdict("p.toml", toml(r"\ud800")).starts_with("not_toml 4:"));
    assert!(verdict("p.toml", toml(r"\U00110000")).starts_with("not_toml 4:"));
}

#[test]
fn nesting() {
    const DEPTH: usize = 10_000;
    let lists = format!("{}{}", "[".repeat(DEPTH), "]".repeat(DEPTH));
    let objects = format!("{}1{}", "{\"a\":".repeat(DEPTH), "}".repeat(DEPTH));
    for value in [&lists, &objects] {
        for text in [
            value.clone(),
            format!("{{\"steps\":{value}}}"),
            format!("{{\"inputs\":{value},{STEPS}}}"),
            format!(r#"{{"steps":[{{"id":"a","type":"tool","args":{{"x":{value}}}}}]}}"#),
            format!(r#"{{"inputs":{{"i":{{"default":{value}}}}},{STEPS}}}"#),
        ] {
            assert!(verdict("p.json", text).starts_with("not_json 1:"));
        }
    }
    let tables = format!("{}1{}", "{a=".repeat(DEPTH), "}".repeat(DEPTH));
    let dotted = vec!["a"; DEPTH].join(".");
    for text in [
        format!("steps = {lists}"),
        format!("steps = {tables}"),
        format!("{dotted} = 1"),
        format!("[{dotted}]"),
        format!("[[{dotted}]]"),
        format!("[[steps]]\nid = 'a'\ntype = 'tool'\nargs.{dotted} = 1"),
        "[".repeat(DEPTH),
    ] {
        let found = verdict("p.toml", &text);
        assert!(found.starts_with("not_toml ") || found.starts_with("invalid_field "), "{found}: {text:.60}");
    }
    // Blocks lie in no blocks, however deep.
    let mut step = json!({ "id": "a", "type": "tool" });
    for at in 0..50 {
        step = json!({ "id": format!("p{at}"), "type": "parallel", "parallel_steps": [step] });
    }
    assert!(verdict("p.json", json!({ "steps": [step] }).to_string()).starts_with("invalid_field "));
}

#[test]
fn conditions() {
    const MOST: usize = 64 * 1024;
    let wide = |part: &str, joint: &str| {
        let count = (MOST - part.len()) / (part.len() + joint.len());
        format!("{part}{}", format!("{joint}{part}").repeat(count))
    };
    let padded = format!("True{}", " ".repeat(MOST - 4));
    let text = |length: usize| format!("'{}' == ''", "x".repeat(length));
    check_step(
        "condition",
        &[
            (json!(padded), "sound"),
            (json!(format!("{padded} ")), "bad_condition"),
            (json!(wide("True", " and ")), "sound"),
            (json!(wide("$b", " or ")), "sound"),
            (json!(wide("not $b", " or ")), "sound"),
            (json!(wide("$b.x.0", " == ")), "bad_condition"),
            (json!(text(MOST - 8)), "sound"),
            (json!(text(MOST)), "bad_condition"),
            (json!("(".repeat(10_000)), "bad_condition"),
            (json!(format!("{}True{}", "(".repeat(10_000), ")".repeat(10_000))), "bad_condition"),
            (json!(format!("{}True", "not ".repeat(10_000))), "bad_condition"),
            (json!(format!("{}True{}", "(not ".repeat(5_000), ")".repeat(5_000))), "bad_condition"),
            (json!(format!("$b{}", ".x".repeat(30_000))), "sound"),
            (json!(format!("$b == {}", "9".repeat(1_000))), "sound"),
            (json!(format!("$b == {}", "9".repeat(1_001))), "bad_condition"),
            (json!("$b == NaN"), "bad_condition"),
            (json!("$b == 1e5"), "bad_condition"),
            (json!("$b == '\u{0}'"), "sound"),
            (json!("\u{0}"), "bad_condition"),
            (json!("\u{feff}True"), "bad_condition"),
            (json!("True\r\nand\tTrue"), "sound"),
            (json!("True\u{a0}and True"), "bad_condition"),
            (json!("$b == \u{201c}x\u{201d}"), "bad_condition"),
            (json!("''.join(['a'])"), "bad_condition"),
            (json!("__import__('os')"), "bad_condition"),
            (json!("$b == '"), "bad_condition"),
            (json!("$b == '\\"), "bad_condition"),
            (json!("$"), "bad_condition"),
            (json!(""), "bad_condition"),
            (json!(true), "invalid_field"),
        ],
    );
}

#[test]
fn templates() {
    check_step(
        "prompt",
        &[
            (json!("$".repeat(100_000)), "sound"),
            (json!("\\$".repeat(100_000)), "sound"),
            (json!("$b ".repeat(100_000)), "sound"),
            (json!(format!("$b{}", ".x".repeat(100_000))), "sound"),
            (json!("${".repeat(10_000)), "invalid_field"),
            (json!("${b"), "invalid_field"),
            (json!("$b.01"), "invalid_field"),
            (json!(format!("$b.{}", "9".repeat(100_000))), "sound"),
            (json!("${b.}"), "invalid_field"),
            (json!("\u{0}\u{202e}$b\u{feff}"), "sound"),
        ],
    );
    let nested = |depth: usize| (0..depth).fold(json!("$b"), |value, _| json!([value]));
    check_step("args", &[(json!({ "x": nested(120) }), "sound"), (json!({ "x": nested(126) }), "not_json")]);
}

#[test]
fn ids() {
    let long = "a".repeat(1_000_000);
    for (id, expect) in [
        ("", "invalid_id"),
        (" a", "invalid_id"),
        ("a ", "invalid_id"),
        ("1a", "invalid_id"),
        ("a-b", "invalid_id"),
        ("a.b", "invalid_id"),
        ("a\n", "invalid_id"),
        ("\u{0}", "invalid_id"),
        ("é", "invalid_id"),
        ("\u{430}", "invalid_id"),
        ("a\u{200b}", "invalid_id"),
        ("\u{202e}a", "invalid_id"),
        ("\u{1f600}", "invalid_id"),
        ("../a", "invalid_id"),
        ("$a", "invalid_id"),
        (&*long, "invalid_id"),
        ("_", "sound"),
        ("__proto__", "sound"),
        ("constructor", "sound"),
        ("True", "sound"),
        ("output", "sound"),
        ("__webhook__", "invalid_id"),
    ] {
        let program = json!({ "steps": [{ "id": id, "type": "tool", "tool": "t" }] });
        let found = verdict("p.json", program.to_string());
        assert_eq!(found.split(' ').next(), Some(expect), "{id:.40}");
        // The same as a target, which is then the right one or none.
        let program = json!({ "steps": [{ "id": "a", "type": "tool", "next_step": id }] });
        assert!(verdict("p.json", program.to_string()).starts_with("missing_target "), "{id:.40}");
    }
    for id in [json!(null), json!(1), json!(true), json!(["a"]), json!({ "a": 1 })] {
        let program = json!({ "steps": [{ "id": id, "type": "tool", "tool": "t" }] });
        let found = verdict("p.json", program.to_string());
        assert!(found.starts_with("invalid_"), "{id}: {found}");
    }
}

#[test]
fn masses() {
    let many =
        |count: usize, one: &dyn Fn(usize) -> String| (0..count).map(one).collect::<Vec<_>>().join(",");
    let list = |items: String| format!("{{\"steps\":[{items}]}}");
    // More mistakes than anybody reads.
    assert!(verdict("p.json", list(many(100_000, &|_| "{}".into()))).starts_with("invalid_field "));
    let same = |_: usize| r#"{"id":"a","type":"tool"}"#.to_owned();
    assert!(verdict("p.json", list(many(50_000, &same))).starts_with("duplicate_step_id "));
    let lost = |at: usize| format!(r#"{{"id":"s{at}","type":"tool","next_step":"t{at}"}}"#);
    assert!(verdict("p.json", list(many(50_000, &lost))).starts_with("missing_target "));
    let keys = many(100_000, &|at| format!("\"k{at}\":1"));
    assert!(verdict("p.json", format!("{{{keys},{STEPS}}}")).starts_with("unknown_field "));
    let inputs = many(50_000, &|at| format!("\"i{at}\":{{}}"));
    assert!(verdict("p.json", format!("{{\"inputs\":{{{inputs}}},{STEPS}}}")).starts_with("invalid_field "));
    // A hundred thousand conditions that all meet, and a cycle through as many steps.
    let guard = |at: usize| {
        let (next, after) = ((at + 1).min(100_000), (at + 2).min(100_000));
        format!(
            r#"{{"id":"s{at}","type":"condition","condition":"True","then":"s{next}","otherwise":"s{after}"}}"#
        )
    };
    let last = r#"{"id":"s100000","type":"tool","tool":"t","is_terminal":true,"outcome":"rejected"}"#;
    let text = list(format!("{},{last}", many(100_000, &guard)));
    assert_eq!(verdict("p.json", text), "sound");
    let back = r#"{"id":"z","type":"tool","next_step":"s0"}"#;
    let text = list(format!("{},{back}", many(100_000, &|at| format!(r#"{{"id":"s{at}","type":"tool"}}"#))));
    assert!(verdict("p.json", text).starts_with("unbounded_cycle "));
}

fn schema(schema: Value) -> String {
    let program = json!({ "inputs": { "i": schema }, "steps": [{ "id": "a", "type": "tool" }] });
    verdict("p.json", program.to_string())
}

#[test]
fn schemas_that_would_never_end() {
    // Each definition names the one before twice: judging one value takes 2^60 steps.
    let mut definitions = json!({ "d0": { "type": "string" } });
    for at in 1..60 {
        let before = format!("#/$defs/d{}", at - 1);
        definitions[format!("d{at}")] = json!({ "allOf": [{ "$ref": before }, { "$ref": before }] });
    }
    let doubling = json!({ "$defs": definitions, "$ref": "#/$defs/d59" });
    assert_eq!(schema(doubling.clone()), "unenforceable 1:17");
    for value in [
        json!({ "$ref": "#" }),
        json!({ "$anchor": "x", "items": { "$ref": "#x" } }),
        json!({ "items": { "$dynamicRef": "#x" } }),
        json!({ "$id": "https://example.com/x" }),
        json!({ "properties": { "x": { "$ref": "https://example.com/x" } } }),
        json!({ "allOf": [{ "if": { "$ref": "#" } }] }),
    ] {
        assert!(schema(value.clone()).starts_with("unenforceable "), "{value}");
    }
    assert_eq!(schema(json!({ "properties": { "$ref": { "type": "string" } } })), "sound");
    assert_eq!(schema(json!({ "const": { "$ref": "#" }, "enum": [{ "$defs": 1 }] })), "sound");
    let mut resume = json!({ "steps": [{ "id": "a", "type": "tool", "resume": { "schema": doubling } }] });
    assert!(verdict("p.json", resume.to_string()).starts_with("unenforceable "));
    resume["steps"][0]["resume"]["schema"] = json!({ "type": "object" });
    assert_eq!(verdict("p.json", resume.to_string()), "sound");
    // What is left over is judged by judging everything again, at each level.
    let leftovers = |depth: usize| {
        (0..depth)
            .fold(json!({ "type": "object" }), |inner, _| json!({ "if": inner, "unevaluatedProperties": {} }))
    };
    assert_eq!(schema(leftovers(4)), "sound");
    assert!(schema(leftovers(40)).starts_with("invalid_field "));
    // Expressions that others run in exponential time, and ones that compile to too much.
    let slow = json!({ "type": "string", "pattern": "^(a|a)*(a+)+$" });
    assert_eq!(schema(slow.clone()), "sound");
    let program = json!({ "inputs": { "i": slow }, "steps": [{ "id": "a", "type": "tool" }] });
    let program = parse("p.json", program.to_string().as_bytes()).expect("sound");
    let given = |value: Value| Map::from_iter([("i".to_owned(), value)]);
    let findings =
        program.bind_inputs(given(json!(format!("{}b", "a".repeat(100_000))))).expect_err("no match");
    assert_eq!(findings.iter().map(|finding| finding.code).collect::<Vec<_>>(), ["invalid_input"]);
    for pattern in [r"(\p{L}{1000}){1000}", r"(?=x)", r"(a)\1", "(", r"\p{Nothing}"] {
        assert!(schema(json!({ "pattern": pattern })).starts_with("invalid_field "), "{pattern}");
    }
    let many: Vec<Value> = (0..1_000).map(|at| json!({ "pattern": format!("{at}") })).collect();
    assert!(schema(json!({ "anyOf": many })).starts_with("invalid_field "));
}

#[test]
fn inputs() {
    for (text, code) in [
        ("", "not_json"),
        ("nul", "not_json"),
        ("NaN", "not_json"),
        ("1e400", "not_json"),
        ("[1,]", "not_json"),
        ("\"\\ud800\"", "not_json"),
        ("18446744073709551616", "invalid_field"),
        ("{\"a\":1,\"a\":1}", "duplicate_key"),
        (&*"[".repeat(10_000), "not_json"),
        (&*format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)), "not_json"),
        (&*"9".repeat(100_000), "not_json"),
    ] {
        let findings = read_json(&Source::new("k", text)).expect_err("refused");
        assert_eq!(findings.iter().map(|finding| finding.code).collect::<Vec<_>>(), [code], "{text:.40}");
        assert!(findings.iter().all(|finding| finding.place().is_some()));
    }
    assert_eq!(
        read_json(&Source::new("k", "\u{feff}[-0.0, 1e-400]")).expect("JSON").to_string(),
        "[-0.0,0.0]"
    );
}
