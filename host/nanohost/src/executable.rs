//! The digest of the running executable, for the evidence. Computing it takes longer than all the rest of a
//! short run, so it is remembered, with what tells this very file from every other, beside what else this
//! user decided: who can write there has decided more than that. Knows no run.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use nanohost_core::Digest;
use nanohost_verify::whole;

use crate::project::Places;

#[cfg(test)]
mod tests;

/// A file that changed so lately may change once more within one tick of its file system's clock.
const SETTLED: Duration = Duration::from_secs(2);

/// No memory is longer, bytes.
const MAX_MEMORY: u64 = 512;

/// The SHA-256 of the running executable. On Linux of the very file that runs, also where another
/// one lies at its path by now.
///
/// # Errors
/// Where it cannot be read.
pub fn digest(places: &Places) -> anyhow::Result<Digest> {
    static EXECUTABLE: OnceLock<Result<Digest, String>> = OnceLock::new();
    let digest = EXECUTABLE.get_or_init(|| {
        let running = Path::new("/proc/self/exe");
        let path = if cfg!(target_os = "linux") && running.exists() {
            running.to_owned()
        } else {
            std::env::current_exe().map_err(|error| format!("the running program has no path: {error}"))?
        };
        let digest = File::open(&path).and_then(|file| of(&file, memory(places).as_deref()));
        digest.map_err(|error| format!("cannot read {}: {error}", path.display()))
    });
    digest.clone().map_err(anyhow::Error::msg)
}

/// Begins with [`digest`] on a thread of its own, beside everything else before the first step.
pub fn begin(places: &Places) {
    let places = places.clone();
    // Whoever asks gets it in any case, and any error with it.
    let _ = std::thread::Builder::new().name("executable".to_owned()).spawn(move || digest(&places));
}

/// Where it is remembered: nowhere, where nothing is to be kept that can be made again.
fn memory(places: &Places) -> Option<PathBuf> {
    places.cache.as_ref().map(|_| places.config.join("executable"))
}

/// The digest of an open file, from the memory if that is of this file as it is now.
fn of(mut file: &File, memory: Option<&Path>) -> io::Result<Digest> {
    let before = Identity::of(file)?;
    if let (Some(memory), Some(before)) = (memory, &before)
        && let Some(digest) = before.recalled(memory)
    {
        return Ok(digest);
    }
    let digest = Digest::of_reader(&mut file)?;
    if let (Some(memory), Some(before)) = (memory, before)
        && before.is_settled()
        && Identity::of(file)?.is_some_and(|after| after == before)
    {
        // What is not remembered is computed again.
        let _ = before.remember(memory, &digest);
    }
    Ok(digest)
}

/// What changes whenever a file does: the times of its content and of its entry, of which nobody can set the
/// second back, and which file it is.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    text: String,
    changed: SystemTime,
}

impl Identity {
    #[cfg(unix)]
    fn of(file: &File) -> io::Result<Option<Self>> {
        use std::os::unix::fs::MetadataExt as _;
        let found = file.metadata()?;
        let text = format!(
            "{} {} {} {}.{:09} {}.{:09}",
            found.dev(),
            found.ino(),
            found.size(),
            found.mtime(),
            found.mtime_nsec(),
            found.ctime(),
            found.ctime_nsec()
        );
        let since = |seconds: i64| Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX));
        let changed = SystemTime::UNIX_EPOCH.checked_add(since(found.mtime().max(found.ctime())));
        Ok(changed.map(|changed| Self { text, changed }))
    }

    /// Elsewhere a file does not tell when it changed.
    #[cfg(not(unix))]
    fn of(_: &File) -> io::Result<Option<Self>> {
        Ok(None)
    }

    fn is_settled(&self) -> bool {
        SystemTime::now().duration_since(self.changed).is_ok_and(|age| age > SETTLED)
    }

    fn recalled(&self, memory: &Path) -> Option<Digest> {
        let found = fs::symlink_metadata(memory).ok()?;
        if !found.is_file() || found.len() > MAX_MEMORY {
            return None;
        }
        let text = fs::read_to_string(memory).ok()?;
        text.strip_suffix('\n')?.strip_prefix(self.text.as_str())?.strip_prefix(' ')?.parse().ok()
    }

    /// Readable by its user alone. Whoever looks sees all of it or nothing.
    fn remember(&self, memory: &Path, digest: &Digest) -> io::Result<()> {
        whole::replace(memory, |draft| writeln!(draft, "{} {digest}", self.text))
    }
}
