//! WIT values from and to JSON, in the one form that `host/docs/wit-json.md` defines. Knows no
//! component and no call; everything here is a function of a shape and a value.

use std::fmt;

use serde_json::{Map, Number, Value};
use wasmtime::component::Val;

use crate::shape::{Int, Name, Shape, Signature};

/// The text of an unknown key or of a wrong value is repeated to the user no longer than this: it
/// was chosen by a model or a guest.
const MAX_QUOTED: usize = 40;

/// Integers up to here have a float of the same value.
const MAX_EXACT_FLOAT: u64 = 1 << 53;

/// A JSON value that does not fit its WIT type, or a WIT value that has no JSON form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct JsonError {
    /// Where, such as `$.customer.items[3]`; made of the type's own names and of indices.
    pub path: String,
    /// What is wrong. What the value holds is quoted escaped and shortened.
    pub message: String,
}

/// The arguments of a call, in the order of the parameters.
pub(crate) fn arguments(signature: &Signature, input: &Value) -> Result<Vec<Val>, JsonError> {
    let fields = fields(&signature.params, input, &mut Path::default())?;
    Ok(fields.into_iter().map(|(_, val)| val).collect())
}

/// What [`arguments`] made, written out again: the form that is committed.
pub(crate) fn canonical(signature: &Signature, arguments: &[Val]) -> Result<Value, JsonError> {
    let mut path = Path::default();
    let mut object = Map::new();
    for ((name, shape), val) in signature.params.iter().zip(arguments) {
        object.insert(name.json.clone(), path.key(&name.json, |path| lift(shape, val, path))?);
    }
    Ok(Value::Object(object))
}

/// A WIT value as JSON.
pub(crate) fn from_wit(shape: &Shape, val: &Val) -> Result<Value, JsonError> {
    lift(shape, val, &mut Path::default())
}

#[cfg(test)]
fn to_wit(shape: &Shape, value: &Value) -> Result<Val, JsonError> {
    lower(shape, value, &mut Path::default())
}

/// Where in a value we are.
#[derive(Default)]
struct Path<'a>(Vec<Step<'a>>);

#[derive(Clone, Copy)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

impl<'a> Path<'a> {
    fn key<T>(&mut self, key: &'a str, inside: impl FnOnce(&mut Self) -> T) -> T {
        self.step(Step::Key(key), inside)
    }

    fn index<T>(&mut self, index: usize, inside: impl FnOnce(&mut Self) -> T) -> T {
        self.step(Step::Index(index), inside)
    }

    fn step<T>(&mut self, step: Step<'a>, inside: impl FnOnce(&mut Self) -> T) -> T {
        self.0.push(step);
        let result = inside(self);
        self.0.pop();
        result
    }

    fn error(&self, message: impl Into<String>) -> JsonError {
        JsonError { path: self.to_string(), message: message.into() }
    }

    fn expected(&self, what: &str, found: &Value) -> JsonError {
        let found = match found {
            Value::Null => "null".to_owned(),
            Value::Bool(_) => "a boolean".to_owned(),
            Value::Number(number) => format!("the number {number}"),
            Value::String(text) => format!("the string {}", quoted(text)),
            Value::Array(items) => format!("an array of {}", items.len()),
            Value::Object(_) => "an object".to_owned(),
        };
        self.error(format!("expected {what}, found {found}"))
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        self.0.iter().try_for_each(|step| match step {
            Step::Key(key) => write!(f, ".{key}"),
            Step::Index(index) => write!(f, "[{index}]"),
        })
    }
}

/// Foreign text, shortened and with everything but printable ASCII escaped.
fn quoted(text: &str) -> String {
    let short: String = text.chars().take(MAX_QUOTED).flat_map(char::escape_default).collect();
    let rest = if text.chars().nth(MAX_QUOTED).is_some() { "…" } else { "" };
    format!("\"{short}\"{rest}")
}

fn lower<'a>(shape: &'a Shape, value: &Value, path: &mut Path<'a>) -> Result<Val, JsonError> {
    Ok(match shape {
        Shape::Bool => Val::Bool(value.as_bool().ok_or_else(|| path.expected("true or false", value))?),
        Shape::Int(int) => integer(*int, value).ok_or_else(|| path.expected(int.what(), value))?,
        Shape::Float32 => {
            // The nearest float is meant; one beyond the range would be an infinity.
            #[expect(clippy::cast_possible_truncation, reason = "rounding to the nearest f32 is the purpose")]
            let float = float(value, path)? as f32;
            if !float.is_finite() {
                return Err(path.expected("a number within the range of f32", value));
            }
            Val::Float32(float)
        }
        Shape::Float64 => Val::Float64(float(value, path)?),
        Shape::Char => {
            let mut chars = text(value, "a string of one character", path)?.chars();
            match (chars.next(), chars.next()) {
                (Some(char), None) => Val::Char(char),
                _ => return Err(path.expected("a string of one character", value)),
            }
        }
        Shape::String => Val::String(text(value, "a string", path)?.to_owned()),
        Shape::List(item) => {
            let items = array(value, "an array", path)?;
            Val::List(each(items.iter().map(|value| (&**item, value)), path)?)
        }
        Shape::Tuple(shapes) => {
            let items = array(value, "an array", path)?;
            if items.len() != shapes.len() {
                return Err(path.expected(&format!("an array of {}", shapes.len()), value));
            }
            Val::Tuple(each(shapes.iter().zip(items), path)?)
        }
        Shape::Record(shapes) => Val::Record(fields(shapes, value, path)?),
        Shape::Variant(cases) => {
            let (key, payload) = case(
                cases.iter().map(|(name, payload)| (name.json.as_str(), payload.as_ref())),
                value,
                path,
            )?;
            let wit = cases.iter().find(|(name, _)| name.json == key).map(|(name, _)| name.wit.clone());
            Val::Variant(wit.unwrap_or_default(), payload.map(Box::new))
        }
        Shape::Result { ok, err } => {
            let cases = [("ok", ok.as_deref()), ("err", err.as_deref())];
            let (key, payload) = case(cases.into_iter(), value, path)?;
            let payload = payload.map(Box::new);
            Val::Result(if key == "ok" { Ok(payload) } else { Err(payload) })
        }
        Shape::Enum(names) => {
            let text = text(value, "the name of a case as a string", path)?;
            match names.iter().find(|name| name.json == text) {
                Some(name) => Val::Enum(name.wit.clone()),
                None => return Err(unknown_case(keys(names), text, path)),
            }
        }
        Shape::Flags(names) => flags(names, value, path)?,
        Shape::Option(inner) => match (&**inner, value) {
            (_, Value::Null) => Val::Option(None),
            (Shape::Option(_), value) => match value.as_object() {
                Some(object) if object.len() == 1 && object.contains_key("some") => {
                    let inner = path.key("some", |path| lower(inner, &object["some"], path))?;
                    Val::Option(Some(Box::new(inner)))
                }
                _ => return Err(path.expected("null or an object with the one key \"some\"", value)),
            },
            (inner, value) => Val::Option(Some(Box::new(lower(inner, value, path)?))),
        },
    })
}

fn each<'a, 'v>(
    items: impl Iterator<Item = (&'a Shape, &'v Value)>,
    path: &mut Path<'a>,
) -> Result<Vec<Val>, JsonError> {
    items
        .enumerate()
        .map(|(index, (shape, value))| path.index(index, |path| lower(shape, value, path)))
        .collect()
}

/// The fields of an object, in the order of the type. A field that is an `option` may be left out.
fn fields<'a>(
    shapes: &'a [(Name, Shape)],
    value: &Value,
    path: &mut Path<'a>,
) -> Result<Vec<(String, Val)>, JsonError> {
    let object = value.as_object().ok_or_else(|| path.expected("an object", value))?;
    if let Some(unknown) = object.keys().find(|key| !shapes.iter().any(|(name, _)| name.json == **key)) {
        let names = list(shapes.iter().map(|(name, _)| name.json.as_str()));
        return Err(path.error(format!("unknown key {}; the keys are {names}", quoted(unknown))));
    }
    let mut fields = Vec::with_capacity(shapes.len());
    for (name, shape) in shapes {
        let val = match (object.get(&name.json), shape) {
            (Some(value), shape) => path.key(&name.json, |path| lower(shape, value, path))?,
            (None, Shape::Option(_)) => Val::Option(None),
            (None, _) => return Err(path.error(format!("the key {:?} is missing", name.json))),
        };
        fields.push((name.wit.clone(), val));
    }
    Ok(fields)
}

/// `"case"`, or `{"case": payload}`.
fn case<'a>(
    mut cases: impl Iterator<Item = (&'a str, Option<&'a Shape>)> + Clone,
    value: &Value,
    path: &mut Path<'a>,
) -> Result<(&'a str, Option<Val>), JsonError> {
    let (key, payload) = match value {
        Value::String(key) => (key, None),
        Value::Object(object) if object.len() == 1 => match object.iter().next() {
            Some((key, payload)) => (key, Some(payload)),
            None => return Err(path.expected("an object with one key", value)),
        },
        _ => return Err(path.expected("the name of a case, or an object with one case as its key", value)),
    };
    let known = cases.clone();
    let Some((name, shape)) = cases.find(|(name, _)| name == key) else {
        return Err(unknown_case(known.map(|(name, _)| name), key, path));
    };
    match (shape, payload) {
        (None, None) => Ok((name, None)),
        (Some(shape), Some(payload)) => Ok((name, Some(path.key(name, |path| lower(shape, payload, path))?))),
        (None, Some(_)) => {
            Err(path.error(format!("the case {name:?} takes no payload: write it as a string")))
        }
        (Some(_), None) => {
            Err(path.error(format!("the case {name:?} takes a payload: write it as {{{name:?}: …}}")))
        }
    }
}

fn flags(names: &[Name], value: &Value, path: &mut Path<'_>) -> Result<Val, JsonError> {
    let mut set = vec![false; names.len()];
    for item in array(value, "an array of names", path)? {
        let text = text(item, "a name as a string", path)?;
        let Some(index) = names.iter().position(|name| name.json == text) else {
            return Err(unknown_case(keys(names), text, path));
        };
        if std::mem::replace(&mut set[index], true) {
            return Err(path.error(format!("the flag {:?} stands there twice", names[index].json)));
        }
    }
    let set = names.iter().zip(set).filter(|(_, set)| *set).map(|(name, _)| name.wit.clone());
    Ok(Val::Flags(set.collect()))
}

fn text<'v>(value: &'v Value, what: &str, path: &Path<'_>) -> Result<&'v str, JsonError> {
    value.as_str().ok_or_else(|| path.expected(what, value))
}

fn array<'v>(value: &'v Value, what: &str, path: &Path<'_>) -> Result<&'v [Value], JsonError> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| path.expected(what, value))
}

fn keys(names: &[Name]) -> impl Iterator<Item = &str> {
    names.iter().map(|name| name.json.as_str())
}

fn unknown_case<'n>(names: impl Iterator<Item = &'n str>, text: &str, path: &Path<'_>) -> JsonError {
    path.error(format!("unknown name {}; the names are {}", quoted(text), list(names)))
}

/// The first few names, for a message.
fn list<'n>(names: impl Iterator<Item = &'n str>) -> String {
    const SHOWN: usize = 12;
    let mut names: Vec<_> = names.take(SHOWN + 1).collect();
    if names.len() > SHOWN {
        names[SHOWN] = "…";
    }
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// An exact JSON integer within the range; `1.0` is not one.
fn integer(int: Int, value: &Value) -> Option<Val> {
    let signed = || value.as_i64();
    let unsigned = || value.as_u64();
    Some(match int {
        Int::S8 => Val::S8(signed()?.try_into().ok()?),
        Int::S16 => Val::S16(signed()?.try_into().ok()?),
        Int::S32 => Val::S32(signed()?.try_into().ok()?),
        Int::S64 => Val::S64(signed()?),
        Int::U8 => Val::U8(unsigned()?.try_into().ok()?),
        Int::U16 => Val::U16(unsigned()?.try_into().ok()?),
        Int::U32 => Val::U32(unsigned()?.try_into().ok()?),
        Int::U64 => Val::U64(unsigned()?),
    })
}

/// A number. An integer is taken where a float has exactly its value.
fn float(value: &Value, path: &Path<'_>) -> Result<f64, JsonError> {
    let number = value.as_number().ok_or_else(|| path.expected("a number", value))?;
    let integer = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
    if integer.is_some_and(|magnitude| magnitude > MAX_EXACT_FLOAT) {
        return Err(path.expected("a number that a float can hold exactly", value));
    }
    number.as_f64().filter(|float| float.is_finite()).ok_or_else(|| path.expected("a finite number", value))
}

fn lift<'a>(shape: &'a Shape, val: &Val, path: &mut Path<'a>) -> Result<Value, JsonError> {
    Ok(match (shape, val) {
        (Shape::Bool, Val::Bool(bool)) => Value::Bool(*bool),
        (Shape::Int(Int::S8), Val::S8(n)) => (*n).into(),
        (Shape::Int(Int::U8), Val::U8(n)) => (*n).into(),
        (Shape::Int(Int::S16), Val::S16(n)) => (*n).into(),
        (Shape::Int(Int::U16), Val::U16(n)) => (*n).into(),
        (Shape::Int(Int::S32), Val::S32(n)) => (*n).into(),
        (Shape::Int(Int::U32), Val::U32(n)) => (*n).into(),
        (Shape::Int(Int::S64), Val::S64(n)) => (*n).into(),
        (Shape::Int(Int::U64), Val::U64(n)) => (*n).into(),
        (Shape::Float32, Val::Float32(float)) => shortest(*float, path)?,
        (Shape::Float64, Val::Float64(float)) => finite(*float, path)?,
        (Shape::Char, Val::Char(char)) => char.to_string().into(),
        (Shape::String, Val::String(text)) => text.as_str().into(),
        (Shape::List(item), Val::List(vals)) => {
            let items = vals.iter().enumerate();
            items
                .map(|(index, val)| path.index(index, |path| lift(item, val, path)))
                .collect::<Result<Vec<_>, _>>()?
                .into()
        }
        (Shape::Tuple(shapes), Val::Tuple(vals)) if shapes.len() == vals.len() => {
            let items = shapes.iter().zip(vals).enumerate();
            items
                .map(|(index, (shape, val))| path.index(index, |path| lift(shape, val, path)))
                .collect::<Result<Vec<_>, _>>()?
                .into()
        }
        (Shape::Record(shapes), Val::Record(vals)) if shapes.len() == vals.len() => {
            let mut object = Map::new();
            for ((name, shape), (_, val)) in shapes.iter().zip(vals) {
                object.insert(name.json.clone(), path.key(&name.json, |path| lift(shape, val, path))?);
            }
            Value::Object(object)
        }
        (Shape::Variant(cases), Val::Variant(case, payload)) => {
            match cases.iter().find(|(name, _)| name.wit == *case) {
                Some((name, shape)) => tagged(&name.json, shape.as_ref(), payload.as_deref(), path)?,
                None => return Err(path.error("the value has a case that its type does not have")),
            }
        }
        (Shape::Result { ok, .. }, Val::Result(Ok(payload))) => {
            tagged("ok", ok.as_deref(), payload.as_deref(), path)?
        }
        (Shape::Result { err, .. }, Val::Result(Err(payload))) => {
            tagged("err", err.as_deref(), payload.as_deref(), path)?
        }
        (Shape::Enum(names), Val::Enum(case)) => match names.iter().find(|name| name.wit == *case) {
            Some(name) => name.json.as_str().into(),
            None => return Err(path.error("the value has a case that its type does not have")),
        },
        (Shape::Flags(names), Val::Flags(set)) => {
            // In the order of the type, whatever the order of the value.
            let set = names.iter().filter(|name| set.contains(&name.wit));
            set.map(|name| Value::from(name.json.as_str())).collect()
        }
        (Shape::Option(_), Val::Option(None)) => Value::Null,
        (Shape::Option(inner), Val::Option(Some(val))) if matches!(**inner, Shape::Option(_)) => {
            tagged("some", Some(&**inner), Some(&**val), path)?
        }
        (Shape::Option(inner), Val::Option(Some(val))) => lift(inner, val, path)?,
        _ => return Err(path.error("the value is not of its type")),
    })
}

fn tagged<'a>(
    key: &'a str,
    shape: Option<&'a Shape>,
    val: Option<&Val>,
    path: &mut Path<'a>,
) -> Result<Value, JsonError> {
    match (shape, val) {
        (None, None) => Ok(key.into()),
        (Some(shape), Some(val)) => {
            let payload = path.key(key, |path| lift(shape, val, path))?;
            Ok(Value::Object(Map::from_iter([(key.to_owned(), payload)])))
        }
        _ => Err(path.error("the value is not of its type")),
    }
}

fn finite(float: f64, path: &Path<'_>) -> Result<Value, JsonError> {
    match Number::from_f64(float) {
        Some(number) => Ok(Value::Number(number)),
        None => Err(path.error("NaN and infinity have no JSON form")),
    }
}

/// The shortest digits that give this `f32` again, not those of the `f64` of the same value.
fn shortest(float: f32, path: &Path<'_>) -> Result<Value, JsonError> {
    if !float.is_finite() {
        return finite(f64::from(float), path);
    }
    finite(float.to_string().parse().unwrap_or_else(|_| f64::from(float)), path)
}

impl Int {
    fn what(self) -> &'static str {
        match self {
            Self::S8 => "an integer from -128 to 127",
            Self::U8 => "an integer from 0 to 255",
            Self::S16 => "an integer from -32768 to 32767",
            Self::U16 => "an integer from 0 to 65535",
            Self::S32 => "an integer from -2147483648 to 2147483647",
            Self::U32 => "an integer from 0 to 4294967295",
            Self::S64 => "an integer from -9223372036854775808 to 9223372036854775807",
            Self::U64 => "an integer from 0 to 18446744073709551615",
        }
    }
}

#[cfg(test)]
mod tests;
