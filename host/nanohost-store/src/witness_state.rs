//! What a witness keeps, as files in a folder of its own: its key, its name, and the head of each log
//! that it signed last. Knows no network, and not when a head may be signed.
//!
//! ```text
//! <folder>/           0700
//!   witness.key.pem   the private key, PKCS#8 v1
//!   heads             the heads, each after a line with its length; replaced as a whole
//!   witness.vkey      the name and the public key: written last when the folder is made
//! ```
//!
//! A witness that forgot its heads would sign a second history of a log that it saw the first of. So
//! where the public key is there and the heads are not, nothing opens.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nanohost_core::Signer;
use nanohost_core::log::note::Kind;
use nanohost_core::log::{Checkpoint, KeyName, Note, NoteSigner, NoteVerifier};
use zeroize::Zeroizing;

use crate::error::StoreError;
use crate::{private_file, seal};

#[cfg(test)]
mod tests;

/// Another process that makes the folder is waited for no longer than this.
const WAIT: Duration = Duration::from_secs(5);

/// The most logs that one witness looks after: its heads are read and written whole.
pub const MAX_WITNESSED_LOGS: usize = 1024;

/// No file of heads is longer, bytes.
const MAX_HEADS: u64 = 16 << 20;

const KEY: &str = "witness.key.pem";
const HEADS: &str = "heads";
const PUBLIC: &str = "witness.vkey";

/// The state of a witness, held by this process alone for as long as this lives.
#[derive(Debug)]
pub struct WitnessState {
    dir: PathBuf,
    signer: NoteSigner,
    heads: BTreeMap<KeyName, Note>,
    _held: File,
}

impl WitnessState {
    /// Opens a folder, or makes it, with a new key under `name` or one of its own.
    ///
    /// # Errors
    /// [`StoreError::Busy`] where another witness has it, [`StoreError::WitnessState`] where a part
    /// of it is gone or is another's, and where files cannot be read or written.
    pub fn open(dir: &Path, name: Option<&KeyName>) -> Result<Self, StoreError> {
        private_file::create_dir(dir)?;
        let held = private_file::lock_folder(dir, WAIT)?;
        let (signer, heads) = match Self::public(dir)? {
            Some(known) => {
                if name.is_some_and(|name| name != known.name()) {
                    return Err(damaged(&dir.join(PUBLIC), format!("its name is {}", known.name())));
                }
                let signer = read_key(dir)?.ok_or_else(|| damaged(&dir.join(KEY), "it is gone"))?;
                let signer = NoteSigner::new(known.name().clone(), Kind::Cosignature, signer);
                if *signer.verifier() != known {
                    return Err(damaged(&dir.join(KEY), format!("it is not the key of {PUBLIC}")));
                }
                let heads = read_heads(dir)?.ok_or_else(|| damaged(&dir.join(HEADS), "it is gone"))?;
                (signer, heads)
            }
            None => (make(dir, name)?, BTreeMap::new()),
        };
        Ok(Self { dir: dir.to_owned(), signer, heads, _held: held })
    }

    /// The public key of a folder's witness, `None` where there is none. Makes nothing, and does not
    /// wait for a witness that runs.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn public(dir: &Path) -> Result<Option<NoteVerifier>, StoreError> {
        let path = dir.join(PUBLIC);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::from_io(&path, &error)),
        };
        let key: Result<NoteVerifier, _> = text.trim_end_matches('\n').parse();
        key.map(Some).map_err(|error| damaged(&path, error.to_string()))
    }

    /// The key that it signs with.
    pub const fn signer(&self) -> &NoteSigner {
        &self.signer
    }

    /// The head of a log that it signed last, with its signature.
    pub fn head(&self, origin: &KeyName) -> Option<&Note> {
        self.heads.get(origin)
    }

    /// The heads that it signed last.
    pub fn heads(&self) -> impl Iterator<Item = (&KeyName, &Note)> {
        self.heads.iter()
    }

    /// Keeps a head of a log in place of the one before: on disk when this returns, or nothing changed.
    ///
    /// # Errors
    /// Where it cannot be written, and for more logs than [`MAX_WITNESSED_LOGS`].
    pub fn keep(&mut self, origin: KeyName, note: Note) -> Result<(), StoreError> {
        let mut heads = self.heads.clone();
        heads.insert(origin, note);
        if heads.len() > MAX_WITNESSED_LOGS {
            return Err(StoreError::Misuse { what: "a witness of more logs than one looks after" });
        }
        write_heads(&self.dir, heads.values())?;
        self.heads = heads;
        Ok(())
    }
}

/// Makes a key and an empty list of heads; the public key last, which says that all is there.
fn make(dir: &Path, name: Option<&KeyName>) -> Result<NoteSigner, StoreError> {
    if read_heads(dir)?.is_some_and(|heads| !heads.is_empty()) {
        return Err(damaged(&dir.join(PUBLIC), "it is gone, and there are heads"));
    }
    let name = match name {
        Some(name) => name.clone(),
        None => {
            let mut bytes = [0; 16];
            seal::fill_random(&mut bytes)?;
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let name = format!("nanohost-witness/{digits}");
            name.parse().map_err(|_| StoreError::Misuse { what: "a witness without a name" })?
        }
    };
    // A key without a public one beside it is what a process left that died while it made one.
    let key = match read_key(dir)? {
        Some(key) => key,
        None => {
            let mut seed = Zeroizing::new([0; 32]);
            seal::fill_random(seed.as_mut_slice())?;
            let key = Signer::from_seed(*seed);
            let pem = key.to_pkcs8_pem().map_err(|error| damaged(&dir.join(KEY), error.to_string()))?;
            private_file::write_whole(&dir.join(KEY), pem.as_bytes())?;
            key
        }
    };
    write_heads(dir, std::iter::empty())?;
    let signer = NoteSigner::new(name, Kind::Cosignature, key);
    private_file::write_whole(&dir.join(PUBLIC), format!("{}\n", signer.verifier()).as_bytes())?;
    Ok(signer)
}

fn read_key(dir: &Path) -> Result<Option<Signer>, StoreError> {
    let path = dir.join(KEY);
    let Some(pem) = private_file::read_secret(&path)? else { return Ok(None) };
    Signer::from_pkcs8_pem(&pem).map(Some).map_err(|error| damaged(&path, error.to_string()))
}

fn write_heads<'n>(dir: &Path, heads: impl Iterator<Item = &'n Note>) -> Result<(), StoreError> {
    let mut text = String::new();
    for head in heads {
        let head = head.to_string();
        text.push_str(&format!("{}\n{head}", head.len()));
    }
    private_file::write_whole(&dir.join(HEADS), text.as_bytes())
}

fn read_heads(dir: &Path) -> Result<Option<BTreeMap<KeyName, Note>>, StoreError> {
    use std::io::Read as _;
    let path = dir.join(HEADS);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::from_io(&path, &error)),
    };
    let mut text = String::new();
    match file.take(MAX_HEADS + 1).read_to_string(&mut text) {
        Ok(length) if length as u64 > MAX_HEADS => return Err(damaged(&path, "it is too long")),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::InvalidData => return Err(damaged(&path, "it is not text")),
        Err(error) => return Err(StoreError::from_io(&path, &error)),
    }
    parse_heads(&text).map(Some).map_err(|what| damaged(&path, what))
}

fn parse_heads(text: &str) -> Result<BTreeMap<KeyName, Note>, String> {
    let mut heads = BTreeMap::new();
    let mut rest = text;
    while !rest.is_empty() {
        let head = rest.split_once('\n').and_then(|(length, after)| {
            let length: usize = length.parse().ok()?;
            after.split_at_checked(length)
        });
        let (head, after) = head.ok_or("a head does not have the length it is said to have")?;
        let note: Note = head.parse().map_err(|error| format!("a head: {error}"))?;
        let checkpoint: Checkpoint = note.text().parse().map_err(|error| format!("a head: {error}"))?;
        if heads.insert(checkpoint.origin, note).is_some() {
            return Err("two heads of one log".to_owned());
        }
        rest = after;
    }
    Ok(heads)
}

fn damaged(path: &Path, detail: impl Into<String>) -> StoreError {
    StoreError::WitnessState { path: path.to_owned(), detail: detail.into() }
}
