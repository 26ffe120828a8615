//! Key-value entries that lie in memory, for calls that leave nothing behind.

use std::collections::BTreeMap;

use nanohost_core::cases::KvValues;
use nanohost_sandbox::{KvUnavailable, KvView, KvWrite};

/// What the namespaces of one tool hold, by namespace and key; each with how often it was written.
#[derive(Debug, Clone, Default)]
pub struct Entries(BTreeMap<(String, String), (Vec<u8>, u64)>);

impl Entries {
    /// These values, written once.
    pub fn of(values: &KvValues) -> Self {
        let each = values.iter().flat_map(|(namespace, values)| {
            let at = |key: &String| (namespace.clone(), key.clone());
            values.iter().map(move |(key, text)| (at(key), (text.clone().into_bytes(), 1)))
        });
        Self(each.collect())
    }

    /// With what a call wrote.
    pub fn apply(&mut self, writes: &[KvWrite]) {
        for write in writes {
            let at = (write.namespace.clone(), write.key.clone());
            match &write.value {
                Some(bytes) => {
                    let version = self.0.get(&at).map_or(0, |(_, version)| *version);
                    self.0.insert(at, (bytes.clone(), version + 1));
                }
                None => drop(self.0.remove(&at)),
            }
        }
    }

    /// The text under a key.
    pub fn text(&self, namespace: &str, key: &str) -> Option<String> {
        let (bytes, _) = self.0.get(&(namespace.to_owned(), key.to_owned()))?;
        Some(String::from_utf8_lossy(bytes).into_owned())
    }
}

impl KvView for Entries {
    fn get(&self, namespace: &str, key: &str) -> Result<Option<(Vec<u8>, u64)>, KvUnavailable> {
        Ok(self.0.get(&(namespace.to_owned(), key.to_owned())).cloned())
    }

    fn list(
        &self,
        namespace: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, KvUnavailable> {
        let keys = self.0.keys().filter(|(own, _)| own == namespace).map(|(_, key)| key);
        let fits = |key: &&String| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after);
        Ok(keys.filter(fits).take(limit).cloned().collect())
    }

    fn held(&self) -> Result<u64, KvUnavailable> {
        Ok(self.0.iter().map(|((_, key), (value, _))| (key.len() + value.len()) as u64).sum())
    }
}
