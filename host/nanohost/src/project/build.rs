//! Building tools from their sources. That runs their authors' code on this machine (build scripts,
//! macros), so it happens below trusted folders only. Nothing that Cargo says reaches this
//! process's own output. Knows nothing of how progress is shown.

mod toolchain;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Instant, SystemTime};

use nanohost_core::{Diagnostic, Diagnostics};
use toolchain::Toolchain;

use super::policy::LOCAL;
use super::tools::{Stamp, TARGET};
use super::{Component, CrateComponent, Freshness, ToolFolder, TrustedRoots, quoted};
use crate::console::program_name;
use crate::failure::Failure;

/// What happens during a build.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum BuildEvent<'a> {
    /// rustup fetches what is needed to compile for WebAssembly.
    AddingTarget,
    /// Cargo starts on these packages.
    Building {
        /// Their names.
        names: &'a [&'a str],
    },
    /// Cargo's latest line of progress, safe to show.
    Line(&'a str),
    /// Everything is built.
    Done {
        /// Wall time of it all.
        seconds: f64,
    },
}

/// Builds the tools of `tools` that are missing or older than their sources; with everything
/// current it does nothing and starts no process. Two at once are fine: Cargo locks its folders.
///
/// # Errors
/// `unbuilt_tool` for each workspace with tools outside of `roots`, before anything is built; `no_cargo`,
/// `missing_wasm_target`, `build_failed`; exit code 2.
pub(crate) fn build(
    tools: &[ToolFolder],
    roots: &TrustedRoots,
    progress: &dyn Fn(BuildEvent<'_>),
) -> anyhow::Result<()> {
    build_with(&Toolchain::on_path(), tools, roots, progress)
}

fn build_with(
    toolchain: &Toolchain,
    tools: &[ToolFolder],
    roots: &TrustedRoots,
    progress: &dyn Fn(BuildEvent<'_>),
) -> anyhow::Result<()> {
    let batches = batches(tools, roots)?;
    if batches.is_empty() {
        return Ok(());
    }
    let begin = Instant::now();
    for batch in &batches {
        toolchain.ensure_target(batch.workspace, progress)?;
        let started = SystemTime::now();
        batch.build(toolchain, &batch.workspace.join("target"), progress)?;
        batch.crates.iter().for_each(|krate| Stamp::write(&krate.artifact, started));
    }
    progress(BuildEvent::Done { seconds: begin.elapsed().as_secs_f64() });
    Ok(())
}

/// Builds a crate from nothing into the folder `target`, beside what was built before. Returns where its
/// component is. Its user named the folder, which says that its code may run.
///
/// # Errors
/// As for [`build`].
pub(crate) fn build_again(
    krate: &CrateComponent,
    target: &Path,
    progress: &dyn Fn(BuildEvent<'_>),
) -> anyhow::Result<PathBuf> {
    let toolchain = Toolchain::on_path();
    let batch = Batch { workspace: &krate.workspace, root: krate.workspace.clone(), crates: vec![krate] };
    toolchain.ensure_target(batch.workspace, progress)?;
    batch.build(&toolchain, target, progress)?;
    Ok(krate.artifact_in(target))
}

/// The packages that go into the crate's component, as Cargo resolves them: its answer to `cargo metadata`.
///
/// # Errors
/// `no_cargo`, `build_failed`; exit code 2.
pub(crate) fn metadata(krate: &CrateComponent) -> anyhow::Result<Vec<u8>> {
    let mut cargo = Toolchain::on_path().cargo(&krate.dir);
    cargo.args(["metadata", "--format-version", "1", "--locked", "--filter-platform", TARGET]);
    let output = cargo.stdin(Stdio::null()).output().map_err(|error| toolchain::no_cargo("cargo", &error))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let message = format!("cargo does not say what `{}` is made of", krate.package);
    let help = format!("to see why:\n  cd {} && cargo metadata --locked", quoted(&krate.dir));
    Err(Failure::usage(Diagnostic::error("build_failed", message).help(help)))
}

/// Whether the Rust that is here compiles for WebAssembly.
pub(crate) fn has_wasm_target() -> bool {
    Toolchain::on_path().has_target(Path::new(".")).unwrap_or(false)
}

/// Runs what makes components of another language, with `folder` as its place. `install` is what to type where
/// it is not there.
///
/// # Errors
/// `no_componentizer`, `build_failed`; exit code 2.
pub(crate) fn make_with(
    maker: &OsString,
    arguments: &[&str],
    folder: &Path,
    install: &str,
) -> anyhow::Result<()> {
    let name = Path::new(maker).file_name().unwrap_or(maker).to_string_lossy().into_owned();
    let mut command = Command::new(maker);
    command.args(arguments).current_dir(folder);
    let ended = toolchain::run(command, &|_| {}).map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::NotFound => "is not here".to_owned(),
            _ => format!("does not start: {error}"),
        };
        no_maker(&name, &why, folder, install)
    })?;
    if ended.success {
        return Ok(());
    }
    let message = format!("{name} could not make the component:\n{}", ended.tail.join("\n"));
    let help = format!("to see it again:\n  cd {} && {name} {}", quoted(folder), arguments.join(" "));
    Err(Failure::usage(Diagnostic::error("build_failed", message).help(help)))
}

/// `no_componentizer`: what makes components of a language is not there.
pub(crate) fn no_maker(name: &str, why: &str, folder: &Path, install: &str) -> anyhow::Error {
    let message = format!("{name}, which makes the component, {why}");
    let help = format!("type: cd {} && {install}", quoted(folder));
    Failure::usage(Diagnostic::error("no_componentizer", message).help(help))
}

/// The crates of one Cargo workspace that are built together.
#[derive(Debug)]
struct Batch<'t> {
    workspace: &'t Path,
    /// The trusted folder it lies in.
    root: PathBuf,
    crates: Vec<&'t CrateComponent>,
}

/// What has to be built, by workspace in the order of `tools`.
fn batches<'t>(tools: &'t [ToolFolder], roots: &TrustedRoots) -> anyhow::Result<Vec<Batch<'t>>> {
    let mut batches: Vec<Batch<'t>> = Vec::new();
    let mut refused: Vec<(&Path, Vec<(&CrateComponent, String)>)> = Vec::new();
    for tool in tools {
        let Component::Crate(krate) = &tool.component else { continue };
        let known = refused.iter().flat_map(|(_, crates)| crates).any(|(known, _)| *known == krate);
        if known || batches.iter().any(|batch| batch.crates.contains(&krate)) {
            continue;
        }
        let why = match krate.freshness() {
            Freshness::Fresh => continue,
            Freshness::Missing => "is not built yet".to_owned(),
            Freshness::Stale(source) => format!("is older than {}", source.display()),
        };
        // The workspace's files decide what is compiled and run as much as the crate's own.
        let Some(root) = roots.covering(&[&krate.dir, &krate.workspace]) else {
            match refused.iter_mut().find(|(workspace, _)| *workspace == krate.workspace) {
                Some((_, crates)) => crates.push((krate, why)),
                None => refused.push((&krate.workspace, vec![(krate, why)])),
            }
            continue;
        };
        match batches.iter_mut().find(|batch| batch.workspace == krate.workspace) {
            Some(batch) => batch.crates.push(krate),
            None => batches.push(Batch {
                workspace: &krate.workspace,
                root: root.to_owned(),
                crates: vec![krate],
            }),
        }
    }
    if refused.is_empty() {
        return Ok(batches);
    }
    let findings = refused.iter().map(|(workspace, crates)| unbuilt(workspace, crates));
    Err(Failure::usage(findings.collect::<Diagnostics>()))
}

/// One finding for the crates of one workspace: one command builds them all.
fn unbuilt(workspace: &Path, crates: &[(&CrateComponent, String)]) -> Diagnostic {
    let each = crates.iter().map(|(krate, why)| format!("the tool in {} {why}", krate.dir.display()));
    let each = each.collect::<Vec<_>>().join(", ");
    let them = if crates.len() == 1 { "it" } else { "them" };
    let message = format!("{each}, and building {them} would run code of a project that is not trusted");
    let crates: Vec<&CrateComponent> = crates.iter().map(|(krate, _)| *krate).collect();
    let mut help =
        format!("look through {them} and build {them} yourself:\n  {}", command(workspace, &crates));
    // Trust is of a policy: without one there is no project that could be trusted.
    if let Some(project) = workspace.ancestors().find(|folder| folder.join(LOCAL).is_file()) {
        help.push_str(&format!("\nor trust its project:\n  {} trust {}", program_name(), quoted(project)));
    }
    Diagnostic::error("unbuilt_tool", message).help(help)
}

/// The command that builds `crates`, for a person to type.
fn command(workspace: &Path, crates: &[&CrateComponent]) -> String {
    let packages: String = crates.iter().map(|krate| format!(" -p {}", krate.package)).collect();
    let cargo = format!("cargo build --release --locked --target {TARGET} --target-dir target{packages}");
    format!("cd {} && {cargo}", quoted(workspace))
}

impl Batch<'_> {
    fn build(
        &self,
        toolchain: &Toolchain,
        target: &Path,
        progress: &dyn Fn(BuildEvent<'_>),
    ) -> anyhow::Result<()> {
        let names: Vec<&str> = self.crates.iter().map(|krate| krate.package.as_str()).collect();
        progress(BuildEvent::Building { names: &names });
        let mut cargo = toolchain.cargo(self.workspace);
        cargo.args([
            "build",
            "--release",
            "--locked",
            "--color",
            "never",
            "--target",
            TARGET,
            "--target-dir",
        ]);
        cargo.arg(target);
        for name in &names {
            cargo.args(["--package", name]);
        }
        if let Some(flags) = self.remapped(target, toolchain.cargo_home()) {
            cargo.env("CARGO_ENCODED_RUSTFLAGS", flags);
        }
        let ended = toolchain::run(cargo, &|line| {
            if toolchain::is_progress(line) {
                progress(BuildEvent::Line(line.trim()));
            }
        });
        let failed = |message: String, help: &str| {
            Failure::usage(
                Diagnostic::error("build_failed", message)
                    .help(format!("{help}:\n  {}", command(self.workspace, &self.crates))),
            )
        };
        let ended = ended.map_err(|error| toolchain::no_cargo("cargo", &error))?;
        if !ended.success {
            let message = format!("cargo could not build {}:\n{}", listed(&names), ended.tail.join("\n"));
            return Err(failed(message, "to see everything it says"));
        }
        for krate in &self.crates {
            let artifact = krate.artifact_in(target);
            if !artifact.is_file() {
                let message = format!(
                    "building `{}` made no component: {} is not there",
                    krate.package,
                    artifact.display()
                );
                return Err(failed(message, "give it `[lib]` with `crate-type = [\"cdylib\"]`, then"));
            }
        }
        Ok(())
    }

    /// Compiler flags that keep this machine's folders out of components, where they would tell
    /// who built them and where. Of several that match, the last counts.
    fn remapped(&self, target: &Path, cargo_home: Option<PathBuf>) -> Option<String> {
        let folders = [
            (Some(self.root.as_path()), "/project"),
            (Some(self.workspace), "/workspace"),
            (cargo_home.as_deref(), "/cargo"),
            (Some(target), "/target"),
        ];
        let flags: Option<Vec<String>> = folders
            .into_iter()
            .filter_map(|(folder, name)| Some((folder?, name)))
            .map(|(folder, name)| Some(format!("--remap-path-prefix={}={name}", folder.to_str()?)))
            .collect();
        // Cargo separates flags by this character: a path that holds it would become two.
        flags.filter(|flags| !flags.iter().any(|flag| flag.contains('\x1f'))).map(|flags| flags.join("\x1f"))
    }
}

/// `a`, `b` and `c`, in backticks.
fn listed(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests;
