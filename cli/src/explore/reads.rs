//! What was read of a disk.

use logwrites_core::history::{ExtentMap, Piece, Source};
use logwrites_core::{Extent, SectorSize};

/// The sectors that were read of a disk, in order, each once.
#[derive(Debug)]
pub(super) struct Reads {
    /// What does not have to be watched any more.
    known: ExtentMap,
    extents: Vec<Extent>,
}

impl Reads {
    /// Nothing was read yet.
    pub(super) fn new(sector_size: SectorSize) -> Self {
        Self { known: ExtentMap::new(sector_size), extents: Vec::new() }
    }

    /// Notes what of an extent is not known.
    pub(super) fn add(&mut self, extent: Extent) {
        let new = self.known.pieces(extent).filter(|piece| piece.source.is_none());
        self.extents.extend(new.map(|piece| piece.extent));
        self.know(extent);
    }

    /// Of the pieces of a disk that lies over this one, notes those that are still this one's.
    pub(super) fn add_below(&mut self, pieces: impl IntoIterator<Item = Piece>) {
        pieces.into_iter().filter(|piece| piece.source.is_none()).for_each(|piece| self.add(piece.extent));
    }

    /// From now on an extent is not watched.
    pub(super) fn know(&mut self, extent: Extent) {
        self.known.insert(extent, Source::Zeros { entry_offset_bytes: 0 });
    }

    pub(super) fn into_extents(self) -> Vec<Extent> {
        self.extents
    }
}
