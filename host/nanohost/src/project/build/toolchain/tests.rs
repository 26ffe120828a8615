use super::*;

#[test]
fn what_was_set_for_another_build_is_not_handed_on() {
    for name in [
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_TARGET_DIR",
        "CARGO_BUILD_TARGET",
        "CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS",
        "CARGO_PROFILE_RELEASE_DEBUG",
        "CARGO_MAKEFLAGS",
        "CARGO_MANIFEST_DIR",
        "CARGO",
        "RUSTFLAGS",
        "RUSTC",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "MAKEFLAGS",
    ] {
        assert!(changes_builds(name), "{name}");
    }
    for name in
        ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "CARGO_NET_OFFLINE", "HTTPS_PROXY"]
    {
        assert!(!changes_builds(name), "{name}");
    }
}

#[test]
fn lines_do_nothing_to_a_terminal() {
    assert_eq!(plain("a\tb"), "a b");
    assert_eq!(plain("\x1b[31mred"), "\\u{1b}[31mred");
    assert_eq!(plain("\u{202e}drow\u{200b}"), "\\u{202e}drow\\u{200b}");
    assert_eq!(plain("größe `x` → y"), "größe `x` → y");
}

#[test]
fn lines_are_cut_and_the_rest_of_them_skipped() -> io::Result<()> {
    let long = "x".repeat(3 * MAX_LINE as usize);
    let text = format!("one\r\n{long}\n\nlast");
    let mut lines = BufReader::new(text.as_bytes());
    let mut read = Vec::new();
    while let Some(line) = next_line(&mut lines)? {
        read.push(line);
    }
    assert_eq!(read, ["one", &long[..MAX_LINE as usize], "", "last"]);
    Ok(())
}

#[test]
fn progress_is_told_from_findings() {
    assert!(is_progress("   Compiling serde v1.0.0"));
    assert!(is_progress("    Blocking waiting for file lock on build directory"));
    assert!(!is_progress("error[E0463]: can't find crate for `std`"));
    assert!(!is_progress(""));
}
