use nanohost_guest::{Failure, testing};

use crate::files::read_file;

#[test]
fn a_file_below_the_granted_folder_is_read() {
    testing::mount("/data", concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/path-escape/data"));
    assert!(read_file("/data/notice.txt".to_owned()).expect("a readable file").contains("notice"));
    assert!(matches!(read_file("/data/nothing.txt".to_owned()), Err(Failure::InvalidInput(_))));
    assert!(matches!(read_file("/data".to_owned()), Err(Failure::Rejected(_))));
}
