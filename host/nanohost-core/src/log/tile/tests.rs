use std::convert::Infallible;

use super::*;
use crate::Digest;
use crate::log::tree::leaf;

#[test]
fn paths_are_in_groups_of_three_digits() {
    let path = |level, index, width| Tile { level, index, width }.path();
    assert_eq!(path(Some(0), 0, 256), "tile/0/000");
    assert_eq!(path(Some(1), 999, 1), "tile/1/999.p/1");
    assert_eq!(path(Some(0), 1_234_067, 25), "tile/0/x001/x234/067.p/25");
    assert_eq!(path(Some(2), 1000, 256), "tile/2/x001/000");
    assert_eq!(path(None, 5, 255), "tile/entries/005.p/255");
}

#[test]
fn a_tree_has_the_tiles_of_its_full_nodes() {
    let paths = |size| hashes(size).map(|tile| tile.path()).collect::<Vec<_>>();
    assert_eq!(paths(0), Vec::<String>::new());
    assert_eq!(paths(1), ["tile/0/000.p/1"]);
    assert_eq!(paths(256), ["tile/0/000", "tile/1/000.p/1"]);
    assert_eq!(paths(257), ["tile/0/000", "tile/0/001.p/1", "tile/1/000.p/1"]);
    assert_eq!(hashes(70_000).filter(|tile| tile.level == Some(2)).count(), 1);
    // The example of the specification.
    let last = hashes(70_000).filter(|tile| tile.level == Some(0)).last().expect("there are some");
    assert_eq!(last.path(), "tile/0/273.p/112");
    assert_eq!(entries(70_000).last().expect("there are some").path(), "tile/entries/273.p/112");
    // No end of the numbers is reached.
    assert_eq!(hashes(u64::MAX).next().expect("there are some").width, 256);
}

struct Named;

impl Nodes for Named {
    type Error = Infallible;

    fn get(&mut self, node: Node) -> Result<Digest, Infallible> {
        Ok(leaf(format!("{} {}", node.level, node.index).as_bytes()))
    }
}

#[test]
fn a_tile_holds_the_nodes_of_its_level() {
    let tile = Tile { level: Some(1), index: 2, width: 3 };
    let content = tile.content(&mut Named).expect("nothing fails");
    let expected: Vec<u8> =
        ["8 512", "8 513", "8 514"].iter().flat_map(|name| *leaf(name.as_bytes()).as_bytes()).collect();
    assert_eq!(content, expected);
}

#[test]
fn entries_stand_behind_their_lengths() {
    let mut content = Vec::new();
    assert!(bundle(&mut content, b"one"));
    assert!(bundle(&mut content, b""));
    assert!(bundle(&mut content, &vec![7; MAX_ENTRY]));
    assert!(!bundle(&mut content, &vec![7; MAX_ENTRY + 1]));
    assert_eq!(&content[..9], b"\0\x03one\0\0\xff\xff");
    assert_eq!(content.len(), 9 + MAX_ENTRY);
}
