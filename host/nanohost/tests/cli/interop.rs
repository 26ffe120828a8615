//! Runs `host/interop/verify_dsse.py`: Python libraries that nobody here wrote read an export.
//!
//! The libraries lie in a virtual environment. `NANOHOST_INTEROP_PYTHON` names the interpreter of
//! one that is already there; without it one is made under the target directory, once, from
//! `requirements.txt`. Where that cannot be done the tests fail: interop is not skipped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

pub(crate) const INTEROP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../interop");

/// A Python interpreter that has the libraries of `requirements.txt`.
///
/// # Panics
/// Where there is none and none can be made, with what to do about it.
pub(crate) fn python() -> PathBuf {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON
        .get_or_init(|| match std::env::var_os("NANOHOST_INTEROP_PYTHON") {
            Some(python) => PathBuf::from(python),
            None => environment(Path::new(env!("CARGO_TARGET_TMPDIR"))),
        })
        .clone()
}

/// Runs the script over an export. It exits with 0 when it accepts every envelope and refuses every
/// byte that it then changes in memory.
pub(crate) fn verify_export(export: &Path, public_key: &Path) -> Output {
    Command::new(python())
        // Isolated: no package of the user may stand in for a pinned one.
        .arg("-I")
        .arg(Path::new(INTEROP).join("verify_dsse.py"))
        .arg("--flip")
        .arg(export)
        .arg(public_key)
        .output()
        .expect("the interpreter starts")
}

/// Runs the script over a mirror of a log, with a proof of one of its entries.
pub(crate) fn verify_log(mirror: &Path, key: &str, proof: &Path) -> Output {
    Command::new(python())
        .arg("-I")
        .arg(Path::new(INTEROP).join("verify_log.py"))
        .arg(mirror)
        .arg(key)
        .arg(proof)
        .output()
        .expect("the interpreter starts")
}

/// The same interpreter, with the witness of `witness-requirements.txt`.
///
/// # Panics
/// As [`python`].
pub(crate) fn witness_python() -> PathBuf {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    let make = || {
        let python = python();
        if std::env::var_os("NANOHOST_INTEROP_PYTHON").is_some() {
            return python;
        }
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let lock =
            File::create(target.join("interop-witness.lock")).expect("the target directory is writable");
        lock.lock().expect("the lock file can be locked");
        let there = Command::new(&python).args(["-I", "-c", "import aics_witness"]).output();
        if !there.is_ok_and(|output| output.status.success()) {
            run(
                Command::new(&python)
                    .args([
                        "-I",
                        "-m",
                        "pip",
                        "install",
                        "--quiet",
                        "--no-input",
                        "--disable-pip-version-check",
                    ])
                    .args(["--no-deps", "--ignore-requires-python", "-r"])
                    .arg(Path::new(INTEROP).join("witness-requirements.txt")),
                "install what the tests need from PyPI: a network is needed, once",
            );
        }
        python
    };
    PYTHON.get_or_init(make).clone()
}

fn environment(target: &Path) -> PathBuf {
    environment_of(target, "interop-python", &Path::new(INTEROP).join("requirements.txt"))
}

/// A Python interpreter in an environment of its own, with what `requirements` names.
pub(crate) fn environment_of(target: &Path, name: &str, requirements: &Path) -> PathBuf {
    let wanted = fs::read(requirements).expect("requirements.txt is part of the repository");
    let home = target.join(name);
    let python = home.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    // Written last, so that an environment that was left half made is made again.
    let stamp = home.join("requirements.stamp");

    // Two test runs may share one target directory. The lock goes with the file handle.
    let lock = File::create(target.join(format!("{name}.lock"))).expect("the target directory is writable");
    lock.lock().expect("the lock file can be locked");
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return python;
    }
    run(
        Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home),
        "make a Python environment: Python 3 with its venv module is needed (Debian: `apt-get install python3-venv`)",
    );
    run(
        Command::new(&python)
            .args(["-I", "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"])
            .arg("-r")
            .arg(requirements),
        "install what the tests need from PyPI: a network is needed, once",
    );
    fs::write(&stamp, wanted).expect("the target directory is writable");
    python
}

pub(crate) fn run(command: &mut Command, purpose: &str) {
    let advice = "or set NANOHOST_INTEROP_PYTHON to an interpreter that has these packages";
    match command.output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => panic!(
            "could not {purpose}, {advice}\n{command:?} ended with {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        ),
        Err(error) => panic!("could not {purpose}, {advice}\n{command:?} did not start: {error}"),
    }
}
