//! What is told of a tool.

use std::collections::BTreeMap;

use nanohost_core::{Ask, Class, Manifest, ToolExport};
use nanohost_sandbox::{Dependencies, Dependency};
use serde_json::{Value, json};

use nanohost_core::review::{Change, Item};

use super::escape::{brief, escaped};
use super::plan::bytes;
use super::table::{bad, bold, columns, dim, good, odd};
use crate::tool::authority::Because;
use crate::tool::{Failed, Inspection, Package, Standing};

/// Dependencies that a person is shown; `--json` has all.
const SHOWN_DEPENDENCIES: usize = 12;

/// A tool, for a person who has to judge it: whose it is, what it can do, and then the details.
pub fn inspection(all: &Inspection<'_>) -> String {
    let package = all.package;
    let (facts, manifest) = (package.loaded.facts(), package.manifest.as_ref());
    let mut out = format!("{}\n", bold(&escaped(&package.title())));
    let mut line = |name: &str, text: String| out.push_str(&format!("  {name:<10} {text}\n"));
    line("publisher", standing(&package.standing));
    if let Some(text) = manifest.and_then(Manifest::description) {
        line("says", escaped(text));
    }
    if let Some(text) = manifest.and_then(Manifest::license) {
        line("license", escaped(text));
    }
    line("component", format!("{} {}", super::path(&package.component), dim(&facts.component.short())));
    line(
        "manifest",
        match (&package.manifest_path, manifest) {
            (Some(path), Some(own)) => format!("{} {}", super::path(path), dim(&own.digest().short())),
            _ => odd("none"),
        },
    );

    let refusals = all.refusals();
    if refusals.is_empty() {
        out.push_str(&format!("\n{}\n", good("runs where a policy permits what it asks for")));
    } else {
        out.push_str(&format!("\n{}\n", bad("runs nowhere as it is")));
        refusals.iter().for_each(|why| out.push_str(&format!("  {}\n", escaped(why))));
    }
    out.push_str(&format!("\n{}\n", bold("authority")));
    out.push_str(&sentences(all));

    out.push_str(&format!("\n{}\n", bold("functions")));
    for export in all.functions() {
        out.push_str(&function(export, manifest));
    }
    for own in package.loaded.unsupported() {
        out.push_str(&format!(
            "  {} {}\n",
            escaped(&own.path),
            dim(&format!("cannot be called: {}", escaped(&own.reason)))
        ));
    }

    out.push_str(&format!("\n{}\n", bold("imports")));
    match all.imports.as_slice() {
        [] => out.push_str("  none: it reaches nothing at all\n"),
        imports => {
            let rows = imports.iter().map(|(import, because)| {
                let class = because.class().map_or("-".to_owned(), |class| class.to_string());
                vec![brief(&import.name), class, import.functions.len().to_string(), because.says()]
            });
            out.push_str(&columns(&["interface", "class", "functions", "what becomes of it"], rows));
        }
    }
    if let Some(manifest) = manifest {
        out.push_str(&asked(manifest));
    }
    out.push_str(&made(all));
    out
}

/// Whose word there is for a tool, for a person.
pub fn standing(standing: &Standing) -> String {
    match standing {
        Standing::NotSigned => odd("nobody: not signed"),
        Standing::Failed(Failed::UnknownKey(key)) => {
            odd(&format!("nobody known here: signed with key {key}, which no trusted policy names"))
        }
        Standing::Failed(Failed::Fault(why)) => bad(&format!("nobody: the signature failed: {why}")),
        Standing::Verified { publisher, key } => good(&format!(
            "{} {}",
            escaped(publisher),
            dim(&format!("signed with key {}", key.digest().short()))
        )),
    }
}

fn sentences(all: &Inspection<'_>) -> String {
    let own = &all.authority;
    let mut out = String::new();
    for text in &own.can {
        out.push_str(&format!("  {} {}\n", odd("can"), escaped(text)));
    }
    for text in &own.undeclared {
        out.push_str(&format!("  {} {text}, and nobody asks for it\n", bad("could")));
    }
    if !own.cannot.is_empty() {
        out.push_str(&format!("  {} {}\n", good("cannot"), own.cannot.join("; ")));
    }
    for text in &own.idle {
        out.push_str(&format!("  {} {}, which it has no import for\n", odd("asks for"), escaped(text)));
    }
    out
}

fn function(export: &ToolExport, manifest: Option<&Manifest>) -> String {
    let said = manifest.and_then(|manifest| manifest.function(&export.function));
    let effect = match said.map(|said| said.effect) {
        Some(Some(effect)) => format!("claims to be {effect}"),
        Some(None) | None => "claims no effect, which counts as external".to_owned(),
    };
    let mut out = format!("  {} {}\n", escaped(&export.path()), dim(&effect));
    if let Some(text) = said.and_then(|said| said.description.as_deref()) {
        out.push_str(&format!("    {}\n", escaped(text)));
    }
    if let Some(said) = said.filter(|said| !said.pii.is_empty()) {
        out.push_str(&format!("    personal: {}\n", escaped(&said.pii.join(", "))));
    }
    out
}

/// What the manifest asks for, line by line.
fn asked(manifest: &Manifest) -> String {
    let mut rows: Vec<Vec<String>> = written(manifest)
        .map(|(ask, line)| {
            vec![format!("{}:{line}", escaped(&manifest.source().name)), escaped(&ask.capability.to_string())]
        })
        .collect();
    for stub in manifest.stubs() {
        let (line, _) = manifest.source().line_column(stub.span.start);
        rows.push(vec![
            format!("{}:{line}", escaped(&manifest.source().name)),
            format!("stub {}", stub.value),
        ]);
    }
    let limits = manifest.limits();
    let mut out = format!("\n{}\n", bold("asks"));
    out.push_str(&match rows.is_empty() {
        true => "  for nothing\n".to_owned(),
        false => columns(&[], rows),
    });
    let mut within = format!(
        "within memory {} · fuel {} · deadline {} · output {} · logs {}",
        bytes(limits.memory),
        limits.fuel,
        super::duration(limits.deadline),
        bytes(limits.output),
        bytes(limits.logs)
    );
    let asks = |class: Class| {
        manifest.asks().iter().any(|ask| ask.span.is_some() && ask.capability.class() == class)
    };
    if asks(Class::Http) {
        within.push_str(&format!(" · http {} calls, {}", limits.http_calls, bytes(limits.http_bytes)));
    }
    if asks(Class::Filesystem) {
        within.push_str(&format!(" · files {}", bytes(limits.file_bytes)));
    }
    if asks(Class::Kv) {
        within.push_str(&format!(" · kv {}, {} in all", bytes(limits.kv_bytes), bytes(limits.kv_held)));
    }
    out.push_str(&format!("  {}\n", dim(&within)));
    out
}

/// What stands in the manifest, with its line.
fn written(manifest: &Manifest) -> impl Iterator<Item = (&Ask, usize)> {
    let line = |ask: &Ask| ask.span.as_ref().map(|span| manifest.source().line_column(span.start).0);
    manifest.asks().iter().filter_map(move |ask| line(ask).map(|line| (ask, line)))
}

/// How it was made, in its maker's words.
fn made(all: &Inspection<'_>) -> String {
    let (anatomy, facts) = (&all.package.anatomy, all.package.loaded.facts());
    let mut out = format!("\n{} {}\n", bold("made"), dim("in its maker's words"));
    let mut line = |name: &str, text: String| out.push_str(&format!("  {name:<10} {text}\n"));
    line(
        "size",
        format!(
            "{}: code {}, data {}, {} functions in {} modules",
            bytes(facts.size),
            bytes(anatomy.code),
            bytes(anatomy.data),
            anatomy.functions,
            anatomy.modules
        ),
    );
    let producers: Vec<String> = anatomy
        .producers
        .iter()
        .map(|(_, name, version)| brief(format!("{name} {version}").trim()))
        .collect();
    line("by", if producers.is_empty() { "nobody said".to_owned() } else { producers.join(", ") });
    let custom: Vec<String> =
        anatomy.custom.iter().map(|(name, (_, size))| format!("{} {}", brief(name), bytes(*size))).collect();
    line("sections", if custom.is_empty() { "none beside the code".to_owned() } else { custom.join(", ") });
    line(
        "of",
        match &anatomy.dependencies {
            Dependencies::None => "no list of dependencies (cargo auditable embeds one)".to_owned(),
            Dependencies::Unreadable(why) => {
                bad(&format!("a list of dependencies that cannot be read: {}", escaped(why)))
            }
            Dependencies::Listed(packages) => {
                let shown: Vec<String> = packages
                    .iter()
                    .filter(|own| !own.root)
                    .take(SHOWN_DEPENDENCIES)
                    .map(|own| brief(&format!("{} {}", own.name, own.version)))
                    .collect();
                let more = packages.iter().filter(|own| !own.root).count() - shown.len();
                let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
                format!("{} packages: {}{rest}", packages.len(), shown.join(", "))
            }
        },
    );
    out
}

/// One case that was tried.
pub fn tried(name: &str, problems: &[String]) -> String {
    match problems {
        [] => format!("{}  {}\n", good("pass"), escaped(name)),
        problems => {
            let mut out = format!("{}  {}\n", bad("FAIL"), escaped(name));
            problems.iter().for_each(|problem| out.push_str(&format!("      {}\n", escaped(problem))));
            out
        }
    }
}

/// The same for a program.
pub fn inspection_json(all: &Inspection<'_>) -> Value {
    let package = all.package;
    let (facts, anatomy) = (package.loaded.facts(), &package.anatomy);
    let imports = all.imports.iter().map(|(import, because)| {
        json!({
            "name": import.name,
            "functions": import.functions,
            "class": because.class(),
            "standing": because.as_str(),
            "refused": because.refuses(),
            "why": because.says(),
        })
    });
    let functions = all.functions().iter().map(|export| {
        let said = package.manifest.as_ref().and_then(|own| own.function(&export.function));
        json!({
            "path": export.path(),
            "function": export.function,
            "description": said.and_then(|said| said.description.as_deref()),
            "effect": said.and_then(|said| said.effect),
            "pii": said.map(|said| &said.pii),
            "input": export.input,
            "output": export.output,
        })
    });
    let unsupported =
        package.loaded.unsupported().iter().map(|own| json!({ "path": own.path, "reason": own.reason }));
    let producers = anatomy
        .producers
        .iter()
        .map(|(field, name, version)| json!({ "field": field, "name": name, "version": version }));
    let custom: BTreeMap<&String, Value> = anatomy
        .custom
        .iter()
        .map(|(name, (count, size))| (name, json!({ "count": count, "bytes": size })))
        .collect();
    json!({
        "standing": package.standing.as_str(),
        "publisher": publisher_json(&package.standing),
        "runnable": all.refusals().is_empty(),
        "refusals": all.refusals(),
        "component": { "path": package.component, "digest": facts.component, "bytes": facts.size },
        "manifest": package.manifest.as_ref().map(|own| manifest_json(own, package.manifest_path.as_deref())),
        "authority": {
            "can": all.authority.can,
            "cannot": all.authority.cannot,
            "undeclared": all.authority.undeclared,
            "idle": all.authority.idle,
        },
        "imports": imports.collect::<Vec<_>>(),
        "stubbed": all.imports.iter().filter(|(_, because)| matches!(because, Because::Stubbed(_)))
            .map(|(import, _)| &import.name).collect::<Vec<_>>(),
        "functions": functions.collect::<Vec<_>>(),
        "unsupported": unsupported.collect::<Vec<_>>(),
        "made": {
            "modules": anatomy.modules,
            "components": anatomy.components,
            "functions": anatomy.functions,
            "code": anatomy.code,
            "data": anatomy.data,
            "producers": producers.collect::<Vec<_>>(),
            "sections": custom,
            "dependencies": dependencies_json(&anatomy.dependencies),
        },
        "warnings": super::findings_json(&package.warnings),
    })
}

/// Who signed a tool, or why that is not known; `null` where nobody did.
pub fn publisher_json(standing: &Standing) -> Value {
    match standing {
        Standing::NotSigned => Value::Null,
        Standing::Failed(why) => json!({ "failed": why.to_string() }),
        Standing::Verified { publisher, key } => json!({ "name": publisher, "key": key.digest() }),
    }
}

fn manifest_json(manifest: &Manifest, path: Option<&std::path::Path>) -> Value {
    let asks = written(manifest).map(|(ask, line)| {
        json!({
            "class": ask.capability.class(),
            "value": ask.capability.value(),
            "line": line,
        })
    });
    json!({
        "path": path,
        "digest": manifest.digest(),
        "name": manifest.name(),
        "version": manifest.version(),
        "description": manifest.description(),
        "license": manifest.license(),
        "asks": asks.collect::<Vec<_>>(),
        "stubs": manifest.stubs().iter().map(|stub| stub.value.to_string()).collect::<Vec<_>>(),
        "limits": manifest.limits(),
    })
}

fn dependencies_json(found: &Dependencies) -> Value {
    let one = |own: &Dependency| {
        json!({
            "name": own.name,
            "version": own.version,
            "source": own.source,
            "kind": if own.build { "build" } else { "runtime" },
            "root": own.root,
        })
    };
    match found {
        Dependencies::None => json!({ "state": "none" }),
        Dependencies::Unreadable(why) => json!({ "state": "unreadable", "why": why }),
        Dependencies::Listed(packages) => {
            json!({ "state": "listed", "packages": packages.iter().map(one).collect::<Vec<_>>() })
        }
    }
}

/// What is the same says nothing to who reads a change.
fn changed(items: &[Item]) -> impl Iterator<Item = &Item> {
    items.iter().filter(|item| item.change != Change::Unchanged || item.before != item.after)
}

/// `3 lines widen`, or that none does.
fn verdict(items: &[Item]) -> String {
    match items.iter().filter(|item| item.widens).count() {
        0 => "nothing widens".to_owned(),
        1 => "1 line widens".to_owned(),
        number => format!("{number} lines widen"),
    }
}

/// What a new version of a tool changes, for a person.
pub fn tool_difference(old: &Package, new: &Package, items: &[Item]) -> String {
    let mut out = format!("{} → {}\n", bold(&escaped(&old.title())), bold(&escaped(&new.title())));
    out.push_str(&format!("  publisher  {}\n\n", standing(&new.standing)));
    let rows = changed(items).map(|item| {
        let text = |text: &Option<String>| text.as_deref().map_or("-".to_owned(), escaped);
        let mark = if item.widens { "! " } else { "" };
        vec![
            format!("{mark}{}", item.change.as_str()),
            item.what.to_owned(),
            text(&item.before),
            text(&item.after),
        ]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    if !rows.is_empty() {
        out.push_str(&columns(&["change", "what", "before", "after"], rows));
        out.push('\n');
    }
    let widens = items.iter().any(|item| item.widens);
    out.push_str(&format!("{}\n", if widens { odd(&verdict(items)) } else { good(&verdict(items)) }));
    out
}

/// The same as Markdown. Whatever others chose stands in code spans, where nothing means anything.
pub fn tool_difference_markdown(old: &Package, new: &Package, items: &[Item]) -> String {
    let code = super::policy::code_span;
    let publisher = match &new.standing {
        Standing::NotSigned => "Not signed.".to_owned(),
        Standing::Failed(why) => format!("**The signature failed**: {}.", code(&why.to_string())),
        Standing::Verified { publisher, .. } => format!("Signed by {}.", code(publisher)),
    };
    let (before, after) = (code(&old.title()), code(&new.title()));
    let mut out = format!("**{before} → {after}: {}.** {publisher}\n", verdict(items));
    let mut items = changed(items).peekable();
    if items.peek().is_some() {
        out.push_str("\n| change | what | before | after |\n|---|---|---|---|\n");
    }
    for item in items {
        let text = |text: &Option<String>| text.as_deref().map_or("–".to_owned(), code);
        let change = match item.widens {
            true => format!("**{}** ⚠", item.change.as_str()),
            false => item.change.as_str().to_owned(),
        };
        out.push_str(&format!(
            "| {change} | {} | {} | {} |\n",
            item.what,
            text(&item.before),
            text(&item.after)
        ));
    }
    out
}

/// One line of a comparison, for a program.
pub fn change_json(item: &Item) -> Value {
    json!({
        "change": item.change.as_str(),
        "widens": item.widens,
        "what": item.what,
        "before": item.before,
        "after": item.after,
    })
}
