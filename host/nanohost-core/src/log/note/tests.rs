use super::*;

/// The example of Go's `golang.org/x/mod/sumdb/note`, made by that package.
const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const GO_NOTE: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n\
    \n\
    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

fn signer(name: &str, kind: Kind, seed: u8) -> NoteSigner {
    NoteSigner::new(name.parse().expect("a name"), kind, Signer::from_seed([seed; 32]))
}

#[test]
fn a_note_that_go_signed_is_read_and_checked() {
    let peter: NoteVerifier = PETER.parse().expect("a key");
    assert_eq!(peter.to_string(), PETER);
    let note: Note = GO_NOTE.parse().expect("a note");
    assert_eq!(note.to_string(), GO_NOTE);
    assert_eq!(note.by(&peter), Ok(Some(Signed { time: None })));
    // The same lines under another text.
    let other: Note = GO_NOTE.replace("answer", "anvwer").parse().expect("a note");
    assert_eq!(other.by(&peter), Err(NoteError::Signature));
    // Somebody else said nothing.
    assert_eq!(note.by(signer("PeterNeumann", Kind::Ed25519, 1).verifier()), Ok(None));
}

#[test]
fn keys_in_another_form_are_refused() {
    for bad in [
        "",
        "PeterNeumann",
        "PeterNeumann+c74f20a3",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeuman+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+Ahpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T",
        "PeterNeumann+c74f20a3+",
        // A point of small order.
        "x+00000000+AQEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ] {
        assert!(bad.parse::<NoteVerifier>().is_err(), "{bad}");
    }
}

#[test]
fn notes_in_another_form_are_refused() {
    let good = GO_NOTE;
    for bad in [
        String::new(),
        "\n\n".into(),
        good.trim_end().into(),
        good.replace("\n\n", "\n"),
        good.replace('\u{2014}', "-"),
        good.replace("is.\n", "is.\r\n"),
        good.replace("PeterNeumann ", "Peter+Neumann "),
        good.replace("PeterNeumann ", " "),
        good.replace("nAM=", "nAN="),
        good.replace(" x08go", "  x08go"),
        format!("{good}\n"),
        format!("{good}more\n"),
        format!("text\n\n{}", "\u{2014} a AAAAAAA=\n".repeat(MAX_SIGNATURES + 1)),
        format!("{}{good}", "long\n".repeat(MAX_NOTE / 5)),
        "text\n\n\u{2014} a AAAAAA==\n".into(),
    ] {
        assert!(bad.parse::<Note>().is_err(), "{bad}");
    }
    assert!("text\n\n\u{2014} a AAAAAAA=\n".parse::<Note>().is_ok());
}

#[test]
fn signatures_and_cosignatures() {
    let (log, witness) = (signer("example.com/log", Kind::Ed25519, 1), signer("w", Kind::Cosignature, 2));
    let mut note = Note::new("example.com/log\n0\nx\n".into()).expect("a text");
    assert_eq!(note.by(log.verifier()), Ok(None));
    note.sign(&log, 0);
    note.sign(&witness, 1_700_000_000);
    let note: Note = note.to_string().parse().expect("it is in its form");
    assert_eq!(note.by(log.verifier()), Ok(Some(Signed { time: None })));
    assert_eq!(note.by(witness.verifier()), Ok(Some(Signed { time: Some(1_700_000_000) })));
    // A cosigner's key is not that of a signer: what one signed never passes for the other's.
    let as_signer =
        NoteVerifier::new("w".parse().expect("a name"), Kind::Ed25519, witness.verifier().key().clone());
    assert_eq!(note.by(&as_signer), Ok(None));
    assert!(
        witness.verifier().to_string().parse::<NoteVerifier>().is_ok_and(|key| key == *witness.verifier())
    );
    // Another time is another signature.
    let mut line = note.lines[1].clone();
    line.signature[7] ^= 1;
    let changed = Note { lines: vec![line], ..note.clone() };
    assert_eq!(changed.by(witness.verifier()), Err(NoteError::Signature));
    // A good line does not make up for a bad one by the same key.
    let both = Note { lines: [changed.lines, note.lines.clone()].concat(), ..note.clone() };
    assert_eq!(both.by(witness.verifier()), Err(NoteError::Signature));

    assert_eq!(note.only(&[witness.verifier().clone()]).signatures(), note.lines[1].to_string());
    let mut alone = note.only(&[log.verifier().clone()]);
    assert!(alone.join(&note) && alone.join(&note) && alone == note);
    assert!(!alone.join(&Note::new("another\n".into()).expect("a text")));
    let mut again = note.only(&[log.verifier().clone()]);
    assert!(again.add_signatures(&note.lines[1].to_string()).is_ok() && again == note);
    assert!(again.add_signatures("").is_ok() && again == note);
    assert!(again.add_signatures("nothing\n").is_err() && again == note);
}

#[test]
fn a_signer_of_heads_says_when() {
    let log = signer("example.com/log", Kind::Ed25519, 1);
    let mut note = Note::new("example.com/log\n0\nx\n".into()).expect("a text");
    note.sign(&log, 0);
    assert_eq!(note.by(&log.verifier().with_time()), Ok(None));
    note.sign_time(&log, 1_700_000_000);
    let note: Note = note.to_string().parse().expect("it is in its form");
    assert_eq!(note.by(log.verifier()), Ok(Some(Signed { time: None })));
    assert_eq!(note.by(&log.verifier().with_time()), Ok(Some(Signed { time: Some(1_700_000_000) })));
    let other: Note = note.to_string().replace("\n0\n", "\n1\n").parse().expect("it is in its form");
    assert_eq!(other.by(&log.verifier().with_time()), Err(NoteError::Signature));
}
