use super::*;
use crate::Digest;
use crate::keys::Signer;
use crate::log::note::Kind;
use crate::log::tree::{self, Node};
use crate::log::{Frontier, Nodes, NoteSigner};

/// A log of so many leaves, the first of which is `first`.
struct Log {
    nodes: std::collections::BTreeMap<Node, Digest>,
    roots: Vec<Digest>,
}

impl Nodes for &Log {
    type Error = ();

    fn get(&mut self, node: Node) -> Result<Digest, ()> {
        self.nodes.get(&node).copied().ok_or(())
    }
}

fn log(first: u8, size: u64) -> Log {
    let (mut frontier, mut nodes) = (Frontier::default(), std::collections::BTreeMap::new());
    let mut roots = vec![frontier.root()];
    for at in 0..size {
        let entry = if at == 0 { first } else { at as u8 };
        frontier.push(tree::leaf(&[entry]), |node, hash| {
            nodes.insert(node, hash);
        });
        roots.push(frontier.root());
    }
    Log { nodes, roots }
}

fn signer(name: &str, seed: u8) -> NoteSigner {
    NoteSigner::new(name.parse().expect("a name"), Kind::Ed25519, Signer::from_seed([seed; 32]))
}

const ORIGIN: &str = "example.com/log";

impl Log {
    fn head(&self, size: u64) -> Checkpoint {
        let origin = ORIGIN.parse().expect("a name");
        Checkpoint { origin, size, root: self.roots[size as usize] }
    }

    fn request(&self, old: u64, new: u64, by: &NoteSigner) -> GrowthProof {
        let mut checkpoint = self.head(new).note().expect("a text");
        checkpoint.sign(by, 0);
        let hashes = tree::consistency(old, new, &mut &*self).expect("it has all nodes").unwrap_or_default();
        GrowthProof { old, hashes, checkpoint }
    }
}

fn judged(request: &GrowthProof, seen: Option<Checkpoint>) -> Result<u64, Refusal> {
    let logs = [signer(ORIGIN, 1).verifier().clone(), signer("example.com/other", 2).verifier().clone()];
    judge(request, &logs, |_| seen).map(|head| head.size)
}

#[test]
fn it_signs_what_only_grew() {
    let (log, key) = (log(0, 9), signer(ORIGIN, 1));
    assert_eq!(judged(&log.request(0, 5, &key), None), Ok(5));
    for (old, new) in [(5, 5), (5, 9), (1, 2), (8, 9)] {
        assert_eq!(judged(&log.request(old, new, &key), Some(log.head(old))), Ok(new));
    }
}

#[test]
fn it_signs_nothing_else() {
    let (log, other, key) = (log(0, 9), log(7, 9), signer(ORIGIN, 1));
    let seen = |size| Some(log.head(size));
    for (request, seen, refusal) in [
        (log.request(0, 5, &signer("example.com/unknown", 1)), None, Refusal::Unsigned),
        (log.request(0, 5, &signer(ORIGIN, 3)), None, Refusal::Unsigned),
        (log.request(0, 5, &key), seen(3), Refusal::Conflict(3)),
        (log.request(3, 5, &key), None, Refusal::Conflict(0)),
        // An older copy of the log.
        (log.request(2, 3, &key), seen(5), Refusal::Conflict(5)),
        (other.request(5, 5, &key), seen(5), Refusal::Forked(5)),
        (other.request(5, 9, &key), seen(5), Refusal::Inconsistent),
        (GrowthProof { hashes: Vec::new(), ..log.request(5, 9, &key) }, seen(5), Refusal::Inconsistent),
        (GrowthProof { hashes: vec![log.roots[1]], ..log.request(0, 9, &key) }, None, Refusal::Inconsistent),
    ] {
        assert_eq!(judged(&request, seen), Err(refusal));
    }
    let shorter = GrowthProof { old: 6, ..log.request(5, 5, &key) };
    assert!(matches!(judged(&shorter, seen(6)), Err(Refusal::Malformed(_))));
    let unknown = judge(&log.request(0, 5, &key), &[], |_| None);
    assert_eq!(unknown, Err(Refusal::UnknownLog));
    let mut prose = log.request(0, 5, &key);
    prose.checkpoint = super::super::Note::new("no head\n".into()).expect("a text");
    assert!(matches!(judged(&prose, None), Err(Refusal::Malformed(_))));
}

#[test]
fn a_false_signature_is_not_made_up_for() {
    let (log, key) = (log(0, 9), signer(ORIGIN, 1));
    let mut request = log.request(0, 5, &key);
    request.checkpoint.add_signatures(&log.request(0, 6, &key).checkpoint.signatures()).expect("a line");
    assert_eq!(judged(&request, None), Err(Refusal::Unsigned));
    // A line by somebody unknown is none of ours.
    let mut request = log.request(0, 5, &key);
    request.checkpoint.sign(&signer("example.com/unknown", 4), 0);
    assert_eq!(judged(&request, None), Ok(5));
}
