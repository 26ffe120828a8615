use std::fs;

use nanohost_guest::{Failure, testing};

use crate::pdf::{Block, Document, Table, write};
use crate::text::{encoded, lines, width};
use crate::{file, layout};

fn document(blocks: Vec<Block>) -> Document {
    Document { title: "Receipt".to_owned(), blocks }
}

fn paragraph(text: &str) -> Block {
    Block::Paragraph(text.to_owned())
}

#[test]
fn a_file_is_written_and_is_the_same_again() {
    let folder = tempfile::tempdir().expect("a folder");
    testing::mount("/folder", folder.path());
    let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
    let table = Table { columns: row(["Item", "Price"]), rows: vec![row(["Tea", "2,50 €"])] };
    let blocks = vec![
        Block::Heading("Order A-1".to_owned()),
        paragraph("Zürich, “today” – (paid)"),
        Block::Table(table),
    ];
    let mut bytes = Vec::new();
    for _ in 0..2 {
        let written = write("a/receipt.pdf".to_owned(), document(blocks.clone())).expect("it is written");
        let found = fs::read(folder.path().join("a/receipt.pdf")).expect("it reads");
        assert_eq!((written.pages, written.bytes), (1, found.len() as u64));
        bytes.push(found);
    }
    assert_eq!(bytes[0], bytes[1]);
    assert!(bytes[0].starts_with(b"%PDF-1.7") && bytes[0].trim_ascii_end().ends_with(b"%%EOF"));
}

#[test]
fn lines_stay_on_the_page() {
    let word = "Verfassungsbeschwerde ".repeat(400);
    let pages =
        layout::pages(&document(vec![paragraph(&word), paragraph(&"x".repeat(5_000))])).expect("it fits");
    assert!(pages.len() > 1);
    for line in pages.iter().flatten() {
        let right = line.left + width(&line.text, line.size, line.bold).expect("known letters");
        assert!(line.left >= 0.0 && right <= layout::PAGE.0, "{line:?}");
        assert!(line.up > 0.0 && line.up < layout::PAGE.1, "{line:?}");
    }
    let words: usize = pages.iter().flatten().map(|line| line.text.matches("Verfassung").count()).sum();
    assert_eq!(words, 400);
}

#[test]
fn lines_are_broken_at_spaces() {
    let broken = |text| lines(text, 10.0, false, 25.0).expect("known letters");
    assert_eq!(broken("one two\nthree"), ["one", "two", "three"]);
    assert_eq!(broken(""), [""]);
    assert_eq!(broken("wwwwww").concat(), "wwwwww");
}

#[test]
fn pages_are_turned() {
    let two = vec![paragraph("one"), Block::PageBreak, paragraph("two")];
    let pages = layout::pages(&document(two)).expect("it fits");
    assert_eq!(pages.len(), 2);
    assert_eq!(pages[1][0].text, "two");
    let many = document(vec![Block::PageBreak; 500]);
    assert!(matches!(layout::pages(&many), Err(Failure::InvalidInput(_))));
    let empty = Document { title: String::new(), blocks: Vec::new() };
    assert!(file::of("", &layout::pages(&empty).expect("a page")).is_ok());
}

#[test]
fn what_cannot_be_shown_is_refused() {
    assert_eq!(encoded("é€").as_deref(), Ok(&[0xe9, 0x80][..]));
    for text in ["日本", "\u{202e}", "a\tb", "🙂"] {
        let refused = layout::pages(&document(vec![paragraph(text)]));
        assert!(matches!(refused, Err(Failure::InvalidInput(_))), "{text:?}");
    }
    let one = || vec!["a".to_owned()];
    for (columns, rows) in [(one(), vec![vec![]]), (vec![], vec![]), (vec![String::new(); 100], vec![])] {
        let refused = layout::pages(&document(vec![Block::Table(Table { columns, rows })]));
        assert!(matches!(refused, Err(Failure::InvalidInput(_))));
    }
}

#[test]
fn a_path_is_a_pdf_below_the_folder() {
    for path in ["", "a.txt", "../a.pdf", "/a.pdf"] {
        let refused = write(path.to_owned(), document(Vec::new()));
        assert!(matches!(refused, Err(Failure::InvalidInput(_))), "{path:?}");
    }
}
