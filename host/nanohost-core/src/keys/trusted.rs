//! The file that says whom somebody trusts: keys that sign calls, keys that sign acts about any run, and
//! keys that sign the heads of logs, each with the part of the log for which it counts. Knows no file system.
//!
//! ```toml
//! format = 1
//!
//! [[calls]]
//! key = """
//! -----BEGIN PUBLIC KEY-----
//! MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
//! -----END PUBLIC KEY-----
//! """
//! until = 1207
//!
//! [[acts]]
//! key = """
//! -----BEGIN PUBLIC KEY-----
//! MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
//! -----END PUBLIC KEY-----
//! """
//!
//! [[log]]
//! key = "nanohost-log/6f0c…+1cfe2897+AV…"
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{KeyId, PublicKey, TrustRoot};
use crate::document::{self, Fields, Format, Node, Report};
use crate::log::note::Kind;
use crate::log::tree::MAX_SIZE;
use crate::log::{Checkpoint, KeyName, NoteVerifier};
use crate::{Diagnostics, Source};

#[cfg(test)]
mod tests;

/// The form that this version reads and writes.
const FORMAT: u64 = 1;

/// For which part of a log a key counts: entries from the first, and before the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first entry.
    pub from: u64,
    /// The first entry for which it counts no more; `None`: for all that follow.
    pub until: Option<u64>,
}

impl Validity {
    /// For all of it.
    pub const ALL: Self = Self { from: 0, until: None };

    /// Whether an entry lies in it.
    pub fn holds(&self, index: u64) -> bool {
        index >= self.from && self.until.is_none_or(|until| index < until)
    }
}

/// Whom somebody trusts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyTrust {
    calls: BTreeMap<KeyId, (PublicKey, Validity)>,
    acts: BTreeMap<KeyId, (PublicKey, Validity)>,
    logs: Vec<(NoteVerifier, Validity)>,
    /// Whether keys that these introduce are trusted too.
    follows: bool,
}

impl KeyTrust {
    /// These keys in their roles, for all of every log, and those that they introduce.
    pub fn keys(root: &TrustRoot) -> Self {
        let all = |key: &PublicKey| (key.key_id(), (key.clone(), Validity::ALL));
        let (calls, acts) = (root.iter().map(all).collect(), root.iter_acts().map(all).collect());
        Self { calls, acts, logs: Vec::new(), follows: true }
    }

    /// Trusts a key of calls for a part of the log.
    #[must_use]
    pub fn with(mut self, key: PublicKey, validity: Validity) -> Self {
        self.calls.insert(key.key_id(), (key, validity));
        self
    }

    /// Trusts a key with acts about any run, for a part of the log.
    #[must_use]
    pub fn with_acts(mut self, key: PublicKey, validity: Validity) -> Self {
        self.acts.insert(key.key_id(), (key, validity));
        self
    }

    /// Trusts a key that signs the heads of a log, while it has the entries of a part of it.
    #[must_use]
    pub fn with_log(mut self, key: NoteVerifier, validity: Validity) -> Self {
        self.logs.push((key, validity));
        self
    }

    /// Reads the file, which is TOML.
    ///
    /// # Errors
    /// All findings: what is not TOML, `unknown_field`, `invalid_field`, another form than this version's.
    pub fn parse(source: Arc<Source>) -> Result<Self, Diagnostics> {
        let root = document::parse(&source, Format::Toml)?;
        let mut report = Report::new(&source);
        let mut trusted = Self::default();
        if let Some(mut fields) = Fields::of(&root, "a trust file", &mut report) {
            check_format(&mut fields, &mut report);
            for node in fields.list("calls", &mut report).unwrap_or_default() {
                read_key(node, "a key of calls", &mut trusted.calls, &mut report);
            }
            for node in fields.list("acts", &mut report).unwrap_or_default() {
                read_key(node, "a key of acts", &mut trusted.acts, &mut report);
            }
            for node in fields.list("log", &mut report).unwrap_or_default() {
                trusted.read_log(node, &mut report);
            }
            if trusted.calls.is_empty() && !report.has_errors() {
                fields.missing("calls", &mut report);
            }
            let mut keys = trusted.calls.values().chain(trusted.acts.values());
            let bounded = keys.any(|(_, validity)| *validity != Validity::ALL);
            if bounded && !trusted.is_one_log() {
                // An index of one log says nothing of another, and whoever keeps one chooses its indices.
                report.invalid(
                    fields.span(),
                    "a key counts for a part of a log, and the file names more than one log: write a file for each; \
                     or say with `from` and `until` which part of one log had which name",
                );
            }
            fields.finish(&mut report);
        }
        report.finish()?;
        Ok(trusted)
    }

    fn read_log(&mut self, node: &Node, report: &mut Report) {
        let Some(mut fields) = Fields::of(node, "a key of a log", report) else { return };
        let key = fields.need_text("key", report).map(str::parse::<NoteVerifier>);
        let validity = part(&mut fields, report);
        match (key, fields.node("key")) {
            (Some(Ok(key)), _) if key.kind() == Kind::Ed25519 => self.logs.push((key, validity)),
            (Some(Ok(_)), Some(at)) => {
                report.invalid(&at.span, "this is a witness' key, and a log's is wanted")
            }
            (Some(Err(error)), Some(at)) => report.invalid(&at.span, error.to_string()),
            _ => {}
        }
        fields.finish(report);
    }

    /// Whether the logs are one, which went on under other names: no entry is of two of them.
    fn is_one_log(&self) -> bool {
        let mut parts: Vec<Validity> = self.logs.iter().map(|(_, part)| *part).collect();
        parts.sort_by_key(|part| part.from);
        parts.windows(2).all(|pair| pair[0].until.is_some_and(|until| until <= pair[1].from))
    }

    /// Whether keys that these introduce are trusted too. A trust file names all of them.
    pub const fn follows(&self) -> bool {
        self.follows
    }

    /// The keys of calls, and those of acts.
    pub fn root(&self) -> TrustRoot {
        let keys = |of: &BTreeMap<KeyId, (PublicKey, Validity)>| -> Vec<PublicKey> {
            of.values().map(|(key, _)| key.clone()).collect()
        };
        let root = TrustRoot::new(keys(&self.calls)).with_acts(keys(&self.acts));
        if self.follows { root } else { root.named_only() }
    }

    /// For which part of the log a key of calls counts.
    pub fn validity(&self, key: &KeyId) -> Option<Validity> {
        self.calls.get(key).map(|(_, validity)| *validity)
    }

    /// For which part of the log a key counts where it signs an act: as one of acts, else as one of calls.
    pub fn act_validity(&self, key: &KeyId) -> Option<Validity> {
        self.acts.get(key).or_else(|| self.calls.get(key)).map(|(_, validity)| *validity)
    }

    /// The key of a log, whatever its head.
    pub fn log(&self, origin: &KeyName) -> Option<&NoteVerifier> {
        self.logs.iter().map(|(log, _)| log).find(|log| log.name() == origin)
    }

    /// The key of the log whose head this is, where it counts for the entries that the head is over.
    pub fn log_at(&self, head: &Checkpoint) -> Option<&NoteVerifier> {
        let counts =
            |part: &Validity| head.size > part.from && part.until.is_none_or(|until| head.size <= until);
        self.logs.iter().find(|(log, part)| *log.name() == head.origin && counts(part)).map(|(log, _)| log)
    }

    /// The file as text.
    ///
    /// # Errors
    /// A key that has no form as text.
    pub fn to_text(&self) -> Result<String, super::KeyError> {
        let mut out = format!(
            "# Whom to trust with the evidence of one machine: nanohost verify --trust FILE.\nformat = {FORMAT}\n"
        );
        let calls = self.calls.values().map(|key| ("calls", key));
        for (role, (key, Validity { from, until })) in
            calls.chain(self.acts.values().map(|key| ("acts", key)))
        {
            out.push_str(&format!("\n[[{role}]]\nkey = \"\"\"\n{}\"\"\"\n", key.to_spki_pem()?));
            out.push_str(&part_text(*from, *until));
        }
        for (log, Validity { from, until }) in &self.logs {
            out.push_str(&format!("\n[[log]]\nkey = \"{log}\"\n{}", part_text(*from, *until)));
        }
        Ok(out)
    }
}

/// Reads a key with its part of the log.
fn read_key(
    node: &Node,
    what: &'static str,
    keys: &mut BTreeMap<KeyId, (PublicKey, Validity)>,
    report: &mut Report,
) {
    let Some(mut fields) = Fields::of(node, what, report) else { return };
    let key = fields.need_text("key", report).map(PublicKey::from_spki_pem);
    if let (Some(Err(error)), Some(at)) = (&key, fields.node("key")) {
        report.invalid(&at.span, error.to_string());
    }
    let validity = part(&mut fields, report);
    if let Some(Ok(key)) = key
        && keys.insert(key.key_id(), (key, validity)).is_some()
    {
        report.invalid(fields.span(), "this key stands there twice in one role");
    }
    fields.finish(report);
}

/// The part of a log for which something counts.
fn part(fields: &mut Fields<'_>, report: &mut Report) -> Validity {
    let from = index(fields, "from", report).unwrap_or(0);
    let until = index(fields, "until", report);
    if until.is_some_and(|until| until <= from) {
        report.invalid(fields.span(), "it counts for no entry: `until` is not after `from`");
    }
    Validity { from, until }
}

fn part_text(from: u64, until: Option<u64>) -> String {
    let from = if from > 0 { format!("from = {from}\n") } else { String::new() };
    from + &until.map(|until| format!("until = {until}\n")).unwrap_or_default()
}

fn check_format(fields: &mut Fields<'_>, report: &mut Report) {
    match fields.node("format").map(|node| (&node.value, &node.span)) {
        Some((document::NodeValue::Number(number), _)) if number.as_u64() == Some(FORMAT) => {}
        Some((_, span)) => {
            let message =
                format!("`format` of this trust file is not {FORMAT}, the one that this version knows");
            report.invalid(span, message);
        }
        None => fields.missing("format", report),
    }
}

/// A place in the log.
fn index(fields: &mut Fields<'_>, key: &'static str, report: &mut Report) -> Option<u64> {
    let node = fields.node(key)?;
    let found = match &node.value {
        document::NodeValue::Number(number) => number.as_u64().filter(|index| *index <= MAX_SIZE),
        _ => None,
    };
    if found.is_none() {
        report.invalid(&node.span, format!("`{key}` is an entry of the log, from 0"));
    }
    found
}
