//! The disk of one state, for one run of a checker.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use logwrites_core::Extent;
use logwrites_core::history::{ExtentMap, Source};
use logwrites_core::num::{narrow, widen};

use super::recording::Recording;

/// A disk as a crash has left it. What is written to it is kept in memory and goes with it; what is read of it is watched.
#[derive(Debug)]
pub(super) struct CrashDisk {
    recording: Arc<Recording>,
    map: ExtentMap,
    /// What was written, by sector.
    written: HashMap<u64, Box<[u8]>>,
    /// What does not have to be watched any more: it was read, or is the checker's own.
    known: ExtentMap,
    reads: Vec<Extent>,
}

impl CrashDisk {
    /// The disk that `map` describes.
    pub(super) fn new(recording: Arc<Recording>, map: ExtentMap) -> Self {
        let known = ExtentMap::new(recording.sector_size());
        Self { recording, map, written: HashMap::new(), known, reads: Vec::new() }
    }

    /// Where the bytes of the disk are, without what was written.
    pub(super) const fn map(&self) -> &ExtentMap {
        &self.map
    }

    /// What was read of the state, in order, each sector once.
    pub(super) fn into_reads(self) -> Vec<Extent> {
        self.reads
    }

    /// Reads at an offset, which with the length must be within the disk.
    pub(super) fn read_at(&mut self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<()> {
        let Some((extent, skipped)) = self.sectors_of(offset_bytes, buffer.len()) else { return Ok(()) };
        let sectors = self.read_sectors(extent)?;
        buffer.copy_from_slice(&sectors[skipped..skipped + buffer.len()]);
        Ok(())
    }

    /// Writes at an offset, which with the length must be within the disk. A sector of which only a part is written is read
    /// first.
    pub(super) fn write_at(&mut self, offset_bytes: u64, bytes: &[u8]) -> io::Result<()> {
        let Some((extent, skipped)) = self.sectors_of(offset_bytes, bytes.len()) else { return Ok(()) };
        let sector_bytes = self.sector_bytes();
        let mut rest = bytes;
        for (sector, skipped) in
            (extent.sector()..extent.end()).zip([skipped].into_iter().chain(std::iter::repeat(0)))
        {
            let (part, after) = rest.split_at(rest.len().min(sector_bytes - skipped));
            let mut content = match part.len() {
                len if len == sector_bytes => vec![0; sector_bytes],
                _ => self.read_sectors(Extent::between(sector, sector + 1))?,
            };
            content[skipped..skipped + part.len()].copy_from_slice(part);
            self.written.insert(sector, content.into());
            rest = after;
        }
        self.know(extent);
        Ok(())
    }

    /// Makes bytes zeros.
    pub(super) fn zero(&mut self, offset_bytes: u64, len_bytes: u64) -> io::Result<()> {
        let zeros = vec![0; CHUNK_BYTES];
        let (mut at, end) =
            (offset_bytes, offset_bytes.saturating_add(len_bytes).min(self.recording.len_bytes()));
        while at < end {
            let len = (end - at).min(widen(CHUNK_BYTES));
            self.write_at(at, &zeros[..narrow(len)])?;
            at += len;
        }
        Ok(())
    }

    fn read_sectors(&mut self, extent: Extent) -> io::Result<Vec<u8>> {
        self.watch(extent);
        let sector_bytes = self.sector_bytes();
        let mut buffer = vec![0; narrow(extent.nr_sectors()) * sector_bytes];
        let is_written = |sector: &u64| self.written.contains_key(sector);
        if !(extent.sector()..extent.end()).all(|sector| is_written(&sector)) {
            self.recording.read(&self.map, extent, &mut buffer)?;
        }
        for (sector, part) in (extent.sector()..extent.end()).zip(buffer.chunks_exact_mut(sector_bytes)) {
            if let Some(content) = self.written.get(&sector) {
                part.copy_from_slice(content);
            }
        }
        Ok(buffer)
    }

    /// Notes what of an extent was not read or written before.
    fn watch(&mut self, extent: Extent) {
        let new = self.known.pieces(extent).filter(|piece| piece.source.is_none());
        self.reads.extend(new.map(|piece| piece.extent));
        self.know(extent);
    }

    fn know(&mut self, extent: Extent) {
        self.known.insert(extent, Source::Zeros { entry_offset_bytes: 0 });
    }

    /// The sectors that have these bytes, and how many bytes of the first one are before them.
    fn sectors_of(&self, offset_bytes: u64, len: usize) -> Option<(Extent, usize)> {
        let sector_size = self.recording.sector_size();
        let end_bytes = offset_bytes.checked_add(widen(len)).filter(|end| *end > offset_bytes)?;
        let extent = Extent::between(offset_bytes / sector_size.bytes(), sector_size.sectors_for(end_bytes));
        Some((extent, narrow(offset_bytes - sector_size.bytes_of(extent.sector()))))
    }

    fn sector_bytes(&self) -> usize {
        narrow(self.recording.sector_size().bytes())
    }
}

const CHUNK_BYTES: usize = 1 << 20;
