//! A drawing as a Mermaid flowchart.

use std::fmt::Write as _;

use super::{Drawing, Head, Node, NodeKind, capped};

const STYLES: [&str; 2] =
    ["classDef dead stroke-dasharray: 4 4,opacity: 0.5", "classDef missing stroke: #c00,color: #c00"];

impl Drawing {
    /// The drawing as a [Mermaid](https://mermaid.js.org) flowchart.
    pub fn to_mermaid(&self) -> String {
        let mut out = String::with_capacity(64 * (self.nodes.len() + self.edges.len()) + 256);
        out.push_str("flowchart TD\n");
        line(&mut out, format_args!("start([\"{}\"])", entity(&format!("start of {}", capped(&self.name)))));
        let mut open = false;
        for (at, step) in self.nodes.iter().enumerate() {
            if open && step.block.is_none() {
                out.push_str("    end\n");
                open = false;
            }
            if step.kind == NodeKind::Parallel && step.block.is_none() {
                line(&mut out, format_args!("subgraph block{at}[\" \"]"));
                open = true;
            }
            if open {
                out.push_str("    ");
            }
            let (left, right) = shape(step);
            let label: Vec<String> = step.lines().map(|line| entity(&line)).collect();
            let class = if step.reached { "" } else { ":::dead" };
            line(&mut out, format_args!("step{at}{left}\"{}\"{right}{class}", label.join("<br/>")));
        }
        if open {
            out.push_str("    end\n");
        }
        for (head, text) in
            [(Head::End, "finish([\"end\"])"), (Head::Failure, "failure([\"the run fails\"])")]
        {
            if self.edges.iter().any(|edge| edge.to == head) {
                line(&mut out, format_args!("{text}"));
            }
        }
        if !self.nodes.is_empty() {
            line(&mut out, format_args!("start --> step0"));
        }
        for (at, edge) in self.edges.iter().enumerate() {
            let to = match &edge.to {
                Head::Step(step) => format!("step{step}"),
                Head::End => "finish".to_owned(),
                Head::Failure => "failure".to_owned(),
                Head::Missing(id) => {
                    let label = entity(&format!("no step {}", capped(id)));
                    line(&mut out, format_args!("missing{at}[\"{label}\"]:::missing"));
                    format!("missing{at}")
                }
            };
            let stroke = if edge.when.is_implicit() { "-.->" } else { "-->" };
            let when = edge.when.to_string();
            let label = if when.is_empty() { when } else { format!("|{when}|") };
            line(&mut out, format_args!("step{} {stroke}{label} {to}", edge.from));
        }
        for style in STYLES {
            line(&mut out, format_args!("{style}"));
        }
        out
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    let written = writeln!(out, "    {text}");
    debug_assert_eq!(written, Ok(()), "a string takes what is written to it");
}

fn shape(step: &Node) -> (&'static str, &'static str) {
    match step.kind {
        _ if step.terminal => ("([", "])"),
        NodeKind::Tool => ("[", "]"),
        NodeKind::Llm => ("(", ")"),
        NodeKind::Condition => ("{", "}"),
        NodeKind::Parallel => ("[[", "]]"),
    }
}

/// Everything but letters, digits and a few signs as entity codes: Mermaid reads Markdown, HTML and
/// its own syntax in labels.
fn entity(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ' ' | '_' | '-' | '.' | ',' | ':' | '=' | '$' | '(' | ')' | '…' => out.push(c),
            c if c.is_alphanumeric() => out.push(c),
            c => out.push_str(&format!("#{};", u32::from(c))),
        }
    }
    out
}
