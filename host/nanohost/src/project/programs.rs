//! Which files of a folder are programs: those that say `steps`. Knows nothing of what they do.

use std::fs;
use std::path::{Path, PathBuf};

use nanohost_core::{Diagnostic, Format};

use super::policy::LOCAL;
use super::read::{read_bounded, unreadable};
use crate::failure::Failure;

/// No longer file is looked into, bytes: programs are written by people.
const MAX_PROGRAM: u64 = 4 << 20;

/// Folders below folders are looked into this deep: a link cannot lead round and round, but a
/// mounted one can.
const MAX_DEPTH: usize = 12;

/// A folder of more files is no project: naming it was a mistake.
const MAX_FILES: usize = 100_000;

/// Folders that hold what others wrote or what was built.
const PASSED_BY: [&str; 2] = ["target", "node_modules"];

/// The programs that a policy is for: those of `programs/` and `examples/` of its project, else of
/// all of the project. The project of `policies/local.toml` is the folder above `policies`, that of
/// another policy the folder it lies in.
///
/// # Errors
/// `unreadable_file` for a folder that cannot be read, `too_many_files`; exit code 2.
pub(crate) fn programs_beside(policy: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let policy = policy.canonicalize().map_err(|error| unreadable(policy, "the policy", &error))?;
    let local = policy.ends_with(LOCAL);
    let folder = policy.ancestors().nth(if local { 2 } else { 1 }).unwrap_or(Path::new("/"));
    let named: Vec<PathBuf> =
        ["programs", "examples"].iter().map(|name| folder.join(name)).filter(|path| path.is_dir()).collect();
    if named.is_empty() { programs_in(&[folder.to_owned()]) } else { programs_in(&named) }
}

/// Every program among `paths`: files as they are, and what is a program in folders and below
/// them. Sorted. Links, hidden folders and those of products are passed by.
///
/// # Errors
/// `unreadable_file` for a path that cannot be read, `too_many_files`; exit code 2.
pub(crate) fn programs_in(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    found_in(paths, "the programs", &is_program)
}

/// Every file whose name ends in `end`, in the same way.
///
/// # Errors
/// As [`programs_in`].
pub(crate) fn files_in(paths: &[PathBuf], end: &str) -> anyhow::Result<Vec<PathBuf>> {
    found_in(paths, "the files", &|path| path.as_os_str().as_encoded_bytes().ends_with(end.as_bytes()))
}

fn found_in(paths: &[PathBuf], what: &str, wanted: &dyn Fn(&Path) -> bool) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut seen = 0_usize;
    for path in paths {
        let metadata = path.metadata().map_err(|error| unreadable(path, what, &error))?;
        if !metadata.is_dir() {
            found.push(path.clone());
            continue;
        }
        let mut folders = vec![(path.clone(), 0)];
        while let Some((folder, depth)) = folders.pop() {
            let entries = fs::read_dir(&folder).map_err(|error| unreadable(&folder, "the folder", &error))?;
            for entry in entries {
                let entry = entry.map_err(|error| unreadable(&folder, "the folder", &error))?;
                seen += 1;
                if seen > MAX_FILES {
                    let message = format!("{} holds more than {MAX_FILES} files", path.display());
                    return Err(Failure::usage(
                        Diagnostic::error("too_many_files", message).help("name the folder of the programs"),
                    ));
                }
                let (name, path) = (entry.file_name(), entry.path());
                let hidden = name.as_encoded_bytes().starts_with(b".");
                let kind = entry.file_type().map_err(|error| unreadable(&path, "the folder", &error))?;
                if kind.is_dir() && !hidden && depth < MAX_DEPTH {
                    if !PASSED_BY.iter().any(|own| name == *own) {
                        folders.push((path, depth + 1));
                    }
                } else if kind.is_file() && !hidden && wanted(&path) {
                    found.push(path);
                }
            }
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Whether a file says `steps`. What it is otherwise, is found when it is read.
fn is_program(path: &Path) -> bool {
    let written = path.extension().is_some_and(|own| own == "toml" || own == "json");
    let text = written.then(|| read_bounded(path, MAX_PROGRAM).ok()).flatten();
    let Some(text) = text.and_then(|bytes| String::from_utf8(bytes).ok()) else { return false };
    match Format::of_name(&path.display().to_string()) {
        Format::Toml => text
            .parse::<toml::Table>()
            .is_ok_and(|table| table.get("steps").is_some_and(toml::Value::is_array)),
        Format::Json => serde_json::from_str::<serde_json::Value>(&text)
            .is_ok_and(|document| document["steps"].is_array()),
    }
}

#[cfg(test)]
mod tests;
