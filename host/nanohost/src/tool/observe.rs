//! What a tool really uses, found by calling it as its cases say: granted next to nothing at first, then what it
//! was refused, until it is refused nothing new. What was granted and not used is left out again. Touches
//! nothing real: see [`trial`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use nanohost_core::cases::ToolCase;
use nanohost_core::{
    Access, Capability, Class, Folder, HttpRule, HttpTarget, Import, Manifest, Socket, Source,
    capability_lines, classify,
};
use nanohost_sandbox::{CallReport, Engine, Outcome, Refusal};

use super::draft::Measured;
use super::{Package, trial};
use crate::failure::Failure;

/// Each round grants what the one before was refused. A tool that wants something new each time it is given
/// what it wanted has no end.
const MAX_ROUNDS: usize = 16;

/// Linked with next to nothing, an interface is there, and what is asked of it is refused and recorded.
const NEXT_TO_NOTHING: &str = r#"
    kv = ["nothing.granted"]
    sockets = [{ address = "192.0.2.1", port = 9 }]
    http = [{ host = "nothing.invalid", methods = ["OPTIONS"], path = "/" }]
    secrets = [{ name = "nothing.granted", header = "X-Nothing", host = "nothing.invalid", methods = ["OPTIONS"], path = "/" }]
"#;

/// The whole of a guest's file system, which is empty: what it looks for shows in what it asks.
const ROOT: &str = "/";

/// What was found.
#[derive(Debug, Default)]
pub struct Observed {
    /// What it used, or would have.
    pub asks: Vec<Capability>,
    /// Classes that it imports and did not use.
    pub unused: BTreeSet<Class>,
    /// What it wanted and no manifest can ask for, or not without knowing more.
    pub refused: BTreeSet<String>,
    /// The most that a call took.
    pub measured: Measured,
    /// How many cases were called.
    pub cases: usize,
}

/// What is granted in one round.
#[derive(Debug, Clone, Default, PartialEq)]
struct Round {
    folders: BTreeMap<String, Access>,
    env: BTreeSet<String>,
    kv: BTreeSet<String>,
    http: BTreeSet<HttpRule>,
    sockets: BTreeSet<Socket>,
    /// As the manifest asks for them: where a secret goes nobody can see from a refusal.
    secrets: Vec<Capability>,
}

/// Calls a tool as `cases` say, each with the folder that its paths are from.
///
/// # Errors
/// As [`trial::call`].
pub async fn observe(
    package: &Package,
    cases: &[(ToolCase, PathBuf)],
    engine: &Engine,
) -> anyhow::Result<Observed> {
    let mut round = Round::default();
    for (case, _) in cases {
        round.folders.extend(case.folders.keys().map(|guest| (guest.clone(), Access::Read)));
        round.env.extend(case.env.keys().cloned());
        round.kv.extend(case.kv.keys().chain(case.kv_after.keys()).cloned());
    }
    let asks = package.manifest.iter().flat_map(Manifest::asks).map(|ask| &ask.capability);
    round.secrets = asks.filter(|own| own.class() == Class::Secrets).cloned().collect();
    let mut reports = Vec::new();
    for _ in 0..MAX_ROUNDS {
        reports = called(package, &round, cases, engine).await?;
        let mut next = round.clone();
        reports.iter().for_each(|report| next.grant(report));
        if next == round {
            break;
        }
        round = next;
    }
    Ok(round.found(package, &reports, cases.len()))
}

/// One call for each case.
async fn called(
    package: &Package,
    round: &Round,
    cases: &[(ToolCase, PathBuf)],
    engine: &Engine,
) -> anyhow::Result<Vec<CallReport>> {
    let manifest = round.manifest(package)?;
    let mut reports = Vec::new();
    for (case, folder) in cases {
        let tried = trial::call(package, &manifest, case, folder, engine).await?;
        reports.extend(tried.report);
    }
    Ok(reports)
}

impl Round {
    /// What is granted, as capabilities.
    fn capabilities(&self) -> Vec<Capability> {
        let folders = self
            .folders
            .iter()
            .map(|(guest, access)| Capability::Filesystem(Folder { guest: guest.clone(), access: *access }));
        folders
            .chain(self.env.iter().cloned().map(Capability::Env))
            .chain(self.kv.iter().cloned().map(Capability::Kv))
            .chain(self.sockets.iter().copied().map(Capability::Sockets))
            .chain(self.http.iter().cloned().map(Capability::Http))
            .chain(self.secrets.iter().cloned())
            .collect()
    }

    /// A manifest that asks for that, and for next to nothing of everything else, within wide limits.
    fn manifest(&self, package: &Package) -> anyhow::Result<Manifest> {
        let nothing = format!("name = \"a\"\nversion = \"0\"\n[capabilities]\n{NEXT_TO_NOTHING}");
        let nothing = Manifest::parse(Source::new("nothing.toml", nothing)).map_err(Failure::usage)?;
        // First: of a list that ends with it nothing else would be left.
        let mut all = vec![Capability::Filesystem(Folder { guest: ROOT.to_owned(), access: Access::Read })];
        all.extend(self.capabilities());
        all.extend(nothing.asks().iter().map(|ask| ask.capability.clone()).filter(|own| !own.is_inert()));
        let name = package.manifest.as_ref().map_or("observed", |own| own.name().as_str());
        let text = format!(
            "name = \"{name}\"\nversion = \"0\"\n[capabilities]\n{}[limits]\nmemory = \"1GiB\"\nfuel = 100_000_000_000\n\
             deadline = \"60s\"\noutput = \"16MiB\"\nlogs = \"1MiB\"\nhttp_calls = 1_000\nhttp_bytes = \"64MiB\"\n",
            capability_lines(&all)
        );
        Manifest::parse(Source::new("observed.toml", text)).map_err(Failure::usage)
    }

    /// Grants what a call was refused.
    fn grant(&mut self, report: &CallReport) {
        for refusal in &report.denied {
            match refusal.class {
                Class::Kv => drop(self.kv.insert(refusal.value.clone())),
                Class::Http => self.http.extend(rule_of(refusal)),
                Class::Filesystem => {
                    // What is refused in a folder that may be read is writing.
                    if let Some(guest) = self.folder_of(&refusal.value).map(str::to_owned) {
                        self.folders.insert(guest, Access::Write);
                    }
                }
                _ => {}
            }
        }
        // What it looks for in the empty whole lies in a folder that nobody gave it.
        for path in report.answers.paths() {
            if self.folder_of(path).is_none()
                && let Some(folder) = Path::new(path).parent().and_then(Path::to_str)
                && folder != ROOT
                && nanohost_core::is_guest_path(folder)
            {
                self.folders.insert(folder.to_owned(), Access::Read);
            }
        }
    }

    /// The granted folder that a guest's path lies in.
    fn folder_of(&self, path: &str) -> Option<&str> {
        // A way out of a folder lies in none.
        if path.split('/').any(|part| part == "..") {
            return None;
        }
        let folders = self.folders.keys().filter(|guest| Path::new(path).starts_with(guest));
        folders.max_by_key(|guest| guest.len()).map(String::as_str)
    }

    /// What of it was used.
    fn found(&self, package: &Package, reports: &[CallReport], cases: usize) -> Observed {
        let used: BTreeSet<(Class, &str)> = reports
            .iter()
            .flat_map(|report| &report.used)
            .filter(|own| own.operations > 0)
            .map(|own| (own.class, own.scope.as_str()))
            .collect();
        let is_used = |own: &Capability| match own {
            Capability::Filesystem(folder) => used.contains(&(Class::Filesystem, folder.guest.as_str())),
            Capability::Secrets(_) => package.manifest.is_some(),
            Capability::Env(name) | Capability::Kv(name) => used.contains(&(own.class(), name.as_str())),
            other => used.contains(&(other.class(), other.value().as_str())),
        };
        let mut asks: Vec<Capability> = self.capabilities().into_iter().filter(is_used).collect();
        let mut refused = BTreeSet::new();
        for refusal in reports.iter().flat_map(|report| &report.denied) {
            match refusal.value.parse() {
                Ok(address) if refusal.class == Class::Sockets && refusal.operation == "connect" => {
                    let address: std::net::SocketAddr = address;
                    let socket = Socket { address: address.ip(), port: address.port() };
                    if !asks.contains(&Capability::Sockets(socket)) {
                        asks.push(Capability::Sockets(socket));
                    }
                }
                _ => drop(refused.insert(trial::shown(refusal))),
            }
        }
        let asked: BTreeSet<Class> = asks.iter().map(Capability::class).collect();
        let unused =
            imported(&package.loaded.facts().imports).filter(|class| !asked.contains(class)).collect();
        let mut measured = Measured::default();
        reports.iter().for_each(|report| measured.add(report));
        Observed { asks, unused, refused, measured, cases }
    }
}

/// Classes of authority that the component imports.
pub fn imported(imports: &[Import]) -> impl Iterator<Item = Class> {
    imports.iter().filter_map(|import| match classify(import) {
        nanohost_core::Classified::Authority(class) => Some(class),
        _ => None,
    })
}

/// The rule for exactly the request that was refused.
fn rule_of(refusal: &Refusal) -> Option<HttpRule> {
    if refusal.operation != "request" {
        return None;
    }
    let (method, url) = refusal.value.split_once(' ')?;
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find('/')?);
    HttpTarget::parse(method, scheme, authority, path).ok()?;
    let text = format!(
        "name = \"a\"\nversion = \"0\"\n[capabilities]\nhttp = [{{ scheme = \"{scheme}\", methods = [\"{method}\"], {}, path = {} }}]\n",
        host_and_port(authority),
        toml::Value::String(path.to_owned()),
    );
    let manifest = Manifest::parse(Source::new("refused.toml", text)).ok()?;
    manifest.asks().iter().find_map(|ask| match &ask.capability {
        Capability::Http(rule) => Some(rule.clone()),
        _ => None,
    })
}

/// As a rule writes them.
fn host_and_port(authority: &str) -> String {
    let port = authority.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let (host, port) = port.map_or((authority, None), |(host, port)| (host, Some(port)));
    let host = toml::Value::String(host.to_owned());
    port.map_or(format!("host = {host}"), |port| format!("host = {host}, port = {port}"))
}

/// The result of a call as bytes.
pub fn output_bytes(report: &CallReport) -> u64 {
    match &report.outcome {
        Outcome::Success(value) | Outcome::ToolError(value) => value.to_string().len() as u64,
        Outcome::Failure(failure) => failure.message.len() as u64,
        Outcome::Fault(_) => 0,
    }
}

#[cfg(test)]
mod tests;
