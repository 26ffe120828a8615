//! What the host says about this call.

use alloc::string::String;

/// The same for every attempt at one and the same thing, also after a crash, and different for
/// different things: hand it to services that recognise a repeated request by such a key.
pub fn idempotency_key() -> String {
    backend::idempotency_key()
}

/// Which attempt of the step this is, counted from 1.
pub fn attempt() -> u32 {
    backend::attempt()
}

#[cfg(not(target_family = "wasm"))]
use crate::testing::call_context as backend;

#[cfg(target_family = "wasm")]
use crate::bindings::nanohost::tool::call_context as backend;
