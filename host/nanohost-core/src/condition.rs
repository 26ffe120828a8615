//! The condition language of guards and of policy `require`: lexer, parser, evaluator.
//! Knows names only through [`Scope`].
//!
//! `and`, `or`, `not` and parentheses combine only truth values, so a condition compiles to a
//! flat list of tests with forward jumps over one accumulator: evaluation is linear and needs no
//! stack, however long the text.

mod decimal;
mod lexer;
mod parser;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use serde_json::{Number, Value};

use crate::template::{Reference, Resolved, Scope};
use decimal::{Decimal, Literal, double_of};

/// A text that parsed as a condition.
#[derive(Debug, Clone)]
pub struct Condition {
    text: String,
    code: Vec<Op>,
}

/// A text that is not a condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}, at byte {offset}")]
pub struct ConditionError {
    /// The byte offset in the text.
    pub offset: usize,
    /// What is wrong there.
    pub message: String,
}

/// A condition that cannot be decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// An operator met kinds of values it is not defined for.
    #[error("`{operator}` cannot compare {left} with {right}, at byte {offset}")]
    Type {
        /// The operator as written.
        operator: &'static str,
        /// The kind of the left operand.
        left: &'static str,
        /// The kind of the right operand.
        right: &'static str,
        /// The byte offset of the operator in the text.
        offset: usize,
    },
    /// The decision needs a value that the holder of the scope may not see.
    #[error("the decision needs a value that is withheld")]
    Withheld,
}

#[derive(Debug, Clone)]
enum Op {
    /// Accumulator := whether the operand counts as true.
    Truth(Operand),
    /// Accumulator := the comparison.
    Compare(Box<Comparison>),
    /// Accumulator := not accumulator.
    Not,
    /// Goes on at `to`, always further down, if the accumulator is `when`.
    Jump { when: bool, to: usize },
}

#[derive(Debug, Clone)]
struct Comparison {
    left: Operand,
    operator: Operator,
    right: Operand,
    offset: usize,
}

#[derive(Debug, Clone)]
enum Operand {
    Reference(Reference),
    /// Text, a truth value or `None`.
    Plain(Value),
    Number(Literal),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    In,
    NotIn,
    Contains,
}

/// A value while it is compared. Literals keep digits that no JSON number of ours can hold.
#[derive(Clone, Copy)]
enum Datum<'a> {
    Value(&'a Value),
    Number(&'a Literal),
}

impl Condition {
    /// Reads a condition. The bounds of the language hold: 64 KiB of text, nesting of 64,
    /// numbers of 1,000 digits.
    pub fn parse(text: &str) -> Result<Self, ConditionError> {
        parser::parse(text).map(|code| Self { text: text.into(), code })
    }

    /// The condition as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Every reference, in the order of the text.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        self.code.iter().flat_map(|op| {
            let (left, right) = match op {
                Op::Truth(operand) => (Some(operand), None),
                Op::Compare(comparison) => (Some(&comparison.left), Some(&comparison.right)),
                Op::Not | Op::Jump { .. } => (None, None),
            };
            left.into_iter().chain(right).filter_map(Operand::reference)
        })
    }

    /// The references in which `in` and `contains` search: substring tests, where they are text.
    pub(crate) fn haystacks(&self) -> impl Iterator<Item = &Reference> {
        self.code.iter().filter_map(|op| match op {
            Op::Compare(comparison) => match comparison.operator {
                Operator::In | Operator::NotIn => comparison.right.reference(),
                Operator::Contains => comparison.left.reference(),
                _ => None,
            },
            _ => None,
        })
    }

    /// Decides it. An unresolved reference is null. A side of `and` or `or` that does not matter
    /// is not looked at, so what it refers to may be withheld.
    pub fn evaluate(&self, scope: &dyn Scope) -> Result<bool, EvalError> {
        let mut accumulator = false;
        let mut at = 0;
        while let Some(op) = self.code.get(at) {
            at += 1;
            match op {
                Op::Truth(operand) => accumulator = is_true(operand.datum(scope)?),
                Op::Compare(comparison) => accumulator = comparison.evaluate(scope)?,
                Op::Not => accumulator = !accumulator,
                Op::Jump { when, to } if *when == accumulator => at = *to,
                Op::Jump { .. } => {}
            }
        }
        Ok(accumulator)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Operand {
    fn reference(&self) -> Option<&Reference> {
        match self {
            Self::Reference(reference) => Some(reference),
            Self::Plain(_) | Self::Number(_) => None,
        }
    }

    fn datum<'a>(&'a self, scope: &'a dyn Scope) -> Result<Datum<'a>, EvalError> {
        Ok(match self {
            Self::Plain(value) => Datum::Value(value),
            Self::Number(number) => Datum::Number(number),
            Self::Reference(reference) => match reference.resolve(scope) {
                Resolved::Value(value) => Datum::Value(value),
                Resolved::Absent => Datum::Value(&Value::Null),
                Resolved::Withheld => return Err(EvalError::Withheld),
            },
        })
    }
}

impl Comparison {
    fn evaluate(&self, scope: &dyn Scope) -> Result<bool, EvalError> {
        let left = self.left.datum(scope)?;
        let right = self.right.datum(scope)?;
        let decided = match self.operator {
            Operator::Equal => Some(equal(left, right)),
            Operator::NotEqual => Some(!equal(left, right)),
            Operator::Greater => order(left, right).map(Ordering::is_gt),
            Operator::GreaterOrEqual => order(left, right).map(Ordering::is_ge),
            Operator::Less => order(left, right).map(Ordering::is_lt),
            Operator::LessOrEqual => order(left, right).map(Ordering::is_le),
            Operator::In => contains(right, left),
            Operator::NotIn => contains(right, left).map(|found| !found),
            Operator::Contains => contains(left, right),
        };
        decided.ok_or_else(|| EvalError::Type {
            operator: self.operator.as_str(),
            left: left.kind(),
            right: right.kind(),
            offset: self.offset,
        })
    }
}

impl Operator {
    fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::In => "in",
            Self::NotIn => "not in",
            Self::Contains => "contains",
        }
    }
}

impl<'a> Datum<'a> {
    fn kind(self) -> &'static str {
        match self {
            Self::Value(Value::Null) => "null",
            Self::Value(Value::Bool(_)) => "a truth value",
            Self::Value(Value::Number(_)) | Self::Number(_) => "a number",
            Self::Value(Value::String(_)) => "a string",
            Self::Value(Value::Array(_)) => "a list",
            Self::Value(Value::Object(_)) => "an object",
        }
    }

    fn number(self) -> Option<Cow<'a, Decimal>> {
        match self {
            Self::Number(number) => Some(Cow::Borrowed(&number.decimal)),
            Self::Value(Value::Number(number)) => Some(Cow::Owned(Decimal::of(number))),
            Self::Value(_) => None,
        }
    }

    fn double(self) -> Option<f64> {
        match self {
            Self::Number(number) => number.double,
            Self::Value(Value::Number(number)) => double_of(number),
            Self::Value(_) => None,
        }
    }

    /// The order of two numbers: that of their doubles where it is exact, else digit by digit.
    fn compare(self, other: Self) -> Option<Ordering> {
        if let (Some(left), Some(right)) = (self.double(), other.double()) {
            return left.partial_cmp(&right);
        }
        Some(self.number()?.cmp(&other.number()?))
    }
}

fn is_true(datum: Datum<'_>) -> bool {
    match datum {
        Datum::Number(number) => !number.decimal.is_zero(),
        Datum::Value(Value::Null) => false,
        Datum::Value(Value::Bool(truth)) => *truth,
        Datum::Value(Value::Number(number)) => number.as_f64() != Some(0.0),
        Datum::Value(Value::String(text)) => !text.is_empty(),
        Datum::Value(Value::Array(items)) => !items.is_empty(),
        Datum::Value(Value::Object(fields)) => !fields.is_empty(),
    }
}

/// Deep and typed; a list of pairs yet to compare stands in for recursion.
fn equal(left: Datum<'_>, right: Datum<'_>) -> bool {
    let (Datum::Value(left), Datum::Value(right)) = (left, right) else {
        return left.compare(right) == Some(Ordering::Equal);
    };
    let mut pairs = vec![(left, right)];
    while let Some(pair) = pairs.pop() {
        let same = match pair {
            (Value::Null, Value::Null) => true,
            (Value::Bool(left), Value::Bool(right)) => left == right,
            (Value::Number(left), Value::Number(right)) => {
                left == right || number_order(left, right) == Ordering::Equal
            }
            (Value::String(left), Value::String(right)) => left == right,
            (Value::Array(left), Value::Array(right)) => {
                pairs.extend(left.iter().zip(right));
                left.len() == right.len()
            }
            (Value::Object(left), Value::Object(right)) => {
                left.len() == right.len()
                    && left.iter().all(|(key, field)| match right.get(key) {
                        Some(other) => {
                            pairs.push((field, other));
                            true
                        }
                        None => false,
                    })
            }
            _ => false,
        };
        if !same {
            return false;
        }
    }
    true
}

/// Number with number, string with string by code point (which is the order of UTF-8's bytes).
fn order(left: Datum<'_>, right: Datum<'_>) -> Option<Ordering> {
    match (left, right) {
        (Datum::Value(Value::String(left)), Datum::Value(Value::String(right))) => Some(left.cmp(right)),
        _ => left.compare(right),
    }
}

fn number_order(left: &Number, right: &Number) -> Ordering {
    let doubles = double_of(left).zip(double_of(right)).and_then(|(left, right)| left.partial_cmp(&right));
    doubles.unwrap_or_else(|| Decimal::of(left).cmp(&Decimal::of(right)))
}

/// Substring, list member, object key.
fn contains(haystack: Datum<'_>, needle: Datum<'_>) -> Option<bool> {
    let Datum::Value(haystack) = haystack else { return None };
    match (haystack, needle) {
        (Value::String(text), Datum::Value(Value::String(part))) => Some(text.contains(&**part)),
        (Value::Array(items), needle) => Some(items.iter().any(|item| equal(Datum::Value(item), needle))),
        (Value::Object(fields), Datum::Value(Value::String(key))) => Some(fields.contains_key(key)),
        _ => None,
    }
}
