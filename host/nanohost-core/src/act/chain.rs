//! Sealing acts: the only place where their envelopes are made. Salts are passed in.

use std::sync::Arc;

use super::read::OpenedAct;
use super::{ACT_TYPE, Act, ActPlace, ActPredicate, beginning, name};
use crate::envelope::{MAX_PAYLOAD, STATEMENT_TYPE, SealError, Sealed, Statement, Subject, SubjectDigest};
use crate::export::{Content, Role};
use crate::{Commitment, Digest, Encoding, Principal, RunId, Salt, Signer, Timestamp, commit, dsse, jcs};

/// The end of a store's chain of acts.
#[derive(Debug)]
pub struct ActChain {
    signer: Arc<Signer>,
    id: RunId,
    next: u64,
    first: Option<Digest>,
    prev: Option<Digest>,
    last: Timestamp,
}

/// Why an act cannot be sealed.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// It is none that a verifier would accept.
    #[error("{0}")]
    Act(&'static str),
    /// It cannot be signed.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl ActChain {
    /// The chain with that id from its end on: after these acts, which verified.
    pub fn reopen(id: RunId, acts: &[OpenedAct], signer: Arc<Signer>) -> Self {
        let last = acts.last();
        Self {
            signer,
            id,
            next: last.map_or(0, |last| last.predicate.chain.seq + 1),
            first: acts.first().map(|first| first.digest),
            prev: last.map(|last| last.digest),
            last: last.map_or(Timestamp::from_millis(0), |last| last.predicate.time),
        }
    }

    /// The position of the next act.
    pub fn next_seq(&self) -> u64 {
        self.next
    }

    /// Signs the acts that follow with another key, which one of them introduced.
    pub fn sign_with(&mut self, signer: Arc<Signer>) {
        self.signer = signer;
    }

    /// Seals the next act. `words` are content that it commits to, under one role; `act` makes it from
    /// the commitment.
    ///
    /// # Errors
    /// For an act that no verifier would accept.
    pub fn seal(
        &mut self,
        time: Timestamp,
        principal: &Principal,
        salt: Salt,
        (role, words): (Role, &str),
        act: impl FnOnce(Commitment) -> Act,
    ) -> Result<Sealed, ActError> {
        let bytes = serde_json::Value::from(words).to_string().into_bytes();
        let commitment = commit(&salt, Encoding::Json, &bytes);
        let act = act(commitment);
        act.check().map_err(ActError::Act)?;
        let name = name(&self.id);
        let anchor = self.first.unwrap_or_else(|| beginning(&self.id));
        let subject = vec![
            Subject { digest: SubjectDigest::Sha256(anchor), name: name.clone() },
            Subject {
                digest: SubjectDigest::Commit(commitment),
                name: format!("{name}/{}/{role}", self.next),
            },
        ];
        let time = time.max(self.last);
        let predicate = ActPredicate {
            act,
            chain: ActPlace { id: self.id.clone(), seq: self.next, prev: self.prev },
            time,
            principal: principal.clone(),
        };
        let statement = Statement {
            statement_type: STATEMENT_TYPE.to_owned(),
            predicate_type: ACT_TYPE.to_owned(),
            subject,
            predicate,
        };
        let payload = jcs::canonical(&serde_json::to_value(&statement).map_err(SealError::from)?)
            .map_err(SealError::from)?;
        if payload.len() > MAX_PAYLOAD {
            return Err(SealError::TooLong.into());
        }
        let bytes_of = dsse::seal(&payload, &self.signer);
        let digest = Digest::of(&bytes_of);
        let contents = vec![Content { seq: self.next, role, encoding: Encoding::Json, salt, bytes }];
        self.first.get_or_insert(digest);
        self.prev = Some(digest);
        self.last = time;
        self.next += 1;
        Ok(Sealed { bytes: bytes_of, contents })
    }
}
