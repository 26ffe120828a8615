use super::*;
use crate::project::testing::Sandbox;

#[test]
fn the_tree_of_this_build_is_recognised() {
    let tree = source_tree().expect("tests run where they were built");
    assert!(tree.join("host/nanohost/src/project/source_tree.rs").is_file());
}

#[test]
fn a_folder_at_its_path_that_is_another_is_not() {
    let sandbox = Sandbox::new();
    for mark in MARKS {
        assert_eq!(recognise(&sandbox.path(""), None), None, "before {mark}");
        sandbox.write(mark, "");
    }
    #[cfg(unix)]
    assert_eq!(recognise(&sandbox.path(""), None), Some(sandbox.path("")));
    assert_eq!(recognise(&sandbox.path("gone"), None), None);
}

#[test]
fn the_tree_around_the_executable_is() {
    let sandbox = Sandbox::new();
    for mark in MARKS {
        sandbox.write(mark, "");
    }
    let executable = sandbox.write("target/release/nanohost", "");
    assert_eq!(recognise(&sandbox.path(""), Some(&executable)), Some(sandbox.path("")));
}
