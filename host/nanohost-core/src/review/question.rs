//! `CAPABILITY VALUE`, as people type it, → what is asked about. Knows nothing of who may do it.

use std::collections::BTreeSet;

use crate::capability::{
    Access, Capability, Class, Clock, Folder, Host, HttpRule, Method, PathPattern, Random, Scheme,
    SecretRule, Socket, is_guest_path, is_secret_name,
};
use crate::manifest::{is_namespace, is_variable};

/// The header that a secret is asked about in where no request of its tool says another one.
const HEADER: &str = "authorization";

/// What somebody wants to know about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What the words mean.
    first: Capability,
    /// Where they leave something open, such as the method of a request, the other readings.
    others: Vec<Capability>,
}

impl Question {
    /// Reads `filesystem` `/data write`, `env` `REGION`, `kv` `ledger`, `clock` `real`, `random`
    /// `real`, `sockets` `127.0.0.1:8377`, `http` `[METHOD] https://host[:port]/path`, `secrets`
    /// `NAME [METHOD] https://host/path`. What is left out of these: a folder is read, a method is
    /// any that the tool asks for, else GET.
    ///
    /// # Errors
    /// What is wrong with the words, and how to write them.
    pub fn parse(class: &str, value: &str) -> Result<Self, String> {
        let value = value.trim();
        let one = |capability| Ok(Self { first: capability, others: Vec::new() });
        match class {
            "filesystem" => {
                let (guest, access) = match value.rsplit_once(' ') {
                    Some((guest, "read")) => (guest, Access::Read),
                    Some((guest, "write")) => (guest, Access::Write),
                    _ => (value, Access::Read),
                };
                if !is_guest_path(guest) {
                    return Err("a folder is an absolute path as the guest sees it, and `read` or `write`: \
                                `filesystem /data write`"
                        .into());
                }
                one(Capability::Filesystem(Folder { guest: guest.to_owned(), access }))
            }
            "env" if is_variable(value) => one(Capability::Env(value.to_owned())),
            "env" => Err("a variable's name is letters, digits and `_`: `env REGION`".into()),
            "kv" if is_namespace(value) => one(Capability::Kv(value.to_owned())),
            "kv" => Err("a namespace is lower-case letters, digits, `.`, `_` and `-`: `kv ledger`".into()),
            "clock" => match value {
                "virtual" => one(Capability::Clock(Clock::Virtual)),
                "real" => one(Capability::Clock(Clock::Real)),
                _ => Err("a clock is `virtual` or `real`".into()),
            },
            "random" => match value {
                "seeded" => one(Capability::Random(Random::Seeded)),
                "real" => one(Capability::Random(Random::Real)),
                _ => Err("randomness is `seeded` or `real`".into()),
            },
            "sockets" => match value.parse::<std::net::SocketAddr>() {
                Ok(at) if at.port() > 0 => {
                    one(Capability::Sockets(Socket { address: at.ip(), port: at.port() }))
                }
                _ => {
                    Err("a socket is an address and a port: `sockets 127.0.0.1:8377`, `sockets [::1]:80`"
                        .into())
                }
            },
            "http" => {
                let (first, others) = requests(value)?;
                Ok(Self {
                    first: Capability::Http(first),
                    others: others.into_iter().map(Capability::Http).collect(),
                })
            }
            "secrets" => secret(value),
            _ => Err(format!(
                "there is no capability `{}`: it is one of {}",
                class.escape_debug(),
                Class::ALL.map(Class::as_str).join(", ")
            )),
        }
    }

    /// The reading that one of the requests covers, else the first.
    pub(crate) fn among(&self, requests: &[&Capability]) -> Capability {
        // A secret's header is part of the rule, and nobody types it: it is that of the request.
        let header = |reading: &Capability| match reading {
            Capability::Secrets(rule) => {
                let same = requests.iter().find_map(|request| match request {
                    Capability::Secrets(own) if own.name == rule.name => Some(own.header.clone()),
                    _ => None,
                });
                let header = same.unwrap_or_else(|| rule.header.clone());
                Capability::Secrets(SecretRule { header, ..rule.clone() })
            }
            other => other.clone(),
        };
        let mut readings = std::iter::once(&self.first).chain(&self.others).map(header);
        let covered = readings.find(|own| requests.iter().any(|request| request.covers(own)));
        covered.unwrap_or_else(|| header(&self.first))
    }
}

/// `[METHOD] scheme://host[:port]/path`: what it means, and with every other method that it can.
fn requests(text: &str) -> Result<(HttpRule, Vec<HttpRule>), String> {
    const FORM: &str = "write `[METHOD] https://host[:port]/path`, without user, query or fragment";
    let (method, url) = match text.split_once(' ') {
        Some((method, url)) => {
            (Some(Method::parse(method).ok_or(format!("{method:?} is no method: {FORM}"))?), url.trim())
        }
        None => (None, text),
    };
    let (scheme, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (Scheme::Https, rest),
        (_, Some(rest)) => (Scheme::Http, rest),
        _ => return Err(format!("it begins with neither https:// nor http://: {FORM}")),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let port_at = authority.rfind(':').filter(|at| !authority[*at..].contains(']'));
    let (host, port) = match port_at {
        Some(at) => (&authority[..at], authority[at + 1..].parse().ok().filter(|port| *port > 0)),
        None => (authority, Some(scheme.port())),
    };
    let host = Host::parse(host).ok_or(format!("its host is not in its one spelling: {FORM}"))?;
    let port = port.ok_or(format!("its port is no number from 1 to 65535: {FORM}"))?;
    let path = if path.is_empty() { "/" } else { path };
    let path = PathPattern::parse(path).ok_or(format!("its path is not in its one spelling: {FORM}"))?;
    let of = |method| HttpRule {
        scheme,
        host: host.clone(),
        port,
        methods: BTreeSet::from([method]),
        path: path.clone(),
        private: false,
    };
    Ok(match method {
        Some(method) => (of(method), Vec::new()),
        None => {
            let others = Method::ALL.into_iter().filter(|own| *own != Method::Get);
            (of(Method::Get), others.map(of).collect())
        }
    })
}

/// `NAME [METHOD] URL`.
fn secret(text: &str) -> Result<Question, String> {
    const FORM: &str =
        "write `secrets NAME [METHOD] https://host/path`: the secret, and the request it is for";
    let (name, request) = text.split_once(' ').ok_or(FORM)?;
    if !is_secret_name(name) {
        return Err(format!("{name:?} is no name of a secret: {FORM}"));
    }
    let (first, others) = requests(request.trim())?;
    let of = |request: HttpRule| {
        Capability::Secrets(SecretRule {
            name: name.to_owned(),
            header: HEADER.to_owned(),
            host: request.host,
            methods: request.methods,
            path: request.path,
        })
    };
    Ok(Question { first: of(first), others: others.into_iter().map(of).collect() })
}
