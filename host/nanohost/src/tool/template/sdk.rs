//! The library that Rust tools are written with, as it was when this nanohost was built: a tool made on a
//! machine without this repository depends on it all the same.

/// The folder that it lies in, beside the tool's own sources.
pub(super) const FOLDER: &str = "guest-sdk";

/// Its files, by their paths in it.
pub(super) const FILES: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../../../../../guest-sdk/Cargo.toml")),
    ("README.md", include_str!("../../../../../guest-sdk/README.md")),
    ("macro/Cargo.toml", include_str!("../../../../../guest-sdk/macro/Cargo.toml")),
    ("macro/src/component.rs", include_str!("../../../../../guest-sdk/macro/src/component.rs")),
    ("macro/src/lib.rs", include_str!("../../../../../guest-sdk/macro/src/lib.rs")),
    ("macro/src/module.rs", include_str!("../../../../../guest-sdk/macro/src/module.rs")),
    ("macro/src/names.rs", include_str!("../../../../../guest-sdk/macro/src/names.rs")),
    ("macro/src/names/tests.rs", include_str!("../../../../../guest-sdk/macro/src/names/tests.rs")),
    ("macro/src/wit.rs", include_str!("../../../../../guest-sdk/macro/src/wit.rs")),
    ("macro/src/wit/tests.rs", include_str!("../../../../../guest-sdk/macro/src/wit/tests.rs")),
    ("src/call_context.rs", include_str!("../../../../../guest-sdk/src/call_context.rs")),
    ("src/convert.rs", include_str!("../../../../../guest-sdk/src/convert.rs")),
    ("src/failure.rs", include_str!("../../../../../guest-sdk/src/failure.rs")),
    ("src/folder.rs", include_str!("../../../../../guest-sdk/src/folder.rs")),
    ("src/http.rs", include_str!("../../../../../guest-sdk/src/http.rs")),
    ("src/http/tests.rs", include_str!("../../../../../guest-sdk/src/http/tests.rs")),
    ("src/kv.rs", include_str!("../../../../../guest-sdk/src/kv.rs")),
    ("src/kv/tests.rs", include_str!("../../../../../guest-sdk/src/kv/tests.rs")),
    ("src/lib.rs", include_str!("../../../../../guest-sdk/src/lib.rs")),
    ("src/log.rs", include_str!("../../../../../guest-sdk/src/log.rs")),
    ("src/pure.rs", include_str!("../../../../../guest-sdk/src/pure.rs")),
    ("src/secrets.rs", include_str!("../../../../../guest-sdk/src/secrets.rs")),
    ("src/testing.rs", include_str!("../../../../../guest-sdk/src/testing.rs")),
    ("src/testing/tests.rs", include_str!("../../../../../guest-sdk/src/testing/tests.rs")),
    ("wit/call-context.wit", include_str!("../../../../../guest-sdk/wit/call-context.wit")),
    ("wit/kv.wit", include_str!("../../../../../guest-sdk/wit/kv.wit")),
    ("wit/log.wit", include_str!("../../../../../guest-sdk/wit/log.wit")),
    ("wit/secrets.wit", include_str!("../../../../../guest-sdk/wit/secrets.wit")),
    ("wit/types.wit", include_str!("../../../../../guest-sdk/wit/types.wit")),
    ("wit/world.wit", include_str!("../../../../../guest-sdk/wit/world.wit")),
];
