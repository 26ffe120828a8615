//! Who one is to a registry: what Docker's configuration and its credential helpers say, and what a registry
//! may ask of it. Knows no request.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential_from_reader};
use http_auth::{ChallengeRef, parse_challenges};
use nanohost_core::Diagnostic;
use reqwest::Url;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// What one shows a registry.
pub enum Credential {
    /// A name and a password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: Zeroizing<String>,
    },
    /// A token that tokens are given for.
    Identity(Zeroizing<String>),
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential")
    }
}

/// What a registry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// The name and password themselves.
    Basic,
    /// A token, which somebody else gives.
    Bearer {
        /// Who.
        realm: String,
        /// For whom.
        service: Option<String>,
    },
}

impl Challenge {
    /// The challenge of these `WWW-Authenticate` headers that is answered: a token where one is wanted.
    pub fn of<'h>(headers: impl Iterator<Item = &'h str>) -> Option<Self> {
        let mut basic = false;
        for header in headers {
            for challenge in parse_challenges(header).unwrap_or_default() {
                let says = |name| said(&challenge, name);
                if challenge.scheme.eq_ignore_ascii_case("bearer") {
                    return Some(Self::Bearer { realm: says("realm")?, service: says("service") });
                }
                basic |= challenge.scheme.eq_ignore_ascii_case("basic");
            }
        }
        basic.then_some(Self::Basic)
    }
}

fn said(challenge: &ChallengeRef<'_>, name: &str) -> Option<String> {
    let mut found = challenge.params.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
    // Said twice, it says nothing.
    match (found.next(), found.next()) {
        (Some((_, value)), None) => Some(value.to_unescaped()),
        _ => None,
    }
}

/// Where a registry may send those who want a token: to itself, or to a host of the same owner, encrypted.
/// Elsewhere a password would go to whoever the registry names. Which names people register below one
/// another's (`co.uk`, `github.io`), the public suffix list says.
pub fn is_realm_of(realm: &Url, registry: &Url) -> bool {
    let same = realm.scheme() == registry.scheme()
        && realm.port_or_known_default() == registry.port_or_known_default();
    let (Some(of_realm), Some(of_registry)) = (realm.domain(), registry.domain()) else {
        return realm.host() == registry.host() && same && !has_user(realm);
    };
    let own = of_realm == of_registry && (same || realm.scheme() == "https");
    let has_owner = |name: &str| psl::domain_str(name).is_some();
    let parent = of_registry.split_once('.').map(|(_, parent)| parent).filter(|parent| has_owner(parent));
    let under = |above: &str| {
        of_realm == above || of_realm.strip_suffix(above).is_some_and(|rest| rest.ends_with('.'))
    };
    let related = realm.scheme() == "https"
        && has_owner(of_registry)
        && (under(of_registry) || parent.is_some_and(under));
    (own || related) && !has_user(realm)
}

fn has_user(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// What Docker's configuration says of a registry; `None`: nothing, so that one is nobody to it.
///
/// # Errors
/// `registry_credentials`: the configuration is none, or its helper fails; exit code 5.
pub fn find(registry: &str) -> anyhow::Result<Option<Credential>> {
    let Some(path) = config() else { return Ok(None) };
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&path, &error.to_string())),
    };
    // Docker writes its own registry so.
    let name = if registry == "docker.io" { "https://index.docker.io/v1/" } else { registry };
    match get_credential_from_reader(BufReader::new(file), name) {
        Ok(DockerCredential::UsernamePassword(user, password)) => {
            Ok(Some(Credential::Password { user, password: password.into() }))
        }
        Ok(DockerCredential::IdentityToken(token)) => Ok(Some(Credential::Identity(token.into()))),
        Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(None),
        // What a helper prints may hold what it keeps: nothing of it is repeated.
        Err(CredentialRetrievalError::HelperFailure { helper, stdout, stderr }) => {
            let unknown = |text: &str| text.contains("credentials not found");
            match unknown(&stdout) || unknown(&stderr) {
                true => Ok(None),
                false => Err(failed(&path, &format!("{helper} failed"))),
            }
        }
        Err(CredentialRetrievalError::HelperCommunicationError) => {
            Err(failed(&path, "its credential helper cannot be started"))
        }
        Err(CredentialRetrievalError::MalformedHelperResponse) => {
            Err(failed(&path, "its credential helper answers nothing that can be read"))
        }
        Err(error) => Err(failed(&path, &error.to_string())),
    }
}

fn config() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("DOCKER_CONFIG").or_else(|| set("HOME").map(|home| home.join(".docker")));
    folder.map(|folder| folder.join("config.json"))
}

fn failed(path: &Path, why: &str) -> anyhow::Error {
    let message = format!("{} does not say who one is: {why}", path.display());
    Failure::host(Diagnostic::error("registry_credentials", message).help(
        "mend the file or its helper; `docker login`, `podman login --authfile` or `skopeo login --authfile` write it",
    ))
}

#[cfg(test)]
mod tests;
