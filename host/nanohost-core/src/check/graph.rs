//! Which step leads to which: targets exist, everything is reached, cycles are bounded. Iterative,
//! linear in the steps.

use std::collections::HashMap;
use std::ops::Range;

use super::{Follow, StepIndex};
use crate::document::Report;
use crate::program::{Draft, Target};

/// Parts of a step's id that say that a run which ends there did not do what was asked.
const FAILURE_WORDS: [&str; 9] =
    ["fail", "reject", "block", "error", "deny", "denied", "refuse", "abort", "cancel"];

/// The edges of every step, in the order of [`Draft::steps`].
#[derive(Debug)]
pub(crate) struct Graph {
    pub(super) edges: Vec<Edges>,
}

#[derive(Debug)]
pub(super) struct Edges {
    pub(super) then: Option<StepIndex>,
    pub(super) otherwise: Option<StepIndex>,
    pub(super) follow: Follow,
    pub(super) subs: Vec<StepIndex>,
    /// Whether `next_step` names a step that does not exist: where it leads is then unknown.
    lost: bool,
}

/// A step and how it was entered: by a branch it does not run on into the next one of the array.
#[derive(Clone, Copy, PartialEq, Eq)]
struct State {
    step: usize,
    by_branch: bool,
}

/// In which ways a run can come to a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entered {
    /// As the first, or the one after another.
    pub(crate) in_order: bool,
    /// As a side of a condition.
    pub(crate) by_branch: bool,
}

impl State {
    fn of_slot(slot: usize) -> Self {
        Self { step: slot / 2, by_branch: slot % 2 == 1 }
    }

    fn slot(self) -> usize {
        2 * self.step + usize::from(self.by_branch)
    }
}

impl Graph {
    /// Resolves every target; `missing_target` where there is none.
    pub(super) fn of(draft: &Draft, report: &mut Report) -> Self {
        let mut subs: HashMap<usize, Vec<StepIndex>> = HashMap::new();
        for (at, step) in draft.steps.iter().enumerate() {
            if let Some(block) = step.block {
                subs.entry(block).or_default().push(StepIndex::of(at));
            }
        }
        let mut following = vec![None; draft.steps.len()];
        let mut later = None;
        for (at, step) in draft.steps.iter().enumerate().rev() {
            following[at] = later;
            if step.block.is_none() {
                later = Some(StepIndex::of(at));
            }
        }
        let mut edges = Vec::with_capacity(draft.steps.len());
        for (at, step) in draft.steps.iter().enumerate() {
            let mut find = |key: &str, target: &Option<Target>| {
                let target = target.as_ref()?;
                // Of two steps with one id, which is an error of its own, the first is meant.
                let found = draft.by_id.get(&*target.id).map(|found| found.as_usize());
                let why = match found {
                    Some(found) if draft.steps[found].block.is_none() => return Some(StepIndex::of(found)),
                    Some(_) => "it is a sub-step of a parallel step",
                    None => "there is no such step",
                };
                let shown: String = target.id.chars().take(60).collect();
                let message = format!("`{key}` leads to `{}`: {why}", shown.escape_debug());
                let finding = report.error("missing_target", &target.span, message).step(&*step.id);
                let near = match report.is_full() {
                    true => None,
                    false => crate::document::nearest(
                        &target.id,
                        draft.steps.iter().filter(|other| other.block.is_none()).map(|other| &*other.id),
                    ),
                };
                report.push(match near {
                    Some(near) => finding.help(format!("did you mean `{near}`?")),
                    None => finding,
                });
                None
            };
            let then = find("then", &step.then);
            let otherwise = find("otherwise", &step.otherwise);
            let next = find("next_step", &step.next_step);
            let follow = match next {
                Some(next) if !step.is_terminal => Follow::Jump(next),
                _ if step.is_terminal => Follow::Terminal,
                _ if step.block.is_some() || step.branches => Follow::Sequence(None),
                _ => Follow::Sequence(following[at]),
            };
            let lost = step.next_step.is_some() && next.is_none();
            edges.push(Edges { then, otherwise, follow, subs: subs.remove(&at).unwrap_or_default(), lost });
        }
        Self { edges }
    }

    /// In which ways runs come to each step, in the order of [`Draft::steps`].
    pub(crate) fn entered(&self, draft: &Draft) -> Vec<Entered> {
        if draft.steps.is_empty() {
            return Vec::new();
        }
        let (seen, _) = self.walk(draft);
        seen.chunks_exact(2).map(|pair| Entered { in_order: pair[0], by_branch: pair[1] }).collect()
    }

    /// Where a condition leads: `then` and `otherwise`.
    pub(crate) fn branches(&self, at: usize) -> (Option<StepIndex>, Option<StepIndex>) {
        (self.edges[at].then, self.edges[at].otherwise)
    }

    /// Where any other step leads; nowhere where `next_step` names a step that does not exist.
    pub(crate) fn follow(&self, at: usize) -> Follow {
        self.edges[at].follow
    }

    /// Where a state leads: at most two states.
    fn successors(&self, draft: &Draft, state: State) -> [Option<State>; 2] {
        let edges = &self.edges[state.step];
        let enter = |index: Option<StepIndex>, by_branch| {
            index.map(|index: StepIndex| State { step: index.as_usize(), by_branch })
        };
        if draft.steps[state.step].branches {
            return [enter(edges.then, true), enter(edges.otherwise, true)];
        }
        let next = match edges.follow {
            Follow::Jump(next) => Some(next),
            Follow::Sequence(next) if !state.by_branch && !edges.lost => next,
            Follow::Sequence(_) | Follow::Terminal => None,
        };
        [enter(next, false), None]
    }

    /// Walks everything a run can reach.
    pub(super) fn check(&self, draft: &Draft, report: &mut Report) {
        if draft.steps.is_empty() {
            return;
        }
        let (seen, closing) = self.walk(draft);
        let bounded = draft.budgets.max_steps.is_some() || draft.budgets.max_wall.is_some();
        // Where nothing leads back, every way ends.
        if bounded
            && !closing.is_empty()
            && let Some(at) = self.without_end(draft, &seen)
        {
            let step = &draft.steps[at];
            let message = format!(
                "no run that comes to `{}` ends by itself: every way from there leads round",
                step.id.escape_debug()
            );
            let finding = report.warning("no_exit", &step.id_span, message).step(&*step.id);
            report.push(finding.help("lead one of its ways to a step with `is_terminal = true`: otherwise only a budget or a failure ends it"));
        }
        if !bounded {
            for (from, to) in closing {
                let (from, to) = (&draft.steps[from], &draft.steps[to]);
                let named = [&from.next_step, &from.then, &from.otherwise];
                let target = named.into_iter().flatten().find(|target| *target.id == *to.id);
                let span = target.map_or(&from.id_span, |target| &target.span);
                let message = format!("nothing bounds the cycle from `{}` back to `{}`", from.id, to.id);
                let finding = report.error("unbounded_cycle", span, message).step(&*from.id);
                report.push(finding.help("add `max_steps = 100` (or `max_wall_seconds`) to the program"));
            }
        }
        let entered = |step: usize, by_branch| seen[State { step, by_branch }.slot()];
        let mut can_fail = false;
        for (at, step) in draft.steps.iter().enumerate().filter(|(_, step)| step.block.is_none()) {
            let (in_order, by_branch) = (entered(at, false), entered(at, true));
            if !in_order && !by_branch {
                let message = format!("no run reaches step `{}`", step.id.escape_debug());
                let finding = report.error("unreachable_step", &step.id_span, message).step(&*step.id);
                report.push(finding.help("lead to it with `next_step`, `then` or `otherwise`, or remove it"));
                continue;
            }
            if step.branches {
                continue;
            }
            let follow = self.edges[at].follow;
            let plain = matches!(follow, Follow::Sequence(_)) && !self.edges[at].lost;
            if plain && by_branch {
                let message = format!("a run that branches to `{}` ends there", step.id.escape_debug());
                let finding = report.warning("implicit_end", &step.id_span, message).step(&*step.id);
                report.push(
                    finding.help("say so with `is_terminal = true`, or lead on with `next_step = \"…\"`"),
                );
            }
            let ends = follow == Follow::Terminal || plain && (by_branch || follow == Follow::Sequence(None));
            can_fail |= ends && (step.outcome.is_some() || names_failure(&step.id));
        }
        if !can_fail && draft.steps.iter().any(|step| step.branches) {
            let message = "no step that ends a run has an `outcome` or is named for a failure";
            let finding = report.warning("no_failure_terminal", &whole(draft), message);
            report.push(
                finding.help("give the step that ends the bad case an outcome: `outcome = \"rejected\"`"),
            );
        }
    }

    /// The first step that is reached and from which no end can be: found by walking back from the ends.
    fn without_end(&self, draft: &Draft, seen: &[bool]) -> Option<usize> {
        let mut before: Vec<Vec<State>> = vec![Vec::new(); seen.len()];
        let mut ends = vec![false; seen.len()];
        let mut todo = Vec::new();
        let reached = || (0..seen.len()).filter(|slot| seen[*slot]).map(State::of_slot);
        for state in reached() {
            let ways = self.successors(draft, state);
            let open = if draft.steps[state.step].branches { 2 } else { 1 };
            if ways[..open].contains(&None) {
                ends[state.slot()] = true;
                todo.push(state);
            }
            ways.into_iter().flatten().for_each(|next| before[next.slot()].push(state));
        }
        while let Some(state) = todo.pop() {
            for earlier in std::mem::take(&mut before[state.slot()]) {
                if !std::mem::replace(&mut ends[earlier.slot()], true) {
                    todo.push(earlier);
                }
            }
        }
        reached().find(|state| !ends[state.slot()]).map(|state| state.step)
    }

    /// Which states are reached, and the edges that close cycles, one per step they lead back to.
    fn walk(&self, draft: &Draft) -> (Vec<bool>, Vec<(usize, usize)>) {
        let mut seen = vec![false; 2 * draft.steps.len()];
        let mut open = seen.clone();
        let mut closed_at = vec![false; draft.steps.len()];
        let mut closing = Vec::new();
        let start = State { step: 0, by_branch: false };
        let mut stack = vec![(start, 0)];
        seen[start.slot()] = true;
        open[start.slot()] = true;
        while let Some((state, tried)) = stack.last_mut() {
            let state = *state;
            let Some(next) = self.successors(draft, state).get(*tried).copied() else {
                open[state.slot()] = false;
                stack.pop();
                continue;
            };
            *tried += 1;
            let Some(next) = next else { continue };
            if open[next.slot()] && !std::mem::replace(&mut closed_at[next.step], true) {
                closing.push((state.step, next.step));
            }
            if !std::mem::replace(&mut seen[next.slot()], true) {
                open[next.slot()] = true;
                stack.push((next, 0));
            }
        }
        (seen, closing)
    }
}

fn names_failure(id: &str) -> bool {
    let id = id.to_ascii_lowercase();
    FAILURE_WORDS.iter().any(|word| id.contains(word))
}

/// Where findings about the whole program stand: at its start.
pub(super) fn whole(draft: &Draft) -> Range<usize> {
    let first = draft.steps.first().map_or(0, |step| step.span.start);
    first..first
}
