//! Commits of several runs in one transaction.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::log::{entries, head, is_whole, signing};
use super::*;
use crate::sqlite::group::Wanted;

/// What each of these asks for, in one transaction; what came of each.
fn together(store: &SqliteStore, group: &[(&Fence, Head, &Batch)]) -> Vec<Result<Appended, StoreError>> {
    let wanted: Vec<_> =
        group.iter().map(|(fence, expected, batch)| Wanted::of(fence, *expected, batch)).collect();
    store.shelf.files().append(&wanted)
}

fn committed(outcome: &Result<Appended, StoreError>) -> Head {
    match outcome {
        Ok(Appended::Committed(head)) => *head,
        other => panic!("not committed: {other:?}"),
    }
}

#[test]
fn each_stands_or_falls_by_itself() {
    let dir = folder();
    let store = signing(dir.path());
    let fences = [1, 2, 3, 4].map(|number| begin(&store, number));
    let start = commit(&store, &fences[3], &kv(&[], &[("total", Some("1"))]));
    let with = |text: &str| Batch {
        contents: vec![content(0, "output", text.as_bytes())],
        ..Batch::of(text.into())
    };
    let (one, late, three) = (with("one"), with("late"), with("three"));
    // What it read was changed since.
    let conflict = kv(&[("total", None)], &[("total", Some("9"))]);
    let outcomes = together(
        &store,
        &[
            (&fences[0], Head::EMPTY, &one),
            (&fences[1], start, &late),
            (&fences[3], start, &conflict),
            (&fences[2], Head::EMPTY, &three),
        ],
    );
    committed(&outcomes[0]);
    assert!(matches!(outcomes[1], Ok(Appended::Conflict(Conflict::Head { actual: Head::EMPTY }))));
    assert!(matches!(&outcomes[2], Ok(Appended::Conflict(Conflict::Kv { .. }))));
    committed(&outcomes[3]);
    for (number, text) in [(1, "one"), (3, "three")] {
        let record = load(&store, &run(number));
        assert_eq!(record.envelopes, [text.as_bytes()]);
        assert_eq!(record.content(0, "output").map(|content| &content.bytes[..]), Ok(text.as_bytes()));
    }
    assert_eq!(load(&store, &run(2)).envelopes.len(), 0);
    assert_eq!(load(&store, &run(4)).envelopes.len(), 1);
    assert_eq!(value(&store, "total").as_deref(), Some("1"));
    is_whole(dir.path());
    // They all can go on.
    commit(&store, &fences[1], &late);
    is_whole(dir.path());
}

/// Two calls with one idempotency key: the first of the group has it.
#[test]
fn what_the_first_took_the_second_finds() {
    let dir = folder();
    let store = signing(dir.path());
    let fences = [1, 2].map(|number| begin(&store, number));
    let batch = Batch { idempotency: Some(reserve("order-1")), ..Batch::of(b"intent".to_vec()) };
    let outcomes = together(&store, &[(&fences[0], Head::EMPTY, &batch), (&fences[1], Head::EMPTY, &batch)]);
    committed(&outcomes[0]);
    let Ok(Appended::Conflict(Conflict::Idempotency { holder })) = &outcomes[1] else {
        panic!("{outcomes:?}")
    };
    assert_eq!(holder.run, run(1));
    is_whole(dir.path());
}

/// What does not fit on the disk is refused, and what does is not.
#[test]
fn one_that_is_too_large_keeps_nobody_else() {
    let dir = folder();
    drop(signing(dir.path()));
    let limited = OpenOptions { max_pages: Some(80), ..options() };
    let store = SqliteStore::open(dir.path(), &limited).expect("the store opens");
    let fences = [1, 2, 3].map(|number| begin(&store, number));
    let small = Batch::of(b"small".to_vec());
    let large = Batch { contents: vec![content(0, "output", &[7; 400_000])], ..small.clone() };
    let outcomes = together(
        &store,
        &[
            (&fences[0], Head::EMPTY, &small),
            (&fences[1], Head::EMPTY, &large),
            (&fences[2], Head::EMPTY, &small),
        ],
    );
    committed(&outcomes[0]);
    assert_eq!(outcomes[1].as_ref().expect_err("it does not fit").code(), "store_full");
    committed(&outcomes[2]);
    assert_eq!([1, 2, 3].map(|number| load(&store, &run(number)).envelopes.len()), [1, 0, 1]);
    is_whole(dir.path());
}

/// A commit of several that reached the disk and was said to have failed: each hears, when it is made again alone,
/// what became of it, and nothing is there twice.
#[test]
fn what_is_on_disk_already_is_not_refused_when_it_is_made_again_alone() {
    let dir = folder();
    drop(signing(dir.path()));
    let limited = OpenOptions { max_pages: Some(80), ..options() };
    let store = SqliteStore::open(dir.path(), &limited).expect("the store opens");
    let fences = [1, 2, 3].map(|number| begin(&store, number));
    let small = Batch::of(b"small".to_vec());
    let head = commit(&store, &fences[0], &small);
    let large = Batch { contents: vec![content(0, "output", &[7; 400_000])], ..small.clone() };
    let other = Batch::of(b"another".to_vec());
    let outcomes = together(
        &store,
        &[
            (&fences[0], Head::EMPTY, &small),
            (&fences[1], Head::EMPTY, &large),
            (&fences[2], Head::EMPTY, &small),
        ],
    );
    assert_eq!(committed(&outcomes[0]), head);
    committed(&outcomes[2]);
    assert_eq!([1, 2, 3].map(|number| load(&store, &run(number)).envelopes.len()), [1, 0, 1]);
    // What is there is something else.
    let outcomes = together(&store, &[(&fences[0], Head::EMPTY, &other), (&fences[1], Head::EMPTY, &large)]);
    assert!(matches!(outcomes[0], Ok(Appended::Conflict(_))), "{outcomes:?}");
    is_whole(dir.path());
}

/// Whoever waits for another process waits once, and not once for each of them.
#[test]
fn all_of_them_hear_that_the_store_is_busy() {
    let dir = folder();
    let store = open(dir.path());
    let fences = [1, 2].map(|number| begin(&store, number));
    let batch = Batch::of(b"zero".to_vec());
    let group = [(&fences[0], Head::EMPTY, &batch), (&fences[1], Head::EMPTY, &batch)];
    let other = Connection::open(dir.path().join("store.db")).expect("the database opens");
    other.execute_batch("BEGIN EXCLUSIVE").expect("nobody else writes");
    for outcome in together(&store, &group) {
        assert_eq!(outcome.expect_err("it is locked").code(), "store_busy");
    }
    other.execute_batch("ROLLBACK").expect("it ends");
    for outcome in together(&store, &group) {
        assert_eq!(committed(&outcome).len, 1);
    }
}

const RUNS: u8 = 8;

fn envelope(number: u8, seq: u64) -> Vec<u8> {
    format!("envelope {seq} of {number}").into_bytes()
}

/// Runs on threads of their own; each hears `told` with its number and length after every commit.
fn at_once(store: &SqliteStore, commits: u64, told: &(impl Fn(u8, u64) + Sync)) {
    std::thread::scope(|scope| {
        for number in 1..=RUNS {
            scope.spawn(move || {
                let fence = begin(store, number);
                let mut head = Head::EMPTY;
                for seq in 0..commits {
                    let bytes = envelope(number, seq);
                    let contents = vec![content(seq, "output", &bytes)];
                    let outcome = store.append(&fence, head, &Batch { contents, ..Batch::of(bytes) });
                    head = committed(&outcome);
                    told(number, head.len);
                }
            });
        }
    });
}

#[test]
fn whatever_is_acknowledged_can_be_read_by_others() {
    let dir = folder();
    let store = SqliteStore::open(dir.path(), &OpenOptions::default())
        .and_then(|store| store.signing_log_with(nanohost_core::Signer::from_seed([7; 32])))
        .expect("the store opens");
    let reader = Mutex::new(read(dir.path()));
    at_once(&store, 24, &|number, len| {
        let reader = reader.lock().expect("no panic");
        assert_eq!(load(&*reader, &run(number)).recorded.len, len);
    });
    is_whole(dir.path());
}

const VICTIM: &str = "NANOHOST_TEST_GROUP_VICTIM";

/// Does nothing unless another test starts it as a process of its own.
#[test]
fn victim() {
    let Ok(dir) = std::env::var(VICTIM) else { return };
    let store = SqliteStore::open(Path::new(&dir), &OpenOptions::default())
        .and_then(|store| store.signing_log_with(nanohost_core::Signer::from_seed([7; 32])))
        .expect("the store opens");
    at_once(&store, u64::MAX, &|number, len| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "acknowledged {number} {len}").and_then(|()| out.flush()).expect("somebody listens");
    });
}

/// Killed at some moment while eight runs commit: whatever was acknowledged is there, in one piece with
/// the log, and every run goes on.
#[test]
fn sudden_death_loses_nothing_of_any_run() {
    for acknowledgements in [1, 40, 333] {
        let dir = folder();
        let mut child = Command::new(std::env::current_exe().expect("this test has a file"))
            .args(["--exact", "sqlite::tests::group::victim", "--nocapture", "--test-threads=1"])
            .env(VICTIM, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the victim starts");
        let lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
        let mut acknowledged = BTreeMap::<u8, u64>::new();
        let mut count = 0;
        // After the kill too: what was written to the pipe was acknowledged.
        for line in lines.map_while(Result::ok) {
            let Some((_, told)) = line.rsplit_once("acknowledged ") else { continue };
            let (number, len) = told.split_once(' ').expect("two numbers");
            acknowledged.insert(number.parse().expect("a number"), len.parse().expect("a number"));
            count += 1;
            if count == acknowledgements {
                child.kill().expect("the victim is killed");
            }
        }
        child.wait().expect("the victim ends");
        assert!(count >= acknowledgements, "the victim ended by itself");

        is_whole(dir.path());
        let store = signing(dir.path());
        assert_eq!(head(&store).size, entries(&store).len() as u64);
        let mut kept = 0;
        for (&number, &told) in &acknowledged {
            let record = load(&store, &run(number));
            let len = record.recorded.len;
            assert!(len == told || len == told + 1, "{told} acknowledged, {len} kept");
            assert_eq!(record.envelopes, (0..len).map(|seq| envelope(number, seq)).collect::<Vec<_>>());
            for seq in 0..len {
                let content = record.content(seq, "output").expect("content is whole");
                assert_eq!(content.bytes, envelope(number, seq));
            }
            kept += len;
            let Taken::Owned(fence) = store.take(&run(number)).expect("the store answers") else {
                panic!("nobody has it")
            };
            commit(&store, &fence, &Batch::of(b"resume".to_vec()));
        }
        assert!(kept >= count);
        is_whole(dir.path());
    }
}
