//! The Merkle tree of RFC 9162, section 2.1 (RFC 6962 has the same): hashing, growing, proving and
//! checking. Knows nothing of what its leaves say.
//!
//! Leaves and inner nodes are hashed apart (0x00, 0x01), so that none passes for the other, and an
//! odd leaf is never doubled.

use sha2::{Digest as _, Sha256};

use crate::Digest;

#[cfg(test)]
mod tests;

/// The largest tree: positions stay within what JSON readers hold exactly.
pub const MAX_SIZE: u64 = 1 << 53;

/// The longest proof of any tree there can be: stops a reader from taking in more.
pub const MAX_PROOF: usize = 2 * 64;

/// The hash of a leaf.
pub fn leaf(entry: &[u8]) -> Digest {
    hash(&[&[0], entry])
}

/// The hash of an inner node.
pub fn inner(left: &Digest, right: &Digest) -> Digest {
    hash(&[&[1], left.as_bytes(), right.as_bytes()])
}

/// The root of the tree without leaves.
pub fn empty_root() -> Digest {
    Digest::of(b"")
}

fn hash(parts: &[&[u8]]) -> Digest {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    Digest::from_bytes(hasher.finalize().into())
}

/// The place of a full subtree: the `index`th, from the left, of those over 2^`level` leaves. Once
/// it is there it never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// Its height; 0 is a leaf.
    pub level: u8,
    /// Its place among those of its level, from 0.
    pub index: u64,
}

/// Where the hashes of full subtrees come from.
pub trait Nodes {
    /// Why one cannot be had.
    type Error;

    /// The hash of a full subtree.
    ///
    /// # Errors
    /// Where it is not kept, or cannot be read.
    fn get(&mut self, node: Node) -> Result<Digest, Self::Error>;
}

/// The right edge of a tree: all that is needed to make it grow, and its root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// The full subtrees it consists of, from the left, each smaller than the one before: one for
    /// each bit of `size`.
    peaks: Vec<Digest>,
}

impl Frontier {
    /// The edge of a tree whose nodes are kept.
    ///
    /// # Errors
    /// Those of `nodes`.
    pub fn read<N: Nodes>(size: u64, nodes: &mut N) -> Result<Self, N::Error> {
        let peaks = peaks(0, size).map(|node| nodes.get(node)).collect::<Result<_, _>>()?;
        Ok(Self { size, peaks })
    }

    /// The number of leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf, and hands out every full subtree that this completes, the leaf itself first.
    pub fn push(&mut self, leaf: Digest, mut made: impl FnMut(Node, Digest)) {
        let mut node = Node { level: 0, index: self.size };
        let mut hash = leaf;
        made(node, hash);
        while node.index & 1 == 1 {
            let Some(left) = self.peaks.pop() else { break };
            hash = inner(&left, &hash);
            node = Node { level: node.level + 1, index: node.index >> 1 };
            made(node, hash);
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The root.
    pub fn root(&self) -> Digest {
        joined(&self.peaks)
    }
}

/// The full subtrees that leaves `start..end` consist of, from the left, where `start` is a multiple
/// of the largest power of two that is not beyond the range.
fn peaks(start: u64, end: u64) -> impl Iterator<Item = Node> {
    let mut at = start;
    std::iter::from_fn(move || {
        let rest = end.checked_sub(at).filter(|rest| *rest > 0)?;
        let level = rest.ilog2();
        let node = Node { level: level as u8, index: at >> level };
        at += 1 << level;
        Some(node)
    })
}

/// The root over subtrees, each smaller than the one before: the smallest are joined first.
fn joined(peaks: &[Digest]) -> Digest {
    let mut peaks = peaks.iter().rev();
    let Some(last) = peaks.next() else { return empty_root() };
    peaks.fold(*last, |right, left| inner(left, &right))
}

/// The hash over leaves `start..end`, as [`peaks`] wants them.
fn range<N: Nodes>(start: u64, end: u64, nodes: &mut N) -> Result<Digest, N::Error> {
    let hashes: Vec<Digest> = peaks(start, end).map(|node| nodes.get(node)).collect::<Result<_, _>>()?;
    Ok(joined(&hashes))
}

/// Where the tree over `size` leaves, more than one, divides.
const fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// The root of the first `size` leaves.
///
/// # Errors
/// Those of `nodes`.
pub fn root<N: Nodes>(size: u64, nodes: &mut N) -> Result<Digest, N::Error> {
    range(0, size, nodes)
}

/// The proof that leaf `index` is in the tree of the first `size` leaves: the hashes beside its way
/// to the root, the lowest first. `None` where there is no such leaf.
///
/// # Errors
/// Those of `nodes`.
pub fn inclusion<N: Nodes>(index: u64, size: u64, nodes: &mut N) -> Result<Option<Vec<Digest>>, N::Error> {
    if index >= size {
        return Ok(None);
    }
    let (mut start, mut end) = (0, size);
    let mut path = Vec::new();
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            path.push(range(middle, end, nodes)?);
            end = middle;
        } else {
            path.push(range(start, middle, nodes)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(Some(path))
}

/// The proof that the tree of `new` leaves begins with that of `old`. `None` where it cannot:
/// `old` is the larger one. The proof from nothing is empty, and so is that to itself.
///
/// # Errors
/// Those of `nodes`.
pub fn consistency<N: Nodes>(old: u64, new: u64, nodes: &mut N) -> Result<Option<Vec<Digest>>, N::Error> {
    if old > new {
        return Ok(None);
    }
    if old == 0 || old == new {
        return Ok(Some(Vec::new()));
    }
    let (mut start, mut end) = (0, new);
    let mut path = Vec::new();
    // Whether the old tree's own root is the subtree that the descent ends at.
    let mut whole = true;
    while end != old {
        let middle = start + split(end - start);
        if old <= middle {
            path.push(range(middle, end, nodes)?);
            end = middle;
        } else {
            path.push(range(start, middle, nodes)?);
            start = middle;
            whole = false;
        }
    }
    if !whole {
        path.push(range(start, end, nodes)?);
    }
    path.reverse();
    Ok(Some(path))
}

/// Why a proof shows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// It is about a place that is not in the tree, or about a larger tree within a smaller one.
    #[error("the proof is about a place beyond the tree")]
    Beyond,
    /// It has too few or too many hashes for these sizes.
    #[error("the proof has not as many hashes as such a proof has")]
    Length,
    /// It leads to another root.
    #[error("the proof leads to another root")]
    Root,
}

/// Checks that `leaf` stands at `index` in the tree with this size and root (RFC 9162, 2.1.3.2).
///
/// # Errors
/// Where `proof` does not show it.
pub fn check_inclusion(
    leaf: &Digest,
    index: u64,
    size: u64,
    root: &Digest,
    proof: &[Digest],
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Beyond);
    }
    let (mut at, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for beside in proof {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if at & 1 == 1 || at == last {
            hash = inner(beside, &hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = inner(&hash, beside);
        }
        at >>= 1;
        last >>= 1;
    }
    match (last, hash == *root) {
        (0, true) => Ok(()),
        (0, false) => Err(ProofError::Root),
        _ => Err(ProofError::Length),
    }
}

/// Checks that the tree with the `new` head begins with the one that has the `old` head; a head is a
/// size and a root (RFC 9162, 2.1.4.2, and for the empty tree an empty proof).
///
/// # Errors
/// Where `proof` does not show it.
pub fn check_consistency(
    (old, old_root): (u64, &Digest),
    (new, new_root): (u64, &Digest),
    proof: &[Digest],
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::Beyond);
    }
    if old == 0 || old == new {
        let same = match old {
            0 => *old_root == empty_root() && (new != 0 || new_root == old_root),
            _ => old_root == new_root,
        };
        return match (proof.is_empty(), same) {
            (true, true) => Ok(()),
            (true, false) => Err(ProofError::Root),
            (false, _) => Err(ProofError::Length),
        };
    }
    // A tree of 2^n leaves is a node of the larger one: its root is where the proof starts.
    let (first, rest) = if old.is_power_of_two() {
        (old_root, proof)
    } else {
        proof.split_first().ok_or(ProofError::Length)?
    };
    let (mut at, mut last) = (old - 1, new - 1);
    while at & 1 == 1 {
        at >>= 1;
        last >>= 1;
    }
    let (mut as_old, mut as_new) = (*first, *first);
    for beside in rest {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if at & 1 == 1 || at == last {
            as_old = inner(beside, &as_old);
            as_new = inner(beside, &as_new);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            as_new = inner(&as_new, beside);
        }
        at >>= 1;
        last >>= 1;
    }
    match (last, as_old == *old_root && as_new == *new_root) {
        (0, true) => Ok(()),
        (0, false) => Err(ProofError::Root),
        _ => Err(ProofError::Length),
    }
}
