//! What the verifier is made of: nothing of the runtime that it audits, as the lock of the workspace
//! says it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// Each package of the lock, and what it needs.
fn locked() -> BTreeMap<String, Vec<String>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock");
    let lock = fs::read_to_string(path).expect("the workspace has a lock");
    let mut packages: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in lock.split("[[package]]").skip(1) {
        let name = package.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
        let name = name.expect("a package has a name");
        let needs = package.split("dependencies = [").nth(1).unwrap_or_default();
        let needs = needs.split(']').next().unwrap_or_default().lines();
        let needs = needs.filter_map(|line| line.trim().strip_prefix('"'));
        // A version follows where there are several.
        let needs = needs.filter_map(|line| line.split(['"', ' ']).next().map(str::to_owned));
        packages.entry(name.to_owned()).or_default().extend(needs);
    }
    packages
}

fn all_below(root: &str, packages: &BTreeMap<String, Vec<String>>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut next = vec![root.to_owned()];
    while let Some(package) = next.pop() {
        next.extend(packages.get(&package).into_iter().flatten().cloned());
        found.insert(package);
    }
    found
}

/// The runtime, its store and its network.
fn is_runtime(package: &str) -> bool {
    ["wasm", "cranelift", "nanohost-sandbox", "nanohost-store", "rusqlite", "libsqlite", "tokio", "hyper"]
        .iter()
        .chain(&["reqwest", "rustls", "chacha20poly1305"])
        .any(|start| package.starts_with(start))
        // Bindings for browsers, which are compiled for no other platform.
        && !package.starts_with("wasm-bindgen")
}

#[test]
fn the_verifier_is_made_of_nothing_of_the_runtime() {
    let packages = locked();
    let verifier = all_below("nanohost-verify", &packages);
    assert!(verifier.contains("ed25519-dalek"), "the lock is read: {verifier:?}");
    let found: Vec<&String> = verifier.iter().filter(|package| is_runtime(package)).collect();
    assert!(found.is_empty(), "nanohost-verify depends on {found:?}");
    // The host does: these are the names that would be found.
    let host = all_below("nanohost", &packages);
    for package in ["wasmtime", "rusqlite", "tokio", "nanohost-sandbox", "nanohost-store"] {
        assert!(host.contains(package) && is_runtime(package), "{package}");
    }
}
