//! Copies of a store, a store from a copy, and what the doctor finds.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use crate::database;
use crate::harness::{Done, Home};

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
    home.nanohost(["store", "backup", text(&copy), "--keys", text(&keys)]).exits(0).says("apart");
    home.nanohost(["store", "backup", text(&copy)]).exits(5).says("already");
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

/// A list that nobody can read is said, and keeps nothing from going.
#[test]
fn what_is_erased_goes_without_its_list() {
    let home = Home::new();
    let gone = run(&home);
    home.write("config/erasures.log", "{\n");
    home.nanohost(["erase", &gone, "--reason", "asked", "--json"]).finds(2, "erasures_unreadable");
    home.nanohost(["trace", &gone, "--json", "--reveal"]).exits(0).omits(CARD).says("[REDACTED_TOMBSTONE]");
    assert_eq!(doctor(&home, 0), [""; 0]);
    run(&home);
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
