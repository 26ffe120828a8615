use super::*;
use crate::keys::Signer;
use crate::log::note::{Kind, NoteSigner};
use crate::log::tree::leaf;

fn checkpoint(size: u64) -> Checkpoint {
    Checkpoint { origin: "example.com/log".parse().expect("a name"), size, root: leaf(b"x") }
}

#[test]
fn one_form() {
    let text = checkpoint(7).to_string();
    assert_eq!(text.parse(), Ok(checkpoint(7)));
    // The example of the specification, with an extension line.
    let text_of_spec =
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    assert_eq!(text_of_spec.parse::<Checkpoint>().expect("a checkpoint").to_string(), text_of_spec);
    assert!(format!("{text_of_spec}extension\n").parse::<Checkpoint>().is_ok());
    for bad in [
        String::new(),
        "a\n1\n".into(),
        text.trim_end().into(),
        format!("\n{text}"),
        format!("{text}\n"),
        text.replace("\n7\n", "\n07\n"),
        text.replace("\n7\n", "\n+7\n"),
        text.replace("\n7\n", "\n-7\n"),
        text.replace("\n7\n", "\n9007199254740993\n"),
        text.replace("\n7\n", "\n99999999999999999999\n"),
        text.replace("\n7\n", "\n\n"),
        text.replace("\n7\n", "\n0\n"),
        text.replace("=\n", "\n"),
        text.replace("example.com/log", "example.com/a log"),
        "a\n1\nAAAA\n".into(),
    ] {
        assert!(bad.parse::<Checkpoint>().is_err(), "{bad}");
    }
}

#[test]
fn a_head_counts_only_where_its_log_signed_it() {
    let signer = |name: &str, seed| {
        NoteSigner::new(name.parse().expect("a name"), Kind::Ed25519, Signer::from_seed([seed; 32]))
    };
    let log = signer("example.com/log", 1);
    let mut note = checkpoint(7).note().expect("a text");
    assert_eq!(Checkpoint::open(&note, log.verifier()), Err(CheckpointError::Unsigned));
    note.sign(&signer("example.com/log", 2), 0);
    note.sign(&signer("example.com/other", 1), 0);
    assert_eq!(Checkpoint::open(&note, log.verifier()), Err(CheckpointError::Unsigned));
    note.sign(&log, 0);
    assert_eq!(Checkpoint::open(&note, log.verifier()), Ok(checkpoint(7)));
    // Its key under another name is another log.
    assert_eq!(
        Checkpoint::open(&note, signer("example.com/other", 1).verifier()),
        Err(CheckpointError::Origin)
    );
    let forged: Note = note.to_string().replace("\n7\n", "\n8\n").parse().expect("a note");
    assert_eq!(Checkpoint::open(&forged, log.verifier()), Err(CheckpointError::Note(NoteError::Signature)));
}
