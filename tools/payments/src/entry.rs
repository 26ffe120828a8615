//! The entries of the books as text: numbers and words with a space between. Knows no key.

use nanohost_guest::prelude::*;

use crate::desk::Outcome;

/// A payment that was asked for.
#[derive(Debug, PartialEq)]
pub(crate) struct Paid {
    pub(crate) amount_cents: u64,
    pub(crate) ready_after: u32,
    pub(crate) becomes: Outcome,
}

/// A refund, and the key of the call that booked it: the host's own, of digits and letters.
#[derive(Debug, PartialEq)]
pub(crate) struct Refunded {
    pub(crate) amount_cents: u64,
    pub(crate) key: String,
}

impl Paid {
    pub(crate) fn to_text(&self) -> String {
        let becomes = match self.becomes {
            Outcome::Pending => "pending",
            Outcome::Paid => "paid",
            Outcome::Failed => "failed",
        };
        format!("{} {} {becomes}", self.amount_cents, self.ready_after)
    }

    pub(crate) fn parse(entry: &[u8]) -> Option<Self> {
        let mut words = core::str::from_utf8(entry).ok()?.split(' ');
        let (amount_cents, ready_after) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let becomes = match words.next()? {
            "pending" => Outcome::Pending,
            "paid" => Outcome::Paid,
            "failed" => Outcome::Failed,
            _ => return None,
        };
        words.next().is_none().then_some(Self { amount_cents, ready_after, becomes })
    }
}

impl Refunded {
    pub(crate) fn to_text(&self) -> String {
        format!("{} {}", self.amount_cents, self.key)
    }

    pub(crate) fn parse(entry: &[u8]) -> Option<Self> {
        let (amount_cents, key) = core::str::from_utf8(entry).ok()?.split_once(' ')?;
        Some(Self { amount_cents: amount_cents.parse().ok()?, key: key.to_owned() })
    }
}
