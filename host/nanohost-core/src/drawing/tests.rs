//! What is drawn, dead steps and missing targets included, and that nothing an author writes gets
//! out of its label.

use serde_json::{Value, json};

use super::*;
use crate::{Format, Source};

fn draw(program: &Value) -> (Drawing, Vec<&'static str>) {
    let source = Source::new("p.json", program.to_string());
    let (drawing, findings) = Program::parse(source, Format::Json).expect("a sound form").draw();
    (drawing, findings.iter().map(|finding| finding.code).collect())
}

fn steps(steps: Value) -> Drawing {
    draw(&json!({ "name": "p", "inputs": { "x": {} }, "max_steps": 9, "steps": steps })).0
}

/// `from -when-> to` for every edge, and the dead steps.
fn told(drawing: &Drawing) -> String {
    let id = |at: usize| drawing.nodes[at].id.clone();
    let edges = drawing.edges.iter().map(|edge| {
        let to = match &edge.to {
            Head::Step(at) => id(*at),
            Head::End => "END".to_owned(),
            Head::Failure => "FAILURE".to_owned(),
            Head::Missing(id) => format!("?{id}"),
        };
        let when = match edge.when {
            When::Then => " then",
            When::Otherwise => " otherwise",
            When::Always => "",
            When::Last => " last",
            When::Branched => " branched",
        };
        format!("{}{when} {to}", id(edge.from))
    });
    let dead = drawing.nodes.iter().filter(|node| !node.reached).map(|node| format!("dead {}", node.id));
    edges.chain(dead).collect::<Vec<_>>().join(", ")
}

fn tool(id: &str) -> Value {
    json!({ "id": id, "type": "tool" })
}

fn guard(id: &str, then: &str, otherwise: &str) -> Value {
    json!({ "id": id, "type": "condition", "condition": "$x == 1", "then": then, "otherwise": otherwise })
}

#[test]
fn sequences_jumps_and_ends() {
    assert_eq!(told(&steps(json!([tool("a"), tool("b")]))), "a b, b last END");
    let jump = json!({ "id": "a", "type": "tool", "next_step": "c" });
    let end = json!({ "id": "c", "type": "tool", "is_terminal": true });
    assert_eq!(told(&steps(json!([jump, tool("b"), end]))), "a c, b c, c END, dead b");
    let back = json!({ "id": "b", "type": "tool", "next_step": "a" });
    assert_eq!(told(&steps(json!([tool("a"), back]))), "a b, b a");
}

#[test]
fn branches_and_their_implicit_ends() {
    assert_eq!(
        told(&steps(json!([guard("k", "a", "b"), tool("a"), tool("b")]))),
        "k then a, k otherwise b, a branched END, b branched END"
    );
    // Entered in both ways, a step leads on and ends.
    assert_eq!(
        told(&steps(json!([tool("a"), guard("k", "a", "b"), tool("b"), tool("c")]))),
        "a k, a branched END, k then a, k otherwise b, b branched END, c last END, dead c"
    );
    let one = json!({ "id": "k", "type": "condition", "condition": "$x", "then": "a" });
    assert_eq!(told(&steps(json!([one, tool("a")]))), "k then a, k otherwise FAILURE, a branched END");
}

#[test]
fn what_the_checker_refuses_is_drawn() {
    let program = json!({ "inputs": { "x": {} }, "steps": [
        guard("k", "gone", "a"),
        { "id": "a", "type": "tool", "next_step": "nowhere" },
        { "id": "b", "type": "parallel", "parallel_steps": [tool("c")] },
        { "id": "d", "type": "tool", "next_step": "b" }] });
    let (drawing, codes) = draw(&program);
    assert_eq!(told(&drawing), "k then ?gone, k otherwise a, a ?nowhere, b d, d b, dead b, dead c, dead d");
    for code in ["missing_target", "unreachable_step"] {
        assert!(codes.contains(&code), "{codes:?}");
    }
    assert_eq!(drawing.nodes[3].block, Some(2));
}

/// A program with everything that is drawn differently.
fn everything() -> Drawing {
    draw(&json!({ "name": "refund \"quick\"", "inputs": { "x": {} }, "max_steps": 9, "steps": [
        { "id": "read", "type": "llm", "prompt": "p", "allowed_tools": ["pay", "tell"] },
        { "id": "both", "type": "parallel", "max_concurrency": 2, "parallel_steps": [
            { "id": "one", "type": "tool", "tool": "pay" },
            { "id": "two", "type": "llm", "prompt": "p", "model": "big" }] },
        { "id": "fits", "type": "condition", "condition": "$read == \"a&b\" and 'c\\\\' in $x", "then": "good", "otherwise": "bad" },
        { "id": "good", "type": "tool", "is_terminal": true, "outcome": "paid <b>now</b>" },
        { "id": "bad", "type": "tool", "tool": "tell" },
        { "id": "dead", "type": "llm", "prompt": "p", "next_step": "away;\n]--> x" }] }))
    .0
}

#[test]
fn mermaid() {
    assert_eq!(everything().to_mermaid(), include_str!("tests/everything.mmd"));
}

#[test]
fn dot() {
    assert_eq!(everything().to_dot(), include_str!("tests/everything.dot"));
}

/// Every text that an author chooses freely, in one program.
fn hostile(text: &str) -> Drawing {
    draw(&json!({ "name": text, "inputs": { "x": {} }, "steps": [
        { "id": "a", "type": "llm", "prompt": "p", "model": text, "outcome": text, "next_step": text }] }))
    .0
}

#[test]
fn labels_hold_what_authors_write() {
    let plain = hostile("plain");
    for text in [
        "\"]; evil -> evil; [\"",
        "\\\" -> evil",
        "\\",
        "]:::x\nevil --> evil",
        "<script>alert(1)</script>",
        "`**bold**`",
        "%% comment",
        "#quot;&quot;",
        "\u{202e}reversed",
        "{a|b}",
        "end\r\nend",
        &"long ".repeat(100),
    ] {
        let drawing = hostile(text);
        let (mermaid, dot) = (drawing.to_mermaid(), drawing.to_dot());
        assert_eq!(mermaid.lines().count(), plain.to_mermaid().lines().count(), "{mermaid}");
        assert_eq!(dot.lines().count(), plain.to_dot().lines().count(), "{dot}");
        // Mermaid's quotes are those around labels; entities hold everything else.
        for line in mermaid.lines().filter(|line| line.contains('"')) {
            assert_eq!(line.matches('"').count(), 2, "{line}");
            let label = line.split('"').nth(1).unwrap_or_default().replace("<br/>", "");
            assert!(!label.contains(['<', '>', '`', '%', '[', ']', '{', '}', '|', '&', '\\', '*']), "{line}");
        }
        // DOT's are escaped, and a backslash never escapes the closing one.
        for line in dot.lines() {
            let unescaped = line.replace("\\\\", "").replace("\\\"", "");
            assert!(unescaped.matches('"').count().is_multiple_of(2), "{line}");
        }
        assert!(!dot.contains('\u{202e}') && !mermaid.contains('\u{202e}'));
        assert!(mermaid.lines().chain(dot.lines()).all(|line| line.chars().count() < 300));
    }
}

#[test]
fn vast_programs_are_drawn() {
    let count = 100_000;
    let all: Vec<Value> = (0..count).map(|at| tool(&format!("s{at}"))).collect();
    let drawing = steps(Value::Array(all));
    assert_eq!((drawing.nodes.len(), drawing.edges.len()), (count, count));
    assert_eq!(drawing.to_dot().lines().count(), 2 * count + 6 + 1);
    assert_eq!(drawing.to_mermaid().lines().count(), 2 * count + 6);
}
