//! Code that nobody here wrote, and a verifier written from the documents alone, read what nanohost
//! hands out: each accepts the good and refuses the damaged. A tool that is missing fails the test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use nanohost_core::dsse::Unverified;
use nanohost_core::export::{ExportReader, Part};
use serde_json::Value;

use crate::harness::Home;
use crate::interop::{INTEROP, python, run};

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A run of the refund example, exported.
fn exported(home: &Home, disclose: &str) -> (String, PathBuf) {
    let run = home.examples().refund(0, &[])["run"].as_str().expect("an id").to_owned();
    let path = home.path(format!("{disclose}.jsonl"));
    home.nanohost(["export", &run, "-o", text(&path), "--disclose", disclose]).exits(0);
    (run, path)
}

fn envelopes(export: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(export).expect("it was written");
    let mut reader = ExportReader::new(bytes.as_slice()).expect("an export");
    let mut envelopes = Vec::new();
    while let Some(part) = reader.next().expect("an export") {
        if let Part::Envelope(bytes) = part {
            envelopes.push(bytes.to_vec());
        }
    }
    envelopes
}

#[test]
fn openssl_verifies_every_envelope_and_refuses_changed_ones() {
    let home = Home::new();
    let (_, export) = exported(&home, "none");
    let key = home.public_key();
    let (message, signature) = (home.path("pae"), home.path("sig"));
    let verify = |pae: &[u8], signed: &[u8]| {
        fs::write(&message, pae).expect("it is writable");
        fs::write(&signature, signed).expect("it is writable");
        let done = Command::new("openssl")
            .args(["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", text(&key), "-in", text(&message)])
            .args(["-sigfile", text(&signature)])
            .output()
            .expect("OpenSSL is installed (Debian: `apt-get install openssl`)");
        done.status.success()
    };
    let all = envelopes(&export);
    assert!(all.len() > 5);
    for bytes in &all {
        let envelope: Value = serde_json::from_slice(bytes).expect("JSON");
        let payload = Unverified::parse(bytes).expect("an envelope").payload().to_vec();
        let pae = |kind: &str| {
            [format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).as_bytes(), &payload].concat()
        };
        let kind = envelope["payloadType"].as_str().expect("a type");
        let signed = home.path("sig.b64");
        fs::write(&signed, envelope["signatures"][0]["sig"].as_str().expect("a signature"))
            .expect("it is writable");
        let decoded = Command::new("openssl").args(["base64", "-d", "-A", "-in", text(&signed)]).output();
        let signed = decoded.expect("OpenSSL is installed").stdout;
        assert!(verify(&pae(kind), &signed), "{envelope:#}");
        assert!(!verify(&pae("application/json"), &signed), "another type");
        assert!(!verify(&payload, &signed), "the payload alone");
        for at in [0, payload.len() / 2, payload.len() - 1] {
            let mut changed = pae(kind);
            let head = changed.len() - payload.len();
            changed[head + at] ^= 1;
            assert!(!verify(&changed, &signed), "byte {at} changed");
        }
        let mut changed = signed.clone();
        changed[10] ^= 1;
        assert!(!verify(&pae(kind), &changed), "the signature changed");
    }
}

/// The program in `host/interop/go`, built once. Debian's packages of Go's libraries lie outside of
/// modules; nothing is fetched.
fn go_log() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interop-go");
        fs::create_dir_all(&target).expect("the target directory is writable");
        // Named by its process: two test runs may share one target directory.
        let program = target.join(format!("log-{}", std::process::id()));
        let mut build = Command::new("go");
        build.arg("build").arg("-o").arg(&program).arg(Path::new(INTEROP).join("go/main.go"));
        build.env("GO111MODULE", "off").env("GOPATH", "/usr/share/gocode").env("GOFLAGS", "");
        build.env("GOCACHE", target.join("cache")).env("GOPROXY", "off");
        run(&mut build, "build the reader of logs: Go and its packages are needed (Debian: `apt-get install golang-go golang-golang-x-mod-dev`)");
        program
    })
}

fn go(arguments: &[&str]) -> Output {
    Command::new(go_log()).args(arguments).output().expect("the program starts")
}

#[track_caller]
fn holds(arguments: &[&str]) {
    let done = go(arguments);
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

#[track_caller]
fn refused(arguments: &[&str]) {
    let done = go(arguments);
    assert_eq!(done.status.code(), Some(1), "{arguments:?}: {}", String::from_utf8_lossy(&done.stdout));
}

/// One character of a text changed, at some places of it: where it means something.
fn damaged(text: &str) -> impl Iterator<Item = String> + '_ {
    // What stands before padding holds bits that mean nothing, which Go does not look at.
    let means = |at: usize| !text[at + 1..].starts_with('=');
    let places =
        text.char_indices().filter(move |(at, c)| c.is_ascii_alphanumeric() && means(*at)).step_by(5);
    places.map(|(at, c)| {
        let other = if c == 'b' || c == '2' {
            'c'
        } else if c.is_ascii_digit() {
            '2'
        } else {
            'b'
        };
        format!("{}{other}{}", &text[..at], &text[at + 1..])
    })
}

#[test]
fn go_reads_heads_and_proofs_and_refuses_damaged_ones() {
    let home = Home::new();
    let (run, export) = exported(&home, "none");
    let key = home.nanohost(["log", "key"]).exits(0).stdout.trim().to_owned();
    let (old, proof, entry, grown) =
        (home.path("old"), home.path("proof"), home.path("entry"), home.path("grown"));
    home.nanohost(["log", "checkpoint", "-o", text(&old)]).exits(0);
    home.nanohost(["log", "prove", &run, "-o", text(&proof)]).exits(0);
    let last = envelopes(&export).pop().expect("it has envelopes");
    fs::write(&entry, &last).expect("it is writable");
    let size = String::from_utf8(go(&["checkpoint", &key, text(&old)]).stdout).expect("UTF-8");
    let size = size.split(' ').next().expect("a size").to_owned();
    exported(&home, "public");
    home.nanohost(["log", "prove", "--since", &size, "-o", text(&grown)]).exits(0);
    let other_log = Home::new();
    exported(&other_log, "none");
    let stranger = other_log.nanohost(["log", "key"]).exits(0).stdout.trim().to_owned();

    let all: [(&[&str], &Path); 3] = [
        (&["checkpoint", &key, text(&old)], &old),
        (&["inclusion", &key, text(&proof), text(&entry)], &proof),
        (&["growth", &key, text(&old), text(&grown)], &grown),
    ];
    for (arguments, file) in all {
        holds(arguments);
        let mut others = arguments.to_vec();
        others[1] = &stranger;
        refused(&others);
        let whole = fs::read_to_string(file).expect("it was written");
        for changed in damaged(&whole) {
            fs::write(file, changed).expect("it is writable");
            refused(arguments);
        }
        fs::write(file, whole).expect("it is writable");
        holds(arguments);
    }
    let mut changed = last;
    changed[100] ^= 1;
    fs::write(&entry, changed).expect("it is writable");
    refused(all[1].0);
}

#[test]
fn go_reads_a_mirror_and_refuses_a_damaged_one() {
    let home = Home::new();
    exported(&home, "none");
    let key = home.nanohost(["log", "key"]).exits(0).stdout.trim().to_owned();
    let mirror = home.path("mirror");
    home.nanohost(["log", "export", "-o", text(&mirror)]).exits(0);
    let arguments = ["mirror", key.as_str(), text(&mirror)];
    holds(&arguments);
    let folders = [mirror.join("tile/0"), mirror.join("tile/entries")];
    let mut files = vec![mirror.join("checkpoint")];
    for folder in folders {
        let part =
            fs::read_dir(folder).expect("it is there").next().expect("a tile").expect("it lists").path();
        let inner = fs::read_dir(&part).ok().and_then(|mut inner| Some(inner.next()?.ok()?.path()));
        files.push(inner.unwrap_or(part));
    }
    for file in files {
        let whole = fs::read(&file).expect("it was written");
        for at in [0, whole.len() / 3, whole.len() - 2] {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            fs::write(&file, changed).expect("it is writable");
            refused(&arguments);
        }
        fs::write(&file, &whole[..whole.len() - 1]).expect("it is writable");
        refused(&arguments);
        fs::write(&file, &whole).expect("it is writable");
    }
    holds(&arguments);
}

/// The verifier in Python, over a file.
fn second(arguments: &[&str]) -> (Option<i32>, Value) {
    let done = Command::new(python())
        .arg("-I")
        .arg(Path::new(INTEROP).join("nanohost_verify.py"))
        .args(arguments)
        .arg("--json")
        .output()
        .expect("the interpreter starts");
    (done.status.code(), serde_json::from_slice(&done.stdout).unwrap_or(Value::Null))
}

/// Libraries that know nothing of runs accept each vector that is wrong for what runs say alone, and refuse
/// those whose signatures or canonical form are wrong.
#[test]
fn other_libraries_read_every_vector() {
    let done = Command::new(python())
        .args(["-B", "-P"])
        .env("PYTHONPATH", INTEROP)
        .arg(Path::new(INTEROP).join("verify_vectors.py"))
        .arg(Path::new(INTEROP).join("../nanohost-core/tests/vectors/evidence/runs.json"))
        .output()
        .expect("the interpreter starts");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn the_second_verifier_ends_each_vector_as_it_says() {
    let path = Path::new(INTEROP).join("../nanohost-core/tests/vectors/evidence/runs.json");
    let vectors: Value =
        serde_json::from_slice(&fs::read(path).expect("it is part of the repository")).expect("JSON");
    let cases = vectors["cases"].as_array().expect("cases");
    let word = |value: &Value| value.as_str().expect("a text").to_owned();
    let next = AtomicUsize::new(0);
    let work = || {
        let folder = tempfile::tempdir().expect("the temporary folder is writable");
        let file = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).expect("it is writable");
            path.to_str().expect("UTF-8").to_owned()
        };
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let lines = case["lines"].as_array().expect("lines").iter();
            let lines = lines.map(|at| vectors["pool"][at.as_u64().expect("a number") as usize].as_str());
            let mut bytes: Vec<u8> =
                lines.flat_map(|line| format!("{}\n", line.expect("a line")).into_bytes()).collect();
            bytes.truncate(bytes.len() - case["cut"].as_u64().unwrap_or(0) as usize);
            let second_key =
                if case["trust"] == "both" { word(&vectors["secondKey"]) } else { String::new() };
            let keys = file("keys.pem", (word(&vectors["publicKey"]) + &second_key).as_bytes());
            let export = file("run.jsonl", &bytes);
            let mut arguments = vec![export.as_str(), "--trust", &keys];
            let (proof, log_key);
            if let Some(text) = case["logProof"].as_str() {
                (proof, log_key) = (file("proof", text.as_bytes()), word(&vectors["logKey"]));
                arguments.extend(["--log-proof", &proof, "--log-key", &log_key]);
            }
            let alone = word(&vectors["logKey"]);
            if case["logKeyAlone"] == true {
                arguments.extend(["--log-key", &alone]);
            }
            if case["strict"] == true {
                arguments.push("--strict");
            }
            let (code, document) = second(&arguments);
            let without = case.get("exitWithoutMachine");
            let expected = without.unwrap_or(&case["exit"]);
            assert_eq!(code.map(i64::from), expected.as_i64(), "{}: {document:#}", case["name"]);
            if without.is_none() && document["fault"].is_object() {
                assert_eq!(document["fault"]["check"], case["check"], "{}: {document:#}", case["name"]);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(work);
        }
    });
}

#[test]
fn the_second_verifier_agrees_about_real_runs() {
    let home = Home::new();
    let key = home.public_key();
    let trust = ["--trust", text(&key)];
    let agree = |file: &Path, more: &[&str]| {
        let arguments = [&[text(file)], &trust[..], more].concat();
        let first = home.nanohost([&["verify"], &arguments[..], &["--json"]].concat());
        let told = first.json();
        let (code, document) = second(&arguments);
        assert_eq!(code.map(i64::from), told["exitCode"].as_i64(), "{told:#}\n{document:#}");
        for (one, other) in told["checks"]
            .as_array()
            .expect("checks")
            .iter()
            .zip(document["checks"].as_array().expect("checks"))
        {
            assert_eq!(one["name"], other["name"]);
            // Where it looks, it finds the same.
            if other["result"] != "not-checked" {
                assert_eq!(one["result"], other["result"], "{one}\n{other}");
            }
        }
        code
    };
    for disclose in ["all", "public", "none"] {
        let (run, export) = exported(&home, disclose);
        assert_eq!(agree(&export, &[]), Some(0), "{disclose}");
        let (proof, log) = (home.path("proof"), home.nanohost(["log", "key"]).exits(0).stdout);
        home.nanohost(["log", "prove", &run, "-o", text(&proof)]).exits(0);
        assert_eq!(agree(&export, &["--log-proof", text(&proof), "--log-key", log.trim()]), Some(0));
        let whole = fs::read_to_string(&export).expect("it was written");
        let cut = &whole[..whole.trim_end().rfind('\n').expect("it has lines") + 1];
        fs::write(&export, cut).expect("it is writable");
        assert_ne!(agree(&export, &[]), Some(0), "its end is cut off");
    }
    // One that values were erased from, and the same without the act that says so.
    let run = home.examples().refund(0, &[])["run"].as_str().expect("an id").to_owned();
    home.nanohost(["erase", &run, "--reason", "asked", "--json"]).exits(0);
    let path = home.path("erased.jsonl");
    home.nanohost(["export", &run, "--disclose", "all", "-o", text(&path)]).exits(0);
    assert_eq!(agree(&path, &[]), Some(0), "erased");
    let whole = fs::read_to_string(&path).expect("it was written");
    let changed = whole.replacen("{\"act\":\"e", "{\"act\":\"f", 1);
    assert_ne!(changed, whole);
    fs::write(&path, changed).expect("it is writable");
    assert_eq!(agree(&path, &[]), Some(10), "another act");
    // A run that waits, and one that was refused before it began.
    for (program, exit, more) in
        [("approval/program.toml", 4, &["--as", "agent"][..]), ("import-smuggling/program.toml", 3, &[])]
    {
        let run = home.examples().run_json(program, exit, more)["run"].as_str().expect("an id").to_owned();
        let path = home.path(format!("{run}.jsonl"));
        home.nanohost(["export", &run, "-o", text(&path)]).exits(0);
        assert_eq!(agree(&path, &[]), Some(0), "{program}");
    }
}
