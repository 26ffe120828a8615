//! What an act says by which a store's log goes on under another name and key: after its key was
//! changed, or after an older copy of the store was restored, of which others saw more. The old log's
//! key says so too, where it is there: a note of its own, which is no head.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::log::note::{Kind, NoteError};
use crate::log::{KeyName, Note, NoteSigner, NoteVerifier};
use crate::{Commitment, Digest};

/// The first line of what the old log's key signs. No log has this name, so that it is no head.
const STATEMENT: &str = "nanohost.dev/log-succession/v1";

/// A log goes on under another name and key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LogAct {
    /// The log that it goes on from.
    pub from: LogBefore,
    /// The last head that is known of that log, where it had more entries than it goes on from: what
    /// was between is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<LogKnown>,
    /// The key under which it goes on.
    #[serde(with = "text")]
    pub to: NoteVerifier,
    /// The old log's own word for it, a signed note; absent where its key is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Why, in the words of who did it.
    pub reason: Commitment,
}

/// A log up to the head from which another one goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LogBefore {
    /// Its name.
    #[serde(with = "text")]
    pub origin: KeyName,
    /// Its key, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text_if")]
    pub key: Option<NoteVerifier>,
    /// How many entries both have.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
}

/// A head of a log that somebody remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LogKnown {
    /// The number of its entries.
    pub size: u64,
    /// The root over them, where that is remembered too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<Digest>,
}

impl LogAct {
    /// Has the old log's key say it too.
    ///
    /// # Errors
    /// None that a name of allowed length can cause.
    pub fn sign(&mut self, old: &NoteSigner) -> Result<(), NoteError> {
        let mut note = Note::new(self.statement())?;
        note.sign(old, 0);
        self.note = Some(note.to_string());
        Ok(())
    }

    fn statement(&self) -> String {
        let LogBefore { origin, size, root, .. } = &self.from;
        format!("{STATEMENT}\n{origin}\n{size}\n{}\n{}\n", STANDARD.encode(root.as_bytes()), self.to)
    }

    pub(super) fn check(&self) -> Result<(), &'static str> {
        let from = &self.from;
        if self.to.kind() != Kind::Ed25519 || from.key.as_ref().is_some_and(|key| key.kind() != Kind::Ed25519)
        {
            return Err("a key that it names is no log's");
        }
        if *self.to.name() == from.origin {
            return Err("the log that it goes on to has the name of the old one");
        }
        if from.key.as_ref().is_some_and(|key| *key.name() != from.origin) {
            return Err("the key of the old log is another log's");
        }
        if self.known.is_some_and(|known| known.size <= from.size) {
            return Err("what is known of the old log is no more than it goes on from");
        }
        match (&self.note, &from.key) {
            (None, _) => Ok(()),
            (Some(_), None) => Err("it has a note by a key that it does not name"),
            (Some(note), Some(key)) => {
                let note: Note = note.parse().map_err(|_| "its note is none")?;
                match note.by(key) {
                    Ok(Some(_)) if note.text() == self.statement() => Ok(()),
                    _ => Err("its note is not what the old log's key says of it"),
                }
            }
        }
    }
}

/// Values that stand there as their text.
mod text {
    use super::{FromStr, fmt};
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(
        value: &impl fmt::Display,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>, T: FromStr<Err: fmt::Display>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// The same of a value that may be absent.
mod text_if {
    use super::{FromStr, fmt};
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        value: &Option<impl fmt::Display>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>, T: FromStr<Err: fmt::Display>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        super::text::deserialize(deserializer).map(Some)
    }
}
