//! The log over all runs: its head, its proofs, its mirror, and what is found when a hand was in it.

use std::fs;
use std::path::Path;

use nanohost_core::Digest;
use nanohost_core::log::note::NoteVerifier;
use nanohost_core::log::{Checkpoint, Frontier, Note, tree};

use crate::database::execute;
use crate::harness::Home;
use crate::interop;

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// The id of a run of the refund example.
fn a_run(home: &Home) -> String {
    home.examples().refund(0, &[])["run"].as_str().expect("an id").to_owned()
}

fn key(home: &Home) -> String {
    home.nanohost(["log", "key"]).exits(0).stdout.trim().to_owned()
}

fn checkpoint(home: &Home) -> Checkpoint {
    let note: Note = home.nanohost(["log", "checkpoint"]).exits(0).stdout.parse().expect("a note");
    let key: NoteVerifier = key(home).parse().expect("a key");
    Checkpoint::open(&note, &key).expect("the log signed it")
}

/// Copies a folder of files and folders.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the folder can be made");
    for entry in fs::read_dir(from).expect("it is there") {
        let entry = entry.expect("it lists");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("it has a type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("it can be copied");
        }
    }
}

#[test]
fn a_run_stands_in_the_log_of_its_store() {
    let home = Home::new();
    let first = a_run(&home);
    let one = checkpoint(&home);
    let second = a_run(&home);
    let two = checkpoint(&home);
    assert!(two.size > one.size && two.origin == one.origin);
    for run in [&first, &second] {
        let report = home.nanohost(["verify", run, "--json"]).exits(0).json();
        let check = report["checks"].as_array().expect("a list").iter().find(|check| check["name"] == "log");
        assert_eq!(check.expect("it is listed")["result"], "pass", "{report}");
    }
    let document = home.nanohost(["log", "fsck", "--json"]).exits(0).json();
    assert_eq!((&document["good"], &document["size"]), (&true.into(), &two.size.into()));
    home.nanohost(["log", "fsck"]).exits(0).says("whole");
    let grown = home.nanohost(["log", "prove", "--since", &one.size.to_string()]).exits(0).stdout;
    let (proof, _) = grown.split_once("\n\n").expect("a checkpoint follows");
    let mut lines = proof.lines();
    assert_eq!(lines.next(), Some(format!("old {}", one.size).as_str()));
    let proof: Vec<Digest> = lines.map(from_base64).collect();
    assert_eq!(tree::check_consistency((one.size, &one.root), (two.size, &two.root), &proof), Ok(()));
    home.nanohost(["log", "prove", "--since", "100000"]).exits(12).says("log_shorter");
}

fn from_base64(text: &str) -> Digest {
    let document = format!("x\n1\n{text}\n");
    document.parse::<Checkpoint>().expect("a hash in base64").root
}

#[test]
fn an_outsider_checks_that_an_exported_run_was_logged() {
    let home = Home::new();
    let (run, other) = (a_run(&home), a_run(&home));
    let (export, proof, of_other) = (home.path("run.jsonl"), home.path("run.tlog-proof"), home.path("other"));
    home.nanohost(["export", &run, "-o", text(&export)]).exits(0);
    home.nanohost(["log", "prove", &run, "-o", text(&proof)]).exits(0);
    home.nanohost(["log", "prove", &other, "-o", text(&of_other)]).exits(0);
    home.nanohost(["log", "prove", &run, "--envelope", "0"]).exits(0).says("index 0");
    home.nanohost(["log", "prove", &run, "--envelope", "999"]).exits(2).says("not_logged");
    let (key, trust) = (key(&home), home.public_key());

    let auditor = Home::new();
    let verify = |proof: &Path, key: &str| {
        let arguments = ["verify", text(&export), "--trust", text(&trust), "--log-proof", text(proof)];
        auditor.nanohost([&arguments[..], &["--log-key", key]].concat())
    };
    verify(&proof, &key).exits(0).says("VERIFIED").says("stands at index");
    verify(&of_other, &key).exits(10).says("not shown to stand in the log");
    let strange = Home::new();
    a_run(&strange);
    let stranger = strange.nanohost(["log", "key"]).exits(0).stdout.trim().to_owned();
    verify(&proof, &stranger).exits(10).says("another log");
    verify(&proof, "nobody").exits(2);
    let cut = home.path("cut");
    fs::write(&cut, "c2sp.org/tlog-proof@v1\n").expect("it can be written");
    verify(&cut, &key).exits(2).says("proof_invalid");
    verify(&home.path("absent"), &key).exits(2).says("proof_unreadable");
    // Without a proof nothing is said of the log.
    let without = ["verify", text(&export), "--trust", text(&trust)];
    auditor.nanohost(without).exits(0).says("only where the log is");
}

#[test]
fn a_mirror_has_all_that_its_checkpoint_says() {
    let home = Home::new();
    let run = a_run(&home);
    let folder = home.path("mirror");
    fs::create_dir(&folder).expect("it can be made");
    let document = home.nanohost(["log", "export", "-o", text(&folder), "--json"]).exits(0).json();
    let head = checkpoint(&home);
    assert_eq!(document["size"], head.size);
    let note = fs::read_to_string(folder.join("checkpoint")).expect("it is there");
    assert_eq!(note.parse::<Note>().expect("a note").text(), head.to_string());
    // Everybody can compute the head from the entries, and from the hashes.
    let bundle = fs::read(folder.join(format!("tile/entries/000.p/{}", head.size))).expect("it is there");
    let hashes = fs::read(folder.join(format!("tile/0/000.p/{}", head.size))).expect("it is there");
    let (mut frontier, mut rest, mut leaves) = (Frontier::default(), &bundle[..], Vec::new());
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (entry, after) = after.split_at(usize::from(u16::from_be_bytes(*length)));
        frontier.push(tree::leaf(entry), |_, _| ());
        leaves.extend_from_slice(tree::leaf(entry).as_bytes());
        rest = after;
    }
    assert_eq!((frontier.size(), frontier.root()), (head.size, head.root));
    assert_eq!(leaves, hashes);

    // So it can with code that nobody here wrote.
    let proof = home.path("run.tlog-proof");
    home.nanohost(["log", "prove", &run, "-o", text(&proof)]).exits(0);
    let output = interop::verify_log(&folder, &key(&home), &proof);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let bundle = folder.join(format!("tile/entries/000.p/{}", head.size));
    let mut bytes = fs::read(&bundle).expect("it is there");
    bytes[10] ^= 1;
    fs::write(&bundle, bytes).expect("it can be written");
    assert!(!interop::verify_log(&folder, &key(&home), &proof).status.success());
}

/// Two runs; the second changed by `edit`, in the rows of the log too. What `fsck` then says, and
/// `verify` of the second run.
#[track_caller]
fn found(edit: &str, fsck: i32, verify: i32, says: &str) {
    let home = Home::new();
    let (first, second) = (a_run(&home), a_run(&home));
    home.nanohost(["log", "fsck"]).exits(0);
    execute(&home, &format!("PRAGMA foreign_keys = OFF; {}", edit.replace("RUN", &format!("'{second}'"))));
    home.nanohost(["log", "fsck"]).exits(fsck).says(says);
    let done = home.nanohost(["verify", &second]);
    assert!(if verify == 2 { done.code == Some(2) } else { matches!(done.code, Some(10 | 11)) }, "{done}");
    // Whose the envelopes were that are gone nobody can tell: the run before them does not pass either.
    let done = home.nanohost(["verify", &first]);
    assert!(matches!(done.code, Some(10 | 11)), "{done}");
}

/// The number of the run's last envelope.
const LAST: &str = "(SELECT max(seq) FROM envelope WHERE run = RUN)";

#[test]
fn an_envelope_that_was_cut_off_is_missed() {
    // The listing agrees with the cut: only the log tells.
    let cut = format!(
        "UPDATE run SET phase = 'open', status = NULL WHERE id = RUN; DELETE FROM content WHERE run = RUN AND seq = {LAST}; \
         DELETE FROM envelope WHERE run = RUN AND seq = {LAST}; UPDATE run SET len = len - 1 WHERE id = RUN"
    );
    found(&cut, 11, 11, "is not in the store");
}

#[test]
fn an_end_that_was_cut_out_of_the_log_too_is_missed() {
    // Whose entry is whose is said by rows that nobody signs; the head over them is.
    let cut = "DELETE FROM log_entry WHERE run = RUN AND seq >= 4; DELETE FROM content WHERE run = RUN AND seq >= 4; \
         DELETE FROM envelope WHERE run = RUN AND seq >= 4; \
         UPDATE run SET phase = 'open', status = NULL, len = 4 WHERE id = RUN";
    let home = Home::new();
    let (first, second) = (a_run(&home), a_run(&home));
    a_run(&home);
    let cut = cut.replace("RUN", &format!("'{first}'"));
    let head = crate::database::digest_of_envelope(&home, &first, 3);
    execute(
        &home,
        &format!("PRAGMA foreign_keys = OFF; {cut}; UPDATE run SET last = X'{head}' WHERE id = '{first}'"),
    );
    home.nanohost(["verify", &first]).exits(11).says("what follows it in the log");
    home.nanohost(["recover", &first]).exits(11).says("evidence_bad");
    home.nanohost(["verify", &second]).exits(0);
    home.nanohost(["log", "fsck"]).exits(11).says("is not there");
}

#[test]
fn a_run_that_was_removed_is_missed() {
    let gone = "DELETE FROM content WHERE run = RUN; DELETE FROM envelope WHERE run = RUN; DELETE FROM run WHERE id = RUN";
    found(gone, 11, 2, "is not in the store");
}

#[test]
fn entries_that_were_removed_too_are_missed() {
    let cut = format!("DELETE FROM log_entry WHERE run = RUN AND seq >= {LAST} - 1");
    found(&cut, 10, 10, "the signed head is of");
}

#[test]
fn a_node_that_was_changed_is_found() {
    found("UPDATE log_node SET hash = zeroblob(32)", 10, 10, "the kept hash of node 0/0");
}

#[test]
fn a_head_that_was_changed_is_found() {
    let older = "UPDATE log_head SET note = replace(note, char(10) || '2', char(10) || '1')";
    found(older, 10, 10, "signed head");
    found("DELETE FROM log_head", 11, 10, "no head of the log is signed");
}

#[test]
fn an_older_copy_of_the_store_is_rolled_back() {
    let home = Home::new();
    let first = a_run(&home);
    let (state, kept) = (home.path("state.json"), home.path("kept"));
    copy(&home.store(), &kept);
    a_run(&home);
    home.nanohost(["log", "fsck", "--state", text(&state)]).exits(0);
    fs::remove_dir_all(home.store()).expect("it is there");
    copy(&kept, &home.store());
    // By itself the older copy is whole.
    home.nanohost(["log", "fsck"]).exits(0);
    home.nanohost(["verify", &first]).exits(0);
    home.nanohost(["log", "fsck", "--state", text(&state)]).exits(12).says("rolled back: the log had");
    home.nanohost(["verify", &first, "--state", text(&state)]).exits(12).says("the log had");
    // It goes on to as many entries as were seen, which are others.
    a_run(&home);
    a_run(&home);
    home.nanohost(["log", "fsck"]).exits(0);
    home.nanohost(["log", "fsck", "--state", text(&state)])
        .exits(12)
        .says("another one than was seen before");
    home.nanohost(["verify", &first, "--state", text(&state)]).exits(12);
}

/// Another history, longer than the one that was seen, under a new name: whatever the act says was known.
#[test]
fn a_fork_is_no_succession() {
    let home = Home::new();
    let first = a_run(&home);
    home.nanohost(["hold", "add", &first, "--reason", "a case"]).exits(0);
    let (state, kept) = (home.path("state.json"), home.path("kept"));
    copy(&home.store(), &kept);
    a_run(&home);
    home.nanohost(["log", "fsck", "--state", text(&state)]).exits(0);
    fs::remove_dir_all(home.store()).expect("it is there");
    copy(&kept, &home.store());
    a_run(&home);
    a_run(&home);
    let list = home.path("config/acts.log");
    let listed = fs::read_to_string(&list).expect("it is there");
    let (before, after) = listed.split_once("\"size\":").expect("a size");
    let after = after.trim_start_matches(|digit: char| digit.is_ascii_digit());
    fs::write(&list, format!("{before}\"size\":9000{after}")).expect("it can be written");
    home.nanohost(["key", "rotate", "--log"]).exits(0);
    for _ in 0..2 {
        let other = "the log is another one than";
        home.nanohost(["log", "fsck", "--state", text(&state)]).exits(12).says(other);
        home.nanohost(["verify", &first, "--state", text(&state)]).exits(12).says(other);
    }
}

/// One file can remember several logs; one that it does not is named as such, once.
#[test]
fn another_log_is_seen_for_the_first_time() {
    let (home, other) = (Home::new(), Home::new());
    let runs = [a_run(&home), a_run(&other)];
    let state = home.path("state.json");
    let fsck = ["log", "fsck", "--state", text(&state)];
    let first = home.nanohost(fsck).exits(0);
    assert!(!first.stdout.contains("first seen"), "{first}");
    let said = "this log is seen for the first time; remembered are: nanohost-log/";
    let again = home.path("again.json");
    fs::copy(&state, &again).expect("it is there");
    other.nanohost(["verify", &runs[1], "--state", text(&again)]).exits(0).says(said);
    fs::copy(&state, &again).expect("it is there");
    let document = other.nanohost(["log", "fsck", "--state", text(&again), "--json"]).exits(0).json();
    assert_eq!(document["firstSeenBeside"].as_array().map(Vec::len), Some(1), "{document}");
    other.nanohost(fsck).exits(0).says(&format!("first seen: {said}"));
    for home in [&home, &other] {
        let known = home.nanohost(fsck).exits(0);
        assert!(!known.stdout.contains("first seen"), "{known}");
    }
}

#[test]
fn without_a_store_there_is_no_log() {
    let home = Home::new();
    for command in ["checkpoint", "key", "fsck"] {
        home.nanohost(["log", command]).exits(5).says("no_store");
    }
    home.nanohost(["log", "prove"]).exits(2);
}

#[test]
fn a_run_that_was_seen_and_is_gone_is_rolled_back() {
    let home = Home::new();
    let (first, second) = (a_run(&home), a_run(&home));
    let state = home.path("state.json");
    for run in [&first, &second] {
        home.nanohost(["verify", run, "--state", text(&state)]).exits(0);
    }
    // The row alone: no command finds the run any more.
    let gone = format!("PRAGMA foreign_keys = OFF; DELETE FROM run WHERE id = '{second}'");
    execute(&home, &gone);
    home.nanohost(["verify", &second[..12], "--state", text(&state)]).exits(12).says("run_gone");
    home.nanohost(["verify", &second]).exits(2).says("unknown_run");
    home.nanohost(["log", "fsck"]).exits(11).says("is not in the store");
    home.nanohost(["verify", "ffffffffffff", "--state", text(&state)]).exits(2).says("unknown_run");
    home.nanohost(["verify", &first, "--state", text(&state)]).exits(11);
}

#[test]
fn a_mirror_only_grows() {
    let home = Home::new();
    a_run(&home);
    let (mirror, kept) = (home.path("mirror"), home.path("kept"));
    copy(&home.store(), &kept);
    fs::create_dir(&mirror).expect("it can be made");
    let export = |home: &Home| home.nanohost(["log", "export", "-o", text(&mirror)]);
    export(&home).exits(0);
    a_run(&home);
    export(&home).exits(0);
    let newest = fs::read(mirror.join("checkpoint")).expect("it is there");
    let other = Home::new();
    a_run(&other);
    export(&other).exits(12).says("another log");
    fs::remove_dir_all(home.store()).expect("it is there");
    copy(&kept, &home.store());
    export(&home).exits(12).says("mirror_ahead");
    a_run(&home);
    a_run(&home);
    export(&home).exits(12).says("others than the log's");
    assert_eq!(fs::read(mirror.join("checkpoint")).expect("it is there"), newest);
}

#[test]
fn a_proof_that_does_not_hold_is_not_handed_out() {
    let home = Home::new();
    let run = a_run(&home);
    // Not at the edge, where the log itself looks before it grows.
    execute(&home, "UPDATE log_node SET hash = zeroblob(32) WHERE level = 0 AND place = 2");
    home.nanohost(["log", "prove", &run, "--envelope", "3"]).exits(10).says("log_damaged");
    home.nanohost(["log", "prove", "--since", "3"]).exits(10).says("log_damaged");
    let mirror = home.path("mirror");
    fs::create_dir(&mirror).expect("it can be made");
    home.nanohost(["log", "export", "-o", text(&mirror)]).exits(10).says("log_damaged");
    home.nanohost(["log", "prove", &run, "--envelope", "6"]).exits(0);
}

#[test]
fn nothing_is_signed_on_top_of_a_damaged_log() {
    let home = Home::new();
    a_run(&home);
    execute(&home, "UPDATE log_node SET hash = zeroblob(32)");
    let program = home.examples().path("refund/program.toml");
    home.nanohost(["run", "-q", text(&program)]).exits(5).says("store_corrupt");
    home.nanohost(["log", "checkpoint"]).exits(5).says("store_corrupt");
}
