//! Older copies of a store where the list of acts, or the head of them, is gone too: nobody serves from one
//! unless somebody says so, and that stays.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::database;
use crate::harness::{Done, Home, copy};

const CARD: &str = "4111 1111 1111 1111";

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn run(home: &Home) -> String {
    let wrote = format!("request=My card {CARD} was charged, money back please");
    let document = home.examples().refund(0, &[&wrote]);
    document["run"].as_str().expect("an id").to_owned()
}

/// Puts a copy of the store in its place.
fn put_back(home: &Home, kept: &str) {
    fs::remove_dir_all(home.store()).expect("it is there");
    copy(&home.path(kept), &home.store());
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
    };
    mode(&home.store(), 0o700);
    for entry in fs::read_dir(home.store()).expect("it lists").flatten().map(|entry| entry.path()) {
        mode(&entry, if entry.is_dir() { 0o700 } else { 0o600 });
    }
}

/// Everything that would show what was erased, or go on from it.
fn nobody_serves(home: &Home, gone: &str, exit: i32, code: &str) {
    for command in [
        &["trace", gone, "--json", "--reveal"][..],
        &["list", "--json"],
        &["log", "checkpoint", "--json"],
        &["erase", gone, "--reason", "asked", "--json"],
        &["store", "catch-up", "--json"],
    ] {
        home.nanohost(command).omits(CARD).finds(exit, code);
    }
    home.examples().run("refund/program.toml", &["--json"]).finds(exit, code);
    home.nanohost(["store", "doctor", "--json"]).exits(exit).says(code);
}

/// A store from before an erasure, in the place of the store.
fn older() -> (Home, String) {
    let home = Home::new();
    let gone = run(&home);
    copy(&home.store(), &home.path("kept"));
    home.nanohost(["hold", "add", &gone, "--reason", "a case", "--json"]).exits(0);
    home.nanohost(["hold", "remove", "1", "--json"]).exits(0);
    home.nanohost(["erase", &gone, "--reason", "asked", "--json"]).exits(0);
    put_back(&home, "kept");
    (home, gone)
}

#[test]
fn an_older_copy_is_refused_though_the_list_is_gone() {
    let (home, gone) = older();
    let (list, head) = (home.path("config/acts.log"), home.acts_head());
    let (listed, kept) = (fs::read(&list).expect("it is listed"), fs::read(&head).expect("it is kept"));
    // Nothing is left of the list, or only its first act.
    fs::remove_file(&list).expect("it goes");
    nobody_serves(&home, &gone, 12, "acts_lost");
    let first = listed.iter().position(|byte| *byte == b'\n').expect("a line");
    fs::write(&list, &listed[..=first]).expect("it is writable");
    home.nanohost(["trace", &gone, "--json", "--reveal"]).omits(CARD).finds(12, "store_behind");
    for _ in 0..2 {
        home.nanohost(["store", "catch-up", "--json"]).finds(12, "acts_lost");
    }
    // The head is gone as well.
    fs::remove_file(&list).expect("it goes");
    put_back(&home, "kept");
    fs::remove_file(&head).expect("it goes");
    nobody_serves(&home, &gone, 5, "acts_head_missing");
    // Whose the log is does not hang on the file of its public key.
    fs::remove_file(home.path("config/keys/log.pub.pem")).expect("it goes");
    home.nanohost(["trace", &gone, "--json", "--reveal"]).omits(CARD).finds(5, "acts_head_missing");
    nobody_serves(&home, &gone, 5, "acts_head_missing");
    // A stray file among the keys of logs is none of them.
    home.write("config/keys/logs/.stray", "x");
    // A pipe in the place of the head keeps nobody waiting.
    let fifo = std::process::Command::new("mkfifo").arg(&head).status().expect("it starts");
    assert!(fifo.success());
    nobody_serves(&home, &gone, 5, "acts_head_bad");
    fs::remove_file(&head).expect("it goes");
    // Another one in its place: of more than there is, by nobody, empty.
    let text = String::from_utf8(kept.clone()).expect("it is text");
    for bad in [text.replace("\n3\n", "\n0\n"), text.replace('\u{2014}', "-"), String::new()] {
        fs::write(&head, bad).expect("it is writable");
        nobody_serves(&home, &gone, 5, "acts_head_bad");
    }
    // With both of them it is brought up to what was.
    fs::write(&head, &kept).expect("it is writable");
    fs::write(&list, &listed).expect("it is writable");
    home.nanohost(["store", "catch-up"]).exits(0).says("3 acts");
    home.nanohost(["trace", &gone, "--json", "--reveal"]).exits(0).omits(CARD);
    assert_eq!(fs::read(&head).expect("it is there"), kept, "nothing new is known");
}

#[test]
fn a_list_that_is_gone_is_made_again_where_the_head_says_that_nothing_is_lost() {
    let home = Home::new();
    let gone = run(&home);
    home.nanohost(["erase", &gone, "--reason", "asked", "--json"]).exits(0);
    let list = home.path("config/acts.log");
    let listed = fs::read(&list).expect("it is listed");
    fs::remove_file(&list).expect("it goes");
    home.nanohost(["store", "catch-up", "--json"]).exits(0);
    let again = fs::read(&list).expect("it is there");
    assert_eq!(again.len(), listed.len());
    // A head that is gone is not: who can take it away can put an older copy back.
    fs::remove_file(home.acts_head()).expect("it goes");
    home.nanohost(["trace", &gone, "--json"]).finds(5, "acts_head_missing");
}

/// Who goes on says so in an act, whatever is gone; and not where nothing is.
#[test]
fn whoever_goes_on_after_a_loss_says_so_for_ever() {
    for head_too in [false, true] {
        let (home, gone) = older();
        fs::remove_file(home.path("config/acts.log")).expect("it goes");
        if head_too {
            fs::remove_file(home.acts_head()).expect("it goes");
        }
        let catch_up = ["store", "catch-up", "--acts-lost"];
        home.nanohost([&catch_up[..], &["--json"]].concat()).exits(2);
        let said =
            [&catch_up[..], &["--reason", "the disk of the keys broke", "--as", "lea", "--json"]].concat();
        home.nanohost(&said).exits(0);
        home.nanohost(&said).finds(2, "acts_not_lost");
        home.nanohost(["trace", &gone, "--json", "--reveal"]).exits(0).says(CARD);
        home.nanohost(["store", "doctor"]).exits(0);
        home.nanohost(["log", "fsck"]).exits(0);
        let acts = database::envelopes_of(&home, &database::acts(&home));
        assert_eq!(acts.len(), 1);
        let payload = |bytes: &[u8]| {
            nanohost_core::dsse::Unverified::parse(bytes).expect("an envelope").payload().to_vec()
        };
        let act: serde_json::Value = serde_json::from_slice(&payload(&acts[0])).expect("JSON");
        let act = &act["predicate"]["act"];
        assert_eq!(
            (&act["kind"], &act["known"]["acts"]),
            (&"loss".into(), &if head_too { serde_json::Value::Null } else { 3.into() })
        );
        // What was erased since is erased again, and stays gone.
        home.nanohost(["erase", &gone, "--reason", "asked", "--json"]).exits(0);
        put_back(&home, "kept");
        home.nanohost(["store", "catch-up", "--json"]).exits(0);
        home.nanohost(["trace", &gone, "--json", "--reveal"]).exits(0).omits(CARD);
    }
}

#[test]
fn a_copy_is_restored_without_the_list_only_where_somebody_says_so() {
    let home = Home::new();
    let gone = run(&home);
    let (copied, keys) = (home.path("copy"), home.path("copied-keys"));
    home.nanohost(["store", "backup", text(&copied), "--keys", text(&keys), "--json"]).exits(0);
    home.nanohost(["erase", &gone, "--reason", "asked", "--json"]).exits(0);
    fs::remove_dir_all(home.store()).expect("it is there");
    fs::remove_file(home.path("config/acts.log")).expect("it goes");
    let restore = |more: &[&str]| -> Done {
        home.nanohost([&["store", "restore", text(&copied), "--keys", text(&keys), "--json"], more].concat())
    };
    restore(&[]).finds(12, "acts_lost");
    assert!(!home.store().exists(), "nothing was put there");
    restore(&["--acts-lost", "the list broke"]).exits(0);
    home.nanohost(["store", "doctor"]).exits(0);
}

/// Whoever has another's store and not the keys of its log keeps no heads of it, and reads it.
#[test]
fn an_auditor_reads_a_store_that_is_not_theirs() {
    let (home, auditor) = (Home::new(), Home::new());
    let first = run(&home);
    home.nanohost(["erase", &first, "--reason", "asked", "--json"]).exits(0);
    run(&auditor);
    let theirs = home.store();
    let trust = home.path("trust.toml");
    home.nanohost(["key", "export", "-o", text(&trust)]).exits(0);
    auditor.nanohost(["verify", &first, "--store", text(&theirs), "--trust", text(&trust)]).exits(0);
}

/// A hold on a run that the copy lacks lies on nothing there, and its number is nobody else's; one that lies is
/// told with the time of its act.
#[test]
fn a_hold_keeps_its_number_and_its_time() {
    let home = Home::new();
    let kept = run(&home);
    copy(&home.store(), &home.path("kept"));
    let later = run(&home);
    home.nanohost(["hold", "add", &kept, "--reason", "a case", "--json"]).exits(0);
    home.nanohost(["hold", "add", &later, "--reason", "a case", "--json"]).exits(0);
    let listed = || home.nanohost(["hold", "list", "--json"]).exits(0).json()["holds"].clone();
    let before = listed();
    put_back(&home, "kept");
    home.nanohost(["store", "catch-up", "--json"]).exits(0);
    let after = listed();
    assert_eq!((&after[0]["since"], &after[1]), (&before[0]["since"], &serde_json::Value::Null));
    let next = home.nanohost(["hold", "add", &kept, "--reason", "another", "--json"]).exits(0).json();
    assert_eq!(next["hold"], 3);
}

/// What somebody saw of the log is held against a copy before anything is put in place.
#[test]
fn a_copy_that_has_less_than_was_seen_is_an_older_one() {
    let home = Home::new();
    let first = run(&home);
    let (copied, keys) = (home.path("copy"), home.path("copied-keys"));
    home.nanohost(["store", "backup", text(&copied), "--keys", text(&keys), "--json"]).exits(0);
    let [then, now] = ["then.json", "now.json"].map(|name| home.path(name));
    home.nanohost(["log", "fsck", "--state", text(&then)]).exits(0);
    run(&home);
    home.nanohost(["log", "fsck", "--state", text(&now)]).exits(0);
    fs::remove_dir_all(home.store()).expect("it is there");
    let restore = |more: &[&str]| -> Done {
        home.nanohost([&["store", "restore", text(&copied), "--keys", text(&keys), "--json"], more].concat())
    };
    // No act has said how far the log reached.
    restore(&["--state", text(&now)]).finds(12, "backup_older");
    assert!(!home.store().exists(), "nothing was put there");
    restore(&["--state", text(&now), "--older"]).exits(0);
    home.nanohost(["log", "fsck", "--state", text(&now)]).exits(12);
    // A copy of what went another way from there is as long as what was seen, and no older copy of it.
    run(&home);
    let (forked, of_forked) = (home.path("forked"), home.path("forked-keys"));
    home.nanohost(["store", "backup", text(&forked), "--keys", text(&of_forked), "--json"]).exits(0);
    fs::remove_dir_all(home.store()).expect("it is there");
    let other =
        ["store", "restore", text(&forked), "--keys", text(&of_forked), "--json", "--state", text(&now)];
    home.nanohost([&other[..], &["--older"]].concat()).finds(12, "backup_other");
    assert!(!home.store().exists(), "nothing was put there");
    restore(&["--state", text(&then)]).exits(0);
    home.nanohost(["verify", &first]).exits(0);
}

/// The page for auditors, and its document, name the holds that lie on a run.
#[test]
fn the_report_names_legal_holds() {
    let home = Home::new();
    let held = run(&home);
    let report = || home.nanohost(["report", &held, "--json"]).exits(0).json()["holds"].clone();
    assert_eq!(report(), serde_json::json!([]));
    for who in ["lea", "mira"] {
        home.nanohost(["hold", "add", &held, "--reason", "a case", "--as", who, "--json"]).exits(0);
    }
    home.nanohost(["hold", "remove", "1", "--json"]).exits(0);
    let holds = report();
    assert_eq!(
        (&holds[0]["hold"], &holds[0]["principal"], &holds[1]),
        (&2.into(), &"mira".into(), &serde_json::Value::Null)
    );
    let page = home.path("report.html");
    home.nanohost(["report", &held, "-o", text(&page)]).exits(0);
    let page = fs::read_to_string(page).expect("it is written");
    assert!(page.contains("Hold 2, since ") && page.contains("by mira (act 1)"), "{page}");
}
