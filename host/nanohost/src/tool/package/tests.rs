//! Which tool is meant.

use super::*;

#[test]
fn what_is_no_tool_is_said_to_be_none() {
    for named in ["", "no/such/folder", "../none", "no such", "x.wasm"] {
        let error = find(Path::new(named)).expect_err("nothing is there");
        assert!(error.to_string().contains("unknown_tool"), "{named}: {error}");
    }
}

#[test]
fn a_file_is_taken_as_it_is() {
    let file = tempfile::NamedTempFile::new().expect("it can be made");
    assert!(matches!(find(file.path()), Ok(Named::File(_))));
}
