use std::fs;

use super::*;
use crate::project::testing::{Sandbox, codes};

const CRATE: &str = "[package]\nname = \"refund-api\"\n";

fn name(text: &str) -> ToolName {
    text.parse().expect("it is a tool's name")
}

/// A sandbox with a program, and a prebuilt tool in the `tools/` two folders above it.
fn project() -> (Sandbox, PathBuf) {
    let sandbox = Sandbox::new();
    sandbox.write("tools/refund-api/manifest.toml", "name = \"refund-api\"\n");
    sandbox.write("tools/refund-api/component.wasm", "");
    let program = sandbox.write("examples/refund/program.toml", "");
    (sandbox, program)
}

#[test]
fn a_tool_is_found_by_its_path_from_the_program() -> anyhow::Result<()> {
    let (sandbox, program) = project();
    let tool = by_path(&program, "../../tools/refund-api")?;
    assert_eq!(tool.dir, sandbox.path("tools/refund-api"));
    assert_eq!(tool.manifest.text, "name = \"refund-api\"\n");
    assert_eq!(tool.component_path(), sandbox.path("tools/refund-api/component.wasm"));
    assert_eq!(tool.freshness(), Freshness::Fresh);
    Ok(())
}

#[test]
fn a_tool_is_found_by_its_name_in_either_spelling() -> anyhow::Result<()> {
    let (sandbox, program) = project();
    let expected = sandbox.path("tools/refund-api");
    assert_eq!(by_name(None, &program, &name("refund_api"))?.dir, expected);
    assert_eq!(by_name(None, &program, &name("refund-api"))?.dir, expected);
    assert_eq!(
        by_name(Some(&sandbox.path("tools")), Path::new("p.toml"), &name("refund_api"))?.dir,
        expected
    );
    Ok(())
}

#[test]
fn two_spellings_side_by_side_are_ambiguous() {
    let (sandbox, program) = project();
    sandbox.write("tools/refund_api/manifest.toml", "");
    sandbox.write("tools/refund_api/component.wasm", "");
    assert_eq!(codes(by_name(None, &program, &name("refund_api"))), ["ambiguous_tool"]);
    assert!(by_name(None, &program, &name("refund-api")).is_ok());
}

#[test]
fn what_is_no_tool_is_refused() {
    let (sandbox, program) = project();
    assert_eq!(codes(by_path(&program, "../../tools/none")), ["unknown_tool"]);
    assert_eq!(codes(by_name(None, &program, &name("none"))), ["unknown_tool"]);
    assert_eq!(codes(by_name(Some(&sandbox.path("none")), &program, &name("x"))), ["unreadable_file"]);

    sandbox.folder("tools/empty");
    assert_eq!(codes(by_name(None, &program, &name("empty"))), ["unreadable_file"]);
    sandbox.write("tools/empty/manifest.toml", "");
    assert_eq!(codes(by_name(None, &program, &name("empty"))), ["missing_component"]);
    sandbox.write("tools/refund-api/Cargo.toml", CRATE);
    assert_eq!(codes(by_name(None, &program, &name("refund-api"))), ["ambiguous_tool"]);
    fs::write(sandbox.path("tools/refund-api/manifest.toml"), b"\xff").expect("the sandbox is writable");
    assert_eq!(codes(by_name(None, &program, &name("refund-api"))), ["not_utf8"]);
}
