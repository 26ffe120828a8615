//! Findings as pictures: the right lines, and no picture of what is too long for one.

use super::{Look, render};
use nanohost_core::{Diagnostic, Diagnostics, Source};

fn picture(text: &str, span: std::ops::Range<usize>) -> String {
    let source = Source::new("p.toml", text);
    let finding =
        Diagnostic::error("some_code", "what is wrong").at(&source, span).label("here").help("mend it");
    render(&Diagnostics::from(finding), Look { colour: false, width: None })
}

#[test]
fn the_lines_of_a_finding_are_pictured() {
    let text: String = (1..=50).map(|line| format!("line {line}\n")).collect();
    let at = text.find("line 40").expect("a line");
    let shown = picture(&text, at..at + 4);
    for part in
        ["[p.toml:40:1]", "39 │ line 39", "40 │ line 40", "41 │ line 41", "here", "mend it", "some_code"]
    {
        assert!(shown.contains(part), "{part} is missing:\n{shown}");
    }
    for part in ["line 38", "line 42"] {
        assert!(!shown.contains(part), "{part} is shown:\n{shown}");
    }
    for (text, span) in
        [("", 0..0), ("x", 0..1), ("x\n", 2..2), ("é", 1..2), ("a\nb", 1..9), ("\n\n\n", 3..3)]
    {
        assert!(picture(text, span.clone()).contains("some_code"), "{text:?} {span:?}");
    }
}

#[test]
fn what_is_too_long_for_a_picture_is_said_in_words() {
    for length in [5_000, 70_000, 1_000_000] {
        let text = format!("a = 1\nb = \"{}\"\n", "x".repeat(length));
        for span in [10..10 + length, 10..11, length..length + 1] {
            let shown = picture(&text, span.clone());
            assert!(shown.contains("p.toml:2:"), "{span:?}: {shown:.300}");
            assert!(shown.len() < 2_000, "{span:?}");
        }
    }
    // A span over many lines is pictured at its first one.
    let many = "line\n".repeat(10_000);
    let shown = picture(&many, 0..many.len());
    assert!(shown.contains("[p.toml:1:1]") && shown.len() < 2_000, "{shown:.500}");
}

#[test]
fn commands_are_not_broken() {
    let command = "cd /home/somebody/some/folder && cargo build --release --locked --target wasm32-wasip2 --target-dir target";
    let help = format!(
        "look through it, all of it, and once you have found it to be good build it yourself, as follows:\n  {command}\nor \
         call `nanohost settle 0123456789ab --happened /home/somebody/some/RESULT.json --as somebody --token 0123456789`"
    );
    let show = |width| {
        let finding = Diagnostic::error("some_code", "a word ".repeat(30)).help(help.clone());
        render(&Diagnostics::from(finding), Look { colour: false, width })
    };
    for width in [Some(20), Some(60), Some(80), Some(400), None] {
        let shown = show(width);
        assert!(shown.lines().any(|line| line.trim_start() == command), "{shown}");
        assert!(
            shown.lines().any(|line| line.contains("`nanohost settle") && line.contains("0123456789`")),
            "{shown}"
        );
        let widest = shown.lines().filter(|line| line.contains("a word")).map(str::len).max();
        assert_eq!(widest > Some(110), width.is_none(), "{shown}");
    }
    assert!(
        show(None).lines().any(|line| line.contains("found it to be good build it yourself, as follows:"))
    );
}
