//! The lines that a refusal tells people to add. Knows nothing of what was refused or why.

use std::collections::BTreeSet;

use crate::capability::{Capability, Class, Method};
use crate::facts::Import;
use crate::manifest::Manifest;

/// What the author of `manifest` adds to it for `import`.
pub(super) fn declare(manifest: &Manifest, class: Class, import: &Import) -> String {
    let package = import.name.split('/').next().unwrap_or_default();
    let mut stubs: Vec<String> = manifest.stubs().iter().map(|stub| stub.value.to_string()).collect();
    stubs.push(format!("{package}/*"));
    let line = match class {
        Class::Filesystem => "filesystem = [{ guest = \"/data\", access = \"read\" }]",
        Class::Env => "env = [\"NAME\"]",
        Class::Kv => "kv = [\"namespace\"]",
        Class::Clock => return under_capabilities(manifest, "clock = \"virtual\""),
        Class::Random => return under_capabilities(manifest, "random = \"seeded\""),
        Class::Sockets => "sockets = [{ address = \"127.0.0.1\", port = 7 }]",
        Class::Http => {
            "http = [{ scheme = \"https\", host = \"api.example.com\", methods = [\"GET\"], path = \"/v1/**\" }]"
        }
        Class::Secrets => {
            "secrets = [{ name = \"api-key\", header = \"Authorization\", host = \"api.example.com\", methods = [\"GET\"], path = \"/v1/**\" }]"
        }
    };
    format!(
        "its author declares what it really needs, as here: {}\n\nor, above its tables, if the tool never uses it:\n\n{}",
        under_capabilities(manifest, line),
        stub_line(&stubs)
    )
}

/// What the author of `manifest` adds to it so that it asks for `capability` too.
pub(super) fn ask_for(manifest: &Manifest, capability: &Capability) -> String {
    let line = permit_line(manifest.asks().iter().map(|ask| &ask.capability), capability);
    let is_there =
        manifest.asks().iter().any(|ask| ask.span.is_some() && ask.capability.class() == capability.class());
    match is_there {
        true => format!("widen the line under [capabilities] of {}:\n\n{line}", manifest.source().name),
        false => under_capabilities(manifest, &line),
    }
}

fn under_capabilities(manifest: &Manifest, line: &str) -> String {
    let file = &manifest.source().name;
    // A table has one header, and a key stands in it once.
    match manifest.capabilities_place() {
        Some(_) => format!("write under [capabilities] of {file}:\n\n{line}"),
        None => format!("add to {file}:\n\n[capabilities]\n{line}"),
    }
}

/// The line that says `capability`, beside what `present` says of its class: a key stands in a table
/// once, so that what is there already stands in the line too.
pub(super) fn permit_line<'c>(
    present: impl Iterator<Item = &'c Capability>,
    capability: &Capability,
) -> String {
    let class = capability.class();
    let mut items: Vec<String> =
        present.filter(|own| own.class() == class && !capability.covers(own)).map(item).collect();
    items.push(item(capability));
    match capability {
        Capability::Clock(clock) => format!("clock = \"{clock}\""),
        Capability::Random(random) => format!("random = \"{random}\""),
        _ => format!("{class} = [{}]", items.join(", ")),
    }
}

/// The lines that say all of `capabilities`, one for each class, as manifests and policy rows write them.
pub fn capability_lines(capabilities: &[Capability]) -> String {
    let mut lines = String::new();
    for class in Class::ALL {
        let of_class: Vec<&Capability> = capabilities.iter().filter(|own| own.class() == class).collect();
        if let Some((last, rest)) = of_class.split_last() {
            lines.push_str(&permit_line(rest.iter().copied(), last));
            lines.push('\n');
        }
    }
    lines
}

/// The line of a policy row that permits stubs.
pub(super) fn stub_line(patterns: &[String]) -> String {
    let patterns: BTreeSet<&String> = patterns.iter().collect();
    format!("stub = [{}]", patterns.into_iter().map(|pattern| quoted(pattern)).collect::<Vec<_>>().join(", "))
}

/// One of what the line of its class lists.
fn item(capability: &Capability) -> String {
    match capability {
        Capability::Filesystem(folder) => {
            format!("{{ guest = {}, access = \"{}\" }}", quoted(&folder.guest), folder.access)
        }
        Capability::Env(name) | Capability::Kv(name) => quoted(name),
        Capability::Clock(clock) => clock.to_string(),
        Capability::Random(random) => random.to_string(),
        Capability::Sockets(socket) => {
            format!("{{ address = \"{}\", port = {} }}", socket.address, socket.port)
        }
        Capability::Http(rule) => format!(
            "{{ scheme = \"{}\", host = {}, port = {}, methods = [{}], path = {}{} }}",
            rule.scheme.as_str(),
            quoted(&rule.host.to_string()),
            rule.port,
            methods(&rule.methods),
            quoted(&rule.path.to_string()),
            if rule.private { ", private = true" } else { "" },
        ),
        Capability::Secrets(rule) => format!(
            "{{ name = {}, header = {}, host = {}, methods = [{}], path = {} }}",
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
