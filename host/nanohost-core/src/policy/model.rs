//! `[models.<alias>]`: which server and which model stand behind an alias, with which parameters
//! and within which bounds. Knows of a key only the name of the variable that holds it.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::BaseUrl;
use crate::document::{Entry, Fields, Node, NodeValue, Report};
use crate::jcs::MAX_INTEGER;
use crate::manifest::{is_variable, read_bytes, read_time};
use crate::program::SCRIPTED;

/// What a row gets that says nothing: models answer slowly, and not at all is no answer either.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(120);

/// An attempt that may take longer is a hang that holds its run. Milliseconds.
const TIMEOUT: (u64, u64) = (1, 3_600_000);

/// What a row gets that says nothing, bytes.
const DEFAULT_ANSWER: u64 = 1 << 20;

/// An answer is held in memory several times over while it is read, judged, committed and stored:
/// a greater one is an attack on the host's memory. Bytes.
const ANSWER: (u64, u64) = (1, 16 << 20);

/// Every row is held against every alias, and an alias stands in every envelope of its attempts.
const MAX_ROWS: usize = 1000;
const MAX_NAME: usize = 128;

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// `POST {base_url}/chat/completions`, as OpenAI and many others understand it.
    OpenAi,
}

/// What becomes of personal data on its way to a model. The first is the narrower one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelPii {
    /// A prompt that names personal data is not sent.
    Never,
    /// It is sent with the personal data taken out.
    Redacted,
}

impl ModelPii {
    /// The word that policies use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Redacted => "redacted",
        }
    }
}

impl fmt::Display for ModelPii {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the model is told beside the prompt. Signed documents hold no fractions: they are decimal
/// text here, in the one form that [`decimal`] gives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelParams {
    /// From 0 to 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<String>,
    /// More than 0, at most 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<String>,
    /// The most tokens of an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// The same, by the name that models which reason want it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_completion_tokens: Option<u64>,
    /// Where the server's randomness begins, where it can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

impl ModelParams {
    /// Whether nothing is told.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One row.
#[derive(Debug, Clone)]
pub(crate) struct ModelRule {
    pub(crate) alias: String,
    /// The alias as it stands in the file.
    pub(crate) span: Range<usize>,
    pub(crate) provider: Provider,
    pub(crate) base_url: BaseUrl,
    /// The server's name of the model.
    pub(crate) model: String,
    pub(crate) key_env: Option<String>,
    pub(crate) pii: ModelPii,
    pub(crate) params: ModelParams,
    pub(crate) timeout: Duration,
    pub(crate) answer: u64,
    /// Whether programs that clients of a gateway saved may ask it too.
    pub(crate) saved: bool,
}

impl ModelRule {
    /// What both allow; where they mean different models, which key says so.
    pub(crate) fn meet(&self, other: &Self) -> Result<Self, &'static str> {
        if self.provider != other.provider {
            return Err("provider");
        }
        if self.base_url != other.base_url {
            return Err("base_url");
        }
        if self.model != other.model {
            return Err("model");
        }
        if self.key_env != other.key_env {
            return Err("key_env");
        }
        let (mine, others) = (&self.params, &other.params);
        let params = ModelParams {
            temperature: same(&mine.temperature, &others.temperature).ok_or("temperature")?,
            top_p: same(&mine.top_p, &others.top_p).ok_or("top_p")?,
            max_tokens: least(mine.max_tokens, others.max_tokens),
            max_completion_tokens: least(mine.max_completion_tokens, others.max_completion_tokens),
            seed: same(&mine.seed, &others.seed).ok_or("seed")?,
        };
        if params.max_tokens.is_some() && params.max_completion_tokens.is_some() {
            return Err("max_tokens");
        }
        Ok(Self {
            pii: self.pii.min(other.pii),
            params,
            timeout: self.timeout.min(other.timeout),
            answer: self.answer.min(other.answer),
            saved: self.saved && other.saved,
            ..self.clone()
        })
    }
}

/// What one of two says, or both; `None` where they differ.
fn same<T: Clone + PartialEq>(left: &Option<T>, right: &Option<T>) -> Option<Option<T>> {
    match (left, right) {
        (Some(left), Some(right)) if left != right => None,
        (left, right) => Some(left.clone().or_else(|| right.clone())),
    }
}

fn least(left: Option<u64>, right: Option<u64>) -> Option<u64> {
    match (left, right) {
        (Some(left), Some(right)) => Some(left.min(right)),
        (left, right) => left.or(right),
    }
}

/// Reads `[models]`.
pub(super) fn models(fields: &mut Fields<'_>, report: &mut Report) -> Vec<ModelRule> {
    let rows = fields.table("models", report).unwrap_or_default();
    if let Some(beyond) = rows.get(MAX_ROWS) {
        report.invalid(&beyond.key_span, format!("a policy has at most {MAX_ROWS} models"));
    }
    rows.iter().take(MAX_ROWS).filter_map(|entry| row(entry, report)).collect()
}

fn row(entry: &Entry, report: &mut Report) -> Option<ModelRule> {
    let alias = &entry.key;
    if alias == SCRIPTED {
        let finding =
            report.error("invalid_field", &entry.key_span, "`scripted` needs no row and can have none");
        report.push(finding.help("it answers from a file of the program, and asks no server"));
        return None;
    }
    if !is_alias(alias) {
        report.invalid(
            &entry.key_span,
            format!("an alias is letters, digits, `-`, `_` and `.`, at most {MAX_NAME}"),
        );
        return None;
    }
    let mut fields = Fields::of(&entry.node, format!("[models.{alias}]"), report)?;
    let needed = ["provider", "base_url", "model"];
    for key in needed {
        if !fields.has(key) {
            fields.missing(key, report);
        }
    }
    let provider = fields.choice("provider", &[("openai", Provider::OpenAi)], report);
    let base_url = fields.filled_text("base_url", report).and_then(|text| {
        BaseUrl::parse(text)
            .map_err(|why| {
                let place = fields.node("base_url").map_or(entry.key_span.clone(), |node| node.span.clone());
                let finding =
                    report.error("invalid_field", &place, format!("`base_url` is no URL of a server: {why}"));
                report.push(finding.help("write it like \"https://api.example.com/v1\""));
            })
            .ok()
    });
    let model = fields.filled_text("model", report).map(str::to_owned);
    if let (Some(model), Some(node)) = (&model, fields.node("model"))
        && (model.len() > MAX_NAME || model.chars().any(|c| c.is_control()))
    {
        report.invalid(
            &node.span,
            format!("a model's name is at most {MAX_NAME} bytes, without control characters"),
        );
    }
    let key_env = key_env(&mut fields, base_url.as_ref(), report);
    let pii = fields.choice("pii", &[("never", ModelPii::Never), ("redacted", ModelPii::Redacted)], report);
    let params = params(&mut fields, report);
    let timeout = read_time(&mut fields, "timeout", TIMEOUT, report);
    let answer = read_bytes(&mut fields, "answer", ANSWER, report);
    let saved = fields.truth("saved", report).unwrap_or(false);
    fields.finish(report);
    Some(ModelRule {
        alias: alias.clone(),
        span: entry.key_span.clone(),
        provider: provider?,
        base_url: base_url?,
        model: model?,
        key_env,
        pii: pii.unwrap_or(ModelPii::Redacted),
        params,
        timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
        answer: answer.unwrap_or(DEFAULT_ANSWER),
        saved,
    })
}

/// The form of an alias that a policy can give a row.
pub(crate) fn is_alias(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// The variable that holds the key. A key never goes over the network as plain text.
fn key_env(fields: &mut Fields<'_>, base_url: Option<&BaseUrl>, report: &mut Report) -> Option<String> {
    let name = fields.filled_text("key_env", report)?;
    let span = fields.node("key_env").map(|node| node.span.clone()).unwrap_or_default();
    if !is_variable(name) {
        let finding =
            report.error("invalid_field", &span, "`key_env` is a variable's name: letters, digits and `_`");
        report.push(finding.help("name the variable that holds the key; never write the key itself here"));
    }
    if base_url.is_some_and(|url| !url.is_secure() && !url.is_loopback()) {
        let finding =
            report.error("invalid_field", &span, "a key is sent over https, or to this machine alone");
        report.push(finding.help("write https:// in `base_url`"));
    }
    Some(name.to_owned())
}

fn params(fields: &mut Fields<'_>, report: &mut Report) -> ModelParams {
    let params = ModelParams {
        temperature: fraction(fields, "temperature", "from 0 to 2", |it| (0.0..=2.0).contains(&it), report),
        top_p: fraction(fields, "top_p", "more than 0 and at most 1", |it| it > 0.0 && it <= 1.0, report),
        max_tokens: integer(fields, "max_tokens", 1, report),
        max_completion_tokens: integer(fields, "max_completion_tokens", 1, report),
        seed: integer(fields, "seed", 0, report),
    };
    if params.max_tokens.is_some() {
        fields.refuse("max_completion_tokens", "`max_tokens` says it already", report);
    }
    params
}

fn fraction(
    fields: &mut Fields<'_>,
    key: &'static str,
    range: &str,
    fits: impl Fn(f64) -> bool,
    report: &mut Report,
) -> Option<String> {
    let node = fields.node(key)?;
    let value = number(node).filter(|value| fits(*value)).and_then(decimal);
    if value.is_none() {
        report.invalid(&node.span, format!("`{key}` is a number {range}"));
    }
    value
}

fn number(node: &Node) -> Option<f64> {
    match &node.value {
        NodeValue::Number(number) => number.as_f64(),
        _ => None,
    }
}

/// The shortest decimal that reads back as `value`, without exponent: `0.7`. `None` for what is
/// negative or not finite.
pub fn decimal(value: f64) -> Option<String> {
    // -0.0 is not less than zero, and would be written with its sign.
    (value.is_finite() && value >= 0.0).then(|| value.abs().to_string())
}

/// Whether `text` is a number as [`decimal`] writes it.
pub(crate) fn is_decimal(text: &str) -> bool {
    text.parse::<f64>().ok().and_then(decimal).is_some_and(|shortest| shortest == text)
}

fn integer(fields: &mut Fields<'_>, key: &'static str, from: u64, report: &mut Report) -> Option<u64> {
    let node = fields.node(key)?;
    let value = match &node.value {
        NodeValue::Number(number) => number.as_u64(),
        _ => None,
    };
    // Signed documents hold no greater integer.
    let value = value.filter(|value| (from..=MAX_INTEGER as u64).contains(value));
    if value.is_none() {
        report.invalid(&node.span, format!("`{key}` is an integer from {from} to {MAX_INTEGER}"));
    }
    value
}

#[cfg(test)]
mod tests;
