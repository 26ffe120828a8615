//! Text that others chose, made harmless to look at.

use std::fmt::Write as _;

use serde_json::Value;

/// No foreign text is shown longer.
const MAX_SHOWN: usize = 240;

/// `text` on one line: control characters, escapes, bidirectional and zero-width characters as
/// `\u{…}`, capped.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(MAX_SHOWN) + 1);
    for (count, c) in text.chars().enumerate() {
        if count == MAX_SHOWN {
            out.push('…');
            break;
        }
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if hides(c) => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{{{:x}}}", c as u32);
            }
            c => out.push(c),
        }
    }
    out
}

/// Escaped text that has to share its line with others.
pub fn brief(text: &str) -> String {
    const MAX: usize = 48;
    let text = escaped(text);
    match text.char_indices().nth(MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// Text of several lines, line breaks kept.
pub fn lines(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if hides(c) && c != '\n' {
            let _ = write!(out, "\\u{{{:x}}}", c as u32);
        } else {
            out.push(c);
        }
        out
    })
}

/// A file's text with every hiding character replaced by one of the same length in bytes, so that
/// spans into it stay right.
pub(super) fn same_width(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if hides(c) && !matches!(c, '\n' | '\t' | '\r') {
            match c.len_utf8() {
                1 => out.push('?'),
                2 => out.push('¿'),
                3 => out.push('\u{fffd}'),
                _ => out.push('\u{1f6ab}'),
            }
        } else {
            out.push(c);
        }
        out
    })
}

/// Characters that move, hide, reorder or join what stands around them.
fn hides(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// A value as JSON in which nothing hides: what would is written by its number, so that it is the same
/// value to whoever reads it as JSON.
pub fn json_text(value: &Value) -> String {
    let text = value.to_string();
    if !text.chars().any(hides) {
        return text;
    }
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if hides(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
        out
    })
}

/// A value for a person: text as it is, anything else as compact JSON, both escaped.
pub fn value_text(value: &Value) -> String {
    match value {
        Value::String(text) => escaped(text),
        value => escaped(&value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn foreign_text_cannot_move_the_cursor_or_hide() {
        assert_eq!(escaped("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(escaped("a\u{202e}b\u{200b}"), "a\\u{202e}b\\u{200b}");
        assert_eq!(escaped("line\nnext\r"), "line\\nnext\\r");
        assert_eq!(escaped("Käthe 🙂"), "Käthe 🙂");
    }

    #[test]
    fn foreign_text_is_capped() {
        assert_eq!(escaped(&"x".repeat(1000)).chars().count(), super::MAX_SHOWN + 1);
    }
}
