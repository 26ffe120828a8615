//! `wasi:filesystem` below the granted folders: wasmtime's implementation, behind a wrapper that
//! records what is used and what is refused, and that gives the same answers on every host
//! (listings sorted, times absent).

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use nanohost_core::{Access, Class, FolderGrant};
use wasmtime::Result;
use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::filesystem::{Descriptor, Dir, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::filesystem::preopens;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    self, Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, DirectoryEntryStream,
    ErrorCode, Filesize, HostDescriptor, HostDirectoryEntryStream, MetadataHashValue, NewTimestamp,
    OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, FsError, FsResult, InputStream, OutputStream, Pollable, StreamResult,
};
use wasmtime_wasi::{FsPerms, OpenMode, async_trait};

use crate::record::Recorder;
use crate::state::State;

/// Entries of one listing; they are held in memory to be sorted.
const MAX_ENTRIES: usize = 100_000;

/// Bytes kept of a path that a descriptor was opened by, for the record only.
const MAX_PATH: usize = 1024;

/// A granted folder, opened: what the grant named at admission is what every call gets, whatever
/// stands at that path later.
#[derive(Clone)]
pub(crate) struct OpenFolder {
    guest: Arc<str>,
    dir: Dir,
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
        Ok(Self { guest: grant.folder.guest.as_str().into(), dir, real })
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

/// The folders of one call.
pub(crate) struct Files {
    folders: Arc<[OpenFolder]>,
    /// Where each descriptor of the guest came from.
    origins: HashMap<u32, Origin>,
    /// What is left of each listing.
    listings: HashMap<u32, VecDeque<DirectoryEntry>>,
    pub(crate) recorder: Recorder,
}

/// A descriptor's granted folder and its path as the guest would write it.
#[derive(Clone)]
struct Origin {
    root: Arc<str>,
    path: String,
}

impl Files {
    pub(crate) fn new(folders: Arc<[OpenFolder]>, recorder: Recorder) -> Self {
        Self { folders, origins: HashMap::new(), listings: HashMap::new(), recorder }
    }
}

/// Adds the interfaces, where any folder is granted.
pub(crate) fn link(linker: &mut Linker<State>, folders: &[OpenFolder]) -> Result<()> {
    if folders.is_empty() {
        return Ok(());
    }
    types::add_to_linker::<State, Filesystem>(linker, view)?;
    preopens::add_to_linker::<State, Filesystem>(linker, view)
}

struct Filesystem;

impl HasData for Filesystem {
    type Data<'a> = View<'a>;
}

struct View<'a> {
    wasi: WasiFilesystemCtxView<'a>,
    files: &'a mut Files,
}

fn view(state: &mut State) -> View<'_> {
    View {
        wasi: WasiFilesystemCtxView { ctx: state.wasi.filesystem(), table: &mut state.table },
        files: &mut state.files,
    }
}

/// The host's own words for what a guest wanted to do.
type Operation = &'static str;

impl View<'_> {
    fn origin(&self, fd: &Resource<Descriptor>) -> Option<Origin> {
        self.files.origins.get(&fd.rep()).cloned()
    }

    /// Records one operation on a descriptor, or on a path below it, by its result.
    fn seen<T>(
        &self,
        origin: Option<&Origin>,
        operation: Operation,
        path: Option<&str>,
        result: FsResult<T>,
    ) -> FsResult<T> {
        let Some(origin) = origin else { return result };
        match &result {
            Err(error) if refused(error) => {
                let value = path.map_or_else(|| origin.path.clone(), |path| origin.join(path));
                self.files.recorder.denied(Class::Filesystem, operation, &value);
            }
            _ => self.files.recorder.operation(Class::Filesystem, &origin.root),
        }
        result
    }

    /// Opening a pipe or a device can block for ever, or do things that are not reading a file.
    async fn refuse_special(
        &mut self,
        fd: &Resource<Descriptor>,
        flags: PathFlags,
        path: &str,
    ) -> FsResult<()> {
        match self.wasi.stat_at(borrow(fd), flags, path.to_owned()).await {
            Ok(stat) => match stat.type_ {
                DescriptorType::RegularFile | DescriptorType::Directory | DescriptorType::SymbolicLink => {
                    Ok(())
                }
                _ => Err(ErrorCode::NotPermitted.into()),
            },
            // What is not there may be created; any other error comes again from opening.
            Err(_) => Ok(()),
        }
    }

    fn wrap_output(
        &mut self,
        stream: Resource<DynOutputStream>,
        origin: Option<Origin>,
    ) -> FsResult<Resource<DynOutputStream>> {
        let Some(origin) = origin else { return Ok(stream) };
        let inner = self.wasi.table.delete(stream)?;
        let counted = Counted { inner, root: origin.root, recorder: self.files.recorder.clone() };
        Ok(self.wasi.table.push(Box::new(counted) as DynOutputStream)?)
    }
}

impl Origin {
    fn join(&self, path: &str) -> String {
        let mut joined = if path.starts_with('/') { String::new() } else { format!("{}/", self.path) };
        joined.push_str(&path[..path.floor_char_boundary(MAX_PATH)]);
        joined
    }
}

/// Whether an error is a refusal, ours or the system's, and not a fact about the files.
fn refused(error: &FsError) -> bool {
    matches!(error.downcast_ref(), Some(ErrorCode::NotPermitted | ErrorCode::Access | ErrorCode::ReadOnly))
}

fn borrow(fd: &Resource<Descriptor>) -> Resource<Descriptor> {
    Resource::new_borrow(fd.rep())
}

/// Times differ from host to host and from run to run, and say when others were at work.
fn timeless(mut stat: DescriptorStat) -> DescriptorStat {
    stat.data_access_timestamp = None;
    stat.data_modification_timestamp = None;
    stat.status_change_timestamp = None;
    stat
}

impl preopens::Host for View<'_> {
    fn get_directories(&mut self) -> Result<Vec<(Resource<Descriptor>, String)>> {
        let folders = Arc::clone(&self.files.folders);
        folders
            .iter()
            .map(|folder| {
                let fd = self.wasi.table.push(Descriptor::Dir(folder.dir.clone()))?;
                let origin = Origin { root: Arc::clone(&folder.guest), path: folder.guest.to_string() };
                self.files.origins.insert(fd.rep(), origin);
                Ok((fd, folder.guest.to_string()))
            })
            .collect()
    }
}

impl types::Host for View<'_> {
    fn convert_error_code(&mut self, error: FsError) -> Result<ErrorCode> {
        self.wasi.convert_error_code(error)
    }

    fn filesystem_error_code(&mut self, error: Resource<wasmtime::Error>) -> Result<Option<ErrorCode>> {
        self.wasi.filesystem_error_code(error)
    }
}

/// One method that takes a descriptor, or a descriptor and a path, and only has to be recorded.
macro_rules! recorded {
    ($self:ident, $fd:ident, $operation:literal, $call:expr) => {{
        let origin = $self.origin(&$fd);
        let result = $call.await;
        $self.seen(origin.as_ref(), $operation, None, result)
    }};
    ($self:ident, $fd:ident, $operation:literal, $path:ident, $call:expr) => {{
        let origin = $self.origin(&$fd);
        let shown = $path.clone();
        let result = $call.await;
        $self.seen(origin.as_ref(), $operation, Some(&shown), result)
    }};
}

impl HostDescriptor for View<'_> {
    async fn advise(
        &mut self,
        fd: Resource<Descriptor>,
        offset: Filesize,
        len: Filesize,
        advice: Advice,
    ) -> FsResult<()> {
        self.wasi.advise(fd, offset, len, advice).await
    }

    async fn sync_data(&mut self, fd: Resource<Descriptor>) -> FsResult<()> {
        recorded!(self, fd, "sync", self.wasi.sync_data(fd))
    }

    async fn sync(&mut self, fd: Resource<Descriptor>) -> FsResult<()> {
        recorded!(self, fd, "sync", self.wasi.sync(fd))
    }

    async fn get_flags(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorFlags> {
        self.wasi.get_flags(fd).await
    }

    async fn get_type(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorType> {
        self.wasi.get_type(fd).await
    }

    async fn set_size(&mut self, fd: Resource<Descriptor>, size: Filesize) -> FsResult<()> {
        recorded!(self, fd, "truncate", self.wasi.set_size(fd, size))
    }

    async fn set_times(
        &mut self,
        fd: Resource<Descriptor>,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        recorded!(self, fd, "set-times", self.wasi.set_times(fd, accessed, modified))
    }

    async fn read(
        &mut self,
        fd: Resource<Descriptor>,
        len: Filesize,
        offset: Filesize,
    ) -> FsResult<(Vec<u8>, bool)> {
        let origin = self.origin(&fd);
        let result = self.wasi.read(fd, len, offset).await;
        let result = self.seen(origin.as_ref(), "read", None, result);
        if let (Ok((bytes, _)), Some(origin)) = (&result, &origin) {
            self.files.recorder.read(Class::Filesystem, &origin.root, bytes.len());
        }
        result
    }

    async fn write(
        &mut self,
        fd: Resource<Descriptor>,
        bytes: Vec<u8>,
        offset: Filesize,
    ) -> FsResult<Filesize> {
        let origin = self.origin(&fd);
        let result = self.wasi.write(fd, bytes, offset).await;
        let result = self.seen(origin.as_ref(), "write", None, result);
        if let (Ok(written), Some(origin)) = (&result, &origin) {
            let written = usize::try_from(*written).unwrap_or(usize::MAX);
            self.files.recorder.written(Class::Filesystem, &origin.root, written);
        }
        result
    }

    async fn read_directory(&mut self, fd: Resource<Descriptor>) -> FsResult<Resource<DirectoryEntryStream>> {
        let stream = recorded!(self, fd, "list", self.wasi.read_directory(fd))?;
        let mut entries = Vec::new();
        while let Some(entry) = self.wasi.read_directory_entry(Resource::new_borrow(stream.rep())).await? {
            if entries.len() >= MAX_ENTRIES {
                self.wasi.table.delete(stream)?;
                return Err(ErrorCode::InsufficientMemory.into());
            }
            entries.push(entry);
        }
        // The order that the system has them in differs from machine to machine.
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        self.files.listings.insert(stream.rep(), entries.into());
        Ok(stream)
    }

    async fn create_directory_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<()> {
        recorded!(self, fd, "create-directory", path, self.wasi.create_directory_at(fd, path))
    }

    async fn stat(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorStat> {
        recorded!(self, fd, "stat", self.wasi.stat(fd)).map(timeless)
    }

    async fn stat_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<DescriptorStat> {
        recorded!(self, fd, "stat", path, self.wasi.stat_at(fd, flags, path)).map(timeless)
    }

    async fn set_times_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        recorded!(self, fd, "set-times", path, self.wasi.set_times_at(fd, flags, path, accessed, modified))
    }

    async fn link_at(
        &mut self,
        fd: Resource<Descriptor>,
        _flags: PathFlags,
        path: String,
        _new_fd: Resource<Descriptor>,
        _new_path: String,
    ) -> FsResult<()> {
        // A second name outlives the call: what is written to the file later would be read, or
        // overwritten, by whoever is granted the folder of that name.
        let origin = self.origin(&fd);
        self.seen(origin.as_ref(), "link", Some(&path), Err(ErrorCode::NotPermitted.into()))
    }

    async fn open_at(
        &mut self,
        fd: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Resource<Descriptor>> {
        let origin = self.origin(&fd);
        let result = match self.refuse_special(&fd, path_flags, &path).await {
            Ok(()) => self.wasi.open_at(fd, path_flags, path.clone(), open_flags, flags).await,
            Err(error) => Err(error),
        };
        let opened = self.seen(origin.as_ref(), "open", Some(&path), result)?;
        if let Some(origin) = origin {
            let mut path = origin.join(&path);
            path.truncate(path.floor_char_boundary(MAX_PATH));
            self.files.origins.insert(opened.rep(), Origin { root: origin.root, path });
        }
        Ok(opened)
    }

    fn drop(&mut self, fd: Resource<Descriptor>) -> Result<()> {
        self.files.origins.remove(&fd.rep());
        HostDescriptor::drop(&mut self.wasi, fd)
    }

    async fn readlink_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<String> {
        recorded!(self, fd, "read-link", path, self.wasi.readlink_at(fd, path))
    }

    async fn remove_directory_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<()> {
        recorded!(self, fd, "remove-directory", path, self.wasi.remove_directory_at(fd, path))
    }

    async fn rename_at(
        &mut self,
        fd: Resource<Descriptor>,
        path: String,
        new_fd: Resource<Descriptor>,
        new_path: String,
    ) -> FsResult<()> {
        recorded!(self, fd, "rename", path, self.wasi.rename_at(fd, path, new_fd, new_path))
    }

    async fn symlink_at(&mut self, fd: Resource<Descriptor>, _target: String, path: String) -> FsResult<()> {
        // The guest could not follow a link out of the folder, but programs outside the sandbox
        // would: a link outlives the call and is followed with their authority.
        let origin = self.origin(&fd);
        self.seen(origin.as_ref(), "symlink", Some(&path), Err(ErrorCode::NotPermitted.into()))
    }

    async fn unlink_file_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<()> {
        recorded!(self, fd, "remove", path, self.wasi.unlink_file_at(fd, path))
    }

    fn read_via_stream(
        &mut self,
        fd: Resource<Descriptor>,
        offset: Filesize,
    ) -> FsResult<Resource<DynInputStream>> {
        let origin = self.origin(&fd);
        let result = self.wasi.read_via_stream(fd, offset);
        let stream = self.seen(origin.as_ref(), "read", None, result)?;
        let Some(origin) = origin else { return Ok(stream) };
        let inner = self.wasi.table.delete(stream)?;
        let counted = Counted { inner, root: origin.root, recorder: self.files.recorder.clone() };
        Ok(self.wasi.table.push(Box::new(counted) as DynInputStream)?)
    }

    fn write_via_stream(
        &mut self,
        fd: Resource<Descriptor>,
        offset: Filesize,
    ) -> FsResult<Resource<DynOutputStream>> {
        let origin = self.origin(&fd);
        let result = self.wasi.write_via_stream(fd, offset);
        let stream = self.seen(origin.as_ref(), "write", None, result)?;
        self.wrap_output(stream, origin)
    }

    fn append_via_stream(&mut self, fd: Resource<Descriptor>) -> FsResult<Resource<DynOutputStream>> {
        let origin = self.origin(&fd);
        let result = self.wasi.append_via_stream(fd);
        let stream = self.seen(origin.as_ref(), "write", None, result)?;
        self.wrap_output(stream, origin)
    }

    async fn is_same_object(&mut self, a: Resource<Descriptor>, b: Resource<Descriptor>) -> Result<bool> {
        self.wasi.is_same_object(a, b).await
    }

    async fn metadata_hash(&mut self, fd: Resource<Descriptor>) -> FsResult<MetadataHashValue> {
        recorded!(self, fd, "stat", self.wasi.metadata_hash(fd))
    }

    async fn metadata_hash_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        recorded!(self, fd, "stat", path, self.wasi.metadata_hash_at(fd, flags, path))
    }
}

impl HostDirectoryEntryStream for View<'_> {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<DirectoryEntryStream>,
    ) -> FsResult<Option<DirectoryEntry>> {
        Ok(self.files.listings.get_mut(&stream.rep()).and_then(VecDeque::pop_front))
    }

    fn drop(&mut self, stream: Resource<DirectoryEntryStream>) -> Result<()> {
        self.files.listings.remove(&stream.rep());
        HostDirectoryEntryStream::drop(&mut self.wasi, stream)
    }
}

/// A file's stream that counts its bytes.
struct Counted<S> {
    inner: S,
    root: Arc<str>,
    recorder: Recorder,
}

#[async_trait]
impl<S: Pollable> Pollable for Counted<S> {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

impl Counted<DynInputStream> {
    fn count(&self, bytes: StreamResult<Bytes>) -> StreamResult<Bytes> {
        if let Ok(bytes) = &bytes {
            self.recorder.read(Class::Filesystem, &self.root, bytes.len());
        }
        bytes
    }
}

#[async_trait]
impl InputStream for Counted<DynInputStream> {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let bytes = self.inner.read(size);
        self.count(bytes)
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        let bytes = self.inner.blocking_read(size).await;
        self.count(bytes)
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}

impl Counted<DynOutputStream> {
    fn count(&self, len: usize, result: StreamResult<()>) -> StreamResult<()> {
        if result.is_ok() {
            self.recorder.written(Class::Filesystem, &self.root, len);
        }
        result
    }
}

#[async_trait]
impl OutputStream for Counted<DynOutputStream> {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let len = bytes.len();
        let result = self.inner.write(bytes);
        self.count(len, result)
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.inner.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.inner.check_write()
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        let len = bytes.len();
        let result = self.inner.blocking_write_and_flush(bytes).await;
        self.count(len, result)
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}
