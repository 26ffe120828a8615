//! Erasures as users meet them: values go, evidence stays, and every answer about what is not there any
//! more says so.

use std::fs;

use nanohost_store::{Journal as _, OpenOptions, SqliteStore, Taken};
use serde_json::Value;

use crate::harness::{Done, Home};

const TOMBSTONE: &str = "[REDACTED_TOMBSTONE]";

/// What the customer wrote: it stands in the inputs, in the prompt and nowhere else.
const WROTE: &str = "request=My card 4111 1111 1111 1111 was charged, money back please";
const CARD: &str = "4111 1111 1111 1111";

fn id(document: &Value) -> String {
    document["run"].as_str().expect("an id").to_owned()
}

fn erase(home: &Home, what: &[&str]) -> Done {
    home.nanohost([&["erase", "--reason", "she asked, ticket 7", "--json"], what].concat())
}

/// The row of erasures of a run that verifies.
#[track_caller]
fn row(done: Done) -> Value {
    let report = done.exits(0).json();
    assert_eq!((&report["good"], &report["partial"]), (&true.into(), &false.into()), "{report:#}");
    let checks = report["checks"].as_array().expect("checks");
    checks.iter().find(|check| check["name"] == "erasures").expect("it is made").clone()
}

#[test]
fn a_run_is_erased_and_its_evidence_stays() {
    let home = Home::new();
    let run = id(&home.examples().refund(0, &[WROTE]));
    let other = id(&home.examples().refund(0, &[WROTE]));
    let envelopes = home.envelopes(&run);
    let receipt = |run: &str| home.nanohost(["receipt", run, "--json"]).exits(0).json();
    let before = receipt(&run);
    home.nanohost(["trace", &run, "--json", "--reveal"]).exits(0).says(CARD);
    let proof = home.path("run.tlog-proof");
    home.nanohost(["log", "prove", &run, "-o", proof.to_str().expect("UTF-8")]).exits(0);

    let dry = home.nanohost(["erase", &run, "--dry-run", "--json"]).exits(0).json();
    assert_eq!(row(home.nanohost(["verify", &run, "--json"]))["detail"], "none is told of");
    let erased = erase(&home, &[&run[..12]]).exits(0).json();
    assert_eq!(erased["values"], dry["values"], "what was said would go");
    assert_eq!(erased["purge"], "done");
    assert!(erased["values"].as_array().is_some_and(|values| values.len() > 8), "{erased:#}");

    let found = row(home.nanohost(["verify", &run, "--json"]));
    let detail = found["detail"].as_str().expect("a detail");
    assert!(detail.starts_with("consistent") && detail.ends_with("each stands in the log"), "{detail}");
    home.nanohost(["verify", &run, "--strict"]).exits(0).says("VERIFIED").says("erased values");
    assert_eq!(receipt(&run), before, "a receipt says the same");
    for more in [&[][..], &["--reveal"]] {
        let shown = home.nanohost([&["trace", &run, "--json"], more].concat()).exits(0).omits(CARD);
        assert!(shown.stdout.contains(TOMBSTONE));
        home.nanohost([&["trace", &run], more].concat()).exits(0).says(TOMBSTONE).omits("Mira");
    }
    let after = home.envelopes(&run);
    let signed = |envelopes: &[Value]| -> Vec<Value> {
        envelopes.iter().map(|envelope| envelope["digest"].clone()).collect()
    };
    assert_eq!(signed(&after), signed(&envelopes), "no envelope changed");
    home.nanohost(["log", "fsck"]).exits(0).says("whole");

    // Somebody else's machine, with the file alone.
    let (file, key) = (home.path("run.jsonl"), home.public_key());
    let path = file.to_str().expect("UTF-8");
    let all = home.nanohost(["export", &run, "--disclose", "all", "-o", path, "--json"]).exits(0).json();
    assert_eq!(all["erased"].as_u64(), erased["values"].as_array().map(|values| values.len() as u64));
    let text = fs::read_to_string(&file).expect("it is written");
    assert!(text.lines().nth(1).is_some_and(|act| act.starts_with("{\"act\":")));
    let trust = key.to_str().expect("UTF-8");
    let vkey = home.nanohost(["log", "key"]).exits(0).stdout;
    let unplaced =
        home.nanohost(["verify", path, "--trust", trust, "--json"]).exits(0).says("NOT CHECKED").json();
    assert_eq!((&unplaced["partial"], &unplaced["unplaced"]), (&true.into(), &true.into()), "{unplaced:#}");
    let logged = ["verify", path, "--trust", trust, "--log-key", vkey.trim(), "--json"];
    let detail = row(home.nanohost(logged))["detail"].clone();
    assert!(detail.as_str().is_some_and(|detail| detail.ends_with("each stands in the log")), "{detail}");
    // What excuses values, and stands in no log that anybody looked at, is not all that strictness asks for.
    home.nanohost(["verify", path, "--trust", trust, "--strict"]).exits(11).says("not everything");
    home.nanohost([&logged[..], &["--strict"]].concat()).exits(0);
    let trusted = home.path("trust.toml");
    let trusted = trusted.to_str().expect("UTF-8");
    home.nanohost(["key", "export", "-o", trusted]).exits(0);
    let named = ["verify", path, "--trust", trusted, "--strict", "--json"];
    let detail = row(home.nanohost(named))["detail"].clone();
    assert!(detail.as_str().is_some_and(|detail| detail.ends_with("each stands in the log")), "{detail}");
    let cut: String =
        text.lines().filter(|line| !line.starts_with("{\"act\":")).map(|line| format!("{line}\n")).collect();
    fs::write(&file, cut).expect("it is writable");
    home.nanohost(["verify", path, "--trust", trust]).exits(0).says("VERIFIED IN PART");

    // It cannot be made again, and the other run has lost nothing.
    let replayed = home.nanohost(["replay", &run, "--json"]).exits(11).json();
    assert_eq!(replayed["calls"][0]["why"], "erased", "{replayed:#}");
    home.nanohost(["trace", &other, "--json", "--reveal"]).exits(0).says(CARD).omits(TOMBSTONE);
    assert_eq!(row(home.nanohost(["verify", &other, "--json"]))["detail"], "none is told of");

    // Twice is once.
    let again = erase(&home, &[&run]).exits(0).json();
    assert_eq!((&again["values"], &again["already"]), (&Value::Array(Vec::new()), &erased["values"]));
    let listed = fs::read_to_string(home.path("config/acts.log")).expect("it is listed outside");
    assert_eq!(listed.lines().count(), 1, "the act as it was signed: opaque names, and no words");
}

#[test]
fn single_values_are_named_by_their_refs() {
    let home = Home::new();
    let run = id(&home.examples().refund(0, &[WROTE]));
    let input = format!("run/{run}/0/input");
    let short = format!("run/{}/0/input", &run[..12]);
    let erased = erase(&home, &[&short]).exits(0).json();
    assert_eq!(erased["values"], serde_json::json!([input]));
    let found = row(home.nanohost(["verify", &run, "--json"]));
    assert!(found["detail"].as_str().is_some_and(|detail| detail.contains("1 values are gone")), "{found}");
    let shown = &home.envelopes(&run)[0]["values"]["input"];
    assert_eq!(shown, TOMBSTONE);
    for (what, code) in [
        (format!("run/{run}/99/input"), "unknown_ref"),
        (format!("run/{run}/0/outcome"), "unknown_ref"),
        (format!("run/{run}/x/input"), "unknown_ref"),
        (format!("run/{run}"), "unknown_ref"),
        (format!("run/{}/0/input", "f".repeat(32)), "unknown_run"),
        ("ffffffffffff".to_owned(), "unknown_run"),
        (format!("run/{run}/0/admission"), "not_erasable"),
    ] {
        erase(&home, &[&what]).finds(2, code);
    }
    home.nanohost(["erase", &run, "--json"]).exits(2);
    erase(&home, &[&run, "--basis", "whim"]).exits(2);
}

#[test]
fn a_hold_refuses_with_its_reason() {
    let home = Home::new();
    let run = id(&home.examples().refund(0, &[WROTE]));
    home.nanohost(["hold", "list"]).exits(0).says("no holds");
    let hold = home.nanohost(["hold", "add", &run, "--reason", "case 7/2026", "--as", "lea", "--json"]);
    let hold = hold.exits(0).json()["hold"].to_string();
    home.nanohost(["hold", "list"]).exits(0).says("case 7/2026").says("lea").says(&run[..12]);
    for dry in [&[][..], &["--dry-run"]] {
        erase(&home, &[&[run.as_str()], dry].concat()).says("case 7/2026").finds(3, "erase_held");
    }
    home.nanohost(["trace", &run, "--json", "--reveal"]).exits(0).says(CARD);
    home.nanohost(["hold", "remove", &hold]).exits(0);
    home.nanohost(["hold", "remove", &hold, "--json"]).finds(2, "unknown_hold");
    erase(&home, &[&run]).exits(0);
}

#[test]
fn a_hold_is_an_act() {
    let home = Home::new();
    let run = id(&home.examples().refund(0, &[WROTE]));
    home.nanohost(["hold", "add", "--subject", "mira", "--reason", "a case", "--json"])
        .finds(2, "unknown_subject");
    let later = ["hold", "add", "--subject", "mira", "--anyway", "--reason", "a case", "--json"];
    home.nanohost(later).exits(0);
    home.nanohost(["hold", "add", &run, "--reason", "case 7", "--as", "lea", "--json"]).exits(0);
    let listed = home.nanohost(["hold", "list", "--json"]).exits(0).json();
    let rows: Vec<(&Value, &Value, &Value)> = listed["holds"]
        .as_array()
        .expect("holds")
        .iter()
        .map(|hold| (&hold["on"], &hold["runs"], &hold["act"]))
        .collect();
    assert_eq!(rows, [(&"subject".into(), &0.into(), &0.into()), (&"run".into(), &1.into(), &1.into())]);
    home.nanohost(["hold", "list"]).exits(0).says("a subject of no run so far");
    let held = row(home.nanohost(["verify", &run, "--json"]));
    assert!(held["detail"].as_str().is_some_and(|detail| detail.contains("a legal hold lies on")), "{held}");
    let acts = crate::database::envelopes_of(&home, &crate::database::acts(&home));
    assert_eq!(acts.len(), 2);
    home.nanohost(["log", "fsck"]).exits(0);
    // Somebody removes the row: the act says that it was there.
    crate::database::execute(&home, "DELETE FROM hold");
    let held = row(home.nanohost(["verify", &run, "--json"]));
    assert!(held["detail"].as_str().is_some_and(|detail| detail.contains("a legal hold lies on")), "{held}");
    let file = home.path("held.jsonl");
    let path = file.to_str().expect("UTF-8");
    home.nanohost(["export", &run, "-o", path]).exits(0);
    let key = home.public_key();
    let verified = home.nanohost(["verify", path, "--trust", key.to_str().expect("UTF-8"), "--json"]);
    let verified = verified.exits(0).json();
    assert!(verified.to_string().contains("a legal hold lies on"), "{verified:#}");
}

/// Evidence that is damaged keeps no personal data.
#[test]
fn damaged_evidence_is_erased_where_somebody_says_so() {
    let home = Home::new();
    let examples = home.examples();
    let program = examples.path("refund/program.toml");
    let text = fs::read_to_string(&program).expect("it is there");
    fs::write(&program, format!("subject = \"customer of $order_id\"\n{text}")).expect("it is writable");
    let runs: Vec<String> = (0..3).map(|_| id(&examples.refund(0, &[WROTE]))).collect();
    crate::database::change_an_envelope(&home, &runs[0]);
    let subject = ["--subject", "customer of A-1001"];
    // Alone it is refused, with the way out.
    erase(&home, &[&runs[0]]).says("--damaged").finds(10, "evidence_bad");
    // With others it keeps none of them.
    let dry = home.nanohost([&["erase", "--dry-run", "--json"][..], &subject].concat()).exits(10).json();
    assert_eq!(dry["runs"].as_array().map(Vec::len), Some(2));
    let erased = erase(&home, &subject).finds(10, "evidence_bad").json();
    assert_eq!(erased["runs"].as_array().map(Vec::len), Some(2), "{erased:#}");
    for run in &runs[1..] {
        home.nanohost(["trace", run, "--json", "--reveal"]).exits(0).omits(CARD);
        row(home.nanohost(["verify", run, "--json"]));
    }
    let contents = |home: &Home| {
        let conn = rusqlite::Connection::open(home.store().join("store.db")).expect("it opens");
        let count = "SELECT count(*) FROM content WHERE run = ?1 AND role <> 'admission'";
        conn.query_row(count, [&runs[0]], |row| row.get::<_, i64>(0)).expect("it counts")
    };
    assert!(contents(&home) > 5);
    let erased = erase(&home, &[&subject[..], &["--damaged"]].concat()).exits(0).json();
    assert_eq!(erased["damaged"], serde_json::json!([runs[0]]), "{erased:#}");
    assert_eq!(contents(&home), 0);
    home.nanohost(["verify", &runs[0]]).exits(10);
    home.nanohost(["log", "fsck"]).exits(10);
    let acts = crate::database::envelopes_of(&home, &crate::database::acts(&home));
    let said = |act: &[u8]| {
        let envelope: Value = serde_json::from_slice(act).expect("JSON");
        let payload = envelope["payload"].as_str().expect("a payload");
        use base64::Engine as _;
        let payload = base64::engine::general_purpose::STANDARD.decode(payload).expect("base64");
        serde_json::from_slice::<Value>(&payload).expect("JSON")["predicate"]["act"].clone()
    };
    let said: Vec<Value> = acts.iter().map(|act| said(act)).collect();
    let marks: Vec<(&Value, &Value)> = said.iter().map(|act| (&act["whole"], &act["damaged"])).collect();
    let whole = serde_json::json!(true);
    assert_eq!(marks, [(&whole, &Value::Null), (&whole, &Value::Null), (&whole, &whole)]);
}

#[test]
fn all_runs_of_a_subject_go_together() {
    let home = Home::new();
    let examples = home.examples();
    let program = examples.path("refund/program.toml");
    let text = fs::read_to_string(&program).expect("it is there");
    fs::write(&program, format!("subject = \"customer of $order_id\"\n{text}")).expect("it is writable");
    let runs: Vec<String> = ["A-1001", "A-1007", "A-1001"]
        .map(|order| {
            id(&examples
                .run("refund/program.toml", &["--json", "-i", &format!("order_id={order}"), "-i", WROTE])
                .json())
        })
        .to_vec();
    let held =
        home.nanohost(["hold", "add", "--subject", "customer of A-1001", "--reason", "case 8", "--json"]);
    let hold = held.exits(0).json()["hold"].to_string();
    erase(&home, &["--subject", "customer of A-1001"]).finds(3, "erase_held");
    home.nanohost(["hold", "remove", &hold]).exits(0);
    let erased = erase(&home, &["--subject", "customer of A-1001", "--approver", "lea"]).exits(0).json();
    let mut gone: Vec<&str> =
        erased["runs"].as_array().expect("runs").iter().filter_map(Value::as_str).collect();
    let mut expect = vec![runs[0].as_str(), runs[2].as_str()];
    gone.sort_unstable();
    expect.sort_unstable();
    assert_eq!(gone, expect);
    for (run, has) in runs.iter().zip([false, true, false]) {
        let shown = home.nanohost(["trace", run, "--json", "--reveal"]).exits(0).stdout;
        assert_eq!((shown.contains(CARD), shown.contains(TOMBSTONE)), (has, !has));
        row(home.nanohost(["verify", run, "--json"]));
    }
    erase(&home, &["--subject", "nobody"]).finds(2, "unknown_subject");
    for entry in fs::read_dir(home.store()).expect("it lists").flatten() {
        let bytes = fs::read(entry.path()).unwrap_or_default();
        assert!(!bytes.windows(11).any(|window| window == b"customer of"), "{}", entry.path().display());
    }
}

#[test]
fn a_run_that_waits_ends_for_want_of_what_was_erased() {
    let home = Home::new();
    let examples = home.examples();
    let start = |exit| {
        let more = ["--as", "agent", "--idempotency-key", "monday"];
        examples.run_json("approval/program.toml", exit, &more)
    };
    let run = id(&start(4));
    let token = home.nanohost(["token", &run, "--as", "dana", "--json"]).exits(0).json();
    erase(&home, &[&run]).exits(0);
    let event = examples.path("approval/approved.json");
    let answer =
        ["resume", &run, "--as", "dana", "--json", "--token", token["token"].as_str().expect("a token")];
    let mut command = home.command(answer);
    command.arg("--event").arg(&event);
    Done::of(command).finds(1, "erased");
    assert_eq!(home.state(&run), "failed");
    let report = home.nanohost(["verify", &run, "--json"]);
    row(report);
    // The same start is the same run, and never a new one.
    let again = start(1);
    assert_eq!((id(&again), &again["status"], &again["error"]), (run, &"failed".into(), &"erased".into()));
    assert_eq!(home.runs().len(), 1);
}

#[test]
fn a_run_that_is_under_way_is_not_erased_from() {
    let home = Home::new();
    let run = id(&home.examples().refund(0, &[WROTE]));
    let store = SqliteStore::open(&home.store(), &OpenOptions::default()).expect("the store opens");
    let found = nanohost_core::RunId::new(&run).expect("an id");
    let Ok(Taken::Owned(fence)) = store.take(&found) else { panic!("nobody has it") };
    erase(&home, &[&run]).finds(2, "erase_live");
    home.nanohost(["erase", &run, "--dry-run"]).exits(0);
    drop(fence);
    erase(&home, &[&run]).exits(0);
}

#[test]
fn copies_wait_for_a_reader_of_an_earlier_moment() {
    let home = Home::new();
    let run = id(&home.examples().refund(0, &[WROTE]));
    let reader = rusqlite::Connection::open(home.store().join("store.db")).expect("it opens");
    reader.execute_batch("BEGIN; SELECT count(*) FROM content").expect("it reads");
    let erased = erase(&home, &[&run]).finds(5, "purge_pending").json();
    assert_eq!(erased["purge"], "pending");
    home.nanohost(["trace", &run, "--json", "--reveal"]).exits(0).omits(CARD);
    reader.execute_batch("COMMIT").expect("it ends");
    drop(reader);
    // Whoever opens the store for writing next brings it to its end.
    home.nanohost(["log", "checkpoint"]).exits(0);
    assert_eq!(fs::metadata(home.store().join("keys.db-wal")).map_or(0, |file| file.len()), 0);
    row(home.nanohost(["verify", &run, "--json"]));
}

#[test]
fn a_value_that_was_lost_is_no_erasure() {
    let home = Home::new();
    let run = id(&home.examples().refund(0, &[WROTE]));
    let conn = rusqlite::Connection::open(home.store().join("store.db")).expect("it opens");
    let forge = format!(
        "DELETE FROM content WHERE run = '{run}' AND seq = 0 AND role = 'input'; \
         INSERT INTO erased (run, seq, role, act) VALUES ('{run}', 0, 'input', 0)"
    );
    conn.execute_batch(&forge).expect("the edit is possible");
    drop(conn);
    let report = home.nanohost(["verify", &run, "--json"]).exits(11).json();
    assert_eq!(report["fault"]["check"], "commitments", "{report:#}");
}

/// Runs a command that can make no file larger than so many blocks.
fn with_room(home: &Home, blocks: u32, arguments: &[&str]) -> Done {
    let wanted = home.command(arguments);
    let mut command = std::process::Command::new("sh");
    command.arg("-c").arg(format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"")).arg("sh");
    command.arg(wanted.get_program()).args(wanted.get_args());
    for (name, value) in wanted.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.current_dir(home.path(""));
    Done::of(command)
}

/// A disk that is full at some point or another: what is erased is erased, the rest is whole, and what
/// cannot go on says why.
#[test]
fn a_full_disk_leaves_nothing_half_gone() {
    let mut refused = 0;
    for blocks in [1, 8, 64, 256, 512, 4096] {
        let home = Home::new();
        let run = id(&home.examples().refund(0, &[WROTE]));
        let done = with_room(&home, blocks, &["erase", &run, "--reason", "asked", "--json"]);
        assert!(done.code.is_some_and(|code| [0, 2, 5].contains(&code)), "{blocks}: {done}");
        if done.code != Some(0) {
            refused += 1;
            let findings = done.json()["findings"].clone();
            assert!(findings[0]["code"].is_string() && findings[0]["help"].is_string(), "{findings:#}");
        }
        let shown = home.nanohost(["trace", &run, "--json", "--reveal"]).exits(0);
        assert!(shown.stdout.contains(CARD) != shown.stdout.contains(TOMBSTONE), "{blocks}: all or nothing");
        row(home.nanohost(["verify", &run, "--json"]));
        // With room it comes to its end.
        erase(&home, &[&run]).exits(0);
        home.nanohost(["trace", &run, "--json", "--reveal"]).exits(0).omits(CARD);
        home.nanohost(["log", "fsck"]).exits(0);
        let listed = fs::read_to_string(home.path("config/acts.log")).expect("it is listed outside");
        assert_eq!(listed.lines().count(), 1, "{blocks}");
    }
    assert!((1..6).contains(&refused), "some of them were too small, and not all: {refused}");
}

#[test]
fn who_erases_at_once_erases_once() {
    let home = Home::new();
    let runs: Vec<String> = (0..3).map(|_| id(&home.examples().refund(0, &[WROTE]))).collect();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let all: Vec<&str> = runs.iter().map(String::as_str).collect();
            let home = &home;
            scope.spawn(move || {
                let done = erase(home, &all);
                // Somebody else is at one of them: that is said, and it can be tried again.
                let fine = done.code == Some(0) || done.stdout.contains("erase_live");
                assert!(fine || done.stdout.contains("store_busy"), "{done}");
            });
        }
        scope.spawn(|| home.examples().refund(0, &[WROTE]));
    });
    erase(&home, &runs.iter().map(String::as_str).collect::<Vec<_>>()).exits(0);
    for run in &runs {
        home.nanohost(["trace", run, "--json", "--reveal"]).exits(0).omits(CARD);
        row(home.nanohost(["verify", run, "--json"]));
    }
    home.nanohost(["log", "fsck"]).exits(0);
    assert_eq!(crate::database::envelopes_of(&home, &crate::database::acts(&home)).len(), 3);
}
