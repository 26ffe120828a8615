use super::*;
use crate::Signer;

fn key(seed: u8) -> PublicKey {
    Signer::from_seed([seed; 32]).public().clone()
}

fn log() -> NoteVerifier {
    NoteVerifier::new("example.com/log".parse().expect("a name"), Kind::Ed25519, key(9))
}

fn other_log() -> NoteVerifier {
    NoteVerifier::new("example.com/other".parse().expect("a name"), Kind::Ed25519, key(8))
}

fn parse(text: &str) -> Result<KeyTrust, Diagnostics> {
    KeyTrust::parse(Source::new("trust.toml", text))
}

fn file() -> KeyTrust {
    KeyTrust::default()
        .with(key(1), Validity { from: 0, until: Some(7) })
        .with(key(2), Validity { from: 6, until: None })
        .with_log(log(), Validity::ALL)
}

#[test]
fn what_is_written_is_read() {
    let text = file().to_text().expect("it has a form");
    assert_eq!(parse(&text).expect("it reads"), file());
    let read = file();
    assert!(read.root().get(&key(1).key_id()).is_some() && read.root().get(&key(3).key_id()).is_none());
    let validity = read.validity(&key(1).key_id()).expect("it is there");
    assert!(validity.holds(0) && validity.holds(6) && !validity.holds(7));
    let validity = read.validity(&key(2).key_id()).expect("it is there");
    assert!(!validity.holds(5) && validity.holds(6) && validity.holds(u64::MAX));
    assert_eq!(read.log(log().name()), Some(&log()));
    assert_eq!(read.log(&"example.com/other".parse().expect("a name")), None);
    let all = KeyTrust::keys(&TrustRoot::new([key(1)]));
    assert_eq!(all.validity(&key(1).key_id()), Some(Validity::ALL));
}

/// Whom the file gives the role of acts may speak for every run; the others for their own.
#[test]
fn acts_are_a_role_of_their_own() {
    let part = Validity { from: 3, until: Some(9) };
    let read =
        parse(&file().with_acts(key(2), part).with_acts(key(4), Validity::ALL).to_text().expect("a form"));
    let read = read.expect("it reads");
    let root = read.root();
    for (seed, signs, signs_any_act) in
        [(1, true, false), (2, true, true), (4, false, true), (5, false, false)]
    {
        let id = key(seed).key_id();
        assert_eq!((root.get(&id).is_some(), root.signs_any_act(&id)), (signs, signs_any_act), "{seed}");
        assert_eq!(root.of_acts(&id).is_some(), signs || signs_any_act, "{seed}");
    }
    assert!(root.is_named_only());
    assert_eq!(read.act_validity(&key(1).key_id()), read.validity(&key(1).key_id()));
    assert_eq!(read.act_validity(&key(2).key_id()), Some(part), "where it is named for acts, that counts");
    assert_eq!(read.act_validity(&key(5).key_id()), None);
    let plain = TrustRoot::from_pem(&key(1).to_spki_pem().expect("PEM")).expect("a key");
    assert!(!plain.signs_any_act(&key(1).key_id()), "no role comes from a mere key");
    let plain = KeyTrust::keys(&plain).root();
    assert!(!plain.signs_any_act(&key(1).key_id()) && !plain.is_named_only());
}

#[test]
fn everything_else_is_refused() {
    let good = file().to_text().expect("it has a form");
    let witness = log().with_time().to_string();
    for bad in [
        String::new(),
        "format = 1\n".to_owned(),
        good.replace("format = 1", "format = 2"),
        good.replace("format = 1", "format = \"1\""),
        good.replace("format = 1\n", ""),
        good.replace("format = 1", "format = 1\nmore = 1"),
        good.replace("until = 7", "until = -7"),
        good.replace("until = 7", "until = 0"),
        good.replace("until = 7", "until = \"7\""),
        good.replace("until = 7", "until = 7.0"),
        good.replace("until = 7", "untill = 7"),
        good.replace("PUBLIC", "PRIVATE"),
        good.replace(&log().to_string(), &witness),
        good.replace(&log().to_string(), "nobody"),
        good.replace("[[log]]", "[[logs]]"),
        good.replace("[[calls]]", "[calls]"),
        format!("{good}\n[[calls]]\nkey = \"\"\"\n{}\"\"\"\n", key(1).to_spki_pem().expect("PEM")),
        format!("{good}\n[[calls]]\nfrom = 1\n"),
        format!("{good}\n[[acts]]\nfrom = 1\n"),
        // An index of which of two logs?
        format!("{good}\n[[log]]\nkey = \"{}\"\n", other_log()),
    ] {
        assert!(parse(&bad).is_err(), "{bad}");
    }
    let whole = KeyTrust::keys(&TrustRoot::new([key(1)]))
        .with_log(log(), Validity::ALL)
        .with_log(other_log(), Validity::ALL);
    assert!(parse(&whole.to_text().expect("it has a form")).is_ok());
}

/// One log under two names: each counts for the heads of its own part, and keys can be bounded by its indices.
#[test]
fn a_log_that_changed_its_name_is_one_log() {
    let [before, after] = [(0, Some(20)), (20, None)].map(|(from, until)| Validity { from, until });
    let named = |second| {
        let bounded = KeyTrust::default().with(key(1), Validity { from: 0, until: Some(7) });
        bounded.with_log(log(), before).with_log(other_log(), second)
    };
    let trusted = named(after);
    assert_eq!(parse(&trusted.to_text().expect("it has a form")).expect("it reads"), trusted);
    let head = |of: &NoteVerifier, size| Checkpoint {
        origin: of.name().clone(),
        size,
        root: crate::Digest::of(b""),
    };
    let counts = |of: &NoteVerifier, size| trusted.log_at(&head(of, size)).is_some();
    assert!(counts(&log(), 1) && counts(&log(), 20) && !counts(&log(), 21));
    assert!(!counts(&other_log(), 20) && counts(&other_log(), 21) && counts(&other_log(), 9000));
    // An entry of both is an index of which of them?
    for overlapping in
        [Validity::ALL, Validity { from: 19, until: None }, Validity { from: 0, until: Some(20) }]
    {
        assert!(parse(&named(overlapping).to_text().expect("it has a form")).is_err(), "{overlapping:?}");
    }
}
