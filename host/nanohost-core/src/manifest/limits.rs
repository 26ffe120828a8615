//! `[limits]`: bounds as people write them, `"32MiB"`, `"2s"`, and the range each has to lie in.
//! Manifests and policies share it.

use std::time::Duration;

use crate::capability::{Limits, Together, Unit};
use crate::document::{Fields, NodeValue, Report};

/// What a manifest gets that says nothing: enough for a small tool, little enough that a hundred
/// of them at a time fit a small machine. Those of [`Limits`] that stand in a table only where they
/// differ from this are part of its form: to change one is to change the form's name.
pub(super) const DEFAULT_LIMITS: Limits = Limits {
    memory: 64 << 20,
    fuel: 1_000_000_000,
    deadline: Duration::from_secs(5),
    output: 1 << 20,
    logs: 64 << 10,
    http_calls: 16,
    http_bytes: 1 << 20,
    file_bytes: Limits::FILE_BYTES,
    kv_bytes: Limits::KV_BYTES,
    kv_held: Limits::KV_HELD,
};

/// A component needs at least one page; more than 4 GiB no 32-bit memory has, so a greater bound
/// would only pretend to be one.
const MEMORY: Range = Range { least: 64 << 10, most: 4 << 30 };

/// More fuel than this is no bound at all: about ten days of one core. It also keeps the number
/// below 2^53, which is as far as signed JSON counts.
const FUEL: Range = Range { least: 1, most: 1_000_000_000_000_000 };

/// A call that may hold a thread and a slot of the pool for longer than an hour is a hang.
/// Milliseconds.
const DEADLINE: Range = Range { least: 1, most: 3_600_000 };

/// A result is held in memory several times over while it is lifted, checked, committed and
/// stored: a greater one is an attack on the host's memory.
const OUTPUT: Range = Range { least: 1, most: 64 << 20 };

/// Log lines are kept with the evidence: more of them is an attack on the disk.
const LOGS: Range = Range { least: 1, most: 16 << 20 };

/// More requests of one call are a flood.
const HTTP_CALLS: Range = Range { least: 1, most: 10_000 };

/// Answers are kept in memory and with the evidence, as results are.
const HTTP_BYTES: Range = Range { least: 1, most: 64 << 20 };

/// A disk that one call fills takes the store down with it.
const FILE_BYTES: Range = Range { least: 1, most: 64 << 30 };

/// What a call writes is held in memory until it commits.
const KV_BYTES: Range = Range { least: 1, most: 64 << 20 };

/// What a tool keeps lies in the store's database for good.
const KV_HELD: Range = Range { least: 1, most: 64 << 30 };

/// Calls under way at a time: more never are.
const CALLS: Range = Range { least: 1, most: 1024 };

/// Memory of all calls under way.
const ALL_MEMORY: Range = Range { least: 64 << 10, most: 4 << 40 };

/// What a `[limits]` table says; what it leaves out is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct GivenLimits {
    pub(crate) memory: Option<u64>,
    pub(crate) fuel: Option<u64>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) output: Option<u64>,
    pub(crate) logs: Option<u64>,
    pub(crate) http_calls: Option<u64>,
    pub(crate) http_bytes: Option<u64>,
    pub(crate) file_bytes: Option<u64>,
    pub(crate) kv_bytes: Option<u64>,
    pub(crate) kv_held: Option<u64>,
}

impl GivenLimits {
    /// The keys that nothing is said of.
    pub(crate) fn unsaid(self) -> Vec<&'static str> {
        let Self {
            memory,
            fuel,
            deadline,
            output,
            logs,
            http_calls,
            http_bytes,
            file_bytes,
            kv_bytes,
            kv_held,
        } = self;
        let all = [
            ("memory", memory.is_none()),
            ("fuel", fuel.is_none()),
            ("deadline", deadline.is_none()),
            ("output", output.is_none()),
            ("logs", logs.is_none()),
            ("http_calls", http_calls.is_none()),
            ("http_bytes", http_bytes.is_none()),
            ("file_bytes", file_bytes.is_none()),
            ("kv_bytes", kv_bytes.is_none()),
            ("kv_held", kv_held.is_none()),
        ];
        all.into_iter().filter_map(|(key, unsaid)| unsaid.then_some(key)).collect()
    }

    /// With `others` where nothing is said.
    pub(crate) fn or(self, others: Limits) -> Limits {
        Limits {
            memory: self.memory.unwrap_or(others.memory),
            fuel: self.fuel.unwrap_or(others.fuel),
            deadline: self.deadline.unwrap_or(others.deadline),
            output: self.output.unwrap_or(others.output),
            logs: self.logs.unwrap_or(others.logs),
            http_calls: self.http_calls.unwrap_or(others.http_calls),
            http_bytes: self.http_bytes.unwrap_or(others.http_bytes),
            file_bytes: self.file_bytes.unwrap_or(others.file_bytes),
            kv_bytes: self.kv_bytes.unwrap_or(others.kv_bytes),
            kv_held: self.kv_held.unwrap_or(others.kv_held),
        }
    }
}

/// The bounds that are not the default, a line each: `limits.memory 128MiB`.
pub(crate) fn said(limits: Limits) -> Vec<String> {
    let others = limits.each().into_iter().zip(DEFAULT_LIMITS.each()).filter(|(own, default)| own != default);
    let said = |((key, value, unit), _)| {
        let value = match unit {
            Unit::Bytes => show_bytes(value),
            Unit::Millis => show_millis(value),
            Unit::Times => value.to_string(),
        };
        format!("limits.{key} {value}")
    };
    others.map(said).collect()
}

/// Reads the bounds of `fields`. Zero, absurd and unreadable ones are `invalid_limit`.
pub(crate) fn read_limits(fields: &mut Fields<'_>, report: &mut Report) -> GivenLimits {
    GivenLimits {
        memory: quantity(fields, "memory", &BYTES, MEMORY, report),
        fuel: number(fields, "fuel", FUEL, report),
        deadline: quantity(fields, "deadline", &TIME, DEADLINE, report).map(Duration::from_millis),
        output: quantity(fields, "output", &BYTES, OUTPUT, report),
        logs: quantity(fields, "logs", &BYTES, LOGS, report),
        http_calls: number(fields, "http_calls", HTTP_CALLS, report),
        http_bytes: quantity(fields, "http_bytes", &BYTES, HTTP_BYTES, report),
        file_bytes: quantity(fields, "file_bytes", &BYTES, FILE_BYTES, report),
        kv_bytes: quantity(fields, "kv_bytes", &BYTES, KV_BYTES, report),
        kv_held: quantity(fields, "kv_held", &BYTES, KV_HELD, report),
    }
}

/// Reads what all calls together are bounded by, which is for an operator to say.
pub(crate) fn read_together(fields: &mut Fields<'_>, report: &mut Report) -> Together {
    Together {
        calls: number(fields, "calls", CALLS, report),
        memory: quantity(fields, "memory", &BYTES, ALL_MEMORY, report),
    }
}

/// A time such as `"2s"`, from the least to the most milliseconds.
pub(crate) fn read_time(
    fields: &mut Fields<'_>,
    key: &'static str,
    (least, most): (u64, u64),
    report: &mut Report,
) -> Option<Duration> {
    quantity(fields, key, &TIME, Range { least, most }, report).map(Duration::from_millis)
}

/// A size such as `"1MiB"`, from the least to the most bytes.
pub(crate) fn read_bytes(
    fields: &mut Fields<'_>,
    key: &'static str,
    (least, most): (u64, u64),
    report: &mut Report,
) -> Option<u64> {
    quantity(fields, key, &BYTES, Range { least, most }, report)
}

/// How a quantity is written.
struct Form {
    example: &'static str,
    read: fn(&str) -> Option<u64>,
    show: fn(u64) -> String,
}

const BYTES: Form = Form { example: "\"32MiB\" (B, KiB, MiB, GiB)", read: bytes, show: show_bytes };
const TIME: Form = Form { example: "\"2s\" (ms, s, min)", read: millis, show: show_millis };

fn quantity(
    fields: &mut Fields<'_>,
    key: &'static str,
    form: &Form,
    range: Range,
    report: &mut Report,
) -> Option<u64> {
    let node = fields.node(key)?;
    let value = node.as_text().and_then(form.read);
    if value.is_some_and(|value| range.holds(value)) {
        return value;
    }
    let finding = report.error(
        "invalid_limit",
        &node.span,
        format!("`{key}` is from {} to {}", (form.show)(range.least), (form.show)(range.most)),
    );
    report.push(finding.help(format!("write a whole number with its unit, such as {}", form.example)));
    None
}

fn number(fields: &mut Fields<'_>, key: &'static str, range: Range, report: &mut Report) -> Option<u64> {
    let node = fields.node(key)?;
    let value = match &node.value {
        NodeValue::Number(number) => number.as_u64().filter(|value| range.holds(*value)),
        _ => None,
    };
    if value.is_none() {
        let message = format!("`{key}` is an integer from {} to {}", range.least, range.most);
        report.push(report.error("invalid_limit", &node.span, message));
    }
    value
}

/// Both ends included.
#[derive(Debug, Clone, Copy)]
struct Range {
    least: u64,
    most: u64,
}

impl Range {
    fn holds(self, value: u64) -> bool {
        (self.least..=self.most).contains(&value)
    }
}

/// Bytes from `512B`, `64KiB`, `32MiB`, `1GiB`.
fn bytes(text: &str) -> Option<u64> {
    with_unit(text, &[("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)])
}

/// Milliseconds from `500ms`, `2s`, `5min`.
fn millis(text: &str) -> Option<u64> {
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
fn show_bytes(value: u64) -> String {
    for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if value >> shift << shift == value && value >> shift > 0 {
            return format!("{}{unit}", value >> shift);
        }
    }
    format!("{value}B")
}

/// `value` milliseconds in the largest unit that divides it.
fn show_millis(value: u64) -> String {
    match value {
        value if value % 60_000 == 0 => format!("{}min", value / 60_000),
        value if value % 1_000 == 0 => format!("{}s", value / 1_000),
        value => format!("{value}ms"),
    }
}
