use super::*;
use crate::answers::{Blob, HostAnswer, HostTold, Pieces};

fn monotonic(now: u64) -> Entry {
    Entry::Monotonic { now }
}

fn http(path: &str, answer: &str) -> Entry {
    Entry::Http(Box::new(HostAnswer {
        request: format!("GET http://127.0.0.1{path}"),
        head: Digest::of(b""),
        sent: Sent::nothing(),
        scope: String::new(),
        refused: None,
        told: Some(HostTold::Failed(answer.to_owned())),
        body: Pieces::default(),
    }))
}

fn get(value: &str) -> Entry {
    let value = Some(Blob(value.as_bytes().to_vec()));
    Entry::Get { namespace: "n".into(), key: "k".into(), value, version: Some(1) }
}

fn set(value: &str) -> Entry {
    Entry::Set { namespace: "n".into(), key: "k".into(), value: Some(Digest::of(value.as_bytes())) }
}

fn replaying(entries: Vec<Entry>) -> (Answering, Halt) {
    let halt = Halt::default();
    (Answering::from_record(Answers { entries, cut: false }, halt.clone()), halt)
}

fn asks(answering: &Answering, asked: &Entry) -> Entry {
    answering.ask(asked).expect("the record has an answer").1
}

/// By question, and of the same question by occurrence: whichever of two requests comes first.
#[test]
fn the_question_decides() {
    let record = vec![http("/a", "1"), monotonic(5), http("/b", "2"), http("/a", "3"), get("x"), get("y")];
    let (answering, halt) = replaying(record.clone());
    assert_eq!(asks(&answering, &http("/b", "")), record[2]);
    assert_eq!(asks(&answering, &http("/a", "")), record[0]);
    assert_eq!(asks(&answering, &get("")), record[4]);
    assert_eq!(asks(&answering, &monotonic(0)), record[1]);
    assert_eq!(asks(&answering, &http("/a", "")), record[3]);
    assert_eq!(asks(&answering, &get("")), record[5]);
    assert_eq!((answering.compare(&[]), halt.code()), ((None, 0), None));
}

#[test]
fn what_was_not_answered_ends_the_call() {
    let (answering, halt) = replaying(vec![monotonic(5)]);
    asks(&answering, &monotonic(0));
    assert_eq!(halt.code(), None);
    assert_eq!(answering.ask(&monotonic(0)), None);
    assert_eq!(halt.code(), Some(FaultCode::NotRecorded));
    let (divergence, unasked) = answering.compare(&[]);
    let divergence = divergence.expect("it asked more");
    assert_eq!(
        (divergence.what, divergence.detail.as_str(), unasked),
        (Diverged::Question, "monotonic-clock", 0)
    );
}

#[test]
fn what_was_not_asked_is_seen() {
    let (answering, halt) = replaying(vec![monotonic(5), get("x")]);
    asks(&answering, &monotonic(0));
    let (divergence, unasked) = answering.compare(&[]);
    assert_eq!((divergence.expect("it asked less").what, unasked, halt.code()), (Diverged::Unasked, 1, None));
}

#[test]
fn keys_are_compared() {
    let compared = |then: Vec<Entry>, now: &[Entry]| replaying(then).0.compare(now).0.map(|found| found.what);
    assert_eq!(compared(vec![set("a")], &[set("a")]), None);
    assert_eq!(compared(Vec::new(), &[]), None);
    for (then, now) in [(vec![set("a")], vec![set("b")]), (vec![set("a")], vec![]), (vec![], vec![set("a")])]
    {
        assert_eq!(compared(then, &now), Some(Diverged::Kv));
    }
}

/// Bytes that go along with a request, in whatever pieces.
#[test]
fn what_was_sent_is_compared() {
    let live = |sent: &[&str], whole: bool| {
        let answering = Answering::live(Halt::default());
        let at = answering.begin(http("/a", "1"));
        sent.iter().for_each(|part| answering.sent(at, part.as_bytes()));
        if whole {
            answering.sent_all(at);
        }
        answering.finish()
    };
    let differs = |record: Answers, sent: &[&str], whole: bool| {
        let answering = Answering::from_record(record, Halt::default());
        let (at, _) = answering.ask(&http("/a", "")).expect("an answer");
        sent.iter().for_each(|part| answering.sent(at, part.as_bytes()));
        if whole {
            answering.sent_all(at);
        }
        answering.compare(&[]).0.map(|found| found.what)
    };
    assert_eq!(differs(live(&["amount", "=5"], true), &["amount=5"], true), None);
    assert_eq!(differs(live(&["amount=5"], true), &["am", "ount=", "5"], true), None);
    assert_eq!(differs(live(&[], true), &[], true), None);
    // The other host answered before it had read all: what it read is compared.
    assert_eq!(differs(live(&["amount"], false), &["amou", "nt=5"], true), None);
    for (then, now) in
        [("amount=5", "amount=6"), ("amount=5", "amount=55"), ("amount=5", "amount="), ("", "x")]
    {
        assert_eq!(differs(live(&[then], true), &[now], true), Some(Diverged::Request), "{then} {now}");
    }
    assert_eq!(differs(live(&["amount"], false), &["Amount=5"], true), Some(Diverged::Request));
}

/// A record that is cut holds nothing, so that nobody takes it for the whole.
#[test]
fn the_bound_cuts_the_record() {
    let answering = Answering::live(Halt::default());
    let at = answering.begin(http("/a", "1"));
    let half = || Entry::Random { bytes: Blob(vec![b'x'; MAX_ANSWERS / 2]) };
    answering.tell(half());
    answering.tell(half());
    // Later parts of what is not kept go nowhere.
    answering.sent(at, b"amount");
    answering.more(at, 1, |_| panic!("there is nothing to change"));
    answering.tell(monotonic(1));
    assert_eq!(answering.finish(), Answers { entries: Vec::new(), cut: true });
    let answering = Answering::live(Halt::default());
    answering.tell(half());
    assert_eq!(answering.finish().entries.len(), 1);
}
