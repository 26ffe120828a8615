//! The file: pages in the form of PDF 1.7 (ISO 32000-1).

use nanohost_guest::Failure;
use pdf_writer::{Content, Finish, Name, Pdf, Rect, Ref, Str, TextStr};

use crate::layout::{PAGE, Page};
use crate::text::encoded;

const PLAIN: Name<'static> = Name(b"F1");
const BOLD: Name<'static> = Name(b"F2");

/// The bytes of a file with these pages.
pub fn of(title: &str, pages: &[Page]) -> Result<Vec<u8>, Failure> {
    let mut next = 1;
    let mut reference = || {
        let made = Ref::new(next);
        next += 1;
        made
    };
    let (catalog, tree, info, plain, bold) =
        (reference(), reference(), reference(), reference(), reference());
    let places: Vec<(Ref, Ref)> = pages.iter().map(|_| (reference(), reference())).collect();

    let mut pdf = Pdf::new();
    pdf.catalog(catalog).pages(tree);
    if !title.is_empty() {
        pdf.document_info(info).title(TextStr(title));
    }
    pdf.pages(tree).kids(places.iter().map(|place| place.0)).count(pages.len() as i32);
    for (at, name) in [(plain, &b"Helvetica"[..]), (bold, b"Helvetica-Bold")] {
        pdf.type1_font(at).base_font(Name(name)).encoding_predefined(Name(b"WinAnsiEncoding"));
    }
    for ((at, content), lines) in places.iter().zip(pages) {
        let mut page = pdf.page(*at);
        page.media_box(Rect::new(0.0, 0.0, PAGE.0, PAGE.1)).parent(tree).contents(*content);
        page.resources().fonts().pair(PLAIN, plain).pair(BOLD, bold);
        page.finish();

        let mut drawn = Content::new();
        for line in lines {
            drawn.begin_text();
            drawn.set_font(if line.bold { BOLD } else { PLAIN }, line.size);
            drawn.next_line(line.left, line.up);
            drawn.show(Str(&encoded(&line.text)?));
            drawn.end_text();
        }
        pdf.stream(*content, &drawn.finish());
    }
    Ok(pdf.finish())
}
