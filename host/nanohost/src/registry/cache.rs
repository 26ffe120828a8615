//! The packages that this machine keeps, each in a folder named by its digest, for all programs of this user.
//! Holding what is kept keeps it from being removed. Nothing in it is believed: image and manifest are held
//! against their digests whenever they are taken, and the component when it is loaded.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use nanohost_core::signature::{PackageFault, Signed};
use nanohost_core::{Diagnostic, Digest, Manifest, Source, source_from_bytes};
use nanohost_verify::read::read_bounded;

use super::artifact::{Fetched, MAX_COMPONENT, Part, component_image};
use super::image::MAX_DOCUMENT;
use super::mismatch;
use crate::failure::Failure;
use crate::project::{MANIFEST, PREBUILT, Places};

/// The image of a package, in its folder.
const IMAGE: &str = "image.json";
/// Its config.
const CONFIG: &str = "config.json";
/// Its time is when the package was last taken.
const USED: &str = "used";
/// The folder of the locks, one for each package.
const LOCKS: &str = "locks";
/// What a folder is called that is being written, or removed.
const UNFINISHED: &str = ".unfinished-";

/// The packages of one user.
#[derive(Debug, Clone)]
pub struct PackageCache {
    root: PathBuf,
}

/// A package that nobody removes while this lives.
#[derive(Debug)]
pub struct Held {
    digest: Digest,
    _lock: File,
}

/// A package that was taken from the cache.
#[derive(Debug)]
pub struct Kept {
    /// Its folder.
    pub folder: PathBuf,
    /// The digest that its component has to have.
    pub component: Digest,
    /// Its manifest, which is the one that its image names.
    pub manifest: Arc<Source>,
}

/// What is kept, for a list.
#[derive(Debug)]
pub struct Entry {
    /// Which.
    pub digest: Digest,
    /// The tool's name and version, where its manifest can be read.
    pub tool: Option<(String, String)>,
    /// What it takes, bytes.
    pub bytes: u64,
    /// When it was last taken.
    pub used: SystemTime,
    /// Whether a signature lies beside it. What it is worth, nobody asked.
    pub signed: bool,
}

impl PackageCache {
    /// The cache of these places.
    ///
    /// # Errors
    /// `no_package_cache`: nothing is kept on this machine; exit code 2.
    pub fn of(places: &Places) -> anyhow::Result<Self> {
        let root = places.packages().ok_or_else(|| {
            Failure::usage(
                Diagnostic::error(
                    "no_package_cache",
                    "packages are kept in a folder, and there is none for them",
                )
                .help("NANOHOST_CACHE=off keeps nothing: give it a folder, or leave it out"),
            )
        })?;
        Ok(Self { root })
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.root
    }

    /// Keeps a package, there or not, from being removed.
    ///
    /// # Errors
    /// `cache_unusable`.
    pub fn hold(&self, digest: Digest) -> anyhow::Result<Held> {
        let lock = self.lock_file(&digest).and_then(|file| file.lock_shared().map(|()| file));
        Ok(Held { digest, _lock: lock.map_err(|error| self.unusable(&error))? })
    }

    fn lock_file(&self, digest: &Digest) -> io::Result<File> {
        private_folder(&self.root.join(LOCKS))?;
        let path = self.root.join(LOCKS).join(digest.to_string());
        OpenOptions::new().create(true).truncate(false).write(true).open(path)
    }

    fn place(&self, digest: &Digest) -> PathBuf {
        self.root.join(digest.to_string())
    }

    /// A package, where it is kept; its image and its manifest are what the digest names.
    ///
    /// # Errors
    /// `package_mismatch`: somebody changed it; `cache_unusable`.
    pub fn find(&self, held: &Held) -> anyhow::Result<Option<Kept>> {
        let folder = self.place(&held.digest);
        let damaged =
            |error: anyhow::Error| Failure::with_help(error, &format!("it lies in {}", folder.display()));
        let image = match read_bounded(&folder.join(IMAGE), MAX_DOCUMENT) {
            Ok(image) => image,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !folder.exists() => return Ok(None),
            Err(error) => return Err(damaged(self.lost(&held.digest, &error))),
        };
        let read = component_image(&image, &held.digest).map_err(damaged)?;
        let path = folder.join(MANIFEST);
        let manifest = read_bounded(&path, Part::Manifest.bound())
            .map_err(|error| damaged(self.lost(&held.digest, &error)))?;
        if read.manifest != Some(Digest::of(&manifest)) {
            let message = format!("the manifest that is kept of sha256:{} is not its own", held.digest);
            return Err(damaged(mismatch(message)));
        }
        let manifest = source_from_bytes(&path.display().to_string(), &manifest).map_err(Failure::usage)?;
        // When it was last used is worth nothing but room: one that cannot be noted is no error.
        let _ = File::create(folder.join(USED)).and_then(|used| used.set_modified(SystemTime::now()));
        Ok(Some(Kept { folder, component: read.component.digest, manifest }))
    }

    /// The same with everything that belongs to it, to be handed on.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn whole(&self, held: &Held) -> anyhow::Result<Option<Fetched>> {
        let Some(kept) = self.find(held)? else { return Ok(None) };
        let read = |name: &str, bound: u64| {
            read_bounded(&kept.folder.join(name), bound).map_err(|error| self.lost(&held.digest, &error))
        };
        let beside = |part: Part| {
            kept.folder.join(part.file()).exists().then(|| read(part.file(), part.bound())).transpose()
        };
        let found = Fetched {
            digest: held.digest,
            image: read(IMAGE, MAX_DOCUMENT)?,
            config: read(CONFIG, MAX_COMPONENT)?,
            component: read(PREBUILT, MAX_COMPONENT)?,
            manifest: Some(read(MANIFEST, Part::Manifest.bound())?),
            signature: beside(Part::Signature)?,
            bill: beside(Part::Bill)?,
        };
        let image = component_image(&found.image, &held.digest)?;
        let same = Digest::of(&found.component) == kept.component
            && Digest::of(&found.config) == image.config.digest
            && found.manifest.as_deref().map(Digest::of) == image.manifest;
        match same {
            true => Ok(Some(found)),
            false => Err(mismatch(format!("what is kept of sha256:{} is something else", held.digest))),
        }
    }

    /// Keeps a package that was fetched: whole, or not at all. One that is there is written anew, with the
    /// signature that came.
    ///
    /// # Errors
    /// `signature_failed`: its signature is about something else; `cache_unusable`.
    pub fn keep(&self, fetched: &Fetched) -> anyhow::Result<()> {
        if let Err(fault) = signature_fits(fetched) {
            let message =
                format!("the signature that came with sha256:{} is not good: {fault}", fetched.digest);
            return Err(Failure::usage(
                Diagnostic::error("signature_failed", message)
                    .help("tell its publisher; what is kept of it already stays as it is"),
            ));
        }
        self.write(fetched).map_err(|error| self.unusable(&error))
    }

    fn write(&self, fetched: &Fetched) -> io::Result<()> {
        private_folder(&self.root)?;
        let place = self.place(&fetched.digest);
        // A signature names the bill: of one that came without any, both stay as they are.
        let stays = fetched.signature.is_none() && place.join(Part::Signature.file()).exists();
        let beside = |part: Part, came: &Option<Vec<u8>>| match stays {
            true => match read_bounded(&place.join(part.file()), part.bound()) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            },
            false => Ok(came.clone()),
        };
        let (signature, bill) =
            (beside(Part::Signature, &fetched.signature)?, beside(Part::Bill, &fetched.bill)?);
        let files = [
            (IMAGE, Some(&fetched.image)),
            (CONFIG, Some(&fetched.config)),
            (PREBUILT, Some(&fetched.component)),
            (Part::Manifest.file(), fetched.manifest.as_ref()),
            (Part::Signature.file(), signature.as_ref()),
            (Part::Bill.file(), bill.as_ref()),
        ];
        let draft = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(&self.root)?;
        for (name, bytes) in files.into_iter().filter_map(|(name, bytes)| Some((name, bytes?))) {
            let mut file = File::create_new(draft.path().join(name))?;
            file.write_all(bytes)?;
            file.sync_all()?;
        }
        File::create_new(draft.path().join(USED))?;
        let settled = |folder: &Path| File::open(folder).map_or(Ok(()), |folder| folder.sync_all());
        settled(draft.path())?;
        // One that is there already, perhaps since another process was faster, is exchanged as a whole: at no
        // time there are files of both. What is left of it goes with the draft.
        match fs::rename(draft.path(), &place) {
            // It is not temporary any more.
            Ok(()) => drop(draft.keep()),
            Err(_) if place.exists() => exchange(draft.path(), &place)?,
            Err(error) => return Err(error),
        }
        settled(&self.root)
    }

    /// What is kept, by digest.
    ///
    /// # Errors
    /// `cache_unusable`.
    pub fn list(&self) -> anyhow::Result<Vec<Entry>> {
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.unusable(&error)),
        };
        let mut all = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| self.unusable(&error))?;
            let digest = entry.file_name().to_str().and_then(|name| name.parse().ok());
            let Some(digest) = digest else { continue };
            let folder = entry.path();
            let used = |name: &str| fs::metadata(folder.join(name)).and_then(|file| file.modified());
            all.push(Entry {
                digest,
                tool: described(&folder.join(MANIFEST)),
                bytes: size(&folder),
                // Of what was never taken, when it came.
                used: used(USED).or_else(|_| used(IMAGE)).unwrap_or(SystemTime::UNIX_EPOCH),
                signed: folder.join(Part::Signature.file()).exists(),
            });
        }
        all.sort_by_key(|entry| entry.digest);
        Ok(all)
    }

    /// Removes a package. `false`: somebody holds it, and it stays.
    ///
    /// # Errors
    /// `cache_unusable`.
    pub fn remove(&self, digest: &Digest) -> anyhow::Result<bool> {
        self.removed(digest).map_err(|error| self.unusable(&error))
    }

    fn removed(&self, digest: &Digest) -> io::Result<bool> {
        let lock = self.lock_file(digest)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Under another name first: half of a package is never called as the whole one is.
        let aside = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(&self.root)?;
        fs::rename(self.place(digest), aside.path().join("package"))?;
        aside.close()?;
        Ok(true)
    }

    /// Removes what was left of transfers that were interrupted. How many there were.
    ///
    /// # Errors
    /// `cache_unusable`.
    pub fn sweep(&self, older_than: SystemTime) -> anyhow::Result<usize> {
        let Ok(entries) = fs::read_dir(&self.root) else { return Ok(0) };
        let mut swept = 0;
        for entry in entries.flatten() {
            let unfinished = entry.file_name().to_str().is_some_and(|name| name.starts_with(UNFINISHED));
            // One that is young may be somebody's at this moment.
            let old = entry.metadata().and_then(|entry| entry.modified()).is_ok_and(|time| time < older_than);
            if unfinished && old {
                fs::remove_dir_all(entry.path()).map_err(|error| self.unusable(&error))?;
                swept += 1;
            }
        }
        Ok(swept)
    }

    fn lost(&self, digest: &Digest, error: &io::Error) -> anyhow::Error {
        mismatch(format!("what is kept of sha256:{digest} is not whole: {error}"))
    }

    fn unusable(&self, error: &io::Error) -> anyhow::Error {
        let message = format!("packages cannot be kept in {}: {error}", self.root.display());
        Failure::host(
            Diagnostic::error("cache_unusable", message)
                .help("free some space, mend its permissions, or name another folder with NANOHOST_CACHE"),
        )
    }
}

/// Whether what signs a package is about it. Whose signature it is, is the policy's to ask.
fn signature_fits(fetched: &Fetched) -> Result<(), PackageFault> {
    let Some(signature) = &fetched.signature else { return Ok(()) };
    let signed = Signed::parse(signature)?;
    if signed.statement().component != Digest::of(&fetched.component) {
        return Err(PackageFault::OtherComponent);
    }
    if fetched.manifest.as_deref().map(Digest::of) != Some(signed.statement().manifest) {
        return Err(PackageFault::OtherManifest);
    }
    signed.fits_sbom(fetched.bill.as_deref())
}

/// Puts one folder in the place of another, and that one in its.
#[cfg(any(target_os = "linux", target_os = "macos"))]
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        // A disk that cannot.
        Err(_) => by_turns(one, other),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    by_turns(one, other)
}

/// The same by three renames: for a moment there is nothing, and never half.
fn by_turns(one: &Path, other: &Path) -> io::Result<()> {
    let parent = one.parent().unwrap_or(one);
    let aside = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(parent)?;
    let spare = aside.path().join("package");
    fs::rename(other, &spare)?;
    if let Err(error) = fs::rename(one, other) {
        fs::rename(&spare, other)?;
        return Err(error);
    }
    fs::rename(&spare, one)
}

/// A folder for this user alone: whoever writes in it decides what runs next, were nothing verified.
fn private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn described(manifest: &Path) -> Option<(String, String)> {
    let bytes = read_bounded(manifest, Part::Manifest.bound()).ok()?;
    let manifest = Manifest::parse(source_from_bytes("manifest.toml", &bytes).ok()?).ok()?;
    Some((manifest.name().to_string(), manifest.version().to_owned()))
}

fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|entry| entry.len()).sum()
}

#[cfg(test)]
mod tests;
