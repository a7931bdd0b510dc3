//! The disk of one state, for one run of a checker.

use std::io::{self, Write};
use std::sync::Arc;

use logwrites_core::format::{EntryHeader, Flags, HEADER_LEN, Superblock};
use logwrites_core::history::{ExtentMap, Source};
use logwrites_core::num::{clip, narrow, widen};
use logwrites_core::{Extent, SectorSize};

use super::recording::Recording;

/// A disk as a crash has left it. What is written to it is kept in memory and goes with it; what is read of it is watched.
#[derive(Debug)]
pub(super) struct CrashDisk {
    recording: Arc<Recording>,
    map: ExtentMap,
    written: Written,
    /// What does not have to be watched any more: it was read, or is the checker's own.
    known: ExtentMap,
    reads: Vec<Extent>,
}

/// What was written to a disk.
#[derive(Clone, Debug)]
pub struct Written {
    /// Where in `data` the sectors are, or that they are zeros.
    map: ExtentMap,
    data: Vec<u8>,
}

impl Written {
    fn nothing(sector_size: SectorSize) -> Self {
        Self { map: ExtentMap::new(sector_size), data: Vec::new() }
    }

    /// How much memory it takes, in bytes.
    pub(super) const fn len_bytes(&self) -> usize {
        self.data.len()
    }

    /// Writes its last contents as a log: replayed onto the state, it gives the disk as the check has left it.
    ///
    /// # Errors
    /// The writer's.
    pub fn write_log(&self, out: &mut impl Write) -> io::Result<()> {
        let sector_size = self.map.sector_size();
        let superblock = Superblock { nr_entries: widen(self.map.runs().count()), sector_size };
        let padding = vec![0; narrow(sector_size.bytes()) - HEADER_LEN];
        out.write_all(&superblock.emit())?;
        out.write_all(&padding)?;
        for run in self.map.runs() {
            let (sector, nr_sectors) = (run.extent.sector(), run.extent.nr_sectors());
            let (flags, bytes) = match run.source {
                Source::Zeros { .. } => (Flags::DISCARD, &[][..]),
                Source::Log { offset_bytes } => {
                    let at = narrow(offset_bytes);
                    (Flags::empty(), &self.data[at..at + narrow(sector_size.bytes_of(nr_sectors))])
                }
            };
            out.write_all(&EntryHeader { sector, nr_sectors, flags, data_len: 0 }.emit())?;
            out.write_all(&padding)?;
            out.write_all(bytes)?;
        }
        Ok(())
    }
}

impl CrashDisk {
    /// The disk that `map` describes.
    pub(super) fn new(recording: Arc<Recording>, map: ExtentMap) -> Self {
        let nothing = ExtentMap::new(recording.sector_size());
        let written = Written::nothing(recording.sector_size());
        Self { recording, map, written, known: nothing, reads: Vec::new() }
    }

    /// Where the bytes of the disk are, without what was written.
    pub(super) const fn map(&self) -> &ExtentMap {
        &self.map
    }

    pub(super) fn sector_size(&self) -> SectorSize {
        self.recording.sector_size()
    }

    /// What was read of the state, in order, each sector once; and what was written to it.
    pub(super) fn into_parts(self) -> (Vec<Extent>, Written) {
        (self.reads, self.written)
    }

    /// Reads at an offset, which with the length must be within the disk.
    pub(super) fn read_at(&mut self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<()> {
        let (extent, before) = self.sectors_of(offset_bytes, widen(buffer.len()));
        let sectors = self.read_sectors(extent)?;
        buffer.copy_from_slice(&sectors[before..before + buffer.len()]);
        Ok(())
    }

    /// Writes at an offset, which with the length must be within the disk. A sector of which only a part is written is read
    /// first.
    pub(super) fn write_at(&mut self, offset_bytes: u64, bytes: &[u8]) -> io::Result<()> {
        let (extent, before) = self.sectors_of(offset_bytes, widen(bytes.len()));
        if extent.is_empty() {
            return Ok(());
        }
        let sector_bytes = narrow(self.recording.sector_size().bytes());
        let mut sectors = vec![0; narrow(extent.nr_sectors()) * sector_bytes];
        let len = sectors.len();
        if before > 0 {
            let first = self.read_sectors(Extent::between(extent.sector(), extent.sector() + 1))?;
            sectors[..sector_bytes].copy_from_slice(&first);
        }
        if before + bytes.len() < len {
            let last = self.read_sectors(Extent::between(extent.end() - 1, extent.end()))?;
            sectors[len - sector_bytes..].copy_from_slice(&last);
        }
        sectors[before..before + bytes.len()].copy_from_slice(bytes);
        let offset_bytes = widen(self.written.data.len());
        self.written.data.extend_from_slice(&sectors);
        self.own(extent, Source::Log { offset_bytes });
        Ok(())
    }

    /// Makes bytes zeros, as far as they are on the disk.
    pub(super) fn zero(&mut self, offset_bytes: u64, len_bytes: u64) -> io::Result<()> {
        let sector_size = self.recording.sector_size();
        let end_bytes = offset_bytes.saturating_add(len_bytes).min(self.recording.len_bytes());
        let first = sector_size.sectors_for(offset_bytes);
        let whole = Extent::between(first, end_bytes / sector_size.bytes());
        let zeros = vec![0; narrow(sector_size.bytes())];
        let head_end = sector_size.bytes_of(first).min(end_bytes);
        self.write_at(offset_bytes, &zeros[..clip(head_end.saturating_sub(offset_bytes), zeros.len())])?;
        let tail = sector_size.bytes_of(whole.end()).max(head_end);
        self.write_at(tail, &zeros[..clip(end_bytes.saturating_sub(tail), zeros.len())])?;
        self.own(whole, Source::Zeros { entry_offset_bytes: 0 });
        Ok(())
    }

    fn read_sectors(&mut self, extent: Extent) -> io::Result<Vec<u8>> {
        self.watch(extent);
        let sector_size = self.recording.sector_size();
        let mut buffer = vec![0; narrow(sector_size.bytes_of(extent.nr_sectors()))];
        let mut rest = &mut buffer[..];
        for piece in self.written.map.pieces(extent) {
            let part;
            (part, rest) = rest.split_at_mut(narrow(sector_size.bytes_of(piece.extent.nr_sectors())));
            match piece.source {
                None => self.recording.read(&self.map, piece.extent, part)?,
                Some(Source::Zeros { .. }) => {}
                Some(Source::Log { offset_bytes }) => {
                    let at = narrow(offset_bytes);
                    part.copy_from_slice(&self.written.data[at..at + part.len()]);
                }
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

    /// From now on an extent is the checker's own.
    fn own(&mut self, extent: Extent, source: Source) {
        self.written.map.insert(extent, source);
        self.know(extent);
    }

    fn know(&mut self, extent: Extent) {
        self.known.insert(extent, Source::Zeros { entry_offset_bytes: 0 });
    }

    /// The sectors that have these bytes, and how many bytes of the first one are before them.
    fn sectors_of(&self, offset_bytes: u64, len_bytes: u64) -> (Extent, usize) {
        let sector_size = self.recording.sector_size();
        let first = offset_bytes / sector_size.bytes();
        if len_bytes == 0 {
            return (Extent::between(first, first), 0);
        }
        let end_bytes = offset_bytes.checked_add(len_bytes).expect("it is within the disk");
        let extent = Extent::between(first, sector_size.sectors_for(end_bytes));
        (extent, narrow(offset_bytes - sector_size.bytes_of(first)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{Disk, Origin};
    use logwrites_core::history::Index;
    use proptest::prelude::*;

    const LEN_BYTES: u64 = 8 * 512;

    fn disk() -> CrashDisk {
        let superblock = Superblock { nr_entries: 0, sector_size: SectorSize::B512 };
        let log = Arc::new(Disk::nameless().unwrap());
        let recording = Recording::new(Index::new(superblock), log, Origin::Zeros { len_bytes: LEN_BYTES });
        CrashDisk::new(Arc::new(recording), ExtentMap::new(SectorSize::B512))
    }

    #[derive(Clone, Debug)]
    enum Step {
        Read(u64, u64),
        Write(u64, u64, u8),
        Zero(u64, u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let range = (0..LEN_BYTES).prop_flat_map(|offset| (Just(offset), 0..=LEN_BYTES - offset));
        prop_oneof![
            range.clone().prop_map(|(offset, len)| Step::Read(offset, len)),
            (range.clone(), 1u8..).prop_map(|((offset, len), byte)| Step::Write(offset, len, byte)),
            range.prop_map(|(offset, len)| Step::Zero(offset, len)),
        ]
    }

    proptest! {
        /// Beside an array of bytes, and a set of sectors that are the checker's own or were read.
        #[test]
        fn it_is_a_disk_whose_first_reads_are_seen(steps in proptest::collection::vec(step(), 0..20)) {
            let (mut disk, mut bytes) = (disk(), vec![0; narrow(LEN_BYTES)]);
            let (mut known, mut seen) = ([false; 8], Vec::new());
            let mut see = |known: &mut [bool; 8], sectors: std::ops::Range<u64>| {
                for sector in sectors {
                    if !std::mem::replace(&mut known[narrow(sector)], true) {
                        seen.push(sector);
                    }
                }
            };
            for step in steps {
                match step {
                    Step::Read(offset, len) => {
                        let mut buffer = vec![0xff; narrow(len)];
                        disk.read_at(offset, &mut buffer).unwrap();
                        prop_assert_eq!(&buffer[..], &bytes[narrow(offset)..narrow(offset + len)]);
                        if len > 0 {
                            see(&mut known, offset / 512..(offset + len).div_ceil(512));
                        }
                    }
                    Step::Write(offset, len, byte) => {
                        disk.write_at(offset, &vec![byte; narrow(len)]).unwrap();
                        bytes[narrow(offset)..narrow(offset + len)].fill(byte);
                        partly(offset, len, &mut known, &mut see);
                    }
                    Step::Zero(offset, len) => {
                        disk.zero(offset, len).unwrap();
                        bytes[narrow(offset)..narrow(offset + len)].fill(0);
                        partly(offset, len, &mut known, &mut see);
                    }
                }
            }
            let (reads, _) = disk.into_parts();
            let reads: Vec<u64> = reads.iter().flat_map(|read| read.sector()..read.end()).collect();
            prop_assert_eq!(reads, seen);
        }
    }

    /// The first and the last sector are read if only a part of them is written; all are the checker's own then.
    fn partly(
        offset: u64,
        len: u64,
        known: &mut [bool; 8],
        see: &mut impl FnMut(&mut [bool; 8], std::ops::Range<u64>),
    ) {
        if len == 0 {
            return;
        }
        let (first, end) = (offset / 512, (offset + len).div_ceil(512));
        if !offset.is_multiple_of(512) {
            see(known, first..first + 1);
        }
        if !(offset + len).is_multiple_of(512) {
            see(known, end - 1..end);
        }
        known[narrow(first)..narrow(end)].fill(true);
    }
}
