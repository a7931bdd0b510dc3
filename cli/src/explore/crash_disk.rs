//! The disk of one state, for one run of a checker.

use std::io;

use logwrites_core::history::{ExtentMap, Source};
use logwrites_core::num::{clip, narrow, widen};
use logwrites_core::{Extent, SectorSize};

use super::reads::Reads;
use super::recording::Crashed;
use super::written::Written;

/// A disk as a crash has left it. What is written to it is kept in memory and goes with it; what is read of it is watched.
#[derive(Debug)]
pub(super) struct CrashDisk {
    crashed: Crashed,
    written: Written,
    /// Where in what was written the sectors are, or that they are zeros.
    own: ExtentMap,
    /// What is the checker's own does not have to be watched.
    reads: Reads,
    max_written_bytes: usize,
    is_full: bool,
}

impl CrashDisk {
    /// A disk to which no more than so many bytes can be written, some for each write included.
    pub(super) fn new(crashed: Crashed, max_written_bytes: usize) -> Self {
        let sector_size = crashed.recording().sector_size();
        Self {
            crashed,
            written: Written::nothing(sector_size),
            own: ExtentMap::new(sector_size),
            reads: Reads::new(sector_size),
            max_written_bytes,
            is_full: false,
        }
    }

    /// Whether a write was refused since there were too many.
    pub(super) const fn is_full(&self) -> bool {
        self.is_full
    }

    pub(super) fn sector_size(&self) -> SectorSize {
        self.crashed.recording().sector_size()
    }

    /// The disk without what was written; what was read of it, in order, each sector once; and what was written to it.
    pub(super) fn into_parts(self) -> (Crashed, Vec<Extent>, Written) {
        (self.crashed, self.reads.into_extents(), self.written)
    }

    /// Reads at an offset, which with the length must be within the disk.
    pub(super) fn read_at(&mut self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<()> {
        let (extent, before) = self.sectors_of(offset_bytes, widen(buffer.len()));
        let sectors = self.read_sectors(extent)?;
        buffer.copy_from_slice(&sectors[before..before + buffer.len()]);
        Ok(())
    }

    /// Writes at an offset, which with the length must be within the disk. A sector of which only a part is written is read
    /// first. A durable write is on the disk once it is done; others are after a [flush](Self::flush).
    pub(super) fn write_at(&mut self, offset_bytes: u64, bytes: &[u8], is_durable: bool) -> io::Result<()> {
        let (extent, before) = self.sectors_of(offset_bytes, widen(bytes.len()));
        if extent.is_empty() {
            return Ok(());
        }
        self.check_room(bytes.len())?;
        let sector_bytes = narrow(self.crashed.recording().sector_size().bytes());
        let is_whole = before == 0 && bytes.len().is_multiple_of(sector_bytes);
        if is_whole {
            self.written.write(extent, bytes, is_durable, &mut self.own);
            self.reads.know(extent);
            return Ok(());
        }
        let joined = if is_durable { extent } else { self.written.joined(extent) };
        let before = before + narrow(extent.sector() - joined.sector()) * sector_bytes;
        let mut sectors = vec![0; narrow(joined.nr_sectors()) * sector_bytes];
        let end = before + bytes.len();
        let (nr_before, nr_until) = (before.div_ceil(sector_bytes), end / sector_bytes);
        let head = Extent::between(joined.sector(), joined.sector() + widen(nr_before));
        let tail = Extent::between(joined.sector() + widen(nr_until), joined.end());
        sectors[..nr_before * sector_bytes].copy_from_slice(&self.read_sectors(head)?);
        sectors[nr_until * sector_bytes..].copy_from_slice(&self.read_sectors(tail)?);
        sectors[before..end].copy_from_slice(bytes);
        if is_durable {
            self.written.write(joined, &sectors, true, &mut self.own);
        } else {
            self.written.write_joined(joined, &sectors, &mut self.own);
        }
        self.reads.know(joined);
        Ok(())
    }

    /// From now on a crash leaves what was written before.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.check_room(0)?;
        self.written.flush(&mut self.own);
        Ok(())
    }

    /// Makes bytes zeros, as far as they are on the disk.
    pub(super) fn zero(&mut self, offset_bytes: u64, len_bytes: u64, is_durable: bool) -> io::Result<()> {
        self.check_room(0)?;
        let sector_size = self.crashed.recording().sector_size();
        let end_bytes = offset_bytes.saturating_add(len_bytes).min(self.crashed.recording().len_bytes());
        let first = sector_size.sectors_for(offset_bytes);
        let whole = Extent::between(first, end_bytes / sector_size.bytes());
        let zeros = vec![0; narrow(sector_size.bytes())];
        let head_end = sector_size.bytes_of(first).min(end_bytes);
        self.write_at(
            offset_bytes,
            &zeros[..clip(head_end.saturating_sub(offset_bytes), zeros.len())],
            false,
        )?;
        let tail = sector_size.bytes_of(whole.end()).max(head_end);
        self.write_at(tail, &zeros[..clip(end_bytes.saturating_sub(tail), zeros.len())], is_durable)?;
        self.written.zero(whole, is_durable, &mut self.own);
        self.reads.know(whole);
        Ok(())
    }

    fn read_sectors(&mut self, extent: Extent) -> io::Result<Vec<u8>> {
        self.reads.add(extent);
        let sector_size = self.crashed.recording().sector_size();
        let mut buffer = vec![0; narrow(sector_size.bytes_of(extent.nr_sectors()))];
        let mut rest = &mut buffer[..];
        for piece in self.own.pieces(extent) {
            let part;
            (part, rest) = rest.split_at_mut(narrow(sector_size.bytes_of(piece.extent.nr_sectors())));
            match piece.source {
                None => self.crashed.read(piece.extent, part)?,
                Some(Source::Zeros { .. }) => {}
                Some(Source::Log { offset_bytes }) => self.written.read_at(offset_bytes, part),
            }
        }
        Ok(buffer)
    }

    fn check_room(&mut self, len_bytes: usize) -> io::Result<()> {
        self.is_full |= self.written.len_bytes().saturating_add(len_bytes) > self.max_written_bytes;
        if self.is_full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    /// The sectors that have these bytes, and how many bytes of the first one are before them.
    fn sectors_of(&self, offset_bytes: u64, len_bytes: u64) -> (Extent, usize) {
        let sector_size = self.crashed.recording().sector_size();
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
    use crate::explore::Recording;
    use logwrites_core::format::{Flags, Superblock};
    use logwrites_core::history::Index;
    use logwrites_core::reader::LogSlice;
    use proptest::prelude::*;
    use std::sync::Arc;

    const LEN_BYTES: u64 = 8 * 512;

    fn disk() -> CrashDisk {
        let superblock = Superblock { nr_entries: 0, sector_size: SectorSize::B512 };
        let log = Arc::new(Disk::nameless().unwrap());
        let recording = Recording::new(Index::new(superblock), log, Origin::Zeros { len_bytes: LEN_BYTES });
        let crashed = Crashed::new(Arc::new(recording), ExtentMap::new(SectorSize::B512));
        CrashDisk::new(crashed, MAX_WRITTEN_BYTES)
    }

    const MAX_WRITTEN_BYTES: usize = 1 << 20;

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
                        disk.write_at(offset, &vec![byte; narrow(len)], false).unwrap();
                        bytes[narrow(offset)..narrow(offset + len)].fill(byte);
                        partly(offset, len, &mut known, &mut see);
                    }
                    Step::Zero(offset, len) => {
                        disk.zero(offset, len, false).unwrap();
                        bytes[narrow(offset)..narrow(offset + len)].fill(0);
                        partly(offset, len, &mut known, &mut see);
                    }
                }
            }
            let (_, reads, _) = disk.into_parts();
            let reads: Vec<u64> = reads.iter().flat_map(|read| read.sector()..read.end()).collect();
            prop_assert_eq!(reads, seen);
        }
    }

    #[test]
    fn what_is_written_is_a_log() {
        let mut disk = disk();
        disk.flush().unwrap();
        disk.write_at(512, &[1; 1024], false).unwrap();
        disk.flush().unwrap();
        disk.flush().unwrap();
        disk.write_at(0, &[2; 512], true).unwrap();
        disk.zero(1024, 512, false).unwrap();
        let (_, _, written) = disk.into_parts();
        let entries = written.index().entries(0..9).map(|entry| (entry.extent(), entry.flags()));
        let extent = |sector, nr_sectors| Extent::new(sector, nr_sectors).unwrap();
        assert_eq!(
            entries.collect::<Vec<_>>(),
            [
                (extent(1, 2), Flags::empty()),
                (extent(0, 0), Flags::FLUSH),
                (extent(0, 1), Flags::FUA),
                (extent(2, 1), Flags::DISCARD),
            ]
        );
        let mut log = Vec::new();
        written.write_log(&mut log).unwrap();
        let entries = LogSlice::open(&log).unwrap().map(Result::unwrap);
        assert!(entries.eq(written.index().entries(0..9)), "what is read back is what is known");
    }

    #[test]
    fn what_is_written_is_bounded() {
        let mut disk = disk();
        let mut nr_writes = 0;
        while disk.write_at(0, &[1; 512], false).is_ok() {
            nr_writes += 1;
        }
        assert!(disk.is_full() && nr_writes == MAX_WRITTEN_BYTES / 1024, "{nr_writes}");
        assert!(disk.flush().is_err() && disk.zero(0, 512, false).is_err());
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
