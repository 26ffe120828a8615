//! Ends an erasure, and what is done again of one, at every point between two of its steps.

use super::*;

/// The rows of the store that hold something of a run, and the keys that open it.
fn kept(machine: &Machine, run: &RunId) -> (i64, i64) {
    let conn = rusqlite::Connection::open(machine.path("store/store.db")).expect("it opens");
    let keys = machine.path("store/keys.db");
    conn.execute("ATTACH ?1 AS keys", [keys.to_str().expect("UTF-8")]).expect("it opens");
    let counts = "SELECT (SELECT count(*) FROM content WHERE run = ?1 AND role <> 'admission') + \
                  (SELECT count(*) FROM kv WHERE run = ?1) + (SELECT count(*) FROM erasing) + \
                  (SELECT count(*) FROM meta WHERE name = 'purge'), \
                  (SELECT count(*) FROM keys.data_key WHERE id IN \
                  (SELECT data_key FROM main.content UNION SELECT data_key FROM main.kv))";
    conn.query_row(counts, [run.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).expect("it counts")
}

/// Kills an erasure between any two of its steps; whoever comes next finds it done or not begun.
#[test]
fn an_erasure_survives_its_process_at_every_point() {
    let mut done = 0;
    for at in 1.. {
        let machine = Machine::new();
        assert_eq!(machine.run(None).code(), Some(0));
        let before = machine.envelopes();
        let run = machine.trace().run().clone();
        let args = ["erase", run.as_str(), "--reason", "asked", "--json"];
        let ended = !killed(&machine.nanohost(&args, Some(at)));
        let trace = machine.trace();
        assert_eq!(machine.envelopes(), before, "the evidence stays, ended at point {at}");
        // All of it or nothing, for every reader, from the moment of the act on.
        let gone = trace.erased();
        assert_eq!(gone > 0, trace.value(0, &Role::INPUT).is_none(), "ended at point {at}");
        assert_eq!(gone > 0, trace.value(0, &Role::SEED).is_none(), "ended at point {at}");
        // Somebody opens the store for writing.
        assert_eq!(machine.nanohost(&["log", "checkpoint"], None).code(), Some(0));
        let (rows, keys) = kept(&machine, &run);
        assert_eq!(rows == 0, gone > 0, "nothing is left, ended at point {at}");
        assert_eq!(machine.nanohost(&args, None).code(), Some(0));
        assert_eq!(
            kept(&machine, &run),
            (0, 1 + i64::from(machine.trace().erased() > 0)),
            "ended at point {at}, {keys}"
        );
        let listed = fs::read_to_string(machine.path("config/acts.log")).expect("it is listed outside");
        assert_eq!(listed.lines().count(), 1, "ended at point {at}");
        if ended {
            break;
        }
        done = at;
    }
    assert_eq!(done, 7, "the points of an erasure");
}

/// A folder and all that is in it, as it was.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("it is writable");
    fs::set_permissions(to, fs::metadata(from).expect("it is there").permissions()).expect("it is ours");
    for entry in fs::read_dir(from).expect("it lists").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)
        } else {
            drop(fs::copy(entry.path(), target))
        }
    }
}

/// The runs of a store, and how many values of each are gone.
fn gone(machine: &Machine) -> BTreeMap<RunId, usize> {
    let store =
        SqliteReader::open(&machine.path("store"), &OpenOptions::default()).expect("there is a store");
    let trust = crate::commands::own_trust(&machine.places()).expect("there is a key");
    let runs = store.runs().expect("the store reads").into_iter().map(|run| run.run);
    let judged = runs.map(|run| {
        let record = store.load(&run).expect("the store reads").expect("it is listed");
        let (report, trace) = verify_record(&record, &trust);
        assert_eq!(report.fault, None);
        (run, trace.expect("the run verifies").erased())
    });
    judged.collect()
}

/// Kills an erasure of several runs, in the midst of their values too: all of them are erased from, or none.
#[test]
fn an_erasure_of_several_runs_survives_its_process_at_every_point() {
    let machine = Machine::new();
    for key in ["one", "two", "three"] {
        let run = ["run", "program.json", "--policy", "policy.toml", "--json", "--idempotency-key", key];
        assert_eq!(machine.nanohost(&run, None).code(), Some(0));
    }
    let runs: Vec<RunId> = gone(&machine).into_keys().collect();
    let [first, second, third] = &runs[..] else { panic!("three runs: {runs:?}") };
    let args = ["erase", first.as_str(), second.as_str(), "--reason", "asked", "--json"];
    for folder in ["store", "config"] {
        copy(&machine.path(folder), &machine.path(format!("kept-{folder}")));
    }
    let mut done = 0;
    for at in 1.. {
        for folder in ["store", "config"] {
            fs::remove_dir_all(machine.path(folder)).expect("it is there");
            copy(&machine.path(format!("kept-{folder}")), &machine.path(folder));
        }
        let ended = !killed(&machine.nanohost(&args, Some(at)));
        let now = gone(&machine);
        assert_eq!(now[first] > 0, now[second] > 0, "both or none, ended at point {at}");
        assert_eq!(now[third], 0, "ended at point {at}");
        // Somebody opens the store for writing.
        assert_eq!(machine.nanohost(&["log", "checkpoint"], None).code(), Some(0));
        for run in [first, second] {
            assert_eq!(kept(&machine, run).0 == 0, now[first] > 0, "nothing is left, ended at point {at}");
        }
        assert!(kept(&machine, third).0 > 0);
        assert_eq!(machine.nanohost(&args, None).code(), Some(0));
        assert_eq!(kept(&machine, first).0 + kept(&machine, second).0, 0, "ended at point {at}");
        let listed = fs::read_to_string(machine.path("config/acts.log")).expect("it is listed outside");
        assert_eq!(listed.lines().count(), 2, "ended at point {at}");
        assert_eq!(machine.nanohost(&["log", "fsck"], None).code(), Some(0));
        if ended {
            break;
        }
        done = at;
    }
    assert_eq!(done, 7, "the points of an erasure");
}

/// Kills whoever brings an older copy up to the list: nobody sees what was erased in between, and the acts
/// are in the end what they were.
#[test]
fn what_is_done_again_survives_its_process_at_every_point() {
    let machine = Machine::new();
    assert_eq!(machine.run(None).code(), Some(0));
    let run = machine.trace().run().clone();
    copy(&machine.path("store"), &machine.path("older"));
    for args in [
        &["hold", "add", run.as_str(), "--reason", "a case", "--json"][..],
        &["hold", "remove", "1", "--json"],
        &["erase", run.as_str(), "--reason", "asked", "--json"],
    ] {
        assert_eq!(machine.nanohost(args, None).code(), Some(0));
    }
    let listed = fs::read(machine.path("config/acts.log")).expect("it is listed outside");
    let mut done = 0;
    for at in 1.. {
        fs::remove_dir_all(machine.path("store")).expect("it is there");
        copy(&machine.path("older"), &machine.path("store"));
        let ended = !killed(&machine.nanohost(&["store", "catch-up", "--json"], Some(at)));
        let reader = SqliteReader::open(&machine.path("store"), &OpenOptions::default()).expect("a store");
        let serves = crate::outside::agrees(&reader, &machine.places()).is_ok();
        drop(reader);
        assert_eq!(serves, machine.trace().erased() > 0, "ended at point {at}");
        assert_eq!(machine.nanohost(&["store", "catch-up", "--json"], None).code(), Some(0));
        assert_eq!(kept(&machine, &run).0, 0, "nothing is left, ended at point {at}");
        let now = fs::read(machine.path("config/acts.log")).expect("it is listed outside");
        assert_eq!(now, listed, "ended at point {at}");
        assert_eq!(machine.nanohost(&["log", "fsck"], None).code(), Some(0));
        assert_eq!(machine.nanohost(&["store", "doctor", "--json"], None).code(), Some(0));
        if ended {
            break;
        }
        done = at;
    }
    assert_eq!(done, 7, "the points at which something is done again");
}
