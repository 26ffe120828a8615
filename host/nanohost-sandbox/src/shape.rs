//! The WIT types of a function, taken once from the component and bounded. Whatever depends on
//! types (JSON Schema,
//! values from and to JSON, recognising a typed failure) reads these. Knows no values and no engine
//! but the type tables it is made from.

use std::collections::BTreeSet;

use wasmtime::component::Type;

/// How deep types may nest. JSON gets at most two levels per type, and `serde_json` reads no more
/// than 128: a tool cannot make the host write what the host cannot read.
const MAX_DEPTH: usize = 48;

/// How many types one function may mention, counted as they are written out. Types share parts, so
/// that a component of a few hundred bytes can describe a type whose schema has 2^48 nodes.
const MAX_NODES: usize = 10_000;

/// A name in WIT and in JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) wit: String,
    pub(crate) json: String,
}

impl Name {
    pub(crate) fn new(wit: &str) -> Self {
        Self { wit: wit.to_owned(), json: wit.replace('-', "_") }
    }
}

/// The integer types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Int {
    S8,
    U8,
    S16,
    U16,
    S32,
    U32,
    S64,
    U64,
}

/// A WIT type that has a JSON form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    Bool,
    Int(Int),
    Float32,
    Float64,
    Char,
    String,
    List(Box<Shape>),
    Record(Vec<(Name, Shape)>),
    Tuple(Vec<Shape>),
    Variant(Vec<(Name, Option<Shape>)>),
    Enum(Vec<Name>),
    Option(Box<Shape>),
    Result { ok: Option<Box<Shape>>, err: Option<Box<Shape>> },
    Flags(Vec<Name>),
}

/// A type that cannot be written as JSON, or not within bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsupported {
    #[error("it uses {0}, which has no JSON form")]
    Type(&'static str),
    #[error("its types nest deeper than {MAX_DEPTH} levels")]
    Depth,
    #[error("its types have more than {MAX_NODES} parts")]
    Size,
    #[error("two of its names are the same as JSON keys")]
    Names,
    #[error("it is an async function")]
    Async,
}

/// The types of one function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signature {
    pub(crate) params: Vec<(Name, Shape)>,
    pub(crate) result: Returns,
}

/// What a function returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Returns {
    Nothing,
    Value(Shape),
    /// A top-level `result`: its error is a failure of the call, not a value.
    Fallible {
        ok: Option<Shape>,
        err: Option<Shape>,
    },
}

impl Signature {
    /// Reads the types of a function.
    pub(crate) fn of(function: &wasmtime::component::types::ComponentFunc) -> Result<Self, Unsupported> {
        if function.async_() {
            return Err(Unsupported::Async);
        }
        let mut budget = Budget { nodes: 0, depth: 0 };
        let params = budget.named(function.params().map(|(name, ty)| (name.to_owned(), ty)))?;
        let mut results = function.results();
        let result = match (results.next(), results.next()) {
            (None, _) => Returns::Nothing,
            (Some(Type::Result(result)), None) => Returns::Fallible {
                ok: result.ok().map(|ty| budget.shape(&ty)).transpose()?,
                err: result.err().map(|ty| budget.shape(&ty)).transpose()?,
            },
            (Some(ty), None) => Returns::Value(budget.shape(&ty)?),
            (Some(_), Some(_)) => return Err(Unsupported::Type("more than one result")),
        };
        Ok(Self { params, result })
    }
}

struct Budget {
    nodes: usize,
    depth: usize,
}

impl Budget {
    fn shape(&mut self, ty: &Type) -> Result<Shape, Unsupported> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(Unsupported::Size);
        }
        if self.depth >= MAX_DEPTH {
            return Err(Unsupported::Depth);
        }
        self.depth += 1;
        let shape = self.inner(ty)?;
        self.depth -= 1;
        Ok(shape)
    }

    fn inner(&mut self, ty: &Type) -> Result<Shape, Unsupported> {
        Ok(match ty {
            Type::Bool => Shape::Bool,
            Type::S8 => Shape::Int(Int::S8),
            Type::U8 => Shape::Int(Int::U8),
            Type::S16 => Shape::Int(Int::S16),
            Type::U16 => Shape::Int(Int::U16),
            Type::S32 => Shape::Int(Int::S32),
            Type::U32 => Shape::Int(Int::U32),
            Type::S64 => Shape::Int(Int::S64),
            Type::U64 => Shape::Int(Int::U64),
            Type::Float32 => Shape::Float32,
            Type::Float64 => Shape::Float64,
            Type::Char => Shape::Char,
            Type::String => Shape::String,
            Type::List(list) => Shape::List(Box::new(self.shape(&list.ty())?)),
            Type::Record(record) => {
                Shape::Record(self.named(record.fields().map(|field| (field.name.to_owned(), field.ty)))?)
            }
            Type::Tuple(tuple) => {
                Shape::Tuple(tuple.types().map(|ty| self.shape(&ty)).collect::<Result<_, _>>()?)
            }
            Type::Variant(variant) => {
                let mut cases = Vec::new();
                for case in variant.cases() {
                    let payload = case.ty.map(|ty| self.shape(&ty)).transpose()?;
                    cases.push((self.name(case.name)?, payload));
                }
                distinct(cases.iter().map(|(name, _)| name))?;
                Shape::Variant(cases)
            }
            Type::Enum(names) => Shape::Enum(self.names(names.names())?),
            Type::Flags(names) => Shape::Flags(self.names(names.names())?),
            Type::Option(option) => Shape::Option(Box::new(self.shape(&option.ty())?)),
            Type::Result(result) => Shape::Result {
                ok: result.ok().map(|ty| self.shape(&ty).map(Box::new)).transpose()?,
                err: result.err().map(|ty| self.shape(&ty).map(Box::new)).transpose()?,
            },
            Type::Own(_) | Type::Borrow(_) => return Err(Unsupported::Type("a resource")),
            Type::Future(_) => return Err(Unsupported::Type("a future")),
            Type::Stream(_) => return Err(Unsupported::Type("a stream")),
            Type::ErrorContext => return Err(Unsupported::Type("an error context")),
            Type::Map(_) => return Err(Unsupported::Type("a map")),
            Type::FixedLengthList(_) => return Err(Unsupported::Type("a list of fixed length")),
        })
    }

    fn named(
        &mut self,
        fields: impl Iterator<Item = (String, Type)>,
    ) -> Result<Vec<(Name, Shape)>, Unsupported> {
        let fields = fields
            .map(|(name, ty)| Ok((self.name(&name)?, self.shape(&ty)?)))
            .collect::<Result<Vec<_>, Unsupported>>()?;
        distinct(fields.iter().map(|(name, _)| name))?;
        Ok(fields)
    }

    fn names<'a>(&mut self, names: impl Iterator<Item = &'a str>) -> Result<Vec<Name>, Unsupported> {
        let names = names.map(|name| self.name(name)).collect::<Result<Vec<_>, _>>()?;
        distinct(names.iter())?;
        Ok(names)
    }

    /// Names count: an enum of a million cases is a schema of a million strings.
    fn name(&mut self, wit: &str) -> Result<Name, Unsupported> {
        self.nodes += 1;
        if self.nodes > MAX_NODES { Err(Unsupported::Size) } else { Ok(Name::new(wit)) }
    }
}

fn distinct<'a>(names: impl Iterator<Item = &'a Name>) -> Result<(), Unsupported> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name.json.as_str()) {
            return Err(Unsupported::Names);
        }
    }
    Ok(())
}
