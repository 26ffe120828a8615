use super::*;

#[test]
fn places_are_relative_to_the_root_and_escaped() {
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    let root = folder.path().join("a project");
    std::fs::create_dir_all(root.join("x y")).expect("it is writable");
    std::fs::write(root.join("x y/ü#.toml"), "").expect("it is writable");
    assert_eq!(uri(&root.join("x y/ü#.toml"), &root), "x%20y/%C3%BC%23.toml");
    let outside = uri(&root.join("x y/ü#.toml"), Path::new("/nowhere"));
    assert!(
        outside.starts_with("file:///") && outside.ends_with("/a%20project/x%20y/%C3%BC%23.toml"),
        "{outside}"
    );
}

#[test]
fn rules_have_names_of_their_own() {
    assert_eq!(camel("unpinned_tools"), "UnpinnedTools");
}

#[test]
fn names_that_authors_choose_are_no_links() {
    assert_eq!(plain("[here](https://x.test) {0}"), "\\[here\\](https://x.test) {{0}}");
}
