//! The component's side of a tool: generated bindings for its world, and conversions between
//! their types and the author's own. Compiled for WebAssembly only.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use crate::module::{Definition, Function, Module, Shape};
use crate::names;
use crate::wit::World;

/// The module as it was, with the exports inside it, where private fields can be reached.
pub(crate) fn with_exports(item: syn::ItemMod, module: &Module, world: &World) -> TokenStream {
    let syn::ItemMod { attrs, vis, unsafety, mod_token, ident, content, .. } = item;
    let items = content.map(|(_, items)| items).unwrap_or_default();
    let exports = exports(module, world);
    quote! {
        #(#attrs)*
        #vis #unsafety #mod_token #ident {
            #(#items)*
            #exports
        }
    }
}

fn exports(module: &Module, world: &World) -> TokenStream {
    let text = &world.text;
    let package = names::snake(&world.package);
    let interface = names::snake(&module.interface);
    let functions = module.functions.iter().map(function);
    let types =
        module.types.iter().filter(|(name, _)| world.types.contains(*name)).map(|(_, ty)| conversions(ty));
    let failure = world.uses_failure.then(failure);
    quote! {
        #[cfg(target_family = "wasm")]
        #[doc(hidden)]
        #[allow(warnings, unsafe_code, clippy::all, reason = "generated: the author has no part in it")]
        mod __component {
            ::nanohost_guest::__private::wit_bindgen::generate!({
                inline: #text,
                world: "component",
                runtime_path: "::nanohost_guest::__private::wit_bindgen::rt",
            });
            use self::exports::tool::#package::#interface as wire;
            use ::nanohost_guest::__private::Convert;

            struct Component;
            impl wire::Guest for Component {
                #(#functions)*
            }
            export!(Component);
            #(#types)*
            #failure
        }
    }
}

fn function(function: &Function) -> TokenStream {
    let own = &function.ident;
    let name = names::snake(&function.wit);
    let arguments: Vec<_> = (0..function.parameters.len()).map(|at| format_ident!("argument{at}")).collect();
    // The trait's signature is spelled with the generated types; `Convert` finds both sides by inference.
    let types = function.parameters.iter().map(|(_, ty)| wire_type(ty));
    let result = function.result.as_ref().map(|ty| {
        let ty = wire_type(ty);
        quote!(-> #ty)
    });
    quote! {
        fn #name(#(#arguments: #types),*) #result {
            super::#own(#(Convert::convert(#arguments)),*).convert()
        }
    }
}

/// The author's type with the names of his own types replaced by the generated ones.
fn wire_type(ty: &syn::Type) -> TokenStream {
    match ty {
        syn::Type::Paren(inner) => wire_type(&inner.elem),
        syn::Type::Group(inner) => wire_type(&inner.elem),
        syn::Type::Tuple(tuple) => {
            let parts = tuple.elems.iter().map(wire_type);
            quote!((#(#parts,)*))
        }
        syn::Type::Path(path) => {
            let Some(last) = path.path.segments.last() else { return quote!(#ty) };
            let name = last.ident.to_string();
            match &last.arguments {
                syn::PathArguments::AngleBracketed(list) => {
                    let outer = &last.ident;
                    let parts = list.args.iter().map(|argument| match argument {
                        syn::GenericArgument::Type(ty) => wire_type(ty),
                        other => quote!(#other),
                    });
                    if name == "Vec" {
                        quote!(::nanohost_guest::__private::Vec<#(#parts),*>)
                    } else {
                        quote!(#outer<#(#parts),*>)
                    }
                }
                _ if name == "String" => quote!(::nanohost_guest::__private::String),
                _ if name.starts_with(|letter: char| letter.is_ascii_uppercase()) => {
                    let name = names::kebab(&last.ident)
                        .map_or_else(|_| last.ident.clone(), |wit| names::camel(&wit));
                    quote!(wire::#name)
                }
                _ => {
                    let name = &last.ident;
                    quote!(#name)
                }
            }
        }
        other => quote!(#other),
    }
}

fn conversions(definition: &Definition) -> TokenStream {
    let own = &definition.ident;
    let wire = names::camel(&definition.wit);
    let (into, from) = match &definition.shape {
        Shape::Record(fields) => {
            let (into, from): (Vec<_>, Vec<_>) = fields
                .iter()
                .map(|(ident, wit, _)| {
                    let name = names::snake(wit);
                    (quote!(#name: self.#ident.convert()), quote!(#ident: self.#name.convert()))
                })
                .unzip();
            (quote!(wire::#wire { #(#into),* }), quote!(super::#own { #(#from),* }))
        }
        Shape::Enum(cases) => {
            let cases = cases.iter().map(|(ident, wit)| (ident, names::camel(wit), false));
            arms(own, &wire, cases)
        }
        Shape::Variant(cases) => {
            let cases = cases.iter().map(|(ident, wit, value)| (ident, names::camel(wit), value.is_some()));
            arms(own, &wire, cases)
        }
        Shape::Foreign(error) => return error.to_compile_error(),
    };
    quote! {
        impl Convert<wire::#wire> for super::#own {
            fn convert(self) -> wire::#wire { #into }
        }
        impl Convert<super::#own> for wire::#wire {
            fn convert(self) -> super::#own { #from }
        }
    }
}

fn arms<'a>(
    own: &proc_macro2::Ident,
    wire: &proc_macro2::Ident,
    cases: impl Iterator<Item = (&'a proc_macro2::Ident, proc_macro2::Ident, bool)>,
) -> (TokenStream, TokenStream) {
    let (into, from): (Vec<_>, Vec<_>) = cases
        .map(|(ident, name, has_value)| {
            if has_value {
                (
                    quote!(super::#own::#ident(value) => wire::#wire::#name(value.convert())),
                    quote!(wire::#wire::#name(value) => super::#own::#ident(value.convert())),
                )
            } else {
                (
                    quote!(super::#own::#ident => wire::#wire::#name),
                    quote!(wire::#wire::#name => super::#own::#ident),
                )
            }
        })
        .unzip();
    (quote!(match self { #(#into),* }), quote!(match self { #(#from),* }))
}

fn failure() -> TokenStream {
    quote! {
        impl Convert<wire::Failure> for ::nanohost_guest::Failure {
            fn convert(self) -> wire::Failure {
                match self {
                    Self::InvalidInput(text) => wire::Failure::InvalidInput(text),
                    Self::Rejected(text) => wire::Failure::Rejected(text),
                    Self::Unavailable(text) => wire::Failure::Unavailable(text),
                    Self::Suspended(::nanohost_guest::Suspension { reason, deadline }) => {
                        wire::Failure::Suspended(wire::Suspension { reason, deadline })
                    }
                }
            }
        }
        impl Convert<::nanohost_guest::Failure> for wire::Failure {
            fn convert(self) -> ::nanohost_guest::Failure {
                match self {
                    Self::InvalidInput(text) => ::nanohost_guest::Failure::InvalidInput(text),
                    Self::Rejected(text) => ::nanohost_guest::Failure::Rejected(text),
                    Self::Unavailable(text) => ::nanohost_guest::Failure::Unavailable(text),
                    Self::Suspended(wire::Suspension { reason, deadline }) => {
                        ::nanohost_guest::Failure::Suspended(::nanohost_guest::Suspension { reason, deadline })
                    }
                }
            }
        }
    }
}
