//! Names that the whole of nanohost speaks in: runs, steps, tools. Knows nothing of what they name.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A name that does not have the form its kind requires.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {what}: {rule}")]
pub struct BadIdent {
    what: &'static str,
    rule: &'static str,
    text: String,
}

macro_rules! text_ident {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the form of `text`.
            pub fn new(text: &str) -> Result<Self, BadIdent> {
                if Self::is_valid(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(BadIdent { what: $what, rule: $rule, text: text.chars().take(80).collect() })
                }
            }

            fn is_valid(text: &str) -> bool {
                let valid: fn(&str) -> bool = $valid;
                valid(text)
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadIdent;
            fn from_str(text: &str) -> Result<Self, BadIdent> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

/// No name is longer: it bounds what a hostile file can make every later message carry.
const MAX_NAME: usize = 128;

text_ident!(
    /// The id of a step: `[A-Za-z_][A-Za-z0-9_]*`, at most 128 bytes.
    StepId,
    "step id",
    "letters, digits and `_`, not starting with a digit, at most 128",
    |text| {
        text.len() <= MAX_NAME
            && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    }
);

impl StepId {
    /// Checks the form of a text that others share.
    pub(crate) fn of_shared(text: Arc<str>) -> Result<Self, BadIdent> {
        if Self::is_valid(&text) { Ok(Self(text)) } else { Self::new(&text) }
    }
}

text_ident!(
    /// The name of a tool, local to a program or of a package: `[A-Za-z_][A-Za-z0-9_-]*`, at most 128 bytes.
    ToolName,
    "tool name",
    "letters, digits, `_` and `-`, not starting with a digit or `-`, at most 128",
    |text| {
        text.len() <= MAX_NAME
            && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    }
);

text_ident!(
    /// The id of a run: 128 random bits as 32 lower-case hexadecimal digits.
    RunId,
    "run id",
    "32 lower-case hexadecimal digits",
    |text| text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
);

text_ident!(
    /// Who acts: a person, a service, an agent. `[A-Za-z0-9][A-Za-z0-9._@+-]*`, at most 128 bytes, and
    /// neither `starter` nor `operator`, which stand for whoever it is.
    Principal,
    "principal",
    "letters, digits, `.`, `_`, `@`, `+` and `-`, starting with a letter or digit, at most 128, and neither \
     `starter` nor `operator`",
    |text| {
        text.len() <= MAX_NAME
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'@' | b'+' | b'-'))
            && !matches!(text, "starter" | "operator")
    }
);

impl RunId {
    /// The run id of 16 random bytes.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Self(text.into())
    }

    /// The first twelve digits, which people type and read.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}
