//! Compiled code that is kept between runs: found again, never believed, easily forgotten.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;

use serde_json::Value;

use crate::harness::{Done, Examples, Home};

/// The tools of the refund example.
const TOOLS: usize = 4;

/// A user whose cache is their own.
struct User {
    home: Home,
}

impl User {
    fn new() -> Self {
        let home = Home::new();
        fs::remove_dir_all(home.path("config")).expect("it was just made");
        Self { home }
    }

    fn examples(&self) -> Examples<'_> {
        self.home.examples()
    }

    fn nanohost(&self, cache: &str, args: &[&str]) -> Done {
        let mut command = self.home.command(args);
        command.env("NANOHOST_CACHE", cache);
        Done::of(command)
    }

    /// Runs the refund example; what it warns of.
    fn run(&self, cache: &str) -> Vec<String> {
        let program = self.examples().path("refund/program.toml");
        let policy = self.examples().policy();
        let [program, policy] = [&program, &policy].map(|path| path.to_str().expect("the path is text"));
        let done = self.nanohost(cache, &["run", program, "--policy", policy, "--json"]).exits(0);
        let warnings = done.json()["warnings"].clone();
        let warnings = warnings.as_array().into_iter().flatten();
        warnings.map(|warning| Value::as_str(&warning["code"]).expect("a code").to_owned()).collect()
    }

    /// What is kept: each file with what is another after it was written again.
    fn kept(&self) -> Vec<(PathBuf, u64)> {
        let entries = fs::read_dir(self.home.path("cache/code")).expect("it is there");
        let mut entries: Vec<_> = entries
            .map(|entry| {
                let path = entry.expect("it can be read").path();
                let inode = fs::metadata(&path).expect("it is there").ino();
                (path, inode)
            })
            .collect();
        entries.sort();
        entries
    }
}

#[test]
fn code_is_found_again_and_never_believed() {
    let user = User::new();
    assert_eq!(user.run("cache"), [""; 0]);
    let kept = user.kept();
    assert_eq!(kept.len(), TOOLS, "one for each tool");
    assert_eq!(user.run("cache"), [""; 0]);
    assert_eq!(user.kept(), kept, "nothing was written again");

    let mode = |path: &str| fs::metadata(user.home.path(path)).expect("it is there").mode() & 0o7777;
    assert_eq!(
        [mode("cache/code"), mode("config/keys"), mode("config/keys/code.key")],
        [0o700, 0o700, 0o600]
    );

    for (path, _) in &kept {
        let mut bytes = fs::read(path).expect("it is there");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).expect("it is ours");
    }
    assert_eq!(user.run("cache"), ["code_cache_rejected"; TOOLS]);
    assert_eq!(user.run("cache"), [""; 0], "they were made again");

    // Another user's key: all of it is foreign.
    fs::remove_file(user.home.path("config/keys/code.key")).expect("it is ours");
    assert_eq!(user.run("cache"), ["code_cache_rejected"; TOOLS]);
    assert_eq!(user.run("cache"), [""; 0]);
}

#[test]
fn a_run_needs_no_cache() {
    let user = User::new();
    assert_eq!(user.run("off"), [""; 0]);
    assert!(!user.home.path("off").exists() && !user.home.path("config/keys/code.key").exists());
    user.nanohost("off", &["cache", "path"]).exits(0).says("compiled code is not kept");
    let folder =
        |cache: &str| user.nanohost(cache, &["cache", "path", "--json"]).exits(0).json()["folder"].clone();
    assert_eq!([folder("off"), folder("kept")], [Value::Null, "kept/code".into()]);

    // A folder that cannot be made.
    user.home.write("file", "");
    assert_eq!(user.run("file/cache"), [""; 0]);

    // A key that others can read opens nothing.
    assert_eq!(user.run("cache"), [""; 0]);
    let key = user.home.path("config/keys/code.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("it is ours");
    let kept = user.kept();
    assert_eq!(user.run("cache"), ["code_cache_off"]);
    assert_eq!(user.kept(), kept);

    user.nanohost("", &["cache", "path"]).exits(2).says("empty_variable");
}

#[test]
fn code_is_forgotten() {
    let user = User::new();
    assert_eq!(user.run("cache"), [""; 0]);
    user.nanohost("cache", &["cache", "path"]).exits(0).says("cache/code");
    user.nanohost("cache", &["cache", "clear"]).exits(0).says(&format!("removed: {TOOLS} "));
    assert_eq!(user.kept(), []);
    user.nanohost("cache", &["cache", "clear"]).exits(0).says("removed: 0 ");
    assert_eq!(user.run("cache"), [""; 0]);
    assert_eq!(user.kept().len(), TOOLS);
}
