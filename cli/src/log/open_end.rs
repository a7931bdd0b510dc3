//! Going on with a log that exists: for `record --append` and `mark`.

use std::path::Path;

use logwrites_core::history::{Discards, ExtentMap, Index};
use logwrites_core::reader::ResumePoint;

use super::Log;
use super::error::PlaceError;
use super::fit::FitError;
use crate::device::{Disk, DiskError, LogFile};

/// What to do with entries after those that the superblock counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// They are part of the log.
    Keep,
    /// They are overwritten.
    Drop,
}

/// A log that can be appended to.
#[derive(Debug)]
pub(crate) struct OpenEnd {
    /// Locked before its end is looked for, so that no other process finds the same end.
    disk: Disk,
    log: Log,
}

impl OpenEnd {
    /// Finds the end of a log that `disk` holds, locked. Entries that the superblock does not count are neither kept nor dropped by default.
    pub(crate) fn find(disk: Disk, tail: Option<Tail>) -> Result<Self, PlaceError> {
        let path = disk.path();
        let mut log = Log::open(path)?;
        log.check_whole()?;
        let found = log.tail()?;
        if found.nr_entries() > 0 {
            match tail {
                None => {
                    return Err(PlaceError::Uncounted {
                        path: path.to_owned(),
                        nr_found: found.nr_entries(),
                        nr_counted: found.start.index,
                    });
                }
                Some(Tail::Keep) => log.take_tail(found)?,
                Some(Tail::Drop) => {}
            }
        }
        Ok(Self { disk, log })
    }

    /// The entries that are there.
    pub(crate) const fn index(&self) -> &Index {
        self.log.index()
    }

    /// The log's disk.
    pub(crate) const fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Checks that what the log has stays on a disk of `len_bytes`.
    pub(crate) fn check_fits(&self, len_bytes: u64, disk: &Path) -> Result<(), FitError> {
        self.log.check_fits(self.index().nr_entries(), len_bytes, disk)
    }

    /// Where to continue.
    pub(crate) const fn point(&self) -> ResumePoint {
        self.log.resume_point()
    }

    /// Where the disk's bytes are at the end of the log.
    pub(crate) fn map(&self) -> ExtentMap {
        self.index().map_at(self.index().nr_entries(), Discards::Zero)
    }

    /// The log, to append to. Anything after its end is lost then.
    pub(crate) fn open(self) -> Result<LogFile, DiskError> {
        let end_bytes = self.point().position.offset_bytes;
        LogFile::resume(self.disk, end_bytes)
    }
}
