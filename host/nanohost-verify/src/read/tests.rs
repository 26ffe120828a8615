use std::io;
use std::path::Path;

use super::{quoted, read_bounded};

#[test]
fn a_file_without_end_is_not_read_to_its_end() {
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    let path = folder.path().join("long");
    std::fs::write(&path, "12345").expect("it is writable");
    assert_eq!(read_bounded(&path, 5).expect("it fits"), b"12345");
    assert_eq!(read_bounded(&path, 4).expect_err("it does not").kind(), io::ErrorKind::FileTooLarge);
    assert_eq!(read_bounded(folder.path(), 4).expect_err("a folder").kind(), io::ErrorKind::IsADirectory);
    #[cfg(unix)]
    assert_eq!(
        read_bounded(Path::new("/dev/zero"), 4).expect_err("no plain file").kind(),
        io::ErrorKind::InvalidInput
    );
}

#[test]
fn paths_are_quoted_for_a_shell() {
    let cases = [("/a/b-c.toml", "/a/b-c.toml"), ("/a b", "'/a b'"), ("/it's", r"'/it'\''s'"), ("", "''")];
    for (path, expected) in cases {
        assert_eq!(quoted(Path::new(path)), expected);
    }
}

#[test]
fn paths_are_quoted_so_that_terminals_show_them() {
    for (path, expect) in [
        ("/srv/a b", "'/srv/a b'"),
        ("/srv/it's", r"'/srv/it'\''s'"),
        ("/srv/plain-1.toml", "/srv/plain-1.toml"),
        ("/srv/e\u{1b}[2J\n", r"$'/srv/e\x1b[2J\x0a'"),
        ("/srv/\u{202e}x'", r"$'/srv/\xe2\x80\xaex\''"),
    ] {
        assert_eq!(quoted(Path::new(path)), expect);
    }
}
