//! The text of a manifest → [`Manifest`], with every problem in one pass.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::capabilities::{Side, read_capabilities, read_digest, read_stubs};
use super::limits::{DEFAULT_LIMITS, GivenLimits, read_limits};
use super::{Ask, Function, Manifest, Spanned};
use crate::capability::{Capability, Clock, Effect, Random};
use crate::document::{self, Entry, Fields, Format, Report};
use crate::{Diagnostics, Digest, Source, ToolName};

/// No text of a manifest that is shown to people and models is longer, bytes.
const MAX_TEXT: usize = 4096;

impl Manifest {
    /// Reads a manifest, which is TOML.
    ///
    /// # Errors
    /// All findings: what is not TOML, keys that are unknown (`unknown_field`), known and not
    /// enforced by this host (`unenforceable`), values that are not valid (`invalid_field`) and
    /// bounds that are none (`invalid_limit`).
    pub fn parse(source: Arc<Source>) -> Result<Self, Diagnostics> {
        let root = document::parse(&source, Format::Toml)?;
        let mut report = Report::new(&source);
        let draft = Fields::of(&root, "a manifest", &mut report).map(|fields| read(fields, &mut report));
        report.finish()?;
        match draft {
            Some(Draft { name: Some(name), version: Some(version), rest }) => Ok(Self {
                digest: Digest::of(source.text.as_bytes()),
                source,
                name,
                version,
                description: rest.description,
                license: rest.license,
                component: rest.component,
                stubs: rest.stubs,
                functions: rest.functions,
                asks: rest.asks,
                capabilities: rest.capabilities,
                limits: rest.limits.or(DEFAULT_LIMITS),
                said_limits: rest.limits,
            }),
            // Whatever is missing has been reported above; this keeps it so without a panic.
            _ => Err(crate::Diagnostic::error("invalid_field", "the manifest is not complete")
                .at(&source, 0..0)
                .into()),
        }
    }
}

struct Draft {
    name: Option<ToolName>,
    version: Option<String>,
    rest: Rest,
}

struct Rest {
    description: Option<String>,
    license: Option<String>,
    component: Option<Spanned<Digest>>,
    stubs: Vec<Spanned<crate::facts::ImportPattern>>,
    functions: BTreeMap<String, Function>,
    asks: Vec<Ask>,
    capabilities: Option<std::ops::Range<usize>>,
    limits: GivenLimits,
}

fn read(mut fields: Fields<'_>, report: &mut Report) -> Draft {
    let name = fields.need_text("name", report).map(ToolName::new);
    if let (Some(Err(error)), Some(at)) = (&name, fields.node("name")) {
        report.invalid(&at.span, error.to_string());
    }
    let version = fields.need_text("version", report).map(str::to_owned);
    let version = version.filter(|version| {
        let fits = version.len() <= 64 && version.bytes().all(|b| b.is_ascii_graphic());
        if let (false, Some(at)) = (fits, fields.node("version")) {
            report.invalid(&at.span, "`version` is at most 64 printable characters, such as \"1.2.0\"");
        }
        fits
    });
    let description = text(&mut fields, "description", report);
    let license = text(&mut fields, "license", report);
    let component = read_digest(&mut fields, "component", report);
    let stubs = read_stubs(&mut fields, report);
    let functions = fields
        .table("functions", report)
        .unwrap_or_default()
        .iter()
        .filter_map(|entry| function(entry, report))
        .collect();
    let capabilities = fields.node("capabilities").map(|node| node.span.clone());
    let mut asks = Vec::new();
    if let Some(mut table) = fields.fields("capabilities", "[capabilities]", report) {
        asks.extend(
            read_capabilities(&mut table, Side::Asks, report)
                .into_iter()
                .map(|own| Ask { capability: own.value, span: Some(own.span) }),
        );
        table.finish(report);
    }
    for default in [Capability::Clock(Clock::Virtual), Capability::Random(Random::Seeded)] {
        if !asks.iter().any(|ask| ask.capability.class() == default.class()) {
            asks.push(Ask { capability: default, span: None });
        }
    }
    let mut limits = GivenLimits::default();
    if let Some(mut table) = fields.fields("limits", "[limits]", report) {
        limits = read_limits(&mut table, report);
        table.finish(report);
    }
    fields.finish(report);
    asks.sort_by_key(|ask| ask.capability.class());
    let rest = Rest { description, license, component, stubs, functions, asks, capabilities, limits };
    Draft { name: name.and_then(Result::ok), version, rest }
}

fn text(fields: &mut Fields<'_>, key: &'static str, report: &mut Report) -> Option<String> {
    let text = fields.text(key, report)?;
    match fields.node(key) {
        Some(at) if text.len() > MAX_TEXT => {
            report.invalid(&at.span, format!("`{key}` is longer than {MAX_TEXT} bytes"));
            None
        }
        _ => Some(text.to_owned()),
    }
}

fn function(entry: &Entry, report: &mut Report) -> Option<(String, Function)> {
    let named = entry.key.len() <= 128
        && entry.key.starts_with(|c: char| c.is_ascii_alphabetic())
        && entry.key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !named {
        let finding = report.error("invalid_field", &entry.key_span, "a function has its WIT name");
        report.push(finding.help("write it in kebab case, as the component exports it: `issue-refund`"));
    }
    let mut fields = Fields::of(&entry.node, "a function", report)?;
    let description = text(&mut fields, "description", report);
    let effects =
        [("pure", Effect::Pure), ("idempotent", Effect::Idempotent), ("external", Effect::External)];
    let effect = fields.choice("effect", &effects, report);
    let mut pii = Vec::new();
    for (path, span) in fields.texts("pii", report).unwrap_or_default() {
        let mut parts = path.split('.');
        let rooted = matches!(parts.next(), Some("input" | "output"));
        let part = |part: &str| {
            part == "*"
                || part.parse::<u32>().is_ok()
                || (part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                    && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
        };
        if rooted && path.len() <= 256 && parts.all(part) {
            pii.push(path.to_owned());
        } else {
            let finding =
                report.error("invalid_field", &span, "`pii` names fields of the input or the output");
            report.push(
                finding
                    .help("write `input.customer.email`, `output.items.*.phone`, or `input` for all of it"),
            );
        }
    }
    fields.finish(report);
    named.then(|| (entry.key.clone(), Function { description, effect, pii, span: entry.key_span.clone() }))
}
