//! The reference of diagnostics, `host/docs/diagnostics.md`, as it was when this was built: what each code means,
//! and what to do. Knows the form of that page, and no code.

/// The page.
const PAGE: &str = include_str!("../../docs/diagnostics.md");

/// One code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The code.
    pub code: &'static str,
    /// The heading that it stands under.
    pub group: &'static str,
    /// Whether it refuses nothing.
    pub warning: bool,
    /// What it means.
    pub meaning: &'static str,
    /// What leads to it.
    pub cause: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

/// All of them, in the order of the page.
pub fn entries() -> Vec<Entry> {
    let mut all = Vec::new();
    for section in PAGE.split("\n## ").skip(1) {
        let group = section.lines().next().unwrap_or_default();
        all.extend(section.split("\n### ").skip(1).filter_map(|text| entry(group, text)));
    }
    all
}

fn entry(group: &'static str, text: &'static str) -> Option<Entry> {
    let (heading, body) = text.split_once('\n')?;
    let code = heading.trim().strip_prefix('`')?.strip_suffix('`')?;
    let (_, rest) = body.split_once("**Meaning.**")?;
    let (meaning, rest) = rest.split_once("**Cause.**")?;
    let (cause, remedy) = rest.split_once("**Remedy.**")?;
    let meaning = meaning.trim();
    let warning = meaning.strip_prefix("*Warning.*");
    Some(Entry {
        code,
        group,
        warning: warning.is_some(),
        meaning: warning.unwrap_or(meaning).trim(),
        cause: cause.trim(),
        remedy: remedy.trim(),
    })
}

/// The codes that somebody may have meant who typed `text`: at most eight.
pub fn like(text: &str) -> Vec<&'static str> {
    let words: Vec<String> = text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| word.len() > 2)
        .map(str::to_lowercase)
        .collect();
    let fits = |entry: &Entry| words.iter().any(|word| entry.code.contains(word.as_str()));
    entries().iter().filter(|entry| fits(entry)).map(|entry| entry.code).take(8).collect()
}

#[cfg(test)]
mod tests;
