use super::*;
use crate::project::testing::Sandbox;

const PROGRAM: &str = "name = \"p\"\n\n[[steps]]\nid = \"a\"\ntype = \"condition\"\n";

#[test]
fn what_says_steps_is_a_program() -> anyhow::Result<()> {
    let sandbox = Sandbox::new();
    let expected = vec![
        sandbox.write("p/a.toml", PROGRAM),
        sandbox.write("p/deep/er/b.json", r#"{ "name": "b", "steps": [] }"#),
    ];
    for (path, text) in [
        ("p/Cargo.toml", "[package]\nname = \"steps\"\n"),
        ("p/c.txt", PROGRAM),
        ("p/broken.toml", "[[steps]"),
        ("p/one.toml", "steps = 3"),
        ("p/.hidden/d.toml", PROGRAM),
        ("p/target/e.toml", PROGRAM),
        ("p/node_modules/f.toml", PROGRAM),
    ] {
        sandbox.write(path, text);
    }
    assert_eq!(programs_in(&[sandbox.path("p")])?, expected);
    // A file that is named is a program: what is wrong with it is said when it is read.
    let named = sandbox.path("p/one.toml");
    assert_eq!(programs_in(std::slice::from_ref(&named))?, [named]);
    assert!(programs_in(&[sandbox.path("none")]).is_err());
    Ok(())
}

#[test]
fn the_programs_beside_a_policy_are_those_of_its_project() -> anyhow::Result<()> {
    let sandbox = Sandbox::new();
    let policy = sandbox.write("project/policies/local.toml", "");
    let other = sandbox.write("project/elsewhere/program.toml", PROGRAM);
    assert_eq!(programs_beside(&policy)?, [other]);
    let example = sandbox.write("project/examples/a/program.toml", PROGRAM);
    assert_eq!(programs_beside(&policy)?, std::slice::from_ref(&example));
    let beside = sandbox.write("project/examples/a/policy.toml", "");
    assert_eq!(programs_beside(&beside)?, [example]);
    Ok(())
}
