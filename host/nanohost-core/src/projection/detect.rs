//! Personal data told by its look: e-mail addresses, international phone numbers, card numbers.
//! A net that a program may hold out below its declarations; it knows no names and no places.

use std::fmt;
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use crate::run::text_enum;

text_enum!(
    /// A kind of personal data that has a look of its own.
    Detector {
        /// E-mail addresses, `@` written as `%40` too.
        Email = "email",
        /// International phone numbers (E.164 with the usual separators): `+` and 7 to 15 digits.
        Phone = "phone",
        /// Payment card numbers: 13 to 19 digits with spaces or dashes, and the right check digit
        /// (ISO/IEC 7812, Luhn).
        Card = "card",
    }
);

/// The digits of a number as people call it from abroad: the shortest in use, the longest of E.164.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// The digits of a card number.
const CARD_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;

static EMAIL: LazyLock<Regex> = LazyLock::new(|| {
    compile(
        r"(?x)
        [\p{L}\p{M}\p{N}.!\#$%&'*+/=?^_`{|}~-]+ (?: @ | %40 )
        (?: [\p{L}\p{N}] (?: [\p{L}\p{M}\p{N}-]* [\p{L}\p{M}\p{N}] )? \. )+
        (?: xn--[A-Za-z0-9-]+ | [\p{L}\p{M}]{2,} )",
    )
});

static PHONE: LazyLock<Regex> =
    LazyLock::new(|| compile(r"\+\(?[1-9](?:[ ()./\u{a0}\u{202f}\u{2010}\u{2011}\u{2013}-]{0,3}[0-9])*"));

static DIGITS: LazyLock<Regex> = LazyLock::new(|| compile(r"[0-9](?:[ \u{a0}\u{202f}-]?[0-9]){12,}"));

fn compile(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the patterns stand above, and a test uses each")
}

impl Detector {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Email, Self::Phone, Self::Card];

    /// Adds the places in `text` that look like it, in time linear in the text.
    pub(super) fn find(self, text: &str, found: &mut Vec<Range<usize>>) {
        match self {
            Self::Email => found.extend(EMAIL.find_iter(text).map(|hit| hit.range())),
            Self::Phone => {
                found.extend(PHONE.find_iter(text).filter_map(|hit| phone(hit.as_str(), hit.start())))
            }
            Self::Card => DIGITS.find_iter(text).for_each(|hit| cards(hit.as_str(), hit.start(), found)),
        }
    }
}

/// The number that `run` begins with. Where numbers follow that belong to something else, it is as
/// many whole groups as one number can have.
fn phone(run: &str, start: usize) -> Option<Range<usize>> {
    let bytes = run.as_bytes();
    let mut digits = 0;
    let mut end = None;
    for (at, byte) in bytes.iter().enumerate() {
        if !byte.is_ascii_digit() {
            continue;
        }
        digits += 1;
        if digits > *PHONE_DIGITS.end() {
            break;
        }
        let group_ends = bytes.get(at + 1).is_none_or(|next| !next.is_ascii_digit());
        if group_ends && PHONE_DIGITS.contains(&digits) {
            end = Some(at + 1);
        }
    }
    end.map(|end| start..start + end)
}

/// Every card number among the groups of digits of `run`: numbers that stand before or after it
/// hide none.
fn cards(run: &str, start: usize, found: &mut Vec<Range<usize>>) {
    let bytes = run.as_bytes();
    let digits: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at].is_ascii_digit()).collect();
    let begins = |nth: usize| nth == 0 || digits[nth - 1] + 1 != digits[nth];
    let ends = |nth: usize| nth + 1 == digits.len() || digits[nth] + 1 != digits[nth + 1];
    for first in (0..digits.len()).filter(|nth| begins(*nth)) {
        for length in CARD_DIGITS {
            let Some(last) = digits.get(first + length - 1) else { break };
            let number: Vec<u8> = digits[first..first + length].iter().map(|at| bytes[*at] - b'0').collect();
            if ends(first + length - 1) && is_card(&number) {
                found.push(start + digits[first]..start + last + 1);
            }
        }
    }
}

fn is_card(digits: &[u8]) -> bool {
    // No issuer's numbers begin with 0; thirteen digits are an old form of a few issuers, and
    // otherwise a time in milliseconds.
    let issued = match digits {
        [0, ..] => false,
        [first, ..] if digits.len() == *CARD_DIGITS.start() => matches!(first, 4..=6),
        _ => true,
    };
    issued && luhn(digits)
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| match (at % 2, u32::from(*digit) * 2) {
            (0, _) => u32::from(*digit),
            (_, doubled) if doubled > 9 => doubled - 9,
            (_, doubled) => doubled,
        })
        .sum();
    sum.is_multiple_of(10)
}
