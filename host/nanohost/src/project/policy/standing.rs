//! The policies that are in force whatever a project says: the machine's and the user's. Neither
//! comes from a project, and nothing that a project says leaves one of them out.

use std::io;
use std::path::Path;

use nanohost_core::{Diagnostic, Policy, Trust};

use super::{Layer, PolicyOrigin, folder_of, quoted, text_of};
use crate::failure::Failure;
use crate::project::read::unreadable;
use crate::project::{Places, read_source};

/// The machine's policy: whoever may write here decides about the machine anyway. There is none where
/// the platform has no such folder.
const MACHINE: &str = "/etc/nanohost/policy.toml";

/// The user's policy, in the configuration folder.
const USER: &str = "policy.toml";

/// Who may be the owner of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// root alone.
    Root,
    /// root, or whoever runs this.
    RootOrSelf,
}

/// The standing policies that there are, the machine's first.
///
/// # Errors
/// `exposed_policy` for one that others can write, `unreadable_file`, `not_utf8`, what
/// [`Policy::parse`] finds; exit code 2. One that cannot be used refuses: passing it by would drop it.
pub(super) fn standing(places: &Places) -> anyhow::Result<Vec<(Layer, Policy)>> {
    standing_of(Path::new(MACHINE), places)
}

fn standing_of(machine: &Path, places: &Places) -> anyhow::Result<Vec<(Layer, Policy)>> {
    let mut all = Vec::new();
    // A variable must not replace what the machine has: whoever sets it could drop it.
    match (is_there(machine)?, &places.machine_policy) {
        (true, _) => all.push(read(machine, PolicyOrigin::Machine, Owner::Root)?),
        (false, Some(named)) => {
            let named = read(named, PolicyOrigin::Machine, Owner::RootOrSelf);
            all.push(named.map_err(|error| {
                const HELP: &str = "NANOHOST_MACHINE_POLICY names it: mend the file, or unset the variable";
                Failure::with_help(error, HELP)
            })?);
        }
        (false, None) => {}
    }
    let user = places.config.join(USER);
    if is_there(&user)? {
        all.push(read(&user, PolicyOrigin::User, Owner::RootOrSelf)?);
    }
    Ok(all)
}

/// Whether anything is called so, also a link that leads nowhere.
fn is_there(path: &Path) -> anyhow::Result<bool> {
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(false)
        }
        Err(error) => Err(unreadable(path, "the policy", &error)),
    }
}

fn read(path: &Path, origin: PolicyOrigin, owner: Owner) -> anyhow::Result<(Layer, Policy)> {
    let canonical = path.canonicalize().map_err(|error| unreadable(path, "the policy", &error))?;
    // Who may write in its folder may put another one in its place.
    for judged in [canonical.as_path(), canonical.parent().unwrap_or(&canonical)] {
        refuse_exposed(judged, owner)?;
    }
    let source = read_source(&canonical, "the policy")?;
    let base = text_of(&folder_of(&canonical)?)?;
    let policy = Policy::parse(source, &base, Trust::Trusted).map_err(Failure::usage)?;
    Ok((Layer { origin, path: canonical }, policy))
}

#[cfg(unix)]
fn refuse_exposed(path: &Path, owner: Owner) -> anyhow::Result<()> {
    use std::os::unix::fs::MetadataExt as _;

    let metadata = path.metadata().map_err(|error| unreadable(path, "the policy", &error))?;
    let uid = metadata.uid();
    let owned = uid == 0 || owner == Owner::RootOrSelf && uid == rustix::process::geteuid().as_raw();
    // In a folder such as /tmp everybody may write, and nobody may replace what is another's.
    let writable = match metadata.is_dir() && metadata.mode() & 0o1000 != 0 {
        true => false,
        false => metadata.mode() & 0o022 != 0,
    };
    if owned && !writable {
        return Ok(());
    }
    let why = if owned { "other users may write it" } else { "it belongs to another user" };
    Err(Failure::usage(
        Diagnostic::error("exposed_policy", format!("{} cannot be relied on: {why}", path.display()))
            .help(format!("look through the policy, then: chmod go-w {}", quoted(path))),
    ))
}

#[cfg(not(unix))]
fn refuse_exposed(_path: &Path, _owner: Owner) -> anyhow::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests;
