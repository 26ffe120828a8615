//! Compiled code kept from one process to the next, in a folder that others may come to write. What
//! is read there is authenticated before the engine sees it, since native code can do whatever the
//! process can. Knows no component, and not where its key lies: outside of that folder.

use std::fmt;
use std::fs::{self, DirEntry, File, OpenOptions};
use std::hash::{Hash as _, Hasher};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use hmac::{Hmac, KeyInit as _, Mac as _};
use nanohost_core::Digest;
use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;
use zeroize::Zeroizing;

use crate::engine::Engine;

#[cfg(test)]
mod tests;

/// How an entry begins. Another form of entries has another number.
const MAGIC: &[u8; 16] = b"nanohost code 1\n";

/// Magic, [`Place`], length of the code, tag; then the code.
const HEADER: usize = MAGIC.len() + 32 + 8 + 32;

/// No entry is longer, bytes: code is a few times as large as its component. A planted file of
/// gigabytes must not fill the memory.
const MAX_ENTRY: u64 = 256 << 20;

/// All entries together, bytes. Components that change with every build must not fill the disk.
const MAX_FOLDER: u64 = 512 << 20;

/// An unfinished entry that is older was left by a process that died.
const UNFINISHED: Duration = Duration::from_secs(60 * 60);

/// A folder of compiled code, and the key that its entries are authenticated with.
#[derive(Clone)]
pub struct CodeCache {
    folder: PathBuf,
    key: Zeroizing<[u8; 32]>,
    bound: u64,
}

/// Where the code of a component came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeSource {
    /// It was compiled: no cache has it, or there is none.
    Compiled,
    /// It was compiled by an earlier process.
    Cached,
    /// It was compiled, since what the cache has for it was not used.
    Rebuilt(RejectedCode),
}

/// Why an entry of the cache was not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectedCode {
    /// It has not the form of one, or lies there as a link or a folder.
    NotAnEntry,
    /// It is cut off, or something follows it.
    WrongLength,
    /// It was made for another component, engine or configuration.
    Foreign,
    /// It was changed, or not made with this key.
    NotAuthentic,
    /// It is authentic, and the engine does not take it.
    Unusable,
}

impl fmt::Display for RejectedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAnEntry => "the file is no entry of the cache",
            Self::WrongLength => "the entry is not as long as it says",
            Self::Foreign => "the entry belongs to another component or engine",
            Self::NotAuthentic => "the entry was changed, or was not made with this user's key",
            Self::Unusable => "the engine does not take the entry",
        })
    }
}

impl CodeCache {
    /// The cache in `folder`, which need not be there yet. Whoever has the key can make this process
    /// run any code: it lies outside of the folder, readable by its user alone.
    pub fn at(folder: impl Into<PathBuf>, key: Zeroizing<[u8; 32]>) -> Self {
        Self { folder: folder.into(), key, bound: MAX_FOLDER }
    }

    /// Removes every entry of a cache and nothing else; how many there were.
    ///
    /// # Errors
    /// Where the folder cannot be read, or an entry not be removed.
    pub fn clear(folder: &Path) -> io::Result<usize> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error),
        };
        let mut removed = 0;
        for entry in entries {
            let entry = entry?;
            if Kind::of(&entry).is_some() {
                fs::remove_file(entry.path())?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// The component, from its entry or from `compile`, which is kept then. A cache that cannot be
    /// read or written costs time and nothing else.
    pub(crate) fn component<E>(
        &self,
        engine: &Engine,
        digest: &Digest,
        compile: impl FnOnce() -> Result<Component, E>,
    ) -> Result<(Component, CodeSource), E> {
        let place = Place::of(engine, digest);
        let source = match self.read(engine, &place) {
            Ok(Some(component)) => return Ok((component, CodeSource::Cached)),
            Ok(None) => CodeSource::Compiled,
            Err(rejected) => CodeSource::Rebuilt(rejected),
        };
        let component = compile()?;
        if let Ok(code) = component.serialize() {
            // A full disk, or a folder that belongs to somebody else: the next process compiles again.
            let _ = self.keep(&place, &code);
        }
        Ok((component, source))
    }

    /// The entry of a place, if there is one.
    fn read(&self, engine: &Engine, place: &Place) -> Result<Option<Component>, RejectedCode> {
        let Some((file, bytes)) = self.bytes(place)? else { return Ok(None) };
        let code = self.authentic(place, &bytes)?;
        #[expect(unsafe_code, reason = "the one place where native code comes from a file")]
        // SAFETY: the bytes have to come from `Component::serialize`, unchanged. Their tag says that
        // they do: only `keep` makes tags, of what `serialize` gave, under a key that nobody but this
        // user has. They were checked in the very buffer that is read here, which nobody else can
        // write. The place binds them to this engine and its settings, which the engine checks too.
        let component = unsafe { Component::deserialize(&engine.wasmtime, code) };
        let component = component.map_err(|_| RejectedCode::Unusable)?;
        // So that what is used is not what makes room. A file of somebody else keeps its time.
        let _ = file.set_modified(SystemTime::now());
        Ok(Some(component))
    }

    /// All of an entry's file, read once. What cannot be read is as if it were not there.
    fn bytes(&self, place: &Place) -> Result<Option<(File, Vec<u8>)>, RejectedCode> {
        let path = self.path(place);
        match fs::symlink_metadata(&path) {
            Ok(found) if !found.is_file() => return Err(RejectedCode::NotAnEntry),
            Ok(_) => {}
            Err(_) => return Ok(None),
        }
        let Ok(file) = options().read(true).open(&path) else { return Ok(None) };
        let Ok(found) = file.metadata() else { return Ok(None) };
        // Looked at again: between the two looks the file can become a pipe.
        if !found.is_file() || found.len() > MAX_ENTRY {
            return Err(RejectedCode::NotAnEntry);
        }
        let mut bytes = Vec::with_capacity(usize::try_from(found.len()).unwrap_or_default());
        match (&file).take(MAX_ENTRY).read_to_end(&mut bytes) {
            Ok(_) => Ok(Some((file, bytes))),
            Err(_) => Ok(None),
        }
    }

    /// The code of an entry, after everything about it was found to be right.
    fn authentic<'a>(&self, place: &Place, entry: &'a [u8]) -> Result<&'a [u8], RejectedCode> {
        let parts = || {
            let (magic, rest) = entry.split_first_chunk::<{ MAGIC.len() }>()?;
            let (own, rest) = rest.split_first_chunk::<32>()?;
            let (length, rest) = rest.split_first_chunk::<8>()?;
            let (tag, code) = rest.split_first_chunk::<32>()?;
            (magic == MAGIC).then_some((own, u64::from_be_bytes(*length), tag, code))
        };
        let (own, length, tag, code) = parts().ok_or(RejectedCode::NotAnEntry)?;
        if own != place.0.as_bytes() {
            return Err(RejectedCode::Foreign);
        }
        if length != code.len() as u64 {
            return Err(RejectedCode::WrongLength);
        }
        self.mac(place, code).verify_slice(tag).map_err(|_| RejectedCode::NotAuthentic)?;
        Ok(code)
    }

    /// Writes an entry. Whoever looks sees all of it or nothing, and of two processes that write the
    /// same one, either. It need not be durable: what a crash damages is found out.
    fn keep(&self, place: &Place, code: &[u8]) -> io::Result<()> {
        if (HEADER + code.len()) as u64 > MAX_ENTRY {
            return Ok(());
        }
        create_folder(&self.folder)?;
        let unfinished = self.folder.join(unfinished_name());
        let path = self.path(place);
        let write = || {
            let mut file = options().write(true).create_new(true).open(&unfinished)?;
            file.write_all(MAGIC)?;
            file.write_all(place.0.as_bytes())?;
            file.write_all(&(code.len() as u64).to_be_bytes())?;
            file.write_all(&self.mac(place, code).finalize().into_bytes())?;
            file.write_all(code)?;
            fs::rename(&unfinished, &path)
        };
        write().inspect_err(|_| {
            // Where this fails too, it is removed when it is old.
            let _ = fs::remove_file(&unfinished);
        })?;
        self.make_room(&path)
    }

    /// Removes what was used the longest time ago, until the rest is within the bound.
    fn make_room(&self, just_kept: &Path) -> io::Result<()> {
        let now = SystemTime::now();
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let (Some(kind), Ok(found)) = (Kind::of(&entry), entry.metadata()) else { continue };
            let used = found.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            match kind {
                Kind::Entry => entries.push((used, found.len(), entry.path())),
                Kind::Unfinished if now.duration_since(used).is_ok_and(|age| age > UNFINISHED) => {
                    // Another process may have been faster.
                    let _ = fs::remove_file(entry.path());
                }
                Kind::Unfinished => {}
            }
        }
        let mut total: u64 = entries.iter().map(|(_, length, _)| length).sum();
        entries.sort();
        for (_, length, path) in entries {
            if total <= self.bound {
                break;
            }
            if path != just_kept {
                let _ = fs::remove_file(path);
                total = total.saturating_sub(length);
            }
        }
        Ok(())
    }

    /// The tag of an entry: of its form, what it is for, its length and its code.
    fn mac(&self, place: &Place, code: &[u8]) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.key.as_slice()).expect("HMAC takes keys of every length");
        mac.update(MAGIC);
        mac.update(place.0.as_bytes());
        mac.update(&(code.len() as u64).to_be_bytes());
        mac.update(code);
        mac
    }

    fn path(&self, place: &Place) -> PathBuf {
        self.folder.join(format!("{}{ENTRY}", place.0))
    }
}

impl fmt::Debug for CodeCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodeCache").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// What an entry is for: one component, compiled by one engine with one set of settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place(Digest);

impl Place {
    fn of(engine: &Engine, component: &Digest) -> Self {
        let mut hasher = PlaceHasher(Sha256::new());
        hasher.write(b"nanohost/code/v1\0");
        hasher.write(component.as_bytes());
        hasher.write(engine.config_digest().as_bytes());
        hasher.write(env!("CARGO_PKG_VERSION").as_bytes());
        hasher.write(b"\0");
        engine.wasmtime.precompile_compatibility_hash().hash(&mut hasher);
        Self(Digest::from_bytes(hasher.0.finalize().into()))
    }
}

/// Lets what can only be hashed be hashed with SHA-256.
struct PlaceHasher(Sha256);

impl Hasher for PlaceHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Its first bytes: who needs all of them asks the field.
    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        digest.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
    }
}

/// How the names of entries end, after the 64 digits of their place.
const ENTRY: &str = ".code";

/// How the names of unfinished entries begin and end.
const BEGUN: (&str, &str) = (".code-", ".new");

/// The files that are the cache's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Entry,
    Unfinished,
}

impl Kind {
    /// `None` for a file that the cache did not make: it is never removed.
    fn of(entry: &DirEntry) -> Option<Self> {
        let name = entry.file_name();
        let name = name.to_str()?;
        let is_place = |name: &str| {
            name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        if !entry.file_type().is_ok_and(|kind| !kind.is_dir()) {
            None
        } else if name.strip_suffix(ENTRY).is_some_and(is_place) {
            Some(Self::Entry)
        } else if name.starts_with(BEGUN.0) && name.ends_with(BEGUN.1) {
            Some(Self::Unfinished)
        } else {
            None
        }
    }
}

/// A name that no other process and no other thread uses at the same time.
fn unfinished_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{}{}-{}-{count}{}", BEGUN.0, std::process::id(), now.as_nanos(), BEGUN.1)
}

/// Makes the folder, and those above it, for the owner alone.
fn create_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// For files of the owner alone; links are not followed, and pipes not waited for.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt as _;
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
        options.mode(0o600).custom_flags(flags.cast_signed());
    }
    options
}
