//! Reading an export line by line, in the memory of its longest line. Knows the form and order of the
//! lines, and of nothing that they say.

use std::io::{self, BufRead, Read as _};

use super::{
    CONTENT, Content, ExportError, ExportedAct, HEADER, MAX_EXPORT, MAX_LINE, MAX_LINES, acts, parse_content,
    parse_header,
};
use crate::export::Role;
use crate::{RunId, dsse};

/// One line after the header.
#[derive(Debug)]
pub enum Part<'r> {
    /// An act that bears on the run: before all envelopes.
    Act(ExportedAct),
    /// An envelope, as exact bytes.
    Envelope(&'r [u8]),
    /// A disclosed value.
    Content(Content),
}

/// Why reading ends before the file does.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file has not the form of an export.
    #[error(transparent)]
    Form(#[from] ExportError),
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The lines of an export, each looked at only after its bounds hold.
#[derive(Debug)]
pub struct ExportReader<R> {
    file: R,
    text: Vec<u8>,
    pub(super) run: RunId,
    pub(super) line: usize,
    read: usize,
    /// Whether something else than acts has come.
    begun: bool,
    /// The place of the content that came last.
    last: Option<(u64, Role)>,
}

impl<R: BufRead> ExportReader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// Where there is none.
    pub fn new(file: R) -> Result<Self, ReadError> {
        let nobody = RunId::from_random([0; 16]);
        let mut reader =
            Self { file, text: Vec::new(), run: nobody, line: 0, read: 0, begun: false, last: None };
        if !reader.read_line()? {
            return Err(ExportError::CutLine { line: 1 }.into());
        }
        let no_header = ExportError::Malformed { line: 1, why: "not the header of an export" };
        reader.run = parse_header(&reader.text).ok_or(no_header)?;
        Ok(reader)
    }

    /// The run that the header names.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// The number of the line that was read last, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The next line; `None` after the last one.
    ///
    /// # Errors
    /// Every line that no writer wrote there.
    #[expect(clippy::should_implement_trait, reason = "an envelope is lent out of the line, not kept")]
    pub fn next(&mut self) -> Result<Option<Part<'_>>, ReadError> {
        if !self.read_line()? {
            return Ok(None);
        }
        let line = self.line;
        let malformed = |why| ExportError::Malformed { line, why };
        if self.text.starts_with(acts::ACT.as_bytes()) {
            if self.begun {
                return Err(malformed("an act stands before all envelopes").into());
            }
            return Ok(Some(Part::Act(ExportedAct::parse(&self.text).map_err(malformed)?)));
        }
        self.begun = true;
        if self.text.starts_with(dsse::HEAD) {
            if self.text.len() > dsse::MAX_ENVELOPE {
                let (what, limit) = ("envelope", dsse::MAX_ENVELOPE);
                return Err(ExportError::TooLarge { line, what, limit }.into());
            }
            return Ok(Some(Part::Envelope(&self.text)));
        }
        if !self.text.starts_with(CONTENT.as_bytes()) {
            return Err(malformed("neither an envelope nor a content in its canonical form").into());
        }
        let content = parse_content(&self.text, &self.run).map_err(malformed)?;
        let place = (content.seq, content.role.clone());
        if self.last.as_ref().is_some_and(|last| *last >= place) {
            return Err(malformed("this content is repeated or not in its place").into());
        }
        self.last = Some(place);
        Ok(Some(Part::Content(content)))
    }

    /// Reads a line, without its line feed; whether there was one.
    fn read_line(&mut self) -> Result<bool, ReadError> {
        self.text.clear();
        let read = (&mut self.file).take(MAX_LINE as u64 + 1).read_until(b'\n', &mut self.text)?;
        if read == 0 {
            return Ok(false);
        }
        self.line += 1;
        self.read = self.read.saturating_add(read);
        let line = self.line;
        let too_large = |what, limit| Err(ExportError::TooLarge { line, what, limit }.into());
        if line > MAX_LINES {
            return too_large("number of lines", MAX_LINES);
        }
        if self.read > MAX_EXPORT {
            return too_large("file", MAX_EXPORT);
        }
        if self.text.pop_if(|last| *last == b'\n').is_some() {
            return Ok(true);
        }
        if self.text.len() > MAX_LINE {
            return too_large("line", MAX_LINE);
        }
        Err(ExportError::CutLine { line }.into())
    }
}

/// Whether a file is one of an export at all, whole or not: it has its header, or the beginning of
/// it, or a line of an envelope. Says nothing of whether the rest is right.
///
/// # Errors
/// Those of the file.
pub fn is_begun_by(mut file: impl BufRead) -> io::Result<bool> {
    let mut start = Vec::new();
    (&mut file).take(HEADER.len() as u64).read_to_end(&mut start)?;
    if HEADER.as_bytes().starts_with(&start) {
        return Ok(!start.is_empty());
    }
    // How much of the head of an envelope the present line begins with; `None` once it is another.
    let mut matched = Some(0);
    let mut rest = io::Read::chain(start.as_slice(), file);
    loop {
        let bytes = rest.fill_buf()?;
        if bytes.is_empty() {
            return Ok(false);
        }
        for byte in bytes {
            matched = match matched {
                _ if *byte == b'\n' => Some(0),
                Some(so_far) if dsse::HEAD.get(so_far) == Some(byte) => Some(so_far + 1),
                _ => None,
            };
            if matched == Some(dsse::HEAD.len()) {
                return Ok(true);
            }
        }
        let used = bytes.len();
        rest.consume(used);
    }
}
