//! Files that are wrong, in every way that files are: a clear error with a code and an exit code,
//! and no part of a run.

use serde_json::Value;

use crate::harness::{Done, Home};
use crate::tool::{MANIFEST, POLICY, Project, component, program};

/// The project of [`Project`] after `edit`; what running `add.toml` or `book.toml` then says.
#[track_caller]
fn check(program: &str, exit: i32, code: &str, edit: impl FnOnce(&Home)) -> Done {
    let home = Home::new();
    let project = Project::new(&home);
    edit(&home);
    let done = project.run(program).exits(exit);
    if exit != 0 {
        let document = done.json();
        assert_eq!(document["exitCode"], exit);
        let findings = document["findings"].as_array().unwrap_or_else(|| panic!("no findings: {done}"));
        let found: Vec<&str> = findings.iter().filter_map(|finding| finding["code"].as_str()).collect();
        assert!(found.contains(&code), "{code} is not among {found:?}: {done}");
        assert_eq!(home.runs(), Vec::<Value>::new(), "no part of a run is left");
        assert!(!findings.iter().any(|f| f["message"].as_str().is_none_or(str::is_empty)), "{done}");

        // For a person: the same code, and the same end.
        let args: Vec<String> = project.args(program).into_iter().filter(|arg| arg != "--json").collect();
        let text = home.nanohost(args).exits(exit);
        assert!(text.stderr.contains(code), "{code} is not said by {text}");
        assert_eq!(text.stdout, "", "a result is not printed: {text}");
    }
    done
}

/// A program that is refused.
#[track_caller]
fn check_program(code: &str, text: impl AsRef<[u8]>) -> Done {
    check("add.toml", 2, code, |home| _ = home.write("own/add.toml", text))
}

fn add() -> String {
    program("add").replace("outcome", "args = { a = 40, b = 2 }\noutcome")
}

#[test]
fn the_project_of_these_tests_is_sound() {
    let done = check("add.toml", 0, "", |_| {});
    assert_eq!(done.json()["output"], 42);
}

#[test]
fn programs_that_are_no_text() {
    check("nothing.toml", 2, "unreadable_file", |_| {});
    check("tools", 2, "unreadable_file", |_| {});
    check_program("not_utf8", b"name = \"\xff\xfe\"\n");
    check_program("not_toml", "name = \n");
    check_program("duplicate_key", "name = \"a\"\nname = \"b\"\n");
    check_program("not_toml", "\0");
    check("bad.json", 2, "not_json", |home| _ = home.write("own/bad.json", "{\"name\": }"));
    check("bad.json", 2, "duplicate_key", |home| {
        _ = home.write("own/bad.json", "{\"name\": \"a\", \"name\": \"b\"}")
    });
    check("deep.json", 2, "not_json", |home| _ = home.write("own/deep.json", "[".repeat(100_000)));
}

#[test]
fn programs_made_to_do_harm() {
    let declares = |schema: &str| add().replace("[inputs]", &format!("[inputs]\nx = {schema}"));
    let doubled = (1..60).fold("d0 = { type = 'string' }".to_owned(), |defs, at| {
        let before = format!("{{ '$ref' = '#/$defs/d{}' }}", at - 1);
        format!("{defs}, d{at} = {{ allOf = [{before}, {before}] }}")
    });
    check_program(
        "unenforceable",
        declares(&format!("{{ '$ref' = '#/$defs/d59', '$defs' = {{ {doubled} }} }}")),
    );
    check_program("invalid_field", declares("{ pattern = '(\\p{L}{1000}){1000}' }"));
    check_program("bad_condition", with_guard(&format!("{}True", "not ".repeat(10_000))));
    check_program("bad_condition", with_guard(&"x".repeat(64 * 1024 + 1)));
    check_program("not_toml", format!("x = {}", "[".repeat(10_000)));
    check_program("not_toml", "{\"steps\": []}");
    check_program("invalid_id", add().replace("id = \"call\"", "id = \"ca\u{200b}ll\""));
    check_program("invalid_field", add().replace("max_steps = 2", "max_steps = nan"));
    let surrogate = "{\"steps\": [{\"id\": \"a\", \"type\": \"llm\", \"prompt\": \"\\ud800\"}]}";
    check("bad.json", 2, "not_json", |home| _ = home.write("own/bad.json", surrogate));
    // What looks odd and is sound runs.
    let odd = format!("\u{feff}{}", add().replace('\n', "\r\n"));
    check("add.toml", 0, "", |home| _ = home.write("own/add.toml", odd));
}

/// The program after a guard that leads to its step.
fn with_guard(condition: &str) -> String {
    let guard = format!(
        "[[steps]]\nid = \"guard\"\ntype = \"condition\"\ncondition = \"{condition}\"\nthen = \"call\"\n\n"
    );
    add().replacen("[[steps]]", &(guard + "[[steps]]"), 1)
}

#[test]
fn programs_that_say_what_nobody_knows() {
    let done = check_program("unknown_field", add().replace("max_steps", "max_stepz"));
    let place = &done.json()["findings"][0];
    assert!(place["help"].as_str().is_some_and(|help| help.contains("max_steps")), "{place}");
    assert_eq!((&place["place"]["line"], &place["place"]["column"]), (&3.into(), &1.into()), "{place}");
    check_program("unknown_field", add().replace("args =", "arguments ="));
    check_program("invalid_field", add().replace("type = \"tool\"", "type = \"shell\""));
    check_program("invalid_field", add().replace("max_steps = 2", "max_steps = \"2\""));
}

#[test]
fn programs_that_do_not_hold_together() {
    let twice = add() + &add()[add().find("[[steps]]").expect("a step")..];
    check_program("duplicate_step_id", twice);
    check_program("missing_target", add().replace("is_terminal = true", "next_step = \"nowhere\""));
    check_program("undefined_variable", add().replace("a = 40", "a = \"$nothing\""));
    check_program("unknown_tool", add().replace("tool = \"ledger\"", "tool = \"ledgers\""));
    check_program("invalid_id", add().replace("id = \"call\"", "id = \"../call\""));
    let loops = add().replace("outcome = \"called\"\nis_terminal = true", "next_step = \"call\"");
    check_program("unbounded_cycle", loops.replace("max_steps = 2\n", ""));
    // All at once, each with its place.
    let both = add().replace("max_steps", "max_stepz").replace("type = \"tool\"", "type = \"shell\"");
    let done = check_program("unknown_field", both);
    assert!(done.json()["findings"].as_array().is_some_and(|found| found.len() >= 2), "{done}");
}

#[test]
fn tools_that_are_not_there() {
    check_program("unknown_tool", add().replace("tools/ledger", "tools/ledgers"));
    check("add.toml", 2, "unreadable_file", |home| {
        std::fs::remove_file(home.path("own/tools/ledger/manifest.toml")).expect("it was there");
    });
    check("add.toml", 2, "missing_component", |home| {
        std::fs::remove_file(home.path("own/tools/ledger/component.wasm")).expect("it was there");
    });
    check("add.toml", 2, "ambiguous_tool", |home| {
        home.write("own/tools/ledger/Cargo.toml", "[package]\nname = \"ledger\"\n");
    });
}

/// A component that is refused.
#[track_caller]
fn check_component(code: &str, bytes: impl AsRef<[u8]>) -> Done {
    check("add.toml", 2, code, |home| _ = home.write("own/tools/ledger/component.wasm", bytes))
}

#[test]
fn components_that_are_none() {
    check_component("not_a_component", "");
    check_component("not_a_component", "#!/bin/sh\n");
    check_component("is_core_module", wat::parse_str("(module)").expect("a core module"));
    let whole = component();
    check_component("not_a_component", &whole[..whole.len() / 2]);
    check_component("not_a_component", &whole[..6]);
    let mut changed = whole.clone();
    changed[8] ^= 0xff;
    check_component("not_a_component", changed);
    check_component("component_unreadable", vec![0; (32 << 20) + 1]);
    check_component("unknown_function", wat::parse_str("(component)").expect("an empty component"));
}

/// Puts a component in the place of the ledger's that adds as well as that, and imports something on top.
fn importing(home: &Home, import: &str, what: &str) {
    let manifest = "name = \"ledger\"\nversion = \"1.0.0\"\n[functions.add]\neffect = \"pure\"\n";
    home.write("own/tools/ledger/manifest.toml", manifest);
    let component = wat::parse_str(format!(
        r#"(component
            (import "{import}" (instance {what}))
            (core module $m
                (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))
            (core instance $i (instantiate $m))
            (func (export "add") (param "a" u32) (param "b" u32) (result u32)
                (canon lift (core func $i "add"))))"#
    ));
    home.write("own/tools/ledger/component.wasm", component.expect("the text is a component"));
}

#[test]
fn components_for_other_hosts() {
    let nothing = "(export \"f\" (func))";
    for import in [
        "wasi:cli/stdout@0.3.0",
        "wasi:http/handler@0.3.0",
        "nanohost:tool/log@9.9.9",
        "nanohost:tool/kv@0.2.0",
        "evil:host/shell@1.0.0",
    ] {
        let home = Home::new();
        let project = Project::new(&home);
        importing(&home, import, nothing);
        let document = project.run("add.toml").exits(3).json();
        assert_eq!(document["denied"][0]["code"], "unknown_import", "{document:#}");
        assert!(document["denied"][0]["message"].to_string().contains(import), "{document:#}");
        home.nanohost(["verify", document["run"].as_str().expect("an id")]).exits(0).says("3 envelopes");
    }
    // An interface of this host, and a function in it that this host does not have.
    check("add.toml", 2, "incompatible_imports", |home| importing(home, "nanohost:tool/log@0.1.0", nothing));
    // The control: the same component with what this host has.
    let attempt = "(export \"attempt\" (func (result u32)))";
    check("add.toml", 0, "", |home| importing(home, "nanohost:tool/call-context@0.1.0", attempt));
}

/// A manifest that is refused.
#[track_caller]
fn check_manifest(code: &str, from: &str, to: &str) -> Done {
    assert!(MANIFEST.contains(from));
    check("add.toml", 2, code, |home| {
        home.write("own/tools/ledger/manifest.toml", MANIFEST.replacen(from, to, 1));
    })
}

#[test]
fn manifests_that_are_wrong() {
    check_manifest("unknown_field", "description", "descripton");
    check_manifest("unknown_field", "kv =", "shell = true\nkv =");
    check_manifest("invalid_limit", "fuel = 900_000_000_000", "fuel = 0");
    check_manifest("invalid_limit", "deadline = \"10min\"", "deadline = \"soon\"");
    check_manifest("not_toml", "name = \"ledger\"", "name =");
    check_manifest("invalid_field", "name = \"ledger\"", "").says("needs `name`");
    let pin = format!("version = \"1.0.0\"\ncomponent = \"sha256:{}\"", "0".repeat(64));
    let done = check_manifest("component_mismatch", "version = \"1.0.0\"", &pin);
    done.says("sha256:");
}

#[test]
fn a_pinned_component_is_taken() {
    let digest = nanohost_core::Digest::of(&component());
    check("add.toml", 0, "", |home| {
        let pinned = format!("version = \"1.0.0\"\ncomponent = \"sha256:{digest}\"");
        home.write("own/tools/ledger/manifest.toml", MANIFEST.replacen("version = \"1.0.0\"", &pinned, 1));
    });
}

/// A policy that is refused.
#[track_caller]
fn check_policy(exit: i32, code: &str, text: &str) -> Done {
    check("book.toml", exit, code, |home| _ = home.write("own/policies/local.toml", text))
}

#[test]
fn policies_that_are_wrong() {
    check_policy(2, "not_toml", "[[permit]\n");
    check_policy(2, "unknown_field", &POLICY.replace("reason", "reasons"));
    check_policy(2, "unknown_field", &POLICY.replace("kv =", "network = true\nkv ="));
    check_policy(2, "invalid_field", &POLICY.replace("id = \"ledger\"\n", "")).says("needs `id`");
    check_policy(2, "duplicate_rule", &POLICY.repeat(2));
    check("book.toml", 2, "unreadable_file", |home| {
        std::fs::remove_file(home.path("own/policies/local.toml")).expect("it was there");
    });
}

/// A refusal by admission: not a part of a run, but a whole one, of three envelopes.
#[track_caller]
fn denied(code: &str, policy: &str) {
    let home = Home::new();
    let project = Project::new(&home);
    home.write("own/policies/local.toml", policy);
    let done = project.run("book.toml").exits(3);
    let document = done.json();
    assert_eq!(document["denied"][0]["code"], code, "{done}");
    home.nanohost(["verify", document["run"].as_str().expect("an id")]).exits(0).says("3 envelopes");
}

#[test]
fn policies_that_grant_nothing() {
    denied("not_granted", "");
    denied("not_granted", &POLICY.replace("[\"ledger\"]", "[\"other\"]"));
    denied("not_granted", &POLICY.replace("tool = \"ledger\"", "tool = \"another\""));
    denied("not_granted", &POLICY.replace("owner =", "expires = 2020-01-01\nowner ="));
    let forbid = "\n[[forbid]]\nid = \"never\"\nreason = \"tests\"\nowner = \"tests\"\ntool = \"ledger\"\nkv = [\"ledger\"]\n";
    denied("forbidden", &(POLICY.to_owned() + forbid));
}

#[test]
fn an_expired_rule_says_that_it_expired() {
    let home = Home::new();
    let project = Project::new(&home);
    home.write("own/policies/local.toml", POLICY.replace("owner =", "expires = 2020-01-01\nowner ="));
    project.run("book.toml").exits(3).says("has expired");
    home.write("own/policies/local.toml", POLICY.replace("owner =", "expires = 2999-01-01\nowner ="));
    project.run("book.toml").exits(0);
}

#[test]
fn no_policy_grants_nothing() {
    let home = Home::new();
    let project = Project::new(&home);
    std::fs::remove_file(project.path("policies/local.toml")).expect("it was there");
    let program = project.path("book.toml");
    home.nanohost([std::ffi::OsStr::new("run"), program.as_os_str()]).exits(3).says("not_granted");
    // What reaches nothing needs no policy... but this component imports kv whatever is called.
    let program = project.path("add.toml");
    home.nanohost([std::ffi::OsStr::new("run"), program.as_os_str()]).exits(3).says("kv");
}

#[test]
fn wrong_usage() {
    let home = Home::new();
    for args in [
        &["run"][..],
        &["run", "a.toml", "b.toml"],
        &["frobnicate"],
        &["run", "--frobnicate", "a.toml"],
        &["list", "--store"],
        &["verify"],
        &["export", "abc"],
        &["trust"],
        &["list", "--color", "sometimes"],
    ] {
        let done = home.nanohost(args).exits(2);
        assert!(!done.stderr.is_empty() && done.stdout.is_empty(), "{done}");
    }
    // Where a document was asked for, it is one.
    let done = home.nanohost(["key", "show", "--public", "--json"]).exits(2);
    assert!(done.stderr.is_empty(), "{done}");
    assert_eq!(done.json()["findings"][0]["code"], "wrong_usage");
    home.nanohost(["list", "--store", ""]).exits(2).says("--store");
    home.nanohost(["trace", "xyz"]).exits(2).says("unknown_run");
}
