use super::*;

fn check(text: &str, expected: Option<&[&str]>) {
    let expected = expected.map(|paths| paths.iter().map(PathBuf::from).collect());
    assert_eq!(parse(text), expected, "{text:?}");
}

#[test]
fn lists_are_read_as_cargo_writes_them() {
    check("/t/a.wasm: /s/lib.rs /s/wit/kv.wit\n", Some(&["/s/lib.rs", "/s/wit/kv.wit"]));
    check(
        "/t/a\\ b.wasm: /my\\ tools/lib.rs /s/two\\ \\ spaces\n",
        Some(&["/my tools/lib.rs", "/s/two  spaces"]),
    );
    check("C:\\t\\a.wasm: C:\\s\\lib.rs C:\\a\\ b.rs\n", Some(&["C:\\s\\lib.rs", "C:\\a b.rs"]));
    check("/t/a.wasm:\n", Some(&[]));
    check("/t/a.wasm: /s/a.rs\n\n/s/a.rs:\n", Some(&["/s/a.rs"]));
}

#[test]
fn what_is_no_list_is_none() {
    check("", None);
    check("nothing here\n", None);
    check("\n", None);
}
