//! Writing a tool for nanohost: one line in `Cargo.toml` and one macro, [`tool`].
//!
//! ```
//! #[nanohost_guest::tool]
//! pub mod greeting {
//!     use nanohost_guest::Failure;
//!
//!     pub fn greet(name: String) -> Result<String, Failure> {
//!         if name.is_empty() {
//!             return Err(Failure::invalid_input("a greeting needs a name"));
//!         }
//!         Ok("Good day, ".to_owned() + &name)
//!     }
//! }
//! # assert_eq!(greeting::greet("Ada".into()).unwrap(), "Good day, Ada");
//! ```
//!
//! Built for `wasm32-wasip2`, the host's interfaces ([`kv`], [`secrets`], [`log`], [`call_context`]) are
//! imports of the component, each only where the tool uses it. Built for the author's own machine
//! they are served by [`testing`], so that `cargo test` calls the tool as plain Rust.
//!
//! This crate deliberately knows nothing of the host but its WIT.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

pub mod call_context;
mod convert;
mod failure;
pub mod folder;
#[cfg(feature = "http")]
pub mod http;
pub mod kv;
pub mod log;
mod pure;
pub mod secrets;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

pub use failure::{Failure, Suspension};
/// Makes a module a tool: its `pub fn`s become the component's functions.
///
/// ```
/// #[nanohost_guest::tool]
/// pub mod stock {
///     use nanohost_guest::Failure;
///
///     pub struct Level {
///         pub article: String,
///         pub pieces: u32,
///     }
///
///     pub fn level(article: String) -> Result<Option<Level>, Failure> {
///         Ok(Some(Level { article, pieces: 3 }))
///     }
/// }
/// ```
///
/// - Every `pub fn` is exported, in an interface named for the module. Structs with named fields
///   are WIT records, enums are WIT enums or variants (a case holds no value or one); all types
///   of a signature are defined inside the module, apart from `bool`, numbers, `char`, `String`,
///   `Vec`, `Option`, `Result`, tuples and [`Failure`]. Everything else in the module stays private.
/// - Names become kebab case in WIT and snake case again in JSON: `order_id` is `order-id` in the
///   interface and `order_id` in a program's `args`. Enum cases too: `InTransit` is `"in_transit"`.
/// - An error type of `Failure` tells the host what kind of failure it is. Any other error type
///   is a step error that is not retried.
/// - The interface owns all its types, so a tool that touches nothing imports nothing.
/// - One such module a crate; the crate is a `cdylib`, and an `rlib` too where others link it.
///
/// What does not fit WIT is refused with the place in the source:
///
/// ```compile_fail
/// #[nanohost_guest::tool]
/// pub mod stock {
///     pub fn level(article: &str) -> usize {
///         article.len()
///     }
/// }
/// ```
pub use nanohost_guest_macro::tool;

#[cfg(target_family = "wasm")]
mod bindings {
    #![allow(warnings, clippy::all, reason = "generated from the WIT")]
    wit_bindgen::generate!({
        path: "wit",
        world: "nanohost:tool/imports",
        generate_unused_types: true,
    });
}

/// What every Rust program has at hand, for a tool that is [`pure!`] and so has no `std`.
pub mod prelude {
    pub use alloc::borrow::ToOwned;
    pub use alloc::boxed::Box;
    pub use alloc::string::{String, ToString};
    pub use alloc::vec::Vec;
    pub use alloc::{format, vec};
}

/// What [`tool`] and [`pure!`] expand to needs, and nobody else.
#[doc(hidden)]
pub mod __private {
    pub use crate::convert::Convert;
    #[cfg(target_family = "wasm")]
    pub use crate::pure::{Allocator, cabi_realloc};
    pub use alloc::string::String;
    pub use alloc::vec::Vec;
    #[cfg(target_family = "wasm")]
    pub use wit_bindgen;
}

/// The guide's own examples are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
