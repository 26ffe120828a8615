//! What a [`Target`] sees of a run's values. The one way from state to a prompt, a log line, a
//! printed trace or a tool leads through a [`Projection`]: templates resolve against a [`View`],
//! which has one, and consoles print values through one.
//!
//! A tool sees values as they are; that is what they are for. For everybody else three nets lie
//! below one another: places that are marked (`marks`), texts that stood at a marked place of this
//! run, wherever they stand again (`known`), and what looks like personal data (`detect`). It knows
//! named values only: envelopes, digests, policies, counters and tokens are none, so nothing here
//! could show them.

mod detect;
mod known;
mod marks;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use serde_json::{Map, Value};

pub use detect::Detector;
pub use known::Known;
pub(crate) use marks::MarkedPlace;
pub use marks::Personal;

use crate::ToolName;
use crate::check::CheckedProgram;
use crate::run::{Proposal, Slot};
use crate::template::{Part, Reference, Resolved, Scope, Unresolved};
use marks::Cursor;

/// What stands where personal data stood.
pub const REDACTED: &str = "[REDACTED_PII]";

/// What stands where a value was erased.
pub const TOMBSTONE: &str = "[REDACTED_TOMBSTONE]";

/// What a handle of a secret begins with.
const SECRET: &str = "vault://secret/";

/// What stands where the handle of a secret stood.
pub const SECRET_TOKEN: &str = "[SECRET]";

/// Who is to see a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A model, in its prompt or system text.
    Model,
    /// Whoever reads what the host says while it runs: messages, reasons, logs of guests.
    Log,
    /// Whoever looks at a run afterwards.
    Trace,
    /// A sandboxed tool, in its arguments.
    Tool,
}

/// Where in a run a value stands, which decides what of it is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held<'a> {
    /// All inputs, as one object.
    Inputs,
    /// What a name stands for; of a step, its output.
    Name(&'a str),
    /// What a tool returned to a step.
    Result(&'a str, &'a ToolName),
    /// What a step's model proposed.
    Proposal(&'a str),
    /// The arguments of a call.
    Args(&'a ToolName),
    /// What a step was resumed with.
    Payload(&'a str),
    /// What a step asked for and was refused: arguments, or a proposal.
    Refused(&'a str, Option<&'a ToolName>),
    /// Words that nobody declared anything about: messages, reasons, logs.
    Words,
}

/// The values of a run as one target sees them.
#[derive(Debug, Clone, Copy)]
pub struct Projection<'a> {
    target: Target,
    personal: &'a Personal,
    known: &'a Known,
}

impl<'a> Projection<'a> {
    /// The values as `target` sees them.
    pub fn new(target: Target, personal: &'a Personal, known: &'a Known) -> Self {
        Self { target, personal, known }
    }

    /// A value as the target sees it.
    pub fn value<'v>(&self, held: Held<'_>, value: &'v Value) -> Cow<'v, Value> {
        self.seen(&self.cursor(held), held == Held::Inputs, value)
    }

    /// The value of a slot as the target sees it. One that is not there was erased, or is not
    /// disclosed.
    pub fn slot<'v>(&self, held: Held<'_>, slot: &'v Slot) -> Cow<'v, Value> {
        match slot {
            Slot::Known(value) => self.value(held, value),
            Slot::Withheld => Cow::Owned(TOMBSTONE.into()),
        }
    }

    /// Text that nobody declared anything about, as the target sees it.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.target {
            Target::Tool => Cow::Borrowed(text),
            Target::Model | Target::Log | Target::Trace => self.without(text),
        }
    }

    /// A model's answer as the target sees it: where it proposes a call, its arguments are places.
    pub fn answer<'t>(&self, step: &str, text: &'t str) -> Cow<'t, str> {
        if self.target == Target::Tool || !Proposal::looks_like(text) {
            return self.text(text);
        }
        // Read leniently: this is for looking at, also where it is no sound proposal.
        match serde_json::from_str::<Value>(text.trim()) {
            Ok(value) => Cow::Owned(self.value(Held::Proposal(step), &value).to_string()),
            Err(_) => self.text(text),
        }
    }

    /// Whether the target sees less than there is.
    pub fn withholds(&self, held: Held<'_>, value: &Value) -> bool {
        matches!(self.value(held, value), Cow::Owned(_))
    }

    /// Whether anything is marked at all, or looked for.
    pub(crate) fn marks_anything(&self) -> bool {
        self.personal.marks_anything()
    }

    fn cursor(&self, held: Held<'_>) -> Cursor<'a> {
        match held {
            Held::Inputs | Held::Words => Cursor::default(),
            Held::Name(name) => self.personal.named(name),
            Held::Result(step, tool) => self.personal.named(step).and(self.personal.result(tool)),
            Held::Proposal(step) => self.personal.proposal(step),
            Held::Args(tool) => self.personal.args(tool),
            Held::Payload(step) => self.personal.named(step).and(self.personal.named(marks::WEBHOOK)),
            Held::Refused(step, tool) => {
                let args = tool.map(|tool| self.personal.args(tool)).unwrap_or_default();
                self.personal.proposal(step).and(args)
            }
        }
    }

    /// `named`: the fields are names of their own.
    fn seen<'v>(&self, cursor: &Cursor<'_>, named: bool, value: &'v Value) -> Cow<'v, Value> {
        if self.target == Target::Tool {
            return Cow::Borrowed(value);
        }
        if cursor.is_marked() {
            return Cow::Owned(REDACTED.into());
        }
        match value {
            Value::Null | Value::Bool(_) => Cow::Borrowed(value),
            Value::Number(number) => {
                let text = number.to_string();
                let long = text.bytes().filter(u8::is_ascii_digit).count() >= known::MIN_DIGITS;
                match long && matches!(self.without(&text), Cow::Owned(_)) {
                    true => Cow::Owned(REDACTED.into()),
                    false => Cow::Borrowed(value),
                }
            }
            Value::String(text) => match self.without(text) {
                Cow::Borrowed(_) => Cow::Borrowed(value),
                Cow::Owned(text) => Cow::Owned(text.into()),
            },
            Value::Array(items) => {
                let mut changed = false;
                let seen: Vec<Cow<'_, Value>> = items
                    .iter()
                    .enumerate()
                    .map(|(at, item)| self.seen(&cursor.item(at), false, item))
                    .inspect(|item| changed |= matches!(item, Cow::Owned(_)))
                    .collect();
                match changed {
                    true => Cow::Owned(Value::Array(seen.into_iter().map(Cow::into_owned).collect())),
                    false => Cow::Borrowed(value),
                }
            }
            Value::Object(fields) => {
                let mut changed = false;
                let seen: Vec<(Cow<'_, str>, Cow<'_, Value>)> = fields
                    .iter()
                    .map(|(name, field)| {
                        let below = if named { self.personal.named(name) } else { cursor.field(name) };
                        (self.without(name), self.seen(&below, false, field))
                    })
                    .inspect(|seen| changed |= matches!(seen, (Cow::Owned(_), _) | (_, Cow::Owned(_))))
                    .collect();
                if !changed {
                    return Cow::Borrowed(value);
                }
                Cow::Owned(Value::Object(distinct(seen)))
            }
        }
    }

    /// The text without what stands at marked places, looks personal, or is a secret's handle.
    fn without<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.known.is_full() && !text.is_empty() {
            return Cow::Owned(REDACTED.to_owned());
        }
        let mut personal = Vec::new();
        self.known.find(text, &mut personal);
        for detector in &self.personal.detectors {
            detector.find(text, &mut personal);
        }
        let personal = personal.into_iter().map(|range| (range, REDACTED));
        let mut hits: Vec<(Range<usize>, &str)> = personal.chain(handles(text)).collect();
        if hits.is_empty() {
            return Cow::Borrowed(text);
        }
        hits.sort_by_key(|(range, _)| range.start);
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        for (range, instead) in hits {
            if range.start >= at {
                out.push_str(&text[at..range.start]);
                out.push_str(instead);
            }
            at = at.max(range.end);
        }
        out.push_str(&text[at..]);
        Cow::Owned(out)
    }
}

/// The handles of secrets in a text: from their scheme to the next space or quotation mark.
fn handles(text: &str) -> impl Iterator<Item = (Range<usize>, &'static str)> {
    let lower = if text.contains("://") { text.to_ascii_lowercase() } else { String::new() };
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + lower[at..].find(SECRET)?;
        let id = start + SECRET.len();
        let closes =
            |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '`' | '<' | '>');
        at = lower[id..].find(closes).map_or(lower.len(), |length| id + length);
        Some((start..at, SECRET_TOKEN))
    })
}

/// The fields, none lost: where several names became one, they are numbered.
fn distinct(fields: Vec<(Cow<'_, str>, Cow<'_, Value>)>) -> Map<String, Value> {
    let mut distinct = Map::with_capacity(fields.len());
    let mut numbers: HashMap<String, usize> = HashMap::new();
    for (name, field) in fields {
        let mut name = name.into_owned();
        while distinct.contains_key(&name) {
            let number = numbers.entry(name.clone()).or_insert(1);
            *number += 1;
            name = format!("{name} {number}");
        }
        distinct.insert(name, field.into_owned());
    }
    distinct
}

impl Known {
    /// Learns what stands at the marked places of a value.
    pub(crate) fn learn(&mut self, personal: &Personal, held: Held<'_>, slot: &Slot) {
        let projection = Projection { target: Target::Trace, personal, known: &Self::default() };
        let cursor = projection.cursor(held);
        if cursor.is_clear() {
            return;
        }
        match slot {
            Slot::Withheld => self.add_withheld(),
            Slot::Known(value) => {
                let mut texts = Vec::new();
                collect(&cursor, false, value, &mut texts);
                self.add(texts);
            }
        }
    }
}

impl Known {
    /// The inputs are withheld.
    pub(crate) fn learn_withheld_inputs(&mut self, personal: &Personal, program: &CheckedProgram) {
        if personal.marks_input(program) {
            self.add_withheld();
        }
    }
}

/// The texts, and numbers as texts, at marked places. Names of fields are the tool's words, not
/// the person's.
fn collect(cursor: &Cursor<'_>, marked: bool, value: &Value, texts: &mut Vec<String>) {
    let marked = marked || cursor.is_marked();
    if !marked && cursor.is_clear() {
        return;
    }
    match value {
        Value::Null | Value::Bool(_) => {}
        Value::String(text) if marked => texts.push(text.clone()),
        Value::Number(number) if marked => {
            let text = number.to_string();
            if text.bytes().filter(u8::is_ascii_digit).count() >= known::MIN_DIGITS {
                texts.push(text);
            }
        }
        Value::String(_) | Value::Number(_) => {}
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                collect(&cursor.item(at), marked, item, texts);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                collect(&cursor.field(name), marked, field, texts);
            }
        }
    }
}

/// The named values of a run as one target sees them: what templates resolve against.
#[derive(Clone, Copy)]
pub struct View<'a> {
    scope: &'a dyn Scope,
    projection: Projection<'a>,
}

/// What a reference leads to, as a target sees it.
pub(crate) enum Seen<'a> {
    /// This.
    Value(Cow<'a, Value>),
    /// Nothing.
    Absent,
    /// Something that the holder of the values cannot tell; where it is there at all, this is
    /// what the target sees of it, if that is known.
    Unclear(Option<&'static str>),
}

impl<'a> View<'a> {
    /// The values of `scope` as `projection` shows them.
    pub fn new(scope: &'a dyn Scope, projection: Projection<'a>) -> Self {
        Self { scope, projection }
    }

    /// What a reference leads to.
    pub(crate) fn resolve(&self, reference: &Reference) -> Seen<'a> {
        let located = reference.locate(self.scope);
        let value = match located.value {
            Resolved::Absent => return Seen::Absent,
            Resolved::Withheld => return Seen::Unclear(self.instead(reference)),
            Resolved::Value(value) => value,
        };
        if self.projection.target == Target::Tool {
            return Seen::Value(Cow::Borrowed(value));
        }
        let held = match located.part {
            Part::Proposal => Held::Proposal(reference.root()),
            Part::Whole => Held::Name(reference.root()),
        };
        let mut cursor = self.projection.cursor(held);
        let mut marked = cursor.is_marked();
        for (parent, segment) in located.steps {
            cursor = cursor.enter(parent, segment);
            marked |= cursor.is_marked();
        }
        if marked {
            return Seen::Value(Cow::Owned(REDACTED.into()));
        }
        // A text that is withheld might stand in this one.
        if self.projection.known.is_partial() && has_text(value) {
            return Seen::Unclear(None);
        }
        Seen::Value(self.projection.seen(&cursor, false, value))
    }

    /// Whether the target surely sees less than what a reference leads to.
    pub(crate) fn redacts(&self, reference: &Reference) -> bool {
        matches!(self.resolve(reference), Seen::Value(Cow::Owned(_)) | Seen::Unclear(Some(_)))
    }

    /// What the target sees of a value that is withheld, where all of it is marked.
    fn instead(&self, reference: &Reference) -> Option<&'static str> {
        let mut cursor = self.projection.cursor(Held::Name(reference.root()));
        let mut marked = cursor.is_marked();
        for segment in reference.path() {
            cursor = cursor.field(segment);
            marked |= cursor.is_marked();
        }
        (marked && self.projection.target != Target::Tool).then_some(REDACTED)
    }

    /// What a reference leads to, where the holder of the values is to have them all.
    pub(crate) fn need(&self, reference: &Reference) -> Result<Cow<'a, Value>, Unresolved> {
        match self.resolve(reference) {
            Seen::Value(value) => Ok(value),
            Seen::Absent => Err(Unresolved::Absent { reference: reference.to_string() }),
            Seen::Unclear(_) => Err(Unresolved::Withheld { reference: reference.to_string() }),
        }
    }
}

/// Whether text could stand in it.
fn has_text(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(_))
}
