//! JSON Schemas (draft 2020-12) of what `json` accepts and produces. Knows no values.

use serde_json::{Map, Value, json};

use crate::shape::{Int, Name, Returns, Shape, Signature};

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// What of a function's data a schema is for: a field of type `option` may be left out of what
/// the host reads, and always stands in what the host writes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Input,
    Output,
}

/// The schema of the arguments: an object with one property per parameter.
pub(crate) fn input(signature: &Signature) -> Value {
    document(object(&signature.params, Side::Input))
}

/// The schema of the result. A top-level `result` is described by its success.
pub(crate) fn output(signature: &Signature) -> Value {
    document(match &signature.result {
        Returns::Nothing | Returns::Fallible { ok: None, .. } => json!({ "type": "null" }),
        Returns::Value(shape) | Returns::Fallible { ok: Some(shape), .. } => schema(shape, Side::Output),
    })
}

fn document(schema: Value) -> Value {
    let mut document = Map::new();
    document.insert("$schema".to_owned(), DRAFT.into());
    if let Value::Object(schema) = schema {
        document.extend(schema);
    }
    Value::Object(document)
}

fn schema(shape: &Shape, side: Side) -> Value {
    match shape {
        Shape::Bool => json!({ "type": "boolean" }),
        Shape::Int(int) => {
            let (minimum, maximum) = int.bounds();
            json!({ "type": "integer", "minimum": minimum, "maximum": maximum })
        }
        Shape::Float32 => json!({ "type": "number", "minimum": f32::MIN, "maximum": f32::MAX }),
        Shape::Float64 => json!({ "type": "number" }),
        Shape::Char => json!({ "type": "string", "minLength": 1, "maxLength": 1 }),
        Shape::String => json!({ "type": "string" }),
        Shape::List(item) => json!({ "type": "array", "items": schema(item, side) }),
        Shape::Record(fields) => object(fields, side),
        Shape::Tuple(items) => {
            let schemas: Vec<_> = items.iter().map(|item| schema(item, side)).collect();
            json!({ "type": "array", "prefixItems": schemas, "items": false, "minItems": items.len() })
        }
        Shape::Variant(cases) => {
            choice(cases.iter().map(|(name, payload)| (name.json.as_str(), payload.as_ref())), side)
        }
        Shape::Result { ok, err } => {
            choice([("ok", ok.as_deref()), ("err", err.as_deref())].into_iter(), side)
        }
        Shape::Enum(names) => json!({ "enum": keys(names) }),
        Shape::Flags(names) => {
            json!({ "type": "array", "items": { "enum": keys(names) }, "uniqueItems": true })
        }
        Shape::Option(inner) => {
            let some = schema(inner, side);
            let some = if matches!(**inner, Shape::Option(_)) { wrapped("some", some) } else { some };
            json!({ "anyOf": [some, { "type": "null" }] })
        }
    }
}

fn object(fields: &[(Name, Shape)], side: Side) -> Value {
    let properties: Map<_, _> =
        fields.iter().map(|(name, shape)| (name.json.clone(), schema(shape, side))).collect();
    let required: Vec<_> = fields
        .iter()
        .filter(|(_, shape)| side == Side::Output || !matches!(shape, Shape::Option(_)))
        .map(|(name, _)| name.json.as_str())
        .collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// Cases without payload are strings, the others objects of one property.
fn choice<'a>(cases: impl Iterator<Item = (&'a str, Option<&'a Shape>)>, side: Side) -> Value {
    let mut plain = Vec::new();
    let mut forms = Vec::new();
    for (name, payload) in cases {
        match payload {
            None => plain.push(name),
            Some(shape) => forms.push(wrapped(name, schema(shape, side))),
        }
    }
    if !plain.is_empty() {
        forms.insert(0, json!({ "enum": plain }));
    }
    match forms.len() {
        1 => forms.remove(0),
        _ => json!({ "oneOf": forms }),
    }
}

fn wrapped(name: &str, inner: Value) -> Value {
    json!({ "type": "object", "properties": { name: inner }, "required": [name], "additionalProperties": false })
}

fn keys(names: &[Name]) -> Vec<&str> {
    names.iter().map(|name| name.json.as_str()).collect()
}

impl Int {
    /// The smallest and the largest value, as exact JSON integers.
    fn bounds(self) -> (Value, Value) {
        match self {
            Self::S8 => (i8::MIN.into(), i8::MAX.into()),
            Self::U8 => (u8::MIN.into(), u8::MAX.into()),
            Self::S16 => (i16::MIN.into(), i16::MAX.into()),
            Self::U16 => (u16::MIN.into(), u16::MAX.into()),
            Self::S32 => (i32::MIN.into(), i32::MAX.into()),
            Self::U32 => (u32::MIN.into(), u32::MAX.into()),
            Self::S64 => (i64::MIN.into(), i64::MAX.into()),
            Self::U64 => (u64::MIN.into(), u64::MAX.into()),
        }
    }
}
