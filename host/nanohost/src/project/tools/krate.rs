//! A tool's crate as far as building it goes: its name, its workspace and where its component
//! comes to lie. Follows Cargo's own rules for finding the workspace, without starting Cargo.

use std::path::{Component as Part, Path, PathBuf};

use nanohost_core::Diagnostic;
use toml::{Table, Value};

use super::depinfo;
use super::freshness::{self, Freshness};
use crate::failure::Failure;
use crate::project::read_source;

pub(super) const CARGO_TOML: &str = "Cargo.toml";

/// The only target of tools.
pub(in crate::project) const TARGET: &str = "wasm32-wasip2";

/// The crate of one tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CrateComponent {
    /// The canonical path of the crate.
    pub(crate) dir: PathBuf,
    /// The package's name, for `cargo -p`.
    pub(crate) package: String,
    /// The canonical path of its Cargo workspace: the crate itself, where it belongs to none.
    pub(crate) workspace: PathBuf,
    /// Where the component is after a build.
    pub(crate) artifact: PathBuf,
}

impl CrateComponent {
    /// Reads the crate in the canonical folder `dir`.
    pub(super) fn read(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join(CARGO_TOML);
        let cargo = read_table(&path)?;
        let name = |table: &str| cargo.get(table)?.get("name")?.as_str().map(str::to_owned);
        let Some(package) = name("package") else {
            return Err(invalid(&path, "it has no `package.name`"));
        };
        let library = name("lib").unwrap_or_else(|| package.replace('-', "_"));
        for name in [&package, &library] {
            if !is_crate_name(name) {
                return Err(invalid(&path, &format!("{name:?} is no name of a crate")));
            }
        }
        let workspace = workspace_of(dir, &cargo)?;
        let artifact = target_of(&workspace).join(TARGET).join("release").join(format!("{library}.wasm"));
        Ok(Self { dir: dir.to_owned(), package, workspace, artifact })
    }

    /// The folder that Cargo builds in.
    pub(crate) fn target_dir(&self) -> PathBuf {
        target_of(&self.workspace)
    }

    /// Where the component is after a build into another folder.
    pub(crate) fn artifact_in(&self, target: &Path) -> PathBuf {
        match self.artifact.strip_prefix(self.target_dir()) {
            Ok(inside) => target.join(inside),
            Err(_) => self.artifact.clone(),
        }
    }

    /// Whether the component is there and not older than its sources.
    pub(crate) fn freshness(&self) -> Freshness {
        freshness::judge(self)
    }

    /// The sources of the component, as the last build recorded them; `None` where it did not. What
    /// the build made itself, from those, is left out.
    pub(super) fn sources(&self) -> Option<Vec<PathBuf>> {
        let mut sources = depinfo::read(&self.artifact, &self.workspace)?;
        let target = self.target_dir();
        sources.retain(|source| !source.starts_with(&target));
        Some(sources)
    }

    /// The packages whose code goes into the component, as the last build recorded them: the crate
    /// itself, and those it depends on by path.
    pub(crate) fn packages(&self) -> Vec<PathBuf> {
        let sources = self.sources().unwrap_or_default();
        let mut packages = vec![self.dir.clone()];
        let mut seen = None;
        for folder in sources.iter().filter_map(|source| source.parent()) {
            // Sources come sorted: most share the folder of the one before.
            if seen == Some(folder) {
                continue;
            }
            seen = Some(folder);
            let package = folder.ancestors().find(|folder| folder.join(CARGO_TOML).is_file());
            let package =
                package.map(|package| package.canonicalize().unwrap_or_else(|_| package.to_owned()));
            packages.extend(package.filter(|package| !packages.contains(package)));
        }
        packages
    }
}

fn target_of(workspace: &Path) -> PathBuf {
    workspace.join("target")
}

/// The root of the workspace that `dir`, whose `Cargo.toml` is `cargo`, belongs to.
fn workspace_of(dir: &Path, cargo: &Table) -> anyhow::Result<PathBuf> {
    if cargo.contains_key("workspace") {
        return Ok(dir.to_owned());
    }
    if let Some(named) = cargo.get("package").and_then(|package| package.get("workspace")) {
        let root = named.as_str().and_then(|named| dir.join(named).canonicalize().ok());
        return root.ok_or_else(|| invalid(&dir.join(CARGO_TOML), "`package.workspace` leads nowhere"));
    }
    for above in dir.ancestors().skip(1) {
        let path = above.join(CARGO_TOML);
        if !path.is_file() {
            continue;
        }
        let root = read_table(&path)?;
        let Some(workspace) = root.get("workspace") else { continue };
        if !names(workspace, "exclude", above, dir) || names(workspace, "members", above, dir) {
            return Ok(above.to_owned());
        }
    }
    Ok(dir.to_owned())
}

/// Whether `dir` lies in one of the folders that the list `key` of a workspace at `root` names.
fn names(workspace: &Value, key: &str, root: &Path, dir: &Path) -> bool {
    let listed = workspace.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    listed.iter().filter_map(Value::as_str).any(|folder| dir.starts_with(normal(&root.join(folder))))
}

/// `path` without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut path, part| {
        match part {
            Part::CurDir => {}
            Part::ParentDir => {
                path.pop();
            }
            part => path.push(part),
        }
        path
    })
}

fn read_table(path: &Path) -> anyhow::Result<Table> {
    let source = read_source(path, "the crate's")?;
    source.text.parse().map_err(|error: toml::de::Error| {
        let finding = Diagnostic::error("invalid_crate", format!("{} is not TOML", path.display()));
        Failure::usage(match error.span() {
            Some(span) => finding.at(&source, span).label(error.message().to_owned()),
            None => finding.help(error.message().to_owned()),
        })
    })
}

fn invalid(path: &Path, why: &str) -> anyhow::Error {
    Failure::usage(
        Diagnostic::error("invalid_crate", format!("{} describes no crate: {why}", path.display()))
            .help("a tool's crate has a `[package]` with a `name`, and builds a `cdylib`"),
    )
}

/// The name becomes part of a path and an argument of a command.
fn is_crate_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

#[cfg(test)]
mod tests;
