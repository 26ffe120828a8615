//! What a disk, a folder and other processes do to a store: what was acknowledged is there, or it is said
//! that it is not; and what cannot go on says why.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::Connection;

use crate::harness::{Done, Home, copy};
use crate::tool::Project;

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Books once; the run's id.
fn book(project: &Project<'_>) -> String {
    let document = project.run("book.toml").exits(0).json();
    document["run"].as_str().expect("an id").to_owned()
}

/// Gives the folders and the files below one their permissions.
fn modes(folder: &Path, of_folders: u32, of_files: u32) {
    for entry in fs::read_dir(folder).expect("it is there") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            modes(&path, of_folders, of_files);
        } else {
            fs::set_permissions(&path, fs::Permissions::from_mode(of_files)).expect("it is ours");
        }
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(of_folders)).expect("it is ours");
}

/// Puts all of the write-ahead log into the database, and empties it.
fn checkpoint(home: &Home) {
    let conn = Connection::open(home.store().join("store.db")).expect("a run made the store");
    let busy = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    assert_eq!(busy.expect("it is a database"), 0, "nobody else is at it");
}

/// A connection that looks at the store as it is now: while it lives, nothing of the write-ahead log is given up.
fn looking(home: &Home) -> Connection {
    let conn = Connection::open(home.store().join("store.db")).expect("a run made the store");
    conn.execute_batch("BEGIN").expect("it can look");
    let _: i64 = conn.query_row("SELECT count(*) FROM run", [], |row| row.get(0)).expect("it can look");
    conn
}

/// A store of three runs, of which the last two are in the write-ahead log alone; and what somebody
/// remembers of it.
struct Kept {
    home: Home,
    folder: PathBuf,
    state: PathBuf,
    runs: Vec<String>,
}

impl Kept {
    fn new() -> Self {
        let home = Home::new();
        let project = Project::new(&home);
        let mut runs = vec![book(&project)];
        checkpoint(&home);
        let held = looking(&home);
        runs.extend([book(&project), book(&project)]);
        let (folder, state) = (home.path("kept"), home.path("seen.json"));
        home.nanohost(["log", "fsck", "--state", text(&state)]).exits(0);
        copy(&home.store(), &folder);
        drop(held);
        // It says where the frames of the log lie in memory, and is made again from it.
        let _ = fs::remove_file(folder.join("store.db-shm"));
        Self { home, folder, state, runs }
    }

    /// Puts the store back as it was kept, one of its files changed.
    fn with(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        fs::remove_dir_all(self.home.store()).expect("it is there");
        copy(&self.folder, &self.home.store());
        modes(&self.home.store(), 0o700, 0o600);
        let path = self.home.store().join(name);
        let mut bytes = fs::read(&path).expect("it is there");
        change(&mut bytes);
        fs::write(&path, bytes).expect("it is ours");
    }

    /// What `verify` and `log fsck` end with, which remember.
    fn ends(&self) -> (Vec<Option<i32>>, Option<i32>) {
        let runs = self.runs.iter().map(|run| self.home.nanohost(["verify", run]).code).collect();
        let state = self.home.path("seen-again.json");
        fs::copy(&self.state, &state).expect("it is there");
        (runs, self.home.nanohost(["log", "fsck", "--state", text(&state)]).code)
    }
}

/// Where the frames of a write-ahead log begin that end a transaction, and how long a frame is.
fn commits(log: &[u8]) -> (Vec<usize>, usize) {
    const HEADER: usize = 32;
    let word = |at: usize| u32::from_be_bytes(log[at..at + 4].try_into().expect("four bytes"));
    let frame = 24 + word(8) as usize;
    let begins = (HEADER..).step_by(frame).take_while(|at| at + frame <= log.len());
    (begins.filter(|at| word(at + 4) != 0).collect(), frame)
}

/// A write-ahead log that was cut, or whose last bytes did not reach the disk: a transaction is there as a
/// whole or not at all, and whoever remembers the log is told what is gone.
#[test]
fn a_write_ahead_log_that_was_cut_is_missed() {
    let kept = Kept::new();
    let log = fs::read(kept.folder.join("store.db-wal")).expect("somebody looked, so it is there");
    let (commits, frame) = commits(&log);
    assert!(commits.len() > 4, "{commits:?}");
    let mut cuts = vec![0, 16, 32, commits[0], log.len()];
    for commit in [commits[commits.len() / 2], commits[commits.len() - 1]] {
        // Before it, within its head, within its page, a byte short of it, whole, and into the next one.
        cuts.extend([
            commit,
            commit + 8,
            commit + frame / 2,
            commit + frame - 1,
            commit + frame,
            commit + frame + 9,
        ]);
    }
    let (mut whole, mut missed) = (0, 0);
    for cut in cuts {
        kept.with("store.db-wal", |log| log.truncate(cut));
        let (runs, remembered) = kept.ends();
        assert_eq!(runs[0], Some(0), "what was in the database is there: {cut}");
        // Of each later run nothing is there, or its beginning, or all.
        assert!(runs.iter().all(|end| matches!(end, Some(0 | 2 | 14))), "{cut}: {runs:?}");
        match remembered {
            Some(0) => {
                assert!(runs.iter().all(|end| *end == Some(0)), "{cut}: {runs:?}");
                whole += 1;
            }
            Some(12) => missed += 1,
            other => panic!("{cut}: {other:?} {runs:?}"),
        }
        // By itself what is left is whole, and goes on.
        kept.home.nanohost(["log", "fsck"]).exits(0);
    }
    assert!(whole >= 2 && missed > 8, "{whole} whole, {missed} missed");
    // A byte that turned ends it as a cut does.
    let last = commits[commits.len() - 1];
    kept.with("store.db-wal", |log| log[last + frame / 2] ^= 1);
    assert_eq!(kept.ends().1, Some(12));
    book(&Project::new(&kept.home));
    kept.home.nanohost(["log", "fsck"]).exits(0);
}

/// A page of the database of which only the first half reached the disk: never is anything that was
/// acknowledged passed off as whole.
#[test]
fn a_torn_page_of_the_database_is_told() {
    let kept = Kept::new();
    // All of it in the database.
    checkpoint(&kept.home);
    fs::remove_dir_all(&kept.folder).expect("it is there");
    copy(&kept.home.store(), &kept.folder);
    let database = fs::read(kept.folder.join("store.db")).expect("it is there");
    let page = usize::from(u16::from_be_bytes([database[16], database[17]]));
    let pages = database.len() / page;
    assert!(pages > 8, "{pages} pages of {page}");
    let mut told = 0;
    let mut torn: Vec<usize> = (0..pages).step_by((pages / 12).max(1)).collect();
    torn.extend([pages - 2, pages - 1]);
    for at in torn {
        kept.with("store.db", |bytes| bytes[at * page + page / 2..(at + 1) * page].fill(0));
        let doctor = kept.home.nanohost(["store", "doctor", "--json"]);
        let (runs, remembered) = kept.ends();
        let is_good = runs.iter().all(|end| *end == Some(0)) && remembered == Some(0);
        for end in runs.iter().chain([&remembered, &doctor.code]) {
            assert!(
                matches!(end, Some(0 | 2 | 5 | 10 | 11 | 12 | 14)),
                "page {at}: {runs:?} {remembered:?}\n{doctor}"
            );
        }
        told += usize::from(!is_good || doctor.code != Some(0));
    }
    assert!(told > 4, "some pages hold something: {told}");
    kept.with("store.db", |bytes| bytes.truncate(bytes.len() - page / 2));
    assert_ne!(kept.home.nanohost(["store", "doctor"]).code, Some(0));
    kept.with("store.db", |_| ());
    kept.home.nanohost(["store", "doctor"]).exits(0);
    assert_eq!(kept.ends(), (vec![Some(0); 3], Some(0)), "the untouched one is good");
}

/// Where the disk is full when the write-ahead log is to go into the database, it stays, and all of it with it;
/// what was to be purged is said to be there still.
#[test]
fn a_disk_that_is_full_at_a_checkpoint_loses_nothing() {
    let home = Home::new();
    let project = Project::new(&home);
    let mut runs: Vec<String> = (0..8).map(|_| book(&project)).collect();
    checkpoint(&home);
    let length = |name: &str| fs::metadata(home.store().join(name)).map_or(0, |file| file.len());
    let held = looking(&home);
    runs.push(book(&project));
    // It looks no more, and is there: whoever is the last to leave empties the log.
    held.execute_batch("COMMIT").expect("it ends");
    let (database, log) = (length("store.db"), length("store.db-wal"));
    assert!(log > 0 && log < database, "{log} {database}");
    // Room for the act in the log, and none for a page more in the database.
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", database / 512));
    command.args([env!("CARGO_BIN_EXE_nanohost"), "erase", &runs[0], "--reason", "ticket 7", "--json"]);
    home.environment(&mut command);
    let done = Done::of(command);
    assert_eq!(done.code, Some(5), "{done}");
    let finding = &done.json()["findings"][0];
    assert!(finding["code"].is_string() && finding["help"].is_string(), "{done}");
    assert!(length("store.db-wal") > 0 && length("store.db") <= database, "it did not fit, and stays");
    for run in &runs {
        home.nanohost(["verify", run]).exits(0);
    }
    home.nanohost(["log", "fsck"]).exits(0);
    // With room again, what was begun is brought to its end.
    home.nanohost(["erase", &runs[0], "--reason", "ticket 7"]).exits(0);
    book(&project);
    checkpoint(&home);
    assert!(length("store.db") > database, "with room it goes where it belongs");
    for run in &runs {
        home.nanohost(["verify", run]).exits(0);
    }
    home.nanohost(["store", "doctor"]).exits(0);
}

/// Several processes write to one store while others read it: nobody sees anything but a whole log, and all
/// that was acknowledged is there.
#[test]
fn processes_share_one_store() {
    const WRITERS: usize = 4;
    let home = Home::new();
    let project = Project::new(&home);
    let first = book(&project);
    let mut acknowledged = vec![first.clone()];
    for _ in 0..2 {
        let writers: Vec<_> = (0..WRITERS).map(|_| home.start(project.args("book.toml"))).collect();
        home.nanohost(["log", "fsck"]).exits(0);
        home.nanohost(["verify", &first]).exits(0);
        home.nanohost(["list"]).exits(0);
        for writer in writers {
            let document = writer.end().exits(0).json();
            acknowledged.push(document["run"].as_str().expect("an id").to_owned());
        }
    }
    assert_eq!(home.runs().len(), acknowledged.len());
    for run in &acknowledged {
        home.nanohost(["verify", run]).exits(0);
    }
    home.nanohost(["log", "fsck"]).exits(0);
    home.nanohost(["store", "doctor"]).exits(0);
}

/// nanohost, with permissions that hold: they stop everybody but root, who is left without that.
fn without_privileges(home: &Home, arguments: &[String]) -> Done {
    if !rustix::process::geteuid().is_root() {
        return home.nanohost(arguments);
    }
    let mut command = Command::new("setpriv");
    for set in ["--bounding-set", "--inh-caps"] {
        command.args([set, "-dac_override,-dac_read_search"]);
    }
    command.arg(env!("CARGO_BIN_EXE_nanohost")).args(arguments);
    home.environment(&mut command);
    Done::of(command)
}

/// A store that nobody may write to: what wants to write says so and changes nothing.
#[test]
fn a_folder_that_is_read_only_is_told() {
    let home = Home::new();
    let project = Project::new(&home);
    let run = book(&project);
    let command = |arguments: &[String]| without_privileges(&home, arguments);
    let before = fs::read(home.store().join("store.db")).expect("it is there");
    modes(&home.store(), 0o500, 0o400);
    let refused = command(&project.args("book.toml"));
    assert_eq!(refused.code, Some(5), "{refused}");
    let finding = &refused.json()["findings"][0];
    assert!(finding["code"].as_str().is_some_and(|code| code.starts_with("store_")), "{refused}");
    assert!(finding["help"].is_string(), "{refused}");
    for reads in [&["verify", run.as_str()][..], &["list"], &["log", "fsck"]] {
        let reads: Vec<String> = reads.iter().map(|&word| word.to_owned()).collect();
        let done = command(&reads);
        assert!(matches!(done.code, Some(0 | 5)), "it reads, or says why it does not: {done}");
    }
    assert!(fs::read(home.store().join("store.db")).is_ok_and(|after| after == before), "nothing changed");
    modes(&home.store(), 0o700, 0o600);
    let done = command(&project.args("book.toml"));
    assert_eq!(done.code, Some(0), "{done}");
}

/// An erasure that can write to one of its folders only: nothing goes without its act, and what an act says is
/// gone goes, whether or not that can be listed.
#[test]
fn an_erasure_between_folders_that_are_read_only_is_done_or_not_begun() {
    let home = Home::new();
    let project = Project::new(&home);
    let run = book(&project);
    let erase = ["erase", &run, "--reason", "asked", "--json"].map(str::to_owned);
    modes(&home.store(), 0o500, 0o400);
    let refused = without_privileges(&home, &erase);
    assert_eq!(refused.code, Some(5), "{refused}");
    let verified = |home: &Home| home.nanohost(["verify", &run, "--json"]).exits(0).json()["erased"].clone();
    assert_eq!(verified(&home), 0, "nothing is gone");
    modes(&home.store(), 0o700, 0o600);
    // The folder of what lies outside of the store, and the one of the heads.
    let config = home.path("config");
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
    };
    mode(&config, 0o500);
    mode(&home.path("config/keys/acts"), 0o500);
    let told = without_privileges(&home, &erase);
    assert_eq!(told.code, Some(5), "{told}");
    assert!(told.stdout.contains("acts_list_unwritable"), "{told}");
    assert_ne!(verified(&home), 0, "an act says that it is gone");
    let content = Connection::open(home.store().join("store.db")).expect("it is there").query_row(
        "SELECT count(*) FROM content WHERE run = ?1 AND role <> 'admission'",
        [&run],
        |row| row.get::<_, i64>(0),
    );
    assert_eq!(content.expect("it counts"), 0, "and it is");
    mode(&config, 0o700);
    let told = without_privileges(&home, &["log", "checkpoint", "--json"].map(str::to_owned));
    assert!(told.stdout.contains("acts_head_unwritable"), "{told}");
    mode(&home.path("config/keys/acts"), 0o700);
    home.nanohost(["log", "checkpoint"]).exits(0);
    let listed = fs::read_to_string(home.path("config/acts.log")).expect("it is listed");
    assert_eq!(listed.lines().count(), 1);
    home.nanohost(["store", "doctor"]).exits(0);
}
