//! What a `#[tool]` module holds: the functions it exports and the types it defines. Only reads;
//! what a type means in WIT is decided in `wit`.

use std::collections::BTreeMap;

use proc_macro2::Ident;
use syn::spanned::Spanned;

use crate::names;

/// A module as its author wrote it.
pub(crate) struct Module {
    /// The module's name in WIT: the interface.
    pub(crate) interface: String,
    /// Its `pub fn`s, in their order.
    pub(crate) functions: Vec<Function>,
    /// Every struct and enum it defines, by Rust name.
    pub(crate) types: BTreeMap<String, Definition>,
}

/// An exported function.
pub(crate) struct Function {
    pub(crate) ident: Ident,
    pub(crate) wit: String,
    pub(crate) parameters: Vec<(String, syn::Type)>,
    /// `None`: it returns nothing.
    pub(crate) result: Option<syn::Type>,
}

/// A type the module defines.
pub(crate) struct Definition {
    pub(crate) ident: Ident,
    pub(crate) wit: String,
    pub(crate) shape: Shape,
}

/// The shapes that WIT has too.
pub(crate) enum Shape {
    Record(Vec<(Ident, String, syn::Type)>),
    /// Cases without a value only.
    Enum(Vec<(Ident, String)>),
    /// At least one case with a value.
    Variant(Vec<(Ident, String, Option<syn::Type>)>),
    /// Something WIT cannot say. An error only where an exported function needs it.
    Foreign(syn::Error),
}

impl Module {
    pub(crate) fn read(item: &syn::ItemMod) -> syn::Result<Self> {
        let Some((_, items)) = &item.content else {
            return Err(syn::Error::new_spanned(
                item,
                "`#[tool]` needs the module's text here: `mod orders { … }`",
            ));
        };
        let mut module =
            Self { interface: names::kebab(&item.ident)?, functions: Vec::new(), types: BTreeMap::new() };
        for item in items {
            match item {
                syn::Item::Fn(function) if matches!(function.vis, syn::Visibility::Public(_)) => {
                    module.functions.push(Function::read(&function.sig)?);
                }
                syn::Item::Struct(definition) => {
                    let shape = record(definition).unwrap_or_else(Shape::Foreign);
                    module.define(&definition.ident, shape);
                }
                syn::Item::Enum(definition) => {
                    let shape = cases(definition).unwrap_or_else(Shape::Foreign);
                    module.define(&definition.ident, shape);
                }
                _ => {}
            }
        }
        if module.functions.is_empty() {
            return Err(syn::Error::new_spanned(&item.ident, "a tool has at least one `pub fn`"));
        }
        Ok(module)
    }

    fn define(&mut self, ident: &Ident, shape: Shape) {
        let (wit, shape) = match names::kebab(ident) {
            Ok(wit) => (wit, shape),
            Err(error) => (String::new(), Shape::Foreign(error)),
        };
        self.types.insert(ident.to_string(), Definition { ident: ident.clone(), wit, shape });
    }
}

impl Function {
    fn read(signature: &syn::Signature) -> syn::Result<Self> {
        let refuse = |span: proc_macro2::Span, what: &str| Err(syn::Error::new(span, what));
        if let Some(token) = &signature.asyncness {
            return refuse(
                token.span,
                "a tool's function is not async: the host runs it on a thread of its own",
            );
        }
        if !signature.generics.params.is_empty() {
            return refuse(
                signature.generics.span(),
                "a tool's function has no generics: its types are its interface",
            );
        }
        if let Some(token) = &signature.unsafety {
            return refuse(token.span, "a tool's function is not unsafe: anybody may call it with anything");
        }
        let mut parameters = Vec::new();
        for input in &signature.inputs {
            match input {
                syn::FnArg::Typed(syn::PatType { pat, ty, .. }) => match &**pat {
                    syn::Pat::Ident(name) => parameters.push((names::kebab(&name.ident)?, (**ty).clone())),
                    other => {
                        return refuse(other.span(), "a parameter is a plain name: callers pass it by that");
                    }
                },
                syn::FnArg::Receiver(token) => {
                    return refuse(token.span(), "a tool's function has no `self`");
                }
            }
        }
        let result = match &signature.output {
            syn::ReturnType::Default => None,
            syn::ReturnType::Type(_, ty) => Some((**ty).clone()),
        };
        Ok(Self { ident: signature.ident.clone(), wit: names::kebab(&signature.ident)?, parameters, result })
    }
}

fn record(item: &syn::ItemStruct) -> Result<Shape, syn::Error> {
    no_generics(&item.generics)?;
    let syn::Fields::Named(fields) = &item.fields else {
        return Err(syn::Error::new_spanned(item, "a record has named fields"));
    };
    if fields.named.is_empty() {
        return Err(syn::Error::new_spanned(item, "a record has at least one field"));
    }
    let field = |field: &syn::Field| {
        let ident =
            field.ident.clone().ok_or_else(|| syn::Error::new_spanned(field, "a field has a name"))?;
        let wit = names::kebab(&ident)?;
        Ok((ident, wit, field.ty.clone()))
    };
    fields.named.iter().map(field).collect::<syn::Result<_>>().map(Shape::Record)
}

fn cases(item: &syn::ItemEnum) -> Result<Shape, syn::Error> {
    no_generics(&item.generics)?;
    if item.variants.is_empty() {
        return Err(syn::Error::new_spanned(item, "an enum has at least one case"));
    }
    let mut cases = Vec::new();
    for variant in &item.variants {
        let value = match &variant.fields {
            syn::Fields::Unit => None,
            syn::Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
                fields.unnamed.first().map(|f| f.ty.clone())
            }
            _ => {
                return Err(syn::Error::new_spanned(
                    variant,
                    "a case has no value or one: `Case` or `Case(Type)`",
                ));
            }
        };
        cases.push((variant.ident.clone(), names::kebab(&variant.ident)?, value));
    }
    Ok(if cases.iter().all(|(_, _, value)| value.is_none()) {
        Shape::Enum(cases.into_iter().map(|(ident, wit, _)| (ident, wit)).collect())
    } else {
        Shape::Variant(cases)
    })
}

fn no_generics(generics: &syn::Generics) -> syn::Result<()> {
    if generics.params.is_empty() {
        Ok(())
    } else {
        Err(syn::Error::new_spanned(generics, "a type of the interface has no generics"))
    }
}
