use super::*;
use crate::dsse::{Unverified, seal};
use crate::{PublicKey, Signer};

fn run() -> RunId {
    RunId::from_random([7; 16])
}

fn signer() -> Signer {
    Signer::from_seed([9; 32])
}

fn content(seq: u64, role: &str, encoding: Encoding, bytes: &[u8]) -> Content {
    Content {
        seq,
        role: role.parse().expect("a role"),
        encoding,
        salt: Salt::from_bytes([seq as u8; 32]),
        bytes: bytes.to_vec(),
    }
}

fn sample() -> (Vec<Vec<u8>>, Vec<Content>) {
    let envelopes = (0..3).map(|seq| seal(format!("{{\"seq\":{seq}}}").as_bytes(), &signer())).collect();
    let contents = vec![
        content(0, "program", Encoding::Text, b"name = 'x'"),
        content(2, "input", Encoding::Json, b"{}"),
        content(2, "output", Encoding::Bytes, b"\0\n\""),
    ];
    (envelopes, contents)
}

fn file(envelopes: &[Vec<u8>], contents: &[Content]) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, &run(), envelopes, contents).expect("memory takes it");
    out
}

#[test]
fn what_is_written_is_read_back() {
    let (envelopes, contents) = sample();
    let mut shuffled = contents.clone();
    shuffled.reverse();
    let export = Export::parse(&file(&envelopes, &shuffled)).expect("an export");
    assert_eq!(export.run, run());
    assert_eq!(export.envelopes, envelopes);
    assert_eq!(export.contents, contents);
    assert_eq!(export.check_places(true), Ok(()));
}

#[test]
fn the_writer_refuses_what_the_reader_would() {
    fn check(envelopes: &[Vec<u8>], contents: &[Content]) {
        let error = write(&mut Vec::new(), &run(), envelopes, contents).expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
    }
    let (envelopes, contents) = sample();
    check(&envelopes, &[contents[0].clone(), contents[0].clone()]);
    check(&envelopes, &[content(3, "input", Encoding::Json, b"{}")]);
    check(&envelopes, &[content(0, "input", Encoding::Bytes, &vec![0; MAX_CONTENT + 1])]);
    check(&[b"{}".to_vec()], &[]);
    check(&[[envelopes[0].as_slice(), b"\n"].concat()], &[]);
}

fn verdict(file: &[u8], closed: bool) -> Result<Export, ExportError> {
    let export = Export::parse(file)?;
    export.check_places(closed)?;
    Ok(export)
}

#[test]
fn vectors() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/vectors/evidence/export.json"))
            .expect("vectors are JSON");
    let key = PublicKey::from_spki_pem(vectors["publicKey"].as_str().expect("a key")).expect("a public key");
    for case in vectors["cases"].as_array().expect("cases are a list") {
        let name = &case["name"];
        let bytes = case["file"].as_str().expect("a file").as_bytes();
        let (kind, line) = match verdict(bytes, case["closed"].as_bool().unwrap_or(false)) {
            Ok(export) => {
                assert_eq!(export.run.as_str(), vectors["run"], "{name}");
                for envelope in &export.envelopes {
                    let verified = Unverified::parse(envelope).and_then(|envelope| envelope.verify(&key));
                    assert_eq!(verified, Ok(()), "{name}");
                }
                let mut again = Vec::new();
                write_with_acts(&mut again, &export.run, &export.acts, &export.envelopes, &export.contents)
                    .expect("memory takes it");
                assert_eq!(again, bytes, "{name}");
                ("ok", None)
            }
            Err(ExportError::TooLarge { line, .. }) => ("too_large", Some(line)),
            Err(ExportError::CutLine { line }) => ("cut_line", Some(line)),
            Err(ExportError::OrphanContent { .. }) => ("orphan_content", None),
            Err(ExportError::Malformed { line, .. }) => ("malformed", Some(line)),
        };
        assert_eq!(kind, case["expect"], "{name}");
        assert_eq!(line.map(|line| line as u64), case["line"].as_u64(), "{name}");
    }
}

/// What a verifier does with an export, without what envelopes say.
fn accepts(bytes: &[u8]) -> bool {
    let (_, committed) = sample();
    let Ok(export) = verdict(bytes, true) else { return false };
    export.run == run()
        && export.envelopes.len() == 3
        && export.envelopes.iter().all(|envelope| {
            Unverified::parse(envelope).is_ok_and(|envelope| envelope.verify(signer().public()).is_ok())
        })
        && export.contents.len() == committed.len()
        && export.contents.iter().zip(&committed).all(|(content, committed)| {
            (content.seq, &content.role, content.commitment())
                == (committed.seq, &committed.role, committed.commitment())
        })
}

#[test]
fn no_single_changed_byte_passes() {
    let (envelopes, contents) = sample();
    let bytes = file(&envelopes, &contents);
    assert!(accepts(&bytes));
    for at in 0..bytes.len() {
        for change in [0x01, 0x02, 0x20, 0x80] {
            let mut changed = bytes.clone();
            changed[at] ^= change;
            assert!(!accepts(&changed), "byte {at} xor {change:#04x}");
        }
    }
    for cut in 0..bytes.len() {
        assert!(!accepts(&bytes[..cut]), "cut to {cut} bytes");
    }
}

#[test]
fn bounds_hold_before_parsing() {
    let line = |bytes: &[u8]| {
        Export::parse(&[format!("{HEADER}{}{HEADER_END}\n", run()).as_bytes(), bytes].concat())
    };
    let limit = |result: Result<Export, ExportError>| match result {
        Err(ExportError::TooLarge { limit, .. }) => limit,
        other => panic!("{other:?}"),
    };
    assert_eq!(limit(line(&vec![b'x'; MAX_LINE + 1])), MAX_LINE);
    let mut envelope = dsse::HEAD.to_vec();
    envelope.resize(dsse::MAX_ENVELOPE + 1, b'A');
    envelope.push(b'\n');
    assert_eq!(limit(line(&envelope)), dsse::MAX_ENVELOPE);
    let many = [dsse::HEAD, b"\n"].concat().repeat(MAX_LINES);
    assert_eq!(limit(line(&many)), MAX_LINES);

    // A content of the greatest size fits into a line.
    let digits = MAX_CONTENT.div_ceil(3) * 4;
    const { assert!(MAX_CONTENT.div_ceil(3) * 4 + 1024 < MAX_LINE) }
    assert_eq!(decode(&"A".repeat(digits + 4)).err(), Some("a content that is too large"));
}

#[test]
fn content_is_not_printed() {
    let shown = format!("{:?}", content(1, "input", Encoding::Text, b"Erika Mustermann"));
    assert_eq!(shown, "Content(1/input, text, 16 bytes)");
}
