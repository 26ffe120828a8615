//! The programs of clients, as files of the store: their texts by digest, which runs go on from, and the
//! names that each client gave them. One client's names are no other's. Knows nothing of running.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use nanohost_core::{
    CheckedProgram, Diagnostic, Diagnostics, Digest, Format, Principal, Program, ProgramClass, Source,
};
use nanohost_verify::whole;
use serde::{Deserialize, Serialize};

use super::Serving;
use crate::cli::ProgramArgs;
use crate::failure::Failure;
use crate::prepare::own_places;
use crate::project::read_bounded;

/// No program of a client is longer, bytes: each is kept, parsed and committed with every run.
pub const MAX_PROGRAM: usize = 256 << 10;

/// No client has more programs: their names and texts lie on the operator's disk.
const MAX_PROGRAMS: usize = 1000;

/// No client hands over more different texts, saved or not.
const MAX_TEXTS: usize = 10_000;

/// No name is longer.
const MAX_NAME: usize = 64;

/// Where they lie, and what they are run with.
pub struct Saved {
    folder: PathBuf,
    serving: Serving,
}

/// A program that a client handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handed {
    /// Whether it was saved before.
    pub class: ProgramClass,
    /// SHA-256 of its text.
    pub digest: Digest,
    /// The file of its text.
    pub path: PathBuf,
}

/// A name that a client gave a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Name {
    /// The name.
    pub name: String,
    /// SHA-256 of the program's text.
    pub digest: Digest,
    /// Whether the text is JSON; otherwise TOML.
    pub json: bool,
}

impl Saved {
    /// In that folder.
    pub fn at(folder: PathBuf, serving: Serving) -> Self {
        Self { folder, serving }
    }

    /// Reads and checks a program, without its tools.
    ///
    /// # Errors
    /// What is wrong with it, and `saved_origin` where it names places of this machine.
    pub fn check(text: &str) -> anyhow::Result<(CheckedProgram, Diagnostics)> {
        if text.len() > MAX_PROGRAM {
            let message = format!("the program is longer than {MAX_PROGRAM} bytes");
            return Err(Failure::usage(Diagnostic::error("invalid_argument", message)));
        }
        let name = if is_json(text) { "program.json" } else { "program.toml" };
        let source = Source::new(name, text);
        let program = Program::parse(source, Format::of_name(name)).map_err(Failure::usage)?;
        let (program, warnings) = program.check().map_err(Failure::usage)?;
        own_places(&program)?;
        Ok((program, warnings))
    }

    /// Keeps the text of a program that is run without being saved.
    ///
    /// # Errors
    /// As [`Saved::check`], and where it cannot be written.
    pub fn hand_over(&self, text: &str, owner: &Principal) -> anyhow::Result<Handed> {
        Self::check(text)?;
        self.keep(text, owner, ProgramClass::Unsaved)
    }

    /// Saves a program under its own name; one that was saved under it before is replaced, and runs of it
    /// go on with what they began with.
    ///
    /// # Errors
    /// As [`Saved::check`], `unnamed_program`, `too_many_programs`, and where it cannot be written.
    pub fn save(&self, text: &str, owner: &Principal) -> anyhow::Result<Name> {
        let (program, _) = Self::check(text)?;
        let name = program.name().to_owned();
        // Without a name of its own a program has that of its file, which is nobody's here.
        if !is_name(&name) || names_nothing(text) {
            let message = "the program does not say what it is called, in a form that can be asked for";
            let help = format!("give it a `name` of letters, digits, `-` and `_`, at most {MAX_NAME}");
            return Err(Failure::usage(Diagnostic::error("unnamed_program", message).help(help)));
        }
        let known = self.list(owner)?;
        if known.len() >= MAX_PROGRAMS && known.iter().all(|known| known.name != name) {
            let message = format!("you have {MAX_PROGRAMS} programs saved");
            let help = "delete those that you need no more";
            return Err(Failure::usage(Diagnostic::error("too_many_programs", message).help(help)));
        }
        let handed = self.keep(text, owner, ProgramClass::Saved)?;
        let saved = Name { name, digest: handed.digest, json: is_json(text) };
        let path = self.names(owner).join(format!("{}.json", saved.name));
        let bytes = serde_json::to_vec(&saved)?;
        whole::replace(&path, |draft| draft.write_all(&bytes)).map_err(|error| unwritable(&path, &error))?;
        Ok(saved)
    }

    /// A program that the owner saved, and its text.
    ///
    /// # Errors
    /// Where its files cannot be read, or were changed.
    pub fn find(&self, name: &str, owner: &Principal) -> anyhow::Result<Option<(Handed, String)>> {
        if !is_name(name) {
            return Ok(None);
        }
        let Some(name) = read_name(&self.names(owner).join(format!("{name}.json")))? else { return Ok(None) };
        let path = self.text_file(owner, name.digest, name.json);
        let bytes = read_bounded(&path, MAX_PROGRAM as u64).map_err(|error| unreadable(&path, &error))?;
        let text = String::from_utf8(bytes).ok().filter(|text| Digest::of(text.as_bytes()) == name.digest);
        let Some(text) = text else {
            return Err(unreadable(&path, &io::Error::new(io::ErrorKind::InvalidData, "it was changed")));
        };
        Ok(Some((Handed { class: ProgramClass::Saved, digest: name.digest, path }, text)))
    }

    /// Forgets a name; `false` where there is none. The text stays for the runs that began with it, and so
    /// does their evidence.
    ///
    /// # Errors
    /// Where the file cannot be removed.
    pub fn delete(&self, name: &str, owner: &Principal) -> anyhow::Result<bool> {
        if !is_name(name) {
            return Ok(false);
        }
        let path = self.names(owner).join(format!("{name}.json"));
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(unwritable(&path, &error)),
        }
    }

    /// What the owner saved, sorted by name.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn list(&self, owner: &Principal) -> anyhow::Result<Vec<Name>> {
        let folder = self.names(owner);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unreadable(&folder, &error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| unreadable(&folder, &error))?.path();
            if path.extension().is_some_and(|end| end == "json")
                && let Some(name) = read_name(&path)?
            {
                names.push(name);
            }
        }
        names.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(names)
    }

    /// How a client's program is read.
    ///
    /// # Errors
    /// `saved_programs_off` where the operator offers clients no tools.
    pub fn args(&self, handed: &Handed) -> anyhow::Result<ProgramArgs> {
        let Some(tools) = &self.serving.tools else {
            let message = "this gateway runs no programs but those that its operator published";
            let help = "call one of these, or ask the operator for tools (`nanohost mcp --tools DIR`)";
            return Err(Failure::usage(Diagnostic::error("saved_programs_off", message).help(help)));
        };
        Ok(ProgramArgs {
            policy: self.serving.policy.clone(),
            tools: Some(tools.clone()),
            packages: self.serving.packages.clone(),
            class: handed.class,
            ..ProgramArgs::of(&handed.path)
        })
    }

    /// Keeps the text of a program of the operator's own that lies in no file.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn keep_of_operator(&self, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.folder.join("operator").join(format!("{}.json", Digest::of(text.as_bytes())));
        write_once(&path, text)?;
        Ok(path)
    }

    fn keep(&self, text: &str, owner: &Principal, class: ProgramClass) -> anyhow::Result<Handed> {
        let digest = Digest::of(text.as_bytes());
        let path = self.text_file(owner, digest, is_json(text));
        let kept = || fs::read_dir(self.own(owner)).map_or(0, Iterator::count);
        if !path.is_file() && kept() > MAX_TEXTS {
            let message = format!("{MAX_TEXTS} programs of yours are kept for the runs that began with them");
            let help = "run one of them again, or ask the operator to remove those that no run waits for";
            return Err(Failure::usage(Diagnostic::error("too_many_programs", message).help(help)));
        }
        write_once(&path, text)?;
        Ok(Handed { class, digest, path })
    }

    /// The folder of one client. Its name says nothing of theirs, which file systems might take for
    /// another's.
    fn own(&self, owner: &Principal) -> PathBuf {
        let of = format!("nanohost/saved/v1\0{owner}");
        self.folder.join(Digest::of(of.as_bytes()).to_string())
    }

    fn names(&self, owner: &Principal) -> PathBuf {
        self.own(owner).join("names")
    }

    fn text_file(&self, owner: &Principal, digest: Digest, json: bool) -> PathBuf {
        self.own(owner).join(format!("{digest}.{}", if json { "json" } else { "toml" }))
    }
}

/// Whether a text is meant as JSON: no TOML begins so.
fn is_json(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// Whether a program's name is only that of the file it was read as.
fn names_nothing(text: &str) -> bool {
    let other = if is_json(text) { "other.json" } else { "other.toml" };
    let again = Program::parse(Source::new(other, text), Format::of_name(other)).ok();
    again.and_then(|program| program.check().ok()).is_none_or(|(program, _)| program.name() == "other")
}

fn read_name(path: &Path) -> anyhow::Result<Option<Name>> {
    /// No entry is longer, bytes.
    const MAX_ENTRY: u64 = 4096;
    let bytes = match read_bounded(path, MAX_ENTRY) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(path, &error)),
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| unreadable(path, &io::Error::new(io::ErrorKind::InvalidData, error)))
}

/// Writes a file whose name is the digest of what is in it.
fn write_once(path: &Path, text: &str) -> anyhow::Result<()> {
    if path.is_file() {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        let names = folder.join("names");
        fs::create_dir_all(&names).map_err(|error| unwritable(&names, &error))?;
    }
    whole::replace(path, |draft| draft.write_all(text.as_bytes())).map_err(|error| unwritable(path, &error))
}

fn unreadable(path: &Path, error: &io::Error) -> anyhow::Error {
    Failure::io("saved_unreadable", "read the saved program", path, error)
}

fn unwritable(path: &Path, error: &io::Error) -> anyhow::Error {
    Failure::io("saved_unwritable", "write", path, error)
}
