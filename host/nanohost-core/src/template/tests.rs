//! Templates and the one resolver.

use serde_json::{Value, json};

use super::{Reference, Resolved, Root, Scope, Template, TextTemplate, Unresolved};
use crate::projection::{Known, Personal, Projection, Target, View};

struct Names {
    inputs: Value,
    output: Value,
    proposal: Option<Value>,
}

impl Scope for Names {
    fn root(&self, name: &str) -> Root<'_> {
        match name {
            "step" => Root::Step { output: &self.output, proposal: self.proposal.as_ref() },
            "withheld" => Root::Withheld,
            _ => self.inputs.get(name).map_or(Root::Absent, Root::Plain),
        }
    }
}

fn names() -> Names {
    Names {
        inputs: json!({"i": 1, "f": 1.0, "s": "a $i", "n": null, "l": [1, "x"], "o": {"b": 1, "a": 2}, "имя": "да"}),
        output: json!({"output": "inner", "proposal": "field", "n": 3, "list": [{"k": "v"}], "0": "zero"}),
        proposal: None,
    }
}

/// What `look` makes of the names as a tool sees them.
fn seen<T>(look: impl FnOnce(&View<'_>) -> T) -> T {
    let (personal, known) = (Personal::default(), Known::default());
    look(&View::new(&names(), Projection::new(Target::Tool, &personal, &known)))
}

fn text(template: &str) -> Result<String, Unresolved> {
    let template = TextTemplate::parse(template).unwrap_or_else(|error| panic!("{template}: {error}"));
    seen(|view| template.resolve(view)).map(|rendered| rendered.text)
}

fn check_text(template: &str, expect: &str) {
    assert_eq!(text(template).as_deref(), Ok(expect), "{template}");
}

fn check_value(template: Value, expect: Value) {
    let parsed = Template::parse(&template).unwrap_or_else(|error| panic!("{template}: {error}"));
    assert_eq!(seen(|view| parsed.resolve(view)), Ok(expect), "{template}");
}

#[test]
fn text_around_references() {
    check_text("", "");
    check_text("plain", "plain");
    check_text("$i", "1");
    check_text("$i$i", "11");
    check_text("$$i", "$1");
    check_text("cost $5, $i. a@b$i $ ", "cost $5, 1. a@b1 $ ");
    check_text("${i}st ${o.a}", "1st 2");
    check_text("\\$i \\${i} \\\\$i c:\\d", "$i ${i} \\$i c:\\d");
    check_text("$f $n $l $o", "1.0 null [1,\"x\"] {\"b\":1,\"a\":2}");
    check_text("say $s", "say a $i");
    check_text("$имя, $l.0, $l..0", "да, 1, [1,\"x\"]..0");
}

#[test]
fn values_keep_their_types() {
    check_value(
        json!({"a": "$i", "b": ["${l}", "x=$i"], "$i": 5, "e": ""}),
        json!({"a": 1, "b": [[1, "x"], "x=1"], "$i": 5, "e": ""}),
    );
    check_value(json!("\\$i"), json!("$i"));
    check_value(json!("$n"), json!(null));
}

#[test]
fn a_step_is_its_output() {
    let resolve =
        |names: &Names, text: &str| match Reference::parse(text).expect("a reference").resolve(names) {
            Resolved::Value(value) => value.clone(),
            Resolved::Absent => json!("absent"),
            Resolved::Withheld => json!("withheld"),
        };
    let mut names = names();
    for (reference, expect) in [
        ("$step.output.output", json!("inner")),
        ("$step.n", json!(3)),
        ("$step.output.n", json!(3)),
        ("$step.list.0.k", json!("v")),
        ("$step.list.1", json!("absent")),
        ("$step.list.k", json!("absent")),
        ("$step.list.99999999999999999999999", json!("absent")),
        ("$step.0", json!("zero")),
        ("$step.n.x", json!("absent")),
        ("$step.proposal", json!("field")),
        ("$nothing", json!("absent")),
        ("$withheld.x", json!("withheld")),
    ] {
        assert_eq!(resolve(&names, reference), expect, "{reference}");
    }
    assert_eq!(resolve(&names, "$step"), names.output);
    assert_eq!(resolve(&names, "$step.output"), names.output);
    names.proposal = Some(json!({"tool": "t"}));
    assert_eq!(resolve(&names, "$step.proposal.tool"), json!("t"));
    assert_eq!(resolve(&names, "$step.output.proposal"), json!("field"));
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(text("hi $nope.field"), Err(Unresolved::Absent { reference: "$nope.field".into() }));
    assert_eq!(text("$withheld"), Err(Unresolved::Withheld { reference: "$withheld".into() }));
    let template = Template::parse(&json!({"a": ["$i", {"b": "x ${l.7}"}]})).expect("a template");
    assert_eq!(seen(|view| template.resolve(view)), Err(Unresolved::Absent { reference: "$l.7".into() }));
    assert_eq!(template.references().map(ToString::to_string).collect::<Vec<_>>(), ["$i", "$l.7"]);
}

#[test]
fn refused_with_the_byte() {
    for (template, offset) in
        [("ab ${", 5), ("${}", 2), ("${a-b}", 3), ("${ a}", 2), ("${a.}", 3), ("x$a.01", 4), ("$a.1st", 3)]
    {
        let error = TextTemplate::parse(template).expect_err("no template");
        assert_eq!(error.offset, offset, "{template}: {error}");
    }
}

#[test]
fn depth_is_bounded() {
    let mut value = json!("$i");
    for _ in 0..128 {
        value = json!([value]);
    }
    assert!(Template::parse(&value).is_ok());
    assert!(Template::parse(&json!([value])).is_err());
}
