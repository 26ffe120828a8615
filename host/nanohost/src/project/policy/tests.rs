use std::fs;

use super::*;
use crate::project::testing::{Sandbox, codes};

const POLICY: &str =
    "[[permit]]\nid = \"a\"\nreason = \"tests\"\nowner = \"tests\"\ntool = \"t\"\nkv = [\"x\"]\n";

/// A sandbox with a project, its policy and a program two folders down.
fn project() -> (Sandbox, PathBuf) {
    let sandbox = Sandbox::new();
    sandbox.write("project/policies/local.toml", POLICY);
    let program = sandbox.write("project/examples/refund/program.toml", "");
    (sandbox, program)
}

fn warnings(found: &FoundPolicy) -> Vec<&'static str> {
    found.findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn the_flag_comes_before_the_environment_before_what_is_found() -> anyhow::Result<()> {
    let (mut sandbox, program) = project();
    let (flag, environment) = (sandbox.write("flag.toml", POLICY), sandbox.write("env.toml", POLICY));
    sandbox.places.policy = Some(environment.clone());

    let found = find(Some(&flag), &program, &sandbox.places)?;
    assert_eq!((found.origin, found.path, found.trusted), (PolicyOrigin::Flag, Some(flag), true));
    assert_eq!(found.policies[0].trust(), &Trust::Trusted);
    let found = find(None, &program, &sandbox.places)?;
    assert_eq!(
        (found.origin, found.path, found.trusted),
        (PolicyOrigin::Environment, Some(environment), true)
    );
    sandbox.places.policy = None;
    let found = find(None, &program, &sandbox.places)?;
    assert_eq!(found.origin, PolicyOrigin::Found);
    assert_eq!(found.path, Some(sandbox.path("project/policies/local.toml")));
    Ok(())
}

#[test]
fn a_found_one_is_a_strangers() -> anyhow::Result<()> {
    let (sandbox, program) = project();
    let found = find(None, &program, &sandbox.places)?;
    let project = sandbox.path("project").display().to_string();
    assert!(!found.trusted);
    assert_eq!(found.policies[0].trust(), &Trust::Found { project: project.clone() });
    assert_eq!(found.policies[0].base_dir(), format!("{project}/policies"));
    assert_eq!(warnings(&found), ["untrusted_policy"]);
    let help = found.findings.iter().find_map(|finding| finding.help.clone()).unwrap_or_default();
    assert!(help.ends_with(&format!("{} trust {project}", program_name())), "{help}");
    Ok(())
}

#[test]
fn a_trusted_one_is_not_until_it_changes() -> anyhow::Result<()> {
    let (sandbox, program) = project();
    trust::add(&sandbox.places, &sandbox.path("project"))?;
    let found = find(None, &program, &sandbox.places)?;
    assert!(found.trusted);
    assert_eq!(found.policies[0].trust(), &Trust::Trusted);
    assert_eq!(warnings(&found), [""; 0]);

    sandbox.write("project/policies/local.toml", &format!("{POLICY}\n"));
    let found = find(None, &program, &sandbox.places)?;
    assert!(!found.trusted);
    assert_eq!(warnings(&found), ["policy_changed"]);
    Ok(())
}

#[test]
fn the_nearest_one_is_found() -> anyhow::Result<()> {
    let (sandbox, program) = project();
    let near = sandbox.write("project/examples/policies/local.toml", POLICY);
    assert_eq!(find(None, &program, &sandbox.places)?.path, Some(near));
    Ok(())
}

#[test]
fn the_one_of_this_source_tree_is_trusted() -> anyhow::Result<()> {
    let sandbox = Sandbox::new();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/refund/program.toml");
    let found = find(None, &program, &sandbox.places)?;
    assert!(found.trusted);
    assert_eq!(found.origin, PolicyOrigin::Found);
    Ok(())
}

#[test]
fn without_any_nothing_is_granted() -> anyhow::Result<()> {
    let sandbox = Sandbox::new();
    let program = sandbox.write("alone/program.toml", "");
    // Whoever has a policy above the folder of temporary files has that one in force.
    if nearest(&sandbox.path(""))?.is_none() {
        let found = find(None, &program, &sandbox.places)?;
        assert_eq!((found.origin, found.path), (PolicyOrigin::BuiltIn, None));
        assert_eq!(found.policies[0].digest(), Policy::none().digest());
    }
    Ok(())
}

#[test]
fn what_is_no_policy_is_refused_and_never_passed_by() {
    let (sandbox, program) = project();
    let broken = |text: &[u8]| {
        fs::write(sandbox.path("project/policies/local.toml"), text).expect("the sandbox is writable");
        codes(find(None, &program, &sandbox.places))
    };
    assert_eq!(broken(b"\xff"), ["not_utf8"]);
    assert_eq!(broken(b"unknown = 1"), ["unknown_field"]);
    fs::remove_file(sandbox.path("project/policies/local.toml")).expect("it is there");
    sandbox.folder("project/policies/local.toml");
    assert_eq!(codes(find(None, &program, &sandbox.places)), ["unreadable_file"]);
    for flag in ["none.toml", "project"] {
        let flag = sandbox.path(flag);
        assert_eq!(codes(find(Some(&flag), &program, &sandbox.places)), ["unreadable_file"]);
    }
}

#[cfg(unix)]
#[test]
fn links_are_followed_within_the_project_only() -> anyhow::Result<()> {
    let (sandbox, program) = project();
    let policy = sandbox.path("project/policies/local.toml");
    let link = |target: &Path| {
        fs::remove_file(&policy).expect("it is there");
        std::os::unix::fs::symlink(target, &policy).expect("the sandbox is writable");
        find(None, &program, &sandbox.places)
    };
    let inside = sandbox.write("project/policies/desk.toml", POLICY);
    assert_eq!(link(&inside)?.path, Some(inside));
    let outside = sandbox.write("elsewhere.toml", POLICY);
    assert_eq!(codes(link(&outside)), ["policy_outside_project"]);
    assert_eq!(codes(link(&policy)), ["unreadable_file"]);
    assert_eq!(codes(link(Path::new("nowhere"))), ["unreadable_file"]);
    Ok(())
}

#[cfg(unix)]
#[test]
fn one_that_every_user_may_write_is_warned_of() -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;

    let (sandbox, program) = project();
    let policy = sandbox.path("project/policies/local.toml");
    fs::set_permissions(&policy, fs::Permissions::from_mode(0o666))?;
    let found = find(Some(&policy), &program, &sandbox.places)?;
    assert_eq!(warnings(&found), ["policy_writable_by_others"]);
    Ok(())
}
