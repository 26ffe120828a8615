//! The vectors of whole exports (`nanohost-core/tests/vectors/evidence/runs.json`), most of which must
//! fail: the exit code, the check that fails, and the same in a table.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// The vectors, and where their files are written.
fn vectors() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../nanohost-core/tests/vectors/evidence/runs.json");
    let text = fs::read_to_string(path).expect("the vectors are part of the repository");
    serde_json::from_str(&text).expect("they are JSON")
}

fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value[member].as_str().unwrap_or_else(|| panic!("{member} is a text"))
}

/// The bytes of a case's file.
fn file(vectors: &Value, case: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in case["lines"].as_array().expect("lines") {
        let line = usize::try_from(line.as_u64().expect("a number")).expect("it is small");
        bytes.extend_from_slice(vectors["pool"][line].as_str().expect("a line").as_bytes());
        bytes.push(b'\n');
    }
    let cut = usize::try_from(case["cut"].as_u64().unwrap_or(0)).expect("it is small");
    bytes.truncate(bytes.len() - cut);
    bytes
}

fn verify(folder: &Path, vectors: &Value, case: &Value, more: &[&str]) -> Output {
    let (export, keys, proof) =
        (folder.join("run.jsonl"), folder.join("keys.pem"), folder.join("run.tlog-proof"));
    fs::write(&export, file(vectors, case)).expect("the folder is writable");
    let both = case["trust"] == "both";
    let second = if both { text(vectors, "secondKey") } else { "" };
    fs::write(&keys, format!("{}{second}", text(vectors, "publicKey"))).expect("the folder is writable");
    let mut command = Command::new(env!("CARGO_BIN_EXE_nanohost-verify"));
    command.arg(&export).arg("--trust").arg(&keys).args(more).env("NO_COLOR", "1");
    if let Some(text_of_proof) = case["logProof"].as_str() {
        fs::write(&proof, text_of_proof).expect("the folder is writable");
        command.arg("--log-proof").arg(&proof).args(["--log-key", text(vectors, "logKey")]);
    }
    if case["logKeyAlone"] == true {
        command.args(["--log-key", text(vectors, "logKey")]);
    }
    if case["strict"] == true {
        command.arg("--strict");
    }
    command.output().expect("the verifier starts")
}

#[test]
fn every_vector_ends_as_it_says() {
    let vectors = vectors();
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    let cases = vectors["cases"].as_array().expect("cases");
    let (mut good, mut bad) = (0, 0);
    for case in cases {
        let name = text(case, "name");
        let done = verify(folder.path(), &vectors, case, &["--json"]);
        let document: Value = serde_json::from_slice(&done.stdout).expect("one document");
        assert_eq!(done.status.code().map(i64::from), case["exit"].as_i64(), "{name}: {document:#}");
        assert_eq!(document["exitCode"], case["exit"], "{name}");
        if case["exit"] == 2 {
            assert!(document["findings"][0]["help"].is_string(), "{name}: {document}");
            continue;
        }
        let failed = document["checks"].as_array().expect("checks").iter();
        let failed = failed.filter(|check| check["result"] == "fail").map(|check| &check["name"]);
        let expected: Vec<&Value> =
            Some(&case["check"]).filter(|check| !check.is_null()).into_iter().collect();
        // The end of a run that is open stays told beside what is wrong with it.
        let failed: Vec<&Value> = failed
            .filter(|name| document["fault"].is_null() || **name != "closed" || case["check"] == "closed")
            .collect();
        assert_eq!(failed, expected, "{name}: {document:#}");
        *(if case["exit"] == 0 { &mut good } else { &mut bad }) += 1;
    }
    assert!(good >= 5 && bad > 5 * good, "{good} good and {bad} bad ones were looked at");
}

#[test]
fn a_person_sees_the_verdict_first_and_then_every_check() {
    let vectors = vectors();
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    let of = |name: &str| {
        let mut cases = vectors["cases"].as_array().expect("cases").iter();
        let case = cases.find(|case| case["name"] == name).expect("a vector of that name");
        String::from_utf8(verify(folder.path(), &vectors, case, &[]).stdout).expect("UTF-8")
    };
    let whole = of("it stands in the log");
    assert!(whole.starts_with("VERIFIED every check that could be made passed\n"), "{whole}");
    for check in ["signatures   pass", "transitions  pass", "log          pass", "rollback     not checked"] {
        assert!(whole.contains(check), "{whole}");
    }
    let cut = of("the tail cut off");
    assert!(cut.starts_with("OPEN ") && cut.contains("closed       FAIL"), "{cut}");
    let changed = of("a value changed");
    assert!(changed.starts_with("TAMPERED envelope 2: "), "{changed}");
}

#[test]
fn what_was_seen_once_has_to_be_there_again() {
    let vectors = vectors();
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    let state = folder.path().join("state.json");
    let ends = |name: &str| {
        let mut cases = vectors["cases"].as_array().expect("cases").iter();
        let case = cases.find(|case| case["name"] == name).expect("a vector of that name");
        let state = state.to_str().expect("UTF-8");
        verify(folder.path(), &vectors, case, &["--state", state]).status.code()
    };
    assert_eq!(ends("a whole run"), Some(0));
    assert_eq!(ends("no values"), Some(0), "the same envelopes");
    assert_eq!(ends("the tail cut off"), Some(12));
    assert_eq!(ends("signed by a stranger"), Some(13), "what does not verify is not compared");
    assert_eq!(ends("a whole run"), Some(0), "what was seen stays");
}

/// Each byte of an export counts: whatever is put in its place, the file is refused. All bytes of
/// a small one are flipped in their lowest bit, and some in their case.
#[test]
fn no_single_changed_byte_passes() {
    use nanohost_core::trace::Keep;
    use nanohost_core::{KeyTrust, TrustRoot};
    let vectors = vectors();
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    let cases = vectors["cases"].as_array().expect("cases");
    let whole = file(&vectors, &cases[0]);
    let trust = TrustRoot::from_pem(text(&vectors, "publicKey")).expect("a key");
    let path = folder.path().join("run.jsonl");
    let passes = |bytes: &[u8]| {
        fs::write(&path, bytes).expect("the folder is writable");
        nanohost_verify::judge(&path, &KeyTrust::keys(&trust), Keep::Verdict, None, |_| None)
            .is_ok_and(|judged| judged.report.is_good())
    };
    assert!(passes(&whole), "the file itself passes");
    let mut bytes = whole.clone();
    for at in 0..whole.len() {
        for bit in [0x01, 0x20].into_iter().take(if at % 8 == 0 { 2 } else { 1 }) {
            bytes[at] = whole[at] ^ bit;
            assert!(!passes(&bytes), "byte {at} changed to {:?} passes", char::from(bytes[at]));
        }
        bytes[at] = whole[at];
    }
}
