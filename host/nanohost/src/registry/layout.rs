//! An OCI image layout: the folder, or the tar archive of one, that images lie in without a registry. An
//! archive is a stranger's: names that lead anywhere, links, and what is there twice are refused, and no
//! name of it ever becomes a path of this machine. Knows nothing of packages.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use nanohost_core::Digest;
use tar::{Archive, EntryType, Header};

use super::image::{ImageError, ImageIndex, MAX_DOCUMENT};

/// The file that says that it is one.
const MARK: &str = "oci-layout";
/// What it says.
const MARK_BYTES: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// Where the images are listed.
const INDEX: &str = "index.json";
/// Where blobs lie, each named by its digest.
const BLOBS: &str = "blobs/sha256/";

/// No archive has more files: each is remembered.
const MAX_FILES: usize = 8192;

/// No archive is longer, bytes: it is read through once before anything of it is used.
const MAX_ARCHIVE: u64 = 4 << 30;

/// A layout that is none, or is not whole.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// It is not what it should be.
    #[error("{0}")]
    Invalid(String),
    /// What a digest names is not what lies there.
    #[error("what lies there as sha256:{0} is something else")]
    Mismatch(Digest),
    /// It does not hold what was asked for.
    #[error("it holds no sha256:{0}")]
    Missing(Digest),
    /// It cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl From<ImageError> for LayoutError {
    fn from(error: ImageError) -> Self {
        Self::Invalid(format!("{INDEX}: {error}"))
    }
}

/// A layout that was opened.
#[derive(Debug)]
pub struct Layout<R = File> {
    place: Place<R>,
    index: ImageIndex,
}

#[derive(Debug)]
enum Place<R> {
    /// Its folder.
    Folder(PathBuf),
    /// An archive, and where in it the blobs begin and how long they are.
    Archive(R, BTreeMap<Digest, (u64, u64)>),
}

impl Layout {
    /// The layout in a folder, or in a tar archive.
    ///
    /// # Errors
    /// What is no layout, or cannot be read.
    pub fn open(path: &Path) -> Result<Self, LayoutError> {
        if !path.is_dir() {
            // Looked at before it is opened: to open a pipe is to wait for whoever writes into it.
            if !path.metadata()?.is_file() {
                return Err(LayoutError::Invalid("it is no plain file".to_owned()));
            }
            let file = File::open(path)?;
            return Self::of_archive(file);
        }
        let small = |name: &str| -> Result<Vec<u8>, LayoutError> {
            bounded(&mut File::open(path.join(name))?, MAX_DOCUMENT)
        };
        mark(&small(MARK)?)?;
        let index = ImageIndex::read(&small(INDEX)?)?;
        Ok(Self { place: Place::Folder(path.to_owned()), index })
    }
}

impl<R: Read + Seek> Layout<R> {
    /// The layout in a tar archive.
    ///
    /// # Errors
    /// As [`Layout::open`].
    pub fn of_archive(mut file: R) -> Result<Self, LayoutError> {
        let invalid = |why: &str| LayoutError::Invalid(why.to_owned());
        if file.seek(SeekFrom::End(0))? > MAX_ARCHIVE {
            return Err(invalid("it is longer than any bundle"));
        }
        file.rewind()?;
        let (mut marked, mut index, mut blobs) = (false, None, BTreeMap::new());
        let mut archive = Archive::new(&mut file);
        // Raw: a header that renames or resizes the next entry would be read into the memory, however long.
        for entry in archive.entries_with_seek()?.raw(true) {
            let mut entry = entry?;
            let name = String::from_utf8(entry.path_bytes().into_owned())
                .map_err(|_| invalid("a name in it is not UTF-8"))?;
            match entry.header().entry_type() {
                // A folder is nothing by itself. Whatever else is no file leads somewhere.
                EntryType::Directory => {
                    if !matches!(
                        name.trim_end_matches('/'),
                        "." | "blobs" | "blobs/sha256" | "./blobs" | "./blobs/sha256"
                    ) {
                        return Err(foreign(&name));
                    }
                    continue;
                }
                EntryType::Regular => {}
                _ => return Err(LayoutError::Invalid(format!("{:?} in it is no plain file", short(&name)))),
            }
            // As `tar -cf x.tar .` writes them.
            let name = name.strip_prefix("./").unwrap_or(&name);
            let twice = match name {
                MARK => {
                    mark(&bounded(&mut entry, MAX_DOCUMENT)?)?;
                    std::mem::replace(&mut marked, true)
                }
                INDEX => {
                    let read = ImageIndex::read(&bounded(&mut entry, MAX_DOCUMENT)?)?;
                    index.replace(read).is_some()
                }
                name => {
                    let hex = name.strip_prefix(BLOBS).ok_or_else(|| foreign(name))?;
                    let digest: Digest = hex.parse().map_err(|_| foreign(name))?;
                    if blobs.len() == MAX_FILES {
                        return Err(invalid("it holds more files than any bundle"));
                    }
                    blobs.insert(digest, (entry.raw_file_position(), entry.size())).is_some()
                }
            };
            if twice {
                return Err(LayoutError::Invalid(format!("{:?} is in it twice", short(name))));
            }
        }
        match index.filter(|_| marked) {
            Some(index) => Ok(Self { place: Place::Archive(file, blobs), index }),
            None => Err(LayoutError::Invalid(format!("it is no image layout: {MARK} or {INDEX} is missing"))),
        }
    }

    /// What images it says that it holds.
    pub fn index(&self) -> &ImageIndex {
        &self.index
    }

    /// A blob, held against its digest.
    ///
    /// # Errors
    /// Where it is not there, longer than `bound`, or something else.
    pub fn blob(&mut self, digest: &Digest, bound: u64) -> Result<Vec<u8>, LayoutError> {
        let bytes = match &mut self.place {
            Place::Folder(folder) => match File::open(folder.join(BLOBS).join(digest.to_string())) {
                Ok(mut file) => bounded(&mut file, bound)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(LayoutError::Missing(*digest));
                }
                Err(error) => return Err(error.into()),
            },
            Place::Archive(file, blobs) => {
                let (begin, length) = *blobs.get(digest).ok_or(LayoutError::Missing(*digest))?;
                file.seek(SeekFrom::Start(begin))?;
                bounded(&mut file.take(length), bound)?
            }
        };
        if Digest::of(&bytes) == *digest { Ok(bytes) } else { Err(LayoutError::Mismatch(*digest)) }
    }
}

/// Blobs on their way into a layout.
#[derive(Debug, Default)]
pub struct LayoutDraft {
    blobs: BTreeMap<Digest, Vec<u8>>,
    index: Vec<super::image::Descriptor>,
}

impl LayoutDraft {
    /// Adds a blob.
    pub fn blob(&mut self, bytes: &[u8]) {
        self.blobs.entry(Digest::of(bytes)).or_insert_with(|| bytes.to_vec());
    }

    /// Adds an image, whose blobs are added beside it.
    pub fn image(&mut self, entry: super::image::Descriptor, bytes: &[u8]) {
        self.blob(bytes);
        if !self.index.contains(&entry) {
            self.index.push(entry);
        }
    }

    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let index = ImageIndex::new(self.index.clone()).to_bytes();
        let mut files = vec![(MARK.to_owned(), MARK_BYTES.to_vec()), (INDEX.to_owned(), index)];
        files.extend(self.blobs.iter().map(|(digest, bytes)| (format!("{BLOBS}{digest}"), bytes.clone())));
        files
    }

    /// Writes it as a tar archive: the same bytes for the same images, whoever writes them and when.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_archive(&self, out: impl Write) -> io::Result<()> {
        let mut archive = tar::Builder::new(out);
        for (name, bytes) in self.files() {
            let mut header = Header::new_ustar();
            header.set_entry_type(EntryType::Regular);
            header.set_mode(0o644);
            header.set_mtime(0);
            header.set_size(bytes.len() as u64);
            archive.append_data(&mut header, name, bytes.as_slice())?;
        }
        archive.into_inner()?.flush()
    }

    /// Writes it as a folder, which is there and empty.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn write_folder(&self, folder: &Path) -> io::Result<()> {
        std::fs::create_dir_all(folder.join(BLOBS))?;
        for (name, bytes) in self.files() {
            let mut file = File::create_new(folder.join(name))?;
            file.write_all(&bytes)?;
            file.sync_all()?;
        }
        Ok(())
    }
}

fn mark(bytes: &[u8]) -> Result<(), LayoutError> {
    let version = serde_json::from_slice::<serde_json::Value>(bytes)
        .ok()
        .and_then(|mark| mark["imageLayoutVersion"].as_str().map(str::to_owned));
    match version.as_deref() {
        Some("1.0.0") => Ok(()),
        _ => Err(LayoutError::Invalid(format!("its {MARK} is not of version 1.0.0"))),
    }
}

fn bounded(from: &mut impl Read, bound: u64) -> Result<Vec<u8>, LayoutError> {
    let mut bytes = Vec::new();
    from.take(bound + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > bound {
        true => Err(LayoutError::Invalid(format!("a file in it is longer than {bound} bytes"))),
        false => Ok(bytes),
    }
}

fn foreign(name: &str) -> LayoutError {
    LayoutError::Invalid(format!("{:?} has no place in an image layout", short(name)))
}

fn short(name: &str) -> String {
    name.chars().take(80).collect()
}

#[cfg(test)]
mod tests;
