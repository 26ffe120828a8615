use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nanohost_core::Signer;
use nanohost_core::log::note::Kind;
use nanohost_core::log::tree;
use nanohost_core::log::{Frontier, KeyName, NoteSigner};
use tempfile::TempDir;

use super::*;

const ORIGIN: &str = "example.com/log";

fn log(seed: u8) -> NoteSigner {
    NoteSigner::new(ORIGIN.parse().expect("a name"), Kind::Ed25519, Signer::from_seed([seed; 32]))
}

/// The head of a log of so many leaves, all of which are `leaf`.
fn head(size: u64, leaf: u8) -> Note {
    let mut frontier = Frontier::default();
    (0..size).for_each(|_| frontier.push(tree::leaf(&[leaf]), |_, _| ()));
    let origin: KeyName = ORIGIN.parse().expect("a name");
    let head = Checkpoint { origin, size, root: frontier.root() };
    let mut note = head.note().expect("a text");
    note.sign(&log(1), 0);
    note
}

/// From one leaf to two: the second leaf is the proof.
fn grown(leaf: u8) -> String {
    GrowthProof { old: 1, hashes: vec![tree::leaf(&[leaf])], checkpoint: head(2, leaf) }.to_string()
}

fn first(size: u64, leaf: u8) -> String {
    GrowthProof { old: 0, hashes: Vec::new(), checkpoint: head(size, leaf) }.to_string()
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("the temporary folder is writable")
}

fn witness(dir: &Path) -> Witness {
    let state = WitnessState::open(dir, None).expect("the folder is ours");
    Witness::new(state, vec![log(1).verifier().clone()])
}

#[test]
fn it_answers_as_the_protocol_says() {
    let folder = folder();
    let witness = witness(folder.path());
    let answer = |body: &str| witness.add_checkpoint(body.as_bytes(), 1_700_000_000);
    let signed = answer(&first(1, 1));
    assert_eq!(signed.status, 200, "{}", signed.body);
    let mut note = head(1, 1);
    note.add_signatures(&signed.body).expect("lines of signatures");
    assert_eq!(note.by(&witness.key()).expect("it is good").and_then(|by| by.time), Some(1_700_000_000));
    // Once more the same, and then more of it.
    let again = GrowthProof { old: 1, hashes: Vec::new(), checkpoint: head(1, 1) }.to_string();
    assert_eq!(answer(&again).status, 200);
    assert_eq!(answer(&grown(1)).status, 200);

    let conflict = |size: &str| Answer { status: 409, content_type: SIZE, body: format!("{size}\n") };
    assert_eq!(answer(&first(3, 1)), conflict("2"));
    // An older copy, and another log with as many entries.
    assert_eq!(answer(&first(1, 1)), conflict("2"));
    let fork = GrowthProof { old: 2, hashes: Vec::new(), checkpoint: head(2, 9) }.to_string();
    assert_eq!(answer(&fork), conflict("2"));
    let fork = GrowthProof { old: 2, hashes: vec![tree::leaf(&[9])], checkpoint: head(3, 9) }.to_string();
    assert_eq!(answer(&fork).status, 422);
    assert_eq!(answer(&first(1, 1).replace(ORIGIN, "example.com/other")).status, 404);
    let mut foreign = head(2, 1).only(&[]);
    foreign.sign(&log(2), 0);
    let foreign = GrowthProof { old: 2, hashes: Vec::new(), checkpoint: foreign }.to_string();
    assert_eq!(answer(&foreign).status, 403);
    for malformed in ["", "old 2\n\n", "old x\n\n", "\n\n", "old 9\n\nx\n1\ny\n\n"] {
        assert_eq!(answer(malformed).status, 400, "{malformed:?}");
    }
    let shorter = GrowthProof { old: 3, hashes: Vec::new(), checkpoint: head(2, 1) }.to_string();
    assert_eq!(answer(&shorter).status, 400);
    assert_eq!(witness.add_checkpoint(b"\xff\n\n", 1_700_000_000).status, 400);
    // Time does not run backwards.
    let again = GrowthProof { old: 2, hashes: Vec::new(), checkpoint: head(2, 1) }.to_string();
    assert_eq!(witness.add_checkpoint(again.as_bytes(), 1_600_000_000).status, 503);
    assert_eq!(answer(&again).status, 200);
    // Others can see what it signed.
    let shown = witness.checkpoint(&Digest::of(ORIGIN.as_bytes()).to_string());
    let note: Note = shown.body.parse().expect("a note");
    assert_eq!((shown.status, note.text()), (200, head(2, 1).text()));
    assert!(note.by(&witness.key()).expect("it is good").is_some());
    assert_eq!(witness.checkpoint(&Digest::of(b"another").to_string()).status, 404);
}

const STATE: &str = "NANOHOST_WITNESS_TEST_STATE";
const AT: &str = "NANOHOST_CRASH_AT";

/// A witness that is ended between storing and answering, where the test below starts this
/// executable again.
#[test]
fn child() {
    let Ok(dir) = std::env::var(STATE) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("it starts");
    runtime.block_on(async {
        let address = "127.0.0.1:0".parse().expect("an address");
        let server = serve::Server::bind(address, witness(Path::new(&dir))).await.expect("a port is free");
        let line = format!("\nlistens at {}\n", server.address().expect("it listens"));
        std::io::Write::write_all(&mut std::io::stdout(), line.as_bytes()).expect("the parent reads");
        server.run().await;
    });
}

/// Such a witness, and its address.
fn start(dir: &Path, at: Option<&str>) -> (Child, String) {
    let mut command = Command::new(std::env::current_exe().expect("a test executable has a path"));
    command
        .args(["--exact", "witness::tests::child", "--nocapture", "--quiet"])
        .env(STATE, dir)
        .env_remove(AT);
    if let Some(at) = at {
        command.env(AT, at);
    }
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the test executable starts");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let address = loop {
        let line = lines.next().expect("it says where it listens").expect("it is text");
        if let Some(address) = line.strip_prefix("listens at ") {
            break address.to_owned();
        }
    };
    // It says no more, and is not to wait for somebody who hears.
    drop(lines);
    (child, address)
}

/// The status that a request is answered with; `None` where the connection breaks before there is one.
fn post(address: &str, body: &str) -> Option<u16> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address).ok()?;
    let length = body.len();
    let head = format!(
        "POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).ok()?;
    let mut answer = String::new();
    // What came before the connection broke is looked at all the same.
    let _ = stream.read_to_string(&mut answer);
    answer.split(' ').nth(1)?.parse().ok()
}

#[test]
fn what_was_stored_and_not_answered_is_remembered() {
    let folder = folder();
    let (mut child, address) = start(folder.path(), Some("1"));
    assert_eq!(post(&address, &first(1, 1)), None, "it is killed before it answers");
    use std::os::unix::process::ExitStatusExt as _;
    assert_eq!(child.wait().expect("it was started").signal(), Some(9));
    let (mut child, address) = start(folder.path(), None);
    // Another history cannot take the place of the one that nobody was told of.
    let fork = GrowthProof { old: 1, hashes: Vec::new(), checkpoint: head(1, 9) }.to_string();
    assert_eq!(post(&address, &first(1, 9)), Some(409));
    assert_eq!(post(&address, &fork), Some(409));
    // Who asked then asks again, with the size that it is told.
    assert_eq!(post(&address, &first(1, 1)), Some(409));
    let again = GrowthProof { old: 1, hashes: Vec::new(), checkpoint: head(1, 1) }.to_string();
    assert_eq!(post(&address, &again), Some(200));
    assert_eq!(post(&address, &grown(1)), Some(200));
    child.kill().expect("it runs");
    child.wait().expect("it was started");
}
