//! A publisher's word for a package: what is said of its sources, and with which key. Runs the sources'
//! code only where its user asks for a rebuild.

use std::path::Path;
use std::process::{Command, Stdio};

use nanohost_core::signature::{Commit, Provenance, Rebuild};
use nanohost_core::{Diagnostic, Digest, KeyError, PublicKey, Signer};
use nanohost_sandbox::Anatomy;

use crate::console::Progress;
use crate::failure::Failure;
use crate::prepare;
use crate::project::{self, BuildEvent, Component, Places, read_bounded};
use crate::signing;

/// A longer file is no key.
const MAX_KEY: u64 = nanohost_core::MAX_PEM as u64;

/// The key of a file, else the one that signs for this user, and whether nobody made it on purpose.
///
/// # Errors
/// `key_unreadable`, `key_passphrase_missing`, `key_passphrase_wrong`; exit code 2.
pub fn signer(file: Option<&Path>, places: &Places) -> anyhow::Result<(Signer, bool)> {
    match file {
        Some(file) => Ok((signing::of_file(file)?, false)),
        None => {
            let own = signing::current(places)?;
            Ok((own.signer, own.development))
        }
    }
}

/// The public key of a file.
///
/// # Errors
/// `unreadable_file`, `key_unreadable`; exit code 2.
pub fn public_key(file: &Path) -> anyhow::Result<PublicKey> {
    let bytes = read_bounded(file, MAX_KEY)
        .map_err(|error| Failure::io("unreadable_file", "read the key", file, &error))?;
    let bad = |error: KeyError| {
        let message = format!("{}: {error}", file.display());
        Failure::usage(
            Diagnostic::error("key_unreadable", message)
                .help("name the publisher's public key, PEM in SPKI form"),
        )
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| bad(KeyError::NotPublic))?;
    PublicKey::from_spki_pem(text).map_err(bad)
}

/// What can be said of where a component came from.
///
/// # Errors
/// `no_rebuild`, `build_failed`; exit code 2.
pub fn provenance(
    component: Digest,
    anatomy: &Anatomy,
    source: Option<&Path>,
    repository: Option<&str>,
    rebuild: bool,
    progress: &Progress,
) -> anyhow::Result<Provenance> {
    let made_by = anatomy.producers.iter().filter(|(field, ..)| field == "processed-by");
    let toolchain = made_by.map(|(_, name, version)| format!("{name} {version}").trim().to_owned());
    let mut toolchain: Vec<String> = toolchain.collect();
    toolchain.sort();
    toolchain.dedup();
    let commit = source.map(commit).transpose()?.flatten();
    let rebuild = match (source, rebuild) {
        (Some(source), true) => again(component, source, progress)?,
        _ => Rebuild::NotTried,
    };
    Ok(Provenance {
        source: commit.map(|(commit, clean)| Commit {
            repository: repository.map(str::to_owned),
            commit,
            clean,
        }),
        toolchain,
        builder: format!("nanohost {}", env!("CARGO_PKG_VERSION")),
        rebuild,
    })
}

/// The commit that a folder stands at, and whether its files are those of the commit; `None` where it stands
/// in no repository.
fn commit(folder: &Path) -> anyhow::Result<Option<(String, bool)>> {
    let folder = folder
        .canonicalize()
        .map_err(|error| Failure::io("unreadable_file", "find the sources", folder, &error))?;
    let Some(commit) = git(&folder, &["rev-parse", "HEAD"]) else { return Ok(None) };
    let commit = commit.trim().to_owned();
    let is_name = matches!(commit.len(), 40 | 64) && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_name {
        return Ok(None);
    }
    // To look for changes git starts what the repository's settings name as filters: then nobody looks, and
    // nobody says that there are none.
    if git(&folder, &["config", "--includes", "--get-regexp", r"^filter\..*\.(clean|process)$"]).is_some() {
        return Ok(Some((commit, false)));
    }
    // Of all of the repository: what goes into a component may lie beside its folder. Files that are ignored
    // do not count: they are what builds leave behind.
    let changed =
        git(&folder, &["status", "--porcelain", "--untracked-files=all", "--ignore-submodules=none", ":/"]);
    Ok(Some((commit, changed.is_some_and(|changed| changed.trim().is_empty()))))
}

/// What git answers; `None` where it does not.
fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let mut git = Command::new("git");
    // A repository's own settings can name programs to start: this one is switched off.
    git.args(["-c", "core.fsmonitor=false", "--no-optional-locks", "-C"]).arg(folder).args(arguments);
    // Those of the user and of the machine say nothing about these sources.
    git.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    let output = git.stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether building the sources again, from nothing, gives the same bytes.
fn again(component: Digest, source: &Path, progress: &Progress) -> anyhow::Result<Rebuild> {
    let tool = project::in_folder(source)?;
    let Component::Crate(krate) = &tool.component else {
        let message = format!("{} is no Cargo crate, and others are not built again", source.display());
        return Err(Failure::usage(
            Diagnostic::error("no_rebuild", message)
                .help("leave --rebuild out: the package says `not-tried` then"),
        ));
    };
    let scratch = tempfile::tempdir().map_err(|error| {
        Failure::io("package_not_written", "make a folder in", &std::env::temp_dir(), &error)
    })?;
    let artifact = project::build_again(krate, scratch.path(), &|event| match event {
        BuildEvent::AddingTarget => progress.stage("adding the WebAssembly target through rustup"),
        BuildEvent::Building { names } => progress.stage(&format!("building {} again", names.join(", "))),
        BuildEvent::Line(line) => progress.detail(&format!("building again: {line}")),
        BuildEvent::Done { .. } => {}
    });
    progress.clear();
    let same = Digest::of(&prepare::component_bytes(&artifact?)?) == component;
    Ok(if same { Rebuild::Same } else { Rebuild::Different })
}
