//! `nanohost:tool/kv`: a call reads committed values through a view and its own writes from a
//! buffer. Nothing is written here: what the call wanted to write goes into its report, with the
//! versions it had read, for whoever commits the result.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nanohost_core::{Class, Digest, Limits};
use wasmtime::Result;
use wasmtime::component::Linker;

use crate::answering::Answering;
use crate::answers::{Blob, Entry};
use crate::bindings::nanohost::tool::kv::{self, Error};
use crate::record::Recorder;
use crate::report::{Ended, FaultCode};
use crate::state::{Field, State};

/// Bytes of a key; they stand in an index.
const MAX_KEY: usize = 512;

/// Bytes of a value.
const MAX_VALUE: usize = 1 << 20;

/// Keys that one call may read, write or list: each is checked again at the commit.
const MAX_KEYS: usize = 10_000;

/// Keys in one answer of `list-keys`.
const MAX_LISTED: u32 = 1_000;

/// Committed values, as one call may see them: already narrowed to what the tool's namespaces
/// mean for this program and tool.
pub trait KvView: Send + Sync {
    /// The value under a key with its version; a key that was never written has neither.
    ///
    /// # Errors
    /// Where the store does not answer; the call ends.
    fn get(&self, namespace: &str, key: &str) -> Result<Option<(Vec<u8>, u64)>, KvUnavailable>;

    /// Keys that start with `prefix` and are greater than `after`, in byte order, at most `limit`.
    ///
    /// # Errors
    /// Where the store does not answer; the call ends.
    fn list(
        &self,
        namespace: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, KvUnavailable>;

    /// Bytes of the keys and values of all namespaces of the tool, as committed.
    ///
    /// # Errors
    /// Where the store does not answer; the call ends.
    fn held(&self) -> Result<u64, KvUnavailable>;
}

/// The store behind a [`KvView`] does not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the key-value store does not answer: {0}")]
pub struct KvUnavailable(pub String);

/// What a call did to its namespaces. To be committed with the result if every read still holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KvDelta {
    /// The versions it read, each key once; a key of `set-new` is among them as absent.
    pub reads: Vec<KvRead>,
    /// The listings it saw.
    pub listings: Vec<KvListing>,
    /// What it wants to write, each key once, in order of namespace and key.
    pub writes: Vec<KvWrite>,
}

/// A key that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvRead {
    /// The namespace as the tool names it.
    pub namespace: String,
    /// The key.
    pub key: String,
    /// The version; `None`: there was no such key.
    pub version: Option<u64>,
}

/// A listing that was read, as the view gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvListing {
    /// The namespace as the tool names it.
    pub namespace: String,
    /// What the keys start with.
    pub prefix: String,
    /// What they are greater than.
    pub after: Option<String>,
    /// How many were asked for.
    pub limit: usize,
    /// The keys.
    pub keys: Vec<String>,
}

/// A key to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvWrite {
    /// The namespace as the tool names it.
    pub namespace: String,
    /// The key.
    pub key: String,
    /// The new value; `None`: the key goes.
    pub value: Option<Vec<u8>>,
}

/// The store of one call.
pub(crate) struct Kv {
    granted: BTreeSet<String>,
    view: Arc<dyn KvView>,
    reads: BTreeMap<(String, String), Option<u64>>,
    listings: Vec<KvListing>,
    listed: usize,
    writes: BTreeMap<(String, String), Option<Vec<u8>>>,
    /// Bytes of the keys and values among the writes.
    buffered: u64,
    /// The limit that a write met, as the manifest names it.
    exceeded: Option<&'static str>,
    limits: Limits,
    space: Space,
    recorder: Recorder,
    answering: Answering,
}

/// What the tool's namespaces hold, looked up when a call writes.
#[derive(Default)]
struct Space {
    held: Option<u64>,
    /// Keys that are written and of which nobody looked yet what they replace.
    unknown: Vec<(String, String)>,
    /// Bytes that the others replace.
    replaced: u64,
}

/// Adds the interface, where any namespace is granted.
pub(crate) fn link(linker: &mut Linker<State>, granted: &BTreeSet<String>) -> Result<()> {
    if granted.is_empty() {
        return Ok(());
    }
    kv::add_to_linker::<State, Field<Kv>>(linker, |state| &mut state.kv)
}

impl Kv {
    pub(crate) fn new(
        granted: &BTreeSet<String>,
        limits: Limits,
        view: Arc<dyn KvView>,
        recorder: Recorder,
        answering: Answering,
    ) -> Self {
        Self {
            answering,
            granted: granted.clone(),
            view,
            reads: BTreeMap::new(),
            listings: Vec::new(),
            listed: 0,
            writes: BTreeMap::new(),
            buffered: 0,
            exceeded: None,
            limits,
            space: Space::default(),
            recorder,
        }
    }

    /// The limit that a write met, if one did.
    pub(crate) fn exceeded(&self) -> Option<&'static str> {
        self.exceeded
    }

    /// What the call did.
    pub(crate) fn finish(&mut self) -> KvDelta {
        let reads = std::mem::take(&mut self.reads).into_iter();
        let writes = std::mem::take(&mut self.writes).into_iter();
        KvDelta {
            reads: reads.map(|((namespace, key), version)| KvRead { namespace, key, version }).collect(),
            listings: std::mem::take(&mut self.listings),
            writes: writes.map(|((namespace, key), value)| KvWrite { namespace, key, value }).collect(),
        }
    }

    /// Whether the namespace is granted; a refusal is recorded.
    fn granted(&self, namespace: &str, operation: &'static str) -> Result<(), Error> {
        if self.granted.contains(namespace) {
            self.recorder.operation(Class::Kv, namespace);
            Ok(())
        } else {
            self.recorder.denied(Class::Kv, operation, namespace);
            Err(Error::NotGranted)
        }
    }

    fn allowed(&self, namespace: &str, key: &str, operation: &'static str) -> Result<(), Error> {
        self.granted(namespace, operation)?;
        let bad = key.is_empty() || key.len() > MAX_KEY || key.chars().any(char::is_control);
        if bad { Err(Error::InvalidKey) } else { Ok(()) }
    }

    /// The call's own value, else the committed one.
    fn current(&mut self, namespace: &str, key: &str) -> Result<Result<Option<Vec<u8>>, Error>> {
        let id = (namespace.to_owned(), key.to_owned());
        if let Some(own) = self.writes.get(&id) {
            return Ok(Ok(own.clone()));
        }
        if self.reads.len() >= MAX_KEYS && !self.reads.contains_key(&id) {
            return Ok(Err(Error::TooLarge));
        }
        let committed = self.committed(namespace, key)?;
        let (value, version) = committed.unzip();
        // The first version counts: where it has moved on in between, the commit fails.
        self.reads.entry(id).or_insert(version);
        Ok(Ok(value))
    }

    /// A committed value: the store's, which is recorded, or the record's.
    fn committed(&self, namespace: &str, key: &str) -> Result<Option<(Vec<u8>, u64)>> {
        let (namespace, key) = (namespace.to_owned(), key.to_owned());
        let answering = &self.answering;
        if answering.is_recorded() {
            let asked = Entry::Get { namespace, key, value: None, version: None };
            return match answering.ask(&asked) {
                Some((_, Entry::Get { value: Some(value), version: Some(version), .. })) => {
                    Ok(Some((value.0, version)))
                }
                Some((_, Entry::Get { value: None, version: None, .. })) => Ok(None),
                Some(_) => Err(impossible(answering, &asked)),
                None => Err(not_recorded()),
            };
        }
        let committed = self.view.get(&namespace, &key)?;
        let value = committed.as_ref().map(|(value, _)| Blob(value.clone()));
        let version = committed.as_ref().map(|(_, version)| *version);
        answering.tell(Entry::Get { namespace, key, value, version });
        Ok(committed)
    }

    /// Committed keys: the store's, which are recorded, or the record's.
    fn committed_keys(
        &self,
        namespace: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>> {
        let answering = &self.answering;
        let entry = |keys| Entry::List {
            namespace: namespace.to_owned(),
            prefix: prefix.to_owned(),
            after: after.map(str::to_owned),
            limit: limit as u64,
            keys,
        };
        if answering.is_recorded() {
            let asked = entry(Vec::new());
            return match answering.ask(&asked) {
                Some((_, Entry::List { keys, .. })) if keys.len() <= limit => Ok(keys),
                Some(_) => Err(impossible(answering, &asked)),
                None => Err(not_recorded()),
            };
        }
        let keys = self.view.list(namespace, prefix, after, limit)?;
        answering.tell(entry(keys.clone()));
        Ok(keys)
    }

    fn write(&mut self, namespace: &str, key: &str, value: Option<Vec<u8>>) -> Result<Result<(), Error>> {
        let id = (namespace.to_owned(), key.to_owned());
        let size = value.as_ref().map_or(0, Vec::len);
        let replaced = self.writes.get(&id);
        let is_new = replaced.is_none();
        if size > MAX_VALUE || self.writes.len() + usize::from(is_new) > MAX_KEYS {
            return Ok(Err(Error::TooLarge));
        }
        let weight = |value: Option<&Vec<u8>>| value.map_or(0, |value| (key.len() + value.len()) as u64);
        let (before, after) = (weight(replaced.and_then(Option::as_ref)), weight(value.as_ref()));
        let grows = after > before;
        self.buffered = self.buffered - before + after;
        self.writes.insert(id.clone(), value);
        if is_new {
            self.space.unknown.push(id);
        }
        // What takes away is always let through.
        if grows {
            if self.buffered > self.limits.kv_bytes {
                self.exceeded = Some("kv_bytes");
            } else if self.overflows()? {
                self.exceeded = Some("kv_held");
            }
            if self.exceeded.is_some() {
                return Err(Ended(FaultCode::KvLimit).into());
            }
        }
        self.recorder.written(Class::Kv, namespace, size);
        Ok(Ok(()))
    }

    /// Whether the namespaces would hold more than they may. Calls of one tool of one program follow
    /// one another, so that what they hold is nobody's to change meanwhile. In a replay nothing is
    /// kept, and nobody knows what was held then.
    fn overflows(&mut self) -> Result<bool> {
        if self.answering.is_recorded() {
            return Ok(false);
        }
        let held = match self.space.held {
            Some(held) => held,
            None => *self.space.held.insert(self.view.held()?),
        };
        let most = held.saturating_add(self.buffered);
        if most.saturating_sub(self.space.replaced) <= self.limits.kv_held {
            return Ok(false);
        }
        // It is close: what the writes replace makes room.
        for (namespace, key) in std::mem::take(&mut self.space.unknown) {
            let old = self.view.get(&namespace, &key)?;
            self.space.replaced += old.map_or(0, |(value, _)| (key.len() + value.len()) as u64);
        }
        Ok(most.saturating_sub(self.space.replaced) > self.limits.kv_held)
    }

    fn list(
        &mut self,
        namespace: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Result<Vec<String>, Error>> {
        let in_range = |key: &str| key.starts_with(prefix) && after.is_none_or(|after| key > after);
        let own: Vec<_> = self
            .writes
            .iter()
            .filter(|((space, key), _)| space == namespace && in_range(key))
            .map(|((_, key), value)| (key.clone(), value.is_some()))
            .collect();
        // Enough that the page is full after the call's own deletions are taken out.
        let ask = limit + own.iter().filter(|(_, there)| !there).count();
        if self.listed + ask > MAX_KEYS {
            return Ok(Err(Error::TooLarge));
        }
        let committed = self.committed_keys(namespace, prefix, after, ask)?;
        self.listed += committed.len();
        let mut keys: BTreeSet<_> = committed.iter().take(ask).cloned().collect();
        self.listings.push(KvListing {
            namespace: namespace.to_owned(),
            prefix: prefix.to_owned(),
            after: after.map(str::to_owned),
            limit: ask,
            keys: committed,
        });
        for (key, there) in own {
            if there {
                keys.insert(key);
            } else {
                keys.remove(&key);
            }
        }
        Ok(Ok(keys.into_iter().take(limit).collect()))
    }
}

/// Ends the call of a guest that asked what the record has no answer to; what it asked is kept there.
fn not_recorded() -> wasmtime::Error {
    KvUnavailable("the record has no answer".to_owned()).into()
}

fn impossible(answering: &Answering, asked: &Entry) -> wasmtime::Error {
    answering.impossible(asked);
    not_recorded()
}

impl KvDelta {
    /// What it wants to write, as a record has it: without the values.
    pub(crate) fn wanted(&self) -> Vec<Entry> {
        let wanted = self.writes.iter().map(|write| Entry::Set {
            namespace: write.namespace.clone(),
            key: write.key.clone(),
            value: write.value.as_deref().map(Digest::of),
        });
        wanted.collect()
    }
}

/// A refusal that the guest sees is a value; an error of the host ends the call.
macro_rules! or_return {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return Ok(Err(error)),
        }
    };
}

impl kv::Host for Kv {
    fn get(&mut self, namespace: String, key: String) -> Result<Result<Option<Vec<u8>>, Error>> {
        or_return!(self.allowed(&namespace, &key, "get"));
        let value = or_return!(self.current(&namespace, &key)?);
        self.recorder.read(Class::Kv, &namespace, value.as_ref().map_or(0, Vec::len));
        Ok(Ok(value))
    }

    fn set(&mut self, namespace: String, key: String, value: Vec<u8>) -> Result<Result<(), Error>> {
        or_return!(self.allowed(&namespace, &key, "set"));
        self.write(&namespace, &key, Some(value))
    }

    fn set_new(&mut self, namespace: String, key: String, value: Vec<u8>) -> Result<Result<(), Error>> {
        or_return!(self.allowed(&namespace, &key, "set-new"));
        if or_return!(self.current(&namespace, &key)?).is_some() {
            return Ok(Err(Error::AlreadyExists));
        }
        self.write(&namespace, &key, Some(value))
    }

    fn delete(&mut self, namespace: String, key: String) -> Result<Result<bool, Error>> {
        or_return!(self.allowed(&namespace, &key, "delete"));
        let there = or_return!(self.current(&namespace, &key)?).is_some();
        if there {
            or_return!(self.write(&namespace, &key, None)?);
        }
        Ok(Ok(there))
    }

    fn list_keys(
        &mut self,
        namespace: String,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> Result<Result<Vec<String>, Error>> {
        or_return!(self.granted(&namespace, "list-keys"));
        if prefix.len() > MAX_KEY || after.as_ref().is_some_and(|after| after.len() > MAX_KEY) {
            return Ok(Err(Error::InvalidKey));
        }
        let keys =
            or_return!(self.list(&namespace, &prefix, after.as_deref(), limit.min(MAX_LISTED) as usize)?);
        self.recorder.read(Class::Kv, &namespace, keys.iter().map(String::len).sum());
        Ok(Ok(keys))
    }
}
