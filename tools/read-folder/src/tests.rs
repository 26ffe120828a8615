use std::fs;

use nanohost_guest::{Failure, testing};
use tempfile::TempDir;

use crate::folder::{Sort, list, read, search};

fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |path: &str, bytes: &[u8]| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, bytes).expect("a file");
    };
    write("b.txt", b"one\ntwo words\n");
    write("a/deep/c.txt", b"words at the beginning\n");
    write("a/picture", &[0xff, 0xd8, 0xff]);
    write("large", &vec![b'w'; (1 << 20) + 1]);
    testing::mount("/folder", folder.path());
    folder
}

fn paths(path: &str, deep: bool) -> Vec<String> {
    let listing = list(Some(path.to_owned()), Some(deep)).expect("it lists");
    listing.entries.into_iter().map(|entry| entry.path).collect()
}

#[test]
fn a_file_is_read() {
    let _folder = folder();
    assert_eq!(read("b.txt".to_owned()).as_deref(), Ok("one\ntwo words\n"));
    for (path, invalid) in [
        ("nothing", true),
        ("../b.txt", true),
        ("/b.txt", true),
        ("b.txt/x", true),
        ("a/picture", false),
        ("large", false),
    ] {
        match read(path.to_owned()) {
            Err(Failure::InvalidInput(_)) if invalid => {}
            Err(Failure::Rejected(_)) if !invalid => {}
            other => panic!("{path}: {other:?}"),
        }
    }
}

#[test]
fn a_folder_is_listed_in_order() {
    let _folder = folder();
    assert_eq!(paths("", false), ["a", "b.txt", "large"]);
    assert_eq!(paths("", true), ["a", "b.txt", "large", "a/deep", "a/picture", "a/deep/c.txt"]);
    assert_eq!(paths("a/deep", true), ["a/deep/c.txt"]);
    let listing = list(None, None).expect("it lists");
    let sorts: Vec<(Sort, u64)> = listing.entries.iter().map(|entry| (entry.sort, entry.bytes)).collect();
    assert_eq!(sorts, [(Sort::Folder, 0), (Sort::File, 14), (Sort::File, (1 << 20) + 1)]);
    assert!(!listing.cut);
    assert!(matches!(list(Some("nothing".to_owned()), None), Err(Failure::InvalidInput(_))));
}

#[test]
fn a_listing_ends() {
    let folder = folder();
    for number in 0..1_100 {
        fs::write(folder.path().join(format!("many-{number}")), "").expect("a file");
    }
    let listing = list(None, None).expect("it lists");
    assert_eq!((listing.entries.len(), listing.cut), (1_000, true));
}

#[test]
fn lines_are_found() {
    let _folder = folder();
    let found = search("words".to_owned(), None).expect("it searches");
    let lines: Vec<(&str, u64, &str)> =
        found.lines.iter().map(|line| (line.path.as_str(), line.number, line.text.as_str())).collect();
    assert_eq!(lines, [("b.txt", 2, "two words"), ("a/deep/c.txt", 1, "words at the beginning")]);
    assert_eq!((found.cut, found.passed_over), (false, 2));
    assert!(matches!(search(String::new(), None), Err(Failure::InvalidInput(_))));
}
