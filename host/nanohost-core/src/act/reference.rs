//! The name of one committed value: `run/<run>/<seq>/<role>`, as the subjects of envelopes, exports
//! and people say it. Knows nothing of the value.

use std::fmt;
use std::str::FromStr;

use crate::export::parse_seq;
use crate::{Role, RunId};

/// The name of one committed value. They sort by run, envelope and role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueRef {
    /// The run.
    pub run: RunId,
    /// The envelope that commits to it.
    pub seq: u64,
    /// What it is to that envelope.
    pub role: Role,
}

/// The text names no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a value: expected run/<run>/<seq>/<role>")]
pub struct BadReference;

impl fmt::Display for ValueRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run/{}/{}/{}", self.run, self.seq, self.role)
    }
}

impl FromStr for ValueRef {
    type Err = BadReference;

    fn from_str(text: &str) -> Result<Self, BadReference> {
        let rest = text.strip_prefix("run/").ok_or(BadReference)?;
        let (run, rest) = rest.split_once('/').ok_or(BadReference)?;
        let (seq, role) = rest.split_once('/').ok_or(BadReference)?;
        Ok(Self {
            run: RunId::new(run).map_err(|_| BadReference)?,
            seq: parse_seq(seq).ok_or(BadReference)?,
            role: Role::new(role).map_err(|_| BadReference)?,
        })
    }
}

impl serde::Serialize for ValueRef {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for ValueRef {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
