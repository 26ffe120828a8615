//! Copies of a store, a store from a copy, and what the doctor finds.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use crate::database;
use crate::harness::{Done, Home, copy};

const CARD: &str = "4111 1111 1111 1111";

fn run(home: &Home) -> String {
    let wrote = format!("request=My card {CARD} was charged, money back please");
    let document = home.examples().refund(0, &[&wrote]);
    document["run"].as_str().expect("an id").to_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn restore(home: &Home, more: &[&str]) -> Done {
    let (copy, keys) = (home.path("copy"), home.path("copied-keys"));
    home.nanohost([&["store", "restore", text(&copy), "--keys", text(&keys), "--json"], more].concat())
}

/// The user's store, moved out of the way.
fn lost(home: &Home) {
    let aside = home.path(format!("lost-{}", fs::read_dir(home.path("")).map_or(0, Iterator::count)));
    fs::rename(home.store(), aside).expect("it can be moved");
}

fn doctor(home: &Home, exit: i32) -> Vec<String> {
    let document = home.nanohost(["store", "doctor", "--json"]).exits(exit).json();
    assert_eq!(document["good"], exit == 0, "{document:#}");
    let findings = document["findings"].as_array().expect("findings");
    assert!(findings.iter().all(|finding| finding["help"].is_string()), "{document:#}");
    findings.iter().filter_map(|finding| finding["code"].as_str().map(str::to_owned)).collect()
}

#[test]
fn a_copy_becomes_the_store_without_what_was_erased_since() {
    let home = Home::new();
    let (kept, gone) = (run(&home), run(&home));
    let (copy, keys) = (home.path("copy"), home.path("copied-keys"));
    let both = ["store", "backup", text(&copy), "--keys", text(&copy), "--json"];
    home.nanohost(both).finds(2, "backup_together");
    assert!(!copy.exists(), "what failed leaves nothing");
    home.nanohost(["store", "backup", text(&copy), "--keys", text(&keys)]).exits(0).says("apart");
    home.nanohost(["store", "backup", text(&copy), "--json"]).finds(2, "backup_there");
    let other = home.path("other");
    let twice = ["store", "backup", text(&other), "--keys", text(&keys), "--json"];
    home.nanohost(twice).finds(2, "backup_there");
    assert!(!other.exists() && keys.join("keys.db").exists(), "what was there stays, and nothing else");
    let bytes = fs::read(copy.join("store.db")).expect("it is there");
    assert!(!copy.join("keys.db").exists() && !copy.join("vault.key").exists());
    assert!(!bytes.windows(CARD.len()).any(|window| window == CARD.as_bytes()));
    for file in [copy.join("store.db"), keys.join("keys.db"), keys.join("vault.key")] {
        let mode = fs::metadata(&file).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
    restore(&home, &[]).finds(2, "restore_over");

    home.nanohost(["erase", &gone, "--reason", "asked", "--json"]).exits(0);
    lost(&home);
    // It is older than the list of erasures knows the log to be.
    restore(&home, &[]).finds(12, "backup_older");
    assert!(!home.store().exists(), "nothing was put there");
    let restored = restore(&home, &["--older"]).exits(0).json();
    assert_eq!(restored["runs"], 2);
    assert!(restored["erasedAgain"].as_u64().is_some_and(|again| again > 8), "{restored:#}");
    home.nanohost(["trace", &gone, "--json", "--reveal"]).exits(0).omits(CARD).says("[REDACTED_TOMBSTONE]");
    home.nanohost(["trace", &kept, "--json", "--reveal"]).exits(0).says(CARD);
    for run in [&kept, &gone] {
        home.nanohost(["verify", run]).exits(0);
    }
    assert_eq!(doctor(&home, 0), [""; 0]);
    run(&home);
}

/// A run whose values were erased one by one before the copy was made, and all of it after that: the copy
/// does not bring back what it wrote under keys.
#[test]
fn a_copy_brings_no_entry_back() {
    let home = Home::new();
    let gone = home.examples().refund(0, &[])["run"].as_str().expect("an id").to_owned();
    let dry = home.nanohost(["erase", &gone, "--reason", "asked", "--dry-run", "--json"]).exits(0).json();
    for value in dry["values"].as_array().expect("values") {
        let value = value.as_str().expect("a name");
        home.nanohost(["erase", value, "--reason", "asked", "--json"]).exits(0);
    }
    let (copy, keys) = (home.path("copy"), home.path("copied-keys"));
    home.nanohost(["store", "backup", text(&copy), "--keys", text(&keys)]).exits(0);
    assert!(!database::kv(&home).is_empty(), "what it wrote is still there");
    home.nanohost(["erase", &gone, "--reason", "asked", "--json"]).exits(0);
    assert!(database::kv(&home).is_empty());
    lost(&home);
    restore(&home, &["--older"]).exits(0);
    assert!(database::kv(&home).is_empty());
    home.nanohost(["verify", &gone]).exits(0);
}

/// Without the list nobody can tell whether the store is an older one.
#[test]
fn nothing_is_served_beside_a_list_that_nobody_can_read() {
    let home = Home::new();
    let gone = run(&home);
    home.nanohost(["erase", &gone, "--reason", "asked", "--json"]).exits(0);
    let list = home.path("config/acts.log");
    let good = fs::read(&list).expect("it is listed");
    for bad in ["{\n", "x\n", "{\"chain\":1}\n"] {
        fs::write(&list, bad).expect("it is ours");
        for command in [
            &["trace", &gone, "--json"][..],
            &["list", "--json"],
            &["hold", "list", "--json"],
            &["log", "checkpoint", "--json"],
            &["erase", &gone, "--reason", "asked", "--json"],
        ] {
            home.nanohost(command).finds(5, "acts_list_unreadable");
        }
        home.examples().run("refund/program.toml", &["--json"]).finds(5, "acts_list_unreadable");
    }
    fs::write(&list, &good).expect("it is ours");
    home.nanohost(["trace", &gone, "--json"]).exits(0);
    // What it lacks is listed again.
    fs::write(&list, &good[..good.len() / 2]).expect("it is ours");
    run(&home);
    assert_eq!(fs::read(&list).expect("it is there"), good);
}

/// Every store has a signed head, and that of a new one knows of no act.
#[test]
fn the_head_of_another_store_says_nothing_of_this_one() {
    let home = Home::new();
    let gone = run(&home);
    let heads = || {
        let entries = fs::read_dir(home.path("config/keys/acts")).expect("heads are kept").flatten();
        let paths = entries.map(|entry| entry.path());
        paths.filter(|path| path.extension().is_some_and(|own| own == "head")).collect::<Vec<_>>()
    };
    let own = heads();
    keep(&home);
    home.nanohost(["erase", &gone, "--reason", "asked", "--json"]).exits(0);
    let mut other = home.command(crate::tool::Project::new(&home).args("book.toml"));
    other.env("NANOHOST_STORE", home.path("other"));
    Done::of(other).exits(0);
    let other = heads().into_iter().find(|path| !own.contains(path)).expect("another store has its own");
    older(&home, true);
    fs::remove_file(home.path("config/acts.log")).expect("it is there");
    home.nanohost(["trace", &gone, "--json"]).finds(12, "acts_lost");
    let good = fs::read(&own[0]).expect("it is there");
    fs::copy(&other, &own[0]).expect("it is ours");
    home.nanohost(["trace", &gone, "--json"]).finds(5, "acts_head_bad");
    home.nanohost(["store", "catch-up", "--json"]).finds(5, "acts_head_bad");
    fs::write(&own[0], good).expect("it is ours");
    home.nanohost(["trace", &gone, "--json"]).finds(12, "acts_lost");
}

/// A copy that was gone on with elsewhere can have more acts than are known here, and lack one all the same.
#[test]
fn a_longer_copy_that_lacks_an_act_is_served_to_nobody() {
    let home = Home::new();
    let gone = run(&home);
    keep(&home);
    copy(&home.path("config"), &home.path("elsewhere"));
    home.nanohost(["erase", &gone, "--reason", "asked", "--json"]).exits(0);
    let (list, head) = (home.path("config/acts.log"), home.path("config/keys/acts"));
    older(&home, true);
    for _ in 0..2 {
        let mut hold = home.command(["hold", "add", &gone, "--reason", "elsewhere", "--json"]);
        hold.env("NANOHOST_CONFIG", home.path("elsewhere"));
        Done::of(hold).exits(0);
    }
    for command in [&["trace", &gone, "--json"][..], &["store", "catch-up", "--json"]] {
        home.nanohost(command).finds(12, "acts_forked");
    }
    // The head alone knows it too.
    assert!(head.is_dir());
    fs::remove_file(list).expect("it is there");
    for command in [&["trace", &gone, "--json"][..], &["store", "catch-up", "--json"]] {
        home.nanohost(command).finds(12, "acts_forked");
    }
}

/// The whole of a store, put back by hand or by `restore` after an act.
fn older(home: &Home, by_hand: bool) {
    if by_hand {
        fs::remove_dir_all(home.store()).expect("it is there");
        copy(&home.path("kept"), &home.store());
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
        };
        mode(&home.store(), 0o700);
        for entry in fs::read_dir(home.store()).expect("it lists").flatten().map(|entry| entry.path()) {
            mode(&entry, if entry.is_dir() { 0o700 } else { 0o600 });
        }
    } else {
        lost(home);
        restore(home, &["--older"]).exits(0);
    }
}

fn keep(home: &Home) {
    let (copied, keys) = (home.path("copy"), home.path("copied-keys"));
    home.nanohost(["store", "backup", text(&copied), "--keys", text(&keys), "--json"]).exits(0);
    copy(&home.store(), &home.path("kept"));
}

#[test]
fn an_older_copy_forgets_no_hold_and_no_retired_key() {
    for by_hand in [true, false] {
        let home = Home::new();
        let examples = home.examples();
        let program = examples.path("refund/program.toml");
        let source = fs::read_to_string(&program).expect("it is there");
        fs::write(&program, format!("subject = \"customer of $order_id\"\n{source}"))
            .expect("it is writable");
        let (held, free) = (run(&home), run(&home));
        let old = home.nanohost(["key", "show", "--json"]).exits(0).json()["keyId"].clone();
        let old = old.as_str().expect("an id");
        let early = home.nanohost(["hold", "add", &free, "--reason", "too early", "--json"]);
        let early = early.exits(0).json()["hold"].to_string();
        keep(&home);
        // All of it came after the copy.
        home.nanohost(["hold", "remove", &early, "--json"]).exits(0);
        home.nanohost(["hold", "add", &held, "--reason", "case 9", "--as", "lea", "--json"]).exits(0);
        home.nanohost(["key", "rotate", "--plain", "--json"]).exits(0);
        home.nanohost(["key", "retire", old, "--reason", "it leaked", "--json"]).exits(0);
        home.nanohost(["erase", &free, "--reason", "asked", "--json"]).exits(0);
        let acts = crate::database::acts(&home);
        let chain = |home: &Home| crate::database::envelopes_of(home, &acts);
        let before = chain(&home);
        older(&home, by_hand);
        if by_hand {
            // Whoever only reads is sent to the command that does it again.
            home.nanohost(["trace", &free, "--json", "--reveal"]).omits(CARD).finds(12, "store_behind");
            home.nanohost(["verify", &free, "--json"]).finds(12, "store_behind");
            home.nanohost(["list", "--json"]).finds(12, "store_behind");
            home.nanohost(["store", "catch-up"]).exits(0).says("6 acts");
        }
        assert_eq!(chain(&home), before, "the very same acts");
        home.nanohost(["store", "catch-up", "--json"]).exits(0);
        home.nanohost(["erase", &held, "--reason", "asked", "--json"]).finds(3, "erase_held");
        let listed = home.nanohost(["hold", "list", "--json"]).exits(0).json();
        assert_eq!((&listed["holds"][0]["run"], &listed["holds"][1]), (&held.as_str().into(), &Value::Null));
        assert_eq!(listed["holds"][0]["principal"], "lea");
        home.nanohost(["trace", &free, "--json", "--reveal"]).exits(0).omits(CARD);
        home.nanohost(["trace", &held, "--json", "--reveal"]).exits(0).says(CARD);
        for run in [&held, &free] {
            home.nanohost(["verify", run]).exits(0);
        }
        home.nanohost(["log", "fsck"]).exits(0);
        // The retired key does nothing, though somebody who has it is at it.
        let current = home.path("config/keys/signing/current");
        fs::rename(&current, home.path("current")).expect("it is there");
        home.examples().run("refund/program.toml", &["--json"]).finds(5, "key_retired");
        home.nanohost(["hold", "remove", "2", "--json"]).finds(5, "key_retired");
        fs::rename(home.path("current"), &current).expect("it is there");
        home.nanohost(["hold", "remove", "2", "--json"]).exits(0);
        home.nanohost(["erase", &held, "--reason", "asked", "--json"]).exits(0);
    }
}

/// A run that went on after the copy: what the copy has of it goes, and what it has not is not erased
/// before it is there.
#[test]
fn a_run_that_had_not_come_so_far_loses_what_is_here() {
    let home = Home::new();
    let waiting = home.examples().run_json("approval/program.toml", 4, &["--as", "agent"]);
    let waiting = waiting["run"].as_str().expect("an id").to_owned();
    keep(&home);
    home.nanohost(["cancel", &waiting, "--reason", "Mira asked", "--json"]).exits(0);
    home.nanohost(["erase", &waiting, "--reason", "asked", "--json"]).exits(0);
    lost(&home);
    let restored = restore(&home, &["--older"]).exits(0).json();
    assert!(restored["erasedAgain"].as_u64().is_some_and(|again| again > 1), "{restored:#}");
    let found = home.nanohost(["verify", &waiting, "--json"]).exits(0).json();
    assert!(found["erased"].as_u64().is_some_and(|erased| erased > 1), "{found:#}");
    home.nanohost(["log", "fsck"]).exits(0);
}

/// Nothing of it is done where the key that signs cannot be opened, and all of it afterwards.
#[test]
fn what_is_here_goes_though_the_passphrase_came_late() {
    let home = Home::new();
    let passphrase = home.write("passphrase", "correct horse battery");
    fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o600)).expect("it is ours");
    let with = |arguments: &[&str]| {
        let mut command = home.command(arguments);
        command.env("NANOHOST_KEY_PASSPHRASE_FILE", &passphrase);
        Done::of(command)
    };
    let waiting = home.examples().run_json("approval/program.toml", 4, &["--as", "agent"]);
    let waiting = waiting["run"].as_str().expect("an id").to_owned();
    let early = home.nanohost(["hold", "add", &waiting, "--reason", "too early", "--json"]);
    let early = early.exits(0).json()["hold"].to_string();
    keep(&home);
    home.nanohost(["hold", "remove", &early, "--json"]).exits(0);
    home.nanohost(["cancel", &waiting, "--reason", "Mira asked", "--json"]).exits(0);
    home.nanohost(["erase", &waiting, "--reason", "asked", "--json"]).exits(0);
    with(&["key", "rotate", "--passphrase-file", text(&passphrase), "--json"]).exits(0);
    older(&home, true);
    for _ in 0..2 {
        home.nanohost(["store", "catch-up", "--json"]).finds(2, "key_passphrase_missing");
        home.nanohost(["trace", &waiting, "--json"]).finds(12, "store_behind");
    }
    let again = with(&["store", "catch-up", "--json"]).exits(0).json();
    assert!(again["erasedAgain"].as_u64().is_some_and(|again| again > 1), "{again:#}");
    let found = home.nanohost(["verify", &waiting, "--json"]).exits(0).json();
    assert!(found["erased"].as_u64().is_some_and(|erased| erased > 1), "{found:#}");
    assert_eq!(home.nanohost(["hold", "list", "--json"]).exits(0).json()["holds"][0], Value::Null);
    let again = with(&["store", "catch-up", "--json"]).exits(0).json();
    assert_eq!((&again["acts"], &again["erasedAgain"]), (&0.into(), &0.into()), "all is done and listed");
    home.nanohost(["log", "fsck"]).exits(0);
}

/// A list that is gone, or that lacks acts, is found, and is whole again afterwards.
#[test]
fn what_is_not_listed_is_told() {
    let home = Home::new();
    let gone = run(&home);
    assert_eq!(doctor(&home, 0), [""; 0], "without an act, nothing has to be listed");
    home.nanohost(["hold", "add", &gone, "--reason", "a case", "--json"]).exits(0);
    home.nanohost(["hold", "remove", "1", "--json"]).exits(0);
    home.nanohost(["erase", &gone, "--reason", "asked", "--json"]).exits(0);
    assert_eq!(doctor(&home, 0), [""; 0]);
    let list = home.path("config/acts.log");
    let good = fs::read_to_string(&list).expect("it is listed");
    let fewer = good.split_inclusive('\n').next().expect("a line").to_owned();
    for left in [None, Some(fewer)] {
        match left {
            None => fs::remove_file(&list).expect("it goes"),
            Some(left) => fs::write(&list, left).expect("it is ours"),
        }
        assert_eq!(doctor(&home, 5), ["acts_unlisted"]);
        home.nanohost(["store", "catch-up", "--json"]).exits(0);
        let now = fs::read_to_string(&list).expect("it is there");
        assert_eq!(now.lines().count(), good.lines().count());
        home.nanohost(["store", "catch-up", "--json"]).exits(0);
        assert_eq!(doctor(&home, 0), [""; 0]);
    }
}

#[test]
fn two_ways_to_go_on_are_told_apart() {
    let home = Home::new();
    let (first, second) = (run(&home), run(&home));
    home.nanohost(["hold", "add", &first, "--reason", "a case", "--json"]).exits(0);
    copy(&home.store(), &home.path("kept"));
    let (head, early) = (home.acts_head(), home.path("early"));
    fs::copy(&head, &early).expect("it is kept");
    home.nanohost(["hold", "add", &second, "--reason", "here", "--json"]).exits(0);
    // Somebody goes on with the copy, and has neither the list nor the head of now.
    let list = home.path("config/acts.log");
    fs::rename(&list, home.path("list")).expect("it is there");
    fs::rename(&head, home.path("head")).expect("it is there");
    fs::rename(&early, &head).expect("it is there");
    older(&home, true);
    home.nanohost(["hold", "add", &second, "--reason", "there", "--json"]).exits(0);
    fs::rename(home.path("list"), &list).expect("it is there");
    let listed = fs::read(&list).expect("it is there");
    home.nanohost(["log", "checkpoint", "--json"]).finds(12, "acts_forked");
    home.nanohost(["trace", &first, "--json"]).finds(12, "acts_forked");
    fs::remove_file(&list).expect("it goes");
    fs::rename(home.path("head"), &head).expect("it is there");
    home.nanohost(["trace", &first, "--json"]).finds(12, "acts_forked");
    // The copy itself, which has less and nothing else, is brought up.
    fs::write(&list, &listed).expect("it is writable");
    older(&home, true);
    home.nanohost(["store", "catch-up", "--json"]).exits(0);
    home.nanohost(["verify", &first]).exits(0);
}

#[test]
fn a_copy_that_is_not_whole_is_not_served_from() {
    let home = Home::new();
    run(&home);
    let (copy, keys) = (home.path("copy"), home.path("copied-keys"));
    home.nanohost(["store", "backup", text(&copy), "--keys", text(&keys), "--json"]).exits(0);
    lost(&home);
    let vault = fs::read(keys.join("vault.key")).expect("it is there");
    fs::remove_file(keys.join("vault.key")).expect("it goes");
    restore(&home, &[]).finds(2, "backup_unreadable");
    fs::write(keys.join("vault.key"), format!("{}\n", "ab".repeat(32))).expect("it is writable");
    fs::set_permissions(keys.join("vault.key"), fs::Permissions::from_mode(0o600)).expect("it is ours");
    restore(&home, &[]).finds(5, "vault_key_wrong");
    fs::write(keys.join("vault.key"), vault).expect("it is writable");
    let conn = rusqlite::Connection::open(copy.join("store.db")).expect("it opens");
    let cut = "PRAGMA foreign_keys = OFF; DELETE FROM envelope WHERE seq = 3";
    conn.execute_batch(cut).expect("the edit is possible");
    drop(conn);
    restore(&home, &[]).finds(11, "log_damaged");
    assert!(!home.store().exists(), "nothing was put there");
    let left = fs::read_dir(home.path("")).expect("it lists").flatten();
    let left: Vec<_> =
        left.filter(|entry| entry.file_name().to_string_lossy().starts_with(".restored")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_doctor_sees_what_is_beside_the_store() {
    let home = Home::new();
    let waiting = home.examples().run_json("approval/program.toml", 4, &[]);
    let waiting = waiting["run"].as_str().expect("an id").to_owned();
    let old = home.nanohost(["key", "show", "--json"]).exits(0).json()["keyId"].clone();
    let old = old.as_str().expect("an id").to_owned();
    assert_eq!(doctor(&home, 0), [""; 0]);
    keep(&home);
    run(&home);
    home.nanohost(["key", "rotate", "--plain", "--json"]).exits(0);
    assert_eq!(doctor(&home, 0), [""; 0]);
    home.nanohost(["key", "retire", &old, "--json"]).exits(0);
    assert_eq!(doctor(&home, 0), ["runs_lost"]);
    home.nanohost(["cancel", &waiting, "--reason", "lost", "--json"]).exits(0);
    assert_eq!(doctor(&home, 0), [""; 0]);

    // A store made anew whose process was killed.
    let left = home.path(".restored-abc");
    fs::create_dir(&left).expect("it is writable");
    fs::write(left.join("restoring"), "").expect("it is writable");
    assert_eq!(doctor(&home, 5), ["restore_left"]);
    // An older copy by hand.
    older(&home, true);
    assert_eq!(doctor(&home, 5), ["restore_left", "store_behind"]);
    home.nanohost(["store", "catch-up", "--json"]).exits(0);
    // The copy was made before the run ended, and its key counts no more.
    assert_eq!(doctor(&home, 5), ["restore_left", "log_rolled_back", "runs_lost"]);
    lost(&home);
    restore(&home, &["--older"]).exits(0);
    assert!(!left.exists(), "the next one clears it");
    // A key that was made for another store.
    let other = home.path("other-store");
    let other = text(&other);
    home.examples().run("refund/program.toml", &["-q", "--store", other]).exits(0);
    home.nanohost(["key", "rotate", "--plain", "--json"]).exits(0);
    let found = home.nanohost(["store", "doctor", "--store", other, "--json"]).json();
    assert!(found.to_string().contains("key_unintroduced"), "{found:#}");
}

#[test]
fn the_doctor_names_each_finding_with_its_remedy() {
    let home = Home::new();
    home.nanohost(["store", "doctor", "--json"]).finds(5, "no_store");
    run(&home);
    assert_eq!(doctor(&home, 0), [""; 0]);
    home.nanohost(["store", "doctor"]).exits(0).says("nothing is wrong");

    let database = home.store().join("store.db");
    fs::set_permissions(&database, fs::Permissions::from_mode(0o644)).expect("it is ours");
    // SQLite gives the files beside it the mode of the database.
    let found = doctor(&home, 5);
    assert!(!found.is_empty() && found.iter().all(|found| found == "store_open_to_others"), "{found:?}");
    for file in fs::read_dir(home.store()).expect("it lists").flatten().map(|entry| entry.path()) {
        if file.is_file() {
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("it is ours");
        }
    }

    let edits: [(&str, &str, i32, &[&str]); 4] = [
        ("store.db", "INSERT INTO meta (name, value) VALUES ('purge', x'01')", 5, &["purge_pending"]),
        ("store.db", "DELETE FROM meta WHERE name = 'purge'", 0, &[]),
        (
            "store.db",
            "INSERT INTO content SELECT run, 999, role, encoding, data_key, sealed FROM content LIMIT 1",
            10,
            &["content_orphaned"],
        ),
        ("store.db", "DELETE FROM content WHERE seq = 999", 0, &[]),
    ];
    for (file, edit, exit, codes) in edits {
        let conn = rusqlite::Connection::open(home.store().join(file)).expect("it opens");
        conn.execute_batch(&format!("PRAGMA foreign_keys = OFF; {edit}")).expect("the edit is possible");
        drop(conn);
        assert_eq!(doctor(&home, exit), codes, "{edit}");
    }
    for (file, edit, exit, code) in [
        ("keys.db", "DELETE FROM data_key", 11, "content_keyless"),
        ("store.db", "DELETE FROM log_entry WHERE entry = 2", 11, "log_damaged"),
    ] {
        let conn = rusqlite::Connection::open(home.store().join(file)).expect("it opens");
        conn.execute_batch(&format!("PRAGMA foreign_keys = OFF; {edit}")).expect("the edit is possible");
        drop(conn);
        let found = doctor(&home, exit);
        assert!(found.iter().any(|found| found == code), "{edit}: {found:?}");
    }
    let report: Value = home.nanohost(["log", "fsck", "--json"]).json();
    assert_eq!(report["good"], false);
}
