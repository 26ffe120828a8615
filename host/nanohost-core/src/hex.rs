//! Lower-case hexadecimal writing without a formatter, for the paths that run once per envelope.
//! Reading it is [`crate::digest::hex_array`].

/// Appends the digits of `bytes` to `out`.
pub(crate) fn push(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.reserve(2 * bytes.len());
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 0xf)]);
    }
}

/// The digits of `bytes`.
pub(crate) fn text(bytes: &[u8]) -> String {
    let mut out = Vec::new();
    push(&mut out, bytes);
    String::from_utf8(out).expect("digits are ASCII")
}
