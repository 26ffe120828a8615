//! Where each line of a document stands: pages of A4, from the top.

use nanohost_guest::Failure;

use crate::pdf::{Block, Document, MOST_PAGES, Table};
use crate::text::lines;

/// A4, in points.
pub const PAGE: (f32, f32) = (595.0, 842.0);
const MARGIN: f32 = 64.0;
const BODY: f32 = 10.5;
const HEADING: f32 = 14.0;
const TITLE: f32 = 20.0;
/// From line to line, as a part of the size.
const LEADING: f32 = 1.35;
const BETWEEN_BLOCKS: f32 = 8.0;
const BETWEEN_COLUMNS: f32 = 8.0;

/// A line of text on a page.
#[derive(Debug, PartialEq)]
pub struct Line {
    pub left: f32,
    /// Of the foot of the letters, from the foot of the page.
    pub up: f32,
    pub size: f32,
    pub bold: bool,
    pub text: String,
}

/// The lines of one page.
pub type Page = Vec<Line>;

/// Pages that are being filled.
struct Pages {
    done: Vec<Page>,
    page: Page,
    up: f32,
}

/// The pages of a document; at least one.
pub fn pages(document: &Document) -> Result<Vec<Page>, Failure> {
    let mut pages = Pages { done: Vec::new(), page: Page::new(), up: PAGE.1 - MARGIN };
    if !document.title.is_empty() {
        pages.text(&document.title, TITLE, true)?;
    }
    for block in &document.blocks {
        match block {
            Block::Heading(text) => {
                pages.gap();
                // A heading does not stand alone at the foot of a page.
                pages.keep(HEADING * LEADING * 2.0 + BODY * LEADING)?;
                pages.text(text, HEADING, true)?;
            }
            Block::Paragraph(text) => pages.text(text, BODY, false)?,
            Block::Table(table) => pages.table(table)?,
            Block::PageBreak => pages.turn()?,
        }
        pages.gap();
    }
    pages.done.push(pages.page);
    Ok(pages.done)
}

impl Pages {
    fn text(&mut self, text: &str, size: f32, bold: bool) -> Result<(), Failure> {
        for line in lines(text, size, bold, PAGE.0 - 2.0 * MARGIN)? {
            self.keep(size * LEADING)?;
            self.up -= size * LEADING;
            self.put(MARGIN, size, bold, line);
        }
        Ok(())
    }

    fn table(&mut self, table: &Table) -> Result<(), Failure> {
        let columns = table.columns.len();
        if columns == 0 || table.rows.iter().any(|row| row.len() != columns) {
            return Err(Failure::invalid_input("the rows of a table have as many cells as it has columns"));
        }
        let each = (PAGE.0 - 2.0 * MARGIN + BETWEEN_COLUMNS) / columns as f32;
        if each < BETWEEN_COLUMNS + BODY * 2.0 {
            return Err(Failure::invalid_input(format!("{columns} columns do not fit on a page")));
        }
        for (bold, row) in
            std::iter::once((true, &table.columns)).chain(table.rows.iter().map(|row| (false, row)))
        {
            let cells = row
                .iter()
                .map(|cell| lines(cell, BODY, bold, each - BETWEEN_COLUMNS))
                .collect::<Result<Vec<_>, _>>()?;
            let most = cells.iter().map(Vec::len).max().unwrap_or(1);
            for line in 0..most {
                self.keep(BODY * LEADING)?;
                self.up -= BODY * LEADING;
                for (column, cell) in cells.iter().enumerate() {
                    if let Some(text) = cell.get(line) {
                        self.put(MARGIN + each * column as f32, BODY, bold, text.clone());
                    }
                }
            }
            self.up -= BODY * (LEADING - 1.0);
        }
        Ok(())
    }

    fn put(&mut self, left: f32, size: f32, bold: bool, text: String) {
        if !text.is_empty() {
            self.page.push(Line { left, up: self.up, size, bold, text });
        }
    }

    fn gap(&mut self) {
        self.up -= BETWEEN_BLOCKS;
    }

    /// Turns the page where there is less room than that.
    fn keep(&mut self, room: f32) -> Result<(), Failure> {
        if self.up - room < MARGIN { self.turn() } else { Ok(()) }
    }

    fn turn(&mut self) -> Result<(), Failure> {
        self.done.push(std::mem::take(&mut self.page));
        if self.done.len() >= MOST_PAGES {
            return Err(Failure::invalid_input(format!("a document has at most {MOST_PAGES} pages")));
        }
        self.up = PAGE.1 - MARGIN;
        Ok(())
    }
}
