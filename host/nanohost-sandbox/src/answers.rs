//! What the world answered to the guest of one call, as data: the record that a replay is answered
//! from. It has one JSON form. Knows no capability, no store and no guest; what asks and is
//! answered is [`answering`](crate::answering)'s.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nanohost_core::Digest;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// The form, by which a reader knows what it reads.
const FORMAT: &str = "nanohost/answers/v1";

/// What one record may hold: bytes, with something for each answer and piece. What the world answers is as long as
/// it likes, and is held in memory until the call ends; the JSON of so much is at most twice as long, and a value of an
/// envelope at most 32 MiB.
pub(crate) const MAX_ANSWERS: usize = 12 << 20;

/// Everything that the world answered to a guest, in the order in which it was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    pub(crate) entries: Vec<Entry>,
    /// There was more than a record holds, so it holds nothing.
    pub(crate) cut: bool,
}

/// What is to be a record and is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no record of answers: {0}")]
pub struct BadAnswers(String);

impl Answers {
    /// Whether the world was asked nothing, so that a replay needs no record.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && !self.cut
    }

    /// Why the call cannot be replayed from it, if so.
    pub fn incomplete(&self) -> Option<&'static str> {
        self.cut.then_some("more was answered than a record holds")
    }

    /// What other hosts answered, in the order in which they were asked.
    pub fn http(&self) -> impl Iterator<Item = &HostAnswer> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Http(answer) => Some(&**answer),
            _ => None,
        })
    }

    /// Every path of a granted folder that was asked about, as the guest would write it.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::File(answer) => Some(answer.path.as_str()),
            Entry::Read { path, .. } | Entry::Write { path, .. } => Some(path.as_str()),
            _ => None,
        })
    }

    /// Its JSON form.
    ///
    /// # Errors
    /// None that its values could cause.
    pub fn to_json(&self) -> serde_json::Result<String> {
        let form = Form { format: FORMAT.into(), cut: self.cut, answers: self.entries.as_slice().into() };
        serde_json::to_string(&form)
    }

    /// Reads a record in its one form.
    ///
    /// # Errors
    /// Every other value.
    pub fn parse(value: &Value) -> Result<Self, BadAnswers> {
        let form = Form::deserialize(value).map_err(|error| BadAnswers(error.to_string()))?;
        if form.format != FORMAT {
            return Err(BadAnswers("it is of another version".to_owned()));
        }
        let read = Self { entries: form.answers.into_owned(), cut: form.cut };
        // Defaults, other orders of keys: what says the same in two ways is read in one.
        let said = value.to_string();
        match read.to_json() {
            Ok(json) if json == said => Ok(read),
            _ => Err(BadAnswers("it is not in its one form".to_owned())),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form<'a> {
    format: std::borrow::Cow<'a, str>,
    cut: bool,
    answers: std::borrow::Cow<'a, [Entry]>,
}

/// One question and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Entry {
    /// The host's wall clock.
    Wall { seconds: u64, nanoseconds: u32 },
    /// The host's monotonic clock, nanoseconds since the call began.
    Monotonic { now: u64 },
    /// The host's entropy.
    Random { bytes: Blob },
    /// A key's committed value and its version.
    Get { namespace: String, key: String, value: Option<Blob>, version: Option<u64> },
    /// The committed keys of a namespace.
    List { namespace: String, prefix: String, after: Option<String>, limit: u64, keys: Vec<String> },
    /// What the call wanted to write under a key; no digest: the key was to go.
    Set { namespace: String, key: String, value: Option<Digest> },
    /// Something asked of a file or folder.
    File(FileAnswer),
    /// What was read through a stream.
    Read { path: String, offset: u64, stream: Pieces },
    /// What was written through a stream; no offset: at the end of the file.
    Write { path: String, offset: Option<u64>, sent: Sent, permits: Vec<u64>, end: Option<String> },
    /// A request to another host.
    Http(Box<HostAnswer>),
    /// Which of several things that were waited for had come.
    Poll { ready: Vec<u32> },
    /// Whether one thing had come.
    Ready { ready: bool },
    /// Something asked of a TCP socket.
    Tcp(TcpAnswer),
    /// What came over a connection.
    Receive { socket: u32, stream: Pieces },
    /// What was sent over a connection.
    Send { socket: u32, sent: Sent, permits: Vec<u64>, end: Option<String> },
}

/// A question about a TCP socket, and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TcpAnswer {
    /// The host's word for it.
    pub(crate) ask: String,
    /// Which socket of the call, counted from 0.
    pub(crate) socket: u32,
    /// What else decides: an address, a size.
    pub(crate) with: String,
    pub(crate) told: TcpTold,
}

/// What a network answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum TcpTold {
    Done,
    Address(std::net::SocketAddr),
    Count(u64),
    Is(bool),
    /// The name of the error.
    Failed(String),
}

/// A question about a file, and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileAnswer {
    /// The host's word for it.
    pub(crate) ask: String,
    /// The path as the guest would write it.
    pub(crate) path: String,
    /// What else decides: flags, offsets, another path.
    pub(crate) with: String,
    /// The bytes that came along.
    pub(crate) sent: Option<Sent>,
    pub(crate) told: Told,
}

/// What a file system answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Told {
    Done,
    Bytes {
        bytes: Blob,
        end: bool,
    },
    Count(u64),
    Stat {
        kind: String,
        links: u64,
        size: u64,
    },
    Flags(u32),
    Kind(String),
    Text(String),
    Hash {
        lower: u64,
        upper: u64,
    },
    Names(Vec<(String, String)>),
    Same(bool),
    /// The name of the error.
    Failed(String),
}

/// Bytes as they came, piece by piece.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pieces {
    pub(crate) bytes: Blob,
    /// How long each piece was.
    pub(crate) pieces: Vec<u32>,
    /// [`ENDED`], or the name of the error that ended them; absent where the guest took no more.
    pub(crate) end: Option<String>,
}

/// The end of pieces that all came.
pub(crate) const ENDED: &str = "end";

/// What the guest sent along.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sent {
    pub(crate) bytes: u64,
    pub(crate) sha256: Digest,
    /// The guest had sent all that it wanted to.
    pub(crate) whole: bool,
}

impl Sent {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.len() as u64, sha256: Digest::of(bytes), whole: true }
    }

    pub(crate) fn nothing() -> Self {
        Self { bytes: 0, sha256: Digest::of(b""), whole: false }
    }
}

/// What another host answered to one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostAnswer {
    /// Method and URL in the spelling that was sent: `POST https://api.example.com/v1/refunds?a=b`.
    pub(crate) request: String,
    /// SHA-256 of the request's headers as the guest wrote them: with what stands for secrets, and
    /// without the secrets.
    pub(crate) head: Digest,
    pub(crate) sent: Sent,
    /// The grant that allowed the request.
    pub(crate) scope: String,
    /// What the host refused after that, of the address.
    pub(crate) refused: Option<String>,
    pub(crate) told: Option<HostTold>,
    pub(crate) body: Pieces,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum HostTold {
    Answered(HostHead),
    /// The name of the error.
    Failed(String),
}

/// How another host's answer begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HostHead {
    pub(crate) status: u16,
    /// In the order they came, names in lower case.
    pub(crate) headers: Vec<(String, Blob)>,
}

impl HostAnswer {
    /// Method and URL in the spelling that was sent. Chosen by the guest.
    pub fn request(&self) -> &str {
        &self.request
    }

    /// The grant that allowed the request.
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// The status; absent where there was no answer.
    pub fn status(&self) -> Option<u16> {
        self.head_of_answer().map(|head| head.status)
    }

    fn head_of_answer(&self) -> Option<&HostHead> {
        match &self.told {
            Some(HostTold::Answered(head)) => Some(head),
            Some(HostTold::Failed(_)) | None => None,
        }
    }

    /// The headers in the order they came, names in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let headers = self.head_of_answer().into_iter().flat_map(|head| &head.headers);
        headers.map(|(name, value)| (name.as_str(), value.0.as_slice()))
    }

    /// As much of the body as the guest took.
    pub fn body(&self) -> &[u8] {
        &self.body.bytes.0
    }

    /// Whether that is all of it.
    pub fn is_whole(&self) -> bool {
        self.body.end.as_deref() == Some(ENDED)
    }
}

/// Bytes: as text where they are that, for whoever looks for something in them, else in base64.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Blob(pub(crate) Vec<u8>);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum BlobForm<'a> {
    Text(std::borrow::Cow<'a, str>),
    Base64(std::borrow::Cow<'a, str>),
}

/// Whether it is text whose JSON is at most twice as long.
fn as_text(bytes: &[u8]) -> Option<&str> {
    let plain = |text: &&str| text.bytes().all(|byte| byte >= b' ' || matches!(byte, b'\t' | b'\n' | b'\r'));
    std::str::from_utf8(bytes).ok().filter(plain)
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match as_text(&self.0) {
            Some(text) => BlobForm::Text(text.into()),
            None => BlobForm::Base64(STANDARD.encode(&self.0).into()),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match BlobForm::deserialize(deserializer)? {
            BlobForm::Text(text) => text.into_owned().into_bytes(),
            BlobForm::Base64(text) => STANDARD.decode(text.as_bytes()).map_err(D::Error::custom)?,
        }))
    }
}

impl Entry {
    /// What it takes of [`MAX_ANSWERS`].
    pub(crate) fn cost(&self) -> usize {
        // Keys, digests, quotation marks.
        const EACH: usize = 64;
        EACH + match self {
            Self::Wall { .. } | Self::Monotonic { .. } | Self::Ready { .. } => 0,
            Self::Random { bytes } => bytes.0.len(),
            Self::Get { namespace, key, value, .. } => {
                namespace.len() + key.len() + value.as_ref().map_or(0, |value| value.0.len())
            }
            Self::List { namespace, prefix, after, keys, .. } => {
                let after = after.as_ref().map_or(0, String::len);
                let keys: usize = keys.iter().map(|key| key.len() + 4).sum();
                namespace.len() + prefix.len() + after + keys
            }
            Self::Set { namespace, key, .. } => namespace.len() + key.len() + EACH,
            Self::File(FileAnswer { path, with, told, .. }) => {
                let told = match told {
                    Told::Bytes { bytes, .. } => bytes.0.len(),
                    Told::Names(names) => names.iter().map(|(name, _)| 6 * name.len() + 24).sum(),
                    Told::Text(text) => 6 * text.len(),
                    _ => 0,
                };
                // A guest's spelling of a path may be nothing but control characters.
                6 * (path.len() + with.len()) + told + 2 * EACH
            }
            Self::Read { path, .. } | Self::Write { path, .. } => 6 * path.len() + 2 * EACH,
            Self::Http(answer) => {
                let headers = answer.head_of_answer().into_iter().flat_map(|head| &head.headers);
                let headers: usize = headers.map(|(name, value)| name.len() + value.0.len() + 24).sum();
                answer.request.len() + answer.scope.len() + headers + 6 * EACH
            }
            Self::Poll { ready } => ready.len() * 8,
            Self::Tcp(TcpAnswer { with, .. }) => with.len() + 2 * EACH,
            Self::Receive { .. } | Self::Send { .. } => 2 * EACH,
        }
    }

    /// What comes through it piece by piece.
    pub(crate) fn pieces(&mut self) -> Option<&mut Pieces> {
        match self {
            Self::Read { stream, .. } | Self::Receive { stream, .. } => Some(stream),
            _ => None,
        }
    }

    /// What the guest sends through it piece by piece: what it was told it may, and how it ended.
    pub(crate) fn sending(&mut self) -> Option<(&mut Vec<u64>, &mut Option<String>)> {
        match self {
            Self::Write { permits, end, .. } | Self::Send { permits, end, .. } => Some((permits, end)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
