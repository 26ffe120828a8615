//! Text → tokens. Every byte belongs to a token or to whitespace; anything else is an error with
//! its place.

use super::ConditionError;
use super::decimal::Literal;
use crate::template::{Reference, is_word_char};

/// The longest condition, bytes: bounds what one guard of a hostile file can cost.
const MAX_TEXT: usize = 64 * 1024;

/// The most digits of one number: comparing is linear in them.
const MAX_DIGITS: usize = 1000;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) offset: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum TokenKind {
    Reference(Reference),
    Text(String),
    Number(Literal),
    True,
    False,
    None,
    And,
    Or,
    Not,
    In,
    Contains,
    Open,
    Close,
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

pub(super) fn tokens(text: &str) -> Result<Vec<Token>, ConditionError> {
    if text.len() > MAX_TEXT {
        return fail(MAX_TEXT, format!("a condition is at most {MAX_TEXT} bytes long"));
    }
    let mut tokens = Vec::with_capacity(text.len() / 4 + 1);
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        if matches!(first, ' ' | '\t' | '\r' | '\n') {
            at += 1;
            continue;
        }
        let (kind, length) = token(&text[at..], first)
            .map_err(|error| ConditionError { offset: at + error.offset, ..error })?;
        tokens.push(Token { kind, offset: at });
        at += length;
    }
    Ok(tokens)
}

/// The token that `rest` begins with, and its length in bytes.
fn token(rest: &str, first: char) -> Result<(TokenKind, usize), ConditionError> {
    match first {
        '$' => match Reference::scan(rest) {
            Ok(Some((reference, length))) => Ok((TokenKind::Reference(reference), length)),
            Ok(None) => fail(0, "expected a name after `$`"),
            Err(error) => fail(error.offset, error.message),
        },
        '\'' | '"' => string(rest, first),
        '-' | '0'..='9' => number(rest),
        c if is_word_char(c) => word(rest),
        _ => symbol(rest, first),
    }
}

fn string(rest: &str, quote: char) -> Result<(TokenKind, usize), ConditionError> {
    // What lies before the first quote or backslash stands for itself.
    let plain = rest[1..].find([quote, '\\']).unwrap_or(0);
    let mut text = String::from(&rest[1..=plain]);
    let mut chars = rest[1 + plain..].char_indices().map(|(at, c)| (1 + plain + at, c));
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, escaped @ ('\'' | '"' | '\\'))) => text.push(escaped),
                _ => return fail(at, "a backslash escapes only `'`, `\"` and `\\`"),
            },
            c if c == quote => {
                if text.starts_with('$') && Reference::parse(&text).is_ok() {
                    return fail(0, format!("the text is a reference in quotes; write {text} without them"));
                }
                return Ok((TokenKind::Text(text), at + 1));
            }
            c => text.push(c),
        }
    }
    fail(0, "the text has no closing quote")
}

fn number(rest: &str) -> Result<(TokenKind, usize), ConditionError> {
    let digits = |from: usize| rest[from..].bytes().take_while(u8::is_ascii_digit).count();
    let sign = usize::from(rest.starts_with('-'));
    let whole = digits(sign);
    if whole == 0 {
        return fail(0, "expected digits after `-`; there is no arithmetic");
    }
    let mut length = sign + whole;
    let mut fraction = 0;
    if rest[length..].starts_with('.') {
        fraction = digits(length + 1);
        if fraction == 0 {
            return fail(length, "expected digits after the decimal point");
        }
        length += 1 + fraction;
    }
    if whole + fraction > MAX_DIGITS {
        return fail(0, format!("a number has at most {MAX_DIGITS} digits"));
    }
    if rest[length..].starts_with(is_word_char) {
        return fail(length, "a number ends where a letter, digit or `_` touches it; put a space between");
    }
    Ok((TokenKind::Number(Literal::read(&rest[..length])), length))
}

fn word(rest: &str) -> Result<(TokenKind, usize), ConditionError> {
    let length = rest.find(|c: char| !is_word_char(c)).unwrap_or(rest.len());
    let kind = match &rest[..length] {
        "True" => TokenKind::True,
        "False" => TokenKind::False,
        "None" => TokenKind::None,
        "and" => TokenKind::And,
        "or" => TokenKind::Or,
        "not" => TokenKind::Not,
        "in" => TokenKind::In,
        "contains" => TokenKind::Contains,
        other => {
            let shown: String = other.chars().take(40).collect();
            let hint = match &*other.to_ascii_lowercase() {
                "true" => "write `True`",
                "false" => "write `False`",
                "null" | "none" | "nil" | "undefined" => "write `None`",
                "and" => "write `and`",
                "or" => "write `or`",
                "not" => "write `not`",
                "is" => "write `==`",
                _ => "a value is written `$name`, a text in quotes",
            };
            return fail(0, format!("`{shown}` means nothing here; {hint}"));
        }
    };
    Ok((kind, length))
}

fn symbol(rest: &str, first: char) -> Result<(TokenKind, usize), ConditionError> {
    let follows = rest[first.len_utf8()..].starts_with('=');
    let (kind, length) = match (first, follows) {
        ('=', true) => (TokenKind::Equal, 2),
        ('!', true) => (TokenKind::NotEqual, 2),
        ('>', true) => (TokenKind::GreaterOrEqual, 2),
        ('<', true) => (TokenKind::LessOrEqual, 2),
        ('>', false) => (TokenKind::Greater, 1),
        ('<', false) => (TokenKind::Less, 1),
        ('(', _) => (TokenKind::Open, 1),
        (')', _) => (TokenKind::Close, 1),
        _ => return unexpected(first),
    };
    Ok((kind, length))
}

fn unexpected<T>(first: char) -> Result<T, ConditionError> {
    let hint = match first {
        '=' => "; equality is `==`",
        '!' => "; write `not` or `!=`",
        '&' => "; write `and`",
        '|' => "; write `or`",
        '+' | '*' | '/' | '%' | '^' => "; there is no arithmetic",
        '\u{2018}' | '\u{2019}' | '\u{201c}' | '\u{201d}' => "; use straight quotes",
        _ => "",
    };
    fail(0, format!("unexpected `{}`{hint}", first.escape_debug()))
}

pub(super) fn fail<T>(offset: usize, message: impl Into<String>) -> Result<T, ConditionError> {
    Err(ConditionError { offset, message: message.into() })
}
