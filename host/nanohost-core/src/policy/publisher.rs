//! Whose packages a policy takes: publishers by their keys, and what becomes of tools that nobody signed.

use std::collections::BTreeMap;

use super::{Policy, Trust};
use crate::document::{Fields, Node, Report};
use crate::manifest::{Spanned, spanned};
use crate::{KeyId, PublicKey};

/// The keys of no publisher are more: each signature is held against all of them.
const MAX_KEYS: usize = 1_000;

/// `[publishers]`: names → keys.
pub(crate) type Publishers = BTreeMap<String, Spanned<Vec<PublicKey>>>;

/// Which tools may run although no publisher signed them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsigned {
    /// None.
    Refuse,
    /// Those of folders on this machine, which somebody here writes.
    Local,
    /// Packages of registries and bundles too.
    Any,
}

impl Unsigned {
    /// The word of policies and evidence.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Local => "local",
            Self::Any => "any",
        }
    }
}

/// `[publishers]`.
pub(super) fn publishers(fields: &mut Fields<'_>, report: &mut Report) -> Publishers {
    let mut all = Publishers::new();
    let mut count = 0;
    for entry in fields.table("publishers", report).unwrap_or_default() {
        if entry.key.is_empty() || entry.key.len() > 128 || entry.key.chars().any(char::is_control) {
            report.invalid(&entry.key_span, "a publisher's name has 1 to 128 characters");
        }
        let nodes = match entry.node.as_list() {
            Some(list) => list,
            None => std::slice::from_ref(&entry.node),
        };
        if nodes.is_empty() {
            report.invalid(&entry.node.span, "a publisher without a key has signed nothing");
        }
        let keys: Vec<PublicKey> = nodes.iter().filter_map(|node| key(node, report)).collect();
        count += keys.len();
        all.insert(entry.key.clone(), spanned(&entry.node, keys));
    }
    if count > MAX_KEYS {
        report.invalid(fields.span(), format!("a policy names at most {MAX_KEYS} keys of publishers"));
    }
    all
}

fn key(node: &Node, report: &mut Report) -> Option<PublicKey> {
    let key = node.as_text().map(PublicKey::from_spki_pem);
    match key {
        Some(Ok(key)) => Some(key),
        other => {
            let why = match other {
                Some(Err(error)) => error.to_string(),
                _ => format!("a key is a string, not {}", node.kind()),
            };
            let finding = report.error("invalid_field", &node.span, why);
            report.push(
                finding.help("write the public key as PEM: `nanohost key show --public` prints one's own"),
            );
            None
        }
    }
}

/// `unsigned`.
pub(super) fn unsigned(fields: &mut Fields<'_>, report: &mut Report) -> Option<Spanned<Unsigned>> {
    let words = [Unsigned::Refuse, Unsigned::Local, Unsigned::Any].map(|own| (own.as_str(), own));
    let node = fields.node("unsigned")?;
    let value = fields.choice("unsigned", &words, report)?;
    Some(spanned(node, value))
}

/// `publisher` of a row: a name of `[publishers]`, which stands for its keys.
pub(super) fn publisher(
    fields: &mut Fields<'_>,
    publishers: &Publishers,
    report: &mut Report,
) -> Option<Spanned<(String, Vec<PublicKey>)>> {
    let name = fields.filled_text("publisher", report)?;
    let node = fields.node("publisher")?;
    let Some(keys) = publishers.get(name) else {
        let finding = report.error(
            "unknown_publisher",
            &node.span,
            format!("[publishers] names nobody `{}`", name.escape_debug()),
        );
        report.push(finding.help("give [publishers] a line with the publisher's public key"));
        return None;
    };
    Some(spanned(node, (name.to_owned(), keys.value.clone())))
}

impl Policy {
    /// Every key of a publisher.
    pub(crate) fn publisher_keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.publishers.values().flat_map(|keys| keys.value.iter())
    }

    /// The publishers whose keys it names, by name.
    pub fn publishers(&self) -> impl Iterator<Item = (&str, &[PublicKey])> {
        self.publishers.iter().map(|(name, keys)| (name.as_str(), keys.value.as_slice()))
    }

    /// Whose key it is, by this policy.
    pub fn publisher_of(&self, key: &KeyId) -> Option<&str> {
        self.publishers().find(|(_, keys)| keys.iter().any(|own| own.key_id() == *key)).map(|(name, _)| name)
    }

    /// Whether it speaks of publishers at all. One that does not leaves tools of folders to whoever has
    /// the folder, and packages to other policies.
    pub(crate) fn speaks_of_publishers(&self) -> bool {
        self.unsigned.is_some() || !self.publishers.is_empty()
    }

    /// What becomes of tools that no publisher of this policy signed. A policy that nobody trusts vouches
    /// for no package.
    pub(crate) fn unsigned(&self) -> Unsigned {
        match (&self.unsigned, &self.trust) {
            (Some(own), Trust::Found { .. }) if own.value == Unsigned::Any => Unsigned::Local,
            (Some(own), _) => own.value,
            (None, _) if self.publishers.is_empty() => Unsigned::Local,
            (None, _) => Unsigned::Refuse,
        }
    }

    /// Where it says what becomes of them.
    pub(crate) fn unsigned_place(&self) -> Option<std::ops::Range<usize>> {
        let named = self.publishers.values().next().map(|keys| keys.span.clone());
        self.unsigned.as_ref().map(|own| own.span.clone()).or(named)
    }
}
