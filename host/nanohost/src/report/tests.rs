use super::{MAX_VALUE, shown};

#[test]
fn foreign_text_neither_moves_nor_hides_and_ends() {
    assert_eq!(shown("two\nlines"), "two\nlines");
    assert_eq!(shown("a\u{202e}b\u{1b}[2J\u{200b}"), "a\\u{202e}b\\u{1b}[2J\\u{200b}");
    let long = shown(&"ä".repeat(MAX_VALUE + 7));
    assert!(long.ends_with("ä… (7 more characters)"), "{long}");
    assert_eq!(shown(&"ä".repeat(MAX_VALUE)).chars().count(), MAX_VALUE);
}
