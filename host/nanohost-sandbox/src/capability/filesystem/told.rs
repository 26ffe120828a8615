//! What a file system answers, to and from its form in a record. Knows no file.

use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, ErrorCode, Filesize, MetadataHashValue,
};
use wasmtime_wasi::p2::{FsError, FsResult};

use crate::answers::{Blob, Told};

/// An answer that a record can hold.
pub(super) trait Telling: Sized {
    /// Its form.
    fn form(&self) -> Told;

    /// Reads the form; `None` where it is that of another answer.
    fn read(told: Told) -> Option<Self>;

    /// The form of a result; `None` where the host itself failed, which ends the call.
    fn tell(result: &FsResult<Self>) -> Option<Told> {
        match result {
            Ok(value) => Some(value.form()),
            Err(error) => error.downcast_ref().map(|code| Told::Failed(name(*code).to_owned())),
        }
    }

    /// Reads a result.
    fn told(told: Told) -> Option<FsResult<Self>> {
        match told {
            Told::Failed(name) => code(&name).map(|code| Err(code.into())),
            told => Self::read(told).map(Ok),
        }
    }
}

/// The record has no answer: the call ends.
pub(super) fn not_recorded() -> FsError {
    FsError::trap(wasmtime::format_err!("the record has no answer"))
}

/// How it ended, without what came of it.
pub(super) fn only_end<T>(result: &FsResult<T>) -> FsResult<()> {
    match result {
        Ok(_) => Ok(()),
        Err(error) => Err(match error.downcast_ref() {
            Some(code) => (*code).into(),
            None => not_recorded(),
        }),
    }
}

macro_rules! telling {
    ($type:ty, $self:ident => $form:expr, $pattern:pat => $read:expr) => {
        impl Telling for $type {
            fn form(&self) -> Told {
                let $self = self;
                $form
            }

            fn read(told: Told) -> Option<Self> {
                match told {
                    $pattern => $read,
                    _ => None,
                }
            }
        }
    };
}

telling!((), _this => Told::Done, Told::Done => Some(()));
telling!(bool, this => Told::Same(*this), Told::Same(same) => Some(same));
telling!(Filesize, this => Told::Count(*this), Told::Count(count) => Some(count));
telling!(String, this => Told::Text(this.clone()), Told::Text(text) => Some(text));
telling!(
    (Vec<u8>, bool),
    this => Told::Bytes { bytes: Blob(this.0.clone()), end: this.1 },
    Told::Bytes { bytes, end } => Some((bytes.0, end))
);
telling!(
    MetadataHashValue,
    this => Told::Hash { lower: this.lower, upper: this.upper },
    Told::Hash { lower, upper } => Some(Self { lower, upper })
);
telling!(
    DescriptorFlags,
    this => Told::Flags(FLAGS.iter().zip(0..).filter(|(flag, _)| this.contains(**flag)).map(|(_, bit)| 1 << bit).sum()),
    Told::Flags(bits) => {
        let flags = FLAGS.iter().zip(0..).filter(|(_, bit)| bits & (1 << bit) != 0).map(|(flag, _)| *flag);
        Some(flags.fold(Self::empty(), |all, flag| all | flag))
    }
);
telling!(
    DescriptorType,
    this => Told::Kind(kind(*this).to_owned()),
    Told::Kind(name) => kind_of(&name)
);
// Without times, which are never given out.
telling!(
    DescriptorStat,
    this => Told::Stat { kind: kind(this.type_).to_owned(), links: this.link_count, size: this.size },
    Told::Stat { kind, links, size } => Some(Self {
        type_: kind_of(&kind)?,
        link_count: links,
        size,
        data_access_timestamp: None,
        data_modification_timestamp: None,
        status_change_timestamp: None,
    })
);
telling!(
    Vec<DirectoryEntry>,
    this => Told::Names(this.iter().map(|entry| (entry.name.clone(), kind(entry.type_).to_owned())).collect()),
    Told::Names(names) => names
        .into_iter()
        .map(|(name, kind)| Some(DirectoryEntry { name, type_: kind_of(&kind)? }))
        .collect()
);

const FLAGS: [DescriptorFlags; 6] = [
    DescriptorFlags::READ,
    DescriptorFlags::WRITE,
    DescriptorFlags::FILE_INTEGRITY_SYNC,
    DescriptorFlags::DATA_INTEGRITY_SYNC,
    DescriptorFlags::REQUESTED_WRITE_SYNC,
    DescriptorFlags::MUTATE_DIRECTORY,
];

const KINDS: [(DescriptorType, &str); 8] = [
    (DescriptorType::Unknown, "unknown"),
    (DescriptorType::BlockDevice, "block-device"),
    (DescriptorType::CharacterDevice, "character-device"),
    (DescriptorType::Directory, "directory"),
    (DescriptorType::Fifo, "fifo"),
    (DescriptorType::SymbolicLink, "symbolic-link"),
    (DescriptorType::RegularFile, "regular-file"),
    (DescriptorType::Socket, "socket"),
];

fn kind(kind: DescriptorType) -> &'static str {
    KINDS.iter().find(|(known, _)| *known == kind).map_or("unknown", |(_, name)| name)
}

fn kind_of(name: &str) -> Option<DescriptorType> {
    KINDS.iter().find(|(_, known)| *known == name).map(|(kind, _)| *kind)
}

const CODES: [(ErrorCode, &str); 37] = [
    (ErrorCode::Access, "access"),
    (ErrorCode::WouldBlock, "would-block"),
    (ErrorCode::Already, "already"),
    (ErrorCode::BadDescriptor, "bad-descriptor"),
    (ErrorCode::Busy, "busy"),
    (ErrorCode::Deadlock, "deadlock"),
    (ErrorCode::Quota, "quota"),
    (ErrorCode::Exist, "exist"),
    (ErrorCode::FileTooLarge, "file-too-large"),
    (ErrorCode::IllegalByteSequence, "illegal-byte-sequence"),
    (ErrorCode::InProgress, "in-progress"),
    (ErrorCode::Interrupted, "interrupted"),
    (ErrorCode::Invalid, "invalid"),
    (ErrorCode::Io, "io"),
    (ErrorCode::IsDirectory, "is-directory"),
    (ErrorCode::Loop, "loop"),
    (ErrorCode::TooManyLinks, "too-many-links"),
    (ErrorCode::MessageSize, "message-size"),
    (ErrorCode::NameTooLong, "name-too-long"),
    (ErrorCode::NoDevice, "no-device"),
    (ErrorCode::NoEntry, "no-entry"),
    (ErrorCode::NoLock, "no-lock"),
    (ErrorCode::InsufficientMemory, "insufficient-memory"),
    (ErrorCode::InsufficientSpace, "insufficient-space"),
    (ErrorCode::NotDirectory, "not-directory"),
    (ErrorCode::NotEmpty, "not-empty"),
    (ErrorCode::NotRecoverable, "not-recoverable"),
    (ErrorCode::Unsupported, "unsupported"),
    (ErrorCode::NoTty, "no-tty"),
    (ErrorCode::NoSuchDevice, "no-such-device"),
    (ErrorCode::Overflow, "overflow"),
    (ErrorCode::NotPermitted, "not-permitted"),
    (ErrorCode::Pipe, "pipe"),
    (ErrorCode::ReadOnly, "read-only"),
    (ErrorCode::InvalidSeek, "invalid-seek"),
    (ErrorCode::TextFileBusy, "text-file-busy"),
    (ErrorCode::CrossDevice, "cross-device"),
];

/// The name of an error.
pub(super) fn name(code: ErrorCode) -> &'static str {
    CODES.iter().find(|(known, _)| *known == code).map_or("io", |(_, name)| name)
}

/// How a stream ends whose error has no code.
const FAILED: &str = "failed";

/// The name of a stream's error.
pub(super) fn name_of(error: &wasmtime::Error) -> &'static str {
    error.downcast_ref::<std::io::Error>().map_or(FAILED, |error| name(error.into()))
}

/// The error of a name.
pub(super) fn code(name: &str) -> Option<ErrorCode> {
    CODES.iter().find(|(_, known)| *known == name).map(|(code, _)| *code)
}
