//! What a folder of programs comes to: every program, every tool, what each is granted there, and what of
//! that is for a person to look at. Builds tools where that is due and allowed; runs none. Knows nothing of
//! how it is shown.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nanohost_core::review::{self, Reviewed, Surveyed};
use nanohost_core::signature::Signed;
use nanohost_core::{
    Capability, Diagnostic, Diagnostics, Digest, Manifest, Policy, PublicKey, Refusal, ToolName, Trust, admit,
};
use nanohost_sandbox::Engine;

use crate::cli::{PackageArgs, ProgramArgs};
use crate::commands::surroundings;
use crate::console::{Progress, program_name};
use crate::failure::Failure;
use crate::ledger;
use crate::prepare::{self, Prepared};
use crate::project::{self, MANIFEST, Places, quoted};
use crate::tool::{Failed, Standing, package};

/// All of a folder.
#[derive(Debug, Default)]
pub struct Audit {
    /// The programs, by their files.
    pub programs: Vec<Program>,
    /// The tools, by their folders: those that programs use, and those that lie there and nobody uses.
    pub tools: BTreeMap<PathBuf, Tool>,
    /// What is for a person to look at, each once.
    pub findings: Vec<Finding>,
}

/// A program.
#[derive(Debug)]
pub struct Program {
    /// Its file.
    pub path: PathBuf,
    /// What it calls itself; `None`: it, or what it needs, cannot be read.
    pub name: Option<String>,
    /// Whether it would run; `None`: it cannot be said.
    pub admitted: Option<bool>,
    /// Whether its tools are pinned.
    pub pinned: Pinned,
    /// The files of the policies that judge it.
    pub policies: Vec<PathBuf>,
    /// Its tools, by its names of them.
    pub uses: Vec<Use>,
}

/// Whether what a program uses is what somebody looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pinned {
    /// There is a lock, and it fits.
    Yes,
    /// There is no lock.
    No,
    /// There is a lock, and it is for something else, or cannot be read.
    Differs,
}

impl Pinned {
    /// The word for JSON and for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "pinned",
            Self::No => "not-pinned",
            Self::Differs => "differs",
        }
    }
}

/// A tool of a program.
#[derive(Debug)]
pub struct Use {
    /// The program's name of it.
    pub local: ToolName,
    /// Its folder.
    pub dir: PathBuf,
    /// What it is granted there. Nothing of it holds where the program is refused.
    pub granted: Vec<String>,
    /// What of its imports would be a trap.
    pub stubbed: Vec<String>,
    /// What has to hold for every call.
    pub require: Vec<String>,
}

/// A tool.
#[derive(Debug)]
pub struct Tool {
    /// Its own name.
    pub name: ToolName,
    /// Its version.
    pub version: String,
    /// What it does, in its author's words.
    pub description: Option<String>,
    /// Its functions, with what each does, in its author's words.
    pub functions: BTreeMap<String, Option<String>>,
    /// What it asks for.
    pub asks: Vec<String>,
    /// Digest of its component; `None`: nobody uses it, so that it was not looked into.
    pub component: Option<Digest>,
    /// Digest of its manifest.
    pub manifest: Digest,
    /// Whose word there is for it.
    pub standing: Standing,
}

/// Something for a person to look at.
#[derive(Debug)]
pub struct Finding {
    /// What.
    pub finding: Diagnostic,
    /// The program in which it was found; `None`: in a policy or a tool by itself.
    pub program: Option<PathBuf>,
}

impl Audit {
    /// Looks at all programs and tools in and below a folder. `packages`: where those come from.
    ///
    /// # Errors
    /// Where the folder cannot be read. What is wrong with a program or a tool is a finding.
    pub fn of(
        folders: &[PathBuf],
        packages: &PackageArgs,
        places: &Places,
        engine: &Engine,
        progress: &Progress,
    ) -> anyhow::Result<Self> {
        let mut audit = Self::default();
        let programs = project::programs_in(folders)?;
        let mut policies: BTreeMap<PathBuf, Policy> = BTreeMap::new();
        for (at, path) in programs.iter().enumerate() {
            progress.stage(&format!("program {} of {}", at + 1, programs.len()));
            let program = audit.program(path, packages, &mut policies, places, engine, progress)?;
            audit.programs.push(program);
        }
        progress.clear();
        for (path, policy) in &policies {
            audit.policy(path, policy, places);
        }
        audit.others(folders, places)?;
        audit.once();
        Ok(audit)
    }

    fn found(&mut self, findings: impl IntoIterator<Item = Diagnostic>, program: Option<&Path>) {
        let program = program.map(Path::to_owned);
        let each = findings.into_iter().map(|finding| Finding { finding, program: program.clone() });
        self.findings.extend(each);
    }

    fn program(
        &mut self,
        path: &Path,
        packages: &PackageArgs,
        policies: &mut BTreeMap<PathBuf, Policy>,
        places: &Places,
        engine: &Engine,
        progress: &Progress,
    ) -> anyhow::Result<Program> {
        let args =
            ProgramArgs { program: path.to_owned(), packages: packages.clone(), ..ProgramArgs::default() };
        let mut program = Program {
            path: path.to_owned(),
            name: None,
            admitted: None,
            pinned: Pinned::No,
            policies: Vec::new(),
            uses: Vec::new(),
        };
        let prepared = match Prepared::read(&args, places, engine, progress) {
            Ok(prepared) => prepared,
            Err(error) => {
                self.found(error.downcast::<Failure>()?.findings, Some(path));
                return Ok(program);
            }
        };
        program.name = Some(prepared.program.name().to_owned());
        for (policy, layer) in prepared.policy.each() {
            if let Some(layer) = layer {
                program.policies.push(layer.path.clone());
                policies.entry(layer.path.clone()).or_insert_with(|| policy.clone());
            }
        }
        self.found(prepared.warnings.iter().cloned(), Some(path));
        program.pinned = self.pinned(path, &prepared)?;

        let keys = publishers(&prepared.policy.policies);
        for tool in prepared.tools.values() {
            self.tool(tool, &keys);
        }
        let admission = prepared.admission(ledger::now());
        let survey = review::survey(&admission);
        program.uses = uses(&prepared, &survey.tools);
        match admit(admission) {
            Ok(plan) => {
                program.admitted = Some(true);
                self.found(plan.warnings().iter().cloned(), Some(path));
            }
            Err(Refusal::Denied(denied)) => {
                program.admitted = Some(false);
                self.found(denied.diagnostics(), Some(path));
            }
            Err(Refusal::Invalid(findings)) => {
                program.admitted = Some(false);
                self.found(findings, Some(path));
            }
        }
        Ok(program)
    }

    /// Whether the lock beside a program fits what is there.
    fn pinned(&mut self, path: &Path, prepared: &Prepared) -> anyhow::Result<Pinned> {
        let remedy = format!("{} update {}", program_name(), quoted(path));
        let lock = match project::read_lock(path) {
            Ok(lock) => lock,
            Err(error) => {
                self.found(error.downcast::<Failure>()?.findings, Some(path));
                return Ok(Pinned::Differs);
            }
        };
        let Some(lock) = lock else {
            if !prepared.tools.is_empty() {
                let names: Vec<String> = prepared.tools.keys().map(|name| format!("`{name}`")).collect();
                let message =
                    format!("nothing pins {}: whoever changes them changes the program", names.join(", "));
                let finding = Diagnostic::warning("unpinned_tools", message)
                    .at(prepared.program.source(), 0..0)
                    .help(format!("read what they are, and pin them: {remedy}"));
                self.found([finding], Some(path));
            }
            return Ok(Pinned::No);
        };
        match prepare::pins(&prepared.program, &prepared.tools) {
            Ok(pins) => {
                let mismatches = lock.check(&pins, &remedy);
                let fits = mismatches.is_empty();
                self.found(mismatches, Some(path));
                Ok(if fits { Pinned::Yes } else { Pinned::Differs })
            }
            Err(error) => {
                self.found(error.downcast::<Failure>()?.findings, Some(path));
                Ok(Pinned::Differs)
            }
        }
    }

    /// A tool that a program uses.
    fn tool(&mut self, tool: &prepare::PreparedTool, keys: &[(String, PublicKey)]) {
        let (manifest, facts) = (&tool.manifest, tool.loaded.facts());
        let signature = tool.signature.clone().map(Ok);
        let standing = package::standing(signature.as_ref(), manifest, facts, keys);
        self.found(review::lint_tool(Reviewed { manifest: Some(manifest), facts }), None);
        self.standing(&standing, manifest);
        let seen = Tool { component: Some(facts.component), ..described(manifest, standing) };
        self.tools.insert(tool.folder.dir.clone(), seen);
    }

    /// Whose word there is for a tool, where it is nobody's.
    fn standing(&mut self, standing: &Standing, manifest: &Manifest) {
        let finding = match standing {
            Standing::Verified { .. } => return,
            Standing::NotSigned => Diagnostic::warning(
                "tool_not_signed",
                format!("nobody signed the tool `{}`", manifest.name()),
            )
            .help(
                "of others' tools, get a package that its publisher signed; of your own, make one and sign it: nanohost tool \
                 build DIR --out PACKAGE, nanohost tool sign PACKAGE",
            ),
            Standing::Failed(Failed::UnknownKey(key)) => Diagnostic::warning(
                "tool_not_signed",
                format!("nobody known here signed the tool `{}`: its key is {key}", manifest.name()),
            )
            .help("find out whose key it is; if you take their tools, name it below [publishers] of the policy"),
            Standing::Failed(Failed::Fault(fault)) => Diagnostic::error(
                "signature_failed",
                format!("the signature of the tool `{}` is not good: {fault}", manifest.name()),
            )
            .help("get the package again from its publisher; of a tool of your own, sign it again"),
        };
        self.found([finding.at(manifest.source(), 0..0)], None);
    }

    /// A policy that judges some of the programs.
    fn policy(&mut self, path: &Path, policy: &Policy, places: &Places) {
        // What it is for are all programs of its project, whether or not they were asked for; a policy of
        // the machine or the user is for others as well.
        let is_of_project = path.ends_with(Path::new("policies/local.toml"));
        let mut passed_by = Diagnostics::new();
        let beside = is_of_project.then(|| project::programs_beside(path).ok()).flatten();
        let around = beside.map(|programs| surroundings(&programs, places, &mut passed_by));
        // One that cannot be held against it could be the one that needs a row.
        let around = around.filter(|around| passed_by.is_empty() && !around.uses.is_empty());
        self.found(review::lint(policy, around.as_ref(), ledger::now()), None);
    }

    /// Tools that lie there and that no program here uses.
    fn others(&mut self, folders: &[PathBuf], places: &Places) -> anyhow::Result<()> {
        for path in project::files_in(folders, MANIFEST)? {
            let named = path.file_name().is_some_and(|name| name == MANIFEST);
            let Some(dir) = path.parent().filter(|_| named) else { continue };
            let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
            if self.tools.contains_key(&dir) {
                continue;
            }
            // Other software calls its files so too.
            let Ok(folder) = project::in_folder(&dir) else { continue };
            match Manifest::parse(Arc::clone(&folder.manifest)) {
                Ok(manifest) => {
                    let signature = match project::signature(&dir) {
                        Ok(signature) => signature,
                        Err(error) => {
                            self.found(error.downcast::<Failure>()?.findings, None);
                            continue;
                        }
                    };
                    let standing = match &signature {
                        None => Standing::NotSigned,
                        Some(Err(fault)) => Standing::Failed(Failed::Fault(*fault)),
                        Some(Ok(signed)) => by_manifest(signed, &manifest, &dir, places),
                    };
                    if let Standing::Failed(Failed::Fault(_)) = &standing {
                        self.standing(&standing, &manifest);
                    }
                    self.tools.insert(dir, described(&manifest, standing));
                }
                Err(findings) => self.found(findings, None),
            }
        }
        Ok(())
    }

    /// Whether a program uses the tool of a folder.
    pub fn is_used(&self, dir: &Path) -> bool {
        self.programs.iter().flat_map(|program| &program.uses).any(|own| own.dir == dir)
    }

    /// Each finding once: several programs use one tool.
    fn once(&mut self) {
        let mut seen = BTreeSet::new();
        self.findings.retain(|own| {
            let of = own.program.clone().filter(|_| own.finding.source.is_none());
            seen.insert((own.finding.code, own.finding.place(), own.finding.message.clone(), of))
        });
        self.findings.sort_by_key(|own| std::cmp::Reverse(own.finding.severity));
    }
}

/// Whose word there is for a tool whose component nobody looked into: nobody's before it is used.
fn by_manifest(signed: &Signed, manifest: &Manifest, dir: &Path, places: &Places) -> Standing {
    let key = signed.key_id();
    let unknown = Standing::Failed(Failed::UnknownKey(key));
    if signed.statement().manifest != manifest.digest() {
        return Standing::Failed(Failed::Fault(nanohost_core::signature::PackageFault::OtherManifest));
    }
    let component = project::in_folder(dir).ok().and_then(|own| {
        let bytes = prepare::component_bytes(own.component_path()).ok()?;
        Some(Digest::of(&bytes))
    });
    if component != Some(signed.statement().component) {
        return Standing::Failed(Failed::Fault(nanohost_core::signature::PackageFault::OtherComponent));
    }
    let keys = package::publishers(dir, places).unwrap_or_default();
    match keys.into_iter().find(|(_, own)| own.key_id() == key) {
        Some((publisher, own)) if signed.by(&own).is_ok() => Standing::Verified { publisher, key },
        _ => unknown,
    }
}

/// The keys that trusted policies name.
fn publishers(policies: &[Policy]) -> Vec<(String, PublicKey)> {
    let trusted = policies.iter().filter(|policy| *policy.trust() == Trust::Trusted);
    let named = trusted.flat_map(Policy::publishers);
    named.flat_map(|(name, keys)| keys.iter().map(|key| (name.to_owned(), key.clone()))).collect()
}

fn described(manifest: &Manifest, standing: Standing) -> Tool {
    let functions = manifest.functions();
    Tool {
        name: manifest.name().clone(),
        version: manifest.version().to_owned(),
        description: manifest.description().map(str::to_owned),
        functions: functions.iter().map(|(name, own)| (name.to_owned(), own.description.clone())).collect(),
        asks: manifest
            .asks()
            .iter()
            .filter(|ask| ask.span.is_some())
            .map(|ask| ask.capability.to_string())
            .collect(),
        component: None,
        manifest: manifest.digest(),
        standing,
    }
}

fn uses(prepared: &Prepared, surveyed: &[Surveyed]) -> Vec<Use> {
    let each = prepared.tools.iter().map(|(local, tool)| {
        let own = surveyed.iter().find(|own| own.local == *local);
        Use {
            local: local.clone(),
            dir: tool.folder.dir.clone(),
            granted: own
                .map(|own| own.granted.iter().map(Capability::to_string).collect())
                .unwrap_or_default(),
            stubbed: own.map(|own| own.stubbed.clone()).unwrap_or_default(),
            require: own.map(|own| own.require.clone()).unwrap_or_default(),
        }
    });
    each.collect()
}
