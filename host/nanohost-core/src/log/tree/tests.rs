use std::collections::HashMap;
use std::convert::Infallible;

use proptest::prelude::*;

use super::*;

/// The eight entries of Certificate Transparency's own test tree.
const ENTRIES: [&[u8]; 8] = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    b"\x50\x51\x52\x53\x54\x55\x56\x57",
    b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
];

/// Its roots after one, two, … eight entries.
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

/// A tree with everything kept.
#[derive(Default)]
struct Kept {
    frontier: Frontier,
    nodes: HashMap<Node, Digest>,
    leaves: Vec<Digest>,
}

impl Kept {
    fn of(entries: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        let mut kept = Self::default();
        for entry in entries {
            let hash = leaf(entry.as_ref());
            kept.leaves.push(hash);
            let Self { frontier, nodes, .. } = &mut kept;
            frontier.push(hash, |node, hash| assert_eq!(nodes.insert(node, hash), None));
        }
        kept
    }

    fn counted(size: u64) -> Self {
        Self::of((0..size).map(u64::to_be_bytes))
    }
}

impl Nodes for &Kept {
    type Error = Infallible;

    fn get(&mut self, node: Node) -> Result<Digest, Infallible> {
        Ok(self.nodes[&node])
    }
}

/// The definition of RFC 9162, 2.1.1, word for word.
fn defined(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len() as u64) as usize);
            inner(&defined(left), &defined(right))
        }
    }
}

/// The definition of RFC 9162, 2.1.3.1.
fn path(index: usize, leaves: &[Digest]) -> Vec<Digest> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let middle = split(leaves.len() as u64) as usize;
    let (left, right) = leaves.split_at(middle);
    let (mut path, beside) = match index.checked_sub(middle) {
        None => (path(index, left), defined(right)),
        Some(index) => (path(index, right), defined(left)),
    };
    path.push(beside);
    path
}

/// The definition of RFC 9162, 2.1.4.1.
fn subproof(old: usize, leaves: &[Digest], whole: bool) -> Vec<Digest> {
    if old == leaves.len() {
        return if whole { Vec::new() } else { vec![defined(leaves)] };
    }
    let middle = split(leaves.len() as u64) as usize;
    let (left, right) = leaves.split_at(middle);
    let (mut path, beside) = match old.checked_sub(middle) {
        None | Some(0) => (subproof(old, left, whole), defined(right)),
        Some(old) => (subproof(old, right, false), defined(left)),
    };
    path.push(beside);
    path
}

#[test]
fn the_roots_of_certificate_transparency() {
    assert_eq!(empty_root().to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    let mut frontier = Frontier::default();
    assert_eq!(frontier.root(), empty_root());
    for (entry, root) in ENTRIES.iter().zip(ROOTS) {
        frontier.push(leaf(entry), |_, _| ());
        assert_eq!(frontier.root().to_string(), root, "{}", frontier.size());
    }
    let kept = Kept::of(ENTRIES);
    for (size, expected) in (1..).zip(ROOTS) {
        assert_eq!(root(size, &mut &kept).expect("kept").to_string(), expected);
    }
}

#[test]
fn proofs_are_those_of_the_definition_and_show_what_they_say() {
    let kept = Kept::counted(70);
    let root_of = |size: u64| defined(&kept.leaves[..size as usize]);
    for size in 1..=70 {
        let leaves = &kept.leaves[..size as usize];
        assert_eq!(Frontier::read(size, &mut &kept).expect("kept").root(), root_of(size));
        for index in 0..size {
            let proof = inclusion(index, size, &mut &kept).expect("kept").expect("it is in the tree");
            assert_eq!(proof, path(index as usize, leaves));
            assert!(proof.len() <= MAX_PROOF);
            let leaf = &kept.leaves[index as usize];
            assert_eq!(check_inclusion(leaf, index, size, &root_of(size), &proof), Ok(()));
        }
        assert_eq!(inclusion(size, size, &mut &kept), Ok(None));
        for old in 0..=size {
            let proof = consistency(old, size, &mut &kept).expect("kept").expect("it is not larger");
            if old > 0 {
                assert_eq!(proof, subproof(old as usize, leaves, true));
            }
            let (old_root, new_root) = (root_of(old), root_of(size));
            assert_eq!(
                check_consistency((old, &old_root), (size, &new_root), &proof),
                Ok(()),
                "{old} {size}"
            );
        }
        assert_eq!(consistency(size + 1, size, &mut &kept), Ok(None));
    }
}

#[test]
fn a_frontier_goes_on_where_it_was_read() {
    let all = Kept::counted(100);
    for at in 0..100 {
        let mut frontier = Frontier::read(at, &mut &all).expect("kept");
        let mut made = Vec::new();
        for leaf in &all.leaves[at as usize..] {
            frontier.push(*leaf, |node, hash| made.push((node, hash)));
        }
        assert_eq!(frontier, all.frontier);
        assert!(made.iter().all(|(node, hash)| all.nodes[node] == *hash));
    }
}

proptest! {
    #[test]
    fn a_changed_proof_shows_nothing(size in 1u64..200, at in 0u64..200, which in 0usize..16, how in 0u8..4) {
        let index = at % size;
        let kept = Kept::counted(size);
        let root = kept.frontier.root();
        let mut proof = inclusion(index, size, &mut &kept).expect("kept").expect("it is in the tree");
        let leaf = kept.leaves[index as usize];
        let changed = change(&mut proof, which, how);
        prop_assert_eq!(check_inclusion(&leaf, index, size, &root, &proof).is_err(), changed);
        // The right proof for something else.
        let proof = inclusion(index, size, &mut &kept).expect("kept").expect("it is in the tree");
        prop_assert!(check_inclusion(&empty_root(), index, size, &root, &proof).is_err());
        prop_assert!(check_inclusion(&leaf, index, size, &leaf, &proof).is_err() || size == 1);
        if size > 1 {
            prop_assert!(check_inclusion(&leaf, index ^ 1, size, &root, &proof).is_err());
        }
        prop_assert_eq!(check_inclusion(&leaf, size, size, &root, &proof), Err(ProofError::Beyond));
    }

    #[test]
    fn a_changed_history_is_not_consistent(new in 2u64..200, at in 0u64..200, which in 0usize..16, how in 0u8..4) {
        let old = 1 + at % (new - 1);
        let kept = Kept::counted(new);
        let new_root = kept.frontier.root();
        let old_root = super::root(old, &mut &kept).expect("kept");
        let proof = consistency(old, new, &mut &kept).expect("kept").expect("it is not larger");
        let mut other = proof.clone();
        let changed = change(&mut other, which, how);
        prop_assert_eq!(check_consistency((old, &old_root), (new, &new_root), &other).is_err(), changed);
        prop_assert!(check_consistency((old, &empty_root()), (new, &new_root), &proof).is_err());
        prop_assert!(check_consistency((old, &old_root), (new, &empty_root()), &proof).is_err());
        prop_assert!(check_consistency((new, &new_root), (old, &old_root), &proof).is_err());
    }

    #[test]
    fn no_proof_panics(
        numbers in any::<[u64; 2]>(),
        hashes in proptest::collection::vec(any::<[u8; 32]>(), 0..130),
    ) {
        let proof: Vec<Digest> = hashes.into_iter().map(Digest::from_bytes).collect();
        let root = empty_root();
        let [first, second] = numbers;
        prop_assert!(check_inclusion(&root, first, second, &root, &proof).is_err());
        let _ = check_consistency((first, &root), (second, &root), &proof);
    }
}

/// Changes a proof in one of four ways; `false` where there was nothing to change.
fn change(proof: &mut Vec<Digest>, which: usize, how: u8) -> bool {
    if how == 0 {
        proof.push(empty_root());
        return true;
    }
    let Some(at) = which.checked_rem(proof.len()) else { return false };
    match how {
        1 => drop(proof.remove(at)),
        2 => {
            let mut bytes = *proof[at].as_bytes();
            bytes[which] ^= 1;
            proof[at] = Digest::from_bytes(bytes);
        }
        _ => {
            let before = proof.clone();
            proof.rotate_left(1);
            return *proof != before;
        }
    }
    true
}

#[test]
fn the_empty_tree_is_the_beginning_of_all() {
    let (empty, other) = (empty_root(), leaf(b"x"));
    assert_eq!(check_consistency((0, &empty), (0, &empty), &[]), Ok(()));
    assert_eq!(check_consistency((0, &empty), (5, &other), &[]), Ok(()));
    assert_eq!(check_consistency((0, &other), (5, &other), &[]), Err(ProofError::Root));
    assert_eq!(check_consistency((0, &empty), (0, &other), &[]), Err(ProofError::Root));
    assert_eq!(check_consistency((0, &empty), (5, &other), &[empty]), Err(ProofError::Length));
    assert_eq!(check_consistency((5, &other), (5, &other), &[empty]), Err(ProofError::Length));
    assert_eq!(check_consistency((5, &other), (5, &empty), &[]), Err(ProofError::Root));
}
