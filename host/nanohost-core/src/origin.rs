//! Where the values of a run can come from: from the author, from whoever started it, from tools,
//! from models, from events. Computed over the whole graph of a program before it runs, whatever
//! the order of its steps: an origin that is not named here cannot reach the place by way of the
//! program's own references.
//!
//! Knows only how values flow through references. What a tool keeps for another call (key-value
//! spaces, files, servers), and what a model's answer decides by steering a branch, it does not see.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;

use crate::ToolName;
use crate::check::{CheckedProgram, StepIndex, StepKind};
use crate::template::{Node, Reference, Template};

/// Where a value can come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// The program's own text.
    Literal,
    /// An input of the run.
    Input,
    /// A tool's result.
    Tool,
    /// A model's choice among values that the program fixes (`allowed_outputs`).
    Choice,
    /// A model's own text, or what it proposed.
    Model,
    /// An event that answered a suspension.
    Webhook,
}

impl Origin {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 6] =
        [Self::Literal, Self::Input, Self::Tool, Self::Choice, Self::Model, Self::Webhook];

    /// The word for it in policies and on screens.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Literal => "literal",
            Self::Input => "input",
            Self::Tool => "tool",
            Self::Choice => "choice",
            Self::Model => "model",
            Self::Webhook => "webhook",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of origins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Origins(u8);

impl Origins {
    /// Whether a value can come from there.
    pub fn has(self, origin: Origin) -> bool {
        self.0 & origin.bit() != 0
    }

    /// The origins, in the order of [`Origin::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Origin> {
        Origin::ALL.into_iter().filter(move |origin| self.has(*origin))
    }

    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl From<Origin> for Origins {
    fn from(origin: Origin) -> Self {
        Self(origin.bit())
    }
}

/// An argument of a call, and where it can come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Its name, fields of objects that the program itself writes with dots between; `None`: every
    /// argument, since a model proposes the call.
    pub name: Option<String>,
    /// The step that calls, or lets its model propose the call.
    pub step: StepIndex,
    /// Where it can come from.
    pub origins: Origins,
}

/// How values flow through a program.
#[derive(Debug)]
pub struct Flow<'p> {
    program: &'p CheckedProgram,
    /// The origins of each node: first the steps, then output keys and what models propose.
    origins: Vec<Origins>,
    /// By which node each origin came first, for each node; itself where it begins there.
    came_by: Vec<[Option<u32>; Origin::ALL.len()]>,
    keys: HashMap<&'p str, u32>,
    /// What the model of a step proposes: its own words, and what its prompt brings.
    proposals: HashMap<u32, u32>,
}

/// What a reference leads to.
enum Source {
    /// A node.
    Node(u32),
    /// Origins that nothing adds to.
    Fixed(Origins),
}

impl<'p> Flow<'p> {
    /// The flow of a program. Tools for which `vouched` says so have results that are their own,
    /// whatever arguments they were given; all others may repeat their arguments.
    ///
    /// Linear in the size of the program.
    pub fn of(program: &'p CheckedProgram, vouched: impl Fn(&ToolName) -> bool) -> Self {
        let steps = program.steps();
        let mut keys = HashMap::new();
        for key in steps.iter().filter_map(|step| step.output_key.as_deref()) {
            let next = node(steps.len() + keys.len());
            keys.entry(key).or_insert(next);
        }
        let asks = steps.iter().enumerate().filter(|(_, step)| matches!(step.kind, StepKind::Llm(_)));
        let first = steps.len() + keys.len();
        let proposals: HashMap<u32, u32> =
            asks.enumerate().map(|(nth, (at, _))| (node(at), node(first + nth))).collect();
        let nodes = first + proposals.len();
        let (origins, came_by) = (vec![Origins::default(); nodes], vec![[None; Origin::ALL.len()]; nodes]);
        let mut flow = Self { program, origins, came_by, keys, proposals };
        let mut readers: Vec<Vec<u32>> = vec![Vec::new(); nodes];
        let mut changed = VecDeque::new();
        for (at, step) in steps.iter().enumerate() {
            let at = node(at);
            if let Some(key) = &step.output_key {
                readers[at as usize].extend(flow.keys.get(key.as_str()).copied());
            }
            let mut own = Origins::default();
            let mut read: Vec<Source> = Vec::new();
            match &step.kind {
                StepKind::Tool(call) => {
                    own = Origin::Tool.into();
                    if call.resume.is_some() {
                        own = own.with(Origin::Webhook.into());
                    }
                    if !vouched(&call.tool) {
                        read.extend(flow.sources(&call.args));
                    }
                }
                // An answer that is one of the author's own brings nothing else along.
                StepKind::Llm(llm) if !llm.allowed_outputs.is_empty() && llm.allowed_tools.is_empty() => {
                    own = Origin::Choice.into();
                }
                StepKind::Llm(llm) => {
                    own = if llm.allowed_tools.is_empty() { own } else { Origin::Tool.into() };
                    read.extend(flow.proposals.get(&at).copied().map(Source::Node));
                }
                StepKind::Parallel(block) => read.extend(block.steps.iter().map(|sub| Source::Node(sub.0))),
                StepKind::Condition(_) => own = Origin::Literal.into(),
            }
            let mut flows = vec![(at, own, read)];
            if let (StepKind::Llm(llm), Some(proposal)) = (&step.kind, flow.proposals.get(&at)) {
                let system = llm.system.iter().flat_map(|system| system.references());
                let told = llm.prompt.references().chain(system).map(|told| flow.source(told)).collect();
                flows.push((*proposal, Origin::Model.into(), told));
            }
            for (to, mut own, read) in flows {
                for source in read {
                    match source {
                        Source::Node(from) => readers[from as usize].push(to),
                        Source::Fixed(origins) => own = own.with(origins),
                    }
                }
                flow.add(to, own, to);
                changed.push_back(to);
            }
        }
        // Each node can grow six times at most.
        while let Some(from) = changed.pop_front() {
            let origins = flow.origins[from as usize];
            for &to in &readers[from as usize] {
                if flow.add(to, origins, from) {
                    changed.push_back(to);
                }
            }
        }
        flow
    }

    fn add(&mut self, to: u32, origins: Origins, by: u32) -> bool {
        let known = self.origins[to as usize];
        for origin in origins.iter().filter(|origin| !known.has(*origin)) {
            self.came_by[to as usize][origin as usize] = Some(by);
        }
        self.origins[to as usize] = known.with(origins);
        self.origins[to as usize] != known
    }

    /// Every argument of every call, in the order of the steps, by the tool that is called.
    pub fn arguments(&self) -> BTreeMap<&'p ToolName, Vec<Argument>> {
        let mut all: BTreeMap<&ToolName, Vec<Argument>> = BTreeMap::new();
        for (at, step) in self.program.steps().iter().enumerate() {
            let at = StepIndex::of(at);
            match &step.kind {
                StepKind::Tool(call) => {
                    let arguments = all.entry(&call.tool).or_default();
                    let Node::Object(fields) = call.args.node() else { continue };
                    for (name, value) in fields {
                        self.argument(name.clone(), value, at, arguments);
                    }
                }
                StepKind::Llm(llm) => {
                    let proposal = self.proposals.get(&at.0).map(|proposal| *proposal as usize);
                    let origins = proposal.map_or_else(Origins::default, |proposal| self.origins[proposal]);
                    for tool in &llm.allowed_tools {
                        all.entry(tool).or_default().push(Argument { name: None, step: at, origins });
                    }
                }
                StepKind::Condition(_) | StepKind::Parallel(_) => {}
            }
        }
        all
    }

    fn argument(&self, name: String, value: &Node, step: StepIndex, all: &mut Vec<Argument>) {
        if let Node::Object(fields) = value
            && !fields.is_empty()
        {
            for (field, value) in fields {
                self.argument(format!("{name}.{field}"), value, step, all);
            }
            return;
        }
        all.push(Argument { name: Some(name), step, origins: self.of_node(value) });
    }

    fn of_node(&self, value: &Node) -> Origins {
        let mut references = Vec::new();
        value.collect(&mut references);
        let all = references.into_iter().map(|reference| match self.source(reference) {
            Source::Node(from) => self.origins[from as usize],
            Source::Fixed(origins) => origins,
        });
        let all = all.fold(Origins::default(), Origins::with);
        // What refers to nothing is the author's own.
        if all == Origins::default() { Origin::Literal.into() } else { all }
    }

    fn sources<'a>(&'a self, template: &'a Template) -> impl Iterator<Item = Source> + 'a {
        template.references().map(|reference| self.source(reference))
    }

    /// What a reference leads to, by the order in which names win: a step's, an output key's, an input's.
    fn source(&self, reference: &Reference) -> Source {
        let root = reference.root();
        if let Some(step) = self.program.index_of(root) {
            let mut path = reference.path().peekable();
            path.next_if(|segment| *segment == "output");
            return match (&self.program.step(step).kind, path.next()) {
                (StepKind::Llm(_), Some("proposal")) => {
                    Source::Node(self.proposals.get(&step.0).copied().unwrap_or(step.0))
                }
                (StepKind::Parallel(block), Some(sub)) => {
                    let named = self.program.index_of(sub).filter(|sub| block.steps.contains(sub));
                    Source::Node(named.unwrap_or(step).0)
                }
                _ => Source::Node(step.0),
            };
        }
        if let Some(key) = self.keys.get(root) {
            return Source::Node(*key);
        }
        Source::Fixed(match root {
            "__webhook__" => Origin::Webhook.into(),
            "__webhook_source__" => Origin::Literal.into(),
            _ => Origin::Input.into(),
        })
    }

    /// The names of the steps by which an origin reaches an argument, from where it begins; empty
    /// where the argument names it itself.
    pub fn way(&self, argument: &Argument, origin: Origin) -> Vec<&'p str> {
        let mut way = Vec::new();
        let Some(mut at) = self.first(argument, origin) else { return way };
        while let Some(by) = self.came_by[at as usize][origin as usize] {
            way.extend(self.program.steps().get(at as usize).map(|step| step.id.as_str()));
            if by == at {
                break;
            }
            at = by;
        }
        way.reverse();
        way
    }

    /// The node that an argument has an origin from.
    fn first(&self, argument: &Argument, origin: Origin) -> Option<u32> {
        let step = self.program.step(argument.step);
        let Some(name) = &argument.name else { return self.proposals.get(&argument.step.0).copied() };
        let StepKind::Tool(call) = &step.kind else { return None };
        let value = name.split('.').try_fold(call.args.node(), |at, segment| match at {
            Node::Object(fields) => fields.iter().find(|(field, _)| field == segment).map(|(_, value)| value),
            _ => None,
        })?;
        let mut references = Vec::new();
        value.collect(&mut references);
        references.into_iter().find_map(|reference| match self.source(reference) {
            Source::Node(from) => self.origins[from as usize].has(origin).then_some(from),
            Source::Fixed(_) => None,
        })
    }
}

fn node(at: usize) -> u32 {
    // Programs have far fewer steps; `Program::parse` bounds them.
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
