//! What one exact component is: digest, imports, exports and their types. Made by whoever can
//! read components (the sandbox); admission judges it. Knows nothing of what is granted.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Digest;
use crate::capability::Class;

/// What loading a component found. It serialises, so that an auditor without a WebAssembly
/// engine can repeat the admission.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolFacts {
    /// SHA-256 of the component's bytes.
    pub component: Digest,
    /// Size of the component, bytes.
    pub size: u64,
    /// Every imported instance or function, sorted by name.
    pub imports: Vec<Import>,
    /// Every exported function that can be called, sorted by name.
    pub exports: Vec<ToolExport>,
}

/// One import, such as `wasi:filesystem/types@0.2.6`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// The full name as the component has it.
    pub name: String,
    /// The functions it takes from it, sorted; empty for an interface of types only.
    pub functions: Vec<String>,
}

/// One exported function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolExport {
    /// The function's own name in kebab case, such as `issue-refund`.
    pub function: String,
    /// The exported interface it lies in, such as `refund:tool/api@1.0.0`; `None`: at the top.
    pub interface: Option<String>,
    /// JSON Schema (draft 2020-12) of the arguments: an object with one property per parameter.
    pub input: Value,
    /// JSON Schema of the result.
    pub output: Value,
}

impl ToolExport {
    /// `interface#function`, or the bare function.
    pub fn path(&self) -> String {
        match &self.interface {
            Some(interface) => format!("{interface}#{}", self.function),
            None => self.function.clone(),
        }
    }
}

/// What kind of thing an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Classified {
    /// Reaches nothing; always linked.
    Inert,
    /// Reaches nothing in its default form (no variables, virtual time, seeded randomness), which
    /// is always linked unless the manifest denies it; authority in its real form.
    InertByDefault(Class),
    /// Reaches something; linked only where granted.
    Authority(Class),
    /// Nothing this host knows, a version it does not know included. Never linked.
    Unknown,
}

/// Interfaces of WASI 0.2 that this host links, each by name: a wildcard over a package would call
/// an interface inert or granted that no linker of ours holds.
const WASI: &[(&str, &[&str], Classified)] = &[
    ("wasi:cli", &["environment"], Classified::InertByDefault(Class::Env)),
    (
        "wasi:cli",
        &[
            "exit",
            "stdin",
            "stdout",
            "stderr",
            "terminal-input",
            "terminal-output",
            "terminal-stdin",
            "terminal-stdout",
            "terminal-stderr",
        ],
        Classified::Inert,
    ),
    ("wasi:io", &["error", "poll", "streams"], Classified::Inert),
    ("wasi:clocks", &["monotonic-clock", "wall-clock"], Classified::InertByDefault(Class::Clock)),
    ("wasi:random", &["random", "insecure", "insecure-seed"], Classified::InertByDefault(Class::Random)),
    ("wasi:filesystem", &["types", "preopens"], Classified::Authority(Class::Filesystem)),
    (
        "wasi:sockets",
        &[
            "network",
            "instance-network",
            "ip-name-lookup",
            "tcp",
            "tcp-create-socket",
            "udp",
            "udp-create-socket",
        ],
        Classified::Authority(Class::Sockets),
    ),
    ("wasi:http", &["types", "outgoing-handler"], Classified::Authority(Class::Http)),
];

/// Interfaces of `guest-sdk/wit`.
const NANOHOST: &[(&str, &[&str], Classified)] = &[
    ("nanohost:tool", &["kv"], Classified::Authority(Class::Kv)),
    ("nanohost:tool", &["secrets"], Classified::Authority(Class::Secrets)),
    ("nanohost:tool", &["types", "log", "call-context"], Classified::Inert),
];

/// What `import` is, by package, interface and version. Versions bind as semver does: any
/// `0.2.x` of WASI, any `0.1.x` of nanohost; a pre-release, another version or none is unknown.
pub fn classify(import: &Import) -> Classified {
    let Some(name) = InterfaceName::parse(&import.name) else { return Classified::Unknown };
    let known = match name.compatible {
        "0.2" => WASI,
        "0.1" => NANOHOST,
        _ => return Classified::Unknown,
    };
    let class = known
        .iter()
        .find(|(package, interfaces, _)| *package == name.package && interfaces.contains(&name.interface))
        .map_or(Classified::Unknown, |(.., class)| *class);
    match class {
        // Taking only types from a clock (`wasi:filesystem` does) is no way to read it.
        Classified::InertByDefault(_) if import.functions.is_empty() => Classified::Inert,
        class => class,
    }
}

/// `package/interface@version`, taken apart.
struct InterfaceName<'a> {
    package: &'a str,
    interface: &'a str,
    /// `major.minor`, the part that has to be equal below 1.0.
    compatible: &'a str,
}

impl<'a> InterfaceName<'a> {
    fn parse(name: &'a str) -> Option<Self> {
        let (path, version) = name.split_once('@')?;
        let (package, interface) = path.split_once('/')?;
        let (compatible, patch) = version.rsplit_once('.')?;
        let number = !patch.is_empty()
            && patch.bytes().all(|b| b.is_ascii_digit())
            && (patch == "0" || !patch.starts_with('0'));
        number.then_some(Self { package, interface, compatible })
    }
}

/// Which imports a `stub` names: `wasi:sockets/*` or `wasi:sockets/udp`, in any compatible version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImportPattern {
    package: String,
    /// `None`: every interface of the package.
    interface: Option<String>,
}

impl ImportPattern {
    /// A pattern that names at least one authority interface; `None` for any other text, since
    /// what is inert needs no stub and what is unknown gets none.
    pub fn parse(text: &str) -> Option<Self> {
        let (package, interface) = text.split_once('/')?;
        let pattern =
            Self { package: package.into(), interface: (interface != "*").then(|| interface.into()) };
        let known = WASI.iter().chain(NANOHOST).any(|(package, interfaces, class)| {
            matches!(class, Classified::Authority(_))
                && interfaces.iter().any(|interface| pattern.names(package, interface))
        });
        known.then_some(pattern)
    }

    /// Whether it names `import`, which is an authority interface in a version this host knows.
    pub fn matches(&self, import: &Import) -> bool {
        matches!(classify(import), Classified::Authority(_))
            && InterfaceName::parse(&import.name).is_some_and(|name| self.names(name.package, name.interface))
    }

    fn names(&self, package: &str, interface: &str) -> bool {
        self.package == package && self.interface.as_deref().is_none_or(|own| own == interface)
    }
}

impl fmt::Display for ImportPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.package, self.interface.as_deref().unwrap_or("*"))
    }
}

#[cfg(test)]
mod tests;
