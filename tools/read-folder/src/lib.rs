//! Reads, lists and searches the text files of one granted folder, `/folder`. Which folder of the host
//! that is, and what in it may be opened, is the host's decision; paths here are below it by their
//! form already.

#[nanohost_guest::tool]
pub mod folder {
    use std::fs::{self, File};
    use std::io::{ErrorKind, Read};

    use below::Below;
    use nanohost_guest::{Failure, folder as granted};

    const FOLDER: &str = "/folder";

    /// More of a file is not read.
    const MOST_BYTES: u64 = 1 << 20;
    const MOST_ENTRIES: usize = 1_000;
    const MOST_LINES: usize = 200;
    /// A longer line is cut when it is shown.
    const LINE: usize = 500;
    /// Folders within folders, for those that hold themselves.
    const MOST_DEEP: usize = 32;

    /// What an entry is.
    #[derive(Debug, Clone, Copy, PartialEq)]
    pub enum Sort {
        File,
        Folder,
        /// A link or something else, which is not followed.
        Other,
    }

    /// A file or folder.
    #[derive(Debug, PartialEq)]
    pub struct Entry {
        pub path: String,
        pub sort: Sort,
        pub bytes: u64,
    }

    /// What lies in a folder.
    #[derive(Debug, PartialEq)]
    pub struct Listing {
        pub entries: Vec<Entry>,
        /// There are more.
        pub cut: bool,
    }

    /// A line that was found.
    #[derive(Debug, PartialEq)]
    pub struct Line {
        pub path: String,
        pub number: u64,
        pub text: String,
    }

    /// What a search found.
    #[derive(Debug, PartialEq)]
    pub struct Found {
        pub lines: Vec<Line>,
        /// There are more.
        pub cut: bool,
        /// Files that were not searched: no text, or too large.
        pub passed_over: u64,
    }

    /// The text of a file.
    pub fn read(path: String) -> Result<String, Failure> {
        let at = Below::parse(FOLDER, &path)?;
        let mut bytes = Vec::new();
        open(&at)?.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|error| failed(&at, &error))?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(Failure::rejected(format!("{at} has more than {MOST_BYTES} bytes")));
        }
        String::from_utf8(bytes).map_err(|_| Failure::rejected(format!("{at} is no text in UTF-8")))
    }

    /// What lies in a folder, in the order of paths.
    pub fn list(path: Option<String>, deep: Option<bool>) -> Result<Listing, Failure> {
        let at = Below::parse(FOLDER, path.as_deref().unwrap_or_default())?;
        let mut entries = Vec::new();
        let cut = walk(&at, deep.unwrap_or(false), &mut |entry| {
            entries.push(entry);
            Ok(entries.len() < MOST_ENTRIES)
        })?;
        Ok(Listing { entries, cut })
    }

    /// The lines that hold a text.
    pub fn search(text: String, path: Option<String>) -> Result<Found, Failure> {
        if text.is_empty() || text.contains('\n') {
            return Err(Failure::invalid_input("what is searched is a part of a line, and not empty"));
        }
        let at = Below::parse(FOLDER, path.as_deref().unwrap_or_default())?;
        let (mut lines, mut passed_over) = (Vec::new(), 0);
        let cut = walk(&at, true, &mut |entry| {
            if entry.sort != Sort::File {
                return Ok(true);
            }
            let content = match entry.bytes <= MOST_BYTES {
                true => read(entry.path.clone()).ok(),
                false => None,
            };
            let Some(content) = content else {
                passed_over += 1;
                return Ok(true);
            };
            for (number, line) in (1..).zip(content.lines()).filter(|(_, line)| line.contains(&text)) {
                if lines.len() == MOST_LINES {
                    return Ok(false);
                }
                let text = line.chars().take(LINE).collect();
                lines.push(Line { path: entry.path.clone(), number, text });
            }
            Ok(true)
        })?;
        Ok(Found { lines, cut, passed_over })
    }

    /// Goes through a folder, the entries of each in order, until `each` has enough; true where it had
    /// before the end.
    fn walk(
        at: &Below,
        deep: bool,
        each: &mut dyn FnMut(Entry) -> Result<bool, Failure>,
    ) -> Result<bool, Failure> {
        let mut left = vec![(at.clone(), 0)];
        while let Some((folder, depth)) = left.pop() {
            let read =
                fs::read_dir(granted::path(&folder.guest())).map_err(|error| failed(&folder, &error))?;
            let mut names = Vec::new();
            for entry in read {
                let entry = entry.map_err(|error| failed(&folder, &error))?;
                let sort = entry.file_type().map_err(|error| failed(&folder, &error))?;
                // A name that is no text has no path that could be asked for.
                if let Ok(name) = entry.file_name().into_string() {
                    names.push((name, sort));
                }
            }
            names.sort_by(|one, other| one.0.cmp(&other.0));
            let mut below = Vec::new();
            for (name, kind) in names {
                let here = folder.join(&name);
                let sort = match () {
                    () if kind.is_dir() => Sort::Folder,
                    () if kind.is_file() => Sort::File,
                    () => Sort::Other,
                };
                let bytes = match sort {
                    Sort::File => fs::metadata(granted::path(&here.guest()))
                        .map_err(|error| failed(&here, &error))?
                        .len(),
                    _ => 0,
                };
                if !each(Entry { path: here.to_string(), sort, bytes })? {
                    return Ok(true);
                }
                if deep && sort == Sort::Folder && depth < MOST_DEEP {
                    below.push((here, depth + 1));
                }
            }
            left.extend(below.into_iter().rev());
        }
        Ok(false)
    }

    fn open(at: &Below) -> Result<File, Failure> {
        File::open(granted::path(&at.guest())).map_err(|error| failed(at, &error))
    }

    fn failed(at: &Below, error: &std::io::Error) -> Failure {
        match error.kind() {
            ErrorKind::NotFound => Failure::invalid_input(format!("there is no {at}")),
            ErrorKind::NotADirectory | ErrorKind::IsADirectory => {
                Failure::invalid_input(format!("{at} is something else: {error}"))
            }
            _ => Failure::rejected(format!("{at} cannot be read: {error}")),
        }
    }
}

#[cfg(test)]
mod tests;
