//! Manifests before and after.

use nanohost_core::{Access, Digest, Folder, Import, ToolExport};

use super::*;

fn facts(imports: &[&str]) -> ToolFacts {
    let imports =
        imports.iter().map(|name| Import { name: (*name).to_owned(), functions: vec!["f".to_owned()] });
    ToolFacts {
        component: Digest::of(b"component"),
        size: 1,
        imports: imports.collect(),
        exports: vec![ToolExport {
            function: "book".to_owned(),
            interface: None,
            input: serde_json::json!({}),
            output: serde_json::json!({}),
        }],
    }
}

fn manifest(text: &str) -> Manifest {
    Manifest::parse(Source::new("manifest.toml", text)).expect("a manifest")
}

const OLD: &str = r#"# What it is.
name = "own"
version = "1.2.0"
stub = ["wasi:sockets/*"]

[functions.book] # books
effect = "pure"

[capabilities]
kv = ["ledger"]      # where

[limits]
memory = "2MiB"
"#;

#[test]
fn a_manifest_keeps_what_is_not_drafted() {
    let old = manifest(OLD);
    let asks = vec![Capability::Filesystem(Folder { guest: "/data".to_owned(), access: Access::Read })];
    let seen = Observed { asks, unused: [Class::Kv].into(), ..Observed::default() };
    let facts = facts(&["nanohost:tool/kv@0.1.0", "wasi:filesystem/types@0.2.6"]);
    let draft = from_observation("x", &facts, Some(&old), &seen).expect("a draft");
    let new = manifest(&draft.text);
    assert_eq!((new.name().as_str(), new.version()), ("own", "1.2.0"));
    assert!(draft.text.starts_with("# What it is.\nname = \"own\"\n"), "{}", draft.text);
    assert!(draft.text.contains("[functions.book] # books\neffect = \"pure\"\n"), "{}", draft.text);
    let asked: Vec<String> =
        new.asks().iter().filter(|ask| ask.span.is_some()).map(|ask| ask.capability.to_string()).collect();
    assert_eq!(asked, ["filesystem /data (read)"]);
    assert_eq!(stubs(&new), ["nanohost:tool/kv"]);
    assert_eq!(new.limits().deadline, old.limits().deadline);
    // Drafted again of the same, it is the same.
    let again = from_observation("x", &facts, Some(&new), &seen).expect("a draft");
    assert_eq!(again.text, draft.text);
}

#[test]
fn imports_alone_leave_things_open() {
    let facts = facts(&["wasi:http/outgoing-handler@0.2.6", "wasi:clocks/wall-clock@0.2.6"]);
    let draft = from_imports("word-count", &facts, None).expect("a draft");
    let new = manifest(&draft.text);
    assert_eq!(new.name().as_str(), "word-count");
    assert!(new.function("book").is_some());
    assert_eq!(draft.open.len(), 1, "{:?}", draft.open);
    assert!(draft.open[0].contains("it imports http"), "{:?}", draft.open);
}

#[test]
fn what_cannot_be_changed_line_by_line_is_not_changed() {
    let old = manifest("name = \"own\"\nversion = \"1\"\ncapabilities = { kv = [\"ledger\"] }\n");
    let seen = Observed { asks: vec![Capability::Kv("other".to_owned())], ..Observed::default() };
    let error =
        from_observation("x", &facts(&[]), Some(&old), &seen).expect_err("it would stand there twice");
    assert!(error.to_string().contains("manifest_not_drafted"), "{error}");
}

#[test]
fn limits_have_room() {
    assert_eq!(
        [bytes(1, 1 << 10, 1 << 20), bytes(1025, 1 << 10, 1 << 20), bytes(u64::MAX, 1, 4 << 30)],
        ["1KiB", "2KiB", "4GiB"]
    );
    assert_eq!([rounded(0), rounded(9), rounded(11), rounded(123_456)], [0, 9, 20, 200_000]);
}
