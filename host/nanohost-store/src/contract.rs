//! What every journal promises, run against each of them. A journal on another database joins
//! by one line in [`contract`].

use nanohost_core::act::ValueRef;
use nanohost_core::{Content, Digest, Encoding, Role, RunId, Salt, Timestamp, ToolName};

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
    kv_knows_how_much_a_tool_holds
    a_changed_value_is_a_conflict
    a_new_value_where_none_was_read_is_a_conflict
    versions_are_never_used_twice
    reservations_hold_across_runs
    a_reservation_outlives_its_owner
    an_own_reservation_may_be_repeated
    another_call_of_the_run_holds_it_too
    who_looked_may_replace_a_reservation
    a_fulfilled_key_refuses_everybody
    a_result_needs_no_reservation
    a_released_key_is_free
    a_foreign_reservation_cannot_be_released
    a_start_key_starts_once
    a_start_key_belongs_to_its_principal
    a_start_key_outlives_its_run
    a_run_that_never_began_is_forgotten
    starts_at_once_make_one_run
    a_token_is_handed_out_once
    a_token_fits_its_suspension_and_holder_alone
    a_renewed_token_replaces_the_first
    tokens_end_when_the_run_goes_on
    tokens_are_for_suspended_runs
    a_run_is_asked_to_stop_until_it_closes
    a_run_that_cannot_stop_is_not_asked
    acts_have_a_chain_of_their_own
    what_an_act_erases_is_gone_and_told
    misuse_is_refused
}

pub(crate) fn run(number: u8) -> RunId {
    RunId::from_random([number; 16])
}

pub(crate) fn opened(millis: i64) -> OpenRun {
    OpenRun { program: "refund".into(), opened: Timestamp::from_millis(millis), start: None, subject: None }
}

pub(crate) fn started(principal: &str, key: &str, of: &[u8]) -> OpenRun {
    let start = StartKey { principal: principal.into(), key: key.into(), of: Digest::of(of) };
    OpenRun { start: Some(start), ..opened(1) }
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
    IdempotencyScope {
        program: "refund".into(),
        tool: tool("book"),
        export: "refunds#book".into(),
        key: key.into(),
    }
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

pub(crate) fn place(visit: u32) -> CallPlace {
    CallPlace { step: "book".into(), visit }
}

fn claim_of(scope: IdempotencyScope, to: Fate) -> Claim {
    Claim { scope, place: place(1), to, over: None }
}

fn to(key: &str, to: Fate) -> Claim {
    claim_of(idempotency(key), to)
}

pub(crate) fn reserve(key: &str) -> Claim {
    to(key, Fate::Reserve)
}

fn claim(claim: Claim) -> Batch {
    Batch { idempotency: Some(claim), ..Batch::of(b"intent or result".to_vec()) }
}

fn phase(phase: Phase) -> Batch {
    Batch { phase: Some(phase), ..Batch::of(b"a change".to_vec()) }
}

pub(crate) fn begin(journal: &dyn Journal, number: u8) -> Fence {
    owned(journal.begin(&run(number), &opened(number.into())))
}

pub(crate) fn owned(begun: Result<Begun, StoreError>) -> Fence {
    match begun.expect("a run starts") {
        Begun::Owned(fence) => fence,
        Begun::Held { run, .. } => panic!("the key is held by {run}"),
    }
}

/// The run that holds the start key, and whether it was started with the same.
pub(crate) fn held(begun: Result<Begun, StoreError>) -> (RunId, bool) {
    match begun.expect("the journal answers") {
        Begun::Owned(fence) => panic!("{fence:?} was started"),
        Begun::Held { run, same } => (run, same),
    }
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
    commit(journal, &first, &claim(reserve("order-1")));
    let before = load(journal, &run(2));
    // The claim fails after everything else has been found to fit.
    let batch = Batch {
        contents: vec![content(0, "output", b"1")],
        idempotency: Some(reserve("order-1")),
        phase: Some(Phase::Closed("SUCCESS".into())),
        ..kv(&[("total", None)], &[("total", Some("1"))])
    };
    assert!(matches!(append(journal, &second, &batch), Appended::Conflict(Conflict::Idempotency { .. })));
    assert_eq!(load(journal, &run(2)), before);
    assert_eq!(value(journal, "total"), None);
    // The same batch goes in once the key is free.
    commit(journal, &first, &claim(to("order-1", Fate::Release)));
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
    let deadline = Some(Timestamp::from_millis(1_800_000_000_000));
    commit(journal, &fence, &phase(Phase::Suspended { deadline }));
    assert_eq!((state(journal, 1).as_str(), state(journal, 1).deadline()), ("suspended", deadline));
    commit(journal, &fence, &Batch::of(b"no change".to_vec()));
    assert_eq!(state(journal, 1), RunState::Suspended { deadline });
    assert_eq!(journal.runs().expect("the journal reads")[0].state, RunState::Suspended { deadline });
    commit(journal, &fence, &phase(Phase::Suspended { deadline: None }));
    assert_eq!(state(journal, 1), RunState::Suspended { deadline: None });
    commit(journal, &fence, &phase(Phase::Suspended { deadline }));
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
        owned(journal.begin(&run(number), &opened(millis)));
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

fn kv_knows_how_much_a_tool_holds(journal: &dyn Journal) {
    let fence = begin(journal, 1);
    let held = |program, tool| journal.kv_held(&scope(program, tool)).expect("the journal reads");
    assert_eq!(held("refund", "book"), 0);
    commit(journal, &fence, &kv(&[], &[("total", Some("10")), ("ä", Some("")), ("long", Some("12345678"))]));
    assert_eq!(held("refund", "book"), 5 + 2 + 2 + 4 + 8, "keys and values");
    commit(journal, &fence, &kv(&[], &[("total", Some("1")), ("long", None)]));
    assert_eq!(held("refund", "book"), 5 + 1 + 2);
    let other = KvKey { namespace: "other".into(), ..at("k") };
    let mut more = kv(&[], &[]);
    if let Some(kv) = &mut more.kv {
        kv.writes.push(KvWrite { at: other, value: Some(b"v".to_vec()) });
    }
    commit(journal, &fence, &more);
    assert_eq!(held("refund", "book"), 8 + 2, "all namespaces");
    assert_eq!((held("other", "book"), held("refund", "other")), (0, 0));
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
    commit(journal, &first, &claim(reserve("order-1")));
    let holder = Reservation { run: run(1), place: Some(place(1)), state: ReservationState::Reserved };
    assert_eq!(recorded(journal, "order-1"), Some(holder.clone()));
    let refused = Appended::Conflict(Conflict::Idempotency { holder });
    assert_eq!(append(journal, &second, &claim(reserve("order-1"))), refused);
    let fulfil = to("order-1", Fate::Fulfil { seq: 0 });
    assert_eq!(append(journal, &second, &claim(fulfil)), refused);
    // Another key, function, tool or program has nothing to do with it.
    for other in [
        idempotency("order-2"),
        IdempotencyScope { export: "refunds#cancel".into(), ..idempotency("order-1") },
        IdempotencyScope { tool: tool("other"), ..idempotency("order-1") },
        IdempotencyScope { program: "other".into(), ..idempotency("order-1") },
    ] {
        commit(journal, &second, &claim(claim_of(other, Fate::Reserve)));
    }
}

fn a_reservation_outlives_its_owner(journal: &dyn Journal) {
    let first = begin(journal, 1);
    commit(journal, &first, &claim(reserve("order-1")));
    drop(first);
    let second = begin(journal, 2);
    let holder = Reservation { run: run(1), place: Some(place(1)), state: ReservationState::Reserved };
    let refused = Appended::Conflict(Conflict::Idempotency { holder });
    assert_eq!(append(journal, &second, &claim(reserve("order-1"))), refused);
}

fn an_own_reservation_may_be_repeated(journal: &dyn Journal) {
    let fence = begin(journal, 1);
    commit(journal, &fence, &claim(reserve("order-1")));
    commit(journal, &fence, &claim(reserve("order-1")));
    commit(journal, &fence, &claim(to("order-1", Fate::Fulfil { seq: 2 })));
    let holder =
        Reservation { run: run(1), place: Some(place(1)), state: ReservationState::Fulfilled { seq: 2 } };
    assert_eq!(recorded(journal, "order-1"), Some(holder));
}

fn another_call_of_the_run_holds_it_too(journal: &dyn Journal) {
    let fence = begin(journal, 1);
    commit(journal, &fence, &claim(reserve("order-1")));
    let holder = Reservation { run: run(1), place: Some(place(1)), state: ReservationState::Reserved };
    for fate in [Fate::Reserve, Fate::Release, Fate::Fulfil { seq: 1 }] {
        let later = Claim { place: place(2), ..to("order-1", fate) };
        let refused = Appended::Conflict(Conflict::Idempotency { holder: holder.clone() });
        assert_eq!(append(journal, &fence, &claim(later)), refused);
    }
}

fn who_looked_may_replace_a_reservation(journal: &dyn Journal) {
    let (first, second) = (begin(journal, 1), begin(journal, 2));
    commit(journal, &first, &claim(reserve("order-1")));
    let holder = recorded(journal, "order-1").expect("it is held");
    let over = |fate, over: &Reservation| Claim { over: Some(over.clone()), ..to("order-1", fate) };
    // Exactly the one that they looked at.
    let another = Reservation { run: run(3), ..holder.clone() };
    let answer = append(journal, &second, &claim(over(Fate::Release, &another)));
    assert!(matches!(answer, Appended::Conflict(Conflict::Idempotency { .. })));
    commit(journal, &second, &claim(over(Fate::Release, &holder)));
    assert_eq!(recorded(journal, "order-1"), None);
    commit(journal, &first, &claim(reserve("order-1")));
    commit(journal, &second, &claim(over(Fate::Fulfil { seq: 1 }, &holder)));
    // A result is never replaced.
    let holder = recorded(journal, "order-1").expect("it is held");
    let answer = append(journal, &first, &claim(over(Fate::Release, &holder)));
    assert!(matches!(answer, Appended::Conflict(Conflict::Idempotency { .. })));
}

fn a_fulfilled_key_refuses_everybody(journal: &dyn Journal) {
    let (first, second) = (begin(journal, 1), begin(journal, 2));
    let fulfil = to("order-1", Fate::Fulfil { seq: 0 });
    commit(journal, &first, &claim(fulfil.clone()));
    let holder =
        Reservation { run: run(1), place: Some(place(1)), state: ReservationState::Fulfilled { seq: 0 } };
    for fence in [&first, &second] {
        for attempt in [fulfil.clone(), reserve("order-1"), to("order-1", Fate::Release)] {
            let refused = Appended::Conflict(Conflict::Idempotency { holder: holder.clone() });
            assert_eq!(append(journal, fence, &claim(attempt)), refused);
        }
    }
    assert_eq!(recorded(journal, "order-1"), Some(holder));
}

fn a_result_needs_no_reservation(journal: &dyn Journal) {
    let fence = begin(journal, 1);
    let fulfil = to("order-1", Fate::Fulfil { seq: 0 });
    commit(
        journal,
        &fence,
        &Batch { idempotency: Some(fulfil), ..kv(&[("total", None)], &[("total", Some("5"))]) },
    );
    let holder =
        Reservation { run: run(1), place: Some(place(1)), state: ReservationState::Fulfilled { seq: 0 } };
    assert_eq!(recorded(journal, "order-1"), Some(holder));
}

fn a_released_key_is_free(journal: &dyn Journal) {
    let (first, second) = (begin(journal, 1), begin(journal, 2));
    commit(journal, &first, &claim(reserve("order-1")));
    commit(journal, &first, &claim(to("order-1", Fate::Release)));
    assert_eq!(recorded(journal, "order-1"), None);
    commit(journal, &first, &claim(to("order-1", Fate::Release)));
    commit(journal, &second, &claim(reserve("order-1")));
}

fn a_foreign_reservation_cannot_be_released(journal: &dyn Journal) {
    let (first, second) = (begin(journal, 1), begin(journal, 2));
    commit(journal, &first, &claim(reserve("order-1")));
    let answer = append(journal, &second, &claim(to("order-1", Fate::Release)));
    assert!(matches!(answer, Appended::Conflict(Conflict::Idempotency { .. })));
    assert!(recorded(journal, "order-1").is_some());
}

fn a_start_key_starts_once(journal: &dyn Journal) {
    let fence = owned(journal.begin(&run(1), &started("ann", "order-1", b"refund")));
    // Before its first commit, after it, after its end, and when nobody owns it any more.
    let again = |number, of: &[u8]| held(journal.begin(&run(number), &started("ann", "order-1", of)));
    assert_eq!(again(2, b"refund"), (run(1), true));
    assert_eq!(again(2, b"another"), (run(1), false));
    commit(journal, &fence, &phase(Phase::Closed("FAILED".into())));
    assert_eq!(again(4, b"refund"), (run(1), true));
    drop(fence);
    assert_eq!(again(3, b"refund"), (run(1), true));
    // Nothing is left of the starts that did not come about.
    assert_eq!(journal.runs().expect("the journal reads").len(), 1);
    assert!(!journal.is_live(&run(2)).expect("liveness is known"));
    drop(begin(journal, 2));
}

fn a_start_key_belongs_to_its_principal(journal: &dyn Journal) {
    for (number, principal, key) in
        [(1, "ann", "order-1"), (2, "bob", "order-1"), (3, "ann", "order-2"), (4, "annorder", "-1")]
    {
        owned(journal.begin(&run(number), &started(principal, key, b"refund")));
    }
    assert_eq!(held(journal.begin(&run(5), &started("bob", "order-1", b"refund"))), (run(2), true));
    // Without a key every start is a new run.
    begin(journal, 6);
    begin(journal, 7);
}

fn a_start_key_outlives_its_run(journal: &dyn Journal) {
    drop(owned(journal.begin(&run(1), &started("ann", "order-1", b"refund"))));
    // Its process died before the first commit.
    assert_eq!(held(journal.begin(&run(2), &started("ann", "order-1", b"refund"))), (run(1), true));
    let Taken::Owned(fence) = journal.take(&run(1)).expect("the journal answers") else {
        panic!("nobody owns the run");
    };
    commit(journal, &fence, &Batch::of(b"zero".to_vec()));
    // An id that is taken says nothing of a key, and leaves the key free.
    let taken = journal.begin(&run(1), &started("ann", "order-2", b"refund")).expect_err("it is taken");
    assert_eq!(taken.code(), "run_exists");
    owned(journal.begin(&run(2), &started("ann", "order-2", b"refund")));
}

fn a_run_that_never_began_is_forgotten(journal: &dyn Journal) {
    let fence = owned(journal.begin(&run(1), &started("ann", "order-1", b"refund")));
    assert!(journal.forget(fence).expect("the journal answers"));
    assert!(journal.runs().expect("the journal reads").is_empty());
    let fence = owned(journal.begin(&run(2), &started("ann", "order-1", b"another")));
    // Evidence is never forgotten, nor what another owner has taken.
    let stale = fence.stale_twin();
    commit(journal, &fence, &Batch::of(b"zero".to_vec()));
    assert!(!journal.forget(stale).expect("the journal answers"));
    assert!(!journal.forget(fence).expect("the journal answers"));
    assert_eq!(journal.runs().expect("the journal reads").len(), 1);
}

fn starts_at_once_make_one_run(journal: &dyn Journal) {
    let begun = std::thread::scope(|scope| {
        let starts: Vec<_> = (1..=8)
            .map(|number| {
                scope.spawn(move || journal.begin(&run(number), &started("ann", "order-1", b"refund")))
            })
            .collect();
        starts.into_iter().map(|start| start.join().expect("no panic")).collect::<Vec<_>>()
    });
    one_owns(begun);
    assert_eq!(journal.runs().expect("the journal reads").len(), 1);
}

/// Of the starts with one key at one time, one has the run, and all others know which.
pub(crate) fn one_owns(begun: Vec<Result<Begun, StoreError>>) {
    let (mut owners, mut holders) = (Vec::new(), Vec::new());
    for begun in begun {
        match begun.expect("the journal answers") {
            Begun::Owned(fence) => owners.push(fence.run().clone()),
            Begun::Held { run, same } => holders.push((run, same)),
        }
    }
    let [owner] = &owners[..] else { panic!("{owners:?} own a run") };
    assert!(holders.iter().all(|(run, same)| run == owner && *same), "{owner}: {holders:?}");
}

fn suspended(journal: &dyn Journal, number: u8) -> Fence {
    let fence = begin(journal, number);
    commit(journal, &fence, &phase(Phase::Suspended { deadline: None }));
    fence
}

fn token(journal: &dyn Journal, number: u8, suspension: u64, holder: &str) -> Option<String> {
    let token = journal.hand_out_token(&run(number), suspension, holder, false);
    token.expect("the journal answers").map(|token| token.as_str().to_owned())
}

fn fits(journal: &dyn Journal, number: u8, suspension: u64, holder: &str, token: &str) -> bool {
    journal.token_fits(&run(number), suspension, holder, token).expect("the journal answers")
}

fn a_token_is_handed_out_once(journal: &dyn Journal) {
    let fence = suspended(journal, 1);
    let ann = token(journal, 1, 0, "ann").expect("a first token");
    assert!(ann.len() == 64 && ann.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')));
    assert_eq!(token(journal, 1, 0, "ann"), None);
    let bob = token(journal, 1, 0, "bob").expect("another holder has another token");
    assert_ne!(ann, bob);
    // An event that was refused leaves the run suspended and the token unspent.
    commit(journal, &fence, &Batch::of(b"denied".to_vec()));
    commit(journal, &fence, &phase(Phase::Suspended { deadline: None }));
    drop(fence);
    assert_eq!(token(journal, 1, 0, "ann"), None);
    assert!(fits(journal, 1, 0, "ann", &ann) && fits(journal, 1, 0, "bob", &bob));
    let shown = journal.hand_out_token(&run(1), 0, "cid", false).expect("the journal answers");
    assert_eq!(format!("{shown:?}"), "Some(ResumeToken(..))");
}

fn a_token_fits_its_suspension_and_holder_alone(journal: &dyn Journal) {
    let _fences = [suspended(journal, 1), suspended(journal, 2)];
    let ann = token(journal, 1, 0, "ann").expect("a first token");
    for (number, suspension, holder) in
        [(1, 0, "bob"), (1, 1, "ann"), (2, 0, "ann"), (3, 0, "ann"), (1, 0, "")]
    {
        assert!(!fits(journal, number, suspension, holder, &ann), "{number} {suspension} {holder:?}");
    }
    // Nor does the token of another holder or run.
    let others = [token(journal, 1, 0, "bob"), token(journal, 2, 0, "ann"), token(journal, 1, 1, "ann")];
    for other in others {
        assert!(!fits(journal, 1, 0, "ann", &other.expect("another token")));
    }
    let mut changed = ann.clone();
    changed.replace_range(63.., if ann.ends_with('0') { "1" } else { "0" });
    let upper = ann.to_uppercase();
    for none in
        ["", "0", &ann[1..], &changed, &format!("{ann} "), &format!("{ann}00"), "ä".repeat(32).as_str()]
    {
        assert!(!fits(journal, 1, 0, "ann", none), "{none:?}");
    }
    assert!(upper == ann || !fits(journal, 1, 0, "ann", &upper));
    assert!(fits(journal, 1, 0, "ann", &ann));
}

fn a_renewed_token_replaces_the_first(journal: &dyn Journal) {
    let _fence = suspended(journal, 1);
    let renew = |holder| journal.hand_out_token(&run(1), 0, holder, true).expect("the journal answers");
    let first = token(journal, 1, 0, "ann").expect("a first token");
    let bob = token(journal, 1, 0, "bob").expect("a first token");
    let second = renew("ann").expect("a renewed token");
    assert!(!fits(journal, 1, 0, "ann", &first));
    assert!(fits(journal, 1, 0, "ann", second.as_str()));
    assert!(fits(journal, 1, 0, "bob", &bob));
    // There need be nothing to replace.
    assert!(fits(journal, 1, 0, "cid", renew("cid").expect("a first token").as_str()));
}

fn tokens_end_when_the_run_goes_on(journal: &dyn Journal) {
    for end in [Phase::Open, Phase::Closed("CANCELLED".into())] {
        let number = if end == Phase::Open { 1 } else { 2 };
        let fence = suspended(journal, number);
        let _other = suspended(journal, number + 10);
        let spent = token(journal, number, 0, "ann").expect("a first token");
        let other = token(journal, number + 10, 0, "ann").expect("a first token");
        commit(journal, &fence, &phase(end.clone()));
        assert!(!fits(journal, number, 0, "ann", &spent), "{end:?}");
        assert!(fits(journal, number + 10, 0, "ann", &other));
        if end == Phase::Open {
            commit(journal, &fence, &phase(Phase::Suspended { deadline: None }));
            assert!(!fits(journal, number, 0, "ann", &spent));
            assert!(token(journal, number, 2, "ann").is_some());
        }
    }
}

fn tokens_are_for_suspended_runs(journal: &dyn Journal) {
    let fence = begin(journal, 1);
    assert_eq!(token(journal, 1, 0, "ann"), None);
    commit(journal, &fence, &phase(Phase::Closed("SUCCESS".into())));
    assert_eq!(token(journal, 1, 0, "ann"), None);
    assert_eq!(token(journal, 2, 0, "ann"), None);
    let renewed = journal.hand_out_token(&run(1), 0, "ann", true).expect("the journal answers");
    assert!(renewed.is_none());
}

fn stop(journal: &dyn Journal, number: u8) -> Option<String> {
    journal.asked_to_stop(&run(number)).expect("the journal answers")
}

fn a_run_is_asked_to_stop_until_it_closes(journal: &dyn Journal) {
    let (first, _second) = (begin(journal, 1), begin(journal, 2));
    assert_eq!(stop(journal, 1), None);
    journal.ask_to_stop(&run(1), "too expensive").expect("the journal answers");
    journal.ask_to_stop(&run(1), "another reason").expect("the journal answers");
    assert_eq!((stop(journal, 1).as_deref(), stop(journal, 2)), (Some("too expensive"), None));
    // The owner goes on writing, content too, and stays asked until it closes.
    commit(
        journal,
        &first,
        &Batch { contents: vec![content(0, "output", b"1")], ..Batch::of(b"a".to_vec()) },
    );
    commit(journal, &first, &phase(Phase::Suspended { deadline: None }));
    commit(journal, &first, &phase(Phase::Open));
    assert_eq!(stop(journal, 1).as_deref(), Some("too expensive"));
    commit(journal, &first, &phase(Phase::Closed("CANCELLED".into())));
    assert_eq!(stop(journal, 1), None);
    assert!(load(journal, &run(1)).content(0, "output").is_ok());
}

fn a_run_that_cannot_stop_is_not_asked(journal: &dyn Journal) {
    let fence = begin(journal, 1);
    commit(journal, &fence, &phase(Phase::Closed("SUCCESS".into())));
    for number in [1, 2] {
        journal.ask_to_stop(&run(number), "too late").expect("the journal answers");
        assert_eq!(stop(journal, number), None);
    }
    journal.begin(&run(2), &opened(2)).expect("nothing was left of it");
    assert_eq!(stop(journal, 2), None);
}

fn acts_have_a_chain_of_their_own(journal: &dyn Journal) {
    let acts = journal.acts().expect("the journal reads");
    let take = || match journal.take(&acts).expect("the journal takes") {
        Taken::Owned(fence) => fence,
        other => panic!("it is there and free: {other:?}"),
    };
    let fence = take();
    assert!(matches!(journal.take(&acts), Ok(Taken::Live)), "one at a time");
    let batch = Batch { contents: vec![content(0, "reason", b"\"why\"")], ..Batch::of(b"an act".to_vec()) };
    commit(journal, &fence, &batch);
    drop(fence);
    let record = load(journal, &acts);
    assert_eq!(record.envelopes, [b"an act"]);
    assert_eq!(record.content(0, "reason").expect("it is there").bytes, b"\"why\"");
    // It goes on where it ended, and no list of runs names it.
    commit(journal, &take(), &Batch::of(b"another".to_vec()));
    begin(journal, 1);
    let runs: Vec<RunId> =
        journal.runs().expect("the journal reads").into_iter().map(|run| run.run).collect();
    assert_eq!(runs, [run(1)]);
    assert_eq!(journal.find(acts.as_str()).expect("the journal reads"), Found::None);
    assert_eq!(journal.find("").expect("the journal reads"), Found::One(run(1)));
    assert_eq!(journal.acts().expect("the journal reads"), acts);
}

/// The chain of acts, taken.
pub(crate) fn take_acts(journal: &dyn Journal) -> Fence {
    let acts = journal.acts().expect("the journal reads");
    match journal.take(&acts).expect("the journal takes") {
        Taken::Owned(fence) => fence,
        other => panic!("it is there and free: {other:?}"),
    }
}

/// What an act at `seq` gives up.
pub(crate) fn erases(act: u64, number: u8, places: &[(u64, &str)], rest: bool) -> Erases {
    let value = |(seq, role): &(u64, &str)| ValueRef {
        run: run(number),
        seq: *seq,
        role: Role::new(role).expect("a role"),
    };
    Erases { act, values: places.iter().map(value).collect(), rest_of: rest.then(|| run(number)) }
}

fn what_an_act_erases_is_gone_and_told(journal: &dyn Journal) {
    let fence = begin(journal, 1);
    let contents = vec![content(0, "admission", b"1"), content(0, "input", b"2"), content(0, "output", b"3")];
    commit(journal, &fence, &Batch { contents, ..Batch::of(b"zero".to_vec()) });
    commit(journal, &fence, &kv(&[], &[("total", Some("12"))]));
    let other = begin(journal, 2);
    commit(journal, &other, &Batch { contents: vec![content(0, "input", b"4")], ..Batch::of(b"o".to_vec()) });
    let before = load(journal, &run(1));
    assert_eq!(before.acts, []);

    let acts = take_acts(journal);
    let erases = vec![erases(0, 1, &[(0, "input")], false), erases(1, 1, &[(0, "output")], true)];
    let envelopes = vec![b"act zero".to_vec(), b"act one".to_vec()];
    let contents = vec![content(0, "reason", b"\"why\"")];
    commit(journal, &acts, &Batch { envelopes, contents, erases, ..Batch::default() });

    let record = load(journal, &run(1));
    assert_eq!((&record.envelopes, record.recorded), (&before.envelopes, before.recorded));
    for role in ["input", "output"] {
        assert!(matches!(record.content(0, role), Err(VaultError::Erased { .. })), "{role}");
    }
    assert_eq!(record.content(0, "admission").expect("it stays").bytes, b"1");
    let told: Vec<(u64, &[u8])> = record.acts.iter().map(|act| (act.seq, act.envelope.as_slice())).collect();
    assert_eq!(told, [(0, &b"act zero"[..]), (1, b"act one")]);
    assert_eq!(value(journal, "total"), None);
    // What is not named stays, whoever else it is of.
    let other = load(journal, &run(2));
    assert_eq!(other.content(0, "input").expect("it stays").bytes, b"4");
    assert_eq!(other.acts, []);
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
