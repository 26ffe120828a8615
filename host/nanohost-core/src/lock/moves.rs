//! What differs between what a lock pins and what is there. Knows no files.

use std::collections::BTreeSet;

use super::{Pin, Pins};
use crate::ToolName;
use crate::review::Change;

/// One thing that is another one now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The program's name of the tool.
    pub tool: ToolName,
    /// What of it: a key of the lock, or `tools` where all of it came or went.
    pub what: &'static str,
    /// What was pinned.
    pub before: Option<String>,
    /// What is there.
    pub after: Option<String>,
    /// Whether that is more or less than before.
    pub change: Change,
}

/// Everything that differs, by name.
pub fn moves(pinned: &Pins, now: &Pins) -> Vec<Move> {
    let mut all = Vec::new();
    let names: BTreeSet<&ToolName> = pinned.0.keys().chain(now.0.keys()).collect();
    for tool in names {
        let mut add = |what, before, after, change| {
            all.push(Move { tool: tool.clone(), what, before, after, change });
        };
        match (pinned.0.get(tool), now.0.get(tool)) {
            (Some(before), Some(after)) => one(before, after, &mut add),
            (before, after) => {
                let change = if after.is_some() { Change::Added } else { Change::Removed };
                add("tools", before.map(described), after.map(described), change);
                let (was, is) = (before.map(|pin| &pin.asks), after.map(|pin| &pin.asks));
                asks(was, is, &mut add);
                let (was, is) = (before.map(|pin| &pin.claims), after.map(|pin| &pin.claims));
                claims(was, is, &mut add);
            }
        }
    }
    all
}

/// `refund-api 1.2.0, manifest sha256:…`
fn described(pin: &Pin) -> String {
    format!("{} {}, manifest sha256:{}", pin.tool, pin.version, pin.manifest)
}

type Add<'a> = dyn FnMut(&'static str, Option<String>, Option<String>, Change) + 'a;

fn one(before: &Pin, after: &Pin, add: &mut Add<'_>) {
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
        asks: asked,
        claims: claimed,
    } = before;
    let digest = |digest: &crate::Digest| Some(format!("sha256:{digest}"));
    let (mut path, mut now) = (path.clone(), after.path.clone());
    let (mut package, mut now_package) = (package.clone(), after.package.clone());
    if package.is_some() != now_package.is_some() {
        // From a folder to a package, or back: one change, of where it comes from.
        package = package.or_else(|| path.take());
        now_package = now_package.or_else(|| now.take());
    }
    for (what, was, is) in [
        ("path", path, now),
        ("package", package, now_package),
        ("tool", Some(tool.to_string()), Some(after.tool.to_string())),
        ("version", Some(version.clone()), Some(after.version.clone())),
        ("manifest", digest(manifest), digest(&after.manifest)),
        ("function", Some(function.clone()), Some(after.function.clone())),
        ("input", digest(input), digest(&after.input)),
        ("output", digest(output), digest(&after.output)),
    ] {
        if was != is {
            add(what, was, is, Change::Changed);
        }
    }
    // Where only one of them is a package, only that one's component is pinned.
    if let (Some(was), Some(is)) = (component, &after.component)
        && was != is
    {
        add("component", digest(was), digest(is), Change::Changed);
    }
    // A lock without one is older than the signature. One whose package has none any more is not what it was.
    if let (true, Some(was)) = (after.package.is_some(), publisher)
        && after.publisher != Some(*was)
    {
        let is = after.publisher.map_or_else(|| "nobody".to_owned(), |key| key.to_string());
        add("publisher", Some(was.to_string()), Some(is), Change::Changed);
    }
    asks(Some(asked), Some(&after.asks), add);
    claims(Some(claimed), Some(&after.claims), add);
}

/// What is asked for beyond what was, and what is asked for no longer.
fn asks(before: Option<&BTreeSet<String>>, after: Option<&BTreeSet<String>>, add: &mut Add<'_>) {
    let none = BTreeSet::new();
    let (before, after) = (before.unwrap_or(&none), after.unwrap_or(&none));
    after.difference(before).for_each(|ask| add("asks", None, Some(ask.clone()), Change::Widened));
    before.difference(after).for_each(|ask| add("asks", Some(ask.clone()), None, Change::Narrowed));
}

/// What else is said now, and what no longer.
fn claims(before: Option<&BTreeSet<String>>, after: Option<&BTreeSet<String>>, add: &mut Add<'_>) {
    let none = BTreeSet::new();
    let (before, after) = (before.unwrap_or(&none), after.unwrap_or(&none));
    before.difference(after).for_each(|claim| add("claims", Some(claim.clone()), None, Change::Changed));
    after.difference(before).for_each(|claim| add("claims", None, Some(claim.clone()), Change::Changed));
}

impl Move {
    /// The difference as a refusal says it.
    pub(super) fn as_mismatch(&self) -> String {
        let tool = &self.tool;
        match (self.what, &self.before, &self.after) {
            ("tools", None, Some(_)) => {
                format!("the program has a tool `{tool}`, which its lock does not pin")
            }
            ("tools", _, _) => format!("the lock pins a tool `{tool}`, which the program does not have"),
            ("asks", None, Some(ask)) => {
                format!("the manifest of `{tool}` asks for {ask}, which the lock does not have")
            }
            ("claims", None, Some(claim)) => {
                format!("the manifest of `{tool}` says `{claim}`, which the lock does not have")
            }
            ("claims", before, _) => format!(
                "the lock says that the manifest of `{tool}` says `{}`, and it does not",
                before.as_deref().unwrap_or_default()
            ),
            ("asks", before, _) => format!(
                "the lock says that the manifest of `{tool}` asks for {}, and it does not",
                before.as_deref().unwrap_or_default()
            ),
            (what, before, after) => {
                let what = match what {
                    "path" => "folder",
                    "tool" => "own name",
                    "input" => "schema of the arguments",
                    "output" => "schema of the result",
                    what => what,
                };
                let said = |value: &Option<String>| match value {
                    Some(value) => value.clone(),
                    None => "found by its name".to_owned(),
                };
                format!("the {what} of `{tool}` is {}; its lock says {}", said(after), said(before))
            }
        }
    }

    /// The difference in a sentence, for who reads what a lock would be moved to.
    pub fn sentence(&self) -> String {
        let plain = |value: &Option<String>| value.clone().unwrap_or_else(|| "found by its name".to_owned());
        match (self.what, &self.before, &self.after) {
            ("tools", None, Some(pin)) => format!("is pinned: {pin}"),
            ("tools", _, _) => "is gone".to_owned(),
            ("asks", None, Some(ask)) => format!("widened: its manifest asks for {ask}"),
            ("asks", before, _) => {
                format!("narrowed: its manifest asks no longer for {}", before.as_deref().unwrap_or_default())
            }
            ("claims", None, Some(claim)) => format!("its manifest says {claim}"),
            ("claims", before, _) => {
                format!("its manifest no longer says {}", before.as_deref().unwrap_or_default())
            }
            ("manifest", before, after) => {
                format!("its manifest is another one: {} was {}", plain(after), plain(before))
            }
            ("input", before, after) => {
                format!("the schema of its arguments changed: {} was {}", plain(after), plain(before))
            }
            ("output", before, after) => {
                format!("the schema of its result changed: {} was {}", plain(after), plain(before))
            }
            ("path", before, after) => format!("its folder is {}, was {}", plain(after), plain(before)),
            ("tool", before, after) => format!("its own name is {}, was {}", plain(after), plain(before)),
            (what, before, after) => format!("its {what} is {}, was {}", plain(after), plain(before)),
        }
    }
}
