//! What one call used and what it was refused, as the capabilities saw it. Knows no capability
//! and no evidence format.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use nanohost_core::Class;

/// Different refusals kept per call; a guest can try forever. The rest is counted.
const MAX_REFUSALS: usize = 64;

/// Bytes kept of a value that a guest chose.
const MAX_VALUE: usize = 1024;

/// Authority that a call really used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// The class.
    pub class: Class,
    /// Which grant of that class: the guest's root of a folder, a variable, a namespace, an
    /// address. It comes from the grant, never from the guest.
    pub scope: String,
    /// How often.
    pub operations: u64,
    /// Bytes that went to the guest.
    pub read: u64,
    /// Bytes that came from the guest.
    pub written: u64,
}

/// Something a call tried and was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The class.
    pub class: Class,
    /// What the guest wanted to do, such as `open`; the host's own word.
    pub operation: &'static str,
    /// What it wanted to do it to. Chosen by the guest: data, to be shown escaped.
    pub value: String,
    /// How often.
    pub count: u64,
}

/// Shared by the capabilities of one call.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Record>>);

#[derive(Debug, Default)]
struct Record {
    used: BTreeMap<(Class, String), (u64, u64, u64)>,
    denied: Vec<Refusal>,
    dropped: u64,
}

impl Recorder {
    /// One operation on a granted scope.
    pub(crate) fn operation(&self, class: Class, scope: &str) {
        self.add(class, scope, (1, 0, 0));
    }

    /// Bytes that went to the guest.
    pub(crate) fn read(&self, class: Class, scope: &str, bytes: usize) {
        self.add(class, scope, (0, bytes as u64, 0));
    }

    /// Bytes that came from the guest.
    pub(crate) fn written(&self, class: Class, scope: &str, bytes: usize) {
        self.add(class, scope, (0, 0, bytes as u64));
    }

    /// A refusal.
    pub(crate) fn denied(&self, class: Class, operation: &'static str, value: &str) {
        let mut record = self.record();
        let value = &value[..value.floor_char_boundary(MAX_VALUE)];
        let same = |refusal: &&mut Refusal| {
            (refusal.class, refusal.operation, refusal.value.as_str()) == (class, operation, value)
        };
        // What is tried again and again must not crowd out what is tried once.
        if let Some(again) = record.denied.iter_mut().find(same) {
            again.count = again.count.saturating_add(1);
        } else if record.denied.len() < MAX_REFUSALS {
            record.denied.push(Refusal { class, operation, value: value.to_owned(), count: 1 });
        } else {
            record.dropped = record.dropped.saturating_add(1);
        }
    }

    /// What was used, what was refused, and how many more refusals there were.
    pub(crate) fn finish(&self) -> (Vec<Use>, Vec<Refusal>, u64) {
        let mut record = self.record();
        let used = std::mem::take(&mut record.used);
        let used = used.into_iter().map(|((class, scope), (operations, read, written))| Use {
            class,
            scope,
            operations,
            read,
            written,
        });
        (used.collect(), std::mem::take(&mut record.denied), record.dropped)
    }

    fn add(&self, class: Class, scope: &str, (operations, read, written): (u64, u64, u64)) {
        let mut record = self.record();
        // Scopes are those of the grant, so the map has as many entries as the grant has rows.
        let entry = record.used.entry((class, scope.to_owned())).or_default();
        entry.0 = entry.0.saturating_add(operations);
        entry.1 = entry.1.saturating_add(read);
        entry.2 = entry.2.saturating_add(written);
    }

    fn record(&self) -> std::sync::MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
