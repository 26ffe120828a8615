//! Acts of a store: one after the other, whoever does them, and nothing on top of what is not good.

use std::path::Path;

use nanohost_core::act::{Basis, Erasure, ValueRef};
use nanohost_store::{OpenOptions, SqliteReader, development_key, development_public_key};
use tempfile::TempDir;

use super::*;

fn places(folder: &Path) -> Places {
    Places {
        store: folder.join("store"),
        config: folder.join("config"),
        cache: None,
        policy: None,
        machine_policy: None,
        log_policy: None,
        offline: false,
    }
}

/// A store of somebody who has a key.
fn machine() -> (TempDir, Places) {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let places = places(folder.path());
    development_key(&places.keys()).expect("a key is made");
    (folder, places)
}

fn erase(places: &Places, number: u8) -> anyhow::Result<u64> {
    let store = crate::open_store(places)?;
    let mut acts = Acts::take(&store, places)?;
    let who = Principal::new("dana")?;
    let run = RunId::from_random([number; 16]);
    acts.seal(&who, (Role::REASON, "she asked"), |reason| {
        let refs = vec![ValueRef { run, seq: 0, role: Role::INPUT }];
        Act::Erasure(Erasure {
            refs,
            key_values: 0,
            whole: false,
            damaged: false,
            basis: Basis::Request,
            approver: None,
            reason,
        })
    })?;
    assert_eq!(acts.commit(places)?, None, "no hold lies on it");
    Ok(acts.head.len)
}

fn all(places: &Places) -> Result<Vec<OpenedAct>, BadActs> {
    let reader = SqliteReader::open(&places.store, &OpenOptions::default()).expect("there is a store");
    let trust = TrustRoot::new(development_public_key(&places.keys()).expect("a key"));
    verified(&reader, &trust).expect("the store reads").map(|(acts, _)| acts)
}

#[test]
fn acts_follow_each_other_and_verify() {
    let (_folder, places) = machine();
    for number in 1..=3 {
        assert_eq!(erase(&places, number).expect("it is done"), u64::from(number));
    }
    let acts = all(&places).expect("they verify");
    let runs: Vec<_> = acts.iter().map(|act| act.predicate.act.run().cloned()).collect();
    assert_eq!(runs, [1, 2, 3].map(|number| Some(RunId::from_random([number; 16]))));
}

#[test]
fn who_acts_at_once_acts_one_after_the_other() {
    let (_folder, places) = machine();
    drop(crate::open_store(&places).expect("a store"));
    std::thread::scope(|scope| {
        for number in 1..=4 {
            let places = &places;
            scope.spawn(move || erase(places, number).expect("it is done"));
        }
    });
    assert_eq!(all(&places).expect("they verify").len(), 4);
}

#[test]
fn nothing_is_added_to_acts_that_are_not_good() {
    for (change, is_missing) in [
        ("DELETE FROM envelope WHERE bytes = (SELECT max(bytes) FROM envelope)", true),
        ("UPDATE envelope SET bytes = CAST(replace(CAST(bytes AS TEXT), 'a', 'b') AS BLOB)", false),
        ("UPDATE run SET len = 1", false),
    ] {
        let (_folder, places) = machine();
        erase(&places, 1).expect("it is done");
        let conn = rusqlite::Connection::open(places.store.join("store.db")).expect("it opens");
        conn.execute_batch(&format!("PRAGMA foreign_keys = OFF; {change}")).expect("the edit is possible");
        drop(conn);
        if change.starts_with("UPDATE run") {
            // The same as it was: a positive control.
            assert_eq!(all(&places).expect("they verify").len(), 1);
            erase(&places, 2).expect("it is done");
            continue;
        }
        assert_eq!(all(&places).expect_err("they are not good").is_missing, is_missing, "{change}");
        let error = erase(&places, 2).expect_err("nothing is added");
        let failure = error.downcast_ref::<Failure>().expect("a finding");
        assert!(matches!(failure.exit, Exit::Truncated | Exit::Tampered), "{failure}");
    }
}
