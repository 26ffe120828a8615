//! A drawing in the DOT language of Graphviz.

use std::fmt::Write as _;

use super::{Drawing, Head, Node, NodeKind, When, capped};

impl Drawing {
    /// The drawing in the [DOT language](https://graphviz.org/doc/info/lang.html).
    pub fn to_dot(&self) -> String {
        let mut out = String::with_capacity(96 * (self.nodes.len() + self.edges.len()) + 256);
        let name = quoted([&*capped(&self.name)]);
        line(&mut out, 0, format_args!("digraph {name} {{"));
        line(&mut out, 1, format_args!("node [shape=box, fontname=\"sans-serif\"];"));
        line(&mut out, 1, format_args!("edge [fontname=\"sans-serif\"];"));
        line(&mut out, 1, format_args!("start [shape=circle, label=\"start\"];"));
        let mut open = false;
        for (at, step) in self.nodes.iter().enumerate() {
            if open && step.block.is_none() {
                line(&mut out, 1, format_args!("}}"));
                open = false;
            }
            if step.kind == NodeKind::Parallel && step.block.is_none() {
                line(&mut out, 1, format_args!("subgraph cluster_{at} {{"));
                open = true;
            }
            let lines: Vec<String> = step.lines().collect();
            let label = quoted(lines.iter().map(|line| &**line));
            let depth = if open { 2 } else { 1 };
            line(&mut out, depth, format_args!("step{at} [label={label}{}];", style(step)));
        }
        if open {
            line(&mut out, 1, format_args!("}}"));
        }
        for (head, text) in [
            (Head::End, "finish [shape=doublecircle, label=\"end\"];"),
            (Head::Failure, "failure [shape=octagon, label=\"the run fails\"];"),
        ] {
            if self.edges.iter().any(|edge| edge.to == head) {
                line(&mut out, 1, format_args!("{text}"));
            }
        }
        if !self.nodes.is_empty() {
            line(&mut out, 1, format_args!("start -> step0;"));
        }
        for (at, edge) in self.edges.iter().enumerate() {
            let to = match &edge.to {
                Head::Step(step) => format!("step{step}"),
                Head::End => "finish".to_owned(),
                Head::Failure => "failure".to_owned(),
                Head::Missing(id) => {
                    let label = quoted([&*format!("no step {}", capped(id))]);
                    let red = "color=red, fontcolor=red";
                    line(&mut out, 1, format_args!("missing{at} [label={label}, {red}];"));
                    format!("missing{at}")
                }
            };
            let label = match edge.when {
                When::Always => String::new(),
                when => {
                    format!(" [label=\"{when}\"{}]", if when.is_implicit() { ", style=dashed" } else { "" })
                }
            };
            line(&mut out, 1, format_args!("step{} -> {to}{label};", edge.from));
        }
        out.push_str("}\n");
        out
    }
}

fn line(out: &mut String, depth: usize, text: std::fmt::Arguments<'_>) {
    let written = writeln!(out, "{:1$}{text}", "", 2 * depth);
    debug_assert_eq!(written, Ok(()), "a string takes what is written to it");
}

fn style(step: &Node) -> String {
    let shape = match step.kind {
        NodeKind::Tool => "",
        NodeKind::Llm => ", style=rounded",
        NodeKind::Condition => ", shape=diamond",
        NodeKind::Parallel => ", shape=component",
    };
    let terminal = if step.terminal { ", peripheries=2" } else { "" };
    let dead = match (step.reached, step.kind) {
        (true, _) => "",
        (false, NodeKind::Llm) => ", style=\"rounded,dashed\", color=gray, fontcolor=gray",
        (false, _) => ", style=dashed, color=gray, fontcolor=gray",
    };
    let shape = if step.reached || step.kind != NodeKind::Llm { shape } else { "" };
    format!("{shape}{terminal}{dead}")
}

/// A quoted string of these lines. Graphviz expands backslashes and HTML entities in labels.
fn quoted<'a>(lines: impl IntoIterator<Item = &'a str>) -> String {
    let mut out = String::from("\"");
    for (at, line) in lines.into_iter().enumerate() {
        if at > 0 {
            out.push_str("\\n");
        }
        for c in line.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '&' => out.push_str("&amp;"),
                c => out.push(c),
            }
        }
    }
    out.push('"');
    out
}
