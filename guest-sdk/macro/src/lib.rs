//! The `#[tool]` attribute: a Rust module in, the same module and a WebAssembly component's
//! exports out. Its documentation for tool authors stands at `nanohost_guest::tool`. Knows the
//! form of Rust and WIT, and nothing of the host.

mod component;
mod module;
mod names;
mod wit;

use proc_macro::TokenStream;

/// Makes a module a tool; see `nanohost_guest::tool`.
#[proc_macro_attribute]
pub fn tool(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand(attribute.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

fn expand(
    attribute: proc_macro2::TokenStream,
    item: proc_macro2::TokenStream,
) -> syn::Result<proc_macro2::TokenStream> {
    if !attribute.is_empty() {
        return Err(syn::Error::new_spanned(attribute, "`#[tool]` takes no arguments"));
    }
    let item: syn::ItemMod = syn::parse2(item).map_err(|error| {
        syn::Error::new(error.span(), "`#[tool]` stands on a module: `#[tool] mod orders { … }`")
    })?;
    let package = names::package(&std::env::var("CARGO_PKG_NAME").unwrap_or_default());
    let version = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let module = module::Module::read(&item)?;
    let world = wit::World::of(&module, package, version)?;
    Ok(component::with_exports(item, &module, &world))
}
