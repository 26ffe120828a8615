use std::fs;

use super::*;
use crate::error::StoreError;

fn head(size: u64, root: u8) -> (KeyName, Note) {
    let origin: KeyName = "example.com/log".parse().expect("a name");
    let head = Checkpoint { origin: origin.clone(), size, root: nanohost_core::Digest::of(&[root]) };
    let mut note = head.note().expect("a text");
    note.sign(&NoteSigner::new(origin.clone(), Kind::Ed25519, Signer::from_seed([1; 32])), 0);
    (origin, note)
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("the temporary folder is writable")
}

#[track_caller]
fn lost(dir: &Path, says: &str) {
    let error = WitnessState::open(dir, None).expect_err("a part is gone");
    assert!(matches!(error, StoreError::WitnessState { .. }), "{error}");
    assert!(error.to_string().contains(says), "{error}");
}

#[test]
fn heads_are_remembered() {
    let folder = folder();
    let dir = folder.path().join("witness");
    assert!(WitnessState::public(&dir).expect("nothing is there").is_none());
    let name: KeyName = "w.example/1".parse().expect("a name");
    let mut state = WitnessState::open(&dir, Some(&name)).expect("it is made");
    let key = state.signer().verifier().clone();
    assert_eq!((key.name(), key.kind()), (&name, Kind::Cosignature));
    let (origin, note) = head(3, 1);
    assert!(state.head(&origin).is_none());
    state.keep(origin.clone(), note.clone()).expect("it is writable");
    drop(state);
    let mut state = WitnessState::open(&dir, None).expect("it is there");
    assert_eq!((state.signer().verifier(), state.head(&origin)), (&key, Some(&note)));
    let (_, later) = head(4, 2);
    state.keep(origin.clone(), later.clone()).expect("it is writable");
    assert_eq!(state.heads().count(), 1);
    drop(state);
    assert_eq!(WitnessState::public(&dir).expect("it reads"), Some(key));
    assert_eq!(WitnessState::open(&dir, Some(&name)).expect("it is there").head(&origin), Some(&later));
    assert!(WitnessState::open(&dir, Some(&origin)).is_err(), "a witness has one name");
}

#[test]
fn a_witness_without_a_name_gets_its_own() {
    let (one, two) = (folder(), folder());
    let name = |dir: &Path| {
        WitnessState::open(dir, None).expect("it is made").signer().verifier().name().to_string()
    };
    assert!(name(one.path()).starts_with("nanohost-witness/"));
    assert_ne!(name(one.path()), name(two.path()));
}

#[test]
fn a_witness_that_forgot_does_not_open() {
    let folder = folder();
    let dir = folder.path();
    let mut state = WitnessState::open(dir, None).expect("it is made");
    let (origin, note) = head(3, 1);
    state.keep(origin, note).expect("it is writable");
    drop(state);
    let heads = fs::read(dir.join(HEADS)).expect("they are there");
    fs::remove_file(dir.join(HEADS)).expect("it is ours");
    lost(dir, "it is gone");
    for damage in
        [&heads[1..], &heads[..heads.len() - 1], &[heads.clone(), heads.clone()].concat(), b"x\n", b"\xff"]
    {
        fs::write(dir.join(HEADS), damage).expect("it is ours");
        lost(dir, "heads");
    }
    fs::write(dir.join(HEADS), &heads).expect("it is ours");
    drop(WitnessState::open(dir, None).expect("all is there again"));
    let public = fs::read(dir.join(PUBLIC)).expect("it is there");
    fs::remove_file(dir.join(PUBLIC)).expect("it is ours");
    lost(dir, "it is gone, and there are heads");
    fs::write(dir.join(PUBLIC), public).expect("it is ours");
    fs::rename(dir.join(KEY), dir.join("away")).expect("it is ours");
    lost(dir, "it is gone");
    // Another's key.
    let other = self::folder();
    drop(WitnessState::open(other.path(), None).expect("it is made"));
    fs::copy(other.path().join(KEY), dir.join(KEY)).expect("it is ours");
    lost(dir, "it is not the key of");
}

#[test]
fn what_a_process_left_that_died_in_the_making_is_gone_on_with() {
    let folder = folder();
    let dir = folder.path();
    let key = WitnessState::open(dir, None).expect("it is made").signer().verifier().key().clone();
    fs::remove_file(dir.join(PUBLIC)).expect("it is ours");
    let again = WitnessState::open(dir, None).expect("nothing was signed");
    assert_eq!(again.signer().verifier().key(), &key);
}

#[test]
fn one_process_has_it() {
    let folder = folder();
    let _held = WitnessState::open(folder.path(), None).expect("it is made");
    let lock = folder.path().join(".lock");
    assert!(matches!(File::open(lock).expect("it is there").try_lock(), Err(fs::TryLockError::WouldBlock)));
}
