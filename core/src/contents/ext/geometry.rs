//! How an ext4 file system is laid out, as its superblock says.

use core::ops::Range;

use super::super::fields::Fields;
use crate::num::widen;

/// What the superblock says, as far as it makes sense.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    block_shift: u32,
    /// How many blocks a bit of a block bitmap stands for.
    pub(super) cluster_blocks: u64,
    pub(super) first_block: u64,
    pub(super) nr_blocks: u64,
    pub(super) blocks_per_group: u64,
    pub(super) inodes_per_group: u32,
    pub(super) inode_bytes: usize,
    descriptor_bytes: usize,
    /// Blocks after the group descriptors that are kept for more of them.
    pub(super) nr_reserved: u64,
    first_meta_bg: u64,
    backup_groups: (u32, u32),
    pub(super) journal_inode: u32,
    pub(super) orphan_inode: u32,
    pub(super) mmp_block: u64,
    compatible: u32,
    incompatible: u32,
    read_only: u32,
}

impl Geometry {
    /// What these bytes of a superblock say; `None` if it is not one, or makes no sense.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let fields = Fields(bytes);
        if fields.le16(56) != MAGIC {
            return None;
        }
        let block_shift = fields.le32(24).checked_add(10).filter(|shift| *shift <= 16)?;
        let block_bytes = 1u64 << block_shift;
        let (compatible, incompatible, read_only) = (fields.le32(92), fields.le32(96), fields.le32(100));
        let cluster_blocks = match read_only & BIGALLOC {
            0 => 1,
            _ => {
                1 << fields.le32(28).checked_add(10)?.checked_sub(block_shift).filter(|shift| *shift < 24)?
            }
        };
        let high = if incompatible & BITS_64 == 0 { 0 } else { u64::from(fields.le32(336)) };
        let is_first = fields.le32(76) == 0;
        let geometry = Self {
            block_shift,
            cluster_blocks,
            first_block: u64::from(fields.le32(20)),
            nr_blocks: u64::from(fields.le32(4)) | high << 32,
            blocks_per_group: u64::from(fields.le32(32)),
            inodes_per_group: fields.le32(40),
            inode_bytes: if is_first { 128 } else { usize::from(fields.le16(88)) },
            descriptor_bytes: if incompatible & BITS_64 == 0 { 32 } else { usize::from(fields.le16(254)) },
            nr_reserved: if compatible & RESIZE_INODE == 0 { 0 } else { u64::from(fields.le16(206)) },
            first_meta_bg: u64::from(fields.le32(260)),
            backup_groups: (fields.le32(588), fields.le32(592)),
            journal_inode: if compatible & HAS_JOURNAL == 0 { 0 } else { fields.le32(224) },
            orphan_inode: if compatible & ORPHAN_FILE == 0 { 0 } else { fields.le32(640) },
            mmp_block: if incompatible & MMP == 0 { 0 } else { fields.le64(360) },
            compatible,
            incompatible,
            read_only,
        };
        let inode_bytes = widen(geometry.inode_bytes);
        let descriptor_bytes = widen(geometry.descriptor_bytes);
        let is_sane = incompatible & JOURNAL_DEVICE == 0
            && inode_bytes.is_power_of_two()
            && (128..=block_bytes).contains(&inode_bytes)
            && descriptor_bytes.is_power_of_two()
            && (32..=block_bytes).contains(&descriptor_bytes)
            && (1..=block_bytes * 8 * cluster_blocks).contains(&geometry.blocks_per_group)
            && (1..=block_bytes * 8).contains(&u64::from(geometry.inodes_per_group))
            && geometry.nr_blocks <= u64::MAX >> block_shift >> 1
            && geometry.first_block < geometry.nr_blocks;
        is_sane.then_some(geometry)
    }

    pub(super) const fn block_bytes(&self) -> usize {
        1 << self.block_shift
    }

    /// Some blocks, as bytes of the disk.
    pub(super) fn bytes(&self, block: u64, nr_blocks: u64) -> Range<u64> {
        let at = |block: u64| block.min(self.nr_blocks) << self.block_shift;
        at(block)..at(block.saturating_add(nr_blocks))
    }

    /// The block with a byte of the disk.
    pub(super) const fn block_of(&self, offset_bytes: u64) -> u64 {
        offset_bytes >> self.block_shift
    }

    pub(super) const fn nr_groups(&self) -> u64 {
        (self.nr_blocks - self.first_block).div_ceil(self.blocks_per_group)
    }

    /// The first block of a group, and how many it has.
    pub(super) fn blocks_of(&self, group: u64) -> (u64, u64) {
        let first = self.first_block + group * self.blocks_per_group;
        (first, self.blocks_per_group.min(self.nr_blocks.saturating_sub(first)))
    }

    /// How many blocks the inodes of a group take.
    pub(super) fn table_blocks(&self) -> u64 {
        (u64::from(self.inodes_per_group) * widen(self.inode_bytes)).div_ceil(widen(self.block_bytes()))
    }

    /// The block with the superblock that counts.
    pub(super) const fn superblock(&self) -> u64 {
        if self.block_shift == 10 { 1 } else { 0 }
    }

    pub(super) fn has_superblock(&self, group: u64) -> bool {
        let (one, other) = self.backup_groups;
        if self.compatible & SPARSE_SUPER_2 != 0 {
            return group == 0 || group == u64::from(one) || group == u64::from(other);
        }
        let is_power = |base: u64| {
            core::iter::successors(Some(base), |power| power.checked_mul(base))
                .take_while(|power| *power <= group)
                .any(|power| power == group)
        };
        self.read_only & SPARSE_SUPER == 0 || group <= 1 || [3, 5, 7].into_iter().any(is_power)
    }

    /// How many blocks of group descriptors are together, after each superblock.
    pub(super) fn nr_old_descriptors(&self) -> u64 {
        let all = self.nr_groups().div_ceil(self.descriptors_per_block());
        if self.incompatible & META_BG == 0 { all } else { self.first_meta_bg.min(all) }
    }

    /// How many group descriptors a block has.
    pub(super) fn descriptors_per_block(&self) -> u64 {
        widen(self.block_bytes() / self.descriptor_bytes)
    }

    /// Where a group's descriptor is: its block, and the offset in it in bytes.
    pub(super) fn descriptor_at(&self, group: u64) -> (u64, usize) {
        let per_block = self.descriptors_per_block();
        let (nth, in_block) = (group / per_block, group % per_block);
        let block = if nth < self.nr_old_descriptors() {
            self.superblock() + 1 + nth
        } else {
            self.meta_descriptors(nth * per_block)
        };
        // It is less than a block.
        (block, crate::num::narrow(in_block) * self.descriptor_bytes)
    }

    /// The block of descriptors that a group has, where each few groups have their own.
    pub(super) fn meta_descriptors(&self, group: u64) -> u64 {
        let (first, _) = self.blocks_of(group);
        let is_second = self.block_shift == 10 && group == 0 && self.first_block == 0;
        first + u64::from(self.has_superblock(group)) + u64::from(is_second)
    }

    /// Whether a group has a copy of the block of descriptors that is its own and its neighbours'.
    pub(super) fn has_meta_descriptors(&self, group: u64) -> bool {
        let per_block = self.descriptors_per_block();
        let in_block = group % per_block;
        self.incompatible & META_BG != 0
            && group / per_block >= self.nr_old_descriptors()
            && (in_block <= 1 || in_block == per_block - 1)
    }

    /// Whether descriptors say what of a group was never written.
    pub(super) const fn has_unwritten(&self) -> bool {
        self.read_only & (GROUP_CHECKSUMS | METADATA_CHECKSUMS) != 0
    }

    /// Whether numbers of blocks have more than 32 bits in descriptors.
    pub(super) const fn is_64_bit(&self) -> bool {
        self.descriptor_bytes >= 64
    }
}

const MAGIC: u16 = 0xef53;

const HAS_JOURNAL: u32 = 0x4;
const RESIZE_INODE: u32 = 0x10;
const SPARSE_SUPER_2: u32 = 0x200;
const ORPHAN_FILE: u32 = 0x1000;

const JOURNAL_DEVICE: u32 = 0x8;
const META_BG: u32 = 0x10;
const BITS_64: u32 = 0x80;
const MMP: u32 = 0x100;

const SPARSE_SUPER: u32 = 0x1;
const GROUP_CHECKSUMS: u32 = 0x10;
const BIGALLOC: u32 = 0x200;
const METADATA_CHECKSUMS: u32 = 0x400;
