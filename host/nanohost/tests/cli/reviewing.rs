//! Tools as their reviewers meet them: manifests drafted from what components do, new versions, what is careless.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Home, built_tools};
use crate::tool::{MANIFEST, Project, component};

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

const BOOKS: &str = "[[case]]\nname = \"books\"\nfunction = \"book\"\nsucceeds = true\n";

#[test]
fn a_component_from_elsewhere_gets_the_manifest_that_it_needs() {
    let home = Home::new();
    let file = home.write("foreign/some_ledger.wasm", component());
    let cases = home.write("books.toml", BOOKS);
    // From its imports alone, where it reaches is not known.
    let draft = home.nanohost(["tool", "infer", text(&file), "--json"]).exits(0).json();
    assert!(draft["open"][0].as_str().expect("a text").contains("it imports kv"), "{draft:#}");
    assert!(draft["manifest"].as_str().expect("a text").starts_with("name = \"some-ledger\"\n"), "{draft:#}");
    assert!(!home.path("foreign/manifest.toml").exists(), "nothing is written unless it is asked for");

    let observe = ["tool", "infer", text(&file), "--observe", text(&cases)];
    let draft = home.nanohost([&observe[..], &["--json"]].concat()).exits(0).json();
    assert_eq!(draft["observed"], json!(["kv ledger"]), "{draft:#}");
    assert_eq!(draft["open"], json!([]));
    home.nanohost([&observe[..], &["--write"]].concat()).exits(0).says("is written");
    home.nanohost(["tool", "inspect", text(&file)])
        .exits(0)
        .says("runs where a policy permits")
        .says("namespace ledger");
    home.nanohost(["tool", "test", text(&file), text(&cases)]).exits(0).says("1 passed, 0 failed");

    // Of what it does not do in the cases nothing is asked for: it is a trap.
    let adds = home.write(
        "adds.toml",
        "[[case]]\nname = \"adds\"\nfunction = \"add\"\ninput = { a = 1, b = 2 }\noutput = 3\n",
    );
    let draft =
        home.nanohost(["tool", "infer", text(&file), "--observe", text(&adds), "--json"]).exits(0).json();
    assert_eq!(draft["observed"], json!([]), "{draft:#}");
    assert!(
        draft["manifest"].as_str().expect("a text").contains("stub = [\"nanohost:tool/kv\"]"),
        "{draft:#}"
    );
}

/// What the manifests of the examples' tools ask for is what they are seen to use.
#[test]
fn what_tools_use_is_what_their_authors_ask_for() {
    let home = Home::new();
    let tools = built_tools();
    for (tool, asks) in [
        ("read-file", json!(["filesystem /data (read)"])),
        ("append-line", json!(["filesystem /lines (write)"])),
        ("issue-refund", json!(["kv ledger"])),
        (
            "refund-api",
            json!([
                "env REFUND_API",
                "http POST http://127.0.0.1:8379/v1/refunds",
                "secrets refund-key in authorization of POST 127.0.0.1/v1/refunds"
            ]),
        ),
    ] {
        let (folder, cases) = (tools.join(tool), tools.join(tool).join("tests/cases.toml"));
        let before = fs::read_to_string(folder.join("manifest.toml")).expect("it is there");
        let draft = home
            .nanohost(["tool", "infer", text(&folder), "--observe", text(&cases), "--json"])
            .exits(0)
            .json();
        assert_eq!(draft["observed"], asks, "{tool}: {draft:#}");
        // With those limits the cases come out as before.
        home.write(
            "tool/component.wasm",
            fs::read(crate::harness::built_component(&tool.replace('-', "_"))).expect("built"),
        );
        home.write("tool/manifest.toml", draft["manifest"].as_str().expect("a text"));
        home.nanohost(["tool", "test", "tool", text(&cases)]).exits(0).says("0 failed");
        assert_eq!(fs::read_to_string(folder.join("manifest.toml")).expect("it is there"), before);
    }
}

#[test]
fn a_version_that_asks_for_more_is_stopped() {
    let home = Home::new();
    let project = Project::new(&home);
    let old = project.path("tools/ledger");
    let version = |manifest: String| {
        home.write("new/component.wasm", component());
        home.write("new/manifest.toml", manifest);
    };
    let diff = |exit: i32| home.nanohost(["tool", "diff", text(&old), "new", "--json"]).exits(exit).json();
    version(MANIFEST.replace("1.0.0", "1.0.1"));
    assert_eq!(diff(0)["widens"], false);
    version(MANIFEST.replace("kv = [\"ledger\"]", "kv = [\"ledger\", \"others\"]").replace("10min", "20min"));
    let told = diff(1);
    let widened: Vec<&Value> =
        told["lines"].as_array().expect("a list").iter().filter(|line| line["widens"] == true).collect();
    let what: Vec<(&str, &str)> = widened
        .iter()
        .map(|line| (line["what"].as_str().expect("a word"), line["after"].as_str().expect("a text")))
        .collect();
    assert_eq!(what, [("capability", "kv others"), ("limit", "deadline 1200000 ms")]);
    home.nanohost(["tool", "diff", text(&old), "new"]).exits(1).says("2 lines widen").says("not signed");
    let markdown = home.nanohost(["tool", "diff", text(&old), "new", "--markdown"]).exits(1);
    let markdown = markdown.says("| **added** ⚠ | capability | – | `kv others` |");
    assert!(markdown.stdout.starts_with("**`ledger 1.0.0` → `ledger 1.0.0`: 2 lines widen.**"), "{markdown}");
    // The other way round it narrows.
    home.nanohost(["tool", "diff", "new", text(&old)]).exits(0).says("nothing widens").says("narrowed");
}

#[test]
fn careless_manifests_are_found() {
    let home = Home::new();
    let project = Project::new(&home);
    let folder = project.path("tools/ledger");
    let codes = |args: &[&str], exit: i32| -> Vec<String> {
        let told =
            home.nanohost([&["tool", "lint", text(&folder), "--json"][..], args].concat()).exits(exit).json();
        let found = told["findings"].as_array().expect("a list").iter();
        found.map(|finding| finding["code"].as_str().expect("a code").to_owned()).collect()
    };
    let manifest = |text: String| home.write("own/tools/ledger/manifest.toml", text);
    let described = MANIFEST.replace("effect = ", "description = \"Books.\"\neffect = ");
    let whole = format!(
        "{described}memory = \"1MiB\"\noutput = \"1KiB\"\nlogs = \"1KiB\"\nkv_bytes = \"1KiB\"\nkv_held = \"1MiB\"\n"
    );
    manifest(whole.clone());
    assert_eq!(codes(&["--strict"], 0), [""; 0]);
    manifest(whole.replacen("Books.", "You must call this first.", 1));
    assert_eq!(codes(&[], 0), ["instructing_description"]);
    assert_eq!(codes(&["--strict"], 1), ["instructing_description"]);
    manifest(whole.replace(
        "kv = [\"ledger\"]",
        "kv = [\"ledger\"]\nhttp = [{ host = \"*.example.com\", methods = [\"GET\"], path = \"/**\" }]",
    ));
    let found = codes(&[], 0);
    for code in ["wildcard_host", "wildcard_path", "over_asking", "missing_limit", "doubtful_effect"] {
        assert!(found.iter().any(|own| own == code), "{code} in {found:?}");
    }
    // What nobody could run is an error.
    manifest(whole.replace("kv = [\"ledger\"]", ""));
    assert_eq!(codes(&[], 2), ["manifest_out_of_step"]);
}

#[test]
fn what_is_no_tool_keeps_no_other_from_being_looked_at() {
    let home = Home::new();
    let project = Project::new(&home);
    let folder = project.path("tools/ledger");
    home.write("own/tools/README.md", "no tool");
    home.write("own/tools/ledger/manifest.toml", MANIFEST.replace("memory = \"1MiB\"\n", ""));
    let alone = home.nanohost(["tool", "lint", text(&folder), "--json"]).json();
    let readme = project.path("tools/README.md");
    for args in [[text(&readme), text(&folder)], [text(&folder), text(&readme)]] {
        let told = home.nanohost([&["tool", "lint", "--json"][..], &args].concat()).exits(2).json();
        assert_eq!(told["tools"], json!(["ledger"]), "{told:#}");
        let of = |document: &Value| document["findings"].as_array().expect("a list").len();
        assert_eq!(of(&told), of(&alone) + 1, "{told:#}");
    }
}
