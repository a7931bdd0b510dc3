//! The disk at a point of a log, to be read: the base image, the log, and the map that says which.

use std::io;

use logwrites_core::Extent;
use logwrites_core::history::{ExtentMap, Place, read_pieces};

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
        let pieces = self.map.pieces(extent);
        read_pieces(self.map.sector_size(), pieces, buffer, |place, offset_bytes, part| {
            match (place, self.base) {
                (Place::Log, _) => self.log.read_at(offset_bytes, part),
                (Place::Base, Some(base)) => base.read_at(offset_bytes, part),
                (Place::Base, None) => {
                    part.fill(0);
                    Ok(())
                }
            }
        })
    }
}
