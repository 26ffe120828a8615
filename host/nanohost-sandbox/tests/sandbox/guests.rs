//! The Rust guests, built once per test run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

const TARGET: &str = "wasm32-wasip2";

/// The component of one guest crate.
pub(crate) fn guest(name: &str) -> Arc<[u8]> {
    let path = folder().join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into()
}

fn folder() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(build)
}

fn build() -> PathBuf {
    has_target();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sandbox-guests");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--release", "--locked", "--target", TARGET]).current_dir(source);
    // What the outer build set is meant for the host, not for its guests.
    for variable in [
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTFLAGS",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "CARGO_BUILD_TARGET",
    ] {
        cargo.env_remove(variable);
    }
    let output = cargo.env("CARGO_TARGET_DIR", &target).output().expect("cargo starts");
    assert!(output.status.success(), "the guests do not build:\n{}", String::from_utf8_lossy(&output.stderr));
    target.join(TARGET).join("release")
}

/// The compiler's own message where the target is missing (E0463) names neither it nor the cure.
fn has_target() {
    let installed = || {
        let output = Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).output();
        let output = output.expect("rustc starts");
        Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir()
    };
    if installed() {
        return;
    }
    let added = Command::new("rustup").args(["target", "add", TARGET]).status();
    assert!(
        added.is_ok_and(|status| status.success()) && installed(),
        "the tests need the Rust target {TARGET}: run `rustup target add {TARGET}`"
    );
}
