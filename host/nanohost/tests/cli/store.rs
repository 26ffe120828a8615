//! Stores that cannot be used: busy, in the way, of another version, full. The host says so and
//! ends with 5, and what was acknowledged stays.

use std::fs;
use std::process::Command;

use rusqlite::Connection;

use crate::harness::{Done, Home};
use crate::tool::Project;

fn database(home: &Home) -> Connection {
    Connection::open(home.store().join("store.db")).expect("a run made the store")
}

#[test]
fn a_store_that_stays_busy() {
    let home = Home::new();
    let project = Project::new(&home);
    let first = project.run("book.toml").exits(0).json();
    let other = database(&home);
    other.execute_batch("BEGIN EXCLUSIVE").expect("nobody else writes");
    let done = project.run("add.toml").exits(5);
    assert_eq!(done.json()["findings"][0]["code"], "store_busy", "{done}");
    // Reading does not wait for writers.
    home.nanohost(["verify", first["run"].as_str().expect("an id")]).exits(0);
    other.execute_batch("ROLLBACK").expect("it was begun");
    assert_eq!(home.runs().len(), 1, "no part of a run is left");
    project.run("add.toml").exits(0);
}

#[test]
fn a_store_that_is_a_file() {
    let home = Home::new();
    home.write("store", "I was here first");
    let project = Project::new(&home);
    let done = project.run("add.toml").exits(5);
    assert_eq!(done.json()["findings"][0]["code"], "store_not_writable", "{done}");
    assert_eq!(fs::read_to_string(home.store()).expect("it is there"), "I was here first");
}

#[test]
fn a_database_that_is_something_else() {
    for bytes in [
        &b"not a database, but long enough to look at: ...................................................."
            [..],
        b"\0\0\0\0",
    ] {
        let home = Home::new();
        home.write("store/store.db", bytes);
        let project = Project::new(&home);
        let done = project.run("add.toml").exits(5);
        let code = done.json()["findings"][0]["code"].as_str().map(str::to_owned);
        assert!(matches!(code.as_deref(), Some("store_foreign" | "store_corrupt")), "{done}");
        assert_eq!(fs::read(home.path("store/store.db")).expect("it is there"), bytes, "it was left alone");
    }
}

#[test]
fn a_store_of_a_newer_version() {
    let home = Home::new();
    let project = Project::new(&home);
    let first = project.run("add.toml").exits(0).json();
    database(&home).execute_batch("PRAGMA user_version = 99").expect("it is a number");
    let done = project.run("add.toml").exits(5);
    assert_eq!(done.json()["findings"][0]["code"], "store_newer", "{done}");
    home.nanohost(["list"]).exits(5).says("store_newer");
    home.nanohost(["verify", first["run"].as_str().expect("an id")]).exits(5).says("store_newer");
}

#[test]
fn a_store_that_is_not_there() {
    let home = Home::new();
    home.nanohost(["list"]).exits(0).says("no runs yet");
    home.nanohost(["trace", "abc"]).exits(5).says("no_store");
    assert!(!home.store().exists(), "looking makes nothing");
}

/// Runs nanohost where no file may grow beyond `blocks` of 512 bytes: to SQLite, a disk that is full.
fn on_a_full_disk(home: &Home, blocks: u32, args: &[String]) -> Done {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\""));
    command.arg(env!("CARGO_BIN_EXE_nanohost")).args(args);
    home.environment(&mut command);
    Done::of(command)
}

#[test]
fn a_disk_that_fills_up_loses_nothing_that_was_acknowledged() {
    let home = Home::new();
    let project = Project::new(&home);
    let mut acknowledged = vec![project.run("book.toml").exits(0).json()];
    let mut failed = 0;
    // From no room at all to plenty: wherever the disk fills up, the host says so or is done.
    for blocks in [0, 1, 8, 32, 64, 72, 80, 88, 96, 104, 112, 128, 160, 256, 512, 4096] {
        let done = on_a_full_disk(&home, blocks, &project.args("book.toml"));
        match done.code {
            Some(0) => acknowledged.push(done.json()),
            Some(5) => {
                failed += 1;
                let code = done.json()["findings"][0]["code"].as_str().map(str::to_owned);
                assert!(matches!(code.as_deref(), Some("store_full" | "store_io")), "{done}");
            }
            _ => panic!("{blocks} blocks: {done}"),
        }
        for run in &acknowledged {
            home.nanohost(["verify", run["run"].as_str().expect("an id")]).exits(0);
        }
    }
    assert!(failed > 0, "some runs found no room");
    assert!(acknowledged.len() > 1, "some runs found room");
    // With room again, all goes on; what was cut off is open and no more.
    project.run("book.toml").exits(0);
    for run in home.runs() {
        let exit = if run["state"] == "success" { 0 } else { 14 };
        home.nanohost(["verify", run["run"].as_str().expect("an id")]).exits(exit);
    }
}

#[test]
fn keys_that_others_can_read_are_not_used() {
    use std::os::unix::fs::PermissionsExt as _;

    let home = Home::new();
    let project = Project::new(&home);
    let document = home.nanohost(["key", "show", "--json"]).exits(0).json();
    let private = document["private"].as_str().expect("a path").to_owned();
    let mode = fs::metadata(&private).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    fs::set_permissions(&private, fs::Permissions::from_mode(0o644)).expect("it is ours");
    project.run("add.toml").exits(5).says("key_mode").says("chmod 600");
}
