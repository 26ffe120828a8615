//! The host's side of `guest-sdk/wit`, generated from it.

wasmtime::component::bindgen!({
    path: "../../guest-sdk/wit",
    world: "imports",
    imports: { default: trappable },
});
