//! Tools as their authors and reviewers meet them: what one is, how it is made, tried and compared.

use std::path::Path;

use crate::harness::{Home, built_component, built_tools};
use crate::tool::{MANIFEST, Project, component};

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn a_tool_is_inspected_by_folder_name_and_file() {
    let home = Home::new();
    let project = Project::new(&home);
    let folder = project.path("tools/ledger");
    let by_folder = home.nanohost(["tool", "inspect", text(&folder), "--json"]).exits(0).json();
    assert_eq!(by_folder["standing"], "not-signed");
    assert_eq!(by_folder["runnable"], true, "{by_folder:#}");
    let can = "keep values of its own in the namespace ledger";
    assert_eq!(by_folder["authority"]["can"], serde_json::json!([can]));
    let imports = by_folder["imports"].as_array().expect("a list");
    let standings: Vec<&str> = imports.iter().filter_map(|import| import["standing"].as_str()).collect();
    assert_eq!(standings, ["inert", "asked"], "{by_folder:#}");
    assert_eq!(by_folder["manifest"]["asks"][0]["line"], 21);

    let by_manifest = home.nanohost(["tool", "inspect", text(&folder.join("manifest.toml")), "--json"]);
    assert_eq!(by_manifest.exits(0).json(), by_folder);
    let done = home.nanohost(["tool", "inspect", "nosuch", "--json"]).finds(2, "unknown_tool");
    done.says("a tool in the nearest tools/").omits("[tools.");

    // By its name from the project's folder, and by the file, which its manifest lies beside.
    let mut command = home.command(["tool", "inspect", "ledger", "--json"]);
    command.current_dir(project.path(""));
    assert_eq!(crate::harness::Done::of(command).exits(0).json(), by_folder);
    let by_file = home.nanohost(["tool", "inspect", text(&folder.join("component.wasm")), "--json"]).exits(0);
    assert_eq!(by_file.json()["manifest"]["digest"], by_folder["manifest"]["digest"]);

    // A person reads whose it is first, then what it can do.
    let told = home.nanohost(["tool", "inspect", text(&folder)]).exits(0);
    let order =
        ["ledger 1.0.0", "nobody: not signed", "authority", "can keep values", "cannot read or write files"];
    let mut rest = told.stdout.as_str();
    for text in order {
        let (_, after) = rest.split_once(text).unwrap_or_else(|| panic!("{text:?} in order in {told}"));
        rest = after;
    }
}

#[test]
fn a_component_without_a_manifest_is_told_as_what_runs_nowhere() {
    let home = Home::new();
    let file = home.write("loose.wasm", component());
    let told = home.nanohost(["tool", "inspect", text(&file), "--json"]).exits(0).json();
    assert_eq!(told["runnable"], false);
    assert_eq!(told["authority"]["undeclared"], serde_json::json!(["keep values between calls"]));
    assert_eq!(told["imports"][1]["refused"], true, "{told:#}");
    home.nanohost(["tool", "inspect", text(&file)])
        .exits(0)
        .says("runs nowhere as it is")
        .says("nobody says what it asks for");

    // What its author wrote cannot move the reader's cursor.
    home.write("x/component.wasm", component());
    home.write("x/manifest.toml", MANIFEST.replace("Books, in several ways.", "A\\u001b[2Jtool"));
    home.nanohost(["tool", "inspect", "x"]).exits(0).says("A\\u{1b}[2Jtool").omits("\u{1b}");
}

#[test]
fn tools_that_are_not_there_or_none_are_refused() {
    let home = Home::new();
    home.nanohost(["tool", "inspect", "nowhere/at/all", "--json"]).finds(2, "unknown_tool");
    home.nanohost(["tool", "schema", "nothing", "--json"]).finds(2, "unknown_tool");
    let file = home.write("text.wasm", "no component");
    home.nanohost(["tool", "inspect", text(&file), "--json"]).finds(2, "not_a_component");
}

#[test]
fn schemas_are_printed_as_they_are_judged_by() {
    let home = Home::new();
    let project = Project::new(&home);
    let folder = project.path("tools/ledger");
    let all = home.nanohost(["tool", "schema", text(&folder)]).exits(0).json();
    assert_eq!(all.as_object().expect("an object").len(), 5, "{all:#}");
    let input = home.nanohost(["tool", "schema", text(&folder), "add", "--input"]).exits(0).json();
    assert_eq!(input["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(input, all["add"]["input"]);
    let output = home.nanohost(["tool", "schema", text(&folder), "add", "--output"]).exits(0).json();
    assert_eq!(output["type"], "integer");
    home.nanohost(["tool", "schema", text(&folder), "divide", "--json"]).finds(2, "unknown_function");
}

#[test]
fn a_tool_of_the_examples_is_told_whole() {
    let home = Home::new();
    let tools = built_tools();
    let told = home.nanohost(["tool", "inspect", text(&tools.join("refund-api")), "--json"]).exits(0).json();
    assert_eq!(told["runnable"], true, "{told:#}");
    let can = told["authority"]["can"].to_string();
    assert!(can.contains("POST to http") && can.contains("which it never sees"), "{can}");
    assert!(told["made"]["code"].as_u64() > Some(10_000), "{:#}", told["made"]);
    // Built, and by itself.
    let file = built_component("eligibility");
    let told = home.nanohost(["tool", "inspect", text(&file)]).exits(0);
    told.says("none: it reaches nothing at all");
}
