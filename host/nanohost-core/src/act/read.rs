//! Opening acts: bytes nobody trusts yet → what a trusted key signed, alone or as a whole chain.

use std::collections::BTreeMap;

use super::key::Succession;
use super::{ACT_TYPE, ActPredicate, beginning, name};
use crate::dsse::Unverified;
use crate::envelope::{MAX_PAYLOAD, OpenError, STATEMENT_TYPE, Statement, SubjectDigest};
use crate::export::{Content, Role};
use crate::{Commitment, Digest, KeyId, RunId, TrustRoot, jcs};

/// An act whose form and signature are good.
#[derive(Debug)]
pub struct OpenedAct {
    /// What it says.
    pub predicate: ActPredicate,
    /// The key that signed it.
    pub key: KeyId,
    /// SHA-256 of its exact bytes.
    pub digest: Digest,
    /// What it names as the beginning of its chain.
    pub(crate) anchor: Digest,
    commitments: BTreeMap<Role, Commitment>,
}

/// The first thing that is wrong with a chain of acts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("act {at}: {message}")]
pub struct ActFault {
    /// The position it was found at.
    pub at: usize,
    /// Whether its key is not trusted, rather than its bytes wrong.
    pub untrusted: bool,
    /// What is wrong.
    pub message: String,
}

impl OpenedAct {
    /// Opens one act. Where it stands in its chain is not judged.
    ///
    /// # Errors
    /// For bytes that no trusted key signed in the one form of acts.
    pub fn open(bytes: &[u8], trust: &TrustRoot) -> Result<Self, OpenError> {
        let unverified = Unverified::parse(bytes).map_err(OpenError::Form)?;
        match trust.of_acts(&unverified.key_id()) {
            Some(key) => unverified.verify(key).map_err(|_| OpenError::Signature)?,
            None => return Err(OpenError::Untrusted(unverified.key_id())),
        }
        let value = jcs::parse_canonical(unverified.payload(), MAX_PAYLOAD)?;
        let no_act = |why: &str| OpenError::Statement(why.to_owned());
        let statement: Statement<ActPredicate> =
            serde_json::from_value(value).map_err(|error| OpenError::Statement(error.to_string()))?;
        if statement.statement_type != STATEMENT_TYPE || statement.predicate_type != ACT_TYPE {
            return Err(no_act("it is no act, or of another version"));
        }
        let predicate = statement.predicate;
        let name = name(&predicate.chain.id);
        let mut subjects = statement.subject.into_iter();
        let anchor = match subjects.next() {
            Some(first) if first.name == name => match first.digest {
                SubjectDigest::Sha256(digest) => digest,
                SubjectDigest::Commit(_) => return Err(no_act("its first subject is a commitment")),
            },
            _ => return Err(no_act("its first subject is not its chain")),
        };
        let prefix = format!("{name}/{}/", predicate.chain.seq);
        let mut commitments = BTreeMap::new();
        for subject in subjects {
            let role = subject.name.strip_prefix(&prefix).and_then(|role| Role::new(role).ok());
            match (role, subject.digest) {
                (Some(role), SubjectDigest::Commit(commitment))
                    if commitments.last_key_value().is_none_or(|(last, _)| *last < role) =>
                {
                    commitments.insert(role, commitment);
                }
                _ => return Err(no_act("its subjects are not its commitments in order")),
            }
        }
        predicate.act.check().map_err(no_act)?;
        if commitments != BTreeMap::from([(Role::REASON, *predicate.act.reason())]) {
            return Err(no_act("its commitments are not its subjects"));
        }
        if (predicate.chain.seq == 0) != predicate.chain.prev.is_none() {
            return Err(no_act("only the first act has none before it"));
        }
        Ok(Self { predicate, key: unverified.key_id(), digest: Digest::of(bytes), anchor, commitments })
    }

    /// Whether a value is what it commits to.
    pub fn admits(&self, content: &Content) -> bool {
        content.seq == self.predicate.chain.seq
            && self.commitments.get(&content.role) == Some(&content.commitment())
    }
}

/// Whether an act says of itself that it changes the keys which sign. Nobody vouches for that here.
pub fn is_about_keys(bytes: &[u8]) -> bool {
    let Ok(unverified) = Unverified::parse(bytes) else { return false };
    let statement = serde_json::from_slice::<serde_json::Value>(unverified.payload());
    statement.is_ok_and(|statement| statement["predicate"]["act"]["kind"] == "key")
}

/// Judges a whole chain of acts, from the first on. Keys of `trust` sign, and those that such keys
/// introduce; none that was retired. Whether the key of an erasure may speak for the run is judged with
/// the run.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify(chain: &RunId, acts: &[Vec<u8>], trust: &TrustRoot) -> Result<Vec<OpenedAct>, ActFault> {
    let mut opened: Vec<OpenedAct> = Vec::with_capacity(acts.len());
    let mut keys = Succession::new(trust);
    for (at, bytes) in acts.iter().enumerate() {
        let fault = |message: String| ActFault { at, untrusted: false, message };
        let act = OpenedAct::open(bytes, keys.trust()).map_err(|error| ActFault {
            at,
            untrusted: matches!(error, OpenError::Untrusted(_)),
            message: error.to_string(),
        })?;
        let place = &act.predicate.chain;
        if place.id != *chain {
            return Err(fault("it belongs to another chain".to_owned()));
        }
        if place.seq != at as u64 {
            return Err(fault(format!("act {} stands here", place.seq)));
        }
        if place.prev != opened.last().map(|before| before.digest) {
            return Err(fault("it names another act as the one before it".to_owned()));
        }
        if act.anchor != opened.first().map_or_else(|| beginning(chain), |first| first.digest) {
            return Err(fault("it names another beginning".to_owned()));
        }
        if opened.last().is_some_and(|before| act.predicate.time < before.predicate.time) {
            return Err(fault("it is older than the one before it".to_owned()));
        }
        keys.follow(&act).map_err(|why| fault(why.to_owned()))?;
        opened.push(act);
    }
    let end = |why: &str| ActFault { at: opened.len() - 1, untrusted: false, message: why.to_owned() };
    keys.end().map_err(end)?;
    Ok(opened)
}
