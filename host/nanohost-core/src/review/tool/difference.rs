//! What one version of a tool may do that another may not: line by line.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Reviewed;
use crate::capability::{Capability, Effect};
use crate::facts::{Classified, Import, classify};
use crate::manifest::Manifest;
use crate::review::difference::{Change, Item, Lines, capabilities, limits};

/// Every line of the comparison, the unchanged included. A line widens where the new tool may do more, asks for
/// more, tells models something else, or where only a person can say.
pub fn compare_tools(old: Reviewed<'_>, new: Reviewed<'_>) -> Vec<Item> {
    let mut items = Vec::new();
    let mut lines = Lines { program: None, tool: None, items: &mut items };
    said(old.manifest, new.manifest, &mut lines);
    capabilities(&asks(old.manifest), &asks(new.manifest), &mut lines);
    stubs(old.manifest, new.manifest, &mut lines);
    // A component by itself has no limits that could be another's.
    if let (Some(old), Some(new)) = (old.manifest, new.manifest) {
        limits(old.limits(), new.limits(), &mut lines);
    }
    imports(&old.facts.imports, &new.facts.imports, &mut lines);
    functions(old, new, &mut lines);
    items
}

/// Name, version, descriptions: what people and models go by.
fn said(old: Option<&Manifest>, new: Option<&Manifest>, lines: &mut Lines<'_>) {
    let text = |manifest: Option<&Manifest>, what: fn(&Manifest) -> Option<String>| manifest.and_then(what);
    type Said = fn(&Manifest) -> Option<String>;
    let all: [(&'static str, Said); 4] = [
        ("name", |own| Some(own.name().to_string())),
        ("version", |own| Some(own.version().to_owned())),
        ("license", |own| own.license().map(str::to_owned)),
        ("description", |own| own.description().map(str::to_owned)),
    ];
    for (what, read) in all {
        let (was, is) = (text(old, read), text(new, read));
        if was == is {
            continue;
        }
        // Another version is what a comparison is made for.
        let change = if what == "version" { Change::Unchanged } else { Change::Changed };
        lines.push(what, was, is, change);
    }
}

/// What is asked for beyond what everybody has.
fn asks(manifest: Option<&Manifest>) -> Vec<Capability> {
    manifest.into_iter().flat_map(Manifest::asks).map(|ask| ask.capability.clone()).collect()
}

fn stubs(old: Option<&Manifest>, new: Option<&Manifest>, lines: &mut Lines<'_>) {
    let all = |manifest: Option<&Manifest>| -> BTreeSet<String> {
        manifest.into_iter().flat_map(Manifest::stubs).map(|stub| stub.value.to_string()).collect()
    };
    let (before, after) = (all(old), all(new));
    for stub in before.union(&after) {
        let (was, is) = (before.get(stub).cloned(), after.get(stub).cloned());
        let change = match (&was, &is) {
            (Some(_), Some(_)) => Change::Unchanged,
            (None, _) => Change::Added,
            (Some(_), None) => Change::Removed,
        };
        lines.push("stub", was, is, change);
    }
}

/// An interface without its version, which toolchains move.
fn interface(import: &Import) -> &str {
    import.name.split('@').next().unwrap_or_default()
}

fn is_inert(import: &Import) -> bool {
    matches!(classify(import), Classified::Inert | Classified::InertByDefault(_))
}

fn imports(old: &[Import], new: &[Import], lines: &mut Lines<'_>) {
    let by_name = |all: &[Import]| -> BTreeMap<String, Import> {
        all.iter().map(|import| (interface(import).to_owned(), import.clone())).collect()
    };
    let (before, after) = (by_name(old), by_name(new));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for name in names {
        let (was, is) = (before.get(name), after.get(name));
        let change = match (was, is) {
            (None, _) => Change::Added,
            (Some(_), None) => Change::Removed,
            (Some(was), Some(is)) => {
                let (was, is): (BTreeSet<_>, BTreeSet<_>) =
                    (was.functions.iter().collect(), is.functions.iter().collect());
                match (is.is_subset(&was), was.is_subset(&is)) {
                    (true, true) => Change::Unchanged,
                    (true, false) => Change::Narrowed,
                    (false, _) => Change::Widened,
                }
            }
        };
        let shown = |import: &Import| format!("{} ({} functions)", import.name, import.functions.len());
        // What reaches nothing widens nothing.
        let widens = matches!(change, Change::Added | Change::Widened) && !is.is_some_and(is_inert);
        lines.put("import", was.map(shown), is.map(shown), change, widens);
    }
}

/// Exported functions: what they claim, whose data is in them, what they take and give.
fn functions(old: Reviewed<'_>, new: Reviewed<'_>, lines: &mut Lines<'_>) {
    let names: BTreeSet<String> =
        old.facts.exports.iter().chain(&new.facts.exports).map(|export| export.path()).collect();
    for path in names {
        let find = |own: Reviewed<'_>| own.facts.exports.iter().find(|export| export.path() == path).cloned();
        let (was, is) = match (find(old), find(new)) {
            (Some(was), Some(is)) => (was, is),
            (None, _) => {
                lines.push("function", None, Some(path), Change::Added);
                continue;
            }
            (_, None) => {
                lines.push("function", Some(path), None, Change::Removed);
                continue;
            }
        };
        schema("input", &path, &was.input, &is.input, lines);
        schema("output", &path, &was.output, &is.output, lines);
        let (Some(before), Some(after)) = (old.manifest, new.manifest) else { continue };
        let (before, after) = (before.function(&was.function), after.function(&is.function));
        let effect =
            |own: Option<&crate::Function>| own.and_then(|own| own.effect).unwrap_or(Effect::External);
        let (claimed, claims) = (effect(before), effect(after));
        let change = match claims.cmp(&claimed) {
            std::cmp::Ordering::Greater => Change::Widened,
            std::cmp::Ordering::Less => Change::Narrowed,
            std::cmp::Ordering::Equal => Change::Unchanged,
        };
        let shown = |effect: Effect| Some(format!("{path}: {effect}"));
        lines.push("effect", shown(claimed), shown(claims), change);
        let describes = |own: Option<&crate::Function>| own.and_then(|own| own.description.clone());
        let (said, says) = (describes(before), describes(after));
        if said != says {
            // Models are shown it.
            let shown = |text: Option<String>| text.map(|text| format!("{path}: {text}"));
            lines.push("description", shown(said), shown(says), Change::Changed);
        }
        let personal = |own: Option<&crate::Function>| -> Vec<String> {
            own.map(|own| own.pii.iter().map(|field| format!("{path}: {field}")).collect())
                .unwrap_or_default()
        };
        lines.restrictions("pii", &personal(before), &personal(after));
    }
}

fn schema(what: &'static str, path: &str, was: &Value, is: &Value, lines: &mut Lines<'_>) {
    let shown = |schema: &Value| Some(format!("{path}: {}", crate::schema_digest(schema).short()));
    lines.push(what, shown(was), shown(is), taken(was, is));
}

/// How the values differ that two schemas of ours accept.
fn taken(was: &Value, is: &Value) -> Change {
    if was == is {
        return Change::Unchanged;
    }
    let (Some(was), Some(is)) = (was.as_object(), is.as_object()) else { return Change::Changed };
    let keys: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    let mut all = Change::Unchanged;
    for key in keys.into_iter().filter(|key| was.get(*key) != is.get(*key)) {
        let change = match (key.as_str(), was.get(key), is.get(key)) {
            ("properties", Some(Value::Object(was)), Some(Value::Object(is))) => {
                let names: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
                names.into_iter().fold(Change::Unchanged, |all, name| {
                    both(
                        all,
                        match (was.get(name), is.get(name)) {
                            (Some(was), Some(is)) => taken(was, is),
                            (None, _) => Change::Widened,
                            (_, None) => Change::Narrowed,
                        },
                    )
                })
            }
            ("required" | "type", Some(Value::Array(was)), Some(Value::Array(is))) => {
                let more = is.iter().any(|own| !was.contains(own));
                let less = was.iter().any(|own| !is.contains(own));
                // More that is required is less that is taken.
                match (key == "required", more, less) {
                    (_, true, true) => Change::Changed,
                    (true, true, _) | (false, _, true) => Change::Narrowed,
                    _ => Change::Widened,
                }
            }
            ("enum", Some(Value::Array(was)), Some(Value::Array(is))) => {
                let more = is.iter().any(|own| !was.contains(own));
                let less = was.iter().any(|own| !is.contains(own));
                match (more, less) {
                    (true, true) => Change::Changed,
                    (true, false) => Change::Widened,
                    (false, _) => Change::Narrowed,
                }
            }
            ("items", Some(was), Some(is)) => taken(was, is),
            _ => Change::Changed,
        };
        all = both(all, change);
    }
    all
}

/// Two changes of one thing.
fn both(one: Change, other: Change) -> Change {
    match (one, other) {
        (Change::Unchanged, other) => other,
        (one, Change::Unchanged) => one,
        (one, other) if one == other => one,
        _ => Change::Changed,
    }
}
