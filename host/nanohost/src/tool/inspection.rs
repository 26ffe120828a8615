//! What is told of a tool to a person who has to judge it. Gathers, and decides nothing.

use nanohost_core::{Import, ToolExport};

use super::Package;
use super::authority::{Authority, Because};

/// A package with what follows from it.
pub struct Inspection<'p> {
    /// What was read.
    pub package: &'p Package,
    /// Its authority in sentences.
    pub authority: Authority,
    /// Every import, and what becomes of it.
    pub imports: Vec<(&'p Import, Because)>,
    /// Functions of the manifest that the component does not export.
    pub missing: Vec<&'p str>,
    /// Whether the manifest is for another component than this one.
    pub pinned_elsewhere: bool,
}

impl<'p> Inspection<'p> {
    /// Of a package.
    pub fn of(package: &'p Package) -> Self {
        let (facts, manifest) = (package.loaded.facts(), package.manifest.as_ref());
        let imports = facts.imports.iter().map(|import| (import, Because::of(import, manifest)));
        let exported = |name: &str| facts.exports.iter().any(|export| export.function == name);
        let named = manifest.into_iter().flat_map(|manifest| manifest.functions().keys());
        Self {
            package,
            authority: Authority::of(facts, manifest),
            imports: imports.collect(),
            missing: named.map(String::as_str).filter(|name| !exported(name)).collect(),
            pinned_elsewhere: manifest
                .and_then(|manifest| manifest.component())
                .is_some_and(|pin| pin.value != facts.component),
        }
    }

    /// The functions that can be called.
    pub fn functions(&self) -> &'p [ToolExport] {
        &self.package.loaded.facts().exports
    }

    /// Why no policy makes it run as it is; empty: nothing stands in its way but grants.
    pub fn refusals(&self) -> Vec<String> {
        let mut all = Vec::new();
        if self.package.manifest.is_none() {
            all.push("it has no manifest: nobody says what it asks for".to_owned());
        } else {
            let refused = self.imports.iter().filter(|(_, because)| because.refuses());
            all.extend(refused.map(|(import, because)| format!("{}: {}", import.name, because.says())));
        }
        let missing = self.missing.iter();
        all.extend(
            missing.map(|name| format!("the manifest speaks of a function {name}, which is not exported")),
        );
        if self.pinned_elsewhere {
            all.push("the manifest is for another component".to_owned());
        }
        if self.functions().is_empty() {
            all.push("it exports no function that can be called".to_owned());
        }
        all
    }
}

#[cfg(test)]
mod tests;
