use std::fs;

use super::*;
use crate::project::testing::Sandbox;

const TEXT: &str = "format = 1\n";

fn code(read: anyhow::Result<Option<Lock>>) -> String {
    match read {
        Ok(Some(_)) => "a lock".to_owned(),
        Ok(None) => "none".to_owned(),
        Err(error) => {
            let failure = error.downcast::<Failure>().expect("files fail with findings");
            failure.findings.iter().map(|own| own.code).collect::<Vec<_>>().join(" ")
        }
    }
}

#[test]
fn a_lock_lies_beside_its_program() {
    for (program, lock) in [
        ("a/program.toml", "a/program.lock"),
        ("program.json", "program.lock"),
        ("program", "program.lock"),
        ("a/own.lock", "a/own.lock.lock"),
    ] {
        assert_eq!(lock_path(Path::new(program)), Path::new(lock));
    }
}

#[test]
fn what_is_written_is_read_and_replaced_whole() {
    let sandbox = Sandbox::new();
    let program = sandbox.write("p/program.toml", "");
    assert_eq!(code(read_lock(&program)), "none");
    let path = write_lock(&program, TEXT).expect("the folder is writable");
    assert_eq!(code(read_lock(&program)), "a lock");
    write_lock(&program, "format = 1 # again\n").expect("it is replaced");
    assert_eq!(fs::read_to_string(&path).expect("it was written"), "format = 1 # again\n");
    // Nothing else is left in the folder.
    let names = fs::read_dir(sandbox.path("p")).expect("a folder").count();
    assert_eq!(names, 2);
}

#[test]
fn what_is_no_plain_file_of_its_own_is_refused() {
    let sandbox = Sandbox::new();
    let program = sandbox.write("p/program.toml", "");
    let elsewhere = sandbox.write("elsewhere.lock", TEXT);
    let link = |to: &Path| {
        let at = sandbox.path("p/program.lock");
        let _ = fs::remove_file(&at);
        std::os::unix::fs::symlink(to, at).expect("a link can be made");
    };
    link(&elsewhere);
    assert_eq!(code(read_lock(&program)), "invalid_lock");
    link(Path::new("nowhere"));
    assert_eq!(code(read_lock(&program)), "invalid_lock");
    // Writing replaces the link, and not what it leads to.
    write_lock(&program, "format = 1 # own\n").expect("the folder is writable");
    assert_eq!(code(read_lock(&program)), "a lock");
    assert_eq!(fs::read_to_string(&elsewhere).expect("it is there"), TEXT);

    sandbox.write("p/program.lock", &format!("{TEXT}#{}\n", " ".repeat(4 << 20)));
    assert_eq!(code(read_lock(&program)), "invalid_lock");
    sandbox.write("p/program.lock", "format = 7\n");
    assert_eq!(code(read_lock(&program)), "invalid_field");
    fs::remove_file(sandbox.path("p/program.lock")).expect("it is there");
    sandbox.folder("p/program.lock");
    assert_eq!(code(read_lock(&program)), "invalid_lock");
    assert!(write_lock(&program, TEXT).is_err());
}
