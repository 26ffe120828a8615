//! The scope of `wasi:http`: which requests a rule speaks of, and the one reading of a request
//! that rules are held against. Knows no connection, no resolver and no header.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Serialize, Serializer};

/// `http` or `https`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// As it stands before `://`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port of a URL that names none.
    pub const fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Methods that can be granted. `CONNECT` makes a tunnel and `TRACE` an echo of all headers: no
/// rule can name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "they are the methods of RFC 9110 and RFC 5789")]
pub enum Method {
    Delete,
    Get,
    Head,
    Options,
    Patch,
    Post,
    Put,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Delete, Self::Get, Self::Head, Self::Options, Self::Patch, Self::Post, Self::Put];

    /// As it stands in a request.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "DELETE",
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Patch => "PATCH",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }

    /// From its exact name; methods are case-sensitive.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == text)
    }
}

/// A host that a rule names: one name or address, or all names below one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host {
    /// Lower case, without `*.`; an IPv6 address in brackets.
    name: String,
    below: bool,
}

impl Host {
    /// `api.example.com`, `*.example.com`, `192.0.2.1`, `[2001:db8::1]`; `None` for anything that is
    /// not in that one spelling, and for a `*.` that stands before fewer than two labels.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("*.") {
            Some(name) => {
                let named = is_name(name) && name.contains('.');
                named.then(|| Self { name: name.to_owned(), below: true })
            }
            None => is_host(text).then(|| Self { name: text.to_owned(), below: false }),
        }
    }

    /// The address, where it is one rather than a name.
    pub fn address(&self) -> Option<IpAddr> {
        literal(&self.name)
    }

    /// Whether a request to `host`, in its one spelling, is to one of these.
    pub fn matches(&self, host: &str) -> bool {
        if self.below { is_below(host, &self.name) } else { host == self.name }
    }

    pub(super) fn covers(&self, other: &Self) -> bool {
        match (self.below, other.below) {
            (false, true) => false,
            (true, true) if self.name == other.name => true,
            _ => self.matches(&other.name),
        }
    }

    /// The hosts that both name; `None` where there are none.
    pub fn meet(&self, other: &Self) -> Option<Self> {
        // Of two sets of names, one holds the other or they have nothing in common.
        narrower(self, other, Self::covers)
    }
}

/// Whether `name` is `suffix` with at least one whole label before it.
fn is_below(name: &str, suffix: &str) -> bool {
    literal(name).is_none()
        && name
            .strip_suffix(suffix)
            .is_some_and(|rest| rest.strip_suffix('.').is_some_and(|rest| !rest.is_empty()))
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.below { "*." } else { "" }, self.name)
    }
}

impl Serialize for Host {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A path that a rule names: one, or all below one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathPattern {
    /// In its one spelling; where it stands for what is below it, with the `/` at its end.
    path: String,
    below: bool,
}

impl PathPattern {
    /// `/v1/refunds`, or `/v1/**` for whatever begins with `/v1/`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (path, below) = match text.strip_suffix("**") {
            Some(path) if path.ends_with('/') => (path, true),
            _ => (text, false),
        };
        let fits = text.len() <= MAX_PATTERN && !path.contains('*') && normal_path(path).ok()? == path;
        fits.then(|| Self { path: path.to_owned(), below })
    }

    /// Whether it names `path`, which is in its one spelling.
    pub fn matches(&self, path: &str) -> bool {
        if self.below { path.starts_with(&self.path) } else { path == self.path }
    }

    pub(super) fn covers(&self, other: &Self) -> bool {
        (self.below || !other.below) && self.matches(&other.path)
    }

    pub(super) fn meet(&self, other: &Self) -> Option<Self> {
        narrower(self, other, Self::covers)
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.path, if self.below { "**" } else { "" })
    }
}

impl Serialize for PathPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The one of two that the other covers.
fn narrower<T: Clone>(a: &T, b: &T, covers: impl Fn(&T, &T) -> bool) -> Option<T> {
    match (covers(a, b), covers(b, a)) {
        (true, _) => Some(b.clone()),
        (_, true) => Some(a.clone()),
        _ => None,
    }
}

/// Requests that a tool may make. All parts have to fit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct HttpRule {
    /// The scheme.
    pub scheme: Scheme,
    /// The host.
    pub host: Host,
    /// The exact port.
    pub port: u16,
    /// The methods, at least one.
    pub methods: BTreeSet<Method>,
    /// The path, without the query, which is the tool's own.
    pub path: PathPattern,
    /// Whether a name may lead to an address of the operator's own network. Only a policy says so.
    pub private: bool,
}

impl HttpRule {
    /// Whether the rule allows `target`.
    pub fn matches(&self, target: &HttpTarget) -> bool {
        self.scheme == target.scheme
            && self.port == target.port
            && self.host.matches(&target.host)
            && self.methods.contains(&target.method)
            && self.path.matches(&target.path)
    }

    pub(super) fn covers(&self, other: &Self) -> bool {
        self.scheme == other.scheme
            && self.port == other.port
            && self.private >= other.private
            && self.host.covers(&other.host)
            && self.methods.is_superset(&other.methods)
            && self.path.covers(&other.path)
    }

    pub(super) fn meet(&self, other: &Self) -> Option<Self> {
        let methods: BTreeSet<Method> = self.methods.intersection(&other.methods).copied().collect();
        if self.scheme != other.scheme || self.port != other.port || methods.is_empty() {
            return None;
        }
        Some(Self {
            scheme: self.scheme,
            host: self.host.meet(&other.host)?,
            port: self.port,
            methods,
            path: self.path.meet(&other.path)?,
            private: self.private && other.private,
        })
    }
}

/// `GET,POST https://api.example.com/v1/**`: the form that tables and envelopes hold.
impl fmt::Display for HttpRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_methods(f, &self.methods)?;
        write!(f, " {}://{}", self.scheme.as_str(), self.host)?;
        if self.port != self.scheme.port() {
            write!(f, ":{}", self.port)?;
        }
        write!(f, "{}{}", self.path, if self.private { " (private addresses too)" } else { "" })
    }
}

pub(super) fn write_methods(f: &mut fmt::Formatter<'_>, methods: &BTreeSet<Method>) -> fmt::Result {
    for (at, method) in methods.iter().enumerate() {
        write!(f, "{}{}", if at > 0 { "," } else { "" }, method.as_str())?;
    }
    Ok(())
}

/// The first line of a request in its one reading: what rules are held against is what is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpTarget {
    scheme: Scheme,
    host: String,
    port: u16,
    method: Method,
    path: String,
    query: Option<String>,
}

/// Why a request has no one reading. The text is the host's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadTarget(&'static str);

impl HttpTarget {
    /// Reads a request's method and URL, in parts. Nothing is guessed or repaired: what two readers
    /// could take for different things is refused. Upper and lower case of the host and of the
    /// digits of escapes are the only choice that a guest has, and are settled here.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(
        method: &str,
        scheme: &str,
        authority: &str,
        path_and_query: &str,
    ) -> Result<Self, BadTarget> {
        let method = Method::parse(method).ok_or(BadTarget("no rule can name this method"))?;
        let scheme = match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(BadTarget("the scheme is neither http nor https")),
        };
        if authority.len() + path_and_query.len() > MAX_URL {
            return Err(BadTarget("the URL is too long"));
        }
        let (host, port) = read_authority(authority, scheme)?;
        if path_and_query.contains('#') {
            return Err(BadTarget("a request has no fragment"));
        }
        let (path, query) = match path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path_and_query, None),
        };
        // An empty path and `/` are the same request (RFC 9110, 4.2.3).
        let path = normal_path(if path.is_empty() { "/" } else { path })?;
        if !query.unwrap_or_default().bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
            return Err(BadTarget("the query holds a character that has to be escaped"));
        }
        Ok(Self { scheme, host, port, method, path, query: query.map(str::to_owned) })
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host in lower case; an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The address, where the host is one rather than a name.
    pub fn address(&self) -> Option<IpAddr> {
        literal(&self.host)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// What `Host` says: the host, and the port unless it is the scheme's.
    pub fn authority(&self) -> String {
        if self.port == self.scheme.port() {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The path, without the query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Path and query, as they are sent.
    pub fn path_and_query(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }
}

/// `POST https://api.example.com/v1/refunds`: without the query, which may hold anything.
impl fmt::Display for HttpTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}://{}{}", self.method.as_str(), self.scheme.as_str(), self.authority(), self.path)
    }
}

/// A URL is kept, matched and sent several times over: a longer one is an attack on the host's
/// memory, and servers refuse it. Bytes.
const MAX_URL: usize = 8 << 10;

/// A pattern stands in every table, message and envelope about the tool; bytes.
const MAX_PATTERN: usize = 256;

/// Names of the DNS are not longer (RFC 1035, 2.3.4); bytes.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

fn read_authority(text: &str, scheme: Scheme) -> Result<(String, u16), BadTarget> {
    if text.contains('@') {
        return Err(BadTarget("the URL names a user"));
    }
    let end = match text.strip_prefix('[') {
        Some(rest) => rest.find(']').map(|at| at + 2).ok_or(BadTarget("the address is not closed"))?,
        None => text.find(':').unwrap_or(text.len()),
    };
    let (host, port) = text.split_at(end);
    let host = host.to_ascii_lowercase();
    if !is_host(&host) {
        return Err(BadTarget("the host is no name or address in its one spelling"));
    }
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => scheme.port(),
        Some(digits) if !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse().map_err(|_| BadTarget("the port is not from 1 to 65535"))?
        }
        _ => return Err(BadTarget("the port is not from 1 to 65535")),
    };
    Ok((host, port))
}

fn is_host(text: &str) -> bool {
    match literal(text) {
        Some(address) => !address.is_unspecified() && !address.is_multicast(),
        None => is_name(text),
    }
}

/// An address in its one spelling: `127.0.0.1`, `[::1]`. IPv4 in IPv6 clothes is none.
fn literal(text: &str) -> Option<IpAddr> {
    match text.strip_prefix('[') {
        Some(rest) => {
            let address: Ipv6Addr = rest.strip_suffix(']')?.parse().ok()?;
            (address.to_ipv4_mapped().is_none() && format!("[{address}]") == text).then_some(address.into())
        }
        None => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

/// A name of the DNS in lower case. One that ends in a number would be read as an address by some
/// (`127.1`, `2130706433`, `0x7f.1`).
fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=MAX_LABEL).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
    };
    text.len() <= MAX_NAME
        && text.split('.').all(label)
        && text.rsplit('.').next().is_some_and(|last| last.starts_with(|c: char| !c.is_ascii_digit()))
}

/// The one spelling of a path; the error says why it has none.
fn normal_path(path: &str) -> Result<String, BadTarget> {
    let Some(rest) = path.strip_prefix('/') else {
        return Err(BadTarget("the path does not begin with `/`"));
    };
    let mut parts = rest.split('/').peekable();
    while let Some(part) = parts.next() {
        match part {
            "." | ".." => return Err(BadTarget("the path holds `.` or `..`")),
            "" if parts.peek().is_some() => return Err(BadTarget("the path holds `//`")),
            _ => {}
        }
    }
    let mut normal = String::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (Some(high), Some(low)) = (digit(bytes.next()), digit(bytes.next())) else {
                    return Err(BadTarget("the path holds an escape that is none"));
                };
                let hidden = u8::try_from(high * 16 + low).unwrap_or_default();
                if is_ambiguous(hidden) {
                    return Err(BadTarget("the path escapes a character that readers take for another"));
                }
                normal.push_str(&format!("%{hidden:02X}"));
            }
            b'/' | b':' | b'@' => normal.push(byte.into()),
            // RFC 3986, unreserved and sub-delims; `;` begins parameters that some servers take off
            // before they look at the path.
            b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b','
            | b'=' => {
                normal.push(byte.into());
            }
            byte if byte.is_ascii_alphanumeric() => normal.push(byte.into()),
            _ => return Err(BadTarget("the path holds a character that does not belong there")),
        }
    }
    Ok(normal)
}

/// Whether `%xx` of this byte is another spelling of something that means a path's structure, is
/// cut off by some server, or needed no escape. `%25` would be an escape of an escape.
fn is_ambiguous(byte: u8) -> bool {
    byte.is_ascii_control()
        || byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/' | b'\\' | b';' | b'%' | b'?' | b'#')
}

#[cfg(test)]
mod tests;
