//! `wasi:filesystem` below the granted folders: wasmtime's implementation, behind a wrapper that
//! records what is used, what is answered and what is refused, and that gives the same answers on
//! every host (listings sorted, times absent). In a replay there is no folder: the record answers.

mod folder;
mod told;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use nanohost_core::{Class, Limits};
use wasmtime::Result;
use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::filesystem::preopens;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    self, Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, DirectoryEntryStream,
    ErrorCode, Filesize, HostDescriptor, HostDirectoryEntryStream, MetadataHashValue, NewTimestamp,
    OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult};

use super::stream::{self, Absent, Owner, Read, RecordedFailure, Room, Written};
use crate::answering::{Answering, Diverged};
use crate::answers::{Entry, FileAnswer, Pieces, Sent, Told};
use crate::record::Recorder;
use crate::state::State;
pub(crate) use folder::OpenFolder;
pub use folder::{FolderError, RealFolder};
use told::{Telling, not_recorded, only_end};

/// Entries of one listing; they are held in memory to be sorted.
const MAX_ENTRIES: usize = 100_000;

/// Bytes kept of a path that a descriptor was opened by, for the record only.
const MAX_PATH: usize = 1024;

/// The folders of one call.
pub(crate) struct Files {
    folders: Arc<[OpenFolder]>,
    /// Where each descriptor of the guest came from.
    origins: HashMap<u32, Origin>,
    /// What is left of each listing.
    listings: HashMap<u32, VecDeque<DirectoryEntry>>,
    room: Room,
    pub(crate) recorder: Recorder,
    answering: Answering,
}

/// A descriptor's granted folder and its path as the guest would write it.
#[derive(Clone)]
struct Origin {
    root: Arc<str>,
    path: String,
}

impl Files {
    pub(crate) fn new(
        folders: Arc<[OpenFolder]>,
        most: u64,
        recorder: Recorder,
        answering: Answering,
    ) -> Self {
        let room = Room::new(most);
        Self { folders, origins: HashMap::new(), listings: HashMap::new(), room, recorder, answering }
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

    /// Whose a stream below a granted folder is.
    fn owner(&self, scope: Arc<str>) -> Owner {
        Owner {
            class: Class::Filesystem,
            scope,
            room: Some(self.files.room.clone()),
            name: told::name_of,
            recorder: self.files.recorder.clone(),
            answering: self.files.answering.clone(),
        }
    }

    /// Takes what an operation may add to the folder.
    fn take(&self, bytes: u64) -> FsResult<()> {
        self.files.room.take(bytes).map_err(FsError::trap)
    }

    /// Whether a record answers.
    fn replays(&self) -> bool {
        self.files.answering.is_recorded()
    }

    /// What a guest asks, for the record.
    fn question(&self, origin: Option<&Origin>, ask: &str, path: Option<&str>, with: String) -> FileAnswer {
        let path = match (origin, path) {
            (Some(origin), Some(path)) => origin.join(path),
            (Some(origin), None) => origin.path.clone(),
            (None, path) => path.unwrap_or_default().to_owned(),
        };
        FileAnswer { ask: ask.to_owned(), path, with, sent: None, told: Told::Done }
    }

    /// The answer that the record has to a question.
    fn recorded<T: Telling>(&self, asked: FileAnswer) -> FsResult<T> {
        let answering = &self.files.answering;
        let sent = asked.sent.clone();
        let asked = Entry::File(asked);
        let Some((_, Entry::File(answer))) = answering.ask(&asked) else { return Err(not_recorded()) };
        if let (Some(then), Some(now)) = (&answer.sent, &sent)
            && then != now
        {
            answering.diverge(Diverged::File, &answer.path, Some((then.sha256, now.sha256)));
            return Err(not_recorded());
        }
        T::told(answer.told).unwrap_or_else(|| {
            answering.impossible(&asked);
            Err(not_recorded())
        })
    }

    /// Records the answer of the system to a question.
    fn tell<T: Telling>(&self, asked: FileAnswer, result: &FsResult<T>) {
        if let Some(told) = T::tell(result) {
            self.files.answering.tell(Entry::File(FileAnswer { told, ..asked }));
        }
    }

    /// A handle for the guest behind which nothing is.
    fn absent<T: 'static>(&mut self) -> FsResult<Resource<T>> {
        Ok(Resource::new_own(self.wasi.table.push(Absent)?.rep()))
    }

    /// The answer of a record to a question for a handle. Where the guest held as many as it may, the
    /// call ended before the question was answered, and ends again.
    fn recorded_handle<T: Telling>(&mut self, asked: FileAnswer) -> FsResult<T> {
        if !self.files.answering.has(&Entry::File(asked.clone())) {
            let room = self.wasi.table.push(Absent)?;
            self.wasi.table.delete(room)?;
        }
        self.recorded(asked)
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

    /// A stream to a file that is not there.
    fn recorded_output(
        &mut self,
        origin: Option<Origin>,
        asked: FileAnswer,
        offset: Option<Filesize>,
    ) -> FsResult<Resource<DynOutputStream>> {
        let opened = self.recorded_handle::<()>(asked);
        self.seen(origin.as_ref(), "write", None, opened)?;
        let path = origin.as_ref().map(|origin| origin.path.clone()).unwrap_or_default();
        let owner = self.owner(origin.map(|origin| origin.root).unwrap_or_default());
        let what = path.clone();
        let asked = Entry::Write { path, offset, sent: Sent::nothing(), permits: Vec::new(), end: None };
        let stream = stream::writing(&asked, what, owner);
        Ok(self.wasi.table.push(stream.ok_or_else(not_recorded)?)?)
    }

    /// A folder's entries, sorted: the order that the system has them in differs from machine to
    /// machine.
    async fn listed(
        &mut self,
        fd: Resource<Descriptor>,
    ) -> FsResult<(Resource<DirectoryEntryStream>, Vec<DirectoryEntry>)> {
        let stream = self.wasi.read_directory(fd).await?;
        let mut entries = Vec::new();
        while let Some(entry) = self.wasi.read_directory_entry(Resource::new_borrow(stream.rep())).await? {
            if entries.len() >= MAX_ENTRIES {
                self.wasi.table.delete(stream)?;
                return Err(ErrorCode::InsufficientMemory.into());
            }
            entries.push(entry);
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok((stream, entries))
    }

    fn wrap_output(
        &mut self,
        stream: Resource<DynOutputStream>,
        origin: Option<Origin>,
        offset: Option<Filesize>,
    ) -> FsResult<Resource<DynOutputStream>> {
        let Some(origin) = origin else { return Ok(stream) };
        let inner = self.wasi.table.delete(stream)?;
        let asked =
            Entry::Write { path: origin.path, offset, sent: Sent::nothing(), permits: Vec::new(), end: None };
        let stream = Written::new(inner, asked, self.owner(origin.root));
        Ok(self.wasi.table.push(Box::new(stream) as DynOutputStream)?)
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
                let fd = match &folder.dir {
                    Some(dir) => self.wasi.table.push(Descriptor::Dir(dir.clone()))?,
                    None => self.absent()?,
                };
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
        if let Some(recorded) = self.wasi.table.get(&error)?.downcast_ref::<RecordedFailure>() {
            return Ok(told::code(&recorded.0));
        }
        self.wasi.filesystem_error_code(error)
    }
}

/// One method that takes a descriptor, or a descriptor and a path: answered by the system, which is
/// recorded, or by the record.
macro_rules! recorded {
    ($self:ident, $fd:ident, $operation:literal, $with:expr, $call:expr) => {{
        let origin = $self.origin(&$fd);
        let asked = $self.question(origin.as_ref(), $operation, None, $with);
        let result = recorded!(@ $self, asked, $call);
        $self.seen(origin.as_ref(), $operation, None, result)
    }};
    ($self:ident, $fd:ident, $operation:literal, $path:ident, $with:expr, $call:expr) => {{
        let origin = $self.origin(&$fd);
        let shown = $path.clone();
        let asked = $self.question(origin.as_ref(), $operation, Some(&shown), $with);
        let result = recorded!(@ $self, asked, $call);
        $self.seen(origin.as_ref(), $operation, Some(&shown), result)
    }};
    (@ $self:ident, $asked:expr, $call:expr) => {
        if $self.replays() {
            $self.recorded($asked)
        } else {
            let result = $call.await;
            $self.tell($asked, &result);
            result
        }
    };
}

/// Nothing that decides but the path.
fn plain() -> String {
    String::new()
}

fn following(flags: PathFlags) -> String {
    if flags.contains(PathFlags::SYMLINK_FOLLOW) { "follow".to_owned() } else { String::new() }
}

impl HostDescriptor for View<'_> {
    async fn advise(
        &mut self,
        fd: Resource<Descriptor>,
        offset: Filesize,
        len: Filesize,
        advice: Advice,
    ) -> FsResult<()> {
        if self.replays() {
            return Ok(()); // changes nothing that can be seen
        }
        self.wasi.advise(fd, offset, len, advice).await
    }

    async fn sync_data(&mut self, fd: Resource<Descriptor>) -> FsResult<()> {
        recorded!(self, fd, "sync", "data".to_owned(), self.wasi.sync_data(fd))
    }

    async fn sync(&mut self, fd: Resource<Descriptor>) -> FsResult<()> {
        recorded!(self, fd, "sync", plain(), self.wasi.sync(fd))
    }

    async fn get_flags(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorFlags> {
        let asked = self.question(self.origin(&fd).as_ref(), "flags", None, plain());
        recorded!(@ self, asked, self.wasi.get_flags(fd))
    }

    async fn get_type(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorType> {
        let asked = self.question(self.origin(&fd).as_ref(), "type", None, plain());
        recorded!(@ self, asked, self.wasi.get_type(fd))
    }

    async fn set_size(&mut self, fd: Resource<Descriptor>, size: Filesize) -> FsResult<()> {
        // A file that is made longer takes room, though nothing was written there yet.
        self.take(size)?;
        recorded!(self, fd, "truncate", size.to_string(), self.wasi.set_size(fd, size))
    }

    async fn set_times(
        &mut self,
        fd: Resource<Descriptor>,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        let with = format!("{accessed:?} {modified:?}");
        recorded!(self, fd, "set-times", with, self.wasi.set_times(fd, accessed, modified))
    }

    async fn read(
        &mut self,
        fd: Resource<Descriptor>,
        len: Filesize,
        offset: Filesize,
    ) -> FsResult<(Vec<u8>, bool)> {
        let origin = self.origin(&fd);
        let asked = self.question(origin.as_ref(), "read", None, format!("{len} at {offset}"));
        let result = recorded!(@ self, asked, self.wasi.read(fd, len, offset));
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
        self.take(bytes.len() as u64)?;
        let asked = self.question(origin.as_ref(), "write", None, format!("at {offset}"));
        let asked = FileAnswer { sent: Some(Sent::of(&bytes)), ..asked };
        let result = recorded!(@ self, asked, self.wasi.write(fd, bytes, offset));
        let result = self.seen(origin.as_ref(), "write", None, result);
        if let (Ok(written), Some(origin)) = (&result, &origin) {
            let written = usize::try_from(*written).unwrap_or(usize::MAX);
            self.files.recorder.written(Class::Filesystem, &origin.root, written);
        }
        result
    }

    async fn read_directory(&mut self, fd: Resource<Descriptor>) -> FsResult<Resource<DirectoryEntryStream>> {
        let origin = self.origin(&fd);
        let asked = self.question(origin.as_ref(), "list", None, plain());
        let listed = if self.replays() {
            self.recorded_handle(asked).and_then(|entries| Ok((self.absent()?, entries)))
        } else {
            let listed = self.listed(fd).await;
            let (stream, entries) = match listed {
                Ok((stream, entries)) => (Some(stream), Ok(entries)),
                Err(error) => (None, Err(error)),
            };
            self.tell(asked, &entries);
            entries.and_then(|entries| Ok((stream.ok_or(ErrorCode::Io)?, entries)))
        };
        let (stream, entries) = self.seen(origin.as_ref(), "list", None, listed)?;
        self.files.listings.insert(stream.rep(), entries.into());
        Ok(stream)
    }

    async fn create_directory_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<()> {
        self.take(Limits::ENTRY)?;
        recorded!(self, fd, "create-directory", path, plain(), self.wasi.create_directory_at(fd, path))
    }

    async fn stat(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorStat> {
        recorded!(self, fd, "stat", plain(), self.wasi.stat(fd)).map(timeless)
    }

    async fn stat_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<DescriptorStat> {
        recorded!(self, fd, "stat", path, following(flags), self.wasi.stat_at(fd, flags, path)).map(timeless)
    }

    async fn set_times_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        let with = format!("{} {accessed:?} {modified:?}", following(flags));
        recorded!(self, fd, "set-times", path, with, {
            self.wasi.set_times_at(fd, flags, path, accessed, modified)
        })
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
        if open_flags.contains(OpenFlags::CREATE) {
            self.take(Limits::ENTRY)?;
        }
        let origin = self.origin(&fd);
        let with = format!("{} {open_flags:?} {flags:?}", following(path_flags));
        let asked = self.question(origin.as_ref(), "open", Some(&path), with);
        let result = if self.replays() {
            self.recorded_handle(asked).and_then(|()| self.absent())
        } else {
            let result = match self.refuse_special(&fd, path_flags, &path).await {
                Ok(()) => self.wasi.open_at(fd, path_flags, path.clone(), open_flags, flags).await,
                Err(error) => Err(error),
            };
            let (opened, told) = match result {
                Ok(opened) => (Some(opened), Ok(())),
                Err(error) => (None, Err(error)),
            };
            self.tell(asked, &told);
            told.and_then(|()| opened.ok_or_else(|| ErrorCode::Io.into()))
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
        if self.replays() {
            self.wasi.table.delete(Resource::<Absent>::new_own(fd.rep()))?;
            return Ok(());
        }
        HostDescriptor::drop(&mut self.wasi, fd)
    }

    async fn readlink_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<String> {
        recorded!(self, fd, "read-link", path, plain(), self.wasi.readlink_at(fd, path))
    }

    async fn remove_directory_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<()> {
        recorded!(self, fd, "remove-directory", path, plain(), self.wasi.remove_directory_at(fd, path))
    }

    async fn rename_at(
        &mut self,
        fd: Resource<Descriptor>,
        path: String,
        new_fd: Resource<Descriptor>,
        new_path: String,
    ) -> FsResult<()> {
        let to = self.origin(&new_fd).map(|to| to.join(&new_path)).unwrap_or_default();
        recorded!(self, fd, "rename", path, to, self.wasi.rename_at(fd, path, new_fd, new_path))
    }

    async fn symlink_at(&mut self, fd: Resource<Descriptor>, _target: String, path: String) -> FsResult<()> {
        // The guest could not follow a link out of the folder, but programs outside the sandbox
        // would: a link outlives the call and is followed with their authority.
        let origin = self.origin(&fd);
        self.seen(origin.as_ref(), "symlink", Some(&path), Err(ErrorCode::NotPermitted.into()))
    }

    async fn unlink_file_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<()> {
        recorded!(self, fd, "remove", path, plain(), self.wasi.unlink_file_at(fd, path))
    }

    fn read_via_stream(
        &mut self,
        fd: Resource<Descriptor>,
        offset: Filesize,
    ) -> FsResult<Resource<DynInputStream>> {
        let origin = self.origin(&fd);
        let asked = self.question(origin.as_ref(), "open-to-read", None, offset.to_string());
        if self.replays() {
            let opened = self.recorded_handle::<()>(asked);
            self.seen(origin.as_ref(), "read", None, opened)?;
            let path = origin.as_ref().map(|origin| origin.path.clone()).unwrap_or_default();
            let owner = self.owner(origin.map(|origin| origin.root).unwrap_or_default());
            let what = path.clone();
            let asked = Entry::Read { path, offset, stream: Pieces::default() };
            let stream = stream::reading(&asked, what, owner);
            return Ok(self.wasi.table.push(stream.ok_or_else(not_recorded)?)?);
        }
        let result = self.wasi.read_via_stream(fd, offset);
        self.tell(asked, &only_end(&result));
        let stream = self.seen(origin.as_ref(), "read", None, result)?;
        let Some(origin) = origin else { return Ok(stream) };
        let inner = self.wasi.table.delete(stream)?;
        let asked = Entry::Read { path: origin.path, offset, stream: Pieces::default() };
        let stream = Read::new(inner, asked, self.owner(origin.root));
        Ok(self.wasi.table.push(Box::new(stream) as DynInputStream)?)
    }

    fn write_via_stream(
        &mut self,
        fd: Resource<Descriptor>,
        offset: Filesize,
    ) -> FsResult<Resource<DynOutputStream>> {
        let origin = self.origin(&fd);
        let asked = self.question(origin.as_ref(), "open-to-write", None, offset.to_string());
        if self.replays() {
            return self.recorded_output(origin, asked, Some(offset));
        }
        let result = self.wasi.write_via_stream(fd, offset);
        self.tell(asked, &only_end(&result));
        let stream = self.seen(origin.as_ref(), "write", None, result)?;
        self.wrap_output(stream, origin, Some(offset))
    }

    fn append_via_stream(&mut self, fd: Resource<Descriptor>) -> FsResult<Resource<DynOutputStream>> {
        let origin = self.origin(&fd);
        let asked = self.question(origin.as_ref(), "open-to-append", None, plain());
        if self.replays() {
            return self.recorded_output(origin, asked, None);
        }
        let result = self.wasi.append_via_stream(fd);
        self.tell(asked, &only_end(&result));
        let stream = self.seen(origin.as_ref(), "write", None, result)?;
        self.wrap_output(stream, origin, None)
    }

    async fn is_same_object(&mut self, a: Resource<Descriptor>, b: Resource<Descriptor>) -> Result<bool> {
        let other = self.origin(&b).map(|other| other.path).unwrap_or_default();
        let asked = self.question(self.origin(&a).as_ref(), "same", None, other);
        if self.replays() {
            return self.recorded(asked).map_err(|error: FsError| wasmtime::format_err!("{error:?}"));
        }
        let same = self.wasi.is_same_object(a, b).await?;
        self.tell(asked, &Ok(same));
        Ok(same)
    }

    async fn metadata_hash(&mut self, fd: Resource<Descriptor>) -> FsResult<MetadataHashValue> {
        recorded!(self, fd, "stat", "hash".to_owned(), self.wasi.metadata_hash(fd))
    }

    async fn metadata_hash_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        let with = format!("hash {}", following(flags));
        recorded!(self, fd, "stat", path, with, self.wasi.metadata_hash_at(fd, flags, path))
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
        if self.replays() {
            self.wasi.table.delete(Resource::<Absent>::new_own(stream.rep()))?;
            return Ok(());
        }
        HostDirectoryEntryStream::drop(&mut self.wasi, stream)
    }
}
