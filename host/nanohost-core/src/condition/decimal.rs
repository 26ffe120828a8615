//! Numbers as the decimals they are written as, so that comparing never rounds. Knows no
//! arithmetic: the language has none.

use std::cmp::Ordering;

use serde_json::Number;

/// A decimal number in normal form: ± 0.d₁d₂d₃… × 10^`exponent` with d₁ and the last digit not
/// zero; zero has no digits. One number has one form, so equality is equality of fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decimal {
    negative: bool,
    exponent: i64,
    digits: String,
}

impl Decimal {
    /// The number that `-?digits[.digits][e-?digits]` denotes.
    pub(super) fn read(text: &str) -> Self {
        let (text, power) = text.split_once('e').unwrap_or((text, "0"));
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let all = format!("{whole}{fraction}");
        let significant = all.trim_start_matches('0');
        let leading = all.len() - significant.len();
        let digits = significant.trim_end_matches('0');
        if digits.is_empty() {
            return Self { negative: false, exponent: 0, digits: String::new() };
        }
        let power: i64 = power.parse().unwrap_or(0);
        Self { negative, exponent: power + whole.len() as i64 - leading as i64, digits: digits.into() }
    }

    /// A JSON number. A binary fraction stands for the shortest decimal that reads back as it,
    /// the one it is printed as: `0.1` is a tenth.
    pub(super) fn of(number: &Number) -> Self {
        if number.is_f64() {
            Self::read(&format!("{:e}", number.as_f64().unwrap_or(0.0)))
        } else {
            Self::read(&number.to_string())
        }
    }

    pub(super) fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |decimal: &Self| match (decimal.is_zero(), decimal.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        sign(self).cmp(&sign(other)).then_with(|| {
            // The first digit is never zero, so the exponent decides, then the digits as text.
            let size = self.exponent.cmp(&other.exponent).then_with(|| self.digits.cmp(&other.digits));
            if self.negative { size.reverse() } else { size }
        })
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
