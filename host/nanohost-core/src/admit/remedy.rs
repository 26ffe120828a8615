//! The lines that a refusal tells people to add. Knows nothing of what was refused or why.

use std::collections::BTreeSet;

use crate::capability::{Capability, Class, Method};
use crate::facts::Import;
use crate::manifest::Manifest;

/// The manifest line that declares what `import` needs.
pub(super) fn declare(manifest: &Manifest, class: Class, import: &Import) -> String {
    let package = import.name.split('/').next().unwrap_or_default();
    let stub = format!("stub = [{}]", quoted(&format!("{package}/*")));
    let file = &manifest.source().name;
    let line = match class {
        Class::Filesystem => "filesystem = [{ guest = \"/data\", access = \"read\" }]",
        Class::Env => "env = [\"NAME\"]",
        Class::Kv => "kv = [\"namespace\"]",
        Class::Clock => return format!("set in {file}:\n\n[capabilities]\nclock = \"virtual\""),
        Class::Random => return format!("set in {file}:\n\n[capabilities]\nrandom = \"seeded\""),
        Class::Sockets => "sockets = [{ address = \"127.0.0.1\", port = 7 }]",
        Class::Http => {
            "http = [{ scheme = \"https\", host = \"api.example.com\", methods = [\"GET\"], path = \"/v1/**\" }]"
        }
        Class::Secrets => {
            "secrets = [{ name = \"api-key\", header = \"Authorization\", host = \"api.example.com\", methods = [\"GET\"], path = \"/v1/**\" }]"
        }
    };
    format!(
        "its author adds to {file}, with what it really needs:\n\n[capabilities]\n{line}\n\nor, above its tables, if the tool never uses it:\n\n{stub}"
    )
}

/// The line of a policy row that permits `capability`.
pub(super) fn permit_line(capability: &Capability) -> String {
    match capability {
        Capability::Filesystem(folder) => {
            format!("filesystem = [{{ guest = {}, access = \"{}\" }}]", quoted(&folder.guest), folder.access)
        }
        Capability::Env(name) => format!("env = [{}]", quoted(name)),
        Capability::Kv(name) => format!("kv = [{}]", quoted(name)),
        Capability::Clock(clock) => format!("clock = \"{clock}\""),
        Capability::Random(random) => format!("random = \"{random}\""),
        Capability::Sockets(socket) => {
            format!("sockets = [{{ address = \"{}\", port = {} }}]", socket.address, socket.port)
        }
        Capability::Http(rule) => format!(
            "http = [{{ scheme = \"{}\", host = {}, port = {}, methods = [{}], path = {} }}]",
            rule.scheme.as_str(),
            quoted(&rule.host.to_string()),
            rule.port,
            methods(&rule.methods),
            quoted(&rule.path.to_string()),
        ),
        Capability::Secrets(rule) => format!(
            "secrets = [{{ name = {}, header = {}, host = {}, methods = [{}], path = {} }}]",
            quoted(&rule.name),
            quoted(&rule.header),
            quoted(&rule.host.to_string()),
            methods(&rule.methods),
            quoted(&rule.path.to_string()),
        ),
    }
}

fn methods(methods: &BTreeSet<Method>) -> String {
    methods.iter().map(|method| quoted(method.as_str())).collect::<Vec<_>>().join(", ")
}

/// `text` as a TOML string.
pub(crate) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
