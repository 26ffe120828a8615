//! What stands in a component's file beside what runs: its size in parts, who made it with what, its
//! custom sections, and the list of dependencies that `cargo auditable` leaves. All of it is its
//! maker's word. Reads sections, compiles nothing, and knows no import.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use wasmparser::{Encoding, KnownCustom, Parser, Payload};

/// The section that `cargo auditable` writes.
const DEPENDENCIES: &str = ".dep-v0";

/// Sections of a file can be as many as it has bytes, and each is shown to a person.
const MAX_SECTIONS: usize = 256;

/// Names and versions that a producers section may hold, for the same reason.
const MAX_PRODUCERS: usize = 256;

/// Bytes of a name or a version that are kept.
const MAX_NAME: usize = 128;

/// A list of dependencies unpacked, bytes: a few bytes of zlib can become gigabytes.
const MAX_DEPENDENCIES: usize = 8 << 20;

/// What stands in a component's file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Anatomy {
    /// Core modules inside.
    pub modules: u64,
    /// Components inside, the outermost apart.
    pub components: u64,
    /// Functions of all modules.
    pub functions: u64,
    /// Bytes of code.
    pub code: u64,
    /// Bytes of data.
    pub data: u64,
    /// Custom sections by name: how many, and their bytes.
    pub custom: BTreeMap<String, (u64, u64)>,
    /// Who says to have made it: `(field, name, version)`, such as `("language", "Rust", "")`.
    pub producers: BTreeSet<(String, String, String)>,
    /// What it says to be made of.
    pub dependencies: Dependencies,
}

/// The embedded list of dependencies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Dependencies {
    /// There is none.
    #[default]
    None,
    /// There is a section of that name, and it is no such list.
    Unreadable(String),
    /// The packages, by name and version.
    Listed(Vec<Dependency>),
}

/// A package that went into a component.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dependency {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `crates.io`, `git`, `local`, `registry`, or another word.
    pub source: String,
    /// Whether it only helped to build.
    pub build: bool,
    /// Whether it is the package that was built.
    pub root: bool,
}

/// A file that is no WebAssembly, or ends too early.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not WebAssembly: {0}")]
pub struct NotWebAssembly(String);

impl Anatomy {
    /// Reads through the sections of a file.
    ///
    /// # Errors
    /// Where they are none.
    pub fn of(bytes: &[u8]) -> Result<Self, NotWebAssembly> {
        let mut found = Self::default();
        let mut listed = Vec::new();
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload.map_err(|error| {
                NotWebAssembly(format!("{} at byte {}", error.message().escape_debug(), error.offset()))
            })?;
            match payload {
                Payload::Version { encoding: Encoding::Module, .. } => found.modules += 1,
                Payload::Version { encoding: Encoding::Component, range, .. } if range.start > 0 => {
                    found.components += 1;
                }
                Payload::CodeSectionStart { count, range, .. } => {
                    found.functions += u64::from(count);
                    found.code += range.len() as u64;
                }
                Payload::DataSection(section) => found.data += section.range().len() as u64,
                Payload::CustomSection(section) => {
                    let name = kept(section.name());
                    if found.custom.len() < MAX_SECTIONS || found.custom.contains_key(&name) {
                        let (count, size) = found.custom.entry(name).or_default();
                        *count += 1;
                        *size += section.data().len() as u64;
                    }
                    if section.name() == DEPENDENCIES {
                        listed.push(section.data());
                    } else if let KnownCustom::Producers(producers) = section.as_known() {
                        found.add_producers(producers);
                    }
                }
                _ => {}
            }
        }
        found.dependencies = match listed.as_slice() {
            [] => Dependencies::None,
            [one] => dependencies(one).map_or_else(Dependencies::Unreadable, Dependencies::Listed),
            several => Dependencies::Unreadable(format!("there are {} lists", several.len())),
        };
        Ok(found)
    }

    /// One that is no such section says nothing.
    fn add_producers(&mut self, section: wasmparser::ProducersSectionReader<'_>) {
        for field in section.into_iter().flatten() {
            for value in field.values.into_iter().flatten() {
                if self.producers.len() < MAX_PRODUCERS {
                    self.producers.insert((kept(field.name), kept(value.name), kept(value.version)));
                }
            }
        }
    }
}

/// As much of a text as is shown.
fn kept(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_NAME)].to_owned()
}

/// The packages of a section, sorted.
fn dependencies(section: &[u8]) -> Result<Vec<Dependency>, String> {
    let json = miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(section, MAX_DEPENDENCIES)
        .map_err(|error| format!("it does not unpack: {:?}", error.status))?;
    let listed: Listed =
        serde_json::from_slice(&json).map_err(|error| format!("it is no list of packages: {error}"))?;
    let mut packages: Vec<Dependency> = listed
        .packages
        .into_iter()
        .map(|package| Dependency {
            name: kept(&package.name),
            version: kept(&package.version),
            source: kept(&package.source),
            build: package.kind.as_deref() == Some("build"),
            root: package.root,
        })
        .collect();
    packages.sort();
    Ok(packages)
}

/// The list as JSON. What later versions of the format add is passed over: it is told, and decides nothing.
#[derive(Deserialize)]
struct Listed {
    packages: Vec<Package>,
}

/// One package of it.
#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    source: String,
    kind: Option<String>,
    #[serde(default)]
    root: bool,
}

#[cfg(test)]
mod tests;
