//! Erasures in files: at every step, whatever ends between two of them, and nothing is left of what went.

use rusqlite::Connection;

use super::*;
use crate::contract::{erases, take_acts};
use crate::{Effect, Erases, Holds, Purge, Subject};
use nanohost_core::act::HeldOn;

/// Every ciphertext of runs, and every wrapped key that opens one.
fn secrets(dir: &Path) -> Vec<Vec<u8>> {
    let all = |conn: &Connection, select: &str| -> Vec<Vec<u8>> {
        let mut select = conn.prepare(select).expect("the tables are there");
        select.query_map([], |row| row.get(0)).and_then(Iterator::collect).expect("the rows read")
    };
    let store = other_hand(dir, "store.db");
    let mut found = all(&store, "SELECT sealed FROM content UNION ALL SELECT sealed FROM kv");
    found.extend(all(&other_hand(dir, "keys.db"), "SELECT wrapped FROM data_key"));
    found
}

/// How many of the secrets lie anywhere in the folder, whole or their beginning.
fn left(dir: &Path, secrets: &[Vec<u8>]) -> usize {
    let files: Vec<Vec<u8>> = fs::read_dir(dir)
        .expect("it lists")
        .filter_map(|entry| fs::read(entry.expect("an entry").path()).ok())
        .collect();
    let lies = |secret: &&Vec<u8>| {
        let part = &secret[..secret.len().min(32)];
        files.iter().any(|file| file.windows(part.len()).any(|window| window == part))
    };
    secrets.iter().filter(lies).count()
}

/// Commits an act that gives these up.
fn give_up(store: &SqliteStore, fence: &Fence, erases: Vec<Erases>) -> Appended {
    append(store, fence, &Batch { erases, ..Batch::of(b"an act".to_vec()) })
}

fn finish(store: &SqliteStore, fence: &Fence) -> Purge {
    store.destroy_keys(fence).expect("the keys go");
    store.remove_erased(fence).expect("the rows go");
    store.purge(fence).expect("the files are purged")
}

/// A run of some values, small ones and one of many pages.
fn filled(store: &SqliteStore, number: u8) {
    let fence = begin(store, number);
    for seq in 0..4 {
        let contents = vec![content(seq, "input", b"the input"), content(seq, "output", &[b'x'; 40_000])];
        commit(store, &fence, &Batch { contents, ..Batch::of(b"envelope".to_vec()) });
    }
}

#[test]
fn nothing_is_left_of_what_went() {
    let dir = folder();
    let store = open(dir.path());
    filled(&store, 1);
    let fence = begin(&store, 3);
    commit(&store, &fence, &kv(&[], &[("total", Some("12")), ("name", Some("Mira"))]));
    // The keys that were made in advance and not used open nothing.
    let before = secrets(dir.path());
    let used = before.len();
    filled(&store, 2);
    let others = secrets(dir.path());
    assert_eq!((left(dir.path(), &before), left(dir.path(), &others)), (used, others.len()));

    let acts = take_acts(&store);
    let all: Vec<(u64, &str)> = (0..4).flat_map(|seq| [(seq, "input"), (seq, "output")]).collect();
    let gone = vec![erases(0, 1, &all, true), erases(0, 3, &[(9, "input")], true)];
    let keys: Vec<Vec<u8>> = {
        let conn = other_hand(dir.path(), "keys.db");
        conn.execute("ATTACH ?1 AS store", [dir.path().join("store.db").to_str().expect("a path")])
            .expect("it opens");
        let mut select = conn
            .prepare(
                "SELECT wrapped FROM data_key WHERE id IN \
                 (SELECT data_key FROM store.content WHERE run = ?1 UNION SELECT data_key FROM store.kv)",
            )
            .expect("the tables are there");
        let rows = select.query_map([run(1).as_str()], |row| row.get(0));
        rows.and_then(Iterator::collect).expect("the rows read")
    };
    assert_eq!(keys.len(), 10);
    let ciphertexts: Vec<Vec<u8>> =
        before.iter().filter(|secret| !keys.contains(secret)).take(10).cloned().collect();
    assert_eq!(left(dir.path(), &keys), 10);
    assert_eq!(left(dir.path(), &ciphertexts), 10);

    assert!(matches!(give_up(&store, &acts, gone), Appended::Committed(_)));
    assert_eq!(finish(&store, &acts), Purge::Done);
    assert_eq!((left(dir.path(), &keys), left(dir.path(), &ciphertexts)), (0, 0));
    assert_eq!(value(&store, "name"), None);
    // Of the other run nothing went.
    let other = load(&store, &run(2));
    assert_eq!(other.contents.len(), 8);
    assert!(other.contents.iter().all(|stored| stored.content.is_ok()));
    drop((acts, store));
    assert_eq!((left(dir.path(), &keys), left(dir.path(), &ciphertexts)), (0, 0));
}

#[test]
fn every_step_can_be_the_last_of_its_process() {
    for steps in 0..=3 {
        let dir = folder();
        let store = open(dir.path());
        filled(&store, 1);
        let acts = take_acts(&store);
        give_up(&store, &acts, vec![erases(0, 1, &[(2, "input")], false)]);
        if steps > 0 {
            store.destroy_keys(&acts).expect("the keys go");
        }
        if steps > 1 {
            store.remove_erased(&acts).expect("the rows go");
        }
        if steps > 2 {
            assert_eq!(store.purge(&acts).expect("the files are purged"), Purge::Done);
        }
        drop((acts, store));
        // From the act on nobody sees it, by whatever way they look.
        let store = open(dir.path());
        for records in [&store as &dyn Records, &read(dir.path())] {
            let record = load(records, &run(1));
            assert!(matches!(record.content(2, "input"), Err(VaultError::Erased { .. })), "after {steps}");
            assert_eq!(record.content(1, "input").expect("it stays").bytes, b"the input");
            assert_eq!(record.contents.len(), 8);
        }
        assert_eq!(store.is_erasing().expect("it says"), steps < 3, "after {steps}");
        let acts = take_acts(&store);
        assert_eq!(finish(&store, &acts), Purge::Done);
        assert!(!store.is_erasing().expect("it says"));
    }
}

#[test]
fn a_reader_of_an_earlier_moment_makes_the_purge_wait() {
    let dir = folder();
    let store = open(dir.path());
    filled(&store, 1);
    let reader = other_hand(dir.path(), "store.db");
    reader.execute_batch("BEGIN; SELECT count(*) FROM content").expect("it reads");
    let acts = take_acts(&store);
    give_up(&store, &acts, vec![erases(0, 1, &[(0, "input")], false)]);
    assert_eq!(finish(&store, &acts), Purge::Pending);
    assert!(store.is_erasing().expect("it says"));
    reader.execute_batch("COMMIT").expect("it ends");
    assert_eq!(store.purge(&acts).expect("the files are purged"), Purge::Done);
    assert!(!store.is_erasing().expect("it says"));
}

#[test]
fn a_value_that_somebody_else_wrote_since_stays() {
    let dir = folder();
    let store = open(dir.path());
    let fence = begin(&store, 1);
    commit(&store, &fence, &kv(&[], &[("old", Some("1")), ("kept", Some("2"))]));
    let other = begin(&store, 2);
    commit(&store, &other, &kv(&[], &[("kept", Some("3"))]));
    assert_eq!(store.kv_of(&run(1)).expect("it counts"), 1);
    let acts = take_acts(&store);
    give_up(&store, &acts, vec![erases(0, 1, &[], true)]);
    // Between the act and the end of it too.
    assert_eq!((value(&store, "old"), value(&store, "kept").as_deref()), (None, Some("3")));
    finish(&store, &acts);
    assert_eq!((value(&store, "old"), value(&store, "kept").as_deref()), (None, Some("3")));
}

fn subject(text: &str) -> Subject {
    Subject::new(text).expect("a subject")
}

fn of_subject(store: &SqliteStore, number: u8, whose: &str) -> Fence {
    let open = crate::OpenRun { subject: Some(subject(whose)), ..opened(i64::from(number)) };
    owned(store.begin(&run(number), &open))
}

#[test]
fn the_runs_of_a_subject_are_found_and_their_content_lies_under_its_key() {
    let dir = folder();
    let store = open(dir.path());
    for (number, whose) in [(1, "mira@example.org"), (2, "anyone else"), (3, "mira@example.org")] {
        let fence = of_subject(&store, number, whose);
        let contents = vec![content(0, "admission", b"1"), content(0, "input", b"2")];
        commit(&store, &fence, &Batch { contents, ..Batch::of(b"envelope".to_vec()) });
    }
    begin(&store, 4);
    let mira = subject("mira@example.org");
    for holds in [&store as &dyn Holds, &read(dir.path())] {
        assert_eq!(holds.runs_of(&mira).expect("it finds"), [run(3), run(1)]);
        assert_eq!(holds.runs_of(&subject("nobody")).expect("it finds"), []);
    }
    assert_eq!(load(&open(dir.path()), &run(3)).content(0, "input").expect("it opens").bytes, b"2");
    let owners: Vec<String> = other_hand(dir.path(), "keys.db")
        .prepare("SELECT owner FROM owner_key ORDER BY owner")
        .and_then(|mut select| select.query_map([], |row| row.get(0))?.collect())
        .expect("the keys list");
    let (subjects, runs): (Vec<_>, Vec<_>) = owners.iter().partition(|owner| owner.starts_with("subject/"));
    // The documents are nobody's data, and stay under the key of their run.
    assert_eq!((subjects.len(), runs.len()), (2, 3), "{owners:?}");
    let names = fs::read(dir.path().join("store.db")).expect("it reads");
    assert!(!names.windows(4).any(|window| window == b"mira"), "nobody's name is kept");
}

#[test]
fn a_hold_refuses_until_it_ends() {
    let dir = folder();
    let store = open(dir.path());
    let since = Timestamp::from_millis(7);
    let fence = of_subject(&store, 1, "mira");
    commit(&store, &fence, &Batch { contents: vec![content(0, "input", b"2")], ..Batch::of(b"e".to_vec()) });
    ended_run(&store, 2, b"free");
    let mira = store.subject_hash(&subject("mira")).expect("a hash");
    for on in [HeldOn::Run(run(1)), HeldOn::Subject(mira)] {
        let acts = take_acts(&store);
        let does =
            |effect| append(&store, &acts, &Batch { effects: vec![effect], ..Batch::of(b"an act".to_vec()) });
        let id = store.next_hold(&acts).expect("a number");
        let laid = store.sealed_hold(id, on.clone(), since, "lea", "case 7/2026").expect("a hold");
        assert!(matches!(does(Effect::Lay(laid)), Appended::Committed(_)));
        assert_eq!(store.next_hold(&acts).expect("a number"), id + 1);
        let gone = || vec![erases(load(&store, acts.run()).recorded.len, 1, &[(0, "input")], false)];
        let held = Appended::Conflict(Conflict::Held { run: run(1) });
        assert_eq!(give_up(&store, &acts, gone()), held);
        assert!(load(&store, &run(1)).content(0, "input").is_ok(), "nothing of it went");
        assert_eq!(load(&store, &run(1)).acts, []);
        let listed = read(dir.path()).holds().expect("they list");
        let hold = listed.first().expect("it is listed");
        assert_eq!((hold.id, hold.since, hold.reason.as_str()), (id, since, "case 7/2026"));
        assert_eq!((hold.principal.as_str(), &hold.on, hold.runs), ("lea", &on, 1));
        assert_eq!(store.holds_on(&run(1)).expect("they list"), listed);
        assert_eq!(store.holds_on(&run(2)).expect("they list"), []);
        assert!(matches!(does(Effect::End { hold: id }), Appended::Committed(_)));
        assert_eq!(store.holds().expect("they list"), []);
        assert!(store.is_erasing().expect("it reads"), "what opened its reason has to go");
        assert_eq!(finish(&store, &acts), Purge::Done);
    }
    let acts = take_acts(&store);
    let gone = vec![erases(load(&store, acts.run()).recorded.len, 1, &[(0, "input")], false)];
    assert!(matches!(give_up(&store, &acts, gone), Appended::Committed(_)));
}
