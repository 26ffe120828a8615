//! Ed25519 keys (RFC 8032) in the formats that other software reads: PKCS#8 v1 and SPKI, as PEM.
//! Knows no disk and no randomness: whoever holds them passes text and seeds in.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use ed25519_dalek::ed25519::signature::MultipartSigner as _;
use ed25519_dalek::pkcs8::spki::EncodePublicKey as _;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, KeypairBytes,
};
use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use pkcs8::LineEnding;
use zeroize::Zeroizing;

use crate::Digest;
use crate::digest::BadDigest;

mod encrypted;
mod trusted;

#[cfg(test)]
mod tests;

pub use encrypted::RANDOM as KEY_RANDOM;
pub use trusted::{KeyTrust, Validity};

/// The longest PEM text that is read. Stops a trust file from costing more than a glance: it
/// holds some thousand keys.
pub const MAX_PEM: usize = 128 * 1024;

/// Why a text is not the key, or the keys, it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a PKCS#8 private key in PEM that holds an Ed25519 key.
    #[error("not an Ed25519 private key in PKCS#8 PEM form")]
    NotPrivate,
    /// A private key under a passphrase.
    #[error("the private key is encrypted; it can be read only after it is decrypted")]
    Encrypted,
    /// Another passphrase than the one that the private key is under.
    #[error("the passphrase does not open the private key")]
    Passphrase,
    /// Trying one passphrase would take more time or memory than any honest key does.
    #[error("the private key is encrypted so that opening it would take too long")]
    Costly,
    /// Not a public key in PEM that holds an Ed25519 key.
    #[error("not an Ed25519 public key in SPKI PEM form")]
    NotPublic,
    /// A private key where a public one is wanted.
    #[error(
        "this is a private key; a public one is wanted here, and the private one should not leave its place"
    )]
    PrivateForPublic,
    /// A point of small order: signatures under it prove nothing.
    #[error("the public key is a weak one, under which signatures prove nothing")]
    Weak,
    /// A trust root without a key.
    #[error("no public key in it")]
    NoKey,
    /// Longer than [`MAX_PEM`].
    #[error("longer than {MAX_PEM} bytes, which no key file is")]
    TooLong,
    /// The key could not be written.
    #[error("the key cannot be written as PEM")]
    Unwritable,
}

/// A key that signs. Its secret is overwritten in memory when it is dropped and never printed.
pub struct Signer {
    key: SigningKey,
    public: PublicKey,
}

impl Signer {
    /// The key of 32 secret random bytes.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        Self::from_key(SigningKey::from_bytes(&seed))
    }

    /// Reads a PKCS#8 private key, v1 or v2, that is not encrypted.
    ///
    /// # Errors
    /// Everything else, and a v2 key whose public half does not belong to it.
    pub fn from_pkcs8_pem(pem: &str) -> Result<Self, KeyError> {
        if pem.len() > MAX_PEM {
            return Err(KeyError::TooLong);
        }
        if pem.trim_start().starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
            return Err(KeyError::Encrypted);
        }
        SigningKey::from_pkcs8_pem(pem).map(Self::from_key).map_err(|_| KeyError::NotPrivate)
    }

    /// Writes the key as PKCS#8 **v1** (RFC 5208): v2, which carries the public key too, is
    /// refused by OpenSSL 3.0 and Python's `cryptography`.
    ///
    /// # Errors
    /// [`KeyError::Unwritable`] where the encoder fails.
    pub fn to_pkcs8_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        KeypairBytes { secret_key: self.key.to_bytes(), public_key: None }
            .to_pkcs8_pem(LineEnding::LF)
            .map_err(|_| KeyError::Unwritable)
    }

    /// The half that others verify with.
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs the concatenation of `parts`.
    pub(crate) fn sign(&self, parts: &[&[u8]]) -> [u8; 64] {
        self.key.multipart_sign(parts).to_bytes()
    }

    fn from_key(key: SigningKey) -> Self {
        let public = PublicKey::from_point(key.verifying_key());
        Self { key, public }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.public.id)
    }
}

/// A key that verifies. Weak ones cannot be held.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    point: VerifyingKey,
    id: KeyId,
}

impl PublicKey {
    /// Reads a public key in SPKI form (RFC 8410).
    ///
    /// # Errors
    /// Everything but one Ed25519 key that is not weak.
    pub fn from_spki_pem(pem: &str) -> Result<Self, KeyError> {
        if pem.len() > MAX_PEM {
            return Err(KeyError::TooLong);
        }
        if pem.contains("PRIVATE KEY-----") {
            return Err(KeyError::PrivateForPublic);
        }
        let point = VerifyingKey::from_public_key_pem(pem).map_err(|_| KeyError::NotPublic)?;
        if point.is_weak() { Err(KeyError::Weak) } else { Ok(Self::from_point(point)) }
    }

    /// The key of 32 bytes as RFC 8032 writes it.
    ///
    /// # Errors
    /// Bytes that are no point, and [`KeyError::Weak`] for a weak one.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let point = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotPublic)?;
        if point.is_weak() { Err(KeyError::Weak) } else { Ok(Self::from_point(point)) }
    }

    /// The 32 bytes as RFC 8032 writes them.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.point.as_bytes()
    }

    /// Writes the key in SPKI form.
    ///
    /// # Errors
    /// [`KeyError::Unwritable`] where the encoder fails.
    pub fn to_spki_pem(&self) -> Result<String, KeyError> {
        self.point.to_public_key_pem(LineEnding::LF).map_err(|_| KeyError::Unwritable)
    }

    /// SHA-256 of the SPKI DER: what an envelope names its signer by. A hint, never a proof.
    pub const fn key_id(&self) -> KeyId {
        self.id
    }

    /// Whether `signature` over `message` was made by this key. Strict: no malleable signature and
    /// no point of small order passes, so one message has one signature that all readers accept.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.point.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }

    fn from_point(point: VerifyingKey) -> Self {
        let mut spki = [0; SPKI_PREFIX.len() + 32];
        let (prefix, key) = spki.split_at_mut(SPKI_PREFIX.len());
        prefix.copy_from_slice(&SPKI_PREFIX);
        key.copy_from_slice(point.as_bytes());
        Self { point, id: KeyId(Digest::of(&spki)) }
    }
}

/// What stands before the 32 bytes of every Ed25519 key in SPKI DER (RFC 8410, section 10.1).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id)
    }
}

/// The name of a public key: SHA-256 of its SPKI DER, as 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct KeyId(Digest);

impl KeyId {
    /// The digest itself.
    pub const fn digest(&self) -> &Digest {
        &self.0
    }
}

impl From<Digest> for KeyId {
    fn from(digest: Digest) -> Self {
        Self(digest)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for KeyId {
    type Err = BadDigest;

    fn from_str(text: &str) -> Result<Self, BadDigest> {
        text.parse().map(Self)
    }
}

/// Its text form is the 32 bytes as 64 lower-case hexadecimal digits.
impl serde::Serialize for PublicKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&crate::hex::text(self.as_bytes()))
    }
}

impl<'de> serde::Deserialize<'de> for PublicKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let bytes =
            crate::digest::hex_array(&text).ok_or_else(|| D::Error::custom("not 64 hexadecimal digits"))?;
        Self::from_bytes(&bytes).map_err(D::Error::custom)
    }
}

/// The public keys whose signatures count, each in its role. It never comes from what is being verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustRoot {
    /// Those that sign runs.
    calls: BTreeMap<KeyId, PublicKey>,
    /// Those that sign acts about any run, whoever signed it.
    acts: BTreeMap<KeyId, PublicKey>,
    /// Whether nobody counts who is not named, whoever introduced them.
    named_only: bool,
}

impl TrustRoot {
    /// Accepts exactly `keys`; with none, nothing verifies.
    pub fn new(keys: impl IntoIterator<Item = PublicKey>) -> Self {
        let calls = keys.into_iter().map(|key| (key.id, key)).collect();
        Self { calls, ..Self::default() }
    }

    /// Reads one or more public keys in SPKI PEM form, one after the other, with nothing but
    /// white space between them.
    ///
    /// # Errors
    /// No key, anything beside keys, or any key that [`PublicKey::from_spki_pem`] refuses.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        const END: &str = "-----END PUBLIC KEY-----";
        if text.len() > MAX_PEM {
            return Err(KeyError::TooLong);
        }
        if text.contains("PRIVATE KEY-----") {
            return Err(KeyError::PrivateForPublic);
        }
        let mut keys = Vec::new();
        let mut rest = text.trim_ascii();
        while !rest.is_empty() {
            let end = rest.find(END).ok_or(KeyError::NotPublic)? + END.len();
            let (block, after) = rest.split_at(end);
            // The PEM reader skips what stands before a block; here it would be read by nobody.
            if !block.starts_with("-----BEGIN PUBLIC KEY-----") {
                return Err(KeyError::NotPublic);
            }
            keys.push(PublicKey::from_spki_pem(block)?);
            rest = after.trim_ascii_start();
        }
        if keys.is_empty() { Err(KeyError::NoKey) } else { Ok(Self::new(keys)) }
    }

    /// These, and more.
    #[must_use]
    pub fn with(mut self, keys: impl IntoIterator<Item = PublicKey>) -> Self {
        self.calls.extend(keys.into_iter().map(|key| (key.id, key)));
        self
    }

    /// These, and keys in the role to sign acts about any run. Without it a key signs acts about the
    /// runs that it signed itself, and about those of the keys that it took over from.
    #[must_use]
    pub fn with_acts(mut self, keys: impl IntoIterator<Item = PublicKey>) -> Self {
        self.acts.extend(keys.into_iter().map(|key| (key.id, key)));
        self
    }

    /// These alone, whomever they introduce.
    #[must_use]
    pub fn named_only(mut self) -> Self {
        self.named_only = true;
        self
    }

    /// These, but for one.
    #[must_use]
    pub fn without(mut self, id: &KeyId) -> Self {
        self.calls.remove(id);
        self.acts.remove(id);
        self
    }

    /// The key of that name, where it may sign runs.
    pub fn get(&self, id: &KeyId) -> Option<&PublicKey> {
        self.calls.get(id)
    }

    /// The key of that name, where it may sign some act.
    pub(crate) fn of_acts(&self, id: &KeyId) -> Option<&PublicKey> {
        self.calls.get(id).or_else(|| self.acts.get(id))
    }

    /// Whether the key of that name has the role to sign acts about any run.
    pub(crate) fn signs_any_act(&self, id: &KeyId) -> bool {
        self.acts.contains_key(id)
    }

    /// Whether whoever is introduced by these counts for nothing without being named.
    pub(crate) const fn is_named_only(&self) -> bool {
        self.named_only
    }

    /// The keys that may sign runs, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &PublicKey> {
        self.calls.values()
    }

    /// The keys that may sign acts about any run, sorted by name.
    pub fn iter_acts(&self) -> impl Iterator<Item = &PublicKey> {
        self.acts.values()
    }
}
