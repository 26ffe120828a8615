//! What somebody outside is given, and remembers: files, proofs of the log, a trust file; and what they are
//! told where the log, or a key, has changed since.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::{Done, Home, copy};

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn a_run(home: &Home) -> String {
    home.examples().refund(0, &[])["run"].as_str().expect("an id").to_owned()
}

/// Hands over a run as a file, with a trust file.
fn handed_over(home: &Home, run: &str) -> (PathBuf, PathBuf) {
    let (file, trust) = (home.path(format!("{run}.jsonl")), home.path("trust.toml"));
    home.nanohost(["export", run, "-o", text(&file)]).exits(0);
    let _ = fs::remove_file(&trust);
    home.nanohost(["key", "export", "-o", text(&trust)]).exits(0);
    (file, trust)
}

fn proof(home: &Home, run: &str, name: &str, more: &[&str]) -> PathBuf {
    let path = home.path(name);
    home.nanohost([&["log", "prove", run, "-o", text(&path)], more].concat()).exits(0);
    path
}

#[test]
fn a_file_and_its_proof_remember_the_head_of_the_log() {
    let (home, auditor) = (Home::new(), Home::new());
    let run = a_run(&home);
    let (file, trust) = handed_over(&home, &run);
    let state = auditor.path("state.json");
    let verify = |proof: &Path, more: &[&str]| -> Done {
        let asked = [
            "verify",
            text(&file),
            "--trust",
            text(&trust),
            "--state",
            text(&state),
            "--log-proof",
            text(proof),
        ];
        auditor.nanohost([&asked[..], more].concat())
    };
    let early = proof(&home, &run, "early", &[]);
    verify(&early, &[]).exits(0).says("the log is seen for the first time, and remembered");
    verify(&early, &[]).exits(0).says("the log is the one that was seen");
    let seen = home.nanohost(["log", "checkpoint", "--json"]).exits(0).json()["size"].to_string();
    copy(&home.store(), &home.path("kept"));
    // It grew, and nothing shows that it did nothing else.
    a_run(&home);
    let later = proof(&home, &run, "later", &[]);
    verify(&later, &[]).exits(0).says("NOT CHECKED (--log-growth)");
    let growth = home.path("growth");
    home.nanohost(["log", "prove", "--since", &seen, "-o", text(&growth)]).exits(0);
    verify(&later, &["--log-growth", text(&growth)]).exits(0).says("the log is the one that was seen");
    // What is remembered is the later one now; the earlier one is no fault, and no news.
    verify(&later, &[]).exits(0).says("the log is the one that was seen");
    verify(&early, &[]).exits(0).says("NOT CHECKED (--log-growth)");
    verify(&early, &["--log-growth", text(&growth)]).exits(0).says("the log is the one that was seen");
    // A proof about other heads shows nothing of these, and is not passed over.
    a_run(&home);
    let third = proof(&home, &run, "third", &[]);
    verify(&third, &["--log-growth", text(&growth)])
        .exits(12)
        .says("the proof that the log only grew is from");
    verify(&third, &[]).exits(0).says("NOT CHECKED (--log-growth)");
    // Another history of as many entries.
    fs::remove_dir_all(home.store()).expect("it is there");
    copy(&home.path("kept"), &home.store());
    a_run(&home);
    let forked = proof(&home, &run, "forked", &[]);
    verify(&forked, &[]).exits(12).says("the log is another one than was seen before");
    verify(&later, &[]).exits(0);
}

#[test]
fn a_trust_file_names_the_log_by_all_its_names() {
    let (home, auditor) = (Home::new(), Home::new());
    let first = a_run(&home);
    let old = home.nanohost(["key", "show", "--json"]).exits(0).json()["keyId"].clone();
    home.nanohost(["key", "rotate", "--plain"]).exits(0);
    home.nanohost(["key", "retire", old.as_str().expect("an id")]).exits(0);
    let early = proof(&home, &first, "early", &[]);
    home.nanohost(["key", "rotate", "--log"]).exits(0);
    let second = a_run(&home);
    let (file, trust) = handed_over(&home, &first);
    let (other, _) = handed_over(&home, &second);
    let verify = |file: &Path, proof: &Path| {
        auditor.nanohost(["verify", text(file), "--trust", text(&trust), "--log-proof", text(proof)])
    };
    verify(&file, &early).exits(0).says("log          pass");
    verify(&file, &proof(&home, &first, "late", &[])).exits(0).says("log          pass");
    verify(&other, &proof(&home, &second, "second", &[])).exits(0).says("log          pass");
    // Each name counts for its own part.
    let said = fs::read_to_string(&trust).expect("it is there");
    assert_eq!(said.matches("[[log]]").count(), 2, "{said}");
    let (calls, logs) = said.split_once("[[log]]").expect("the logs come last");
    let until = logs.lines().find(|line| line.starts_with("until = ")).expect("the old name has an end");
    let cut = logs.replace(until, "until = 1").replace(&until.replace("until", "from"), "from = 1");
    fs::write(&trust, format!("{calls}[[log]]{cut}")).expect("it is ours");
    verify(&file, &early).exits(2).says("log_key_unknown");
}

/// What the retired key signed has to stand where it counted, in a file too.
#[test]
fn a_run_that_another_key_ended_shows_where_its_own_key_signed() {
    let (home, auditor) = (Home::new(), Home::new());
    let waiting = home.examples().run_json("approval/program.toml", 4, &[]);
    let run = waiting["run"].as_str().expect("an id").to_owned();
    let listed = home.nanohost(["list", "--state", "suspended", "--json"]).exits(0).json();
    let own = listed["runs"][0]["envelopes"].as_u64().expect("a number") - 1;
    let old = home.nanohost(["key", "show", "--json"]).exits(0).json()["keyId"].clone();
    home.nanohost(["key", "rotate", "--plain"]).exits(0);
    home.nanohost(["key", "retire", old.as_str().expect("an id")]).exits(0);
    home.nanohost(["cancel", &run, "--reason", "its key leaked"]).exits(0);
    let (file, trust) = handed_over(&home, &run);
    let last = proof(&home, &run, "last", &[]);
    let before = proof(&home, &run, "before", &["--envelope", &own.to_string()]);
    let first = proof(&home, &run, "first", &["--envelope", "0"]);
    let verify = |trust: &Path, proofs: &[&Path]| -> Done {
        let mut asked = vec!["verify", text(&file), "--trust", text(trust)];
        proofs.iter().for_each(|proof| asked.extend(["--log-proof", text(proof)]));
        auditor.nanohost(asked)
    };
    verify(&trust, &[&last, &before]).exits(0).says("log          pass");
    verify(&trust, &[&before, &last]).exits(0);
    verify(&trust, &[&last]).exits(13).says("where the run stands there is not shown");
    verify(&trust, &[&last, &first]).exits(13);
    verify(&trust, &[&last, &before, &first]).exits(10).says("not shown to stand in the log");
    // A key that was given up before it signed that.
    let said = fs::read_to_string(&trust).expect("it is there");
    let until = said.lines().find(|line| line.starts_with("until = ")).expect("it was retired");
    let earlier = home.write("earlier.toml", said.replacen(until, "until = 1", 1));
    verify(&earlier, &[&last, &before]).exits(13).says("counts from 0 to before 1");
}

/// A policy that does not know the log's new name says so, and what to do.
#[test]
fn a_log_with_a_new_name_wants_a_new_line_in_the_policy() {
    let home = Home::new();
    let run = a_run(&home);
    let log = home.nanohost(["log", "key"]).exits(0).stdout.trim().to_owned();
    let witness = home.path("witness");
    let key = home.nanohost(["witness", "key", "--state", text(&witness)]).exits(0).stdout.trim().to_owned();
    let policy = home.write("policy", format!("log {log}\nwitness w {key} http://127.0.0.1:1/\nquorum w\n"));
    let verify = || home.nanohost(["verify", &run, "--log-policy", text(&policy)]);
    verify().exits(15).says("no head of the log that witnesses signed").says("log witness` asks them");
    home.nanohost(["key", "rotate", "--log"]).exits(0);
    verify().exits(15).says("the policy names no log nanohost-log/").says("add a `log` line");
    let now = home.nanohost(["log", "key"]).exits(0).stdout;
    let more = fs::read_to_string(&policy).expect("it is there").replacen('\n', &format!("\nlog {now}"), 1);
    fs::write(&policy, more).expect("it is ours");
    verify().exits(15).says("no head of the log that witnesses signed");
}

#[test]
fn all_keys_are_listed_with_what_they_are_for() {
    let home = Home::new();
    home.nanohost(["key", "list"]).exits(0).says("no keys");
    a_run(&home);
    let old = home.nanohost(["key", "show", "--json"]).exits(0).json()["keyId"].clone();
    let old = old.as_str().expect("an id");
    let passphrase = home.write("passphrase", "correct horse battery");
    fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o600)).expect("it is ours");
    home.nanohost(["key", "rotate", "--passphrase-file", text(&passphrase)]).exits(0);
    let row = |what: &str, state: &str| -> Value {
        let document = home.nanohost(["key", "list", "--json"]).exits(0).json();
        let rows = document["keys"].as_array().expect("rows").iter();
        let mut found = rows.filter(|row| row["what"] == what && row["state"] == state);
        found.next().unwrap_or_else(|| panic!("{what} that is {state}: {document:#}")).clone()
    };
    let made = row("made", "signs");
    assert_eq!((&made["encrypted"], &made["until"]), (&true.into(), &Value::Null));
    assert!(made["from"].as_u64().is_some_and(|from| from > 0), "{made}");
    let first = row("development", "finishes what it began");
    assert_eq!((&first["key"], &first["encrypted"], &first["from"]), (&old.into(), &false.into(), &0.into()));
    let with = |arguments: &[&str]| {
        let mut command = home.command(arguments);
        command.env("NANOHOST_KEY_PASSPHRASE_FILE", &passphrase);
        Done::of(command).exits(0)
    };
    with(&["key", "retire", old]);
    let retired = row("development", "retired");
    assert_eq!(
        retired["until"].as_u64(),
        home.nanohost(["log", "checkpoint", "--json"]).json()["size"].as_u64().map(|size| size - 1)
    );
    assert_eq!(row("log", "signs")["from"], 0);
    with(&["key", "rotate", "--log"]);
    let (before, now) = (row("log", "signed under an earlier name"), row("log", "signs"));
    assert_eq!(before["until"], now["from"]);
    assert!(Path::new(now["private"].as_str().expect("a path")).is_file());
    home.nanohost(["key", "list"]).exits(0).says("under a passphrase").says("retired").says("not encrypted");
    // One that is gone is said to be, and so is one that others can read.
    fs::rename(made["private"].as_str().expect("a path"), home.path("aside")).expect("it is there");
    home.nanohost(["key", "list"]).exits(0).says("its private half is gone");
}

#[test]
fn a_key_without_a_passphrase_has_no_old_one() {
    let home = Home::new();
    home.nanohost(["key", "new", "--plain"]).exits(0);
    let files = ["old", "new"].map(|name| home.write(name, "correct horse battery"));
    for file in &files {
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("it is ours");
    }
    let [old, new] = files.each_ref().map(|file| text(file));
    let change = ["key", "passphrase", "--passphrase-file", new, "--json"];
    home.nanohost([&change[..], &["--old-passphrase-file", old]].concat()).finds(2, "key_passphrase_wrong");
    home.nanohost(change).exits(0);
    home.nanohost([&change[..], &["--old-passphrase-file", old]].concat()).exits(0);
}

#[test]
fn runs_are_listed_by_their_state() {
    let home = Home::new();
    let done = a_run(&home);
    let waiting = home.examples().run_json("approval/program.toml", 4, &[])["run"].clone();
    let listed = |state: &str, more: &[&str]| -> Vec<Value> {
        let list = ["list", "--state", state, "--json"];
        let document = home.nanohost([&list[..], more].concat()).exits(0).json();
        document["runs"].as_array().expect("runs").iter().map(|run| run["run"].clone()).collect()
    };
    assert_eq!(listed("suspended", &[]), std::slice::from_ref(&waiting));
    assert_eq!(listed("success", &[]), [done.as_str()]);
    assert_eq!(listed("closed", &[]), [done.as_str()]);
    assert!(listed("open", &[]).is_empty() && listed("failed", &[]).is_empty());
    // Of what is asked of the evidence, too.
    assert_eq!(listed("closed", &["--principal", "local"]), [done.as_str()]);
    assert_eq!(listed("suspended", &["--principal", "local"]), [waiting]);
    home.nanohost(["list", "--state", "asleep", "--json"]).exits(2);
}

/// A policy beside which there are no programs was held against none, and nobody is told otherwise.
#[test]
fn a_policy_beside_no_program_is_not_said_to_be_sound() {
    let home = Home::new();
    let apart = home.write("mine.toml", "otherwise = \"abstain\"\n");
    home.nanohost(["policy", "check", text(&apart)]).exits(0).says("NO PROGRAM was looked at").omits("sound");
    let programs = home.examples().path("refund");
    let held = ["policy", "check", text(&apart), "--programs", text(&programs)];
    home.nanohost(held).exits(0).says("is sound: held against 1 program");
}
