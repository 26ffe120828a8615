//! The host's side of `guest-sdk/wit`, generated from it.

#![expect(missing_docs, unreachable_pub, reason = "generated; the WIT has the documentation")]

wasmtime::component::bindgen!({
    path: "../../guest-sdk/wit",
    world: "imports",
    imports: { default: trappable },
});
