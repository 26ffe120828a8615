//! Which projects this user trusts: their policies by path and digest, in `trust.toml` of the
//! configuration folder. A policy that changed is asked about again. Knows nothing of what a
//! policy says.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nanohost_core::{Diagnostic, Digest, Source};
use serde::{Deserialize, Serialize};

use super::policy::{LOCAL, text_of};
use super::read::{read_bounded, unreadable};
use super::source_tree::source_tree;
use super::{Places, quoted, read_source};
use crate::failure::Failure;

/// The record, in the configuration folder.
const FILE: &str = "trust.toml";

/// Held while the record is changed, so that of two commands at once none forgets the other's.
const LOCK: &str = "trust.lock";

/// The record is read whole at every run: without a bound, a damaged one fills the memory.
const MAX_RECORD: u64 = 4 << 20;

/// What the record says of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Its user trusts exactly this text.
    Trusted,
    /// Its user trusted another text at this path.
    Changed,
    /// Its user was never asked.
    Unknown,
}

/// One trusted project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trusted {
    /// The canonical path of the policy.
    pub(crate) policy: PathBuf,
    /// The digest of the text that was trusted.
    pub(crate) digest: Digest,
    /// What holds now: [`Verdict::Trusted`], [`Verdict::Changed`], or [`Verdict::Unknown`] where
    /// the file cannot be read any more.
    pub(crate) now: Verdict,
}

impl Trusted {
    /// The project: the folder that `policies/` lies in. Tools below it may be built.
    pub(crate) fn project(&self) -> &Path {
        project_of(&self.policy)
    }
}

/// Folders whose tools may be built, which runs their authors' code on this machine.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrustedRoots(Vec<PathBuf>);

impl TrustedRoots {
    /// These canonical folders, which their user names to have them built.
    pub(crate) fn named(roots: impl IntoIterator<Item = PathBuf>) -> Self {
        Self(roots.into_iter().collect())
    }

    /// These canonical folders.
    #[cfg(test)]
    pub(super) fn new(roots: Vec<PathBuf>) -> Self {
        Self(roots)
    }

    /// The root that all of `paths`, canonical, lie in. A project inside a root that has a policy
    /// of its own is somebody else's: trust in what surrounds it is none in it.
    pub(crate) fn covering(&self, paths: &[&Path]) -> Option<&Path> {
        let own = |root: &Path, path: &Path| {
            path.starts_with(root)
                && path
                    .ancestors()
                    .take_while(|folder| *folder != root)
                    .all(|folder| folder.join(super::policy::LOCAL).symlink_metadata().is_err())
        };
        self.0.iter().map(PathBuf::as_path).find(|root| paths.iter().all(|path| own(root, path)))
    }
}

/// How the project `target` stands: its policy, the digest of what that says now, whether exactly
/// that is trusted, and the text.
///
/// # Errors
/// As for [`list`], and `not_trustable`.
pub(crate) fn look(places: &Places, target: &Path) -> anyhow::Result<(Trusted, Arc<Source>)> {
    let policy = policy_at(target)?;
    let source = read_source(&policy, "the policy")?;
    let digest = Digest::of(source.text.as_bytes());
    let now = verdict(places, &policy, digest)?;
    Ok((Trusted { policy, digest, now }, source))
}

/// Records that the user trusts the project `target`, a folder with `policies/local.toml`, or that
/// file itself, exactly as it is now.
///
/// # Errors
/// `not_trustable` for what is neither, `unreadable_file`, `invalid_trust_file`,
/// `exposed_trust_file` (exit code 2), `config_not_writable` (5).
pub(crate) fn add(places: &Places, target: &Path) -> anyhow::Result<Trusted> {
    let policy = policy_at(target)?;
    let source = read_source(&policy, "the policy")?;
    let digest = Digest::of(source.text.as_bytes());
    let path = text_of(&policy)?;
    change(places, |record| {
        record.policy.retain(|row| row.path != path);
        record.policy.push(Row { path: path.clone(), digest });
        record.policy.sort_by(|a, b| a.path.cmp(&b.path));
    })?;
    Ok(Trusted { policy, digest, now: Verdict::Trusted })
}

/// Forgets the project `target`: a folder, its policy, or a path of the list whose file is gone.
/// `None`: it was not trusted.
///
/// # Errors
/// As for [`add`], but the project need not be there any more.
pub(crate) fn remove(places: &Places, target: &Path) -> anyhow::Result<Option<Trusted>> {
    let path = text_of(&policy_at(target).unwrap_or_else(|_| gone(target)))?;
    let mut removed = None;
    change(places, |record| {
        record.policy.retain(|row| {
            let keep = row.path != path;
            if !keep {
                removed = Some(row.now());
            }
            keep
        });
    })?;
    Ok(removed)
}

/// Everything that was trusted, by path.
///
/// # Errors
/// `unreadable_file`, `invalid_trust_file`, `exposed_trust_file`; exit code 2.
pub(crate) fn list(places: &Places) -> anyhow::Result<Vec<Trusted>> {
    Ok(load(places)?.policy.iter().map(Row::now).collect())
}

/// Folders whose tools may be built: the tree nanohost was built from, and projects whose policy is
/// trusted as it is now.
///
/// # Errors
/// As for [`list`].
pub(crate) fn roots(places: &Places) -> anyhow::Result<TrustedRoots> {
    let trusted = list(places)?;
    let projects =
        trusted.iter().filter(|row| row.now == Verdict::Trusted).map(|row| row.project().to_owned());
    Ok(TrustedRoots(source_tree().into_iter().chain(projects).collect()))
}

/// What the record says of the text with `digest` at the canonical path `policy`.
pub(super) fn verdict(places: &Places, policy: &Path, digest: Digest) -> anyhow::Result<Verdict> {
    let record = load(places)?;
    let row = record.policy.iter().find(|row| Path::new(&row.path) == policy);
    Ok(match row {
        Some(row) if row.digest == digest => Verdict::Trusted,
        Some(_) => Verdict::Changed,
        None => Verdict::Unknown,
    })
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    #[serde(default)]
    policy: Vec<Row>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    path: String,
    digest: Digest,
}

impl Row {
    fn now(&self) -> Trusted {
        let policy = PathBuf::from(&self.path);
        let now = match read_source(&policy, "the policy") {
            Ok(source) if Digest::of(source.text.as_bytes()) == self.digest => Verdict::Trusted,
            Ok(_) => Verdict::Changed,
            Err(_) => Verdict::Unknown,
        };
        Trusted { policy, digest: self.digest, now }
    }
}

/// The canonical path of the policy that `target` means.
fn policy_at(target: &Path) -> anyhow::Result<PathBuf> {
    let canonical = target.canonicalize().map_err(|error| unreadable(target, "the project", &error))?;
    let policy = if canonical.is_dir() { canonical.join(LOCAL) } else { canonical };
    let real = policy.canonicalize().ok().filter(|real| real.is_file());
    match real {
        // A link that leads elsewhere is never in force, and neither is a file by another name.
        Some(real) if real == policy && real.ends_with(LOCAL) => Ok(real),
        _ => Err(Failure::usage(
            Diagnostic::error("not_trustable", format!("{} is no project's policy", policy.display())).help(
                format!(
                    "name a folder that holds {LOCAL}; a policy that lies elsewhere is named at each run, \
                     with --policy {}, and counts as trusted for it",
                    quoted(target)
                ),
            ),
        )),
    }
}

/// What [`policy_at`] would say of a project that is not there any more.
fn gone(target: &Path) -> PathBuf {
    let absolute = std::path::absolute(target).unwrap_or_else(|_| target.to_owned());
    if absolute.ends_with(LOCAL) { absolute } else { absolute.join(LOCAL) }
}

fn project_of(policy: &Path) -> &Path {
    policy.parent().and_then(Path::parent).unwrap_or(policy)
}

fn load(places: &Places) -> anyhow::Result<Record> {
    let path = places.config.join(FILE);
    let bytes = match read_bounded(&path, MAX_RECORD) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Record::default()),
        Err(error) => return Err(unreadable(&path, "the record of trust", &error)),
    };
    refuse_exposed(&path)?;
    let invalid = |why: String| {
        Failure::usage(
            Diagnostic::error(
                "invalid_trust_file",
                format!("{} is not valid: {}", path.display(), why.trim()),
            )
            .help(format!("remove {} and trust your projects again", quoted(&path))),
        )
    };
    let text = String::from_utf8(bytes).map_err(|error| invalid(error.to_string()))?;
    toml::from_str(&text).map_err(|error| invalid(error.message().to_owned()))
}

/// Who may write the record may grant everything.
#[cfg(unix)]
fn refuse_exposed(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::MetadataExt as _;

    let metadata = path.metadata().map_err(|error| unreadable(path, "the record of trust", &error))?;
    let owner = metadata.uid();
    let ours = owner == 0 || owner == rustix::process::geteuid().as_raw();
    if ours && metadata.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(Failure::usage(
        Diagnostic::error("exposed_trust_file", format!("other users may write {}", path.display()))
            .help(format!("look through it, then: chmod 600 {}", quoted(path))),
    ))
}

#[cfg(not(unix))]
fn refuse_exposed(_path: &Path) -> anyhow::Result<()> {
    Ok(())
}

fn change(places: &Places, edit: impl FnOnce(&mut Record)) -> anyhow::Result<()> {
    let folder = &places.config;
    let failed = |error: io::Error| {
        Failure::host(
            Diagnostic::error(
                "config_not_writable",
                format!("cannot write in {}: {error}", folder.display()),
            )
            .help("make the folder writable, or set NANOHOST_CONFIG to another one"),
        )
    };
    create_private(folder).map_err(failed)?;
    let lock = private().create(true).truncate(false).write(true).open(folder.join(LOCK)).map_err(failed)?;
    lock.lock().map_err(failed)?;
    let mut record = load(places)?;
    edit(&mut record);
    // A record of paths and digests always is TOML.
    let rows = toml::to_string(&record).map_err(|error| failed(io::Error::other(error)))?;
    let text = format!("# The projects you trust, written by `nanohost trust`.\n\n{rows}");
    replace(&folder.join(FILE), text.as_bytes()).map_err(failed)
}

/// Puts `bytes` at `path` in one step: a reader, or a machine that loses power, sees the old file
/// or the new one.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("toml.new");
    // Whatever a killed process left there; the lock is held.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = private().create_new(true).write(true).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    // The rename is durable once the folder is; where folders cannot be opened it already is.
    path.parent().map_or(Ok(()), |folder| File::open(folder).map_or(Ok(()), |folder| folder.sync_all()))
}

/// Files that only their user may read or write.
fn private() -> OpenOptions {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "modes are a matter of Unix"))]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn create_private(folder: &Path) -> io::Result<()> {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "modes are a matter of Unix"))]
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

#[cfg(test)]
mod tests;
