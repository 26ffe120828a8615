//! The documents of the repository, held against its sources: every code has a heading in
//! `host/docs/diagnostics.md` and no heading lacks its code; every link between documents leads
//! somewhere. Knows sources as text only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use nanohost_core::{Condition, Manifest, Policy, Source, Trust};

/// The root of the repository.
fn root() -> PathBuf {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    Path::new(root).canonicalize().expect("the tests run where they were built")
}

/// Every file below `folder` with that extension, build products apart.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder is readable").flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if path.is_dir() && name != "target" && name != ".git" {
                folders.push(path);
            } else if path.extension().is_some_and(|own| own == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What the crates of the host are made of: no tests, no comments.
fn sources() -> Vec<(PathBuf, String)> {
    let mut all = Vec::new();
    for krate in ["nanohost-core", "nanohost-sandbox", "nanohost-store", "nanohost-verify", "nanohost"] {
        for path in files(&root().join("host").join(krate).join("src"), "rs") {
            if path.file_stem().is_some_and(|stem| stem == "tests" || stem == "testing") {
                continue;
            }
            let uncommented: Vec<String> = text(&path)
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .map(str::to_owned)
                .collect();
            all.push((path, uncommented.join("\n")));
        }
    }
    all
}

/// The word in quotes that `text` begins with, if it has the form of a code.
fn literal(text: &str) -> Option<&str> {
    let (word, _) = text.trim_start().strip_prefix('"')?.split_once('"')?;
    let form = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    (word.starts_with(|c: char| c.is_ascii_lowercase()) && word.bytes().all(form)).then_some(word)
}

/// What follows each `mark` in `text`.
fn after<'t>(text: &'t str, mark: &'t str) -> impl Iterator<Item = &'t str> {
    text.match_indices(mark).map(move |(at, _)| &text[at + mark.len()..])
}

/// The rest of the item that each `mark` begins: to the brace that closes it, at its own indent.
fn items<'t>(text: &'t str, mark: &'t str) -> impl Iterator<Item = &'t str> {
    text.match_indices(mark).map(move |(at, _)| {
        let line = text[..at].rfind('\n').map_or(0, |at| at + 1);
        let indent: String = text[line..].chars().take_while(|c| *c == ' ').collect();
        let rest = &text[at..];
        let end = rest.find(&format!("\n{indent}}}")).unwrap_or(rest.len());
        &rest[..end]
    })
}

/// Where the sources write codes: what stands before the word in quotes.
const CALLS: [&str; 13] = [
    "Diagnostic::error(",
    "Told::one(",
    "Diagnostic::warning(",
    ".error(",
    ".warning(",
    "Failure::io(",
    "Code::known(",
    "failed(",
    "ErrorKind::StepFailed,",
    "ErrorKind::GuestFault,",
    "ErrorKind::Cancelled,",
    "ErrorKind::ToolTimeout,",
    "ErrorKind::InDoubt,",
];

/// Functions and types that are lists of codes: each word in quotes after `=>` or `=` is one.
const LISTS: [(&str, &str); 6] = [
    ("host/nanohost-core/src/admit/gap.rs", "impl GapCode"),
    ("host/nanohost-core/src/run/event.rs", "    ErrorKind {"),
    ("host/nanohost-sandbox/src/report.rs", "impl FaultCode"),
    ("host/nanohost-sandbox/src/load.rs", "fn code(&self)"),
    ("host/nanohost-sandbox/src/link.rs", "fn code(&self)"),
    ("host/nanohost-store/src/error.rs", "fn code(&self)"),
];

/// Codes that are chosen first and used later.
const CHOICES: [&str; 2] = ["let code = ", "let (code, "];

/// Every code of the host, with the file it stands in.
fn codes() -> BTreeMap<String, PathBuf> {
    let mut codes = BTreeMap::new();
    for (path, source) in sources() {
        let mut add = |word: &str| {
            codes.entry(word.to_owned()).or_insert_with(|| path.clone());
        };
        for call in CALLS {
            after(&source, call).filter_map(literal).for_each(&mut add);
        }
        for choice in CHOICES {
            for rest in after(&source, choice) {
                let statement = rest.split(";\n").next().unwrap_or_default();
                for mark in ["{ ", "=> ", "=> ("] {
                    after(statement, mark).filter_map(literal).for_each(&mut add);
                }
            }
        }
        for item in items(&source, "impl Code {") {
            after(item, "Cow::Borrowed(").filter_map(literal).for_each(&mut add);
        }
        for (file, mark) in LISTS {
            if path.ends_with(file) {
                let mut found = 0;
                for item in items(&source, mark) {
                    for mark in ["=> ", " = "] {
                        after(item, mark).filter_map(literal).for_each(|word| {
                            found += 1;
                            add(word);
                        });
                    }
                }
                assert!(found > 0, "{file} has no codes after `{mark}` any more");
            }
        }
    }
    codes
}

/// First arguments that are no words in quotes, all of them looked at: their codes stand elsewhere,
/// where [`codes`] finds them.
const INDIRECT: [&str; 3] = ["code", "error.code()", "self.code.as_str()"];

#[test]
fn every_code_has_a_heading_and_every_heading_a_code() {
    let page = text(&root().join("host/docs/diagnostics.md"));
    let mut headings = BTreeSet::new();
    for heading in page.lines().filter_map(|line| line.strip_prefix("### ")) {
        let word = heading.trim().trim_matches('`');
        assert!(headings.insert(word.to_owned()), "diagnostics.md has two headings `{word}`");
    }
    let codes = codes();
    assert!(codes.len() > 100, "only {} codes were found: the marks are wrong", codes.len());
    let missing: Vec<String> = codes
        .iter()
        .filter(|(code, _)| !headings.contains(*code))
        .map(|(code, path)| format!("`{code}` ({})", path.display()))
        .collect();
    let stale: Vec<&String> = headings.iter().filter(|heading| !codes.contains_key(*heading)).collect();
    assert!(missing.is_empty(), "diagnostics.md lacks headings for {}", missing.join(", "));
    assert!(stale.is_empty(), "diagnostics.md explains codes that no source has: {stale:?}");
}

#[test]
fn every_code_is_explained_in_the_same_parts() {
    let page = text(&root().join("host/docs/diagnostics.md"));
    for section in page.split("\n### ").skip(1) {
        let (code, rest) = section.split_once('\n').expect("a heading ends");
        let body = rest.split("\n## ").next().unwrap_or_default();
        for part in ["**Meaning.**", "**Cause.**", "**Remedy.**"] {
            assert!(body.contains(part), "{code} of diagnostics.md has no {part}");
        }
    }
}

#[test]
fn codes_are_written_where_this_test_finds_them() {
    for (path, source) in sources() {
        for call in ["Diagnostic::error(", "Diagnostic::warning(", "report.error(", "report.warning("] {
            for rest in after(&source, call) {
                if literal(rest).is_some() {
                    continue;
                }
                let argument = rest.split([',', '\n']).next().unwrap_or_default().trim();
                let argument = if argument.is_empty() { rest.trim_start() } else { argument };
                assert!(
                    INDIRECT.contains(&argument) || literal(argument).is_some(),
                    "{}: a code of the form `{argument}` escapes the check of diagnostics.md",
                    path.display()
                );
            }
        }
    }
}

/// The documents that people read.
fn documents() -> Vec<PathBuf> {
    let root = root();
    let mut all = vec![root.join("README.md"), root.join("guest-sdk/README.md")];
    for folder in ["host", "examples"] {
        all.extend(files(&root.join(folder), "md"));
    }
    all
}

/// The anchor that a heading gets where Markdown is shown.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    heading.trim().to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    for document in documents() {
        let page = text(&document);
        let folder = document.parent().expect("a file lies in a folder");
        for rest in after(&page, "](") {
            let link = rest.split(')').next().unwrap_or_default();
            if link.starts_with("http") {
                continue;
            }
            let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { document.clone() } else { folder.join(file) };
            assert!(target.exists(), "{}: the link to {link} leads nowhere", document.display());
            if fragment.is_empty() {
                continue;
            }
            let found = text(&target)
                .lines()
                .any(|line| line.starts_with('#') && anchor(line.trim_start_matches('#')) == fragment);
            assert!(found, "{}: {link} names no heading", document.display());
        }
    }
}

/// The blocks of a page in that language.
fn blocks<'p>(page: &'p str, language: &'p str) -> Vec<&'p str> {
    let fence = format!("\n```{language}\n");
    page.split(fence.as_str()).skip(1).map(|rest| rest.split("\n```").next().unwrap_or_default()).collect()
}

#[test]
fn the_manifest_and_the_policy_of_the_reference_are_valid() {
    let page = text(&root().join("host/docs/manifests-and-policies.md"));
    let blocks = blocks(&page, "toml");
    let [manifest, policy] = blocks.as_slice() else { panic!("a manifest and a policy, in this order") };
    let digest = format!("sha256:{}", "0".repeat(64));
    let [manifest, policy] = [manifest, policy].map(|text| text.replace("sha256:…", &digest));
    Manifest::parse(Source::new("manifest.toml", manifest)).expect("the manifest is valid");
    Policy::parse(Source::new("local.toml", policy), "/project/policies", Trust::Trusted)
        .expect("the policy is valid");
}

#[test]
fn the_conditions_of_the_references_parse() {
    for page in ["host/docs/programs.md", "host/docs/manifests-and-policies.md"] {
        let page = text(&root().join(page));
        for condition in after(&page, "require = \"").filter_map(|rest| rest.split('"').next()) {
            Condition::parse(condition).unwrap_or_else(|error| panic!("`{condition}`: {error}"));
        }
    }
}

/// Every test that the threat model names for a hostile guest is one of the repository's.
#[test]
fn hostile_guests_have_their_tests() {
    let page = text(&root().join("host/docs/threat-model.md"));
    let section = page.split("## Hostile guests").nth(1).and_then(|rest| rest.split("\n## ").next());
    let rows = section.expect("the page has the section").lines().filter(|line| line.starts_with("| "));
    let mut functions = BTreeSet::new();
    for krate in ["nanohost-core", "nanohost-sandbox", "nanohost-store", "nanohost-verify", "nanohost"] {
        for path in files(&root().join("host").join(krate), "rs") {
            let source = text(&path);
            functions
                .extend(after(&source, "fn ").filter_map(|rest| Some(rest.split_once('(')?.0.to_owned())));
        }
    }
    let mut named = 0;
    for row in rows.skip(1) {
        let cell = row.trim_end_matches('|').rsplit_once('|').expect("a row has cells").1;
        for name in cell.split('`').skip(1).step_by(2) {
            assert!(functions.contains(name), "no test is called `{name}`: {row}");
            named += 1;
        }
    }
    assert!(named > 50, "the table is read: {named}");
}

#[test]
fn the_code_map_names_every_module() {
    let map = text(&root().join("host/ARCHITECTURE.md"));
    for krate in ["nanohost-core", "nanohost-sandbox", "nanohost-store", "nanohost-verify", "nanohost"] {
        let source = root().join("host").join(krate).join("src");
        for entry in fs::read_dir(&source).expect("the crate has sources").flatten() {
            let path = entry.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
            let skip = ["lib", "main", "tests"].contains(&stem.as_str());
            if path.is_file() && !skip {
                let name = format!("`{stem}`");
                let part = map.split(&format!("### `{krate}`")).nth(1).unwrap_or_default();
                let part = part.split("\n### ").next().unwrap_or_default();
                assert!(part.contains(&name), "ARCHITECTURE.md does not say what {krate}'s {name} is");
            }
        }
    }
}
