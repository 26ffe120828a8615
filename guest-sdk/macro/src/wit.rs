//! The WIT text of a module: one interface that owns every type it uses, so that a tool which
//! touches nothing imports nothing.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use syn::spanned::Spanned;

use crate::module::{Function, Module, Shape};

/// The failure type, as every interface that uses it defines it for itself. The host recognises
/// it by its shape; it is the one of `nanohost:tool/types`.
const FAILURE: &str = "
    record suspension { reason: string, deadline: option<u64> }
    variant failure { invalid-input(string), rejected(string), unavailable(string), suspended(suspension) }
";

/// A module's world, and which of its types the exported functions reach.
pub(crate) struct World {
    pub(crate) text: String,
    /// Without the namespace, which is `tool`.
    pub(crate) package: String,
    /// Rust names of the types in the interface.
    pub(crate) types: BTreeSet<String>,
    pub(crate) uses_failure: bool,
}

impl World {
    pub(crate) fn of(module: &Module, package: String, version: String) -> syn::Result<Self> {
        let mut reader =
            Reader { module, reached: BTreeSet::new(), waiting: Vec::new(), uses_failure: false };
        let mut body = String::new();
        for function in &module.functions {
            reader.function(function, &mut body)?;
        }
        while let Some(name) = reader.waiting.pop() {
            reader.definition(&name, &mut body)?;
        }
        if reader.uses_failure {
            body.push_str(FAILURE);
        }
        let interface = &module.interface;
        let version = if version.is_empty() { version } else { format!("@{version}") };
        let text = format!(
            "package tool:%{package}{version};\n\ninterface %{interface} {{\n{body}}}\n\n\
             world %component {{\n    export %{interface};\n}}\n"
        );
        Ok(Self { text, package, types: reader.reached, uses_failure: reader.uses_failure })
    }
}

struct Reader<'a> {
    module: &'a Module,
    reached: BTreeSet<String>,
    waiting: Vec<String>,
    uses_failure: bool,
}

impl Reader<'_> {
    fn function(&mut self, function: &Function, body: &mut String) -> syn::Result<()> {
        let mut parameters = Vec::new();
        for (name, ty) in &function.parameters {
            parameters.push(format!("%{name}: {}", self.ty(ty)?));
        }
        let result = match &function.result {
            Some(ty) if is_unit(ty) => String::new(),
            Some(ty) => format!(" -> {}", self.ty(ty)?),
            None => String::new(),
        };
        line(body, &format!("%{}: func({}){result};", function.wit, parameters.join(", ")));
        Ok(())
    }

    fn definition(&mut self, name: &str, body: &mut String) -> syn::Result<()> {
        let Some(definition) = self.module.types.get(name) else { return Ok(()) };
        let mut parts = Vec::new();
        let keyword = match &definition.shape {
            Shape::Record(fields) => {
                for (_, wit, ty) in fields {
                    parts.push(format!("%{wit}: {}", self.ty(ty)?));
                }
                "record"
            }
            Shape::Enum(cases) => {
                parts.extend(cases.iter().map(|(_, wit)| format!("%{wit}")));
                "enum"
            }
            Shape::Variant(cases) => {
                for (_, wit, value) in cases {
                    parts.push(match value {
                        Some(ty) => format!("%{wit}({})", self.ty(ty)?),
                        None => format!("%{wit}"),
                    });
                }
                "variant"
            }
            Shape::Foreign(error) => return Err(error.clone()),
        };
        line(body, &format!("{keyword} %{} {{ {} }}", definition.wit, parts.join(", ")));
        Ok(())
    }

    fn ty(&mut self, ty: &syn::Type) -> syn::Result<String> {
        match ty {
            syn::Type::Paren(inner) => self.ty(&inner.elem),
            syn::Type::Group(inner) => self.ty(&inner.elem),
            syn::Type::Tuple(tuple) if !tuple.elems.is_empty() => {
                let parts: Vec<String> =
                    tuple.elems.iter().map(|ty| self.ty(ty)).collect::<syn::Result<_>>()?;
                Ok(format!("tuple<{}>", parts.join(", ")))
            }
            syn::Type::Path(path) if path.qself.is_none() => self.path(ty, &path.path),
            syn::Type::Reference(_) => {
                refuse(ty, "a tool owns what it is given: `String` and `Vec<T>`, no references")
            }
            _ => refuse(ty, "WIT has no such type"),
        }
    }

    fn path(&mut self, ty: &syn::Type, path: &syn::Path) -> syn::Result<String> {
        let Some(last) = path.segments.last() else { return refuse(ty, "WIT has no such type") };
        let name = last.ident.to_string();
        let arguments: Vec<&syn::Type> = match &last.arguments {
            syn::PathArguments::AngleBracketed(list) => list
                .args
                .iter()
                .filter_map(|argument| match argument {
                    syn::GenericArgument::Type(ty) => Some(ty),
                    _ => None,
                })
                .collect(),
            _ => Vec::new(),
        };
        if arguments.is_empty() && self.module.types.contains_key(&name) {
            if self.reached.insert(name.clone()) {
                self.waiting.push(name.clone());
            }
            return Ok(format!("%{}", self.module.types[&name].wit));
        }
        Ok(match (name.as_str(), &arguments[..]) {
            ("bool" | "u8" | "u16" | "u32" | "u64" | "f32" | "f64" | "char", []) => name,
            ("i8" | "i16" | "i32" | "i64", []) => name.replace('i', "s"),
            ("String", []) => "string".to_owned(),
            ("Vec", [item]) => format!("list<{}>", self.ty(item)?),
            ("Option", [item]) => format!("option<{}>", self.ty(item)?),
            ("Result", [ok, error]) => match (is_unit(ok), is_unit(error)) {
                (true, true) => "result".to_owned(),
                (true, false) => format!("result<_, {}>", self.ty(error)?),
                (false, true) => format!("result<{}>", self.ty(ok)?),
                (false, false) => format!("result<{}, {}>", self.ty(ok)?, self.ty(error)?),
            },
            ("Failure", []) => {
                self.uses_failure = true;
                "failure".to_owned()
            }
            ("usize" | "isize", []) => return refuse(ty, "the size depends on the machine: `u32` or `u64`"),
            ("u128" | "i128", []) => return refuse(ty, "WIT numbers end at 64 bits"),
            ("Result", _) => return refuse(ty, "write both types: `Result<T, Failure>`"),
            _ => {
                return refuse(
                    ty,
                    "not a type of the interface: define it inside the `#[tool]` module, or use bool, numbers, char, \
                     String, Vec, Option, Result, tuples or Failure",
                );
            }
        })
    }
}

fn is_unit(ty: &syn::Type) -> bool {
    matches!(ty, syn::Type::Tuple(tuple) if tuple.elems.is_empty())
}

fn refuse<T>(ty: &syn::Type, what: &str) -> syn::Result<T> {
    Err(syn::Error::new(ty.span(), what))
}

fn line(body: &mut String, text: &str) {
    // Writing into a `String` cannot fail.
    let _ = writeln!(body, "    {text}");
}

#[cfg(test)]
mod tests;
