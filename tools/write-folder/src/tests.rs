use std::fs;

use nanohost_guest::{Failure, testing};

use crate::folder::{Written, create, write};

#[test]
fn a_file_is_written_and_written_again() {
    let folder = tempfile::tempdir().expect("a folder");
    testing::mount("/folder", folder.path());
    for text in ["first, and longer", "second"] {
        let written = write("letters/a.txt".to_owned(), text.to_owned());
        assert_eq!(written, Ok(Written { path: "letters/a.txt".to_owned(), bytes: text.len() as u64 }));
        assert_eq!(fs::read_to_string(folder.path().join("letters/a.txt")).ok().as_deref(), Some(text));
    }
}

#[test]
fn what_is_there_is_not_created() {
    let folder = tempfile::tempdir().expect("a folder");
    testing::mount("/folder", folder.path());
    assert!(create("a.txt".to_owned(), "one".to_owned()).is_ok());
    assert!(matches!(create("a.txt".to_owned(), "two".to_owned()), Err(Failure::Rejected(_))));
    assert_eq!(fs::read_to_string(folder.path().join("a.txt")).ok().as_deref(), Some("one"));
}

#[test]
fn paths_stay_in_the_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    testing::mount("/folder", folder.path());
    for path in ["", "..", "../a.txt", "/a.txt", "a/../../b", "a//b"] {
        let refused = write(path.to_owned(), "text".to_owned());
        assert!(matches!(refused, Err(Failure::InvalidInput(_))), "{path}: {refused:?}");
    }
    assert_eq!(fs::read_dir(folder.path()).expect("it lists").count(), 0);
    fs::create_dir(folder.path().join("folder")).expect("a folder");
    assert!(write("folder".to_owned(), "text".to_owned()).is_err());
    fs::write(folder.path().join("file"), "").expect("a file");
    assert!(write("file/below".to_owned(), "text".to_owned()).is_err());
}
