//! Signed notes ([c2sp.org/signed-note](https://c2sp.org/signed-note)): a text, and lines by which
//! others say that they saw it. Two kinds of signatures: Ed25519 over the text, and cosignatures
//! over the text and a time ([c2sp.org/tlog-cosignature](https://c2sp.org/tlog-cosignature)).
//! Knows nothing of what the text says.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::digest::hex_array;
use crate::keys::{PublicKey, Signer};
use crate::{Digest, hex};

#[cfg(test)]
mod tests;

/// The longest note that is read: a checkpoint has some hundred bytes, and stops a peer from sending
/// more.
pub const MAX_NOTE: usize = 64 << 10;

/// The most signatures under one note: a witness' reader checks each against what it trusts.
pub const MAX_SIGNATURES: usize = 100;

/// The longest name of a key.
pub const MAX_NAME: usize = 200;

/// What begins a line of a signature.
const DASH: &str = "\u{2014} ";

/// Why a text is no note, no key, or not signed by whom it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not in the one form of notes.
    #[error("not a signed note: {0}")]
    Form(&'static str),
    /// Not in the one form of verifier keys.
    #[error("not a verifier key: {0}")]
    Key(&'static str),
    /// Not a name.
    #[error(
        "not the name of a key: it is empty, too long, or has white space, control characters or `+` in it"
    )]
    Name,
    /// A signature by a known key that is none.
    #[error("a signature under the note is not by the key that it names")]
    Signature,
}

/// The name of a key, and the origin of a log: a URL without a scheme, by custom.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

impl KeyName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KeyName {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let foreign = |c: char| c.is_whitespace() || c.is_control() || c == '+';
        if text.is_empty() || text.len() > MAX_NAME || text.contains(foreign) {
            return Err(NoteError::Name);
        }
        Ok(Self(text.to_owned()))
    }
}

/// What a signature is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The text.
    Ed25519,
    /// The text and a time.
    Cosignature,
}

impl Kind {
    const fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 1,
            Self::Cosignature => 4,
        }
    }

    const fn of(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Ed25519),
            4 => Some(Self::Cosignature),
            _ => None,
        }
    }
}

/// Four bytes that tell the keys of one name apart. A hint, never a proof.
type KeyHash = [u8; 4];

/// A key whose signatures count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteVerifier {
    name: KeyName,
    kind: Kind,
    key: PublicKey,
    hash: KeyHash,
}

impl NoteVerifier {
    /// A key under a name.
    pub fn new(name: KeyName, kind: Kind, key: PublicKey) -> Self {
        let parts = [name.as_str().as_bytes(), b"\n", &[kind.byte()], key.as_bytes()];
        let [a, b, c, d, ..] = *Digest::of(&parts.concat()).as_bytes();
        Self { name, kind, key, hash: [a, b, c, d] }
    }

    /// Its name.
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// What its signatures are over.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The key itself.
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The same key under the same name, whose signatures are over a time too: see [`Note::sign_time`].
    pub fn with_time(&self) -> Self {
        Self::new(self.name.clone(), Kind::Cosignature, self.key.clone())
    }
}

/// The form in which keys are handed on (vkey): `name+hash+base64`.
impl fmt::Display for NoteVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = STANDARD.encode([&[self.kind.byte()], self.key.as_bytes().as_slice()].concat());
        write!(f, "{}+{}+{key}", self.name, hex::text(&self.hash))
    }
}

impl FromStr for NoteVerifier {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        // The longest there can be: a name, a hash, 33 bytes in base64.
        if text.len() > MAX_NAME + 64 {
            return Err(NoteError::Key("too long"));
        }
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::Key("it has the form name+hash+key"));
        };
        let hash: KeyHash =
            hex_array(hash).ok_or(NoteError::Key("its hash is not eight lower-case hexadecimal digits"))?;
        let bytes = STANDARD.decode(key).map_err(|_| NoteError::Key("its last part is not base64"))?;
        let (kind, key) = bytes.split_first().ok_or(NoteError::Key("its last part is empty"))?;
        let kind = Kind::of(*kind).ok_or(NoteError::Key("neither Ed25519 nor a cosigner's"))?;
        let key = <[u8; 32]>::try_from(key).map_err(|_| NoteError::Key("the key has not 32 bytes"))?;
        let key =
            PublicKey::from_bytes(&key).map_err(|_| NoteError::Key("no Ed25519 key that proves anything"))?;
        let verifier = Self::new(name.parse()?, kind, key);
        if verifier.hash != hash {
            return Err(NoteError::Key("its hash is not that of its name and key"));
        }
        Ok(verifier)
    }
}

/// A key that signs notes.
#[derive(Debug)]
pub struct NoteSigner {
    verifier: NoteVerifier,
    key: Signer,
}

impl NoteSigner {
    /// A key under a name.
    pub fn new(name: KeyName, kind: Kind, key: Signer) -> Self {
        Self { verifier: NoteVerifier::new(name, kind, key.public().clone()), key }
    }

    /// The half that others verify with.
    pub const fn verifier(&self) -> &NoteVerifier {
        &self.verifier
    }
}

/// One line under a note.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    name: KeyName,
    hash: KeyHash,
    signature: Vec<u8>,
}

/// A text with signatures. That there is one says nothing: [`Note::by`] checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    lines: Vec<Line>,
}

impl Note {
    /// A note that nobody has signed.
    ///
    /// # Errors
    /// A text that is empty, too long, has control characters or does not end its last line.
    pub fn new(text: String) -> Result<Self, NoteError> {
        if text.len() > MAX_NOTE {
            return Err(NoteError::Form("too long"));
        }
        if !text.ends_with('\n') {
            return Err(NoteError::Form("its text ends without a line feed"));
        }
        if text.contains(|c: char| c.is_ascii_control() && c != '\n') {
            return Err(NoteError::Form("control characters in its text"));
        }
        Ok(Self { text, lines: Vec::new() })
    }

    /// What is signed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Adds a signature: over the text, or, for a cosigner, over the text and `time`, Unix seconds.
    pub fn sign(&mut self, signer: &NoteSigner, time: u64) {
        self.sign_as(&signer.verifier, &signer.key, time);
    }

    /// Adds a signature over the text and a time, whatever else this signer signs: a log says by it
    /// that at this time this was its head ([`NoteVerifier::with_time`] checks it).
    pub fn sign_time(&mut self, signer: &NoteSigner, time: u64) {
        self.sign_as(&signer.verifier.with_time(), &signer.key, time);
    }

    fn sign_as(&mut self, verifier: &NoteVerifier, key: &Signer, time: u64) {
        let signature = match verifier.kind {
            Kind::Ed25519 => key.sign(&[self.text.as_bytes()]).to_vec(),
            Kind::Cosignature => {
                let signature = key.sign(&[cosigned(time).as_bytes(), self.text.as_bytes()]);
                [time.to_be_bytes().as_slice(), &signature].concat()
            }
        };
        self.lines.push(Line { name: verifier.name.clone(), hash: verifier.hash, signature });
    }

    /// The note with no signature but those by `verifiers`.
    pub fn only(&self, verifiers: &[NoteVerifier]) -> Self {
        let of =
            |line: &Line, verifier: &NoteVerifier| (&line.name, line.hash) == (&verifier.name, verifier.hash);
        let keep = |line: &&Line| verifiers.iter().any(|verifier| of(line, verifier));
        Self { text: self.text.clone(), lines: self.lines.iter().filter(keep).cloned().collect() }
    }

    /// Adds the signatures of another copy of this note that are not here yet. `false`, and nothing
    /// is added, where its text is another one.
    pub fn join(&mut self, other: &Self) -> bool {
        if self.text != other.text {
            return false;
        }
        for line in &other.lines {
            if !self.lines.contains(line) && self.lines.len() < MAX_SIGNATURES {
                self.lines.push(line.clone());
            }
        }
        true
    }

    /// Whether `verifier` signed this, and for a cosigner when, Unix seconds; `None` where no line
    /// is by that key.
    ///
    /// # Errors
    /// A line that names the key and is not by it: then somebody is lying, and the other lines do
    /// not make up for it.
    pub fn by(&self, verifier: &NoteVerifier) -> Result<Option<Signed>, NoteError> {
        let mut found = None;
        for line in &self.lines {
            if (&line.name, line.hash) == (&verifier.name, verifier.hash) {
                found = Some(self.check(verifier, &line.signature).ok_or(NoteError::Signature)?);
            }
        }
        Ok(found)
    }

    fn check(&self, verifier: &NoteVerifier, signature: &[u8]) -> Option<Signed> {
        match verifier.kind {
            Kind::Ed25519 => {
                let signature = <&[u8; 64]>::try_from(signature).ok()?;
                verifier.key.verifies(self.text.as_bytes(), signature).then_some(Signed { time: None })
            }
            Kind::Cosignature => {
                let (time, signature) = signature.split_first_chunk::<8>()?;
                let time = u64::from_be_bytes(*time);
                let message = [cosigned(time).as_bytes(), self.text.as_bytes()].concat();
                let signature = <&[u8; 64]>::try_from(signature).ok()?;
                verifier.key.verifies(&message, signature).then_some(Signed { time: Some(time) })
            }
        }
    }

    /// Only the lines of the signatures, each with its line feed: what a witness answers with.
    pub fn signatures(&self) -> String {
        self.lines.iter().map(Line::to_string).collect()
    }

    /// Adds lines as [`Note::signatures`] writes them.
    ///
    /// # Errors
    /// Anything else.
    pub fn add_signatures(&mut self, text: &str) -> Result<(), NoteError> {
        if text.len() > MAX_NOTE {
            return Err(NoteError::Form("too long"));
        }
        let lines = lines(text)?;
        if self.lines.len() + lines.len() > MAX_SIGNATURES {
            return Err(NoteError::Form("too many signatures"));
        }
        self.lines.extend(lines);
        Ok(())
    }
}

/// That a key signed a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed {
    /// When, Unix seconds: cosigners say so.
    pub time: Option<u64>,
}

/// What stands before the text that a cosigner signs.
fn cosigned(time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n")
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = STANDARD.encode([self.hash.as_slice(), &self.signature].concat());
        writeln!(f, "{DASH}{} {bytes}", self.name)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.text, self.signatures())
    }
}

impl FromStr for Note {
    type Err = NoteError;

    fn from_str(note: &str) -> Result<Self, NoteError> {
        if note.len() > MAX_NOTE {
            return Err(NoteError::Form("too long"));
        }
        // The last empty line divides: the text may have some of its own.
        let end = note.rfind("\n\n").ok_or(NoteError::Form("no empty line before its signatures"))?;
        let (text, signatures) = note.split_at(end + 1);
        let signatures = signatures.strip_prefix('\n').unwrap_or(signatures);
        let lines = lines(signatures)?;
        if lines.is_empty() {
            return Err(NoteError::Form("no signature"));
        }
        Ok(Self { lines, ..Self::new(text.to_owned())? })
    }
}

fn lines(text: &str) -> Result<Vec<Line>, NoteError> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let text = text.strip_suffix('\n').ok_or(NoteError::Form("it ends without a line feed"))?;
    if text.split('\n').count() > MAX_SIGNATURES {
        return Err(NoteError::Form("too many signatures"));
    }
    text.split('\n').map(line).collect()
}

fn line(text: &str) -> Result<Line, NoteError> {
    const MALFORMED: NoteError = NoteError::Form("a line of a signature has the form — name base64");
    let (name, bytes) = text.strip_prefix(DASH).and_then(|text| text.split_once(' ')).ok_or(MALFORMED)?;
    let bytes = STANDARD.decode(bytes).map_err(|_| MALFORMED)?;
    let (hash, signature) = bytes.split_first_chunk::<4>().ok_or(MALFORMED)?;
    if signature.is_empty() {
        return Err(MALFORMED);
    }
    Ok(Line { name: name.parse()?, hash: *hash, signature: signature.to_vec() })
}
