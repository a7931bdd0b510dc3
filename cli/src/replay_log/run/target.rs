//! The disk that is written to.

use std::io;
use std::path::Path;

use logwrites_core::format::Flags;
use logwrites_core::history::{self, ExtentMap, Run, Source};
use logwrites_core::reader::Entry;
use logwrites_core::{Extent, SectorSize};

use super::super::end::{FAILED, end};
use super::super::options::Discards;
use super::cursor::{Cursor, errno};
use super::lines::Lines;
use crate::device::{Access, Disk};
use crate::error::Failure;
use crate::interrupt;

/// A disk, and the entries that were collected for it: what is left of them is written once, in the order of the disk.
pub(super) struct Target {
    disk: Disk,
    /// Where the payloads are.
    log: Disk,
    /// What is still to be written.
    map: ExtentMap,
    /// The size of the disk; a file may grow.
    len_bytes: u64,
    discards: Discards,
}

impl Target {
    /// Opens what exists.
    pub(super) fn open(path: &Path, cursor: &Cursor, discards: Discards) -> Result<Self, Failure> {
        let disk = Disk::open(path, Access::Write).map_err(|error| {
            end(FAILED, format!("Couldn't open replay file {}: {}", path.display(), errno(&error)))
        })?;
        let log = cursor.open_disk()?;
        let failed = |error: io::Error| end(FAILED, format!("{}: {error}", path.display()));
        if disk.is_same(&log).map_err(failed)? {
            return Err(end(FAILED, format!("{} is the log itself", path.display())));
        }
        let len_bytes = disk.len_bytes().map_err(failed)?;
        let map = ExtentMap::new(cursor.superblock().sector_size);
        Ok(Self { disk, log, map, len_bytes, discards })
    }

    /// Takes the next entry, to be written later.
    pub(super) fn take(&mut self, entry: &Entry, is_skipped: bool, lines: &mut Lines) -> Result<(), Failure> {
        if entry.flags().contains(Flags::DISCARD) {
            return self.discard(entry, is_skipped, lines);
        }
        if !is_skipped {
            self.check_fits(entry)?;
            self.map.apply(entry, history::Discards::Zero);
        }
        if self.map.len() < MAX_RUNS { Ok(()) } else { self.write_all() }
    }

    /// Writes everything that was taken, and makes it durable.
    pub(super) fn settle(&mut self) -> Result<(), Failure> {
        self.write_all()?;
        self.disk.sync().map_err(|error| self.failed(&error))
    }

    /// What is passed on is passed on at once, as a whole, ahead of what is still to be written: parts of it, cut out
    /// by later writes, would leave more data on devices that discard in large units.
    fn discard(&mut self, entry: &Entry, is_skipped: bool, lines: &mut Lines) -> Result<(), Failure> {
        if self.discards == Discards::Pass {
            if self.disk.is_block_device() {
                if is_skipped {
                    return Ok(());
                }
                self.check_fits(entry)?;
                if self.pass_on(entry.extent()).is_ok() {
                    self.map.remove(entry.extent());
                    return Ok(());
                }
            }
            self.discards = Discards::Zero;
            lines.no_discard();
        }
        if self.discards == Discards::Zero && !is_skipped {
            self.check_fits(entry)?;
            self.map.apply(entry, history::Discards::Zero);
        }
        Ok(())
    }

    fn pass_on(&self, extent: Extent) -> io::Result<()> {
        let sector_size = self.map.sector_size();
        let end_bytes = sector_size.bytes_of(extent.end());
        let mut at_bytes = sector_size.bytes_of(extent.sector());
        while at_bytes < end_bytes {
            let len_bytes = (end_bytes - at_bytes).min(DISCARD_BYTES);
            self.disk.pass_discard(at_bytes, len_bytes)?;
            at_bytes += len_bytes;
        }
        Ok(())
    }

    /// A block device does not grow.
    fn check_fits(&self, entry: &Entry) -> Result<(), Failure> {
        let extent = entry.extent();
        let end_bytes = self.map.sector_size().bytes_of(extent.end());
        if extent.is_empty() || end_bytes <= self.len_bytes || !self.disk.is_block_device() {
            return Ok(());
        }
        let path = self.disk.path().display();
        let message = format!(
            "entry {} reaches up to byte {end_bytes} of {path}, which has {} bytes",
            entry.index, self.len_bytes
        );
        Err(end(FAILED, message))
    }

    fn write_all(&mut self) -> Result<(), Failure> {
        let empty = ExtentMap::new(self.map.sector_size());
        let map = std::mem::replace(&mut self.map, empty);
        for run in map.runs() {
            interrupt::check("; the disk is between two points now; replay it again from a base")?;
            self.write(run, map.sector_size()).map_err(|error| self.failed(&error))?;
        }
        Ok(())
    }

    fn write(&mut self, run: Run, sector_size: SectorSize) -> io::Result<()> {
        let offset_bytes = sector_size.bytes_of(run.extent.sector());
        let len_bytes = sector_size.bytes_of(run.extent.nr_sectors());
        match run.source {
            Source::Log { offset_bytes: log_offset_bytes } => {
                self.disk.copy_from(&self.log, log_offset_bytes, offset_bytes, len_bytes)?;
            }
            Source::Zeros { .. } => self.zero(offset_bytes, len_bytes)?,
        }
        self.len_bytes = self.len_bytes.max(offset_bytes + len_bytes);
        Ok(())
    }

    /// What a file gains is zero by itself.
    fn zero(&self, offset_bytes: u64, len_bytes: u64) -> io::Result<()> {
        let end_bytes = offset_bytes + len_bytes;
        let inside_bytes = end_bytes.min(self.len_bytes).saturating_sub(offset_bytes);
        self.disk.zero_range(offset_bytes, inside_bytes, true)?;
        if end_bytes > self.len_bytes { self.disk.set_len(end_bytes) } else { Ok(()) }
    }

    fn failed(&self, error: &io::Error) -> Failure {
        end(FAILED, format!("cannot write to {}: {error}", self.disk.path().display()))
    }
}

/// How much is discarded at a time, in bytes.
const DISCARD_BYTES: u64 = 1 << 30;

/// How many runs are collected at most: about 50 MB.
const MAX_RUNS: usize = 1 << 20;
