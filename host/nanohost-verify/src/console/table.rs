//! Aligned columns without lines, and a few styles. Knows nothing of what stands in them.

use comfy_table::{Table, presets};

/// Bold, as an escape sequence like the other styles; [`plain`] takes them out again.
pub fn bold(text: &str) -> String {
    format!("\u{1b}[1m{text}\u{1b}[0m")
}
/// Dim.
pub fn dim(text: &str) -> String {
    format!("\u{1b}[2m{text}\u{1b}[0m")
}
/// Green.
pub fn good(text: &str) -> String {
    format!("\u{1b}[32m{text}\u{1b}[0m")
}
/// Red.
pub fn bad(text: &str) -> String {
    format!("\u{1b}[31m{text}\u{1b}[0m")
}
/// Yellow.
pub fn odd(text: &str) -> String {
    format!("\u{1b}[33m{text}\u{1b}[0m")
}

/// Takes the styles out. Foreign text holds no escapes by then, so whatever looks like one is ours.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\u{1b}') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        rest = rest.find('m').map_or("", |end| &rest[end + 1..]);
    }
    out.push_str(rest);
    out
}

/// Rows in columns, each line indented by two spaces. Cells hold no styles and no line breaks.
pub fn columns(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(comfy_table::ContentArrangement::Disabled);
    if !header.is_empty() {
        table.set_header(header.iter().copied());
    }
    for row in rows {
        table.add_row(row);
    }
    let mut out = String::new();
    for line in table.lines() {
        out.push_str("  ");
        out.push_str(line.trim_start_matches(' ').trim_end());
        out.push('\n');
    }
    out
}
