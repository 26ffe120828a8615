//! The list of sources that Cargo writes beside what it builds (`name.d`), path dependencies
//! included. Knows nothing of what is done with it.

use std::path::{Path, PathBuf};

use crate::project::read::read_bounded;

/// Lists are read at every run: without a bound, a damaged one fills the memory.
const MAX_LIST: u64 = 4 << 20;

/// The sources of `artifact`; relative ones lie below `base`. `None` where there is no list.
pub(super) fn read(artifact: &Path, base: &Path) -> Option<Vec<PathBuf>> {
    let bytes = read_bounded(&artifact.with_extension("d"), MAX_LIST).ok()?;
    let sources = parse(std::str::from_utf8(&bytes).ok()?)?;
    Some(sources.into_iter().map(|source| base.join(source)).collect())
}

/// The sources of the first rule, `target: source source…`. A space in a path is written `\ `;
/// any other backslash stands for itself, as in paths of Windows.
pub(super) fn parse(text: &str) -> Option<Vec<PathBuf>> {
    let rule = text.lines().next()?;
    // A colon within a path, as after a drive's letter, is never followed by a space.
    let (_, listed) = rule.split_once(": ").or_else(|| Some((rule.strip_suffix(':')?, "")))?;
    let mut sources = Vec::new();
    let mut path = String::new();
    let mut rest = listed.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' if rest.peek() == Some(&' ') => path.extend(rest.next()),
            ' ' if path.is_empty() => {}
            ' ' => sources.push(PathBuf::from(std::mem::take(&mut path))),
            c => path.push(c),
        }
    }
    if !path.is_empty() {
        sources.push(PathBuf::from(path));
    }
    Some(sources)
}

#[cfg(test)]
mod tests;
