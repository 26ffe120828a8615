//! Witnesses as processes of their own: what they sign, what they refuse, and what follows for a log.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nanohost_core::log::note::NoteVerifier;
use nanohost_core::log::{Checkpoint, Note};
use serde_json::Value;

use crate::harness::{Home, copy};
use crate::interop;

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A witness that runs, and does not outlive its test.
pub(crate) struct Witness {
    child: Child,
    pub(crate) url: String,
    key: String,
}

impl Witness {
    /// Starts a witness of the log with this key; `listen` is where.
    fn start(home: &Home, name: &str, log: &str, listen: &str) -> Self {
        let state = home.path(name);
        let arguments = ["witness", "run", "--listen", listen, "--state", text(&state), "--log", log];
        let mut command = home.command(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("nanohost starts");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut line = || lines.next().expect("it says where it listens").expect("it is text");
        let (key, url) = (line(), line());
        let url = url.strip_prefix("listens at ").expect("its address").to_owned();
        Self { child, url, key }
    }

    fn address(&self) -> &str {
        self.url.trim_start_matches("http://").trim_end_matches('/')
    }

    /// Ends it at once, and gives the address to whoever starts it again.
    fn kill(mut self) -> String {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it was started");
        self.address().to_owned()
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A log with some runs, witnesses of it, and a policy that names them.
struct Log {
    home: Home,
    witnesses: Vec<Witness>,
    /// Apart from the log's own user: a witness is somebody else.
    outside: Home,
}

impl Log {
    fn new(witnesses: usize) -> Self {
        let home = Home::new();
        home.examples().refund(0, &[]);
        let key = key(&home);
        let outside = Home::new();
        let start = |at| Witness::start(&outside, &format!("w{at}"), &key, "127.0.0.1:0");
        let witnesses = (0..witnesses).map(start).collect();
        Self { home, witnesses, outside }
    }

    /// A policy that wants so many of them.
    fn policy(&self, needed: &str) -> PathBuf {
        let mut policy = format!("log {}\n", key(&self.home));
        let mut names = String::new();
        for (at, witness) in self.witnesses.iter().enumerate() {
            policy.push_str(&format!("witness w{at} {} {}\n", witness.key, witness.url));
            names.push_str(&format!(" w{at}"));
        }
        policy.push_str(&format!("group g {needed}{names}\nquorum g\n"));
        self.home.write(format!("policy-{needed}"), policy)
    }

    fn ask(&self, policy: &Path, exit: i32) -> Value {
        let asked = self.home.nanohost(["log", "witness", "--log-policy", text(policy), "--json"]);
        let document = asked.exits(exit).json();
        assert_eq!(document["exitCode"], exit);
        document
    }

    fn outcomes(&self, document: &Value) -> Vec<String> {
        let witnesses = document["witnesses"].as_array().expect("a list");
        witnesses.iter().map(|witness| witness["outcome"].as_str().expect("a word").to_owned()).collect()
    }

    fn a_run(&self) -> String {
        self.home.examples().refund(0, &[])["run"].as_str().expect("an id").to_owned()
    }
}

fn key(home: &Home) -> String {
    home.nanohost(["log", "key"]).exits(0).stdout.trim().to_owned()
}

fn size(home: &Home) -> u64 {
    home.nanohost(["log", "checkpoint", "--json"]).exits(0).json()["size"].as_u64().expect("a size")
}

#[test]
fn a_quorum_of_witnesses_signs_a_head() {
    let log = Log::new(3);
    let run = log.a_run();
    let policy = log.policy("2");
    let verify = |policy: &Path| log.home.nanohost(["verify", &run, "--log-policy", text(policy)]);
    // Nobody was asked yet.
    verify(&policy).exits(15).says("NOT WITNESSED").says("no head of the log that witnesses signed");
    let document = log.ask(&policy, 0);
    assert_eq!(log.outcomes(&document), ["signed"; 3]);
    assert_eq!(document["size"], size(&log.home));
    let done = verify(&policy).exits(0).says("w0 at 20").says(", w2 at 20").says("`g` holds");
    assert!(!done.stdout.contains("as configured here"), "{done}");
    // Lately, by the clock of whoever verifies; a policy that is named twice over is misuse.
    let aged = |age: &str, exit: i32| {
        let arguments = ["verify", &run, "--log-policy", text(&policy), "--max-age", age, "--json"];
        log.home.nanohost(arguments).exits(exit).json()
    };
    let young = aged("2 days 3h", 0);
    let row = |document: &Value, name: &str| -> Value {
        let checks = document["checks"].as_array().expect("checks");
        checks.iter().find(|check| check["name"] == name).expect("it is listed").clone()
    };
    assert_eq!(row(&young, "age")["result"], "pass");
    assert_eq!(young["witnessed"].as_array().map(Vec::len), Some(3), "{young:#}");
    assert!(young["witnessed"][0]["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{young:#}");
    for bad in ["0s", "soon", "1 month", "-2h"] {
        aged(bad, 2);
    }
    log.home.nanohost(["verify", &run, "--max-age", "2h"]).exits(2).says("log_policy_missing");
    log.home.nanohost(["verify", &run, "--max-age", "2h", "--no-log-policy"]).exits(2);
    // Everybody can check what they signed.
    let note: Note = document["checkpoint"].as_str().expect("a note").parse().expect("a note");
    for witness in &log.witnesses {
        let key: NoteVerifier = witness.key.parse().expect("a key");
        assert!(note.by(&key).expect("it is good").is_some());
    }
    // What followed is not under that head, until somebody asks again.
    let later = log.a_run();
    log.home.nanohost(["verify", &later, "--log-policy", text(&policy)]).exits(15).says("reaches as far");
    log.ask(&policy, 0);
    log.home.nanohost(["verify", &later, "--log-policy", text(&policy)]).exits(0);
    log.home.nanohost(["log", "fsck"]).exits(0);
    // Without a policy nobody says whose word counts.
    log.home.nanohost(["verify", &run]).exits(0).says("nobody says which count");
}

#[test]
fn an_outsider_asks_for_the_quorum_too() {
    let log = Log::new(2);
    let run = log.a_run();
    let policy = log.policy("all");
    let (export, before, proof) =
        (log.home.path("run.jsonl"), log.home.path("before"), log.home.path("run.tlog-proof"));
    log.home.nanohost(["export", &run, "-o", text(&export)]).exits(0);
    log.home.nanohost(["log", "prove", &run, "-o", text(&before)]).exits(0);
    log.ask(&policy, 0);
    // The proof is under the head that was witnessed, also when the log went on.
    log.a_run();
    log.home.nanohost(["log", "prove", &run, "-o", text(&proof)]).exits(0);
    let trust = log.home.public_key();
    let auditor = Home::new();
    let verify = |proof: &Path, policy: &Path| {
        let export = ["verify", text(&export), "--trust", text(&trust), "--log-proof", text(proof)];
        auditor.nanohost([&export[..], &["--log-policy", text(policy)]].concat())
    };
    verify(&proof, &policy).exits(0).says("w0 at 20").says(", w1 at 20").says("stands at index");
    verify(&before, &policy).exits(15).says("no witness signed the head");
    // One signature changed.
    let note = fs::read_to_string(&proof).expect("it is there");
    let at = note.rfind(" nanohost-witness/").expect("a witness signed it");
    let line = note[at..].rsplit_once(' ').expect("a signature").1.to_owned();
    let middle = line.len() / 2;
    let other = if line.as_bytes()[middle] == b'A' { "B" } else { "A" };
    let changed = note.replace(&line, &format!("{}{other}{}", &line[..middle], &line[middle + 1..]));
    let forged = log.home.write("forged", changed);
    verify(&forged, &policy).exits(10).says("not by the key that it names");
    // Another log's policy.
    let stranger = Home::new();
    stranger.examples().refund(0, &[]);
    let policy = stranger.write("policy", format!("log {}\nquorum none\n", key(&stranger)));
    verify(&proof, &policy).exits(13).says("does not name this log");
    for (policy, code) in [("quorum some\n", "log_policy_invalid"), ("", "log_policy_invalid")] {
        let policy = log.home.write("bad", policy);
        verify(&proof, &policy).exits(2).says(code);
    }
    verify(&proof, &log.home.path("absent")).exits(2).says("log_policy_unreadable");
}

#[test]
fn a_lost_witness_is_missed_where_all_are_wanted() {
    let mut log = Log::new(3);
    let run = log.a_run();
    let (most, all) = (log.policy("2"), log.policy("all"));
    let address = log.witnesses.pop().expect("there are three").kill();
    let document = log.ask(&most, 0);
    assert_eq!(log.outcomes(&document), ["signed", "signed", "failed"]);
    log.home
        .nanohost(["verify", &run, "--log-policy", text(&most)])
        .exits(0)
        .says("w0 at 20")
        .says(", w1 at 20")
        .omits("w2 at");
    let document = log.ask(&all, 15);
    assert_eq!(document["witnessed"], false);
    log.home.nanohost(["verify", &run, "--log-policy", text(&all)]).exits(15).says("`g` is missing");
    // It comes back, and remembers nothing of what it was not told.
    let witness = Witness::start(&log.outside, "w2", &key(&log.home), &address);
    assert_eq!(log.outcomes(&log.ask(&all, 0)), ["signed"; 3]);
    drop(witness);
    // Those that signed this very head before count still.
    assert_eq!(log.outcomes(&log.ask(&all, 0)), ["signed", "signed", "failed"]);
    log.home.nanohost(["verify", &run, "--log-policy", text(&all)]).exits(0);
}

#[test]
fn an_older_copy_of_the_store_is_refused_by_witnesses() {
    let log = Log::new(1);
    let policy = log.policy("all");
    log.ask(&policy, 0);
    let kept = log.home.path("kept");
    copy(&log.home.store(), &kept);
    let run = log.a_run();
    log.ask(&policy, 0);
    fs::remove_dir_all(log.home.store()).expect("it is there");
    copy(&kept, &log.home.store());
    // By itself the older copy is whole, and even witnessed as far as it goes.
    log.home.nanohost(["log", "fsck"]).exits(0);
    let document = log.ask(&policy, 12);
    assert_eq!(log.outcomes(&document), ["ahead"]);
    log.home
        .nanohost(["log", "witness", "--log-policy", text(&policy)])
        .exits(12)
        .says("ROLLED BACK OR FORKED");
    // It goes on to as many entries as were seen, which are others: two heads of one size.
    let again = log.a_run();
    assert_ne!(run, again);
    assert_eq!(log.outcomes(&log.ask(&policy, 12)), ["forked"]);
    // And beyond.
    let last = log.a_run();
    assert_eq!(log.outcomes(&log.ask(&policy, 12)), ["forked"]);
    log.home.nanohost(["verify", &last, "--log-policy", text(&policy)]).exits(15);
}

#[test]
fn a_log_goes_on_under_another_name_after_a_restore() {
    let log = Log::new(1);
    let policy = log.policy("all");
    let before = log.a_run();
    log.ask(&policy, 0);
    let (copied, keys, state) = (log.home.path("copy"), log.home.path("copied-keys"), log.home.path("seen"));
    log.home.nanohost(["store", "backup", text(&copied), "--keys", text(&keys)]).exits(0);
    log.a_run();
    log.ask(&policy, 0);
    log.home.nanohost(["verify", &before, "--state", text(&state)]).exits(0);
    log.home.nanohost(["hold", "add", &before, "--reason", "a case"]).exits(0);
    let old = key(&log.home);
    fs::remove_dir_all(log.home.store()).expect("it is there");
    let restore =
        ["store", "restore", text(&copied), "--keys", text(&keys), "--older", "--new-log", "--json"];
    let restored = log.home.nanohost(restore).exits(0).json();
    let new = key(&log.home);
    assert_eq!(restored["logKey"], new.as_str());
    assert_ne!(old.split('+').next(), new.split('+').next(), "another name");
    // An act says so, and how much was known: what was seen is gone all the same.
    for _ in 0..2 {
        let gone = "is lost, as the act that names the new log says";
        log.home.nanohost(["verify", &before, "--state", text(&state)]).exits(12).says(gone);
        log.home.nanohost(["log", "fsck", "--state", text(&state)]).exits(12).says(gone);
    }
    // Who takes it begins anew.
    let state = log.home.path("seen-anew");
    log.home.nanohost(["verify", &before, "--state", text(&state)]).exits(0);
    log.home.nanohost(["log", "fsck", "--state", text(&state)]).exits(0).says("whole");
    // The witness' operator adds the key; so does whoever has a policy.
    let ask =
        |policy: &Path, exit| log.home.nanohost(["log", "witness", "--log-policy", text(policy)]).exits(exit);
    ask(&policy, 2).says("log_policy_foreign");
    let both =
        fs::read_to_string(&policy).expect("a policy").replacen("log ", &format!("log {new}\nlog "), 1);
    let both = log.home.write("both", both);
    ask(&both, 15);
    let other = Witness::start(&log.outside, "other", &new, "127.0.0.1:0");
    let line =
        format!("log {old}\nlog {new}\nwitness w {} {}\ngroup g all w\nquorum g\n", other.key, other.url);
    let policy = log.home.write("new-policy", line);
    ask(&policy, 0);
    let after = log.a_run();
    ask(&policy, 0);
    for run in [&before, &after] {
        log.home.nanohost(["verify", run, "--log-policy", text(&policy), "--state", text(&state)]).exits(0);
    }
    // Its key is changed again, and nothing is lost by that.
    log.home.nanohost(["key", "rotate", "--log", "--json"]).exits(0);
    log.home.nanohost(["verify", &after, "--state", text(&state)]).exits(0);
    log.home.nanohost(["log", "fsck", "--state", text(&state)]).exits(0);
    // Without an act it is another log.
    let name = format!("nanohost-log/{}", "ab".repeat(16));
    let from =
        log.home.path("config/keys/logs").join(key(&log.home).split(['/', '+']).nth(1).expect("a name"));
    copy(&from, &log.home.path("config/keys/logs").join("ab".repeat(16)));
    crate::database::execute(
        &log.home,
        &format!("UPDATE meta SET value = CAST('{name}' AS BLOB) WHERE name = 'log'; DELETE FROM log_head"),
    );
    log.home.nanohost(["log", "checkpoint"]).exits(0).says(&name);
    log.home.nanohost(["verify", &after, "--state", text(&state)]).exits(12).says("no act says");
    log.home.nanohost(["log", "fsck", "--state", text(&state)]).exits(12);
}

#[test]
fn a_witness_remembers_when_it_starts_again() {
    let mut log = Log::new(1);
    let policy = log.policy("all");
    log.ask(&policy, 0);
    let kept = log.home.path("kept");
    copy(&log.home.store(), &kept);
    log.a_run();
    log.ask(&policy, 0);
    let address = log.witnesses.remove(0).kill();
    fs::remove_dir_all(log.home.store()).expect("it is there");
    copy(&kept, &log.home.store());
    let _witness = Witness::start(&log.outside, "w0", &key(&log.home), &address);
    assert_eq!(log.outcomes(&log.ask(&policy, 12)), ["ahead"]);
}

#[test]
fn a_witness_that_forgot_does_not_start() {
    let home = Home::new();
    home.examples().refund(0, &[]);
    let (state, log) = (home.path("w"), key(&home));
    let made = home.nanohost(["witness", "key", "--state", text(&state), "--name", "w.example"]).exits(0);
    assert!(made.stdout.starts_with("w.example+"), "{made}");
    let again = home.nanohost(["witness", "key", "--state", text(&state), "--json"]).exits(0).json();
    assert_eq!(again["key"].as_str().map(str::to_owned), Some(made.stdout.trim().to_owned()));
    home.nanohost(["witness", "key", "--state", text(&state), "--name", "other"])
        .exits(5)
        .says("witness_state");
    fs::remove_file(state.join("heads")).expect("it is there");
    let run = ["witness", "run", "--state", text(&state), "--log", &log];
    home.nanohost(run).exits(5).says("witness_state").says("begin with an empty folder");
    home.nanohost([&run[..], &["--log", &log]].concat()).exits(2).says("named twice");
    home.nanohost(["witness", "run", "--state", text(&state), "--log", made.stdout.trim()])
        .exits(2)
        .says("witness_log");
    home.nanohost(["witness", "run", "--state", text(&state), "--log", "nobody"]).exits(2);
    home.nanohost(["witness", "run", "--state", text(&state)]).exits(2);
}

#[test]
fn where_there_are_witnesses_every_run_ends_with_them() {
    let mut log = Log::new(1);
    let policy = log.policy("all");
    fs::copy(policy, log.home.path("config/log.policy")).expect("it is writable");
    let run = log.a_run();
    let policy = log.home.path("config/log.policy");
    let named = ["verify", &run, "--log-policy", text(&policy)];
    log.home.nanohost(named).exits(0).says("w0 at 20").omits("as configured");
    // Whoever asks about a run of this store needs not say again what the end of each run goes by.
    log.home.nanohost(["verify", &run]).exits(0).says("w0 at 20").says("log.policy, as configured here");
    log.home.nanohost(["verify", &run, "--max-age", "1h"]).exits(0).says("age          pass");
    let without = ["verify", &run, "--no-log-policy"];
    log.home.nanohost(without).exits(0).says("as you asked (--no-log-policy)").omits("w0");
    log.home.nanohost([&without[..], &["--log-policy", text(&policy)]].concat()).exits(2);
    let export = log.home.path("run.jsonl");
    log.home.nanohost(["export", &run, "-o", text(&export)]).exits(0);
    log.home.nanohost(["verify", text(&export)]).exits(0).says("nobody says which count");
    // A refused run too.
    log.home.examples().run("import-smuggling/program.toml", &["-q"]).exits(3);
    let document = log.home.nanohost(["log", "checkpoint", "--json"]).exits(0).json();
    let shown = get(log.witnesses[0].address(), &format!("/{}/checkpoint", digest(&document["origin"])));
    assert!(shown.contains(&format!("\n{}\n", document["size"])), "{shown}");
    // A witness that is lost loses no run, and is missed.
    drop(log.witnesses.remove(0));
    let done = log.home.examples().run("refund/program.toml", &["-q"]).exits(0);
    assert!(done.stderr.contains("not witnessed") && done.stderr.contains("log witness"), "{done}");
    let run = log.home.runs()[0]["run"].as_str().expect("an id").to_owned();
    log.home.nanohost(["verify", &run, "--no-log-policy"]).exits(0);
    log.home.nanohost(["verify", &run]).exits(15).says("log.policy, as configured here");
    log.home.nanohost(["verify", &run, "--log-policy", text(&policy)]).exits(15);
    // So does a policy that is none.
    log.home.write("config/log.policy", "quorum\n");
    let done = log.home.examples().run("refund/program.toml", &["-q"]).exits(0);
    assert!(done.stderr.contains("could not be asked"), "{done}");
}

fn digest(origin: &Value) -> String {
    nanohost_core::Digest::of(origin.as_str().expect("a name").as_bytes()).to_string()
}

#[test]
fn a_heartbeat_says_when_though_nothing_happened() {
    let log = Log::new(1);
    let before = log.home.nanohost(["log", "checkpoint", "--json"]).exits(0).json();
    assert_eq!(before["time"], Value::Null);
    let beat = log.home.nanohost(["log", "heartbeat", "--json"]).exits(0).json();
    let now = log.home.nanohost(["log", "checkpoint", "--json"]).exits(0).json();
    assert_eq!((&now["size"], &now["root"], &now["time"]), (&before["size"], &before["root"], &beat["time"]));
    let keys = log.home.nanohost(["log", "key", "--json"]).exits(0).json();
    let key = |name: &str| -> NoteVerifier { keys[name].as_str().expect("a key").parse().expect("a key") };
    let note: Note = beat["checkpoint"].as_str().expect("a note").parse().expect("a note");
    Checkpoint::open(&note, &key("key")).expect("the log signed it");
    assert_eq!(note.by(&key("timeKey")).expect("it is good").and_then(|by| by.time), beat["time"].as_u64());
    log.home.nanohost(["log", "fsck"]).exits(0);
    // With witnesses it asks them.
    let policy = log.policy("all");
    let document =
        log.home.nanohost(["log", "heartbeat", "--log-policy", text(&policy), "--json"]).exits(0).json();
    assert_eq!(log.outcomes(&document), ["signed"]);
    log.home.nanohost(["log", "heartbeat", "--log-policy", text(&policy)]).exits(0).says("witnessed: ");
    Home::new().nanohost(["log", "heartbeat"]).exits(5).says("no_store");
}

#[test]
fn a_witnessed_head_that_was_damaged_is_found() {
    let log = Log::new(1);
    log.ask(&log.policy("all"), 0);
    log.home.nanohost(["log", "fsck"]).exits(0);
    let damage = |edit: &str, says: &str| {
        crate::database::execute(
            &log.home,
            &format!("UPDATE log_head SET note = {edit} WHERE name = 'witnessed'"),
        );
        log.home.nanohost(["log", "fsck"]).exits(10).says(says);
    };
    damage("replace(note, char(10) || '1', char(10) || '2')", "the witnessed head");
    damage("'nonsense'", "the witnessed head is no checkpoint");
}

#[test]
fn without_a_policy_nobody_is_asked() {
    let home = Home::new();
    home.nanohost(["log", "witness"]).exits(2).says("log_policy_missing");
    home.examples().refund(0, &[]);
    let other = Home::new();
    other.examples().refund(0, &[]);
    let policy = home.write("policy", format!("log {}\nquorum none\n", key(&other)));
    home.nanohost(["log", "witness", "--log-policy", text(&policy)]).exits(2).says("log_policy_foreign");
    let policy = home.write("policy", format!("log {}\nquorum none\n", key(&home)));
    home.nanohost(["log", "witness", "--log-policy", text(&policy)]).exits(0).says("quorum `none` holds");
}

fn get(address: &str, path: &str) -> String {
    exchange(address, format!("GET {path} HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n").as_bytes())
}

/// What is answered to some bytes, as far as it comes.
fn exchange(address: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    // It may hang up before it has heard all.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn hostile_requests_are_answered_and_forgotten() {
    let log = Log::new(1);
    let address = log.witnesses[0].address();
    let post = |head: &str, body: &[u8]| {
        let head = format!("POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nConnection: close\r\n{head}\r\n");
        exchange(address, &[head.as_bytes(), body].concat())
    };
    let status = |answer: &str, expected: &str| {
        let found = answer.split(' ').nth(1).unwrap_or("none");
        assert!(expected.split('|').any(|status| status == found), "{expected}: {answer}");
    };
    status(&post("Content-Length: 0\r\n", b""), "400");
    status(&post("Content-Length: 6\r\n", b"old 0\n"), "400");
    status(&post("Content-Length: 2\r\n", b"\xff\xfe"), "400");
    status(&post("Content-Length: 1000000\r\n", &vec![b'a'; 1_000_000]), "413|none");
    status(&post("Transfer-Encoding: chunked\r\n", b"no size\r\n"), "400|none");
    status(&post("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", b"xyz"), "400|none");
    status(&post("Content-Length: 3\r\nContent-Length: 4\r\n", b"abcd"), "400");
    status(&post(&"X-A: b\r\n".repeat(65), b""), "400|431");
    status(&post(&format!("X-A: {}\r\n", "b".repeat(64 << 10)), b""), "400|431|none");
    status(&exchange(address, b"\x16\x03\x01\x02\x00\x01\x00"), "400|none");
    status(
        &exchange(address, b"GET /add-checkpoint HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n"),
        "405",
    );
    status(&get(address, "/"), "404");
    status(&get(address, "/../../etc/passwd"), "404");
    status(&get(address, &format!("/{}/checkpoint", "f".repeat(64))), "404");
    // Others are served while somebody holds connections and says nothing.
    let silent: Vec<TcpStream> = (0..32).map(|_| TcpStream::connect(address).expect("it listens")).collect();
    assert_eq!(log.outcomes(&log.ask(&log.policy("all"), 0)), ["signed"]);
    drop(silent);
}

/// A witness that nobody here wrote, and its policy line.
fn foreign(home: &Home, log: &str) -> (Witness, String) {
    let python = interop::witness_python();
    let config = home.path("witness.json");
    let call = |arguments: &[&str]| {
        let mut command = Command::new(&python);
        command
            .args(["-I", "-m", "aics_witness", arguments[0], "--config", text(&config)])
            .args(&arguments[1..]);
        command
    };
    let made = call(&["init", "--name", "foreign.example/w", "--listen", "127.0.0.1:0"]).output();
    let made = made.expect("the interpreter starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let key = String::from_utf8(made.stdout).expect("text").trim().to_owned();
    let origin = log.split('+').next().expect("a name");
    let added =
        call(&["add-log", "--origin", origin, "--vkey", log]).output().expect("the interpreter starts");
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    let mut serve = call(&["serve"]);
    let mut child =
        serve.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the interpreter starts");
    let mut said = BufReader::new(child.stderr.take().expect("it is piped"));
    let url = loop {
        let mut line = String::new();
        assert!(said.read_line(&mut line).expect("it is text") > 0, "it says where it listens");
        if let Some((_, url)) = line.split_once("listening on ") {
            break url.split(' ').next().expect("an address").to_owned();
        }
    };
    // It goes on to say what it does, and is not to wait for somebody who hears.
    std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
    let line = format!("witness foreign {key} {url}\n");
    (Witness { child, url, key }, line)
}

#[test]
fn a_witness_that_nobody_here_wrote_signs_and_refuses() {
    let log = Log::new(1);
    let outside = Home::new();
    let (foreign, line) = foreign(&outside, &key(&log.home));
    let ours = format!("witness ours {} {}\n", log.witnesses[0].key, log.witnesses[0].url);
    let policy = format!("log {}\n{ours}{line}group both all ours foreign\nquorum both\n", key(&log.home));
    let policy = log.home.write("policy", policy);
    log.ask(&policy, 0);
    let kept = log.home.path("kept");
    copy(&log.home.store(), &kept);
    let run = log.a_run();
    let document = log.ask(&policy, 0);
    assert_eq!(log.outcomes(&document), ["signed"; 2]);
    log.home
        .nanohost(["verify", &run, "--log-policy", text(&policy)])
        .exits(0)
        .says("ours at 2")
        .says(", foreign at 2");
    // Its verifier agrees on both, with a heartbeat under the head too.
    let beat =
        log.home.nanohost(["log", "heartbeat", "--log-policy", text(&policy), "--json"]).exits(0).json();
    let keys = log.home.nanohost(["log", "key", "--json"]).exits(0).json();
    let time = keys["timeKey"].as_str().expect("a key");
    for (document, more) in [(document, None), (beat, Some(time))] {
        let note = log.home.write("note", document["checkpoint"].as_str().expect("a note"));
        let mut verify = Command::new(interop::witness_python());
        verify.arg("-I").arg(Path::new(interop::INTEROP).join("verify_witnessed.py")).arg(note);
        verify.args([&key(&log.home), &foreign.key, &log.witnesses[0].key]).args(more);
        let verified = verify.output();
        let verified = verified.expect("the interpreter starts");
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    }
    // An older copy, and one that goes on otherwise.
    fs::remove_dir_all(log.home.store()).expect("it is there");
    copy(&kept, &log.home.store());
    assert_eq!(log.outcomes(&log.ask(&policy, 12)), ["ahead"; 2]);
    log.a_run();
    assert_eq!(log.outcomes(&log.ask(&policy, 12)), ["forked"; 2]);
    log.a_run();
    assert_eq!(log.outcomes(&log.ask(&policy, 12)), ["forked"; 2]);
}

/// An erasure, a hold and a change of keys are in the log that witnesses saw: an older copy of the store is
/// then another log than theirs.
#[test]
fn witnesses_are_shown_every_act() {
    let log = Log::new(1);
    let run = log.a_run();
    fs::copy(log.policy("all"), log.home.path("config/log.policy")).expect("it is writable");
    let old = log.home.nanohost(["key", "show", "--json"]).exits(0).json()["keyId"].clone();
    let old = old.as_str().expect("an id");
    for act in [
        &["hold", "add", &run, "--reason", "a case"][..],
        &["hold", "remove", "1"],
        &["erase", &run, "--reason", "asked"],
        &["key", "rotate", "--plain"],
        &["key", "retire", old],
    ] {
        log.home.nanohost(act).exits(0);
        let store = rusqlite::Connection::open(log.home.store().join("store.db")).expect("it opens");
        let note = "SELECT note FROM log_head WHERE name = 'witnessed'";
        let note: String = store.query_row(note, [], |row| row.get(0)).expect("there is one");
        let note: Note = note.parse().expect("a note");
        let head: Checkpoint = note.text().parse().expect("a head");
        assert_eq!(head.size, size(&log.home), "{act:?}");
    }
    // One that is not there loses no act.
    drop(log.witnesses);
    let done = log.home.nanohost(["hold", "add", &run, "--reason", "a case", "--json"]).exits(0);
    assert!(done.stderr.contains("not witnessed"), "{done}");
}

#[test]
fn a_gateway_shows_its_runs_to_witnesses() {
    let log = Log::new(1);
    log.a_run();
    fs::copy(log.policy("all"), log.home.path("config/log.policy")).expect("it is writable");
    let project = crate::tool::Project::new(&log.home);
    let (program, policy) = (project.path("book.toml"), project.path("policies/local.toml"));
    let text = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
    let mut client =
        crate::mcp_client::Client::start(&log.home, &[&text(&program), "--policy", &text(&policy)]);
    client.gives("bookkeeping", serde_json::json!({}));
    crate::harness::eventually("the head under the witness", || {
        let store = rusqlite::Connection::open(log.home.store().join("store.db")).ok()?;
        let note = "SELECT note FROM log_head WHERE name = 'witnessed'";
        let note: String = store.query_row(note, [], |row| row.get(0)).ok()?;
        let head: Checkpoint = note.parse::<Note>().ok()?.text().parse().ok()?;
        (head.size == size(&log.home)).then_some(())
    });
    // What comes last is shown before the process ends.
    client.gives("bookkeeping", serde_json::json!({}));
    let (_, code) = client.close();
    assert_eq!(code, Some(0));
    let store = rusqlite::Connection::open(log.home.store().join("store.db")).expect("it opens");
    let note = "SELECT note FROM log_head WHERE name = 'witnessed'";
    let note: String = store.query_row(note, [], |row| row.get(0)).expect("there is one");
    let head: Checkpoint = note.parse::<Note>().expect("a note").text().parse().expect("a head");
    assert_eq!(head.size, size(&log.home));
}
