//! Appends lines to `/lines/lines.txt`. Called twice it appends twice: an effect that nothing
//! takes back.

#[nanohost_guest::tool]
pub mod lines {
    use std::fs::OpenOptions;
    use std::io::Write as _;

    use nanohost_guest::{Failure, folder};

    /// No line is longer.
    const MAX_LINE: usize = 500;

    /// Appends a line and says how long it was.
    pub fn append_line(line: String) -> Result<u64, Failure> {
        if line.is_empty() || line.len() > MAX_LINE || line.chars().any(char::is_control) {
            return Err(Failure::invalid_input(format!("a line is one line of 1 to {MAX_LINE} bytes")));
        }
        let path = "/lines/lines.txt";
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder::path(path))
            .and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()))
            .map_err(|error| Failure::unavailable(format!("{path} cannot be written: {error}")))?;
        Ok(line.len() as u64)
    }
}

#[cfg(test)]
mod tests;
