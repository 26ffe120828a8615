//! The log over all runs, as commits make it.

use nanohost_core::log::note::{Kind, NoteVerifier};
use nanohost_core::log::tree::{self, Node};
use nanohost_core::log::{Checkpoint, Frontier};
use nanohost_core::{PublicKey, Signer};

use super::*;
use crate::log::{LogHead, Logged};

fn key() -> Signer {
    Signer::from_seed([7; 32])
}

fn public() -> PublicKey {
    key().public().clone()
}

pub(super) fn signing(dir: &Path) -> SqliteStore {
    open(dir).signing_log_with(key()).expect("the store reads")
}

/// All entries of a log, in order: run, number, bytes.
pub(super) fn entries(store: &impl Logged) -> Vec<(RunId, u64, Vec<u8>)> {
    let mut all = Vec::new();
    let read = store.read_log(|log| {
        let size = log.size()?;
        log.entries(0..size, &mut |entry| {
            assert_eq!(entry.entry, all.len() as u64);
            all.push((entry.run, entry.seq, entry.envelope.expect("it is there")));
            Ok(())
        })
    });
    read.expect("the log reads");
    all
}

/// Every envelope stands in the log once, every kept node is that of its entries.
pub(super) fn is_whole(dir: &Path) {
    let reader = SqliteReader::open(dir, &options()).expect("the store opens");
    let entries = entries(&reader);
    let acts = reader.acts().expect("it has acts");
    let runs = reader.runs().expect("it lists").into_iter().map(|listed| listed.run);
    let envelopes: usize = runs.chain([acts]).map(|run| load(&reader, &run).envelopes.len()).sum();
    assert_eq!(entries.len(), envelopes);
    for (run, seq, bytes) in &entries {
        assert_eq!(&load(&reader, run).envelopes[*seq as usize], bytes);
    }
    let mut frontier = Frontier::default();
    let mut made: Vec<(Node, Digest)> = Vec::new();
    for (.., bytes) in &entries {
        frontier.push(tree::leaf(bytes), |node, hash| made.push((node, hash)));
    }
    reader
        .read_log(|log| {
            assert_eq!(log.size()?, frontier.size());
            assert_eq!(log.outside()?, 0);
            for (node, hash) in &made {
                assert_eq!(log.node(*node)?, *hash);
            }
            Ok(())
        })
        .expect("the log reads");
}

/// The newest signed head.
pub(super) fn head(store: &impl Logged) -> Checkpoint {
    let note = store.read_log(|log| log.head(LogHead::Signed)).expect("the log reads").expect("it is signed");
    let origin = store.log_origin().expect("the store reads");
    Checkpoint::open(&note, &NoteVerifier::new(origin, Kind::Ed25519, public())).expect("the log signed it")
}

#[test]
fn every_commit_makes_the_log_grow_and_signs_its_head() {
    let dir = folder();
    let store = signing(dir.path());
    let (first, second) = (begin(&store, 1), begin(&store, 2));
    let mut frontier = Frontier::default();
    let batches: [(&Fence, &[&[u8]]); 4] =
        [(&first, &[b"a", b"b"]), (&second, &[b"c"]), (&first, &[b"d"]), (&second, &[b"e", b"f", b"g"])];
    for (fence, envelopes) in batches {
        let envelopes: Vec<Vec<u8>> = envelopes.iter().map(|bytes| bytes.to_vec()).collect();
        envelopes.iter().for_each(|bytes| frontier.push(tree::leaf(bytes), |_, _| ()));
        commit(&store, fence, &Batch { envelopes, ..Batch::default() });
        let head = head(&store);
        assert_eq!((head.size, head.root), (frontier.size(), frontier.root()));
    }
    is_whole(dir.path());
    let places: Vec<(RunId, u64)> = entries(&store).into_iter().map(|(run, seq, _)| (run, seq)).collect();
    let at = |number, seq| (run(number), seq);
    assert_eq!(places, [at(1, 0), at(1, 1), at(2, 0), at(1, 2), at(2, 1), at(2, 2), at(2, 3)]);
    let find = |run: &RunId, seq| store.read_log(|log| log.find(run, seq)).expect("the log reads");
    assert_eq!((find(&run(2), 1), find(&run(2), 4), find(&run(3), 0)), (Some(4), None, None));
}

#[test]
fn what_is_refused_is_not_in_the_log() {
    let dir = folder();
    let store = signing(dir.path());
    let fence = begin(&store, 1);
    commit(&store, &fence, &Batch::of(b"a".to_vec()));
    let before = head(&store);
    let outcome = store.append(&fence, Head::EMPTY, &Batch::of(b"b".to_vec())).expect("the store answers");
    assert!(matches!(outcome, Appended::Conflict(_)));
    assert_eq!((head(&store), entries(&store).len()), (before, 1));
}

#[test]
fn a_head_is_signed_later_where_no_key_was_there() {
    let dir = folder();
    ended_run(&open(dir.path()), 1, b"a secret");
    let store = open(dir.path());
    assert_eq!(store.sign_log_head().expect("the store reads"), None);
    assert_eq!(store.read_log(|log| log.head(LogHead::Signed)).expect("the log reads"), None);
    let store = signing(dir.path());
    let note = store.sign_log_head().expect("the store writes").expect("it is signed");
    assert_eq!(head(&store).size, 1);
    assert_eq!(store.sign_log_head().expect("the store reads"), Some(note));
}

#[test]
fn each_store_has_a_log_of_its_own_name() {
    let (one, other) = (folder(), folder());
    let origin = |dir: &Path| open(dir).log_origin().expect("the store reads");
    assert_eq!(origin(one.path()), origin(one.path()));
    assert_ne!(origin(one.path()), origin(other.path()));
}

#[test]
fn the_head_of_the_larger_tree_is_kept_with_its_witnesses() {
    let dir = folder();
    let store = signing(dir.path());
    let fence = begin(&store, 1);
    commit(&store, &fence, &Batch::of(b"a".to_vec()));
    let small = store.sign_log_head().expect("the store reads").expect("it is signed");
    commit(&store, &fence, &Batch::of(b"b".to_vec()));
    let large = store.sign_log_head().expect("the store reads").expect("it is signed");
    let kept = || store.read_log(|log| log.head(LogHead::Witnessed)).expect("the log reads");
    assert_eq!(kept(), None);
    for (note, expected) in [(&small, &small), (&large, &large), (&small, &large)] {
        store.keep_witnessed(note).expect("the store writes");
        assert_eq!(kept().as_ref(), Some(expected));
    }
}

#[test]
fn processes_at_once_make_one_log() {
    let dir = folder();
    drop(open(dir.path()));
    std::thread::scope(|scope| {
        for number in 1..=4 {
            let dir = dir.path();
            scope.spawn(move || {
                let patient = OpenOptions { busy_timeout: Duration::from_secs(60), ..options() };
                let store = SqliteStore::open(dir, &patient).expect("the store opens");
                let store = store.signing_log_with(key()).expect("the store reads");
                let fence = begin(&store, number);
                for _ in 0..5 {
                    commit(&store, &fence, &Batch::of(vec![number]));
                }
            });
        }
    });
    is_whole(dir.path());
    assert_eq!(head(&open(dir.path())).size, 20);
}
