//! Streams of files: the system's, which are counted and recorded, and a record's, behind which is no
//! file.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use nanohost_core::Class;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, InputStream, OutputStream, Pollable, StreamError, StreamResult,
};

use super::Room;
use super::told::{code, name};
use crate::answering::{Answering, At, Diverged};
use crate::answers::{Entry, Pieces};
use crate::record::Recorder;

/// How a stream ends that was read to its end.
const CLOSED: &str = "closed";

/// How one ends whose error has no code.
const FAILED: &str = "failed";

/// The error of a recorded stream. A guest can ask for its code.
#[derive(Debug, thiserror::Error)]
#[error("a recorded failure")]
pub(super) struct RecordedFailure(pub(super) Option<ErrorCode>);

/// What belongs to the stream of either kind.
struct Place {
    root: Arc<str>,
    at: At,
    recorder: Recorder,
    answering: Answering,
}

impl Place {
    fn new(at: At, root: Arc<str>, recorder: &Recorder, answering: &Answering) -> Self {
        Self { root, at, recorder: recorder.clone(), answering: answering.clone() }
    }

    fn read(&self, bytes: &[u8]) {
        self.recorder.read(Class::Filesystem, &self.root, bytes.len());
    }

    fn written(&self, bytes: usize) {
        self.recorder.written(Class::Filesystem, &self.root, bytes);
    }

    /// How a stream ended, for the record.
    fn end(&self, error: &StreamError) {
        let end = match error {
            StreamError::Closed => CLOSED,
            StreamError::LastOperationFailed(error) => {
                error.downcast_ref::<std::io::Error>().map_or(FAILED, |error| name(error.into()))
            }
            // Ends the call.
            StreamError::Trap(_) => return,
        };
        self.answering.more(self.at, end.len(), |entry| {
            if let Entry::Read { stream: Pieces { end: place, .. }, .. } | Entry::Write { end: place, .. } =
                entry
            {
                place.get_or_insert_with(|| end.to_owned());
            }
        });
    }
}

/// A stream from a file.
pub(super) struct Read {
    inner: DynInputStream,
    place: Place,
}

impl Read {
    pub(super) fn new(
        inner: DynInputStream,
        asked: Entry,
        root: Arc<str>,
        recorder: &Recorder,
        answering: &Answering,
    ) -> Self {
        Self { inner, place: Place::new(answering.begin(asked), root, recorder, answering) }
    }

    fn recorded(&self, result: StreamResult<Bytes>) -> StreamResult<Bytes> {
        match &result {
            Ok(bytes) => {
                self.place.read(bytes);
                self.place.answering.more(self.place.at, bytes.len() + 8, |entry| {
                    if let Entry::Read { stream, .. } = entry {
                        stream.bytes.0.extend_from_slice(bytes);
                        stream.pieces.push(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
                    }
                });
            }
            Err(error) => self.place.end(error),
        }
        result
    }
}

#[async_trait]
impl Pollable for Read {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[async_trait]
impl InputStream for Read {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let result = self.inner.read(size);
        self.recorded(result)
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        let result = self.inner.blocking_read(size).await;
        self.recorded(result)
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}

/// A stream to a file.
pub(super) struct Written {
    inner: DynOutputStream,
    place: Place,
    room: Room,
}

impl Written {
    pub(super) fn new(
        inner: DynOutputStream,
        asked: Entry,
        root: Arc<str>,
        room: Room,
        recorder: &Recorder,
        answering: &Answering,
    ) -> Self {
        let at = answering.begin(asked);
        // Whatever comes is all that comes.
        answering.sent_all(at);
        Self { inner, place: Place::new(at, root, recorder, answering), room }
    }

    fn recorded<T>(&self, permit: impl FnOnce(&T) -> usize, result: StreamResult<T>) -> StreamResult<T> {
        match &result {
            Ok(value) => {
                let permit = permit(value) as u64;
                self.place.answering.more(self.place.at, 8, |entry| {
                    if let Entry::Write { permits, .. } = entry {
                        permits.push(permit);
                    }
                });
            }
            Err(error) => self.place.end(error),
        }
        result
    }
}

#[async_trait]
impl Pollable for Written {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[async_trait]
impl OutputStream for Written {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        take(&self.room, &bytes)?;
        self.place.answering.sent(self.place.at, &bytes);
        let len = bytes.len();
        let result = self.inner.write(bytes);
        if result.is_ok() {
            self.place.written(len);
        }
        self.recorded(|()| 0, result)
    }

    fn flush(&mut self) -> StreamResult<()> {
        let result = self.inner.flush();
        self.recorded(|()| 0, result)
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        let result = self.inner.check_write();
        self.recorded(|permit| *permit, result)
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        take(&self.room, &bytes)?;
        self.place.answering.sent(self.place.at, &bytes);
        let len = bytes.len();
        let result = self.inner.blocking_write_and_flush(bytes).await;
        if result.is_ok() {
            self.place.written(len);
        }
        self.recorded(|()| 0, result)
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}

/// Takes what is about to be written; without room for it the call ends.
fn take(room: &Room, bytes: &Bytes) -> StreamResult<()> {
    room.take(bytes.len() as u64).map_err(|ended| StreamError::Trap(ended.into()))
}

/// A recorded end; after a failure a stream is closed.
fn ended(end: &mut Option<String>) -> Option<StreamError> {
    let how = end.as_mut()?;
    if how == CLOSED {
        return Some(StreamError::Closed);
    }
    let failure = RecordedFailure(code(how));
    CLOSED.clone_into(how);
    Some(StreamError::LastOperationFailed(failure.into()))
}

fn ends_call() -> StreamError {
    StreamError::trap("the record has no answer")
}

/// The recorded stream from a file; `None` where there is none.
pub(super) fn reading(
    asked: &Entry,
    root: Arc<str>,
    recorder: &Recorder,
    answering: &Answering,
) -> Option<DynInputStream> {
    let Some((at, Entry::Read { path, stream, .. })) = answering.ask(asked) else { return None };
    let Pieces { bytes, pieces, end } = stream;
    let place = Place::new(at, root, recorder, answering);
    Some(Box::new(RecordedRead { place, path, bytes: bytes.0.into(), pieces: pieces.into(), end }))
}

struct RecordedRead {
    place: Place,
    path: String,
    bytes: Bytes,
    pieces: VecDeque<u32>,
    end: Option<String>,
}

#[async_trait]
impl Pollable for RecordedRead {
    async fn ready(&mut self) {}
}

#[async_trait]
impl InputStream for RecordedRead {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let Some(piece) = self.pieces.front_mut() else {
            return Err(ended(&mut self.end).unwrap_or_else(|| {
                self.place.answering.diverge(Diverged::Question, &format!("more of {}", self.path), None);
                ends_call()
            }));
        };
        let whole = usize::try_from(*piece).unwrap_or(usize::MAX);
        if whole > self.bytes.len() {
            self.place.answering.diverge(Diverged::Record, &self.path, None);
            return Err(ends_call());
        }
        // Another version of the guest may take a piece in two.
        let taken = whole.min(size);
        if taken == whole {
            self.pieces.pop_front();
        } else {
            *piece -= u32::try_from(taken).unwrap_or(0);
        }
        let bytes = self.bytes.split_to(taken);
        self.place.read(&bytes);
        Ok(bytes)
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        // The guest waits for what comes next, however often nothing had come when it only looked.
        while self.pieces.front() == Some(&0) && self.pieces.len() > 1 {
            self.pieces.pop_front();
        }
        self.read(size)
    }
}

/// The recorded stream to a file; `None` where there is none.
pub(super) fn writing(
    asked: &Entry,
    root: Arc<str>,
    room: Room,
    recorder: &Recorder,
    answering: &Answering,
) -> Option<DynOutputStream> {
    let Some((at, Entry::Write { path, permits, end, .. })) = answering.ask(asked) else { return None };
    answering.sent_all(at);
    let place = Place::new(at, root, recorder, answering);
    Some(Box::new(RecordedWrite { place, room, path, permits: permits.into(), end }))
}

struct RecordedWrite {
    place: Place,
    room: Room,
    path: String,
    permits: VecDeque<u64>,
    end: Option<String>,
}

impl RecordedWrite {
    fn next(&mut self) -> StreamResult<u64> {
        match self.permits.pop_front() {
            Some(permit) => Ok(permit),
            None => Err(ended(&mut self.end).unwrap_or_else(|| {
                self.place.answering.diverge(Diverged::Question, &format!("more to {}", self.path), None);
                ends_call()
            })),
        }
    }

    fn take(&mut self, bytes: &Bytes) -> StreamResult<()> {
        take(&self.room, bytes)?;
        self.place.answering.sent(self.place.at, bytes);
        self.next()?;
        self.place.written(bytes.len());
        Ok(())
    }
}

#[async_trait]
impl Pollable for RecordedWrite {
    async fn ready(&mut self) {}
}

#[async_trait]
impl OutputStream for RecordedWrite {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(&bytes)
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.next().map(drop)
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.next().map(|permit| usize::try_from(permit).unwrap_or(usize::MAX))
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(&bytes)
    }
}
