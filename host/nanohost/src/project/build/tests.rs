use std::cell::RefCell;

use super::*;
use crate::project::by_path;
use crate::project::testing::{Sandbox, codes};

const LIB: &str = "#[unsafe(no_mangle)]\npub extern \"C\" fn answer() -> i32 {\n    42\n}\n";

/// A sandbox with a crate that has no dependencies, and the tool it is.
fn tiny(name: &str, lib: &str) -> (Sandbox, ToolFolder) {
    let sandbox = Sandbox::new();
    let cargo = format!(
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
         [lib]\ncrate-type = [\"cdylib\"]\n[workspace]\n"
    );
    sandbox.write("tool/Cargo.toml", &cargo);
    let lock = format!("version = 4\n\n[[package]]\nname = \"{name}\"\nversion = \"0.1.0\"\n");
    sandbox.write("tool/Cargo.lock", &lock);
    sandbox.write("tool/manifest.toml", "");
    sandbox.write("tool/src/lib.rs", lib);
    let tool = by_path(&sandbox.path("program.toml"), "tool").expect("it is a tool");
    (sandbox, tool)
}

/// Programs that are not there.
fn no_toolchain() -> Toolchain {
    let none = || "/nonexistent/program".into();
    Toolchain { cargo: none(), rustc: none(), rustup: none() }
}

fn roots(sandbox: &Sandbox) -> TrustedRoots {
    TrustedRoots::new(vec![sandbox.path("")])
}

fn attempt(toolchain: &Toolchain, tool: &ToolFolder, roots: &TrustedRoots) -> anyhow::Result<Vec<String>> {
    let events = RefCell::new(Vec::new());
    let tell = |event: BuildEvent<'_>| events.borrow_mut().push(format!("{event:?}"));
    build_with(toolchain, std::slice::from_ref(tool), roots, &tell)?;
    Ok(events.into_inner())
}

#[test]
fn a_tool_is_built_once_and_then_used_as_it_is() -> anyhow::Result<()> {
    let (sandbox, tool) = tiny("tiny-tool", LIB);
    assert_eq!(tool.freshness(), Freshness::Missing);
    let events = attempt(&Toolchain::on_path(), &tool, &roots(&sandbox))?;
    assert_eq!(events.first().map(String::as_str), Some("Building { names: [\"tiny-tool\"] }"));
    assert!(events.iter().any(|event| event.contains("Compiling tiny-tool")), "{events:?}");
    assert!(events.last().is_some_and(|event| event.starts_with("Done")), "{events:?}");
    let component = std::fs::read(tool.component_path())?;
    assert!(component.starts_with(b"\0asm"));
    let folder = sandbox.path("").display().to_string();
    assert!(!component.windows(folder.len()).any(|window| window == folder.as_bytes()));

    assert_eq!(tool.freshness(), Freshness::Fresh);
    assert_eq!(attempt(&no_toolchain(), &tool, &TrustedRoots::default())?, [""; 0]);
    Ok(())
}

#[test]
fn outside_of_trusted_folders_nothing_is_started() {
    let (sandbox, tool) = tiny("tiny-tool", LIB);
    let elsewhere = TrustedRoots::new(vec![sandbox.path("other")]);
    let error = attempt(&no_toolchain(), &tool, &elsewhere).expect_err("it is refused");
    let failure = error.downcast_ref::<Failure>().expect("every error has a code");
    assert_eq!(failure.exit, crate::failure::Exit::Usage);
    let finding = failure.findings.iter().next().expect("it says why");
    assert_eq!(finding.code, "unbuilt_tool");
    let typed = format!(
        "cd {} && cargo build --release --locked --target wasm32-wasip2 --target-dir target -p tiny-tool",
        sandbox.path("tool").display()
    );
    let help = |error: anyhow::Error| match error.downcast_ref::<Failure>() {
        Some(failure) => failure.findings.iter().filter_map(|finding| finding.help.clone()).collect(),
        None => String::new(),
    };
    assert!(help(error).ends_with(&typed));
    // Where there is a policy there is a project to trust.
    sandbox.write("policies/local.toml", "");
    let error = attempt(&no_toolchain(), &tool, &elsewhere).expect_err("it is refused");
    assert!(help(error).ends_with(&format!("{} trust {}", program_name(), sandbox.path("").display())));
}

#[test]
fn tools_of_one_workspace_are_refused_together() {
    let (sandbox, mut tool) = tiny("tiny-tool", LIB);
    let mut tools = Vec::new();
    for name in ["one-tool", "two-tool"] {
        let Component::Crate(krate) = &mut tool.component else { panic!("it is a crate") };
        krate.package = name.to_owned();
        krate.dir = sandbox.path(name);
        tools.push(tool.clone());
    }
    tools.push(tools[0].clone());
    let error = build_with(&no_toolchain(), &tools, &TrustedRoots::default(), &|_| {});
    let error = error.expect_err("nothing is trusted");
    let failure = error.downcast_ref::<Failure>().expect("every error has a code");
    let findings: Vec<_> = failure.findings.iter().collect();
    assert_eq!(findings.len(), 1, "{failure}");
    for part in ["one-tool is not built yet", "two-tool is not built yet", "building them"] {
        assert!(findings[0].message.contains(part), "{failure}");
    }
    assert_eq!(findings[0].message.matches("one-tool").count(), 1, "{failure}");
    assert!(findings[0].help.as_ref().is_some_and(|help| help.ends_with("-p one-tool -p two-tool")));
}

#[test]
fn the_workspace_has_to_be_trusted_with_the_tool() {
    let (sandbox, mut tool) = tiny("tiny-tool", LIB);
    let Component::Crate(krate) = &mut tool.component else { panic!("it is a crate") };
    krate.workspace = sandbox.path("");
    let only_the_tool = TrustedRoots::new(vec![sandbox.path("tool")]);
    assert_eq!(codes(attempt(&no_toolchain(), &tool, &only_the_tool)), ["unbuilt_tool"]);
    assert_eq!(codes(attempt(&no_toolchain(), &tool, &roots(&sandbox))), ["no_cargo"]);
}

#[test]
fn what_does_not_compile_is_shown_with_the_command() {
    let (sandbox, tool) = tiny("broken-tool", "fn broken( {}\n");
    let error = attempt(&Toolchain::on_path(), &tool, &roots(&sandbox)).expect_err("it does not compile");
    let failure = error.downcast_ref::<Failure>().expect("every error has a code");
    let finding = failure.findings.iter().next().expect("it says why");
    assert_eq!(finding.code, "build_failed");
    assert!(finding.message.contains("src/lib.rs:1"), "{}", finding.message);
    let help = finding.help.as_deref().unwrap_or_default();
    assert!(help.ends_with("-p broken-tool"), "{help}");
}

#[test]
fn names_are_listed_as_in_a_sentence() {
    assert_eq!(listed(&["a"]), "`a`");
    assert_eq!(listed(&["a", "b", "c"]), "`a`, `b` and `c`");
}

/// With programs that stand in for the toolchain.
#[cfg(unix)]
mod standing_in {
    use super::*;

    /// Another process writes it: a file that this one has open for writing, as a child started
    /// meanwhile by another test still may, cannot be executed.
    fn script(sandbox: &Sandbox, name: &str, text: &str) -> std::ffi::OsString {
        let path = sandbox.folder("bin").join(name);
        let write = "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$2\" && chmod 755 \"$2\"";
        let mut shell = std::process::Command::new("/bin/sh");
        let written = shell.args(["-c", write, "sh", text]).arg(&path).status();
        assert!(written.is_ok_and(|status| status.success()), "{}", path.display());
        path.into()
    }

    /// A rustc whose target is there once `libs/std` is.
    fn rustc(sandbox: &Sandbox) -> std::ffi::OsString {
        script(sandbox, "rustc", &format!("echo {}", sandbox.path("libs").display()))
    }

    #[test]
    fn a_missing_target_is_added_by_rustup() {
        let (sandbox, tool) = tiny("tiny-tool", LIB);
        let libs = sandbox.folder("libs");
        let rustup = script(
            &sandbox,
            "rustup",
            &format!("test \"$*\" = 'target add wasm32-wasip2' && touch {}/std", libs.display()),
        );
        let cargo = script(&sandbox, "cargo", "echo to stdout; printf '\\033[31mno\\n' >&2; exit 1");
        let toolchain = Toolchain { cargo, rustc: rustc(&sandbox), rustup };
        let error = attempt(&toolchain, &tool, &roots(&sandbox)).expect_err("cargo fails");
        assert!(error.to_string().ends_with("`tiny-tool`:\n\\u{1b}[31mno"), "{error}");
        assert!(libs.join("std").exists());
    }

    #[test]
    fn without_rustup_the_command_is_named() {
        let (sandbox, tool) = tiny("tiny-tool", LIB);
        sandbox.folder("libs");
        for rustup in [
            "/nonexistent/rustup".into(),
            script(&sandbox, "failing", "exit 1"),
            script(&sandbox, "idle", "exit 0"),
        ] {
            let toolchain = Toolchain { cargo: "/nonexistent/cargo".into(), rustc: rustc(&sandbox), rustup };
            let error = attempt(&toolchain, &tool, &roots(&sandbox)).expect_err("there is no target");
            let failure = error.downcast_ref::<Failure>().expect("every error has a code");
            let finding = failure.findings.iter().next().expect("it says why");
            assert_eq!(finding.code, "missing_wasm_target");
            let help = finding.help.as_deref().unwrap_or_default();
            assert!(help.starts_with("type: rustup target add wasm32-wasip2\n"), "{help}");
        }
    }

    #[test]
    fn a_build_that_makes_no_component_is_a_failed_one() {
        let (sandbox, tool) = tiny("tiny-tool", LIB);
        sandbox.write("libs/std", "");
        let cargo = script(&sandbox, "cargo", "exit 0");
        let toolchain = Toolchain { cargo, rustc: rustc(&sandbox), rustup: "/nonexistent/rustup".into() };
        assert_eq!(codes(attempt(&toolchain, &tool, &roots(&sandbox))), ["build_failed"]);
    }

    #[test]
    fn tools_of_one_workspace_are_built_by_one_command() -> anyhow::Result<()> {
        let sandbox = Sandbox::new();
        sandbox.write("libs/std", "");
        sandbox.write("ws/Cargo.toml", "[workspace]\nmembers = [\"a\", \"b\"]\n");
        let mut tools = Vec::new();
        for name in ["a", "b"] {
            sandbox.write(&format!("ws/{name}/Cargo.toml"), &format!("[package]\nname = \"{name}\"\n"));
            sandbox.write(&format!("ws/{name}/manifest.toml"), "");
            tools.push(by_path(&sandbox.path("program.toml"), &format!("ws/{name}"))?);
        }
        let cargo = script(
            &sandbox,
            "cargo",
            "echo \"$@\" >> calls; mkdir -p target/wasm32-wasip2/release; cd target/wasm32-wasip2/release; touch a.wasm b.wasm",
        );
        let toolchain = Toolchain { cargo, rustc: rustc(&sandbox), rustup: "/nonexistent/rustup".into() };
        tools.push(tools[0].clone());
        build_with(&toolchain, &tools, &roots(&sandbox), &|_| {})?;
        let calls = std::fs::read_to_string(sandbox.path("ws/calls"))?;
        let expected = format!(
            "build --release --locked --color never --target wasm32-wasip2 --target-dir {} --package a --package b\n",
            sandbox.path("ws/target").display()
        );
        assert_eq!(calls, expected);
        Ok(())
    }
}
