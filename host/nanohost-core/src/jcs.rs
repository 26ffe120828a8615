//! RFC 8785 (JCS) canonical JSON, narrowed to what every reader reads alike: no floats and no
//! integer beyond ±(2^53−1). Knows nothing of what the documents say.
//!
//! Larger numbers belong in decimal strings: JCS would round them in silence, and two documents
//! that a person reads as different would carry one signature.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::hex;

#[cfg(test)]
mod tests;

/// The greatest integer that an IEEE 754 double, and so every JSON reader, holds exactly.
pub const MAX_INTEGER: i64 = (1 << 53) - 1;

/// Arrays and objects within one another. Stops a document of brackets from using up the stack of
/// whoever reads it; below the 128 that `serde_json` allows, so that the bound is ours.
pub const MAX_DEPTH: usize = 120;

/// Why a document is not, or cannot become, a canonical one. Holds no text of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JcsError {
    /// More bytes than the caller allows.
    #[error("the document is longer than {limit} bytes")]
    TooLong {
        /// The caller's bound, bytes.
        limit: usize,
    },
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("the document is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// Not one JSON document in UTF-8.
    #[error("not JSON in UTF-8 (line {line}, column {column})")]
    NotJson {
        /// Line from 1.
        line: usize,
        /// Column from 1, bytes.
        column: usize,
    },
    /// An object has the same key twice, and readers differ on which of them counts.
    #[error("an object has the same key twice")]
    DuplicateKey,
    /// A number with a fraction, an exponent or a negative zero.
    #[error("a number is not an integer")]
    Float,
    /// An integer beyond ±(2^53−1).
    #[error("an integer is beyond ±(2^53−1), which not every reader holds exactly")]
    IntegerRange,
    /// The same document, but not in its canonical form.
    #[error("the document is not in its RFC 8785 form")]
    NotCanonical,
}

/// The canonical bytes of `value`.
///
/// # Errors
/// Floats, integers beyond ±(2^53−1) and nesting beyond [`MAX_DEPTH`] are refused, never rounded.
pub fn canonical(value: &Value) -> Result<Vec<u8>, JcsError> {
    let mut out = Vec::with_capacity(1024);
    write(value, 0, &mut out)?;
    Ok(out)
}

/// Reads a document of at most `max_len` bytes that must already be in its canonical form.
///
/// # Errors
/// Every other document, see [`JcsError`]. Time and memory are linear in `max_len`.
pub fn parse_canonical(bytes: &[u8], max_len: usize) -> Result<Value, JcsError> {
    if bytes.len() > max_len {
        return Err(JcsError::TooLong { limit: max_len });
    }
    let refused = Cell::new(None);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: 0, refused: &refused }
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| {
            let not_json = JcsError::NotJson { line: error.line(), column: error.column() };
            refused.get().unwrap_or(not_json)
        })?;
    if canonical(&value)? == bytes { Ok(value) } else { Err(JcsError::NotCanonical) }
}

fn exact(integer: i64) -> bool {
    (-MAX_INTEGER..=MAX_INTEGER).contains(&integer)
}

/// Without floats, RFC 8785 asks for no more than what follows: no spaces, members sorted by the
/// UTF-16 code units of their keys, the shortest escapes. Envelopes are written and read by the
/// thousand, and a general canonicaliser costs more than their signatures; the tests compare this
/// one with two of those.
fn write(value: &Value, depth: usize, out: &mut Vec<u8>) -> Result<(), JcsError> {
    if depth > MAX_DEPTH {
        return Err(JcsError::TooDeep);
    }
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) if number.is_f64() => return Err(JcsError::Float),
        Value::Number(number) => match number.as_i64() {
            Some(integer) if exact(integer) => out.extend_from_slice(integer.to_string().as_bytes()),
            _ => return Err(JcsError::IntegerRange),
        },
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write(item, depth + 1, out)?;
            }
            out.push(b']');
        }
        Value::Object(object) => {
            let mut members: Vec<(&String, &Value)> = object.iter().collect();
            members.sort_unstable_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push(b'{');
            for (at, (key, member)) in members.into_iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_string(key, out);
                out.push(b':');
                write(member, depth + 1, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    // Everything to be escaped is ASCII, so the bytes between stay whole characters.
    let mut written = 0;
    for (at, &byte) in text.as_bytes().iter().enumerate() {
        let short = match byte {
            b'"' | b'\\' => byte,
            0x08 => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            0x0c => b'f',
            b'\r' => b'r',
            0x00..0x20 => b'u',
            _ => continue,
        };
        out.extend_from_slice(&text.as_bytes()[written..at]);
        out.extend_from_slice(&[b'\\', short]);
        if short == b'u' {
            hex::push(out, &[0, byte]);
        }
        written = at + 1;
    }
    out.extend_from_slice(&text.as_bytes()[written..]);
    out.push(b'"');
}

/// Builds a [`Value`] and stops at the first thing a signed document may not hold.
#[derive(Clone, Copy)]
struct Strict<'a> {
    depth: usize,
    /// The reason, carried past the reader's own error type.
    refused: &'a Cell<Option<JcsError>>,
}

impl Strict<'_> {
    fn refuse<E: serde::de::Error>(self, error: JcsError) -> E {
        self.refused.set(Some(error));
        E::custom(error)
    }

    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        let deeper = Self { depth: self.depth + 1, ..self };
        if deeper.depth > MAX_DEPTH { Err(self.refuse(JcsError::TooDeep)) } else { Ok(deeper) }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        if exact(value) { Ok(Value::from(value)) } else { Err(self.refuse(JcsError::IntegerRange)) }
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            Err(_) => Err(self.refuse(JcsError::IntegerRange)),
        }
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Value, E> {
        Err(self.refuse(JcsError::Float))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            let value = members.next_value_seed(inner)?;
            if object.insert(key, value).is_some() {
                return Err(self.refuse(JcsError::DuplicateKey));
            }
        }
        Ok(Value::Object(object))
    }
}
