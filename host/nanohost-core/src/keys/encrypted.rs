//! Private keys under a passphrase: PKCS#8 (RFC 5958) with PBES2 (RFC 8018), as OpenSSL reads and writes
//! it. Written with scrypt and AES-256-CBC. Knows no terminal: the passphrase is passed in, and so is
//! what has to be random.

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, KeypairBytes};
use pkcs8::pkcs5::pbes2::{EncryptionScheme, Kdf, Parameters, ScryptParams};
use pkcs8::{EncryptedPrivateKeyInfoRef, LineEnding, PrivateKeyInfoRef, SecretDocument};
use zeroize::Zeroizing;

use super::{KeyError, MAX_PEM, Signer};

#[cfg(test)]
mod tests;

/// What begins such a key.
const BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";

/// The cost of trying a passphrase when a key is written: the largest that OpenSSL 3 takes unasked.
const COST: u64 = 1 << 14;

/// The costs that are paid when a key is read: somebody who exchanges a key file must not make its
/// owner's machine compute, or fill its memory, for as long as they like.
const MAX_SCRYPT_MEMORY: u64 = 64 << 20;
const MAX_SCRYPT_PARALLEL: u16 = 4;
const MAX_PBKDF2_ROUNDS: u32 = 2_000_000;

/// The random bytes that [`Signer::to_encrypted_pem`] takes: a salt, and where the cipher begins.
pub const RANDOM: usize = 32;

impl Signer {
    /// Whether a text is a private key under a passphrase.
    pub fn is_encrypted(pem: &str) -> bool {
        pem.trim_ascii_start().starts_with(BEGIN)
    }

    /// Reads a private key under a passphrase.
    ///
    /// # Errors
    /// [`KeyError::Passphrase`] where it is another one, [`KeyError::Costly`] for a key that would take
    /// too long to try, [`KeyError::NotPrivate`] for what is no such key.
    pub fn from_encrypted_pem(pem: &str, passphrase: &str) -> Result<Self, KeyError> {
        if pem.len() > MAX_PEM {
            return Err(KeyError::TooLong);
        }
        let (label, document) = SecretDocument::from_pem(pem).map_err(|_| KeyError::NotPrivate)?;
        if label != "ENCRYPTED PRIVATE KEY" {
            return Err(KeyError::NotPrivate);
        }
        let info =
            EncryptedPrivateKeyInfoRef::try_from(document.as_bytes()).map_err(|_| KeyError::NotPrivate)?;
        let parameters = info.encryption_algorithm.pbes2().ok_or(KeyError::NotPrivate)?;
        bounded(&parameters.kdf)?;
        // A wrong passphrase shows as padding that is none, or as a key that is none.
        let der = info.decrypt(passphrase).map_err(|_| KeyError::Passphrase)?;
        SigningKey::from_pkcs8_der(der.as_bytes()).map(Self::from_key).map_err(|_| KeyError::Passphrase)
    }

    /// Writes the key under a passphrase, as PKCS#8 **v1**; `random` is fresh for each time.
    ///
    /// # Errors
    /// [`KeyError::Unwritable`] where the encoder fails.
    pub fn to_encrypted_pem(
        &self,
        passphrase: &str,
        random: [u8; RANDOM],
    ) -> Result<Zeroizing<String>, KeyError> {
        let unwritable = |_| KeyError::Unwritable;
        let plain = KeypairBytes { secret_key: self.key.to_bytes(), public_key: None };
        let plain = plain.to_pkcs8_der().map_err(|_| KeyError::Unwritable)?;
        let info = PrivateKeyInfoRef::try_from(plain.as_bytes()).map_err(|_| KeyError::Unwritable)?;
        let (salt, iv) = random.split_at(16);
        let kdf = ScryptParams {
            salt: salt.try_into().map_err(|_| KeyError::Unwritable)?,
            cost_parameter: COST,
            block_size: 8,
            parallelization: 1,
            key_length: None,
        };
        let encryption = EncryptionScheme::Aes256Cbc { iv: iv.try_into().map_err(|_| KeyError::Unwritable)? };
        let parameters = Parameters { kdf: Kdf::Scrypt(kdf), encryption };
        let document = info.encrypt_with_params(parameters, passphrase).map_err(unwritable)?;
        document.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF).map_err(|_| KeyError::Unwritable)
    }
}

fn bounded(kdf: &Kdf) -> Result<(), KeyError> {
    let cheap = match kdf {
        Kdf::Scrypt(scrypt) => {
            let memory = scrypt.cost_parameter.checked_mul(128 * u64::from(scrypt.block_size));
            memory.is_some_and(|memory| memory <= MAX_SCRYPT_MEMORY)
                && scrypt.parallelization <= MAX_SCRYPT_PARALLEL
        }
        Kdf::Pbkdf2(pbkdf2) => pbkdf2.iteration_count <= MAX_PBKDF2_ROUNDS,
        _ => false,
    };
    if cheap { Ok(()) } else { Err(KeyError::Costly) }
}
