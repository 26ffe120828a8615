//! The tokens by which a gateway knows its callers: a file of their digests, read again when it changes.
//! A token is 32 random bytes, so that its SHA-256 says nothing of it. Knows no transport.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nanohost_core::{Diagnostic, Digest, Principal, Timestamp};
use nanohost_verify::whole;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::gateway::{Caller, Detail, Scope, Scopes};
use crate::project::read_bounded;

/// What every token begins with, so that it is known for what it is where it was lost.
const PREFIX: &str = "nht_";

/// Bytes of randomness in a token.
const LENGTH: usize = 32;

/// A larger file is none of tokens.
const MAX_FILE: u64 = 1 << 20;

/// Tokens, at most: each request is held against each of them.
const MAX_TOKENS: usize = 1000;

/// A token, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// What it is revoked by.
    pub id: String,
    /// Whose it is: the principal in the evidence.
    pub name: Principal,
    /// SHA-256 of its text.
    pub sha256: Digest,
    /// What it is for; none: looking at runs of one's own.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created: Timestamp,
    /// The first moment at which it is no token any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

impl Token {
    /// Whether it counts at `now`.
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|end| now < end)
    }

    fn scopes(&self) -> Option<Scopes> {
        let each = self.scopes.iter().map(|word| Scope::ALL.into_iter().find(|own| own.as_str() == word));
        each.collect::<Option<Vec<Scope>>>().map(Scopes::of)
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    tokens: Vec<Token>,
}

/// A file of tokens.
#[derive(Debug, Clone)]
pub struct Tokens {
    path: PathBuf,
}

impl Tokens {
    /// In that file, which need not be there.
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where they lie.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All of them.
    ///
    /// # Errors
    /// Where the file cannot be read, holds something else, or others can read it.
    pub fn all(&self) -> anyhow::Result<Vec<Token>> {
        let bytes = match read_bounded(&self.path, MAX_FILE) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unreadable(&self.path, &error)),
        };
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            let mode = fs::metadata(&self.path).map_err(|error| unreadable(&self.path, &error))?.mode();
            if mode & 0o077 != 0 {
                let message = format!("others may read or write {}", self.path.display());
                let help = format!("chmod 600 {}", self.path.display());
                return Err(Failure::usage(Diagnostic::error("tokens_unreadable", message).help(help)));
            }
        }
        let file: File = serde_json::from_slice(&bytes)
            .map_err(|error| unreadable(&self.path, &io::Error::new(io::ErrorKind::InvalidData, error)))?;
        if file.tokens.len() > MAX_TOKENS || file.tokens.iter().any(|token| token.scopes().is_none()) {
            let why = io::Error::new(io::ErrorKind::InvalidData, "too many tokens, or a scope that is none");
            return Err(unreadable(&self.path, &why));
        }
        Ok(file.tokens)
    }

    /// Makes a token; its text, which is kept nowhere.
    ///
    /// # Errors
    /// As [`Tokens::all`], and where it cannot be written.
    pub fn make(
        &self,
        name: &Principal,
        scopes: &[Scope],
        expires: Option<Timestamp>,
    ) -> anyhow::Result<(Token, String)> {
        let mut all = self.all()?;
        if all.len() >= MAX_TOKENS {
            let message = format!("there are {MAX_TOKENS} tokens");
            let help = "revoke those that are needed no more: nanohost mcp token list";
            return Err(Failure::usage(Diagnostic::error("too_many_tokens", message).help(help)));
        }
        let mut bytes = [0_u8; LENGTH + 4];
        getrandom::fill(&mut bytes)?;
        let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(&bytes[..LENGTH]));
        let mut scopes: Vec<String> = scopes.iter().map(|scope| scope.as_str().to_owned()).collect();
        scopes.sort();
        scopes.dedup();
        let token = Token {
            id: bytes[LENGTH..].iter().map(|byte| format!("{byte:02x}")).collect(),
            name: name.clone(),
            sha256: Digest::of(text.as_bytes()),
            scopes,
            created: crate::ledger::now(),
            expires,
        };
        all.push(token.clone());
        self.write(all)?;
        Ok((token, text))
    }

    /// Ends the tokens of that id or name at `end`, or at once; how many there were.
    ///
    /// # Errors
    /// As [`Tokens::make`].
    pub fn end(&self, which: &str, end: Option<Timestamp>) -> anyhow::Result<usize> {
        let mut all = self.all()?;
        let is_meant = |token: &Token| token.id == which || token.name.as_str() == which;
        let count = all.iter().filter(|token| is_meant(token)).count();
        match end {
            None => all.retain(|token| !is_meant(token)),
            Some(end) => {
                for token in all.iter_mut().filter(|token| is_meant(token)) {
                    token.expires = Some(token.expires.map_or(end, |before| before.min(end)));
                }
            }
        }
        self.write(all)?;
        Ok(count)
    }

    fn write(&self, tokens: Vec<Token>) -> anyhow::Result<()> {
        let unwritable = |error: io::Error| Failure::io("tokens_unwritable", "write", &self.path, &error);
        if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(unwritable)?;
        }
        let mut bytes = serde_json::to_vec_pretty(&File { tokens })?;
        bytes.push(b'\n');
        whole::replace(&self.path, |draft| draft.write_all(&bytes)).map_err(unwritable)
    }
}

fn unreadable(path: &Path, error: &io::Error) -> anyhow::Error {
    Failure::io("tokens_unreadable", "read the tokens of", path, error)
}

/// What a presented token comes to.
#[derive(Debug)]
pub enum Recognised {
    /// Somebody.
    Caller(Box<Caller>),
    /// It is no token, or not any more.
    Nobody,
    /// Nobody can be recognised now; why.
    Closed(String),
}

/// The tokens of a gateway that serves, as they are in the file now.
#[derive(Debug)]
pub struct Door {
    tokens: Tokens,
    read: Mutex<Option<Read>>,
}

#[derive(Debug, Clone)]
struct Read {
    stamp: Option<Stamp>,
    tokens: Arc<Result<Vec<Token>, String>>,
}

/// By what it is seen that a file is another one.
type Stamp = (SystemTime, u64, u64);

impl Door {
    /// Before these tokens.
    pub fn new(tokens: Tokens) -> Self {
        Self { tokens, read: Mutex::default() }
    }

    /// Who presents this token. What the file says now counts, and one that cannot be read lets nobody in.
    pub fn recognise(&self, presented: &str, now: Timestamp) -> Recognised {
        let tokens = self.current();
        let tokens = match &*tokens {
            Ok(tokens) => tokens,
            Err(why) => return Recognised::Closed(why.clone()),
        };
        let digest = Digest::of(presented.as_bytes());
        // All of them are looked at, whichever it is.
        let mut found = None;
        for token in tokens {
            if is_same(&token.sha256, &digest) && token.is_good(now) {
                found = Some(token);
            }
        }
        let caller = found.and_then(|token| {
            Some(Caller { principal: token.name.clone(), scopes: token.scopes()?, detail: Detail::Codes })
        });
        caller.map_or(Recognised::Nobody, |caller| Recognised::Caller(Box::new(caller)))
    }

    fn current(&self) -> Arc<Result<Vec<Token>, String>> {
        let stamp = stamp(self.tokens.path());
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(read) = read.as_ref().filter(|read| read.stamp == stamp && stamp.is_some()) {
            return Arc::clone(&read.tokens);
        }
        // A file that is gone has no tokens, and so lets nobody in.
        let tokens = Arc::new(self.tokens.all().map_err(|error| format!("{error:#}")));
        *read = Some(Read { stamp, tokens: Arc::clone(&tokens) });
        tokens
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok()?;
    #[cfg(unix)]
    let place = std::os::unix::fs::MetadataExt::ino(&found);
    #[cfg(not(unix))]
    let place = 0;
    Some((found.modified().ok()?, found.len(), place))
}

/// Compares in constant time.
fn is_same(left: &Digest, right: &Digest) -> bool {
    left.as_bytes().iter().zip(right.as_bytes()).fold(0, |all, (left, right)| all | (left ^ right)) == 0
}

/// A length of time as people write it: `90d`, `24h`, `30m`.
///
/// # Errors
/// What is wrong with it.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.len() - text.chars().last().map_or(0, char::len_utf8));
    let seconds = match unit {
        "d" => 86_400,
        "h" => 3_600,
        "m" => 60,
        "s" => 1,
        _ => return Err("write it like 90d, 24h, 30m or 60s".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "write it like 90d, 24h, 30m or 60s".to_owned())?;
    match number.checked_mul(seconds) {
        Some(all @ 1..=315_360_000) => Ok(Duration::from_secs(all)),
        _ => Err("it is more than nothing, and at most ten years".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> (tempfile::TempDir, Tokens) {
        let folder = tempfile::tempdir().expect("the temporary folder is writable");
        let tokens = Tokens::at(folder.path().join("tokens.json"));
        (folder, tokens)
    }

    fn name(text: &str) -> Principal {
        Principal::new(text).expect("a name")
    }

    #[test]
    fn a_token_is_known_until_it_ends_and_no_other_text_is() {
        let (_folder, tokens) = tokens();
        let now = crate::ledger::now();
        let later = Timestamp::from_millis(now.as_millis() + 1000);
        let (_, text) = tokens.make(&name("ada"), &[Scope::Audit], Some(later)).expect("it is made");
        let door = Door::new(tokens.clone());
        let Recognised::Caller(caller) = door.recognise(&text, now) else { panic!("it is a token") };
        assert_eq!(caller.principal, name("ada"));
        assert!(caller.scopes.has(Scope::Audit) && !caller.scopes.has(Scope::Programs));
        assert!(matches!(door.recognise(&text, later), Recognised::Nobody));
        for other in ["", "nht_", &text[1..], &text.to_uppercase()] {
            assert!(matches!(door.recognise(other, now), Recognised::Nobody), "{other}");
        }
        // What is kept is not the token, and is none.
        let kept = fs::read_to_string(tokens.path()).expect("it is there");
        assert!(!kept.contains(&text[PREFIX.len()..]));
        assert!(matches!(door.recognise(&Digest::of(text.as_bytes()).to_string(), now), Recognised::Nobody));
    }

    #[test]
    fn a_change_of_the_file_counts_at_once_and_one_that_is_bad_closes_the_door() {
        let (_folder, tokens) = tokens();
        let now = crate::ledger::now();
        let (token, text) = tokens.make(&name("ada"), &[], None).expect("it is made");
        let door = Door::new(tokens.clone());
        assert!(matches!(door.recognise(&text, now), Recognised::Caller(_)));
        assert_eq!(tokens.end(&token.id, None).expect("it is written"), 1);
        assert!(matches!(door.recognise(&text, now), Recognised::Nobody));
        let (_, text) = tokens.make(&name("ada"), &[], None).expect("it is made");
        assert!(matches!(door.recognise(&text, now), Recognised::Caller(_)));
        let good = fs::read(tokens.path()).expect("it is there");
        for bad in ["{", "{\"tokens\":[],\"more\":1}", "{\"tokens\":[{\"id\":\"a\"}]}"] {
            fs::write(tokens.path(), bad).expect("it is writable");
            assert!(matches!(door.recognise(&text, now), Recognised::Closed(_)), "{bad}");
        }
        fs::write(tokens.path(), &good).expect("it is writable");
        assert!(matches!(door.recognise(&text, now), Recognised::Caller(_)));
        #[cfg(unix)]
        {
            let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
            fs::set_permissions(tokens.path(), open).expect("it is ours");
            assert!(tokens.all().is_err(), "others can read it");
        }
        fs::remove_file(tokens.path()).expect("it is there");
        assert!(matches!(door.recognise(&text, now), Recognised::Nobody));
    }

    #[test]
    fn durations_are_read() {
        assert_eq!(duration("90d"), Ok(Duration::from_secs(90 * 86_400)));
        for bad in ["", "d", "0d", "-1d", "90", "1y", "99999999999d", "½d", "1.5h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
