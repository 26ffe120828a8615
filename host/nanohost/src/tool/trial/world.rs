//! The world of one trial: copies of folders, variables, key-value entries. Gone with it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use nanohost_core::cases::ToolCase;
use nanohost_core::{Capability, Diagnostic, Manifest};
use nanohost_sandbox::KvView;
use tempfile::TempDir;

use super::entries::Entries;
use crate::failure::Failure;

/// Files of one case's folders. Each is copied for each trial: a link to `/` must not be.
const MAX_FILES: usize = 10_000;

/// Bytes of them, for the same reason.
const MAX_BYTES: u64 = 256 << 20;

/// What surrounds one call.
pub struct World {
    _scratch: TempDir,
    /// Guest folder → the folder of this trial behind it.
    folders: BTreeMap<String, PathBuf>,
    env: BTreeMap<String, String>,
    kv: Entries,
}

impl World {
    /// With copies of what the case names; a folder that the manifest asks for and the case does not name
    /// is empty.
    ///
    /// # Errors
    /// `case_grant_unasked` where the case gives what the manifest does not ask for, `case_folder` where a
    /// folder is not there, too much, or not beside the cases.
    pub fn new(manifest: &Manifest, case: &ToolCase, from: &Path) -> anyhow::Result<Self> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |error: std::io::Error| Failure::io("case_folder", "copy for a test", &path, &error)
        };
        let scratch = tempfile::tempdir().map_err(io(&std::env::temp_dir()))?;
        // Where it really lies: a grant's folder is judged by that.
        let root = scratch.path().canonicalize().map_err(io(scratch.path()))?;
        let mut folders = BTreeMap::new();
        let mut room = (MAX_FILES, MAX_BYTES);
        let (mut variables, mut namespaces) = (Vec::new(), Vec::new());
        for ask in manifest.asks() {
            match &ask.capability {
                Capability::Filesystem(folder) => {
                    let host = root.join(folders.len().to_string());
                    fs::create_dir(&host).map_err(io(&host))?;
                    if let Some(given) = case.folders.get(&folder.guest) {
                        let given = beside(from, Path::new(given))?;
                        copy(&given, &host, &mut room).map_err(io(&given))?;
                    }
                    folders.insert(folder.guest.clone(), host);
                }
                Capability::Env(name) => variables.push(name.as_str()),
                Capability::Kv(name) => namespaces.push(name.as_str()),
                _ => {}
            }
        }
        let unasked = case
            .folders
            .keys()
            .find(|guest| !folders.contains_key(*guest))
            .map(|guest| format!("the folder {guest}"))
            .or_else(|| {
                let variable = case.env.keys().find(|name| !variables.contains(&name.as_str()));
                variable.map(|name| format!("the variable {name}"))
            })
            .or_else(|| {
                let mut named = case.kv.keys().chain(case.kv_after.keys());
                let namespace = named.find(|name| !namespaces.contains(&name.as_str()));
                namespace.map(|name| format!("the namespace {name}"))
            });
        match unasked {
            Some(what) => Err(Failure::usage(
                Diagnostic::error(
                    "case_grant_unasked",
                    format!(
                        "the case gives the tool {}, which its manifest does not ask for",
                        what.escape_debug()
                    ),
                )
                .help("ask for it in the manifest, or leave it out of the case"),
            )),
            None => Ok(Self { _scratch: scratch, folders, env: case.env.clone(), kv: Entries::of(&case.kv) }),
        }
    }

    /// Guest folder → the folder behind it.
    pub fn folders(&self) -> &BTreeMap<String, PathBuf> {
        &self.folders
    }

    /// The value of a variable; one that the case does not name is empty.
    pub fn variable(&self, name: &str) -> &str {
        self.env.get(name).map_or("", String::as_str)
    }

    /// What the namespaces hold before the call.
    pub fn entries(&self) -> &Entries {
        &self.kv
    }

    /// The same, as the sandbox asks for it.
    pub fn kv(&self) -> Arc<dyn KvView> {
        Arc::new(self.kv.clone())
    }

    /// What the file behind a guest's path holds, by the folder that names it most closely; `None` where no
    /// folder does.
    ///
    /// # Errors
    /// Where it is no file of that folder: neither a path of a case nor a link that a tool brought along
    /// leads the host elsewhere.
    pub fn read(&self, guest: &str) -> Option<std::io::Result<Vec<u8>>> {
        let guest = Path::new(guest);
        let (folder, host) = self
            .folders
            .iter()
            .filter(|(folder, _)| guest.starts_with(folder))
            .max_by_key(|(folder, _)| folder.len())?;
        Some(Self::read_below(host, guest.strip_prefix(folder).ok()?))
    }

    fn read_below(host: &Path, rest: &Path) -> std::io::Result<Vec<u8>> {
        use std::io::{Error, ErrorKind};
        // The guest has ended, and the folder is this process's own: nothing changes between the two.
        let path = host.join(rest).canonicalize()?;
        if !is_plain(rest) || !path.starts_with(host) {
            return Err(Error::new(ErrorKind::PermissionDenied, "it leads out of the tool's folder"));
        }
        let metadata = fs::metadata(&path)?;
        if !metadata.is_file() || metadata.len() > MAX_BYTES {
            return Err(Error::new(ErrorKind::InvalidInput, "it is no file, or too large"));
        }
        fs::read(path)
    }
}

/// A path of names alone: not from a root, and not up.
fn is_plain(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

/// A folder that a case names, which lies beside the cases or below. Whoever tries a stranger's tool does
/// not hand it the folders of this machine by that.
fn beside(from: &Path, given: &Path) -> anyhow::Result<PathBuf> {
    let from = if from.as_os_str().is_empty() { Path::new(".") } else { from };
    let path = from.join(given);
    let really = |path: &Path| {
        path.canonicalize().map_err(|error| Failure::io("case_folder", "copy for a test", path, &error))
    };
    let real = really(&path)?;
    if !is_plain(given) || !real.starts_with(really(from)?) {
        let message = format!(
            "the case gives the tool {}, which does not lie beside the cases",
            path.display().to_string().escape_debug()
        );
        return Err(Failure::usage(
            Diagnostic::error("case_folder", message)
                .help("put what the tool is to find into a folder beside the cases, and name that"),
        ));
    }
    Ok(real)
}

/// Copies a folder, links as what they are.
fn copy(from: &Path, to: &Path, room: &mut (usize, u64)) -> std::io::Result<()> {
    let too_much =
        || std::io::Error::new(std::io::ErrorKind::FileTooLarge, "it holds more than a test is given");
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        room.0 = room.0.checked_sub(1).ok_or_else(too_much)?;
        if kind.is_dir() {
            fs::create_dir(&target)?;
            copy(&entry.path(), &target, room)?;
        } else if kind.is_symlink() {
            #[cfg(unix)]
            std::os::unix::fs::symlink(fs::read_link(entry.path())?, target)?;
        } else if !kind.is_file() {
            // A pipe or a device would be read for ever.
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "it holds what is no file"));
        } else {
            room.1 = room.1.checked_sub(entry.metadata()?.len()).ok_or_else(too_much)?;
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
