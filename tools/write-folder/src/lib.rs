//! Writes text files into one granted folder, `/folder`.

#[nanohost_guest::tool]
pub mod folder {
    use std::fs::{self, OpenOptions};
    use std::io::{ErrorKind, Write};

    use below::Below;
    use nanohost_guest::{Failure, folder as granted};

    const FOLDER: &str = "/folder";

    /// A longer text is not written.
    const MOST_BYTES: usize = 4 << 20;

    /// What was written.
    #[derive(Debug, PartialEq)]
    pub struct Written {
        pub path: String,
        pub bytes: u64,
    }

    /// Has `text` be what the file holds.
    pub fn write(path: String, text: String) -> Result<Written, Failure> {
        put(&path, &text, OpenOptions::new().write(true).create(true).truncate(true))
    }

    /// Writes `text` into a file that is not there yet.
    pub fn create(path: String, text: String) -> Result<Written, Failure> {
        put(&path, &text, OpenOptions::new().write(true).create_new(true))
    }

    fn put(path: &str, text: &str, how: &OpenOptions) -> Result<Written, Failure> {
        let at = Below::parse(FOLDER, path)?;
        if at.is_folder() {
            return Err(Failure::invalid_input("a file has a name"));
        }
        if text.len() > MOST_BYTES {
            return Err(Failure::invalid_input(format!("the text is longer than {MOST_BYTES} bytes")));
        }
        let failed = |error: std::io::Error| match error.kind() {
            ErrorKind::AlreadyExists => Failure::rejected(format!("{at} is there already")),
            ErrorKind::NotADirectory | ErrorKind::IsADirectory => {
                Failure::invalid_input(format!("{at} is something else: {error}"))
            }
            _ => Failure::rejected(format!("{at} cannot be written: {error}")),
        };
        if let Some(parent) = at.parent().filter(|parent| !parent.is_folder()) {
            fs::create_dir_all(granted::path(&parent.guest())).map_err(failed)?;
        }
        let mut file = how.open(granted::path(&at.guest())).map_err(failed)?;
        file.write_all(text.as_bytes()).and_then(|()| file.flush()).map_err(failed)?;
        Ok(Written { path: path.to_owned(), bytes: text.len() as u64 })
    }
}

#[cfg(test)]
mod tests;
