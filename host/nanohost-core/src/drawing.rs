//! [`Drawing`]: the graph of a program as boxes and arrows, with what no run reaches told apart from
//! what ends one. Drawn are programs of a sound form, also those that [`Program::check`] refuses:
//! dead steps and targets that are not there are what one wants to see. Knows no file and no
//! terminal. Iterative, linear in the steps.

mod dot;
mod mermaid;

#[cfg(test)]
mod tests;

use std::fmt;

use crate::check::{self, Entered, Follow, StepKind};
use crate::document::Report;
use crate::program::{DraftStep, Program, Target};
use crate::{Diagnostics, StepIndex};

/// Characters of one line of a label. Stops a long condition from making the picture unreadable.
const MAX_LINE: usize = 60;

/// The graph of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawing {
    /// The program's name.
    pub name: String,
    /// Its steps; parallel sub-steps follow their block.
    pub nodes: Vec<Node>,
    /// Where they lead, by the step they leave.
    pub edges: Vec<Edge>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The step's id.
    pub id: String,
    /// What kind it is.
    pub kind: NodeKind,
    /// What it does, in a few words: `calls issue_refund`.
    pub what: String,
    /// The business outcome.
    pub outcome: Option<String>,
    /// Whether a run can come to it.
    pub reached: bool,
    /// Whether `is_terminal` ends the run after it.
    pub terminal: bool,
    /// The block it lies in, as an index of [`Drawing::nodes`].
    pub block: Option<usize>,
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// Calls a tool.
    Tool,
    /// Asks a model.
    Llm,
    /// Decides.
    Condition,
    /// Runs its sub-steps side by side.
    Parallel,
}

/// One way on from a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// The step, as an index of [`Drawing::nodes`].
    pub from: usize,
    /// Where to.
    pub to: Head,
    /// When it is taken.
    pub when: When,
}

/// Where an edge leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Head {
    /// To a step, as an index of [`Drawing::nodes`].
    Step(usize),
    /// The run ends with success.
    End,
    /// The run fails: the side of a condition that is not there.
    Failure,
    /// To a step that does not exist.
    Missing(String),
}

/// When an edge is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The condition is true.
    Then,
    /// The condition is false.
    Otherwise,
    /// After success: `next_step`, `is_terminal` or the next step of the list.
    Always,
    /// After success, since the program says no more here: its last step.
    Last,
    /// After success, where a branch led to the step, which says neither `next_step` nor
    /// `is_terminal`.
    Branched,
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Then => "then",
            Self::Otherwise => "otherwise",
            Self::Always => "",
            Self::Last => "implicit end",
            Self::Branched => "implicit end, if branched to",
        })
    }
}

impl When {
    /// Whether nobody wrote it down.
    fn is_implicit(self) -> bool {
        matches!(self, Self::Last | Self::Branched)
    }
}

impl Program {
    /// The program's graph, with what [`Program::check`] finds in it.
    pub fn draw(&self) -> (Drawing, Diagnostics) {
        let draft = &self.draft;
        let mut report = Report::new(&draft.source);
        let graph = check::examine(draft, &mut report);
        let entered = graph.entered(draft);
        let mut drawing = Drawing {
            name: draft.name.clone(),
            nodes: Vec::with_capacity(draft.steps.len()),
            edges: Vec::with_capacity(draft.steps.len()),
        };
        for (at, step) in draft.steps.iter().enumerate() {
            let entered = entered[step.block.unwrap_or(at)];
            drawing.nodes.push(Node::of(step, entered));
            if step.block.is_some() {
                continue;
            }
            let mut edge = |to, when| drawing.edges.push(Edge { from: at, to, when });
            if step.branches {
                let (then, otherwise) = graph.branches(at);
                edge(side(then, step.then.as_ref()), When::Then);
                edge(side(otherwise, step.otherwise.as_ref()), When::Otherwise);
                continue;
            }
            match (&step.next_step, graph.follow(at)) {
                (_, Follow::Terminal) => edge(Head::End, When::Always),
                (_, Follow::Jump(next)) => edge(Head::Step(next.as_usize()), When::Always),
                (Some(missing), Follow::Sequence(_)) => {
                    edge(Head::Missing(missing.id.clone()), When::Always);
                }
                (None, Follow::Sequence(next)) => {
                    // Of a step that nothing reaches, what would follow if it were reached in order.
                    if entered.in_order || !entered.by_branch {
                        match next {
                            Some(next) => edge(Head::Step(next.as_usize()), When::Always),
                            None => edge(Head::End, When::Last),
                        }
                    }
                    if entered.by_branch && (next.is_some() || !entered.in_order) {
                        edge(Head::End, When::Branched);
                    }
                }
            }
        }
        let findings = match report.finish() {
            Ok(findings) | Err(findings) => findings,
        };
        (drawing, findings)
    }
}

fn side(found: Option<StepIndex>, named: Option<&Target>) -> Head {
    match (found, named) {
        (Some(step), _) => Head::Step(step.as_usize()),
        (None, Some(target)) => Head::Missing(target.id.clone()),
        (None, None) => Head::Failure,
    }
}

impl Node {
    fn of(step: &DraftStep, entered: Entered) -> Self {
        let (kind, what) = match &step.body {
            Some(StepKind::Tool(call)) => (NodeKind::Tool, format!("calls {}", call.tool)),
            Some(StepKind::Llm(call)) => {
                let mut what = format!("asks {}", call.model);
                if !call.allowed_tools.is_empty() {
                    let tools: Vec<&str> = call.allowed_tools.iter().map(|tool| tool.as_str()).collect();
                    what.push_str(&format!(", may propose {}", tools.join(", ")));
                }
                (NodeKind::Llm, what)
            }
            Some(StepKind::Condition(guard)) => (NodeKind::Condition, guard.condition.text().to_owned()),
            Some(StepKind::Parallel(block)) => {
                let what = match block.max_concurrency {
                    Some(max) => format!("side by side, {max} at a time"),
                    None => "side by side".to_owned(),
                };
                (NodeKind::Parallel, what)
            }
            // A program of a sound form has no step without a body.
            None => (NodeKind::Tool, String::new()),
        };
        Self {
            id: step.id.to_string(),
            kind,
            what,
            outcome: step.outcome.clone(),
            reached: entered.in_order || entered.by_branch,
            terminal: step.is_terminal,
            block: step.block,
        }
    }

    /// The lines of its label.
    fn lines(&self) -> impl Iterator<Item = String> {
        let outcome = self.outcome.as_ref().map(|outcome| format!("outcome: {outcome}"));
        let dead = (!self.reached).then(|| "no run reaches it".to_owned());
        let lines = [Some(self.id.clone()), Some(self.what.clone()), outcome, dead];
        lines.into_iter().flatten().filter(|line| !line.is_empty()).map(|line| capped(&line))
    }
}

/// One line without what would break or hide it. The author of a program chose it: it must not be
/// able to speak for the picture.
fn capped(text: &str) -> String {
    let mut out = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == MAX_LINE {
            out.push('…');
            break;
        }
        match c {
            '"' | '\'' | '\\' => out.push(c),
            c => out.extend(c.escape_debug()),
        }
    }
    out
}
