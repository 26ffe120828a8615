//! Writes documents as PDF files into one granted folder, `/folder`. No date, no name of a program and
//! no chance goes into them: the same document gives the same bytes.

#[nanohost_guest::tool]
pub mod pdf {
    use std::fs;

    use below::Below;
    use nanohost_guest::{Failure, folder as granted};

    const FOLDER: &str = "/folder";

    /// More pages are not made.
    pub(super) const MOST_PAGES: usize = 500;

    /// Rows of as many cells as there are columns.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Table {
        /// What stands above each.
        pub columns: Vec<String>,
        pub rows: Vec<Vec<String>>,
    }

    /// A part of a document.
    #[derive(Debug, Clone, PartialEq)]
    pub enum Block {
        Heading(String),
        /// Lines are broken where they end; a line feed begins a new one.
        Paragraph(String),
        Table(Table),
        PageBreak,
    }

    /// A document.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Document {
        pub title: String,
        pub blocks: Vec<Block>,
    }

    /// What was written.
    #[derive(Debug, PartialEq)]
    pub struct Written {
        pub path: String,
        pub pages: u32,
        pub bytes: u64,
    }

    /// Has the file at `path` be the document.
    pub fn write(path: String, document: Document) -> Result<Written, Failure> {
        let at = Below::parse(FOLDER, &path)?;
        if !path.ends_with(".pdf") {
            return Err(Failure::invalid_input(format!("{path:?} does not end with `.pdf`")));
        }
        let pages = super::layout::pages(&document)?;
        let bytes = super::file::of(&document.title, &pages)?;
        let failed = |error: std::io::Error| Failure::rejected(format!("{at} cannot be written: {error}"));
        if let Some(parent) = at.parent().filter(|parent| !parent.is_folder()) {
            fs::create_dir_all(granted::path(&parent.guest())).map_err(failed)?;
        }
        fs::write(granted::path(&at.guest()), &bytes).map_err(failed)?;
        Ok(Written { path, pages: pages.len() as u32, bytes: bytes.len() as u64 })
    }
}

mod file;
mod layout;
#[cfg(test)]
mod tests;
mod text;
