//! Which places of a run's values are personal, by declaration: a manifest's `pii`, a program's
//! `pii`, and `pii` in the schemas a program carries. Computed once for a plan; knows no values.
//!
//! Marks follow the value. A step and its `output_key` share them, a block has those of its
//! sub-steps and they have the block's, `__webhook__` has those of every step that could be
//! resumed. What a program hands to a marked argument is itself marked, so that it is personal
//! before the call too. The order of steps is not looked at: what may be personal is.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value;

use super::Detector;
use crate::ToolName;
use crate::admit::{Plan, Row};
use crate::check::{CheckedProgram, Step, StepKind};
use crate::run::Check;
use crate::template::{Node, Reference, TemplateError, is_identifier, is_index};

/// No mark is deeper; a longer path marks the place it has led to by then. Marks are dropped and
/// walked by recursion, and paths are as long as a file allows.
const MAX_DEPTH: usize = 64;

/// A name that this many sets of marks would come together at is marked as a whole: each lookup
/// would go through all of them.
const MAX_SHARED: usize = 256;

pub(super) const WEBHOOK: &str = "__webhook__";

/// A place that a program marks: a reference, of which a segment may be `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MarkedPlace {
    pub(crate) root: Box<str>,
    path: Box<[Box<str>]>,
}

impl MarkedPlace {
    /// Reads `$name.path`, in which `*` stands for every item or field.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        let fail = |offset: usize| TemplateError {
            offset,
            message: "write a reference such as `$order.customer.email` or `$order.items.*.phone`".into(),
        };
        let body = text.strip_prefix('$').ok_or_else(|| fail(0))?;
        let mut segments = body.split('.');
        let root = segments.next().filter(|root| is_identifier(root)).ok_or_else(|| fail(1))?;
        let mut path = Vec::new();
        for segment in segments {
            if segment != "*" && !is_identifier(segment) && !is_index(segment) {
                return Err(fail(segment.as_ptr() as usize - text.as_ptr() as usize));
            }
            path.push(segment.into());
        }
        Ok(Self { root: root.into(), path: path.into() })
    }
}

/// The marked places of one value, as a tree.
#[derive(Debug, Clone, Default)]
pub(super) struct Marks {
    /// The value itself, and so everything of it.
    pub(super) here: bool,
    fields: BTreeMap<Box<str>, Arc<Marks>>,
    /// Every field and every item.
    any: Option<Arc<Marks>>,
    /// Marks of the same value that others share.
    shared: Vec<Arc<Marks>>,
}

impl Marks {
    fn is_empty(&self) -> bool {
        !self.here && self.fields.is_empty() && self.any.is_none() && self.shared.is_empty()
    }

    fn all() -> Arc<Self> {
        Arc::new(Self { here: true, ..Self::default() })
    }

    /// Adds `marks` at the end of `path`.
    fn attach<'p>(&mut self, path: impl Iterator<Item = &'p str>, marks: Arc<Self>) {
        let mut node = self;
        for (depth, segment) in path.enumerate() {
            if depth == MAX_DEPTH {
                node.here = true;
                return;
            }
            let next = match segment {
                "*" => node.any.get_or_insert_default(),
                segment => node.fields.entry(segment.into()).or_default(),
            };
            node = Arc::make_mut(next);
        }
        node.share(marks);
    }

    /// The value has these marks too.
    fn share(&mut self, marks: Arc<Self>) {
        if marks.is_empty() || self.shared.iter().any(|shared| Arc::ptr_eq(shared, &marks)) {
            return;
        }
        if marks.here || self.shared.len() == MAX_SHARED {
            self.here = true;
        } else {
            self.shared.push(marks);
        }
    }

    /// Adds what a schema says of the value: `pii` of it and of what it describes below.
    fn read_schema(&mut self, schema: &Value) {
        let Value::Object(keywords) = schema else { return };
        let mut below = |segment: &str, schema: &Value| {
            let mut marks = Self::default();
            marks.read_schema(schema);
            self.attach(std::iter::once(segment), Arc::new(marks));
        };
        for (keyword, value) in keywords {
            match (keyword.as_str(), value) {
                ("properties", Value::Object(named)) => {
                    named.iter().for_each(|(name, schema)| below(name, schema));
                }
                ("prefixItems", Value::Array(items)) => {
                    items.iter().enumerate().for_each(|(at, schema)| below(&at.to_string(), schema));
                }
                ("patternProperties", Value::Object(named)) => {
                    named.values().for_each(|schema| below("*", schema));
                }
                (
                    "items"
                    | "contains"
                    | "additionalProperties"
                    | "unevaluatedItems"
                    | "unevaluatedProperties",
                    schema,
                ) => below("*", schema),
                _ => {}
            }
        }
        // The same value, described again.
        for (keyword, value) in keywords {
            match (keyword.as_str(), value) {
                ("pii", Value::Bool(true)) => self.here = true,
                ("allOf" | "anyOf" | "oneOf", Value::Array(schemas)) => {
                    schemas.iter().for_each(|schema| self.read_schema(schema));
                }
                ("dependentSchemas", Value::Object(named)) => {
                    named.values().for_each(|schema| self.read_schema(schema));
                }
                ("if" | "then" | "else", schema) => self.read_schema(schema),
                _ => {}
            }
        }
    }

    /// The marks of a field or item.
    fn children(&self, segment: &str, found: &mut Vec<Arc<Self>>) {
        found.extend(self.fields.get(segment).cloned());
        found.extend(self.any.clone());
        self.shared.iter().for_each(|shared| shared.children(segment, found));
    }
}

/// Where in the marks of a value a walk through it is.
#[derive(Debug, Clone, Default)]
pub(super) struct Cursor<'m> {
    at: Vec<&'m Arc<Marks>>,
}

impl<'m> Cursor<'m> {
    fn of(marks: impl IntoIterator<Item = &'m Arc<Marks>>) -> Self {
        let mut cursor = Self::default();
        marks.into_iter().for_each(|marks| cursor.add(marks));
        cursor
    }

    fn add(&mut self, marks: &'m Arc<Marks>) {
        self.at.push(marks);
        marks.shared.iter().for_each(|shared| self.add(shared));
    }

    /// Both marks of one value.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.at.extend(other.at);
        self
    }

    /// Whether there are no marks here or below.
    pub(super) fn is_clear(&self) -> bool {
        self.at.iter().all(|marks| marks.is_empty())
    }

    /// Whether the value here is marked.
    pub(super) fn is_marked(&self) -> bool {
        self.at.iter().any(|marks| marks.here)
    }

    /// The marks of a field of an object.
    pub(super) fn field(&self, name: &str) -> Self {
        Self::of(self.at.iter().flat_map(|marks| marks.fields.get(name).into_iter().chain(&marks.any)))
    }

    /// The marks of an item of a list. A name that stands where a list is means every item's.
    pub(super) fn item(&self, index: usize) -> Self {
        let named = || self.at.iter().copied().filter(|marks| !marks.fields.is_empty());
        let mut cursor = match named().next() {
            Some(_) => self.field(&index.to_string()),
            None => Self::of(self.at.iter().filter_map(|marks| marks.any.as_ref())),
        };
        cursor.at.extend(named());
        cursor
    }

    /// The marks of what a reference's segment leads to in `value`.
    pub(super) fn enter(&self, value: &Value, segment: &str) -> Self {
        match (value, segment.parse()) {
            (Value::Array(_), Ok(index)) => self.item(index),
            _ => self.field(segment),
        }
    }
}

/// What of a run is personal, by declaration.
#[derive(Debug, Default)]
pub struct Personal {
    /// By name: inputs, output keys, step ids, `__webhook__`.
    names: HashMap<Box<str>, Arc<Marks>>,
    /// What models propose, by step.
    proposals: HashMap<Box<str>, Arc<Marks>>,
    /// By local name.
    args: HashMap<ToolName, Arc<Marks>>,
    results: HashMap<ToolName, Arc<Marks>>,
    pub(super) detectors: Vec<Detector>,
}

impl Personal {
    /// What the plan's manifests and its program declare.
    pub(crate) fn of(plan: &Plan) -> Self {
        let program = plan.program();
        let mut personal = Self { detectors: program.pii_detectors.clone(), ..Self::default() };
        personal.read_rows(plan.rows());
        for place in &program.pii {
            let path = place.path.iter().map(|segment| &**segment);
            personal.attach(program, &place.root, path, Marks::all());
        }
        for input in program.inputs().unwrap_or_default() {
            personal.read_schema(&input.name, &input.schema);
        }
        for step in program.steps() {
            match &step.kind {
                StepKind::Tool(call) => {
                    let result = personal.results.get(&call.tool).cloned();
                    personal.share(step.id.as_str(), result.as_ref());
                    if let Some(marks) = personal.args.get(&call.tool).cloned() {
                        personal.hand_over(program, call.args.node(), &Cursor::of([&marks]), false);
                    }
                    if let Some(schema) = call.resume.as_ref().and_then(|resume| resume.schema.as_ref()) {
                        personal.read_schema(step.id.as_str(), schema);
                    }
                }
                StepKind::Llm(llm) => {
                    for tool in &llm.allowed_tools {
                        let result = personal.results.get(tool).cloned();
                        personal.share(step.id.as_str(), result.as_ref());
                    }
                }
                StepKind::Condition(_) | StepKind::Parallel(_) => {}
            }
        }
        if personal.names.is_empty() && personal.args.is_empty() {
            return personal;
        }
        personal.follow(program);
        personal.read_proposals(program);
        personal.read_checks(program);
        personal
    }

    /// The marks of what a name stands for; of a step, those of its output.
    pub(super) fn named(&self, name: &str) -> Cursor<'_> {
        Cursor::of(self.names.get(name))
    }

    /// The marks of what a step's model proposes.
    pub(super) fn proposal(&self, step: &str) -> Cursor<'_> {
        Cursor::of(self.proposals.get(step))
    }

    /// The marks of a tool's arguments.
    pub(super) fn args(&self, tool: &ToolName) -> Cursor<'_> {
        Cursor::of(self.args.get(tool))
    }

    /// The marks of a tool's result.
    pub(super) fn result(&self, tool: &ToolName) -> Cursor<'_> {
        Cursor::of(self.results.get(tool))
    }

    /// Whether there is any mark or any detector.
    pub(super) fn marks_anything(&self) -> bool {
        let mut marks = self.names.values().chain(self.proposals.values());
        let mut tools = self.args.values().chain(self.results.values());
        !self.detectors.is_empty()
            || marks.any(|marks| !marks.is_empty())
            || tools.any(|marks| !marks.is_empty())
    }

    /// Whether a name is marked that could be an input's.
    pub(super) fn marks_input(&self, program: &CheckedProgram) -> bool {
        self.names.keys().any(|name| program.index_of(name).is_none())
    }

    fn read_rows(&mut self, rows: &[Row]) {
        for row in rows {
            let (mut input, mut output) = (Marks::default(), Marks::default());
            for path in &row.pii {
                let mut segments = path.split('.');
                match segments.next() {
                    Some("input") => input.attach(segments, Marks::all()),
                    Some("output") => output.attach(segments, Marks::all()),
                    // Manifests name nothing else; if one did, all of it is personal.
                    _ => (input.here, output.here) = (true, true),
                }
            }
            if !input.is_empty() {
                self.args.insert(row.local.clone(), Arc::new(input));
            }
            if !output.is_empty() {
                self.results.insert(row.local.clone(), Arc::new(output));
            }
        }
    }

    fn read_schema(&mut self, name: &str, schema: &Value) {
        let mut marks = Marks::default();
        marks.read_schema(schema);
        self.share(name, Some(&Arc::new(marks)));
    }

    /// What stands at a marked place of the arguments is marked where it comes from.
    fn hand_over(&mut self, program: &CheckedProgram, node: &Node, cursor: &Cursor<'_>, whole: bool) {
        let whole = whole || cursor.is_marked();
        if !whole && cursor.is_clear() {
            return;
        }
        match node {
            Node::Literal(_) => {}
            Node::Reference(reference) if whole => self.attach_reference(program, reference, Marks::all()),
            Node::Reference(reference) => {
                for marks in &cursor.at {
                    self.attach_reference(program, reference, Arc::clone(marks));
                }
            }
            Node::Text(text) if whole => {
                for reference in text.references() {
                    self.attach_reference(program, reference, Marks::all());
                }
            }
            // No mark leads into a text.
            Node::Text(_) => {}
            Node::List(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.hand_over(program, item, &cursor.item(at), whole);
                }
            }
            Node::Object(fields) => {
                for (name, field) in fields {
                    self.hand_over(program, field, &cursor.field(name), whole);
                }
            }
        }
    }

    fn attach_reference(&mut self, program: &CheckedProgram, reference: &Reference, marks: Arc<Marks>) {
        self.attach(program, reference.root(), reference.path(), marks);
    }

    /// Marks what `root` and `path` lead to. `$step.output` is the step itself.
    fn attach<'p>(
        &mut self,
        program: &CheckedProgram,
        root: &str,
        path: impl Iterator<Item = &'p str>,
        marks: Arc<Marks>,
    ) {
        let mut path = path.peekable();
        if program.index_of(root).is_some() {
            path.next_if_eq(&"output");
        }
        Arc::make_mut(self.names.entry(root.into()).or_default()).attach(path, marks);
    }

    fn share(&mut self, name: &str, marks: Option<&Arc<Marks>>) {
        if let Some(marks) = marks.filter(|marks| !marks.is_empty()) {
            Arc::make_mut(self.names.entry(name.into()).or_default()).share(Arc::clone(marks));
        }
    }

    fn share_all(&mut self, name: &str, marks: &[Arc<Marks>]) {
        marks.iter().for_each(|marks| self.share(name, Some(marks)));
    }

    /// The marks of a name, those it shares one by one, so that they are shared once.
    fn parts(&self, name: &str) -> Vec<Arc<Marks>> {
        let Some(marks) = self.names.get(name) else { return Vec::new() };
        let own = Marks { shared: Vec::new(), ..Marks::clone(marks) };
        std::iter::once(Arc::new(own)).chain(marks.shared.iter().cloned()).collect()
    }

    /// One value, several names: keys, steps, blocks, the payload of a resumption.
    fn follow(&mut self, program: &CheckedProgram) {
        let resumable = |step: &Step| step.block.is_none() && matches!(step.kind, StepKind::Tool(_));
        let mut of_keys: HashMap<&str, Vec<Arc<Marks>>> = HashMap::new();
        let of_payload = self.parts(WEBHOOK);
        for step in program.steps() {
            if let Some(key) = &step.output_key {
                let marks = of_keys.entry(key).or_insert_with(|| self.parts(key));
                let marks = marks.clone();
                self.share_all(step.id.as_str(), &marks);
            }
            if resumable(step) {
                self.share_all(step.id.as_str(), &of_payload);
            }
        }
        for step in program.steps() {
            let StepKind::Parallel(block) = &step.kind else { continue };
            for sub in &block.steps {
                let sub = program.step(*sub).id.as_str();
                let mut marks = Vec::new();
                if let Some(block) = self.names.get(step.id.as_str()) {
                    block.children(sub, &mut marks);
                    marks.extend(block.here.then(Marks::all));
                }
                self.share_all(sub, &marks);
                for marks in self.parts(sub).into_iter().filter(|marks| !marks.is_empty()) {
                    let block = self.names.entry(step.id.as_str().into()).or_default();
                    Arc::make_mut(block).attach(std::iter::once(sub), marks);
                }
            }
        }
        for step in program.steps() {
            let marks = self.parts(step.id.as_str());
            if let Some(key) = &step.output_key {
                self.share_all(key, &marks);
            }
            if resumable(step) {
                self.share_all(WEBHOOK, &marks);
            }
        }
    }

    /// What checks an event before a resumption is given its text, places and all.
    fn read_checks(&mut self, program: &CheckedProgram) {
        for step in program.steps() {
            let StepKind::Tool(call) = &step.kind else { continue };
            let Some(tool) = call.resume.as_ref().and_then(|resume| resume.verify.as_ref()) else { continue };
            if self.names.contains_key(step.id.as_str()) || self.names.contains_key(WEBHOOK) {
                let args = self.args.entry(tool.clone()).or_default();
                Arc::make_mut(args).attach(std::iter::once(Check::BODY), Marks::all());
            }
            // The arguments of the call that waits are text there, and no place within it has a name.
            if self.args.get(&call.tool).is_some_and(|marks| !marks.is_empty()) {
                let args = self.args.entry(tool.clone()).or_default();
                Arc::make_mut(args).attach(std::iter::once(Check::CALL_ARGS), Marks::all());
            }
        }
    }

    /// A proposal holds arguments of a tool that the step lists.
    fn read_proposals(&mut self, program: &CheckedProgram) {
        for step in program.steps() {
            let StepKind::Llm(llm) = &step.kind else { continue };
            let mut proposal = Marks::default();
            for marks in llm.allowed_tools.iter().filter_map(|tool| self.args.get(tool)) {
                proposal.attach(std::iter::once("args"), Arc::clone(marks));
            }
            let mut declared = Vec::new();
            if let Some(step) = self.names.get(step.id.as_str()) {
                step.children("proposal", &mut declared);
            }
            declared.into_iter().for_each(|marks| proposal.share(marks));
            if !proposal.is_empty() {
                self.proposals.insert(step.id.as_str().into(), Arc::new(proposal));
            }
        }
    }
}
