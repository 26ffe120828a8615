//! The lines of the list of acts outside of the stores, as text and as data. Knows no file and no store.

use nanohost_core::{Digest, RunId};
use serde::{Deserialize, Serialize};

/// One act, as the list has it. The words of whoever did it are content of the store, and not in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// The chain of its store.
    pub chain: RunId,
    /// Its place there.
    pub seq: u64,
    /// The store's log.
    pub log: String,
    /// How many entries that had when this was written: a copy of the store with fewer is an older one.
    pub size: u64,
    /// Its exact bytes.
    #[serde(with = "bytes")]
    pub act: Vec<u8>,
}

impl Listed {
    /// SHA-256 of the act.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.act)
    }
}

mod bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        STANDARD.decode(text.as_bytes()).map_err(de::Error::custom)
    }
}

/// A last line without an end counts where it is whole. Where it is not, it is one that was being written
/// when its process ended: its act is in the store and is listed again. A store that lacks it is an older
/// copy, of which nobody knows what it lacks.
pub fn parsed(text: &[u8], chain: &RunId, own: u64) -> std::io::Result<Vec<Listed>> {
    let invalid = |why: String| std::io::Error::new(std::io::ErrorKind::InvalidData, why);
    let (whole, cut) = text.split_at(whole_lines(text));
    let mut all = Vec::new();
    for (at, line) in whole.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
        let line: Listed =
            serde_json::from_slice(line).map_err(|error| invalid(format!("line {}: {error}", at + 1)))?;
        if line.chain != *chain {
            continue;
        }
        if line.seq != all.len() as u64 {
            return Err(invalid(format!("line {}: act {} stands here", at + 1, line.seq)));
        }
        all.push(line);
    }
    if !cut.is_empty() && own <= all.len() as u64 && !is_of_another(cut, chain) {
        return Err(invalid("the last line is cut off, and the store lacks its act".to_owned()));
    }
    Ok(all)
}

/// Whether a line that is cut off begins as one of another store.
fn is_of_another(cut: &[u8], chain: &RunId) -> bool {
    let begins = b"{\"chain\":\"";
    let id = chain.as_str().as_bytes();
    let there = cut.strip_prefix(begins).and_then(|rest| rest.get(..id.len()));
    there.is_some_and(|there| there != id)
}

/// How many bytes the lines have that were written to their end.
pub fn whole_lines(text: &[u8]) -> usize {
    let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let is_whole = serde_json::from_slice::<Listed>(&text[end..]).is_ok();
    if is_whole { text.len() } else { end }
}
