//! The blocks of ext4, as they are once the journal is replayed.

use alloc::vec::Vec;

use super::super::disk::Disk;
use super::geometry::Geometry;
use super::journal::{Committed, Journal, MAGIC_BYTES};
use crate::num::{narrow, widen};

/// A disk, and what its journal has over it.
pub(super) struct Blocks<'a, 'd, E> {
    pub(super) disk: &'a mut Disk<'d, E>,
    pub(super) geometry: Geometry,
    newer: Committed,
    journal: Option<Journal>,
}

impl<'a, 'd, E> Blocks<'a, 'd, E> {
    pub(super) fn new(disk: &'a mut Disk<'d, E>, geometry: Geometry) -> Self {
        Self { disk, geometry, newer: Committed::default(), journal: None }
    }

    /// From now on reads what a journal has committed.
    pub(super) fn replay(&mut self, journal: &Journal) -> Result<(), E> {
        self.newer = journal.committed(self.disk)?;
        self.journal = Some(journal.clone());
        Ok(())
    }

    /// Whether all that the journal has is read.
    pub(super) const fn is_complete(&self) -> bool {
        !self.newer.is_full && !self.disk.is_exhausted()
    }

    /// Reads some blocks, if the disk has them.
    pub(super) fn read(&mut self, block: u64, nr_blocks: u64) -> Result<Option<Vec<u8>>, E> {
        let range = self.geometry.bytes(block, nr_blocks);
        let block_bytes = self.geometry.block_bytes();
        if range.end - range.start != nr_blocks.saturating_mul(widen(block_bytes)) {
            return Ok(None);
        }
        let Some(mut bytes) = self.disk.read(range.start, narrow(range.end - range.start))? else {
            return Ok(None);
        };
        if let Some(journal) = &self.journal {
            for (newer, (place, copied)) in self.newer.blocks.range(block..block + nr_blocks) {
                let Some(mut copy) = journal.read(self.disk, *place)? else { continue };
                if copied.is_escaped {
                    copy[..MAGIC_BYTES.len()].copy_from_slice(&MAGIC_BYTES);
                }
                let at = narrow(newer - block) * block_bytes;
                bytes[at..at + block_bytes].copy_from_slice(&copy);
            }
        }
        Ok(Some(bytes))
    }
}
