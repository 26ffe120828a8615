//! References (`$name.path`) and templates: how values reach arguments and prompts.
//! Conditions and templates share one resolver; a condition sees the values of a [`Scope`], a
//! template those of a [`View`], as its target sees them. Knows nothing of steps, runs or where a
//! scope has its values from.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};
use unicode_ident::{is_xid_continue, is_xid_start};

use crate::projection::{Known, Personal, Projection, Seen, Target, View};

#[cfg(test)]
mod tests;

/// Arguments nested deeper than this are refused: resolving and serialising recurse on the depth.
/// The same bound serde_json has for JSON that it reads.
const MAX_DEPTH: usize = 128;

/// What one template resolves to has no more bytes, inserted values counted as compact JSON. A
/// program of a few steps that inserts a text twice, and the result twice again, would otherwise
/// fill the host's memory.
pub(crate) const MAX_RESOLVED: usize = 16 << 20;

/// What a root name stands for at one moment of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Root<'a> {
    /// An input, an `output_key` or a webhook value.
    Plain(&'a Value),
    /// A step's output, and what its model proposed where it did. `$step.output` is the output
    /// itself; `$step.proposal` the proposal, where there is one.
    Step {
        /// The output.
        output: &'a Value,
        /// The proposal.
        proposal: Option<&'a Value>,
    },
    /// A step whose model proposed, with one of the two withheld (`None`) or both.
    Partly {
        /// The output.
        output: Option<&'a Value>,
        /// The proposal.
        proposal: Option<&'a Value>,
    },
    /// No such name, or a step that has not run.
    Absent,
    /// The name has a value that the holder of this scope may not see (verification of a
    /// partly disclosed export, erased content).
    Withheld,
}

/// Where names get their values.
pub trait Scope {
    /// What `name` stands for.
    fn root(&self, name: &str) -> Root<'_>;
}

/// A name and a path below it: `$step.output.items.0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    root: Box<str>,
    /// Identifiers and list indices, as written.
    path: Box<[Box<str>]>,
}

/// What a reference leads to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Resolved<'a> {
    /// A value, `null` included.
    Value(&'a Value),
    /// Nothing: no such name, field or index.
    Absent,
    /// A value that the holder of the scope may not see.
    Withheld,
}

/// A text that is not a template, or not a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// The byte offset in the text.
    pub offset: usize,
    /// What is wrong there, in one sentence.
    pub message: String,
}

/// Why a template has no value now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// The reference leads to nothing.
    #[error("`{reference}` has no value here")]
    Absent {
        /// The reference as text.
        reference: String,
    },
    /// The reference leads to a value that the holder of the scope may not see.
    #[error("`{reference}` is withheld")]
    Withheld {
        /// The reference as text.
        reference: String,
    },
    /// The result would be larger than any text a template may become.
    #[error("the text is larger than {} MiB once its references are replaced", MAX_RESOLVED >> 20)]
    TooLarge,
}

/// A text as its target sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The text.
    pub text: String,
    /// Whether anything was kept back from the target.
    pub redacted: bool,
}

/// Which value of a step a reference leads into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The value that the name stands for; of a step, its output.
    Whole,
    /// What the step's model proposed.
    Proposal,
}

/// What a reference leads to, and the way there.
pub(crate) struct Located<'r, 's> {
    pub(crate) part: Part,
    /// Each segment with the value it was followed in.
    pub(crate) steps: Vec<(&'s Value, &'r str)>,
    pub(crate) value: Resolved<'s>,
}

impl Reference {
    /// Reads a text that is one reference and nothing else, `$name.path` or `${name.path}`.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        match Self::scan(text)? {
            Some((reference, length)) if length == text.len() => Ok(reference),
            _ => Err(TemplateError { offset: 0, message: "not a reference such as `$name.path`".into() }),
        }
    }

    /// The reference that `text` begins with, and its length in bytes; `None` where no name
    /// follows the dollar. A dot that no segment follows is not part of the reference.
    pub(crate) fn scan(text: &str) -> Result<Option<(Self, usize)>, TemplateError> {
        let Some(body) = text.strip_prefix('$') else { return Ok(None) };
        let (body, braced) = match body.strip_prefix('{') {
            Some(inner) => (inner, true),
            None => (body, false),
        };
        let start = text.len() - body.len();
        let fail = |offset: usize, message: &str| Err(TemplateError { offset, message: message.into() });
        let root = word(body);
        if !begins_identifier(root) {
            return match braced {
                true => fail(start, "expected a name after `${`; a literal dollar is written `\\$`"),
                false => Ok(None),
            };
        }
        let mut path = Vec::new();
        let mut length = root.len();
        while let Some(after) = body[length..].strip_prefix('.') {
            let segment = word(after);
            if segment.is_empty() {
                break;
            }
            if !begins_identifier(segment) && !is_index(segment) {
                return fail(
                    start + length + 1,
                    "a path segment is a name, or a list index without leading zeros",
                );
            }
            path.push(segment.into());
            length += 1 + segment.len();
        }
        let mut end = start + length;
        if braced {
            if !body[length..].starts_with('}') {
                return fail(end, "expected `}` after the reference");
            }
            end += 1;
        }
        Ok(Some((Self { root: root.into(), path: path.into() }, end)))
    }

    /// The name it begins with.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The segments below the name.
    pub fn path(&self) -> impl Iterator<Item = &str> {
        self.path.iter().map(|segment| &**segment)
    }

    /// What it leads to in `scope`.
    pub fn resolve<'s>(&self, scope: &'s dyn Scope) -> Resolved<'s> {
        self.locate(scope).value
    }

    /// What it leads to in `scope`, and the way there.
    pub(crate) fn locate<'s>(&self, scope: &'s dyn Scope) -> Located<'_, 's> {
        let mut located = Located { part: Part::Whole, steps: Vec::new(), value: Resolved::Absent };
        let mut path = &*self.path;
        let (output, proposal) = match scope.root(&self.root) {
            Root::Plain(value) => {
                located.follow(value, path);
                return located;
            }
            Root::Step { output, proposal } => (Some(output), proposal.map(Some)),
            Root::Partly { output, proposal } => (output, Some(proposal)),
            Root::Absent => return located,
            Root::Withheld => {
                located.value = Resolved::Withheld;
                return located;
            }
        };
        let part = match (path.split_first(), proposal) {
            (Some((first, rest)), _) if &**first == "output" => {
                path = rest;
                output
            }
            (Some((first, rest)), Some(proposal)) if &**first == "proposal" => {
                path = rest;
                located.part = Part::Proposal;
                proposal
            }
            _ => output,
        };
        match part {
            Some(part) => located.follow(part, path),
            None => located.value = Resolved::Withheld,
        }
        located
    }
}

impl<'r, 's> Located<'r, 's> {
    fn follow(&mut self, mut value: &'s Value, path: &'r [Box<str>]) {
        for segment in path {
            self.steps.push((value, segment));
            let next = match value {
                Value::Object(fields) => fields.get(&**segment),
                Value::Array(items) if is_index(segment) => {
                    segment.parse().ok().and_then(|at: usize| items.get(at))
                }
                _ => None,
            };
            match next {
                Some(next) => value = next,
                None => return,
            }
        }
        self.value = Resolved::Value(value);
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${}", self.root)?;
        self.path.iter().try_for_each(|segment| write!(f, ".{segment}"))
    }
}

/// The longest run of identifier characters at the start of `text`.
fn word(text: &str) -> &str {
    let end = text.find(|c: char| !is_word_char(c)).unwrap_or(text.len());
    &text[..end]
}

/// Whether `c` can stand inside an identifier.
pub(crate) fn is_word_char(c: char) -> bool {
    is_xid_continue(c)
}

/// Whether `text` is a Unicode identifier (UAX #31), which `_` may begin.
pub(crate) fn is_identifier(text: &str) -> bool {
    begins_identifier(text) && text.chars().all(is_xid_continue)
}

/// Whether a [`word`], which is not empty where this is so, is an identifier.
fn begins_identifier(word: &str) -> bool {
    word.starts_with(|c: char| is_xid_start(c) || c == '_')
}

pub(crate) fn is_index(text: &str) -> bool {
    text == "0" || (!text.starts_with('0') && !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
}

/// A text with references in it, which resolves to text: a prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct TextTemplate {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Text(String),
    Reference(Reference),
}

impl TextTemplate {
    /// Reads `text`. `\$` is a literal dollar, and so is one that no name follows.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut at = 0;
        while let Some(found) = text[at..].find('$') {
            let dollar = at + found;
            if text[at..dollar].ends_with('\\') {
                literal.push_str(&text[at..dollar - 1]);
                literal.push('$');
                at = dollar + 1;
                continue;
            }
            literal.push_str(&text[at..dollar]);
            let scanned = Reference::scan(&text[dollar..])
                .map_err(|error| TemplateError { offset: dollar + error.offset, ..error })?;
            match scanned {
                Some((reference, length)) => {
                    if !literal.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut literal)));
                    }
                    pieces.push(Piece::Reference(reference));
                    at = dollar + length;
                }
                None => {
                    literal.push('$');
                    at = dollar + 1;
                }
            }
        }
        literal.push_str(&text[at..]);
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Ok(Self { pieces })
    }

    /// The text with every reference replaced by what the view's target sees of it: a string as it
    /// is, anything else as compact JSON. What was inserted is never expanded again, and the
    /// template's own words stay as they are.
    pub fn resolve(&self, view: &View<'_>) -> Result<Rendered, Unresolved> {
        self.render(view, &mut Room(MAX_RESOLVED))
    }

    fn render(&self, view: &View<'_>, room: &mut Room) -> Result<Rendered, Unresolved> {
        let mut rendered = Rendered { text: String::new(), redacted: false };
        for piece in &self.pieces {
            let before = rendered.text.len();
            match piece {
                Piece::Text(literal) => rendered.text.push_str(literal),
                Piece::Reference(reference) => {
                    let value = view.need(reference)?;
                    rendered.redacted |= matches!(value, Cow::Owned(_));
                    push(&mut rendered.text, &value);
                }
            }
            room.take(rendered.text.len() - before)?;
        }
        Ok(rendered)
    }

    /// Whether `text` is what the template resolves to, where values that the holder of the view
    /// cannot tell may be anything.
    pub(crate) fn fits(&self, view: &View<'_>, text: &str) -> bool {
        if text.len() > MAX_RESOLVED {
            return false;
        }
        // Known text between holes: the first part begins the text, the last one ends it, and the
        // others follow one another in it.
        let mut parts = vec![String::new()];
        for piece in &self.pieces {
            let last = parts.len() - 1;
            match piece {
                Piece::Text(literal) => parts[last].push_str(literal),
                Piece::Reference(reference) => match view.resolve(reference) {
                    Seen::Value(value) => push(&mut parts[last], &value),
                    Seen::Absent => return false,
                    Seen::Unclear(Some(shown)) => parts[last].push_str(shown),
                    Seen::Unclear(None) => parts.push(String::new()),
                },
            }
            if parts[parts.len() - 1].len() > text.len() {
                return false;
            }
        }
        let (Some(first), rest) = (parts.first(), &parts[1..]) else { return false };
        let Some((last, between)) = rest.split_last() else { return text == first };
        let Some(mut open) = text.strip_prefix(&**first).and_then(|text| text.strip_suffix(&**last)) else {
            return false;
        };
        for part in between {
            match open.find(&**part) {
                Some(at) => open = &open[at + part.len()..],
                None => return false,
            }
        }
        true
    }

    /// Every reference, in the order of the text.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Reference(reference) => Some(reference),
            Piece::Text(_) => None,
        })
    }
}

/// Adds a value to a text: a string as it is, anything else as compact JSON.
fn push(text: &mut String, value: &Value) {
    match value {
        Value::String(inserted) => text.push_str(inserted),
        other => text.push_str(&other.to_string()),
    }
}

/// How much a template may still resolve to.
struct Room(usize);

impl Room {
    fn take(&mut self, bytes: usize) -> Result<(), Unresolved> {
        self.0 = self.0.checked_sub(bytes).ok_or(Unresolved::TooLarge)?;
        Ok(())
    }

    /// Takes the room of a value as compact JSON, at most: looking ends with the room.
    fn take_value(&mut self, value: &Value) -> Result<(), Unresolved> {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => self.take(4),
            Value::String(text) => self.take(text.len() + 2),
            Value::Array(items) => {
                self.take(2 + items.len())?;
                items.iter().try_for_each(|item| self.take_value(item))
            }
            Value::Object(fields) => {
                self.take(2 + fields.len())?;
                fields.iter().try_for_each(|(name, field)| {
                    self.take(name.len() + 3)?;
                    self.take_value(field)
                })
            }
        }
    }
}

/// A JSON value whose strings are templates, at any depth: the arguments of a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    node: Node,
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Literal(Value),
    /// A string that is exactly one reference: it keeps the value's type.
    Reference(Reference),
    Text(TextTemplate),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl Template {
    /// Reads `value`. Keys of objects are literal.
    pub fn parse(value: &Value) -> Result<Self, TemplateError> {
        Node::parse(value, 0).map(|node| Self { node })
    }

    /// The value with every reference replaced by what the view's target sees of it.
    pub fn resolve(&self, view: &View<'_>) -> Result<Value, Unresolved> {
        self.node.resolve(view, &mut Room(MAX_RESOLVED))
    }

    /// Whether `value` is what the template resolves to, where values that the holder of the view
    /// cannot tell may be anything.
    pub(crate) fn fits(&self, view: &View<'_>, value: &Value) -> bool {
        self.node.fits(view, value, &mut Room(MAX_RESOLVED))
    }

    /// Every reference, in the order of the value.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        let mut found = Vec::new();
        self.node.collect(&mut found);
        found.into_iter()
    }

    /// The value, where it refers to nothing and so is the same in every run.
    pub(crate) fn literal(&self) -> Option<Value> {
        if self.references().next().is_some() {
            return None;
        }
        let (personal, known) = (Personal::default(), Known::default());
        self.resolve(&View::new(&Nothing, Projection::new(Target::Tool, &personal, &known))).ok()
    }

    /// Its parts, for who looks at the form of a value before there is one.
    pub(crate) fn node(&self) -> &Node {
        &self.node
    }
}

/// A scope without names.
struct Nothing;

impl Scope for Nothing {
    fn root(&self, _: &str) -> Root<'_> {
        Root::Absent
    }
}

impl Node {
    fn parse(value: &Value, depth: usize) -> Result<Self, TemplateError> {
        if depth > MAX_DEPTH {
            return Err(TemplateError {
                offset: 0,
                message: format!("nested deeper than {MAX_DEPTH} levels"),
            });
        }
        Ok(match value {
            Value::String(text) => Self::from_text(TextTemplate::parse(text)?),
            Value::Array(items) => {
                Self::List(items.iter().map(|item| Self::parse(item, depth + 1)).collect::<Result<_, _>>()?)
            }
            Value::Object(fields) => Self::Object(
                fields
                    .iter()
                    .map(|(key, field)| Ok((key.clone(), Self::parse(field, depth + 1)?)))
                    .collect::<Result<_, _>>()?,
            ),
            plain => Self::Literal(plain.clone()),
        })
    }

    fn from_text(mut template: TextTemplate) -> Self {
        match template.pieces.pop() {
            None => Self::Literal(Value::String(String::new())),
            Some(Piece::Reference(reference)) if template.pieces.is_empty() => Self::Reference(reference),
            Some(Piece::Text(text)) if template.pieces.is_empty() => Self::Literal(Value::String(text)),
            Some(last) => {
                template.pieces.push(last);
                Self::Text(template)
            }
        }
    }

    fn resolve(&self, view: &View<'_>, room: &mut Room) -> Result<Value, Unresolved> {
        Ok(match self {
            // As long as the program's file.
            Self::Literal(value) => value.clone(),
            Self::Reference(reference) => {
                let value = view.need(reference)?;
                room.take_value(&value)?;
                value.into_owned()
            }
            Self::Text(template) => Value::String(template.render(view, room)?.text),
            Self::List(items) => {
                Value::Array(items.iter().map(|item| item.resolve(view, room)).collect::<Result<_, _>>()?)
            }
            Self::Object(fields) => {
                let mut object = Map::with_capacity(fields.len());
                for (key, field) in fields {
                    object.insert(key.clone(), field.resolve(view, room)?);
                }
                Value::Object(object)
            }
        })
    }

    /// `room` is taken as [`Node::resolve`] takes it, so that both draw the line at one place.
    fn fits(&self, view: &View<'_>, value: &Value, room: &mut Room) -> bool {
        match (self, value) {
            (Self::Literal(literal), value) => literal == value,
            (Self::Reference(reference), value) => {
                room.take_value(value).is_ok()
                    && match view.resolve(reference) {
                        Seen::Value(known) => *known == *value,
                        Seen::Absent => false,
                        Seen::Unclear(_) => true,
                    }
            }
            (Self::Text(template), Value::String(text)) => {
                room.take(text.len()).is_ok() && template.fits(view, text)
            }
            (Self::List(nodes), Value::Array(items)) => {
                nodes.len() == items.len()
                    && nodes.iter().zip(items).all(|(node, item)| node.fits(view, item, room))
            }
            (Self::Object(nodes), Value::Object(fields)) => {
                nodes.len() == fields.len()
                    && nodes
                        .iter()
                        .all(|(key, node)| fields.get(key).is_some_and(|field| node.fits(view, field, room)))
            }
            (Self::Text(_) | Self::List(_) | Self::Object(_), _) => false,
        }
    }

    pub(crate) fn collect<'n>(&'n self, found: &mut Vec<&'n Reference>) {
        match self {
            Self::Literal(_) => {}
            Self::Reference(reference) => found.push(reference),
            Self::Text(template) => found.extend(template.references()),
            Self::List(items) => items.iter().for_each(|item| item.collect(found)),
            Self::Object(fields) => fields.iter().for_each(|(_, field)| field.collect(found)),
        }
    }
}
