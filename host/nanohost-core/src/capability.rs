//! The capability lattice: what a tool can be allowed to reach, class by class, and how grants
//! narrow. Knows nothing of TOML, WebAssembly or the host that enforces it.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

/// The classes of authority. Everything else a component can import is inert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// `wasi:filesystem`, by folder.
    Filesystem,
    /// `wasi:cli/environment`, by variable.
    Env,
    /// `nanohost:tool/kv`, by namespace.
    Kv,
    /// `wasi:clocks` showing the host's time.
    Clock,
    /// `wasi:random` from the host's entropy.
    Random,
    /// `wasi:sockets`, by address and port.
    Sockets,
    /// `wasi:http`, by URL.
    Http,
    /// A host-held secret.
    Secrets,
}

/// What may be done with files below a folder. Writing includes reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Read files and list folders.
    Read,
    /// Read, list, create, change and delete.
    Write,
}

/// A folder as the guest sees it: an absolute, normalised path such as `/data`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Folder {
    /// The path inside the guest.
    pub guest: String,
    /// What may be done below it.
    pub access: Access,
}

/// Where time comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clock {
    /// No clock is linked.
    Denied,
    /// Starts at the run's opening time and advances deterministically.
    Virtual,
    /// The host's clock.
    Real,
}

/// Where randomness comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Random {
    /// No randomness is linked.
    Denied,
    /// From the run's secret seed.
    Seeded,
    /// The host's entropy.
    Real,
}

/// One address a tool may connect to over TCP. Names are never resolved for a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Socket {
    /// The exact IP address.
    pub address: std::net::IpAddr,
    /// The exact port.
    pub port: u16,
}

/// A set of authority without the host's side of it: what a manifest asks for, a policy row
/// allows, or a program narrows to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// Folders by guest path, sorted, each path once.
    pub filesystem: Vec<Folder>,
    /// Names of environment variables.
    pub env: BTreeSet<String>,
    /// Namespaces of the key-value store.
    pub kv: BTreeSet<String>,
    /// The clock.
    pub clock: Clock,
    /// The randomness.
    pub random: Random,
    /// Addresses for TCP connections.
    pub sockets: BTreeSet<Socket>,
}

/// A folder grant with the host folder behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FolderGrant {
    /// The guest's side.
    #[serde(flatten)]
    pub folder: Folder,
    /// The absolute path on the host. It comes from the policy, never from the author.
    pub host: String,
}

/// A variable with its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EnvGrant {
    /// The variable.
    pub name: String,
    /// Its value, from the policy.
    pub value: String,
}

/// Bounds of one call. All finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Limits {
    /// Linear memory, bytes.
    pub memory: u64,
    /// wasmtime fuel, about one unit per instruction.
    pub fuel: u64,
    /// Wall time of the call.
    #[serde(serialize_with = "millis")]
    pub deadline: Duration,
    /// Bytes of the result as JSON.
    pub output: u64,
    /// Bytes of stdout, stderr and log lines together.
    pub logs: u64,
}

fn millis<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// What a function does to the world, from weakest to strongest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Nothing outside the sandbox changes but the tool's own kv, which commits with the result.
    Pure,
    /// Calling twice with one idempotency key is calling once; a policy rule vouches for it.
    Idempotent,
    /// The outside world may change.
    External,
}

/// The authority one tool function really has in one run: manifest ∩ policy ∩ program ∩ what the
/// component imports. Made only by [`crate::admit`]; the sandbox takes nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Grants {
    pub(crate) filesystem: Vec<FolderGrant>,
    pub(crate) env: Vec<EnvGrant>,
    pub(crate) kv: BTreeSet<String>,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) sockets: BTreeSet<Socket>,
    /// Full names of the imports that become traps.
    pub(crate) stubbed: BTreeSet<String>,
    pub(crate) limits: Limits,
}

impl Grants {
    /// Granted folders.
    pub fn filesystem(&self) -> &[FolderGrant] {
        &self.filesystem
    }

    /// Granted variables.
    pub fn env(&self) -> &[EnvGrant] {
        &self.env
    }

    /// Granted namespaces.
    pub fn kv(&self) -> &BTreeSet<String> {
        &self.kv
    }

    /// The clock.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// The randomness.
    pub fn random(&self) -> Random {
        self.random
    }

    /// Granted addresses.
    pub fn sockets(&self) -> &BTreeSet<Socket> {
        &self.sockets
    }

    /// Imports that are linked as traps.
    pub fn stubbed(&self) -> &BTreeSet<String> {
        &self.stubbed
    }

    /// The bounds of each call.
    pub fn limits(&self) -> Limits {
        self.limits
    }
}
