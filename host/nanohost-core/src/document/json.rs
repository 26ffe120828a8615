//! JSON → tree. serde_json says what is JSON and bounds the nesting; jsonc-parser, held to the same
//! rules, says where each value stands.

use std::fmt;

use jsonc_parser::ast::{ObjectProp, Value as Ast};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use super::{Entry, Node, NodeValue, Report, duplicate};

/// Nothing that RFC 8259 does not have.
const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

pub(super) fn parse(text: &str, report: &mut Report) -> Option<Node> {
    if let Err(error) = serde_json::from_str::<Read>(text) {
        let line_start: usize =
            text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
        let at = (line_start + error.column().saturating_sub(1)).min(text.len()) + report.base;
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        report.push(report.error("not_json", &(at..at), message));
        return None;
    }
    match parse_to_ast(text, &CollectOptions::default(), &STRICT) {
        Ok(parsed) => parsed.value.map(|value| node(&value, report)),
        Err(error) => {
            let range = error.range();
            let span = range.start + report.base..range.end + report.base;
            report.push(report.error("not_json", &span, error.kind().to_string()));
            None
        }
    }
}

/// Any JSON value, read to its end and not kept: what stands in it is taken from the other reader.
struct Read;

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Read {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self, A::Error> {
        while fields.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}

fn node(value: &Ast<'_>, report: &mut Report) -> Node {
    let span = value.start() + report.base..value.end() + report.base;
    let value = match value {
        Ast::NullKeyword(_) => NodeValue::Null,
        Ast::BooleanLit(truth) => NodeValue::Bool(truth.value),
        Ast::StringLit(text) => NodeValue::Text(text.value.clone().into_owned()),
        Ast::NumberLit(number) => match read_number(number.value) {
            Some(number) => NodeValue::Number(number),
            None => {
                report.invalid(&span, "the number does not fit into 64 bits; write it as a string");
                NodeValue::Null
            }
        },
        Ast::Array(items) => NodeValue::List(items.elements.iter().map(|item| node(item, report)).collect()),
        Ast::Object(object) => {
            if let Some(twice) = duplicate(object.properties.iter().map(|property| property.name.as_str())) {
                let place = object.properties.iter().rfind(|property| property.name.as_str() == twice);
                let span = place.map_or(span.clone(), |property| key_span(property, report));
                let shown: String = twice.chars().take(60).collect();
                let message = format!("the key `{}` stands twice", shown.escape_debug());
                report.push(report.error("duplicate_key", &span, message));
            }
            NodeValue::Table(
                object
                    .properties
                    .iter()
                    .map(|property| Entry {
                        key: property.name.as_str().to_owned(),
                        key_span: key_span(property, report),
                        node: node(&property.value, report),
                    })
                    .collect(),
            )
        }
    };
    Node { span, value }
}

fn key_span(property: &ObjectProp<'_>, report: &Report) -> std::ops::Range<usize> {
    property.name.start() + report.base..property.name.end() + report.base
}

/// An integer keeps all its digits or is refused; only what is written as a fraction is one.
fn read_number(text: &str) -> Option<Number> {
    if text.contains(['.', 'e', 'E']) {
        return text.parse().ok().and_then(Number::from_f64);
    }
    text.parse::<i64>().map(Number::from).or_else(|_| text.parse::<u64>().map(Number::from)).ok()
}
