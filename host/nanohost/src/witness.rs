//! A witness of logs and those who ask one ([c2sp.org/tlog-witness](https://c2sp.org/tlog-witness)): what it
//! answers, the server in front of it (`serve`), and the log's side (`ask`). When a head may be signed is
//! core's; what is remembered of it is the store's.

pub mod ask;
pub mod serve;

#[cfg(all(test, unix))]
mod tests;

use std::sync::{Mutex, PoisonError};

use nanohost_core::Digest;
use nanohost_core::log::note::Note;
use nanohost_core::log::proof::GrowthProof;
use nanohost_core::log::witness::{self, Refusal};
use nanohost_core::log::{Checkpoint, NoteVerifier};
use nanohost_store::{StoreError, WitnessState};

use crate::fault;

/// A witness of some logs.
pub struct Witness {
    logs: Vec<NoteVerifier>,
    /// Looking at a head and keeping the next one is one step: two requests at once must not both
    /// follow the same head.
    state: Mutex<WitnessState>,
}

/// What a request is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// What the body is.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

impl Answer {
    fn text(status: u16, why: impl std::fmt::Display) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: format!("{why}\n") }
    }
}

/// The type of a body that says how many entries a log had when its head was signed last.
const SIZE: &str = "text/x.tlog.size";

impl Witness {
    /// The witness of this state, for these logs.
    pub fn new(state: WitnessState, logs: Vec<NoteVerifier>) -> Self {
        Self { logs, state: Mutex::new(state) }
    }

    /// The key that it signs with.
    pub fn key(&self) -> NoteVerifier {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).signer().verifier().clone()
    }

    /// Answers `add-checkpoint`; `now` is in Unix seconds.
    pub fn add_checkpoint(&self, body: &[u8], now: u64) -> Answer {
        let Some(request) = std::str::from_utf8(body).ok() else {
            return Answer::text(400, "malformed: it is not text");
        };
        let request: GrowthProof = match request.parse() {
            Ok(request) => request,
            Err(error) => return Answer::text(400, format_args!("malformed: {error}")),
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = |head: &Checkpoint| state.head(&head.origin)?.text().parse().ok();
        let head = match witness::judge(&request, &self.logs, seen) {
            Ok(head) => head,
            Err(refusal) => return refused(refusal),
        };
        let before = state.head(&head.origin).and_then(|note| note.by(state.signer().verifier()).ok()?);
        if before.and_then(|before| before.time).is_some_and(|before| now < before) {
            return Answer::text(503, "the clock of this witness is behind its last signature");
        }
        // What others signed beside the log is not this witness' to keep.
        let mut note = request.checkpoint.only(&self.logs);
        note.sign(state.signer(), now);
        let own = note.only(std::slice::from_ref(state.signer().verifier()));
        match state.keep(head.origin, note) {
            Ok(()) => {}
            Err(error @ StoreError::Misuse { .. }) => return Answer::text(403, error),
            Err(_) => return Answer::text(503, "the head could not be stored, so it is not signed"),
        }
        drop(state);
        fault::point();
        Answer { status: 200, content_type: "text/plain; charset=utf-8", body: own.signatures() }
    }

    /// Answers with the head of a log that was signed last; `digest` is SHA-256 of its name.
    pub fn checkpoint(&self, digest: &str) -> Answer {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let named = |origin: &str| Digest::of(origin.as_bytes()).to_string() == digest;
        let found: Option<&Note> =
            state.heads().find(|(origin, _)| named(origin.as_str())).map(|(_, note)| note);
        match found {
            Some(note) => {
                Answer { status: 200, content_type: "text/plain; charset=utf-8", body: note.to_string() }
            }
            None => Answer::text(404, "no head of such a log was signed here"),
        }
    }
}

fn refused(refusal: Refusal) -> Answer {
    match refusal {
        Refusal::Malformed(_) => Answer::text(400, refusal),
        Refusal::UnknownLog => Answer::text(404, refusal),
        Refusal::Unsigned => Answer::text(403, refusal),
        Refusal::Conflict(size) | Refusal::Forked(size) => {
            Answer { status: 409, content_type: SIZE, body: format!("{size}\n") }
        }
        Refusal::Inconsistent => Answer::text(422, refusal),
    }
}
