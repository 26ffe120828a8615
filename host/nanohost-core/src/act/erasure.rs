//! What the act of an erasure says: which values are gone, on what basis, by whose word. No personal
//! data: the free text of the reason is content, behind a commitment, and can be erased like any other.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::reference::ValueRef;
use crate::run::text_enum;
use crate::{Commitment, Principal, RunId};

/// Values of one run that were erased. One act never names two runs: whoever is shown that one run was
/// erased from learns of no other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Erasure {
    /// The values: at least one, all of one run, ascending, each once.
    pub refs: Vec<ValueRef>,
    /// How many key-value entries that the run had written went with them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub key_values: u64,
    /// Whether the run went whole: all its values but documents, its key-value entries, however many
    /// these were, and a request to stop it.
    #[serde(default, skip_serializing_if = "is_not")]
    pub whole: bool,
    /// Whether the run's evidence did not verify when this was done, so that what was erased is what the
    /// store held of it.
    #[serde(default, skip_serializing_if = "is_not")]
    pub damaged: bool,
    /// On what basis.
    pub basis: Basis,
    /// Who agreed, as whoever did it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver: Option<Principal>,
    /// Why, in their words.
    pub reason: Commitment,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_not(said: &bool) -> bool {
    !*said
}

impl Erasure {
    /// The most values of one act: more make several. Keeps the payload far below the most that a
    /// verifier reads.
    pub const MAX_REFS: usize = 4096;

    /// The run.
    pub fn run(&self) -> Option<&RunId> {
        self.refs.first().map(|value| &value.run)
    }

    pub(super) fn check(&self) -> Result<(), &'static str> {
        if self.refs.is_empty() || self.refs.len() > Self::MAX_REFS {
            return Err("it erases nothing, or more than one act may");
        }
        let ascending = |pair: &[ValueRef]| pair[0] < pair[1] && pair[0].run == pair[1].run;
        if self.refs.windows(2).all(ascending) {
            Ok(())
        } else {
            Err("its refs are not of one run, in order")
        }
    }
}

text_enum!(
    /// On what basis something was erased. The words follow Article 17 of the GDPR.
    Basis {
        /// The person asked for it.
        Request = "request",
        /// What it was kept for is over.
        NoLongerNeeded = "no-longer-needed",
        /// Consent was withdrawn.
        ConsentWithdrawn = "consent-withdrawn",
        /// The person objects.
        Objection = "objection",
        /// It should not have been there.
        Unlawful = "unlawful",
        /// A law or an order demands it.
        LegalObligation = "legal-obligation",
    }
);

impl Basis {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Request,
        Self::NoLongerNeeded,
        Self::ConsentWithdrawn,
        Self::Objection,
        Self::Unlawful,
        Self::LegalObligation,
    ];
}

impl Serialize for Basis {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Basis {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("an unknown basis"))
    }
}
