//! `program.lock`: what the tools of a program were when somebody last looked at them. A tool of a
//! folder is pinned by its manifest and its schemas; its component changes with each build and
//! stands in the evidence. A package is pinned by its reference, its component and the key that signs it as well. Knows no files, and grants nothing: a lock only refuses.

mod moves;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use crate::admit::{Offer, called, quoted, schema_digest};
use crate::check::CheckedProgram;
use crate::document::{self, Entry, Fields, Format, NodeValue, Report};
use crate::manifest::{Manifest, read_digest, said_limits};
use crate::package::PackageRef;
use crate::program::ToolOrigin;
use crate::signature::Signed;
use crate::{Diagnostic, Diagnostics, Digest, KeyId, Source, ToolName};

pub use moves::{Move, moves};

/// The form that this version reads and writes. A lock of another form is refused: what it pins
/// beyond this form would be passed over.
const FORMAT: u64 = 1;

/// What stands behind one of a program's names for tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The tool's folder, as the program names it; `None`: it is a package, or found by its name.
    pub path: Option<String>,
    /// The package, with the digest of its image.
    pub package: Option<String>,
    /// The tool's own name, which policies speak of.
    pub tool: ToolName,
    /// Its version, from its manifest.
    pub version: String,
    /// Digest of the manifest's bytes.
    pub manifest: Digest,
    /// Digest of the component, of a package alone: what others made does not change with a build here.
    pub component: Option<Digest>,
    /// The key that a package is signed with, as its signature says; `None`: it is not signed, or the lock is
    /// older than its signature, and any may come.
    pub publisher: Option<KeyId>,
    /// The exported function that is called, with its interface where it has one.
    pub function: String,
    /// Digest of the schema of its arguments.
    pub input: Digest,
    /// Digest of the schema of its result.
    pub output: Digest,
    /// What the manifest asks for that carries authority: the same as the manifest's digest says, so
    /// that who reads a change of the lock reads what it means.
    pub asks: BTreeSet<String>,
    /// What else the manifest says that decides about a run, likewise: effects, personal data, limits.
    pub claims: BTreeSet<String>,
}

/// The tools of one program, pinned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pins(BTreeMap<ToolName, Pin>);

/// A lock that was read. Holding one proves: its form is known, and so is every key.
#[derive(Debug, Clone)]
pub struct Lock {
    source: Arc<Source>,
    pins: Pins,
    /// Where each tool, and each of its keys, stands.
    places: BTreeMap<ToolName, Places>,
}

#[derive(Debug, Clone)]
struct Places {
    tool: Range<usize>,
    keys: BTreeMap<&'static str, Range<usize>>,
}

impl Pins {
    /// What stands behind the program's names now.
    ///
    /// # Errors
    /// `unknown_function`, `ambiguous_function`: no function of a tool is the one that is called.
    pub fn of(program: &CheckedProgram, offers: &[Offer]) -> Result<Self, Diagnostics> {
        let mut findings = Diagnostics::new();
        let mut pins = BTreeMap::new();
        for offer in offers {
            let export = match called(program, offer) {
                Ok(export) => export,
                Err(finding) => {
                    findings.push(*finding);
                    continue;
                }
            };
            let manifest = &offer.manifest;
            let asks = manifest.asks().iter().filter(|ask| !ask.capability.is_inert());
            let stubs = manifest.stubs().iter().map(|stub| format!("stub {}", stub.value));
            let uses = program.tools.iter().flatten().find(|tool| tool.local == offer.local);
            let (path, package) = match uses.map(|uses| &uses.origin) {
                Some(ToolOrigin::Path(path)) => (Some(path.clone()), None),
                Some(ToolOrigin::Package { package, .. }) => (None, Some(package.to_string())),
                None => (None, None),
            };
            let pin = Pin {
                component: package.is_some().then_some(offer.facts.component),
                publisher: offer.signature.as_ref().filter(|_| package.is_some()).map(Signed::key_id),
                path,
                package,
                tool: manifest.name().clone(),
                version: manifest.version().to_owned(),
                manifest: manifest.digest(),
                function: export.path(),
                input: schema_digest(&export.input),
                output: schema_digest(&export.output),
                asks: asks.map(|ask| ask.capability.to_string()).chain(stubs).collect(),
                claims: claims(manifest),
            };
            pins.insert(offer.local.clone(), pin);
        }
        if findings.is_empty() { Ok(Self(pins)) } else { Err(findings) }
    }

    /// The pins by the program's names.
    pub fn iter(&self) -> impl Iterator<Item = (&ToolName, &Pin)> {
        self.0.iter()
    }

    /// These, but for the tools of `names` what `others` say, which may be nothing.
    pub fn with(mut self, others: &Self, names: &[ToolName]) -> Self {
        for name in names {
            match others.0.get(name) {
                Some(pin) => self.0.insert(name.clone(), pin.clone()),
                None => self.0.remove(name),
            };
        }
        self
    }

    /// The lock as text, the same bytes for the same pins: by name, one ask a line.
    pub fn to_text(&self) -> String {
        let mut out = format!(
            "# What the tools of the program beside it were when somebody last looked at them.\n# Written by \
             `nanohost update`: commit it, and read its changes.\nformat = {FORMAT}\n"
        );
        for (local, pin) in &self.0 {
            let Pin {
                path,
                package,
                tool,
                version,
                manifest,
                component,
                publisher,
                function,
                input,
                output,
                asks,
                claims,
            } = pin;
            let digest = |digest: &Digest| format!("sha256:{digest}");
            let lines = [
                ("path", path.clone()),
                ("package", package.clone()),
                ("tool", Some(tool.to_string())),
                ("version", Some(version.clone())),
                ("manifest", Some(digest(manifest))),
                ("component", component.as_ref().map(digest)),
                ("publisher", publisher.as_ref().map(ToString::to_string)),
                ("function", Some(function.clone())),
                ("input", Some(digest(input))),
                ("output", Some(digest(output))),
            ];
            // A tool's name is a bare key, whatever it is.
            out.push_str(&format!("\n[tools.{local}]\n"));
            for (key, value) in lines {
                out.extend(value.map(|value| format!("{key} = {}\n", quoted(&value))));
            }
            for (key, lines) in [("asks", asks), ("claims", claims)] {
                let lines: String = lines.iter().map(|line| format!("    {},\n", quoted(line))).collect();
                out.push_str(&match lines.is_empty() {
                    true => format!("{key} = []\n"),
                    false => format!("{key} = [\n{lines}]\n"),
                });
            }
        }
        out
    }
}

/// What a manifest says, beside what it asks for, that decides about a run.
fn claims(manifest: &Manifest) -> BTreeSet<String> {
    let of_each = manifest.functions().iter().flat_map(|(name, function)| {
        let effect = function.effect.map(|effect| format!("effect of {name}: {effect}"));
        effect.into_iter().chain(function.pii.iter().map(move |path| format!("pii of {name}: {path}")))
    });
    of_each.chain(said_limits(manifest.limits())).collect()
}

impl Lock {
    /// Reads a lock, which is TOML.
    ///
    /// # Errors
    /// All findings: what is not TOML, `unknown_field`, `invalid_field`, another form than this
    /// version's, and what this version cannot compare (`unenforceable`).
    pub fn parse(source: Arc<Source>) -> Result<Self, Diagnostics> {
        let root = document::parse(&source, Format::Toml)?;
        let mut report = Report::new(&source);
        let (mut pins, mut places) = (BTreeMap::new(), BTreeMap::new());
        if let Some(mut fields) = Fields::of(&root, "a lock", &mut report) {
            check_format(&mut fields, &mut report);
            for entry in fields.table("tools", &mut report).unwrap_or_default() {
                if let Some((local, pin, place)) = pin(entry, &mut report) {
                    places.insert(local.clone(), place);
                    pins.insert(local, pin);
                }
            }
            fields.finish(&mut report);
        }
        report.finish()?;
        Ok(Self { source, pins: Pins(pins), places })
    }

    /// What it pins.
    pub fn pins(&self) -> &Pins {
        &self.pins
    }

    /// Where what is there now differs from what is pinned: `lock_mismatch` for each difference, at
    /// its place in the lock. `remedy` is the command that moves the lock.
    pub fn check(&self, now: &Pins, remedy: &str) -> Diagnostics {
        // Of a tool that came or went that alone is wrong, whatever it asks for.
        let both = |own: &Move| self.pins.0.contains_key(&own.tool) && now.0.contains_key(&own.tool);
        let moved = moves(&self.pins, now).into_iter().filter(|own| own.what == "tools" || both(own));
        let moved = moved.map(|own| {
            let finding = Diagnostic::error("lock_mismatch", own.as_mismatch());
            let places = self.places.get(&own.tool);
            let span = places
                .map(|places| places.keys.get(own.what).unwrap_or(&places.tool).clone())
                // What is not in the lock has no place of its own there.
                .unwrap_or_else(|| 0..self.source.text.find('\n').unwrap_or(0));
            finding.at(&self.source, span).help(format!(
                "read what has changed; if you agree with it, move the lock: {remedy}\notherwise restore what was pinned"
            ))
        });
        moved.collect()
    }
}

fn check_format(fields: &mut Fields<'_>, report: &mut Report) {
    let Some(node) = fields.node("format") else {
        fields.missing("format", report);
        return;
    };
    let known = match &node.value {
        NodeValue::Number(number) => number.as_u64() == Some(FORMAT),
        _ => false,
    };
    if !known {
        let message = format!("`format` of this lock is not {FORMAT}, the one that this version knows");
        let finding = report.error("invalid_field", &node.span, message);
        report.push(
            finding.help("use the version of nanohost that wrote it, or remove the lock and write it anew"),
        );
    }
}

fn pin(entry: &Entry, report: &mut Report) -> Option<(ToolName, Pin, Places)> {
    let local = match ToolName::new(&entry.key) {
        Ok(local) => Some(local),
        Err(error) => {
            report.invalid(&entry.key_span, error.to_string());
            None
        }
    };
    let mut fields = Fields::of(&entry.node, "a tool of a lock", report)?;
    let path = fields.filled_text("path", report).map(str::to_owned);
    let package = package(&mut fields, report);
    let tool = fields.need_text("tool", report).map(ToolName::new);
    if let (Some(Err(error)), Some(at)) = (&tool, fields.node("tool")) {
        report.invalid(&at.span, error.to_string());
    }
    let version = fields.need_text("version", report).map(str::to_owned);
    let function = fields.need_text("function", report).map(str::to_owned);
    let [manifest, input, output] = ["manifest", "input", "output"].map(|key| {
        if !fields.has(key) {
            fields.missing(key, report);
        }
        read_digest(&mut fields, key, report)
    });
    let [asks, claims] = ["asks", "claims"].map(|key| {
        let lines = fields.texts(key, report).unwrap_or_default();
        lines.into_iter().map(|(line, _)| line.to_owned()).collect()
    });
    let component = read_digest(&mut fields, "component", report);
    if fields.has("package") && !fields.has("component") {
        fields.missing("component", report);
    } else if let Some(at) = fields.node("component").filter(|_| !fields.has("package")) {
        // That of a folder changes with each build: pinned here and not compared, it would protect nothing.
        report.invalid(&at.span, "only a package's component is pinned");
    }
    let publisher = publisher(&mut fields, report);
    let mut keys = BTreeMap::new();
    for key in [
        "path",
        "package",
        "component",
        "publisher",
        "tool",
        "version",
        "manifest",
        "function",
        "input",
        "output",
        "asks",
        "claims",
    ] {
        keys.extend(fields.node(key).map(|node| (key, node.span.clone())));
    }
    fields.finish(report);
    let pin = Pin {
        path,
        package,
        tool: tool?.ok()?,
        version: version?,
        manifest: manifest?.value,
        component: component.map(|component| component.value),
        publisher,
        function: function?,
        input: input?.value,
        output: output?.value,
        asks,
        claims,
    };
    Some((local?, pin, Places { tool: entry.key_span.clone(), keys }))
}

/// The key that a package is signed with.
fn publisher(fields: &mut Fields<'_>, report: &mut Report) -> Option<KeyId> {
    let named = fields.filled_text("publisher", report)?.to_owned();
    let at = fields.node("publisher")?.span.clone();
    if !fields.has("package") {
        // Whose a folder is, nobody signs: pinned here and not compared, it would protect nothing.
        report.invalid(&at, "only a package's publisher is pinned");
        return None;
    }
    match named.parse() {
        Ok(key) => Some(key),
        Err(_) => {
            report
                .invalid(&at, "`publisher` is the identifier of a key, as `nanohost tool verify` prints it");
            None
        }
    }
}

/// The package that is pinned, with its digest, and no folder beside it.
fn package(fields: &mut Fields<'_>, report: &mut Report) -> Option<String> {
    let named = fields.filled_text("package", report)?.to_owned();
    let at = fields.node("package")?.span.clone();
    if fields.has("path") {
        report.invalid(&at, "a tool is a package or lies in a folder, not both");
    }
    match named.parse::<PackageRef>() {
        Err(error) => report.invalid(&at, error.to_string()),
        Ok(reference) if reference.digest.is_none() => {
            report.invalid(&at, "a package is pinned by its digest")
        }
        Ok(_) => {}
    }
    Some(named)
}

#[cfg(test)]
mod tests;
