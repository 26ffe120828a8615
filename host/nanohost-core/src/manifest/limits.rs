//! Bounds as people write them, `"32MiB"`, `"2s"`, and the range each bound has to lie in.

use std::time::Duration;

use crate::capability::Limits;

/// What a manifest gets that says nothing: enough for a small tool, little enough that a hundred
/// of them at a time fit a small machine.
pub(super) const DEFAULT_LIMITS: Limits = Limits {
    memory: 64 << 20,
    fuel: 1_000_000_000,
    deadline: Duration::from_secs(5),
    output: 1 << 20,
    logs: 64 << 10,
};

/// A component needs at least one page; more than 4 GiB no 32-bit memory has, so a greater bound
/// would only pretend to be one.
pub(super) const MEMORY: Range = Range { least: 64 << 10, most: 4 << 30 };

/// More fuel than this is no bound at all: about ten days of one core. It also keeps the number
/// below 2^53, which is as far as signed JSON counts.
pub(super) const FUEL: Range = Range { least: 1, most: 1_000_000_000_000_000 };

/// A call that may hold a thread and a slot of the pool for longer than an hour is a hang.
/// Milliseconds.
pub(super) const DEADLINE: Range = Range { least: 1, most: 3_600_000 };

/// A result is held in memory several times over while it is lifted, checked, committed and
/// stored: a greater one is an attack on the host's memory.
pub(super) const OUTPUT: Range = Range { least: 1, most: 64 << 20 };

/// Log lines are kept with the evidence: more of them is an attack on the disk.
pub(super) const LOGS: Range = Range { least: 1, most: 16 << 20 };

/// Both ends included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub(super) least: u64,
    pub(super) most: u64,
}

impl Range {
    pub(super) fn holds(self, value: u64) -> bool {
        (self.least..=self.most).contains(&value)
    }
}

/// Bytes from `512B`, `64KiB`, `32MiB`, `1GiB`.
pub(super) fn bytes(text: &str) -> Option<u64> {
    with_unit(text, &[("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)])
}

/// Milliseconds from `500ms`, `2s`, `5min`.
pub(super) fn millis(text: &str) -> Option<u64> {
    with_unit(text, &[("ms", 1), ("min", 60_000), ("s", 1_000)])
}

/// A whole number directly followed by one of `units`.
fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, factor) =
        units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)))?;
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// `value` bytes in the largest unit that divides it.
pub(super) fn show_bytes(value: u64) -> String {
    for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if value >> shift << shift == value && value >> shift > 0 {
            return format!("{}{unit}", value >> shift);
        }
    }
    format!("{value}B")
}
