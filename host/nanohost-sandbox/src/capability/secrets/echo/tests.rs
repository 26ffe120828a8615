use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::*;

const SECRET: &str = "s3cr3t+/\"key\\~42";

fn echo() -> Echo {
    Echo::new([SECRET].into_iter()).expect("something to look for")
}

#[test]
fn in_every_form_wherever_it_stands() {
    let found = |text: &str| echo().search(text.as_bytes()).is_err();
    assert!(found(SECRET));
    assert!(found(&format!("before {SECRET} after")));
    assert!(found(&serde_json::json!({ "key": SECRET }).to_string()));
    assert!(found(&serde_json::json!({ "key": SECRET }).to_string().replace('/', "\\/")));
    for before in 0..7 {
        for after in 0..7 {
            let whole = format!("{}{SECRET}{}", "a".repeat(before), "z".repeat(after));
            for text in [
                STANDARD.encode(&whole),
                URL_SAFE.encode(&whole),
                STANDARD_NO_PAD.encode(&whole),
                URL_SAFE_NO_PAD.encode(&whole),
            ] {
                assert!(found(&text), "{before} {after} {text}");
            }
        }
    }
    let hex: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
    assert!(found(&hex) && found(&hex.to_uppercase()));
    let percent: String = SECRET.bytes().map(|byte| format!("%{byte:02X}")).collect();
    assert!(found(&percent) && found(&percent.to_lowercase()));
    assert!(found("s3cr3t%2B%2F%22key%5C~42"));
    assert!(found("s3cr3t%2b%2f%22key%5c~42"));
    for text in ["", "s3cr3t", &SECRET[1..], "nothing of it"] {
        assert!(!found(text), "{text}");
    }
}

#[test]
fn across_every_border() {
    for form in [SECRET.to_owned(), STANDARD.encode(format!("ab{SECRET}cd"))] {
        let whole = format!("before {form} after");
        for size in 1..whole.len() {
            let mut released = Released::of(&echo());
            let mut seen = Vec::new();
            let all = whole.as_bytes().chunks(size).try_for_each(|chunk| {
                seen.extend_from_slice(&released.next(chunk)?);
                Ok(())
            });
            assert_eq!(all, Err(Echoed), "{size}");
            assert!(!String::from_utf8_lossy(&seen).contains(&form[form.len() - 4..]), "{size}");
        }
    }
}

#[test]
fn what_holds_none_comes_through_whole() {
    let whole = "nothing secret ".repeat(50);
    for size in [1, 7, 64, 1000] {
        let mut released = Released::of(&echo());
        let mut seen = Vec::new();
        for chunk in whole.as_bytes().chunks(size) {
            seen.extend_from_slice(&released.next(chunk).expect("no secret"));
        }
        seen.extend_from_slice(&released.end());
        assert_eq!(seen, whole.as_bytes());
    }
}
