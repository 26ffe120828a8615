//! What in a tool's manifest is sound and still for a person to look at.

use std::net::IpAddr;
use std::ops::Range;

use super::Reviewed;
use crate::capability::{Access, Capability, Class, Effect, HttpRule, Scheme};
use crate::facts::{Classified, classify};
use crate::manifest::Manifest;
use crate::{Diagnostic, Diagnostics};

/// Names under which clouds serve the credentials of their machines.
const METADATA_NAMES: [&str; 4] =
    ["metadata.google.internal", "metadata.goog", "metadata", "instance-data.ec2.internal"];

/// Words that no description of a function needs, and that models take for orders. A net: what is put in other
/// words passes.
const ORDERS: [&str; 24] = [
    "ignore previous",
    "ignore all",
    "ignore the above",
    "ignore any",
    "disregard",
    "previous instructions",
    "system prompt",
    "system message",
    "you must",
    "you should",
    "you are ",
    "always call",
    "always use",
    "never use",
    "call this tool",
    "call this first",
    "use this tool instead",
    "before using any",
    "before any other tool",
    "do not tell",
    "do not mention",
    "don't tell",
    "without asking",
    "<important>",
];

/// Marks that begin a turn in the templates of models.
const TURNS: [&str; 5] = ["<|", "[inst]", "assistant:", "system:", "<system"];

/// Everything that was found, in the order of the manifest.
pub fn lint_tool(tool: Reviewed<'_>) -> Diagnostics {
    let mut found = Diagnostics::new();
    let Some(manifest) = tool.manifest else { return found };
    descriptions(manifest, &mut found);
    for ask in manifest.asks() {
        let Some(span) = &ask.span else { continue };
        for finding in about(&ask.capability) {
            found.push(finding.at(manifest.source(), span.clone()));
        }
        over_asking(tool, manifest, &ask.capability, span, &mut found);
    }
    for stub in manifest.stubs() {
        if !tool.facts.imports.iter().any(|import| stub.value.matches(import)) {
            let message = format!("{} is stubbed, which the component does not import", stub.value);
            found.push(
                Diagnostic::warning("over_asking", message)
                    .at(manifest.source(), stub.span.clone())
                    .help("leave it out of the manifest"),
            );
        }
    }
    limits(manifest, &mut found);
    functions(tool, manifest, &mut found);
    found.sort();
    found
}

/// What one capability gives away on its own.
fn about(capability: &Capability) -> Vec<Diagnostic> {
    let mut all = Vec::new();
    match capability {
        Capability::Filesystem(folder) if folder.guest == "/" => all.push(
            Diagnostic::warning(
                "root_folder",
                format!("it asks to {} all of its file system", folder.access),
            )
            .help("ask for the folders that it uses, each under a path of its own"),
        ),
        Capability::Http(rule) => http(rule, &mut all),
        Capability::Secrets(rule) => {
            wide(&rule.host.to_string(), &rule.path.to_string(), "the secret goes to", &mut all);
        }
        Capability::Sockets(socket) if is_metadata(socket.address) => all.push(metadata(&socket.to_string())),
        _ => {}
    }
    all
}

fn http(rule: &HttpRule, all: &mut Vec<Diagnostic>) {
    let host = rule.host.to_string();
    wide(&host, &rule.path.to_string(), "it may ask", all);
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    if address.is_some_and(is_metadata) || METADATA_NAMES.contains(&host.as_str()) {
        all.push(metadata(&host));
    }
    if rule.scheme == Scheme::Http && !address.is_some_and(|address| address.is_loopback()) {
        let message =
            format!("requests to {host} go over plain http: whoever stands between reads and changes them");
        all.push(Diagnostic::warning("plain_http", message).help("ask for `scheme = \"https\"`"));
    }
}

/// Hosts and paths without an end.
fn wide(host: &str, path: &str, what: &str, all: &mut Vec<Diagnostic>) {
    if let Some(below) = host.strip_prefix("*.") {
        let message = format!("{what} every host below {below}, whoever runs it");
        all.push(Diagnostic::warning("wildcard_host", message).help("name the hosts"));
    }
    if path == "/**" {
        let message = format!("{what} every path of {host}");
        all.push(
            Diagnostic::warning("wildcard_path", message).help("name the paths, or a folder of them: /v1/**"),
        );
    }
}

fn metadata(address: &str) -> Diagnostic {
    let message = format!("{address} is where clouds hand out credentials of their machines, or link-local");
    Diagnostic::warning("metadata_address", message)
        .help("a tool has no business there: find out why it asks, and refuse it")
}

/// Link-local addresses and the metadata services that lie elsewhere.
fn is_metadata(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_link_local() || matches!(v4.octets(), [100, 100, 100, 200] | [168, 63, 129, 16])
        }
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local()
                || v6.to_ipv4_mapped().is_some_and(|v4| is_metadata(IpAddr::V4(v4)))
                || matches!(v6.segments(), [0xfd00, 0x0ec2, .., 0x0254] | [0xfd20, 0x00ce, .., 0x0254])
        }
    }
}

/// What it asks for and has no way to use: granted today, it is there for a version that uses it.
fn over_asking(
    tool: Reviewed<'_>,
    manifest: &Manifest,
    capability: &Capability,
    span: &Range<usize>,
    found: &mut Diagnostics,
) {
    let class = capability.class();
    let imported = tool.facts.imports.iter().any(|import| {
        let stubbed = manifest.stubs().iter().any(|stub| stub.value.matches(import));
        match classify(import) {
            Classified::Authority(own) | Classified::InertByDefault(own) => own == class && !stubbed,
            Classified::Inert | Classified::Unknown => false,
        }
    });
    if !imported && !capability.is_inert() {
        let message = format!("it asks for {capability}, which its component does not import");
        found.push(
            Diagnostic::warning("over_asking", message)
                .at(manifest.source(), span.clone())
                .help("leave it out of the manifest: the tool cannot use it"),
        );
    }
}

/// Bounds that nobody thought about. Those of a class count where the class is asked for.
fn limits(manifest: &Manifest, found: &mut Diagnostics) {
    let asks = |class: Class| manifest.asks().iter().any(|ask| ask.capability.class() == class);
    let writes = manifest.asks().iter().any(
        |ask| matches!(&ask.capability, Capability::Filesystem(folder) if folder.access == Access::Write),
    );
    let missing: Vec<&str> = manifest
        .unsaid_limits()
        .into_iter()
        .filter(|key| match *key {
            "http_calls" | "http_bytes" => asks(Class::Http),
            "file_bytes" => writes,
            "kv_bytes" | "kv_held" => asks(Class::Kv),
            _ => true,
        })
        .collect();
    if !missing.is_empty() {
        let message = format!("nobody said how much it needs of: {}", missing.join(", "));
        found.push(
            Diagnostic::warning("missing_limit", message)
                .at(manifest.source(), 0..0)
                .help("write what it needs under [limits]; `nanohost tool infer --observe` measures it"),
        );
    }
}

fn functions(tool: Reviewed<'_>, manifest: &Manifest, found: &mut Diagnostics) {
    let reaches = manifest.asks().iter().find(|ask| match &ask.capability {
        Capability::Filesystem(folder) => folder.access == Access::Write,
        Capability::Http(_) | Capability::Sockets(_) => true,
        _ => false,
    });
    for export in &tool.facts.exports {
        let said = manifest.function(&export.function);
        if said.and_then(|said| said.description.as_ref()).is_none() {
            let message = format!("nobody says what `{}` does", export.function.escape_debug());
            let place = said.map_or(0..0, |said| said.span.clone());
            found.push(
                Diagnostic::warning("undescribed_function", message)
                    .at(manifest.source(), place)
                    .help(format!("describe it under [functions.{}]", export.function.escape_debug())),
            );
        }
        if let (Some(said), Some(ask)) = (said, reaches)
            && said.effect == Some(Effect::Pure)
        {
            let message = format!(
                "`{}` claims to be pure, and the tool asks for {}",
                export.function.escape_debug(),
                ask.capability
            );
            found.push(
                Diagnostic::warning("doubtful_effect", message)
                    .at(manifest.source(), said.span.clone())
                    .help("claim `idempotent` or `external`: the claim never counts for less than what the tool can do"),
            );
        }
    }
}

/// Descriptions are shown to models, which cannot tell them from orders.
fn descriptions(manifest: &Manifest, found: &mut Diagnostics) {
    let mut look = |what: &str, text: &str, span: Range<usize>| {
        if let Some(why) = instructs(text) {
            let message = format!("the description of {what} {why}");
            found.push(
                Diagnostic::warning("instructing_description", message).at(manifest.source(), span).help(
                    "say what it does, and nothing of what a model is to do: models are shown this text",
                ),
            );
        }
    };
    if let Some(text) = manifest.description() {
        look("the tool", text, 0..0);
    }
    for (name, function) in manifest.functions() {
        if let Some(text) = &function.description {
            look(&format!("`{}`", name.escape_debug()), text, function.span.clone());
        }
    }
}

/// Why a description is more than one, if so.
fn instructs(text: &str) -> Option<String> {
    // Words that are spread over lines, or written in a mixture of cases, are the same words.
    let plain = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let order = ORDERS.iter().chain(&TURNS).find(|words| plain.contains(**words));
    if let Some(words) = order {
        return Some(format!("speaks to a model: {words:?}"));
    }
    let hidden = text.chars().find(|c| {
        matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
            || c.is_control() && !matches!(c, '\n' | '\t')
    });
    hidden.map(|c| format!("holds text that is not shown (U+{:04X})", c as u32))
}
