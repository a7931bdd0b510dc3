//! The entries of a log, and the disk at any point of them without starting from the first each time.

use logwrites_core::history::{Checkpoints, Discards, EntrySet, ExtentMap, Index};

/// An index, and maps at a few points on the way.
#[derive(Clone, Debug)]
pub(crate) struct Past {
    index: Index,
    checkpoints: Checkpoints,
}

impl Past {
    pub(crate) const fn new(index: Index) -> Self {
        Self { index, checkpoints: Checkpoints::new(Discards::Zero) }
    }

    pub(crate) const fn index(&self) -> &Index {
        &self.index
    }

    /// The index, to add entries to.
    pub(crate) const fn index_mut(&mut self) -> &mut Index {
        &mut self.index
    }

    /// Forgets the entries from number `point` on.
    pub(crate) fn truncate(&mut self, point: u64) {
        self.index.truncate(point);
        self.checkpoints.truncate(point);
    }

    /// Where the bytes of the disk are at `point`, without what a crash there has lost.
    pub(crate) fn map_at(&mut self, point: u64, lost: &EntrySet) -> ExtentMap {
        self.checkpoints.map_at(&self.index, point, lost)
    }
}
