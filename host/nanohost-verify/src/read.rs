//! Files that a person named, read within a bound, and their names as a shell takes them. Knows
//! nothing of what stands in them.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

#[cfg(test)]
mod tests;

/// Opens a plain file that is not longer than `bound`.
///
/// # Errors
/// Those of the file, and where it is no plain one or too long.
pub fn open_bounded(path: &Path, bound: u64) -> io::Result<File> {
    // Asked before it is opened: opening a pipe would wait for somebody to write.
    let kind = fs::metadata(path)?;
    if kind.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder"));
    }
    if !kind.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a plain file"));
    }
    if kind.len() > bound {
        return Err(too_long(bound));
    }
    File::open(path)
}

/// The whole of a plain file, if it is not longer than `bound`.
///
/// # Errors
/// As [`open_bounded`].
pub fn read_bounded(path: &Path, bound: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // It may have grown since it was asked.
    open_bounded(path, bound)?.take(bound + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bound {
        return Err(too_long(bound));
    }
    Ok(bytes)
}

fn too_long(bound: u64) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, format!("it is longer than {} MiB", bound >> 20))
}

/// A path as a shell takes it. One that a terminal would not show as it is, is written with escapes,
/// which `$'…'` takes: a folder's name must not change what its user reads.
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%=,".contains(c);
    let shown = text.chars().all(|c| c == ' ' || c.is_alphanumeric() || c.is_ascii_graphic());
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else if !shown {
        let bytes = path.as_os_str().as_encoded_bytes().iter();
        let escaped: String = bytes
            .map(|byte| match byte {
                b'\'' | b'\\' => format!("\\{}", char::from(*byte)),
                byte if byte.is_ascii_graphic() || *byte == b' ' => char::from(*byte).to_string(),
                byte => format!("\\x{byte:02x}"),
            })
            .collect();
        format!("$'{escaped}'")
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
