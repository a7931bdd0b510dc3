//! The disk at a point of a log, to be read: the base image, the log, and the map that says which.

use std::io;

use logwrites_core::Extent;
use logwrites_core::history::{ExtentMap, Source};

use super::disk::Disk;

/// A disk that is spread over a base image and a log. Without a base, what the log does not say is zero.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// What was there before the first entry.
    pub base: Option<&'a Disk>,
    /// Where the payloads are.
    pub log: &'a Disk,
    /// Which bytes are where.
    pub map: &'a ExtentMap,
}

impl View<'_> {
    /// Reads an extent, whose length in bytes `buffer` has.
    ///
    /// # Errors
    /// The base's or the log's.
    pub fn read(&self, extent: Extent, buffer: &mut [u8]) -> io::Result<()> {
        let sector_size = self.map.sector_size();
        let mut rest = buffer;
        for piece in self.map.pieces(extent) {
            let len = usize::try_from(sector_size.bytes_of(piece.extent.nr_sectors())).unwrap_or(usize::MAX);
            let (now, behind) = rest.split_at_mut(len.min(rest.len()));
            match (piece.source, self.base) {
                (Some(Source::Log { offset_bytes }), _) => self.log.read_at(offset_bytes, now)?,
                (None, Some(base)) => base.read_at(sector_size.bytes_of(piece.extent.sector()), now)?,
                (Some(Source::Zeros { .. }), _) | (None, None) => now.fill(0),
            }
            rest = behind;
        }
        Ok(())
    }
}
