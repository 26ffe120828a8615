//! What a component is made of, as a CycloneDX list in JSON: of the list that its compiler embedded, else of
//! what Cargo resolves for its sources. Holds no time and no serial number: the same parts, the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use nanohost_core::{Diagnostic, Manifest};
use nanohost_sandbox::{Anatomy, Dependencies};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::project::{self, Component, ToolFolder};

/// The version of the form that is written.
const SPEC: &str = "1.5";

/// One part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    name: String,
    version: String,
    /// Whether it lies on crates.io, where others find it by name and version.
    public: bool,
}

/// The list of parts of a tool, as the bytes of its file; `None` where nobody knows them.
///
/// # Errors
/// Where Cargo does not say.
pub fn list(
    manifest: &Manifest,
    anatomy: &Anatomy,
    folder: Option<&ToolFolder>,
) -> anyhow::Result<Option<Vec<u8>>> {
    let parts = match (&anatomy.dependencies, folder.map(|folder| &folder.component)) {
        (Dependencies::Listed(all), _) => {
            let parts = all.iter().filter(|own| !own.root && !own.build);
            let part = |own: &nanohost_sandbox::Dependency| Part {
                name: own.name.clone(),
                version: own.version.clone(),
                public: own.source == "crates.io",
            };
            parts.map(part).collect()
        }
        (_, Some(Component::Crate(krate))) => {
            let unread = || {
                let message = format!("cargo says of `{}` what nobody can read", krate.package);
                Failure::usage(Diagnostic::error("build_failed", message).help("look whether cargo is whole"))
            };
            let metadata: Metadata =
                serde_json::from_slice(&project::metadata(krate)?).map_err(|_| unread())?;
            metadata.parts(&krate.package, &krate.dir).ok_or_else(unread)?
        }
        _ => return Ok(None),
    };
    let document = document(manifest, &parts);
    Ok(Some(format!("{document:#}\n").into_bytes()))
}

fn document(manifest: &Manifest, parts: &BTreeSet<Part>) -> Value {
    let component = |part: &Part| {
        let mut own = json!({
            "type": "library",
            "bom-ref": format!("{}@{}", part.name, part.version),
            "name": part.name,
            "version": part.version,
        });
        if part.public {
            // A `+` would be read as a space: package URLs want it escaped.
            let version = part.version.replace('+', "%2B");
            own["purl"] = json!(format!("pkg:cargo/{}@{version}", part.name));
        }
        own
    };
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": format!("tool:{}", manifest.name()),
                "name": manifest.name(),
                "version": manifest.version(),
            },
        },
        "components": parts.iter().map(component).collect::<Vec<_>>(),
    })
}

/// What is read of `cargo metadata`.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Option<Resolve>,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    source: Option<String>,
    manifest_path: std::path::PathBuf,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dep>,
}

#[derive(Deserialize)]
struct Dep {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    /// `null`: it goes into the component; `build` and `dev` do not.
    kind: Option<String>,
}

impl Metadata {
    /// All that goes into the package, itself not counted.
    fn parts(&self, name: &str, dir: &std::path::Path) -> Option<BTreeSet<Part>> {
        let packages: BTreeMap<&str, &Package> =
            self.packages.iter().map(|package| (package.id.as_str(), package)).collect();
        let nodes: BTreeMap<&str, &Node> =
            self.resolve.as_ref()?.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
        let is_root =
            |package: &&Package| package.name == name && package.manifest_path.parent() == Some(dir);
        let root = self.packages.iter().find(is_root)?;
        let mut due = vec![root.id.as_str()];
        let mut seen: BTreeSet<&str> = due.iter().copied().collect();
        while let Some(id) = due.pop() {
            for dep in &nodes.get(id)?.deps {
                if dep.dep_kinds.iter().any(|kind| kind.kind.is_none()) && seen.insert(&dep.pkg) {
                    due.push(&dep.pkg);
                }
            }
        }
        let others = seen.into_iter().filter(|id| *id != root.id);
        others
            .map(|id| {
                let package = packages.get(id)?;
                let public = package.source.as_deref().is_some_and(|source| {
                    source.contains("crates.io-index") || source.contains("index.crates.io")
                });
                Some(Part { name: package.name.clone(), version: package.version.clone(), public })
            })
            .collect()
    }
}
