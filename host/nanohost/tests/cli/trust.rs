//! Whose policy is in force: a stranger's clone, and what trusting it changes.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use crate::harness::{Done, Home, built_component, repository};
use crate::tool::{POLICY, Project};

/// Runs a program with the policy that is found, not named.
fn run(home: &Home, program: &Path) -> Done {
    home.nanohost([OsStr::new("run"), OsStr::new("--json"), program.as_os_str()])
}

/// A project that reads one file, outside of the repository: its policy is a stranger's. The folder
/// it grants is `data`, which the policy's `[folders]` puts at `host`.
fn clone(home: &Home, host: &str, access: &str) {
    let component = fs::read(built_component("read_file")).expect("it was built");
    let manifest = fs::read_to_string(repository().join("tools/read-file/manifest.toml"));
    let manifest = manifest.expect("a file of the repository").replace("\"read\"", &format!("\"{access}\""));
    home.write("clone/tools/read-file/component.wasm", component);
    home.write("clone/tools/read-file/manifest.toml", manifest);
    home.write("clone/data/notice.txt", "a notice");
    home.write("outside/notice.txt", "a secret");
    home.write(
        "clone/policies/local.toml",
        format!(
            "[[permit]]\nid = \"notices\"\nreason = \"tests\"\nowner = \"tests\"\ntool = \"read-file\"\n\
             filesystem = [{{ guest = \"/data\", access = \"{access}\" }}]\n\n\
             [folders.read-file]\n\"/data\" = \"{host}\"\n"
        ),
    );
    home.write(
        "clone/program.toml",
        "name = \"notices\"\nversion = \"1.0.0\"\nmax_steps = 2\n\n[tools.read_file]\npath = \"tools/read-file\"\n\n\
         [[steps]]\nid = \"read\"\ntype = \"tool\"\ntool = \"read_file\"\nargs = { path = \"/data/notice.txt\" }\n\
         outcome = \"read\"\nis_terminal = true\n",
    );
}

#[test]
fn a_strangers_policy_grants_reading_below_its_project() {
    let home = Home::new();
    clone(&home, "../data", "read");
    let done = run(&home, &home.path("clone/program.toml")).exits(0);
    let document = done.json();
    assert_eq!(document["output"], "a notice");
    assert_eq!(document["policy"]["trusted"], false);
    done.says("untrusted_policy").says("nanohost trust");
}

#[test]
fn a_strangers_policy_grants_nothing_outside_of_its_project_until_it_is_trusted() {
    let home = Home::new();
    clone(&home, "../../outside", "read");
    let program = home.path("clone/program.toml");
    run(&home, &program).exits(3).says("nanohost trust").omits("a secret");

    // Read before it is said: what it would grant, and what says so.
    let here = |args: &[&str]| {
        let mut command = home.command(args);
        command.current_dir(home.path("clone"));
        Done::of(command)
    };
    let shown = here(&["trust"]).exits(0).says("not trusted").says("filesystem = [{ guest = \"/data\"");
    let clone = home.path("clone");
    shown.says(&format!("nanohost trust {}\n", clone.display()));
    for command in ["run", "plan"] {
        let denied = home.nanohost([OsStr::new(command), program.as_os_str()]).exits(3).omits("trust DIR");
        denied.says(&format!("or trust its project: nanohost trust {}\n", clone.display()));
    }
    home.nanohost(["trust", "--list"]).exits(0).says("nothing is trusted");
    run(&home, &program).exits(3);

    home.nanohost(["trust", "clone"]).exits(0).says("trusted");
    here(&["trust"]).exits(0).says("is trusted as it is now").says("trust --remove");
    let document = run(&home, &program).exits(0).json();
    assert_eq!(document["output"], "a secret");
    assert_eq!(document["policy"]["trusted"], true);
    home.nanohost(["trust", "--list"]).exits(0).says("clone/policies/local.toml").says("  trusted");

    // Another text at the same path is somebody else's word.
    let policy = home.path("clone/policies/local.toml");
    let text = fs::read_to_string(&policy).expect("it was written");
    fs::write(&policy, format!("{text}\n# changed\n")).expect("it can be written");
    run(&home, &program).exits(3).says("policy_changed");
    home.nanohost(["trust", "--list"]).exits(0).says("changed");

    home.nanohost(["trust", "clone"]).exits(0);
    run(&home, &program).exits(0);
    home.nanohost(["trust", "clone", "--remove"]).exits(0);
    run(&home, &program).exits(3).says("untrusted_policy");
    home.nanohost(["trust", "clone", "--remove"]).exits(2).says("not_trusted");
    home.nanohost(["trust", "--list"]).exits(0).says("nothing is trusted");
}

#[test]
fn a_strangers_link_out_of_its_project_is_outside() {
    let home = Home::new();
    clone(&home, "../link", "read");
    crate::harness::symlink(Path::new("../outside"), &home.path("clone/link"));
    run(&home, &home.path("clone/program.toml")).exits(3).omits("a secret");
}

#[test]
fn a_strangers_policy_grants_no_writing() {
    let home = Home::new();
    clone(&home, "../data", "write");
    let program = home.path("clone/program.toml");
    run(&home, &program).exits(3).says("nanohost trust");
    home.nanohost(["trust", "clone"]).exits(0);
    run(&home, &program).exits(0);
}

#[test]
fn a_policy_that_is_named_is_trusted() {
    let home = Home::new();
    clone(&home, "../../outside", "read");
    let program = home.path("clone/program.toml");
    let mut command = home.command([OsStr::new("run"), program.as_os_str()]);
    command.env("NANOHOST_POLICY", home.path("clone/policies/local.toml"));
    Done::of(command).exits(0).says("a secret");
    // The flag wins over the environment.
    let none = home.write("none.toml", "");
    let mut command =
        home.command([OsStr::new("run"), program.as_os_str(), OsStr::new("--policy"), none.as_os_str()]);
    command.env("NANOHOST_POLICY", home.path("clone/policies/local.toml"));
    Done::of(command).exits(3);
}

#[test]
fn what_is_no_project_cannot_be_trusted() {
    let home = Home::new();
    home.write("empty/file", "");
    home.nanohost(["trust", "empty"]).exits(2).says("not_trustable");
    home.nanohost(["trust", "nothing"]).exits(2).says("unreadable_file");
}

/// A tool that is a crate with no dependencies: its `main` is the function `run` of `wasi:cli`.
fn with_crate(home: &Home, main: &str) {
    home.write(
        "clone/tools/hello/Cargo.toml",
        "[package]\nname = \"hello\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[workspace]\n",
    );
    home.write(
        "clone/tools/hello/Cargo.lock",
        "version = 4\n\n[[package]]\nname = \"hello\"\nversion = \"0.1.0\"\n",
    );
    home.write("clone/tools/hello/src/main.rs", main);
    home.write(
        "clone/tools/hello/manifest.toml",
        "name = \"hello\"\nversion = \"0.1.0\"\ndescription = \"Says hello.\"\n\n\
         [functions.run]\neffect = \"pure\"\n",
    );
    home.write("clone/policies/local.toml", "");
    home.write(
        "clone/program.toml",
        "name = \"greeting\"\nversion = \"1.0.0\"\nmax_steps = 2\n\n[tools.hello]\npath = \"tools/hello\"\n\n\
         [[steps]]\nid = \"say\"\ntype = \"tool\"\ntool = \"hello\"\noutcome = \"said\"\nis_terminal = true\n",
    );
}

#[test]
fn a_strangers_tool_is_not_built_until_it_is_trusted() {
    let home = Home::new();
    with_crate(&home, "fn main() { println!(\"hello\"); }\n");
    let program = home.path("clone/program.toml");
    let done = run(&home, &program).exits(2).says("unbuilt_tool").says("nanohost trust").says("cargo build");
    assert!(!home.path("clone/tools/hello/target").exists(), "nothing was built: {done}");
    assert_eq!(home.runs(), Vec::<serde_json::Value>::new());

    home.nanohost(["trust", "clone"]).exits(0);
    let document = run(&home, &program).exits(0).json();
    assert_eq!(document["outcome"], "said");
    assert_eq!(document["calls"][0]["logs"], "hello\n", "{document:#}");

    // Built once, it runs without trust; changed, it is not built again.
    home.nanohost(["trust", "clone", "--remove"]).exits(0);
    run(&home, &program).exits(0);
    home.write("clone/tools/hello/src/main.rs", "fn main() { println!(\"changed\"); }\n");
    run(&home, &program).exits(2).says("unbuilt_tool").says("older than");
}

#[test]
fn a_tool_that_does_not_build_says_why() {
    let home = Home::new();
    with_crate(&home, "fn main() { let x: u32 = \"no\"; }\n");
    home.nanohost(["trust", "clone"]).exits(0);
    let done =
        run(&home, &home.path("clone/program.toml")).exits(2).says("build_failed").says("mismatched types");
    assert_eq!(home.runs(), Vec::<serde_json::Value>::new(), "{done}");
    // The cure is at hand.
    home.write("clone/tools/hello/src/main.rs", "fn main() {}\n");
    run(&home, &home.path("clone/program.toml")).exits(0);
}

#[test]
fn no_grant_of_writing_reaches_what_decides_about_grants() {
    for (folder, what) in [
        ("../policies", "polic"),
        ("..", "polic"),
        ("../tools/read-file", "tool"),
        ("../tools", "tool"),
        ("../../store", "the store"),
        ("../../config", "the configuration"),
        ("../../..", ""),
    ] {
        let home = Home::new();
        clone(&home, folder, "write");
        home.nanohost(["key", "show"]).exits(0);
        fs::create_dir_all(home.store()).expect("it is writable");
        home.nanohost(["trust", "clone"]).exits(0);
        let program = home.path("clone/program.toml");
        run(&home, &program).exits(3).says("grant_covers_control_files").says(what);
        home.nanohost([OsStr::new("plan"), program.as_os_str()]).exits(3).says("grant_covers_control_files");
    }
}

#[test]
fn a_policy_above_the_program_is_found() {
    let home = Home::new();
    let project = Project::new(&home);
    fs::create_dir_all(project.path("deep/er")).expect("it is writable");
    let text = fs::read_to_string(project.path("book.toml")).expect("it was written");
    let program = home.write("own/deep/er/book.toml", text.replace("tools/ledger", "../../tools/ledger"));
    // kv is a stranger's to grant, vouching for effects is not.
    let document = run(&home, &program).exits(0).json();
    assert_eq!(document["policy"]["path"].as_str(), project.path("policies/local.toml").to_str());
    // The nearest counts, and none is merged.
    home.write("own/deep/policies/local.toml", "");
    run(&home, &program).exits(3);
    home.write("own/deep/er/policies/local.toml", POLICY);
    run(&home, &program).exits(0);
}
