//! Every code of the checker, with its place in the author's own file: in TOML and JSON, with
//! line feeds and CRLF, with and without a byte order mark.

use std::collections::BTreeSet;

use crate::{Format, Program, Severity, Source};

const BOM: &str = "\u{feff}";

/// Checks that `code` is found at what stands between `⟦` and `⟧`.
fn found(severity: Severity, code: &str, format: Format, marked: &str) {
    let crlf = marked.replace('\n', "\r\n");
    for marked in [marked.to_owned(), crlf.clone(), format!("{BOM}{marked}"), format!("{BOM}{crlf}")] {
        let start = marked.find('⟦').expect("a mark");
        let text = marked.replace('⟦', "");
        let end = text.find('⟧').expect("a mark");
        let text = text.replace('⟧', "");
        let findings = match Program::parse(Source::new("p", text.clone()), format).and_then(Program::check) {
            Ok((_, warnings)) => warnings,
            Err(findings) => findings,
        };
        let here = findings
            .iter()
            .find(|finding| finding.code == code && finding.span == Some(start..end))
            .unwrap_or_else(|| panic!("no {code} at {:?} of {text:?}:\n{findings}", &text[start..end]));
        assert_eq!(here.severity, severity, "{here}");
        let before = text.strip_prefix(BOM).unwrap_or(&text);
        let before = &before[..start - (text.len() - before.len())];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        assert_eq!(here.place(), Some(format!("p:{line}:{column}")), "{code}");
    }
}

fn error(code: &str, toml: &str, json: &str) {
    found(Severity::Error, code, Format::Toml, toml);
    found(Severity::Error, code, Format::Json, json);
}

fn warning(code: &str, toml: &str, json: &str) {
    found(Severity::Warning, code, Format::Toml, toml);
    found(Severity::Warning, code, Format::Json, json);
}

#[test]
fn errors_of_the_graph() {
    error(
        "missing_target",
        "# é\n[[steps]]\nid = 'a'\ntype = 'tool'\nnext_step = ⟦'gone'⟧\n",
        "{\"steps\": [\n {\"id\": \"é\", \"type\": \"tool\", \"next_step\": ⟦\"gone\"⟧}]}",
    );
    error(
        "unreachable_step",
        "[[steps]]\nid = 'a'\ntype = 'tool'\nis_terminal = true\n[[steps]]\nid = ⟦\"b\"⟧\ntype = 'tool'\n",
        "{\"steps\": [{\"id\": \"a\", \"type\": \"tool\", \"is_terminal\": true},\n\t{\"id\": ⟦\"b\"⟧, \"type\": \"tool\"}]}",
    );
    error(
        "unbounded_cycle",
        "steps = [\n  { id = 'a', type = 'tool', next_step = ⟦'a'⟧ },\n]\n",
        "{\"steps\": [{\"id\": \"a\", \"type\": \"tool\", \"next_step\": ⟦\"a\"⟧}]}",
    );
    error(
        "duplicate_step_id",
        "[[steps]]\nid = 'a'\ntype = 'tool'\n[[steps]]\nid = ⟦'a'⟧\ntype = 'tool'\n",
        "{\"steps\": [{\"id\": \"a\", \"type\": \"tool\"}, {\"id\": ⟦\"a\"⟧, \"type\": \"tool\"}]}",
    );
}

#[test]
fn errors_of_form() {
    error(
        "invalid_id",
        "[[steps]]\nid = ⟦'é b'⟧\ntype = 'tool'\n",
        "{\"steps\": [{\"type\": \"tool\",\n\"id\": ⟦\"1a\"⟧}]}",
    );
    error(
        "unknown_field",
        "[[steps]]\nid = 'a'\n⟦tpye⟧ = 'tool'\n",
        "{\"steps\": [{\"id\": \"a\", \"type\": \"tool\",\n ⟦\"tols\"⟧: 1}]}",
    );
    error(
        "invalid_field",
        "max_steps = ⟦'5'⟧\n[[steps]]\nid = 'a'\ntype = 'tool'\n",
        "{\"max_steps\": ⟦0⟧, \"steps\": [{\"id\": \"a\", \"type\": \"tool\"}]}",
    );
    error(
        "bad_condition",
        "[[steps]]\nid = 'k'\ntype = 'condition'\ncondition = \"$é == 1 ⟦&⟧& $b\"\nthen = 'k'\n",
        "{\"steps\": [{\"id\": \"k\", \"type\": \"condition\", \"condition\": \"$é ⟦+⟧ 1\", \"then\": \"k\"}]}",
    );
    error(
        "unknown_tool",
        "[tools.t]\npath = 't'\n[[steps]]\nid = 'a'\ntype = 'tool'\ntool = ⟦'tt'⟧\n",
        "{\"tools\": {\"t\": {\"path\": \"t\"}}, \"steps\": [{\"id\": ⟦\"a\"⟧, \"type\": \"tool\"}]}",
    );
    error(
        "undefined_variable",
        "inputs.x = {}\n[[steps]]\nid = 'a'\ntype = 'tool'\nargs.v = [1, ⟦'say $y'⟧]\n",
        "{\"inputs\": {}, \"steps\": [{\"id\": \"a\", \"type\": \"tool\", \"args\": {\"v\": ⟦\"$y\"⟧}}]}",
    );
}

#[test]
fn warnings() {
    warning(
        "undefined_variable",
        "[[steps]]\nid = 'a'\ntype = 'tool'\nargs.v = ⟦'''\n$y'''⟧\n",
        "{\"steps\": [{\"id\": \"a\", \"type\": \"tool\", \"args\": {\"v\": ⟦\"$y\"⟧}}]}",
    );
    warning(
        "implicit_end",
        "[[steps]]\nid = 'k'\ntype = 'condition'\ncondition = '$x'\nthen = 'b'\n[[steps]]\nid = ⟦'b'⟧\ntype = 'tool'\n",
        "{\"steps\": [{\"id\": \"k\", \"type\": \"condition\", \"condition\": \"$x\", \"then\": \"b\"}, {\"id\": ⟦\"b\"⟧, \"type\": \"tool\"}]}",
    );
    warning(
        "missing_otherwise",
        "[[steps]]\nid = ⟦'k'⟧\ntype = 'condition'\ncondition = '$x'\nthen = 'b'\n[[steps]]\nid = 'b'\ntype = 'tool'\n",
        "{\"steps\": [{\"id\": ⟦\"k\"⟧, \"type\": \"condition\", \"condition\": \"$x\", \"otherwise\": \"b\"}, {\"id\": \"b\", \"type\": \"tool\"}]}",
    );
    warning(
        "implicit_fallback",
        "[[steps]]\nid = ⟦'q'⟧\ntype = 'llm'\nprompt = 'p'\non_error = 'skip'\nallowed_outputs = ['a']\n",
        "{\"steps\": [{\"id\": ⟦\"q\"⟧, \"type\": \"llm\", \"prompt\": \"p\", \"on_error\": \"skip\", \"allowed_outputs\": [\"a\"]}]}",
    );
    warning(
        "substring_guard",
        "steps = [\n{ id = 'q', type = 'llm', prompt = 'p' },\n{ id = 'k', type = 'condition', condition = ⟦\"'safe' in $q\"⟧, then = 'z' },\n{ id = 'z', type = 'tool' }]\n",
        "{\"steps\": [{\"id\": \"q\", \"type\": \"llm\", \"prompt\": \"p\"},\n{\"id\": \"k\", \"type\": \"condition\", \"condition\": ⟦\"$q contains 'safe'\"⟧, \"then\": \"z\"}, {\"id\": \"z\", \"type\": \"tool\"}]}",
    );
    // About the program as a whole: before its first step.
    for code in ["open_inputs", "no_failure_terminal"] {
        warning(
            code,
            "name = 'p'\nsteps = [⟦⟧{ id = 'k', type = 'condition', condition = '$x', then = 'b' }, { id = 'b', type = 'tool' }]\n",
            "{\"steps\": [⟦⟧{\"id\": \"k\", \"type\": \"condition\", \"condition\": \"$x\", \"then\": \"b\"}, {\"id\": \"b\", \"type\": \"tool\"}]}",
        );
    }
}

#[test]
fn all_problems_come_in_one_pass() {
    let toml = r#"
max_steps = -1
colour = "red"
[tools.t]
path = "t"
[[steps]]
id = "q"
type = "llm"
prompt = "$nobody"
on_error = "skip"
allowed_outputs = ["a"]
[[steps]]
id = "k"
type = "condition"
condition = "'safe' in $q"
then = "gone"
[[steps]]
id = "broken"
type = "condition"
condition = "$q =="
then = "b"
[[steps]]
id = "b"
type = "tool"
tool = "other"
next_step = "c"
[[steps]]
id = "c"
type = "tool"
tool = "t"
next_step = "b"
[[steps]]
id = "c"
type = "tool"
tool = "t"
[[steps]]
id = "9"
type = "tool"
tool = "t"
"#;
    let parsed: toml::Table = toml.parse().expect("TOML");
    let json = serde_json::to_string(&parsed).expect("JSON");
    let expect: BTreeSet<&str> = [
        "invalid_field",
        "unknown_field",
        "undefined_variable",
        "implicit_fallback",
        "substring_guard",
        "missing_otherwise",
        "missing_target",
        "bad_condition",
        "unknown_tool",
        "unreachable_step",
        "duplicate_step_id",
        "invalid_id",
        "no_failure_terminal",
        "open_inputs",
    ]
    .into();
    for (format, text) in [(Format::Toml, toml.to_owned()), (Format::Json, json)] {
        let findings = Program::parse(Source::new("p", text), format).expect_err("many errors");
        let codes: BTreeSet<&str> = findings.iter().map(|finding| finding.code).collect();
        assert_eq!(codes, expect, "{findings}");
    }
}
