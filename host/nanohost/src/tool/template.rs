//! New tools: folders that build, test and run as they are. A Rust tool brings the library along that it is
//! written with, so that it builds wherever it lies. Writes into a folder that it makes, and nowhere else.

mod sdk;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use nanohost_core::Diagnostic;

use crate::failure::Failure;
use crate::project::MANIFEST;

/// What a tool is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// Rust, built by Cargo
    Rust,
    /// Python, built by componentize-py
    Python,
    /// JavaScript, built by componentize-js
    #[value(name = "js")]
    JavaScript,
}

/// No name is longer: it stands in tables, messages and envelopes.
const MAX_NAME: usize = 64;

/// Names that Cargo does not take for a package, or that would be another crate.
const TAKEN: [&str; 8] =
    ["alloc", "core", "nanohost-guest", "nanohost-guest-macro", "proc-macro", "std", "test", "words"];

const CASES: &str = include_str!("template/common/cases.toml.in");
const INTERPRETED: &str = include_str!("template/common/interpreted.toml.in");
const WORLD: &str = include_str!("template/common/world.wit.in");
const LOCK: &str = include_str!("template/rust/Cargo.lock.in");

/// Makes the folder `path`, whose last part is the tool's name. Returns the files, from there.
///
/// # Errors
/// `invalid_tool_name`, `already_there`, `template_not_written`; exit code 2.
pub fn create(path: &Path, language: Language, sdk: Option<&Path>) -> anyhow::Result<Vec<PathBuf>> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    check_name(name)?;
    let files = match language {
        Language::Rust => rust(name, path, sdk)?,
        Language::Python => python(name),
        Language::JavaScript => javascript(name),
    };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|error| not_made(path, &error))?;
    }
    fs::create_dir(path).map_err(|error| not_made(path, &error))?;
    write(path, &files)?;
    Ok(files.into_iter().map(|(file, _)| file).collect())
}

/// The tool of a new project.
const FIRST_TOOL: &str = "tools/word-count";

/// Fills the folder `path` with a project: a program, a policy, a tool and their tests. Returns the files,
/// from there.
///
/// # Errors
/// `already_there`, `template_not_written`; exit code 2.
pub fn project(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("project");
    let files = files(
        name,
        &[
            (".gitignore", include_str!("template/project/gitignore.in")),
            ("README.md", include_str!("template/project/README.md.in")),
            ("policies/local.toml", include_str!("template/project/local.toml.in")),
            ("program.cases.toml", include_str!("template/project/program.cases.toml.in")),
            ("program.toml", include_str!("template/project/program.toml.in")),
        ],
    );
    let taken = files
        .iter()
        .map(|(file, _)| path.join(file))
        .chain([path.join(FIRST_TOOL)])
        .find(|file| file.exists());
    if let Some(taken) = taken {
        return Err(not_made(&taken, &std::io::ErrorKind::AlreadyExists.into()));
    }
    fs::create_dir_all(path).map_err(|error| not_made(path, &error))?;
    write(path, &files)?;
    let tool = create(&path.join(FIRST_TOOL), Language::Rust, None)?;
    let tool = tool.into_iter().map(|file| Path::new(FIRST_TOOL).join(file));
    Ok(files.into_iter().map(|(file, _)| file).chain(tool).collect())
}

fn write(path: &Path, files: &Files) -> anyhow::Result<()> {
    for (file, text) in files {
        let file = path.join(file);
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).map_err(|error| not_made(folder, &error))?;
        }
        fs::write(&file, text).map_err(|error| not_made(&file, &error))?;
    }
    Ok(())
}

fn not_made(path: &Path, error: &std::io::Error) -> anyhow::Error {
    match error.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::usage(
            Diagnostic::error("already_there", format!("{} is there already", path.display()))
                .help("nothing is written over: give another name, or move that away"),
        ),
        _ => Failure::io("template_not_written", "make", path, error),
    }
}

type Files = Vec<(PathBuf, String)>;

/// The text of a template with what differs from tool to tool.
fn filled(text: &str, name: &str) -> String {
    text.replace("@NAME@", name)
}

fn files(name: &str, all: &[(&str, &str)]) -> Files {
    all.iter().map(|(path, text)| (PathBuf::from(path), filled(text, name))).collect()
}

fn rust(name: &str, path: &Path, sdk: Option<&Path>) -> anyhow::Result<Files> {
    let mut all = files(
        name,
        &[
            (".gitignore", include_str!("template/rust/gitignore.in")),
            ("README.md", include_str!("template/rust/README.md.in")),
            (MANIFEST, include_str!("template/rust/manifest.toml.in")),
            ("src/lib.rs", include_str!("template/rust/lib.rs.in")),
            ("tests/cases.toml", CASES),
        ],
    );
    all.push(("Cargo.lock".into(), lock(name)));
    let cargo = filled(include_str!("template/rust/Cargo.toml.in"), name);
    let sdk = match sdk {
        Some(sdk) => from_there(sdk, path)?,
        None => {
            all.extend(
                sdk::FILES.iter().map(|(file, text)| (Path::new(sdk::FOLDER).join(file), (*text).to_owned())),
            );
            sdk::FOLDER.to_owned()
        }
    };
    all.push(("Cargo.toml".into(), cargo.replace("\"@SDK@\"", &toml::Value::String(sdk).to_string())));
    Ok(all)
}

/// The path of the library as the crate names it.
fn from_there(sdk: &Path, path: &Path) -> anyhow::Result<String> {
    let found = sdk.canonicalize().ok().filter(|folder| folder.join("Cargo.toml").is_file());
    let text = found.as_ref().and_then(|folder| folder.to_str());
    text.map(str::to_owned).ok_or_else(|| {
        let message =
            format!("{} holds no crate that {} could be written with", sdk.display(), path.display());
        Failure::usage(
            Diagnostic::error("no_sdk", message).help("leave --sdk out, and the tool brings its own"),
        )
    })
}

/// Cargo's lock, in the order in which Cargo writes it: builds are `--locked`.
fn lock(name: &str) -> String {
    let text = filled(LOCK, name);
    let mut packages: Vec<&str> = text.split("[[package]]\n").map(str::trim_end).collect();
    let head = packages.remove(0).to_owned();
    packages.sort_by_key(|package| package.lines().next().map(str::to_owned));
    packages.iter().fold(head, |text, package| format!("{text}\n\n[[package]]\n{package}")) + "\n"
}

fn python(name: &str) -> Files {
    files(
        name,
        &[
            (".gitignore", include_str!("template/python/gitignore.in")),
            ("README.md", include_str!("template/python/README.md.in")),
            (MANIFEST, INTERPRETED),
            ("app.py", include_str!("template/python/app.py.in")),
            ("requirements.txt", include_str!("template/python/requirements.txt.in")),
            ("tests/cases.toml", CASES),
            ("wit/world.wit", WORLD),
        ],
    )
}

fn javascript(name: &str) -> Files {
    files(
        name,
        &[
            (".gitignore", include_str!("template/javascript/gitignore.in")),
            ("README.md", include_str!("template/javascript/README.md.in")),
            (MANIFEST, INTERPRETED),
            ("build.mjs", include_str!("template/javascript/build.mjs.in")),
            ("package.json", include_str!("template/javascript/package.json.in")),
            ("tests/cases.toml", CASES),
            ("tool.js", include_str!("template/javascript/tool.js.in")),
            ("wit/world.wit", WORLD),
        ],
    )
}

/// A name that is one for policies, for WIT, for Cargo and as a folder.
fn check_name(name: &str) -> anyhow::Result<()> {
    let word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let locked: BTreeSet<&str> =
        LOCK.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"')).collect();
    let why = if name.len() > MAX_NAME {
        "is too long"
    } else if !name.split('-').all(word) {
        "is no name of a tool"
    } else if locked.contains(name) || TAKEN.contains(&name) || is_keyword(name) {
        "is taken by Rust, or by what tools are written with"
    } else {
        return Ok(());
    };
    let message = format!("`{}` {why}", name.escape_debug());
    Err(Failure::usage(
        Diagnostic::error("invalid_tool_name", message).help(
            "write words in lower case with `-` between them, each beginning with a letter: stock-level",
        ),
    ))
}

/// Words that no crate can have as its name.
fn is_keyword(name: &str) -> bool {
    const WORDS: &str = "abstract as async await become box break const continue crate do dyn else enum extern false \
                         final fn for gen if impl in let loop macro match mod move mut override priv pub ref return \
                         self static struct super trait true try type typeof unsafe unsized use virtual where while yield";
    WORDS.split_whitespace().any(|word| word == name)
}

#[cfg(test)]
mod tests;
