//! The capability keys, which manifests and policy rows share: one reader, so that both sides mean
//! the same by the same words. Knows nothing of who asks and who grants.

use std::net::IpAddr;

use super::Spanned;
use std::collections::BTreeSet;

use crate::Digest;
use crate::capability::{
    Access, Capability, Clock, Folder, Host, HttpRule, Method, PathPattern, Random, Scheme, SecretRule,
    Socket, is_guest_path, is_secret_name,
};
use crate::document::{Fields, Node, NodeValue, Report};
use crate::facts::ImportPattern;

/// No list of a manifest or a row is longer. Each entry is weighed against each row of each
/// policy: without a bound a small file makes much work.
const MAX_ENTRIES: usize = 256;

/// Who speaks. Nearly all means the same whoever says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// An author.
    Asks,
    /// An operator who grants.
    Permits,
    /// An operator who takes away.
    Forbids,
}

/// Reads `filesystem`, `env`, `kv`, `clock`, `random`, `sockets`, `http` and `secrets`.
pub(crate) fn read_capabilities(
    fields: &mut Fields<'_>,
    side: Side,
    report: &mut Report,
) -> Vec<Spanned<Capability>> {
    let mut all = Vec::new();
    for node in entries(fields, "filesystem", report) {
        all.extend(folder(node, report).map(|folder| spanned(node, Capability::Filesystem(folder))));
    }
    for (key, what, valid, of) in [
        (
            "env",
            "a variable's name: letters, digits and `_`",
            is_variable as fn(&str) -> bool,
            Capability::Env as fn(String) -> Capability,
        ),
        (
            "kv",
            "a namespace: lower-case letters, digits, `.`, `_` and `-`, at most 64",
            is_namespace,
            Capability::Kv,
        ),
    ] {
        for node in entries(fields, key, report) {
            match node.as_text().filter(|text| valid(text)) {
                Some(text) => all.push(spanned(node, of(text.to_owned()))),
                None => report.invalid(&node.span, format!("`{key}` holds {what}")),
            }
        }
    }
    let clocks = [("denied", Clock::Denied), ("virtual", Clock::Virtual), ("real", Clock::Real)];
    if let Some(clock) = fields.choice("clock", &clocks, report) {
        all.extend(fields.node("clock").map(|node| spanned(node, Capability::Clock(clock))));
    }
    let randoms = [("denied", Random::Denied), ("seeded", Random::Seeded), ("real", Random::Real)];
    if let Some(random) = fields.choice("random", &randoms, report) {
        all.extend(fields.node("random").map(|node| spanned(node, Capability::Random(random))));
    }
    for node in entries(fields, "sockets", report) {
        all.extend(socket(node, report).map(|socket| spanned(node, Capability::Sockets(socket))));
    }
    for node in entries(fields, "http", report) {
        all.extend(http(node, side, report).map(|rule| spanned(node, Capability::Http(rule))));
    }
    for node in entries(fields, "secrets", report) {
        all.extend(secret(node, report).map(|rule| spanned(node, Capability::Secrets(rule))));
    }
    refuse_repeated(&all, report);
    all
}

/// Reads `stub`.
pub(crate) fn read_stubs(fields: &mut Fields<'_>, report: &mut Report) -> Vec<Spanned<ImportPattern>> {
    let mut all = Vec::new();
    for node in entries(fields, "stub", report) {
        match node.as_text().and_then(ImportPattern::parse) {
            Some(pattern) => all.push(spanned(node, pattern)),
            None => {
                let finding = report.error(
                    "invalid_field",
                    &node.span,
                    "`stub` names authority imports this host knows, without a version",
                );
                report.push(
                    finding
                        .help("write `wasi:sockets/*` for a package, `wasi:sockets/udp` for one interface"),
                );
            }
        }
    }
    all
}

/// Refuses keys whose meaning is known and cannot be enforced yet: a rule that is read and not
/// kept would be worse than none.
pub(crate) fn refuse_unenforceable(fields: &mut Fields<'_>, keys: &[&'static str], report: &mut Report) {
    for key in keys {
        if let Some(entry) = fields.entry(key) {
            let finding = report.error(
                "unenforceable",
                &entry.key_span,
                format!("this host cannot enforce `{key}` yet"),
            );
            report.push(finding.help(format!(
                "leave `{key}` out: a key that is read and not enforced would protect nothing"
            )));
        }
    }
}

/// A digest, `sha256:<hex>`.
pub(crate) fn read_digest(
    fields: &mut Fields<'_>,
    key: &'static str,
    report: &mut Report,
) -> Option<Spanned<Digest>> {
    let node = fields.node(key)?;
    let digest = node.as_text().and_then(|text| text.strip_prefix("sha256:")?.parse().ok());
    if digest.is_none() {
        let message = format!("`{key}` is `sha256:` and 64 lower-case hexadecimal digits");
        report.invalid(&node.span, message);
    }
    digest.map(|digest| spanned(node, digest))
}

/// A value at the place of `node`.
pub(crate) fn spanned<T>(node: &Node, value: T) -> Spanned<T> {
    Spanned { value, span: node.span.clone() }
}

/// The entries of a list, no more of them than allowed.
fn entries<'n>(fields: &mut Fields<'n>, key: &'static str, report: &mut Report) -> &'n [Node] {
    let list = fields.list(key, report).unwrap_or_default();
    if let Some(beyond) = list.get(MAX_ENTRIES) {
        report.invalid(&beyond.span, format!("`{key}` has more than {MAX_ENTRIES} entries"));
    }
    &list[..list.len().min(MAX_ENTRIES)]
}

fn folder(node: &Node, report: &mut Report) -> Option<Folder> {
    let mut fields = Fields::of(node, "a folder", report)?;
    let guest = fields.need_text("guest", report).map(str::to_owned);
    if let (Some(guest), Some(at)) = (&guest, fields.node("guest"))
        && !is_guest_path(guest)
    {
        let finding = report.error("invalid_field", &at.span, "`guest` is a folder as the guest sees it");
        report.push(
            finding
                .help("write an absolute path without `.`, `..`, `//` or a `/` at the end, such as `/data`"),
        );
        return None;
    }
    if !fields.has("access") {
        fields.missing("access", report);
    }
    let access = fields.choice("access", &[("read", Access::Read), ("write", Access::Write)], report);
    fields.finish(report);
    Some(Folder { guest: guest?, access: access? })
}

fn socket(node: &Node, report: &mut Report) -> Option<Socket> {
    let mut fields = Fields::of(node, "a socket", report)?;
    let address = fields.need_text("address", report).map(str::parse::<IpAddr>);
    let address = match address {
        Some(Ok(address)) if !address.is_unspecified() && !address.is_multicast() => Some(address),
        Some(_) => {
            let span = fields.node("address").map_or_else(|| node.span.clone(), |at| at.span.clone());
            let finding =
                report.error("invalid_field", &span, "`address` is the exact IP address of one host");
            report.push(
                finding.help("write it as `127.0.0.1` or `::1`: names are never resolved for a socket"),
            );
            None
        }
        None => None,
    };
    if !fields.has("port") {
        fields.missing("port", report);
    }
    let port = port(&mut fields, report);
    fields.finish(report);
    Some(Socket { address: address?, port: port? })
}

/// `port`, where it stands and is one.
fn port(fields: &mut Fields<'_>, report: &mut Report) -> Option<u16> {
    let at = fields.node("port")?;
    let port = match &at.value {
        NodeValue::Number(number) => number.as_u64().and_then(|port| u16::try_from(port).ok()),
        _ => None,
    };
    let port = port.filter(|port| *port > 0);
    if port.is_none() {
        report.invalid(&at.span, "`port` is a number from 1 to 65535");
    }
    port
}

/// `{ scheme = "https", host = "api.example.com", port = 443, methods = ["POST"], path = "/v1/**" }`.
/// The scheme may be left out, which means https, and so may its own port.
fn http(node: &Node, side: Side, report: &mut Report) -> Option<HttpRule> {
    let mut fields = Fields::of(node, "a set of requests", report)?;
    let schemes = [("http", Scheme::Http), ("https", Scheme::Https)];
    let said = fields.has("scheme");
    let scheme = fields.choice("scheme", &schemes, report).or((!said).then_some(Scheme::Https));
    let said = fields.has("port");
    let port = port(&mut fields, report).or_else(|| scheme.filter(|_| !said).map(Scheme::port));
    let host = host(&mut fields, report);
    let methods = methods(&mut fields, report);
    let path = path(&mut fields, report);
    let private = match side {
        Side::Permits => fields.truth("private", report).unwrap_or(false),
        Side::Asks => {
            fields.refuse("private", "where a name leads is the operator's to say", report);
            false
        }
        Side::Forbids => {
            fields.refuse("private", "what is forbidden is so wherever the name leads", report);
            false
        }
    };
    fields.finish(report);
    Some(HttpRule { scheme: scheme?, host: host?, port: port?, methods: methods?, path: path?, private })
}

/// `{ name = "refund-key", header = "Authorization", host = "api.example.com", methods = ["POST"], path = "/v1/**" }`.
fn secret(node: &Node, report: &mut Report) -> Option<SecretRule> {
    let mut fields = Fields::of(node, "a secret", report)?;
    let name = fields.need_text("name", report).map(str::to_owned);
    if let (Some(name), Some(at)) = (&name, fields.node("name"))
        && !is_secret_name(name)
    {
        report.invalid(&at.span, "`name` is lower-case letters, digits, `.`, `_` and `-`, at most 64");
    }
    let header = fields.need_text("header", report).map(str::to_ascii_lowercase);
    if let (Some(header), Some(at)) = (&header, fields.node("header"))
        && !is_header(header)
    {
        let finding =
            report.error("invalid_field", &at.span, "`header` is a header that a secret can stand in");
        report.push(finding.help("write `Authorization`, `X-Api-Key` or the like; not one that speaks of the connection, the host or the body"));
    }
    let (host, methods) = (host(&mut fields, report), methods(&mut fields, report));
    let path = path(&mut fields, report);
    fields.finish(report);
    Some(SecretRule { name: name?, header: header?, host: host?, methods: methods?, path: path? })
}

/// Whether `name`, in lower case, is a header that a tool may have a secret put into.
fn is_header(name: &str) -> bool {
    let token = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
    let framing =
        ["host", "connection", "te", "trailer", "transfer-encoding", "upgrade", "expect", "keep-alive"];
    (1..=64).contains(&name.len())
        && name.bytes().all(token)
        && !framing.contains(&name)
        && !name.starts_with("content-")
        && !name.starts_with("proxy-")
}

fn host(fields: &mut Fields<'_>, report: &mut Report) -> Option<Host> {
    let text = fields.need_text("host", report)?;
    let host = Host::parse(text);
    if let (None, Some(at)) = (&host, fields.node("host")) {
        let finding =
            report.error("invalid_field", &at.span, "`host` is a name or an address in its one spelling");
        report.push(finding.help(
            "write `api.example.com` in lower case, `*.example.com` for all names below it, `192.0.2.1` or `[2001:db8::1]`",
        ));
    }
    host
}

fn methods(fields: &mut Fields<'_>, report: &mut Report) -> Option<BTreeSet<Method>> {
    if !fields.has("methods") {
        fields.missing("methods", report);
        return None;
    }
    let mut methods = BTreeSet::new();
    for (text, span) in fields.texts("methods", report)? {
        match Method::parse(text) {
            Some(method) => {
                if !methods.insert(method) {
                    report.invalid(&span, format!("{text} stands twice"));
                }
            }
            None => {
                let names: Vec<&str> = Method::ALL.into_iter().map(Method::as_str).collect();
                report.invalid(&span, format!("a method is one of {}", names.join(", ")));
            }
        }
    }
    if let (true, Some(at)) = (methods.is_empty(), fields.node("methods")) {
        report.invalid(&at.span, "`methods` names at least one method");
    }
    Some(methods).filter(|methods| !methods.is_empty())
}

fn path(fields: &mut Fields<'_>, report: &mut Report) -> Option<PathPattern> {
    let text = fields.need_text("path", report)?;
    let path = PathPattern::parse(text);
    if let (None, Some(at)) = (&path, fields.node("path")) {
        let finding = report.error("invalid_field", &at.span, "`path` is a path in its one spelling");
        report.push(finding.help(
            "write `/v1/refunds`, or `/v1/**` for whatever begins with `/v1/`; without `//`, `.`, `..`, `;`, `\\`, query or needless escapes",
        ));
    }
    path
}

/// One folder, name or address stands once: of two entries that differ, a reader would believe
/// the wrong one.
fn refuse_repeated(all: &[Spanned<Capability>], report: &mut Report) {
    let same = |a: &Capability, b: &Capability| match (a, b) {
        (Capability::Filesystem(a), Capability::Filesystem(b)) => a.guest == b.guest,
        (a, b) => a == b,
    };
    for (at, own) in all.iter().enumerate() {
        if all[..at].iter().any(|other| same(&other.value, &own.value)) {
            report.invalid(&own.span, format!("{} stands twice", own.value));
        }
    }
}

/// The form of the names of environment variables.
pub(crate) fn is_variable(text: &str) -> bool {
    text.len() <= 128
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The form of the names of key-value namespaces.
pub(crate) fn is_namespace(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'))
}
