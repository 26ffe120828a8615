//! The source tree this very executable was built from: its policy and its tools come from the
//! same hands as the host itself, so whoever runs the one already trusts the others.

use std::path::{Path, PathBuf};

/// Where the workspace lay at compile time.
const BUILT_FROM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// What a nanohost source tree holds. A folder that merely has come to lie at the same path, after
/// the tree was moved away, has none of these.
const MARKS: [&str; 4] = [
    "host/nanohost/Cargo.toml",
    "host/nanohost-core/src/lib.rs",
    "guest-sdk/wit/world.wit",
    "tools/Cargo.toml",
];

/// The canonical path of the tree, where it still is one and belongs to somebody whose code runs
/// anyway.
pub(super) fn source_tree() -> Option<PathBuf> {
    recognise(Path::new(BUILT_FROM), std::env::current_exe().ok().as_deref())
}

fn recognise(tree: &Path, executable: Option<&Path>) -> Option<PathBuf> {
    let tree = tree.canonicalize().ok()?;
    let whole = MARKS.iter().all(|mark| tree.join(mark).is_file());
    let inside = executable
        .and_then(|path| path.canonicalize().ok())
        .is_some_and(|executable| executable.starts_with(&tree));
    (whole && (inside || belongs_to_us(&tree, executable))).then_some(tree)
}

/// A binary that was built elsewhere must not trust what another user of this machine put at the
/// path of its build: the tree has to belong to this user, to root, or to the executable's owner.
#[cfg(unix)]
fn belongs_to_us(tree: &Path, executable: Option<&Path>) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    let owner = |path: &Path| path.metadata().ok().map(|metadata| metadata.uid());
    let us = [Some(0), Some(rustix::process::geteuid().as_raw()), executable.and_then(owner)];
    owner(tree).is_some_and(|uid| us.contains(&Some(uid)))
}

/// Where files have no owner to compare, only the tree the executable lies in counts.
#[cfg(not(unix))]
fn belongs_to_us(_tree: &Path, _executable: Option<&Path>) -> bool {
    false
}

#[cfg(test)]
mod tests;
