use super::*;
use crate::project::by_path;
use crate::project::testing::Sandbox;

/// A project with its policy, a program, a tool that was built, and an SDK it depends on.
fn project() -> (Sandbox, ControlPaths) {
    let sandbox = Sandbox::new();
    sandbox.write("p/.git/config", "");
    sandbox.write("p/policies/local.toml", "");
    sandbox.write("p/tools/Cargo.toml", "[workspace]\nmembers = [\"letter\"]\n");
    sandbox.write("p/tools/letter/manifest.toml", "");
    sandbox.write("p/tools/letter/Cargo.toml", "[package]\nname = \"letter\"\n");
    sandbox.write("p/sdk/Cargo.toml", "");
    let list = format!("letter.wasm: {}\n", sandbox.path("p/sdk/src/lib.rs").display());
    sandbox.write("p/tools/target/wasm32-wasip2/release/letter.d", &list);
    let program = sandbox.write("p/examples/refund/program.toml", "");
    sandbox.folder("p/examples/refund/letters");
    let mut control = ControlPaths::new(&sandbox.places);
    control.program(&program);
    control.policy(&sandbox.path("p/policies/local.toml"));
    control.tool(&by_path(&program, "../../tools/letter").expect("it is a tool"));
    (sandbox, control)
}

fn check(sandbox: &Sandbox, control: &ControlPaths, folder: &str) -> Result<(), Failure> {
    let host = sandbox.path(folder);
    check_write_grants(&[WriteGrant { tool: "letter", host: &host }], control)
}

#[test]
fn a_folder_of_its_own_is_granted() {
    let (sandbox, control) = project();
    sandbox.folder("out/deep");
    for folder in
        ["p/examples/refund/letters", "p/examples/refund/letters/not-yet", "out", "p/tools/letter-box"]
    {
        assert!(check(&sandbox, &control, folder).is_ok(), "{folder}");
    }
}

#[test]
fn a_folder_that_covers_or_lies_in_control_files_is_refused() {
    let (sandbox, control) = project();
    let cases = [
        ("p", "p"),
        ("", "p/examples/refund/program.toml"),
        ("cache/code", "cache"),
        ("p/policies", "p/policies/local.toml"),
        ("p/policies/deep", "p/policies"),
        ("p/examples/refund", "p/examples/refund/program.toml"),
        ("p/tools", "p/tools"),
        ("p/tools/letter", "p/tools/letter"),
        ("p/tools/letter/out", "p/tools/letter"),
        ("p/tools/target", "p/tools/target"),
        ("p/tools/target/wasm32-wasip2/x", "p/tools/target"),
        ("p/sdk", "p/sdk"),
        ("p/sdk/src", "p/sdk"),
        ("p/.git/hooks", "p/.git"),
        ("store", "store"),
        ("store/vault", "store"),
        ("config", "config"),
        ("config/keys", "config"),
    ];
    for (folder, reached) in cases {
        let refused = check(&sandbox, &control, folder).expect_err(folder);
        assert_eq!(refused.exit, Exit::Denied);
        let text = refused.to_string();
        assert!(text.contains("[grant_covers_control_files]"), "{text}");
        for path in [folder, reached] {
            let path = sandbox.path(path).display().to_string();
            assert!(text.contains(&path), "{path} in {text}");
        }
    }
}

#[test]
fn folders_of_other_programs_that_run_code_count_wherever_they_lie() {
    let (sandbox, control) = project();
    sandbox.folder("home/src/other/.git");
    sandbox.folder("cargo/.cargo/registry");
    sandbox.write("desk/policies/local.toml", "");
    for folder in ["home", "home/src/other", "home/src/other/.git/hooks", "cargo", "cargo/.cargo/bin", "desk"]
    {
        assert!(check(&sandbox, &control, folder).is_err(), "{folder}");
    }
}

#[test]
fn all_refusals_are_told_at_once() {
    let (sandbox, control) = project();
    let hosts = ["p/policies", "p/examples/refund/letters", "store"].map(|folder| sandbox.path(folder));
    let grants = hosts.each_ref().map(|host| WriteGrant { tool: "letter", host });
    let refused = check_write_grants(&grants, &control).expect_err("two of them are refused");
    assert_eq!(refused.findings.iter().count(), 2);
}

#[cfg(unix)]
#[test]
fn a_link_is_judged_by_where_it_leads() {
    let (sandbox, control) = project();
    std::os::unix::fs::symlink(sandbox.path("p/policies"), sandbox.path("letters"))
        .expect("the sandbox is writable");
    assert!(check(&sandbox, &control, "letters").is_err());
    assert!(check(&sandbox, &control, "letters/new").is_err());
}

#[test]
fn the_lock_beside_a_program_that_lies_elsewhere_is_the_programs() {
    let (sandbox, mut control) = project();
    sandbox.folder("linked");
    sandbox.folder("other");
    let link = sandbox.path("linked/program.toml");
    std::os::unix::fs::symlink(sandbox.path("p/examples/refund/program.toml"), &link).expect("a link");
    assert!(check(&sandbox, &control, "linked").is_ok());
    control.program(&link);
    let refused = check(&sandbox, &control, "linked").expect_err("it holds the lock");
    assert!(refused.findings.to_string().contains("the program's lock"), "{}", refused.findings);
    assert!(check(&sandbox, &control, "other").is_ok());
}
