//! Exported runs, changed in every way that a hand with an editor has.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use nanohost_core::TrustRoot;
use nanohost_core::export::Export;
use nanohost_core::trace::{Evidence, verify};

use crate::harness::{Done, Home};
use crate::interop;

/// An exported run of the refund example, everything disclosed, and the key it verifies with.
struct Exported {
    bytes: Vec<u8>,
    key: String,
}

fn exported() -> &'static Exported {
    static EXPORTED: OnceLock<Exported> = OnceLock::new();
    EXPORTED.get_or_init(|| {
        let home = Home::new();
        let path = export(&home, &[], "all");
        let key = fs::read_to_string(home.public_key()).expect("the key was written");
        Exported { bytes: fs::read(path).expect("it was exported"), key }
    })
}

/// Runs the refund example and exports the run.
fn export(home: &Home, inputs: &[&str], disclose: &str) -> PathBuf {
    let document = home.examples().refund(0, inputs);
    let run = document["run"].as_str().expect("an id");
    let out = home.path(format!("{run}.jsonl"));
    let path = out.to_str().expect("UTF-8");
    home.nanohost(["export", run, "--output", path, "--disclose", disclose]).exits(0);
    out
}

/// Whether the bytes pass as the good evidence of a run that is over, as `nanohost verify FILE`
/// judges them.
fn passes(bytes: &[u8], trust: &TrustRoot) -> bool {
    let Ok(export) = Export::parse(bytes) else { return false };
    let evidence = Evidence {
        run: &export.run,
        envelopes: &export.envelopes,
        contents: &[],
        expected: None,
        complete: false,
        acts: &[],
    };
    // All three have to hold; the last one decides the admission again, which takes longest.
    verify(evidence, trust).0.is_good()
        && export.check_places(true).is_ok()
        && verify(Evidence { contents: &export.contents, ..evidence }, trust).0.is_good()
}

/// What the lines of an export hold apart from base64 and hexadecimal text: where a parser looks.
fn is_structural(bytes: &[u8], at: usize) -> bool {
    let near = bytes[at.saturating_sub(8)..(at + 8).min(bytes.len())].iter();
    near.clone().any(|byte| matches!(byte, b'"' | b'\n' | b'{' | b'}' | b','))
}

/// Tries `change` at many places of the file, on every core, and says where the changed file passes.
fn passing(places: &[usize], change: impl Fn(&mut Vec<u8>, usize) + Sync) -> Vec<usize> {
    let Exported { bytes, key } = exported();
    let trust = TrustRoot::from_pem(key).expect("it is a key");
    assert!(passes(bytes, &trust), "the file passes as it is");
    let next = AtomicUsize::new(0);
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let mut passing: Vec<usize> = std::thread::scope(|scope| {
        let work = || {
            let mut found = Vec::new();
            while let Some(&at) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
                let mut changed = bytes.clone();
                change(&mut changed, at);
                if changed != *bytes && passes(&changed, &trust) {
                    found.push(at);
                }
            }
            found
        };
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no input makes it panic")).collect()
    });
    passing.sort_unstable();
    passing
}

/// All places where a parser looks, and every `stride`th of the rest.
fn places(stride: usize) -> Vec<usize> {
    let bytes = &exported().bytes;
    (0..bytes.len()).filter(|&at| at % stride == 0 || is_structural(bytes, at)).collect()
}

#[test]
fn no_changed_byte_passes() {
    let places: Vec<usize> = (0..exported().bytes.len()).collect();
    assert!(places.len() > 10_000, "the file is a real one");
    assert_eq!(passing(&places, |bytes, at| bytes[at] ^= 1), [] as [usize; 0]);
}

#[test]
fn no_byte_of_another_case_passes() {
    assert_eq!(passing(&places(7), |bytes, at| bytes[at] ^= 0x20), [] as [usize; 0]);
}

#[test]
fn no_removed_byte_passes() {
    assert_eq!(passing(&places(7), |bytes, at| _ = bytes.remove(at)), [] as [usize; 0]);
}

#[test]
fn no_added_byte_passes() {
    for byte in [b' ', b'\n', b'A', b'='] {
        assert_eq!(passing(&places(61), |bytes, at| bytes.insert(at, byte)), [] as [usize; 0], "{byte}");
    }
}

#[test]
fn no_cut_file_passes() {
    assert_eq!(passing(&places(7), |bytes, at| bytes.truncate(at)), [] as [usize; 0]);
}

#[test]
fn no_added_line_passes() {
    let bytes = &exported().bytes;
    let lines = lines(bytes);
    for line in &lines {
        let ends: Vec<usize> = lines.iter().map(|line| line.end).collect();
        let added = bytes[line.clone()].to_vec();
        // Content after the end of the file is content once more.
        let found = passing(&ends, |bytes, at| _ = bytes.splice(at..at, added.iter().copied()));
        assert_eq!(found, [] as [usize; 0], "{}", String::from_utf8_lossy(&added));
    }
}

/// The lines of a file, each with its line feed.
fn lines(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut start = 0;
    let mut lines = Vec::new();
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
        lines.push(start..at + 1);
        start = at + 1;
    }
    lines
}

/// The lines that are envelopes.
fn envelopes(bytes: &[u8]) -> Vec<Range<usize>> {
    let starts = |line: &Range<usize>| bytes[line.clone()].starts_with(b"{\"payload\"");
    lines(bytes).into_iter().filter(starts).collect()
}

/// What `nanohost verify FILE --trust KEY` says of a changed file.
fn verified(change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Done {
    let Exported { bytes, key } = exported();
    let home = Home::new();
    let key = home.write("trusted.pem", key);
    let file = home.write("run.jsonl", change(bytes.clone()));
    home.nanohost([Path::new("verify"), &file, Path::new("--trust"), &key])
}

fn without(bytes: &[u8], range: Range<usize>) -> Vec<u8> {
    [&bytes[..range.start], &bytes[range.end..]].concat()
}

#[test]
fn an_export_verifies_anywhere_with_its_key() {
    verified(|bytes| bytes).exits(0).says("VERIFIED").says("success").says("rollback");
    // A store, or a key of its own, is not needed: there is none in this home.
    let Exported { bytes, .. } = exported();
    let home = Home::new();
    let file = home.write("run.jsonl", bytes);
    home.nanohost([Path::new("verify"), &file]).exits(2).says("no_trust").says("--trust");
}

#[test]
fn a_value_that_was_cut_out_is_withheld() {
    let Exported { bytes, key } = exported();
    let home = Home::new();
    let key = home.write("trusted.pem", key);
    let value = lines(bytes).into_iter().find(|line| {
        let line = String::from_utf8_lossy(&bytes[line.clone()]).into_owned();
        line.starts_with("{\"bytes\"") && line.contains("/output\"")
    });
    let file = home.write("run.jsonl", without(bytes, value.expect("a step returned something")));
    let verify = |more: &[&str]| {
        let mut command = home.command(["verify"]);
        command.arg(&file).arg("--trust").arg(&key).args(more);
        Done::of(command)
    };
    verify(&[]).exits(0).says("VERIFIED IN PART").says("shape only");
    verify(&["--strict"])
        .exits(11)
        .says("VERIFIED IN PART")
        .says("--strict: 1 value is withheld, so this does not count as verified");
    verify(&[]).omits("--strict");
    assert_eq!(verify(&["--json"]).json()["good"], true);
    let document = verify(&["--strict", "--json"]).exits(11).json();
    assert_eq!((&document["good"], &document["strict"]), (&false.into(), &true.into()), "{document:#}");
    assert_eq!((&document["partial"], &document["withheld"]), (&true.into(), &1.into()), "{document:#}");
}

/// What serves only to go on with a run says nothing of what happened: nothing is missing without it.
#[test]
fn what_serves_to_go_on_is_not_withheld() {
    for role in ["/0/launch\"", "/0/seed\""] {
        verified(|bytes| {
            let of_role = |line: &Range<usize>| String::from_utf8_lossy(&bytes[line.clone()]).contains(role);
            let line = lines(&bytes).into_iter().find(of_role).expect("everything is disclosed");
            without(&bytes, line)
        })
        .exits(0)
        .omits("IN PART")
        .says("1 more serve only to go on with the run");
    }
}

#[test]
fn every_disclosure_verifies() {
    for disclose in ["none", "public", "all"] {
        let home = Home::new();
        let path = export(&home, &[], disclose);
        let done = home.nanohost([Path::new("verify"), &path]).exits(0).says("VERIFIED");
        let text = fs::read_to_string(&path).expect("it is text");
        assert_eq!(text.contains("\"ref\":"), disclose != "none");
        if disclose == "none" {
            let document = home.nanohost([Path::new("verify"), &path, Path::new("--json")]).json();
            let detail = format!("0 of {} values are here; 2 more serve only", document["withheld"]);
            done.says("not checked").says("the program and the policy are not disclosed").says(&detail);
        }
    }
}

/// Nothing is wrong with commitments alone: they only do not tell what happened.
#[test]
fn commitments_alone_do_not_tell_the_run() {
    let home = Home::new();
    let path = export(&home, &[], "none");
    for command in ["trace", "receipt", "health"] {
        let told = home.nanohost([Path::new(command), &path]).exits(11).says("values_withheld");
        told.says("--disclose all").omits("evidence_bad").omits("signatures");
    }
}

#[test]
fn an_export_is_never_written_over_a_file() {
    let home = Home::new();
    let document = home.examples().refund(0, &[]);
    let run = document["run"].as_str().expect("an id");
    let file = home.write("mine.txt", "keep me");
    let refused = home.nanohost(["export", run, "-o", file.to_str().expect("UTF-8")]).exits(2);
    refused.says("export_unwritable").says("give another name");
    assert_eq!(fs::read_to_string(&file).expect("it is there"), "keep me");
    home.nanohost(["export", run, "-o", "no/such/folder.jsonl"]).exits(2).says("export_unwritable");
}

#[test]
fn a_changed_byte_is_tampering() {
    for at in
        ["\"payload\":\"", "\"sig\":\"", "\"keyid\":\"", "\"bytes\":\"", "\"salt\":\"", "\"encoding\":\""]
    {
        verified(|mut bytes| {
            let text = String::from_utf8(bytes.clone()).expect("it is text");
            let at = text.find(at).expect("the member is there") + at.len() + 2;
            bytes[at] = if bytes[at] == b'a' { b'b' } else { b'a' };
            bytes
        })
        .exits(10)
        .says("TAMPERED");
    }
}

#[test]
fn a_removed_envelope_is_a_gap() {
    for nth in [0, 1, 5] {
        verified(|bytes| without(&bytes, envelopes(&bytes)[nth].clone())).exits(11).says("TRUNCATED");
    }
}

#[test]
fn swapped_envelopes_are_tampering() {
    verified(|bytes| {
        let envelopes = envelopes(&bytes);
        let (a, b) = (envelopes[5].clone(), envelopes[6].clone());
        [&bytes[..a.start], &bytes[b.clone()], &bytes[a.end..b.start], &bytes[a], &bytes[b.end..]].concat()
    })
    .exits(10)
    .says("TAMPERED");
}

#[test]
fn a_repeated_envelope_is_tampering() {
    for nth in [0, 4, 6] {
        verified(|bytes| {
            let line = envelopes(&bytes)[nth].clone();
            [&bytes[..line.end], &bytes[line.clone()], &bytes[line.end..]].concat()
        })
        .exits(10)
        .says("TAMPERED");
    }
}

#[test]
fn a_foreign_key_is_not_trusted() {
    let stranger = Home::new();
    let key = stranger.public_key();
    let home = Home::new();
    let file = home.write("run.jsonl", &exported().bytes);
    home.nanohost([Path::new("verify"), &file, Path::new("--trust"), &key]).exits(13).says("UNTRUSTED KEY");
    // Without --trust the keys of whoever verifies count, and an export never brings its own.
    stranger.nanohost([Path::new("verify"), &file]).exits(13);
    // Of two keys that are trusted, one is enough.
    let both = format!("{}{}", fs::read_to_string(&key).expect("a key"), exported().key);
    let both = home.write("both.pem", both);
    home.nanohost([Path::new("verify"), &file, Path::new("--trust"), &both]).exits(0);
}

#[test]
fn a_file_of_keys_that_is_none_is_refused() {
    let home = Home::new();
    let file = home.write("run.jsonl", &exported().bytes);
    for (text, code) in [
        ("", "trust_invalid"),
        ("not a key", "trust_invalid"),
        ("-----BEGIN PUBLIC KEY-----\n", "trust_invalid"),
    ] {
        let key = home.write("bad.pem", text);
        home.nanohost([Path::new("verify"), &file, Path::new("--trust"), &key]).exits(2).says(code);
    }
    let missing = Path::new("missing.pem");
    home.nanohost([Path::new("verify"), &file, Path::new("--trust"), missing])
        .exits(2)
        .says("trust_unreadable");
}

#[test]
fn a_cut_tail_is_an_open_run() {
    verified(|mut bytes| {
        let last = envelopes(&bytes).pop().expect("an envelope");
        bytes.truncate(last.start);
        bytes
    })
    .exits(14)
    .says("OPEN");
}

#[test]
fn a_cut_line_is_a_cut_file() {
    verified(|mut bytes| {
        bytes.truncate(bytes.len() - 1);
        bytes
    })
    .exits(11)
    .says("TRUNCATED");
    verified(|mut bytes| {
        bytes.truncate(bytes.len() / 2);
        bytes
    })
    .exits(11);
}

#[test]
fn content_without_its_envelope_is_a_cut_file() {
    // The tail of envelopes is gone, and the content of one of them stayed.
    verified(|bytes| {
        let lines = lines(&bytes);
        let mut contents =
            lines.iter().filter(|line| bytes[(*line).clone()].starts_with(b"{\"bytes\"")).cloned();
        let content = contents.next_back().expect("a content");
        let envelope =
            envelopes(&bytes).into_iter().rfind(|line| line.end <= content.start).expect("its own");
        [&bytes[..envelope.start], &bytes[content]].concat()
    })
    .exits(11)
    .says("TRUNCATED");
}

#[test]
fn what_is_no_export_is_said_to_be_none() {
    for other in [&b""[..], b"\n", b"{}\n", b"\x00\xff\xfe\n", b"# Notes\n\nof a run\n"] {
        verified(|_| other.to_vec()).exits(2).says("not_an_export").says("nanohost export RUN -o FILE");
    }
    verified(|bytes| exported().key.as_bytes()[..bytes.len().min(40)].to_vec()).exits(2);
    // Damage is damage, of the header too.
    verified(|bytes| bytes[..10].to_vec()).exits(11);
    let home = Home::new();
    let key = home.write("trusted.pem", &exported().key);
    let file = home.write("run.jsonl", &exported().bytes[..10]);
    let verify = [Path::new("verify"), &file, Path::new("--json"), Path::new("--trust"), &key];
    assert!(home.nanohost(verify).exits(11).json()["run"].is_null(), "nobody can say which run it is of");
    verified(|bytes| [b"x", &bytes[..]].concat()).exits(10).says("not the header of an export");
    verified(|bytes| bytes[envelopes(&bytes)[0].start..].to_vec()).exits(10);
    verified(|bytes| {
        let header = lines(&bytes)[0].clone();
        bytes[header].to_vec()
    })
    .exits(11);
    let huge = |length: usize| {
        move |mut bytes: Vec<u8>| {
            let header = lines(&bytes)[0].end;
            bytes.truncate(header);
            bytes.extend_from_slice(b"{\"payload\":\"");
            bytes.resize(bytes.len() + length, b'A');
            bytes.push(b'\n');
            bytes
        }
    };
    verified(huge(9 << 20)).exits(10).says("larger than");
    verified(huge(50 << 20)).exits(10).says("larger than");
    verified(|bytes| [&bytes[..lines(&bytes)[0].end], "\n".repeat(2 << 20).as_bytes()].concat()).exits(10);
}

#[test]
fn what_is_no_file_is_wrong_usage() {
    let home = Home::new();
    let key = home.public_key();
    home.write("folder/file", "");
    for (evidence, code) in [
        ("folder/", "export_unreadable"),
        ("./nothing.jsonl", "export_unreadable"),
        ("/dev/zero", "export_unreadable"),
    ] {
        home.nanohost([Path::new("verify"), Path::new(evidence), Path::new("--trust"), &key])
            .exits(2)
            .says(code);
    }
    home.nanohost(["verify", "nothing at all"]).exits(2).says("unknown_run");
    home.nanohost(["verify", "abcdef"]).exits(5).says("no_store");
}

#[test]
fn libraries_that_nobody_here_wrote_agree() {
    let Exported { bytes, key } = exported();
    let home = Home::new();
    let key = home.write("trusted.pem", key);
    let file = home.write("run.jsonl", bytes);
    let output = interop::verify_export(&file, &key);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    // One byte of a payload, changed on disk.
    let mut changed = bytes.clone();
    let at = envelopes(bytes)[3].start + 400;
    changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
    let file = home.write("changed.jsonl", changed);
    let output = interop::verify_export(&file, &key);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));

    // Another key.
    let output = interop::verify_export(&home.path("run.jsonl"), &home.public_key());
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
}
