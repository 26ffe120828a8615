//! Components written as text, whole and damaged.

use miniz_oxide::deflate::compress_to_vec_zlib;

use super::*;

/// A component with one module inside and custom sections of these names and contents.
fn component(sections: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = wat::parse_str(
        r#"(component (core module (memory 1) (data (i32.const 0) "four") (func (export "f") nop) (func)))"#,
    )
    .expect("the text is a component");
    for (name, content) in sections {
        let mut section = vec![u8::try_from(name.len()).expect("names are short")];
        section.extend(name.as_bytes());
        section.extend(*content);
        bytes.push(0);
        let mut size = section.len();
        while size >= 0x80 {
            bytes.push((size & 0x7f) as u8 | 0x80);
            size >>= 7;
        }
        bytes.push(size as u8);
        bytes.extend(section);
    }
    bytes
}

fn listed(json: &str) -> Dependencies {
    let packed = compress_to_vec_zlib(json.as_bytes(), 6);
    Anatomy::of(&component(&[(".dep-v0", &packed)])).expect("a component").dependencies
}

#[test]
fn what_a_component_is_made_of() {
    let found = Anatomy::of(&component(&[("note", b"one"), ("note", b"three")])).expect("a component");
    assert_eq!((found.modules, found.components, found.functions), (1, 0, 2));
    assert!(found.code > 0 && found.data > 4, "{found:?}");
    assert_eq!(found.custom["note"], (2, 8));
    assert_eq!(found.dependencies, Dependencies::None);
}

#[test]
fn producers_are_told() {
    // One field, `language`, with one value, `Rust` of no version.
    let section = b"\x01\x08language\x01\x04Rust\x00";
    let found = Anatomy::of(&component(&[("producers", section)])).expect("a component");
    let rust = ("language".to_owned(), "Rust".to_owned(), String::new());
    assert_eq!(found.producers, BTreeSet::from([rust]));
    // One that is none says nothing, and the rest is read.
    let found = Anatomy::of(&component(&[("producers", b"\xff\xff"), ("x", b"")])).expect("a component");
    assert!(found.producers.is_empty() && found.custom.contains_key("x"));
}

#[test]
fn dependencies_are_listed() {
    let json = r#"{"packages":[
        {"name":"serde","version":"1.0.0","source":"crates.io"},
        {"name":"cc","version":"1.2.3","source":"crates.io","kind":"build"},
        {"name":"own","version":"0.1.0","source":"local","dependencies":[0,1],"root":true}]}"#;
    let Dependencies::Listed(found) = listed(json) else { panic!("they are listed") };
    let shown: Vec<String> =
        found.iter().map(|own| format!("{} {} {} {}", own.name, own.version, own.build, own.root)).collect();
    assert_eq!(shown, ["cc 1.2.3 true false", "own 0.1.0 false true", "serde 1.0.0 false false"]);
}

#[test]
fn a_list_that_is_none_is_said_to_be_none() {
    for wrong in ["", "{}", r#"{"packages":[{"name":"a","version":1,"source":"x"}]}"#] {
        assert!(matches!(listed(wrong), Dependencies::Unreadable(_)), "{wrong}");
    }
    let good = compress_to_vec_zlib(br#"{"packages":[]}"#, 6);
    for sections in [vec![(".dep-v0", &b"raw"[..])], vec![(".dep-v0", &good[..]), (".dep-v0", &good[..])]] {
        let found = Anatomy::of(&component(&sections)).expect("a component").dependencies;
        assert!(matches!(found, Dependencies::Unreadable(_)), "{sections:?}");
    }
    // What unpacks without end is not unpacked.
    let bomb = compress_to_vec_zlib(&vec![b' '; MAX_DEPENDENCIES + 1], 9);
    let found = Anatomy::of(&component(&[(".dep-v0", &bomb)])).expect("a component").dependencies;
    assert!(matches!(found, Dependencies::Unreadable(_)));
}

#[test]
fn what_is_no_component_is_refused() {
    let whole = component(&[("note", b"one")]);
    for wrong in [&b""[..], b"\0asm", b"no", &whole[..whole.len() - 1]] {
        assert!(Anatomy::of(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn floods_are_bounded() {
    let names: Vec<String> = (0..MAX_SECTIONS + 9).map(|at| format!("s{at}")).collect();
    let sections: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    let found = Anatomy::of(&component(&sections)).expect("a component");
    assert_eq!(found.custom.len(), MAX_SECTIONS);
}
