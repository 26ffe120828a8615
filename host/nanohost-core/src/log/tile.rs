//! The files by which a log is mirrored ([c2sp.org/tlog-tiles](https://c2sp.org/tlog-tiles)): tiles of
//! 256 hashes, and bundles of 256 entries. Says which there are, where they lie and what is in them;
//! writes none.

use super::tree::{Node, Nodes};

#[cfg(test)]
mod tests;

/// Levels of the tree in one tile.
const HEIGHT: u8 = 8;

/// Hashes in a full tile, and entries in a full bundle.
pub const WIDTH: u64 = 1 << HEIGHT;

/// The longest entry that a bundle can hold: its length is written in two bytes.
pub const MAX_ENTRY: usize = u16::MAX as usize;

/// One file of hashes, or one of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// Which level of tiles; `None`: a bundle of entries.
    pub level: Option<u8>,
    /// Which of that level, from the left.
    pub index: u64,
    /// How many hashes or entries it has, up to [`WIDTH`].
    pub width: u64,
}

/// All tiles of hashes of a tree, the lowest level first.
pub fn hashes(size: u64) -> impl Iterator<Item = Tile> {
    (0..64 / HEIGHT)
        .map(move |level| (level, size >> (HEIGHT * level)))
        .take_while(|(_, count)| *count > 0)
        .flat_map(|(level, count)| row(Some(level), count))
}

/// All bundles of entries of a tree.
pub fn entries(size: u64) -> impl Iterator<Item = Tile> {
    row(None, size)
}

fn row(level: Option<u8>, count: u64) -> impl Iterator<Item = Tile> {
    let width = move |index: u64| (count - index * WIDTH).min(WIDTH);
    (0..count.div_ceil(WIDTH)).map(move |index| Tile { level, index, width: width(index) })
}

impl Tile {
    /// Where it lies below the log's address: `tile/0/x001/x234/067.p/25`.
    pub fn path(&self) -> String {
        let level = self.level.map_or_else(|| "entries".into(), |level| level.to_string());
        let mut groups = format!("{:03}", self.index % 1000);
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups = format!("x{:03}/{groups}", rest % 1000);
            rest /= 1000;
        }
        let part = if self.width < WIDTH { format!(".p/{}", self.width) } else { String::new() };
        format!("tile/{level}/{groups}{part}")
    }

    /// The positions of what it holds, on its level.
    pub fn range(&self) -> std::ops::Range<u64> {
        let start = self.index * WIDTH;
        start..start + self.width
    }

    /// What a tile of hashes has in it.
    ///
    /// # Errors
    /// Those of `nodes`.
    pub fn content<N: Nodes>(&self, nodes: &mut N) -> Result<Vec<u8>, N::Error> {
        let level = HEIGHT * self.level.unwrap_or(0);
        let mut content = Vec::with_capacity(self.width as usize * 32);
        for index in self.range() {
            content.extend_from_slice(nodes.get(Node { level, index })?.as_bytes());
        }
        Ok(content)
    }
}

/// Appends an entry to what a bundle has in it. `false`, and nothing is added, where it is too long.
pub fn bundle(content: &mut Vec<u8>, entry: &[u8]) -> bool {
    let Ok(length) = u16::try_from(entry.len()) else { return false };
    content.extend_from_slice(&length.to_be_bytes());
    content.extend_from_slice(entry);
    true
}
