//! How an XFS file system is laid out, as its superblock says.

use core::ops::Range;

use super::super::fields::Fields;
use crate::num::widen;

/// What the superblock says, as far as it makes sense.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    block_shift: u32,
    inode_shift: u32,
    sector_shift: u32,
    directory_shift: u32,
    nr_blocks: u64,
    ag_blocks: u64,
    /// How many bits of the number of a block say where it is in its allocation group.
    ag_bits: u32,
    pub(super) nr_ags: u32,
    log: (u64, u64),
    pub(super) root: u64,
    /// Inodes that no directory has, and what each is.
    pub(super) special: [(u64, &'static str); 5],
    pub(super) has_checksums: bool,
    pub(super) has_file_types: bool,
    pub(super) has_sparse_chunks: bool,
    /// What each block with a checksum has, too.
    pub(super) uuid: [u8; 16],
}

impl Geometry {
    /// What these bytes of a superblock say; `None` if it is not one, makes no sense, or is older than Linux has them.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let fields = Fields(bytes);
        let version = fields.be16(100);
        let has_checksums = version & VERSION == 5;
        if !fields.has(0, b"XFSB") || !has_checksums && version & (VERSION | DIRECTORY_V2) != 4 | DIRECTORY_V2
        {
            return None;
        }
        let shift = |at: usize, range: Range<u32>| Some(fields.byte(at).into()).filter(|n| range.contains(n));
        let block_shift = shift(120, 9..17)?;
        let incompatible = if has_checksums { fields.be32(216) } else { 0 };
        let more = if version & MORE_BITS == 0 { 0 } else { fields.be32(200) };
        let uuid = fields.part(if incompatible & META_UUID == 0 { 32 } else { 248 }, 16);
        let geometry = Self {
            block_shift,
            inode_shift: shift(122, 8..block_shift.min(11) + 1)?,
            sector_shift: shift(121, 9..block_shift.min(15) + 1)?,
            directory_shift: block_shift + shift(192, 0..17 - block_shift)?,
            nr_blocks: fields.be64(8),
            ag_blocks: fields.be32(84).into(),
            ag_bits: shift(124, 1..32)?,
            nr_ags: fields.be32(88),
            log: (fields.be64(48), fields.be32(96).into()),
            root: fields.be64(56),
            special: [
                (fields.be64(64), "realtime bitmap"),
                (fields.be64(72), "realtime summary"),
                (fields.be64(160), "user quota"),
                (fields.be64(168), if has_checksums { "group quota" } else { "group or project quota" }),
                (if has_checksums { fields.be64(232) } else { 0 }, "project quota"),
            ],
            has_checksums,
            has_file_types: incompatible & FILE_TYPES_V5 != 0 || !has_checksums && more & FILE_TYPES_V4 != 0,
            has_sparse_chunks: incompatible & SPARSE_INODES != 0,
            uuid: uuid.try_into().ok()?,
        };
        let ags = u64::from(geometry.nr_ags);
        let is_sane = geometry.ag_blocks << block_shift >= 8 << geometry.sector_shift
            && geometry.ag_blocks <= 1 << geometry.ag_bits
            && geometry.nr_blocks <= u64::MAX >> block_shift >> 1
            && geometry.nr_blocks.div_ceil(geometry.ag_blocks) == ags;
        is_sane.then_some(geometry)
    }

    pub(super) const fn block_bytes(&self) -> usize {
        1 << self.block_shift
    }

    pub(super) const fn inode_bytes(&self) -> usize {
        1 << self.inode_shift
    }

    pub(super) const fn sector_bytes(&self) -> usize {
        1 << self.sector_shift
    }

    /// How long a block of a directory is: one or more blocks.
    pub(super) const fn directory_bytes(&self) -> usize {
        1 << self.directory_shift
    }

    /// Some blocks of an allocation group, as bytes of the disk; none if not all of them are in it.
    pub(super) fn ag_bytes(&self, ag: u32, block: u64, nr_blocks: u64) -> Range<u64> {
        let first = u64::from(ag).saturating_mul(self.ag_blocks);
        let room = self.ag_blocks.min(self.nr_blocks.saturating_sub(first));
        match block.checked_add(nr_blocks) {
            Some(end) if end <= room => {
                (first + block) << self.block_shift..(first + end) << self.block_shift
            }
            _ => 0..0,
        }
    }

    /// Some blocks from the one of a number on, as bytes of the disk; none if there are no such blocks.
    pub(super) fn bytes(&self, block: u64, nr_blocks: u64) -> Range<u64> {
        let in_ag = block & ((1 << self.ag_bits) - 1);
        u32::try_from(block >> self.ag_bits).map_or(0..0, |ag| self.ag_bytes(ag, in_ag, nr_blocks))
    }

    /// The block with a byte of the disk, in bytes of the disk.
    pub(super) const fn block_around(&self, offset_bytes: u64) -> Range<u64> {
        let start = offset_bytes >> self.block_shift << self.block_shift;
        start..start.saturating_add(1 << self.block_shift)
    }

    /// A file's blocks as its bytes.
    pub(super) fn offset(&self, block: u64) -> u64 {
        block.saturating_mul(widen(self.block_bytes()))
    }

    /// Where the n-th sector of an allocation group's headers is.
    pub(super) fn header(&self, ag: u32, nth: u64) -> Range<u64> {
        let start = self.ag_bytes(ag, 0, 1).start + (nth << self.sector_shift);
        start..start + (1 << self.sector_shift)
    }

    /// The blocks with the headers of an allocation group.
    pub(super) fn headers(&self, ag: u32) -> Range<u64> {
        let nr_blocks = (4u64 << self.sector_shift).div_ceil(1 << self.block_shift);
        self.ag_bytes(ag, 0, nr_blocks)
    }

    /// The allocation group with a byte of the disk.
    pub(super) fn ag_of(&self, offset_bytes: u64) -> u32 {
        u32::try_from((offset_bytes >> self.block_shift) / self.ag_blocks).unwrap_or(u32::MAX)
    }

    /// The journal, if it is on this disk.
    pub(super) fn log(&self) -> Range<u64> {
        let (first, nr_blocks) = self.log;
        if first == 0 { 0..0 } else { self.bytes(first, nr_blocks) }
    }

    /// The inode with a byte of the disk, if it has inodes there.
    pub(super) fn inode_at(&self, offset_bytes: u64) -> u64 {
        let ag = self.ag_of(offset_bytes);
        let in_ag = offset_bytes - self.ag_bytes(ag, 0, 0).start;
        (u64::from(ag) << (self.ag_bits + self.block_shift - self.inode_shift)) | in_ag >> self.inode_shift
    }

    /// Some inodes of an allocation group, numbered in it, as bytes of the disk; none if not all of them are in it.
    pub(super) fn inodes(&self, ag: u32, first: u32, nr_inodes: u32) -> Range<u64> {
        let per_block = self.block_shift - self.inode_shift;
        let (first, end) = (u64::from(first), u64::from(first) + u64::from(nr_inodes));
        let block = first >> per_block;
        let blocks = self.ag_bytes(ag, block, end.div_ceil(1 << per_block) - block);
        if blocks.is_empty() {
            return 0..0;
        }
        let at = |nth: u64| blocks.start + ((nth - (block << per_block)) << self.inode_shift);
        at(first)..at(end)
    }
}

const VERSION: u16 = 0xf;
const DIRECTORY_V2: u16 = 0x2000;
const MORE_BITS: u16 = 0x8000;

const FILE_TYPES_V4: u32 = 0x200;

const FILE_TYPES_V5: u32 = 0x1;
const SPARSE_INODES: u32 = 0x2;
const META_UUID: u32 = 0x4;
