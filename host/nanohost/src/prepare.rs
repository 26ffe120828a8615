//! From a program's file to its admission: reads every file once, builds what is missing, loads
//! components, asks the policy. Nothing of a tool runs here.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use nanohost_core::Access;
use nanohost_core::lock::Pins;
use nanohost_core::signature::Signed;
use nanohost_core::{
    Admission, CheckedProgram, Diagnostic, Diagnostics, Digest, Format, Manifest, Offer, Plan, Program,
    ProgramClass, SecretRule, StepKind, Timestamp, ToolName, ToolOrigin, ToolUse, Trust,
};
use nanohost_sandbox::{CodeCache, CodeSource, Engine, LoadError, Loaded, SecretValues, Tool};
use nanohost_store::{Secrets, code_key};

use crate::cli::ProgramArgs;
use crate::compiling::compiler;
use crate::console::Progress;
use crate::console::program_name;
use crate::failure::{Exit, Failure};
use crate::model::{SCRIPTED, Scripted};
use crate::project::{
    self, BuildEvent, ControlPaths, FoundPolicy, Freshness, Places, ToolFolder, TrustedRoots, WriteGrant,
    check_write_grants, quoted,
};
use crate::registry::{self, Reach};
use crate::store_failure;

/// No component is larger; the sandbox refuses it too, after it was read.
const MAX_COMPONENT: u64 = 32 << 20;

/// Everything that was read to decide about a program.
pub struct Prepared {
    /// The program.
    pub program: Arc<CheckedProgram>,
    /// The policy in force.
    pub policy: FoundPolicy,
    /// The tools by their local names.
    pub tools: BTreeMap<ToolName, PreparedTool>,
    /// What is worth knowing and refuses nothing.
    pub warnings: Diagnostics,
    control: ControlPaths,
    secrets: Secrets,
}

/// A tool's folder, manifest and compiled component.
pub struct PreparedTool {
    /// Where it lies.
    pub folder: ToolFolder,
    /// What its author asks for.
    pub manifest: Manifest,
    /// What it is.
    pub loaded: Loaded,
    /// What its publisher signed, where somebody did.
    pub signature: Option<Signed>,
}

/// Reads and checks a program.
pub fn program(path: &Path) -> anyhow::Result<(CheckedProgram, Diagnostics)> {
    parsed(path)?.check().map_err(Failure::usage)
}

/// Reads a program whose graph nobody has looked at.
pub fn parsed(path: &Path) -> anyhow::Result<Program> {
    let source = project::read_source(path, "the program")?;
    let format = Format::of_name(&source.name);
    Program::parse(source, format).map_err(Failure::usage)
}

/// A program and what stands behind its names of tools, whoever grants what.
pub struct Behind {
    /// The program.
    pub program: Arc<CheckedProgram>,
    /// The tools by their local names.
    pub tools: BTreeMap<ToolName, PreparedTool>,
    /// What is worth knowing and refuses nothing.
    pub warnings: Diagnostics,
}

impl Behind {
    /// Reads a program and its tools. Builds them where that is due and allowed.
    pub fn read(
        args: &ProgramArgs,
        places: &Places,
        engine: &Engine,
        progress: &Progress,
    ) -> anyhow::Result<Self> {
        let (program, warnings) = program(&args.program)?;
        let program = program.of_class(args.class);
        Self::of(Arc::new(program), warnings, args, places, engine, progress)
    }

    /// Reads the tools of a program that was read before, as if it lay where `args` say.
    pub fn of(
        program: Arc<CheckedProgram>,
        mut warnings: Diagnostics,
        args: &ProgramArgs,
        places: &Places,
        engine: &Engine,
        progress: &Progress,
    ) -> anyhow::Result<Self> {
        if args.class.is_saved() {
            own_places(&program)?;
        }
        let folders = locate(&program, args, &Reach::new(places, &args.packages, progress))?;
        if args.class.is_saved() {
            // Nothing that a client asks for starts a compiler on the operator's machine.
            unbuilt(&folders)?;
        }
        build(&folders.values().cloned().collect::<Vec<_>>(), places, progress)?;
        progress.stage("loading tools");
        let tools = load(folders, &loading(engine, places, &mut warnings)?)?;
        warnings.extend(rejected_code(&tools));
        progress.clear();
        Ok(Self { program, tools, warnings })
    }
}

/// That a program whose author is no operator names no place: no folder, package or file of the machine
/// that runs it. Its tools are those that the operator offers by name.
///
/// # Errors
/// `saved_origin`, with each place that it names.
pub fn own_places(program: &CheckedProgram) -> anyhow::Result<()> {
    let mut findings = Diagnostics::new();
    let help = "write the tool's name for `path`, such as `path = \"text-digest\"`: the operator says which there are";
    let placed = program.tools().unwrap_or_default().iter().filter(|tool| offered_name(tool).is_none());
    for tool in placed {
        let message = format!("a saved program cannot say where the tool `{}` comes from", tool.local);
        findings.push(
            Diagnostic::error("saved_origin", message).at(program.source(), tool.span.clone()).help(help),
        );
    }
    if program.scripted().is_some() {
        let message = "a saved program cannot name a file of answers of the scripted model";
        findings.push(
            Diagnostic::error("saved_origin", message)
                .help("name a model of the operator's by its alias, or decide by conditions"),
        );
    }
    if findings.is_empty() { Ok(()) } else { Err(Failure::usage(findings)) }
}

/// The name that a row of a saved program gives for a place: one of the tools that the operator offers.
fn offered_name(tool: &ToolUse) -> Option<ToolName> {
    match &tool.origin {
        ToolOrigin::Path(path) => ToolName::new(path).ok(),
        ToolOrigin::Package { .. } => None,
    }
}

/// The tool of a name, where the operator has it; to whom a saved program belongs it is not said where they
/// looked.
fn offered(args: &ProgramArgs, name: &ToolName) -> anyhow::Result<ToolFolder> {
    let found = project::by_name(args.tools.as_deref(), &args.program, name);
    match found {
        Err(error) if args.class.is_saved() => {
            let is_unknown =
                |failure: &Failure| failure.findings.iter().all(|own| own.code == "unknown_tool");
            match error.downcast::<Failure>() {
                Ok(failure) if is_unknown(&failure) => {
                    let message = format!("the operator offers no tool `{name}`");
                    let help = "use the name of one that they do";
                    Err(Failure::usage(Diagnostic::error("unknown_tool", message).help(help)))
                }
                Ok(failure) => Err(failure.into()),
                Err(error) => Err(error),
            }
        }
        found => found,
    }
}

/// That all tools are built.
fn unbuilt(folders: &BTreeMap<ToolName, ToolFolder>) -> anyhow::Result<()> {
    let due = folders.iter().filter(|(_, folder)| !matches!(folder.freshness(), Freshness::Fresh));
    let findings: Diagnostics = due
        .map(|(name, _)| {
            let message = format!("the tool `{name}` is not built, or changed since");
            Diagnostic::error("unbuilt_tool", message).help("ask the operator to build it")
        })
        .collect();
    if findings.is_empty() { Ok(()) } else { Err(Failure::usage(findings)) }
}

/// What a lock of the program would pin now.
pub fn pins(program: &CheckedProgram, tools: &BTreeMap<ToolName, PreparedTool>) -> anyhow::Result<Pins> {
    Pins::of(program, &offers(tools)).map_err(Failure::usage)
}

/// What tools offer to an admission.
pub fn offers(tools: &BTreeMap<ToolName, PreparedTool>) -> Vec<Offer> {
    let offers = tools.iter().map(|(local, tool)| Offer {
        local: local.clone(),
        manifest: tool.manifest.clone(),
        facts: tool.loaded.facts().clone(),
        signature: tool.signature.clone(),
    });
    offers.collect()
}

impl Prepared {
    /// Reads a program and everything around it. Builds tools where that is due and allowed.
    pub fn read(
        args: &ProgramArgs,
        places: &Places,
        engine: &Engine,
        progress: &Progress,
    ) -> anyhow::Result<Self> {
        let policy = match args.class {
            ProgramClass::Vetted => project::find(args.policy.as_deref(), &args.program, places)?,
            // Where it lies says nothing: whatever policy lies above the store is not about it.
            ProgramClass::Saved | ProgramClass::Unsaved => {
                project::find_named(args.policy.as_deref(), places)?
            }
        };
        let Behind { program, tools, warnings: found } = Behind::read(args, places, engine, progress)?;
        let mut warnings = policy.findings.clone();
        warnings.extend(found);
        let mut control = ControlPaths::new(places);
        control.program(&args.program);
        policy.layers.iter().for_each(|layer| control.policy(&layer.path));
        tools.values().for_each(|tool| control.tool(&tool.folder));
        if let Some(file) = program.scripted() {
            control.file("the model's answers", &args.program.parent().unwrap_or(Path::new("")).join(file));
        }
        Ok(Self { program, policy, tools, warnings, control, secrets: places.secrets() })
    }

    /// The same, of a program that nobody has begun to run: where a lock lies beside it, its tools are
    /// what the lock pins. A run that goes on is bound by its evidence instead, whose table holds the
    /// same digests, and the components' as well.
    pub fn read_pinned(
        args: &ProgramArgs,
        places: &Places,
        engine: &Engine,
        progress: &Progress,
    ) -> anyhow::Result<Self> {
        let lock = project::read_lock(&args.program)?;
        let remedy = format!("{} update {}", program_name(), quoted(&args.program));
        if lock.is_none() && args.locked {
            let path = project::lock_path(&args.program);
            return Err(Failure::usage(
                Diagnostic::error(
                    "lock_missing",
                    format!("--locked wants what is pinned, and there is no {}", path.display()),
                )
                .help(format!("write it, and read it: {remedy}")),
            ));
        }
        let prepared = Self::read(args, places, engine, progress)?;
        if let Some(lock) = lock {
            let pins = pins(&prepared.program, &prepared.tools)?;
            let mismatches = lock.check(&pins, &remedy);
            if !mismatches.is_empty() {
                return Err(Failure::usage(mismatches));
            }
        }
        Ok(prepared)
    }

    /// What the policy is asked.
    pub fn admission(&self, today: Timestamp) -> Admission {
        Admission {
            program: Arc::clone(&self.program),
            offers: offers(&self.tools),
            policies: self.policy.policies.clone(),
            today,
        }
    }

    /// Links every row of the table: the only way from grants to something that can be called.
    ///
    /// Where a granted folder really lies is judged of the folder that was opened, whatever links
    /// lead there: no write grant may reach what decides about grants, and no grant of a stranger's
    /// policy leads out of its project.
    pub fn link(&self, plan: &Plan, engine: &Engine) -> anyhow::Result<HashMap<ToolName, Arc<Tool>>> {
        let mut linked = HashMap::new();
        let mut findings = Diagnostics::new();
        for row in plan.rows() {
            let tool = self.tools.get(&row.local).context("every row comes from an offer")?;
            match engine.link(&tool.loaded, &row.grants, &row.export.path()) {
                Ok(tool) => {
                    let values = self.secrets_of(&row.local, row.grants.secrets(), &mut findings)?;
                    linked.insert(row.local.clone(), Arc::new(tool.with_secrets(values)));
                }
                Err(error) => {
                    let message = format!("`{}` cannot be linked: {error}", row.local);
                    findings.push(Diagnostic::error(error.code(), message).help(
                        "granted folders must exist; the policy's [folders] says where they lie on this machine",
                    ));
                }
            }
        }
        if !findings.is_empty() {
            return Err(Failure::usage(findings));
        }
        self.check_found(&linked)?;
        let writes: Vec<WriteGrant<'_>> = linked
            .iter()
            .flat_map(|(local, tool)| tool.folders().map(move |folder| (local, folder)))
            .filter(|(_, folder)| folder.access == Access::Write)
            .map(|(local, folder)| WriteGrant { tool: local.as_str(), host: &folder.path })
            .collect();
        check_write_grants(&writes, &self.control)?;
        Ok(linked)
    }

    /// The values of granted secrets. One that is not kept refuses the program before it runs.
    fn secrets_of(
        &self,
        tool: &ToolName,
        granted: &BTreeSet<SecretRule>,
        findings: &mut Diagnostics,
    ) -> anyhow::Result<SecretValues> {
        let mut values = SecretValues::default();
        let names: BTreeSet<&str> = granted.iter().map(|rule| rule.name.as_str()).collect();
        for name in names {
            let set = format!("`nanohost secret set {name}` reads it from standard input");
            match self.secrets.value(name).map_err(store_failure)? {
                None => findings.push(
                    Diagnostic::error(
                        "secret_missing",
                        format!("`{tool}` is granted the secret `{name}`, which is not kept on this machine"),
                    )
                    .help(set),
                ),
                Some(value) => match values.clone().with(name, value) {
                    Ok(more) => values = more,
                    Err(error) => {
                        findings.push(Diagnostic::error("secret_invalid", error.to_string()).help(set));
                    }
                },
            }
        }
        Ok(values)
    }

    /// What a policy that was found and is not trusted grants lies below its own project.
    fn check_found(&self, linked: &HashMap<ToolName, Arc<Tool>>) -> anyhow::Result<()> {
        let mut findings = Diagnostics::new();
        for policy in &self.policy.policies {
            let Trust::Found { project } = policy.trust() else { continue };
            let project = Path::new(project);
            let io = |error: std::io::Error| {
                Failure::io("folder_unavailable", "find the project", project, &error)
            };
            let project = project.canonicalize().map_err(io)?;
            linked.iter().for_each(|(local, tool)| check_within(&project, local, tool, &mut findings));
        }
        if findings.is_empty() { Ok(()) } else { Err(Failure::denied(findings)) }
    }

    /// Whose key-value spaces and idempotency keys the run shares: those of all programs that the
    /// operator's own policies speak of, or, where no trusted policy speaks, of one project alone.
    /// Programs that a client saved share theirs with that client's others alone, which lie in one folder.
    pub fn domain(&self, args: &ProgramArgs) -> String {
        let program = &args.program;
        let text = |path: &Path| path.display().to_string();
        if args.class.is_saved() {
            let program = program.canonicalize().unwrap_or_else(|_| program.clone());
            return format!("saved\n{}", text(program.parent().unwrap_or(Path::new(""))));
        }
        match &self.policy.path {
            Some(_) if self.policy.trusted => String::new(),
            Some(policy) => text(policy),
            None => text(&program.canonicalize().unwrap_or_else(|_| program.clone())),
        }
    }

    /// The scripted model, where a step asks it. Others are the policy's.
    pub fn scripted(&self, program: &Path) -> anyhow::Result<Option<Scripted>> {
        let asked = self.program.steps().iter().find_map(|step| match &step.kind {
            StepKind::Llm(llm) if llm.model == SCRIPTED => Some(step.id.as_str()),
            _ => None,
        });
        match (asked, self.program.scripted()) {
            (None, _) => Ok(None),
            (Some(_), Some(file)) => {
                let folder = program.parent().filter(|folder| !folder.as_os_str().is_empty());
                let folder = folder.unwrap_or(Path::new("."));
                let path = folder.join(file);
                let io = |error: std::io::Error| {
                    Failure::io("script_unreadable", "read the model's answers", &path, &error)
                };
                // What the file holds can be shown, and becomes what a model says: it comes from
                // beside the program and from nowhere else.
                let (inside, real) = (folder.canonicalize().map_err(io)?, path.canonicalize().map_err(io)?);
                if !real.starts_with(&inside) {
                    let message = format!("{} leads out of the program's folder", path.display());
                    return Err(Failure::usage(
                        Diagnostic::error("script_outside", message)
                            .help("put the answers beside the program"),
                    ));
                }
                Ok(Some(Scripted::read(&path)?))
            }
            (Some(step), None) => Err(Failure::usage(
                Diagnostic::error(
                    "no_scripted_answers",
                    format!("step `{step}` asks the scripted model, and there are no answers"),
                )
                .help("name the file of answers in the program: [models], scripted = \"answers.toml\""),
            )),
        }
    }
}

/// That a tool reaches no folder outside of the project whose policy nobody trusts.
pub fn check_within(project: &Path, local: &ToolName, tool: &Tool, findings: &mut Diagnostics) {
    for folder in tool.folders().filter(|folder| !folder.path.starts_with(project)) {
        let message = format!(
            "`{local}` would get {} as {}: that lies outside of {}, and the policy that grants it is not trusted",
            folder.path.display(),
            folder.guest,
            project.display()
        );
        findings.push(Diagnostic::error("folder_outside_project", message).help(format!(
            "read the policy; if you agree with it: {} trust {}",
            program_name(),
            quoted(project)
        )));
    }
}

/// Puts a finding where the program names a tool.
type Place<'a> = &'a dyn Fn(Diagnostic) -> Diagnostic;

/// The tools a program can come to call: those of its table, else those it names. Packages are fetched where
/// that is due.
pub fn locate(
    program: &CheckedProgram,
    args: &ProgramArgs,
    reach: &Reach<'_>,
) -> anyhow::Result<BTreeMap<ToolName, ToolFolder>> {
    let mut folders = BTreeMap::new();
    let mut findings = Diagnostics::new();
    let mut exit = Exit::Usage;
    let mut keep = |local: &ToolName, place: Place<'_>, found: anyhow::Result<ToolFolder>| match found {
        Ok(folder) => {
            folders.insert(local.clone(), folder);
            Ok(())
        }
        Err(error) => {
            let failure = error.downcast::<Failure>()?;
            // A registry that is not there is nothing that a program could mend.
            if failure.exit == Exit::Host {
                exit = Exit::Host;
            }
            // Where nothing says where it went wrong, it is where the program names the tool.
            let placed = |finding: Diagnostic| match finding.source {
                Some(_) => finding,
                None => place(finding),
            };
            findings.extend(failure.findings.into_iter().map(placed).collect());
            Ok::<(), anyhow::Error>(())
        }
    };
    if let Some(tools) = program.tools() {
        for tool in tools {
            let place = |finding: Diagnostic| finding.at(program.source(), tool.span.clone());
            let found = match &tool.origin {
                ToolOrigin::Path(_) if args.class.is_saved() => match offered_name(tool) {
                    Some(name) => offered(args, &name),
                    None => own_places(program).and(Err(anyhow::anyhow!("no name of a tool"))),
                },
                ToolOrigin::Path(path) => {
                    project::by_path(&args.program, path).and_then(|folder| apart(folder, reach.places))
                }
                ToolOrigin::Package { package, bundle } => {
                    let beside = |bundle| args.program.parent().unwrap_or(Path::new("")).join(bundle);
                    reach.tool(package, bundle.as_ref().map(beside).as_deref())
                }
            };
            keep(&tool.local, &place, found)?;
        }
    } else {
        let mut called = BTreeMap::new();
        let mut proposed = std::collections::BTreeSet::new();
        for step in program.steps() {
            match &step.kind {
                StepKind::Tool(call) => {
                    called.entry(call.tool.clone()).or_insert(&step.id);
                }
                StepKind::Llm(llm) => proposed.extend(llm.allowed_tools.iter().cloned()),
                StepKind::Condition(_) | StepKind::Parallel(_) => {}
            }
        }
        for (name, step) in &called {
            let place = |finding: Diagnostic| finding.step(step.as_str());
            keep(name, &place, offered(args, name))?;
        }
        // A model may propose what is not there; then the table has no row, and the call is refused.
        for name in proposed.iter().filter(|name| !called.contains_key(*name)) {
            if let Ok(folder) = offered(args, name) {
                keep(name, &|finding| finding, Ok(folder))?;
            }
        }
    }
    if findings.is_empty() { Ok(folders) } else { Err(Failure { exit, findings }.into()) }
}

/// That a folder is none of the cache: what is kept there is a package, and judged as one, or it would be
/// enough to guess its path.
fn apart(folder: ToolFolder, places: &Places) -> anyhow::Result<ToolFolder> {
    let kept = places.packages().and_then(|packages| packages.canonicalize().ok());
    if kept.is_some_and(|kept| folder.dir.starts_with(kept)) {
        let message = format!("{} is a package that is kept for all programs", folder.dir.display());
        return Err(Failure::usage(
            Diagnostic::error("path_into_cache", message)
                .help("name the package: `package = \"oci://…@sha256:…\"`"),
        ));
    }
    Ok(folder)
}

/// Builds those of the tools that have to be built, where that is allowed.
///
/// # Errors
/// As [`project::build`].
pub fn build(folders: &[ToolFolder], places: &Places, progress: &Progress) -> anyhow::Result<()> {
    if folders.iter().all(|folder| matches!(folder.freshness(), Freshness::Fresh)) {
        return Ok(());
    }
    build_within(folders, &project::trusting::roots(places)?, progress)
}

/// The same, where the user trusts these folders.
///
/// # Errors
/// As [`project::build`].
pub fn build_within(folders: &[ToolFolder], roots: &TrustedRoots, progress: &Progress) -> anyhow::Result<()> {
    let due: Vec<ToolFolder> =
        folders.iter().filter(|folder| !matches!(folder.freshness(), Freshness::Fresh)).cloned().collect();
    let built = project::build(&due, roots, &|event| match event {
        BuildEvent::AddingTarget => progress.stage("adding the WebAssembly target through rustup"),
        BuildEvent::Building { names } => progress.stage(&format!("building {}", names.join(", "))),
        BuildEvent::Line(line) => progress.detail(&format!("building tools: {line}")),
        BuildEvent::Done { seconds } => progress.stage(&format!("tools built in {seconds:.1} s")),
    });
    progress.clear();
    built
}

/// Manifests and components, each read once; components compile side by side.
fn load(
    folders: BTreeMap<ToolName, ToolFolder>,
    engine: &Engine,
) -> anyhow::Result<BTreeMap<ToolName, PreparedTool>> {
    // Two names may stand for functions of one component: it is compiled once.
    let paths: BTreeMap<PathBuf, Option<Digest>> = folders
        .values()
        .map(|folder| (folder.component_path().to_owned(), folder.package.as_ref().map(|own| own.component)))
        .collect();
    let loaded: Vec<(PathBuf, anyhow::Result<Loaded>)> = std::thread::scope(|scope| {
        let threads: Vec<_> = paths
            .into_iter()
            .map(|(path, expected)| scope.spawn(move || (load_expected(&path, expected, engine), path)))
            .collect();
        threads
            .into_iter()
            .map(|thread| match thread.join() {
                Ok((loaded, path)) => (path, loaded),
                Err(_) => (PathBuf::new(), Err(anyhow::anyhow!("a component could not be loaded"))),
            })
            .collect()
    });
    let mut findings = Diagnostics::new();
    let mut components = BTreeMap::new();
    for (path, loaded) in loaded {
        match loaded {
            Ok(loaded) => {
                components.insert(path, loaded);
            }
            Err(error) => findings.extend(error.downcast::<Failure>()?.findings),
        }
    }
    let mut tools = BTreeMap::new();
    for (local, folder) in folders {
        let manifest = Manifest::parse(Arc::clone(&folder.manifest));
        let loaded = components.get(folder.component_path()).cloned();
        let signature = match project::signature_of(&folder.dir) {
            Ok(signature) => signature,
            Err(error) => {
                findings.extend(error.downcast::<Failure>()?.findings);
                continue;
            }
        };
        match (manifest, loaded) {
            (Ok(manifest), Some(loaded)) => {
                tools.insert(local, PreparedTool { folder, manifest, loaded, signature });
            }
            (manifest, _) => {
                if let Err(found) = manifest {
                    findings.extend(found);
                }
            }
        }
    }
    if findings.has_errors() { Err(Failure::usage(findings)) } else { Ok(tools) }
}

/// The engine that loads tools: it compiles in a process of its own, and keeps what it compiled.
///
/// # Errors
/// As [`bounded`].
pub fn loading(engine: &Engine, places: &Places, warnings: &mut Diagnostics) -> anyhow::Result<Engine> {
    Ok(caching(&bounded(engine)?, places, warnings))
}

/// The engine with the cache of compiled code. One that cannot be had costs time, and is no error.
fn caching(engine: &Engine, places: &Places, warnings: &mut Diagnostics) -> Engine {
    let Some(folder) = places.code_cache() else { return engine.clone() };
    match code_key(&places.keys()) {
        Ok(key) => engine.with_code_cache(CodeCache::at(folder, key)),
        Err(error) => {
            let message = format!("compiled code is not kept, since its key cannot be used: {error}");
            warnings.push(Diagnostic::warning("code_cache_off", message).help(error.help()));
            engine.clone()
        }
    }
}

/// Entries of the cache that were not used: somebody changed them.
fn rejected_code(tools: &BTreeMap<ToolName, PreparedTool>) -> Diagnostics {
    // A component that has two names was loaded once.
    let rejected: BTreeMap<&Path, _> = tools
        .values()
        .filter_map(|tool| match tool.loaded.code() {
            CodeSource::Rebuilt(rejected) => Some((tool.folder.component_path(), rejected)),
            CodeSource::Compiled | CodeSource::Cached => None,
        })
        .collect();
    let mut findings = Diagnostics::new();
    for (path, rejected) in rejected {
        let message =
            format!("the cached code of {} was not used but compiled again: {rejected}", path.display());
        findings.push(
            Diagnostic::warning("code_cache_rejected", message)
                .help("find out who else writes in the folder that `nanohost cache path` names"),
        );
    }
    findings
}

/// The same engine, which compiles in a process of its own.
///
/// # Errors
/// `invalid_variable` where the variable of its time is no number of seconds.
pub fn bounded(engine: &Engine) -> anyhow::Result<Engine> {
    Ok(match compiler()? {
        Some(compiler) => engine.with_compiler(compiler),
        None => engine.clone(),
    })
}

/// Reads a component that belongs to no folder.
pub fn component(path: &Path, engine: &Engine) -> anyhow::Result<Loaded> {
    load_component(path, engine)
}

/// A component that has to be the one that its package names: held against it before it is compiled.
fn load_expected(path: &Path, expected: Option<Digest>, engine: &Engine) -> anyhow::Result<Loaded> {
    let bytes = component_bytes(path)?;
    if let Some(expected) = expected {
        registry::check_component(&bytes, expected, path)?;
    }
    load_bytes(&bytes, path, engine)
}

fn load_component(path: &Path, engine: &Engine) -> anyhow::Result<Loaded> {
    load_bytes(&component_bytes(path)?, path, engine)
}

/// The bytes of a component, within their bound.
pub fn component_bytes(path: &Path) -> anyhow::Result<Arc<[u8]>> {
    let io = |error: std::io::Error| Failure::io("component_unreadable", "read the component", path, &error);
    Ok(project::read_bounded(path, MAX_COMPONENT).map_err(io)?.into())
}

/// Loads a component that was read from `path`.
pub fn load_bytes(bytes: &Arc<[u8]>, path: &Path, engine: &Engine) -> anyhow::Result<Loaded> {
    engine.load(bytes).map_err(|error| {
        let message = format!("{}: {error}", path.display());
        let help = match error {
            LoadError::CompileLimit(_) => {
                "find out why compiling it takes so much; NANOHOST_COMPILE_SECONDS allows another time"
            }
            LoadError::CompilerFailed(_) => "look whether this executable is whole, and memory is left",
            _ => "build the tool again, or replace the file",
        };
        Failure::usage(Diagnostic::error(error.code(), message).help(help))
    })
}
