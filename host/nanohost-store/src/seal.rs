//! XChaCha20-Poly1305 with random nonces: how the vault encrypts content and wraps keys, and keys as text.
//! Knows nothing of what is sealed or where the keys lie.

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::error::StoreError;

/// A key of 256 bits, overwritten in memory when it is dropped.
pub(crate) type Key = Zeroizing<[u8; 32]>;

/// The nonce stands in front of the ciphertext.
const NONCE: usize = 24;

/// Bytes by which sealed content is longer than what was sealed: the nonce and the tag.
pub(crate) const OVERHEAD: u32 = 24 + 16;

/// A fresh key of the operating system's random numbers.
pub(crate) fn random_key() -> Result<Key, StoreError> {
    let mut key = Key::default();
    fill_random(key.as_mut_slice())?;
    Ok(key)
}

/// Fills `bytes` with the operating system's random numbers.
pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<(), StoreError> {
    getrandom::fill(bytes).map_err(|error| StoreError::from_random(&error))
}

/// Associated data: a domain and its parts, each with its length, so that no two lists read alike.
pub(crate) fn associated(domain: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut data = Vec::new();
    for part in std::iter::once(&domain.as_bytes()).chain(parts) {
        data.extend_from_slice(&(part.len() as u64).to_be_bytes());
        data.extend_from_slice(part);
    }
    data
}

/// Encrypts `plain` for `key`, bound to `associated`.
pub(crate) fn seal(key: &Key, associated: &[u8], plain: &[u8]) -> Result<Vec<u8>, StoreError> {
    let mut nonce = [0; NONCE];
    fill_random(&mut nonce)?;
    let ciphertext = XChaCha20Poly1305::new((&**key).into())
        .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: associated })
        .map_err(|_| StoreError::Misuse { what: "content longer than the cipher takes" })?;
    Ok([&nonce, ciphertext.as_slice()].concat())
}

/// Decrypts what [`seal`] made; `None` where anything differs.
pub(crate) fn open(key: &Key, associated: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE>()?;
    XChaCha20Poly1305::new((&**key).into())
        .decrypt(&XNonce::from(*nonce), Payload { msg: ciphertext, aad: associated })
        .ok()
        .map(Zeroizing::new)
}

/// Decrypts a wrapped key.
pub(crate) fn open_key(key: &Key, associated: &[u8], sealed: &[u8]) -> Option<Key> {
    let plain = open(key, associated, sealed)?;
    <[u8; 32]>::try_from(plain.as_slice()).ok().map(Key::new)
}

/// A key as 64 lower-case hexadecimal digits.
pub(crate) fn key_text(key: &Key) -> Zeroizing<String> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    // Room for all of it and the end of a line, so that no copy is left behind by a growing buffer.
    let mut text = Zeroizing::new(String::with_capacity(65));
    for byte in key.iter() {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// Reads what [`key_text`] writes, and no other form of it.
pub(crate) fn key_from_text(text: &str) -> Option<Key> {
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let mut key = Key::default();
    if pairs.len() != key.len() {
        return None;
    }
    for (byte, [high, low]) in key.iter_mut().zip(pairs) {
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(key)
}
