//! One row of `steps` → [`DraftStep`]: every key of every kind, and which of them go together.

use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

use super::{DraftStep, Places, Target, schema};
use crate::check::{ConditionStep, LlmStep, OnError, OnTimeout, ParallelStep, Resume, StepKind, ToolStep};
use crate::document::{Fields, Node, NodeValue, Report};
use crate::template::{Template, TextTemplate, is_identifier};
use crate::{Condition, StepId, ToolName};

/// Attempts of a step whose `on_error` is `retry`, where it does not say.
const DEFAULT_ATTEMPTS: NonZeroU32 = NonZeroU32::new(3).expect("three is not zero");

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tool,
    Llm,
    Condition,
    Parallel,
}

/// Keys that only one kind of step has.
const OWN_KEYS: [(&str, Kind); 16] = [
    ("tool", Kind::Tool),
    ("args", Kind::Tool),
    ("idempotency", Kind::Tool),
    ("resume", Kind::Tool),
    ("prompt", Kind::Llm),
    ("system", Kind::Llm),
    ("model", Kind::Llm),
    ("allowed_outputs", Kind::Llm),
    ("fallback", Kind::Llm),
    ("allowed_tools", Kind::Llm),
    ("on_timeout", Kind::Llm),
    ("condition", Kind::Condition),
    ("then", Kind::Condition),
    ("otherwise", Kind::Condition),
    ("parallel_steps", Kind::Parallel),
    ("max_concurrency", Kind::Parallel),
];

/// Keys that several kinds have.
const SHARED_KEYS: [&str; 6] =
    ["timeout_seconds", "output_key", "on_error", "max_retries", "is_terminal", "outcome"];

impl Kind {
    const WORDS: [(&'static str, Self); 4] = [
        ("tool", Self::Tool),
        ("llm", Self::Llm),
        ("condition", Self::Condition),
        ("parallel", Self::Parallel),
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Llm => "llm",
            Self::Condition => "condition",
            Self::Parallel => "parallel",
        }
    }
}

/// Reads one step, and its sub-steps if it is a block, into `steps`.
pub(super) fn read(node: &Node, model: &str, steps: &mut Vec<DraftStep>, report: &mut Report) {
    one(node, model, None, steps, report);
}

fn one(node: &Node, model: &str, block: Option<usize>, steps: &mut Vec<DraftStep>, report: &mut Report) {
    let Some(mut fields) = Fields::of(node, "a step", report) else { return };
    let (id, id_span) = read_id(&mut fields, report);
    if !id.is_empty() {
        let shown: String = id.chars().take(60).collect();
        fields.call(format!("step `{}`", shown.escape_debug()));
    }
    let kind = match fields.has("type") {
        true => fields.choice("type", &Kind::WORDS, report),
        false => {
            fields.missing("type", report);
            None
        }
    };
    let mut step = DraftStep {
        id,
        id_span,
        span: node.span.clone(),
        block,
        branches: kind == Some(Kind::Condition),
        then: None,
        otherwise: None,
        next_step: None,
        is_terminal: false,
        output_key: None,
        outcome: None,
        implicit_fallback: false,
        calls: Vec::new(),
        references: Places::new(),
        on_error: OnError::Fail,
        timeout: None,
        body: None,
    };
    let at = steps.len();
    let Some(kind) = kind else {
        // What its keys mean is unknown, but where it leads is not, nor which keys no kind has.
        step.next_step = target(&mut fields, "next_step", report);
        for key in OWN_KEYS.iter().map(|(key, _)| *key).chain(SHARED_KEYS) {
            let _ = fields.node(key);
        }
        fields.finish(report);
        steps.push(step);
        return;
    };
    for (key, owner) in OWN_KEYS {
        if owner != kind {
            fields.refuse(key, format_args!("only a step of type \"{}\" has it", owner.word()), report);
        }
    }
    common(&mut step, kind, &mut fields, report);
    match kind {
        Kind::Tool => step.body = tool(&mut step, &mut fields, report),
        Kind::Llm => step.body = llm(&mut step, model, &mut fields, report),
        Kind::Condition => step.body = condition(&mut step, &mut fields, report),
        Kind::Parallel => {
            if block.is_some() {
                let why = "a block runs tool and llm steps only";
                report.invalid(&step.span, format!("a parallel step cannot lie in a parallel step: {why}"));
                let _ = fields.node("parallel_steps");
                let _ = fields.node("max_concurrency");
            } else {
                step.body = parallel(&step, &mut fields, report);
            }
        }
    }
    if kind == Kind::Condition && block.is_some() {
        report.invalid(
            &step.span,
            "a condition cannot lie in a parallel step: a block runs tool and llm steps only",
        );
    }
    let subs = if kind == Kind::Parallel && block.is_none() { fields.node("parallel_steps") } else { None };
    fields.finish(report);
    steps.push(step);
    for sub in subs.and_then(Node::as_list).unwrap_or_default() {
        one(sub, model, Some(at), steps, report);
    }
}

fn read_id(fields: &mut Fields<'_>, report: &mut Report) -> (Arc<str>, Range<usize>) {
    let Some(node) = fields.node("id") else {
        fields.missing("id", report);
        return ("".into(), fields.span().clone());
    };
    let Some(text) = node.as_text() else {
        report.push(report.error(
            "invalid_id",
            &node.span,
            format!("a step's id is a string, not {}", node.kind()),
        ));
        return ("".into(), node.span.clone());
    };
    if let Err(error) = StepId::new(text) {
        report.push(report.error("invalid_id", &node.span, error.to_string()).step(text));
    } else if super::is_reserved(text) {
        let message = format!("`{text}` is the name of what a run is resumed with");
        report.push(report.error("invalid_id", &node.span, message).step(text));
    }
    (text.into(), node.span.clone())
}

/// The keys that several kinds share.
fn common(step: &mut DraftStep, kind: Kind, fields: &mut Fields<'_>, report: &mut Report) {
    let calls = matches!(kind, Kind::Tool | Kind::Llm);
    if calls {
        step.timeout = fields.seconds("timeout_seconds", report);
    } else {
        fields.refuse("timeout_seconds", "only tool and llm steps have it", report);
    }
    if kind == Kind::Condition {
        fields.refuse("output_key", "a condition has no output", report);
    } else if let Some(node) = fields.node("output_key") {
        match node.as_text() {
            Some(text) if is_identifier(text) && !super::is_reserved(text) => {
                step.output_key = Some((text.into(), node.span.clone()));
            }
            _ => report.invalid(
                &node.span,
                "`output_key` is a name that references can use: letters, digits and `_`",
            ),
        }
    }
    step.on_error = on_error(kind, fields, report);
    let why = match (step.block, kind) {
        (Some(_), _) => Some("a sub-step ends with its block"),
        (None, Kind::Condition) => Some("a condition goes to `then` or `otherwise`"),
        (None, _) => None,
    };
    match why {
        Some(why) => {
            for key in ["next_step", "is_terminal", "outcome"] {
                fields.refuse(key, why, report);
            }
        }
        None => {
            step.next_step = target(fields, "next_step", report);
            step.is_terminal = fields.truth("is_terminal", report).unwrap_or(false);
            step.outcome = fields.filled_text("outcome", report).map(str::to_owned);
            if let (true, Some(next)) = (step.is_terminal, &step.next_step) {
                let finding = report.error("invalid_field", &next.span, "a terminal step has no next step");
                report.push(finding.help("leave out `is_terminal` or `next_step`").step(&*step.id));
            }
        }
    }
}

fn on_error(kind: Kind, fields: &mut Fields<'_>, report: &mut Report) -> OnError {
    #[derive(Clone, Copy, PartialEq)]
    enum Word {
        Fail,
        Skip,
        Retry,
    }
    let words = [("fail", Word::Fail), ("skip", Word::Skip), ("retry", Word::Retry)];
    let span = fields.node("on_error").map(|node| node.span.clone());
    let broken = fields.has("on_error");
    let word = fields.choice("on_error", &words, report);
    let broken = broken && word.is_none();
    let word = word.unwrap_or(Word::Fail);
    if let (Kind::Condition, Word::Skip | Word::Retry, Some(span)) = (kind, word, span) {
        report
            .invalid(&span, "a guard that cannot be decided fails the run; it cannot be skipped or retried");
    }
    let attempts_node = fields.node("max_retries");
    let attempts = fields.count("max_retries", report).and_then(|count| match NonZeroU32::try_from(count) {
        Ok(count) => Some(count),
        Err(_) => {
            if let Some(node) = attempts_node {
                report.invalid(&node.span, "`max_retries` is far too large");
            }
            None
        }
    });
    match word {
        Word::Retry => OnError::Retry { attempts: attempts.unwrap_or(DEFAULT_ATTEMPTS) },
        // Exported programs spell the default out on every step.
        _ if attempts.is_some_and(|attempts| attempts != DEFAULT_ATTEMPTS) && !broken => {
            if let Some(node) = attempts_node {
                let finding =
                    report.error("invalid_field", &node.span, "`max_retries` needs `on_error = \"retry\"`");
                report.push(finding.help("without it nothing is tried again"));
            }
            OnError::Fail
        }
        Word::Skip => OnError::Skip,
        Word::Fail => OnError::Fail,
    }
}

fn tool(step: &mut DraftStep, fields: &mut Fields<'_>, report: &mut Report) -> Option<StepKind> {
    let named = match fields.node("tool") {
        Some(node) => tool_name(node, report).map(|name| (name, node.span.clone())),
        None => ToolName::new(&step.id).ok().map(|name| (name, step.id_span.clone())),
    };
    step.calls.extend(named.clone());
    let args = match fields.node("args") {
        None => Some(Value::Object(serde_json::Map::new())),
        Some(node) if node.as_table().is_some() => template(node, &mut step.references, report),
        Some(node) => {
            report.invalid(&node.span, format!("`args` is a table of arguments, not {}", node.kind()));
            None
        }
    };
    let idempotency = fields.node("idempotency");
    if let Some(node) = idempotency.filter(|node| node.as_text().is_none_or(str::is_empty)) {
        report.invalid(&node.span, "`idempotency` is a string such as \"$order.id\"");
    }
    let idempotency = idempotency.map(|node| template(node, &mut step.references, report));
    let resume = resume(step, fields, report);
    let parsed = |value: Option<Value>| value.and_then(|value| Template::parse(&value).ok());
    Some(StepKind::Tool(ToolStep {
        tool: named?.0,
        args: parsed(args)?,
        idempotency: match idempotency {
            Some(value) => Some(parsed(value)?),
            None => None,
        },
        resume: resume?,
    }))
}

/// `None`: it is not sound.
fn resume(step: &mut DraftStep, fields: &mut Fields<'_>, report: &mut Report) -> Option<Option<Resume>> {
    if step.block.is_some() {
        fields.refuse("resume", "a step inside a block cannot suspend", report);
        return Some(None);
    }
    if !fields.has("resume") {
        let _ = fields.node("resume");
        return Some(None);
    }
    let mut inner =
        fields.fields("resume", format!("`resume` of step `{}`", step.id.escape_debug()), report)?;
    let mut by = Vec::new();
    if let Some(texts) = inner.texts("by", report) {
        if texts.is_empty() {
            report.invalid(inner.span(), "`by` names nobody; leave it out for the operator alone");
        }
        for (text, span) in texts {
            if text.is_empty() || text.trim() != text {
                report.invalid(&span, "`by` holds names such as \"role:approver\" or \"starter\"");
            }
            by.push(text.to_owned());
        }
    }
    let schema = inner.node("schema").and_then(|node| schema::read(node, "`schema` of `resume`", report));
    let verify = inner.node("verify").and_then(|node| {
        let name = tool_name(node, report)?;
        step.calls.push((name.clone(), node.span.clone()));
        Some(name)
    });
    inner.finish(report);
    Some(Some(Resume { by, schema, verify }))
}

fn llm(step: &mut DraftStep, model: &str, fields: &mut Fields<'_>, report: &mut Report) -> Option<StepKind> {
    let prompt = fields.need_text("prompt", report).is_some().then(|| fields.node("prompt")).flatten();
    let prompt = prompt.and_then(|node| text_template(node, &mut step.references, report));
    let system = fields.text("system", report).is_some().then(|| fields.node("system")).flatten();
    let system = system.map(|node| text_template(node, &mut step.references, report));
    let model = fields.filled_text("model", report).unwrap_or(model).to_owned();

    let mut allowed_outputs = Vec::new();
    if let Some(node) = fields.node("allowed_outputs") {
        let texts = fields.texts("allowed_outputs", report);
        if texts.as_ref().is_some_and(Vec::is_empty) && node.as_list().is_some_and(<[Node]>::is_empty) {
            report.invalid(&node.span, "`allowed_outputs` allows nothing; leave it out to allow any answer");
        }
        for (text, span) in texts.unwrap_or_default() {
            if text.trim() != text {
                let message =
                    "an allowed output has space around it; answers are trimmed, so it would never match";
                report.invalid(&span, message);
            }
            allowed_outputs.push(text.to_owned());
        }
    }
    let mut allowed_tools = Vec::new();
    if let Some(node) = fields.node("allowed_tools") {
        let items = fields.list("allowed_tools", report).unwrap_or_default();
        if items.is_empty() && node.as_list().is_some() {
            report.invalid(&node.span, "`allowed_tools` names no tool; leave it out to allow no proposal");
        }
        for item in items {
            let Some(name) = tool_name(item, report) else { continue };
            step.calls.push((name.clone(), item.span.clone()));
            if !allowed_tools.contains(&name) {
                allowed_tools.push(name);
            }
        }
    }
    let timeouts = [("fail", OnTimeout::Fail), ("fallback", OnTimeout::Fallback)];
    let on_timeout_span = fields.node("on_timeout").map(|node| node.span.clone());
    let on_timeout = fields.choice("on_timeout", &timeouts, report).unwrap_or(OnTimeout::Fail);
    let fallback = fields.text("fallback", report).map(str::to_owned);
    if let (OnTimeout::Fallback, Some(span)) = (on_timeout, on_timeout_span) {
        if fallback.is_none() && allowed_outputs.is_empty() {
            report.invalid(&span, "there is nothing to fall back to: add `fallback` or `allowed_outputs`");
        }
        if !fields.has("timeout_seconds") {
            report.invalid(&span, "a step without `timeout_seconds` never times out: add it");
        }
    }
    let falls_back = on_timeout == OnTimeout::Fallback || step.on_error == OnError::Skip;
    step.implicit_fallback = falls_back && fallback.is_none() && !allowed_outputs.is_empty();
    Some(StepKind::Llm(LlmStep {
        prompt: prompt?,
        system: match system {
            Some(system) => Some(system?),
            None => None,
        },
        model,
        fallback: fallback.or_else(|| allowed_outputs.first().cloned()),
        allowed_outputs,
        allowed_tools,
        on_timeout,
    }))
}

fn condition(step: &mut DraftStep, fields: &mut Fields<'_>, report: &mut Report) -> Option<StepKind> {
    step.then = target(fields, "then", report);
    step.otherwise = target(fields, "otherwise", report);
    if !fields.has("then") && !fields.has("otherwise") {
        fields.missing("then", report);
    }
    if !fields.has("condition") {
        fields.missing("condition", report);
    }
    fields.text("condition", report)?;
    let node = fields.node("condition")?;
    match Condition::parse(node.as_text()?) {
        Ok(condition) => {
            let places = condition.references().map(|reference| (reference.clone(), node.span.clone()));
            step.references.extend(places);
            Some(StepKind::Condition(ConditionStep { condition, then: None, otherwise: None }))
        }
        Err(error) => {
            let place = node.place_in_text(report.source(), error.offset);
            report.push(report.error("bad_condition", &place, error.to_string()).step(&*step.id));
            None
        }
    }
}

fn parallel(step: &DraftStep, fields: &mut Fields<'_>, report: &mut Report) -> Option<StepKind> {
    let concurrency = fields.node("max_concurrency");
    let max_concurrency = fields.count("max_concurrency", report);
    let max_concurrency = match max_concurrency.map(NonZeroU32::try_from) {
        Some(Ok(count)) => Some(count),
        Some(Err(_)) => {
            if let Some(node) = concurrency {
                report.invalid(&node.span, "`max_concurrency` is far too large");
            }
            None
        }
        None => None,
    };
    if !fields.has("parallel_steps") {
        fields.missing("parallel_steps", report);
        return None;
    }
    if fields.list("parallel_steps", report)?.is_empty() {
        report.invalid(&step.span, "a parallel step has at least one sub-step");
        return None;
    }
    Some(StepKind::Parallel(ParallelStep { steps: Vec::new(), max_concurrency }))
}

fn target(fields: &mut Fields<'_>, key: &'static str, report: &mut Report) -> Option<Target> {
    let id = fields.text(key, report)?.to_owned();
    let span = fields.node(key)?.span.clone();
    Some(Target { id, span })
}

pub(super) fn tool_name(node: &Node, report: &mut Report) -> Option<ToolName> {
    let Some(text) = node.as_text() else {
        report.invalid(&node.span, format!("a tool is named by a string, not {}", node.kind()));
        return None;
    };
    match ToolName::new(text) {
        Ok(name) => Some(name),
        Err(error) => {
            report.invalid(&node.span, error.to_string());
            None
        }
    }
}

fn text_template(node: &Node, references: &mut Places, report: &mut Report) -> Option<TextTemplate> {
    match TextTemplate::parse(node.as_text()?) {
        Ok(template) => {
            references.extend(template.references().map(|reference| (reference.clone(), node.span.clone())));
            Some(template)
        }
        Err(error) => {
            let place = node.place_in_text(report.source(), error.offset);
            report.push(report.error("invalid_field", &place, error.to_string()));
            None
        }
    }
}

/// A value whose strings are templates: each is tried where it stands, so that its errors have a
/// place. `None` if one of them is broken.
pub(super) fn template(node: &Node, references: &mut Places, report: &mut Report) -> Option<Value> {
    let sound = strings_parse(node, references, report);
    let value = node.to_json(report);
    if sound && let Err(error) = Template::parse(&value) {
        report.invalid(&node.span, error.to_string());
        return None;
    }
    sound.then_some(value)
}

fn strings_parse(node: &Node, references: &mut Places, report: &mut Report) -> bool {
    let mut sound = true;
    match &node.value {
        NodeValue::Text(_) => sound = text_template(node, references, report).is_some(),
        NodeValue::List(items) => {
            items.iter().for_each(|item| sound &= strings_parse(item, references, report));
        }
        NodeValue::Table(entries) => {
            entries.iter().for_each(|entry| sound &= strings_parse(&entry.node, references, report));
        }
        _ => {}
    }
    sound
}
