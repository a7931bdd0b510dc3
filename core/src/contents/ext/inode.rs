//! Inodes of ext4: where the blocks of a file are.

use alloc::vec;
use alloc::vec::Vec;

use super::super::fields::Fields;
use super::blocks::Blocks;
use crate::num::widen;

/// An inode.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inode<'a>(pub(super) Fields<'a>);

/// Some blocks that a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// The first block in the file; `None` where the blocks say where others are.
    pub(super) at: Option<u64>,
    /// The first block on the disk.
    pub(super) block: u64,
    pub(super) nr_blocks: u64,
}

impl<'a> Inode<'a> {
    pub(super) fn is_directory(self) -> bool {
        self.0.le16(0) & TYPE == DIRECTORY
    }

    /// Whether its blocks have its contents: it is a file, a directory, or a link that is long.
    pub(super) fn has_blocks(self) -> bool {
        let (mode, flags) = (self.0.le16(0) & TYPE, self.0.le32(32));
        let is_short = mode == LINK && flags & EXTENTS == 0 && self.0.le32(4) < 60;
        matches!(mode, 0 | DIRECTORY | FILE | LINK) && flags & INLINE == 0 && !is_short
    }

    /// What a directory without blocks has in its inode: in the place of the block numbers, and in an attribute.
    pub(super) fn inline_entries(self) -> Option<(&'a [u8], &'a [u8])> {
        if self.0.le32(32) & INLINE == 0 {
            return None;
        }
        let head = Fields(self.0.part(40, 60)).from(4);
        let attributes = Fields(self.0.from(128 + usize::from(self.0.le16(128))));
        if attributes.le32(0) != ATTRIBUTES_MAGIC {
            return Some((head, &[]));
        }
        let entries = Fields(attributes.from(4));
        let mut at = 0;
        while entries.le32(at) != 0 {
            let name_bytes = usize::from(entries.byte(at));
            if entries.byte(at + 1) == SYSTEM && entries.part(at + 16, name_bytes) == b"data" {
                let len = usize::try_from(entries.le32(at + 8)).unwrap_or(0);
                return Some((head, entries.part(usize::from(entries.le16(at + 2)), len)));
            }
            at += 16 + name_bytes.next_multiple_of(4);
        }
        Some((head, &[]))
    }

    /// The block with its extended attributes, or 0.
    pub(super) fn attributes(self) -> u64 {
        u64::from(self.0.le32(104)) | u64::from(self.0.le16(118)) << 32
    }

    /// All blocks of the file, and those that say where they are.
    pub(super) fn runs<E>(self, blocks: &mut Blocks<'_, '_, E>) -> Result<Vec<Run>, E> {
        let map = self.0.part(40, 60);
        let mut runs = Vec::new();
        if self.0.le32(32) & EXTENTS == 0 {
            indirect(map, blocks, &mut runs)?;
        } else {
            extents(map, blocks, &mut runs)?;
        }
        Ok(runs)
    }
}

/// Goes through an extent tree. It ends: each level must be one lower than the one that leads to it.
fn extents<E>(root: &[u8], blocks: &mut Blocks<'_, '_, E>, runs: &mut Vec<Run>) -> Result<(), E> {
    let depth = Fields(root).le16(6);
    if depth > MAX_DEPTH {
        return Ok(());
    }
    // What was not read yet: nodes may be many, and large.
    let mut open = Vec::new();
    take_node(Fields(root), depth, runs, &mut open);
    while let Some((block, depth)) = open.pop() {
        if let Some(node) = blocks.read(block, 1)? {
            take_node(Fields(&node), depth, runs, &mut open);
        }
    }
    Ok(())
}

/// Takes in a node of an extent tree, and opens the nodes below it.
fn take_node(node: Fields<'_>, depth: u16, runs: &mut Vec<Run>, open: &mut Vec<(u64, u16)>) {
    if node.le16(0) != EXTENT_MAGIC || node.le16(6) != depth {
        return;
    }
    let nr_entries = usize::from(node.le16(2)).min(node.0.len() / 12 - 1);
    for at in (1..=nr_entries).map(|nth| nth * 12) {
        if runs.len() >= MAX_RUNS {
            return;
        }
        if let Some(below) = depth.checked_sub(1) {
            let block = u64::from(node.le32(at + 4)) | u64::from(node.le16(at + 8)) << 32;
            runs.push(Run { at: None, block, nr_blocks: 1 });
            open.push((block, below));
        } else {
            // A longer one is allocated and reads as zeros.
            let len = u64::from(node.le16(at + 4));
            let nr_blocks = if len > UNWRITTEN { len - UNWRITTEN } else { len };
            let block = u64::from(node.le32(at + 8)) | u64::from(node.le16(at + 6)) << 32;
            runs.push(Run { at: Some(u64::from(node.le32(at))), block, nr_blocks });
        }
    }
}

/// Goes through the block numbers of ext2: twelve of the file's blocks, and then three trees of them.
fn indirect<E>(map: &[u8], blocks: &mut Blocks<'_, '_, E>, runs: &mut Vec<Run>) -> Result<(), E> {
    let fields = Fields(map);
    for nth in 0..12 {
        push_block(runs, widen(nth), u64::from(fields.le32(nth * 4)));
    }
    let per_block = widen(blocks.geometry.block_bytes() / 4);
    let mut first = 12;
    for depth in 1..=3 {
        let mut open = vec![(u64::from(fields.le32(44 + 4 * depth)), first, depth)];
        first += per_block.pow(u32::try_from(depth).unwrap_or(0));
        while let Some((block, first, depth)) = open.pop() {
            if block == 0 || runs.len() >= MAX_RUNS {
                continue;
            }
            runs.push(Run { at: None, block, nr_blocks: 1 });
            let Some(node) = blocks.read(block, 1)? else { continue };
            let span = per_block.pow(u32::try_from(depth - 1).unwrap_or(0));
            for (nth, at) in (0..).zip((0..node.len()).step_by(4)) {
                let (block, at) = (u64::from(Fields(&node).le32(at)), first + nth * span);
                if depth == 1 {
                    push_block(runs, at, block);
                } else if block != 0 {
                    open.push((block, at, depth - 1));
                }
            }
        }
    }
    Ok(())
}

/// Adds a block of a file, joined with the run before it if it continues it.
fn push_block(runs: &mut Vec<Run>, at: u64, block: u64) {
    if block == 0 {
        return;
    }
    if let Some(Run { at: Some(first), block: start, nr_blocks }) = runs.last_mut()
        && *first + *nr_blocks == at
        && *start + *nr_blocks == block
    {
        *nr_blocks += 1;
    } else if runs.len() < MAX_RUNS {
        runs.push(Run { at: Some(at), block, nr_blocks: 1 });
    }
}

const TYPE: u16 = 0xf000;
const DIRECTORY: u16 = 0x4000;
const FILE: u16 = 0x8000;
const LINK: u16 = 0xa000;

const EXTENTS: u32 = 0x8_0000;
const INLINE: u32 = 0x1000_0000;
const ATTRIBUTES_MAGIC: u32 = 0xea02_0000;
const SYSTEM: u8 = 7;

const EXTENT_MAGIC: u16 = 0xf30a;
const UNWRITTEN: u64 = 1 << 15;
const MAX_DEPTH: u16 = 5;

/// How many runs of one file are looked at.
const MAX_RUNS: usize = 1 << 20;
