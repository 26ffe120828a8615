//! From a tool's sources to its component, by whatever makes components of their language, and from that to
//! a package: component, manifest and schemas that are in step. That runs the author's code on this machine;
//! whoever names the folder says that it may.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use nanohost_core::signature::{SBOM_FILE, SIGNATURE_FILE};
use nanohost_core::{Diagnostic, Diagnostics, Manifest, Source, schema_digest};
use nanohost_verify::whole;
use serde_json::{Map, Value, json};

use super::{Inspection, Package, parts};
use crate::console::Progress;
use crate::failure::Failure;
use crate::prepare;
use crate::project::{self, Component, MANIFEST, PREBUILT, ToolFolder, TrustedRoots};

/// How a folder's component comes about.
enum Recipe {
    /// Cargo builds the crate.
    Crate(Box<ToolFolder>),
    /// componentize-py makes it of `app.py`.
    Python,
    /// componentize-js makes it of `tool.js`, as `build.mjs` says.
    JavaScript,
    /// It is there, whatever made it.
    Prebuilt,
}

/// What the sources of a Python tool are called.
const APP: &str = "app.py";

/// What makes the component of a JavaScript tool.
const BUILD: &str = "build.mjs";

/// The schemas of a package, by function.
const SCHEMAS: &str = "schemas.json";

/// Makes the component of the tool in `folder`, or puts `component`, which was made elsewhere, in its place.
///
/// # Errors
/// `no_sources`, `no_componentizer`, `build_failed`, what is wrong with the folder; exit code 2.
pub fn component(folder: &Path, component: Option<&Path>, progress: &Progress) -> anyhow::Result<()> {
    let folder = folder
        .canonicalize()
        .map_err(|error| Failure::io("unreadable_file", "find the tool's folder", folder, &error))?;
    if let Some(given) = component {
        return put(given, &folder);
    }
    let made = match recipe(&folder)? {
        Recipe::Prebuilt => Ok(()),
        Recipe::Crate(tool) => build(&tool, progress),
        Recipe::Python => {
            progress.stage("making the component of Python");
            let maker =
                beside(&folder, ".venv/bin/componentize-py").unwrap_or_else(|| "componentize-py".into());
            let arguments = ["-d", "wit", "-w", "tool", "componentize", "--stub-wasi", "app", "-o", PREBUILT];
            let help = "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt";
            project::make_with(&maker, &arguments, &folder, help)
        }
        Recipe::JavaScript => {
            progress.stage("making the component of JavaScript");
            if beside(&folder, "node_modules/@bytecodealliance/componentize-js").is_none() {
                return Err(project::no_maker("componentize-js", "is not installed", &folder, "npm install"));
            }
            project::make_with(&"node".into(), &[BUILD, PREBUILT], &folder, "npm install")
        }
    };
    progress.clear();
    made
}

fn beside(folder: &Path, file: &str) -> Option<OsString> {
    let path = folder.join(file);
    path.exists().then(|| path.into_os_string())
}

fn recipe(folder: &Path) -> anyhow::Result<Recipe> {
    let has = |name: &str| folder.join(name).is_file();
    if has("Cargo.toml") {
        Ok(Recipe::Crate(Box::new(project::in_folder(folder)?)))
    } else if has(APP) && folder.join("wit").is_dir() {
        Ok(Recipe::Python)
    } else if has(BUILD) && has("package.json") {
        Ok(Recipe::JavaScript)
    } else if has(PREBUILT) {
        Ok(Recipe::Prebuilt)
    } else {
        let message = format!("{} holds nothing that a component could be made of", folder.display());
        Err(Failure::usage(Diagnostic::error("no_sources", message).help(
            "it wants a Cargo crate, app.py with wit/, or build.mjs with package.json; a component that was made \
             elsewhere is taken with --component FILE",
        )))
    }
}

/// Its user named the folder, which says as much as typing the command of Cargo would.
fn build(tool: &ToolFolder, progress: &Progress) -> anyhow::Result<()> {
    let Component::Crate(krate) = &tool.component else { return Ok(()) };
    let roots = TrustedRoots::named([krate.workspace.clone(), krate.dir.clone()]);
    prepare::build_within(std::slice::from_ref(tool), &roots, progress)
}

fn put(given: &Path, folder: &Path) -> anyhow::Result<()> {
    let bytes = prepare::component_bytes(given)?;
    let place = folder.join(PREBUILT);
    let io = |error: std::io::Error| Failure::io("package_not_written", "write", &place, &error);
    whole::replace_shared(&place, |file| std::io::Write::write_all(file, &bytes)).map_err(io)
}

/// Why manifest and component are not one tool.
///
/// # Errors
/// `manifest_out_of_step`, all of it at once; exit code 2.
pub fn in_step(package: &Package) -> anyhow::Result<()> {
    let refusals = Inspection::of(package).refusals();
    let findings: Diagnostics = refusals
        .into_iter()
        .map(|why| {
            let message = format!("manifest and component are not in step: {}", why.escape_debug());
            Diagnostic::error("manifest_out_of_step", message).help(
                "mend the manifest (`nanohost tool infer` drafts one), or what the component is built from",
            )
        })
        .collect();
    if findings.is_empty() { Ok(()) } else { Err(Failure::usage(findings)) }
}

/// The digests of each function's schemas.
pub fn functions_json(package: &Package) -> Value {
    let each = package.loaded.facts().exports.iter().map(|export| {
        json!({
            "path": export.path(),
            "input": schema_digest(&export.input),
            "output": schema_digest(&export.output),
        })
    });
    each.collect()
}

/// Writes a package: a folder that is a tool by itself, whose manifest is for this component and no other.
/// Returns that manifest.
///
/// # Errors
/// `package_not_written`; exit code 2.
pub fn write(package: &Package, manifest: &Manifest, folder: &Path) -> anyhow::Result<Manifest> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |error: std::io::Error| Failure::io("package_not_written", "write", &path, &error)
    };
    let pinned = match manifest.component() {
        Some(_) => manifest.source().text.clone(),
        None => {
            let text = manifest.source().text.trim_start_matches('\u{feff}');
            format!("component = \"sha256:{}\"\n{text}", package.loaded.facts().component)
        }
    };
    let schemas: Map<String, Value> = package
        .loaded
        .facts()
        .exports
        .iter()
        .map(|export| (export.path(), json!({ "input": export.input, "output": export.output })))
        .collect();
    let path = folder.join(MANIFEST);
    let pinned = Manifest::parse(Source::new(path.display().to_string(), pinned)).map_err(Failure::usage)?;
    let component = prepare::component_bytes(&package.component)?;
    fs::create_dir_all(folder).map_err(io(folder))?;
    let schemas = format!("{:#}\n", Value::Object(schemas));
    let source = match package.dir.join("Cargo.toml").is_file() {
        true => Some(project::in_folder(&package.dir)?),
        false => None,
    };
    let sbom = match project::sbom(&package.dir)? {
        Some(own) => Some(own),
        None => parts::list(manifest, &package.anatomy, source.as_ref())?,
    };
    let mut files: Vec<(PathBuf, &[u8])> = vec![
        (folder.join(PREBUILT), &component),
        (path, pinned.source().text.as_bytes()),
        (folder.join(SCHEMAS), schemas.as_bytes()),
    ];
    files.extend(sbom.as_deref().map(|sbom| (folder.join(SBOM_FILE), sbom)));
    // Who wrote a package there before signed another one, or one with other parts.
    for (name, stays) in [(SIGNATURE_FILE, false), (SBOM_FILE, sbom.is_some())] {
        let path = folder.join(name);
        match fs::remove_file(&path) {
            _ if stays => {}
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(io(&path)(error)),
        }
    }
    for (path, bytes) in files {
        whole::replace_shared(&path, |file| std::io::Write::write_all(file, bytes)).map_err(io(&path))?;
    }
    Ok(pinned)
}
