//! The export file of one run: everything an auditor needs, in one text file. Knows the form and
//! order of its lines; what the envelopes say, and whether they may be believed, it does not know.
//!
//! ```text
//! {"nanohostExport":1,"run":"<run>"}
//! {"act":"<base64>","proof":"<base64>"}                                             an act that bears on the run
//! {"payload":…}                                                                     an envelope, as stored
//! {"bytes":"<base64>","encoding":"json","ref":"run/<run>/<seq>/<role>","salt":"<hex>"}  content of that envelope
//! ```
//!
//! Every line ends with a line feed and has one possible form. Nothing beside the signed bytes
//! matters for what is true: a content line counts only where a signed commitment holds for it.
//!
//! Reading takes two steps, so that a line which went missing is told from one that was changed:
//! [`Export::parse`] checks the form before any signature, and [`Export::check_places`] decides
//! about contents without their envelope once the envelopes are known to be whole.

mod acts;
mod reader;

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::digest::hex_array;
use crate::{Commitment, Encoding, RunId, Salt, commit, dsse, hex};

#[cfg(test)]
mod tests;

pub use acts::ExportedAct;
pub use reader::{ExportReader, Part, ReadError, is_begun_by};

/// The largest export that is read, bytes. Stops a hostile file from filling the memory; whoever
/// reads the file checks its size against it first.
pub const MAX_EXPORT: usize = 512 * 1024 * 1024;

/// The longest line, bytes without the line feed. Stops one line from being decoded without end.
pub const MAX_LINE: usize = 48 * 1024 * 1024;

/// The most lines. Stops a file of short lines from costing a hundred times its size.
pub const MAX_LINES: usize = 1 << 20;

/// The largest content, bytes: its line must fit into [`MAX_LINE`].
pub const MAX_CONTENT: usize = 32 * 1024 * 1024;

/// The longest role. Stops a name from carrying content.
const MAX_ROLE: usize = 64;

/// The greatest sequence number: the greatest integer of a signed document.
const MAX_SEQ: u64 = crate::jcs::MAX_INTEGER as u64;

const HEADER: &str = "{\"nanohostExport\":1,\"run\":\"";
const HEADER_END: &str = "\"}";
const CONTENT: &str = "{\"bytes\":\"";
const ENCODING: &str = "\",\"encoding\":\"";
const REF: &str = "\",\"ref\":\"";
const SALT: &str = "\",\"salt\":\"";
const CONTENT_END: &str = "\"}";

/// Why a file is not a whole export.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// More than this reader takes on.
    #[error("line {line}: the {what} is larger than {limit}")]
    TooLarge {
        /// Line from 1.
        line: usize,
        /// What is too large.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// The file ends within a line: it was cut.
    #[error("line {line} does not end: the file was cut")]
    CutLine {
        /// Line from 1.
        line: usize,
    },
    /// Content whose envelope is not there, though the run may go on to it: the file was cut.
    #[error("{reference} has no envelope: the file was cut")]
    OrphanContent {
        /// The ref of the content.
        reference: String,
    },
    /// A line that no writer wrote, or not there.
    #[error("line {line}: {why}")]
    Malformed {
        /// Line from 1.
        line: usize,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// What a committed value is to its envelope, such as `input` or `output`: 1 to 64 lower-case
/// letters, digits, `-`, `_`, `.` and `/`, starting with a letter.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Role(Cow<'static, str>);

/// The text has not the form of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a role: expected 1 to {MAX_ROLE} of a-z, 0-9, `-`, `_`, `.` and `/`, starting with a letter")]
pub struct BadRole;

impl Role {
    /// Everything admission was decided from, the program's source included: a document.
    pub const ADMISSION: Self = Self(Cow::Borrowed("admission"));
    /// Everything that the world answered to the tool of a call: what a replay of it is answered from.
    pub const ANSWERS: Self = Self(Cow::Borrowed("answers"));
    /// The model's answer.
    pub const ANSWER: Self = Self(Cow::Borrowed("answer"));
    /// What was refused.
    pub const DENIED: Self = Self(Cow::Borrowed("denied"));
    /// The payload of a resume event.
    pub const EVENT: Self = Self(Cow::Borrowed("event"));
    /// Arguments of a call, or the inputs of the run.
    pub const INPUT: Self = Self(Cow::Borrowed("input"));
    /// The words of a failure.
    pub const MESSAGE: Self = Self(Cow::Borrowed("message"));
    /// The result of a call.
    pub const OUTPUT: Self = Self(Cow::Borrowed("output"));
    /// The prompt a model was asked.
    pub const PROMPT: Self = Self(Cow::Borrowed("prompt"));
    /// Why a tool waits, in its own words.
    pub const REASON: Self = Self(Cow::Borrowed("reason"));
    /// What somebody was shown before they answered.
    pub const SHOWN: Self = Self(Cow::Borrowed("shown"));
    /// Where the files of a run lay on the machine that started it.
    pub const LAUNCH: Self = Self(Cow::Borrowed("launch"));
    /// The secret seed of the run's randomness.
    pub const SEED: Self = Self(Cow::Borrowed("seed"));
    /// The system text a model was given.
    pub const SYSTEM: Self = Self(Cow::Borrowed("system"));

    /// Documents say what was admitted; they hold nothing of a run's data.
    pub fn is_document(&self) -> bool {
        *self == Self::ADMISSION
    }

    /// Values that are nobody else's: who knows the seed can foretell what was random, and paths of
    /// a machine tell of it.
    pub fn is_secret(&self) -> bool {
        *self == Self::SEED || *self == Self::LAUNCH
    }

    /// Checks the form of `text`.
    ///
    /// # Errors
    /// Every other text.
    pub fn new(text: &str) -> Result<Self, BadRole> {
        let body =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.' | b'/');
        let valid = text.len() <= MAX_ROLE
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(body);
        if valid { Ok(Self(Cow::Owned(text.to_owned()))) } else { Err(BadRole) }
    }

    /// The role as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Role {
    type Err = BadRole;

    fn from_str(text: &str) -> Result<Self, BadRole> {
        Self::new(text)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// One disclosed value.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    /// The envelope that commits to it.
    pub seq: u64,
    /// What it is to that envelope.
    pub role: Role,
    /// How its bytes are to be read.
    pub encoding: Encoding,
    /// The salt of its commitment.
    pub salt: Salt,
    /// The value.
    pub bytes: Vec<u8>,
}

impl Content {
    /// The commitment that its envelope must hold.
    pub fn commitment(&self) -> Commitment {
        commit(&self.salt, self.encoding, &self.bytes)
    }

    /// `run/<run>/<seq>/<role>`.
    pub fn reference(&self, run: &RunId) -> String {
        format!("run/{run}/{}/{}", self.seq, self.role)
    }
}

impl fmt::Debug for Content {
    /// Shows how much there is, never what: it may be personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({}/{}, {}, {} bytes)", self.seq, self.role, self.encoding, self.bytes.len())
    }
}

/// An export in its parts. Its form is right; nothing in it is believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// The run that the header and every ref name. It must be the one that the envelopes name.
    pub run: RunId,
    /// The exact bytes of the envelopes, in the order of the file.
    pub envelopes: Vec<Vec<u8>>,
    /// The disclosed values, ascending by envelope and role.
    pub contents: Vec<Content>,
    /// The acts that bear on the run, in the order of the file.
    pub acts: Vec<ExportedAct>,
    /// For each content: its line, and the envelope it follows.
    places: Vec<Place>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    line: usize,
    /// Index into the envelopes; `None` before the first.
    follows: Option<u64>,
}

impl Export {
    /// Splits a file into its parts.
    ///
    /// # Errors
    /// Every file that [`write()`] could not have written, except that envelopes are not opened: one
    /// that is missing, foreign or changed shows when they are verified.
    pub fn parse(file: &[u8]) -> Result<Self, ExportError> {
        // Reading from memory does not fail.
        let form = |error| match error {
            ReadError::Form(error) => error,
            ReadError::Io(_) => ExportError::CutLine { line: 1 },
        };
        let mut reader = ExportReader::new(file).map_err(form)?;
        let (mut envelopes, mut contents, mut places) = (Vec::new(), Vec::new(), Vec::new());
        let mut acts = Vec::new();
        while let Some(part) = reader.next().map_err(form)? {
            match part {
                Part::Act(act) => acts.push(act),
                Part::Envelope(envelope) => envelopes.push(envelope.to_vec()),
                Part::Content(content) => {
                    contents.push(content);
                    places
                        .push(Place { line: reader.line, follows: (envelopes.len() as u64).checked_sub(1) });
                }
            }
        }
        Ok(Self { run: reader.run, acts, envelopes, contents, places })
    }

    /// Checks that every content follows the envelope it names. To be called once the envelopes
    /// are known to be genuine and to be numbered from 0 without a gap, which alone tells a
    /// missing envelope from a changed ref. `closed`: whether the last of them ends the run.
    ///
    /// # Errors
    /// [`ExportError::OrphanContent`] where an envelope after the last one is missing,
    /// [`ExportError::Malformed`] where the content was moved or its ref changed.
    pub fn check_places(&self, closed: bool) -> Result<(), ExportError> {
        let count = self.envelopes.len() as u64;
        let mut placed = self.contents.iter().zip(&self.places);
        match placed.find(|(content, place)| place.follows != Some(content.seq)) {
            Some((content, place)) => Err(Misplaced::at(content, place.line, &self.run).error(count, closed)),
            None => Ok(()),
        }
    }
}

/// A content that does not follow the envelope it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misplaced {
    reference: String,
    seq: u64,
    line: usize,
}

impl Misplaced {
    /// It stands in that line of the export of `run`.
    pub fn at(content: &Content, line: usize, run: &RunId) -> Self {
        Self { reference: content.reference(run), seq: content.seq, line }
    }

    /// What that says of a file with so many envelopes, which are genuine and numbered from 0 without
    /// a gap. `closed`: whether the last of them ends the run.
    pub fn error(self, envelopes: u64, closed: bool) -> ExportError {
        if self.seq >= envelopes && !closed {
            ExportError::OrphanContent { reference: self.reference }
        } else {
            let why = "this content does not follow the envelope it names";
            ExportError::Malformed { line: self.line, why }
        }
    }
}

/// The position of a content among all contents of its run.
fn place(content: &Content) -> (u64, &Role) {
    (content.seq, &content.role)
}

/// Writes the export of `run`: all its envelopes from 0, exactly as stored, and the contents that
/// may be disclosed, in any order.
///
/// # Errors
/// Those of `out`, and `InvalidInput` for what [`Export::parse`] would refuse: a content too large,
/// repeated or without its envelope, an envelope too large, too many lines.
pub fn write<'a>(
    out: &mut impl Write,
    run: &RunId,
    envelopes: &[impl AsRef<[u8]>],
    contents: impl IntoIterator<Item = &'a Content>,
) -> io::Result<()> {
    write_with_acts(out, run, &[], envelopes, contents)
}

/// As [`write()`], with the acts that bear on the run. They stand before its envelopes: whoever reads
/// those one by one knows then what is not missing.
///
/// # Errors
/// Those of [`write()`].
pub fn write_with_acts<'a>(
    out: &mut impl Write,
    run: &RunId,
    acts: &[ExportedAct],
    envelopes: &[impl AsRef<[u8]>],
    contents: impl IntoIterator<Item = &'a Content>,
) -> io::Result<()> {
    let refuse = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    let mut contents: Vec<&Content> = contents.into_iter().collect();
    contents.sort_by_key(|content| place(content));
    if contents.windows(2).any(|pair| place(pair[0]) == place(pair[1])) {
        return refuse("a content stands twice in the export");
    }
    if 1 + acts.len() + envelopes.len() + contents.len() > MAX_LINES {
        return refuse("the run has too many envelopes and contents for one export");
    }

    writeln!(out, "{HEADER}{run}{HEADER_END}")?;
    let mut size = acts::write(out, acts)?;
    let mut contents = contents.into_iter().peekable();
    let mut buffer = String::new();
    for (seq, envelope) in (0..).zip(envelopes) {
        let envelope = envelope.as_ref();
        if envelope.len() > dsse::MAX_ENVELOPE
            || !envelope.starts_with(dsse::HEAD)
            || envelope.contains(&b'\n')
        {
            return refuse("an envelope has not the form it must have");
        }
        out.write_all(envelope)?;
        out.write_all(b"\n")?;
        size += envelope.len();
        while let Some(content) = contents.next_if(|content| content.seq == seq) {
            if content.bytes.len() > MAX_CONTENT {
                return refuse("a content is too large for an export");
            }
            buffer.clear();
            buffer.push_str(CONTENT);
            STANDARD.encode_string(&content.bytes, &mut buffer);
            buffer.push_str(ENCODING);
            buffer.push_str(content.encoding.as_str());
            buffer.push_str(REF);
            buffer.push_str(&content.reference(run));
            buffer.push_str(SALT);
            buffer.push_str(&hex::text(content.salt.as_bytes()));
            buffer.push_str(CONTENT_END);
            buffer.push('\n');
            out.write_all(buffer.as_bytes())?;
            size += buffer.len();
        }
        if size > MAX_EXPORT - MAX_LINE {
            return refuse("the run is too large for one export");
        }
    }
    if contents.next().is_some() {
        return refuse("a content has no envelope");
    }
    Ok(())
}

fn parse_header(line: &[u8]) -> Option<RunId> {
    let run = line.strip_prefix(HEADER.as_bytes())?.strip_suffix(HEADER_END.as_bytes())?;
    RunId::new(std::str::from_utf8(run).ok()?).ok()
}

fn parse_content(line: &[u8], run: &RunId) -> Result<Content, &'static str> {
    const FORM: &str = "not a content in its canonical form";
    // No part holds a quotation mark, so the first end of each part is the only one.
    let text = std::str::from_utf8(line).map_err(|_| FORM)?;
    let text = text.strip_prefix(CONTENT).ok_or(FORM)?;
    let (bytes, text) = text.split_once(ENCODING).ok_or(FORM)?;
    let (encoding, text) = text.split_once(REF).ok_or(FORM)?;
    let (reference, text) = text.split_once(SALT).ok_or(FORM)?;
    let salt = text.strip_suffix(CONTENT_END).ok_or(FORM)?;

    let reference = reference.strip_prefix("run/").ok_or("not a ref of a run")?;
    let reference = reference.strip_prefix(run.as_str()).ok_or("this content is of another run")?;
    let (seq, role) = reference.strip_prefix('/').and_then(|rest| rest.split_once('/')).ok_or("not a ref")?;
    Ok(Content {
        seq: parse_seq(seq).ok_or("the ref has no sequence number in its one form")?,
        role: role.parse().map_err(|_| "the ref has no role in its one form")?,
        encoding: encoding.parse().map_err(|_| "an encoding that does not exist")?,
        salt: hex_array(salt).map(Salt::from_bytes).ok_or("a salt that is not 64 hexadecimal digits")?,
        bytes: decode(bytes)?,
    })
}

fn decode(digits: &str) -> Result<Vec<u8>, &'static str> {
    if digits.len() / 4 > MAX_CONTENT / 3 {
        return Err("a content that is too large");
    }
    STANDARD.decode(digits).map_err(|_| "bytes that are not base64 in its canonical form")
}

/// Decimal without sign or leading zero, so that one number has one text.
pub(crate) fn parse_seq(text: &str) -> Option<u64> {
    let canonical = text == "0" || (!text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()));
    text.parse().ok().filter(|&seq| canonical && seq <= MAX_SEQ)
}
