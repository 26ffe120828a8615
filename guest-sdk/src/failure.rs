//! Why a tool did not give a result. What the host does about it is the host's affair.

use alloc::string::String;
use core::fmt;

/// The failures that the host tells apart: the `failure` of `nanohost:tool/types`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The arguments are wrong; calling again with the same ones is pointless.
    InvalidInput(String),
    /// The tool understood and declines, for a reason of its domain.
    Rejected(String),
    /// Something the tool needs is not there at the moment; the host may try again.
    Unavailable(String),
    /// The run has to wait for somebody or something outside.
    Suspended(Suspension),
}

/// What a suspended step waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// For the person who has to settle it.
    pub reason: String,
    /// When waiting is pointless, in seconds since 1970-01-01T00:00:00Z; `None`: no such moment.
    pub deadline: Option<u64>,
}

impl Failure {
    /// The arguments are wrong.
    pub fn invalid_input(text: impl Into<String>) -> Self {
        Self::InvalidInput(text.into())
    }

    /// The tool declines.
    pub fn rejected(text: impl Into<String>) -> Self {
        Self::Rejected(text.into())
    }

    /// Something is not there at the moment.
    pub fn unavailable(text: impl Into<String>) -> Self {
        Self::Unavailable(text.into())
    }

    /// The run waits, until `deadline` (seconds since 1970-01-01T00:00:00Z) at the longest.
    pub fn suspended(reason: impl Into<String>, deadline: Option<u64>) -> Self {
        Self::Suspended(Suspension { reason: reason.into(), deadline })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, text) = match self {
            Self::InvalidInput(text) => ("invalid input", text),
            Self::Rejected(text) => ("rejected", text),
            Self::Unavailable(text) => ("unavailable", text),
            Self::Suspended(suspension) => ("suspended", &suspension.reason),
        };
        write!(f, "{kind}: {text}")
    }
}

impl core::error::Error for Failure {}
