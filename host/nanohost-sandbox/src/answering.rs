//! Who answers the guest of a call: the world, whose answers are recorded, or a record, from which
//! nothing real is touched. What is asked decides, not when: requests that were made at the same
//! time are answered each with its own. Knows no capability.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nanohost_core::Digest;
use sha2::{Digest as _, Sha256};

use crate::answers::{Answers, Entry, FileAnswer, MAX_ANSWERS, Sent, TcpAnswer};
use crate::halt::Halt;
use crate::report::FaultCode;

/// Bytes shown of what a guest asked.
const MAX_SHOWN: usize = 1024;

/// Where a replay went another way than the call that it repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divergence {
    /// In what.
    pub what: Diverged,
    /// What it was about, in the words of the host and the guest: to be shown escaped.
    pub detail: String,
    /// The digest of what the call sent or wrote, where that differs.
    pub recorded: Option<Digest>,
    /// That of the replay.
    pub replayed: Option<Digest>,
}

/// In what a replay can differ, before its result does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Diverged {
    /// The guest asked something that the record has no answer to.
    Question,
    /// It sent something else along with the same request.
    Request,
    /// It wrote something else to a file.
    File,
    /// It wanted to write something else under its keys.
    Kv,
    /// It did not ask what the record has an answer to.
    Unasked,
    /// It did not do to the world what was done then: no file written, no request sent.
    Undone,
    /// The record has an answer that the host cannot have given.
    Record,
}

impl Diverged {
    /// The stable code.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Question => "asked_something_else",
            Self::Request => "sent_something_else",
            Self::File => "wrote_another_file",
            Self::Kv => "wrote_other_keys",
            Self::Unasked => "asked_less",
            Self::Undone => "did_less",
            Self::Record => "impossible_answer",
        }
    }
}

/// Answers one call. Clones answer the same one.
#[derive(Debug, Clone)]
pub(crate) struct Answering {
    recorded: bool,
    halt: Halt,
    side: Arc<Mutex<Side>>,
}

#[derive(Debug, Default)]
struct Side {
    /// Live: what was answered so far. Recorded: what is left.
    entries: Vec<Option<Entry>>,
    /// Live: what that takes of the bound.
    cost: usize,
    cut: bool,
    /// Recorded: where the answers to each question stand, first come first.
    places: HashMap<String, VecDeque<usize>>,
    sent: HashMap<usize, Sending>,
    divergence: Option<Divergence>,
}

/// Bytes that are on their way from the guest.
#[derive(Debug, Default)]
struct Sending {
    what: String,
    hash: Sha256,
    bytes: u64,
    whole: bool,
    /// What was sent then, and what differs if something else is.
    expected: Option<(Sent, Diverged)>,
    /// The digest of as many bytes as were sent then.
    then: Option<Digest>,
}

/// A question and its answer that has more than one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At(usize);

impl Answering {
    /// The world answers.
    pub(crate) fn live(halt: Halt) -> Self {
        Self { recorded: false, halt, side: Arc::default() }
    }

    /// A record answers.
    pub(crate) fn from_record(answers: Answers, halt: Halt) -> Self {
        let mut places: HashMap<String, VecDeque<usize>> = HashMap::new();
        for (at, entry) in answers.entries.iter().enumerate() {
            places.entry(question(entry)).or_default().push_back(at);
        }
        let entries = answers.entries.into_iter().map(Some).collect();
        let side = Side { entries, places, ..Side::default() };
        Self { recorded: true, halt, side: Arc::new(Mutex::new(side)) }
    }

    /// Whether a record answers: then nothing real may be touched.
    pub(crate) fn is_recorded(&self) -> bool {
        self.recorded
    }

    /// Records an answer of the world.
    pub(crate) fn tell(&self, entry: Entry) {
        let mut side = self.side();
        let cost = entry.cost();
        if side.takes(cost) {
            side.entries.push(Some(entry));
        }
    }

    /// Records the beginning of an answer of the world.
    pub(crate) fn begin(&self, entry: Entry) -> At {
        let mut side = self.side();
        let at = side.entries.len();
        let cost = entry.cost();
        if side.takes(cost) {
            if sends(&entry) {
                side.sent.insert(at, Sending::default());
            }
            side.entries.push(Some(entry));
        }
        At(at)
    }

    /// Records more of an answer, which takes so much of the bound.
    pub(crate) fn more(&self, at: At, cost: usize, change: impl FnOnce(&mut Entry)) {
        let mut side = self.side();
        if side.takes(cost)
            && let Some(Some(entry)) = side.entries.get_mut(at.0)
        {
            change(entry);
        }
    }

    /// The next answer that the record has to the question that `asked` begins with; without one the
    /// call ends.
    pub(crate) fn ask(&self, asked: &Entry) -> Option<(At, Entry)> {
        let question = question(asked);
        let mut side = self.side();
        let at = side.places.get_mut(&question).and_then(VecDeque::pop_front);
        if let Some(at) = at
            && let Some(entry) = side.entries.get_mut(at).and_then(Option::take)
        {
            if let Some(expected) = sent_of(&entry) {
                let sending = Sending { what: question, expected: Some(expected), ..Sending::default() };
                side.sent.insert(at, sending);
            }
            return Some((At(at), entry));
        }
        drop(side);
        self.diverge(Diverged::Question, &question, None);
        None
    }

    /// Whether the record has another answer to a question.
    pub(crate) fn has(&self, asked: &Entry) -> bool {
        self.side().places.get(&question(asked)).is_some_and(|places| !places.is_empty())
    }

    /// The guest sent these bytes along.
    pub(crate) fn sent(&self, at: At, bytes: &[u8]) {
        let mut side = self.side();
        let Some(sending) = side.sent.get_mut(&at.0) else { return };
        if let Some((expected, _)) = &sending.expected {
            let left = expected.bytes.saturating_sub(sending.bytes);
            let left = usize::try_from(left).unwrap_or(usize::MAX);
            if sending.then.is_none() && left <= bytes.len() {
                sending.then = Some(digest(sending.hash.clone().chain_update(&bytes[..left])));
            }
        }
        sending.hash.update(bytes);
        sending.bytes += bytes.len() as u64;
    }

    /// The guest sends no more along.
    pub(crate) fn sent_all(&self, at: At) {
        if let Some(sending) = self.side().sent.get_mut(&at.0) {
            sending.whole = true;
        }
    }

    /// The replay goes another way: the call ends. The first time counts.
    pub(crate) fn diverge(&self, what: Diverged, detail: &str, digests: Option<(Digest, Digest)>) {
        let detail = detail[..detail.floor_char_boundary(MAX_SHOWN)].to_owned();
        let (recorded, replayed) = digests.unzip();
        self.side().divergence.get_or_insert(Divergence { what, detail, recorded, replayed });
        self.halt.with(FaultCode::NotRecorded);
    }

    /// The answer cannot have been given: the record was made by somebody else.
    pub(crate) fn impossible(&self, asked: &Entry) {
        self.diverge(Diverged::Record, &question(asked), None);
    }

    /// What the world answered.
    pub(crate) fn finish(&self) -> Answers {
        let mut side = self.side();
        let side = std::mem::take(&mut *side);
        if side.cut {
            return Answers { entries: Vec::new(), cut: true };
        }
        let mut entries: Vec<Entry> = side.entries.into_iter().flatten().collect();
        for (at, sending) in side.sent {
            let sent = Sent { bytes: sending.bytes, sha256: digest(sending.hash), whole: sending.whole };
            match entries.get_mut(at) {
                Some(Entry::Http(answer)) => answer.sent = sent,
                Some(Entry::Write { sent: place, .. } | Entry::Send { sent: place, .. }) => *place = sent,
                _ => {}
            }
        }
        Answers { entries, cut: false }
    }

    /// Where the replay went another way, and how much of the record it did not ask for. `wanted`:
    /// what it wanted to write under its keys, in order.
    pub(crate) fn compare(&self, wanted: &[Entry]) -> (Option<Divergence>, usize) {
        let mut side = std::mem::take(&mut *self.side());
        let mut then = Vec::new();
        let mut unasked = 0;
        let mut first = None;
        let mut undone = None;
        for entry in side.entries.iter_mut().filter_map(Option::take) {
            if let Entry::Set { .. } = entry {
                then.push(entry);
            } else {
                unasked += 1;
                if is_effect(&entry) {
                    undone.get_or_insert_with(|| question(&entry));
                }
                first.get_or_insert_with(|| question(&entry));
            }
        }
        let sent = side.sent.into_values().filter_map(Sending::differs);
        let sent = sent.min_by(|a, b| a.detail.cmp(&b.detail));
        let kv = || differing(&then, wanted);
        let less = || {
            let (what, detail) = match undone {
                Some(detail) => (Diverged::Undone, detail),
                None => (Diverged::Unasked, first?),
            };
            let detail = detail[..detail.floor_char_boundary(MAX_SHOWN)].to_owned();
            Some(Divergence { what, detail, recorded: None, replayed: None })
        };
        (side.divergence.or(sent).or_else(kv).or_else(less), unasked)
    }

    fn side(&self) -> MutexGuard<'_, Side> {
        self.side.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Side {
    /// Whether there is room for so much more. Where there is none, nothing is kept at all: a record
    /// with a hole would be taken for what it is not.
    fn takes(&mut self, cost: usize) -> bool {
        if self.cut {
            return false;
        }
        self.cost = self.cost.saturating_add(cost);
        if self.cost > MAX_ANSWERS {
            *self = Self { cut: true, ..Self::default() };
        }
        !self.cut
    }
}

impl Sending {
    /// What differs from what was sent then. Where the call did not see the end of it, as many bytes
    /// are compared as it saw.
    fn differs(self) -> Option<Divergence> {
        let (expected, what) = self.expected?;
        let (bytes, whole) = (self.bytes, self.whole);
        let all = digest(self.hash);
        let then = if expected.bytes == 0 { Some(Digest::of(b"")) } else { self.then };
        let same = if expected.whole && whole {
            all == expected.sha256 && bytes == expected.bytes
        } else {
            then == Some(expected.sha256) || bytes < expected.bytes && !whole
        };
        (!same).then(|| Divergence {
            what,
            detail: self.what[..self.what.floor_char_boundary(MAX_SHOWN)].to_owned(),
            recorded: Some(expected.sha256),
            replayed: Some(all),
        })
    }
}

fn digest(hash: Sha256) -> Digest {
    Digest::from_bytes(hash.finalize().into())
}

/// The first key under which something else was to be written.
fn differing(then: &[Entry], wanted: &[Entry]) -> Option<Divergence> {
    let at = (0..then.len().max(wanted.len())).find(|at| then.get(*at) != wanted.get(*at))?;
    let of = |entries: &[Entry]| match entries.get(at) {
        Some(Entry::Set { namespace, key, value }) => Some((format!("{namespace}/{key}"), *value)),
        _ => None,
    };
    let (then, now) = (of(then), of(wanted));
    let detail = now.as_ref().or(then.as_ref()).map(|(place, _)| place.clone()).unwrap_or_default();
    let recorded = then.and_then(|(_, value)| value);
    let replayed = now.and_then(|(_, value)| value);
    Some(Divergence { what: Diverged::Kv, detail, recorded, replayed })
}

/// Whether bytes of the guest follow.
fn sends(entry: &Entry) -> bool {
    matches!(entry, Entry::Http(_) | Entry::Write { .. } | Entry::Send { .. })
}

/// What was sent along with a question whose bytes come piece by piece.
fn sent_of(entry: &Entry) -> Option<(Sent, Diverged)> {
    match entry {
        Entry::Http(answer) => Some((answer.sent.clone(), Diverged::Request)),
        Entry::Write { sent, .. } => Some((sent.clone(), Diverged::File)),
        Entry::Send { sent, .. } => Some((sent.clone(), Diverged::Request)),
        _ => None,
    }
}

/// Whether it is more than looking: what a call does to the world.
fn is_effect(entry: &Entry) -> bool {
    /// Whatever else is asked of a file changes something.
    const LOOKS: [&str; 9] =
        ["flags", "type", "stat", "list", "read", "read-link", "same", "open", "open-to-read"];
    match entry {
        Entry::Write { .. } | Entry::Http(_) | Entry::Set { .. } | Entry::Send { .. } => true,
        Entry::Tcp(TcpAnswer { ask, .. }) => ask == "connect",
        Entry::File(FileAnswer { ask, .. }) => !LOOKS.contains(&ask.as_str()),
        Entry::Wall { .. }
        | Entry::Monotonic { .. }
        | Entry::Random { .. }
        | Entry::Get { .. }
        | Entry::List { .. }
        | Entry::Read { .. }
        | Entry::Receive { .. }
        | Entry::Poll { .. }
        | Entry::Ready { .. } => false,
    }
}

/// What was asked, in the words by which the same question is known again.
fn question(entry: &Entry) -> String {
    match entry {
        Entry::Wall { .. } => "wall-clock".to_owned(),
        Entry::Monotonic { .. } => "monotonic-clock".to_owned(),
        Entry::Random { bytes } => format!("random {}", bytes.0.len()),
        Entry::Get { namespace, key, .. } => format!("kv get {namespace}/{key}"),
        Entry::List { namespace, prefix, after, limit, .. } => {
            let after = after.as_deref().map(|after| format!(" after {after}")).unwrap_or_default();
            format!("kv list {namespace}/{prefix}{after} limit {limit}")
        }
        Entry::Set { namespace, key, .. } => format!("kv set {namespace}/{key}"),
        Entry::File(FileAnswer { ask, path, with, .. }) => format!("{ask} {path} {with}"),
        Entry::Read { path, offset, .. } => format!("read-stream {path} {offset}"),
        Entry::Write { path, offset: Some(offset), .. } => format!("write-stream {path} {offset}"),
        Entry::Write { path, offset: None, .. } => format!("append-stream {path}"),
        Entry::Http(answer) => format!("{} headers {}", answer.request, answer.head),
        Entry::Poll { .. } => "poll".to_owned(),
        Entry::Ready { .. } => "ready".to_owned(),
        Entry::Tcp(TcpAnswer { ask, socket, with, .. }) if with.is_empty() => format!("tcp {ask} #{socket}"),
        Entry::Tcp(TcpAnswer { ask, socket, with, .. }) => format!("tcp {ask} {with} #{socket}"),
        Entry::Receive { socket, .. } => format!("tcp receive #{socket}"),
        Entry::Send { socket, .. } => format!("tcp send #{socket}"),
    }
}

#[cfg(test)]
mod tests;
