//! The files that decide what runs may do, which no grant may let a tool write. Knows nothing of
//! how grants are enforced.

use std::fs;
use std::path::{Path, PathBuf};

use nanohost_core::{Diagnostic, Diagnostics};

use super::policy::LOCAL;
use super::{Component, Places, ToolFolder, lock_path};
use crate::failure::{Exit, Failure};

/// Names of folders whose files make other programs run code, wherever they lie.
const CONTROL_FOLDERS: [&str; 2] = [".git", ".cargo"];

/// How many folders below a granted one are searched for [`CONTROL_FOLDERS`]. A net for mistakes of
/// the operator: files of this run are all held against the grant exactly, however deep they lie.
const MAX_SEARCHED: usize = 2048;

/// A folder that a tool may write in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WriteGrant<'a> {
    /// The tool, as the program names it.
    pub(crate) tool: &'a str,
    /// The folder on the host.
    pub(crate) host: &'a Path,
}

/// The files and folders of one run that no tool may write.
#[derive(Debug, Clone, Default)]
pub(crate) struct ControlPaths {
    /// What must not lie in a granted folder.
    files: Vec<(&'static str, PathBuf)>,
    /// Neither must this, nor may a granted folder lie in it.
    folders: Vec<(&'static str, PathBuf)>,
}

impl ControlPaths {
    /// Those of every run: the store, the configuration, the cache and the executable.
    pub(crate) fn new(places: &Places) -> Self {
        let mut paths = Self::default();
        paths.folder("the store", &places.store);
        paths.folder("the configuration and its keys", &places.config);
        if let Some(cache) = &places.cache {
            paths.folder("the cache of compiled code", cache);
        }
        if let Ok(executable) = std::env::current_exe() {
            paths.file("nanohost itself", &executable);
        }
        paths
    }

    /// Adds the program, and the lock beside it.
    pub(crate) fn program(&mut self, program: &Path) {
        self.file("the program", program);
        self.file("the program's lock", &lock_path(program));
    }

    /// Adds a policy, and the folder of policies where it lies in one.
    pub(crate) fn policy(&mut self, policy: &Path) {
        self.file("the policy", policy);
        if let Some(folder) = canonical(policy).parent().filter(|folder| folder.ends_with("policies")) {
            self.folder("the folder of policies", folder);
        }
    }

    /// Adds a tool: its folder, and everything its component is built from and into.
    pub(crate) fn tool(&mut self, tool: &ToolFolder) {
        self.folder("a tool's folder", &tool.dir);
        self.file("a tool's manifest", &tool.manifest_path);
        self.file("a tool's component", tool.component_path());
        if let Component::Crate(krate) = &tool.component {
            self.folder("a tool's build folder", &krate.target_dir());
            self.file("the workspace of a tool", &krate.workspace.join("Cargo.toml"));
            self.file("the lock of a tool", &krate.workspace.join("Cargo.lock"));
            for package in krate.packages() {
                self.folder("the sources of a tool", &package);
            }
        }
    }

    /// Adds a file: no granted folder may hold it.
    pub(crate) fn file(&mut self, what: &'static str, path: &Path) {
        self.files.push((what, canonical(path)));
    }

    /// Adds a folder: no granted folder may hold it or lie in it.
    pub(crate) fn folder(&mut self, what: &'static str, path: &Path) {
        self.folders.push((what, canonical(path)));
    }

    /// What a grant of writing in `host` would reach.
    fn reached(&self, host: &Path) -> Option<(&'static str, PathBuf)> {
        let holds = self.files.iter().chain(&self.folders).find(|(_, path)| path.starts_with(host));
        let lies_in = || self.folders.iter().find(|(_, folder)| host.starts_with(folder));
        holds.or_else(lies_in).cloned().or_else(|| control_folder_above(host)).or_else(|| {
            let policy = host.join(LOCAL);
            policy.exists().then_some(("a policy", policy)).or_else(|| control_folder_below(host))
        })
    }
}

/// Refuses grants that would let a tool write what decides about tools.
///
/// # Errors
/// `grant_covers_control_files` for each such grant; exit code 3.
pub(crate) fn check_write_grants(grants: &[WriteGrant<'_>], control: &ControlPaths) -> Result<(), Failure> {
    let mut findings = Diagnostics::new();
    for grant in grants {
        let host = canonical(grant.host);
        if let Some((what, path)) = control.reached(&host) {
            let message = format!(
                "`{}` may not write in {}: that reaches {what}, {}",
                grant.tool,
                grant.host.display(),
                path.display()
            );
            let help = "grant a folder that holds nothing but the tool's own output";
            findings.push(Diagnostic::error("grant_covers_control_files", message).help(help));
        }
    }
    if findings.is_empty() { Ok(()) } else { Err(Failure { exit: Exit::Denied, findings }) }
}

fn control_folder_above(host: &Path) -> Option<(&'static str, PathBuf)> {
    let is_control = |folder: &&Path| CONTROL_FOLDERS.iter().any(|name| folder.ends_with(name));
    host.ancestors().find(is_control).map(|folder| ("a control folder", folder.to_owned()))
}

fn control_folder_below(host: &Path) -> Option<(&'static str, PathBuf)> {
    // Level by level, so that the bound leaves out the deepest, and no link is followed.
    let mut folders = std::collections::VecDeque::from([host.to_owned()]);
    for _ in 0..MAX_SEARCHED {
        let folder = folders.pop_front()?;
        for name in CONTROL_FOLDERS {
            let path = folder.join(name);
            if path.symlink_metadata().is_ok() {
                return Some(("a control folder", path));
            }
        }
        let below = fs::read_dir(&folder).into_iter().flatten().flatten();
        let below = below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders.extend(below.map(|entry| entry.path()).take(MAX_SEARCHED));
    }
    None
}

/// The canonical path. Of what is not there yet, that of the nearest folder above that is, with
/// the rest as written.
fn canonical(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for above in absolute.ancestors() {
        if let (Ok(real), Ok(rest)) = (above.canonicalize(), absolute.strip_prefix(above)) {
            // Joining nothing would add a separator at the end.
            return if rest.as_os_str().is_empty() { real } else { real.join(rest) };
        }
    }
    absolute
}

#[cfg(test)]
mod tests;
