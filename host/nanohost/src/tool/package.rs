//! What a tool is when it is handed on: a component, and the manifest that belongs to it. Each is read
//! once. Knows nothing of what is granted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nanohost_core::signature::{PackageFault, Signed};
use nanohost_core::{
    Diagnostic, Diagnostics, KeyId, Manifest, Policy, PublicKey, ToolExport, ToolFacts, ToolName, Trust,
};
use nanohost_sandbox::{Anatomy, Engine, Loaded};

use crate::cli::{PackageArgs, pinned};
use crate::console::Progress;
use crate::failure::Failure;
use crate::prepare;
use crate::project::{self, MANIFEST, PREBUILT, Places, ToolFolder};
use crate::registry::{self, Reach, Wanted};

/// A tool, read.
pub struct Package {
    /// The file of the component.
    pub component: PathBuf,
    /// The file of the manifest, where there is one.
    pub manifest_path: Option<PathBuf>,
    /// What its author asks for. A component by itself asks for nothing.
    pub manifest: Option<Manifest>,
    /// What it is.
    pub loaded: Loaded,
    /// What stands in its file.
    pub anatomy: Anatomy,
    /// The folder it lies in.
    pub dir: PathBuf,
    /// The package of a registry that it is, kept for all programs of this user: nobody removes it while
    /// this lives, so that what is read of it later is still there.
    pub kept: Option<Arc<Wanted>>,
    /// The folder whose policies say who a publisher is.
    pub near: PathBuf,
    /// What its publisher signed, where somebody did.
    pub signature: Option<Result<Signed, PackageFault>>,
    /// Whose word there is for it, by the policies here that are trusted.
    pub standing: Standing,
    /// What is worth knowing and refuses nothing.
    pub warnings: Diagnostics,
}

/// Whose word there is that a package is what its publisher made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Nobody's: its name, version and licence are its author's words, and whoever handed it on may have
    /// changed them.
    NotSigned,
    /// There is a signature that proves nothing.
    Failed(Failed),
    /// A publisher's.
    Verified {
        /// The publisher's name, in the policy that names the key, or the file of the key.
        publisher: String,
        /// The key.
        key: KeyId,
    },
}

/// Why a signature proves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failed {
    /// It is none, or it is about something else.
    Fault(PackageFault),
    /// It is by a key that is nobody's here.
    UnknownKey(KeyId),
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fault(fault) => fault.fmt(f),
            Self::UnknownKey(key) => write!(f, "it is signed with key {key}, which is nobody's here"),
        }
    }
}

impl Standing {
    /// The word for JSON.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NotSigned => "not-signed",
            Self::Failed(_) => "failed",
            Self::Verified { .. } => "verified",
        }
    }
}

/// Where a tool is.
#[derive(Debug)]
enum Named {
    /// Its folder.
    Folder(Box<ToolFolder>),
    /// A component.
    File(PathBuf),
}

impl Package {
    /// Reads the tool that a person names: by its folder, by its name in the nearest `tools/`, by the
    /// file of its component, or as a package with its digest, which `packages` says where to take from. Builds it where that is due and allowed.
    ///
    /// # Errors
    /// `unknown_tool`, what is wrong with folder, manifest or component; exit code 2.
    pub fn read(
        named: &Path,
        packages: &PackageArgs,
        places: &Places,
        engine: &Engine,
        progress: &Progress,
    ) -> anyhow::Result<Self> {
        let mut warnings = Diagnostics::new();
        let (component, manifest, expected) =
            match packaged(named, packages, places, progress)?.map_or_else(|| find(named), Ok)? {
                Named::Folder(folder) => {
                    prepare::build(std::slice::from_ref(&*folder), places, progress)?;
                    let expected = folder.package.clone();
                    let component = folder.component_path().to_owned();
                    (component, Some((folder.manifest_path, folder.manifest)), expected)
                }
                Named::File(file) => {
                    let beside = file.with_file_name(MANIFEST);
                    let manifest = match beside.is_file() {
                        true => Some(project::read_source(&beside, "the tool's manifest")?),
                        false => None,
                    };
                    (file, manifest.map(|source| (beside, source)), None)
                }
            };
        let (manifest_path, manifest) = manifest.unzip();
        let manifest = manifest.map(Manifest::parse).transpose().map_err(Failure::usage)?;
        progress.stage("loading the component");
        let engine = prepare::loading(engine, places, &mut warnings)?;
        let bytes = prepare::component_bytes(&component)?;
        if let Some(package) = &expected {
            registry::check_component(&bytes, package.component, &component)?;
        }
        let loaded = prepare::load_bytes(&bytes, &component, &engine)?;
        let anatomy = anatomy(&bytes, &component)?;
        progress.clear();
        let dir = match manifest_path.as_deref().unwrap_or(&component).parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
            _ => PathBuf::from("."),
        };
        let signature = match &manifest {
            Some(_) => project::signature(&dir)?,
            None => None,
        };
        let mut package = Self {
            component,
            manifest_path,
            manifest,
            loaded,
            anatomy,
            dir,
            signature,
            standing: Standing::NotSigned,
            near: PathBuf::from("."),
            kept: expected,
            warnings,
        };
        // Where packages are kept nobody's policies are: those of this folder count.
        if package.kept.is_none() {
            package.near.clone_from(&package.dir);
        }
        match publishers(&package.near, places) {
            Ok(keys) => package.standing = package.held_against(&keys),
            Err(error) => {
                package.standing = package.held_against(&[]);
                package.warnings.extend(error.downcast::<Failure>()?.findings);
            }
        }
        Ok(package)
    }

    /// Whose word there is for it, where these keys are whose.
    pub fn held_against(&self, keys: &[(String, PublicKey)]) -> Standing {
        match &self.manifest {
            Some(manifest) => standing(self.signature.as_ref(), manifest, self.loaded.facts(), keys),
            None => Standing::NotSigned,
        }
    }

    /// The function that a person means: by its name, or by its path where several interfaces have one of
    /// that name.
    ///
    /// # Errors
    /// `unknown_function`, `ambiguous_function`; exit code 2.
    pub fn function(&self, named: &str) -> anyhow::Result<&ToolExport> {
        let exports = &self.loaded.facts().exports;
        let mut found = exports.iter().filter(|own| own.function == named || own.path() == named);
        match (found.next(), found.next()) {
            (Some(only), None) => Ok(only),
            (first, _) => {
                let (code, why) = match first {
                    Some(_) => ("ambiguous_function", "more than one function"),
                    None => ("unknown_function", "no function"),
                };
                let known: Vec<String> = exports.iter().map(ToolExport::path).collect();
                let message = format!("the tool has {why} `{}`", named.escape_debug());
                let help = match known.is_empty() {
                    true => "it exports none that can be called".to_owned(),
                    false => format!("it has: {}", known.join(", ")),
                };
                Err(Failure::usage(Diagnostic::error(code, message).help(help)))
            }
        }
    }

    /// The only function there is.
    ///
    /// # Errors
    /// `ambiguous_function`, `unknown_function`; exit code 2.
    pub fn only_function(&self) -> anyhow::Result<&ToolExport> {
        let finding = match self.loaded.facts().exports.as_slice() {
            [only] => return Ok(only),
            [] => Diagnostic::error("unknown_function", "the tool exports no function that can be called"),
            several => {
                let known: Vec<String> = several.iter().map(ToolExport::path).collect();
                Diagnostic::error("ambiguous_function", "the tool has several functions")
                    .help(format!("say which: {}", known.join(", ")))
            }
        };
        Err(Failure::usage(finding))
    }

    /// Its manifest, without which nothing can be done.
    ///
    /// # Errors
    /// `no_manifest`; exit code 2.
    pub fn needs_manifest(&self) -> anyhow::Result<&Manifest> {
        self.manifest.as_ref().ok_or_else(|| {
            let message = format!("{} has no manifest beside it", self.component.display());
            let help = format!("write one, {MANIFEST}, in the same folder");
            Failure::usage(Diagnostic::error("no_manifest", message).help(help))
        })
    }

    /// That nothing contradicts its signature, where it has one: without that it is not what anybody made.
    ///
    /// # Errors
    /// `signature_failed`; exit code 2.
    pub fn needs_no_fault(&self) -> anyhow::Result<()> {
        let Standing::Failed(Failed::Fault(fault)) = &self.standing else { return Ok(()) };
        let message = format!("the signature of {} is not good: {fault}", self.title());
        Err(Failure::usage(Diagnostic::error("signature_failed", message).help(
            "get it again from its publisher; of your own, sign it again or remove package.dsse.json beside its manifest",
        )))
    }

    /// What it calls itself, else its file.
    pub fn title(&self) -> String {
        match &self.manifest {
            Some(manifest) => format!("{} {}", manifest.name(), manifest.version()),
            None => self.component.display().to_string(),
        }
    }
}

/// The tool of a package that is named by its digest; `None`: it is named otherwise.
fn packaged(
    named: &Path,
    packages: &PackageArgs,
    places: &Places,
    progress: &Progress,
) -> anyhow::Result<Option<Named>> {
    let Some(package) = named.to_str().and_then(pinned) else { return Ok(None) };
    let package = package.map_err(|why| {
        Failure::usage(
            Diagnostic::error("package_unpinned", why).help("a package is looked at by what it is"),
        )
    })?;
    let folder = Reach::new(places, packages, progress).tool(&package, None)?;
    Ok(Some(Named::Folder(Box::new(folder))))
}

/// Whose word there is for a manifest and a component, where these keys are whose.
pub fn standing(
    signature: Option<&Result<Signed, PackageFault>>,
    manifest: &Manifest,
    facts: &ToolFacts,
    keys: &[(String, PublicKey)],
) -> Standing {
    let signed = match signature {
        None => return Standing::NotSigned,
        Some(Err(fault)) => return Standing::Failed(Failed::Fault(*fault)),
        Some(Ok(signed)) => signed,
    };
    if let Err(fault) = signed.fits(manifest, facts) {
        return Standing::Failed(Failed::Fault(fault));
    }
    let key = signed.key_id();
    match keys.iter().find(|(_, own)| own.key_id() == key) {
        None => Standing::Failed(Failed::UnknownKey(key)),
        Some((name, own)) => match signed.by(own) {
            Ok(()) => Standing::Verified { publisher: name.clone(), key },
            Err(fault) => Standing::Failed(Failed::Fault(fault)),
        },
    }
}

/// The publishers that the policies in force for a folder name, those that are trusted.
pub fn publishers(folder: &Path, places: &Places) -> anyhow::Result<Vec<(String, PublicKey)>> {
    let found = project::find(None, &folder.join("program.toml"), places)?;
    let trusted = found.policies.iter().filter(|policy| *policy.trust() == Trust::Trusted);
    let named = trusted.flat_map(Policy::publishers);
    Ok(named.flat_map(|(name, keys)| keys.iter().map(|key| (name.to_owned(), key.clone()))).collect())
}

fn find(named: &Path) -> anyhow::Result<Named> {
    if named.is_file() && named.file_name().is_some_and(|name| name == MANIFEST) {
        let folder = named.parent().filter(|folder| !folder.as_os_str().is_empty());
        return Ok(Named::Folder(Box::new(project::in_folder(folder.unwrap_or(Path::new(".")))?)));
    }
    if named.is_file() {
        return Ok(Named::File(named.to_owned()));
    }
    if named.is_dir() && !named.join(MANIFEST).exists() && named.join(PREBUILT).is_file() {
        return Ok(Named::File(named.join(PREBUILT)));
    }
    if named.is_dir() {
        return Ok(Named::Folder(Box::new(project::in_folder(named)?)));
    }
    let name = named.to_str().filter(|text| !text.contains(['/', '\\', '.']));
    match name.and_then(|text| ToolName::new(text).ok()) {
        // Where a program in this folder would find it.
        Some(name) => match project::by_name(None, Path::new("./tool"), &name) {
            Ok(folder) => Ok(Named::Folder(Box::new(folder))),
            Err(error) => Err(match error.downcast::<Failure>() {
                Ok(failure) if failure.findings.iter().all(|own| own.code == "unknown_tool") => {
                    nowhere(format!("no tool `{name}` is here, nor in the nearest tools/"))
                }
                Ok(failure) => failure.into(),
                Err(error) => error,
            }),
        },
        None => Err(nowhere(format!("no tool is at {}", named.display()))),
    }
}

fn nowhere(message: String) -> anyhow::Error {
    Failure::usage(
        Diagnostic::error("unknown_tool", message)
            .help("name a tool's folder, a tool in the nearest tools/, or a component"),
    )
}

fn anatomy(bytes: &Arc<[u8]>, path: &Path) -> anyhow::Result<Anatomy> {
    Anatomy::of(bytes).map_err(|error| {
        let message = format!("{}: {error}", path.display());
        Failure::usage(
            Diagnostic::error("not_a_component", message).help("build it again, or replace the file"),
        )
    })
}

#[cfg(test)]
mod tests;
