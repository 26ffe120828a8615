//! Reads one text file. It opens whatever path it is given, exactly as given: what it may open is
//! the host's decision, and this tool is how to try that out.

#[nanohost_guest::tool]
pub mod files {
    use std::fs::File;
    use std::io::{ErrorKind, Read};

    use nanohost_guest::{Failure, folder};

    /// More of a file is not read.
    const MOST_BYTES: u64 = 64 << 10;

    /// The text of the file at `path`.
    pub fn read_file(path: String) -> Result<String, Failure> {
        let mut text = String::new();
        let read =
            File::open(folder::path(&path)).and_then(|file| file.take(MOST_BYTES).read_to_string(&mut text));
        match read {
            Ok(_) => Ok(text),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(Failure::invalid_input(format!("there is no {path}")))
            }
            Err(error) => Err(Failure::rejected(format!("{path} cannot be read: {error}"))),
        }
    }
}

#[cfg(test)]
mod tests;
