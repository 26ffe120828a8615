//! The receipt as a document of its own: the predicate of an in-toto statement about the run, in
//! RFC 8785 form, in a DSSE envelope under the key that signed the run. Who checks one computes it
//! again from the evidence and compares bytes; nothing in it is believed.

use serde_json::{Value, json};

use super::Receipt;
use crate::dsse::{self, Unverified};
use crate::envelope::STATEMENT_TYPE;
use crate::trace::Trace;
use crate::{DsseError, JcsError, KeyId, Signer, TrustRoot, jcs};

/// `predicateType` of a signed receipt.
pub const RECEIPT_TYPE: &str = "https://nanohost.dev/receipt/v1";

/// The longest statement that is read to say how it differs. Stops a hostile file from being parsed
/// at length only to word a refusal.
const MAX_STATEMENT: usize = 4 << 20;

/// Why a receipt is not signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsignable {
    /// The run is signed by another key: only that one vouches for it.
    #[error("the run is signed by {}, and this key is {key}", run.map_or_else(|| "no key".to_owned(), |run| run.to_string()))]
    OtherKey {
        /// The key of the run.
        run: Option<KeyId>,
        /// The key at hand.
        key: KeyId,
    },
    /// It holds what no signed document can.
    #[error("the receipt has no canonical form: {0}")]
    Form(#[from] JcsError),
}

/// Why a signed receipt is not that of the evidence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptFault {
    /// It is no DSSE envelope in its one form.
    #[error("{0}")]
    Form(DsseError),
    /// Its key is not among the trusted ones.
    #[error("it is signed by key {0}, which is not trusted")]
    Untrusted(KeyId),
    /// Its key is trusted and not the one that signed the run.
    #[error("it is signed by key {0}, and the run by another one")]
    OtherKey(KeyId),
    /// The signature is not good.
    #[error("its signature does not fit its bytes")]
    Signature,
    /// It is a receipt of the same run as it was before it went on.
    #[error("it is the receipt of the run's first {envelopes} envelopes; the run has gone on since")]
    Earlier {
        /// The number of envelopes there were.
        envelopes: u64,
    },
    /// Computed from the evidence, the receipt is another one.
    #[error("computed from the evidence, the receipt is another one: {}", told(members))]
    Differs {
        /// The members that differ; none where it is no receipt at all.
        members: Vec<String>,
    },
    /// The receipt of the evidence has no canonical form, so that no signed one can be it.
    #[error("the receipt of the evidence has no canonical form: {0}")]
    Unsignable(#[from] JcsError),
}

fn told(members: &[String]) -> String {
    if members.is_empty() { "it is no receipt of this form".to_owned() } else { members.join(", ") }
}

impl Receipt {
    /// The statement that is signed, as its exact bytes. Its subject is the run with the digest of
    /// its last envelope.
    ///
    /// # Errors
    /// A number that signed documents do not hold.
    pub fn statement(&self) -> Result<Vec<u8>, JcsError> {
        jcs::canonical(&json!({
            "_type": STATEMENT_TYPE,
            "subject": [{ "name": format!("run/{}", self.run), "digest": { "sha256": self.head } }],
            "predicateType": RECEIPT_TYPE,
            "predicate": self,
        }))
    }

    /// Signs it: the exact bytes of a DSSE envelope.
    ///
    /// # Errors
    /// Another key than the run's, or a number that signed documents do not hold.
    pub fn sign(&self, signer: &Signer) -> Result<Vec<u8>, Unsignable> {
        let key = signer.public().key_id();
        let run = self.signer.map(|signer| KeyId::from(signer.key));
        if run != Some(key) {
            return Err(Unsignable::OtherKey { run, key });
        }
        Ok(dsse::seal(&self.statement()?, signer))
    }
}

/// Checks a signed receipt against the verified evidence, byte for byte.
///
/// # Errors
/// Everything but the bytes that [`Receipt::sign`] gives for this evidence.
pub fn check(bytes: &[u8], trace: &Trace, trust: &TrustRoot) -> Result<(), ReceiptFault> {
    let unverified = Unverified::parse(bytes).map_err(ReceiptFault::Form)?;
    let key = unverified.key_id();
    match trust.get(&key) {
        Some(public) => unverified.verify(public).map_err(|_| ReceiptFault::Signature)?,
        // A changed hint is a changed receipt, not a foreign one.
        None if dsse::signed_by_any(bytes, trust) => return Err(ReceiptFault::Signature),
        None => return Err(ReceiptFault::Untrusted(key)),
    }
    let receipt = Receipt::from(trace);
    if receipt.signer.is_none_or(|signer| KeyId::from(signer.key) != key) {
        return Err(ReceiptFault::OtherKey(key));
    }
    if unverified.payload() == receipt.statement()? {
        return Ok(());
    }
    Err(difference(unverified.payload(), trace, &receipt))
}

/// In which way a statement is not the receipt's, for a person.
fn difference(payload: &[u8], trace: &Trace, receipt: &Receipt) -> ReceiptFault {
    let given = jcs::parse_canonical(payload, MAX_STATEMENT).unwrap_or(Value::Null);
    let predicate = &given["predicate"];
    if predicate["run"].as_str() == Some(receipt.run.as_str())
        && let Some(envelopes) = predicate["envelopes"].as_u64().filter(|count| *count < receipt.envelopes)
        && let Some(last) =
            usize::try_from(envelopes).ok().and_then(|count| trace.digest(count.checked_sub(1)?))
        && predicate["head"].as_str() == Some(&last.to_string())
    {
        return ReceiptFault::Earlier { envelopes };
    }
    let own = serde_json::to_value(receipt).unwrap_or_default();
    // Names of our own members only: the other document's words are somebody else's.
    let members = own.as_object().filter(|_| predicate.is_object()).into_iter().flatten();
    let members = members.filter(|(name, value)| predicate.get(name.as_str()) != Some(value));
    ReceiptFault::Differs { members: members.map(|(name, _)| name.clone()).collect() }
}
