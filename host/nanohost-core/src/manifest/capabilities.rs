//! The capability keys, which manifests and policy rows share: one reader, so that both sides mean
//! the same by the same words. Knows nothing of who asks and who grants.

use std::net::IpAddr;

use super::Spanned;
use crate::capability::{Access, Capability, Clock, Folder, Random, Socket, is_guest_path};
use crate::document::{Fields, Node, NodeValue, Report};
use crate::facts::ImportPattern;

/// No list of a manifest or a row is longer. Each entry is weighed against each row of each
/// policy: without a bound a small file makes much work.
const MAX_ENTRIES: usize = 256;

/// Reads `filesystem`, `env`, `kv`, `clock`, `random` and `sockets`.
pub(crate) fn read_capabilities(fields: &mut Fields<'_>, report: &mut Report) -> Vec<Spanned<Capability>> {
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
    let port = match fields.node("port").map(|at| (at, &at.value)) {
        Some((_, NodeValue::Number(number)))
            if number.as_u64().is_some_and(|port| (1..=65_535).contains(&port)) =>
        {
            number.as_u64().and_then(|port| u16::try_from(port).ok())
        }
        Some((at, _)) => {
            report.invalid(&at.span, "`port` is a number from 1 to 65535");
            None
        }
        None => {
            fields.missing("port", report);
            None
        }
    };
    fields.finish(report);
    Some(Socket { address: address?, port: port? })
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

fn is_namespace(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'))
}
