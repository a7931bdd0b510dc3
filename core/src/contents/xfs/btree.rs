//! The btrees of XFS: where the nodes and the records of each are in its blocks.

use super::super::fields::Fields;

/// What a btree has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tree {
    /// The blocks of a file.
    Bmap,
    /// Free space, by where it is.
    FreeByBlock,
    /// Free space, by how much it is.
    FreeBySize,
    /// Chunks of inodes some of which are free.
    FreeInodes,
    /// Chunks of inodes.
    Inodes,
    /// How many files have a block, where they are several.
    ReferenceCount,
    /// Which file has a block.
    ReverseMapping,
}

/// A block of a btree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'a> {
    tree: Tree,
    fields: Fields<'a>,
    header_bytes: usize,
    nr: usize,
}

impl Tree {
    pub(super) const ALL: [Self; 7] = [
        Self::Bmap,
        Self::FreeByBlock,
        Self::FreeBySize,
        Self::FreeInodes,
        Self::Inodes,
        Self::ReferenceCount,
        Self::ReverseMapping,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Bmap => "bmap btree",
            Self::FreeByBlock => "by-block free space btree",
            Self::FreeBySize => "by-size free space btree",
            Self::FreeInodes => "free inode btree",
            Self::Inodes => "inode btree",
            Self::ReferenceCount => "reference count btree",
            Self::ReverseMapping => "reverse mapping btree",
        }
    }

    /// How its blocks begin, without and with checksums.
    pub(super) const fn magics(self) -> [&'static [u8; 4]; 2] {
        match self {
            Self::Bmap => [b"BMAP", b"BMA3"],
            Self::FreeByBlock => [b"ABTB", b"AB3B"],
            Self::FreeBySize => [b"ABTC", b"AB3C"],
            Self::FreeInodes => [b"FIBT", b"FIB3"],
            Self::Inodes => [b"IABT", b"IAB3"],
            Self::ReferenceCount => [b"R3FC"; 2],
            Self::ReverseMapping => [b"RMB3"; 2],
        }
    }

    /// How long the headers of its blocks are, without and with checksums.
    const fn header_bytes(self) -> [usize; 2] {
        match self {
            Self::Bmap => [24, 72],
            _ => [16, 56],
        }
    }

    const fn record_bytes(self) -> usize {
        match self {
            Self::Bmap | Self::FreeInodes | Self::Inodes => 16,
            Self::FreeByBlock | Self::FreeBySize => 8,
            Self::ReferenceCount => 12,
            Self::ReverseMapping => 24,
        }
    }

    const fn key_bytes(self) -> usize {
        match self {
            Self::Bmap | Self::FreeByBlock | Self::FreeBySize => 8,
            Self::FreeInodes | Self::Inodes | Self::ReferenceCount => 4,
            // The least and the greatest one.
            Self::ReverseMapping => 40,
        }
    }

    const fn pointer_bytes(self) -> usize {
        if matches!(self, Self::Bmap) { 8 } else { 4 }
    }
}

impl<'a> Node<'a> {
    /// A block of a btree; `None` if it is not one of that tree at that level.
    pub(super) fn parse(block: &'a [u8], tree: Tree, level: u16) -> Option<Self> {
        let fields = Fields(block);
        // Where there is one magic number alone, it is that of blocks with checksums.
        let nth = tree.magics().iter().rposition(|magic| fields.has(0, *magic))?;
        let header_bytes = tree.header_bytes()[nth];
        (fields.be16(4) == level).then_some(Self { tree, fields, header_bytes, nr: fields.be16(6).into() })
    }

    /// The root of a tree of a file's blocks, as the file's inode has it, and its level.
    pub(super) fn root(fork: &'a [u8]) -> (Self, u16) {
        let fields = Fields(fork);
        (Self { tree: Tree::Bmap, fields, header_bytes: 4, nr: fields.be16(2).into() }, fields.be16(0))
    }

    /// The records of a leaf.
    pub(super) fn records(self) -> impl Iterator<Item = Fields<'a>> {
        let records = self.fields.from(self.header_bytes);
        records.chunks_exact(self.tree.record_bytes()).take(self.nr).map(Fields)
    }

    /// The blocks that another node leads to.
    pub(super) fn pointers(self) -> impl Iterator<Item = u64> {
        let (key_bytes, pointer_bytes) = (self.tree.key_bytes(), self.tree.pointer_bytes());
        let room = self.fields.from(self.header_bytes).len() / (key_bytes + pointer_bytes);
        let pointers = Fields(self.fields.from(self.header_bytes + room * key_bytes));
        (0..self.nr.min(room)).map(move |nth| match pointer_bytes {
            8 => pointers.be64(nth * 8),
            _ => u64::from(pointers.be32(nth * 4)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn pointers_come_after_all_keys_that_there_is_room_for() {
        let mut block = vec![0; 512];
        block[..8].copy_from_slice(b"ABTC\0\x01\0\x02");
        // (512 - 16) / (8 + 4) keys.
        let at = 16 + 41 * 8;
        block[at..at + 8].copy_from_slice(&[0, 0, 0, 9, 0, 0, 1, 0]);
        let node = Node::parse(&block, Tree::FreeBySize, 1).expect("a node");
        assert_eq!(node.pointers().collect::<Vec<_>>(), [9, 256]);
        for (tree, level) in [(Tree::FreeBySize, 0), (Tree::FreeByBlock, 1)] {
            assert!(Node::parse(&block, tree, level).is_none());
        }
    }

    #[test]
    fn a_node_has_as_many_as_there_is_room_for() {
        let mut block = vec![1; 512];
        block[..8].copy_from_slice(b"IAB3\0\0\xff\xff");
        let node = Node::parse(&block, Tree::Inodes, 0).expect("a leaf");
        assert_eq!(node.records().count(), (512 - 56) / 16);
        assert_eq!(node.pointers().count(), (512 - 56) / 8);
        assert_eq!(Node::root(&[0, 1]).0.pointers().count(), 0);
    }
}
