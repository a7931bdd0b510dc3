//! What a check has written to a disk, as a log in memory.

use std::io::{self, Write};
use std::sync::Arc;

use logwrites_core::format::{EntryHeader, Flags, HEADER_LEN, Superblock};
use logwrites_core::history::{Discards, ExtentMap, Index, Place};
use logwrites_core::num::{narrow, widen};
use logwrites_core::reader::{Entry, Walk};
use logwrites_core::{Extent, SectorSize};

use super::recording::{Crashed, Ground};
use crate::device::Disk;

/// What was written to a disk, in order, with the flushes.
///
/// What is not whole sectors is no write of a disk: there is a page cache before it. So such a write and the one right before
/// are one, if that is in the same page: this is how they come to the disk, unless it is written back just in between.
#[derive(Clone, Debug)]
pub struct Written {
    index: Index,
    /// All of the log. Its first sector is left free for a superblock.
    log: Arc<Vec<u8>>,
}

impl Written {
    pub(super) fn nothing(sector_size: SectorSize) -> Self {
        // How many entries there will be is not known yet.
        let superblock = Superblock { nr_entries: u64::MAX, sector_size };
        let log = Arc::new(vec![0; narrow(sector_size.bytes())]);
        Self { index: Index::new(superblock), log }
    }

    /// Its entries: writes, discards where it was made zeros, and flushes.
    #[must_use]
    pub const fn index(&self) -> &Index {
        &self.index
    }

    /// How much memory it takes, in bytes.
    pub(super) fn len_bytes(&self) -> usize {
        self.log.len()
    }

    /// What comes to the disk if sectors are written of which the first or the last is written in part: those, and what was
    /// written right before them.
    pub(super) fn joined(&self, extent: Extent) -> Extent {
        let last = self.last().filter(|last| last.flags().is_empty()).map(|last| last.extent());
        let hull = last.filter(|last| is_next_to(*last, extent)).map_or(extent, |last| last.hull(extent));
        let page = |sector| self.index.sector_size().bytes_of(sector) / PAGE_BYTES;
        if page(hull.sector()) == page(hull.end() - 1) { hull } else { extent }
    }

    /// Adds such a write, in the place of what it has been [joined](Self::joined) with.
    pub(super) fn write_joined(&mut self, extent: Extent, bytes: &[u8], map: &mut ExtentMap) {
        if let Some(last) = self.last()
            && last.flags().is_empty()
            && last.extent().intersection(extent) == last.extent()
        {
            self.index.truncate(last.index);
            Arc::make_mut(&mut self.log).truncate(narrow(last.offset_bytes));
        }
        self.write(extent, bytes, false, map);
    }

    /// Adds a write of whole sectors, and applies it to a map. A durable one is on the disk once it is done.
    pub(super) fn write(&mut self, extent: Extent, bytes: &[u8], is_durable: bool, map: &mut ExtentMap) {
        self.push(extent, if is_durable { Flags::FUA } else { Flags::empty() }, bytes, map);
    }

    /// Adds that an extent was made zeros, and applies that to a map.
    pub(super) fn zero(&mut self, extent: Extent, is_durable: bool, map: &mut ExtentMap) {
        if !extent.is_empty() {
            let flags = if is_durable { Flags::FUA } else { Flags::empty() };
            self.push(extent, flags | Flags::DISCARD, &[], map);
        }
    }

    /// Adds that all before is durable, if there is anything that was not.
    pub(super) fn flush(&mut self, map: &mut ExtentMap) {
        if self.index.resume_point().unflushed {
            self.push(Extent::between(0, 0), Flags::FLUSH, &[], map);
        }
    }

    fn last(&self) -> Option<Entry> {
        self.index.entry(self.index.nr_entries().checked_sub(1)?)
    }

    fn push(&mut self, extent: Extent, flags: Flags, bytes: &[u8], map: &mut ExtentMap) {
        let (sector, nr_sectors) = (extent.sector(), extent.nr_sectors());
        let header = EntryHeader { sector, nr_sectors, flags, data_len: 0 }.emit();
        let walk = Walk::new(self.index.superblock(), None).at(self.index.resume_point().position);
        let entry = { walk }.step(&header).expect("it is an entry");
        let log = Arc::make_mut(&mut self.log);
        log.extend_from_slice(&header);
        log.resize(narrow(entry.payload().start), 0);
        log.extend_from_slice(bytes);
        debug_assert_eq!(widen(log.len()), entry.end_bytes(), "it has the payload");
        self.index.push(&entry, &[]);
        map.apply(&entry, Discards::Zero);
    }

    /// Reads from the log, at an offset that a map of its entries has.
    pub(super) fn read_at(&self, offset_bytes: u64, buffer: &mut [u8]) {
        read_at(&self.log, offset_bytes, buffer);
    }

    /// Writes it as a log: replayed onto the state, it gives the disk as the check has left it, and at any of its points or
    /// states, as a crash in between would have.
    ///
    /// # Errors
    /// The writer's.
    pub fn write_log(&self, out: &mut impl Write) -> io::Result<()> {
        let Superblock { sector_size, .. } = self.index.superblock();
        out.write_all(&Superblock { nr_entries: self.index.nr_entries(), sector_size }.emit())?;
        out.write_all(&self.log[HEADER_LEN..])
    }

    /// The same as a file that has no name.
    ///
    /// # Errors
    /// The system's.
    pub fn to_disk(&self) -> io::Result<Disk> {
        let disk = Disk::nameless()?;
        let mut log = Vec::with_capacity(self.len_bytes());
        self.write_log(&mut log)?;
        disk.write_at(0, &log)?;
        Ok(disk)
    }
}

/// A log of what was written to a disk, and that disk as its base.
#[derive(Debug)]
pub struct Writes {
    log: Arc<Vec<u8>>,
    base: Crashed,
}

impl Writes {
    pub(super) fn new(written: &Written, base: Crashed) -> Self {
        Self { log: Arc::clone(&written.log), base }
    }
}

impl Ground for Writes {
    fn len_bytes(&self) -> u64 {
        self.base.recording().len_bytes()
    }

    fn read_at(&self, place: Place, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<()> {
        match place {
            Place::Base => self.base.recording().read_at(self.base.map(), offset_bytes, buffer),
            Place::Log => {
                read_at(&self.log, offset_bytes, buffer);
                Ok(())
            }
        }
    }

    /// The base keeps the hashes of what it holds: they are the same for all that is written to it.
    fn base_fingerprint(&self, extent: Extent) -> Option<u128> {
        let pieces: Vec<_> = self.base.map().pieces(extent).collect();
        self.base.recording().fingerprint(&pieces)
    }
}

/// Whether two extents share a sector or touch.
const fn is_next_to(a: Extent, b: Extent) -> bool {
    a.sector() <= b.end() && b.sector() <= a.end()
}

fn read_at(log: &[u8], offset_bytes: u64, buffer: &mut [u8]) {
    let at = narrow(offset_bytes);
    buffer.copy_from_slice(&log[at..at + buffer.len()]);
}

/// What a page cache writes as a whole, in bytes.
const PAGE_BYTES: u64 = 4096;
