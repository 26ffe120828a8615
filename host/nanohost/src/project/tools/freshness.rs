//! Whether a component is older than what it is made of, by times of change alone. Errs on the
//! side of building: Cargo looks closer, and does nothing in a twentieth of a second.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::krate::{CARGO_TOML, CrateComponent};
use super::{CASES, MANIFEST};
use crate::project::read::read_bounded;

/// How many files of a tool's folder are looked at. With more, every run asks Cargo: a folder into
/// which something unpacked a million files must not make runs slow.
const MAX_FILES: usize = 4096;

/// How deep folders are followed, for the same reason.
const MAX_DEPTH: usize = 32;

/// Files of a workspace's root that change what is built.
const OF_WORKSPACE: [&str; 5] =
    [CARGO_TOML, "Cargo.lock", ".cargo/config.toml", "rust-toolchain.toml", "rust-toolchain"];

/// Whether a component can be used as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// It can.
    Fresh,
    /// It was never built.
    Missing,
    /// This source is newer, or gone, or cannot be compared.
    Stale(PathBuf),
}

pub(super) fn judge(krate: &CrateComponent) -> Freshness {
    let Some(artifact) = changed(&krate.artifact) else { return Freshness::Missing };
    let current_until = Stamp::read(&krate.artifact)
        .filter(|stamp| stamp.artifact == artifact)
        .map_or(artifact, |stamp| stamp.started);
    let Some(sources) = krate.sources() else { return Freshness::Stale(krate.artifact.with_extension("d")) };
    let is_newer = |path: &Path| changed(path).is_none_or(|changed| changed > current_until);

    if let Some(newer) = sources.into_iter().find(|source| is_newer(source)) {
        return Freshness::Stale(newer);
    }
    let crates = krate.packages().into_iter().map(|package| package.join(CARGO_TOML));
    let workspace = OF_WORKSPACE.iter().map(|name| krate.workspace.join(name)).filter(|path| path.exists());
    if let Some(newer) = crates.chain(workspace).find(|path| is_newer(path)) {
        return Freshness::Stale(newer);
    }
    match newer_below(&krate.dir, &is_newer) {
        Some(newer) => Freshness::Stale(newer),
        None => Freshness::Fresh,
    }
}

/// The first file of the tool's folder that is newer. The manifest is no source of the component, and
/// neither are the cases beside it.
fn newer_below(dir: &Path, is_newer: &dyn Fn(&Path) -> bool) -> Option<PathBuf> {
    let mut folders = vec![(dir.to_owned(), 0)];
    let mut seen = 0;
    while let Some((folder, depth)) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { return Some(folder) };
        for entry in entries {
            let Ok(entry) = entry else { return Some(folder) };
            let name = entry.file_name();
            let outside = name == "target" || name.as_encoded_bytes().starts_with(b".");
            if outside || depth == 0 && (name == MANIFEST || name == CASES) {
                continue;
            }
            seen += 1;
            if seen > MAX_FILES {
                return Some(folder);
            }
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && depth < MAX_DEPTH => folders.push((path, depth + 1)),
                // A folder beyond the depth counts as newer.
                Ok(kind) if kind.is_dir() => return Some(path),
                _ if is_newer(&path) => return Some(path),
                _ => {}
            }
        }
    }
    None
}

/// When a build was started whose component then had a certain time of change. What was edited
/// while Cargo ran is older than the component and yet not in it; and where Cargo finds nothing to
/// do, the component keeps its old time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::project) struct Stamp {
    started: SystemTime,
    artifact: SystemTime,
}

impl Stamp {
    /// Records that `artifact` is what a build that was started at `started` made. One that cannot
    /// be written costs no more than asking Cargo again.
    pub(in crate::project) fn write(artifact: &Path, started: SystemTime) {
        let nanos = |time: SystemTime| time.duration_since(UNIX_EPOCH).ok().map(|age| age.as_nanos());
        let both = nanos(started).zip(changed(artifact).and_then(nanos));
        if let Some((started, artifact_time)) = both {
            let _ = fs::write(Self::path(artifact), format!("{started} {artifact_time}\n"));
        }
    }

    fn read(artifact: &Path) -> Option<Self> {
        let bytes = read_bounded(&Self::path(artifact), 256).ok()?;
        let (started, artifact) = std::str::from_utf8(&bytes).ok()?.trim_end().split_once(' ')?;
        let time = |text: &str| {
            let nanos: u64 = text.parse().ok()?;
            UNIX_EPOCH.checked_add(Duration::from_nanos(nanos))
        };
        Some(Self { started: time(started)?, artifact: time(artifact)? })
    }

    fn path(artifact: &Path) -> PathBuf {
        artifact.with_extension("stamp")
    }
}

/// When the file was last changed. `None`: it is gone, or nobody can say.
fn changed(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|metadata| metadata.modified()).ok()
}

#[cfg(test)]
mod tests;
