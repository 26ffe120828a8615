//! From a program's file to its admission: reads every file once, builds what is missing, loads
//! components, asks the policy. Nothing of a tool runs here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use nanohost_core::Access;
use nanohost_core::{
    Admission, CheckedProgram, Diagnostic, Diagnostics, Format, Manifest, Offer, Plan, Program, StepKind,
    Timestamp, ToolName, ToolOrigin,
};
use nanohost_sandbox::{Engine, Loaded};

use crate::cli::ProgramArgs;
use crate::console::{Progress, escaped};
use crate::failure::Failure;
use crate::model::{SCRIPTED, Scripted};
use crate::project::{
    self, BuildEvent, ControlPaths, FoundPolicy, Freshness, Places, ToolFolder, WriteGrant,
    check_write_grants,
};

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
}

/// A tool's folder, manifest and compiled component.
pub struct PreparedTool {
    /// Where it lies.
    pub folder: ToolFolder,
    /// What its author asks for.
    pub manifest: Manifest,
    /// What it is.
    pub loaded: Loaded,
}

/// Reads and checks a program.
pub fn program(path: &Path) -> anyhow::Result<(CheckedProgram, Diagnostics)> {
    let source = project::read_source(path, "the program")?;
    let format = Format::of_name(&source.name);
    let program = Program::parse(source, format).map_err(Failure::usage)?;
    program.check().map_err(Failure::usage)
}

impl Prepared {
    /// Reads a program and everything around it. Builds tools where that is due and allowed.
    pub fn read(
        args: &ProgramArgs,
        places: &Places,
        engine: &Engine,
        progress: &Progress,
    ) -> anyhow::Result<Self> {
        let (program, mut warnings) = program(&args.program)?;
        let policy = project::find(args.policy.as_deref(), &args.program, places)?;
        warnings.extend(policy.findings.clone());
        let folders = locate(&program, args)?;
        build(&folders, places, progress)?;
        progress.stage("loading tools");
        let tools = load(folders, engine)?;
        progress.clear();

        let mut control = ControlPaths::new(places);
        control.program(&args.program);
        if let Some(path) = &policy.path {
            control.policy(path);
        }
        tools.values().for_each(|tool| control.tool(&tool.folder));
        Ok(Self { program: Arc::new(program), policy, tools, warnings, control })
    }

    /// What the policy is asked.
    pub fn admission(&self, today: Timestamp) -> Admission {
        let offers = self.tools.iter().map(|(local, tool)| Offer {
            local: local.clone(),
            manifest: tool.manifest.clone(),
            facts: tool.loaded.facts().clone(),
        });
        Admission {
            program: Arc::clone(&self.program),
            offers: offers.collect(),
            policies: self.policy.policies.clone(),
            today,
        }
    }

    /// No write grant may reach what decides about grants.
    pub fn check_control(&self, plan: &Plan) -> anyhow::Result<()> {
        let grants: Vec<WriteGrant<'_>> = plan
            .rows()
            .iter()
            .flat_map(|row| row.grants.filesystem().iter().map(move |grant| (row, grant)))
            .filter(|(_, grant)| grant.folder.access == Access::Write)
            .map(|(row, grant)| WriteGrant { tool: row.local.as_str(), host: Path::new(&grant.host) })
            .collect();
        Ok(check_write_grants(&grants, &self.control)?)
    }

    /// The model the program's steps ask: only `scripted` is built in.
    pub fn model(&self, program: &Path) -> anyhow::Result<Option<Scripted>> {
        let asked: Vec<(&str, &str)> = self
            .program
            .steps()
            .iter()
            .filter_map(|step| match &step.kind {
                StepKind::Llm(llm) => Some((step.id.as_str(), llm.model.as_str())),
                _ => None,
            })
            .collect();
        if let Some((step, model)) = asked.iter().find(|(_, model)| *model != SCRIPTED) {
            return Err(Failure::usage(
                Diagnostic::error("unknown_model", format!("step `{step}` asks the model `{}`", escaped(model)))
                    .help("this version knows `scripted`, which answers from a file: models.scripted = \"answers.toml\""),
            ));
        }
        match (asked.first(), self.program.scripted()) {
            (None, _) => Ok(None),
            (Some(_), Some(file)) => {
                let folder = program.parent().unwrap_or(Path::new(""));
                Ok(Some(Scripted::read(&folder.join(file))?))
            }
            (Some((step, _)), None) => Err(Failure::usage(
                Diagnostic::error(
                    "no_scripted_answers",
                    format!("step `{step}` asks the scripted model, and there are no answers"),
                )
                .help("name the file of answers in the program: [models], scripted = \"answers.toml\""),
            )),
        }
    }
}

/// The tools a program can come to call: those of its table, else those it names.
fn locate(program: &CheckedProgram, args: &ProgramArgs) -> anyhow::Result<BTreeMap<ToolName, ToolFolder>> {
    let mut folders = BTreeMap::new();
    let mut findings = Diagnostics::new();
    let mut keep = |local: &ToolName, found: anyhow::Result<ToolFolder>| match found {
        Ok(folder) => {
            folders.insert(local.clone(), folder);
            Ok(())
        }
        Err(error) => {
            let failure = error.downcast::<Failure>()?;
            findings.extend(failure.findings);
            Ok::<(), anyhow::Error>(())
        }
    };
    if let Some(tools) = program.tools() {
        for tool in tools {
            let ToolOrigin::Path(path) = &tool.origin;
            keep(&tool.local, project::by_path(&args.program, path))?;
        }
    } else {
        let mut called = std::collections::BTreeSet::new();
        let mut proposed = std::collections::BTreeSet::new();
        for step in program.steps() {
            match &step.kind {
                StepKind::Tool(call) => {
                    called.insert(call.tool.clone());
                }
                StepKind::Llm(llm) => proposed.extend(llm.allowed_tools.iter().cloned()),
                StepKind::Condition(_) | StepKind::Parallel(_) => {}
            }
        }
        for name in &called {
            keep(name, project::by_name(args.tools.as_deref(), &args.program, name))?;
        }
        // A model may propose what is not there; then the table has no row, and the call is refused.
        for name in proposed.difference(&called) {
            if let Ok(folder) = project::by_name(args.tools.as_deref(), &args.program, name) {
                keep(name, Ok(folder))?;
            }
        }
    }
    if findings.is_empty() { Ok(folders) } else { Err(Failure::usage(findings)) }
}

fn build(
    folders: &BTreeMap<ToolName, ToolFolder>,
    places: &Places,
    progress: &Progress,
) -> anyhow::Result<()> {
    let due: Vec<ToolFolder> =
        folders.values().filter(|folder| !matches!(folder.freshness(), Freshness::Fresh)).cloned().collect();
    if due.is_empty() {
        return Ok(());
    }
    let roots = project::trusting::roots(places)?;
    let built = project::build(&due, &roots, &|event| match event {
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
    let mut paths: Vec<PathBuf> = folders.values().map(|folder| folder.component_path().to_owned()).collect();
    paths.sort();
    paths.dedup();
    let loaded: Vec<(PathBuf, anyhow::Result<Loaded>)> = std::thread::scope(|scope| {
        let threads: Vec<_> = paths
            .into_iter()
            .map(|path| scope.spawn(move || (load_component(&path, engine), path)))
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
        match (manifest, loaded) {
            (Ok(manifest), Some(loaded)) => {
                tools.insert(local, PreparedTool { folder, manifest, loaded });
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

fn load_component(path: &Path, engine: &Engine) -> anyhow::Result<Loaded> {
    let io = |error: std::io::Error| Failure::io("component_unreadable", "read the component", path, &error);
    let size = std::fs::metadata(path).map_err(io)?.len();
    if size > MAX_COMPONENT {
        let message = format!("{} has {size} bytes; a component has at most {MAX_COMPONENT}", path.display());
        return Err(Failure::usage(Diagnostic::error("too_large", message)));
    }
    let bytes: Arc<[u8]> = std::fs::read(path).map_err(io)?.into();
    engine.load(&bytes).map_err(|error| {
        let message = format!("{}: {error}", path.display());
        Failure::usage(
            Diagnostic::error(error.code(), message).help("build the tool again, or replace the file"),
        )
    })
}

/// The SHA-256 of the running executable.
pub fn binary_digest() -> anyhow::Result<nanohost_core::Digest> {
    let path = std::env::current_exe().context("the running program has a path")?;
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(nanohost_core::Digest::of(&bytes))
}
