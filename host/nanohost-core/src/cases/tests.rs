//! What a file of cases may say, and what it may not.

use super::*;

fn read(text: &str) -> Result<Vec<ToolCase>, Diagnostics> {
    parse_tool_cases(&Source::new("cases.toml", text))
}

/// One case with these lines comes to this, or is refused with that code.
#[track_caller]
fn check(lines: &str, expect: Result<Expected, &str>) {
    let text = format!("[[case]]\nname = \"it\"\n{lines}\n");
    match (read(&text), expect) {
        (Ok(cases), Ok(expected)) => assert_eq!(cases[0].expected, expected, "{lines}"),
        (Err(found), Err(code)) => {
            assert!(found.iter().any(|finding| finding.code == code), "{lines}: {found}");
        }
        (Ok(cases), Err(code)) => panic!("{lines} is {cases:?}, not {code}"),
        (Err(found), Ok(_)) => panic!("{lines}: {found}"),
    }
}

#[test]
fn a_call_comes_to_exactly_one_thing() {
    let fails = |code: &str, message: Option<&str>| {
        Ok(Expected::Fails { code: code.to_owned(), message: message.map(str::to_owned) })
    };
    check("output = { words = 2 }", Ok(Expected::Output(serde_json::json!({ "words": 2 }))));
    check("error = \"nothing\"", Ok(Expected::Error("nothing".into())));
    check("succeeds = true", Ok(Expected::Success));
    check("fails = \"invalid-input\"", fails("invalid_input", None));
    check("fails = \"fuel_exhausted\"\nmessage = \"fuel\"", fails("fuel_exhausted", Some("fuel")));
    for wrong in [
        "",
        "succeeds = false",
        "output = 1\nfails = \"rejected\"",
        "fails = \"crashed\"",
        "output = 1\nmessage = \"m\"",
        "succeeds = true\nenv = { A = 1 }",
        "succeeds = true\nkv = { a = \"b\" }",
        "succeeds = true\nhttp = [{ request = \"get it\" }]",
        "succeeds = true\nhttp = [{ request = \"GET https://a.example\" }]",
        "succeeds = true\nhttp = [{ request = \"GET https://a.example/\", status = 99 }]",
    ] {
        check(wrong, Err("invalid_field"));
    }
    check("succeeds = true\nexpect = 1", Err("unknown_field"));
    assert!(read("").is_err(), "an empty file tests nothing");
}

#[test]
fn the_world_around_a_call() {
    let cases = read(
        r#"[[case]]
name = "all of it"
function = "book"
input = { order = "A-1" }
succeeds = true
denied = ["kv set other"]
env = { REGION = "eu" }
folders = { "/data" = "fixtures" }
files = { "/data/a" = "x" }
http = [{ request = "GET https://a.example/v1", status = 404, headers = { x = "y" }, body = "no" }]
[case.kv.ledger]
"A-1" = "1"
"#,
    )
    .expect("it is whole");
    let case = &cases[0];
    assert_eq!(case.function.as_deref(), Some("book"));
    assert_eq!(case.denied, ["kv set other"]);
    assert_eq!(case.kv["ledger"]["A-1"], "1");
    let answer = &case.http[0];
    assert_eq!((answer.status, answer.body.as_str()), (404, "no"));
    assert!(answer.request.matches("GET https://a.example/v1?page=2"));
    assert!(answer.request.matches("GET https://a.example/v1"));
    assert!(!answer.request.matches("GET https://a.example/v1/x"));
    assert!(!answer.request.matches("POST https://a.example/v1"));
}

fn programs(text: &str) -> Result<Vec<ProgramCase>, Diagnostics> {
    parse_program_cases(&Source::new("program.cases.toml", text))
}

#[test]
fn a_run_and_what_stands_in_its_way() {
    let cases = programs(
        r#"[[case]]
name = "all of it"
inputs = { order = "A-1" }
model = { classify = "yes" }
status = "failed"
error = "step_failed"
outcome = "rejected"
output = { a = 1 }
path = ["classify", "pay"]
denied = ["pay tool limit"]
[[case.tool]]
name = "pay"
args = { amount = 1 }
fails = "unavailable"
message = "busy"
[[case.tool]]
name = "wait"
waits = "for a person"
"#,
    )
    .expect("it is whole");
    let case = &cases[0];
    assert_eq!(case.error, Some(crate::run::ErrorKind::StepFailed));
    assert_eq!(
        case.tools[0].gives,
        Gives::Fails { code: "unavailable".to_owned(), message: "busy".to_owned() }
    );
    assert_eq!(case.tools[1].gives, Gives::Waits("for a person".to_owned()));
    assert_eq!(programs("[[case]]\nname = \"n\"\n").expect("it succeeds")[0].status, "success");
    for (wrong, code) in [
        ("status = \"over\"", "invalid_field"),
        ("error = \"no such kind\"", "invalid_field"),
        ("inputs = 1", "invalid_field"),
        ("tool = [{ name = \"a\" }]", "invalid_field"),
        ("tool = [{ name = \"a\", output = 1, waits = \"x\" }]", "invalid_field"),
        ("tool = [{ name = \"a b\", output = 1 }]", "invalid_field"),
        ("expect = 1", "unknown_field"),
    ] {
        let found = programs(&format!("[[case]]\nname = \"n\"\n{wrong}\n")).expect_err(wrong);
        assert!(found.iter().any(|finding| finding.code == code), "{wrong}: {found}");
    }
}
