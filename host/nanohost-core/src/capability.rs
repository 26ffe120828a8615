//! The capability lattice: what a tool can be allowed to reach, class by class, and how grants
//! narrow. Knows nothing of TOML, WebAssembly or the host that enforces it.

mod http;
mod secret;

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::Serialize;

pub use http::{BadTarget, Host, HttpRule, HttpTarget, Method, PathPattern, Scheme};
pub use secret::{SecretRule, is_secret_name};

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

impl Class {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Filesystem,
        Self::Env,
        Self::Kv,
        Self::Clock,
        Self::Random,
        Self::Sockets,
        Self::Http,
        Self::Secrets,
    ];

    /// The name that manifests, policies and envelopes use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Filesystem => "filesystem",
            Self::Env => "env",
            Self::Kv => "kv",
            Self::Clock => "clock",
            Self::Random => "random",
            Self::Sockets => "sockets",
            Self::Http => "http",
            Self::Secrets => "secrets",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
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

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
        })
    }
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

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Denied => "denied",
            Self::Virtual => "virtual",
            Self::Real => "real",
        })
    }
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

impl fmt::Display for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Denied => "denied",
            Self::Seeded => "seeded",
            Self::Real => "real",
        })
    }
}

/// One address a tool may connect to over TCP. Names are never resolved for a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Socket {
    /// The exact IP address.
    pub address: IpAddr,
    /// The exact port.
    pub port: u16,
}

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.address, self.port).fmt(f)
    }
}

/// One atom of authority. What a manifest asks for, a policy row allows or forbids, and a program
/// narrows to are sets of these; the host's side (folders, values) is not part of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capability {
    /// A folder.
    Filesystem(Folder),
    /// An environment variable, by name.
    Env(String),
    /// A namespace of the key-value store.
    Kv(String),
    /// A source of time.
    Clock(Clock),
    /// A source of randomness.
    Random(Random),
    /// A TCP connection.
    Sockets(Socket),
    /// Requests over HTTP.
    Http(HttpRule),
    /// A secret in a header of requests.
    Secrets(SecretRule),
}

impl Capability {
    /// The class it belongs to.
    pub fn class(&self) -> Class {
        match self {
            Self::Filesystem(_) => Class::Filesystem,
            Self::Env(_) => Class::Env,
            Self::Kv(_) => Class::Kv,
            Self::Clock(_) => Class::Clock,
            Self::Random(_) => Class::Random,
            Self::Sockets(_) => Class::Sockets,
            Self::Http(_) => Class::Http,
            Self::Secrets(_) => Class::Secrets,
        }
    }

    /// Whether it carries no authority and needs no grant: the virtual clock, seeded randomness,
    /// and the absence of either.
    pub fn is_inert(&self) -> bool {
        match self {
            Self::Clock(clock) => *clock <= Clock::Virtual,
            Self::Random(random) => *random <= Random::Seeded,
            _ => false,
        }
    }

    /// Whether whoever may do `self` may also do `other`.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Filesystem(a), Self::Filesystem(b)) => {
                is_below(&b.guest, &a.guest) && a.access >= b.access
            }
            (Self::Clock(a), Self::Clock(b)) => a >= b,
            (Self::Random(a), Self::Random(b)) => a >= b,
            (Self::Http(a), Self::Http(b)) => a.covers(b),
            (Self::Secrets(a), Self::Secrets(b)) => a.covers(b),
            _ => self == other,
        }
    }

    /// What both allow; `None` where that is nothing.
    pub fn meet(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Filesystem(a), Self::Filesystem(b)) => {
                let guest = if is_below(&a.guest, &b.guest) {
                    &a.guest
                } else if is_below(&b.guest, &a.guest) {
                    &b.guest
                } else {
                    return None;
                };
                Some(Self::Filesystem(Folder { guest: guest.clone(), access: a.access.min(b.access) }))
            }
            (Self::Clock(a), Self::Clock(b)) => Some(Self::Clock(*a.min(b))),
            (Self::Random(a), Self::Random(b)) => Some(Self::Random(*a.min(b))),
            (Self::Http(a), Self::Http(b)) => a.meet(b).map(Self::Http),
            (Self::Secrets(a), Self::Secrets(b)) => a.meet(b).map(Self::Secrets),
            _ => (self == other).then(|| self.clone()),
        }
    }

    /// Whether granting `self` would give away some of what `forbidden` names. For folders this
    /// looks both ways: a grant of `/data` reaches a forbidden `/data/keys`, and the reverse; and a
    /// set of requests touches every other one that it has a request in common with.
    pub fn touches(&self, forbidden: &Self) -> bool {
        match (self, forbidden) {
            (Self::Filesystem(a), Self::Filesystem(b)) => {
                a.access >= b.access && (is_below(&a.guest, &b.guest) || is_below(&b.guest, &a.guest))
            }
            (Self::Http(_), Self::Http(_)) | (Self::Secrets(_), Self::Secrets(_)) => {
                self.meet(forbidden).is_some()
            }
            _ => self.covers(forbidden),
        }
    }

    /// What it is about, without the class: `/data (read)`, `REGION`, `127.0.0.1:7`.
    pub fn value(&self) -> String {
        match self {
            Self::Filesystem(folder) => format!("{} ({})", folder.guest, folder.access),
            Self::Env(name) | Self::Kv(name) => name.clone(),
            Self::Clock(clock) => clock.to_string(),
            Self::Random(random) => random.to_string(),
            Self::Sockets(socket) => socket.to_string(),
            Self::Http(rule) => rule.to_string(),
            Self::Secrets(rule) => rule.to_string(),
        }
    }
}

/// `filesystem /data (read)`: the class and the value, the form the table holds.
impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.class(), self.value())
    }
}

/// Whether `text` is a folder as a guest can be given it: absolute, without `.`, `..`, empty
/// parts or a `/` at the end (but for the root itself), and without characters that would show as
/// something else or nothing at all.
pub fn is_guest_path(text: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || c.is_ascii_graphic() && c != '\\' || c == ' ';
    let Some(path) = text.strip_prefix('/') else { return false };
    text.len() <= MAX_GUEST_PATH
        && path.chars().all(plain)
        && (path.is_empty() || path.split('/').all(|part| !matches!(part, "" | "." | "..")))
}

/// No guest path is longer, bytes: it stands in every table, message and envelope about the tool.
const MAX_GUEST_PATH: usize = 256;

/// Whether the guest path `path` is `base` or lies below it. What is not normalised lies nowhere.
fn is_below(path: &str, base: &str) -> bool {
    if !is_guest_path(path) {
        return false;
    }
    match path.strip_prefix(base) {
        Some(rest) => rest.is_empty() || rest.starts_with('/') || base == "/",
        None => false,
    }
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
    /// Requests over HTTP.
    pub http_calls: u64,
    /// Bytes of the bodies of all those requests, and of the headers and bodies of their answers,
    /// together.
    pub http_bytes: u64,
    /// Bytes written into granted folders, where each entry that is made counts as [`Limits::ENTRY`].
    #[serde(skip_serializing_if = "Limits::is_usual_file_bytes")]
    pub file_bytes: u64,
    /// Bytes of the keys and values written into namespaces.
    #[serde(skip_serializing_if = "Limits::is_usual_kv_bytes")]
    pub kv_bytes: u64,
    /// Bytes of the keys and values that all namespaces of the tool may hold once the call is over.
    #[serde(skip_serializing_if = "Limits::is_usual_kv_held")]
    pub kv_held: u64,
}

/// What a bound counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Bytes,
    Millis,
    Times,
}

impl Limits {
    /// Each bound with the key that manifests and policies name it by.
    pub(crate) fn each(self) -> [(&'static str, u64, Unit); 10] {
        let Self {
            memory,
            fuel,
            deadline,
            output,
            logs,
            http_calls,
            http_bytes,
            file_bytes,
            kv_bytes,
            kv_held,
        } = self;
        let deadline = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        [
            ("memory", memory, Unit::Bytes),
            ("fuel", fuel, Unit::Times),
            ("deadline", deadline, Unit::Millis),
            ("output", output, Unit::Bytes),
            ("logs", logs, Unit::Bytes),
            ("http_calls", http_calls, Unit::Times),
            ("http_bytes", http_bytes, Unit::Bytes),
            ("file_bytes", file_bytes, Unit::Bytes),
            ("kv_bytes", kv_bytes, Unit::Bytes),
            ("kv_held", kv_held, Unit::Bytes),
        ]
    }

    /// What one entry of a folder counts for: some block of the disk, however empty the file.
    pub const ENTRY: u64 = 4 << 10;

    /// What stands in no table: it was the same before there was a limit.
    pub(crate) const FILE_BYTES: u64 = 64 << 20;
    pub(crate) const KV_BYTES: u64 = 8 << 20;
    pub(crate) const KV_HELD: u64 = 64 << 20;

    fn is_usual_file_bytes(bytes: &u64) -> bool {
        *bytes == Self::FILE_BYTES
    }

    fn is_usual_kv_bytes(bytes: &u64) -> bool {
        *bytes == Self::KV_BYTES
    }

    fn is_usual_kv_held(bytes: &u64) -> bool {
        *bytes == Self::KV_HELD
    }

    /// The stricter of both, bound by bound.
    pub fn min(self, other: Self) -> Self {
        Self {
            memory: self.memory.min(other.memory),
            fuel: self.fuel.min(other.fuel),
            deadline: self.deadline.min(other.deadline),
            output: self.output.min(other.output),
            logs: self.logs.min(other.logs),
            http_calls: self.http_calls.min(other.http_calls),
            http_bytes: self.http_bytes.min(other.http_bytes),
            file_bytes: self.file_bytes.min(other.file_bytes),
            kv_bytes: self.kv_bytes.min(other.kv_bytes),
            kv_held: self.kv_held.min(other.kv_held),
        }
    }
}

/// Bounds of all calls that are under way at a time. `None`: no bound but the engine's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Together {
    /// How many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<u64>,
    /// Linear memory that they may grow to, bytes: the sum of their limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
}

impl Together {
    /// The stricter of both, bound by bound.
    pub fn min(self, other: Self) -> Self {
        let least = |one: Option<u64>, other: Option<u64>| match (one, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Self { calls: least(self.calls, other.calls), memory: least(self.memory, other.memory) }
    }

    /// Whether nothing is bounded.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
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

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pure => "pure",
            Self::Idempotent => "idempotent",
            Self::External => "external",
        })
    }
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
    pub(crate) http: BTreeSet<HttpRule>,
    pub(crate) secrets: BTreeSet<SecretRule>,
    /// Full names of the imports that become traps.
    pub(crate) stubbed: BTreeSet<String>,
    pub(crate) limits: Limits,
    pub(crate) together: Together,
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

    /// Granted requests over HTTP.
    pub fn http(&self) -> &BTreeSet<HttpRule> {
        &self.http
    }

    /// Granted secrets, without their values.
    pub fn secrets(&self) -> &BTreeSet<SecretRule> {
        &self.secrets
    }

    /// Imports that are linked as traps.
    pub fn stubbed(&self) -> &BTreeSet<String> {
        &self.stubbed
    }

    /// Whether something outside of the host's own store can be changed through them, whoever
    /// vouches for what. A request over HTTP can carry an idempotency key, so there an operator's
    /// word counts.
    pub fn reaches_out(&self) -> bool {
        let writes = self.filesystem.iter().any(|grant| grant.folder.access == Access::Write);
        writes || !self.sockets.is_empty()
    }

    /// The bounds of each call.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The same authority within bounds that are stricter, or the same.
    #[must_use]
    pub fn within(&self, limits: Limits) -> Self {
        Self { limits: self.limits.min(limits), ..self.clone() }
    }

    /// The bounds of all calls that are under way while one of these is.
    pub fn together(&self) -> Together {
        self.together
    }
}

#[cfg(test)]
mod tests;
