//! The store's database, opened behind nanohost's back: looked into, and changed as a hand with
//! `sqlite3` would.

use rusqlite::Connection;
use serde_json::Value;

use crate::harness::Home;

fn open(home: &Home) -> Connection {
    let conn = Connection::open(home.store().join("store.db")).expect("a run made the store");
    // Another hand keeps no rules.
    conn.execute_batch("PRAGMA foreign_keys = OFF").expect("checks can be turned off");
    conn
}

/// The entries of all key-value spaces, as namespace and key.
pub(crate) fn kv(home: &Home) -> Vec<(String, String)> {
    let conn = open(home);
    let mut statement =
        conn.prepare("SELECT namespace, key FROM kv ORDER BY namespace, key").expect("the table is there");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("it can be read");
    rows.collect::<Result<_, _>>().expect("it can be read")
}

/// Changes the database behind nanohost's back.
pub(crate) fn execute(home: &Home, edit: &str) {
    open(home).execute_batch(edit).expect("the edit is SQL");
}

/// The id of the store's chain of acts.
pub(crate) fn acts(home: &Home) -> String {
    let select = "SELECT CAST(value AS TEXT) FROM meta WHERE name = 'acts'";
    open(home).query_row(select, [], |row| row.get(0)).expect("it can be read")
}

/// The exact bytes of the envelopes of a run, or of acts.
pub(crate) fn envelopes_of(home: &Home, run: &str) -> Vec<Vec<u8>> {
    let conn = open(home);
    let mut select =
        conn.prepare("SELECT bytes FROM envelope WHERE run = ?1 ORDER BY seq").expect("the table is there");
    let rows = select.query_map([run], |row| row.get(0)).expect("it can be read");
    rows.collect::<Result<_, _>>().expect("it can be read")
}

/// How many runs are asked to stop.
pub(crate) fn requests(home: &Home) -> u64 {
    let count = open(home).query_row("SELECT count(*) FROM stop_request", [], |row| row.get::<_, i64>(0));
    u64::try_from(count.expect("it can be read")).expect("a count")
}

/// Two runs of the refund example, the second of which is changed by `edit`, and what `verify`
/// then says of the two.
#[track_caller]
fn check(edit: &str, exit: i32, says: &str) {
    let home = Home::new();
    let examples = home.examples();
    let id = |document: &Value| document["run"].as_str().expect("an id").to_owned();
    let other = id(&examples.refund(0, &["order_id=A-1007"]));
    let run = id(&examples.refund(0, &[]));
    home.nanohost(["verify", &run]).exits(0);

    let edit = edit.replace("RUN", &format!("'{run}'")).replace("OTHER", &format!("'{other}'"));
    open(&home).execute_batch(&edit).expect("the edit is SQL");
    home.nanohost(["verify", &run]).exits(exit).says(says);
    if exit != 0 {
        // Nothing is told, and nothing is handed out, of evidence that does not hold.
        let out = home.path("changed.jsonl");
        let changed = home.nanohost(["export", &run, "-o", out.to_str().expect("UTF-8")]);
        assert!(exit == 14 || changed.code == Some(exit), "{changed}");
        assert!(exit == 14 || !out.exists(), "nothing was exported");
        let told = home.nanohost(["receipt", &run, "--json"]);
        assert!(exit == 14 || told.code == Some(exit), "{told}");
    }
    // The run beside it is not disturbed, unless it was edited as well.
    if !edit.contains(&other) {
        // Nobody can tell whose envelope it was that came after it and is not what was signed.
        match edit.contains("UPDATE envelope") || edit.contains("DELETE FROM envelope") {
            true => home.nanohost(["verify", &other]).exits(11).says("what follows it in the log"),
            false => home.nanohost(["verify", &other]).exits(0).says("VERIFIED"),
        };
    }
}

/// One byte in the middle of the payload, by a letter of base64 that is not there.
const ONE_BYTE: &str = "UPDATE envelope SET bytes = CAST(substr(bytes, 1, 199) || \
     CASE substr(bytes, 200, 1) WHEN X'41' THEN X'42' ELSE X'41' END || substr(bytes, 201) AS BLOB) \
     WHERE run = RUN AND seq = 4";

/// The digest of one envelope, as the next one names it.
pub(crate) fn digest_of_envelope(home: &Home, run: &str, seq: i64) -> String {
    let select = "SELECT bytes FROM envelope WHERE run = ?1 AND seq = ?2";
    let bytes: Vec<u8> = open(home).query_row(select, (run, seq), |row| row.get(0)).expect("it is there");
    nanohost_core::Digest::of(&bytes).to_string()
}

/// Changes a byte of a run's evidence.
pub(crate) fn change_an_envelope(home: &Home, run: &str) {
    open(home).execute_batch(&ONE_BYTE.replace("RUN", &format!("'{run}'"))).expect("the edit is SQL");
}

#[test]
fn a_changed_envelope_is_tampering() {
    check(ONE_BYTE, 10, "TAMPERED");
}

#[test]
fn a_removed_envelope_is_a_gap() {
    check("DELETE FROM envelope WHERE run = RUN AND seq = 4", 11, "TRUNCATED");
}

#[test]
fn a_removed_end_is_a_gap() {
    let last = "(SELECT max(seq) FROM envelope WHERE run = RUN)";
    check(&format!("DELETE FROM envelope WHERE run = RUN AND seq = {last}"), 11, "TRUNCATED");
}

#[test]
fn a_removed_end_with_its_traces_is_missed_by_the_log() {
    check(
        "DELETE FROM envelope WHERE run = RUN AND seq = (SELECT len - 1 FROM run WHERE id = RUN);
         DELETE FROM content WHERE run = RUN AND seq = (SELECT len - 1 FROM run WHERE id = RUN);
         UPDATE run SET len = len - 1, phase = 'open', status = NULL WHERE id = RUN",
        11,
        "the log has an envelope of this run after it",
    );
}

#[test]
fn all_envelopes_removed_is_a_gap() {
    check("DELETE FROM envelope WHERE run = RUN", 11, "TRUNCATED");
}

#[test]
fn swapped_envelopes_are_tampering() {
    check(
        "UPDATE envelope SET seq = 1000 WHERE run = RUN AND seq = 3;
         UPDATE envelope SET seq = 3 WHERE run = RUN AND seq = 4;
         UPDATE envelope SET seq = 4 WHERE run = RUN AND seq = 1000",
        10,
        "TAMPERED",
    );
}

#[test]
fn envelopes_of_two_runs_swapped_are_tampering() {
    check(
        "CREATE TEMP TABLE kept AS SELECT bytes FROM envelope WHERE run = RUN AND seq = 3;
         UPDATE envelope SET bytes = (SELECT bytes FROM envelope WHERE run = OTHER AND seq = 3)
             WHERE run = RUN AND seq = 3;
         UPDATE envelope SET bytes = (SELECT bytes FROM kept) WHERE run = OTHER AND seq = 3",
        10,
        "TAMPERED",
    );
}

#[test]
fn a_repeated_envelope_is_tampering() {
    check(
        "INSERT INTO envelope (run, seq, bytes)
             SELECT run, seq + 1, bytes FROM envelope WHERE run = RUN ORDER BY seq DESC LIMIT 1",
        10,
        "TAMPERED",
    );
}

#[test]
fn changed_content_is_tampering() {
    check(
        "UPDATE content SET sealed = CAST(substr(sealed, 1, 39) || \
         CASE substr(sealed, 40, 1) WHEN X'41' THEN X'42' ELSE X'41' END || substr(sealed, 41) AS BLOB) \
         WHERE run = RUN AND seq = (SELECT max(seq) FROM content WHERE run = RUN)",
        10,
        "TAMPERED",
    );
}

#[test]
fn contents_swapped_are_tampering() {
    check(
        "CREATE TEMP TABLE kept AS SELECT seq, role, sealed FROM content WHERE run = RUN;
         UPDATE content SET sealed = (SELECT sealed FROM kept WHERE kept.seq = 0 AND kept.role = 'seed')
             WHERE run = RUN AND seq = 0 AND role = 'input'",
        10,
        "TAMPERED",
    );
}

#[test]
fn removed_content_is_a_gap() {
    check("DELETE FROM content WHERE run = RUN AND role = 'output'", 11, "TRUNCATED");
}

#[test]
fn what_the_listing_says_is_not_evidence() {
    // The row says success where the evidence says otherwise: verify tells by the evidence.
    check("UPDATE run SET status = 'failed' WHERE id = RUN", 0, "success");
}

#[test]
fn a_foreign_hand_in_the_schema_stops_the_host() {
    let home = Home::new();
    home.examples().refund(0, &[]);
    open(&home)
        .execute_batch("CREATE TRIGGER lie AFTER INSERT ON envelope BEGIN DELETE FROM envelope; END")
        .expect("the edit is SQL");
    home.nanohost(["list"]).exits(5).says("store_corrupt");
    home.examples().run("refund/program.toml", &[]).exits(5).says("store_corrupt");
}
