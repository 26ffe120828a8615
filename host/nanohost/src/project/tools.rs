//! Where a tool lies and whether its component is there and current. Starts no process: a run with
//! everything built costs a few file look-ups per tool. Knows nothing of what manifests say.
//!
//! A tool is a folder with `manifest.toml` and either a Cargo crate, whose component nanohost
//! builds, or `component.wasm`, which came from elsewhere and is used as it is.

mod depinfo;
mod freshness;
mod krate;
mod signed;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nanohost_core::{Diagnostic, Source, ToolName};

pub(crate) use freshness::Freshness;
pub(super) use freshness::Stamp;
pub(crate) use krate::CrateComponent;
pub(super) use krate::TARGET;
pub(crate) use signed::{sbom, signature, signature_of};

use super::policy::folder_of;
use super::read::unreadable;
use super::read_source;
use crate::failure::Failure;
use crate::registry::Wanted;

/// What a tool folder's manifest is called.
pub(crate) const MANIFEST: &str = "manifest.toml";

/// The folder of a tool's cases, beside its manifest.
pub(crate) const CASES: &str = "tests";

/// What a component that was built elsewhere is called.
pub(crate) const PREBUILT: &str = "component.wasm";

/// The folder of tools that are found by their name.
const TOOLS: &str = "tools";

/// A tool's folder.
#[derive(Debug, Clone)]
pub(crate) struct ToolFolder {
    /// The canonical path.
    pub(crate) dir: PathBuf,
    /// The canonical path of the manifest.
    pub(crate) manifest_path: PathBuf,
    /// The manifest's text, read once.
    pub(crate) manifest: Arc<Source>,
    /// Where its component comes from.
    pub(crate) component: Component,
    /// The package that it is, which is then not removed while this lives.
    pub(crate) package: Option<Arc<Wanted>>,
}

/// Where a component comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Component {
    /// This file, as it is.
    Prebuilt(PathBuf),
    /// A crate, which may have to be built first.
    Crate(CrateComponent),
}

impl ToolFolder {
    /// The file of the component. Of a crate that was not built yet, where it will be.
    pub(crate) fn component_path(&self) -> &Path {
        match &self.component {
            Component::Prebuilt(path) => path,
            Component::Crate(krate) => &krate.artifact,
        }
    }

    /// Whether it has to be built first, and why.
    pub(crate) fn freshness(&self) -> Freshness {
        match &self.component {
            Component::Prebuilt(_) => Freshness::Fresh,
            Component::Crate(krate) => krate.freshness(),
        }
    }
}

/// The tool of a `path = "…"` row in the program at `program`.
///
/// # Errors
/// `unknown_tool` where no tool is there, `ambiguous_tool`, `missing_component`, `invalid_crate`,
/// `unreadable_file`, `not_utf8`; exit code 2.
pub(crate) fn by_path(program: &Path, path: &str) -> anyhow::Result<ToolFolder> {
    let dir = folder_of(program)?.join(path);
    open(&dir)?.ok_or_else(|| {
        Failure::usage(
            Diagnostic::error(
                "unknown_tool",
                format!("no tool is at {path:?}: {} is not there", dir.display()),
            )
            .help(format!("`path` leads from the program's folder to a folder with {MANIFEST}")),
        )
    })
}

/// The tool a program names without a row: the folder of that name, or of its kebab-case form, in
/// `tools`, by default the nearest `tools/` at or above the program's folder.
///
/// # Errors
/// As for [`by_path`].
pub(crate) fn by_name(tools: Option<&Path>, program: &Path, name: &ToolName) -> anyhow::Result<ToolFolder> {
    let unknown =
        |message: String, help: String| Failure::usage(Diagnostic::error("unknown_tool", message).help(help));
    let row = format!("give the program a row for it: [tools.{name}], path = \"…\"");
    let folder = match tools {
        Some(folder) => {
            folder.canonicalize().map_err(|error| unreadable(folder, "the folder of tools", &error))?
        }
        None => {
            let start = folder_of(program)?;
            start.ancestors().map(|folder| folder.join(TOOLS)).find(|folder| folder.is_dir()).ok_or_else(
                || {
                    unknown(
                        format!("tool `{name}` has no row in the program, and no `{TOOLS}/` is near it"),
                        format!("name the folder of tools with --tools, or {row}"),
                    )
                },
            )?
        }
    };
    let mut spellings = vec![name.to_string(), name.to_string().replace('_', "-")];
    spellings.dedup();
    let mut found = Vec::new();
    for spelling in spellings {
        found.extend(open(&folder.join(spelling))?);
    }
    if found.len() > 1 {
        return Err(ambiguous(
            format!("tool `{name}` is both {} and {}", found[0].dir.display(), found[1].dir.display()),
            row,
        ));
    }
    found.pop().ok_or_else(|| unknown(format!("no tool `{name}` is in {}", folder.display()), row))
}

/// The tool in the folder `dir`.
///
/// # Errors
/// As for [`by_path`].
pub(crate) fn in_folder(dir: &Path) -> anyhow::Result<ToolFolder> {
    open(dir)?.ok_or_else(|| {
        let message = format!("no tool is in {}: it is not there", dir.display());
        Failure::usage(Diagnostic::error("unknown_tool", message).help("check the path"))
    })
}

/// The tool at `dir`; `None` where there is no such folder.
fn open(dir: &Path) -> anyhow::Result<Option<ToolFolder>> {
    let dir = match dir.canonicalize() {
        Ok(dir) => dir,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(dir, "the tool's folder", &error)),
    };
    let manifest_path = dir.join(MANIFEST);
    let manifest = read_source(&manifest_path, "the tool's manifest")?;
    let (prebuilt, cargo) = (dir.join(PREBUILT), dir.join(krate::CARGO_TOML));
    let component = match (prebuilt.is_file(), cargo.is_file()) {
        (true, false) => Component::Prebuilt(prebuilt),
        (false, true) => Component::Crate(CrateComponent::read(&dir)?),
        (true, true) => {
            return Err(ambiguous(
                format!("{} holds both a crate and {PREBUILT}", dir.display()),
                "remove the one that is not the tool".to_owned(),
            ));
        }
        (false, false) => {
            return Err(Failure::usage(
                Diagnostic::error("missing_component", format!("{} holds no component", dir.display()))
                    .help(format!("put {PREBUILT} or a Cargo crate beside {MANIFEST}; of other sources `nanohost tool build` makes one")),
            ));
        }
    };
    Ok(Some(ToolFolder { manifest_path, manifest, component, package: None, dir }))
}

fn ambiguous(message: String, help: String) -> anyhow::Error {
    Failure::usage(Diagnostic::error("ambiguous_tool", message).help(help))
}

#[cfg(test)]
mod tests;
