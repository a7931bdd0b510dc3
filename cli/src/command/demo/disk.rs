//! A recorded disk as a file system crate wants it: any byte can be read and written.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use logwrites_core::drive::Driver;
use logwrites_core::num::{clip, narrow, widen};
use logwrites_core::{Config, Extent, Logger, SectorSize, WriteFlags};

use crate::device::{Access, Disk, LogFile};

/// A disk whose every write is logged, under a cache of whole sectors that is written when it is flushed, as an
/// operating system does it.
#[derive(Debug)]
pub(super) struct RecordedDisk {
    driver: Driver<Logger<1>, Disk, LogFile>,
    cache: BTreeMap<u64, [u8; SECTOR]>,
    len_bytes: u64,
    position_bytes: u64,
}

impl RecordedDisk {
    /// A new disk of zeros, and its log.
    pub(super) fn create(disk: &Path, log: &Path, len_bytes: u64) -> anyhow::Result<Self> {
        let disk = Disk::open(disk, Access::CreateNew)?;
        disk.set_len(len_bytes)?;
        let log = LogFile::new(Disk::open(log, Access::CreateNew)?)?;
        let logger = Logger::new(Config::new(SectorSize::B512))?;
        let driver = Driver::new(logger, disk, log);
        Ok(Self { driver, cache: BTreeMap::new(), len_bytes, position_bytes: 0 })
    }

    /// How many entries the log has.
    pub(super) fn nr_entries(&self) -> u64 {
        self.driver.recorder().nr_entries()
    }

    /// Puts a mark into the log.
    pub(super) fn mark(&mut self, text: &str) -> anyhow::Result<()> {
        Ok(self.driver.mark(text.as_bytes())?)
    }

    /// Completes the log.
    pub(super) fn close(mut self) -> anyhow::Result<()> {
        if self.driver.recorder().is_unflushed() {
            self.driver.flush()?;
        }
        self.driver.finish()?;
        Ok(())
    }

    /// The sector at the position, how far into it that is, and how much of `len` it has from there.
    fn place(&self, len: usize) -> (u64, usize, usize) {
        let start = narrow(self.position_bytes % SECTOR_BYTES);
        let rest = clip(self.len_bytes.saturating_sub(self.position_bytes), usize::MAX);
        (self.position_bytes / SECTOR_BYTES, start, len.min(SECTOR - start).min(rest))
    }

    fn sector(&self, sector: u64) -> io::Result<[u8; SECTOR]> {
        if let Some(bytes) = self.cache.get(&sector) {
            return Ok(*bytes);
        }
        let mut bytes = [0; SECTOR];
        self.driver.data().read_at(sector * SECTOR_BYTES, &mut bytes)?;
        Ok(bytes)
    }

    fn advance(&mut self, len: usize) {
        self.position_bytes += widen(len);
    }
}

impl Read for RecordedDisk {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (sector, start, len) = self.place(buffer.len());
        if len > 0 {
            let bytes = self.sector(sector)?;
            if let (Some(to), Some(from)) = (buffer.get_mut(..len), bytes.get(start..start + len)) {
                to.copy_from_slice(from);
            }
            self.advance(len);
        }
        Ok(len)
    }
}

impl Write for RecordedDisk {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let (sector, start, len) = self.place(buffer.len());
        if len > 0 {
            let mut bytes = self.sector(sector)?;
            if let (Some(to), Some(from)) = (bytes.get_mut(start..start + len), buffer.get(..len)) {
                to.copy_from_slice(from);
            }
            self.cache.insert(sector, bytes);
            self.advance(len);
        }
        Ok(len)
    }

    /// Writes the cache, each run of adjacent sectors in one, and flushes the disk.
    fn flush(&mut self) -> io::Result<()> {
        if self.cache.is_empty() {
            return Ok(());
        }
        let cache = std::mem::take(&mut self.cache);
        let mut run = Vec::new();
        let mut sectors = cache.iter().peekable();
        while let Some((sector, bytes)) = sectors.next() {
            run.extend_from_slice(bytes);
            if sectors.peek().is_none_or(|(next, _)| **next != sector + 1) {
                let nr_sectors = widen(run.len()) / SECTOR_BYTES;
                let extent = Extent::between(sector + 1 - nr_sectors, sector + 1);
                self.driver.write(extent, &run, WriteFlags::empty()).map_err(io::Error::other)?;
                run.clear();
            }
        }
        self.driver.flush().map_err(io::Error::other)
    }
}

impl Seek for RecordedDisk {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(offset_bytes) => Some(offset_bytes),
            SeekFrom::End(back) => self.len_bytes.checked_add_signed(back),
            SeekFrom::Current(on) => self.position_bytes.checked_add_signed(on),
        };
        self.position_bytes = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position_bytes)
    }
}

const SECTOR: usize = 512;
const SECTOR_BYTES: u64 = 512;
