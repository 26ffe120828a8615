//! A signature as webhooks carry it, and whether it is the right one. Knows no environment.

use hmac::{Hmac, KeyInit as _, Mac as _};
use nanohost_guest::Failure;
use sha2::Sha256;

/// The length of SHA-256.
const BYTES: usize = 32;

/// True where the signature fits. The comparison takes the same time wherever it fails.
pub(crate) fn check(key: &[u8], body: &str, signature: &str) -> Result<bool, Failure> {
    let Some(signature) = signature.strip_prefix("sha256=").and_then(digits) else {
        return Err(Failure::rejected("a signature is `sha256=` and 64 lower-case hexadecimal digits"));
    };
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return Err(Failure::rejected("the key cannot be used"));
    };
    mac.update(body.as_bytes());
    match mac.verify_slice(&signature) {
        Ok(()) => Ok(true),
        Err(_) => Err(Failure::rejected("the signature is not that of the body")),
    }
}

fn digits(text: &str) -> Option<[u8; BYTES]> {
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let mut bytes = [0; BYTES];
    if pairs.len() != BYTES {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(bytes)
}
