use std::fs;

use super::*;
use crate::project::testing::{Sandbox, age};

const ARTIFACT: &str = "ws/target/wasm32-wasip2/release/tool.wasm";

/// A tool of a workspace, with a dependency by path, everything built at second 100.
fn built() -> (Sandbox, CrateComponent) {
    let sandbox = Sandbox::new();
    let sources = ["sdk/src/a b.rs", "ws/tool/src/lib.rs"];
    let others = [
        "sdk/Cargo.toml",
        "ws/Cargo.lock",
        "ws/tool/README.md",
        "ws/tool/manifest.toml",
        "ws/tool/tests/a.toml",
    ];
    for path in sources.iter().chain(&others) {
        age(&sandbox.write(path, ""), 10);
    }
    age(&sandbox.write("ws/Cargo.toml", "[workspace]\nmembers = [\"tool\"]\n"), 10);
    age(&sandbox.write("ws/tool/Cargo.toml", "[package]\nname = \"tool\"\n"), 10);
    let listed = sources.map(|source| sandbox.path(source).display().to_string().replace(' ', "\\ "));
    sandbox.write("ws/target/wasm32-wasip2/release/tool.d", &format!("tool.wasm: {}\n", listed.join(" ")));
    age(&sandbox.write(ARTIFACT, ""), 100);
    let krate = CrateComponent::read(&sandbox.path("ws/tool")).expect("it is a crate");
    (sandbox, krate)
}

#[test]
fn what_is_newer_than_its_sources_is_fresh() {
    let (_sandbox, krate) = built();
    assert_eq!(judge(&krate), Freshness::Fresh);
}

#[test]
fn what_was_never_built_is_missing() {
    let (_sandbox, krate) = built();
    fs::remove_file(&krate.artifact).expect("it is there");
    assert_eq!(judge(&krate), Freshness::Missing);
}

#[test]
fn a_newer_source_makes_it_stale() {
    let newer = [
        "ws/tool/src/lib.rs",
        "ws/tool/src/new.rs",
        "ws/tool/Cargo.toml",
        "ws/Cargo.toml",
        "ws/Cargo.lock",
        "ws/rust-toolchain.toml",
        "ws/.cargo/config.toml",
        "sdk/src/a b.rs",
        "sdk/Cargo.toml",
    ];
    for path in newer {
        let (sandbox, krate) = built();
        let path = sandbox.path(path);
        if !path.exists() {
            sandbox.write(path.to_str().expect("it is UTF-8"), "");
        }
        age(&path, 101);
        assert_eq!(judge(&krate), Freshness::Stale(path));
    }
}

#[test]
fn what_is_no_source_does_not() {
    for path in ["ws/tool/manifest.toml", "ws/tool/.git/index", "ws/tool/target/x", "ws/other/lib.rs"] {
        let (sandbox, krate) = built();
        age(&sandbox.write(path, ""), 101);
        assert_eq!(judge(&krate), Freshness::Fresh, "{path}");
    }
}

#[test]
fn a_source_that_is_gone_makes_it_stale() {
    let (sandbox, krate) = built();
    let source = sandbox.path("sdk/src/a b.rs");
    fs::remove_file(&source).expect("it is there");
    assert_eq!(judge(&krate), Freshness::Stale(source));
}

#[test]
fn without_a_list_of_sources_nobody_can_say() {
    let (_sandbox, krate) = built();
    let list = krate.artifact.with_extension("d");
    fs::remove_file(&list).expect("it is there");
    assert_eq!(judge(&krate), Freshness::Stale(list));
}

#[test]
fn the_start_of_the_build_counts_not_its_end() {
    let (sandbox, krate) = built();
    let second = |n: u64| UNIX_EPOCH + Duration::from_secs(1_700_000_000 + n);
    let source = sandbox.path("ws/tool/src/lib.rs");
    Stamp::write(&krate.artifact, second(50));
    age(&source, 60);
    assert_eq!(judge(&krate), Freshness::Stale(source.clone()), "edited during the build");
    // Cargo looked, and found that the edit was none.
    Stamp::write(&krate.artifact, second(200));
    age(&source, 150);
    assert_eq!(judge(&krate), Freshness::Fresh);
    // Somebody built by hand since: the stamp is of another component.
    age(&krate.artifact, 140);
    assert_eq!(judge(&krate), Freshness::Stale(source));
}

#[test]
fn a_folder_of_countless_files_is_left_to_cargo() {
    let (sandbox, krate) = built();
    let crowd = sandbox.folder("ws/tool/crowd");
    for n in 0..=MAX_FILES {
        let path = crowd.join(n.to_string());
        fs::write(&path, "").expect("the sandbox is writable");
        age(&path, 10);
    }
    assert_eq!(judge(&krate), Freshness::Stale(crowd));
}
