//! `nanohost tool new` and `nanohost tool build`.

use std::path::Path;

use nanohost_sandbox::Engine;
use serde_json::{Value, json};

use crate::cli::{PackageArgs, ToolBuildArgs, ToolNewArgs};
use crate::console::{self, Console, Progress};
use crate::failure::Exit;
use crate::project::{Places, quoted};
use crate::tool::template::Language;
use crate::tool::{Package, make, template};

/// `nanohost tool new`.
pub fn new(args: &ToolNewArgs, console: &Console) -> anyhow::Result<Exit> {
    let files = template::create(&args.name, args.lang, args.sdk.as_deref())?;
    if args.json {
        console.json(&json!({ "tool": args.name, "files": files }))?;
        return Ok(Exit::Success);
    }
    let (program, path) = (console::program_name(), quoted(&args.name));
    let mut out = format!("{} is a tool that builds and is tested as it is:\n", console::path(&args.name));
    let install = match args.lang {
        Language::Rust => None,
        Language::Python => Some("python3 -m venv .venv && .venv/bin/pip install -r requirements.txt"),
        Language::JavaScript => Some("npm install"),
    };
    if let Some(install) = install {
        out.push_str(&format!("  (cd {path} && {install})\n"));
    }
    out.push_str(&format!("  {program} tool build {path}\n  {program} tool test {path}\n"));
    console.print(&out)?;
    Ok(Exit::Success)
}

/// `nanohost tool build`.
pub fn build(args: &ToolBuildArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let progress = Progress::new(!args.json);
    make::component(&args.folder, args.component.as_deref(), &progress)?;
    let package = Package::read(&args.folder, &PackageArgs::default(), places, &Engine::new()?, &progress)?;
    let manifest = package.needs_manifest()?;
    make::in_step(&package)?;
    let written = match &args.out {
        Some(folder) => Some((folder, make::write(&package, manifest, folder)?)),
        None => None,
    };
    let facts = package.loaded.facts();
    if args.json {
        let package_json = written
            .as_ref()
            .map(|(folder, manifest)| json!({ "path": folder, "manifest": manifest.digest() }));
        console.json(&json!({
            "exitCode": Exit::Success as u8,
            "tool": manifest.name(),
            "version": manifest.version(),
            "component": { "path": package.component, "digest": facts.component, "bytes": facts.size },
            "manifest": { "path": package.manifest_path, "digest": manifest.digest() },
            "functions": make::functions_json(&package),
            "package": package_json.unwrap_or(Value::Null),
            "warnings": console::findings_json(&package.warnings),
        }))?;
        return Ok(Exit::Success);
    }
    console.note(&console::render(&package.warnings, console.look_err()));
    let folder = written.as_ref().map(|(folder, _)| folder.as_path());
    console.print(&told(&package, folder))?;
    Ok(Exit::Success)
}

fn told(package: &Package, folder: Option<&Path>) -> String {
    let facts = package.loaded.facts();
    let mut out = format!(
        "{}\n  component  {} ({} bytes)\n  digest     sha256:{}\n",
        console::escaped(&package.title()),
        console::path(&package.component),
        facts.size,
        facts.component
    );
    for export in &facts.exports {
        out.push_str(&format!("  function   {}\n", console::escaped(&export.path())));
    }
    if let Some(folder) = folder {
        out.push_str(&format!("  package    {}\n", console::path(folder)));
    }
    out
}
