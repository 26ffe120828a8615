//! The text of a policy → [`Policy`], with every problem in one pass.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::publisher::{self, Publishers};
use super::{Otherwise, PerTool, Policy, Rule, Stance, Trust, model, path};
use crate::capability::{Capability, Clock, Random, Together, is_guest_path};
use crate::condition::Condition;
use crate::document::{self, Entry, Fields, Format, Node, NodeValue, Report};
use crate::manifest::{
    GivenLimits, Side, Spanned, is_variable, read_capabilities, read_digest, read_limits, read_stubs,
    read_together, refuse_unenforceable, spanned,
};
use crate::origin::Origin;
use crate::{Diagnostic, Diagnostics, Digest, Principal, Source, Timestamp, ToolName};

/// Every request of every tool is held against every row: without a bound a large file makes
/// admission slow.
const MAX_RULES: usize = 10_000;

/// Values of variables enter every call of their tool; bytes.
const MAX_VALUE: usize = 32 << 10;

/// Milliseconds of a day without leap seconds, which RFC 3339 moments do not count.
const DAY: i64 = 86_400_000;

impl Policy {
    /// Reads a policy, which is TOML. `base_dir` is the absolute path of the folder it lies in:
    /// relative host folders are meant from there.
    ///
    /// # Errors
    /// All findings: what is not TOML, keys that are unknown (`unknown_field`), known and not
    /// enforced by this host (`unenforceable`), values that are not valid (`invalid_field`,
    /// `invalid_limit`, `bad_condition`), ids that stand twice (`duplicate_rule`).
    pub fn parse(source: Arc<Source>, base_dir: &str, trust: Trust) -> Result<Self, Diagnostics> {
        let root = document::parse(&source, Format::Toml)?;
        let mut report = Report::new(&source);
        let policy = Fields::of(&root, "a policy", &mut report).map(|mut fields| {
            let (ceilings, together) = limits(&mut fields, &mut report);
            let publishers = publisher::publishers(&mut fields, &mut report);
            let policy = Self {
                digest: Digest::of(source.text.as_bytes()),
                source: Arc::clone(&source),
                base_dir: base_dir.to_owned(),
                trust,
                otherwise: otherwise(&mut fields, &mut report),
                rules: rules(&mut fields, &publishers, &mut report),
                folders: folders(&mut fields, base_dir, &mut report),
                env: variables(&mut fields, &mut report),
                ceilings,
                together,
                roles: roles(&mut fields, &mut report),
                models: model::models(&mut fields, &mut report),
                unsigned: publisher::unsigned(&mut fields, &mut report),
                publishers,
                refuses_unsaved: refuses_unsaved(&mut fields, &mut report),
            };
            refuse_unenforceable(&mut fields, &["retention"], &mut report);
            fields.finish(&mut report);
            policy
        });
        report.finish()?;
        // A document without a table at its top has been reported above.
        policy
            .ok_or_else(|| Diagnostic::error("invalid_field", "a policy is a table").at(&source, 0..0).into())
    }
}

/// `otherwise`.
fn otherwise(fields: &mut Fields<'_>, report: &mut Report) -> Otherwise {
    let words = [("deny", Otherwise::Deny), ("abstain", Otherwise::Abstain)];
    fields.choice("otherwise", &words, report).unwrap_or(Otherwise::Deny)
}

/// `unsaved`.
fn refuses_unsaved(fields: &mut Fields<'_>, report: &mut Report) -> Option<std::ops::Range<usize>> {
    let span = fields.node("unsaved").map(|node| node.span.clone());
    let refuses = fields.choice("unsaved", &[("refuse", true), ("run", false)], report)?;
    span.filter(|_| refuses)
}

fn rules(fields: &mut Fields<'_>, publishers: &Publishers, report: &mut Report) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for (key, stance) in [("permit", Stance::Permit), ("forbid", Stance::Forbid)] {
        let rows = fields.list(key, report).unwrap_or_default();
        if let Some(beyond) = rows.get(MAX_RULES) {
            report.invalid(&beyond.span, format!("a policy has at most {MAX_RULES} rows of a kind"));
        }
        rules.extend(rows.iter().take(MAX_RULES).filter_map(|row| rule(row, stance, publishers, report)));
    }
    let mut ids = BTreeSet::new();
    for rule in &rules {
        if !ids.insert(&rule.id) {
            let finding = report.error(
                "duplicate_rule",
                &rule.span,
                format!("there is another row with the id `{}`", rule.id),
            );
            report.push(finding.help("give each row an id of its own: evidence names rows by it"));
        }
    }
    rules
}

fn rule(row: &Node, stance: Stance, publishers: &Publishers, report: &mut Report) -> Option<Rule> {
    let what = match stance {
        Stance::Permit => "a [[permit]] row",
        Stance::Forbid => "a [[forbid]] row",
    };
    let mut fields = Fields::of(row, what, report)?;
    let id = fields.need_text("id", report).map(str::to_owned);
    let span = fields.node("id").map_or_else(|| row.span.clone(), |at| at.span.clone());
    if let Some(id) = &id
        && !(id.len() <= 128
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')))
    {
        report.invalid(&span, "`id` is letters, digits, `-`, `_` and `.`, at most 128");
    }
    let reason = fields.text("reason", report).map(str::to_owned);
    let owner = fields.text("owner", report).map(str::to_owned);
    let saved = fields.choice("class", &[("saved", true)], report).unwrap_or(false);
    let program = fields.filled_text("program", report).map(str::to_owned);
    let tool = fields.filled_text("tool", report).map(ToolName::new);
    if let (Some(Err(error)), Some(at)) = (&tool, fields.node("tool")) {
        report.invalid(&at.span, error.to_string());
    }
    let function = fields.filled_text("function", report).map(str::to_owned);
    let side = match stance {
        Stance::Permit => Side::Permits,
        Stance::Forbid => Side::Forbids,
    };
    let capabilities = read_capabilities(&mut fields, side, report);
    for own in &capabilities {
        if matches!(own.value, Capability::Clock(Clock::Denied) | Capability::Random(Random::Denied)) {
            let finding = report.error("invalid_field", &own.span, "a row permits or forbids something");
            report
                .push(finding.help("to take it from a tool, name what it may not have in a [[forbid]] row"));
        }
    }
    let stubs = read_stubs(&mut fields, report);
    let digest = read_digest(&mut fields, "digest", report);
    let publisher = publisher::publisher(&mut fields, publishers, report);

    let (mut expires, mut vouched, mut require) = (None, Vec::new(), None);
    let (mut forbidden_origins, mut own_results) = (Vec::new(), Vec::new());
    match stance {
        Stance::Permit => {
            expires = fields.node("expires").and_then(|node| end(node, report));
            for (key, names) in [("vouch_idempotent", &mut vouched), ("vouch_origin", &mut own_results)] {
                let listed = fields.texts(key, report).unwrap_or_default();
                names.extend(listed.into_iter().map(|(name, _)| name.to_owned()));
            }
            require = fields.node("require").and_then(|node| condition(node, report));
            for entry in fields.table("forbid_origin", report).unwrap_or_default() {
                forbidden_origins.extend(origins(entry, report));
            }
        }
        Stance::Forbid => {
            fields.refuse("expires", "what is forbidden stays so until the row is removed", report);
            fields.refuse("vouch_idempotent", "it grants something", report);
            fields.refuse("vouch_origin", "it grants something", report);
            for key in ["require", "forbid_origin"] {
                fields.refuse(key, "say it in a [[permit]] row, which may grant nothing else", report);
            }
            let empty = capabilities.is_empty()
                && stubs.is_empty()
                && !["class", "program", "tool", "function", "digest", "publisher"]
                    .into_iter()
                    .any(|key| fields.has(key));
            if empty {
                report.invalid(
                    &span,
                    "the row does not say what it forbids: name a program, a tool or a capability",
                );
            }
        }
    }
    fields.finish(report);
    let tool = match tool {
        Some(tool) => Some(tool.ok()?),
        None => None,
    };
    Some(Rule {
        stance,
        id: id?,
        span,
        reason,
        owner,
        expires,
        saved,
        program,
        tool,
        function,
        digest,
        publisher,
        capabilities,
        stubs,
        vouched,
        require,
        forbidden_origins,
        own_results,
    })
}

/// One argument of `forbid_origin`, and where it may not come from.
fn origins(entry: &Entry, report: &mut Report) -> Option<(Spanned<String>, Vec<Origin>)> {
    let words = || {
        let words: Vec<&str> = Origin::ALL.iter().map(|origin| origin.as_str()).collect();
        format!("write some of \"{}\"", words.join("\", \""))
    };
    let Some(items) = entry.node.as_list().filter(|items| !items.is_empty()) else {
        let finding = report.error("invalid_field", &entry.node.span, "`forbid_origin` lists origins");
        report.push(finding.help(words()));
        return None;
    };
    let mut origins = Vec::new();
    for item in items {
        match Origin::ALL.into_iter().find(|origin| item.as_text() == Some(origin.as_str())) {
            Some(origin) => origins.push(origin),
            None => {
                let finding = report.error("invalid_field", &item.span, "this is no origin of a value");
                report.push(finding.help(words()));
            }
        }
    }
    let argument = Spanned { value: entry.key.to_string(), span: entry.key_span.clone() };
    Some((argument, origins))
}

/// The first moment after `expires`. A date is the last day, in UTC, on which a row grants.
fn end(node: &Node, report: &mut Report) -> Option<Timestamp> {
    let text = match &node.value {
        NodeValue::Date(text) => text.as_str(),
        _ => "",
    };
    let moment = match text.parse::<jiff::civil::Date>() {
        Ok(date) if text.len() == "2027-06-30".len() => date
            .to_zoned(jiff::tz::TimeZone::UTC)
            .ok()
            .map(|midnight| midnight.timestamp().as_millisecond().saturating_add(DAY)),
        _ => text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond),
    };
    if moment.is_none() {
        let finding =
            report.error("invalid_field", &node.span, "`expires` is a date, or a moment with its offset");
        report
            .push(finding.help("write it without quotes: `expires = 2027-06-30` or `2027-06-30T12:00:00Z`"));
    }
    moment.map(Timestamp::from_millis)
}

/// A condition over `$args` alone.
fn condition(node: &Node, report: &mut Report) -> Option<Spanned<Condition>> {
    let Some(text) = node.as_text() else {
        report.invalid(&node.span, "`require` is a condition over `$args`, in quotes");
        return None;
    };
    let condition = match Condition::parse(text) {
        Ok(condition) => condition,
        Err(error) => {
            let place = node.place_in_text(report.source(), error.offset);
            report.push(report.error("bad_condition", &place, error.to_string()));
            return None;
        }
    };
    for reference in condition.references() {
        if reference.root() != "args" {
            let finding = report.error(
                "bad_condition",
                &node.span,
                format!("`require` speaks of `${}`, and knows only the arguments", reference.root()),
            );
            report.push(finding.help("write `$args.NAME`"));
        }
    }
    Some(spanned(node, condition))
}

/// `[folders.<tool>]`.
fn folders(fields: &mut Fields<'_>, base_dir: &str, report: &mut Report) -> PerTool {
    per_tool(fields, "folders", report, |entry, text, report| {
        if !is_guest_path(&entry.key) {
            report.invalid(
                &entry.key_span,
                "the key is the guest's folder, an absolute path such as `\"/data\"`",
            );
        }
        match path::resolve(base_dir, text) {
            Ok(host) => Some(host),
            Err(why) => {
                report.invalid(&entry.node.span, format!("this is no folder of the host: {why}"));
                None
            }
        }
    })
}

/// `[env.<tool>]`.
fn variables(fields: &mut Fields<'_>, report: &mut Report) -> PerTool {
    per_tool(fields, "env", report, |entry, text, report| {
        if !is_variable(&entry.key) {
            report.invalid(&entry.key_span, "the key is a variable's name: letters, digits and `_`");
        }
        if text.len() > MAX_VALUE || text.contains('\0') {
            report.invalid(
                &entry.node.span,
                format!("a value is at most {MAX_VALUE} bytes, none of them zero"),
            );
        }
        Some(text.to_owned())
    })
}

/// A table of tables of strings, the first keys being tools.
fn per_tool(
    fields: &mut Fields<'_>,
    key: &'static str,
    report: &mut Report,
    mut read: impl FnMut(&Entry, &str, &mut Report) -> Option<String>,
) -> PerTool {
    let mut all = PerTool::new();
    for table in fields.table(key, report).unwrap_or_default() {
        let tool = match ToolName::new(&table.key) {
            Ok(tool) => tool,
            Err(error) => {
                report.invalid(&table.key_span, error.to_string());
                continue;
            }
        };
        let Some(entries) = table.node.as_table() else {
            report.invalid(&table.node.span, format!("[{key}.{tool}] is a table"));
            continue;
        };
        for entry in entries {
            match entry.node.as_text() {
                Some(text) => {
                    if let Some(value) = read(entry, text, report) {
                        all.insert((tool.clone(), entry.key.clone()), spanned(&entry.node, value));
                    }
                }
                None => report.invalid(
                    &entry.node.span,
                    format!("[{key}.{tool}] holds strings, not {}", entry.node.kind()),
                ),
            }
        }
    }
    all
}

/// `[roles]`: role → principals.
fn roles(fields: &mut Fields<'_>, report: &mut Report) -> BTreeMap<String, Vec<String>> {
    let mut roles = BTreeMap::new();
    for entry in fields.table("roles", report).unwrap_or_default() {
        if let Err(error) = Principal::new(&entry.key) {
            report.invalid(&entry.key_span, format!("a role is named as people are: {error}"));
        }
        let Some(items) = entry.node.as_list() else {
            report.invalid(&entry.node.span, "a role is a list of principals, such as `[\"dana\"]`");
            continue;
        };
        let mut members = Vec::new();
        for item in items {
            match item.as_text().map(Principal::new) {
                Some(Ok(member)) => members.push(member.to_string()),
                Some(Err(error)) => report.invalid(&item.span, error.to_string()),
                None => report.invalid(&item.span, format!("a principal is a string, not {}", item.kind())),
            }
        }
        roles.insert(entry.key.to_string(), members);
    }
    roles
}

/// `[limits]`, and what it says of all calls together.
fn limits(fields: &mut Fields<'_>, report: &mut Report) -> (GivenLimits, Spanned<Together>) {
    let mut limits = GivenLimits::default();
    let mut together = Spanned { value: Together::default(), span: 0..0 };
    if let Some(mut table) = fields.fields("limits", "[limits]", report) {
        limits = read_limits(&mut table, report);
        if let Some(mut inner) = table.fields("together", "[limits.together]", report) {
            together = Spanned { span: inner.span().clone(), value: read_together(&mut inner, report) };
            inner.finish(report);
        }
        table.finish(report);
    }
    (limits, together)
}
