//! What every journal promises, run against each of them. A journal on another database joins
//! by one line in [`contract`].

use nanohost_core::{Content, Encoding, Role, RunId, Salt, Timestamp, ToolName};

use crate::*;

/// Runs every promise against every kind of journal.
macro_rules! contract {
    ($($promise:ident)*) => {
        mod memory {
            $(#[test] fn $promise() { super::$promise(&crate::MemoryStore::new()) })*
        }
        mod sqlite {
            $(#[test] fn $promise() {
                let dir = tempfile::tempdir().expect("a folder for the test");
                let store = crate::SqliteStore::open(dir.path(), &crate::OpenOptions::default());
                super::$promise(&store.expect("a new store opens"))
            })*
        }
    };
}

contract! {
    a_run_starts_empty_and_owned
    a_run_starts_once
    batches_follow_each_other
    envelopes_keep_their_exact_bytes
    content_comes_back
    content_of_another_place_is_missing
    another_head_is_a_conflict
    a_conflict_leaves_nothing
    a_stale_owner_is_fenced
    a_live_run_cannot_be_taken
    an_unknown_run_cannot_be_taken
    phases_show_in_the_listing
    the_newest_run_is_listed_first
    runs_are_found_by_the_start_of_their_id
    kv_commits_with_its_batch
    kv_is_private_to_program_and_tool
    kv_lists_sorted_keys_of_one_namespace
    a_changed_value_is_a_conflict
    a_new_value_where_none_was_read_is_a_conflict
    versions_are_never_used_twice
    reservations_hold_across_runs
    a_reservation_outlives_its_owner
    an_own_reservation_may_be_repeated
    a_fulfilled_key_refuses_everybody
    a_result_needs_no_reservation
    a_released_key_is_free
    a_foreign_reservation_cannot_be_released
    misuse_is_refused
}

pub(crate) fn run(number: u8) -> RunId {
    RunId::from_random([number; 16])
}

pub(crate) fn opened(millis: i64) -> OpenRun {
    OpenRun { program: "refund".into(), opened: Timestamp::from_millis(millis) }
}

pub(crate) fn content(seq: u64, role: &str, bytes: &[u8]) -> Content {
    Content {
        seq,
        role: Role::new(role).expect("a role"),
        encoding: Encoding::Json,
        salt: Salt::from_bytes([seq as u8 + 1; 32]),
        bytes: bytes.to_vec(),
    }
}

pub(crate) fn tool(name: &str) -> ToolName {
    ToolName::new(name).expect("a tool name")
}

pub(crate) fn scope(program: &str, name: &str) -> KvScope {
    KvScope { program: program.into(), tool: tool(name) }
}

pub(crate) fn at(key: &str) -> KvKey {
    KvKey { namespace: "ledger".into(), key: key.into() }
}

pub(crate) fn idempotency(key: &str) -> IdempotencyScope {
    IdempotencyScope { program: "refund".into(), tool: tool("book"), key: key.into() }
}

pub(crate) fn kv(reads: &[(&str, Option<u64>)], writes: &[(&str, Option<&str>)]) -> Batch {
    let reads = reads.iter().map(|(key, version)| KvRead { at: at(key), version: *version }).collect();
    let writes = writes
        .iter()
        .map(|(key, value)| KvWrite { at: at(key), value: value.map(|value| value.as_bytes().to_vec()) })
        .collect();
    let kv = Some(KvCommit { scope: scope("refund", "book"), reads, writes });
    Batch { kv, ..Batch::of(b"result".to_vec()) }
}

fn claim(claim: Claim) -> Batch {
    Batch { idempotency: Some(claim), ..Batch::of(b"intent or result".to_vec()) }
}

fn phase(phase: Phase) -> Batch {
    Batch { phase: Some(phase), ..Batch::of(b"a change".to_vec()) }
}

pub(crate) fn begin(journal: &dyn Journal, number: u8) -> Fence {
    journal.begin(&run(number), &opened(number.into())).expect("a run starts")
}

pub(crate) fn load(journal: &dyn Records, run: &RunId) -> RunRecord {
    journal.load(run).expect("the journal reads").expect("the run is there")
}

/// Appends at the present end of the run, whatever it is.
pub(crate) fn append(journal: &dyn Journal, fence: &Fence, batch: &Batch) -> Appended {
    let head = load(journal, fence.run()).recorded;
    journal.append(fence, head, batch).expect("the journal writes")
}

pub(crate) fn commit(journal: &dyn Journal, fence: &Fence, batch: &Batch) -> Head {
    match append(journal, fence, batch) {
        Appended::Committed(head) => head,
        other => panic!("expected a commit, got {other:?}"),
    }
}

pub(crate) fn value(journal: &dyn Records, key: &str) -> Option<String> {
    let entry = journal.kv_get(&scope("refund", "book"), &at(key)).expect("the journal reads")?;
    Some(String::from_utf8(entry.value).expect("text was written"))
}

fn version(journal: &dyn Journal, key: &str) -> Option<u64> {
    let entry = journal.kv_get(&scope("refund", "book"), &at(key)).expect("the journal reads");
    entry.map(|entry| entry.version)
}

fn recorded(journal: &dyn Journal, key: &str) -> Option<Reservation> {
    journal.recorded(&idempotency(key)).expect("the journal reads")
}

fn state(journal: &dyn Journal, number: u8) -> RunState {
    load(journal, &run(number)).summary.state
}

fn a_run_starts_empty_and_owned(journal: &dyn Journal) {
    let fence = begin(journal, 1);
    assert_eq!(fence.run(), &run(1));
    let record = load(journal, &run(1));
    assert_eq!((record.recorded, record.envelopes.len(), record.contents.len()), (Head::EMPTY, 0, 0));
    assert_eq!(record.summary.program, "refund");
    assert_eq!(record.summary.opened, Timestamp::from_millis(1));
    assert!(journal.is_live(&run(1)).expect("liveness is known"));
    assert_eq!(record.summary.state, RunState::Running);
    assert_eq!(journal.load(&run(2)).expect("the journal reads"), None);
}

fn a_run_starts_once(journal: &dyn Journal) {
    let fence = begin(journal, 1);
    let again = || journal.begin(&run(1), &opened(2)).expect_err("the id is taken").code();
    assert_eq!(again(), "run_exists");
    drop(fence);
    assert_eq!(again(), "run_exists");
    assert_eq!(load(journal, &run(1)).summary.opened, Timestamp::from_millis(1));
    assert!(!journal.is_live(&run(1)).expect("liveness is known"));
}

fn batches_follow_each_other(journal: &dyn Journal) {
    let fence = begin(journal, 1);
    let batch = Batch { envelopes: vec![b"zero".to_vec(), b"one".to_vec()], ..Batch::default() };
    let first = journal.append(&fence, Head::EMPTY, &batch).expect("the journal writes");
    let head = Head::EMPTY.after(b"zero").after(b"one");
    assert_eq!(first, Appended::Committed(head));
    let second = journal.append(&fence, head, &Batch::of(b"two".to_vec())).expect("the journal writes");
    assert_eq!(second, Appended::Committed(head.after(b"two")));
    let record = load(journal, &run(1));
    assert_eq!(record.envelopes, [&b"zero"[..], b"one", b"two"]);
    assert_eq!(record.recorded, head.after(b"two"));
    assert_eq!(record.summary.len, 3);
}

fn envelopes_keep_their_exact_bytes(journal: &dyn Journal) {
    let fence = begin(journal, 1);
    let every_byte: Vec<u8> = (0..=u8::MAX).cycle().take(70_000).collect();
    commit(journal, &fence, &Batch::of(every_byte.clone()));
    commit(journal, &fence, &Batch::of(Vec::new()));
    assert_eq!(load(journal, &run(1)).envelopes, [every_byte, Vec::new()]);
}

fn content_comes_back(journal: &dyn Journal) {
    let fence = begin(journal, 1);
    let contents: Vec<Content> =
        (0..100).map(|n| content(n / 50, &format!("answer/{n:02}"), b"[1]")).collect();
    let envelopes = vec![b"zero".to_vec(), b"one".to_vec()];
    commit(journal, &fence, &Batch { envelopes, contents: contents.clone(), ..Batch::default() });
    let empty = content(2, "output", b"");
    commit(journal, &fence, &Batch { contents: vec![empty.clone()], ..Batch::of(b"two".to_vec()) });
    let record = load(journal, &run(1));
    let found: Vec<Content> =
        record.contents.iter().map(|stored| stored.content.clone().expect("content is whole")).collect();
    assert_eq!(found, [contents, vec![empty.clone()]].concat());
    assert_eq!(record.content(2, "output"), Ok(&empty));
}

fn content_of_another_place_is_missing(journal: &dyn Journal) {
    let _fence = begin(journal, 1);
    let error = load(journal, &run(1)).content(3, "output").expect_err("nothing is there");
    assert_eq!(error.to_string(), format!("the vault has no content for run/{}/3/output", run(1)));
}

fn another_head_is_a_conflict(journal: &dyn Journal) {
    let fence = begin(journal, 1);
    let actual = commit(journal, &fence, &Batch::of(b"zero".to_vec()));
    let forged = Head { last: Head::EMPTY.after(b"other").last, ..actual };
    for expected in [Head::EMPTY, actual.after(b"one"), forged] {
        let answer =
            journal.append(&fence, expected, &Batch::of(b"x".to_vec())).expect("the journal answers");
        assert_eq!(answer, Appended::Conflict(Conflict::Head { actual }));
    }
    assert_eq!(load(journal, &run(1)).envelopes, [b"zero"]);
}

fn a_conflict_leaves_nothing(journal: &dyn Journal) {
    let (first, second) = (begin(journal, 1), begin(journal, 2));
    commit(journal, &first, &claim(Claim::Reserve(idempotency("order-1"))));
    let before = load(journal, &run(2));
    // The claim fails after everything else has been found to fit.
    let batch = Batch {
        contents: vec![content(0, "output", b"1")],
        idempotency: Some(Claim::Reserve(idempotency("order-1"))),
        phase: Some(Phase::Closed("SUCCESS".into())),
        ..kv(&[("total", None)], &[("total", Some("1"))])
    };
    assert!(matches!(append(journal, &second, &batch), Appended::Conflict(Conflict::Idempotency { .. })));
    assert_eq!(load(journal, &run(2)), before);
    assert_eq!(value(journal, "total"), None);
    // The same batch goes in once the key is free.
    commit(journal, &first, &claim(Claim::Release(idempotency("order-1"))));
    commit(journal, &second, &batch);
    assert_eq!(value(journal, "total").as_deref(), Some("1"));
}

fn a_stale_owner_is_fenced(journal: &dyn Journal) {
    let first = begin(journal, 1);
    commit(journal, &first, &Batch::of(b"zero".to_vec()));
    let stale = first.stale_twin();
    drop(first);
    let Taken::Owned(second) = journal.take(&run(1)).expect("the journal answers") else {
        panic!("nobody owns the run");
    };
    assert!(second.epoch() > stale.epoch());
    assert_eq!(append(journal, &stale, &Batch::of(b"one".to_vec())), Appended::Fenced);
    commit(journal, &second, &Batch::of(b"one".to_vec()));
    assert_eq!(append(journal, &stale, &Batch::of(b"two".to_vec())), Appended::Fenced);
    assert_eq!(load(journal, &run(1)).envelopes, [b"zero", b"one "].map(|text| text.trim_ascii().to_vec()));
}

fn a_live_run_cannot_be_taken(journal: &dyn Journal) {
    let fence = begin(journal, 1);
    assert!(matches!(journal.take(&run(1)), Ok(Taken::Live)));
    commit(journal, &fence, &Batch::of(b"zero".to_vec()));
    drop(fence);
    assert!(!journal.is_live(&run(1)).expect("liveness is known"));
    let taken = journal.take(&run(1)).expect("the journal answers");
    assert!(matches!(taken, Taken::Owned(_)));
    assert!(matches!(journal.take(&run(1)), Ok(Taken::Live)));
}

fn an_unknown_run_cannot_be_taken(journal: &dyn Journal) {
    assert!(matches!(journal.take(&run(1)), Ok(Taken::Unknown)));
    assert!(!journal.is_live(&run(1)).expect("liveness is known"));
}

fn phases_show_in_the_listing(journal: &dyn Journal) {
    let fence = begin(journal, 1);
    assert_eq!(state(journal, 1).as_str(), "running");
    commit(journal, &fence, &phase(Phase::Suspended));
    assert_eq!(state(journal, 1).as_str(), "suspended");
    commit(journal, &fence, &Batch::of(b"no change".to_vec()));
    assert_eq!(state(journal, 1), RunState::Suspended);
    commit(journal, &fence, &phase(Phase::Open));
    assert_eq!(state(journal, 1), RunState::Running);
    let twin = fence.stale_twin();
    drop(fence);
    assert_eq!(state(journal, 1).as_str(), "interrupted");
    // Nobody has taken it since, so the last epoch may still write.
    commit(journal, &twin, &phase(Phase::Closed("FAILED".into())));
    assert_eq!(state(journal, 1), RunState::Closed { status: "FAILED".into() });
    assert_eq!(journal.runs().expect("the journal reads")[0].state.as_str(), "FAILED");
}

fn the_newest_run_is_listed_first(journal: &dyn Journal) {
    for (number, millis) in [(1, 20), (2, 30), (3, 10), (4, 20)] {
        journal.begin(&run(number), &opened(millis)).expect("a run starts");
    }
    let runs = journal.runs().expect("the journal reads");
    let ids: Vec<RunId> = runs.into_iter().map(|summary| summary.run).collect();
    assert_eq!(ids, [run(2), run(4), run(1), run(3)]);
}

fn runs_are_found_by_the_start_of_their_id(journal: &dyn Journal) {
    for number in [0x11, 0x12, 0xff] {
        begin(journal, number);
    }
    let find = |prefix: &str| journal.find(prefix).expect("the journal reads");
    assert_eq!(find("11"), Found::One(run(0x11)));
    assert_eq!(find(run(0xff).as_str()), Found::One(run(0xff)));
    assert_eq!(find("f"), Found::One(run(0xff)));
    assert_eq!(find("1"), Found::Many(vec![run(0x11), run(0x12)]));
    assert_eq!(find(""), Found::Many(vec![run(0x11), run(0x12), run(0xff)]));
    for none in
        ["2", "FF", "%", "1*", "g", "ffff ", "fg", &"f".repeat(33), "'; DROP TABLE run; --", "\u{10ffff}"]
    {
        assert_eq!(find(none), Found::None, "{none:?}");
    }
}

fn kv_commits_with_its_batch(journal: &dyn Journal) {
    let fence = begin(journal, 1);
    assert_eq!(value(journal, "total"), None);
    commit(journal, &fence, &kv(&[("total", None)], &[("total", Some("10")), ("empty", Some(""))]));
    assert_eq!(value(journal, "total").as_deref(), Some("10"));
    assert_eq!(value(journal, "empty").as_deref(), Some(""));
    let seen = version(journal, "total");
    commit(journal, &fence, &kv(&[("total", seen)], &[("total", Some("20")), ("empty", None), ("no", None)]));
    assert_eq!(value(journal, "total").as_deref(), Some("20"));
    assert_eq!(value(journal, "empty"), None);
}

fn kv_is_private_to_program_and_tool(journal: &dyn Journal) {
    let fence = begin(journal, 1);
    commit(journal, &fence, &kv(&[], &[("total", Some("10"))]));
    let elsewhere = |scope: KvScope, at: KvKey| {
        assert_eq!(journal.kv_get(&scope, &at).expect("the journal reads"), None);
    };
    elsewhere(scope("other", "book"), at("total"));
    elsewhere(scope("refund", "other"), at("total"));
    elsewhere(scope("refund", "book"), KvKey { namespace: "other".into(), ..at("total") });
}

fn kv_lists_sorted_keys_of_one_namespace(journal: &dyn Journal) {
    let fence = begin(journal, 1);
    commit(
        journal,
        &fence,
        &kv(&[], &[("b", Some("1")), ("a", Some("2")), ("ä", Some("3")), ("c", Some("4"))]),
    );
    commit(journal, &fence, &kv(&[], &[("c", None)]));
    let list = journal.kv_list(&scope("refund", "book"), "ledger").expect("the journal reads");
    let keys: Vec<&str> = list.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["a", "b", "ä"]);
    assert!(list.iter().all(|(key, found)| version(journal, key) == Some(*found)));
    assert_eq!(journal.kv_list(&scope("refund", "book"), "other").expect("the journal reads"), []);
}

fn a_changed_value_is_a_conflict(journal: &dyn Journal) {
    let (first, second) = (begin(journal, 1), begin(journal, 2));
    commit(journal, &first, &kv(&[], &[("total", Some("10"))]));
    let seen = version(journal, "total");
    commit(journal, &second, &kv(&[("total", seen)], &[("total", Some("15"))]));
    let late = append(journal, &first, &kv(&[("total", seen)], &[("total", Some("20"))]));
    assert_eq!(late, Appended::Conflict(Conflict::Kv { at: at("total") }));
    assert_eq!(value(journal, "total").as_deref(), Some("15"));
    commit(journal, &second, &kv(&[], &[("total", None)]));
    let gone = append(journal, &first, &kv(&[("total", seen)], &[("other", Some("1"))]));
    assert_eq!(gone, Appended::Conflict(Conflict::Kv { at: at("total") }));
}

fn a_new_value_where_none_was_read_is_a_conflict(journal: &dyn Journal) {
    let (first, second) = (begin(journal, 1), begin(journal, 2));
    commit(journal, &second, &kv(&[], &[("total", Some("15"))]));
    let late = append(journal, &first, &kv(&[("other", None), ("total", None)], &[]));
    assert_eq!(late, Appended::Conflict(Conflict::Kv { at: at("total") }));
}

fn versions_are_never_used_twice(journal: &dyn Journal) {
    let fence = begin(journal, 1);
    let mut seen = Vec::new();
    for text in ["1", "2", "1"] {
        commit(journal, &fence, &kv(&[], &[("total", Some(text))]));
        seen.push(version(journal, "total"));
        commit(journal, &fence, &kv(&[], &[("total", None)]));
        commit(journal, &fence, &kv(&[], &[("total", Some(text))]));
        seen.push(version(journal, "total"));
    }
    assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
}

fn reservations_hold_across_runs(journal: &dyn Journal) {
    let (first, second) = (begin(journal, 1), begin(journal, 2));
    assert_eq!(recorded(journal, "order-1"), None);
    commit(journal, &first, &claim(Claim::Reserve(idempotency("order-1"))));
    let holder = Reservation { run: run(1), state: ReservationState::Reserved };
    assert_eq!(recorded(journal, "order-1"), Some(holder.clone()));
    let refused = Appended::Conflict(Conflict::Idempotency { holder });
    assert_eq!(append(journal, &second, &claim(Claim::Reserve(idempotency("order-1")))), refused);
    let fulfil = Claim::Fulfil { scope: idempotency("order-1"), seq: 0 };
    assert_eq!(append(journal, &second, &claim(fulfil)), refused);
    // Another key, tool or program has nothing to do with it.
    for other in [
        idempotency("order-2"),
        IdempotencyScope { tool: tool("other"), ..idempotency("order-1") },
        IdempotencyScope { program: "other".into(), ..idempotency("order-1") },
    ] {
        commit(journal, &second, &claim(Claim::Reserve(other)));
    }
}

fn a_reservation_outlives_its_owner(journal: &dyn Journal) {
    let first = begin(journal, 1);
    commit(journal, &first, &claim(Claim::Reserve(idempotency("order-1"))));
    drop(first);
    let second = begin(journal, 2);
    let holder = Reservation { run: run(1), state: ReservationState::Reserved };
    let refused = Appended::Conflict(Conflict::Idempotency { holder });
    assert_eq!(append(journal, &second, &claim(Claim::Reserve(idempotency("order-1")))), refused);
}

fn an_own_reservation_may_be_repeated(journal: &dyn Journal) {
    let fence = begin(journal, 1);
    commit(journal, &fence, &claim(Claim::Reserve(idempotency("order-1"))));
    commit(journal, &fence, &claim(Claim::Reserve(idempotency("order-1"))));
    commit(journal, &fence, &claim(Claim::Fulfil { scope: idempotency("order-1"), seq: 2 }));
    let holder = Reservation { run: run(1), state: ReservationState::Fulfilled { seq: 2 } };
    assert_eq!(recorded(journal, "order-1"), Some(holder));
}

fn a_fulfilled_key_refuses_everybody(journal: &dyn Journal) {
    let (first, second) = (begin(journal, 1), begin(journal, 2));
    let fulfil = Claim::Fulfil { scope: idempotency("order-1"), seq: 0 };
    commit(journal, &first, &claim(fulfil.clone()));
    let holder = Reservation { run: run(1), state: ReservationState::Fulfilled { seq: 0 } };
    for fence in [&first, &second] {
        for attempt in
            [fulfil.clone(), Claim::Reserve(idempotency("order-1")), Claim::Release(idempotency("order-1"))]
        {
            let refused = Appended::Conflict(Conflict::Idempotency { holder: holder.clone() });
            assert_eq!(append(journal, fence, &claim(attempt)), refused);
        }
    }
    assert_eq!(recorded(journal, "order-1"), Some(holder));
}

fn a_result_needs_no_reservation(journal: &dyn Journal) {
    let fence = begin(journal, 1);
    let fulfil = Claim::Fulfil { scope: idempotency("order-1"), seq: 0 };
    commit(
        journal,
        &fence,
        &Batch { idempotency: Some(fulfil), ..kv(&[("total", None)], &[("total", Some("5"))]) },
    );
    let holder = Reservation { run: run(1), state: ReservationState::Fulfilled { seq: 0 } };
    assert_eq!(recorded(journal, "order-1"), Some(holder));
}

fn a_released_key_is_free(journal: &dyn Journal) {
    let (first, second) = (begin(journal, 1), begin(journal, 2));
    commit(journal, &first, &claim(Claim::Reserve(idempotency("order-1"))));
    commit(journal, &first, &claim(Claim::Release(idempotency("order-1"))));
    assert_eq!(recorded(journal, "order-1"), None);
    commit(journal, &first, &claim(Claim::Release(idempotency("order-1"))));
    commit(journal, &second, &claim(Claim::Reserve(idempotency("order-1"))));
}

fn a_foreign_reservation_cannot_be_released(journal: &dyn Journal) {
    let (first, second) = (begin(journal, 1), begin(journal, 2));
    commit(journal, &first, &claim(Claim::Reserve(idempotency("order-1"))));
    let answer = append(journal, &second, &claim(Claim::Release(idempotency("order-1"))));
    assert!(matches!(answer, Appended::Conflict(Conflict::Idempotency { .. })));
    assert!(recorded(journal, "order-1").is_some());
}

fn misuse_is_refused(journal: &dyn Journal) {
    let fence = begin(journal, 1);
    let twice = vec![content(0, "output", b"1"), content(0, "output", b"2")];
    for batch in [
        Batch::default(),
        Batch { contents: vec![content(1, "output", b"1")], ..Batch::of(b"zero".to_vec()) },
        Batch { contents: twice, ..Batch::of(b"zero".to_vec()) },
        kv(&[], &[("total", Some("1")), ("total", None)]),
    ] {
        let error = journal.append(&fence, Head::EMPTY, &batch).expect_err("it is refused");
        assert_eq!(error.code(), "store_misuse");
    }
    assert_eq!(load(journal, &run(1)).recorded, Head::EMPTY);
}
