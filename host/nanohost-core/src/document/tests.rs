//! Places, strictness, and the readers' messages.

use std::sync::Arc;

use serde_json::json;

use super::{Fields, Format, Node, Report, nearest, parse, source_from_bytes};
use crate::{Diagnostics, Source};

fn codes(findings: &Diagnostics) -> Vec<&'static str> {
    findings.iter().map(|finding| finding.code).collect()
}

fn read(format: Format, text: &str) -> (Arc<Source>, Node) {
    let source = Source::new("file", text);
    let node = parse(&source, format).unwrap_or_else(|findings| panic!("{text}: {findings}"));
    (source, node)
}

fn refused(format: Format, text: &str, code: &str, place: &str) {
    let findings = parse(&Source::new("f", text), format).expect_err("the text is refused");
    let first = findings.iter().next().expect("there is a finding");
    assert_eq!((first.code, first.place().as_deref()), (code, Some(place)), "{text:.60}: {findings}");
}

#[test]
fn both_formats_give_one_tree() {
    let toml = "b = [1, -2.5]\r\na.x = \"\\u00e9\"\r\n[[t]]\nk = true\n[[t]]\n";
    let json = "\u{feff}{\"b\": [1, -2.5],\r\n \"a\": {\"x\": \"\\u00e9\"}, \"t\": [{\"k\": true}, {}]}";
    let expect = json!({"b": [1, -2.5], "a": {"x": "é"}, "t": [{"k": true}, {}]});
    for (format, text) in [(Format::Toml, toml), (Format::Json, json)] {
        let (source, node) = read(format, text);
        let mut report = Report::new(&source);
        let value = node.to_json(&mut report);
        // Compared as text: the order of keys counts.
        assert_eq!(value.to_string(), expect.to_string());
        assert!(report.finish().is_ok());
        let entries = node.as_table().expect("a table");
        assert_eq!(&source.text[entries[0].node.span.clone()], "[1, -2.5]");
    }
}

#[test]
fn numbers_keep_their_digits_or_are_refused() {
    let (source, node) = read(
        Format::Toml,
        "a = 18446744073709551615\nb = -9223372036854775808\nc = 0x10\nd = 1_000\ne = 1e3",
    );
    let value = node.to_json(&mut Report::new(&source));
    assert_eq!(
        value.to_string(),
        r#"{"a":18446744073709551615,"b":-9223372036854775808,"c":16,"d":1000,"e":1000.0}"#
    );
    refused(Format::Toml, "\na = 18446744073709551616", "invalid_field", "f:2:5");
    refused(Format::Toml, "a = nan", "invalid_field", "f:1:5");
    refused(Format::Toml, "a = -inf", "invalid_field", "f:1:5");
    refused(Format::Json, "{\"a\": 18446744073709551616}", "invalid_field", "f:1:7");
    refused(Format::Json, "{\"a\": -9223372036854775809}", "invalid_field", "f:1:7");
    refused(Format::Json, "{\"a\": 1e999}", "not_json", "f:1:11");
}

#[test]
fn a_row_that_is_written_as_a_table_is_told_how() {
    let help = |text: &str| {
        let findings = parse(&Source::new("f", text), Format::Toml).expect_err(text);
        findings.iter().next().and_then(|finding| finding.help.clone()).unwrap_or_default()
    };
    assert!(help("[permit]\nid = 'a'\n[permit]\nid = 'b'\n").ends_with("begins with [[permit]]"));
    assert!(help("\u{feff}# é\n[a]\n[ a ]\n").contains("[[ a ]]"));
    assert_eq!(help("a = 1\na = 2"), "");
    assert_eq!(help("[a]\nb = [1]\nb = [2]"), "");
}

#[test]
fn strict() {
    refused(Format::Toml, "a = 1\na = 2", "duplicate_key", "f:2:1");
    refused(Format::Toml, "a = ", "not_toml", "f:1:5");
    refused(Format::Json, "{\"a\": 1, \"a\": 2}", "duplicate_key", "f:1:10");
    refused(Format::Json, "{\"a\": {\"b\": 1, \"b\": 2}}", "duplicate_key", "f:1:16");
    for text in [
        "",
        "{\"a\": 1,}",
        "{'a': 1}",
        "{a: 1}",
        "{} {}",
        "// x\n{}",
        "{\"a\": NaN}",
        "{\"a\": 01}",
        "{\"a\": \"\\ud800\"}",
        "{\"a\": \"\n\"}",
    ] {
        let findings = parse(&Source::new("f", text), Format::Json).expect_err(text);
        assert_eq!(codes(&findings), ["not_json"], "{text}");
    }
}

#[test]
fn depth_is_bounded() {
    let json = format!("{{\"a\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(codes(&parse(&Source::new("f", json), Format::Json).expect_err("too deep")), ["not_json"]);
    let toml = format!("a = {}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(parse(&Source::new("f", toml), Format::Toml).is_err());
    let dotted = vec!["a"; 70].join(".");
    let toml = format!("{dotted} = {{ {dotted} = {{ {dotted} = 1 }} }}");
    assert_eq!(
        codes(&parse(&Source::new("f", toml), Format::Toml).expect_err("too deep")),
        ["invalid_field"]
    );
    assert!(parse(&Source::new("f", vec!["a"; 100_000].join(".") + " = 1"), Format::Toml).is_err());
}

#[test]
fn bytes_that_are_no_text() {
    let findings = source_from_bytes("x.toml", b"a = 1\nb = \"\xff\"").expect_err("not UTF-8");
    let finding = findings.iter().next().expect("a finding");
    assert_eq!(finding.code, "not_utf8");
    assert_eq!(finding.place().as_deref(), Some("x.toml:2:6"));
    assert!(source_from_bytes("x.toml", "é".as_bytes()).is_ok());
    assert!(source_from_bytes("x.toml", &[0xff, 0xfe, b'a', 0]).is_err());
}

#[test]
fn formats_by_name() {
    assert_eq!(Format::of_name("a/b.JSON"), Format::Json);
    assert_eq!(Format::of_name("b.toml"), Format::Toml);
    assert_eq!(Format::of_name("ééé"), Format::Toml);
}

#[test]
fn fields_report_everything_at_once() {
    let (source, node) = read(
        Format::Toml,
        "nam = 'x'\ncount = 0\nkind = 'pur'\nlist = ['a', 1]\nflag = 'yes'\nwait = '5'\nzzz = 1\nok = 1.5",
    );
    let mut report = Report::new(&source);
    let mut fields = Fields::of(&node, "a file", &mut report).expect("a table");
    assert_eq!(fields.need_text("name", &mut report), None);
    assert_eq!(fields.count("count", &mut report), None);
    assert_eq!(fields.choice("kind", &[("pure", 1), ("external", 2)], &mut report), None);
    assert_eq!(fields.texts("list", &mut report), Some(vec![("a", 41..44)]));
    assert_eq!(fields.truth("flag", &mut report), None);
    assert_eq!(fields.seconds("wait", &mut report), None);
    assert_eq!(fields.seconds("ok", &mut report), Some(std::time::Duration::from_millis(1500)));
    fields.finish(&mut report);
    let findings = report.finish().expect_err("many errors");
    let shown: Vec<_> = findings
        .iter()
        .map(|finding| {
            format!(
                "{} {} | {}",
                finding,
                finding.label.as_deref().unwrap_or(""),
                finding.help.as_deref().unwrap_or("")
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "file:1:1: [invalid_field] a file needs `name` `name` is missing | ",
            "file:1:1: [unknown_field] unknown key `nam` in a file  | did you mean `name`?",
            "file:2:9: [invalid_field] `count` of a file is an integer of at least 1 this is an integer | ",
            "file:3:8: [invalid_field] `kind` of a file is one of \"pure\", \"external\"  | did you mean \"pure\"?",
            "file:4:14: [invalid_field] `list` holds strings, not an integer  | ",
            "file:5:8: [invalid_field] `flag` of a file is true or false this is a string | ",
            "file:6:8: [invalid_field] `wait` of a file is a number of seconds, more than 0 this is a string | ",
            "file:7:1: [unknown_field] unknown key `zzz` in a file  | known keys: name, count, kind, list, flag, wait, ok",
        ]
    );
}

#[test]
fn findings_are_bounded() {
    let source = Source::new("f", "");
    let mut report = Report::new(&source);
    (0..10_000).for_each(|_| report.invalid(&(0..0), "x"));
    let findings = report.finish().expect_err("many errors");
    assert_eq!(findings.iter().count(), super::MAX_FINDINGS + 1);
}

#[test]
fn the_nearest_word() {
    for (typed, expect) in [
        ("pormpt", Some("prompt")),
        ("Prompt", Some("prompt")),
        ("next", None),
        ("isterminal", Some("is_terminal")),
        ("x", None),
    ] {
        assert_eq!(nearest(typed, ["prompt", "is_terminal", "otherwise"].into_iter()), expect, "{typed}");
    }
}

#[test]
fn places_inside_strings() {
    let (source, node) = read(Format::Toml, "a = 'x @ y'\nb = \"\\u0041 @\"\nc = '''\nü @'''");
    let entries = node.as_table().expect("a table");
    assert_eq!(entries[0].node.place_in_text(&source, 2), 7..8);
    assert_eq!(entries[1].node.place_in_text(&source, 2), entries[1].node.span);
    let place = entries[2].node.place_in_text(&source, 3);
    assert_eq!(&source.text[place], "@");
}
