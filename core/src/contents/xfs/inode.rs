//! Inodes of XFS: where the blocks of a file are.

use super::super::fields::Fields;
use crate::num::clip;

/// An inode.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inode<'a>(Fields<'a>);

/// What an inode has of a file's contents, or of its extended attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fork<'a> {
    /// The root of a btree.
    Btree(&'a [u8]),
    /// Extents, of 16 bytes each.
    Extents(&'a [u8]),
    /// All of it.
    Local(&'a [u8]),
    /// It has no blocks on this disk.
    None,
}

/// Blocks that a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// The first block in the file.
    pub(super) at: u64,
    /// The first block on the disk, with its allocation group.
    pub(super) block: u64,
    pub(super) nr_blocks: u64,
}

/// What a file is, as far as its blocks differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileType {
    Directory,
    Link,
    Other,
}

impl<'a> Inode<'a> {
    /// The inode that these bytes are, if they are one.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let fields = Fields(bytes);
        (fields.has(0, MAGIC) && (1..=3).contains(&fields.byte(4))).then_some(Self(fields))
    }

    pub(super) fn file_type(self) -> FileType {
        match self.0.be16(2) & TYPE {
            DIRECTORY => FileType::Directory,
            LINK => FileType::Link,
            _ => FileType::Other,
        }
    }

    /// The contents.
    pub(super) fn data(self) -> Fork<'a> {
        let (core_bytes, fork_bytes) = (self.core_bytes(), self.data_bytes());
        // What is on the realtime device is not here.
        if self.0.be16(90) & REALTIME != 0 {
            return Fork::None;
        }
        let nr_extents = if self.has_large_counts() { self.0.be64(24) } else { self.0.be32(76).into() };
        fork(self.0.byte(5), self.0.part(core_bytes, fork_bytes), nr_extents)
    }

    /// The extended attributes.
    pub(super) fn attributes(self) -> Fork<'a> {
        if self.0.byte(82) == 0 {
            return Fork::None;
        }
        let nr_extents = if self.has_large_counts() { self.0.be32(76) } else { self.0.be16(80).into() };
        fork(self.0.byte(83), self.0.from(self.core_bytes() + self.data_bytes()), nr_extents.into())
    }

    fn core_bytes(self) -> usize {
        if self.0.byte(4) == 3 { 176 } else { 100 }
    }

    fn data_bytes(self) -> usize {
        match usize::from(self.0.byte(82)) * 8 {
            0 => self.0.from(self.core_bytes()).len(),
            len => len,
        }
    }

    /// Whether the numbers of extents have more bits than at first.
    fn has_large_counts(self) -> bool {
        self.0.byte(4) == 3 && self.0.be64(120) & LARGE_COUNTS != 0
    }
}

fn fork(format: u8, bytes: &[u8], nr_extents: u64) -> Fork<'_> {
    match format {
        LOCAL => Fork::Local(bytes),
        EXTENTS => Fork::Extents(&bytes[..clip(nr_extents, bytes.len() / Extent::BYTES) * Extent::BYTES]),
        BTREE => Fork::Btree(bytes),
        _ => Fork::None,
    }
}

impl Extent {
    pub(super) const BYTES: usize = 16;

    /// The extent that these bytes are. Of its 128 bits the first says whether it was never written.
    pub(super) fn parse(fields: Fields<'_>) -> Self {
        let (high, low) = (fields.be64(0), fields.be64(8));
        Self {
            at: high << 1 >> 10,
            block: (high & 0x1ff) << 43 | low >> 21,
            nr_blocks: low & ((1 << 21) - 1),
        }
    }
}

pub(super) const MAGIC: &[u8; 2] = b"IN";

const TYPE: u16 = 0xf000;
const DIRECTORY: u16 = 0x4000;
const LINK: u16 = 0xa000;

const LOCAL: u8 = 1;
const EXTENTS: u8 = 2;
const BTREE: u8 = 3;

const REALTIME: u16 = 1;
const LARGE_COUNTS: u64 = 0x10;

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn an_extent_is_128_bits() {
        // 1, and then 5 with 54 bits, a number with 52, and 3 with 21.
        let bytes = [0x80, 0, 0, 0, 0, 0, 10, 0x20, 0, 0, 0, 0, 0, 0xe0, 0, 3];
        let extent = Extent { at: 5, block: 0x1_0000_0000_0007, nr_blocks: 3 };
        assert_eq!(Extent::parse(Fields(&bytes)), extent);
    }

    #[test]
    fn a_fork_ends_with_its_inode() {
        let mut bytes = vec![0; 256];
        bytes[..6].copy_from_slice(&[b'I', b'N', 0x81, 0, 3, 2]);
        bytes[79] = 200;
        let Some(inode) = Inode::parse(&bytes) else { panic!("it is an inode") };
        assert!(matches!(inode.data(), Fork::Extents(extents) if extents.len() == 80));
        assert_eq!((inode.attributes(), inode.file_type()), (Fork::None, FileType::Other));
        // The other fork begins after the end.
        bytes[82..84].copy_from_slice(&[0xff, 2]);
        let Some(inode) = Inode::parse(&bytes) else { panic!("it is an inode") };
        assert_eq!(inode.attributes(), Fork::Extents(&[]));
        assert!(Inode::parse(&bytes[1..]).is_none() && Inode::parse(b"IN").is_none());
    }
}
