//! Decimal numbers, exact: digits, and how many of them stand behind the point.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// More digits than an amount of money ever has; all of them together fit an `i128`.
const MOST_DIGITS: usize = 18;

/// A number of at most [`MOST_DIGITS`] digits before the point and as many behind it; sums have more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Decimal {
    digits: i128,
    behind: u32,
}

impl FromStr for Decimal {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (before, behind) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let digits = |part: &str| part.len() <= MOST_DIGITS && part.bytes().all(|byte| byte.is_ascii_digit());
        let point_without_digits = unsigned.contains('.') && behind.is_empty();
        if before.is_empty() || point_without_digits || !digits(before) || !digits(behind) {
            return Err(());
        }
        let all: i128 = format!("{before}{behind}").parse().map_err(drop)?;
        let digits = if text.starts_with('-') { -all } else { all };
        Ok(Self { digits, behind: behind.len() as u32 })
    }
}

impl Decimal {
    /// The sum; `None` where it has too many digits.
    pub fn plus(&self, other: &Self) -> Option<Self> {
        let behind = self.behind.max(other.behind);
        let digits = self.with(behind)?.checked_add(other.with(behind)?)?;
        Some(Self { digits, behind })
    }

    /// Which is greater.
    pub fn order(&self, other: &Self) -> Ordering {
        let behind = self.behind.max(other.behind);
        // What was read has room for it: 36 digits of 38.
        self.with(behind).cmp(&other.with(behind))
    }

    /// The digits with so many of them behind the point.
    fn with(&self, behind: u32) -> Option<i128> {
        self.digits.checked_mul(10i128.checked_pow(behind - self.behind)?)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.digits < 0 { "-" } else { "" };
        let behind = self.behind as usize;
        let digits = format!("{:0>1$}", self.digits.unsigned_abs(), behind + 1);
        let (before, behind) = digits.split_at(digits.len() - behind);
        match behind {
            "" => write!(f, "{sign}{before}"),
            _ => write!(f, "{sign}{before}.{behind}"),
        }
    }
}
