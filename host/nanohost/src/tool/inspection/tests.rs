//! What is told of small components, through the whole of it.

use std::sync::Arc;

use nanohost_core::{Manifest, Source};
use nanohost_sandbox::{Anatomy, Engine};

use super::*;
use crate::tool::Standing;

fn package(wat: &str, manifest: Option<&str>) -> Package {
    let bytes: Arc<[u8]> = wat::parse_str(wat).expect("the text is a component").into();
    let engine = Engine::new().expect("this machine has one");
    let manifest = manifest.map(|text| {
        let text = format!("name = \"own\"\nversion = \"1.0.0\"\n{text}");
        Manifest::parse(Source::new("manifest.toml", text)).expect("a manifest")
    });
    Package {
        component: "own.wasm".into(),
        manifest_path: None,
        manifest,
        loaded: engine.load(&bytes).expect("it compiles"),
        anatomy: Anatomy::of(&bytes).expect("it is a component"),
        dir: ".".into(),
        near: ".".into(),
        kept: None,
        signature: None,
        standing: Standing::NotSigned,
        warnings: nanohost_core::Diagnostics::new(),
    }
}

/// Exports `f` and imports one function of each interface.
fn importing(interfaces: &[&str]) -> String {
    let imports: String = interfaces
        .iter()
        .map(|name| format!("(import \"{name}\" (instance (export \"g\" (func))))"))
        .collect();
    format!(
        "(component {imports} (core module $m (func (export \"f\"))) (core instance $i (instantiate $m)) \
         (func (export \"f\") (canon lift (core func $i \"f\"))))"
    )
}

/// What the host says of a component with these imports under this manifest.
#[track_caller]
fn check(interfaces: &[&str], manifest: Option<&str>, standings: &[&str], refusals: usize) -> Authority {
    let package = package(&importing(interfaces), manifest);
    let told = Inspection::of(&package);
    let found: Vec<&str> = told.imports.iter().map(|(_, because)| because.as_str()).collect();
    assert_eq!(found, standings);
    assert_eq!(told.refusals().len(), refusals, "{:?}", told.refusals());
    told.authority
}

const FILES: &str = "wasi:filesystem/types@0.2.6";
const CLOCK: &str = "wasi:clocks/wall-clock@0.2.6";

#[test]
fn what_imports_nothing_can_do_nothing() {
    let authority = check(&[], Some(""), &[], 0);
    assert!(authority.can.is_empty() && authority.undeclared.is_empty());
    assert_eq!(authority.cannot.len(), 8, "{authority:?}");
}

#[test]
fn each_import_has_its_standing() {
    let read = "[capabilities]\nfilesystem = [{ guest = \"/data\", access = \"read\" }]";
    let authority = check(&[FILES], Some(read), &["asked"], 0);
    assert_eq!(authority.can, ["read files below its /data, a folder that the operator chooses"]);
    assert!(!authority.cannot.contains(&"read or write files".to_owned()));

    let authority = check(&[FILES], Some(""), &["undeclared"], 1);
    assert_eq!(authority.undeclared, ["read or write files"]);
    let authority = check(&[FILES], Some("stub = [\"wasi:filesystem/*\"]"), &["stubbed"], 0);
    assert!(authority.cannot.contains(&"read or write files".to_owned()), "{authority:?}");

    check(&[CLOCK], Some(""), &["harmless"], 0);
    check(&[CLOCK], Some("[capabilities]\nclock = \"real\""), &["asked"], 0);
    check(&[CLOCK], Some("[capabilities]\nclock = \"denied\""), &["denied"], 1);
    check(&["wasi:io/poll@0.2.0", "wasi:io/poll@0.3.0"], Some(""), &["inert", "unknown"], 1);
}

#[test]
fn what_is_asked_and_cannot_be_used_is_said() {
    let asks = "[capabilities]\nkv = [\"ledger\"]\nhttp = [{ host = \"a.example\", methods = [\"GET\"], path = \"/\" }]";
    let authority = check(&["nanohost:tool/kv@0.1.0"], Some(asks), &["asked"], 0);
    assert_eq!(authority.can, ["keep values of its own in the namespace ledger"]);
    assert_eq!(authority.idle, ["http GET https://a.example/"]);
    assert!(authority.cannot.contains(&"send requests over HTTP".to_owned()));
}

#[test]
fn a_manifest_that_does_not_fit_is_said() {
    check(&[], None, &[], 1);
    check(&[], Some("[functions.f]\neffect = \"pure\""), &[], 0);
    check(&[], Some("[functions.g]\neffect = \"pure\""), &[], 1);
    let zeros = format!("component = \"sha256:{}\"", "0".repeat(64));
    check(&[], Some(&zeros), &[], 1);
}
