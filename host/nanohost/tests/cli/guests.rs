//! The tools and the guest SDK have workspaces of their own, since they build for WebAssembly.
//! Their tests call tools as plain Rust; one command runs them too.

use std::path::Path;
use std::process::Command;

fn cargo_test(workspace: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(workspace);
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["test", "--workspace", "--all-features", "--locked", "--quiet"]).current_dir(root);
    // What the outer build set is meant for the host, not for its guests.
    for variable in ["CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER"] {
        cargo.env_remove(variable);
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{workspace}-tests"));
    let output = cargo.env("CARGO_TARGET_DIR", target).output().expect("cargo starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn the_tools_pass_their_own_tests() {
    cargo_test("tools");
}

#[test]
fn the_guest_sdk_passes_its_own_tests() {
    cargo_test("guest-sdk");
}
