//! Granted folders, as they were opened; of a replay, their names alone. Knows no file in them.

use std::path::PathBuf;
use std::sync::Arc;

use nanohost_core::{Access, Folder, FolderGrant};
use wasmtime_wasi::filesystem::Dir;
use wasmtime_wasi::{FsPerms, OpenMode};

/// A granted folder, opened: what the grant named at admission is what every call gets, whatever
/// stands at that path later.
#[derive(Clone)]
pub(crate) struct OpenFolder {
    pub(super) guest: Arc<str>,
    /// `None` in a replay.
    pub(super) dir: Option<Dir>,
    pub(crate) real: RealFolder,
}

/// Where a granted folder, as it was opened, really lies: whoever judges a grant by its place on
/// the disk judges this, since the path it was opened by may lead elsewhere by now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealFolder {
    /// The path inside the guest.
    pub guest: String,
    /// What may be done below it.
    pub access: Access,
    /// The path without links of the folder that the guest gets.
    pub path: PathBuf,
}

/// A granted folder that cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the folder {host:?}, granted as {guest:?}, cannot be opened: {reason}")]
pub struct FolderError {
    /// The path inside the guest.
    pub guest: String,
    /// The path on the host.
    pub host: String,
    /// What the system says.
    pub reason: String,
}

impl OpenFolder {
    pub(crate) fn open(grant: &FolderGrant) -> std::result::Result<Self, FolderError> {
        let failed = |error: std::io::Error| FolderError {
            guest: grant.folder.guest.clone(),
            host: grant.host.clone(),
            reason: error.to_string(),
        };
        let dir =
            cap_std::fs::Dir::open_ambient_dir(&grant.host, cap_std::ambient_authority()).map_err(failed)?;
        let dir = dir.into_std_file();
        let real = RealFolder {
            guest: grant.folder.guest.clone(),
            access: grant.folder.access,
            path: real_path(&dir, &grant.host).map_err(failed)?,
        };
        let (perms, mode) = match grant.folder.access {
            Access::Read => (FsPerms::ReadOnly, OpenMode::READ),
            Access::Write => (FsPerms::ReadWrite, OpenMode::READ | OpenMode::WRITE),
        };
        // Never on the current thread: a slow disk must not hold up the deadline of the call.
        let dir = Dir::new(dir, perms, mode, false);
        Ok(Self { guest: grant.folder.guest.as_str().into(), dir: Some(dir), real })
    }

    /// A folder that is not there, and of which a record tells.
    pub(crate) fn recorded(grant: &FolderGrant) -> Self {
        let Folder { guest, access } = &grant.folder;
        let real = RealFolder { guest: guest.clone(), access: *access, path: PathBuf::new() };
        Self { guest: guest.as_str().into(), dir: None, real }
    }
}

/// The path of an open folder: the handle's own on Linux, elsewhere that of the name it was opened by.
#[cfg(target_os = "linux")]
fn real_path(dir: &std::fs::File, _host: &str) -> std::io::Result<PathBuf> {
    use std::os::fd::AsRawFd as _;
    std::fs::read_link(format!("/proc/self/fd/{}", dir.as_raw_fd()))
}

/// The path of an open folder: the handle's own on Linux, elsewhere that of the name it was opened by.
#[cfg(not(target_os = "linux"))]
fn real_path(_dir: &std::fs::File, host: &str) -> std::io::Result<PathBuf> {
    std::fs::canonicalize(host)
}
