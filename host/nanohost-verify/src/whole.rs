//! Files that are whole or not there: written beside their place, made durable, and moved into it.
//! Knows nothing of what stands in them.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

/// What fills a file.
pub type Draft<'a> = BufWriter<&'a mut NamedTempFile>;

/// Makes a file for its owner alone, where nothing of that name is.
///
/// # Errors
/// Those of `fill` and of the disk; [`io::ErrorKind::AlreadyExists`] where something is there, which
/// stays as it is.
pub fn create(path: &Path, fill: impl FnOnce(&mut Draft<'_>) -> io::Result<()>) -> io::Result<()> {
    let draft = drafted(path, &mut Builder::new(), fill)?;
    draft.persist_noclobber(path).map_err(|error| error.error)?;
    durable(path)
}

/// Puts a file for its owner alone in its place, whatever was there.
///
/// # Errors
/// Those of `fill` and of the disk; what was there stays then.
pub fn replace(path: &Path, fill: impl FnOnce(&mut Draft<'_>) -> io::Result<()>) -> io::Result<()> {
    let draft = drafted(path, &mut Builder::new(), fill)?;
    draft.persist(path).map_err(|error| error.error)?;
    durable(path)
}

/// The same for a file that others read as they read what is beside it: what their mask leaves.
///
/// # Errors
/// As [`replace`].
pub fn replace_shared(path: &Path, fill: impl FnOnce(&mut Draft<'_>) -> io::Result<()>) -> io::Result<()> {
    let mut builder = Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let draft = drafted(path, &mut builder, fill)?;
    draft.persist(path).map_err(|error| error.error)?;
    durable(path)
}

fn drafted(
    path: &Path,
    builder: &mut Builder<'_, '_>,
    fill: impl FnOnce(&mut Draft<'_>) -> io::Result<()>,
) -> io::Result<NamedTempFile> {
    let mut draft = builder.tempfile_in(folder_of(path))?;
    let mut writer = BufWriter::new(&mut draft);
    fill(&mut writer)?;
    writer.flush()?;
    drop(writer);
    draft.as_file().sync_all()?;
    Ok(draft)
}

/// The name is durable once the folder is; where folders cannot be opened it already is.
fn durable(path: &Path) -> io::Result<()> {
    File::open(folder_of(path)).map_or(Ok(()), |folder| folder.sync_all())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests;
