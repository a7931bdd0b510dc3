//! The journal of ext4, jbd2: what its blocks say, and what of it is newer than the rest of the disk.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::super::disk::Disk;
use super::super::fields::Fields;
use crate::num::{narrow, widen};

/// A journal that is a file of the file system.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    /// Which blocks of the disk it has, in order: the first block of a run in the journal, on the disk, and how many.
    runs: Vec<(u64, u64, u64)>,
    block_bytes: usize,
    /// The blocks that go round.
    first: u64,
    end: u64,
    start: u64,
    sequence: u32,
    features: u32,
}

/// What a block of a journal says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// Which blocks of the disk the next ones are copies of.
    Descriptor(u32),
    /// A transaction is complete.
    Commit(u32),
    /// Where and how the journal begins.
    Superblock,
    /// Earlier copies that do not count.
    Revoke(u32),
}

/// A copy of a block that is in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Copied {
    /// The block of the disk that it is a copy of.
    pub(super) block: u64,
    /// Whether it begins as blocks of a journal do, which is written as zeros.
    pub(super) is_escaped: bool,
    /// The transaction.
    pub(super) sequence: u32,
}

/// What is newer in a journal than where it belongs.
#[derive(Clone, Debug, Default)]
pub(super) struct Committed {
    /// For each block of the disk the block of the journal.
    pub(super) blocks: BTreeMap<u64, (u64, Copied)>,
    /// Whether there may be more: there are too many.
    pub(super) is_full: bool,
}

impl Journal {
    /// The journal with these runs of blocks.
    pub(super) fn open<E>(
        disk: &mut Disk<'_, E>,
        mut runs: Vec<(u64, u64, u64)>,
        block_bytes: usize,
    ) -> Result<Option<Self>, E> {
        runs.sort_unstable();
        let mut journal = Self { runs, block_bytes, first: 1, end: 0, start: 0, sequence: 0, features: 0 };
        let Some(block) = journal.read(disk, 0)? else { return Ok(None) };
        let fields = Fields(&block);
        if says(&block) != Some(Says::Superblock)
            || fields.be32(12) != u32::try_from(block_bytes).unwrap_or(0)
        {
            return Ok(None);
        }
        let is_second = fields.be32(4) == SUPERBLOCK_2;
        journal.features = if is_second { fields.be32(40) } else { 0 };
        let nr_blocks = u64::from(fields.be32(16));
        let nr_fast = match (journal.features & FAST_COMMIT, u64::from(fields.be32(84))) {
            (0, _) => 0,
            (_, 0) => DEFAULT_FAST_BLOCKS,
            (_, nr_fast) => nr_fast,
        };
        journal.first = u64::from(fields.be32(20)).max(1);
        journal.end = nr_blocks.saturating_sub(nr_fast);
        journal.sequence = fields.be32(24);
        journal.start = u64::from(fields.be32(28));
        Ok((journal.first < journal.end).then_some(journal))
    }

    /// Whether a block of the journal is one of those with fast commits.
    pub(super) const fn is_fast(&self, at: u64) -> bool {
        at >= self.end
    }

    /// Reads a block of the journal.
    pub(super) fn read<E>(&self, disk: &mut Disk<'_, E>, at: u64) -> Result<Option<Vec<u8>>, E> {
        let nth = self.runs.partition_point(|(first, _, _)| *first <= at);
        let run =
            nth.checked_sub(1).and_then(|nth| self.runs.get(nth)).filter(|(first, _, nr)| at - first < *nr);
        let offset_bytes = run.and_then(|(first, block, _)| {
            block.checked_add(at - first)?.checked_mul(widen(self.block_bytes))
        });
        match offset_bytes {
            Some(offset_bytes) => disk.read(offset_bytes, self.block_bytes),
            None => Ok(None),
        }
    }

    /// What the committed transactions have written that the disk itself may not have yet. Each block of the journal is
    /// looked at once at most.
    pub(super) fn committed<E>(&self, disk: &mut Disk<'_, E>) -> Result<Committed, E> {
        let (mut committed, mut cancelled) = (BTreeMap::new(), BTreeMap::new());
        let mut is_full = false;
        let (mut copies, mut revokes) = (Vec::new(), Vec::new());
        let (mut at, mut sequence) = (self.start, self.sequence);
        let mut left = self.end - self.first;
        while self.start != 0 && left > 0 && (self.first..self.end).contains(&at) {
            let Some(block) = self.read(disk, at)? else { break };
            let mut nr_blocks = 1;
            match says(&block) {
                Some(Says::Descriptor(of)) if of == sequence => {
                    let tags = self.tags(&block);
                    nr_blocks += widen(tags.len());
                    let places = (1..).map(|nth| self.after(at, nth));
                    copies.extend(places.zip(tags));
                }
                Some(Says::Revoke(of)) if of == sequence => revokes.extend(self.revoked(&block)),
                Some(Says::Commit(of)) if of == sequence => {
                    committed.extend(copies.drain(..).map(|(place, copied)| (copied.block, (place, copied))));
                    cancelled.extend(revokes.drain(..).map(|block| (block, sequence)));
                    sequence = sequence.wrapping_add(1);
                }
                _ => break,
            }
            is_full = committed.len().max(copies.len()).max(cancelled.len()).max(revokes.len()) > MAX_COPIES;
            if is_full {
                break;
            }
            left = left.saturating_sub(nr_blocks);
            at = self.after(at, nr_blocks);
        }
        let is_newer = |one: u32, other: u32| one.wrapping_sub(other).cast_signed() > 0;
        committed.retain(|block, (_, copied): &mut (u64, Copied)| {
            cancelled.get(block).is_none_or(|revoke| is_newer(copied.sequence, *revoke))
        });
        Ok(Committed { blocks: committed, is_full })
    }

    /// Which block of the disk a block of the journal is a copy of, by the descriptor before it.
    pub(super) fn copied<E>(&self, disk: &mut Disk<'_, E>, at: u64) -> Result<Option<Copied>, E> {
        let most = self.end.saturating_sub(self.first).min(widen(self.block_bytes / 4));
        for distance in 1..most {
            let before = if at >= self.first + distance {
                at - distance
            } else {
                at + self.end - self.first - distance
            };
            let Some(block) = self.read(disk, before)? else { return Ok(None) };
            match says(&block) {
                None => {}
                Some(Says::Descriptor(_)) => return Ok(self.tags(&block).get(narrow(distance - 1)).copied()),
                Some(_) => return Ok(None),
            }
        }
        Ok(None)
    }

    /// What a descriptor says of the blocks after it.
    pub(super) fn tags(&self, block: &[u8]) -> Vec<Copied> {
        let fields = Fields(block);
        let sequence = fields.be32(8);
        let is_3 = self.features & CHECKSUMS_3 != 0;
        let is_64 = self.features & BITS_64 != 0;
        let tag_bytes = if is_3 {
            16
        } else {
            8 + if self.features & CHECKSUMS_2 == 0 { 0 } else { 2 } + if is_64 { 4 } else { 0 }
        };
        let tail_bytes = if self.features & (CHECKSUMS_2 | CHECKSUMS_3) == 0 { 0 } else { 4 };
        let end = block.len().saturating_sub(tail_bytes);
        let mut tags = Vec::new();
        let mut at = HEADER_BYTES;
        while at + tag_bytes <= end {
            let flags = if is_3 { fields.be32(at + 4) } else { u32::from(fields.be16(at + 6)) };
            let high = if is_64 { u64::from(fields.be32(at + 8)) << 32 } else { 0 };
            let block = u64::from(fields.be32(at)) | high;
            tags.push(Copied { block, is_escaped: flags & ESCAPED != 0, sequence });
            at += tag_bytes + if flags & SAME_UUID == 0 { 16 } else { 0 };
            if flags & LAST_TAG != 0 {
                break;
            }
        }
        tags
    }

    /// The blocks that a revoke block names.
    fn revoked(&self, block: &[u8]) -> Vec<u64> {
        let fields = Fields(block);
        let end = usize::try_from(fields.be32(12)).map_or(block.len(), |end| end.min(block.len()));
        let is_64 = self.features & BITS_64 != 0;
        let offsets = (HEADER_BYTES + 4..end).step_by(if is_64 { 8 } else { 4 });
        offsets.map(|at| if is_64 { fields.be64(at) } else { u64::from(fields.be32(at)) }).collect()
    }

    /// The block of the journal so many blocks later.
    fn after(&self, at: u64, nr_blocks: u64) -> u64 {
        let at = at.saturating_add(nr_blocks);
        if at < self.end { at } else { self.first + (at - self.end) }
    }
}

/// What a block of a journal says of itself; `None` where it is a copy, or nothing.
pub(super) fn says(block: &[u8]) -> Option<Says> {
    let fields = Fields(block);
    if fields.be32(0) != MAGIC {
        return None;
    }
    let sequence = fields.be32(8);
    match fields.be32(4) {
        1 => Some(Says::Descriptor(sequence)),
        2 => Some(Says::Commit(sequence)),
        3 | SUPERBLOCK_2 => Some(Says::Superblock),
        5 => Some(Says::Revoke(sequence)),
        _ => None,
    }
}

/// What an escaped copy begins with in truth.
pub(super) const MAGIC_BYTES: [u8; 4] = [0xc0, 0x3b, 0x39, 0x98];

const MAGIC: u32 = 0xc03b_3998;
const HEADER_BYTES: usize = 12;
const SUPERBLOCK_2: u32 = 4;
const DEFAULT_FAST_BLOCKS: u64 = 256;

/// How many copies, and how many revoked blocks, are looked at: some 100 MB of them.
const MAX_COPIES: usize = 1 << 20;

const BITS_64: u32 = 0x2;
const CHECKSUMS_2: u32 = 0x8;
const CHECKSUMS_3: u32 = 0x10;
const FAST_COMMIT: u32 = 0x20;

const ESCAPED: u32 = 0x1;
const SAME_UUID: u32 = 0x2;
const LAST_TAG: u32 = 0x8;
