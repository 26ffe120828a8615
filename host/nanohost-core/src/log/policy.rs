//! Whose word on the head of a log counts ([c2sp.org/tlog-policy](https://c2sp.org/tlog-policy)): keys of
//! logs, keys of witnesses, and how many of these have to have signed. Knows no network: an address
//! is text.

use std::collections::HashMap;
use std::str::FromStr;

use super::checkpoint::CheckpointError;
use super::note::{Kind, Note, NoteError, NoteVerifier};
use super::{Checkpoint, KeyName};

#[cfg(test)]
mod tests;

/// The longest text of a policy: it is read whole.
pub const MAX_POLICY: usize = 128 << 10;

/// The most logs, the most witnesses and the most groups of one policy: a note is checked against
/// each key, and each group is counted.
pub const MAX_EACH: usize = 256;

/// Why a text is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogPolicyError {
    /// Longer than [`MAX_POLICY`].
    #[error("longer than {MAX_POLICY} bytes, which no policy is")]
    TooLong,
    /// A line that is not in its form.
    #[error("line {line}: {what}")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// Nothing says how many witnesses have to have signed.
    #[error("it has no `quorum` line: `quorum none` says that no witness is needed")]
    NoQuorum,
}

/// A witness of the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyWitness {
    /// What the policy calls it.
    pub name: String,
    /// Its key.
    pub key: NoteVerifier,
    /// Where it is asked, where the policy says so.
    pub url: Option<String>,
}

/// A witness or a group, by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Member {
    Witness(usize),
    Group(usize),
}

/// Some of its members have to have signed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    needed: usize,
    members: Vec<Member>,
}

/// Keys of logs, witnesses, and a quorum of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPolicy {
    logs: Vec<NoteVerifier>,
    witnesses: Vec<PolicyWitness>,
    /// Members of a group stand before it.
    groups: Vec<Group>,
    /// Its name, and what it is; `None` where no witness is needed.
    quorum: Option<(String, Member)>,
}

/// Why a head does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Uncounted {
    /// The policy names logs, and this is none of them.
    #[error("the policy does not name this log")]
    UnknownLog,
    /// The policy names no log, and nobody else says which key is this one's.
    #[error(
        "the policy has no `log` line, and nobody else says which key signs the heads of this log (--log-key)"
    )]
    NoLog,
    /// It is not a head of a log that the policy names, signed with its key.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// The witnesses that signed a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnessed {
    /// Their names in the policy, and when they signed, Unix seconds.
    pub by: Vec<(String, u64)>,
    /// Whether they are as many as the policy wants.
    pub quorum: bool,
}

impl LogPolicy {
    /// The keys of the logs; with none, others say which logs count.
    pub fn logs(&self) -> &[NoteVerifier] {
        &self.logs
    }

    /// The keys of one log.
    ///
    /// # Errors
    /// [`Uncounted::UnknownLog`] where the policy names logs, and not this one.
    pub fn log(&self, origin: &KeyName) -> Result<Option<&NoteVerifier>, Uncounted> {
        let found = self.logs.iter().find(|log| log.name() == origin);
        if found.is_none() && !self.logs.is_empty() { Err(Uncounted::UnknownLog) } else { Ok(found) }
    }

    /// The witnesses.
    pub fn witnesses(&self) -> &[PolicyWitness] {
        &self.witnesses
    }

    /// What the quorum is called; `None` where no witness is needed.
    pub fn quorum(&self) -> Option<&str> {
        self.quorum.as_ref().map(|(name, _)| name.as_str())
    }

    /// Which witnesses signed a head of a log, and whether they are enough. That the log signed it
    /// is for [`Checkpoint::open`] to say.
    ///
    /// # Errors
    /// A line that names a witness' key and is not by it.
    pub fn witnessed(&self, note: &Note) -> Result<Witnessed, NoteError> {
        self.witnessed_at(note, |_| true)
    }

    /// The same, of those alone that signed at a time that counts, Unix seconds.
    ///
    /// # Errors
    /// As [`Self::witnessed`].
    pub fn witnessed_at(&self, note: &Note, counts: impl Fn(u64) -> bool) -> Result<Witnessed, NoteError> {
        let mut by = Vec::new();
        let mut signed = Vec::with_capacity(self.witnesses.len());
        for witness in &self.witnesses {
            let time = note.by(&witness.key)?.map(|found| found.time.unwrap_or_default());
            let time = time.filter(|time| counts(*time));
            signed.push(time.is_some());
            by.extend(time.map(|time| (witness.name.clone(), time)));
        }
        // Each group is counted once, after its members: the time is that of reading the policy.
        let mut counted: Vec<bool> = Vec::with_capacity(self.groups.len());
        for group in &self.groups {
            let count = group.members.iter().filter(|member| holds(**member, &signed, &counted)).count();
            counted.push(count >= group.needed);
        }
        let quorum = self.quorum.as_ref().is_none_or(|(_, member)| holds(*member, &signed, &counted));
        Ok(Witnessed { by, quorum })
    }

    /// Reads a head as one of the policy's logs, or of `else_by` where it names none.
    ///
    /// # Errors
    /// Where it is not.
    pub fn open(&self, note: &Note, else_by: Option<&NoteVerifier>) -> Result<Checkpoint, Uncounted> {
        let head: Checkpoint = note.text().parse()?;
        let key = match self.log(&head.origin)? {
            Some(key) => key,
            None => else_by.ok_or(Uncounted::NoLog)?,
        };
        Ok(Checkpoint::open(note, key)?)
    }
}

fn holds(member: Member, witnesses: &[bool], groups: &[bool]) -> bool {
    let found = match member {
        Member::Witness(at) => witnesses.get(at),
        Member::Group(at) => groups.get(at),
    };
    found.copied().unwrap_or(false)
}

/// What was read so far.
#[derive(Default)]
struct Reading<'t> {
    logs: Vec<NoteVerifier>,
    witnesses: Vec<PolicyWitness>,
    groups: Vec<Group>,
    quorum: Option<(String, Option<Member>)>,
    names: HashMap<&'t str, Member>,
    /// Those that stand in a group: each counts once.
    grouped: Vec<Member>,
}

impl FromStr for LogPolicy {
    type Err = LogPolicyError;

    fn from_str(text: &str) -> Result<Self, LogPolicyError> {
        if text.len() > MAX_POLICY {
            return Err(LogPolicyError::TooLong);
        }
        let mut reading = Reading::default();
        let mut rest = text;
        let mut line = 0;
        while !rest.is_empty() {
            line += 1;
            let at = |what: String| LogPolicyError::Line { line, what };
            let Some((this, after)) = rest.split_once('\n') else {
                return Err(at("it ends without a line feed".to_owned()));
            };
            rest = after;
            if this.contains(|c: char| c.is_ascii_control() && c != '\t') {
                return Err(at("control characters in it".to_owned()));
            }
            let words: Vec<&str> = this.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
            reading.line(&words).map_err(at)?;
        }
        let Reading { logs, witnesses, groups, quorum, .. } = reading;
        let (name, member) = quorum.ok_or(LogPolicyError::NoQuorum)?;
        Ok(Self { logs, witnesses, groups, quorum: member.map(|member| (name, member)) })
    }
}

/// Whoever keeps a log signs times under its heads by the same key, and is no witness of it.
const OWN_WITNESS: &str = "the key of a log is the key of a witness: a log cannot witness itself";

impl<'t> Reading<'t> {
    fn line(&mut self, words: &[&'t str]) -> Result<(), String> {
        match words {
            [] => Ok(()),
            [first, ..] if first.starts_with('#') => Ok(()),
            ["log", key] | ["log", key, _] => self.log(key),
            ["witness", name, key] => self.witness(name, key, None),
            ["witness", name, key, url] => self.witness(name, key, Some(url)),
            ["group", name, needed, members @ ..] => self.group(name, needed, members),
            ["quorum", name] => self.quorum(name),
            [first @ ("log" | "witness" | "group" | "quorum"), ..] => {
                Err(format!("a `{first}` line has another number of words"))
            }
            [first, ..] => {
                Err(format!("`{}` is none of `log`, `witness`, `group` and `quorum`", shown(first)))
            }
        }
    }

    fn log(&mut self, key: &str) -> Result<(), String> {
        let key = verifier(key, Kind::Ed25519)?;
        if self.logs.iter().any(|log| log.key() == key.key()) {
            return Err("this log's key stands there twice".to_owned());
        }
        if self.witnesses.iter().any(|witness| witness.key.key() == key.key()) {
            return Err(OWN_WITNESS.to_owned());
        }
        bounded(self.logs.len(), "logs")?;
        self.logs.push(key);
        Ok(())
    }

    fn witness(&mut self, name: &'t str, key: &str, url: Option<&str>) -> Result<(), String> {
        let key = verifier(key, Kind::Cosignature)?;
        if self.witnesses.iter().any(|witness| witness.key.key() == key.key()) {
            return Err("this witness' key stands there twice, and would count twice".to_owned());
        }
        if self.logs.iter().any(|log| log.key() == key.key()) {
            return Err(OWN_WITNESS.to_owned());
        }
        bounded(self.witnesses.len(), "witnesses")?;
        self.define(name, Member::Witness(self.witnesses.len()))?;
        self.witnesses.push(PolicyWitness { name: name.to_owned(), key, url: url.map(str::to_owned) });
        Ok(())
    }

    fn group(&mut self, name: &'t str, needed: &str, members: &[&str]) -> Result<(), String> {
        if members.is_empty() {
            return Err("a group without members".to_owned());
        }
        let mut found = Vec::with_capacity(members.len());
        for member in members {
            let member = self.defined(member)?;
            if self.grouped.contains(&member) {
                return Err("a member that stands in a group already, and would count twice".to_owned());
            }
            self.grouped.push(member);
            found.push(member);
        }
        let needed = match needed {
            "any" => 1,
            "all" => found.len(),
            number => super::checkpoint::number(number)
                .and_then(|number| usize::try_from(number).ok())
                .filter(|number| (1..=found.len()).contains(number))
                .ok_or_else(|| format!("a group says `any`, `all`, or a number from 1 to {}", found.len()))?,
        };
        bounded(self.groups.len(), "groups")?;
        self.define(name, Member::Group(self.groups.len()))?;
        self.groups.push(Group { needed, members: found });
        Ok(())
    }

    fn quorum(&mut self, name: &str) -> Result<(), String> {
        if self.quorum.is_some() {
            return Err("a second `quorum` line".to_owned());
        }
        let member = if name == NONE { None } else { Some(self.defined(name)?) };
        self.quorum = Some((name.to_owned(), member));
        Ok(())
    }

    fn define(&mut self, name: &'t str, member: Member) -> Result<(), String> {
        if name == NONE {
            return Err(format!("`{NONE}` is no name: it stands for no witness"));
        }
        match self.names.insert(name, member) {
            None => Ok(()),
            Some(_) => Err(format!("`{}` stands for something already", shown(name))),
        }
    }

    fn defined(&self, name: &str) -> Result<Member, String> {
        let found = self.names.get(name).copied();
        found.ok_or_else(|| format!("no line above names a witness or group `{}`", shown(name)))
    }
}

/// Stands for no witness in a `quorum` line.
const NONE: &str = "none";

/// A word of the file as a message shows it: not all of one that somebody made long.
fn shown(word: &str) -> String {
    word.chars().take(60).flat_map(char::escape_debug).collect()
}

fn bounded(count: usize, what: &str) -> Result<(), String> {
    if count < MAX_EACH { Ok(()) } else { Err(format!("more than {MAX_EACH} {what}")) }
}

fn verifier(text: &str, kind: Kind) -> Result<NoteVerifier, String> {
    let key: NoteVerifier = text.parse().map_err(|error: NoteError| error.to_string())?;
    match (kind, key.kind() == kind) {
        (_, true) => Ok(key),
        (Kind::Ed25519, false) => Err("this is a witness' key, and a log's is wanted".to_owned()),
        (Kind::Cosignature, false) => Err("this is a log's key, and a witness' is wanted".to_owned()),
    }
}
