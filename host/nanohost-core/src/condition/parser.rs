//! Tokens → flat code. Recursion is on the nesting alone, which is bounded.

use serde_json::Value;

use super::lexer::{Token, TokenKind, fail, tokens};
use super::{Comparison, ConditionError, Op, Operand, Operator};

/// The deepest nesting of parentheses and `not` together: bounds the parser's stack.
const MAX_NESTING: usize = 64;

pub(super) fn parse(text: &str) -> Result<Vec<Op>, ConditionError> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, end: text.len(), code: Vec::new() };
    parser.either(0)?;
    match parser.peek() {
        None => Ok(parser.code),
        Some(TokenKind::Close) => parser.fail("there is no `(` for this `)`"),
        Some(_) => parser.fail("expected `and`, `or` or the end; comparisons do not chain"),
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    /// The length of the text: where an error at the end stands.
    end: usize,
    code: Vec<Op>,
}

impl Parser {
    /// `or := and {"or" and}`
    fn either(&mut self, nesting: usize) -> Result<(), ConditionError> {
        self.chain(&TokenKind::Or, true, |parser| parser.both(nesting))
    }

    /// `and := not {"and" not}`
    fn both(&mut self, nesting: usize) -> Result<(), ConditionError> {
        self.chain(&TokenKind::And, false, |parser| parser.negation(nesting))
    }

    /// Parts joined by `connective`, of which the first that comes out as `decided` decides.
    fn chain(
        &mut self,
        connective: &TokenKind,
        decided: bool,
        mut part: impl FnMut(&mut Self) -> Result<(), ConditionError>,
    ) -> Result<(), ConditionError> {
        let mut jumps = Vec::new();
        part(self)?;
        while self.take(connective) {
            jumps.push(self.code.len());
            self.code.push(Op::Jump { when: decided, to: 0 });
            part(self)?;
        }
        let end = self.code.len();
        for jump in jumps {
            self.code[jump] = Op::Jump { when: decided, to: end };
        }
        Ok(())
    }

    /// `not := "not" not | "(" expr ")" | cmp`
    fn negation(&mut self, nesting: usize) -> Result<(), ConditionError> {
        if nesting >= MAX_NESTING && matches!(self.peek(), Some(TokenKind::Not | TokenKind::Open)) {
            return self.fail(format!("nested deeper than {MAX_NESTING} levels"));
        }
        if self.take(&TokenKind::Not) {
            self.negation(nesting + 1)?;
            self.code.push(Op::Not);
            Ok(())
        } else if self.take(&TokenKind::Open) {
            self.either(nesting + 1)?;
            if self.take(&TokenKind::Close) { Ok(()) } else { self.fail("expected `)`") }
        } else {
            self.comparison()
        }
    }

    /// `cmp := operand [op operand]`
    fn comparison(&mut self) -> Result<(), ConditionError> {
        let left = self.operand()?;
        let offset = self.offset();
        let op = match self.operator()? {
            None => Op::Truth(left),
            Some(operator) => {
                Op::Compare(Box::new(Comparison { left, operator, right: self.operand()?, offset }))
            }
        };
        self.code.push(op);
        Ok(())
    }

    fn operator(&mut self) -> Result<Option<Operator>, ConditionError> {
        let operator = match self.peek() {
            Some(TokenKind::Equal) => Operator::Equal,
            Some(TokenKind::NotEqual) => Operator::NotEqual,
            Some(TokenKind::Greater) => Operator::Greater,
            Some(TokenKind::GreaterOrEqual) => Operator::GreaterOrEqual,
            Some(TokenKind::Less) => Operator::Less,
            Some(TokenKind::LessOrEqual) => Operator::LessOrEqual,
            Some(TokenKind::In) => Operator::In,
            Some(TokenKind::Contains) => Operator::Contains,
            Some(TokenKind::Not) => {
                self.at += 1;
                if self.peek() != Some(&TokenKind::In) {
                    return self.fail("expected `in` after `not`");
                }
                Operator::NotIn
            }
            _ => return Ok(None),
        };
        self.at += 1;
        Ok(Some(operator))
    }

    fn operand(&mut self) -> Result<Operand, ConditionError> {
        // What was read is not looked at again, so a value is taken out of its token.
        let kind =
            self.tokens.get_mut(self.at).map(|token| std::mem::replace(&mut token.kind, TokenKind::None));
        let operand = match kind {
            Some(TokenKind::Reference(reference)) => Operand::Reference(reference),
            Some(TokenKind::Text(text)) => Operand::Plain(Value::String(text)),
            Some(TokenKind::Number(number)) => Operand::Number(number),
            Some(TokenKind::True) => Operand::Plain(Value::Bool(true)),
            Some(TokenKind::False) => Operand::Plain(Value::Bool(false)),
            Some(TokenKind::None) => Operand::Plain(Value::Null),
            _ => {
                return self
                    .fail("expected a value: `$name`, a text in quotes, a number, True, False or None");
            }
        };
        self.at += 1;
        Ok(operand)
    }

    fn peek(&self) -> Option<&TokenKind> {
        self.tokens.get(self.at).map(|token| &token.kind)
    }

    fn take(&mut self, kind: &TokenKind) -> bool {
        let found = self.peek() == Some(kind);
        self.at += usize::from(found);
        found
    }

    fn offset(&self) -> usize {
        self.tokens.get(self.at).map_or(self.end, |token| token.offset)
    }

    fn fail<T>(&self, message: impl Into<String>) -> Result<T, ConditionError> {
        fail(self.offset(), message)
    }
}
