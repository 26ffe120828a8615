use nanohost_guest::Failure;

use crate::signature::check;

/// RFC 4231, test case 2.
const KEY: &[u8] = b"Jefe";
const BODY: &str = "what do ya want for nothing?";
const SIGNATURE: &str = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";

fn rejected(key: &[u8], body: &str, signature: &str) {
    let result = check(key, body, signature);
    assert!(matches!(result, Err(Failure::Rejected(_))), "{body:?} {signature:?}: {result:?}");
}

#[test]
fn a_right_signature_is_right() {
    assert_eq!(check(KEY, BODY, SIGNATURE), Ok(true));
}

#[test]
fn anything_else_is_rejected() {
    rejected(b"jefe", BODY, SIGNATURE);
    for body in
        ["", "what do ya want for nothing", " what do ya want for nothing?", "what do ya want for nothing?\n"]
    {
        rejected(KEY, body, SIGNATURE);
    }
    let changed: Vec<String> = (7..SIGNATURE.len())
        .map(|place| {
            let mut signature = SIGNATURE.to_owned();
            let other = if &SIGNATURE[place..=place] == "0" { "1" } else { "0" };
            signature.replace_range(place..=place, other);
            signature
        })
        .collect();
    assert_eq!(changed.len(), 64);
    for signature in &changed {
        rejected(KEY, BODY, signature);
    }
}

#[test]
fn another_form_is_rejected() {
    let digits = &SIGNATURE[7..];
    for signature in [
        "",
        "sha256=",
        digits,
        &format!("sha1={digits}"),
        &format!("SHA256={digits}"),
        &format!("sha256={}", digits.to_uppercase()),
        &format!("sha256= {digits}"),
        &format!("{SIGNATURE}00"),
        &format!("{SIGNATURE} "),
        &SIGNATURE[..SIGNATURE.len() - 1],
        &format!("sha256={}", "ä".repeat(32)),
    ] {
        rejected(KEY, BODY, signature);
    }
}

#[test]
fn without_a_key_nothing_is_right() {
    let result = crate::webhook::check(BODY.to_owned(), SIGNATURE.to_owned());
    assert!(matches!(result, Err(Failure::Rejected(text)) if text.contains("WEBHOOK_KEY")));
}
