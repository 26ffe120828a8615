//! From a package that is named by its digest to a tool's folder: what is kept on this machine, else a
//! bundle, else its registry. Knows no program.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nanohost_core::{Diagnostic, Digest, PinnedPackage};

use super::artifact::{Fetched, Source};
use super::cache::{Held, PackageCache};
use super::image::{Descriptor, ImageManifest, MAX_DOCUMENT};
use super::layout::{Layout, LayoutError};
use super::remote::{Remote, Use};
use super::{invalid, mismatch};
use crate::cli::PackageArgs;
use crate::console::Progress;
use crate::failure::Failure;
use crate::project::{Component, MANIFEST, PREBUILT, Places, ToolFolder};

/// Where packages may come from.
#[derive(Debug)]
pub struct Reach<'a> {
    /// This user's folders.
    pub places: &'a Places,
    /// What the command says.
    pub asked: &'a PackageArgs,
    /// Who is told how far it is.
    pub progress: &'a Progress,
}

/// A package that stands behind a tool.
#[derive(Debug)]
pub struct Wanted {
    /// The digest that its component has to have when it is loaded.
    pub component: Digest,
    _held: Held,
}

impl<'a> Reach<'a> {
    /// What this user and this command allow.
    pub fn new(places: &'a Places, asked: &'a PackageArgs, progress: &'a Progress) -> Self {
        Self { places, asked, progress }
    }

    /// The tool of a package; `bundle` is the file that its program says it is in.
    ///
    /// # Errors
    /// `package_offline`, `package_not_found`, `package_mismatch`, `invalid_package`, `invalid_bundle`,
    /// `no_package_cache`, and what is wrong with the registry.
    pub fn tool(&self, package: &PinnedPackage, bundle: Option<&Path>) -> anyhow::Result<ToolFolder> {
        let cache = PackageCache::of(self.places)?;
        let held = cache.hold(package.digest())?;
        let kept = match cache.find(&held)? {
            Some(kept) => kept,
            None => {
                self.keep(&self.fetch(package, bundle)?, &cache)?;
                cache
                    .find(&held)?
                    .ok_or_else(|| mismatch(format!("{package} was kept, and is not there any more")))?
            }
        };
        Ok(ToolFolder {
            manifest_path: kept.folder.join(MANIFEST),
            manifest: kept.manifest,
            component: Component::Prebuilt(kept.folder.join(PREBUILT)),
            package: Some(Arc::new(Wanted { component: kept.component, _held: held })),
            dir: kept.folder,
        })
    }

    /// Keeps what was fetched.
    ///
    /// # Errors
    /// `invalid_package` where it is a component alone; `cache_unusable`.
    pub fn keep(&self, fetched: &Fetched, cache: &PackageCache) -> anyhow::Result<()> {
        if fetched.manifest.is_none() {
            let message = format!("sha256:{} is a component without a manifest", fetched.digest);
            return Err(Failure::usage(Diagnostic::error("invalid_package", message).help(
                "`nanohost tool pull REF -o DIR` fetches it by itself, `tool infer` drafts a manifest for it, \
                 and `tool push` makes a package of both",
            )));
        }
        cache.keep(fetched)
    }

    /// A package with everything that belongs to it, from wherever it may come.
    ///
    /// # Errors
    /// As [`Self::tool`].
    pub fn whole(&self, package: &PinnedPackage) -> anyhow::Result<Fetched> {
        let cache = PackageCache::of(self.places)?;
        let held = cache.hold(package.digest())?;
        match cache.whole(&held)? {
            Some(found) => Ok(found),
            None => self.fetch(package, None),
        }
    }

    /// Fetches a package, wherever it is, though it may be kept already.
    ///
    /// # Errors
    /// As [`Self::tool`].
    pub fn fetch(&self, package: &PinnedPackage, bundle: Option<&Path>) -> anyhow::Result<Fetched> {
        let digest = package.digest();
        if let Some(bundle) = bundle {
            return from_bundle(bundle, &digest)?.ok_or_else(|| {
                let message = format!("{} does not hold {package}", bundle.display());
                Failure::usage(Diagnostic::error("package_not_found", message).help(
                    "`nanohost tool pull --from` lists what a bundle holds; make one with `nanohost tool bundle`",
                ))
            });
        }
        for bundle in &self.asked.bundles {
            if let Some(found) = from_bundle(bundle, &digest)? {
                return Ok(found);
            }
        }
        self.online(&package.to_string())?;
        self.progress.stage(&format!("fetching {package}"));
        let mut remote =
            Remote::open(package.repository(), Use::Pull, &self.asked.plain_http, self.progress)?;
        let fetched = Fetched::from(&mut remote, &digest);
        self.progress.clear();
        fetched
    }

    /// That registries may be asked.
    ///
    /// # Errors
    /// `package_offline`; exit code 2.
    pub fn online(&self, what: &str) -> anyhow::Result<()> {
        if !self.asked.offline && !self.places.offline {
            return Ok(());
        }
        let message =
            format!("{what} is not on this machine, and nothing is fetched: it is to be used offline");
        Err(Failure::usage(Diagnostic::error("package_offline", message).help(
            "fetch it before with `nanohost tool pull`, name a bundle that holds it with --bundle, or leave out \
             --offline and NANOHOST_OFFLINE; `audit` and `tool list|show|search` fetch with --fetch alone",
        )))
    }
}

/// A package of a bundle; `None` where it is not in there.
fn from_bundle(path: &Path, digest: &Digest) -> anyhow::Result<Option<Fetched>> {
    let mut bundle = Bundle::open(path)?;
    let listed = bundle.layout.index().manifests.iter().any(|entry| entry.digest == *digest);
    listed.then(|| Fetched::from(&mut bundle, digest)).transpose()
}

/// A layout that packages are taken from.
#[derive(Debug)]
pub struct Bundle<R = File> {
    layout: Layout<R>,
    path: PathBuf,
    /// What refers to which image, once somebody asked.
    referring: Option<BTreeMap<Digest, Vec<Descriptor>>>,
}

impl Bundle {
    /// The bundle at `path`: an archive, or its folder.
    ///
    /// # Errors
    /// `invalid_bundle`; exit code 2.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let layout = Layout::open(path).map_err(|error| unusable(path, &error))?;
        Ok(Self { layout, path: path.to_owned(), referring: None })
    }
}

impl<R: Read + Seek> Bundle<R> {
    /// The images it holds that nothing is listed for to refer to, each once, with what it is called.
    pub fn images(&self) -> Vec<(Digest, Option<String>)> {
        let mut images: Vec<(Digest, Option<String>)> = Vec::new();
        let mut places = BTreeMap::new();
        for entry in self.layout.index().manifests.iter().filter(|entry| entry.artifact_type.is_none()) {
            let place = *places.entry(entry.digest).or_insert_with(|| {
                images.push((entry.digest, None));
                images.len() - 1
            });
            if let (Some((_, called)), Some(name)) =
                (images.get_mut(place), entry.annotations.get(super::image::REF_NAME))
            {
                let before = called.take().map(|before| before + ", ").unwrap_or_default();
                *called = Some(before + name);
            }
        }
        images
    }

    fn read(&mut self, digest: &Digest, bound: u64) -> anyhow::Result<Vec<u8>> {
        self.layout.blob(digest, bound).map_err(|error| match error {
            LayoutError::Mismatch(_) => mismatch(format!("{}: {error}", self.path.display())),
            error => unusable(&self.path, &error),
        })
    }

    /// What refers to which image. Each entry is read once, however many images are asked for.
    fn referring(&mut self) -> anyhow::Result<BTreeMap<Digest, Vec<Descriptor>>> {
        let listed = self.layout.index().manifests.clone();
        let mut referring: BTreeMap<Digest, Vec<Descriptor>> = BTreeMap::new();
        for entry in listed.into_iter().filter(|entry| entry.artifact_type.is_some()) {
            let image = ImageManifest::read(&self.read(&entry.digest, MAX_DOCUMENT)?)
                .map_err(|error| invalid(format!("{}: {error}", self.path.display())))?;
            if let Some(subject) = image.subject {
                referring.entry(subject.digest).or_default().push(entry);
            }
        }
        Ok(referring)
    }
}

impl<R: Read + Seek> Source for Bundle<R> {
    fn image(&mut self, digest: &Digest) -> anyhow::Result<Vec<u8>> {
        self.read(digest, MAX_DOCUMENT)
    }

    fn blob(&mut self, blob: &Descriptor, bound: u64) -> anyhow::Result<Vec<u8>> {
        self.read(&blob.digest, bound)
    }

    fn referrers(&mut self, of: &Digest) -> anyhow::Result<Vec<Descriptor>> {
        let referring = match self.referring.take() {
            Some(referring) => referring,
            None => self.referring()?,
        };
        let found = referring.get(of).cloned().unwrap_or_default();
        self.referring = Some(referring);
        Ok(found)
    }
}

fn unusable(path: &Path, error: &LayoutError) -> anyhow::Error {
    let message = format!("{} is no bundle that can be used: {error}", path.display());
    Failure::usage(Diagnostic::error("invalid_bundle", message).help(
        "make one with `nanohost tool bundle`; of an archive from elsewhere, plain files of one image layout",
    ))
}

#[cfg(test)]
mod tests;
