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

/// Decimals with so many digits are told apart by their doubles.
const EXACT_DIGITS: usize = 15;

/// Within these powers of ten doubles keep all their digits.
const MAX_EXPONENT: i64 = 290;

/// Doubles tell integers apart up to here, 2^53.
const EXACT_INTEGER: u64 = 1 << 53;

/// A number in the text of a condition.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Literal {
    pub(super) decimal: Decimal,
    /// As a double, where comparing that is comparing the decimal.
    pub(super) double: Option<f64>,
}

impl Literal {
    /// The number that `-?digits[.digits]` denotes.
    pub(super) fn read(text: &str) -> Self {
        let decimal = Decimal::read(text);
        let double = decimal.double(text);
        Self { decimal, double }
    }
}

/// A JSON number as a double, where comparing that is comparing the shortest decimals.
pub(super) fn double_of(number: &Number) -> Option<f64> {
    if number.is_f64() {
        return number.as_f64();
    }
    let size = number.as_i64().map(i64::unsigned_abs).or_else(|| number.as_u64())?;
    if size <= EXACT_INTEGER { number.as_f64() } else { None }
}

impl Decimal {
    /// The number that `-?digits[.digits][e-?digits]` denotes.
    pub(super) fn read(text: &str) -> Self {
        let (text, power) = text.split_once('e').unwrap_or((text, "0"));
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let mut digits = String::with_capacity(whole.len() + fraction.len());
        digits.push_str(whole);
        digits.push_str(fraction);
        let leading = digits.len() - digits.trim_start_matches('0').len();
        digits.truncate(digits.trim_end_matches('0').len());
        if digits.is_empty() {
            return Self { negative: false, exponent: 0, digits };
        }
        digits.drain(..leading);
        let power: i64 = power.parse().unwrap_or(0);
        Self { negative, exponent: power + whole.len() as i64 - leading as i64, digits }
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

    /// The double that stands for it in comparisons with others: no other decimal of so few digits
    /// has the same one, and their order is that of the doubles.
    fn double(&self, text: &str) -> Option<f64> {
        let few = self.digits.len() <= EXACT_DIGITS && self.exponent.abs() <= MAX_EXPONENT;
        if few { text.parse().ok() } else { None }
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
