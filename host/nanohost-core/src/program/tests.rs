//! The form of programs: keys, kinds, messages with places; and that no text makes it panic.

use std::time::Duration;

use super::{Program, ToolOrigin};
use crate::capability::{Access, Clock, Random};
use crate::check::{CheckedProgram, OnError, OnTimeout, StepKind};
use crate::{Diagnostics, Format, Severity, Source};

const SAMPLE: &str = r#"
name = "refund"
version = "1.0.0"
description = "Refunds."
model = "small"
subject = "$customer_id"
max_steps = 50
max_tokens = 1_000
max_stalled_steps = 3
max_wall_seconds = 1.5
models.scripted = "answers.json"

[inputs]
order_id = { type = "string", pattern = "^O-", default = "O-1" }
customer_id = { type = "string" }
limit = { type = "integer", minimum = 1, default = 5 }

[tools.lookup]
path = "../tools/orders"
function = "find"
grant = { filesystem = [{ guest = "/data", access = "read" }], kv = ["a"], clock = "virtual", random = "denied", sockets = [{ address = "127.0.0.1", port = 80 }], http = ["api.example.com", "*.example.org"], secrets = ["refund-key"] }

[tools.pay]
path = "../tools/pay"

[[steps]]
id = "order"
type = "tool"
tool = "lookup"
args = { id = "$order_id", deep = [{ x = "of $limit" }] }
output_key = "found"
on_error = "retry"
timeout_seconds = 0.5

[[steps]]
id = "ask"
type = "llm"
prompt = "Is $found good?"
system = "Be brief."
allowed_outputs = ["yes", "no"]
fallback = "no"
timeout_seconds = 5
on_timeout = "fallback"
on_error = "skip"

[[steps]]
id = "both"
type = "parallel"
max_concurrency = 2

[[steps.parallel_steps]]
id = "first"
type = "tool"
tool = "lookup"

[[steps.parallel_steps]]
id = "second"
type = "llm"
prompt = "go"
allowed_tools = ["pay"]

[[steps]]
id = "guard"
type = "condition"
condition = "$ask == 'yes' and $order.total < 100"
then = "pay"
otherwise = "reject"

[[steps]]
id = "pay"
type = "tool"
idempotency = "$order_id"
resume = { by = ["role:approver"], schema = { type = "object", required = ["ok"] } }
is_terminal = true
outcome = "paid"

[[steps]]
id = "reject"
type = "tool"
tool = "lookup"
is_terminal = true
outcome = "rejected"
"#;

fn parse(format: Format, text: &str) -> Result<(CheckedProgram, Diagnostics), Diagnostics> {
    let name = if format == Format::Json { "dir/p.json" } else { "dir/p.toml" };
    Program::parse(Source::new(name, text), format).and_then(Program::check)
}

/// Checks the errors of a TOML program that has, besides `text`, one sound step.
fn check(text: &str, expect: &[&str]) {
    let text = format!("{text}\n[[steps]]\nid = \"last_error\"\ntype = \"tool\"\n");
    let found: Vec<_> = match parse(Format::Toml, &text) {
        Ok(_) => Vec::new(),
        Err(findings) => findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .map(|finding| {
                let (line, column) = finding.span.as_ref().map_or((0, 0), |span| {
                    finding.source.as_ref().map_or((0, 0), |source| source.line_column(span.start))
                });
                format!("{line}:{column} {} {}", finding.code, finding.message)
            })
            .collect(),
    };
    assert_eq!(found, expect, "{text}");
}

#[test]
fn a_whole_program() {
    let (program, warnings) = parse(Format::Toml, SAMPLE).unwrap_or_else(|findings| panic!("{findings}"));
    assert_eq!(warnings.iter().map(|finding| finding.code).collect::<Vec<_>>(), Vec::<&str>::new());
    assert_eq!((program.name(), program.version(), program.model()), ("refund", Some("1.0.0"), "small"));
    assert_eq!(program.scripted(), Some("answers.json"));
    assert_eq!(program.digest(), crate::Digest::of(SAMPLE.as_bytes()));
    let budgets = program.budgets();
    assert_eq!(budgets.max_steps.map(u64::from), Some(50));
    assert_eq!(budgets.max_wall, Some(Duration::from_millis(1500)));
    let inputs = program.inputs().expect("declared");
    assert_eq!(
        inputs.iter().map(|input| &*input.name).collect::<Vec<_>>(),
        ["order_id", "customer_id", "limit"]
    );
    assert_eq!(inputs[0].default, Some("O-1".into()));
    assert_eq!(inputs[0].schema.get("default"), None);
    let tools = program.tools().expect("a table");
    assert_eq!(tools[0].origin, ToolOrigin::Path("../tools/orders".into()));
    let grant = tools[0].grant.as_ref().expect("narrowed");
    assert_eq!(grant.filesystem.as_ref().expect("folders")[0].access, Access::Read);
    assert_eq!((grant.clock, grant.random, &grant.env), (Some(Clock::Virtual), Some(Random::Denied), &None));
    let ids: Vec<_> = program.steps().iter().map(|step| step.id.as_str()).collect();
    assert_eq!(ids, ["order", "ask", "both", "first", "second", "guard", "pay", "reject"]);
    let step = |id: &str| {
        let index = program.index_of(id).expect("a step");
        program.step(index)
    };
    assert_eq!(step("order").on_error, OnError::Retry { attempts: 3.try_into().expect("not zero") });
    let StepKind::Llm(ask) = &step("ask").kind else { panic!("a model step") };
    assert_eq!(
        (&*ask.model, ask.on_timeout, ask.fallback.as_deref()),
        ("small", OnTimeout::Fallback, Some("no"))
    );
    let StepKind::Parallel(both) = &step("both").kind else { panic!("a block") };
    assert_eq!(
        both.steps.iter().map(|index| program.step(*index).id.as_str()).collect::<Vec<_>>(),
        ["first", "second"]
    );
    let StepKind::Tool(pay) = &step("pay").kind else { panic!("a tool step") };
    assert_eq!(pay.tool.as_str(), "pay");
    assert_eq!(pay.resume.as_ref().expect("may be resumed").by, ["role:approver"]);
}

#[test]
fn a_package_is_named_by_what_it_is() {
    let pinned = format!("oci://registry/orders:1.0.0@sha256:{}", "a".repeat(64));
    check(&format!("[tools.last_error]\npackage = '{pinned}'"), &[]);
    check(&format!("[tools.last_error]\npackage = '{pinned}'\nbundle = 'tools.tar'"), &[]);
    check(
        "[tools.last_error]\npackage = 'oci://registry/orders:1.0.0'",
        &[
            "2:11 package_unpinned oci://registry/orders:1.0.0 may be another package tomorrow: it has no digest",
        ],
    );
    check(
        "[tools.last_error]\nbundle = 'tools.tar'",
        &["2:10 package_unpinned `bundle` says where a package is found, and not which one is meant"],
    );
    check(
        &format!("[tools.last_error]\npath = 'tools/a'\npackage = '{pinned}'"),
        &["2:8 invalid_field a tool comes from a folder or from a package, not from both"],
    );
    check("[tools.last_error]\nfunction = 'f'", &["1:1 invalid_field tool `last_error` needs `path`"]);
}

#[test]
fn json_is_the_same_language() {
    let text = r#"{"steps": [{"id": "a", "type": "tool", "tool": null, "args": {}, "max_retries": 3, "next_step": null,
        "is_terminal": false}], "max_steps": null}"#;
    let (program, _) = parse(Format::Json, text).unwrap_or_else(|findings| panic!("{findings}"));
    assert_eq!(program.name(), "p");
}

#[test]
fn keys() {
    check(
        "nmae = 'x'\nmax_steps = '5'\nmodel = ''",
        &[
            "1:1 unknown_field unknown key `nmae` in the program",
            "2:13 invalid_field `max_steps` of the program is an integer of at least 1",
            "3:9 invalid_field `model` of the program is a string that is not empty",
        ],
    );
    check("models = { other = 'x' }", &["1:12 unknown_field unknown key `other` in `models`"]);
    check(
        "max_wall_seconds = 0",
        &["1:20 invalid_field `max_wall_seconds` of the program is a number of seconds, more than 0"],
    );
    check("subject = '${x'", &["1:15 invalid_field expected `}` after the reference"]);
}

#[test]
fn steps() {
    let step = |rest: &str, expect: &[&str]| check(&format!("[[steps]]\nid = 'a'\n{rest}"), expect);
    step(
        "type = 'tol'",
        &["3:8 invalid_field `type` of step `a` is one of \"tool\", \"llm\", \"condition\", \"parallel\""],
    );
    step(
        "type = 'tool'\nprompt = 'x'",
        &["4:1 invalid_field `prompt` does not belong in step `a`: only a step of type \"llm\" has it"],
    );
    step(
        "type = 'tool'\nargs.x = ['a $b.01']",
        &["4:17 invalid_field a path segment is a name, or a list index without leading zeros"],
    );
    step("type = 'tool'\nargs.x = 2026-01-01", &["4:10 invalid_field a date is no JSON value"]);
    step(
        "type = 'tool'\nmax_retries = 5",
        &["4:15 invalid_field `max_retries` needs `on_error = \"retry\"`"],
    );
    step("type = 'tool'\nmax_retries = 3", &[]);
    step(
        "type = 'tool'\nis_terminal = false\noutput_key = 'last_error'",
        &["5:14 invalid_field the output key `last_error` is a step's id too; one name has one meaning"],
    );
    step(
        "type = 'tool'\noutput_key = '__webhook__'",
        &["4:14 invalid_field `output_key` is a name that references can use: letters, digits and `_`"],
    );
    step(
        "type = 'llm'\nprompt = 'x'\nallowed_outputs = []",
        &["5:19 invalid_field `allowed_outputs` allows nothing; leave it out to allow any answer"],
    );
    step(
        "type = 'llm'\nprompt = 'x'\nallowed_outputs = ['a ']",
        &[
            "5:20 invalid_field an allowed output has space around it; answers are trimmed, so it would never match",
        ],
    );
    step(
        "type = 'llm'\nprompt = 'x'\ntimeout_seconds = 1\non_timeout = 'fallback'",
        &["6:14 invalid_field there is nothing to fall back to: add `fallback` or `allowed_outputs`"],
    );
    step(
        "type = 'condition'\ncondition = '$x ! 1'\nthen = 'last_error'\non_error = 'skip'",
        &[
            "4:17 bad_condition unexpected `!`; write `not` or `!=`, at byte 3",
            "6:12 invalid_field a guard that cannot be decided fails the run; it cannot be skipped or retried",
        ],
    );
    step(
        "type = 'condition'\ncondition = ''\nthen = 'last_error'\noutput_key = 'k'\ntimeout_seconds = 1",
        &[
            "4:13 bad_condition expected a value: `$name`, a text in quotes, a number, True, False or None, at byte 0",
            "6:1 invalid_field `output_key` does not belong in step `a`: a condition has no output",
            "7:1 invalid_field `timeout_seconds` does not belong in step `a`: only tool and llm steps have it",
        ],
    );
    step(
        "type = 'parallel'\n[[steps.parallel_steps]]\nid = 'b'\ntype = 'tool'\nresume = {}\noutcome = 'x'",
        &[
            "7:1 invalid_field `resume` does not belong in step `b`: a step inside a block cannot suspend",
            "8:1 invalid_field `outcome` does not belong in step `b`: a sub-step ends with its block",
        ],
    );
    step(
        "type = 'tool'\nresume = { schema = { tpye = 'object' }, by = [] }",
        &[
            "4:10 invalid_field `by` names nobody; leave it out for the operator alone",
            "4:23 unknown_field unknown keyword `tpye` in `schema` of `resume`",
        ],
    );
}

#[test]
fn inputs() {
    check(
        "inputs.a = { type = 'strin' }",
        &[
            "1:12 invalid_field input `a` is no JSON Schema: \"strin\" is not valid under any of the schemas listed in the 'anyOf' keyword",
        ],
    );
    check(
        "inputs.a = { type = 'string', default = 1 }",
        &[
            "1:41 invalid_field the default of input `a` does not fit its own schema: 1 is not of type \"string\"",
        ],
    );
    check(
        "inputs.a = 'string'",
        &["1:12 invalid_field input `a` is a table with a JSON Schema, not a string"],
    );
    check(
        "inputs.a-b = { properties = { x = { minimun = 1 } } }",
        &[
            "1:8 invalid_field input `a-b` has no name that references can use: letters, digits and `_`",
            "1:37 unknown_field unknown keyword `minimun` in input `a-b`",
        ],
    );
    check(
        "inputs.last_error = {}",
        &["3:6 invalid_field `last_error` is a declared input too; one name has one meaning"],
    );
    // Nothing is fetched, and schemas are trees.
    check(
        "inputs.a = { '$ref' = 'other.json' }",
        &["1:14 unenforceable `$ref` in input `a`: schemas of programs do not refer"],
    );
    assert!(
        parse(Format::Toml, "inputs.a = { format = 'emial' }\n[[steps]]\nid = 'x'\ntype = 'tool'").is_err()
    );
}

#[test]
fn tools() {
    check(
        "[tools.last_error]\npackage = 'oci://x'",
        &["2:11 invalid_field the registry is followed by `/` and a repository"],
    );
    check(
        "[tools.last_error]\npath = 'x'\ngrant = { http = ['A'], kv = 'b', filesystem = [{ guest = '/a/../b', access = 'read' }] }",
        &[
            "3:19 invalid_field `http` holds hosts in their one spelling: `api.example.com`, `*.example.com`",
            "3:30 invalid_field `kv` of `grant` is a list",
            "3:49 invalid_field a guest folder is an absolute path without `.`, `..`, `//` or `/` at its end",
        ],
    );
    check("[tools.last]\npath = 'x'", &["4:6 unknown_tool the `tools` table has no `last_error`"]);
}

/// Every prefix, and the text with each of a few bytes in each place, read as both formats.
#[test]
fn no_text_makes_it_panic() {
    let json = {
        let source = Source::new("p", SAMPLE);
        let node = crate::document::parse(&source, Format::Toml).expect("sound");
        node.to_json(&mut crate::document::Report::new(&source)).to_string()
    };
    for (format, text) in [(Format::Toml, SAMPLE), (Format::Json, &json)] {
        for at in (0..text.len()).step_by(3) {
            let _ = parse(format, &text[..at]);
            let byte = ["\"", "$", "{", "]", "é", "=", "\n", "0", "'", "\u{feff}"][at / 3 % 10];
            let _ = parse(format, &format!("{}{byte}{}", &text[..at], &text[at + 1..]));
        }
    }
}

#[test]
fn long_programs_need_no_stack() {
    let mut steps = Vec::new();
    for at in 0..100_000 {
        steps.push(format!(
            r#"{{"id": "s{at}", "type": "tool", "tool": "t", "args": {{"x": "$undefined{at}"}}}}"#
        ));
    }
    let text = format!(r#"{{"steps": [{}]}}"#, steps.join(","));
    assert!(parse(Format::Json, &text).is_ok());
    let mut steps = Vec::new();
    for at in 0..100_000 {
        steps.push(format!(
            r#"{{"id": "c{at}", "type": "condition", "condition": "$x == {at}", "then": "c{}", "otherwise": "end"}}"#,
            at + 1
        ));
    }
    steps.push(
        r#"{"id": "c100000", "type": "tool", "tool": "t", "next_step": "c0"}, {"id": "end", "type": "tool"}"#
            .into(),
    );
    let text = format!(r#"{{"max_steps": 9, "steps": [{}]}}"#, steps.join(","));
    assert!(parse(Format::Json, &text).is_ok());
    assert!(parse(Format::Json, &text.replace("\"max_steps\": 9, ", "")).is_err());
    // As many mistakes as steps.
    let broken = text.replace("\"otherwise\"", "\"othrewise\"").replace("\"then\": \"c", "\"then\": \"d");
    assert!(parse(Format::Json, &broken).is_err());
}
