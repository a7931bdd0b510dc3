//! The blocks of the trees of btrfs, called nodes; those without others below them are leaves.

use super::super::fields::Fields;

/// A node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'a>(Fields<'a>);

/// What a node says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Its logical address, in bytes.
    pub(super) at: u64,
    /// The tree that it was written for.
    pub(super) owner: u64,
    pub(super) generation: u64,
    pub(super) level: u8,
}

/// What an item is, and of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) object: u64,
    pub(super) kind: u8,
    pub(super) offset: u64,
}

impl<'a> Node<'a> {
    /// The node that these bytes begin with, if they are one of a file system.
    pub(super) fn parse(bytes: &'a [u8], uuid: &[u8; 16]) -> Option<Self> {
        let fields = Fields(bytes);
        (fields.has(32, uuid) && bytes.len() >= HEADER_BYTES).then_some(Self(fields))
    }

    pub(super) fn header(self) -> Header {
        Header {
            at: self.0.le64(48),
            owner: self.0.le64(88),
            generation: self.0.le64(80),
            level: self.0.byte(100),
        }
    }

    /// The items of a leaf.
    pub(super) fn items(self) -> impl Iterator<Item = (Key, Fields<'a>)> {
        let body = Fields(self.0.from(HEADER_BYTES));
        body.0.chunks_exact(ITEM_BYTES).take(self.nr()).filter_map(move |item| {
            let at = usize::try_from(Fields(item).le32(17)).ok()?;
            let len = usize::try_from(Fields(item).le32(21)).ok()?;
            Some((Key::parse(Fields(item))?, Fields(body.part(at, len))))
        })
    }

    /// The nodes that another node leads to: where they are, and their generation.
    pub(super) fn pointers(self) -> impl Iterator<Item = (u64, u64)> {
        let pointers = self.0.from(HEADER_BYTES).chunks_exact(POINTER_BYTES).take(self.nr()).map(Fields);
        pointers.map(|pointer| (pointer.le64(17), pointer.le64(25)))
    }

    fn nr(self) -> usize {
        usize::try_from(self.0.le32(96)).unwrap_or(usize::MAX)
    }
}

impl Key {
    pub(super) const BYTES: usize = 17;

    /// The key that these bytes begin with.
    pub(super) fn parse(fields: Fields<'_>) -> Option<Self> {
        let key = Self { object: fields.le64(0), kind: fields.byte(8), offset: fields.le64(9) };
        (fields.0.len() >= Self::BYTES).then_some(key)
    }
}

const HEADER_BYTES: usize = 101;
const ITEM_BYTES: usize = 25;
const POINTER_BYTES: usize = 33;

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn a_node_has_as_many_as_there_is_room_for() {
        let mut bytes = vec![0; 4096];
        bytes[32..48].fill(7);
        bytes[96..100].fill(0xff);
        let node = Node::parse(&bytes, &[7; 16]).expect("a node");
        assert_eq!((node.items().count(), node.pointers().count()), ((4096 - 101) / 25, (4096 - 101) / 33));
        assert!(Node::parse(&bytes, &[8; 16]).is_none() && Node::parse(&bytes[..100], &[7; 16]).is_none());
    }

    #[test]
    fn an_item_ends_with_its_leaf() {
        let mut bytes = vec![0; 200];
        bytes[96] = 2;
        // Of 9 bytes, 4 before the end; and after the end.
        bytes[101 + 17..101 + 25].copy_from_slice(&[95, 0, 0, 0, 9, 0, 0, 0]);
        bytes[126 + 17..126 + 25].copy_from_slice(&[0xff; 8]);
        let node = Node::parse(&bytes, &[0; 16]).expect("a leaf");
        let lens = node.items().map(|(_, item)| item.0.len());
        assert_eq!(lens.collect::<Vec<_>>(), [4, 0]);
    }
}
