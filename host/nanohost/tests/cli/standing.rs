//! The policies of the machine and the user: in force whatever a project says, and dropped by nobody.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use crate::harness::{Done, Home};
use crate::tool::Project;

/// A policy that a platform team writes: it takes away, and leaves the rest to projects.
const MACHINE: &str = "otherwise = \"abstain\"\n\n[limits]\nmemory = \"2MiB\"\n";

/// Writes a policy that nobody else can.
fn policy(home: &Home, path: &str, text: &str) -> PathBuf {
    let path = home.write(path, text);
    let folder = path.parent().expect("it lies in a folder");
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).expect("it is ours");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
    path
}

/// A command with the machine's policy of these tests in force.
fn under<A: AsRef<std::ffi::OsStr>>(home: &Home, args: impl IntoIterator<Item = A>) -> Done {
    let mut command = home.command(args);
    command.env("NANOHOST_MACHINE_POLICY", home.path("machine/policy.toml"));
    Done::of(command)
}

#[test]
fn the_machines_policy_bounds_every_program() {
    let home = Home::new();
    let project = Project::new(&home);
    let machine = policy(&home, "machine/policy.toml", MACHINE);
    let run = || under(&home, project.args("book.toml"));
    let document = run().exits(0).json();
    let policies = document["policies"].as_array().expect("a list");
    assert_eq!(policies.len(), 2, "{document:#}");
    assert_eq!(policies[0]["path"].as_str(), machine.to_str());
    assert_eq!(policies[0]["origin"], "the machine's");
    // Both stand in the evidence, which verifies.
    let id = document["run"].as_str().expect("an id").to_owned();
    home.nanohost(["verify", &id]).exits(0).says("decided again");
    let open = &home.envelopes(&id)[0]["predicate"];
    assert_eq!(open["policies"].as_array().map(Vec::len), Some(2), "{open:#}");

    let program = project.path("book.toml").display().to_string();
    let local = project.path("policies/local.toml").display().to_string();
    let plan = under(&home, ["plan", &program, "--policy", &local]).exits(0);
    plan.says("memory 2 MiB").says("(the machine's)").says(&format!("kv ledger by ledger ({local}:2)"));
    let plan = home.nanohost(["plan", &program, "--policy", &local]).exits(0);
    plan.omits("memory 2 MiB").omits("the machine's");

    // What it forbids nobody permits, whatever is named.
    policy(
        &home,
        "machine/policy.toml",
        &format!("{MACHINE}\n[[forbid]]\nid = \"no-books\"\nkv = [\"ledger\"]\n"),
    );
    let denied = run().exits(3).json();
    assert_eq!(denied["denied"][0]["code"], "forbidden", "{denied:#}");
    let message = denied["denied"][0]["message"].as_str().expect("a message");
    assert!(message.contains("no-books") && message.contains("machine/policy.toml"), "{message}");
    let mut command = home.command(["run", &program]);
    command.env("NANOHOST_MACHINE_POLICY", &machine).env("NANOHOST_POLICY", &local);
    Done::of(command).exits(3).says("forbidden");
    under(&home, ["policy", "explain", &program, "ledger", "kv", "ledger", "--policy", &local])
        .exits(0)
        .says("denied")
        .says("row `no-books` forbids it")
        .says("row `ledger` permits it");

    // One that denies what it does not list permits nothing by that.
    policy(&home, "machine/policy.toml", "");
    run().exits(3).says("not_granted").says("machine/policy.toml permits it");
    // One that cannot be read is not passed by.
    policy(&home, "machine/policy.toml", "[limit]\n");
    run().finds(2, "unknown_field");
    fs::set_permissions(&machine, fs::Permissions::from_mode(0o666)).expect("it is ours");
    run().finds(2, "exposed_policy");
    fs::remove_file(&machine).expect("it is there");
    run().finds(2, "unreadable_file");
}

#[test]
fn the_example_of_a_machines_policy_stands_in_nobodys_way() {
    let home = Home::new();
    let project = Project::new(&home);
    let example = crate::harness::repository().join("policies/machine.toml");
    let text = fs::read_to_string(&example).expect("a file of the repository");
    policy(&home, "machine/policy.toml", &text);
    under(&home, project.args("book.toml")).exits(0);
    home.nanohost(["policy", "check", &example.display().to_string()]).exits(0).says("is well formed");
}

#[test]
fn the_users_policy_is_in_force_beside_the_projects() {
    let home = Home::new();
    let project = Project::new(&home);
    let local = project.path("policies/local.toml");
    let text = fs::read_to_string(&local).expect("it was written");
    project.run("book.toml").exits(0);
    let user = policy(
        &home,
        "config/policy.toml",
        "otherwise = \"abstain\"\n[[forbid]]\nid = \"mine\"\ntool = \"ledger\"\n",
    );
    project.run("book.toml").exits(3).says("mine");
    policy(&home, "config/policy.toml", "otherwise = \"abstain\"\n");
    project.run("book.toml").exits(0);
    let here = |args: &[&str]| {
        let mut command = home.command(args);
        command.current_dir(project.path(""));
        Done::of(command)
    };
    here(&["trust"]).exits(0).says(&format!("{} (", user.display())).says("the user's");

    // A user may permit what no project speaks of.
    fs::remove_file(&local).expect("it is there");
    let program = project.path("book.toml").display().to_string();
    home.nanohost(["run", &program]).exits(3).says("not_granted");
    policy(&home, "config/policy.toml", &text);
    home.nanohost(["run", &program]).exits(0).says("config/policy.toml (the user's)");
}

#[test]
fn a_policy_is_tested_alone_or_as_it_is_in_force() {
    let home = Home::new();
    let project = Project::new(&home);
    policy(
        &home,
        "machine/policy.toml",
        &format!("{MACHINE}\n[[forbid]]\nid = \"no-books\"\nkv = [\"ledger\"]\n"),
    );
    let cases = home.write(
        "own/policies/cases.toml",
        "[[case]]\nname = \"books\"\nprogram = \"../book.toml\"\ntool = \"ledger\"\ncapability = \"kv\"\nvalue = \"ledger\"\nexpect = \"granted\"\n",
    );
    let cases = cases.display().to_string();
    under(&home, ["policy", "test", &cases]).exits(0).says("1 passed");
    let local = project.path("policies/local.toml").display().to_string();
    under(&home, ["policy", "test", &cases, "--policy", &local, "--in-force"]).exits(1).says("no-books");
}

#[test]
fn a_row_is_for_one_component_alone() {
    let home = Home::new();
    let project = Project::new(&home);
    let local = project.path("policies/local.toml");
    let text = fs::read_to_string(&local).expect("it was written");
    let plan = || {
        let program = project.path("book.toml").display().to_string();
        home.nanohost(["plan", &program, "--policy", &local.display().to_string(), "--json"])
    };
    let document = plan().exits(0).json();
    let component = document["tools"]["rows"][0]["component"].as_str().expect("a digest").to_owned();
    let bound =
        text.replace("tool = \"ledger\"", &format!("tool = \"ledger\"\ndigest = \"sha256:{component}\""));
    fs::write(&local, &bound).expect("it can be written");
    plan().exits(0);
    project.run("book.toml").exits(0);

    // The same name, another component.
    let wasm = project.path("tools/ledger/component.wasm");
    let mut bytes = fs::read(&wasm).expect("it was written");
    bytes.extend([0, 3, 1, b'x', b'y']);
    fs::write(&wasm, &bytes).expect("it can be written");
    plan().finds(3, "not_granted").says("permits it to another component");
    project.run("book.toml").exits(3);
    fs::write(&local, &text).expect("it can be written");
    project.run("book.toml").exits(0);
}
