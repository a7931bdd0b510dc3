//! Going on with a log that exists: for `record --append` and `mark`.

use std::path::Path;

use logwrites_core::history::{Discards, ExtentMap, Index};
use logwrites_core::reader::ResumePoint;

use crate::args::TailArg;
use crate::device::{Access, Disk, DiskError, LogFile};
use crate::error::Failure;
use crate::log::Log;

/// A log that can be appended to.
pub(super) struct OpenEnd {
    log: Log,
}

impl OpenEnd {
    /// Finds the end of a log. Entries behind what the superblock counts are neither kept nor dropped unasked.
    pub(super) fn find(path: &Path, tail: Option<TailArg>) -> anyhow::Result<Self> {
        let mut log = Log::open(path)?;
        log.check_whole()?;
        let found = log.tail()?;
        if found.nr_entries() > 0 {
            match tail {
                None => {
                    let message = format!(
                        "{}: {} entries stand behind the {} that the superblock counts: --tail keep goes on behind \
                         them, --tail drop overwrites them; `logwrites recover` tells more",
                        path.display(),
                        found.nr_entries(),
                        found.start.index,
                    );
                    return Err(Failure::Usage(message).into());
                }
                Some(TailArg::Keep) => log.take_tail(found)?,
                Some(TailArg::Drop) => {}
            }
        }
        Ok(Self { log })
    }

    /// The entries that are there.
    pub(super) const fn index(&self) -> &Index {
        self.log.index()
    }

    /// The log's disk.
    pub(super) const fn disk(&self) -> &Disk {
        self.log.disk()
    }

    /// Where to go on.
    pub(super) const fn point(&self) -> ResumePoint {
        self.log.resume_point()
    }

    /// Where the disk's bytes are at the end of the log.
    pub(super) fn map(&self) -> ExtentMap {
        self.index().map_at(self.index().nr_entries(), Discards::Zero)
    }

    /// The log, to be written on. What stands behind its end is gone then.
    pub(super) fn open(&self, path: &Path) -> anyhow::Result<LogFile> {
        let disk = Disk::open(path, Access::Write)?;
        disk.lock().map_err(|error| DiskError::new("lock", path, error))?;
        Ok(LogFile::resume(disk, self.point().position.offset_bytes)?)
    }
}
