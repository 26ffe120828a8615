//! What only files can do: bad files, full disks, other processes, sudden death, other hands.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nanohost_core::Timestamp;
use rusqlite::Connection;
use tempfile::TempDir;

mod erase;
mod group;
mod log;

use super::*;
use crate::contract::{
    append, at, begin, commit, content, held, idempotency, kv, load, one_owns, opened, owned, place, reserve,
    run, scope, started, value,
};
use crate::database::Earlier;
use crate::{Claim, Conflict, Found, Phase, Records, Reservation, RunState, VaultError};

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder for the test")
}

fn options() -> OpenOptions {
    OpenOptions { busy_timeout: Duration::from_millis(20), ..OpenOptions::default() }
}

fn open(dir: &Path) -> SqliteStore {
    SqliteStore::open(dir, &options()).expect("the store opens")
}

fn read(dir: &Path) -> SqliteReader {
    SqliteReader::open(dir, &options()).expect("the store opens for reading")
}

/// Both ways to open must refuse, with this code and some help.
fn refused(dir: &Path, code: &str) {
    let writing = SqliteStore::open(dir, &options()).expect_err("it must not open for writing");
    assert_eq!(writing.code(), code, "{writing}");
    let reading = SqliteReader::open(dir, &options()).expect_err("it must not open for reading");
    assert_eq!(reading.code(), code, "{reading}");
    assert!(!writing.help().is_empty());
}

/// Another hand in the database, as with the `sqlite3` program.
fn edit(dir: &Path, file: &str, sql: &str) {
    other_hand(dir, file).execute_batch(sql).expect("the edit is possible");
}

fn other_hand(dir: &Path, file: &str) -> Connection {
    let conn = Connection::open(dir.join(file)).expect("the database opens");
    conn.execute_batch("PRAGMA foreign_keys = OFF").expect("checks can be turned off");
    conn
}

/// One run of one envelope with content, ended.
fn ended_run(store: &SqliteStore, number: u8, secret: &[u8]) {
    let fence = begin(store, number);
    let contents = vec![content(0, "input", secret), content(0, "output", b"true")];
    let phase = Some(Phase::Closed("SUCCESS".into()));
    commit(store, &fence, &Batch { contents, phase, ..Batch::of(b"run-open".to_vec()) });
}

#[test]
fn everything_is_there_after_reopening() {
    let dir = folder();
    let store = open(dir.path());
    ended_run(&store, 1, b"a secret");
    let fence = begin(&store, 2);
    commit(&store, &fence, &kv(&[], &[("total", Some("12"))]));
    let claim = Some(reserve("order-1"));
    commit(&store, &fence, &Batch { idempotency: claim, ..Batch::of(b"intent".to_vec()) });
    let records = [load(&store, &run(1)), load(&store, &run(2))];
    let reservation = store.recorded(&idempotency("order-1")).expect("the store reads");
    drop((fence, store));

    let store = open(dir.path());
    let reader = read(dir.path());
    for journal in [&store as &dyn Records, &reader] {
        assert_eq!(load(journal, &run(1)), records[0]);
        let second = load(journal, &run(2));
        assert_eq!((second.envelopes, second.recorded), (records[1].envelopes.clone(), records[1].recorded));
        assert_eq!(second.summary.state, RunState::Interrupted);
        assert_eq!(value(journal, "total").as_deref(), Some("12"));
        assert_eq!(journal.recorded(&idempotency("order-1")).expect("the store reads"), reservation);
    }
}

#[test]
fn a_reader_never_makes_a_store() {
    let dir = folder();
    let file = tempfile::NamedTempFile::new().expect("a file for the test");
    let below = file.path().join("below");
    for missing in [dir.path().to_owned(), dir.path().join("not there"), file.path().to_owned(), below] {
        let error = SqliteReader::open(&missing, &options()).expect_err("there is nothing to read");
        assert_eq!(error.code(), "no_store");
    }
    // An empty file is what a process leaves that died while it made the store.
    fs::write(dir.path().join("store.db"), "").expect("a file is written");
    let error = SqliteReader::open(dir.path(), &options()).expect_err("there is nothing to read");
    assert_eq!(error.code(), "no_store");
    fs::remove_file(dir.path().join("store.db")).expect("the file goes");
    assert_eq!(fs::read_dir(dir.path()).expect("the folder lists").count(), 0);
}

#[test]
fn a_reader_sees_each_commit_of_a_running_writer() {
    let dir = folder();
    let store = open(dir.path());
    let fence = begin(&store, 1);
    let reader = read(dir.path());
    for len in 1..=3 {
        commit(&store, &fence, &Batch::of(b"envelope".to_vec()));
        let record = load(&reader, &run(1));
        assert_eq!((record.envelopes.len(), record.summary.len), (len as usize, len));
        assert_eq!(record.summary.state, RunState::Running);
    }
    // A reader left over from the start of a listing does not keep the writer from its run.
    assert!(matches!(reader.find("0"), Ok(Found::One(_))));
}

#[test]
fn two_writers_share_a_store() {
    let dir = folder();
    let (one, two) = (open(dir.path()), open(dir.path()));
    let (first, second) = (begin(&one, 1), begin(&two, 2));
    assert!(matches!(two.take(&run(1)), Ok(Taken::Live)));
    commit(&one, &first, &kv(&[("total", None)], &[("total", Some("1"))]));
    let late = append(&two, &second, &kv(&[("total", None)], &[("total", Some("2"))]));
    assert_eq!(late, Appended::Conflict(Conflict::Kv { at: at("total") }));
    assert_eq!(value(&two, "total").as_deref(), Some("1"));
    commit(&two, &second, &Batch { contents: vec![content(0, "output", b"2")], ..Batch::of(b"r".to_vec()) });
    assert!(load(&one, &run(2)).content(0, "output").is_ok());
}

#[test]
fn many_openings_at_once_agree() {
    let dir = folder();
    let options = OpenOptions::default();
    std::thread::scope(|scope| {
        for number in 1..=8 {
            let (dir, options) = (dir.path(), &options);
            scope.spawn(move || {
                let store = SqliteStore::open(dir, options).expect("the store opens");
                ended_run(&store, number, b"a secret");
            });
        }
    });
    let store = open(dir.path());
    assert_eq!(store.runs().expect("the store lists").len(), 8);
    for number in 1..=8 {
        let record = load(&store, &run(number));
        assert_eq!(record.content(0, "input").map(|content| &content.bytes[..]), Ok(&b"a secret"[..]));
    }
}

#[cfg(unix)]
#[test]
fn files_are_for_their_owner_alone() {
    use std::os::unix::fs::MetadataExt as _;
    let dir = folder();
    let dir = dir.path().join("a").join("store");
    let store = open(&dir);
    let _fence = begin(&store, 1);
    let mode = |path: &Path| fs::metadata(path).expect("it is there").mode() & 0o777;
    assert_eq!((mode(&dir), mode(&dir.join("locks"))), (0o700, 0o700));
    let mut names = Vec::new();
    for path in [dir.clone(), dir.join("locks")].iter().flat_map(|dir| fs::read_dir(dir).expect("it lists")) {
        let path = path.expect("an entry").path();
        if path.is_file() {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
            names.push(path.file_name().expect("a name").to_string_lossy().into_owned());
        }
    }
    names.sort_unstable();
    let lock = format!("{}.lock", run(1));
    let expected = [
        ".lock",
        &lock,
        "keys.db",
        "keys.db-shm",
        "keys.db-wal",
        "store.db",
        "store.db-shm",
        "store.db-wal",
        "vault.key",
    ];
    assert_eq!(names, expected);
}

#[test]
fn content_values_and_keys_are_not_in_the_files() {
    let dir = folder();
    let store = open(dir.path());
    ended_run(&store, 1, b"content of a customer");
    let fence = begin(&store, 2);
    commit(&store, &fence, &kv(&[], &[("total", Some("value of a customer"))]));
    let claim = Some(reserve("key of a customer"));
    let phase = Some(Phase::Suspended { deadline: None });
    commit(&store, &fence, &Batch { idempotency: claim, phase, ..Batch::of(b"intent".to_vec()) });
    let of = b"inputs of a customer";
    owned(store.begin(&run(3), &started("name of a customer", "start key of a customer", of)));
    store.ask_to_stop(&run(2), "wish of a customer").expect("the store writes");
    let token = store.hand_out_token(&run(2), 1, "holder of a customer", false);
    let token = token.expect("the store writes").expect("a first token").as_str().to_owned();
    let salt = *content(0, "input", b"").salt.as_bytes();
    let check = || {
        for entry in fs::read_dir(dir.path()).expect("the folder lists") {
            let path = entry.expect("an entry").path();
            let bytes = if path.is_file() { fs::read(&path).expect("it reads") } else { Vec::new() };
            let of = Digest::of(of);
            for secret in [&b"of a customer"[..], &salt, of.as_bytes(), token.as_bytes()] {
                let found = bytes.windows(secret.len()).any(|window| window == secret);
                assert!(!found, "{} holds {secret:?}", path.display());
            }
        }
    };
    check();
    drop((fence, store));
    check();
}

#[test]
fn a_newer_schema_is_refused() {
    for (file, sql) in [("store.db", "PRAGMA user_version = 99"), ("keys.db", "PRAGMA user_version = 99")] {
        let dir = folder();
        drop(open(dir.path()));
        edit(dir.path(), file, sql);
        refused(dir.path(), "store_newer");
    }
}

/// A store as an earlier version made it, without what came later. Its reservations lie where that
/// version put them.
fn of_version(earlier: &Earlier, dir: &Path) {
    let macs = {
        let store = open(dir);
        let files = store.shelf.files();
        let keyring = files.keyring().expect("the keys are there");
        let scope = idempotency("order-1");
        [keyring.idempotency_mac(&scope), keyring.earlier_idempotency_mac(&scope)]
            .map(|mac| mac.expect("a keyed hash"))
    };
    let conn = other_hand(dir, "store.db");
    let tables = |conn: &Connection| {
        conn.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB 'sqlite_*'")
            .and_then(|mut select| {
                select.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()
            })
            .expect("the database lists")
    };
    let present = tables(&conn);
    // No version before the fifth had acts.
    if earlier.version < 5 {
        conn.execute_batch(
            "DELETE FROM run WHERE id = (SELECT CAST(value AS TEXT) FROM meta WHERE name = 'acts'); \
             DELETE FROM meta WHERE name = 'acts'",
        )
        .expect("the acts go");
    }
    // Up to version 2 keys were for all functions of a tool.
    if earlier.version <= 2 {
        conn.execute("UPDATE idempotency SET mac = ?2 WHERE mac = ?1", macs).expect("the reservation moves");
    }
    // Everything into tables that the version's own statements make.
    for table in &present {
        conn.execute_batch(&format!(
            "CREATE TEMP TABLE \"kept_{table}\" AS SELECT * FROM main.{table}; DROP TABLE {table}"
        ))
        .expect("the tables go");
    }
    for statement in earlier.statements {
        conn.execute_batch(statement).expect("it makes its tables");
    }
    for table in tables(&conn) {
        let columns: Vec<String> = conn
            .prepare(&format!("SELECT name FROM pragma_table_info('{table}')"))
            .and_then(|mut select| select.query_map([], |row| row.get(0))?.collect())
            .expect("the columns list");
        let columns = columns.join(", ");
        let copy = format!("INSERT INTO main.{table} ({columns}) SELECT {columns} FROM \"kept_{table}\"");
        conn.execute_batch(&copy).expect("the rows come back");
    }
    let version = format!("PRAGMA user_version = {}", earlier.version);
    conn.execute_batch(&version).expect("the version changes");
}

#[test]
fn stores_of_earlier_versions_are_brought_up_to_date() {
    for earlier in schema::SCHEMA.earlier {
        is_brought_up_to_date(earlier);
    }
}

#[test]
fn what_acts_erased_they_bear_on() {
    let dir = folder();
    let store = open(dir.path());
    ended_run(&store, 1, b"a secret");
    ended_run(&store, 2, b"another");
    let acts = crate::contract::take_acts(&store);
    let erases = vec![crate::contract::erases(0, 1, &[(0, "input")], false)];
    append(&store, &acts, &Batch { erases, ..Batch::of(b"an act".to_vec()) });
    let before = load(&store, &run(1));
    assert_eq!(before.acts.len(), 1);
    drop((acts, store));
    of_version(&schema::VERSION_5, dir.path());
    let store = open(dir.path());
    assert_eq!(load(&store, &run(1)), before);
    assert_eq!(load(&store, &run(2)).acts, []);
}

fn is_brought_up_to_date(earlier: &Earlier) {
    let dir = folder();
    let store = open(dir.path());
    ended_run(&store, 1, b"a secret");
    let fence = begin(&store, 2);
    let claim = Some(reserve("order-1"));
    let other = begin(&store, 3);
    let contents = vec![content(0, "output", b"2")];
    let write = kv(&[], &[("total", Some("12"))]);
    commit(&store, &fence, &Batch { contents, idempotency: claim, ..write });
    commit(
        &store,
        &fence,
        &Batch { phase: Some(Phase::Suspended { deadline: None }), ..Batch::of(b"s".to_vec()) },
    );
    drop(fence);
    let before = [load(&store, &run(1)), load(&store, &run(2))];
    let reservation = store.recorded(&idempotency("order-1")).expect("the store reads");
    drop((other, store));
    of_version(earlier, dir.path());

    let error = SqliteReader::open(dir.path(), &options()).expect_err("reading changes nothing");
    assert_eq!(error.code(), "store_older");
    assert!(error.help().contains("nanohost run"));

    let store = open(dir.path());
    let reader = read(dir.path());
    for records in [&store as &dyn Records, &reader] {
        assert_eq!([load(records, &run(1)), load(records, &run(2))], before);
        assert_eq!(value(records, "total").as_deref(), Some("12"));
        if earlier.version > 2 {
            assert_eq!(records.recorded(&idempotency("order-1")).expect("the store reads"), reservation);
            continue;
        }
        // It was for all functions of a tool, and nobody knows which call made it.
        let placeless = reservation.clone().map(|kept| Reservation { place: None, ..kept });
        for export in ["refunds#book", "refunds#cancel"] {
            let scope = IdempotencyScope { export: export.into(), ..idempotency("order-1") };
            assert_eq!(records.recorded(&scope).expect("the store reads"), placeless);
        }
    }
    if earlier.version <= 2 {
        its_own_run_alone_uses_it(&store);
    }
    // What the version did not know works for its runs too.
    let Taken::Owned(fence) = store.take(&run(2)).expect("the store answers") else { panic!("it is free") };
    store.ask_to_stop(&run(2), "enough").expect("the store writes");
    assert!(store.hand_out_token(&run(2), 1, "ann", false).expect("the store writes").is_some());
    let deadline = Some(Timestamp::from_millis(5));
    commit(&store, &fence, &Batch { phase: Some(Phase::Suspended { deadline }), ..Batch::of(b"t".to_vec()) });
    let acts = store.acts().expect("it has a chain of acts");
    let Taken::Owned(act) = store.take(&acts).expect("the store answers") else { panic!("it is free") };
    commit(&store, &act, &Batch::of(b"an act".to_vec()));
    assert_eq!(store.runs().expect("the store lists").len(), 3);
    drop((act, fence, store));
    assert_eq!(load(&open(dir.path()), &run(2)).summary.state.deadline(), deadline);
    assert_eq!(load(&open(dir.path()), &acts).envelopes, [b"an act"]);
    log::is_whole(dir.path());
}

/// A reservation that stands for other functions too.
fn its_own_run_alone_uses_it(store: &SqliteStore) {
    let held = store.recorded(&idempotency("order-1")).expect("the store reads");
    let Taken::Owned(other) = store.take(&run(3)).expect("the store answers") else { panic!("it is free") };
    let claim = Claim { over: held.clone(), ..reserve("order-1") };
    let batch = Batch { idempotency: Some(claim), ..Batch::of(b"s".to_vec()) };
    assert!(matches!(append(store, &other, &batch), Appended::Conflict(Conflict::Idempotency { .. })));
    assert_eq!(store.recorded(&idempotency("order-1")).expect("the store reads"), held);
    let Taken::Owned(own) = store.take(&run(2)).expect("the store answers") else { panic!("it is free") };
    commit(store, &own, &Batch { idempotency: Some(reserve("order-1")), ..Batch::of(b"r".to_vec()) });
    let held = store.recorded(&idempotency("order-1")).expect("the store reads").expect("it is held");
    assert_eq!((held.run, held.place), (run(2), Some(place(1))));
}

#[test]
fn a_changed_store_of_version_1_is_refused_and_stays() {
    let dir = folder();
    drop(open(dir.path()));
    of_version(&schema::VERSION_1, dir.path());
    edit(dir.path(), "store.db", "CREATE TABLE notes (text TEXT)");
    refused(dir.path(), "store_corrupt");
    edit(dir.path(), "store.db", "DROP TABLE notes; PRAGMA user_version = 0");
    refused(dir.path(), "store_corrupt");
    edit(dir.path(), "store.db", "PRAGMA user_version = 1");
    drop(open(dir.path()));
    // A second version of the same file: the present tables do not pass for earlier ones.
    edit(dir.path(), "store.db", "PRAGMA user_version = 1");
    refused(dir.path(), "store_corrupt");
}

#[test]
fn many_openings_at_once_upgrade_once() {
    let dir = folder();
    let store = open(dir.path());
    ended_run(&store, 1, b"a secret");
    drop(store);
    of_version(&schema::VERSION_1, dir.path());
    std::thread::scope(|scope| {
        for number in 2..=6 {
            let dir = dir.path();
            scope.spawn(move || {
                let store = SqliteStore::open(dir, &OpenOptions::default()).expect("the store opens");
                ended_run(&store, number, b"a secret");
            });
        }
    });
    assert_eq!(open(dir.path()).runs().expect("the store lists").len(), 6);
}

#[test]
fn another_hand_redirects_no_key() {
    let dir = folder();
    let store = open(dir.path());
    ended_run(&store, 2, b"a secret");
    let fence = owned(store.begin(&run(1), &started("ann", "order-1", b"refund")));
    let claim = Some(reserve("order-1"));
    commit(&store, &fence, &Batch { idempotency: claim.clone(), ..Batch::of(b"intent".to_vec()) });
    let kept = store.recorded(&idempotency("order-1")).expect("the store reads");
    for change in [
        "run = '02020202020202020202020202020202'",
        "result_seq = 0",
        "step = 'other'",
        "visit = 7",
        "seal = NULL, step = NULL, visit = NULL",
    ] {
        let mut backup = other_hand(dir.path(), "store.db");
        let tx = backup.transaction().expect("a transaction");
        tx.execute_batch("CREATE TEMP TABLE kept AS SELECT * FROM idempotency").expect("a copy");
        tx.commit().expect("a commit");
        edit(dir.path(), "store.db", &format!("UPDATE idempotency SET {change}"));
        let error = store.recorded(&idempotency("order-1")).expect_err("the seal is not good");
        assert_eq!(error.code(), "store_corrupt", "{change}");
        let head = load(&store, &run(1)).recorded;
        let batch = Batch { idempotency: claim.clone(), ..Batch::of(b"again".to_vec()) };
        let error = store.append(&fence, head, &batch).expect_err("the seal is not good");
        assert_eq!(error.code(), "store_corrupt", "{change}");
        assert_eq!(load(&store, &run(1)).recorded, head);
        backup
            .execute_batch("DELETE FROM idempotency; INSERT INTO idempotency SELECT * FROM kept")
            .expect("the row comes back");
        backup.execute_batch("DROP TABLE kept").expect("the copy goes");
        assert_eq!(store.recorded(&idempotency("order-1")).expect("the store reads"), kept, "{change}");
    }
    assert!(held(store.begin(&run(9), &started("ann", "order-1", b"refund"))).1);
    edit(dir.path(), "store.db", "UPDATE start_key SET run = '02020202020202020202020202020202'");
    assert!(!held(store.begin(&run(9), &started("ann", "order-1", b"refund"))).1);
}

#[test]
fn starts_in_two_stores_make_one_run() {
    let dir = folder();
    let options = OpenOptions::default();
    let stores = [1, 2].map(|_| SqliteStore::open(dir.path(), &options).expect("the store opens"));
    let begun = std::thread::scope(|scope| {
        let starts: Vec<_> = (1..=8_u8)
            .map(|number| {
                let store = &stores[usize::from(number % 2)];
                scope.spawn(move || store.begin(&run(number), &started("ann", "order-1", b"refund")))
            })
            .collect();
        starts.into_iter().map(|start| start.join().expect("no panic")).collect::<Vec<_>>()
    });
    one_owns(begun);
    assert_eq!(stores[0].runs().expect("the store lists").len(), 1);
    drop(stores);
    let store = open(dir.path());
    assert!(!held(store.begin(&run(9), &started("ann", "order-1", b"another"))).1);
}

#[test]
fn a_suspended_run_goes_on_in_another_process() {
    let dir = folder();
    let (one, two) = (open(dir.path()), open(dir.path()));
    let output = |seq: u64| vec![content(seq, "output", format!("{seq}").as_bytes())];
    let written = |seq: u64| Batch { contents: output(seq), ..Batch::of(b"envelope".to_vec()) };
    let phase = |phase, seq| Batch { phase: Some(phase), ..written(seq) };
    let take = |store: &SqliteStore| match store.take(&run(1)) {
        Ok(Taken::Owned(fence)) => fence,
        other => panic!("expected the run, got {other:?}"),
    };
    let first = begin(&one, 1);
    commit(&one, &first, &written(0));
    let token = {
        commit(&one, &first, &phase(Phase::Suspended { deadline: None }, 1));
        let token = one.hand_out_token(&run(1), 1, "ann", false).expect("the store writes");
        token.expect("a first token").as_str().to_owned()
    };
    let stale = first.stale_twin();
    drop(first);

    let second = take(&two);
    assert!(two.token_fits(&run(1), 1, "ann", &token).expect("the store reads"));
    commit(&two, &second, &phase(Phase::Open, 2));
    assert!(!one.token_fits(&run(1), 1, "ann", &token).expect("the store reads"));
    assert_eq!(append(&one, &stale, &written(3)), Appended::Fenced);
    commit(&two, &second, &phase(Phase::Suspended { deadline: None }, 3));
    drop(second);

    // Back in the first, and from there in a third.
    let third = take(&one);
    commit(&one, &third, &phase(Phase::Open, 4));
    commit(&one, &third, &written(5));
    drop((third, one, two));
    let store = open(dir.path());
    let fourth = take(&store);
    commit(&store, &fourth, &phase(Phase::Closed("SUCCESS".into()), 6));
    drop((fourth, store));

    let record = load(&read(dir.path()), &run(1));
    let read: Vec<_> =
        record.contents.iter().map(|stored| stored.content.clone().expect("it is whole")).collect();
    assert_eq!(read, (0..=6).flat_map(output).collect::<Vec<_>>());
}

#[test]
fn a_run_and_who_asks_it_to_stop_may_be_first_together() {
    let dir = folder();
    let options = OpenOptions::default();
    let [owner, other] = [1, 2].map(|_| SqliteStore::open(dir.path(), &options).expect("the store opens"));
    for number in 1..=8 {
        let fence = begin(&owner, number);
        std::thread::scope(|scope| {
            scope.spawn(|| other.ask_to_stop(&run(number), "enough").expect("the store writes"));
            let contents = vec![content(0, "output", b"true")];
            commit(&owner, &fence, &Batch { contents, ..Batch::of(b"zero".to_vec()) });
        });
        assert!(load(&other, &run(number)).content(0, "output").is_ok());
        assert_eq!(owner.asked_to_stop(&run(number)).expect("the store reads").as_deref(), Some("enough"));
    }
}

#[test]
fn a_planted_token_fits_nobody() {
    let dir = folder();
    let store = open(dir.path());
    for number in [1, 2] {
        let fence = begin(&store, number);
        let phase = Some(Phase::Suspended { deadline: None });
        commit(&store, &fence, &Batch { phase, ..Batch::of(b"zero".to_vec()) });
    }
    let token = store.hand_out_token(&run(1), 0, "ann", false).expect("the store writes");
    let token = token.expect("a first token");
    store.hand_out_token(&run(2), 0, "ann", false).expect("the store writes");
    // With the database alone a good token can be copied, and fits no other run.
    let copy = "UPDATE resume_token SET token = (SELECT token FROM resume_token WHERE run GLOB '01*')";
    edit(dir.path(), "store.db", copy);
    assert!(store.token_fits(&run(1), 0, "ann", token.as_str()).expect("the store reads"));
    assert!(!store.token_fits(&run(2), 0, "ann", token.as_str()).expect("the store reads"));
}

#[test]
fn a_changed_request_to_stop_is_an_error() {
    let dir = folder();
    let store = open(dir.path());
    let _fences = [begin(&store, 1), begin(&store, 2)];
    for (number, reason) in [(1, "enough"), (2, "other")] {
        store.ask_to_stop(&run(number), reason).expect("the store writes");
    }
    let swap = "UPDATE stop_request SET (data_key, sealed) = \
                (SELECT data_key, sealed FROM stop_request WHERE run GLOB '02*') WHERE run GLOB '01*'";
    edit(dir.path(), "store.db", swap);
    assert_eq!(store.asked_to_stop(&run(1)).expect_err("it was changed").code(), "store_corrupt");
    assert_eq!(store.asked_to_stop(&run(2)).expect("the store reads").as_deref(), Some("other"));
}

#[test]
fn another_database_is_refused() {
    let dir = folder();
    edit(dir.path(), "store.db", "CREATE TABLE notes (text TEXT)");
    refused(dir.path(), "store_foreign");
    let dir = folder();
    drop(open(dir.path()));
    edit(dir.path(), "store.db", "PRAGMA application_id = 1");
    refused(dir.path(), "store_foreign");
    let dir = folder();
    fs::write(dir.path().join("store.db"), "shopping list: ".repeat(100)).expect("a file is written");
    refused(dir.path(), "store_foreign");
}

#[test]
fn a_changed_schema_is_refused() {
    for sql in [
        "CREATE TRIGGER t AFTER INSERT ON envelope BEGIN DELETE FROM envelope; END",
        "CREATE VIEW v AS SELECT * FROM run",
        "CREATE TABLE notes (text TEXT)",
        "DROP TABLE content",
        "ALTER TABLE run ADD COLUMN note TEXT",
    ] {
        let dir = folder();
        drop(open(dir.path()));
        edit(dir.path(), "store.db", sql);
        refused(dir.path(), "store_corrupt");
    }
}

#[test]
fn a_damaged_file_is_refused_or_reported() {
    let dir = folder();
    let store = open(dir.path());
    let fence = begin(&store, 1);
    for _ in 0..50 {
        commit(&store, &fence, &Batch::of(vec![b'x'; 4000]));
    }
    drop((fence, store));
    let path = dir.path().join("store.db");
    let mut bytes = fs::read(&path).expect("it reads");
    // Everything after the pages that begin the tables, so that the file opens and the rows are broken.
    bytes[110_592..].fill(0xa5);
    fs::write(&path, bytes).expect("it writes");
    let error = read(dir.path()).load(&run(1)).expect_err("the rows are broken");
    assert_eq!(error.code(), "store_corrupt");
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let dir = folder();
    let file = dir.path().join("file");
    fs::write(&file, "").expect("a file is written");
    for path in [file.clone(), file.join("below")] {
        let error = SqliteStore::open(&path, &options()).expect_err("it is a file");
        assert_eq!(error.code(), "store_not_writable", "{error}");
    }
    // A folder where the database belongs.
    let taken = dir.path().join("taken");
    fs::create_dir_all(taken.join("store.db")).expect("a folder is made");
    let error = SqliteStore::open(&taken, &options()).expect_err("it is a folder");
    assert_eq!(error.code(), "store_not_writable", "{error}");
}

#[test]
fn a_full_disk_loses_nothing() {
    let dir = folder();
    drop(open(dir.path()));
    let limited = OpenOptions { max_pages: Some(60), ..options() };
    let store = SqliteStore::open(dir.path(), &limited).expect("the store opens");
    let fence = begin(&store, 1);
    let batch = |n: u64| Batch {
        contents: vec![content(n, "output", &[7; 3000])],
        ..kv(&[], &[("total", Some(&n.to_string()))])
    };
    let mut head = Head::EMPTY;
    let error = loop {
        match store.append(&fence, head, &batch(head.len)) {
            Ok(Appended::Committed(next)) => head = next,
            Ok(other) => panic!("unexpected {other:?}"),
            Err(error) => break error,
        }
        assert!(head.len < 1000, "the limit holds");
    };
    assert_eq!(error.code(), "store_full");
    let whole = |store: &dyn Records| {
        let record = load(store, &run(1));
        assert_eq!((record.recorded, record.envelopes.len() as u64), (head, head.len));
        assert_eq!(record.contents.len() as u64, head.len);
        assert!(record.contents.iter().all(|stored| stored.content.is_ok()));
        assert_eq!(value(store, "total"), Some((head.len - 1).to_string()));
    };
    whole(&store);
    // Again, and something small: the store goes on.
    assert_eq!(store.append(&fence, head, &batch(head.len)).expect_err("still full").code(), "store_full");
    whole(&store);
    drop((fence, store));

    let store = open(dir.path());
    whole(&store);
    let Taken::Owned(fence) = store.take(&run(1)).expect("the store answers") else { panic!("it is free") };
    commit(&store, &fence, &batch(head.len));
}

#[test]
fn a_store_that_stays_locked_is_busy() {
    let dir = folder();
    let store = open(dir.path());
    let fence = begin(&store, 1);
    let head = commit(&store, &fence, &Batch::of(b"zero".to_vec()));
    let other = Connection::open(dir.path().join("store.db")).expect("the database opens");
    other.execute_batch("BEGIN EXCLUSIVE").expect("nobody else writes");
    let error = store.append(&fence, head, &Batch::of(b"one".to_vec())).expect_err("it is locked");
    assert_eq!((error.code(), load(&store, &run(1)).recorded), ("store_busy", head));
    assert!(matches!(store.begin(&run(2), &opened(2)), Err(StoreError::Busy { .. })));
    // Reading goes on, and so does writing once the other is done.
    assert_eq!(load(&read(dir.path()), &run(1)).envelopes, [b"zero"]);
    other.execute_batch("ROLLBACK").expect("it ends");
    commit(&store, &fence, &Batch::of(b"one".to_vec()));
    begin(&store, 2);
}

#[test]
fn opening_waits_no_longer_than_its_time_out() {
    let dir = folder();
    drop(open(dir.path()));
    let _held = private_file::lock_folder(dir.path(), Duration::ZERO).expect("nobody holds it");
    let error = SqliteStore::open(dir.path(), &options()).expect_err("it is locked");
    assert_eq!(error.code(), "store_busy");
    read(dir.path());
}

/// Changes one thing in the files of a store with one run, and says how its two contents read then.
fn tampered(file: &str, sql: &str) -> [Result<(), &'static str>; 2] {
    tampered_by(file, |conn| conn.execute_batch(sql).expect("the edit is possible"))
}

fn tampered_by(file: &str, change: impl FnOnce(&Connection)) -> [Result<(), &'static str>; 2] {
    let dir = folder();
    let store = open(dir.path());
    ended_run(&store, 1, b"a secret");
    ended_run(&store, 2, b"another");
    drop(store);
    change(&other_hand(dir.path(), file));
    let record = load(&read(dir.path()), &run(1));
    assert_eq!(record.envelopes, [b"run-open"]);
    ["input", "output"].map(|role| match record.content(0, role) {
        Ok(_) => Ok(()),
        Err(VaultError::Missing { .. }) => Err("missing"),
        Err(VaultError::Damaged { .. }) => Err("damaged"),
        Err(VaultError::Erased { .. }) => Err("erased"),
    })
}

#[test]
fn no_changed_byte_of_content_opens() {
    // Nonce, salt, content, tag.
    for place in [0, 23, 24, 55, 56, 63, 64, 79] {
        let flip = |conn: &Connection| {
            let input = "run GLOB '01*' AND role = 'input'";
            let mut sealed: Vec<u8> = conn
                .query_row(&format!("SELECT sealed FROM content WHERE {input}"), [], |row| row.get(0))
                .expect("it is there");
            assert_eq!(sealed.len(), 24 + 32 + b"a secret".len() + 16);
            sealed[place] ^= 1;
            conn.execute(&format!("UPDATE content SET sealed = ?1 WHERE {input}"), [sealed])
                .expect("the edit is possible");
        };
        assert_eq!(tampered_by("store.db", flip), [Err("damaged"), Ok(())], "byte {place}");
    }
}

#[test]
fn changed_content_is_damaged_and_nothing_else_is() {
    let input = "run GLOB '01*' AND role = 'input'";
    for change in [
        "sealed = substr(sealed, 1, length(sealed) - 1)",
        "sealed = x''",
        "sealed = zeroblob(70)",
        "sealed = (SELECT sealed FROM content WHERE run GLOB '02*' AND role = 'input')",
        "encoding = 'text'",
        "data_key = (SELECT data_key FROM content WHERE run GLOB '01*' AND role = 'output')",
    ] {
        let sql = format!("UPDATE content SET {change} WHERE {input}");
        assert_eq!(tampered("store.db", &sql), [Err("damaged"), Ok(())], "{change}");
    }
    let swap = "UPDATE content SET role = CASE role WHEN 'input' THEN 'outputx' ELSE 'input' END; \
                UPDATE content SET role = 'output' WHERE role = 'outputx'";
    assert_eq!(tampered("store.db", swap), [Err("damaged"), Err("damaged")]);
    let moved = format!("UPDATE content SET seq = 5 WHERE {input}");
    assert_eq!(tampered("store.db", &moved), [Err("missing"), Ok(())]);
    let gone = format!("DELETE FROM content WHERE {input}");
    assert_eq!(tampered("store.db", &gone), [Err("missing"), Ok(())]);
    let no_key = format!("UPDATE content SET data_key = 999 WHERE {input}");
    assert_eq!(tampered("store.db", &no_key), [Err("missing"), Ok(())]);
}

#[test]
fn changed_keys_damage_what_they_open() {
    let both = |outcome| [Err(outcome), Err(outcome)];
    let owner = "UPDATE owner_key SET wrapped = zeroblob(72) WHERE owner GLOB 'run/01*'";
    assert_eq!(tampered("keys.db", owner), both("damaged"));
    let swapped = "UPDATE owner_key SET wrapped = (SELECT wrapped FROM owner_key WHERE owner GLOB 'run/02*') \
                   WHERE owner GLOB 'run/01*'";
    assert_eq!(tampered("keys.db", swapped), both("damaged"));
    assert_eq!(tampered("keys.db", "UPDATE data_key SET wrapped = zeroblob(72)"), both("damaged"));
    let other = "UPDATE data_key SET owner = (SELECT owner FROM owner_key WHERE owner GLOB 'run/02*')";
    assert_eq!(tampered("keys.db", other), both("damaged"));
    assert_eq!(tampered("keys.db", "DELETE FROM data_key"), both("missing"));
    assert_eq!(tampered("keys.db", "DELETE FROM owner_key"), both("missing"));
}

#[test]
fn changed_envelopes_show_beside_the_recorded_head() {
    let dir = folder();
    let store = open(dir.path());
    let fence = begin(&store, 1);
    for text in [b"zero", b"one ", b"two "] {
        commit(&store, &fence, &Batch::of(text.to_vec()));
    }
    let recorded = load(&store, &run(1)).recorded;
    edit(dir.path(), "store.db", "DELETE FROM envelope WHERE seq = 2");
    let record = load(&store, &run(1));
    assert_eq!((record.envelopes.len(), record.recorded), (2, recorded));
    edit(dir.path(), "store.db", "UPDATE run SET len = 2 WHERE len > 0");
    assert_eq!(load(&store, &run(1)).recorded.len, 2);
}

#[test]
fn a_changed_value_of_a_tool_is_an_error() {
    let dir = folder();
    let store = open(dir.path());
    let fence = begin(&store, 1);
    commit(&store, &fence, &kv(&[], &[("a", Some("1")), ("b", Some("2"))]));
    let swap = "UPDATE kv SET (data_key, sealed) = (SELECT data_key, sealed FROM kv WHERE key = 'b') WHERE key = 'a'";
    edit(dir.path(), "store.db", swap);
    let error = store.kv_get(&scope("refund", "book"), &at("a")).expect_err("it was changed");
    assert_eq!(error.code(), "kv_damaged");
    assert_eq!(value(&store, "b").as_deref(), Some("2"));
}

#[test]
fn lost_keys_are_never_made_anew() {
    for lost in ["vault.key", "keys.db"] {
        let dir = folder();
        let store = open(dir.path());
        ended_run(&store, 1, b"a secret");
        drop(store);
        fs::remove_file(dir.path().join(lost)).expect("it is there");
        for _ in 0..2 {
            let error = SqliteStore::open(dir.path(), &options()).expect_err("it has no keys");
            assert_eq!(error.code(), "vault_key_missing", "{lost}");
        }
        // Evidence without content is still evidence.
        let reader = read(dir.path());
        let record = load(&reader, &run(1));
        assert_eq!(record.envelopes, [b"run-open"]);
        assert!(matches!(record.content(0, "input"), Err(VaultError::Missing { .. })));
        let error = reader.recorded(&idempotency("order-1")).expect_err("it cannot be known");
        assert_eq!(error.code(), "vault_key_missing");
    }
}

#[test]
fn keys_of_another_store_are_refused() {
    let (dir, other) = (folder(), folder());
    drop((open(dir.path()), open(other.path())));
    let copy = |file: &str| {
        fs::copy(other.path().join(file), dir.path().join(file)).expect("it copies");
    };
    copy("vault.key");
    refused(dir.path(), "vault_key_wrong");
    copy("keys.db");
    refused(dir.path(), "vault_key_wrong");
    fs::write(dir.path().join("vault.key"), "not hexadecimal").expect("it writes");
    refused(dir.path(), "key_unreadable");
}

#[cfg(unix)]
#[test]
fn a_key_file_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = folder();
    drop(open(dir.path()));
    let path = dir.path().join("vault.key");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("the mode changes");
    refused(dir.path(), "key_mode");
}

#[test]
fn a_store_half_made_is_finished() {
    let dir = folder();
    drop(open(dir.path()));
    // What is there when the process dies after the keys and before the tables.
    for file in ["store.db", "store.db-wal", "store.db-shm"] {
        let _ = fs::remove_file(dir.path().join(file));
    }
    fs::write(dir.path().join("store.db"), "").expect("it writes");
    let store = open(dir.path());
    ended_run(&store, 1, b"a secret");
    assert!(load(&open(dir.path()), &run(1)).content(0, "input").is_ok());
}

#[test]
fn a_store_in_a_folder_with_an_odd_name_opens() {
    let dir = folder();
    for name in ["file:x?mode=memory", "a b#c%20", "ä"] {
        let dir = dir.path().join(name);
        drop(open(&dir));
        assert!(dir.join("store.db").exists(), "{name}");
        read(&dir);
    }
}

#[test]
fn what_is_acknowledged_is_on_disk_and_what_is_deleted_is_overwritten() {
    let dir = folder();
    let store = open(dir.path());
    let files = store.shelf.files();
    let number = |pragma: &str| {
        files.database.read(|conn| conn.pragma_query_one::<i64>(None, pragma)).expect("it reads")
    };
    let mode = files.database.read(|conn| conn.pragma_query_one::<String>(None, "journal_mode"));
    assert_eq!(mode.expect("it reads"), "wal");
    const FULL: i64 = 2;
    assert_eq!(number("synchronous"), FULL);
    assert_eq!((number("secure_delete"), number("foreign_keys"), number("trusted_schema")), (1, 1, 0));
}

#[test]
fn a_time_out_may_be_as_long_as_one_likes() {
    let dir = folder();
    let options = OpenOptions { busy_timeout: Duration::MAX, ..options() };
    drop(SqliteStore::open(dir.path(), &options).expect("the store opens"));
    SqliteReader::open(dir.path(), &options).expect("the store opens for reading");
}

/// Set for the process that [`a_killed_process_loses_nothing`] starts: the store to write to.
const VICTIM: &str = "NANOHOST_STORE_TEST_VICTIM";

/// The envelopes that the victim writes.
fn victims_envelope(seq: u64) -> Vec<u8> {
    format!("envelope {seq} ").repeat(100).into_bytes()
}

/// The body of the process that is killed; a test of nothing when started by itself.
#[test]
fn victim() {
    let Some(dir) = std::env::var_os(VICTIM) else { return };
    let store = SqliteStore::open(Path::new(&dir), &OpenOptions::default()).expect("the store opens");
    let fence = begin(&store, 1);
    let mut head = Head::EMPTY;
    for seq in 0..1_000_000 {
        let contents = vec![content(seq, "output", &victims_envelope(seq))];
        let batch = Batch { contents, ..Batch::of(victims_envelope(seq)) };
        let Ok(Appended::Committed(next)) = store.append(&fence, head, &batch) else { return };
        head = next;
        // Acknowledged only now. Not `println!`, which the test harness would keep to itself.
        if writeln!(std::io::stdout(), "acknowledged {}", head.len).is_err() {
            return;
        }
    }
}

#[test]
fn a_killed_process_loses_nothing() {
    let dir = folder();
    let mut child = Command::new(std::env::current_exe().expect("this test has a file"))
        .args(["--exact", "sqlite::tests::victim", "--nocapture", "--test-threads=1"])
        .env(VICTIM, dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the victim starts");
    let mut lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
    let mut acknowledged = 0;
    let mut note = |line: String| {
        if let Some((_, len)) = line.rsplit_once("acknowledged ") {
            acknowledged = len.parse::<u64>().expect("a number");
        }
        acknowledged
    };
    while note(lines.next().expect("the victim goes on").expect("its output reads")) < 40 {}

    // A second process neither takes the run nor disturbs it.
    let store = SqliteStore::open(dir.path(), &OpenOptions::default()).expect("the store opens");
    assert!(store.is_live(&run(1)).expect("liveness is known"));
    assert!(matches!(store.take(&run(1)), Ok(Taken::Live)));
    assert_eq!(store.runs().expect("the store lists")[0].state, RunState::Running);

    // From here on nobody but the victim has the files open.
    drop(store);
    child.kill().expect("the victim is killed");
    child.wait().expect("the victim ends");
    let acknowledged = lines.map_while(Result::ok).map(note).last().unwrap_or(40);

    // What it left is read as it is, and then by the next writer.
    let record = load(&read(dir.path()), &run(1));
    let store = open(dir.path());
    assert_eq!(load(&store, &run(1)), record);
    assert_eq!(record.summary.state, RunState::Interrupted);
    let len = record.recorded.len;
    assert!(len == acknowledged || len == acknowledged + 1, "{acknowledged} acknowledged, {len} kept");
    assert_eq!(record.envelopes, (0..len).map(victims_envelope).collect::<Vec<_>>());
    for seq in 0..len {
        let content = record.content(seq, "output").expect("content is whole");
        assert_eq!(content.bytes, victims_envelope(seq));
    }
    let Taken::Owned(fence) = store.take(&run(1)).expect("the store answers") else {
        panic!("nobody has it")
    };
    assert_eq!(fence.epoch(), 2);
    commit(&store, &fence, &Batch::of(b"resume".to_vec()));
}
