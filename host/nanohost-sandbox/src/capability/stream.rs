//! Streams of files and connections: the system's, which are counted and recorded, and a record's,
//! behind which is nothing. Knows no file and no connection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use nanohost_core::Class;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, InputStream, OutputStream, Pollable, StreamError, StreamResult,
};

use crate::answering::{Answering, At, Diverged};
use crate::answers::{Entry, Pieces};
use crate::record::Recorder;
use crate::report::{Ended, FaultCode};

/// How a stream ends that was read to its end.
const CLOSED: &str = "closed";

/// The error of a recorded stream, by its name. A guest can ask for its code.
#[derive(Debug, thiserror::Error)]
#[error("a recorded failure")]
pub(super) struct RecordedFailure(pub(super) String);

/// Stands in a replay where what a guest holds would stand. There is nothing to wait for.
pub(super) struct Absent;

#[async_trait]
impl Pollable for Absent {
    async fn ready(&mut self) {}
}

/// Bytes that the call may still write, into whatever folder.
#[derive(Clone)]
pub(super) struct Room(Arc<AtomicU64>);

impl Room {
    pub(super) fn new(most: u64) -> Self {
        Self(Arc::new(AtomicU64::new(most)))
    }

    /// Takes so many bytes; without them the call ends, before they are written.
    pub(super) fn take(&self, bytes: u64) -> Result<(), Ended> {
        let taken = |left: u64| left.checked_sub(bytes);
        match self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, taken) {
            Ok(_) => Ok(()),
            Err(_) => Err(Ended(FaultCode::FileLimit)),
        }
    }
}

/// Whose the streams are.
#[derive(Clone)]
pub(super) struct Owner {
    pub(super) class: Class,
    /// The grant.
    pub(super) scope: Arc<str>,
    /// What a guest may write in all, where that is bounded.
    pub(super) room: Option<Room>,
    /// The name of an error.
    pub(super) name: fn(&wasmtime::Error) -> &'static str,
    pub(super) recorder: Recorder,
    pub(super) answering: Answering,
}

/// What belongs to the stream of either kind.
struct Place {
    owner: Owner,
    at: At,
}

impl Place {
    fn read(&self, bytes: &[u8]) {
        self.owner.recorder.read(self.owner.class, &self.owner.scope, bytes.len());
    }

    fn written(&self, bytes: usize) {
        self.owner.recorder.written(self.owner.class, &self.owner.scope, bytes);
    }

    /// Takes what is about to be written, and records it; without room for it the call ends.
    fn take(&self, bytes: &Bytes) -> StreamResult<()> {
        if let Some(room) = &self.owner.room {
            room.take(bytes.len() as u64).map_err(|ended| StreamError::Trap(ended.into()))?;
        }
        self.owner.answering.sent(self.at, bytes);
        Ok(())
    }

    /// How a stream ended, for the record.
    fn end(&self, error: &StreamError) {
        let end = match error {
            StreamError::Closed => CLOSED,
            StreamError::LastOperationFailed(error) => (self.owner.name)(error),
            // Ends the call.
            StreamError::Trap(_) => return,
        };
        self.owner.answering.more(self.at, end.len(), |entry| {
            let place = match entry.pieces() {
                Some(stream) => Some(&mut stream.end),
                None => entry.sending().map(|(_, end)| end),
            };
            if let Some(place) = place {
                place.get_or_insert_with(|| end.to_owned());
            }
        });
    }
}

/// A stream to the guest.
pub(super) struct Read {
    inner: DynInputStream,
    place: Place,
}

impl Read {
    pub(super) fn new(inner: DynInputStream, asked: Entry, owner: Owner) -> Self {
        let at = owner.answering.begin(asked);
        Self { inner, place: Place { owner, at } }
    }

    fn recorded(&self, result: StreamResult<Bytes>) -> StreamResult<Bytes> {
        match &result {
            Ok(bytes) => {
                self.place.read(bytes);
                self.place.owner.answering.more(self.place.at, bytes.len() + 8, |entry| {
                    if let Some(stream) = entry.pieces() {
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

/// A stream from the guest.
pub(super) struct Written {
    inner: DynOutputStream,
    place: Place,
}

impl Written {
    pub(super) fn new(inner: DynOutputStream, asked: Entry, owner: Owner) -> Self {
        let at = owner.answering.begin(asked);
        // Whatever comes is all that comes.
        owner.answering.sent_all(at);
        Self { inner, place: Place { owner, at } }
    }

    fn recorded<T>(&self, permit: impl FnOnce(&T) -> usize, result: StreamResult<T>) -> StreamResult<T> {
        match &result {
            Ok(value) => {
                let permit = permit(value) as u64;
                self.place.owner.answering.more(self.place.at, 8, |entry| {
                    if let Some((permits, _)) = entry.sending() {
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
        self.place.take(&bytes)?;
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
        self.place.take(&bytes)?;
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

/// A recorded end; after a failure a stream is closed.
fn ended(end: &mut Option<String>) -> Option<StreamError> {
    let how = end.as_mut()?;
    if how == CLOSED {
        return Some(StreamError::Closed);
    }
    let failure = RecordedFailure(how.clone());
    CLOSED.clone_into(how);
    Some(StreamError::LastOperationFailed(failure.into()))
}

fn ends_call() -> StreamError {
    StreamError::trap("the record has no answer")
}

/// The recorded stream to the guest; `None` where there is none. `what`: whence, for whoever reads of it.
pub(super) fn reading(asked: &Entry, what: String, owner: Owner) -> Option<DynInputStream> {
    let (at, mut answer) = owner.answering.ask(asked)?;
    let Pieces { bytes, pieces, end } = std::mem::take(answer.pieces()?);
    let place = Place { owner, at };
    Some(Box::new(RecordedRead { place, what, bytes: bytes.0.into(), pieces: pieces.into(), end }))
}

struct RecordedRead {
    place: Place,
    what: String,
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
                let more = format!("more of {}", self.what);
                self.place.owner.answering.diverge(Diverged::Question, &more, None);
                ends_call()
            }));
        };
        let whole = usize::try_from(*piece).unwrap_or(usize::MAX);
        if whole > self.bytes.len() {
            self.place.owner.answering.diverge(Diverged::Record, &self.what, None);
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

/// The recorded stream from the guest; `None` where there is none. `what`: whither.
pub(super) fn writing(asked: &Entry, what: String, owner: Owner) -> Option<DynOutputStream> {
    let (at, mut answer) = owner.answering.ask(asked)?;
    owner.answering.sent_all(at);
    let (permits, end) = answer.sending()?;
    let (permits, end) = (std::mem::take(permits).into(), end.take());
    Some(Box::new(RecordedWrite { place: Place { owner, at }, what, permits, end }))
}

struct RecordedWrite {
    place: Place,
    what: String,
    permits: VecDeque<u64>,
    end: Option<String>,
}

impl RecordedWrite {
    fn next(&mut self) -> StreamResult<u64> {
        match self.permits.pop_front() {
            Some(permit) => Ok(permit),
            None => Err(ended(&mut self.end).unwrap_or_else(|| {
                let more = format!("more to {}", self.what);
                self.place.owner.answering.diverge(Diverged::Question, &more, None);
                ends_call()
            })),
        }
    }

    fn take(&mut self, bytes: &Bytes) -> StreamResult<()> {
        self.place.take(bytes)?;
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
