use nanohost_core::Digest;
use serde_json::{Value, json};

use super::*;

fn record(entries: Vec<Entry>) -> Answers {
    Answers { entries, cut: false }
}

fn file(told: Told) -> Entry {
    let with = "follow".to_owned();
    Entry::File(FileAnswer { ask: "open".into(), path: "/data/a\u{1b}".into(), with, sent: None, told })
}

fn tcp(told: TcpTold) -> Entry {
    Entry::Tcp(TcpAnswer { ask: "connect".into(), socket: 1, with: "127.0.0.1:7".into(), told })
}

fn all() -> Answers {
    let bytes = |bytes: &[u8]| Blob(bytes.to_vec());
    let pieces = Pieces { bytes: bytes(b"ab\n"), pieces: vec![2, 0, 1], end: Some(ENDED.into()) };
    let http = |told| {
        Entry::Http(Box::new(HostAnswer {
            request: "GET http://127.0.0.1:1/".into(),
            head: Digest::of(b""),
            sent: Sent::of(b"x"),
            scope: "GET http://127.0.0.1:1/**".into(),
            refused: None,
            told,
            body: pieces.clone(),
        }))
    };
    let headers = vec![("x-a".to_owned(), bytes(&[0xff, b'"']))];
    record(vec![
        Entry::Wall { seconds: u64::MAX, nanoseconds: 999_999_999 },
        Entry::Monotonic { now: 7 },
        Entry::Random { bytes: bytes(&[0, 1, 255]) },
        Entry::Get {
            namespace: "n".into(),
            key: "k".into(),
            value: Some(bytes("ä".as_bytes())),
            version: Some(3),
        },
        Entry::Get { namespace: "n".into(), key: "k".into(), value: None, version: None },
        Entry::List {
            namespace: "n".into(),
            prefix: String::new(),
            after: None,
            limit: 4,
            keys: vec!["k".into()],
        },
        Entry::Set { namespace: "n".into(), key: "k".into(), value: None },
        file(Told::Done),
        file(Told::Names(vec![("a".into(), "regular-file".into())])),
        file(Told::Failed("no-entry".into())),
        Entry::Read { path: "/data/a".into(), offset: 0, stream: pieces.clone() },
        Entry::Write {
            path: "/data/a".into(),
            offset: None,
            sent: Sent::of(b""),
            permits: vec![0],
            end: None,
        },
        http(Some(HostTold::Answered(HostHead { status: 200, headers }))),
        http(Some(HostTold::Failed("connection-refused".into()))),
        http(None),
        Entry::Poll { ready: vec![0, 2] },
        Entry::Ready { ready: false },
        tcp(TcpTold::Done),
        tcp(TcpTold::Address("[::1]:7".parse().expect("an address"))),
        tcp(TcpTold::Count(u64::MAX)),
        tcp(TcpTold::Is(true)),
        tcp(TcpTold::Failed("connection-refused".into())),
        Entry::Receive { socket: 0, stream: pieces.clone() },
        Entry::Send { socket: 0, sent: Sent::of(b""), permits: vec![4096, 0], end: Some("closed".into()) },
    ])
}

fn value(answers: &Answers) -> Value {
    serde_json::from_str(&answers.to_json().expect("JSON")).expect("it was just written")
}

#[test]
fn one_form_there_and_back() {
    let answers = all();
    assert_eq!(Answers::parse(&value(&answers)), Ok(answers.clone()));
    assert_eq!(answers.incomplete(), None);
    let cut = Answers { entries: Vec::new(), cut: true };
    assert_eq!(Answers::parse(&value(&cut)), Ok(cut.clone()));
    assert!(cut.incomplete().is_some() && !cut.is_empty());
    assert!(Answers::default().is_empty() && Answers::default().incomplete().is_none());
    // Text stands as text, for whoever looks for something in it; what is none in base64.
    let shown = |bytes: &[u8]| {
        value(&record(vec![Entry::Random { bytes: Blob(bytes.to_vec()) }]))["answers"][0].clone()
    };
    assert_eq!(shown(b"a\tb"), json!({ "random": { "bytes": { "text": "a\tb" } } }));
    assert_eq!(shown(b"a\0"), json!({ "random": { "bytes": { "base64": "YQA=" } } }));
}

#[test]
fn every_other_form_is_refused() {
    let good =
        value(&record(vec![Entry::Random { bytes: Blob(b"ab".to_vec()) }, Entry::Monotonic { now: 1 }]));
    assert!(Answers::parse(&good).is_ok());
    let refused = |what: &str, change: &dyn Fn(&mut Value)| {
        let mut value = good.clone();
        change(&mut value);
        assert!(Answers::parse(&value).is_err(), "{what}: {value}");
    };
    refused("another version", &|it| it["format"] = json!("nanohost/answers/v2"));
    refused("no cut", &|it| drop(it.as_object_mut().expect("an object").remove("cut")));
    refused("a key more", &|it| it["more"] = json!(1));
    refused("another order", &|it| {
        let cut = it.as_object_mut().expect("an object").shift_remove("cut").expect("it was there");
        it["cut"] = cut;
    });
    refused("an unknown answer", &|it| it["answers"][0] = json!({ "weather": { "sunny": true } }));
    refused("a key more in an answer", &|it| it["answers"][1]["monotonic"]["then"] = json!(2));
    refused("a fraction", &|it| it["answers"][1]["monotonic"]["now"] = json!(1.0));
    refused("less than nothing", &|it| it["answers"][1]["monotonic"]["now"] = json!(-1));
    refused("text in base64", &|it| it["answers"][0]["random"]["bytes"] = json!({ "base64": "YWI=" }));
    refused("no base64", &|it| it["answers"][0]["random"]["bytes"] = json!({ "base64": "YQA" }));
    refused("two forms at once", &|it| {
        it["answers"][0]["random"]["bytes"] = json!({ "text": "ab", "base64": "YQA=" });
    });
    for value in [json!(null), json!([]), json!({}), json!("answers")] {
        assert!(Answers::parse(&value).is_err(), "{value}");
    }
}

/// What a record takes of its bound is no less than half of its JSON.
#[test]
fn the_bound_holds_for_the_json() {
    let text: String = "\"\\\n".repeat(1000);
    let mut answers = all();
    answers.entries.push(Entry::Random { bytes: Blob(text.into_bytes()) });
    answers.entries.push(Entry::Random { bytes: Blob(vec![0; 3000]) });
    answers.entries.push(file(Told::Text("\u{1}".repeat(500))));
    for entry in answers.entries {
        let pieces = match &entry {
            Entry::Read { stream, .. } => stream.bytes.0.len() + 8 * stream.pieces.len(),
            Entry::Http(answer) => answer.body.bytes.0.len() + 8 * answer.body.pieces.len(),
            _ => 0,
        };
        let cost = entry.cost() + pieces;
        let json = serde_json::to_string(&entry).expect("JSON").len();
        assert!(json <= 2 * cost, "{json} of {cost}: {entry:?}");
    }
}
