//! The scope of a secret: in which header of which requests the host puts it. Knows no value and no
//! place where values are kept.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use super::http::{Host, HttpTarget, Method, PathPattern, Scheme, write_methods};

/// Where one secret may go.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct SecretRule {
    /// The name under which the operator keeps it.
    pub name: String,
    /// The one header that may hold it, in lower case.
    pub header: String,
    /// The host it may be sent to.
    pub host: Host,
    /// The methods of such requests, at least one.
    pub methods: BTreeSet<Method>,
    /// The path of such requests.
    pub path: PathPattern,
}

impl SecretRule {
    /// Whether a request to `target` may carry the secret: over TLS, or to an address of this very
    /// machine that the rule names.
    pub fn allows(&self, target: &HttpTarget) -> bool {
        let hidden = target.scheme() == Scheme::Https
            || self.host.address().is_some_and(|address| address.is_loopback());
        hidden
            && self.host.matches(target.host())
            && self.methods.contains(&target.method())
            && self.path.matches(target.path())
    }

    pub(super) fn covers(&self, other: &Self) -> bool {
        self.name == other.name
            && self.header == other.header
            && self.host.covers(&other.host)
            && self.methods.is_superset(&other.methods)
            && self.path.covers(&other.path)
    }

    pub(super) fn meet(&self, other: &Self) -> Option<Self> {
        let methods: BTreeSet<Method> = self.methods.intersection(&other.methods).copied().collect();
        if self.name != other.name || self.header != other.header || methods.is_empty() {
            return None;
        }
        Some(Self {
            name: self.name.clone(),
            header: self.header.clone(),
            host: self.host.meet(&other.host)?,
            methods,
            path: self.path.meet(&other.path)?,
        })
    }
}

/// `refund-key in authorization of POST api.example.com/v1/**`: the form that tables and envelopes
/// hold.
impl fmt::Display for SecretRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {} of ", self.name, self.header)?;
        write_methods(f, &self.methods)?;
        write!(f, " {}{}", self.host, self.path)
    }
}

/// The form of the names of secrets.
pub fn is_secret_name(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests;
