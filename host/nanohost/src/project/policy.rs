//! Which policy is in force, and whose it is. It never comes from the program. Knows nothing of
//! what its rows mean; that is [`Policy`]'s.

mod standing;

use std::io;
use std::path::{Path, PathBuf};

use nanohost_core::{Diagnostic, Diagnostics, Digest, Policy, Trust};

use super::read::unreadable;
use super::source_tree::source_tree;
use super::trust::{self, Verdict};
use super::{Places, quoted, read_source};
use crate::console::program_name;
use crate::failure::Failure;

/// The policy of a project, relative to its folder.
pub(super) const LOCAL: &str = "policies/local.toml";

/// Why this policy and no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PolicyOrigin {
    /// The machine's: in force for every program of every user.
    Machine,
    /// The user's own: in force for every program they run.
    User,
    /// `--policy`.
    Flag,
    /// `NANOHOST_POLICY`.
    Environment,
    /// The nearest `policies/local.toml` at or above the program's folder.
    Found,
    /// There is none: the built-in one, which grants nothing.
    BuiltIn,
}

/// A file that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layer {
    /// Whose it is.
    pub(crate) origin: PolicyOrigin,
    /// The canonical path of the file.
    pub(crate) path: PathBuf,
}

/// The policies of one run.
#[derive(Debug)]
pub(crate) struct FoundPolicy {
    /// The policies in force; each may forbid, none widens another. The project's, or the one that
    /// was named, is the last.
    pub(crate) policies: Vec<Policy>,
    /// Where each of them lies; the built-in one lies nowhere.
    pub(crate) layers: Vec<Layer>,
    /// Why the project's, or another one in its place.
    pub(crate) origin: PolicyOrigin,
    /// The canonical path of that file.
    pub(crate) path: Option<PathBuf>,
    /// Whether all rows count. Otherwise it is a stranger's and grants next to nothing.
    pub(crate) trusted: bool,
    /// Warnings: that it is not trusted and what to type, that others may write it.
    pub(crate) findings: Diagnostics,
}

impl FoundPolicy {
    /// That there is none.
    fn none() -> Self {
        Self {
            policies: vec![Policy::none()],
            layers: Vec::new(),
            origin: PolicyOrigin::BuiltIn,
            path: None,
            trusted: true,
            findings: Diagnostics::new(),
        }
    }

    /// Findings about what it does not grant, with the command that trusts its project as it is typed
    /// here: whoever decides knows neither the folder nor how this program is called.
    pub(crate) fn told(&self, findings: Diagnostics) -> Diagnostics {
        const PLACEHOLDER: &str = "nanohost trust DIR";
        let Some(project) = self.path.as_deref().and_then(Path::parent).and_then(Path::parent) else {
            return findings;
        };
        let command = format!("{} trust {}", program_name(), quoted(project));
        let told = |finding: Diagnostic| match finding.help {
            Some(help) => Diagnostic { help: Some(help.replace(PLACEHOLDER, &command)), ..finding },
            None => finding,
        };
        findings.into_iter().map(told).collect()
    }

    /// The file, where its user named it.
    pub(crate) fn named(&self) -> Option<&Path> {
        match self.origin {
            PolicyOrigin::Flag | PolicyOrigin::Environment => self.path.as_deref(),
            PolicyOrigin::Machine | PolicyOrigin::User | PolicyOrigin::Found | PolicyOrigin::BuiltIn => None,
        }
    }

    /// The policies with their files; `None`: the built-in one.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&Policy, Option<&Layer>)> {
        self.policies.iter().enumerate().map(|(at, policy)| (policy, self.layers.get(at)))
    }
}

impl PolicyOrigin {
    /// For people and for JSON.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Machine => "the machine's",
            Self::User => "the user's",
            Self::Flag => "named by --policy",
            Self::Environment => "named by NANOHOST_POLICY",
            Self::Found => "found above the program",
            Self::BuiltIn => "built in: grants nothing",
        }
    }
}

/// Finds and reads the policies for `program`: the machine's and the user's, where there are any, and
/// `flag`, else the environment's, else the nearest `policies/local.toml` at or above the program's
/// folder. Where there is none at all, the built-in one.
///
/// # Errors
/// `unreadable_file`, `not_utf8`, what [`Policy::parse`] finds, what is wrong with the record of
/// trust, `policy_outside_project`, `foreign_policy`; exit code 2.
pub(crate) fn find(flag: Option<&Path>, program: &Path, places: &Places) -> anyhow::Result<FoundPolicy> {
    beside_standing(of_project(flag, program, places)?, places)
}

fn beside_standing(mut found: FoundPolicy, places: &Places) -> anyhow::Result<FoundPolicy> {
    let standing = standing::standing(places)?;
    if !standing.is_empty() {
        let (layers, policies): (Vec<Layer>, Vec<Policy>) = standing.into_iter().unzip();
        // The built-in one stands for there being none, and would forbid all that the others permit.
        found.policies.retain(|policy| !policy.is_built_in());
        found.policies.splice(0..0, policies);
        found.layers.splice(0..0, layers);
    }
    Ok(found)
}

/// The same without looking around a program: what is named, and what stands for all of this machine and
/// user.
///
/// # Errors
/// As for [`find`].
pub(crate) fn find_named(flag: Option<&Path>, places: &Places) -> anyhow::Result<FoundPolicy> {
    let own = match (flag, &places.policy) {
        (Some(path), _) => named(path, PolicyOrigin::Flag)?,
        (None, Some(path)) => named(path, PolicyOrigin::Environment)?,
        (None, None) => FoundPolicy::none(),
    };
    beside_standing(own, places)
}

/// The policies of the machine and the user alone.
///
/// # Errors
/// As for [`find`].
pub(crate) fn standing(places: &Places) -> anyhow::Result<Vec<(Layer, Policy)>> {
    standing::standing(places)
}

/// The project's policy, or the one that its user names in its place.
fn of_project(flag: Option<&Path>, program: &Path, places: &Places) -> anyhow::Result<FoundPolicy> {
    match (flag, &places.policy) {
        (Some(path), _) => named(path, PolicyOrigin::Flag),
        (None, Some(path)) => named(path, PolicyOrigin::Environment),
        (None, None) => match nearest(&folder_of(program)?)? {
            Some((project, path)) => found(program, &project, &path, places),
            None => Ok(FoundPolicy::none()),
        },
    }
}

/// A policy as it is written, whoever trusts it: for who reviews it rather than runs under it. Its
/// relative folders are meant from where `beside` lies.
///
/// # Errors
/// `unreadable_file`, `not_utf8`, what [`Policy::parse`] finds; exit code 2.
pub(crate) fn read_policy(path: &Path, beside: &Path) -> anyhow::Result<Policy> {
    let source = read_source(path, "the policy")?;
    let base = text_of(&folder_of(beside)?)?;
    Policy::parse(source, &base, Trust::Trusted).map_err(Failure::usage)
}

/// The canonical folder a file lies in. The file itself need not be there.
pub(super) fn folder_of(file: &Path) -> anyhow::Result<PathBuf> {
    let parent = match file.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => file,
    };
    parent.canonicalize().map_err(|error| unreadable(parent, "the folder", &error))
}

fn named(path: &Path, origin: PolicyOrigin) -> anyhow::Result<FoundPolicy> {
    let source = read_source(path, "the policy")?;
    let base = text_of(&folder_of(path)?)?;
    let canonical = path.canonicalize().map_err(|error| unreadable(path, "the policy", &error))?;
    let policy = Policy::parse(source, &base, Trust::Trusted).map_err(Failure::usage)?;
    Ok(FoundPolicy {
        policies: vec![policy],
        layers: vec![Layer { origin, path: canonical.clone() }],
        origin,
        findings: warn_if_writable(&canonical),
        path: Some(canonical),
        trusted: true,
    })
}

/// The project and the policy file at or above `folder`. Whatever is called so counts, also a
/// folder or a link that leads nowhere: passing it by would put another policy in force.
fn nearest(folder: &Path) -> anyhow::Result<Option<(PathBuf, PathBuf)>> {
    for project in folder.ancestors() {
        let path = project.join(LOCAL);
        match path.symlink_metadata() {
            Ok(_) => return Ok(Some((project.to_owned(), path))),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(error) => return Err(unreadable(&path, "the policy", &error)),
        }
    }
    Ok(None)
}

fn found(program: &Path, project: &Path, path: &Path, places: &Places) -> anyhow::Result<FoundPolicy> {
    let canonical = path.canonicalize().map_err(|error| unreadable(path, "the policy", &error))?;
    if !canonical.starts_with(project) {
        return Err(Failure::usage(
            Diagnostic::error(
                "policy_outside_project",
                format!("{} leads out of its project, to {}", path.display(), canonical.display()),
            )
            .help(format!("if that is the policy you mean, name it: --policy {}", quoted(&canonical))),
        ));
    }
    refuse_foreign(program, &canonical)?;
    let source = read_source(&canonical, "the policy")?;
    let digest = Digest::of(source.text.as_bytes());
    let verdict = match source_tree() {
        // The tree's own, and not that of a clone that somebody put into it.
        Some(tree) if canonical == tree.join(LOCAL) => Verdict::Trusted,
        _ => trust::verdict(places, &canonical, digest)?,
    };
    let project_text = text_of(project)?;
    let trust = match verdict {
        Verdict::Trusted => Trust::Trusted,
        Verdict::Changed | Verdict::Unknown => Trust::Found { project: project_text },
    };
    let base = text_of(&folder_of(&canonical)?)?;
    let policy = Policy::parse(source, &base, trust).map_err(Failure::usage)?;
    let mut findings = warn_if_writable(&canonical);
    if let Some(warning) = warn_of(verdict, project, &canonical) {
        findings.push(warning);
    }
    Ok(FoundPolicy {
        policies: vec![policy],
        layers: vec![Layer { origin: PolicyOrigin::Found, path: canonical.clone() }],
        origin: PolicyOrigin::Found,
        path: Some(canonical),
        trusted: verdict == Verdict::Trusted,
        findings,
    })
}

fn warn_of(verdict: Verdict, project: &Path, policy: &Path) -> Option<Diagnostic> {
    let (code, why) = match verdict {
        Verdict::Trusted => return None,
        Verdict::Changed => ("policy_changed", "has changed since it was trusted"),
        Verdict::Unknown => ("untrusted_policy", "came with the project and is not trusted yet"),
    };
    let effect = "it grants only reading below its project, kv, virtual time and seeded randomness";
    Some(Diagnostic::warning(code, format!("{} {why}: {effect}", policy.display())).help(format!(
        "read it, then type: {} trust {}",
        program_name(),
        quoted(project)
    )))
}

/// A policy that another user of this machine put above somebody's project, in `/tmp` say, would
/// stand in for the one that is missing. One that belongs to whoever owns the program is that
/// project's own.
#[cfg(unix)]
fn refuse_foreign(program: &Path, policy: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::MetadataExt as _;

    let owner = |path: &Path| path.metadata().map(|metadata| metadata.uid());
    let uid = owner(policy).map_err(|error| unreadable(policy, "the policy", &error))?;
    let ours = uid == 0 || uid == rustix::process::geteuid().as_raw();
    if ours || owner(program).is_ok_and(|other| other == uid) {
        return Ok(());
    }
    Err(Failure::usage(
        Diagnostic::error("foreign_policy", format!("{} belongs to another user", policy.display()))
            .help(format!("if that is the policy you mean, name it: --policy {}", quoted(policy))),
    ))
}

#[cfg(not(unix))]
fn refuse_foreign(_program: &Path, _policy: &Path) -> anyhow::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn warn_if_writable(policy: &Path) -> Diagnostics {
    use std::os::unix::fs::PermissionsExt as _;

    let others = policy.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o002 != 0);
    if !others {
        return Diagnostics::new();
    }
    Diagnostic::warning(
        "policy_writable_by_others",
        format!("every user of this machine may write {}", policy.display()),
    )
    .help(format!("chmod o-w {}", quoted(policy)))
    .into()
}

#[cfg(not(unix))]
fn warn_if_writable(_policy: &Path) -> Diagnostics {
    Diagnostics::new()
}

/// A path as the core and records on disk hold it.
pub(super) fn text_of(path: &Path) -> anyhow::Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Failure::usage(
            Diagnostic::error("path_not_utf8", format!("the path {} is not UTF-8", path.display()))
                .help("rename the folder: the evidence records paths as text"),
        )
    })
}

#[cfg(test)]
mod tests;
