//! Which package of which registry is meant: `oci://registry/repository:tag@sha256:…`. Text alone: knows no
//! network and no file. A tag says what somebody calls a package today; only the digest says what it is.

use std::fmt;
use std::str::FromStr;

use crate::Digest;

/// What every reference begins with. The scheme keeps a reference from being taken for a path.
pub const SCHEME: &str = "oci://";

/// The longest tag, bytes: the OCI distribution specification's.
const MAX_TAG: usize = 128;

/// The longest registry and repository, bytes: names go into URLs and headers, and a longer one is no name.
const MAX_NAME: usize = 255;

/// Where a package is kept: a registry, and a repository of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    registry: String,
    name: String,
}

/// A package as a person names it: perhaps by its tag, perhaps by its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageRef {
    /// Where it is kept.
    pub repository: Repository,
    /// What it is called there today.
    pub tag: Option<String>,
    /// What it is.
    pub digest: Option<Digest>,
}

/// A package that is named by what it is. Holding one proves that no registry can hand out another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedPackage {
    repository: Repository,
    tag: Option<String>,
    digest: Digest,
}

/// A text that names no package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadPackageRef(String);

impl Repository {
    /// The host, with its port where it has one: `registry.example.com:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The name within the registry: `team/refund-api`.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.registry, self.name)
    }
}

impl PackageRef {
    /// The same, where it says what the package is.
    pub fn pinned(&self) -> Option<PinnedPackage> {
        let digest = self.digest?;
        Some(PinnedPackage { repository: self.repository.clone(), tag: self.tag.clone(), digest })
    }

    /// The same under this digest.
    pub fn at(&self, digest: Digest) -> PinnedPackage {
        PinnedPackage { repository: self.repository.clone(), tag: self.tag.clone(), digest }
    }
}

impl fmt::Display for PackageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.repository.fmt(f)?;
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(f, "@sha256:{digest}"))
    }
}

impl PinnedPackage {
    /// Where it is kept.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// What it was called when it was pinned. Nothing is looked up by it.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest of its image manifest, which binds component and manifest.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl fmt::Display for PinnedPackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { repository, tag, digest } = self;
        repository.fmt(f)?;
        tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        write!(f, "@sha256:{digest}")
    }
}

impl FromStr for PackageRef {
    type Err = BadPackageRef;

    /// Reads `oci://registry/repository[:tag][@sha256:…]`. The registry is always said: a name without one
    /// would mean whichever registry somebody made the default.
    fn from_str(text: &str) -> Result<Self, BadPackageRef> {
        let bad = |why: String| BadPackageRef(why);
        let rest = text
            .strip_prefix(SCHEME)
            .ok_or_else(|| bad(format!("a package is named as {SCHEME}registry/repository:tag@sha256:…")))?;
        let (name, digest) = match rest.split_once('@') {
            Some((name, digest)) => {
                let digest = digest.strip_prefix("sha256:").and_then(|hex| hex.parse().ok());
                let digest = digest.ok_or_else(|| {
                    bad("`@` is followed by `sha256:` and 64 lower-case hexadecimal digits".into())
                })?;
                (name, Some(digest))
            }
            None => (rest, None),
        };
        let (registry, path) = name
            .split_once('/')
            .ok_or_else(|| bad("the registry is followed by `/` and a repository".to_owned()))?;
        let (path, tag) = match path.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (path, None),
        };
        if !is_registry(registry) {
            return Err(bad(format!(
                "`{}` is no registry: a host in lower case, with its port where it has one",
                shown(registry)
            )));
        }
        if path.len() + registry.len() > MAX_NAME || !path.split('/').all(is_component) {
            return Err(bad(format!(
                "`{}` is no repository: lower-case letters, digits and single `.`, `_`, `-` between them, in parts divided by `/`",
                shown(path)
            )));
        }
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(bad(format!(
                "`{}` is no tag: letters, digits, `_`, `.` and `-`, at most {MAX_TAG}",
                shown(tag)
            )));
        }
        let repository = Repository { registry: registry.to_owned(), name: path.to_owned() };
        Ok(Self { repository, tag: tag.map(str::to_owned), digest })
    }
}

/// Whether a registry could call a package so.
pub fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut bytes = text.bytes();
    text.len() <= MAX_TAG
        && bytes.next().is_some_and(word)
        && bytes.all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
}

/// A host as it stands in a URL, and perhaps a port: nothing that a URL would read as anything else.
fn is_registry(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, after)) => {
                if address.parse::<std::net::Ipv6Addr>().is_err() {
                    return false;
                }
                (None, if after.is_empty() { None } else { Some(after.strip_prefix(':').unwrap_or("")) })
            }
            None => return false,
        },
        None => match text.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(text), None),
        },
    };
    let label = |label: &str| {
        let ends =
            |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        ends(label.bytes().next())
            && ends(label.bytes().last())
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    let port_fits = port.is_none_or(|port| {
        // A leading zero or a sign would be another spelling of the same port.
        !port.starts_with(['0', '+']) && port.parse::<u16>().is_ok()
    });
    port_fits && host.is_none_or(|host| host.split('.').all(label))
}

/// A part of a repository's name, as the OCI distribution specification has it.
fn is_component(text: &str) -> bool {
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    if !bytes.first().is_some_and(plain) || !bytes.last().is_some_and(plain) {
        return false;
    }
    // Between letters and digits: `.`, `_`, `__` or any number of `-`.
    bytes.split(|byte| plain(byte)).all(|between| {
        matches!(between, b"" | b"." | b"_" | b"__") || between.iter().all(|byte| *byte == b'-')
    })
}

fn shown(text: &str) -> String {
    text.chars().take(60).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests;
