//! Tools as their authors make and try them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::foreign;
use crate::harness::{Done, Home, built_tools, symlink};
use crate::tool::{MANIFEST, Project};

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A new tool in Rust, whose build products lie where the next test run finds them: what it is written with
/// takes longer to compile than the tool.
fn new_rust_tool(home: &Home) -> PathBuf {
    let path = home.path("mine/word-count");
    home.nanohost(["tool", "new", text(&path)]).exits(0).says("tool build");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("new-tool");
    fs::create_dir_all(&target).expect("the target directory is writable");
    symlink(&target, &path.join("target"));
    path
}

#[test]
fn a_new_tool_builds_tests_and_runs_as_it_is() {
    let home = Home::new();
    let path = new_rust_tool(&home);
    home.nanohost(["tool", "new", text(&path), "--json"]).finds(2, "already_there");
    home.nanohost(["tool", "new", "mine/No_Name", "--json"]).finds(2, "invalid_tool_name");
    home.nanohost(["tool", "new", "mine/other", "--sdk", "nowhere", "--json"]).finds(2, "no_sdk");

    // Not built yet, and nobody said that it may be.
    home.nanohost(["tool", "test", text(&path), "--json"]).finds(2, "unbuilt_tool");
    let out = home.path("package");
    let built = home.nanohost(["tool", "build", text(&path), "--out", text(&out), "--json"]).exits(0).json();
    let digest = built["component"]["digest"].as_str().expect("a digest").to_owned();
    assert_eq!(built["functions"][0]["path"], "tool:word-count/words@0.1.0#count-words");

    let junit = home.path("junit.xml");
    let tested = home.nanohost(["tool", "test", text(&path), "--junit", text(&junit), "--json"]).exits(0);
    assert_eq!(tested.json()["passed"], 3, "{tested}");
    let junit = fs::read_to_string(junit).expect("it was written");
    assert!(junit.contains("tests=\"3\"") && junit.contains("failures=\"0\""), "{junit}");

    // It imports nothing at all.
    let told = home.nanohost(["tool", "inspect", text(&path), "--json"]).exits(0).json();
    assert_eq!(told["imports"], serde_json::json!([]));
    assert_eq!(told["runnable"], true);

    // The package is a tool by itself, whose manifest is for this component alone.
    let manifest = fs::read_to_string(out.join("manifest.toml")).expect("it was written");
    assert!(manifest.starts_with(&format!("component = \"sha256:{digest}\"\n")), "{manifest}");
    // Its parts are listed, and what it was made from is signed: building it again gives the same bytes.
    let parts = fs::read_to_string(out.join("sbom.cdx.json")).expect("it was written");
    assert!(parts.contains("pkg:cargo/wit-bindgen@"), "{parts}");
    for arguments in [
        &["init", "-q"][..],
        &["add", "."],
        &["-c", "user.name=t", "-c", "user.email=t@x.test", "commit", "-qm", "all"],
    ] {
        let git = Command::new("git").current_dir(&path).args(arguments).output().expect("git starts");
        assert!(git.status.success(), "{git:?}");
    }
    let signed = ["tool", "sign", text(&out), "--source", text(&path), "--rebuild", "--json"];
    let signed = home.nanohost(signed).exits(0).json();
    assert_eq!(signed["provenance"]["rebuild"], "same", "{signed:#}");
    assert_eq!(signed["provenance"]["source"]["clean"], true, "{signed:#}");
    assert_ne!(signed["sbom"], serde_json::Value::Null, "{signed:#}");
    let schemas = fs::read_to_string(out.join("schemas.json")).expect("it was written");
    let printed = home.nanohost(["tool", "schema", text(&out)]).exits(0).json();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&schemas).expect("JSON"), printed);
    let cases = path.join("tests/cases.toml");
    home.nanohost(["tool", "test", text(&out), text(&cases)]).exits(0).says("3 passed, 0 failed");

    // And runs in a program.
    home.write(
        "count.toml",
        "name = \"count\"\n[inputs.text]\ntype = \"string\"\n[tools.count_words]\npath = \"package\"\n[[steps]]\n\
         id = \"count\"\ntype = \"tool\"\ntool = \"count_words\"\nargs = { text = \"$text\" }\n",
    );
    let run = home.nanohost(["run", "count.toml", "--input", "text=one three two", "--json"]).exits(0).json();
    assert_eq!(run["output"]["longest"], "three", "{run:#}");

    // A component that is another one is not in step with a manifest that was for this one.
    home.write("package/component.wasm", crate::tool::component());
    home.nanohost(["tool", "build", text(&out), "--json"]).finds(2, "manifest_out_of_step");
}

#[test]
fn a_case_that_comes_out_otherwise_fails() {
    let home = Home::new();
    let project = Project::new(&home);
    let folder = project.path("tools/ledger");
    let cases = |lines: &str| home.write("cases.toml", lines);
    let check = |lines: &str, exit: i32, wrong: &[&str]| {
        let file = cases(lines);
        let done = home.nanohost(["tool", "test", text(&folder), text(&file), "--json"]).exits(exit);
        assert_eq!(done.failed_cases(), wrong, "{done}");
    };
    check(
        r#"[[case]]
name = "a sum"
function = "add"
input = { a = 40, b = 2 }
output = 42
[[case]]
name = "another sum"
function = "add"
input = { a = 40, b = 2 }
output = 41
[[case]]
name = "an end that was not to be"
function = "add"
input = { a = 40, b = 2 }
fails = "trap"
"#,
        1,
        &["another sum", "an end that was not to be"],
    );
    // Writes are seen where the call succeeds, and are none where it does not.
    check(
        r#"[[case]]
name = "booked"
function = "book"
output = 0
kv_after = { ledger = { booked = "booked" } }
[[case]]
name = "not booked"
function = "book-and-fault"
fails = "trap"
kv_after = { ledger = { booked = "booked" } }
[[case]]
name = "booked before"
function = "book-and-fault"
fails = "trap"
kv = { ledger = { booked = "before" } }
kv_after = { ledger = { booked = "before" } }
"#,
        1,
        &["not booked"],
    );
    let told = home.nanohost(["tool", "test", text(&folder), "cases.toml"]).exits(1);
    told.says("FAIL  not booked").says("ledger holds nothing under").says("2 passed, 1 failed");

    let usage = |lines: &str, code: &str| {
        let file = cases(lines);
        home.nanohost(["tool", "test", text(&folder), text(&file), "--json"]).finds(2, code);
    };
    usage("[[case]]\nname = \"n\"\nsucceeds = true\n", "ambiguous_function");
    usage("[[case]]\nname = \"n\"\nfunction = \"no\"\nsucceeds = true\n", "unknown_function");
    let add = "[[case]]\nname = \"n\"\nfunction = \"add\"\nsucceeds = true\n";
    usage(&format!("{add}env = {{ REGION = \"eu\" }}\n"), "case_grant_unasked");
    usage(&format!("{add}folders = {{ \"/data\" = \".\" }}\n"), "case_grant_unasked");
    usage("", "invalid_field");
    home.nanohost(["tool", "test", text(&folder), "--json"]).finds(2, "no_cases");
    let loose = home.write("loose/some.wasm", crate::tool::component());
    home.nanohost(["tool", "test", text(&loose), "--json"]).finds(2, "no_manifest");
}

#[test]
fn spinning_ends_at_the_manifests_own_limit() {
    let home = Home::new();
    let project = Project::new(&home);
    let folder = project.path("tools/ledger");
    home.write("own/tools/ledger/manifest.toml", MANIFEST.replace("900_000_000_000", "100_000"));
    let case = "[[case]]\nname = \"it ends\"\nfunction = \"book-and-spin\"\nfails = \"fuel_exhausted\"\nmessage = \"100000\"\n";
    let file = home.write("cases.toml", case);
    home.nanohost(["tool", "test", text(&folder), text(&file)]).exits(0).says("1 passed, 0 failed");
}

/// Files, variables, other hosts, secrets and refusals, as the tools of the examples have them.
#[test]
fn the_cases_of_the_examples_tools_pass() {
    let home = Home::new();
    let tools = built_tools();
    for (tool, cases) in [("read-file", 3), ("append-line", 3), ("issue-refund", 3), ("refund-api", 4)] {
        let done = home.nanohost(["tool", "test", text(&tools.join(tool)), "--json"]).exits(0);
        assert_eq!(done.json()["passed"], cases, "{done}");
    }
    // Nothing of it was written where the cases lie, and no run was recorded.
    let lines = fs::read_to_string(tools.join("append-line/tests/lines/lines.txt")).expect("it is there");
    assert_eq!(lines, "first\nsecond\n");
    assert!(!home.store().exists());
    // A request without an answer, and a refusal that nobody expected, are told.
    let case = |more: &str| {
        format!(
            "[[case]]\nname = \"n\"\ninput = {{ order_id = \"A-1\", amount_cents = 1 }}\n\
             env = {{ REFUND_API = \"http://127.0.0.1:8379\" }}\n{more}"
        )
    };
    let check = |tool: &str, case: String, says: &str| {
        let file = home.write("cases.toml", case);
        home.nanohost(["tool", "test", text(&tools.join(tool)), text(&file)]).exits(1).says(says);
    };
    check(
        "refund-api",
        case("fails = \"unavailable\""),
        "no answer to POST http://127.0.0.1:8379/v1/refunds",
    );
    let path = "[[case]]\nname = \"n\"\ninput = { path = \"/data/../x\" }\nfails = \"rejected\"\n";
    check("read-file", path.to_owned(), "was refused \"filesystem open /data/../x\"");
}

/// A stranger's cases hand a stranger's tool, and whoever reads the results, nothing of this machine.
#[test]
fn cases_reach_nothing_beside_them() {
    let home = Home::new();
    let tools = built_tools();
    let secret = home.write("secret/key.txt", "the key of this user");
    home.write("package/tests/data/there.txt", "a fixture");
    home.write(
        "package/manifest.toml",
        fs::read(tools.join("read-file/manifest.toml")).expect("it is there"),
    );
    home.write(
        "package/component.wasm",
        fs::read(crate::harness::built_component("read_file")).expect("it was built"),
    );
    let tested = |folder: &str, more: &str, exit: i32| {
        let case = format!(
            "[[case]]\nname = \"n\"\ninput = {{ path = \"/data/key.txt\" }}\nfails = \"rejected\"\n\
             folders = {{ \"/data\" = \"{folder}\" }}\n{more}"
        );
        home.write("package/tests/cases.toml", case);
        let done = home.nanohost(["tool", "test", "package", "--junit", "results.xml"]).exits(exit);
        assert!(!done.stdout.contains("the key of") && !done.stderr.contains("the key of"), "{done}");
        let results = fs::read_to_string(home.path("results.xml")).unwrap_or_default();
        assert!(!results.contains("the key of"), "{results}");
        done
    };
    for elsewhere in ["../../secret", text(secret.parent().expect("a folder")), "data/../../../secret"] {
        tested(elsewhere, "", 2).says("case_folder").says("beside the cases");
    }
    std::os::unix::fs::symlink(home.path("secret"), home.path("package/tests/linked")).expect("a link");
    tested("linked", "", 2).says("case_folder");
    // What the case compares is read below the folder alone, whatever is named or linked there.
    std::os::unix::fs::symlink(&secret, home.path("package/tests/data/link.txt")).expect("a link");
    tested("data", "files = { \"/data/link.txt\" = \"x\" }\n", 1).says("leads out of the tool's folder");
    let up = format!("files = {{ \"/data/../../../../../../..{}\" = \"x\" }}\n", secret.display());
    tested("data", &up, 1).says("cannot be read");
    // What lies there is read.
    tested("data", "files = { \"/data/there.txt\" = \"another\" }\n", 1).says("holds \"a fixture\"");
}

#[test]
fn connections_are_opened_where_it_is_said() {
    let home = Home::new();
    let tool = built_tools().join("fetch-rates");
    let cases = home.write(
        "cases.toml",
        "[[case]]\nname = \"n\"\ninput = { address = \"127.0.0.2\", port = 9 }\nfails = \"unavailable\"\n",
    );
    home.nanohost(["tool", "test", text(&tool), text(&cases)])
        .exits(2)
        .says("case_connects")
        .says("--connect");
    let tried = home.nanohost(["tool", "test", text(&tool), text(&cases), "--connect"]);
    assert!(matches!(tried.code, Some(0 | 1)), "{tried}");
}

#[test]
fn a_new_tool_of_python_builds_and_tests() {
    let home = Home::new();
    let path = home.path("word-count");
    home.nanohost(["tool", "new", text(&path), "--lang", "python"]).exits(0).says("venv");
    let mut alone = home.command(["tool", "build", text(&path), "--json"]);
    alone.env("PATH", "/usr/bin:/bin");
    Done::of(alone).finds(2, "no_componentizer");
    symlink(&foreign::python_environment(), &path.join(".venv"));
    home.nanohost(["tool", "build", text(&path)]).exits(0).says("count-words");
    home.nanohost(["tool", "test", text(&path)]).exits(0).says("3 passed, 0 failed");
    // What its author got wrong is what its maker says.
    home.write("word-count/app.py", "this is no Python");
    home.nanohost(["tool", "build", text(&path), "--json"]).finds(2, "build_failed");
}

#[test]
fn a_new_tool_of_javascript_builds_and_tests() {
    let home = Home::new();
    let path = home.path("word-count");
    home.nanohost(["tool", "new", text(&path), "--lang", "js"]).exits(0).says("npm install");
    home.nanohost(["tool", "build", text(&path), "--json"]).finds(2, "no_componentizer");
    symlink(&foreign::javascript_modules(), &path.join("node_modules"));
    home.nanohost(["tool", "build", text(&path)]).exits(0).says("count-words");
    home.nanohost(["tool", "test", text(&path)]).exits(0).says("3 passed, 0 failed");
}

#[test]
fn a_component_from_elsewhere_becomes_a_tool() {
    let home = Home::new();
    home.write("mine/manifest.toml", MANIFEST);
    home.nanohost(["tool", "build", "mine", "--json"]).finds(2, "no_sources");
    let file = home.write("elsewhere.wasm", crate::tool::component());
    home.nanohost(["tool", "build", "mine", "--component", text(&file)]).exits(0).says("book-and-spin");
    home.nanohost(["tool", "inspect", "mine"]).exits(0).says("runs where a policy permits");
}
