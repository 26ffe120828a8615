//! What is and is not a component, and what is known about one without running it.

use nanohost_sandbox::{LinkError, LoadError};
use serde_json::json;

use crate::bench::{Asks, engine, guest, link, plan, wat};

fn load(bytes: &[u8]) -> Result<(), LoadError> {
    engine().load(&bytes.into()).map(drop)
}

fn code(text: &str) -> &'static str {
    let bytes = wat::parse_str(text).expect("the text is WebAssembly");
    load(&bytes).map_or_else(|error| error.code(), |()| "ok")
}

#[test]
fn not_components() {
    let whole = crate::guests::guest("files");
    for (bytes, expect) in [
        (&b""[..], "not_a_component"),
        (b"#!/bin/sh\n", "not_a_component"),
        (b"\0asm", "not_a_component"),
        (b"\0asm\x01\0\0\0", "is_core_module"),
        (&whole[..whole.len() / 2], "not_a_component"),
        (&whole[..whole.len() - 1], "not_a_component"),
        (&vec![0; (32 << 20) + 1], "too_large"),
    ] {
        let error = load(bytes).expect_err("it is refused");
        assert_eq!(error.code(), expect, "{error}");
    }
    load(&whole).expect("the whole component loads");
}

#[test]
fn no_damage_panics() {
    let whole = crate::guests::guest("net");
    // A component that differs in a byte may load or not; it must not bring the host down.
    let mut at = 8;
    while at < whole.len().min(4_000) {
        let mut damaged = whole.to_vec();
        damaged[at] ^= 0x55;
        damaged.truncate(4_000 + at);
        let _ = load(&damaged);
        at += 97;
    }
}

pub(crate) async fn bounds() {
    let modules = "(core module)".repeat(201);
    assert_eq!(code(&format!("(component {modules})")), "too_large");
    assert_eq!(code(&format!("(component {})", "(core module)".repeat(10))), "ok");
    let body = "nop ".repeat((1 << 20) + 1);
    assert_eq!(code(&format!("(component (core module (func {body})))")), "too_large");
    let memories = "(core module $m (memory 1)) (core instance (instantiate $m)) (core instance (instantiate $m)) \
         (core instance (instantiate $m)) (core instance (instantiate $m)) (core instance (instantiate $m))";
    // The pool has fewer memories for one component.
    assert_eq!(code(&format!("(component {memories})")), "compile_failed");
}

pub(crate) async fn proposals_that_are_off() {
    for module in ["(memory i64 1)", "(memory 1) (memory 1)", "(type (struct))", "(tag)"] {
        assert_eq!(code(&format!("(component (core module {module}))")), "compile_failed", "{module}");
    }
    assert_eq!(code("(component (core module (func (result v128) v128.const i32x4 0 0 0 0)))"), "ok");
}

#[test]
fn facts_of_a_guest() {
    let facts = guest("files").facts().clone();
    let mut names: Vec<_> = facts.imports.iter().map(|import| import.name.clone()).collect();
    names.sort();
    assert_eq!(names, facts.imports.iter().map(|import| import.name.clone()).collect::<Vec<_>>());
    let types = facts.imports.iter().find(|import| import.name.starts_with("wasi:filesystem/types@0.2"));
    let types = types.expect("it imports wasi:filesystem");
    assert!(types.functions.contains(&"[method]descriptor.open-at".to_owned()), "{:?}", types.functions);
    let paths: Vec<_> = facts.exports.iter().map(|export| export.path()).collect();
    assert_eq!(
        paths,
        [
            "append",
            "hard-link",
            "has-times",
            "hoard",
            "litter",
            "names",
            "read",
            "read-often",
            "remove",
            "rename",
            "stretch",
            "swap",
            "symlink",
            "write",
        ]
        .map(|name| format!("test:files/api#{name}"))
    );
    let write = &facts.exports[13];
    assert_eq!(
        write.input,
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": { "path": { "type": "string" }, "text": { "type": "string" } },
            "required": ["path", "text"],
            "additionalProperties": false,
        })
    );
    assert_eq!(write.output["type"], "null");
}

#[test]
fn exports_without_a_json_form() {
    let loaded = wat(r#"(component
            (type $file' (resource (rep i32)))
            (export $file "file" (type $file'))
            (core module $m
                (func (export "open") (result i32) i32.const 0)
                (func (export "good") (result i32) i32.const 1))
            (core instance $i (instantiate $m))
            (func (export "open") (result (own $file)) (canon lift (core func $i "open")))
            (func (export "good") (result u32) (canon lift (core func $i "good"))))"#);
    let paths: Vec<_> = loaded.facts().exports.iter().map(|export| export.path()).collect();
    assert_eq!(paths, ["good"]);
    let unsupported = loaded.unsupported();
    assert_eq!(unsupported.len(), 1);
    assert_eq!(unsupported[0].path, "open");
    assert_eq!(unsupported[0].reason, "it uses a resource, which has no JSON form");
}

/// A few lines whose type written out has 2^14 parts; sixty lines would have 2^60.
pub(crate) async fn type_bomb() {
    use std::fmt::Write as _;
    let mut text = "(component (type $t0 u8)".to_owned();
    for level in 1..=14 {
        write!(text, "(type $t{level} (tuple $t{0} $t{0}))", level - 1).expect("a string takes all");
    }
    text.push_str(
        r#"(core module $m (memory (export "memory") 1) (func (export "f") (result i32) i32.const 0))
        (core instance $i (instantiate $m))
        (func (export "f") (result $t14) (canon lift (core func $i "f") (memory (core memory $i "memory")))))"#,
    );
    let loaded = wat(&text);
    assert!(loaded.facts().exports.is_empty());
    assert_eq!(loaded.unsupported()[0].reason, "its types have more than 10000 parts");
}

/// The linker by itself, without admission before it: facts that lie about the imports get a
/// component admitted, and linking it fails with everything that is missing.
pub(crate) async fn what_is_not_granted_does_not_exist() {
    for name in ["net", "files"] {
        let loaded = guest(name);
        let function = if name == "net" { "fetch" } else { "read" };
        let mut lies = loaded.facts().clone();
        lies.imports.clear();
        let plan = plan(&lies, function, &Asks::default()).expect("it claims to import nothing");
        let Err(LinkError::Missing(missing)) = link(&loaded, &plan) else { panic!("it must not link") };
        let names: Vec<_> = missing.iter().map(|missing| missing.import.name.as_str()).collect();
        let prefix = if name == "net" { "wasi:sockets/" } else { "wasi:filesystem/" };
        let (wanted, others): (Vec<&str>, Vec<&str>) =
            names.iter().partition(|name| name.starts_with(prefix));
        assert!(wanted.len() >= 2, "{names:?}");
        // A clock is inert only where the admission saw it.
        assert!(others.iter().all(|name| name.starts_with("wasi:clocks/")), "{names:?}");
    }
}

/// As above, for interfaces that no host of ours has, and for versions it does not have.
pub(crate) async fn unknown_imports() {
    for import in [
        "evil:host/shell@1.0.0",
        "wasi:cli/stdout@0.3.0",
        "wasi:http/incoming-handler@0.2.0",
        "nanohost:tool/shell@0.1.0",
        // Forged versions: of ours, of WASI to come, of none.
        "nanohost:tool/kv@9.9.9",
        "nanohost:tool/log@0.2.0",
        "nanohost:tool/log@0.1.0-rc.1",
        "wasi:filesystem/types@0.3.0",
        "wasi:cli/environment@1.0.0",
        "wasi:cli/stdout",
    ] {
        let loaded = wat(&format!(
            r#"(component
                (import "{import}" (instance (export "f" (func))))
                (core module $m (func (export "g")))
                (core instance $i (instantiate $m))
                (func (export "g") (canon lift (core func $i "g"))))"#
        ));
        assert!(plan(loaded.facts(), "g", &Asks::default()).is_err(), "{import}");
        let mut lies = loaded.facts().clone();
        lies.imports.clear();
        let plan = plan(&lies, "g", &Asks::default()).expect("it claims to import nothing");
        let Err(LinkError::Missing(missing)) = link(&loaded, &plan) else { panic!("{import} must not link") };
        assert_eq!(missing[0].import.name, import);
    }
    // The right name with another type.
    let loaded = wat(r#"(component
            (import "nanohost:tool/log@0.1.0" (instance (export "shell" (func))))
            (core module $m (func (export "g")))
            (core instance $i (instantiate $m))
            (func (export "g") (canon lift (core func $i "g"))))"#);
    let plan = plan(loaded.facts(), "g", &Asks::default()).expect("log is inert");
    assert_eq!(link(&loaded, &plan).expect_err("it has no such function").code(), "incompatible_imports");
}

/// Grants that were made for another component.
#[test]
fn an_export_that_is_not_there() {
    let (files, net) = (guest("files"), guest("net"));
    let mut lies = net.facts().clone();
    lies.imports.clear();
    let plan = plan(&lies, "decide", &Asks::default()).expect("it claims to import nothing");
    assert_eq!(link(&files, &plan).expect_err("another component").code(), "no_such_export");
}
