//! A run of any length is verified in the same memory.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::Command;

#[path = "../../benches/verify/long_run.rs"]
mod long_run;

/// What the verifier may hold, its own code included, KiB: less than the long export is long.
const MEMORY: u64 = 48 << 10;

fn verified(export: &Path, key: &Path) -> Option<i32> {
    let script = format!("ulimit -v {MEMORY} && exec \"$0\" \"$@\"");
    let done = Command::new("sh")
        .args(["-c", &script, env!("CARGO_BIN_EXE_nanohost-verify")])
        .arg(export)
        .arg("--trust")
        .arg(key)
        .output()
        .expect("a shell starts");
    assert!(done.stdout.starts_with(b"VERIFIED every") || !done.status.success(), "{done:?}");
    done.status.code()
}

#[test]
fn the_length_of_a_run_takes_no_memory() {
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    let key = folder.path().join("key.pem");
    fs::write(&key, long_run::signer().public().to_spki_pem().expect("it has a form"))
        .expect("it is writable");
    for (envelopes, larger) in [(10, false), (40_000, true)] {
        let path = folder.path().join(format!("{envelopes}.jsonl"));
        let mut file = BufWriter::new(File::create(&path).expect("it is writable"));
        long_run::write(&mut file, envelopes).expect("it is writable");
        file.flush().expect("it is writable");
        let size = fs::metadata(&path).expect("it was written").len();
        assert_eq!(size > MEMORY << 10, larger, "{size} bytes");
        assert_eq!(verified(&path, &key), Some(0), "{envelopes} envelopes");
    }
}
