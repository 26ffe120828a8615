//! DSSE v1 envelopes with one Ed25519 signature, in exactly one byte form. Knows nothing of what
//! the payload says.
//!
//! ```text
//! {"payload":"<base64>","payloadType":"application/vnd.in-toto+json","signatures":[{"keyid":"<hex>","sig":"<base64>"}]}
//! ```
//!
//! That is the RFC 8785 form of the envelope. Every other form of the same envelope is refused, so
//! that no byte of a stored or exported envelope can change without being noticed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::digest::hex_array;
use crate::{Digest, KeyId, PublicKey, Signer, TrustRoot, hex};

#[cfg(test)]
mod tests;

/// The one payload type: an in-toto statement.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// The longest envelope, bytes. Stops a hostile export from making the reader decode, hash and
/// parse without end before a signature is looked at.
pub const MAX_ENVELOPE: usize = 8 * 1024 * 1024;

pub(crate) const HEAD: &[u8] = b"{\"payload\":\"";
const TYPE_AND_KEY: &[u8] =
    b"\",\"payloadType\":\"application/vnd.in-toto+json\",\"signatures\":[{\"keyid\":\"";
const SIGNATURE: &[u8] = b"\",\"sig\":\"";
const END: &[u8] = b"\"}]}";

const KEY_ID_DIGITS: usize = 64;
const SIGNATURE_DIGITS: usize = 88;

/// Why bytes are not an envelope, or not one of this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DsseError {
    /// Longer than [`MAX_ENVELOPE`].
    #[error("the envelope is longer than {MAX_ENVELOPE} bytes")]
    TooLong,
    /// Not the one form of an envelope: other members, order, spaces, type or signature count.
    #[error("not an envelope in its canonical form")]
    Form,
    /// The payload is not base64 in its one form (standard alphabet, padded, no stray bits).
    #[error("the envelope's payload is not base64 in its canonical form")]
    Payload,
    /// The key id is not 64 lower-case hexadecimal digits.
    #[error("the envelope's key id is not 64 lower-case hexadecimal digits")]
    KeyId,
    /// The signature is not 64 bytes of base64 in its one form.
    #[error("the envelope's signature is not base64 of 64 bytes in its canonical form")]
    Signature,
    /// The envelope names another key than the one it is verified with.
    #[error("the envelope is signed by another key")]
    OtherKey,
    /// The signature does not belong to this payload and key.
    #[error("the envelope's signature does not verify")]
    Unverified,
}

/// Signs `payload` and writes the envelope.
pub fn seal(payload: &[u8], signer: &Signer) -> Vec<u8> {
    let signature = signer.sign(&[&pae_head(payload.len()), payload]);
    let payload_digits = payload.len().div_ceil(3) * 4;
    let mut out = vec![0; HEAD.len() + payload_digits];
    out.reserve_exact(TAIL);
    out[..HEAD.len()].copy_from_slice(HEAD);
    encode(payload, &mut out[HEAD.len()..]);
    out.extend_from_slice(TYPE_AND_KEY);
    hex::push(&mut out, signer.public().key_id().digest().as_bytes());
    out.extend_from_slice(SIGNATURE);
    let at = out.len();
    out.resize(at + SIGNATURE_DIGITS, 0);
    encode(&signature, &mut out[at..]);
    out.extend_from_slice(END);
    out
}

/// Everything after the payload, which has one length.
const TAIL: usize = TYPE_AND_KEY.len() + KEY_ID_DIGITS + SIGNATURE.len() + SIGNATURE_DIGITS + END.len();

fn encode(bytes: &[u8], digits: &mut [u8]) {
    let written = STANDARD.encode_slice(bytes, digits);
    debug_assert_eq!(written, Ok(digits.len()), "the slice is made for these bytes");
}

/// What is signed before the payload itself (DSSE pre-authentication encoding, PAE).
fn pae_head(payload_len: usize) -> Vec<u8> {
    format!("DSSEv1 {} {PAYLOAD_TYPE} {payload_len} ", PAYLOAD_TYPE.len()).into_bytes()
}

/// An envelope of the right form whose signature nobody has looked at yet.
#[derive(Clone, PartialEq, Eq)]
pub struct Unverified {
    /// The bytes that are signed; the payload is their end. One buffer serves both.
    pae: Vec<u8>,
    payload_at: usize,
    key_id: KeyId,
    signature: [u8; 64],
}

impl Unverified {
    /// Reads an envelope in its one form.
    ///
    /// # Errors
    /// Every other sequence of bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, DsseError> {
        if bytes.len() > MAX_ENVELOPE {
            return Err(DsseError::TooLong);
        }
        let rest = bytes.strip_prefix(HEAD).ok_or(DsseError::Form)?;
        let (payload, tail) =
            rest.len().checked_sub(TAIL).and_then(|at| rest.split_at_checked(at)).ok_or(DsseError::Form)?;
        let rest = tail.strip_prefix(TYPE_AND_KEY).ok_or(DsseError::Form)?;
        let (key_id, rest) = rest.split_at_checked(KEY_ID_DIGITS).ok_or(DsseError::Form)?;
        let rest = rest.strip_prefix(SIGNATURE).ok_or(DsseError::Form)?;
        let (signature, end) = rest.split_at_checked(SIGNATURE_DIGITS).ok_or(DsseError::Form)?;
        if end != END {
            return Err(DsseError::Form);
        }

        let key_id = std::str::from_utf8(key_id).ok().and_then(hex_array).ok_or(DsseError::KeyId)?;
        let signature = decode_signature(signature).ok_or(DsseError::Signature)?;
        let padding = payload.iter().rev().take_while(|&&digit| digit == b'=').count();
        let payload_len = (payload.len() / 4 * 3).checked_sub(padding).ok_or(DsseError::Payload)?;
        let mut pae = pae_head(payload_len);
        let payload_at = pae.len();
        STANDARD.decode_vec(payload, &mut pae).map_err(|_| DsseError::Payload)?;
        if pae.len() != payload_at + payload_len {
            return Err(DsseError::Payload);
        }
        Ok(Self { pae, payload_at, key_id: Digest::from_bytes(key_id).into(), signature })
    }

    /// The payload. It proves nothing before [`Unverified::verify`] has accepted the envelope.
    pub fn payload(&self) -> &[u8] {
        &self.pae[self.payload_at..]
    }

    /// The key that the envelope says it is signed by: a hint for finding it.
    pub const fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// [`DsseError::OtherKey`] where the envelope names another key, [`DsseError::Unverified`]
    /// where the signature is not this key's over this payload.
    pub fn verify(&self, key: &PublicKey) -> Result<(), DsseError> {
        if self.key_id != key.key_id() {
            return Err(DsseError::OtherKey);
        }
        if key.verifies(&self.pae, &self.signature) { Ok(()) } else { Err(DsseError::Unverified) }
    }
}

/// Whether some trusted key signed the envelope, whatever key it names: tells a changed key id from
/// a foreign key. `false` for what is no envelope.
pub(crate) fn signed_by_any(bytes: &[u8], trust: &TrustRoot) -> bool {
    Unverified::parse(bytes).is_ok_and(|envelope| {
        trust.iter().chain(trust.iter_acts()).any(|key| key.verifies(&envelope.pae, &envelope.signature))
    })
}

impl std::fmt::Debug for Unverified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let payload_len = self.pae.len() - self.payload_at;
        f.debug_struct("Unverified").field("key_id", &self.key_id).field("payload_len", &payload_len).finish()
    }
}

fn decode_signature(digits: &[u8]) -> Option<[u8; 64]> {
    // The decoder wants room for whole groups of three.
    let mut room = [0; SIGNATURE_DIGITS / 4 * 3];
    let len = STANDARD.decode_slice(digits, &mut room).ok()?;
    room[..len].try_into().ok()
}
