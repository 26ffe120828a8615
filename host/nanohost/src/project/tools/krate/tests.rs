use super::*;
use crate::project::testing::{Sandbox, codes};

const CRATE: &str = "[package]\nname = \"refund-api\"\n";

fn read(sandbox: &Sandbox) -> anyhow::Result<CrateComponent> {
    CrateComponent::read(&sandbox.path("ws/tools/a"))
}

/// The folder of the workspace, relative to the sandbox, and the name of the component.
fn check(root: &str, cargo: &str, workspace: &str, component: &str) {
    let sandbox = Sandbox::new();
    sandbox.write("ws/Cargo.toml", root);
    sandbox.write("ws/tools/a/Cargo.toml", cargo);
    let krate = read(&sandbox).expect("it is a crate");
    assert_eq!(krate.workspace, sandbox.path(workspace), "{root}{cargo}");
    let artifact = format!("{workspace}/target/wasm32-wasip2/release/{component}");
    assert_eq!(krate.artifact, sandbox.path(&artifact), "{root}{cargo}");
}

#[test]
fn the_workspace_is_found_as_cargo_finds_it() {
    let own = format!("{CRATE}[workspace]\n");
    let pointed = format!("{CRATE}workspace = \"..\"\n");
    check("[workspace]\nmembers = [\"tools/a\"]\n", CRATE, "ws", "refund_api.wasm");
    check("[workspace]\nmembers = [\"tools/*\"]\n", CRATE, "ws", "refund_api.wasm");
    check("[workspace]\nexclude = [\"tools\"]\n", CRATE, "ws/tools/a", "refund_api.wasm");
    check("[workspace]\nexclude = [\"tool\"]\n", CRATE, "ws", "refund_api.wasm");
    check("[workspace]\nexclude = [\"tools\"]\nmembers = [\"./tools/a\"]\n", CRATE, "ws", "refund_api.wasm");
    check("[package]\nname = \"b\"\n", CRATE, "ws/tools/a", "refund_api.wasm");
    check("[workspace]\n", &own, "ws/tools/a", "refund_api.wasm");
    check("[workspace]\n", &pointed, "ws/tools", "refund_api.wasm");
}

#[test]
fn a_library_may_have_a_name_of_its_own() {
    check("", &format!("{CRATE}[lib]\nname = \"refunds\"\n"), "ws/tools/a", "refunds.wasm");
    check("", &format!("{CRATE}[lib]\ncrate-type = [\"cdylib\"]\n"), "ws/tools/a", "refund_api.wasm");
}

#[test]
fn what_is_no_crate_is_refused() {
    let sandbox = Sandbox::new();
    let names = ["../../etc/x", "-Zflag", "a/b", "", "a b"];
    let mut texts: Vec<String> = names.iter().map(|name| format!("[package]\nname = \"{name}\"\n")).collect();
    texts.extend(names.iter().map(|name| format!("{CRATE}[lib]\nname = \"{name}\"\n")));
    texts.extend([
        "[workspace]\n".into(),
        "[".into(),
        format!("{CRATE}workspace = \"none\"\n"),
        String::new(),
    ]);
    for text in texts {
        sandbox.write("ws/tools/a/Cargo.toml", &text);
        assert_eq!(codes(read(&sandbox)), ["invalid_crate"], "{text}");
    }
}

#[test]
fn packages_are_those_of_the_recorded_sources() {
    let sandbox = Sandbox::new();
    sandbox.write("ws/tools/a/Cargo.toml", CRATE);
    sandbox.write("sdk/Cargo.toml", "");
    sandbox.write("sdk/macro/Cargo.toml", "");
    let krate = read(&sandbox).expect("it is a crate");
    assert_eq!(krate.packages(), [sandbox.path("ws/tools/a")]);
    let sources = ["sdk/macro/src/lib.rs", "sdk/src/kv.rs", "sdk/wit/kv.wit", "ws/tools/a/src/lib.rs"];
    let generated = sandbox.path("ws/tools/a/target/x/out/made.rs");
    let listed = sources.map(|source| sandbox.path(source).display().to_string()).join(" ");
    let list = format!("a.wasm: {listed} {}\n", generated.display());
    sandbox.write("ws/tools/a/target/wasm32-wasip2/release/refund_api.d", &list);
    let expected = ["ws/tools/a", "sdk/macro", "sdk"].map(|package| sandbox.path(package));
    assert_eq!(krate.packages(), expected);
    assert_eq!(krate.sources().map(|sources| sources.len()), Some(4));
}
