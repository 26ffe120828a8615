use std::fs;

use super::*;

#[test]
fn what_is_there_is_kept_or_replaced_whole() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("file");
    let text = || fs::read_to_string(&path).expect("the file");
    create(&path, |draft| draft.write_all(b"first")).expect("nothing is there");
    let again = create(&path, |draft| draft.write_all(b"second")).expect_err("something is there");
    assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(text(), "first");
    // Whoever fails half way leaves what was there, and nothing beside it.
    let fails = |draft: &mut Draft<'_>| draft.write_all(b"ha").and(Err(io::Error::other("no more")));
    replace(&path, fails).expect_err("it fails");
    assert_eq!(text(), "first");
    replace(&path, |draft| draft.write_all(b"second")).expect("it is replaced");
    assert_eq!(text(), "second");
    replace_shared(&path, |draft| draft.write_all(b"third")).expect("it is replaced");
    assert_eq!(text(), "third");
    assert_eq!(fs::read_dir(dir.path()).expect("the folder").count(), 1);
}

#[cfg(unix)]
#[test]
fn only_its_owner_reads_what_is_not_shared() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("file");
    create(&path, |draft| draft.write_all(b"secret")).expect("nothing is there");
    let mode = || fs::metadata(&path).expect("the file").permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    replace(&path, |draft| draft.write_all(b"secret")).expect("it is replaced");
    assert_eq!(mode(), 0o600);
}
