use std::fs;

use nanohost_guest::{Failure, testing};

use crate::lines::append_line;

#[test]
fn every_call_is_a_line() {
    let folder = std::env::temp_dir().join(format!("append-line-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder for lines");
    testing::mount("/lines", &folder);
    for line in ["one", "two", "two"] {
        assert_eq!(append_line(line.to_owned()), Ok(3));
    }
    for line in ["", "a\nb"] {
        assert!(matches!(append_line(line.to_owned()), Err(Failure::InvalidInput(_))));
    }
    assert_eq!(fs::read_to_string(folder.join("lines.txt")).expect("the file"), "one\ntwo\ntwo\n");
    fs::remove_dir_all(folder).expect("the test's own folder goes");
}
