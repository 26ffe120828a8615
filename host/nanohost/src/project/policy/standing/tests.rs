use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use nanohost_core::Diagnostics;

use super::*;
use crate::project::policy::find;
use crate::project::testing::{Sandbox, codes};

const ROW: &str = "[[permit]]\nid = \"a\"\ntool = \"t\"\nkv = [\"x\"]\n";

/// A sandbox with a machine's policy that a variable names, and a user's.
fn sandbox(machine: Option<&str>, user: Option<&str>) -> Sandbox {
    let mut sandbox = Sandbox::new();
    if let Some(text) = machine {
        let path = sandbox.write("machine/policy.toml", text);
        fs::set_permissions(sandbox.path("machine"), fs::Permissions::from_mode(0o755)).expect("it is ours");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("it is ours");
        sandbox.places.machine_policy = Some(path);
    }
    if let Some(text) = user {
        let path = sandbox.write("config/policy.toml", text);
        fs::set_permissions(sandbox.path("config"), fs::Permissions::from_mode(0o700)).expect("it is ours");
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("it is ours");
    }
    sandbox
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
}

/// Whose policies are in force for a program.
fn origins(sandbox: &Sandbox, flag: Option<&Path>, program: &Path) -> Vec<PolicyOrigin> {
    let found = find(flag, program, &sandbox.places).expect("policies");
    assert_eq!(found.layers.len(), found.policies.len());
    found.layers.iter().map(|layer| layer.origin).collect()
}

#[test]
fn what_a_project_says_drops_neither() {
    let mut sandbox = sandbox(Some(ROW), Some(ROW));
    let program = sandbox.write("project/program.toml", "");
    let (machine, user) = (PolicyOrigin::Machine, PolicyOrigin::User);
    assert_eq!(origins(&sandbox, None, &program), [machine, user]);
    let found = find(None, &program, &sandbox.places).expect("policies");
    assert_eq!(found.policies.len(), 2, "the built-in one would forbid everything");

    sandbox.write("project/policies/local.toml", ROW);
    assert_eq!(origins(&sandbox, None, &program), [machine, user, PolicyOrigin::Found]);
    let named = sandbox.write("named.toml", "");
    assert_eq!(origins(&sandbox, Some(&named), &program), [machine, user, PolicyOrigin::Flag]);
    sandbox.places.policy = Some(named);
    assert_eq!(origins(&sandbox, None, &program), [machine, user, PolicyOrigin::Environment]);
}

#[test]
fn without_any_there_is_the_built_in_one() {
    let sandbox = sandbox(None, None);
    let program = sandbox.write("project/program.toml", "");
    let found = find(None, &program, &sandbox.places).expect("policies");
    assert!(found.layers.is_empty() && found.policies[0].is_built_in());
}

#[test]
fn a_variable_does_not_replace_what_the_machine_has() {
    let mut sandbox = sandbox(Some(""), None);
    let own = sandbox.write("etc/policy.toml", ROW);
    mode(&own, 0o644);
    mode(&sandbox.path("etc"), 0o755);
    let read = |places: &Places| {
        standing_of(&own, places).map(|all| all.into_iter().map(|(layer, _)| layer.path).collect::<Vec<_>>())
    };
    // The machine's own has to be root's; a test runs as whoever it does.
    let is_root = rustix::process::geteuid().is_root();
    match read(&sandbox.places) {
        Ok(paths) => assert!(is_root && paths == [own.clone()]),
        Err(error) => assert!(!is_root && codes(Err::<(), _>(error)) == ["exposed_policy"]),
    }
    // What is named and is not there is not passed by.
    sandbox.places.machine_policy = Some(sandbox.path("nowhere.toml"));
    let missing = standing_of(&sandbox.path("etc/other.toml"), &sandbox.places);
    let failure = missing.as_ref().err().and_then(|error| error.downcast_ref::<Failure>());
    let help = failure.and_then(|failure| failure.findings.iter().next()?.help.clone());
    assert!(help.is_some_and(|help| help.contains("NANOHOST_MACHINE_POLICY")));
    assert_eq!(codes(missing), ["unreadable_file"]);
}

#[test]
fn one_that_others_can_write_is_refused() {
    for (path, others) in [
        ("machine/policy.toml", 0o664),
        ("machine/policy.toml", 0o646),
        ("machine", 0o775),
        ("config/policy.toml", 0o622),
        ("config", 0o777),
    ] {
        let sandbox = sandbox(Some(ROW), Some(ROW));
        assert!(standing(&sandbox.places).is_ok());
        mode(&sandbox.path(path), others);
        assert_eq!(codes(standing(&sandbox.places)), ["exposed_policy"], "{path}");
    }
}

#[test]
fn one_that_cannot_be_used_refuses_rather_than_being_passed_by() {
    assert_eq!(codes(standing(&sandbox(Some("kvs = []"), None).places)), ["unknown_field"]);
    assert_eq!(codes(standing(&sandbox(None, Some("[[permit]]")).places)), ["invalid_field"]);
    let sandbox = sandbox(None, None);
    sandbox.folder("config");
    mode(&sandbox.path("config"), 0o700);
    std::os::unix::fs::symlink("nowhere", sandbox.path("config/policy.toml")).expect("a link");
    assert_eq!(codes(standing(&sandbox.places)), ["unreadable_file"]);
}

#[test]
fn they_warn_of_nothing() {
    let sandbox = sandbox(Some(ROW), Some(ROW));
    let program = sandbox.write("project/program.toml", "");
    assert_eq!(find(None, &program, &sandbox.places).expect("policies").findings, Diagnostics::new());
}
